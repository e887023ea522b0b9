//! Who a CPE is: the four members of `DeviceIdStruct`, and the keys acsd itself gives out.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest serial number, in characters (`DeviceIdStruct`, TR-069 A.3.3.1).
pub const SERIAL_MAX_CHARS: usize = 64;

/// Why a piece of text cannot be (part of) an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Nothing, or blanks alone.
    #[error("may not be blank")]
    Blank,
    /// More characters than the schema allows.
    #[error("has {chars} characters, at most {SERIAL_MAX_CHARS} are allowed")]
    TooLong {
        /// What was given.
        chars: usize,
    },
    /// A control character inside.
    #[error("may not contain control characters")]
    Control,
    /// `.` or `..`, which no path segment can carry.
    #[error("may not be \".\" or \"..\"")]
    Dots,
}

/// A serial number as the API addresses a device by: 1 to 64 printable characters of any script.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SerialNumber(Box<str>);

impl SerialNumber {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for SerialNumber {
    type Error = IdentityError;

    fn try_from(text: &str) -> Result<Self, IdentityError> {
        if text.trim().is_empty() {
            return Err(IdentityError::Blank);
        }
        let chars = text.chars().count();
        if chars > SERIAL_MAX_CHARS {
            return Err(IdentityError::TooLong { chars });
        }
        if text.chars().any(char::is_control) {
            return Err(IdentityError::Control);
        }
        if text == "." || text == ".." {
            return Err(IdentityError::Dots);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for SerialNumber {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What makes a CPE the one it is: OUI + ProductClass + SerialNumber (TR-069 A.3.3.1).
///
/// The OUI is normalised for comparison (upper case, separators dropped: some firmwares send `00-d0-9e`); product class
/// and serial are kept as reported. The manufacturer's name is no part of the identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceIdentity {
    /// Six hexadecimal digits in upper case, or whatever the CPE sent in place of them, upper-cased.
    pub oui: Box<str>,
    /// May be empty.
    pub product_class: Box<str>,
    /// As reported, after the same checks as the API's serial numbers.
    pub serial_number: SerialNumber,
}

impl DeviceIdentity {
    /// Builds the identity from what an Inform says.
    ///
    /// # Errors
    /// [`IdentityError`] when the serial number is unusable: such a CPE cannot be told from others.
    pub fn new(oui: &str, product_class: &str, serial_number: &str) -> Result<Self, IdentityError> {
        Ok(Self {
            oui: normalise_oui(oui),
            product_class: product_class.trim().into(),
            serial_number: SerialNumber::try_from(serial_number.trim())?,
        })
    }

    /// `<OUI>-<ProductClass>-<SerialNumber>`, or without the middle when it is empty: the user name that TR-069 §3.4.4
    /// has a CPE present. Bytes outside `[A-Za-z0-9_]` are percent-encoded in upper-case hexadecimal.
    #[must_use]
    pub fn username(&self) -> String {
        let mut name = String::with_capacity(64);
        escape_into(&self.oui, &mut name);
        name.push('-');
        if !self.product_class.is_empty() {
            escape_into(&self.product_class, &mut name);
            name.push('-');
        }
        escape_into(self.serial_number.as_str(), &mut name);
        name
    }
}

/// `OUI-ProductClass-Serial` in plain characters, for the API's `unique_identifier` and for logs.
impl fmt::Display for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.product_class.is_empty() {
            write!(f, "{}-{}", self.oui, self.serial_number)
        } else {
            write!(f, "{}-{}-{}", self.oui, self.product_class, self.serial_number)
        }
    }
}

fn normalise_oui(raw: &str) -> Box<str> {
    let digits: String = raw
        .chars()
        .filter(|c| !matches!(c, '-' | ':' | '.' | ' '))
        .take(16)
        .flat_map(char::to_uppercase)
        .filter(|c| !c.is_control())
        .collect();
    digits.into_boxed_str()
}

fn escape_into(part: &str, out: &mut String) {
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(u32::from(nibble), 16).map(|c| c.to_ascii_uppercase()));
            }
        }
    }
}

/// acsd's own key of a device, also its `id` in the API: dense, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceKey(pub u32);

impl fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a transaction: one increasing sequence for everything that is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransactionId(pub u64);

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_bounded_and_printable() {
        let table: [(&str, Option<IdentityError>); 7] = [
            ("ZN-42", None),
            ("серийный 7", None),
            ("", Some(IdentityError::Blank)),
            ("  ", Some(IdentityError::Blank)),
            ("a\u{7}b", Some(IdentityError::Control)),
            ("..", Some(IdentityError::Dots)),
            (&"x".repeat(65), Some(IdentityError::TooLong { chars: 65 })),
        ];
        for (text, want) in table {
            assert_eq!(SerialNumber::try_from(text).err(), want, "{text:?}");
        }
    }

    #[test]
    fn identity_is_normalised_and_its_username_escaped() {
        let id = DeviceIdentity::new("00-d0-9e", "Wi-Fi AP", " SN/1 ").expect("valid");
        assert_eq!(&*id.oui, "00D09E");
        assert_eq!(id.username(), "00D09E-Wi%2DFi%20AP-SN%2F1");
        let bare = DeviceIdentity::new("00D09E", "", "1").expect("valid");
        assert_eq!(bare.username(), "00D09E-1");
    }
}
