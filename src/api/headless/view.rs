//! How headless operations look in answers: the work and, once it has ended, its results in the place of each variable.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::form::{VariableSchema, kind_word, type_word};
use crate::api::transaction::FaultView;
use crate::api::wanted::MASK;
use crate::api::words::{HeadlessWord, StatusWord, TypeWord};
use crate::model::transaction::{
    Assignment, NewObject, NewValue, Transaction, TransactionStatus, VariableResult, Work,
};
use crate::types::path::{ObjectPath, ReadPath};
use crate::types::value::XsdType;

/// A headless operation (rest-api.md 2.3).
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct HeadlessView {
    serial_number: String,
    #[schema(example = "get", value_type = HeadlessWord)]
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

/// A headless operation that was just scheduled: what was sent, and what it has become.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct HeadlessAccepted {
    serial_number: String,
    #[schema(example = "set", value_type = HeadlessWord)]
    operation: &'static str,
    /// Word for word.
    #[schema(value_type = Vec<VariableSchema>)]
    variables: Value,
    #[schema(example = "12345")]
    id: String,
    status: StatusWord,
    created_at: String,
}

impl HeadlessAccepted {
    pub(in crate::api) fn of(serial: String, sent: Option<Value>, transaction: &Transaction) -> Self {
        Self {
            serial_number: serial,
            operation: transaction.work.operation(),
            variables: sent.filter(Value::is_array).unwrap_or_else(|| Value::Array(Vec::new())),
            id: transaction.id.to_string(),
            status: transaction.status.into(),
            created_at: transaction.created_at.to_string(),
        }
    }
}

/// A variable: what was asked, and once it is known, what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct VariableView {
    variable_name: String,
    #[serde(flatten)]
    #[schema(inline, value_type = ContentSchema)]
    content: Content,
    /// Where the CPE named this parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fault: Option<FaultView>,
}

/// What [`Content`] looks like, whichever it is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
struct ContentSchema {
    /// Of a finished `get`: what was read, null where there was nothing. Of a `set`: what was given.
    value: Option<String>,
    /// Of a finished `get`: `integer`, `boolean` or `string`. Of a `set`: what was given.
    value_type: Option<TypeWord>,
    /// Of a finished `get`: as the device reported it.
    #[schema(example = "xsd:unsignedInt")]
    xsd_type: Option<String>,
    /// Of an `add.obj`: what was given.
    #[schema(nullable = false)]
    values: Option<Vec<RowValueView>>,
    /// Of an `add.obj`: the number of the row that it gave.
    #[schema(nullable = false)]
    instance_number: Option<u32>,
    /// Of an `add.obj`: the path of that row.
    #[schema(nullable = false)]
    object_path: Option<String>,
}

/// What a variable holds besides its name.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Content {
    /// Of a finished `get`: what was read, null where there was nothing.
    Read {
        value: Option<String>,
        /// `integer`, `boolean` or `string`.
        value_type: Option<&'static str>,
        /// As the device reported it.
        xsd_type: Option<&'static str>,
    },
    /// Of a `set`: what was given, stars where the device would hide it.
    Given {
        value: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        value_type: Option<&'static str>,
    },
    /// Of an `add.obj`: what was given, and the row that it gave.
    Row {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        values: Vec<RowValueView>,
        #[serde(skip_serializing_if = "Option::is_none")]
        instance_number: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        object_path: Option<String>,
    },
    /// Nothing more.
    Name {},
}

/// A value of a row to be added.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RowValueView {
    variable_name: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TypeWord>, nullable = false)]
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
            let names = paths.iter().map(ReadPath::as_str);
            names.zip(0..).flat_map(|(name, index)| read_variables(name, index, transaction.status, results)).collect()
        }
        Work::Set { assignments } => {
            assignments.iter().zip(0..).map(|(assignment, index)| set_variable(assignment, index, results)).collect()
        }
        Work::AddObject { objects } => {
            objects.iter().zip(0..).map(|(object, index)| added_variable(object, index, results)).collect()
        }
        Work::DeleteObject { objects } => {
            objects.iter().zip(0..).map(|(object, index)| deleted_variable(object, index, results)).collect()
        }
        Work::Reboot
        | Work::FactoryReset
        | Work::Sync
        | Work::Reconfigure
        | Work::DeviceFactory
        | Work::Configure(_)
        | Work::Diagnose(_)
        | Work::Download(_)
        | Work::Upload(_)
        | Work::Call(_)
        | Work::Discover { .. } => Vec::new(),
    }
}

/// What one variable of a `get` has become: itself, or the parameters that were found below it.
fn read_variables(name: &str, index: u32, status: TransactionStatus, results: &[VariableResult]) -> Vec<VariableView> {
    let found: Vec<VariableView> =
        results.iter().filter(|result| result.variable == index).map(read_variable).collect();
    if !found.is_empty() {
        return found;
    }
    // An empty subtree has an entry all the same.
    let content = if status == TransactionStatus::Completed {
        Content::Read { value: None, value_type: None, xsd_type: None }
    } else {
        Content::Name {}
    };
    vec![VariableView { variable_name: name.to_owned(), content, fault: None }]
}

fn read_variable(result: &VariableResult) -> VariableView {
    let content = if result.fault.is_some() {
        Content::Name {}
    } else {
        Content::Read {
            value: result.value.as_deref().map(str::to_owned),
            value_type: result.ty.map(|ty| kind_word(ty.kind())),
            xsd_type: result.ty.map(XsdType::qualified),
        }
    };
    VariableView { variable_name: result.path.to_string(), content, fault: fault(result) }
}

fn set_variable(assignment: &Assignment, index: u32, results: &[VariableResult]) -> VariableView {
    let shown = assignment.value.plain().filter(|_| !assignment.path.hides_its_value());
    let value = shown.unwrap_or(MASK).to_owned();
    let content = Content::Given { value, value_type: assignment.ty.map(type_word) };
    let fault = result_of(index, results).and_then(fault);
    VariableView { variable_name: assignment.path.to_string(), content, fault }
}

fn added_variable(object: &NewObject, index: u32, results: &[VariableResult]) -> VariableView {
    let result = result_of(index, results);
    let instance_number = result.and_then(|result| result.instance_number);
    let content = Content::Row {
        values: object.values.iter().map(|value| RowValueView::of(object, value)).collect(),
        instance_number,
        object_path: instance_number.map(|instance| object.table.instance(instance).to_string()),
    };
    VariableView { variable_name: object.table.to_string(), content, fault: result.and_then(fault) }
}

fn deleted_variable(object: &ObjectPath, index: u32, results: &[VariableResult]) -> VariableView {
    let fault = result_of(index, results).and_then(fault);
    VariableView { variable_name: object.to_string(), content: Content::Name {}, fault }
}

impl RowValueView {
    fn of(object: &NewObject, value: &NewValue) -> Self {
        let shown = value.value.plain().filter(|_| !value.is_hidden(&object.table));
        Self {
            variable_name: value.leaf.clone(),
            value: shown.unwrap_or(MASK).to_owned(),
            value_type: value.ty.map(type_word),
        }
    }
}

fn result_of(index: u32, results: &[VariableResult]) -> Option<&VariableResult> {
    results.iter().find(|result| result.variable == index)
}

fn fault(result: &VariableResult) -> Option<FaultView> {
    result.fault.as_ref().map(FaultView::of)
}
