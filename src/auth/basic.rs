//! HTTP Basic (RFC 7617) as a pure check.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::types::secret::Secret;

/// The one challenge to send: `Basic realm="..."`.
#[must_use]
pub fn challenge(realm: &str) -> String {
    let realm: String = realm.chars().filter(|c| !matches!(c, '"' | '\\') && !c.is_control()).collect();
    format!("Basic realm=\"{realm}\"")
}

/// User name and password as presented.
#[derive(Debug, Clone)]
pub struct BasicCredentials {
    username: Box<str>,
    password: Secret,
}

impl BasicCredentials {
    /// Reads what follows the scheme. The password starts at the first colon; bytes that are no UTF-8 are Latin-1
    /// (RFC 7617 §2.1 leaves the encoding open). `None` when it is no Base64 or has no colon.
    #[must_use]
    pub fn parse(encoded: &str) -> Option<Self> {
        let bytes = STANDARD_PAD_INDIFFERENT.decode(encoded.trim()).ok()?;
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| error.as_bytes().iter().map(|byte| char::from(*byte)).collect());
        let (username, password) = text.split_once(':')?;
        Some(Self { username: username.into(), password: Secret::new(password) })
    }

    /// Who the CPE says it is.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Whether the presented password is `password`, in a time that depends on neither's content.
    #[must_use]
    pub fn verify(&self, password: &Secret) -> bool {
        // Hashing first makes both sides equally long: their lengths do not leak either.
        let presented = Sha256::digest(self.password.expose());
        let expected = Sha256::digest(password.expose());
        presented.as_slice().ct_eq(expected.as_slice()).into()
    }
}
