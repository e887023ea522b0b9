//! Numbers, booleans and lists as CPEs spell them.

use crate::cwmp::message::Text;
use crate::cwmp::message::acs::Applied;
use crate::types::value::parse_boolean;

use super::DecodeError;
use super::reader::XmlReader;

impl<'a> XmlReader<'a, '_> {
    /// An unsigned number; `None` when the text starts with none (quirk 18).
    pub(super) fn number(&mut self) -> Result<Option<u32>, DecodeError> {
        Ok(unsigned(&self.trimmed()?))
    }

    /// An unsigned number, 0 when it is none.
    pub(super) fn number_or_zero(&mut self) -> Result<u32, DecodeError> {
        Ok(self.number()?.unwrap_or(0))
    }

    /// A small unsigned number, 0 when it is none.
    pub(super) fn small_number(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::try_from(self.number_or_zero()?).unwrap_or(u8::MAX))
    }

    /// A signed number, 0 when it is none.
    pub(super) fn signed(&mut self) -> Result<i32, DecodeError> {
        let text = self.trimmed()?;
        Ok(match text.strip_prefix('-') {
            Some(digits) => unsigned(digits).map_or(0, |n| i32::try_from(-i64::from(n)).unwrap_or(i32::MIN)),
            None => unsigned(&text).map_or(0, |n| i32::try_from(n).unwrap_or(i32::MAX)),
        })
    }

    /// A boolean, false when it is none.
    pub(super) fn boolean(&mut self) -> Result<bool, DecodeError> {
        Ok(parse_boolean(&self.text()?).unwrap_or(false))
    }

    /// `Status`: anything but 1 means applied (quirk 26).
    pub(super) fn status(&mut self) -> Result<Applied, DecodeError> {
        Ok(if self.number()? == Some(1) { Applied::Later } else { Applied::Now })
    }

    /// Adds the entries of a list of strings.
    pub(super) fn strings(&mut self, list: &mut Vec<Text<'a>>) -> Result<(), DecodeError> {
        while self.child()?.is_some() {
            let text = self.trimmed()?;
            self.push(list, text)?;
        }
        Ok(())
    }
}

/// The number that the text starts with, the largest there is when that does not fit.
pub(super) fn unsigned(text: &str) -> Option<u32> {
    let text = text.trim();
    let text = text.strip_prefix('+').unwrap_or(text);
    let mut digits = text.chars().map_while(|c| c.to_digit(10));
    let first = digits.next()?;
    Some(digits.fold(first, |number, digit| number.saturating_mul(10).saturating_add(digit)))
}

#[cfg(test)]
mod tests {
    use super::unsigned;

    #[test]
    fn numbers_are_read_leniently() {
        let table = [
            ("7", Some(7)),
            (" 007\n", Some(7)),
            ("+7", Some(7)),
            ("7 s", Some(7)),
            ("4294967296", Some(u32::MAX)),
            ("-1", None),
            ("", None),
            ("(null)", None),
        ];
        for (text, want) in table {
            assert_eq!(unsigned(text), want, "{text:?}");
        }
    }
}
