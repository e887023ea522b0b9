//! Writing XML the way fragile agents read it: into one buffer, arguments unqualified, nothing self-closed.

use std::fmt::Display;
use std::io::Write as _;

use crate::cwmp::emission::{Emission, SoapPrefix};
use crate::cwmp::message::acs::Applied;
use crate::cwmp::message::inform::ParameterValueStruct;

/// The two prefixes of SOAP's own namespaces.
pub(super) struct SoapPrefixes {
    /// Of the envelope's.
    pub(super) envelope: &'static str,
    /// Of the encoding's.
    pub(super) encoding: &'static str,
}

impl SoapPrefixes {
    pub(super) const fn of(prefix: SoapPrefix) -> Self {
        let (envelope, encoding) = match prefix {
            SoapPrefix::Upper => ("SOAP-ENV", "SOAP-ENC"),
            SoapPrefix::Lower => ("soap-env", "soap-enc"),
            SoapPrefix::Plain => ("soapenv", "soapenc"),
        };
        Self { envelope, encoding }
    }
}

/// Appends to a buffer that it never reads back. Writing cannot fail.
pub(super) struct XmlWriter<'o> {
    out: &'o mut Vec<u8>,
    pub(super) soap: SoapPrefixes,
    pub(super) emission: Emission,
}

impl<'o> XmlWriter<'o> {
    pub(super) fn new(emission: Emission, out: &'o mut Vec<u8>) -> Self {
        Self { out, soap: SoapPrefixes::of(emission.soap_prefix), emission }
    }

    /// Markup as it stands.
    pub(super) fn raw(&mut self, markup: &str) {
        self.out.extend_from_slice(markup.as_bytes());
    }

    /// `<name>`, what `content` writes, `</name>`.
    pub(super) fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.raw("<");
        self.raw(name);
        self.raw(">");
        content(self);
        self.end(name);
    }

    /// `<name>text</name>`.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.element(name, |xml| xml.escaped(text));
    }

    /// [`Self::text`], or nothing.
    pub(super) fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// `<name>7</name>`.
    pub(super) fn number(&mut self, name: &str, number: impl Display) {
        self.element(name, |xml| xml.display(number));
    }

    /// `<name>1</name>` or `<name>0</name>`: the form that every agent reads (quirk 23).
    pub(super) fn boolean(&mut self, name: &str, value: bool) {
        self.text(name, if value { "1" } else { "0" });
    }

    /// `Status`.
    pub(super) fn status(&mut self, status: Applied) {
        let status = match status {
            Applied::Now => "0",
            Applied::Later => "1",
        };
        self.text("Status", status);
    }

    /// A SOAP-encoded array: `<name SOAP-ENC:arrayType="type[n]">`, each entry as `entry` writes it, `</name>`.
    pub(super) fn array<T>(&mut self, name: &str, array_type: &str, list: &[T], mut entry: impl FnMut(&mut Self, &T)) {
        self.raw("<");
        self.raw(name);
        self.raw(" ");
        self.raw(self.soap.encoding);
        self.raw(":arrayType=\"");
        self.raw(array_type);
        self.raw("[");
        self.display(list.len());
        self.raw("]\">");
        for item in list {
            entry(self, item);
        }
        self.end(name);
    }

    /// An array of `xsd:string`.
    pub(super) fn strings<T: AsRef<str>>(&mut self, name: &str, list: &[T]) {
        self.array(name, "xsd:string", list, |xml, text| xml.text("string", text.as_ref()));
    }

    /// `ParameterList` of names and typed values.
    pub(super) fn parameter_values(&mut self, list: &[ParameterValueStruct<'_>]) {
        self.array("ParameterList", "cwmp:ParameterValueStruct", list, |xml, parameter| {
            xml.element("ParameterValueStruct", |xml| {
                xml.text("Name", &parameter.name);
                xml.raw("<Value xsi:type=\"");
                xml.raw(parameter.ty.qualified());
                xml.raw("\">");
                xml.escaped(&parameter.value);
                xml.end("Value");
            });
        });
    }

    /// Character data. `&`, `<`, `>`, `"` and `'` become entities wherever they stand, a carriage return becomes
    /// `&#13;` (it would be read as a line feed otherwise), and what XML 1.0 has no place for is left out: the other C0
    /// controls, U+FFFE, U+FFFF.
    pub(super) fn escaped(&mut self, text: &str) {
        let mut plain = text;
        while let Some(at) = plain.bytes().position(is_special) {
            let (clean, rest) = plain.split_at(at);
            self.raw(clean);
            let mut chars = rest.chars();
            match chars.next() {
                Some('&') => self.raw("&amp;"),
                Some('<') => self.raw("&lt;"),
                Some('>') => self.raw("&gt;"),
                Some('"') => self.raw("&quot;"),
                Some('\'') => self.raw("&apos;"),
                Some('\r') => self.raw("&#13;"),
                // Of the characters that start with the byte EF only these two are forbidden.
                Some(c) if c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}') => {
                    self.raw(c.encode_utf8(&mut [0; 4]));
                }
                Some(_) | None => {}
            }
            plain = chars.as_str();
        }
        self.raw(plain);
    }

    pub(super) fn display(&mut self, value: impl Display) {
        // A Vec<u8> takes whatever it is given.
        let _infallible = write!(self.out, "{value}");
    }

    /// `</name>`.
    pub(super) fn end(&mut self, name: &str) {
        self.raw("</");
        self.raw(name);
        self.raw(">");
    }
}

/// Bytes that cannot be copied as they stand, and the first byte of characters that may not.
const fn is_special(byte: u8) -> bool {
    matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'' | 0xef) || (byte < b' ' && !matches!(byte, b'\t' | b'\n'))
}
