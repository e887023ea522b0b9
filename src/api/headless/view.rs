//! How headless operations look in answers: the work and, once it has ended, its results in the place of each variable.

use serde::Serialize;
use utoipa::ToSchema;

use super::form::{kind_word, type_word};
use crate::api::transaction::FaultView;
use crate::api::words::StatusWord;
use crate::model::transaction::{
    Assignment, NewObject, NewValue, Transaction, TransactionStatus, TypeHint, VariableResult, Work,
};
use crate::types::value::XsdType;

/// A headless operation (rest-api.md 2.3).
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct HeadlessView {
    serial_number: String,
    #[schema(example = "get")]
    operation: &'static str,
    variables: Vec<VariableView>,
    #[schema(example = "12345")]
    id: String,
    status: StatusWord,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    fault: Option<FaultView>,
}

/// A variable: what was asked, and once it is known, what came of it.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(default)]
pub(in crate::api) struct VariableView {
    variable_name: String,
    /// Of a `set` what was given; of a finished `get` what was read, null where there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    value: Option<Option<String>>,
    /// Of a `set` what was given; of a finished `get` `integer`, `boolean` or `string`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    value_type: Option<Option<&'static str>>,
    /// Of a finished `get`, as the device reported it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "xsd:unsignedInt")]
    xsd_type: Option<Option<&'static str>>,
    /// Of an `add.obj`, what was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<RowValueView>,
    /// Of a finished `add.obj`.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_number: Option<u32>,
    /// Of a finished `add.obj`.
    #[serde(skip_serializing_if = "Option::is_none")]
    object_path: Option<String>,
    /// Where the CPE named this parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<FaultView>,
}

/// A value of a row to be added.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RowValueView {
    variable_name: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_type: Option<&'static str>,
}

impl HeadlessView {
    pub(in crate::api) fn of(serial: String, transaction: &Transaction, results: &[VariableResult]) -> Self {
        Self {
            serial_number: serial,
            operation: transaction.work.operation(),
            variables: variables(transaction, results),
            id: transaction.id.to_string(),
            status: transaction.status.into(),
            created_at: transaction.created_at.to_string(),
            started_at: transaction.started_at.map(|at| at.to_string()),
            completed_at: transaction.completed_at.map(|at| at.to_string()),
            fault: if transaction.status.is_final() { transaction.fault.as_ref().map(FaultView::of) } else { None },
        }
    }
}

fn variables(transaction: &Transaction, results: &[VariableResult]) -> Vec<VariableView> {
    match &transaction.work {
        Work::Get { paths } if paths.is_empty() => results.iter().map(read_variable).collect(),
        Work::Get { paths } => {
            let names = paths.iter().map(|path| path.as_str());
            names.zip(0..).flat_map(|(name, index)| read_variables(name, index, transaction.status, results)).collect()
        }
        Work::Set { assignments } => {
            assignments.iter().zip(0..).map(|(assignment, index)| set_variable(assignment, index, results)).collect()
        }
        Work::AddObject { objects } => {
            objects.iter().zip(0..).map(|(object, index)| added_variable(object, index, results)).collect()
        }
        Work::DeleteObject { objects } => objects
            .iter()
            .zip(0..)
            .map(|(object, index)| VariableView {
                variable_name: object.to_string(),
                fault: result_of(index, results).and_then(fault),
                ..VariableView::default()
            })
            .collect(),
        Work::Reboot | Work::FactoryReset | Work::Configure(_) => Vec::new(),
    }
}

/// What one variable of a `get` has become: itself, or the parameters that were found below it.
fn read_variables(name: &str, index: u32, status: TransactionStatus, results: &[VariableResult]) -> Vec<VariableView> {
    let found: Vec<VariableView> =
        results.iter().filter(|result| result.variable == index).map(read_variable).collect();
    if !found.is_empty() {
        return found;
    }
    let nothing = VariableView { variable_name: name.to_owned(), ..VariableView::default() };
    // An empty subtree has an entry all the same.
    let empty = status == TransactionStatus::Completed;
    vec![if empty {
        VariableView { value: Some(None), value_type: Some(None), xsd_type: Some(None), ..nothing }
    } else {
        nothing
    }]
}

fn read_variable(result: &VariableResult) -> VariableView {
    let name = VariableView { variable_name: result.path.to_string(), ..VariableView::default() };
    if result.fault.is_some() {
        return VariableView { fault: fault(result), ..name };
    }
    VariableView {
        value: Some(result.value.as_deref().map(str::to_owned)),
        value_type: Some(result.ty.map(|ty| kind_word(ty.kind()))),
        xsd_type: Some(result.ty.map(XsdType::qualified)),
        ..name
    }
}

fn set_variable(assignment: &Assignment, index: u32, results: &[VariableResult]) -> VariableView {
    VariableView {
        variable_name: assignment.path.to_string(),
        value: Some(Some(assignment.value.clone())),
        value_type: assignment.ty.map(|ty| Some(type_word(ty))),
        fault: result_of(index, results).and_then(fault),
        ..VariableView::default()
    }
}

fn added_variable(object: &NewObject, index: u32, results: &[VariableResult]) -> VariableView {
    let result = result_of(index, results);
    let instance_number = result.and_then(|result| result.instance_number);
    VariableView {
        variable_name: object.table.to_string(),
        values: object.values.iter().map(RowValueView::of).collect(),
        instance_number,
        object_path: instance_number.map(|instance| object.table.instance(instance).to_string()),
        fault: result.and_then(fault),
        ..VariableView::default()
    }
}

impl RowValueView {
    fn of(value: &NewValue) -> Self {
        let value_type: Option<TypeHint> = value.ty;
        Self { variable_name: value.leaf.clone(), value: value.value.clone(), value_type: value_type.map(type_word) }
    }
}

fn result_of(index: u32, results: &[VariableResult]) -> Option<&VariableResult> {
    results.iter().find(|result| result.variable == index)
}

fn fault(result: &VariableResult) -> Option<FaultView> {
    result.fault.as_ref().map(FaultView::of)
}
