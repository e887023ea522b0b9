//! Deployment units: how a change is ordered, and what its report comes to (TR-069 A.4.1.10, A.4.2.3).

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::Text;
use crate::cwmp::message::acs::{ChangeDuState, DuOperation};
use crate::cwmp::message::cpe::{DuResult, DuStateChangeComplete};
use crate::model::call::results::{ResultList, Writer};
use crate::model::call::{DuAction, DuChange};
use crate::model::transaction::{TransactionFault, VariableResult};

use super::super::Ending;
use super::super::faults;

/// Most results that are kept of a report.
const RESULTS_MAX: usize = 256;

/// The call; an empty text is left out. There is one password for each operation.
pub(super) fn request(
    operations: &[DuChange],
    passwords: &[String],
    command_key: Text<'static>,
) -> ChangeDuState<'static> {
    let given = |text: &str| (!text.is_empty()).then(|| Text::Owned(text.to_owned()));
    let no_password = String::new();
    let operations = operations.iter().enumerate().map(|(at, change)| {
        let password = given(passwords.get(at).unwrap_or(&no_password));
        match change.action {
            DuAction::Install => DuOperation::Install {
                url: Text::Owned(change.url.clone()),
                uuid: given(&change.uuid),
                username: given(&change.username),
                password,
                execution_env_ref: given(&change.execution_env_ref),
            },
            DuAction::Update => DuOperation::Update {
                uuid: given(&change.uuid),
                version: given(&change.version),
                url: given(&change.url),
                username: given(&change.username),
                password,
            },
            DuAction::Uninstall => DuOperation::Uninstall {
                uuid: Text::Owned(change.uuid.clone()),
                version: given(&change.version),
                execution_env_ref: given(&change.execution_env_ref),
            },
        }
    });
    ChangeDuState { operations: operations.collect(), command_key }
}

/// What the report comes to. One operation that failed fails the whole; what became of the others is told all the same.
pub(super) fn ending(operations: &[DuChange], report: &DuStateChangeComplete<'_>) -> (Ending, Vec<VariableResult>) {
    let mut results = Vec::new();
    let mut first = None;
    let mut failed = 0_usize;
    let mut writer = Writer::new(ResultList::Operations, &mut results);
    for (at, result) in report.results.iter().take(RESULTS_MAX).enumerate() {
        if !writer.begin() {
            break;
        }
        let ordered = operations.get(at);
        write(&mut writer, ordered, result);
        if result.has_failed() {
            let fault = fault_of(result);
            failed = failed.saturating_add(1);
            let target = target(ordered, result);
            first.get_or_insert_with(|| TransactionFault {
                message: format!("{target}: {}", fault.message),
                ..fault.clone()
            });
            writer.fault(fault);
        }
    }
    let (reported, ordered) = (report.results.len(), operations.len());
    let ending = match first {
        Some(fault) if ordered > 1 => {
            let message = format!("{} ({failed} of {ordered} operations failed)", fault.message);
            Ending::Failed(TransactionFault { message, ..fault })
        }
        Some(fault) => Ending::Failed(fault),
        None if reported == 0 => Ending::Failed(faults::own("the device reported no result of any operation")),
        None => Ending::Completed {
            note: (reported < ordered).then(|| format!("the device reported {reported} of {ordered} operations only")),
        },
    };
    (ending, results)
}

fn write(writer: &mut Writer<'_>, ordered: Option<&DuChange>, result: &DuResult<'_>) {
    if let Some(ordered) = ordered {
        writer.text("Operation", ordered.action.as_str());
    }
    writer.text("UUID", &result.uuid);
    writer.text("DeploymentUnitRef", &result.deployment_unit_ref);
    writer.text("Version", &result.version);
    writer.text("CurrentState", &result.current_state);
    writer.boolean("Resolved", result.resolved);
    writer.text("ExecutionUnitRefList", &result.execution_unit_ref_list);
    writer.text("StartTime", &result.start_time);
    writer.text("CompleteTime", &result.complete_time);
}

fn fault_of(result: &DuResult<'_>) -> TransactionFault {
    match result.fault.code {
        0 => faults::own("the device gives no reason"),
        code => TransactionFault { code, message: faults::words(CpeFaultCode(code), &result.fault.message) },
    }
}

/// Which unit it is about, and what was to be done with it.
fn target(ordered: Option<&DuChange>, result: &DuResult<'_>) -> String {
    let names = ordered.map(|ordered| [ordered.uuid.as_str(), &ordered.url, &ordered.version]);
    let name = names.into_iter().flatten().chain([&*result.uuid]).find(|name| !name.is_empty()).unwrap_or("the unit");
    match ordered {
        Some(ordered) => format!("{} of {name}", ordered.action.as_str()),
        None => name.chars().take(256).collect(),
    }
}
