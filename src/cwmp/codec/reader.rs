//! The pull reader that every decoder works on: quick-xml's events, cut down to what SOAP needs and held to the limits.
//!
//! A decoder asks for the next child of the element it is in, and for each child it gets does exactly one thing: read
//! its text, skip it, or ask for *its* children until there are none. Text borrows from the message wherever nothing
//! had to be spliced.

use std::borrow::Cow;

use memchr::memchr2;
use quick_xml::Reader;
use quick_xml::errors::SyntaxError;
use quick_xml::events::{BytesStart, Event};
use smallvec::SmallVec;

use crate::cwmp::message::Text;

use super::text::{Hygiene, is_xml_char, without_illegal};
use super::{DecodeError, Limits};

/// Room that a list begins with: most Informs report fewer parameters.
const ENTRIES_EXPECTED: usize = 16;

/// One opening tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag<'a> {
    /// Between the angle brackets: name and attributes.
    raw: &'a str,
    /// Bytes of `raw` that are the name.
    name_len: usize,
}

impl<'a> Tag<'a> {
    /// The name with its prefix.
    pub(super) fn name(&self) -> &'a str {
        self.raw.get(..self.name_len).unwrap_or(self.raw)
    }

    /// The name without its prefix: all that elements are told apart by (quirk 1).
    pub(super) fn local(&self) -> &'a str {
        local_part(self.name())
    }

    /// The prefix, empty when there is none.
    pub(super) fn prefix(&self) -> &'a str {
        self.name().rfind(':').and_then(|at| self.name().get(..at)).unwrap_or("")
    }

    /// Qualified names and raw values. Quotes may be missing; what cannot be read ends the list.
    pub(super) fn attributes(&self) -> Attributes<'a> {
        Attributes { rest: self.raw.get(self.name_len..).unwrap_or("") }
    }

    /// `xsi:type`, whatever the prefix.
    pub(super) fn xsi_type(&self) -> Option<&'a str> {
        self.attributes().find(|(name, _)| local_part(name) == "type").map(|(_, value)| value)
    }
}

/// The attributes of a tag, see [`Tag::attributes`].
pub(super) struct Attributes<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.rest.split_once('=')?;
        let value = value.trim_start();
        let (value, rest) = match value.chars().next()? {
            quote @ ('"' | '\'') => value.get(1..)?.split_once(quote)?,
            _ => value.split_once(char::is_whitespace).unwrap_or((value, "")),
        };
        self.rest = rest;
        Some((name.trim(), value))
    }
}

/// `Inform` of `cwmp:Inform`.
pub(super) fn local_part(name: &str) -> &str {
    name.rfind(':').and_then(|at| name.get(at + 1..)).unwrap_or(name)
}

/// What comes next inside the open element.
pub(super) enum Node<'a> {
    /// A child was opened.
    Child(Tag<'a>),
    /// A piece of text as it stands in the message; CDATA, references and comments split a text into several.
    Text(Text<'a>),
    /// What a reference (`&amp;`, `&#13;`) stands for.
    Reference(Text<'a>),
    /// The element was closed.
    End,
}

/// A cursor over one message.
pub(super) struct XmlReader<'a, 'l> {
    text: &'a str,
    hygiene: Hygiene,
    events: Reader<&'a [u8]>,
    limits: &'l Limits,
    /// Qualified names of the open elements.
    open: SmallVec<[&'a str; 16]>,
    /// The last tag was `<X/>`: its end is still to be reported.
    empty: bool,
    /// quick-xml expects text next, or markup behind no text: it does not notice when a tag is read past it.
    at_text: bool,
    elements: usize,
    entries: usize,
    repairs: usize,
}

impl<'a, 'l> XmlReader<'a, 'l> {
    pub(super) fn new(text: &'a str, limits: &'l Limits) -> Self {
        Self {
            text,
            hygiene: Hygiene::of(text),
            events: events(text),
            limits,
            open: SmallVec::new(),
            empty: false,
            at_text: false,
            elements: 0,
            entries: 0,
            repairs: 0,
        }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> usize {
        self.text.len().saturating_sub(self.events.get_ref().len())
    }

    /// The next thing inside the open element, at the top level inside the document.
    pub(super) fn next(&mut self) -> Result<Node<'a>, DecodeError> {
        if self.empty {
            self.empty = false;
            self.open.pop();
            return Ok(Node::End);
        }
        loop {
            let at = self.offset();
            let event = match self.events.read_event() {
                Ok(event) => event,
                Err(source) => return Err(self.broken(at, source)),
            };
            self.at_text = matches!(event, Event::Start(_) | Event::Empty(_) | Event::End(_));
            match event {
                Event::Start(start) => return self.opened(at, &start).map(Node::Child),
                Event::Empty(start) => {
                    let tag = self.opened(at, &start)?;
                    self.empty = true;
                    return Ok(Node::Child(tag));
                }
                Event::End(end) => return self.closed(at, end.name().as_ref()).map(|()| Node::End),
                Event::Text(text) => return Ok(Node::Text(text.into_inner())),
                Event::CData(text) => return Ok(Node::Text(text.into_inner())),
                Event::GeneralRef(reference) => {
                    // No entities are declared without a DOCTYPE: an unknown one is kept as spelled.
                    let spelled = self.since(at);
                    return Ok(resolved(&reference).map_or(Node::Text(Cow::Borrowed(spelled)), Node::Reference));
                }
                Event::DocType(_) => return Err(DecodeError::Doctype { offset: at }),
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
                Event::Eof => return Err(self.truncated()),
            }
        }
    }

    /// The next child of the open element, or `None` where the element ends. Text between children is passed over.
    pub(super) fn child(&mut self) -> Result<Option<Tag<'a>>, DecodeError> {
        loop {
            self.skip_blanks();
            if self.at_text && !self.empty {
                if let Some(tag) = self.bare_tag()? {
                    return Ok(Some(tag));
                }
                if self.end_tag() {
                    return Ok(None);
                }
            }
            match self.next()? {
                Node::Child(tag) => return Ok(Some(tag)),
                Node::Text(_) | Node::Reference(_) => {}
                Node::End => return Ok(None),
            }
        }
    }

    /// Passes over the rest of the element just opened, whatever is in it.
    pub(super) fn skip(&mut self) -> Result<(), DecodeError> {
        let outside = self.open.len().saturating_sub(1);
        while self.open.len() > outside {
            self.next()?;
        }
        Ok(())
    }

    /// The text of the element just opened, blanks included. Elements in it are passed over; a `<` that opens no
    /// well-formed element is text (quirk 3).
    pub(super) fn text(&mut self) -> Result<Text<'a>, DecodeError> {
        if let Some(text) = self.plain_text() {
            return Ok(self.normalised(Cow::Borrowed(text)));
        }
        let mut text = Text::Borrowed("");
        loop {
            let at = self.offset();
            if !self.empty && self.stray_markup(at) {
                self.resume(at + 1);
                self.append(&mut text, Cow::Borrowed("<"))?;
                continue;
            }
            let depth = self.open.len();
            match self.next() {
                Ok(Node::Text(piece)) => self.append(&mut text, self.normalised(piece))?,
                Ok(Node::Reference(piece)) => self.append(&mut text, piece)?,
                Ok(Node::End) => return Ok(text),
                Ok(Node::Child(tag)) => {
                    // A tag with another `<` in it was none.
                    let outcome = if tag.raw.contains('<') { Err(self.truncated()) } else { self.skip() };
                    if let Err(error) = outcome {
                        self.repair(at, depth, error)?;
                        self.append(&mut text, Cow::Borrowed("<"))?;
                    }
                }
                Err(error) => {
                    self.repair(at, depth, error)?;
                    self.append(&mut text, Cow::Borrowed("<"))?;
                }
            }
        }
    }

    /// [`Self::text`] without the blanks around it: names, codes, keys, numbers, dates.
    pub(super) fn trimmed(&mut self) -> Result<Text<'a>, DecodeError> {
        Ok(match self.text()? {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        })
    }

    /// Appends to a list of the message, within the limit on all its lists together.
    pub(super) fn push<T>(&mut self, list: &mut Vec<T>, entry: T) -> Result<(), DecodeError> {
        self.entries += 1;
        if self.entries > self.limits.parameters {
            return Err(DecodeError::TooManyParameters { limit: self.limits.parameters });
        }
        if list.is_empty() {
            list.reserve(ENTRIES_EXPECTED);
        }
        list.push(entry);
        Ok(())
    }

    /// Passes over blanks between elements before quick-xml makes an event of them: in many messages that is every other
    /// event.
    fn skip_blanks(&mut self) {
        if !self.empty {
            let rest = self.events.get_mut();
            *rest = rest.trim_ascii_start();
        }
    }

    /// The text of the element just opened when there is nothing but plain text up to its end tag: then two events are
    /// saved. `None`, and nothing is read, when there is anything else.
    fn plain_text(&mut self) -> Option<&'a str> {
        if self.empty {
            return None;
        }
        let rest = self.text.get(self.offset()..)?;
        let (text, markup) = rest.split_at_checked(memchr2(b'<', b'&', rest.as_bytes())?)?;
        let behind = markup.strip_prefix("</")?.strip_prefix(*self.open.last()?)?.strip_prefix('>')?;
        if text.len() > self.limits.text_bytes {
            return None;
        }
        *self.events.get_mut() = behind.as_bytes();
        self.open.pop();
        Some(text)
    }

    /// Reads an opening tag without attributes, as most are, without an event. `None`, and nothing is read: there is
    /// anything else.
    fn bare_tag(&mut self) -> Result<Option<Tag<'a>>, DecodeError> {
        let at = self.offset();
        let Some(inside) = self.text.get(at..).and_then(|rest| rest.strip_prefix('<')) else { return Ok(None) };
        let is_name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_');
        let name_len = inside.bytes().take_while(is_name_byte).count();
        let Some((raw, behind)) = inside.split_at_checked(name_len) else { return Ok(None) };
        let Some(behind) = behind.strip_prefix('>') else { return Ok(None) };
        if !raw.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Ok(None);
        }
        self.enter(at, Tag { raw, name_len }).map(|tag| {
            *self.events.get_mut() = behind.as_bytes();
            Some(tag)
        })
    }

    /// Reads the end tag of the open element without an event; `false`, and nothing is read: there is anything else.
    fn end_tag(&mut self) -> bool {
        let Some(open) = self.open.last() else { return false };
        let rest = self.text.get(self.offset()..).and_then(|rest| rest.strip_prefix("</")?.strip_prefix(*open));
        let Some(behind) = rest.and_then(|rest| rest.strip_prefix('>')) else { return false };
        *self.events.get_mut() = behind.as_bytes();
        self.open.pop();
        true
    }

    fn opened(&mut self, at: usize, start: &BytesStart<'_>) -> Result<Tag<'a>, DecodeError> {
        // The event borrows from itself; the same bytes are cut from the message to outlive it.
        let raw = self.text.get(at + 1..at + 1 + start.len()).unwrap_or("");
        self.enter(at, Tag { raw, name_len: start.name().as_ref().len() })
    }

    /// Opens an element, within the limits.
    fn enter(&mut self, at: usize, tag: Tag<'a>) -> Result<Tag<'a>, DecodeError> {
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err(DecodeError::TooManyElements { limit: self.limits.elements });
        }
        if self.open.len() >= self.limits.depth {
            return Err(DecodeError::TooDeep { offset: at, limit: self.limits.depth });
        }
        self.open.push(tag.name());
        Ok(tag)
    }

    fn closed(&mut self, at: usize, found: &str) -> Result<(), DecodeError> {
        match self.open.pop() {
            Some(open) if open == found => Ok(()),
            open => Err(DecodeError::Mismatch { offset: at, open: clipped(open.unwrap_or("")), found: clipped(found) }),
        }
    }

    fn append(&self, text: &mut Text<'a>, piece: Text<'a>) -> Result<(), DecodeError> {
        let bytes = text.len() + piece.len();
        if bytes > self.limits.text_bytes {
            let element = clipped(self.open.last().copied().unwrap_or(""));
            return Err(DecodeError::TextTooLong { element, bytes, limit: self.limits.text_bytes });
        }
        if text.is_empty() {
            *text = piece;
        } else if !piece.is_empty() {
            text.to_mut().push_str(&piece);
        }
        Ok(())
    }

    /// Whether a `<` stands here that cannot open any markup.
    fn stray_markup(&self, at: usize) -> bool {
        let mut chars = self.text.get(at..).unwrap_or("").chars();
        chars.next() == Some('<')
            && !chars.next().is_some_and(|c| c.is_alphabetic() || matches!(c, '_' | ':' | '/' | '!' | '?'))
    }

    /// Takes the `<` at `at`, which led to `error`, for text, if it can be and if the message has not had too many.
    fn repair(&mut self, at: usize, depth: usize, error: DecodeError) -> Result<(), DecodeError> {
        let markup = self.text.get(at..).unwrap_or("");
        let opens = markup.strip_prefix('<').is_some_and(|rest| !rest.starts_with(['/', '!', '?']));
        if !opens || error.is_final() {
            return Err(error);
        }
        if self.repairs >= self.limits.stray_markup {
            return Err(DecodeError::StrayMarkup { offset: at, limit: self.limits.stray_markup });
        }
        self.repairs += 1;
        self.open.truncate(depth);
        self.empty = false;
        self.resume(at + 1);
        Ok(())
    }

    /// Goes on reading text at `at`.
    fn resume(&mut self, at: usize) {
        self.events = events(self.text.get(at..).unwrap_or(""));
        self.at_text = false;
    }

    /// Text as XML 1.0 §2.11 and §2.2 have it: line ends as `\n`, and no character that XML forbids (quirk 3).
    fn normalised(&self, text: Text<'a>) -> Text<'a> {
        let text = if self.hygiene.carriage_returns && text.contains('\r') {
            Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
        } else {
            text
        };
        if self.hygiene.suspects { without_illegal(text) } else { text }
    }

    /// The message from `at` up to the cursor.
    fn since(&self, at: usize) -> &'a str {
        self.text.get(at..self.offset()).unwrap_or("")
    }

    fn truncated(&self) -> DecodeError {
        match self.open.last() {
            Some(open) => DecodeError::Truncated { offset: self.text.len(), element: clipped(open) },
            None => DecodeError::NoElement,
        }
    }

    /// An error of quick-xml's; one about markup that the end of the message cuts short is a truncation.
    fn broken(&self, at: usize, source: quick_xml::Error) -> DecodeError {
        match source {
            // All of its other syntax errors are about markup whose end was not found.
            quick_xml::Error::Syntax(error) if error != SyntaxError::InvalidBangMarkup => self.truncated(),
            source => DecodeError::Xml { offset: at, source },
        }
    }
}

fn events(text: &str) -> Reader<&[u8]> {
    let mut events = Reader::from_str(text);
    let config = events.config_mut();
    // A bare `&` is text (quirk 3).
    config.allow_dangling_amp = true;
    // Names of end tags are checked here, where reading can resume after a stray `<`.
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    events
}

/// What `&name;` stands for: the five entities of XML itself, and numbers. A number of a character that XML forbids
/// stands for nothing, as the character itself is dropped.
fn resolved(name: &str) -> Option<Text<'static>> {
    let known = match name {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "quot" => "\"",
        "apos" => "'",
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            let character = char::from_u32(code).filter(|c| is_xml_char(*c));
            return Some(character.map_or(Cow::Borrowed(""), |c| Cow::Owned(c.to_string())));
        }
    };
    Some(Cow::Borrowed(known))
}

/// Enough of a name to recognise it in a log line, and nothing that a terminal would act on.
pub(super) fn clipped(name: &str) -> Box<str> {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    name.chars().take(48).map(printable).collect::<String>().into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_among_texts_and_tags_of_every_kind() {
        let limits = Limits::default();
        let text = "<a>x<b>1</b>y<c k='v'><d/>z<e></e></c><f-g>2</f-g>&amp;<h>3</h ><i>4</i><!-- --></a>";
        let mut xml = XmlReader::new(text, &limits);
        let mut found = Vec::new();
        let mut child = |xml: &mut XmlReader<'_, '_>| {
            let name = xml.child().expect("well-formed").map(|tag| tag.name().to_owned());
            found.push(name.unwrap_or_default());
        };
        child(&mut xml);
        child(&mut xml);
        assert_eq!(xml.text().expect("text"), "1");
        for _ in 0..6 {
            child(&mut xml);
        }
        for want in ["2", "3", "4"] {
            child(&mut xml);
            assert_eq!(xml.text().expect("text"), want);
        }
        child(&mut xml);
        assert_eq!(found, ["a", "b", "c", "d", "", "e", "", "", "f-g", "h", "i", ""]);
        assert_eq!(xml.offset(), text.len());
    }
}
