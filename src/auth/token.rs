//! API tokens: how they are made, shown and compared.

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
