//! Maintenance windows: hours of some weekdays in a time zone.

use std::time::Duration;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan as _};
use serde::{Deserialize, Serialize};

use crate::types::time::Timestamp;

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;

/// Hours of some weekdays.
///
/// A window belongs to the day on which it opens; one that closes at or before the hour of its opening closes on the next day.
/// Hours that the clocks skip or show twice are read as RFC 5545 §3.3.5 has it: of two, the first; one that is skipped, by
/// the offset before the change. So each opening is one stretch of time, and the clocks' change makes it no second one. One of
/// which the change leaves nothing (02:00 to 03:00, and the clocks go from 02:00 to 03:00) keeps its length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// On which weekdays it opens, Monday first.
    pub days: [bool; 7],
    /// Minute of the day at which it opens.
    pub from: u16,
    /// Minute of the day at which it closes; [`DAY_MINUTES`]: midnight.
    pub to: u16,
    /// An IANA name: `Europe/Berlin`.
    pub time_zone: String,
}

/// The API's words for the weekdays, Monday first.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// No such time zone is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no known time zone: use an IANA name such as Europe/Berlin")]
pub struct UnknownTimeZone(pub String);

/// Reads an IANA name of a time zone.
///
/// # Errors
/// [`UnknownTimeZone`].
pub fn check_time_zone(name: &str) -> Result<(), UnknownTimeZone> {
    TimeZone::get(name).map(drop).map_err(|_unknown| UnknownTimeZone(name.to_owned()))
}

/// Reads `02:00`, minutes of the day; `24:00` is its end.
#[must_use]
pub fn parse_hour(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |part: &str| (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse());
    let (hours, minutes): (u16, u16) = (digits(hours)?.ok()?, digits(minutes)?.ok()?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= DAY_MINUTES).then_some(total)
}

/// What [`parse_hour`] reads.
#[must_use]
pub fn print_hour(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

impl Window {
    /// If it is open at `at`: until when. Openings that touch are one.
    #[must_use]
    pub fn open_until(&self, at: Timestamp) -> Option<Timestamp> {
        let openings = self.around(at);
        let mut until = None;
        for (opens, closes) in openings {
            match until {
                None if opens <= at && at < closes => until = Some(closes),
                Some(end) if opens <= end && closes > end => until = Some(closes),
                Some(_) | None => {}
            }
        }
        until
    }

    /// When it opens next after `at`; `None`: never.
    #[must_use]
    pub fn opens_after(&self, at: Timestamp) -> Option<Timestamp> {
        self.around(at).into_iter().map(|(opens, _)| opens).find(|opens| *opens > at)
    }

    /// The openings from the day before on, for a little more than a week, in order.
    fn around(&self, at: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        // Checked when it was made; the operating system may have lost it since.
        let Ok(zone) = TimeZone::get(&self.time_zone) else { return Vec::new() };
        let Ok(instant) = jiff::Timestamp::from_millisecond(at.0) else { return Vec::new() };
        let today = zone.to_datetime(instant).date();
        (-1..=9_i32)
            .filter_map(|days| {
                let date = today.checked_add(Span::new().days(days)).ok()?;
                let opens_here = self.days.get(place(date.weekday())).copied().unwrap_or(false);
                if !opens_here {
                    return None;
                }
                let closing = if self.to <= self.from { date.tomorrow().ok()? } else { date };
                let (opens, closes) = (instant_of(&zone, date, self.from)?, instant_of(&zone, closing, self.to)?);
                Some((opens, if opens < closes { closes } else { opens + self.length() }))
            })
            .collect()
    }

    /// By clocks that do not change.
    fn length(&self) -> Duration {
        let to = if self.to <= self.from { self.to + DAY_MINUTES } else { self.to };
        Duration::from_mins(to.saturating_sub(self.from).into())
    }
}

fn place(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)
}

/// The instant at which a day's clocks show this minute.
fn instant_of(zone: &TimeZone, date: Date, minute: u16) -> Option<Timestamp> {
    let civil = date.to_datetime(jiff::civil::Time::midnight()).checked_add(i64::from(minute).minutes()).ok()?;
    let instant = zone.to_ambiguous_timestamp(civil).compatible().ok()?;
    Some(Timestamp(instant.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().expect(text).as_millisecond())
    }

    fn window(days: &str, from: &str, to: &str, zone: &str) -> Window {
        Window {
            days: DAYS.map(|day| days == "all" || days.contains(day)),
            from: parse_hour(from).expect(from),
            to: parse_hour(to).expect(to),
            time_zone: zone.to_owned(),
        }
    }

    #[test]
    fn windows_open_and_close_by_the_clocks_of_their_zone() {
        // Berlin: +01:00 in winter, +02:00 in summer; forward on 2026-03-29, back on 2026-10-25, both at 01:00Z.
        // New York: forward on 2026-03-08 at 07:00Z. Kolkata is +05:30. Lord Howe moves by half an hour.
        let b = "Europe/Berlin";
        let table = [
            (("all", "02:00", "05:00", b), "2026-01-14T00:59:59Z", None),
            (("all", "02:00", "05:00", b), "2026-01-14T01:00:00Z", Some("2026-01-14T04:00:00Z")),
            (("all", "02:00", "05:00", b), "2026-01-14T03:59:59Z", Some("2026-01-14T04:00:00Z")),
            (("all", "02:00", "05:00", b), "2026-01-14T04:00:00Z", None),
            (("all", "02:00", "05:00", b), "2026-07-14T00:00:00Z", Some("2026-07-14T03:00:00Z")),
            // 2026-01-14 is a Wednesday.
            (("tue thu", "02:00", "05:00", b), "2026-01-14T02:00:00Z", None),
            (("wed", "02:00", "05:00", b), "2026-01-14T02:00:00Z", Some("2026-01-14T04:00:00Z")),
            // Over midnight: Wednesday's window is open on Thursday morning, Tuesday's on Wednesday morning.
            (("wed", "22:00", "04:00", b), "2026-01-14T20:59:59Z", None),
            (("wed", "22:00", "04:00", b), "2026-01-14T21:00:00Z", Some("2026-01-15T03:00:00Z")),
            (("wed", "22:00", "04:00", b), "2026-01-15T02:59:59Z", Some("2026-01-15T03:00:00Z")),
            (("wed", "22:00", "04:00", b), "2026-01-14T02:00:00Z", None),
            (("tue", "22:00", "04:00", b), "2026-01-14T02:00:00Z", Some("2026-01-14T03:00:00Z")),
            // To midnight.
            (("wed", "22:00", "24:00", b), "2026-01-14T22:59:59Z", Some("2026-01-14T23:00:00Z")),
            (("wed", "22:00", "00:00", b), "2026-01-14T22:59:59Z", Some("2026-01-14T23:00:00Z")),
            // Forward: 02:00 is skipped, the window of three hours has two of them left.
            (("sun", "02:00", "05:00", b), "2026-03-29T00:59:59Z", None),
            (("sun", "02:00", "05:00", b), "2026-03-29T01:00:00Z", Some("2026-03-29T03:00:00Z")),
            (("sun", "01:00", "03:00", b), "2026-03-29T00:30:00Z", Some("2026-03-29T01:00:00Z")),
            // Skipped from end to end: read by the offset before, it keeps its length.
            (("sun", "02:15", "02:45", b), "2026-03-29T01:15:00Z", Some("2026-03-29T01:45:00Z")),
            (("sun", "02:15", "02:45", b), "2026-03-29T01:00:00Z", None),
            // Back: 02:00 to 03:00 comes twice, the window of three hours has four.
            (("sun", "02:00", "05:00", b), "2026-10-25T00:00:00Z", Some("2026-10-25T04:00:00Z")),
            (("sun", "02:00", "05:00", b), "2026-10-25T01:30:00Z", Some("2026-10-25T04:00:00Z")),
            // It closes at the first 02:30 and does not open again at the second.
            (("sun", "01:00", "02:30", b), "2026-10-25T00:29:59Z", Some("2026-10-25T00:30:00Z")),
            (("sun", "01:00", "02:30", b), "2026-10-25T01:15:00Z", None),
            // From one hour to the same: a whole day, of 23, 24 or 25 hours.
            (("wed", "02:00", "02:00", b), "2026-01-14T00:59:59Z", None),
            (("wed", "02:00", "02:00", b), "2026-01-14T01:00:00Z", Some("2026-01-15T01:00:00Z")),
            (("wed", "00:00", "00:00", b), "2026-01-14T12:00:00Z", Some("2026-01-14T23:00:00Z")),
            (("sat", "12:00", "12:00", b), "2026-03-28T11:00:00Z", Some("2026-03-29T10:00:00Z")),
            (("sat", "12:00", "12:00", b), "2026-10-24T10:00:00Z", Some("2026-10-25T11:00:00Z")),
            // Over midnight into the change: closed by the offset before it; at the first of two.
            (("sat", "22:00", "02:30", b), "2026-03-29T01:29:59Z", Some("2026-03-29T01:30:00Z")),
            (("sat", "22:00", "02:30", b), "2026-03-29T01:30:00Z", None),
            (("sat", "22:00", "02:30", b), "2026-10-25T00:29:59Z", Some("2026-10-25T00:30:00Z")),
            (("sat", "22:00", "02:30", b), "2026-10-25T01:00:00Z", None),
            // The change leaves nothing of it: it keeps its length.
            (("sun", "02:00", "03:00", b), "2026-03-29T00:59:59Z", None),
            (("sun", "02:00", "03:00", b), "2026-03-29T01:00:00Z", Some("2026-03-29T02:00:00Z")),
            (("sun", "02:30", "03:15", b), "2026-03-29T01:30:00Z", Some("2026-03-29T02:15:00Z")),
            // Twice the same hour: once.
            (("sun", "02:00", "03:00", b), "2026-10-25T00:00:00Z", Some("2026-10-25T02:00:00Z")),
            // In Cairo midnight is skipped.
            (("fri", "00:00", "05:00", "Africa/Cairo"), "2026-04-23T22:00:00Z", Some("2026-04-24T02:00:00Z")),
            (("thu", "22:00", "24:00", "Africa/Cairo"), "2026-04-23T21:59:59Z", Some("2026-04-23T22:00:00Z")),
            (("sat", "22:00", "06:00", b), "2026-10-25T04:30:00Z", Some("2026-10-25T05:00:00Z")),
            (("sun", "01:30", "03:30", "America/New_York"), "2026-03-08T06:45:00Z", Some("2026-03-08T07:30:00Z")),
            (("wed", "02:00", "03:00", "Asia/Kolkata"), "2026-01-13T20:30:00Z", Some("2026-01-13T21:30:00Z")),
            (("sun", "01:45", "03:00", "Australia/Lord_Howe"), "2026-04-04T15:00:00Z", Some("2026-04-04T16:30:00Z")),
            (("wed", "00:00", "24:00", "UTC"), "2026-01-14T12:00:00Z", Some("2026-01-15T00:00:00Z")),
            (("tue wed thu", "00:00", "24:00", "UTC"), "2026-01-14T12:00:00Z", Some("2026-01-16T00:00:00Z")),
        ];
        for ((days, from, to, zone), now, want) in table {
            let open = window(days, from, to, zone).open_until(at(now));
            assert_eq!(open, want.map(at), "{days} {from}-{to} {zone} at {now}: {:?}", open.map(|t| t.to_string()));
        }
    }

    #[test]
    fn the_next_opening_is_found() {
        let b = "Europe/Berlin";
        let table = [
            (("wed", "02:00", "05:00", b), "2026-01-14T01:00:00Z", "2026-01-21T01:00:00Z"),
            (("wed", "02:00", "05:00", b), "2026-01-14T00:59:59Z", "2026-01-14T01:00:00Z"),
            (("all", "02:00", "05:00", b), "2026-03-28T05:00:00Z", "2026-03-29T01:00:00Z"),
            (("all", "02:00", "05:00", b), "2026-03-29T05:00:00Z", "2026-03-30T00:00:00Z"),
            (("all", "02:00", "05:00", b), "2026-10-24T05:00:00Z", "2026-10-25T00:00:00Z"),
            (("sun", "02:00", "03:00", b), "2026-03-22T02:00:00Z", "2026-03-29T01:00:00Z"),
            (("sat", "22:00", "02:30", b), "2026-03-29T01:30:00Z", "2026-04-04T20:00:00Z"),
            (("wed", "00:00", "00:00", b), "2026-01-14T12:00:00Z", "2026-01-20T23:00:00Z"),
        ];
        for ((days, from, to, zone), now, want) in table {
            let next = window(days, from, to, zone).opens_after(at(now));
            assert_eq!(next, Some(at(want)), "{days} {from}-{to} {zone} at {now}");
        }
        assert_eq!(window("", "02:00", "05:00", b).opens_after(at("2026-01-14T00:00:00Z")), None);
    }

    #[test]
    fn hours_and_zones_are_read_strictly() {
        let table = [
            ("00:00", Some(0)),
            ("02:05", Some(125)),
            ("24:00", Some(1440)),
            ("24:01", None),
            ("2:00", None),
            ("02:60", None),
            ("02", None),
            ("+2:00", None),
            ("02:00:00", None),
        ];
        for (text, want) in table {
            assert_eq!(parse_hour(text), want, "{text}");
            assert!(want.is_none_or(|minutes| print_hour(minutes) == text), "{text}");
        }
        assert!(check_time_zone("Europe/Berlin").is_ok() && check_time_zone("UTC").is_ok());
        assert!(check_time_zone("Europe/Atlantis").is_err() && check_time_zone("").is_err());
    }
}
