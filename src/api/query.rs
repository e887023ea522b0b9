//! Reading query parameters by the rules of rest-api.md §1: empty is not given, wrong forms are errors, unknown names
//! are kept for the page links and otherwise ignored.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use super::ApiState;
use super::body::sentence;
use super::error::FieldErrors;
use super::paging::{PageLinks, PageRule};
use crate::store::Page;
use crate::types::time::Timestamp;

/// The parameters of a request.
#[derive(Debug)]
pub struct Query {
    /// In the order given: decoded name, decoded value, raw text.
    pairs: Vec<(String, String, String)>,
    base: String,
    errors: FieldErrors,
}

impl FromRequestParts<Arc<ApiState>> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Self, Infallible> {
        let base = super::paging::request_url(parts, state.config.public_url.as_deref());
        Ok(Self::parse(parts.uri.query().unwrap_or(""), base))
    }
}

impl Query {
    /// Of the raw text behind the question mark; `base` is the absolute URL before it.
    #[must_use]
    pub fn parse(raw: &str, base: String) -> Self {
        let pairs = raw
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name), decode(value), pair.to_owned())
            })
            .collect();
        Self { pairs, base, errors: FieldErrors::default() }
    }

    /// The last value given under this name; an empty one counts as not given.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let (_, value, _) = self.pairs.iter().rev().find(|(given, _, _)| given == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// All that was given under this name, empty ones left out.
    pub fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let given = self.pairs.iter().filter(move |(given, _, _)| given == name);
        given.map(|(_, value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// `true`, `True`, `1` or `false`, `False`, `0`.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        self.parsed(
            name,
            |text| match text {
                "true" | "True" | "1" => Some(true),
                "false" | "False" | "0" => Some(false),
                _ => None,
            },
            "Must be one of true, True, 1, false, False, 0.",
        )
    }

    /// A non-negative number.
    pub fn number(&mut self, name: &str) -> Option<u32> {
        self.parsed(name, |text| text.parse().ok(), "A valid integer is required.")
    }

    /// A date, or a date and time; without a zone it is UTC.
    pub fn time(&mut self, name: &str) -> Option<Timestamp> {
        self.parsed(name, parse_time, "A date or a date and time is required, such as 2024-01-01T00:01:00Z.")
    }

    /// Whatever `read` makes of the value.
    pub fn parsed<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Option<T>, reason: &str) -> Option<T> {
        let value = self.text(name)?;
        let read = read(value);
        if read.is_none() {
            self.errors.add(name, reason);
        }
        read
    }

    /// A word of a closed set.
    pub fn choice<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match read(self.text(name)?) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.errors.add(name, sentence(&reason));
                None
            }
        }
    }

    /// Adds an error of a rule that lives elsewhere.
    pub fn error(&mut self, name: &str, reason: impl Into<String>) {
        self.errors.add(name, reason);
    }

    /// `limit` and `offset`.
    pub fn page(&mut self, rule: PageRule) -> Page {
        let limit = self.signed("limit");
        let offset = self.signed("offset");
        Page { limit: rule.limit(limit), offset: u64::try_from(offset.unwrap_or(0)).unwrap_or(0) }
    }

    /// An integer of any size and sign, saturated.
    fn signed(&mut self, name: &str) -> Option<i64> {
        self.parsed(
            name,
            |text| {
                let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
                let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                let huge = if text.starts_with('-') { i64::MIN } else { i64::MAX };
                is_number.then(|| text.parse().unwrap_or(huge))
            },
            "A valid integer is required.",
        )
    }

    /// Ends the reading; what is left makes the links to the neighbouring pages.
    ///
    /// # Errors
    /// All that was wrong.
    pub fn finish(self) -> Result<PageLinks, FieldErrors> {
        self.errors.into_result()?;
        let others = self
            .pairs
            .into_iter()
            .filter(|(name, _, _)| name != "limit" && name != "offset")
            .map(|(_, _, raw)| raw)
            .collect();
        Ok(PageLinks::new(self.base, others))
    }
}

fn decode(raw: &str) -> String {
    percent_decode_str(&raw.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// Reads `2024-01-01`, `2024-01-01 00:01:00+00:00`, `2024-01-15T10:30:00Z` and their kin. A plus sign that a client
/// forgot to encode has become a blank; it is put back.
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let mended = match text.rsplit_once(' ') {
        Some((clock, zone)) if clock.contains(':') => format!("{clock}+{zone}"),
        _ => text.to_owned(),
    };
    if let Ok(instant) = mended.parse::<jiff::Timestamp>() {
        return Some(Timestamp(instant.as_millisecond()));
    }
    let civil = mended.parse::<jiff::civil::DateTime>().ok()?;
    let instant = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(Timestamp(instant.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(raw: &str) -> Query {
        Query::parse(raw, "http://x/".to_owned())
    }

    #[test]
    fn booleans_are_an_exact_list() {
        for (raw, want) in [("a=true", Some(true)), ("a=True", Some(true)), ("a=1", Some(true)), ("a=0", Some(false))] {
            assert_eq!(query(raw).boolean("a"), want, "{raw}");
        }
        for raw in ["a=", "b=1", ""] {
            let mut query = query(raw);
            assert_eq!(query.boolean("a"), None);
            assert!(query.finish().is_ok(), "{raw}");
        }
        for raw in ["a=TRUE", "a=yes", "a=2", "a=%20true"] {
            let mut query = query(raw);
            assert_eq!(query.boolean("a"), None);
            assert!(query.finish().is_err(), "{raw}");
        }
    }

    #[test]
    fn times_are_read_in_the_forms_that_clients_send() {
        let table = [
            ("2024-01-01", Some(1_704_067_200)),
            ("2024-01-01 00:01:00+00:00", Some(1_704_067_260)),
            ("2024-01-01 00:01:00 00:00", Some(1_704_067_260)),
            ("2024-01-15T10:30:00Z", Some(1_705_314_600)),
            ("2024-01-15T12:30:00+02:00", Some(1_705_314_600)),
            ("2024-01-15T10:30:00", Some(1_705_314_600)),
            ("2024-13-01", None),
            ("yesterday", None),
            ("1705314600", None),
        ];
        for (text, want) in table {
            assert_eq!(parse_time(text), want.map(Timestamp::from_secs), "{text}");
        }
    }

    #[test]
    fn pages_are_clamped_not_refused() {
        let table = [
            ("", 25, 0),
            ("limit=10&offset=5", 10, 5),
            ("limit=9999", 500, 0),
            ("limit=0", 25, 0),
            ("limit=-3&offset=-3", 25, 0),
            ("limit=99999999999999999999999", 500, 0),
            ("limit=", 25, 0),
        ];
        for (raw, limit, offset) in table {
            assert_eq!(query(raw).page(PageRule::LIST), Page { offset, limit }, "{raw}");
        }
        let mut wrong = query("limit=x&offset=1.5");
        wrong.page(PageRule::LIST);
        let errors = wrong.finish().expect_err("two errors");
        assert!(errors.has("limit") && errors.has("offset"));
    }
}
