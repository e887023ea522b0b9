//! Secrets in memory: printed as stars, wiped when dropped.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// A password, token or key in clear. `Debug` prints stars and there is no `Display`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes ownership of the clear text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The clear text: keep the borrow short, never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// A secret sealed with AES-256-GCM under the key file: the only form in which the store sees one.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sealed(pub Box<[u8]>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(***)")
    }
}

/// A text that an operator gave for a device: as it stands, or sealed where what it is for hides its value.
///
/// The same secret sealed twice is not equal to itself, so that to give it once more is a change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum MaybeSealed {
    /// Nothing to hide.
    Plain(String),
    /// A secret.
    Sealed(Sealed),
}

impl MaybeSealed {
    /// The text, unless it is a secret.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Sealed(_) => None,
        }
    }

    /// The text in clear: keep it as short as may be.
    ///
    /// # Errors
    /// Whatever `open` says of a secret.
    pub fn open<E>(&self, open: impl FnOnce(&Sealed) -> Result<Secret, E>) -> Result<String, E> {
        match self {
            Self::Plain(text) => Ok(text.clone()),
            Self::Sealed(sealed) => open(sealed).map(|secret| secret.expose().to_owned()),
        }
    }

    /// Makes it a secret, if it is none yet.
    ///
    /// # Errors
    /// Whatever `seal` says; then it stays as it is.
    pub fn seal<E>(&mut self, seal: impl FnOnce(&Secret) -> Result<Sealed, E>) -> Result<(), E> {
        if let Self::Plain(text) = self {
            let sealed = seal(&Secret::new(text.as_str()))?;
            *self = Self::Sealed(sealed);
        }
        Ok(())
    }
}

impl From<&str> for MaybeSealed {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl From<String> for MaybeSealed {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}
