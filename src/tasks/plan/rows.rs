//! Rows of tables, added and deleted one after the other: what both procedures, and wanted rows, have in common.

mod add;
mod delete;

use std::borrow::Cow;

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::{AddObject, DeleteObject, GetParameterNames, ParameterNames};
use crate::cwmp::message::{Request, Response};
use crate::cwmp::session::Answer;
use crate::model::transaction::{TransactionFault, VariableResult};
use crate::types::ident::TransactionId;
use crate::types::path::ObjectPath;

use super::faults;

pub(super) use add::Add;
pub(super) use delete::Delete;

/// Why an `AddObject` has to be looked into. A call that shows no effect is not repeated in the session it was made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// An earlier session broke off.
    Earlier,
    /// This session goes on, but the answer did not come.
    Unanswered,
    /// The answer named no row (quirks 51 and 70).
    Unnumbered,
}

/// Lists the rows of a table.
pub(super) fn list_call(table: &ObjectPath) -> Request<'static> {
    Request::GetParameterNames(GetParameterNames { path: Cow::Owned(table.as_str().to_owned()), next_level: true })
}

/// Adds a row.
pub(super) fn add_call(table: &ObjectPath, id: TransactionId) -> Request<'static> {
    Request::AddObject(AddObject {
        object_name: Cow::Owned(table.as_str().to_owned()),
        parameter_key: id.to_string().into(),
    })
}

/// Deletes a row.
pub(super) fn delete_call(row: &ObjectPath, id: TransactionId) -> Request<'static> {
    Request::DeleteObject(DeleteObject {
        object_name: Cow::Owned(row.as_str().to_owned()),
        parameter_key: id.to_string().into(),
    })
}

/// Whether this answer to `DeleteObject` says that the row is gone. What is not there need not be deleted.
pub(super) fn is_gone(answer: &Answer<'_>) -> bool {
    match answer {
        Answer::Response(Response::DeleteObject(_)) => true,
        Answer::Fault(fault) => fault.code == CpeFaultCode::INVALID_NAME,
        Answer::Response(_) | Answer::Mismatch | Answer::Missing => false,
    }
}

/// The rows that a table has gained.
pub(super) fn new_rows(before: &[u32], after: &[u32]) -> Vec<u32> {
    after.iter().copied().filter(|instance| !before.contains(instance)).collect()
}

/// The verdict on a table that has gained several rows since `AddObject` was sent.
pub(super) fn ambiguous(new: &[u32]) -> TransactionFault {
    faults::own(format!(
        "the answer to AddObject was lost and the table has {} new rows ({new:?}): which is ours cannot be told",
        new.len()
    ))
}

/// The instance numbers among what a table lists: some devices leave out the final dot (quirk 20) or ignore `NextLevel`.
pub(super) fn instances(table: &ObjectPath, names: &ParameterNames<'_>) -> Vec<u32> {
    let number = |name: &str| name.strip_prefix(table.as_str())?.split('.').next()?.parse().ok();
    let mut rows: Vec<u32> = names.parameters.iter().filter_map(|info| number(&info.name)).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

fn bare(variable: u32, path: &str, fault: Option<TransactionFault>) -> VariableResult {
    VariableResult { variable, path: path.into(), value: None, ty: None, instance_number: None, fault }
}
