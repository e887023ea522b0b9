//! The `Authorization` header a CPE sends, whatever its scheme (RFC 9110 §11.6.2).

use std::borrow::Cow;

use super::basic::BasicCredentials;
use super::digest::DigestAnswer;

/// What a CPE presented.
#[derive(Debug, Clone)]
pub enum Authorization<'a> {
    /// HTTP Basic (RFC 7617).
    Basic(BasicCredentials),
    /// HTTP Digest (RFC 2617).
    Digest(DigestAnswer<'a>),
}

impl<'a> Authorization<'a> {
    /// Reads a header value; the scheme's case does not matter (quirk 32). `None` for any other scheme, and when what
    /// the scheme needs is not there.
    #[must_use]
    pub fn parse(header: &'a str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(|c: char| c.is_ascii_whitespace())?;
        if scheme.eq_ignore_ascii_case("digest") {
            DigestAnswer::parse(rest).map(Self::Digest)
        } else if scheme.eq_ignore_ascii_case("basic") {
            BasicCredentials::parse(rest).map(Self::Basic)
        } else {
            None
        }
    }

    /// Who the CPE says it is: what to look a password up by.
    #[must_use]
    pub fn username(&self) -> Cow<'_, str> {
        match self {
            Self::Basic(credentials) => Cow::Borrowed(credentials.username()),
            Self::Digest(answer) => answer.username(),
        }
    }
}
