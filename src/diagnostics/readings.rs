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

    /// As [`number`](Self::number), of either sign.
    pub(super) fn signed(&self, leaf: &str) -> Option<i64> {
        let text = self.leaves.get(leaf)?;
        let text = text.split(' ').next().unwrap_or(text).trim_end_matches("dBm");
        // Some devices say -61.5.
        let whole = text.split('.').next().unwrap_or(text);
        whole.strip_prefix('+').unwrap_or(whole).parse().ok()
    }
}

/// A number as devices write it: with a plus sign, blanks, or `(null)` where there is none (quirk 18).
fn count(text: &str) -> Option<u64> {
    let text = text.trim();
    text.strip_prefix('+').unwrap_or(text).parse().ok()
}

/// The parts of a list: separated by commas, blanks around them.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}
