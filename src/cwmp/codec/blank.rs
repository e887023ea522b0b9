//! Envelopes that can be shown: the secrets in them blanked, every other byte as it was.

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;

use crate::types::path::hides_its_value;

use super::reader::{Node, Tag, XmlReader};
use super::{DecodeError, Limits};

/// What stands in place of a secret.
pub const BLANKED: &str = "****";

/// Leaf elements with free text: a `<` in it may open nothing (quirk 3).
const FREE_TEXT: [&str; 5] = ["FaultString", "faultstring", "faultcode", "CommandKey", "ParameterKey"];

/// The message with its secrets replaced by [`BLANKED`]; borrowed when it has none.
///
/// Secrets are the `Value` of everything whose `Name` [hides its value](hides_its_value), and the content of every element
/// whose own name does: `Password` of `Download` and its kin; vouchers; and the password in a URL (`http://name:password@host/`) that
/// is a `Value` or the content of an element whose name ends in `URL`. Empty ones stay empty. What is blanked decodes to the
/// same message but for the secrets.
///
/// # Errors
/// [`DecodeError`] when the text is not well-formed within the limits: nothing of it may be shown then, since nobody knows
/// where in it the secrets are.
pub fn blank_secrets<'a>(text: &'a str, limits: &Limits) -> Result<Cow<'a, str>, DecodeError> {
    let mut search = Search { text, xml: XmlReader::new(text, limits), secrets: Vec::new() };
    let behind = search.document()?;
    let Search { mut secrets, .. } = search;
    // What follows the root element is no part of the message, and is not looked into.
    if text.get(behind..).is_some_and(|rest| !rest.trim().is_empty()) {
        secrets.push(behind..text.len());
    }
    // Of two that begin at the same place the longer one comes first.
    secrets.sort_unstable_by_key(|secret| (secret.start, std::cmp::Reverse(secret.end)));
    let mut shown = String::new();
    let mut copied = 0;
    for secret in secrets {
        // One inside another is gone with it.
        if secret.start >= copied && !secret.is_empty() {
            shown.push_str(text.get(copied..secret.start).unwrap_or_default());
            shown.push_str(BLANKED);
            copied = secret.end;
        }
    }
    if copied == 0 {
        return Ok(Cow::Borrowed(text));
    }
    shown.push_str(text.get(copied..).unwrap_or_default());
    Ok(Cow::Owned(shown))
}

/// Walks through a message and notes where in it the secrets are.
struct Search<'a, 'l> {
    text: &'a str,
    xml: XmlReader<'a, 'l>,
    secrets: Vec<Range<usize>>,
}

impl<'a> Search<'a, '_> {
    /// Reads the root element; gives the offset behind it.
    fn document(&mut self) -> Result<usize, DecodeError> {
        loop {
            match self.xml.next()? {
                Node::Child(tag) => {
                    let mut entry = Entry::default();
                    self.child(&tag, &mut entry)?;
                    self.close(entry);
                    return Ok(self.xml.offset());
                }
                Node::Text(text) if text.trim().is_empty() => {}
                Node::Text(_) | Node::Reference(_) | Node::End => return Err(DecodeError::TextBeforeRoot),
            }
        }
    }

    /// Reads the children of the element just opened.
    fn children(&mut self) -> Result<(), DecodeError> {
        let mut entry = Entry::default();
        while let Some(tag) = self.xml.child()? {
            self.child(&tag, &mut entry)?;
        }
        self.close(entry);
        Ok(())
    }

    fn child(&mut self, tag: &Tag<'a>, parent: &mut Entry) -> Result<(), DecodeError> {
        match tag.local() {
            "Name" => parent.hides |= hides_its_value(&self.xml.trimmed()?),
            "Value" => {
                let value = self.content()?;
                self.secrets.extend(self.login(&value));
                parent.values.push(value);
            }
            // Of a `SetVouchers`, whatever the items are called.
            "VoucherList" => {
                while self.xml.child()?.is_some() {
                    let voucher = self.content()?;
                    self.secrets.push(voucher);
                }
            }
            name if hides_its_value(name) => {
                let secret = self.content()?;
                self.secrets.push(secret);
            }
            name if name.ends_with("URL") => {
                let url = self.content()?;
                self.secrets.extend(self.login(&url));
            }
            name if FREE_TEXT.contains(&name) => drop(self.xml.text()?),
            _ => self.children()?,
        }
        Ok(())
    }

    fn close(&mut self, entry: Entry) {
        if entry.hides {
            self.secrets.extend(entry.values);
        }
    }

    /// Reads the element just opened as a text; gives where between its tags it stands.
    fn content(&mut self) -> Result<Range<usize>, DecodeError> {
        let start = self.xml.offset();
        self.xml.text()?;
        let read = self.text.get(start..self.xml.offset()).unwrap_or_default();
        // The end tag has no other `<` in it. An element without one (`<Value/>`) has no content either.
        Ok(start..start + read.rfind("</").unwrap_or_default())
    }

    /// Where in a text the password of a URL stands, if it is one and has one (RFC 3986 §3.2.1).
    fn login(&self, place: &Range<usize>) -> Option<Range<usize>> {
        let text = self.text.get(place.clone())?;
        let start = text.find("://")? + "://".len();
        let authority = text.get(start..)?.split(['/', '?', '#', '<']).next()?;
        let login = authority.get(..authority.rfind('@')?)?;
        let start = place.start + start;
        Some(start + login.find(':')? + 1..start + login.len())
    }
}

/// What was seen of one element's children.
#[derive(Default)]
struct Entry {
    hides: bool,
    values: SmallVec<[Range<usize>; 1]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank(text: &str) -> String {
        blank_secrets(text, &Limits::default()).expect("well-formed").into_owned()
    }

    #[test]
    fn secrets_are_blanked_and_nothing_else() {
        let table = [
            ("no secret", "<a><Name>D.Enable</Name><Value>1</Value></a>", None),
            (
                "vouchers",
                "<VoucherList><base64>QUFB</base64><base64/></VoucherList>",
                Some("<VoucherList><base64>****</base64><base64/></VoucherList>"),
            ),
            (
                "by the parameter's name",
                "<s><Name>D.ManagementServer.Password</Name><Value xsi:type=\"xsd:string\">geheim</Value></s>",
                Some("<s><Name>D.ManagementServer.Password</Name><Value xsi:type=\"xsd:string\">****</Value></s>"),
            ),
            (
                "the value in front of the name, spelled with references",
                "<s><Value>a&amp;b</Value> <n:Name>\r\n D.X.KeyPass&#112;hrase </n:Name></s>",
                Some("<s><Value>****</Value> <n:Name>\r\n D.X.KeyPass&#112;hrase </n:Name></s>"),
            ),
            (
                "CDATA, comments",
                "<s><Name><![CDATA[D.WEPKey1]]></Name><Value><!--x--><![CDATA[</Value>]]>y<!-- z --></Value></s>",
                Some("<s><Name><![CDATA[D.WEPKey1]]></Name><Value>****</Value></s>"),
            ),
            (
                "a stray < in a secret and in a text",
                "<s><CommandKey>a < b</CommandKey><e><Name>D.Password</Name><Value>a<b</Value></e></s>",
                Some("<s><CommandKey>a < b</CommandKey><e><Name>D.Password</Name><Value>****</Value></e></s>"),
            ),
            ("empty ones stay", "<s><Name>D.Password</Name><Value/></s>", None),
            ("empty ones stay", "<s><Name>D.Password</Name><Value></Value></s>", None),
            (
                "only of the same entry",
                "<l><s><Name>D.Password</Name><Value>x</Value></s><s><Name>D.Username</Name><Value>x</Value></s></l>",
                Some(
                    "<l><s><Name>D.Password</Name><Value>****</Value></s><s><Name>D.Username</Name><Value>x</Value></s></l>",
                ),
            ),
            (
                "a transfer's password",
                "<Download><URL>u</URL><Username>me</Username><Password>x</Password></Download>",
                Some("<Download><URL>u</URL><Username>me</Username><Password>****</Password></Download>"),
            ),
            (
                "a password in a URL",
                "<d><URL>ftp://me:x:y@h:21/a@b:c</URL><s><Name>D.U</Name><Value>http://me:x@h</Value></s></d>",
                Some(
                    "<d><URL>ftp://me:****@h:21/a@b:c</URL><s><Name>D.U</Name><Value>http://me:****@h</Value></s></d>",
                ),
            ),
            (
                "no password in a URL",
                "<d><URL>http://me@h:80/</URL><NextURL>http://h/?a=b:c@d</NextURL><URL>:@</URL></d>",
                None,
            ),
            (
                "a URL in a secret",
                "<s><Name>D.Password</Name><Value>://a:b@c</Value></s>",
                Some("<s><Name>D.Password</Name><Value>****</Value></s>"),
            ),
            ("what follows the root", "<a/> <s><Password>x</Password>", Some("<a/>****")),
            ("the root itself", "<Password>x</Password>", Some("<Password>****</Password>")),
        ];
        for (case, text, want) in table {
            assert_eq!(blank(text), want.unwrap_or(text), "{case}");
        }
        assert!(matches!(blank_secrets("<a>ä</a>", &Limits::default()), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn what_cannot_be_read_cannot_be_shown() {
        for text in [
            "",
            "x<a/>",
            "<a><Password>x",
            "<!DOCTYPE a><a/>",
            "<a><b></a></b>",
            "<s><Name>D.Password</Name><Value>x</s>",
        ] {
            assert!(blank_secrets(text, &Limits::default()).is_err(), "{text}");
        }
        let tight = Limits { depth: 2, ..Limits::default() };
        assert!(blank_secrets("<a><b><c/></b></a>", &tight).is_err());
    }
}
