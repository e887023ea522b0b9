//! Between text and messages: one pass in, one buffer out.
//!
//! [`to_text`] finds out the character encoding of a body, [`decode`] reads the envelope in it, [`encode`] writes one.
//!
//! # What is tolerated
//!
//! CPEs are read the way they write, not the way TR-069 has it. Beyond well-formed, valid envelopes [`decode`] takes:
//!
//! - **Text**: byte-order marks, blanks and NULs around the envelope, and anything after its root element (quirks 4, 48);
//!   wrong or missing encoding labels, down to windows-1252 where UTF-8 does not fit (quirk 3); characters that XML 1.0
//!   forbids, as they stand or as `&#2;`, are dropped (quirk 3); CDATA, comments, processing instructions (quirk 5); a bare
//!   `&` and references to entities that nobody declared, kept as spelled (quirks 3, 6); in the text of a leaf element, a
//!   `<` that opens no well-formed element (quirk 3; for a number of them that [`Limits::stray_markup`] caps).
//! - **Names**: any prefix, undeclared ones and none, on any element, and no CWMP namespace at all (quirk 1). Only local
//!   names count, in their exact case.
//! - **Structure**: children in any order; unknown elements, passed over with all they hold; missing elements, which read as
//!   empty, zero, false, or what the type's documentation says. Of an element given twice the last one counts, but lists are
//!   joined; of two bodies, or two methods in a body, the first one counts. Entries of lists may have any element name. A
//!   missing `Header`; a `Body` or a method in place of the `Envelope`; an empty or missing `Body`, and blanks alone,
//!   which read as an empty POST (quirk 14).
//! - **Attributes**: all but `xmlns` and `xsi:type` are ignored, `arrayType` and its count among them (quirk 2); a missing or
//!   unknown `xsi:type` is a string.
//! - **Values**: blanks around names, codes, keys, URLs, times, numbers and booleans, and around a `Value` of any type but
//!   string; never around a string `Value`, an ID or a credential. A `Value` is kept as spelled whether or not it fits its type
//!   (quirk 18), and so are times (quirk 19). `+7`, `007` and `7 s` are 7; `-1` is no unsigned number and reads as missing; what
//!   is too large is the largest there is. Booleans are read by [`parse_boolean`](crate::types::value::parse_boolean).
//! - **Faults**: the code is the first `FaultCode` anywhere in the fault, those of single parameters aside; where there is none
//!   that can be read, the first number from 9000 to 9999 in any of its texts; else 9003 when single parameters are blamed,
//!   else 9002 (quirk 25). In a transfer's `FaultStruct` nothing, 0 and `(null)` are success, other words are 9002.
//!
//! # What is refused
//!
//! A DOCTYPE (quirk 6); a message cut short before its root element is closed, markup that is not well-formed outside the text
//! of a leaf, end tags that do not match; text in front of the root element (a whole HTTP request, say); a root element that is
//! neither of SOAP nor a method; whatever exceeds [`Limits`].

mod blank;
mod error;
mod fault;
mod lexical;
mod reader;
mod rpc;
mod soap;
mod text;
mod writer;

pub use blank::{BLANKED, blank_secrets};
pub use error::{DecodeError, DecodeErrorKind};
pub use soap::{decode, encode};
pub use text::to_text;

/// What one message may cost. The bytes of the body are limited where they are received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nested elements. Faults and deployment results are read recursively: keep it in the hundreds at most.
    pub depth: usize,
    /// Elements in all.
    pub elements: usize,
    /// Entries of all lists together: parameters, events, names, faults.
    pub parameters: usize,
    /// Bytes of the text of one element.
    pub text_bytes: usize,
    /// How many `<` in texts may turn out to open no element. Each costs reading that part of the message again.
    pub stray_markup: usize,
}

/// design.md §7, and where it is silent: ten elements a parameter (the standard's structures have up to seven); 1 MiB of
/// text, 32 times the longest parameter that the data models know (`DeviceInfo.DeviceLog`, 32 KiB).
impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, elements: 1_000_000, parameters: 100_000, text_bytes: 1 << 20, stray_markup: 16 }
    }
}
