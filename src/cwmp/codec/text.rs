//! From bytes to text: which character encoding a body is in, and which characters XML has no place for.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The body as text, borrowed when it is UTF-8 already.
///
/// The first of these that fits without an error decides: `charset` (that of the HTTP `Content-Type`), a byte-order
/// mark, the XML declaration, UTF-8. When none does, the whole body is taken for windows-1252, in which every byte means
/// something (quirk 3). Blanks, NULs and byte-order marks around the message are cut off (quirk 4); what is left of an
/// empty POST is empty.
#[must_use]
pub fn to_text<'a>(body: &'a [u8], charset: Option<&str>) -> Cow<'a, str> {
    let candidates = [
        charset.and_then(|label| Encoding::for_label(label.trim_matches(['"', '\'', ' ']).as_bytes())),
        Encoding::for_bom(body).map(|(encoding, _)| encoding),
        declared(body),
        Some(UTF_8),
    ];
    let mut text = None;
    for encoding in candidates.into_iter().flatten() {
        // UTF-16 without its NULs is a wrong label, not UTF-16.
        if encoding.output_encoding() != encoding && !body.contains(&0) {
            continue;
        }
        text = encoding.decode_without_bom_handling_and_without_replacement(body);
        if text.is_some() {
            break;
        }
    }
    let text = text.unwrap_or_else(|| WINDOWS_1252.decode_without_bom_handling(body).0);
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n' | '\0' | '\u{feff}');
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(blank)),
        Cow::Owned(text) => match text.trim_matches(blank) {
            trimmed if trimmed.len() == text.len() => Cow::Owned(text),
            trimmed => Cow::Owned(trimmed.to_owned()),
        },
    }
}

/// The encoding that the XML declaration names, or that its first bytes betray (XML 1.0, Appendix F).
fn declared(body: &[u8]) -> Option<&'static Encoding> {
    match body {
        [b'<', 0, ..] => return Some(UTF_16LE),
        [0, b'<', ..] => return Some(UTF_16BE),
        _ => {}
    }
    let head = body.get(..body.len().min(256))?;
    let start = head.iter().position(|byte| *byte == b'<')?;
    let declaration = head.get(start..)?.strip_prefix(b"<?xml")?;
    let end = declaration.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(declaration.get(..end)?).ok()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (label, _) = value.get(1..)?.split_once(quote)?;
    Encoding::for_label(label.as_bytes())
}

/// Whether XML 1.0 (§2.2, `Char`) has the character.
pub(super) const fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// What has to be looked for in the texts of a message, found out in one pass over it that the compiler vectorises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hygiene {
    /// There are `\r`, which the end of a line may have.
    pub(super) carriage_returns: bool,
    /// There are bytes that characters without a place in XML 1.0 have: C0 controls, and EF, which opens U+FFFE.
    pub(super) suspects: bool,
}

impl Hygiene {
    pub(super) fn of(text: &str) -> Self {
        let (mut carriage_returns, mut suspects) = (false, false);
        for byte in text.bytes() {
            carriage_returns |= byte == b'\r';
            suspects |= matches!(byte, 0..=0x08 | 0x0b | 0x0c | 0x0e..=0x1f | 0xef);
        }
        Self { carriage_returns, suspects }
    }
}

/// The text without what XML 1.0 forbids; borrowed when nothing is.
pub(super) fn without_illegal(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.chars().all(is_xml_char) {
        return text;
    }
    Cow::Owned(text.chars().filter(|c| is_xml_char(*c)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_utf8_is_borrowed() {
        for body in ["<a/>", "  <a>é</a>\r\n\0\0", "\u{feff}<a/>"] {
            assert!(matches!(to_text(body.as_bytes(), None), Cow::Borrowed(_)), "{body:?}");
            assert!(matches!(to_text(body.as_bytes(), Some("utf-8")), Cow::Borrowed(_)), "{body:?}");
        }
        assert!(matches!(to_text(b"<a/>", Some("ISO-8859-1")), Cow::Borrowed("<a/>")));
    }

    #[test]
    fn the_encoding_is_found_in_order() {
        let utf16: Vec<u8> = "\u{feff}<a>é</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16_bare: Vec<u8> = "<a>é</a>".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let table: [(&str, &[u8], Option<&str>, &str); 9] = [
            ("charset wins", b"<a>\xe9</a>", Some("iso-8859-1"), "<a>é</a>"),
            ("charset that does not fit", b"<a>\xe9</a>", Some("utf-8"), "<a>é</a>"),
            ("charset nobody knows", "<a>é</a>".as_bytes(), Some("klingon"), "<a>é</a>"),
            ("byte-order mark", &utf16, None, "<a>é</a>"),
            ("UTF-16 without a mark", &utf16_bare, None, "<a>é</a>"),
            ("UTF-16 in name only", "<a>é</a>".as_bytes(), Some("utf-16"), "<a>é</a>"),
            (
                "declaration",
                b"<?xml version='1.0' encoding='windows-1251'?><a>\xe9</a>",
                None,
                "<?xml version='1.0' encoding='windows-1251'?><a>й</a>",
            ),
            ("broken UTF-8", b"<a>\xff\xff</a>", None, "<a>ÿÿ</a>"),
            ("blanks alone", b" \r\n\0", None, ""),
        ];
        for (case, body, charset, want) in table {
            assert_eq!(to_text(body, charset), want, "{case}");
        }
    }
}
