//! Why a body is no CWMP message.

use super::reader::clipped;

/// Why a body could not be decoded. Offsets count bytes of the text, from its first character on.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No element at all: comments or processing instructions alone.
    #[error("there is no XML element in it")]
    NoElement,
    /// Something else than XML stands at the front, an HTTP request say.
    #[error("it starts with text instead of an XML element")]
    TextBeforeRoot,
    /// `<!DOCTYPE`: refused whatever it says (quirk 6).
    #[error("a DOCTYPE at byte {offset}, which SOAP forbids")]
    Doctype {
        /// Where.
        offset: usize,
    },
    /// Neither well-formed nor within the tolerances.
    #[error("broken XML at byte {offset}")]
    Xml {
        /// Where the broken markup starts.
        offset: usize,
        /// What is wrong with it.
        source: quick_xml::Error,
    },
    /// An end tag that closes something else than the open element.
    #[error("</{found}> at byte {offset} does not close <{open}>")]
    Mismatch {
        /// Where.
        offset: usize,
        /// The open element.
        open: Box<str>,
        /// What was found.
        found: Box<str>,
    },
    /// The message ends before its root element does.
    #[error("it ends at byte {offset}, inside <{element}>")]
    Truncated {
        /// Where.
        offset: usize,
        /// The innermost open element.
        element: Box<str>,
    },
    /// The root element belongs to something else than SOAP.
    #[error("<{element}> is no SOAP envelope")]
    NotAnEnvelope {
        /// The root element.
        element: Box<str>,
    },
    /// An envelope with contents, but without a body.
    #[error("the envelope has <{found}>, but no <Body>")]
    NoBody {
        /// What it has.
        found: Box<str>,
    },
    /// [`Limits::depth`](super::Limits::depth) exceeded.
    #[error("elements are nested deeper than {limit} at byte {offset}")]
    TooDeep {
        /// Where.
        offset: usize,
        /// The limit.
        limit: usize,
    },
    /// [`Limits::elements`](super::Limits::elements) exceeded.
    #[error("it has more than {limit} elements")]
    TooManyElements {
        /// The limit.
        limit: usize,
    },
    /// [`Limits::parameters`](super::Limits::parameters) exceeded.
    #[error("its lists have more than {limit} entries")]
    TooManyParameters {
        /// The limit.
        limit: usize,
    },
    /// [`Limits::stray_markup`](super::Limits::stray_markup) exceeded.
    #[error("a `<` at byte {offset} opens no element, and so did {limit} before it")]
    StrayMarkup {
        /// Where.
        offset: usize,
        /// The limit.
        limit: usize,
    },
    /// [`Limits::text_bytes`](super::Limits::text_bytes) exceeded.
    #[error("<{element}> holds {bytes} bytes of text or more, at most {limit} are taken")]
    TextTooLong {
        /// The element.
        element: Box<str>,
        /// What there was of it so far.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// The kinds of [`DecodeError`]: a closed set, for metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecodeErrorKind {
    /// Not XML at all.
    NotXml,
    /// A DOCTYPE.
    Doctype,
    /// XML that is not well-formed.
    Malformed,
    /// Cut short.
    Truncated,
    /// XML, but no SOAP.
    NotSoap,
    /// Beyond a limit.
    Limit,
}

impl DecodeErrorKind {
    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotXml => "not_xml",
            Self::Doctype => "doctype",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::NotSoap => "not_soap",
            Self::Limit => "limit",
        }
    }
}

impl DecodeError {
    /// Which kind of error this is.
    #[must_use]
    pub const fn kind(&self) -> DecodeErrorKind {
        match self {
            Self::NoElement | Self::TextBeforeRoot => DecodeErrorKind::NotXml,
            Self::Doctype { .. } => DecodeErrorKind::Doctype,
            Self::Xml { .. } | Self::Mismatch { .. } => DecodeErrorKind::Malformed,
            Self::Truncated { .. } => DecodeErrorKind::Truncated,
            Self::NotAnEnvelope { .. } | Self::NoBody { .. } => DecodeErrorKind::NotSoap,
            Self::TooDeep { .. }
            | Self::TooManyElements { .. }
            | Self::TooManyParameters { .. }
            | Self::StrayMarkup { .. }
            | Self::TextTooLong { .. } => DecodeErrorKind::Limit,
        }
    }

    /// Whether no tolerance may get around it.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self.kind(), DecodeErrorKind::Limit | DecodeErrorKind::Doctype)
    }

    pub(super) fn no_body(found: &str) -> Self {
        Self::NoBody { found: clipped(found) }
    }

    pub(super) fn not_an_envelope(element: &str) -> Self {
        Self::NotAnEnvelope { element: clipped(element) }
    }
}
