//! Points in time below the edge: values handed in, never read from the operating system here.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole Unix seconds.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Whole Unix seconds, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// RFC 3339 in UTC with whole seconds, as the API answers times and as CPEs take them.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.as_secs()) {
            Ok(time) => write!(f, "{time:.0}"),
            Err(_) => f.write_str(if self.0 < 0 { "0001-01-01T00:00:00Z" } else { "9999-12-31T23:59:59Z" }),
        }
    }
}

/// Where the time comes from at the edge. [`crate::clock`] holds the one that asks the operating system.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// What a CWMP `dateTime` says, after the lenient reading of [`parse_cwmp_time`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CwmpTime {
    /// A point in time. Without a zone in the text it was read as UTC.
    At(Timestamp),
    /// Year below 1000: time since the CPE booted (TR-106 §3.2, `0001-01-01T00:03:08Z` is 188 s).
    SinceBoot(Duration),
    /// `0001-01-01T00:00:00Z`: the CPE does not know.
    Unknown,
    /// `9999-12-31T23:59:59Z`: never.
    Infinite,
}

/// Reads a `dateTime` as CPEs write it: without zone, with `+0000`, with any fraction, with one-digit fields.
///
/// `None` when there is no date in it; the caller then keeps the raw text (`0000-00-00T00:00:00` and locale texts occur).
#[must_use]
pub fn parse_cwmp_time(raw: &str) -> Option<CwmpTime> {
    let text = raw.trim();
    let (date, rest) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.trim_start()),
        None => (text, ""),
    };
    let mut parts = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let (clock, offset_secs) = split_zone(rest)?;
    let (hour, minute, second, millis) = parse_clock(clock)?;
    let date =
        jiff::civil::Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let days = i64::from(date.since(jiff::civil::date(1970, 1, 1)).ok()?.get_days());
    let secs = days * 86_400 + hour * 3600 + minute * 60 + second;
    if year < 1000 {
        let boot = i64::from(jiff::civil::date(1, 1, 1).since(jiff::civil::date(1970, 1, 1)).ok()?.get_days()) * 86_400;
        let up = u64::try_from(secs - boot).ok()?;
        return Some(if up == 0 { CwmpTime::Unknown } else { CwmpTime::SinceBoot(Duration::from_secs(up)) });
    }
    if year == 9999 {
        return Some(CwmpTime::Infinite);
    }
    Some(CwmpTime::At(Timestamp((secs - offset_secs) * 1000 + millis)))
}

/// Splits `10:00:00+02:00` into the clock and the offset in seconds east of UTC.
fn split_zone(rest: &str) -> Option<(&str, i64)> {
    let rest = rest.trim();
    if let Some(clock) = rest.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = rest.rfind(['+', '-']) else { return Some((rest, 0)) };
    let sign = if rest.get(at..=at)? == "-" { -1 } else { 1 };
    let digits: String = rest.get(at + 1..)?.chars().filter(|c| *c != ':').collect();
    let zone: i64 = digits.parse().ok()?;
    let (hours, minutes) = if digits.len() > 2 { (zone / 100, zone % 100) } else { (zone, 0) };
    (hours <= 15 && minutes < 60).then_some((rest.get(..at)?, sign * (hours * 3600 + minutes * 60)))
}

fn parse_clock(clock: &str) -> Option<(i64, i64, i64, i64)> {
    if clock.is_empty() {
        return Some((0, 0, 0, 0));
    }
    let mut parts = clock.splitn(3, ':');
    let hour: i64 = parts.next()?.trim().parse().ok()?;
    let minute: i64 = parts.next()?.trim().parse().ok()?;
    let seconds = parts.next().unwrap_or("0").trim();
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let second: i64 = whole.parse().ok()?;
    let mut millis = 0;
    for digit in fraction.chars().chain("000".chars()).take(3) {
        millis = millis * 10 + i64::from(digit.to_digit(10)?);
    }
    ((0..=24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second))
        .then_some((hour, minute, second, millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_as_rfc_3339_in_whole_seconds() {
        assert_eq!(Timestamp(1_705_314_600_999).to_string(), "2024-01-15T10:30:00Z");
    }

    #[test]
    fn the_field_s_date_habits_are_read() {
        let at = |secs| Some(CwmpTime::At(Timestamp::from_secs(secs)));
        let table = [
            ("2024-01-15T10:30:00Z", at(1_705_314_600)),
            ("2024-01-15T12:30:00+02:00", at(1_705_314_600)),
            ("2024-01-15T10:30:00+0000", at(1_705_314_600)),
            ("2024-01-15T10:30:00", at(1_705_314_600)),
            ("2024-1-15T10:30:0", at(1_705_314_600)),
            ("2024-01-15T10:30:00.123456Z", Some(CwmpTime::At(Timestamp(1_705_314_600_123)))),
            ("0001-01-01T00:00:00Z", Some(CwmpTime::Unknown)),
            ("0001-01-01T00:03:08Z", Some(CwmpTime::SinceBoot(Duration::from_secs(188)))),
            ("9999-12-31T23:59:59Z", Some(CwmpTime::Infinite)),
            ("0000-00-00T00:00:00", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, want) in table {
            assert_eq!(parse_cwmp_time(text), want, "{text:?}");
        }
    }
}
