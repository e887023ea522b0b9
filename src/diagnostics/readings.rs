//! What a device said of a test, looked up by name.

use std::collections::BTreeMap;

use crate::model::transaction::VariableResult;

/// The values below an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Readings<'r> {
    results: &'r [VariableResult],
    object: &'r str,
}

/// One row of a table: its leaves.
#[derive(Debug, Clone, Default)]
pub(super) struct Row<'r> {
    leaves: BTreeMap<&'r str, &'r str>,
}

/// What a time is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
}

impl TimeUnit {
    fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "s" | "sec" => Some(Self::Seconds),
            "ms" | "msec" => Some(Self::Millis),
            "us" | "usec" | "\u{b5}s" | "\u{3bc}s" => Some(Self::Micros),
            _ => None,
        }
    }

    fn millis(self, time: f64) -> f64 {
        match self {
            Self::Seconds => time * 1000.0,
            Self::Millis => time,
            Self::Micros => time / 1000.0,
        }
    }
}

impl<'r> Readings<'r> {
    pub(super) const fn new(results: &'r [VariableResult], object: &'r str) -> Self {
        Self { results, object }
    }

    /// What the device said of a parameter of the object; the last if it said it twice.
    pub(super) fn text(&self, leaf: &str) -> Option<&'r str> {
        let is = |path: &str| path.strip_prefix(self.object).is_some_and(|rest| rest == leaf);
        self.results
            .iter()
            .rev()
            .find(|result| is(&result.path))
            .and_then(|result| result.value.as_deref())
            .map(str::trim)
    }

    /// The first of these parameters that has a number.
    pub(super) fn number(&self, leaves: &[&str]) -> Option<u64> {
        leaves.iter().find_map(|leaf| count(self.text(leaf)?))
    }

    /// The first of these parameters that has a time, in milliseconds; `unit` is that of a time that names none.
    pub(super) fn millis(&self, leaves: &[&str], unit: TimeUnit) -> Option<f64> {
        leaves.iter().find_map(|leaf| millis(self.text(leaf)?, unit))
    }

    /// The rows of a table in the order of their instance numbers; `table` is a whole path.
    pub(super) fn rows(&self, table: &str) -> Vec<Row<'r>> {
        self.numbered_rows(table).into_values().collect()
    }

    /// The rows of a table by their instance numbers; `table` is a whole path.
    pub(super) fn numbered_rows(&self, table: &str) -> BTreeMap<u32, Row<'r>> {
        let mut rows: BTreeMap<u32, Row<'r>> = BTreeMap::new();
        for result in self.results {
            let Some((instance, leaf)) = result.path.strip_prefix(table).and_then(|rest| rest.split_once('.')) else {
                continue;
            };
            if let (Ok(instance), Some(value), false) = (instance.parse(), result.value.as_deref(), leaf.is_empty()) {
                rows.entry(instance).or_default().leaves.insert(leaf, value.trim());
            }
        }
        rows
    }

    /// The rows of a table of the object.
    pub(super) fn own_rows(&self, table: &str) -> Vec<Row<'r>> {
        self.rows(&format!("{}{table}", self.object))
    }
}

impl<'r> Row<'r> {
    /// The first of these leaves that the row has and that is not empty.
    pub(super) fn text(&self, leaves: &[&str]) -> Option<&'r str> {
        leaves.iter().find_map(|leaf| self.leaves.get(leaf).copied().filter(|value| !value.is_empty()))
    }

    /// The first of these leaves that has a number.
    pub(super) fn number(&self, leaves: &[&str]) -> Option<u64> {
        leaves.iter().find_map(|leaf| count(self.leaves.get(leaf)?))
    }

    /// As [`Readings::millis`], of one leaf.
    pub(super) fn millis(&self, leaf: &str, unit: TimeUnit) -> Option<f64> {
        millis(self.leaves.get(leaf)?, unit)
    }

    /// As [`number`](Self::number), of either sign.
    pub(super) fn signed(&self, leaf: &str) -> Option<i64> {
        let text = self.leaves.get(leaf)?;
        let text = text.split(' ').next().unwrap_or(text).trim_end_matches("dBm");
        // Some devices say -61.5.
        let whole = text.split('.').next().unwrap_or(text);
        whole.strip_prefix('+').unwrap_or(whole).parse().ok()
    }
}

/// A number as devices write it: with a plus sign, blanks, as `10.0`, or `(null)` where there is none (quirk 18).
fn count(text: &str) -> Option<u64> {
    let text = text.trim();
    let text = text.strip_prefix('+').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    fraction.bytes().all(|digit| digit == b'0').then(|| whole.parse().ok()).flatten()
}

/// A time as devices write it, in milliseconds: `12`, `12.4`, `12 ms`, `12.4ms`, `900us`; `unit` is that of one without.
fn millis(text: &str, unit: TimeUnit) -> Option<f64> {
    let text = text.trim();
    let text = text.strip_prefix('+').unwrap_or(text);
    // Before the number is read: the reader of the language takes `inf` and `1e9` for numbers too.
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, word) = text.split_at_checked(end)?;
    let unit = if word.is_empty() { unit } else { TimeUnit::parse(word.trim_start())? };
    number.parse().ok().filter(|time: &f64| time.is_finite()).map(|time| unit.millis(time))
}

/// Times of several tries in milliseconds, apart by commas or blanks: `1,2,3`, `1 2 3`, `1 ms, 2 ms`, `1 ms 2 ms *`.
/// `None`: what stands there is no time.
pub(super) fn times(text: &str, unit: TimeUnit) -> Vec<Option<f64>> {
    let mut times = Vec::new();
    for part in list(text) {
        let mut words = part.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let own = words.peek().and_then(|next| TimeUnit::parse(next));
            if own.is_some() {
                words.next();
            }
            times.push(millis(word, own.unwrap_or(unit)));
        }
    }
    times
}

/// The parts of a list: separated by commas, blanks around them.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_whole_however_they_are_written() {
        let table = [
            ("10", Some(10)),
            (" +10 ", Some(10)),
            ("10.0", Some(10)),
            ("10.000", Some(10)),
            ("10.", Some(10)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("10.5", None),
            ("10.0.0", None),
            (".0", None),
            ("-1", None),
            ("1e3", None),
            ("(null)", None),
            ("", None),
        ];
        for (text, want) in table {
            assert_eq!(count(text), want, "{text:?}");
        }
    }

    #[test]
    fn times_are_read_with_fractions_and_units() {
        let table = [
            ("12", Some(12.0), Some(0.012)),
            ("12.4", Some(12.4), Some(0.0124)),
            ("11.903", Some(11.903), Some(0.011_903)),
            ("+12.5", Some(12.5), Some(0.0125)),
            ("0", Some(0.0), Some(0.0)),
            // A unit of its own goes before that of the parameter.
            ("12 ms", Some(12.0), Some(12.0)),
            ("12.4MS", Some(12.4), Some(12.4)),
            ("12500 us", Some(12.5), Some(12.5)),
            ("12500\u{b5}s", Some(12.5), Some(12.5)),
            ("0.5 s", Some(500.0), Some(500.0)),
            ("12 apples", None, None),
            ("1.2.3", None, None),
            ("-12", None, None),
            ("ms", None, None),
            (".", None, None),
            ("1e3", None, None),
            ("inf", None, None),
            ("NaN", None, None),
            ("(null)", None, None),
            ("", None, None),
        ];
        for (text, in_millis, in_micros) in table {
            let same = |read: Option<f64>, want: Option<f64>| match (read, want) {
                (Some(read), Some(want)) => (read - want).abs() < 1e-9,
                (read, want) => read == want,
            };
            let (milli, micro) = (millis(text, TimeUnit::Millis), millis(text, TimeUnit::Micros));
            assert!(same(milli, in_millis) && same(micro, in_micros), "{text:?}: {milli:?}, {micro:?}");
        }
        assert_eq!(millis(&"9".repeat(400), TimeUnit::Millis), None);
    }

    #[test]
    fn times_of_tries_stand_apart_in_every_way() {
        let table = [
            ("1,2,0", vec![Some(1.0), Some(2.0), Some(0.0)]),
            ("12 13 14", vec![Some(12.0), Some(13.0), Some(14.0)]),
            ("1 ms", vec![Some(1.0)]),
            ("1ms 2.5ms", vec![Some(1.0), Some(2.5)]),
            ("1 ms, 2 ms , *", vec![Some(1.0), Some(2.0), None]),
            ("1 ms  * 2500 us", vec![Some(1.0), None, Some(2.5)]),
            ("15.375", vec![Some(15.375)]),
            ("", vec![]),
        ];
        for (text, want) in table {
            assert_eq!(times(text, TimeUnit::Millis), want, "{text:?}");
        }
    }
}
