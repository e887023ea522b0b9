//! What calls bring, as results of a transaction: lists of records under the names that the schema has for them, such as
//! `OptionList.2.State`. Written and read here, so that both know the same names.

use crate::model::transaction::{TransactionFault, VariableResult};
use crate::types::value::{XsdType, parse_boolean};

/// Longest text taken over from a device, in characters.
const TEXT_MAX_CHARS: usize = 1024;
/// Most records of a list.
const RECORDS_MAX: u32 = 100_000;

/// Of a discovery: how many names it found.
pub const TOTAL: &str = "Total";
/// Of a discovery: how many objects it had to leave out.
pub const SKIPPED: &str = "Skipped";

/// The lists that answers consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultList {
    /// Of `GetRPCMethods`: plain names.
    Methods,
    /// Of `GetParameterNames`, `GetParameterAttributes`, `SetParameterAttributes`.
    Parameters,
    /// Of `GetQueuedTransfers` and `GetAllQueuedTransfers`.
    Transfers,
    /// Of `GetOptions`.
    Options,
    /// Of `DUStateChangeComplete`: one for each operation, in their order.
    Operations,
}

impl ResultList {
    /// The name of the schema.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Methods => "MethodList",
            Self::Parameters => "ParameterList",
            Self::Transfers => "TransferList",
            Self::Options => "OptionList",
            Self::Operations => "Results",
        }
    }
}

/// Writes the records of one list.
#[derive(Debug)]
pub struct Writer<'r> {
    results: &'r mut Vec<VariableResult>,
    list: ResultList,
    number: u32,
}

impl<'r> Writer<'r> {
    /// Of a list, behind what is there.
    pub const fn new(list: ResultList, results: &'r mut Vec<VariableResult>) -> Self {
        Self { results, list, number: 0 }
    }

    /// Begins the next record; `false`: there are too many.
    pub fn begin(&mut self) -> bool {
        if self.number >= RECORDS_MAX {
            return false;
        }
        self.number += 1;
        true
    }

    /// The record itself, where it is a plain text.
    pub fn item(&mut self, value: &str) {
        let path = format!("{}.{}", self.list.as_str(), self.number);
        self.push(path, Some((value, XsdType::String)), None);
    }

    /// A field.
    pub fn text(&mut self, field: &str, value: &str) {
        self.push(self.path(field), Some((value, XsdType::String)), None);
    }

    /// A field.
    pub fn number(&mut self, field: &str, value: impl Into<i64>) {
        let value = value.into().to_string();
        self.push(self.path(field), Some((&value, XsdType::Long)), None);
    }

    /// A field.
    pub fn boolean(&mut self, field: &str, value: bool) {
        let value = if value { "true" } else { "false" };
        self.push(self.path(field), Some((value, XsdType::Boolean)), None);
    }

    /// Why the record did not come about.
    pub fn fault(&mut self, fault: TransactionFault) {
        self.push(self.path("Fault"), None, Some(fault));
    }

    fn path(&self, field: &str) -> String {
        format!("{}.{}.{field}", self.list.as_str(), self.number)
    }

    fn push(&mut self, path: String, value: Option<(&str, XsdType)>, fault: Option<TransactionFault>) {
        self.results.push(VariableResult {
            variable: self.number.saturating_sub(1),
            path: path.into(),
            value: value.map(|(value, _)| value.chars().take(TEXT_MAX_CHARS).collect::<String>().into()),
            ty: value.map(|(_, ty)| ty),
            instance_number: None,
            fault,
        });
    }
}

/// A record as it was written.
#[derive(Debug, Clone)]
pub struct Record<'r> {
    /// Beginning with the first of its results.
    fields: Vec<(&'r str, &'r VariableResult)>,
}

impl<'r> Record<'r> {
    /// The record itself, where it is a plain text.
    #[must_use]
    pub fn item(&self) -> Option<&'r str> {
        self.text("")
    }

    /// A field.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&'r str> {
        self.field(field)?.value.as_deref()
    }

    /// A field.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<i64> {
        self.text(field)?.parse().ok()
    }

    /// A field.
    #[must_use]
    pub fn boolean(&self, field: &str) -> Option<bool> {
        parse_boolean(self.text(field)?)
    }

    /// Why it did not come about.
    #[must_use]
    pub fn fault(&self) -> Option<&'r TransactionFault> {
        self.fields.iter().find_map(|(_, result)| result.fault.as_ref())
    }

    fn field(&self, field: &str) -> Option<&'r VariableResult> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, result)| *result)
    }
}

/// The records of a list, in their order.
#[must_use]
pub fn records(results: &[VariableResult], list: ResultList) -> Vec<Record<'_>> {
    let mut records: Vec<(&str, Record<'_>)> = Vec::new();
    for result in results {
        let Some(rest) = result.path.strip_prefix(list.as_str()).and_then(|rest| rest.strip_prefix('.')) else {
            continue;
        };
        let (number, field) = rest.split_once('.').unwrap_or((rest, ""));
        match records.last_mut() {
            Some((last, record)) if *last == number => record.fields.push((field, result)),
            _ => records.push((number, Record { fields: vec![(field, result)] })),
        }
    }
    records.into_iter().map(|(_, record)| record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let mut results = Vec::new();
        let mut writer = Writer::new(ResultList::Options, &mut results);
        for number in 1..=12 {
            assert!(writer.begin());
            writer.text("OptionName", &format!("option {number}"));
            writer.number("State", number);
            writer.boolean("IsTransferable", number == 2);
        }
        let mut writer = Writer::new(ResultList::Methods, &mut results);
        assert!(writer.begin());
        writer.item("Reboot");
        assert_eq!(&*results[3].path, "OptionList.2.OptionName");
        let options = records(&results, ResultList::Options);
        assert_eq!(options.len(), 12);
        assert_eq!(options[1].text("OptionName"), Some("option 2"));
        assert_eq!((options[1].number("State"), options[1].boolean("IsTransferable")), (Some(2), Some(true)));
        assert_eq!(records(&results, ResultList::Methods)[0].item(), Some("Reboot"));
        assert!(records(&results, ResultList::Transfers).is_empty());
    }
}
