//! Reading headless operations from a body, and checking values against their types.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::body::{Element, Fields, sentence};
use crate::api::error::FieldErrors;
use crate::api::wanted::MASK;
use crate::api::words::{HeadlessWord, TypeWord, not_a_choice};
use crate::model::device::Parameter;
use crate::model::transaction::{Assignment, NewObject, NewValue, TypeHint, Work};
use crate::types::path::{ObjectPath, ParameterPath, PathError, ReadPath, hides_its_value};
use crate::types::secret::MaybeSealed;
use crate::types::value::{ValueKind, XsdType};

/// The four operations.
pub(in crate::api) const OPERATIONS: [&str; 4] = ["get", "set", "add.obj", "del.obj"];
/// Longest value, in characters; more than any data model allows and less than a body.
const VALUE_MAX_CHARS: usize = 512 * 1024;
/// Of the whole operation, what answers have and writes ignore.
const READ_ONLY: [&str; 6] = ["id", "status", "created_at", "started_at", "completed_at", "fault"];
/// Of a variable, the same.
const VARIABLE_READ_ONLY: [&str; 4] = ["xsd_type", "instance_number", "object_path", "fault"];

/// A headless operation to be scheduled.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = HeadlessOrder, example = json!({
    "serial_number": "SN123456789", "operation": "set",
    "variables": [{"variable_name": "Device.ManagementServer.PeriodicInformInterval", "value": "300",
                   "value_type": "integer"}]
}))]
pub(in crate::api) struct HeadlessSchema {
    #[schema(min_length = 1, max_length = 256)]
    serial_number: String,
    /// `get`, `set`, `add.obj` or `del.obj`.
    #[schema(value_type = HeadlessWord)]
    operation: String,
    /// A `get` without any reads the whole tree.
    variables: Option<Vec<VariableSchema>>,
}

/// What an operation is about.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = HeadlessVariable)]
pub(in crate::api) struct VariableSchema {
    /// A parameter, or an object with its final dot.
    #[schema(min_length = 1, max_length = 256)]
    variable_name: String,
    /// For `set`: always a string.
    #[schema(max_length = 524_288, nullable = false)]
    value: Option<String>,
    /// For `set`: `integer`, `boolean`, `string`, or an XML Schema name such as `unsignedInt`; may be left out.
    #[schema(value_type = Option<TypeWord>)]
    value_type: Option<String>,
    /// For `add.obj`: values of the new row, with names relative to it.
    values: Option<Vec<RowValueSchema>>,
}

/// A value of a row to be added.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = HeadlessRowValue)]
pub(in crate::api) struct RowValueSchema {
    /// Relative to the row: `Enable`.
    #[schema(min_length = 1, max_length = 256)]
    variable_name: String,
    /// Always a string.
    #[schema(max_length = 524_288)]
    value: String,
    /// As for `set`.
    #[schema(value_type = Option<TypeWord>)]
    value_type: Option<String>,
}

/// A headless operation as it was read.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) serial: String,
    pub(super) work: Work,
}

/// Reads an operation; everything that is wrong at once.
pub(super) fn read(body: Map<String, Value>) -> Result<Order, FieldErrors> {
    let mut fields = Fields::new(body);
    let serial = fields.filled_line("serial_number");
    let serial = fields.require("serial_number", serial);
    let operation = fields.parsed("operation", |word| {
        let mut known = OPERATIONS.into_iter();
        known.find(|known| *known == word).ok_or_else(|| not_a_choice(word, &OPERATIONS))
    });
    let operation = fields.require("operation", operation);
    let variables = fields.nullable("variables", Fields::objects).flatten().unwrap_or_default();
    let work = match operation {
        Some(operation) => read_work(&mut fields, operation, variables),
        None => {
            // What each variable needs is not known; what none may be is.
            fields
                .element_errors("variables", variables.into_iter().map(|one| one.err().unwrap_or_default()).collect());
            None
        }
    };
    fields.finish(&READ_ONLY)?;
    match (serial, work) {
        (Some(serial), Some(work)) => Ok(Order { serial, work }),
        // Unreachable: what is missing has been an error above.
        _ => Err(FieldErrors::one("operation", "This field is required.")),
    }
}

fn read_work(fields: &mut Fields, operation: &str, variables: Vec<Element>) -> Option<Work> {
    if variables.is_empty() && operation != "get" {
        // What is there but no list has its error already.
        fields.require::<()>("variables", None);
        return None;
    }
    match operation {
        "get" => read_each(fields, variables, read_path).map(|paths| Work::Get { paths }),
        "set" => read_assignments(fields, variables).map(|assignments| Work::Set { assignments }),
        "add.obj" => read_each(fields, variables, read_object).map(|objects| Work::AddObject { objects }),
        _ => read_each(fields, variables, read_instance).map(|objects| Work::DeleteObject { objects }),
    }
}

/// Reads what a `set` writes, from `variables`.
pub(in crate::api) fn read_assignments(fields: &mut Fields, variables: Vec<Element>) -> Option<Vec<Assignment>> {
    let assignments = read_each(fields, variables, read_assignment)?;
    refuse_duplicates(fields, &assignments).then_some(assignments)
}

/// Reads the elements of `variables`; `None` when any is wrong.
fn read_each<T>(
    fields: &mut Fields,
    variables: Vec<Element>,
    read: fn(Fields) -> Result<T, FieldErrors>,
) -> Option<Vec<T>> {
    let mut items = Vec::with_capacity(variables.len());
    let mut errors = Vec::with_capacity(variables.len());
    for variable in variables {
        match variable.and_then(|variable| read(Fields::new(variable))) {
            Ok(item) => {
                items.push(item);
                errors.push(FieldErrors::default());
            }
            Err(wrong) => errors.push(wrong),
        }
    }
    let complete = items.len() == errors.len();
    if !complete {
        fields.element_errors("variables", errors);
    }
    complete.then_some(items)
}

fn read_path(mut variable: Fields) -> Result<ReadPath, FieldErrors> {
    let path = variable.parsed("variable_name", |text| ReadPath::try_from(text));
    let path = variable.require("variable_name", path);
    // What a finished `get` was answered with may be sent again.
    let read_only: Vec<&str> = VARIABLE_READ_ONLY.into_iter().chain(["value", "value_type"]).collect();
    variable.finish(&read_only)?;
    path.ok_or_else(required)
}

fn read_instance(mut variable: Fields) -> Result<ObjectPath, FieldErrors> {
    let path = variable.parsed("variable_name", |text| {
        let path = ObjectPath::try_from(text)?;
        if path.is_instance() { Ok(path) } else { Err(PathError::NotAnInstance) }
    });
    let path = variable.require("variable_name", path);
    variable.finish(&VARIABLE_READ_ONLY)?;
    path.ok_or_else(required)
}

fn read_assignment(mut variable: Fields) -> Result<Assignment, FieldErrors> {
    let path = variable.parsed("variable_name", |text| ParameterPath::try_from(text));
    let path = variable.require("variable_name", path);
    let typed = read_typed_value(&mut variable);
    if let (Some(path), Some((value, _))) = (&path, &typed)
        && let Some(reason) = check_mask(path.as_str(), value)
    {
        variable.error("value", sentence(&reason));
    }
    variable.finish(&VARIABLE_READ_ONLY)?;
    let (Some(path), Some((value, ty))) = (path, typed) else { return Err(required()) };
    Ok(Assignment { path, value: value.into(), ty })
}

fn read_object(mut variable: Fields) -> Result<NewObject, FieldErrors> {
    let table = variable.parsed("variable_name", |text| ObjectPath::try_from(text));
    let table = variable.require("variable_name", table);
    let rows = variable.nullable("values", Fields::objects).flatten().unwrap_or_default();
    let mut values = Vec::with_capacity(rows.len());
    let mut errors = Vec::with_capacity(rows.len());
    for row in rows {
        match row.and_then(|row| read_row_value(Fields::new(row), table.as_ref())) {
            Ok(value) => {
                values.push(value);
                errors.push(FieldErrors::default());
            }
            Err(wrong) => errors.push(wrong),
        }
    }
    variable.element_errors("values", errors);
    variable.finish(&VARIABLE_READ_ONLY)?;
    Ok(NewObject { table: table.ok_or_else(required)?, values })
}

fn read_row_value(mut row: Fields, table: Option<&ObjectPath>) -> Result<NewValue, FieldErrors> {
    let leaf = row.parsed("variable_name", |text| {
        // Checked as part of a full path: it must fit behind any row of the table.
        match table {
            Some(table) => table.instance(1).leaf(text)?,
            None => ParameterPath::try_from(text)?,
        };
        Ok::<_, PathError>(text.to_owned())
    });
    let leaf = row.require("variable_name", leaf);
    let typed = read_typed_value(&mut row);
    if let (Some(leaf), Some((value, _))) = (&leaf, &typed)
        && let Some(reason) = check_mask(&format!("{}{leaf}", table.map_or("", ObjectPath::as_str)), value)
    {
        row.error("value", sentence(&reason));
    }
    row.finish(&[])?;
    let (Some(leaf), Some((value, ty))) = (leaf, typed) else { return Err(required()) };
    Ok(NewValue { leaf, value: value.into(), ty })
}

/// `value` and `value_type`, the one checked against the other.
fn read_typed_value(fields: &mut Fields) -> Option<(String, Option<TypeHint>)> {
    let value = fields.text("value", VALUE_MAX_CHARS);
    let value = fields.require("value", value);
    let ty = fields.nullable("value_type", |fields, name| {
        fields.parsed(name, |text| parse_type(text).ok_or_else(|| not_a_choice(text, &TYPE_NAMES)))
    });
    let value = value?;
    if let Some(reason) = check_characters(&value).or_else(|| check_hint(ty.flatten(), &value)) {
        fields.error("value", sentence(&reason));
        return None;
    }
    Some((value, ty.flatten()))
}

fn refuse_duplicates(fields: &mut Fields, assignments: &[Assignment]) -> bool {
    let mut seen = std::collections::HashSet::new();
    let errors: Vec<FieldErrors> = assignments
        .iter()
        .map(|assignment| {
            if seen.insert(assignment.path.as_str()) {
                FieldErrors::default()
            } else {
                FieldErrors::one("variable_name", "Is set twice.")
            }
        })
        .collect();
    let unique = errors.iter().all(FieldErrors::is_empty);
    fields.element_errors("variables", errors);
    unique
}

/// Names of types, for the one who gave another.
pub(in crate::api) const TYPE_NAMES: [&str; 12] = [
    "integer",
    "boolean",
    "string",
    "int",
    "unsignedInt",
    "long",
    "unsignedLong",
    "decimal",
    "dateTime",
    "base64",
    "base64Binary",
    "hexBinary",
];

/// The documented words first; then the exact names, with `xsd:` or without.
pub(in crate::api) fn parse_type(word: &str) -> Option<TypeHint> {
    match word {
        "integer" => return Some(TypeHint::Kind(ValueKind::Integer)),
        "boolean" => return Some(TypeHint::Kind(ValueKind::Boolean)),
        "string" => return Some(TypeHint::Kind(ValueKind::String)),
        _ => {}
    }
    let local = word.strip_prefix("xsd:").unwrap_or(word);
    XsdType::ALL.into_iter().find(|ty| ty.local_name() == local).map(TypeHint::Exact)
}

/// The word for a type that an answer shows: what [`parse_type`] reads as the same.
pub(in crate::api) fn type_word(hint: TypeHint) -> &'static str {
    match hint {
        TypeHint::Kind(kind) => kind_word(kind),
        TypeHint::Exact(exact @ (XsdType::String | XsdType::Boolean)) => exact.qualified(),
        TypeHint::Exact(exact) => exact.local_name(),
    }
}

/// The documented word.
pub(in crate::api) fn kind_word(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Integer => "integer",
        ValueKind::Boolean => "boolean",
        ValueKind::String => "string",
    }
}

/// What no XML document can carry (XML 1.0 §2.2).
pub(in crate::api) fn check_characters(value: &str) -> Option<&'static str> {
    let forbidden =
        |c: char| (c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    value.contains(forbidden).then_some("may not contain control characters")
}

/// An order that was read back shows stars in the place of a secret: sent again, they would become the secret.
pub(in crate::api) fn check_mask(path: &str, value: &str) -> Option<&'static str> {
    (value == MASK && hides_its_value(path))
        .then_some("the stars stand for a value that is not shown: it has to be given")
}

/// Whether a value can be of the type that was given with it. Stricter with booleans than what CPEs send: the value goes
/// out as it stands.
pub(in crate::api) fn check_hint(hint: Option<TypeHint>, value: &str) -> Option<&'static str> {
    match hint {
        None | Some(TypeHint::Kind(ValueKind::String)) => None,
        Some(TypeHint::Kind(ValueKind::Integer)) => {
            let fits = XsdType::Long.check(value).is_ok() || XsdType::UnsignedLong.check(value).is_ok();
            (!fits).then_some("must be an integer")
        }
        Some(TypeHint::Kind(ValueKind::Boolean)) => check_exact(XsdType::Boolean, value),
        Some(TypeHint::Exact(exact)) => check_exact(exact, value),
    }
}

fn check_exact(ty: XsdType, value: &str) -> Option<&'static str> {
    if ty == XsdType::Boolean && !matches!(value, "true" | "false" | "1" | "0") {
        return Some("must be a boolean: true, false, 1 or 0");
    }
    ty.check(value).err()
}

/// Whether a value can be of the type that the device reported for the parameter, if it did.
fn check_known(known: Option<&Parameter>, value: &str) -> Option<&'static str> {
    check_exact(known?.ty?, value)
}

/// As [`check_known`], of a value that is not sealed yet.
pub(in crate::api) fn check_given(known: Option<&Parameter>, value: &MaybeSealed) -> Option<&'static str> {
    check_known(known, value.plain()?)
}

/// Checks the values of a `set` against what the device reported of their types.
pub(in crate::api) fn check_against(
    assignments: &[Assignment],
    known: &[Option<Parameter>],
) -> Result<(), FieldErrors> {
    let elements = assignments
        .iter()
        .zip(known)
        .map(|(assignment, known)| {
            let reason = match assignment.ty {
                // Taken as it stands: the operator knows better.
                Some(TypeHint::Exact(_)) => None,
                Some(TypeHint::Kind(_)) | None => check_given(known.as_ref(), &assignment.value),
            };
            reason.map_or_else(FieldErrors::default, |reason| {
                FieldErrors::one("value", sentence(&format!("{reason}, as the device reports this parameter")))
            })
        })
        .collect();
    let mut errors = FieldErrors::default();
    errors.add_elements("variables", elements);
    errors.into_result()
}

fn required() -> FieldErrors {
    FieldErrors::one("variable_name", "This field is required.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn order(value: &Value) -> Result<Work, FieldErrors> {
        let mut object = value.as_object().cloned().expect("an object");
        object.insert("serial_number".into(), "S".into());
        read(object).map(|order| order.work)
    }

    #[test]
    fn type_words_are_read_as_they_are_shown() {
        for word in TYPE_NAMES.into_iter().chain(["xsd:string", "xsd:boolean"]) {
            assert_eq!(parse_type(word).map(type_word), Some(word));
        }
        assert_eq!(parse_type("xsd:unsignedInt"), Some(TypeHint::Exact(XsdType::UnsignedInt)));
        assert_eq!(parse_type("Integer"), None);
    }

    #[test]
    fn values_must_fit_their_types() {
        let table = [
            ("300", json!("integer"), true),
            ("-5", json!("integer"), true),
            ("18446744073709551615", json!("integer"), true),
            ("x", json!("integer"), false),
            ("1.5", json!("integer"), false),
            ("true", json!("boolean"), true),
            ("yes", json!("boolean"), false),
            ("anything", json!("string"), true),
            ("-1", json!("unsignedInt"), false),
            ("-1", json!(null), true),
            ("1", json!("float"), false),
            ("bell\u{7}", json!("string"), false),
        ];
        for (value, ty, want) in table {
            let read = order(&json!({"operation": "set",
                "variables": [{"variable_name": "Device.X", "value": value, "value_type": ty}]}));
            assert_eq!(read.is_ok(), want, "{value} {ty}");
        }
    }

    #[test]
    fn each_operation_takes_its_own_kind_of_path() {
        let table = [
            ("get", "Device.X", true),
            ("get", "Device.", true),
            ("set", "Device.X.", false),
            ("add.obj", "Device.WiFi.SSID.", true),
            ("add.obj", "Device.WiFi.SSID", false),
            ("del.obj", "Device.WiFi.SSID.1.", true),
            ("del.obj", "Device.WiFi.SSID.", false),
            ("del.obj", "Device.WiFi.SSID.1", false),
        ];
        for (operation, path, want) in table {
            let variable = match operation {
                "set" => json!({"variable_name": path, "value": "x"}),
                _ => json!({"variable_name": path}),
            };
            let read = order(&json!({"operation": operation, "variables": [variable]}));
            assert_eq!(read.is_ok(), want, "{operation} {path}");
        }
    }
}
