//! Reading a diagnostic entry from a body: the object itself, or `{"data"}` with the object as a JSON text.
//!
//! This resource alone tells what is missing or unknown (400) from what has a wrong type or range (422).

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::body::{Fields, LINE_MAX_CHARS, REQUIRED, TEXT_MAX_CHARS, UNKNOWN, parse};
use crate::api::error::{ApiError, FieldErrors};
use crate::api::query::parse_time;
use crate::model::entry::{DiagnosticEntry, Issue, IssueOrigin};
use crate::types::time::Timestamp;

/// Largest JSON text of `details`, in bytes.
const DETAILS_MAX_BYTES: usize = 32 << 10;
/// Objects and lists within each other in `details`, itself included.
const DETAILS_MAX_DEPTH: usize = 16;
/// Most issues of an entry.
const ISSUES_MAX: usize = 100;
/// What answers have and no request changes.
const READ_ONLY: [&str; 5] = ["id", "device_name", "device_serial", "created_at", "updated_at"];

/// What the fields of an entry may hold.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DiagnosticEntryFields, example = json!({"status": "closed", "notes": "Cable replaced"}))]
pub(in crate::api) struct FieldsSchema {
    /// A free word: `health_check`, `maintenance`, `issue_report`, ...
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    diagnostic_type: Option<String>,
    /// A free word: `open`, `completed`, ...
    #[schema(nullable = false, max_length = 256)]
    status: Option<String>,
    /// Whatever was found; at most 32 KiB.
    #[schema(nullable = false)]
    details: Option<Map<String, Value>>,
    /// What is wrong.
    #[schema(nullable = false, max_items = 100)]
    issues: Option<Vec<IssueSchema>>,
    #[schema(nullable = false, max_length = 8192)]
    notes: Option<String>,
    #[schema(nullable = false, max_length = 256)]
    performed_by: Option<String>,
    #[schema(nullable = false, max_length = 256)]
    reported_by: Option<String>,
    #[schema(nullable = false, max_length = 256)]
    priority: Option<String>,
    /// A date, or a date and time.
    next_check_due: Option<String>,
}

/// An entry to be recorded.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DiagnosticEntryCreate, example = json!({
    "device_id": "device-12345", "diagnostic_type": "issue_report", "status": "open",
    "details": {"issue_category": "hardware", "symptoms": ["slow_response"]},
    "notes": "Slow at peak hours", "reported_by": "helpdesk@example.net", "priority": "high"
}))]
pub(in crate::api) struct CreateSchema {
    /// `device-12345`, `12345`, or the device's uuid.
    #[schema(min_length = 1, max_length = 256)]
    device_id: String,
    /// A free word: `health_check`, `maintenance`, `issue_report`, ...
    #[schema(min_length = 1, max_length = 256)]
    diagnostic_type: String,
    /// A free word: `open`, `completed`, ...
    #[schema(nullable = false, max_length = 256)]
    status: Option<String>,
    /// Whatever was found; at most 32 KiB.
    #[schema(nullable = false)]
    details: Option<Map<String, Value>>,
    /// What is wrong.
    #[schema(nullable = false, max_items = 100)]
    issues: Option<Vec<IssueSchema>>,
    #[schema(nullable = false, max_length = 8192)]
    notes: Option<String>,
    #[schema(nullable = false, max_length = 256)]
    performed_by: Option<String>,
    #[schema(nullable = false, max_length = 256)]
    reported_by: Option<String>,
    #[schema(nullable = false, max_length = 256)]
    priority: Option<String>,
    /// A date, or a date and time.
    next_check_due: Option<String>,
}

/// An entry to be recorded, in either form.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DiagnosticEntryBody, example = json!({
    "device_id": "device-12345", "diagnostic_type": "maintenance", "status": "completed",
    "details": {"action_performed": "firmware_update", "duration_minutes": 15},
    "notes": "Firmware update completed successfully", "performed_by": "tech@example.net"
}))]
pub(in crate::api) enum BodySchema {
    /// The object itself.
    Object(Box<CreateSchema>),
    /// The object as a JSON text.
    Text(TextSchema),
}

/// An entry to be recorded, as a JSON text.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DiagnosticEntryText,
    example = json!({"data": "{\"device_id\": \"device-12345\", \"diagnostic_type\": \"maintenance\"}"}))]
pub(in crate::api) struct TextSchema {
    /// The object as a JSON text.
    data: String,
}

/// Something that is wrong; it has a message or a code.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DiagnosticIssueFields)]
pub(in crate::api) struct IssueSchema {
    /// `medium` unless told.
    #[schema(nullable = false, max_length = 256)]
    severity: Option<String>,
    #[schema(nullable = false, max_length = 8192)]
    message: Option<String>,
    #[schema(nullable = false, max_length = 256)]
    code: Option<String>,
}

/// An entry to be recorded.
#[derive(Debug)]
pub(super) struct Draft {
    /// Names a device in one of the forms of the filter `id`.
    pub(super) device: String,
    pub(super) kind: String,
    pub(super) patch: EntryPatch,
}

/// Checked values.
#[derive(Debug, Default)]
#[expect(clippy::option_option, reason = "absent and null are different things")]
pub(super) struct EntryPatch {
    kind: Option<String>,
    status: Option<String>,
    details: Option<String>,
    issues: Option<Vec<Issue>>,
    notes: Option<String>,
    performed_by: Option<String>,
    reported_by: Option<String>,
    priority: Option<String>,
    next_check_due: Option<Option<Timestamp>>,
}

impl EntryPatch {
    /// When the next check is to be, where that is among what changes.
    pub(super) fn next_check_due(&self) -> Option<Timestamp> {
        self.next_check_due.flatten()
    }

    pub(super) fn apply(self, entry: &mut DiagnosticEntry, now: Timestamp) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut entry.head.kind, self.kind);
        set(&mut entry.head.status, self.status);
        set(&mut entry.details, self.details);
        if let Some(issues) = self.issues {
            entry.issues = keep_origins(&entry.issues, issues);
        }
        set(&mut entry.text.notes, self.notes);
        set(&mut entry.text.performed_by, self.performed_by);
        set(&mut entry.text.reported_by, self.reported_by);
        set(&mut entry.priority, self.priority);
        set(&mut entry.head.next_check_due, self.next_check_due);
        entry.head.updated_at = now;
    }
}

/// What a check has found and a client sends back is the check's still.
fn keep_origins(known: &[Issue], mut given: Vec<Issue>) -> Vec<Issue> {
    for issue in &mut given {
        let found = Issue { origin: IssueOrigin::Check, ..issue.clone() };
        if known.contains(&found) {
            issue.origin = IssueOrigin::Check;
        }
    }
    given
}

/// Reads an entry to be recorded.
pub(super) fn read_new(body: Map<String, Value>) -> Result<Draft, ApiError> {
    let mut fields = Fields::new(unwrap(body)?);
    let device = match fields.any("device_id") {
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) if number.is_u64() => Some(number.to_string()),
        Some(_) => {
            fields.error("device_id", "Not a valid string.");
            None
        }
        None => None,
    };
    let device = fields.require("device_id", device);
    let mut patch = read_fields(&mut fields);
    let kind = patch.kind.take();
    let kind = fields.require("diagnostic_type", kind);
    fields.finish(&READ_ONLY).map_err(judge)?;
    match (device, kind) {
        (Some(device), Some(kind)) => Ok(Draft { device, kind, patch }),
        // What is missing has been an error above.
        _ => Err(ApiError::bad_request("device_id and diagnostic_type are required.")),
    }
}

/// Reads a change of an entry whose device is named so in answers.
pub(super) fn read_change(body: Map<String, Value>, device_id: &str) -> Result<EntryPatch, ApiError> {
    let mut fields = Fields::new(body);
    if let Some(given) = fields.text("device_id", LINE_MAX_CHARS)
        && given != device_id
    {
        fields.error("device_id", "An entry stays with its device.");
    }
    let patch = read_fields(&mut fields);
    fields.finish(&READ_ONLY).map_err(judge)?;
    Ok(patch)
}

/// The object, be it in a text.
fn unwrap(mut body: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    if body.len() != 1 {
        return Ok(body);
    }
    match body.remove("data") {
        Some(Value::String(text)) => match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(ApiError::Unprocessable(FieldErrors::one("data", "Expected an object in the text."))),
            // In the words for any body that is no JSON.
            Err(_) => parse(text.as_bytes()).map(|object| object.0),
        },
        Some(_) => Err(ApiError::Unprocessable(FieldErrors::one("data", "Not a valid string."))),
        None => Ok(body),
    }
}

/// What is missing or unknown makes it 400; what is there and wrong, 422.
fn judge(errors: FieldErrors) -> ApiError {
    if errors.has_reason(&[REQUIRED, UNKNOWN]) { ApiError::Fields(errors) } else { ApiError::Unprocessable(errors) }
}

fn read_fields(fields: &mut Fields) -> EntryPatch {
    EntryPatch {
        kind: fields.filled_line("diagnostic_type"),
        status: line(fields, "status"),
        details: read_details(fields),
        issues: read_issues(fields),
        notes: fields.text("notes", TEXT_MAX_CHARS),
        performed_by: line(fields, "performed_by"),
        reported_by: line(fields, "reported_by"),
        priority: line(fields, "priority"),
        next_check_due: fields.nullable("next_check_due", |fields, field| {
            let read = |text: &str| parse_time(text).ok_or("a date or a date and time is required");
            fields.parsed(field, read)
        }),
    }
}

/// A text of one line, be it empty.
fn line(fields: &mut Fields, field: &str) -> Option<String> {
    let text = fields.text(field, LINE_MAX_CHARS)?;
    if text.contains(char::is_control) {
        fields.error(field, "Control characters are not allowed.");
        return None;
    }
    Some(text)
}

fn read_details(fields: &mut Fields) -> Option<String> {
    const FIELD: &str = "details";
    let details = Value::Object(fields.object(FIELD)?);
    if depth(&details) > DETAILS_MAX_DEPTH {
        fields.error(FIELD, format!("Ensure this field is nested no deeper than {DETAILS_MAX_DEPTH} levels."));
        return None;
    }
    let text = details.to_string();
    if text.len() > DETAILS_MAX_BYTES {
        fields.error(FIELD, format!("Ensure this field has no more than {DETAILS_MAX_BYTES} bytes."));
        return None;
    }
    Some(text)
}

/// The parser of bodies bounds the depth to which this may go.
fn depth(value: &Value) -> usize {
    match value {
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn read_issues(fields: &mut Fields) -> Option<Vec<Issue>> {
    const FIELD: &str = "issues";
    let issues = fields.list_of(FIELD, |mut element| {
        let severity = line(&mut element, "severity").unwrap_or_else(|| "medium".to_owned());
        let message = element.text("message", TEXT_MAX_CHARS).unwrap_or_default();
        let code = line(&mut element, "code").unwrap_or_default();
        if message.is_empty() && code.is_empty() && element.is_clean() {
            element.error("message", "An issue has a message or a code.");
        }
        element.finish(&[])?;
        Ok(Issue { severity, message, code, origin: IssueOrigin::Client })
    })?;
    if issues.len() > ISSUES_MAX {
        fields.error(FIELD, format!("Ensure this field has no more than {ISSUES_MAX} elements."));
        return None;
    }
    Some(issues)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: &Value) -> Result<Draft, ApiError> {
        read_new(body.as_object().cloned().expect("an object"))
    }

    #[test]
    fn both_forms_are_read() {
        let entry = json!({"device_id": 7, "diagnostic_type": "x", "notes": "n"});
        for body in [entry.clone(), json!({"data": entry.to_string()})] {
            let draft = read(&body).expect("good");
            assert_eq!((draft.device.as_str(), draft.kind.as_str()), ("7", "x"));
            assert_eq!(draft.patch.notes.as_deref(), Some("n"));
        }
    }

    #[test]
    fn what_is_missing_is_told_from_what_is_wrong() {
        let base = |extra: (&str, Value)| {
            let mut body = json!({"device_id": "7", "diagnostic_type": "x"});
            body[extra.0] = extra.1;
            body
        };
        let mut deep = json!({});
        for _ in 0..DETAILS_MAX_DEPTH {
            deep = json!({ "a": deep });
        }
        let unprocessable = [
            base(("notes", json!(5))),
            base(("status", json!(null))),
            base(("status", json!("a\nb"))),
            base(("diagnostic_type", json!(" "))),
            base(("details", json!([]))),
            base(("details", deep)),
            base(("details", json!({"a": "x".repeat(DETAILS_MAX_BYTES)}))),
            base(("issues", json!([{"message": 1}]))),
            base(("issues", json!([{}]))),
            base(("issues", json!(vec![json!({"code": "A"}); 101]))),
            base(("next_check_due", json!("soon"))),
            base(("device_id", json!([]))),
            json!({"data": 5}),
            json!({"data": "[]"}),
        ];
        for body in unprocessable {
            assert!(matches!(read(&body), Err(ApiError::Unprocessable(_))), "{body}");
        }
        let bad = [json!({}), base(("odd", json!(1))), json!({"device_id": "7", "notes": 5}), json!({"data": "{}"})];
        for body in bad {
            assert!(matches!(read(&body), Err(ApiError::Fields(_))), "{body}");
        }
        assert!(matches!(read(&json!({"data": "{"})), Err(ApiError::Detail { .. })));
    }

    #[test]
    fn what_a_check_found_stays_the_check_s_when_it_is_sent_back() {
        let found = Issue {
            severity: "low".to_owned(),
            message: "m".to_owned(),
            code: "C".to_owned(),
            origin: IssueOrigin::Check,
        };
        let sent = Issue { origin: IssueOrigin::Client, ..found.clone() };
        let other = Issue { code: "D".to_owned(), ..sent.clone() };
        assert_eq!(keep_origins(std::slice::from_ref(&found), vec![sent, other.clone()]), [found, other]);
    }
}
