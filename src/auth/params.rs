//! The `name=value` lists of `Authorization` and `WWW-Authenticate`, read the way the field writes them (quirk 32).

use std::borrow::Cow;

/// One value of the list, as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamValue<'a> {
    /// Without the quotes around it, escapes still in.
    pub raw: &'a str,
}

impl<'a> ParamValue<'a> {
    /// The value with `\"` and `\\` resolved.
    ///
    /// A backslash before anything else stays: CPEs send `DOMAIN\user` unescaped (quirk 32), and RFC 9110 §5.6.4 would
    /// have it swallowed.
    #[must_use]
    pub fn unescaped(self) -> Cow<'a, str> {
        if !self.raw.contains('\\') {
            return Cow::Borrowed(self.raw);
        }
        let mut text = String::with_capacity(self.raw.len());
        let mut chars = self.raw.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, chars.peek()) {
                ('\\', Some(&escaped @ ('"' | '\\'))) => {
                    text.push(escaped);
                    chars.next();
                }
                _ => text.push(c),
            }
        }
        Cow::Owned(text)
    }
}

/// Walks over the list. What is no `name=value` is skipped, a missing closing quote ends at the end of the text, and
/// blanks or commas separate.
#[derive(Debug, Clone)]
pub struct Params<'a> {
    rest: &'a str,
}

impl<'a> Params<'a> {
    /// `list` is what follows the scheme.
    #[must_use]
    pub const fn new(list: &'a str) -> Self {
        Self { rest: list }
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = (&'a str, ParamValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (before, after) = self.rest.split_once('=')?;
        let name = before.rsplit(|c: char| c == ',' || c.is_ascii_whitespace()).find(|word| !word.is_empty());
        let after = after.trim_start();
        let (raw, rest) = match after.strip_prefix('"') {
            Some(quoted) => split_quoted(quoted),
            None => split_token(after),
        };
        self.rest = rest;
        Some((name.unwrap_or(""), ParamValue { raw }))
    }
}

/// Up to the closing quote; a quote behind an odd number of backslashes is data.
fn split_quoted(quoted: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            b'\\' => escaped = !escaped,
            b'"' if !escaped => return (quoted.get(..at).unwrap_or(""), quoted.get(at + 1..).unwrap_or("")),
            _ => escaped = false,
        }
    }
    (quoted, "")
}

/// Up to a comma or blank. An unquoted `uri` may hold commas of its own (quirk 32), so that a comma counts only when
/// another `name=` or the end follows.
fn split_token(text: &str) -> (&str, &str) {
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find(|c: char| c == ',' || c.is_ascii_whitespace())) {
        let at = from + found;
        let rest = text.get(at + 1..).unwrap_or("");
        if starts_param(rest) {
            return (text.get(..at).unwrap_or(""), rest);
        }
        from = at + 1;
    }
    (text.trim_end_matches(|c: char| c == ',' || c.is_ascii_whitespace()), "")
}

fn starts_param(rest: &str) -> bool {
    let rest = rest.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
    let name_len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_').count();
    rest.is_empty() || (name_len > 0 && rest.get(name_len..).is_some_and(|tail| tail.trim_start().starts_with('=')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Vec<(&str, &str)> {
        Params::new(list).map(|(name, value)| (name, value.raw)).collect()
    }

    #[test]
    fn lists_are_read_as_the_field_writes_them() {
        let table: [(&str, &[(&str, &str)]); 9] = [
            (r#"a="1", b=2,c = "3""#, &[("a", "1"), ("b", "2"), ("c", "3")]),
            ("a=1 b=2", &[("a", "1"), ("b", "2")]),
            ("uri=/acs?x=1,y, nc=00000001", &[("uri", "/acs?x=1,y"), ("nc", "00000001")]),
            (r#"realm="a, b=c", nonce="x""#, &[("realm", "a, b=c"), ("nonce", "x")]),
            (r#"user="say \"hi\"", b=1"#, &[("user", r#"say \"hi\""#), ("b", "1")]),
            (r#"a="unclosed, b=1"#, &[("a", "unclosed, b=1")]),
            ("junk, a=1,", &[("a", "1")]),
            ("=,=", &[("", ",=")]),
            ("", &[]),
        ];
        for (list, want) in table {
            assert_eq!(read(list), want, "{list}");
        }
    }

    #[test]
    fn only_quotes_and_backslashes_are_unescaped() {
        let table =
            [(r"ACME\user", r"ACME\user"), (r"ACME\\user", r"ACME\user"), (r#"a\"b"#, r#"a"b"#), (r"end\", r"end\")];
        for (raw, want) in table {
            assert_eq!(ParamValue { raw }.unescaped(), want);
        }
    }
}
