//! What the operator is told.

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::Fault;
use crate::model::procedure::DoneItem;
use crate::model::transaction::{TransactionFault, VariableResult};

use super::super::get::mentions;
use super::super::{Desk, Ending, Step, faults, set};
use super::Converge;
use super::goal::Goal;

/// Most characters of a value in words.
const VALUE_CHARS_MAX: usize = 64;

/// There is no configuration, or it is empty.
pub(super) fn nothing_wanted() -> Step {
    Step::End(Ending::Completed { note: Some("nothing is wanted of this device".to_owned()) })
}

/// Adds to the results, and numbers them.
pub(super) fn add(desk: &mut Desk<'_>, results: Vec<VariableResult>) {
    desk.results.extend(results);
    for (variable, result) in (0_u32..).zip(desk.results.iter_mut()) {
        result.variable = variable;
    }
}

/// The verdict on a device that does not keep what it was given.
pub(super) fn changed_back(goal: &Goal, read: &VariableResult) -> TransactionFault {
    let (path, wanted) = (&goal.path, shown(&goal.text));
    let value = shown(read.value.as_deref().unwrap_or_default());
    faults::own(format!("the device keeps changing {path} back to '{value}' (wanted '{wanted}')"))
}

fn shown(value: &str) -> String {
    let mut text: String = value.chars().take(VALUE_CHARS_MAX).collect();
    if text.len() < value.len() {
        text.push('…');
    }
    text
}

impl Converge {
    /// The results so far: one for each parameter that was written in whatever session, and each attribute that was set,
    /// which has neither value nor type.
    pub(super) fn publish(&self, desk: &mut Desk<'_>) {
        let bare = |path: &str| VariableResult {
            variable: 0,
            path: path.into(),
            value: None,
            ty: None,
            instance_number: None,
            fault: None,
        };
        let written = desk.transaction.progress.done.iter().filter_map(|item| match item {
            DoneItem::Written { path } => {
                Some(self.goals.of(path).map_or_else(|| bare(path.as_str()), |goal| goal.result(None)))
            }
            DoneItem::Added { .. } | DoneItem::Deleted => None,
        });
        let set = self.attributes.done.iter().map(|path| bare(path.as_str()));
        let results = written.chain(set).collect();
        desk.results.clear();
        add(desk, results);
    }

    /// Done.
    pub(super) fn finish(&self, desk: &mut Desk<'_>) -> Step {
        self.publish(desk);
        let attributes = self.attributes.done.len();
        let parameters = desk.results.len().saturating_sub(attributes);
        let rows = usize::try_from(self.rows_added).unwrap_or(usize::MAX);
        let counted = [
            (rows, "row added", "rows added"),
            (parameters, "parameter written", "parameters written"),
            (attributes, "attribute set", "attributes set"),
        ];
        let counted: Vec<String> = counted
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
            .collect();
        let mut words = vec![if counted.is_empty() { "nothing differed".to_owned() } else { counted.join(", ") }];
        words.extend(set::note_of(self.later));
        words.extend(self.remarks.iter().cloned());
        Step::End(Ending::Completed { note: Some(words.join("; ")) })
    }

    /// What a refused `SetParameterValues` comes to: it names the parameter, as far as the device tells which.
    pub(super) fn refused(&self, desk: &mut Desk<'_>, goals: &[usize], fault: &Fault<'_>) -> TransactionFault {
        self.publish(desk);
        let goals: Vec<&Goal> = goals.iter().filter_map(|at| self.goals.get(*at)).collect();
        let about = |goal: &&Goal| {
            let about = set::fault_of_parameter(fault, goal.path.as_str())?;
            Some(goal.result(Some(about)))
        };
        let mut refused: Vec<VariableResult> = goals.iter().filter_map(about).collect();
        let whole = set::refusal(fault);
        let named: Vec<&Goal> = match goals.as_slice() {
            [only] => vec![*only],
            several => several.iter().copied().filter(|goal| mentions(&whole.message, goal.path.as_str())).collect(),
        };
        let whole = match (named.as_slice(), refused.is_empty()) {
            ([goal, ..], true) => {
                refused.push(goal.result(Some(whole.clone())));
                faults::named(goal.path.as_str(), whole)
            }
            ([], true) => {
                let paths: Vec<&str> = goals.iter().map(|goal| goal.path.as_str()).collect();
                faults::about(&paths, whole)
            }
            (_, false) => whole,
        };
        let is_gone = |result: &&VariableResult| {
            result.fault.as_ref().is_some_and(|fault| fault.code == CpeFaultCode::INVALID_NAME.0)
        };
        for gone in refused.iter().filter(is_gone) {
            faults::forget(desk.learned, &gone.path);
        }
        add(desk, refused);
        desk.transaction.progress.reread_types |=
            fault.parameters.iter().any(|parameter| parameter.code == CpeFaultCode::INVALID_TYPE);
        whole
    }
}
