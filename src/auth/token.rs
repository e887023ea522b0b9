//! API tokens: how they are made, kept and compared, and what their bearers may do.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::random::{self, RandomError};
use crate::types::secret::Secret;

/// Marks our tokens wherever they turn up: log scanners and secret scanners look for it.
const MARK: &str = "acsd_";
/// 32 characters of 62: 190 bits.
const RANDOM_CHARS: usize = 32;
/// How much of the random part is shown to tell tokens apart: 35 bits of 190.
const SHOWN_CHARS: usize = 6;

/// What the bearer of a token may do. Each role may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, and schedules work on devices.
    Operator,
    /// Everything, tokens and settings included.
    Admin,
}

impl Role {
    /// Whether this role covers what needs `required`.
    #[must_use]
    pub fn allows(self, required: Self) -> bool {
        self >= required
    }

    /// The role's name as the API and the command line write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No role of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no role: viewer, operator and admin are")]
pub struct UnknownRole {
    given: Box<str>,
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        [Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| UnknownRole { given: text.into() })
    }
}

/// A new token in clear: shown once, never kept.
pub fn generate() -> Result<Secret, RandomError> {
    Ok(Secret::new(format!("{MARK}{}", random::alphanumeric(RANDOM_CHARS)?)))
}

/// The first characters of a token, by which a list of tokens names it. A token that an operator chose and that is too
/// short to show part of is named by our mark alone.
#[must_use]
pub fn prefix(token: &Secret) -> &str {
    let text = token.expose();
    let shown = MARK.len() + SHOWN_CHARS;
    if text.len() >= 2 * shown { text.get(..shown).unwrap_or(MARK) } else { MARK }
}

/// SHA-256 of a token: what the store keeps. Tokens are random, so that no salt or stretching is needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// Of the token as the bearer sent it.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether both are of the same token, in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_cover_the_ones_below() {
        assert!(Role::Admin.allows(Role::Operator) && Role::Operator.allows(Role::Viewer));
        assert!(!Role::Viewer.allows(Role::Operator) && !Role::Operator.allows(Role::Admin));
        assert_eq!("operator".parse(), Ok(Role::Operator));
        assert!("root".parse::<Role>().is_err());
    }

    #[test]
    fn a_token_is_marked_random_and_known_by_its_hash() {
        let token = generate().unwrap();
        assert!(token.expose().starts_with("acsd_") && token.expose().len() == 37);
        assert_eq!(prefix(&token), token.expose().get(..11).unwrap());
        assert!(TokenHash::of(token.expose()).matches(&TokenHash::of(token.expose())));
        assert!(!TokenHash::of(token.expose()).matches(&TokenHash::of("acsd_other")));
    }

    #[test]
    fn a_short_token_shows_nothing_of_itself() {
        assert_eq!(prefix(&Secret::new("hunter2")), "acsd_");
    }
}
