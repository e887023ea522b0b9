//! `multipart/form-data` as it arrives (RFC 7578): parts are told one after the other, never held whole.
//!
//! Lenient where senders differ and nothing is at stake: text before the first boundary, blanks behind boundaries, a body
//! that ends without the last line break.

use bytes::{Bytes, BytesMut};
use memchr::memmem;

/// Most bytes of the headers of one part.
const HEAD_MAX_BYTES: usize = 8 << 10;
/// Longest boundary (RFC 2046 §5.1.1).
const BOUNDARY_MAX_CHARS: usize = 70;

/// Why a body is no form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// No boundary in the `Content-Type`.
    #[error("the Content-Type has no boundary")]
    Boundary,
    /// A part that does not say which it is.
    #[error("a part of the form has no name")]
    Nameless,
    /// The headers of a part are too long, or are none.
    #[error("the headers of a part of the form cannot be read")]
    Head,
    /// The body ended before its last boundary.
    #[error("the form broke off")]
    Incomplete,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A part begins.
    Part(Part),
    /// Some of it.
    Data(Bytes),
    /// More of the body has to arrive.
    More,
    /// The form is over.
    End,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which field.
    pub name: String,
    /// Whether it is a file: it has a file name, or a `Content-Type`.
    pub is_file: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    Head,
    Data,
    End,
}

/// A form, read as it arrives.
#[derive(Debug)]
pub struct Form {
    /// `CR LF -- boundary`.
    delimiter: Vec<u8>,
    state: State,
    buffer: BytesMut,
}

impl Form {
    /// Whether a `Content-Type` is that of a form.
    #[must_use]
    pub fn is(content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("multipart/form-data")
    }

    /// By the `Content-Type` of its body.
    ///
    /// # Errors
    /// [`FormError::Boundary`].
    pub fn new(content_type: &str) -> Result<Self, FormError> {
        let boundary = parameter(content_type, "boundary").ok_or(FormError::Boundary)?;
        if boundary.is_empty() || boundary.chars().count() > BOUNDARY_MAX_CHARS {
            return Err(FormError::Boundary);
        }
        // The first boundary may stand at the very beginning: a line break is put before it.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        Ok(Self { delimiter: format!("\r\n--{boundary}").into_bytes(), state: State::Preamble, buffer })
    }

    /// More of the body.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// What comes next of what has arrived.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn poll(&mut self) -> Result<Event, FormError> {
        loop {
            match self.state {
                State::End => return Ok(Event::End),
                State::Preamble => match memmem::find(&self.buffer, &self.delimiter) {
                    Some(at) => {
                        let _preamble = self.buffer.split_to(at + self.delimiter.len());
                        self.state = State::Head;
                    }
                    None => {
                        let keep = self.buffer.len().min(self.delimiter.len());
                        let _preamble = self.buffer.split_to(self.buffer.len() - keep);
                        return Ok(Event::More);
                    }
                },
                State::Head => return self.head(),
                State::Data => {
                    if let Some(event) = self.data() {
                        return Ok(event);
                    }
                }
            }
        }
    }

    /// The body is over.
    ///
    /// # Errors
    /// [`FormError::Incomplete`] when the form is not.
    pub fn finish(&self) -> Result<(), FormError> {
        // Right behind the last boundary; its dashes may have been all that was missing.
        if self.state == State::End { Ok(()) } else { Err(FormError::Incomplete) }
    }

    /// Behind a boundary: the headers of the next part, or the two dashes that end the form.
    fn head(&mut self) -> Result<Event, FormError> {
        if self.buffer.starts_with(b"--") {
            self.state = State::End;
            self.buffer.clear();
            return Ok(Event::End);
        }
        let Some(at) = memmem::find(&self.buffer, b"\r\n\r\n") else {
            let too_long = self.buffer.len() > HEAD_MAX_BYTES;
            return if too_long { Err(FormError::Head) } else { Ok(Event::More) };
        };
        if at > HEAD_MAX_BYTES {
            return Err(FormError::Head);
        }
        let head = self.buffer.split_to(at + 4);
        self.state = State::Data;
        read_head(&String::from_utf8_lossy(&head)).map(Event::Part)
    }

    /// Some of a part's data; `None`: it is over.
    fn data(&mut self) -> Option<Event> {
        if let Some(at) = memmem::find(&self.buffer, &self.delimiter) {
            let data = self.buffer.split_to(at).freeze();
            if !data.is_empty() {
                return Some(Event::Data(data));
            }
            let _boundary = self.buffer.split_to(self.delimiter.len());
            self.state = State::Head;
            return None;
        }
        // A boundary may have begun.
        let safe = self.buffer.len().saturating_sub(self.delimiter.len());
        if safe == 0 {
            return Some(Event::More);
        }
        Some(Event::Data(self.buffer.split_to(safe).freeze()))
    }
}

fn read_head(head: &str) -> Result<Part, FormError> {
    let (mut name, mut is_file) = (None, false);
    for line in head.split("\r\n") {
        let Some((header, value)) = line.split_once(':') else { continue };
        if header.trim().eq_ignore_ascii_case("content-disposition") {
            name = parameter(value, "name");
            is_file |= parameter(value, "filename").is_some() || parameter(value, "filename*").is_some();
        } else if header.trim().eq_ignore_ascii_case("content-type") {
            is_file = true;
        }
    }
    let name = name.or_else(|| is_file.then(String::new)).ok_or(FormError::Nameless)?;
    Ok(Part { name, is_file })
}

/// A parameter of a header's value, without its quotes.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (text, behind) = match after.strip_prefix('"') {
            Some(quoted) => {
                let mut text = String::new();
                let mut chars = quoted.char_indices();
                let mut end = quoted.len();
                while let Some((at, c)) = chars.next() {
                    match c {
                        '"' => {
                            end = at + 1;
                            break;
                        }
                        '\\' => text.extend(chars.next().map(|(_, c)| c)),
                        c => text.push(c),
                    }
                }
                (text, quoted.get(end..).unwrap_or_default())
            }
            None => {
                let (text, _) = after.split_once(';').unwrap_or((after, ""));
                (text.trim().to_owned(), after.get(text.len()..).unwrap_or_default())
            }
        };
        if name.trim_matches([';', ' ', '\t']).eq_ignore_ascii_case(wanted) {
            return Some(text);
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; charset=x; boundary=\"a b\"";
    const BODY: &str = "before\r\n--a b\r\nContent-Disposition: form-data; name=\"version\"\r\n\r\n1.2\r\n--a b\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"x; name=y.bin\"\r\nContent-Type: application/x\r\n\r\n\
        \r\n--a c\r\n-\r\n--a b\r\nContent-Disposition: form-data; name=empty\r\n\r\n\r\n--a b--\r\nafter";

    fn read(content_type: &str, body: &str, at_once: usize) -> Result<Vec<(Part, String)>, FormError> {
        let mut form = Form::new(content_type)?;
        let mut parts: Vec<(Part, String)> = Vec::new();
        for piece in body.as_bytes().chunks(at_once) {
            form.push(piece);
            loop {
                match form.poll()? {
                    Event::Part(part) => parts.push((part, String::new())),
                    Event::Data(data) => {
                        parts.last_mut().unwrap().1.push_str(std::str::from_utf8(&data).unwrap());
                    }
                    Event::More | Event::End => break,
                }
            }
        }
        form.finish().map(|()| parts)
    }

    #[test]
    fn parts_are_the_same_however_they_arrive() {
        let part = |name: &str, is_file| Part { name: name.to_owned(), is_file };
        let want = vec![
            (part("version", false), "1.2".to_owned()),
            (part("file", true), "\r\n--a c\r\n-".to_owned()),
            (part("empty", false), String::new()),
        ];
        for at_once in [1, 2, 3, 7, 64, 10_000] {
            assert_eq!(read(TYPE, BODY, at_once), Ok(want.clone()), "{at_once}");
        }
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let long = format!("--a b\r\nContent-Disposition: {}", "x".repeat(HEAD_MAX_BYTES));
        let table = [
            ("multipart/form-data", "", FormError::Boundary),
            ("multipart/form-data; boundary=", "", FormError::Boundary),
            (TYPE, "nothing", FormError::Incomplete),
            (TYPE, &BODY[..BODY.len() - 12], FormError::Incomplete),
            (TYPE, "--a b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--a b--", FormError::Nameless),
            (TYPE, &long, FormError::Head),
        ];
        for (content_type, body, want) in table {
            assert_eq!(read(content_type, body, 50), Err(want), "{body:.40}");
        }
    }
}
