//! What a test came to, and how that is written into the CPE's parameters.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::simulator::misbehave::Misbehaviour;
use crate::simulator::model::{Limit, ObjectKind};
use crate::simulator::state::State;
use crate::types::time::Timestamp;
use crate::types::value::XsdType;

/// What the ACS wrote into the object, and who the CPE is.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) serial: String,
    /// The address that the CPE sends from.
    pub(super) wan_ip: String,
    /// The root of the data model: `Device.`.
    pub(super) root: String,
    values: BTreeMap<String, String>,
}

impl Inputs {
    /// The object's own parameters, as they are now.
    pub(super) fn of(state: &State, object: &str) -> Self {
        let leaves = state.tree.parameters_below(object).filter_map(|(path, _)| {
            let leaf = path.strip_prefix(object).filter(|leaf| !leaf.contains('.'))?;
            Some((leaf.to_owned(), state.value(path)?))
        });
        Self {
            serial: state.config.identity.serial_number.clone(),
            wan_ip: state.fact(object, "wan_ip"),
            root: state.tree.root().to_owned(),
            values: leaves.collect(),
        }
    }

    pub(super) fn text(&self, leaf: &str) -> &str {
        self.values.get(leaf).map_or("", |value| value.trim())
    }

    pub(super) fn number(&self, leaf: &str, default: u64) -> u64 {
        self.text(leaf).parse().unwrap_or(default)
    }

    pub(super) fn is_set(&self, leaf: &str) -> bool {
        matches!(self.text(leaf), "1" | "true")
    }

    #[cfg(test)]
    pub(super) fn with(serial: &str, values: &[(&str, &str)]) -> Self {
        Self {
            serial: serial.to_owned(),
            wan_ip: "100.64.0.9".to_owned(),
            root: "Device.".to_owned(),
            values: values.iter().map(|(leaf, value)| ((*leaf).to_owned(), (*value).to_owned())).collect(),
        }
    }
}

/// One result, as it is measured: the model and the CPE's habits decide how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    /// A counter of bytes: wraps where the model has 32 bits.
    Bytes(u64),
    /// A counter of all bytes on the interface, and how many of them were the test's.
    TotalBytes {
        all: u64,
        test: u64,
    },
    /// A moment, counted from the beginning of the test.
    At(Duration),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// Parameters of the object or of one row. Names that the model does not have are left out when they are written, so
/// that one list serves all models.
pub(super) type Values = Vec<(String, Value)>;

/// How a test ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    Success,
    /// The first of these states that the model has, else the first.
    Failed(&'static [&'static str]),
    /// Exactly this state, whether the model has it or not.
    Exactly(String),
}

/// What a test came to.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) ending: Ending,
    /// How long it took, or takes before scaling.
    pub(super) duration: Duration,
    pub(super) values: Values,
    /// Tables by the name of their object below the test's, with their rows.
    pub(super) tables: Vec<(&'static str, Vec<Values>)>,
}

impl Finding {
    pub(super) const fn success(duration: Duration) -> Self {
        Self { ending: Ending::Success, duration, values: Vec::new(), tables: Vec::new() }
    }

    pub(super) const fn failed(duration: Duration, states: &'static [&'static str]) -> Self {
        Self { ending: Ending::Failed(states), duration, values: Vec::new(), tables: Vec::new() }
    }

    pub(super) fn set(&mut self, leaf: impl Into<String>, value: Value) {
        self.values.push((leaf.into(), value));
    }

    pub(super) fn number(&mut self, leaf: &str, number: u64) {
        self.set(leaf, Value::Number(number));
    }
}

/// Writes the results of a test that ends now. Gives the state that it ends with.
pub(super) fn record(state: &mut State, object: &str, finding: &Finding, now: Timestamp) -> String {
    forget(state, object);
    let began_us = now.0.saturating_mul(1000).saturating_sub(micros(finding.duration));
    let habits = Habits {
        wrapped: state.config.has(&Misbehaviour::WrappedCounters),
        coarse: state.config.has(&Misbehaviour::NoFractionTimes),
        has_test_bytes: ["TestBytesReceived", "TestBytesSent"]
            .iter()
            .any(|leaf| state.tree.parameter(&format!("{object}{leaf}")).is_some()),
    };
    let write = |state: &mut State, path: &str, value: &Value| {
        let Some(spec) = state.tree.parameter(path) else { return };
        let text = habits.render(value, spec.ty, began_us);
        state.tree.set(path, &text);
    };
    for (leaf, value) in &finding.values {
        write(state, &format!("{object}{leaf}"), value);
    }
    for (name, rows) in &finding.tables {
        let table = format!("{object}{name}.");
        for row in rows {
            let Some(number) = state.tree.add_row(&table) else { break };
            for (leaf, value) in row {
                write(state, &format!("{table}{number}.{leaf}"), value);
            }
        }
    }
    let ending = ending_text(state, object, &finding.ending);
    state.tree.set(&format!("{object}DiagnosticsState"), &ending);
    ending
}

/// Drops all results: what the ACS cannot write is as the model has it, and tables are empty.
pub(super) fn forget(state: &mut State, object: &str) {
    let tables: Vec<String> = state
        .tree
        .objects_below(object)
        .filter(|(_, kind)| matches!(kind, ObjectKind::Table(_)))
        .map(|(path, _)| path.to_owned())
        .collect();
    for table in tables {
        state.tree.clear_rows(&table);
    }
    let results: Vec<String> = state
        .tree
        .parameters_below(object)
        .filter(|(_, spec)| !spec.writable)
        .map(|(path, _)| path.to_owned())
        .collect();
    for path in results {
        state.tree.unset(&path);
    }
}

/// The state's text as this model, or this CPE, spells it.
fn ending_text(state: &State, object: &str, ending: &Ending) -> String {
    let spec = state.tree.parameter(&format!("{object}DiagnosticsState"));
    let known = match spec.map(|spec| &spec.limit) {
        Some(Limit::OneOf(words)) => Some(words),
        _ => None,
    };
    let has = |word: &str| known.is_none_or(|words| words.iter().any(|have| **have == *word));
    match ending {
        Ending::Success if state.config.has(&Misbehaviour::CompletedSpelling) => "Completed",
        Ending::Success if has("Complete") => "Complete",
        Ending::Success => "Completed",
        Ending::Failed(states) => states.iter().find(|word| has(word)).or(states.first()).copied().unwrap_or("Error"),
        Ending::Exactly(text) => text,
    }
    .to_owned()
}

/// How this CPE writes numbers and times.
struct Habits {
    wrapped: bool,
    coarse: bool,
    has_test_bytes: bool,
}

impl Habits {
    fn render(&self, value: &Value, ty: XsdType, began_us: i64) -> String {
        let counter = |bytes: u64| {
            let is_narrow = self.wrapped || ty == XsdType::UnsignedInt;
            if is_narrow { bytes & u64::from(u32::MAX) } else { bytes }
        };
        match value {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bytes(bytes) => counter(*bytes).to_string(),
            Value::TotalBytes { all, test } => match (counter(*all), counter(*test)) {
                // As if the interface's counter had wrapped while the test ran.
                (total, test) if self.wrapped && self.has_test_bytes && total >= test => (total - test).min(test / 2),
                (total, _) => total,
            }
            .to_string(),
            Value::At(offset) => self.time(began_us.saturating_add(micros(*offset))),
        }
    }

    /// UTC with microseconds, as TR-143 wants it.
    fn time(&self, unix_us: i64) -> String {
        match jiff::Timestamp::from_microsecond(unix_us) {
            Ok(time) if self.coarse => {
                let text = format!("{time:.0}");
                text.strip_suffix('Z').unwrap_or(&text).to_owned()
            }
            Ok(time) => format!("{time:.6}"),
            Err(_) => crate::simulator::transfer::UNKNOWN_TIME.to_owned(),
        }
    }
}

pub(super) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_wrap_and_times_have_microseconds() {
        let exact = Habits { wrapped: false, coarse: false, has_test_bytes: true };
        let odd = Habits { wrapped: true, coarse: true, has_test_bytes: true };
        let big = Value::Bytes((1 << 32) + 5);
        assert_eq!(exact.render(&big, XsdType::UnsignedLong, 0), "4294967301");
        assert_eq!(exact.render(&big, XsdType::UnsignedInt, 0), "5");
        assert_eq!(odd.render(&big, XsdType::UnsignedLong, 0), "5");
        let total = Value::TotalBytes { all: 1_100, test: 1_000 };
        assert_eq!(exact.render(&total, XsdType::UnsignedLong, 0), "1100");
        assert_eq!(odd.render(&total, XsdType::UnsignedLong, 0), "100");
        let at = Value::At(Duration::from_micros(1_500_001));
        assert_eq!(exact.render(&at, XsdType::DateTime, 1_705_314_600_000_000), "2024-01-15T10:30:01.500001Z");
        assert_eq!(odd.render(&at, XsdType::DateTime, 1_705_314_600_000_000), "2024-01-15T10:30:01");
    }
}
