//! Parameter values: their XML Schema types, and type-aware checks and equality.

mod compare;

use serde::{Deserialize, Serialize};

pub use compare::{is_masked, same_meaning};

/// The XML Schema type of a parameter's value, by the local part of its `xsi:type` (TR-106 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum XsdType {
    /// Also what a missing or unknown `xsi:type` means.
    #[default]
    String,
    /// 32 bits, signed.
    Int,
    /// 32 bits.
    UnsignedInt,
    /// 64 bits, signed.
    Long,
    /// 64 bits.
    UnsignedLong,
    /// Arbitrary precision.
    Decimal,
    /// `0`, `1`, `true`, `false`.
    Boolean,
    /// ISO 8601.
    DateTime,
    /// `xsd:base64`: in no schema, but what older models say.
    Base64,
    /// `xsd:base64Binary`.
    Base64Binary,
    /// Even number of hexadecimal digits.
    HexBinary,
}

/// What the API calls a type (rest-api.md 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueKind {
    /// Any of the four integer types.
    Integer,
    /// `xsd:boolean`.
    Boolean,
    /// Everything else.
    String,
}

impl XsdType {
    /// Reads an `xsi:type` leniently: any prefix, any case, `string(1024)` and the like; unknown means string.
    #[must_use]
    pub fn parse(raw: &str) -> Self {
        let token = raw.trim();
        let local = token.rsplit(':').next().unwrap_or(token);
        let local = local.split(['(', '[']).next().unwrap_or(local).trim();
        Self::ALL.into_iter().find(|ty| local.eq_ignore_ascii_case(ty.local_name())).unwrap_or_else(|| {
            match local.to_ascii_lowercase().as_str() {
                "integer" => Self::Int,
                "unsignedinteger" | "uint" => Self::UnsignedInt,
                "bool" => Self::Boolean,
                _ => Self::String,
            }
        })
    }

    /// Every type there is.
    pub const ALL: [Self; 11] = [
        Self::String,
        Self::Int,
        Self::UnsignedInt,
        Self::Long,
        Self::UnsignedLong,
        Self::Decimal,
        Self::Boolean,
        Self::DateTime,
        Self::Base64,
        Self::Base64Binary,
        Self::HexBinary,
    ];

    /// `unsignedInt`.
    #[must_use]
    pub const fn local_name(self) -> &'static str {
        // Skips the `xsd:` of `qualified`.
        let (_, local) = self.qualified().split_at(4);
        local
    }

    /// `xsd:unsignedInt`, as acsd emits it and as the API shows it in `xsd_type`.
    #[must_use]
    pub const fn qualified(self) -> &'static str {
        match self {
            Self::String => "xsd:string",
            Self::Int => "xsd:int",
            Self::UnsignedInt => "xsd:unsignedInt",
            Self::Long => "xsd:long",
            Self::UnsignedLong => "xsd:unsignedLong",
            Self::Decimal => "xsd:decimal",
            Self::Boolean => "xsd:boolean",
            Self::DateTime => "xsd:dateTime",
            Self::Base64 => "xsd:base64",
            Self::Base64Binary => "xsd:base64Binary",
            Self::HexBinary => "xsd:hexBinary",
        }
    }

    /// The API's word for it.
    #[must_use]
    pub const fn kind(self) -> ValueKind {
        match self {
            Self::Int | Self::UnsignedInt | Self::Long | Self::UnsignedLong => ValueKind::Integer,
            Self::Boolean => ValueKind::Boolean,
            Self::String | Self::Decimal | Self::DateTime | Self::Base64 | Self::Base64Binary | Self::HexBinary => {
                ValueKind::String
            }
        }
    }

    /// Whether `text` can be a value of this type.
    ///
    /// # Errors
    /// What is wrong, as a sentence fragment for the API ("must be an integer from 0 to 4294967295").
    pub fn check(self, text: &str) -> Result<(), &'static str> {
        let trimmed = text.trim();
        match self {
            Self::String => Ok(()),
            Self::Int => {
                trimmed.parse::<i32>().map(|_| ()).map_err(|_| "must be an integer from -2147483648 to 2147483647")
            }
            Self::UnsignedInt => {
                trimmed.parse::<u32>().map(|_| ()).map_err(|_| "must be an integer from 0 to 4294967295")
            }
            Self::Long => trimmed.parse::<i64>().map(|_| ()).map_err(|_| "must be an integer of 64 bits"),
            Self::UnsignedLong => {
                trimmed.parse::<u64>().map(|_| ()).map_err(|_| "must be a non-negative integer of 64 bits")
            }
            Self::Decimal => is_decimal(trimmed).then_some(()).ok_or("must be a decimal number"),
            Self::Boolean => parse_boolean(trimmed).map(|_| ()).ok_or("must be a boolean: true, false, 1 or 0"),
            Self::DateTime => super::time::parse_cwmp_time(trimmed)
                .map(|_| ())
                .ok_or("must be a date and time such as 2024-01-15T10:30:00Z"),
            Self::Base64 | Self::Base64Binary => is_base64(trimmed).then_some(()).ok_or("must be base64"),
            Self::HexBinary => (trimmed.len().is_multiple_of(2) && trimmed.bytes().all(|b| b.is_ascii_hexdigit()))
                .then_some(())
                .ok_or("must be an even number of hexadecimal digits"),
        }
    }

    /// Whether two lexical forms mean the same value: `1` and `true`, `007` and `7`. Strings compare exactly.
    #[must_use]
    pub fn same_value(self, left: &str, right: &str) -> bool {
        if left == right {
            return true;
        }
        match self {
            Self::Boolean => parse_boolean(left).is_some() && parse_boolean(left) == parse_boolean(right),
            Self::Int | Self::UnsignedInt | Self::Long | Self::UnsignedLong => {
                let number = |text: &str| text.trim().parse::<i128>().ok();
                number(left).is_some() && number(left) == number(right)
            }
            Self::DateTime => {
                let time = super::time::parse_cwmp_time;
                time(left).is_some() && time(left) == time(right)
            }
            Self::HexBinary => left.trim().eq_ignore_ascii_case(right.trim()),
            Self::String | Self::Decimal | Self::Base64 | Self::Base64Binary => false,
        }
    }
}

/// Reads a boolean as CPEs write it: `1`, `true`, `TRUE`, `yes`, `enabled` and their opposites.
#[must_use]
pub fn parse_boolean(raw: &str) -> Option<bool> {
    let text = raw.trim();
    let is = |words: [&str; 5]| words.into_iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["1", "true", "yes", "enabled", "on"]) {
        Some(true)
    } else if is(["0", "false", "no", "disabled", "off"]) {
        Some(false)
    } else {
        None
    }
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty()
        && digits.bytes().filter(|b| *b == b'.').count() <= 1
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    let compact: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(compact).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_by_their_local_part() {
        let table = [
            ("xsd:string", XsdType::String),
            ("xs:unsignedInt", XsdType::UnsignedInt),
            ("SOAP-ENC:string", XsdType::String),
            ("boolean", XsdType::Boolean),
            ("xsd:string(1024)", XsdType::String),
            ("xsd:", XsdType::String),
            ("", XsdType::String),
            ("xsd:base64Binary", XsdType::Base64Binary),
            ("xsd:UnsignedLong", XsdType::UnsignedLong),
        ];
        for (text, want) in table {
            assert_eq!(XsdType::parse(text), want, "{text:?}");
        }
        for ty in XsdType::ALL {
            assert_eq!(XsdType::parse(ty.qualified()), ty);
        }
    }

    #[test]
    fn values_are_checked_against_their_type() {
        assert!(XsdType::UnsignedInt.check("42").is_ok());
        assert!(XsdType::UnsignedInt.check("-1").is_err());
        assert!(XsdType::Boolean.check("TRUE").is_ok());
        assert!(XsdType::Boolean.check("2").is_err());
        assert!(XsdType::DateTime.check("2024-01-15").is_ok());
        assert!(XsdType::Decimal.check("1.5").is_ok() && XsdType::Decimal.check(".").is_err());
        assert!(XsdType::HexBinary.check("0aF").is_err());
    }

    #[test]
    fn equality_knows_the_type() {
        assert!(XsdType::Boolean.same_value("1", "true"));
        assert!(!XsdType::Boolean.same_value("1", "maybe"));
        assert!(XsdType::UnsignedInt.same_value("007", "7"));
        assert!(!XsdType::String.same_value("007", "7"));
    }
}
