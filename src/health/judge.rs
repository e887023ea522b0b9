//! What a check has found: values by their names, and what is alarming about them. Without I/O.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};

use crate::model::device_type::{HealthParameter, Scale};
use crate::model::entry::{DiagnosticEntry, Issue, IssueOrigin};
use crate::model::event::EventData;
use crate::model::transaction::VariableResult;
use crate::types::path::{ParameterPath, ReadPath};
use crate::types::time::Timestamp;
use crate::types::value::{ValueKind, XsdType};

/// Everything is in order.
pub const OK: &str = "ok";
/// A value is beyond a threshold.
pub const WARNING: &str = "warning";
/// The device did not come.
pub const UNREACHABLE: &str = "unreachable";
/// The device came, but nothing could be read.
pub const FAILED: &str = "failed";
/// The first check is under way.
pub const PENDING: &str = "pending";

/// Code of the issue that a device did not come.
const UNREACHABLE_CODE: &str = "UNREACHABLE";
/// Code of the issue that nothing could be read.
const FAILED_CODE: &str = "CHECK_FAILED";
/// Longest text of a value, in characters.
const TEXT_MAX_CHARS: usize = 1024;

/// What has to be read for some health parameters, each once.
#[must_use]
pub fn paths_of(parameters: &[&HealthParameter]) -> Vec<ReadPath> {
    let mut paths: Vec<&ParameterPath> = Vec::new();
    for parameter in parameters {
        for path in [Some(&parameter.path), parameter.scale.total()].into_iter().flatten() {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths.into_iter().cloned().map(ReadPath::Parameter).collect()
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// Values by the names of the parameters; null where there was none.
    pub details: Vec<(String, Value)>,
    /// What is wrong.
    pub issues: Vec<Issue>,
    /// One of the words above.
    pub status: &'static str,
}

impl Findings {
    /// From what was read. A parameter without a value is shown as null, with an issue of low severity, and is no reason
    /// to warn: devices of one type differ.
    #[must_use]
    pub fn of(parameters: &[&HealthParameter], results: &[VariableResult]) -> Self {
        let read: HashMap<&str, &VariableResult> = results.iter().map(|result| (&*result.path, result)).collect();
        let mut findings = Self { details: Vec::new(), issues: Vec::new(), status: OK };
        for parameter in parameters {
            match shown(parameter, &read) {
                Ok(value) => {
                    if let Some(issue) = crossed(parameter, &value) {
                        findings.issues.push(issue);
                        findings.status = WARNING;
                    }
                    findings.details.push((parameter.name.clone(), value));
                }
                Err(reason) => {
                    findings.details.push((parameter.name.clone(), Value::Null));
                    findings.issues.push(issue("low", format!("{}_UNKNOWN", parameter.code), reason));
                }
            }
        }
        if !parameters.is_empty() && findings.details.iter().all(|(_, value)| value.is_null()) {
            findings.status = FAILED;
        }
        findings
    }

    /// Nothing could be read.
    #[must_use]
    pub fn failed(reason: &str) -> Self {
        let issues = vec![issue("medium", FAILED_CODE.to_owned(), reason.to_owned())];
        Self { details: Vec::new(), issues, status: FAILED }
    }

    /// The device did not come.
    #[must_use]
    pub fn unreachable() -> Self {
        let message = "The device did not answer when it was called.".to_owned();
        let issues = vec![issue("high", UNREACHABLE_CODE.to_owned(), message)];
        Self { details: Vec::new(), issues, status: UNREACHABLE }
    }

    /// Puts them into an entry, in the place of what the last check had found; what has newly appeared. That a device did
    /// not come is told by its status already. `at`: when it was found.
    pub fn put_into(self, entry: &mut DiagnosticEntry, at: Timestamp) -> Vec<EventData> {
        let mut details: Map<String, Value> = serde_json::from_str(&entry.details).unwrap_or_default();
        // Of a device that did not come, the last that is known stays.
        if !self.details.is_empty() {
            for name in entry.measured.drain(..) {
                details.remove(&name);
            }
            entry.measured = self.details.iter().map(|(name, _)| name.clone()).collect();
            details.extend(self.details);
            entry.details = Value::Object(details).to_string();
        }
        let known: Vec<Issue> = entry.issues.extract_if(.., |issue| issue.origin == IssueOrigin::Check).collect();
        let is_new = |issue: &&Issue| known.iter().all(|known| known.code != issue.code);
        let told = self.issues.iter().filter(is_new).filter(|issue| issue.code != UNREACHABLE_CODE);
        let events = told.map(|issue| EventData::HealthIssue {
            entry: entry.id.0,
            code: issue.code.as_str().into(),
            severity: issue.severity.as_str().into(),
            message: issue.message.as_str().into(),
        });
        let events = events.collect();
        entry.issues.extend(self.issues);
        self.status.clone_into(&mut entry.head.status);
        entry.head.updated_at = at;
        events
    }
}

fn issue(severity: &str, code: String, message: String) -> Issue {
    Issue { severity: severity.to_owned(), message, code, origin: IssueOrigin::Check }
}

/// A parameter's value as a check shows it; why there is none.
fn shown(parameter: &HealthParameter, read: &HashMap<&str, &VariableResult>) -> Result<Value, String> {
    let Some(total) = parameter.scale.total() else {
        let (value, ty) = find(&parameter.path, read)?;
        return plain(parameter, value, ty);
    };
    let part = number_at(&parameter.path, read)?;
    let whole = number_at(total, read)?;
    if whole <= 0.0 {
        return Err(format!("{total} is {whole}: nothing can be a part of it."));
    }
    let share = part / whole * 100.0;
    let percent = if matches!(parameter.scale, Scale::UsedOf(_)) { 100.0 - share } else { share };
    // One digit behind the point.
    Ok(number((percent * 10.0).round() / 10.0))
}

fn find<'r>(path: &ParameterPath, read: &HashMap<&str, &'r VariableResult>) -> Result<(&'r str, XsdType), String> {
    let result = read.get(path.as_str());
    match result.and_then(|result| result.value.as_deref().map(|value| (value, result.ty.unwrap_or_default()))) {
        Some(found) => Ok(found),
        None => match result.and_then(|result| result.fault.as_ref()) {
            Some(fault) => Err(format!("{path} could not be read: {} {}", fault.code, fault.message)),
            None => Err(format!("{path} was not read.")),
        },
    }
}

fn number_at(path: &ParameterPath, read: &HashMap<&str, &VariableResult>) -> Result<f64, String> {
    let (value, _) = find(path, read)?;
    as_number(value).ok_or_else(|| format!("{path} is no number: {}", short(value)))
}

/// Numbers as numbers, booleans as booleans. A parameter with thresholds has to be a number, whatever its type says.
fn plain(parameter: &HealthParameter, value: &str, ty: XsdType) -> Result<Value, String> {
    let has_thresholds = parameter.warning_above.is_some() || parameter.warning_below.is_some();
    if has_thresholds || ty == XsdType::Decimal || ty.kind() == ValueKind::Integer {
        let found = exact(value).or_else(|| as_number(value).map(number));
        return match found {
            Some(found) => Ok(found),
            None if has_thresholds => Err(format!("{} is no number: {}", parameter.path, short(value))),
            None => Ok(Value::String(short(value))),
        };
    }
    Ok(match (ty, value.trim()) {
        (XsdType::Boolean, "1" | "true" | "True" | "TRUE") => Value::Bool(true),
        (XsdType::Boolean, "0" | "false" | "False" | "FALSE") => Value::Bool(false),
        _ => Value::String(short(value)),
    })
}

fn crossed(parameter: &HealthParameter, value: &Value) -> Option<Issue> {
    let found = value.as_f64()?;
    let beyond = match (parameter.warning_above, parameter.warning_below) {
        (Some(above), _) if found >= above => format!("{above} or more"),
        (_, Some(below)) if found <= below => format!("{below} or less"),
        _ => return None,
    };
    let message = if parameter.message.is_empty() {
        format!("{} is {value}: {beyond} is alarming", parameter.name)
    } else {
        parameter.message.clone()
    };
    Some(issue(&parameter.severity, parameter.code.clone(), message))
}

/// An integer, as many digits as it has.
fn exact(text: &str) -> Option<Value> {
    let text = text.trim();
    let text = text.strip_prefix('+').unwrap_or(text);
    text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from)).ok()
}

/// A finite number in decimal digits.
#[must_use]
pub fn as_number(text: &str) -> Option<f64> {
    let text = text.trim();
    // Not the words that Rust takes for numbers.
    let is_number = text.bytes().any(|byte| byte.is_ascii_digit());
    text.parse::<f64>().ok().filter(|value| is_number && value.is_finite())
}

/// A JSON number: without fraction where there is none.
#[must_use]
pub fn number(value: f64) -> Value {
    /// Up to here whole numbers are exact.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and small enough")]
    let whole = (value.fract() == 0.0 && value.abs() <= WHOLE_MAX).then_some(value as i64);
    whole.map(Value::from).or_else(|| Number::from_f64(value).map(Value::Number)).unwrap_or(Value::Null)
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::entry::{EntryId, HEALTH_CHECK};
    use crate::model::transaction::TransactionFault;
    use crate::types::ident::DeviceKey;
    use serde_json::json;

    const AT: Timestamp = Timestamp(1_000);

    fn parameter(name: &str, above: Option<f64>, below: Option<f64>) -> HealthParameter {
        HealthParameter {
            name: name.to_owned(),
            path: path(&format!("Device.{name}")),
            warning_above: above,
            warning_below: below,
            severity: "medium".to_owned(),
            code: name.to_ascii_uppercase(),
            message: String::new(),
            scale: Scale::Plain,
        }
    }

    fn path(text: &str) -> ParameterPath {
        ParameterPath::try_from(text).expect("a path")
    }

    fn read(path: &str, value: &str, ty: XsdType) -> VariableResult {
        VariableResult {
            variable: 0,
            path: path.into(),
            value: Some(value.into()),
            ty: Some(ty),
            instance_number: None,
            fault: None,
        }
    }

    #[test]
    fn thresholds_are_inclusive_and_values_are_numbers() {
        let table = [
            ("89", XsdType::UnsignedInt, json!(89), OK),
            ("90", XsdType::UnsignedInt, json!(90), WARNING),
            ("10", XsdType::Int, json!(10), WARNING),
            ("10.5", XsdType::String, json!(10.5), OK),
            ("-3", XsdType::Int, json!(-3), WARNING),
            ("18446744073709551615", XsdType::UnsignedLong, json!(u64::MAX), WARNING),
            ("n/a", XsdType::String, Value::Null, FAILED),
            ("inf", XsdType::String, Value::Null, FAILED),
        ];
        let cpu = parameter("cpu", Some(90.0), Some(10.0));
        for (text, ty, value, status) in table {
            let findings = Findings::of(&[&cpu], &[read("Device.cpu", text, ty)]);
            assert_eq!((findings.status, &findings.details), (status, &vec![("cpu".to_owned(), value)]), "{text}");
            assert_eq!(findings.issues.is_empty(), status == OK, "{text}");
        }
    }

    #[test]
    fn without_thresholds_values_are_what_their_types_say() {
        let table = [
            ("7", XsdType::UnsignedInt, json!(7)),
            ("1.50", XsdType::Decimal, json!(1.5)),
            ("1", XsdType::Boolean, json!(true)),
            ("false", XsdType::Boolean, json!(false)),
            ("007", XsdType::String, json!("007")),
            ("Up\u{7}", XsdType::String, json!("Up")),
        ];
        let plain = parameter("p", None, None);
        for (text, ty, value) in table {
            let findings = Findings::of(&[&plain], &[read("Device.p", text, ty)]);
            assert_eq!(findings.details, [("p".to_owned(), value)], "{text}");
        }
    }

    #[test]
    fn parts_are_shown_in_percent_of_their_total() {
        let total = path("Device.Total");
        let used = HealthParameter { scale: Scale::UsedOf(total.clone()), ..parameter("Free", Some(75.0), None) };
        let share = HealthParameter {
            name: "share".to_owned(),
            scale: Scale::ShareOf(total),
            ..parameter("Free", None, Some(25.0))
        };
        let all = [&used, &share];
        let names: Vec<String> = paths_of(&all).iter().map(|path| path.as_str().to_owned()).collect();
        assert_eq!(names, ["Device.Free", "Device.Total"], "each once");
        let memory = |free: &str, total: &str| {
            let results =
                [read("Device.Free", free, XsdType::UnsignedInt), read("Device.Total", total, XsdType::UnsignedInt)];
            Findings::of(&all, &results)
        };
        let findings = memory("24576", "65536");
        assert_eq!(findings.details, [("Free".to_owned(), json!(62.5)), ("share".to_owned(), json!(37.5))]);
        assert_eq!(findings.status, OK);
        let findings = memory("16384", "65536");
        assert_eq!(findings.details, [("Free".to_owned(), json!(75)), ("share".to_owned(), json!(25))]);
        assert_eq!((findings.status, findings.issues.len()), (WARNING, 2));
        assert_eq!(memory("1", "0").status, FAILED);
    }

    #[test]
    fn what_a_device_lacks_is_null_with_a_low_issue() {
        let (cpu, up) = (parameter("cpu", Some(90.0), None), parameter("up", None, None));
        let missing = VariableResult {
            value: None,
            fault: Some(TransactionFault { code: 9005, message: "Invalid parameter name".to_owned() }),
            ..read("Device.cpu", "", XsdType::String)
        };
        let findings = Findings::of(&[&cpu, &up], &[missing, read("Device.up", "5", XsdType::UnsignedInt)]);
        assert_eq!(findings.details, [("cpu".to_owned(), Value::Null), ("up".to_owned(), json!(5))]);
        assert_eq!(findings.status, OK, "no reason to warn");
        let [issue] = findings.issues.as_slice() else { panic!("{:?}", findings.issues) };
        assert_eq!((issue.severity.as_str(), issue.code.as_str()), ("low", "CPU_UNKNOWN"));
        assert!(issue.message.contains("9005"), "{}", issue.message);
    }

    #[test]
    fn issues_are_told_when_they_appear_and_not_while_they_stay() {
        let cpu = parameter("cpu", Some(90.0), None);
        let mut entry = DiagnosticEntry::new(EntryId(3), DeviceKey(1), HEALTH_CHECK, Timestamp(1));
        entry.details = json!({"by hand": 1, "cpu": "old"}).to_string();
        entry.measured = vec!["cpu".to_owned(), "gone".to_owned()];
        entry.issues =
            vec![Issue { origin: IssueOrigin::Client, ..issue("high", "DOOR".to_owned(), "open".to_owned()) }];
        let mut check = |value: &str| {
            let findings = Findings::of(&[&cpu], &[read("Device.cpu", value, XsdType::UnsignedInt)]);
            let events = findings.put_into(&mut entry, AT).len();
            let codes: Vec<String> = entry.issues.iter().map(|issue| issue.code.clone()).collect();
            (events, codes, entry.head.status.clone())
        };
        let with = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>();
        assert_eq!(check("95"), (1, with(&["DOOR", "CPU"]), WARNING.to_owned()));
        assert_eq!(check("99"), (0, with(&["DOOR", "CPU"]), WARNING.to_owned()), "it stays");
        assert_eq!(check("5"), (0, with(&["DOOR"]), OK.to_owned()));
        assert_eq!(check("91").0, 1, "it is back");
        let details: Value = serde_json::from_str(&entry.details).expect("JSON");
        assert_eq!(details, json!({"by hand": 1, "cpu": 91}));
        assert!(Findings::unreachable().put_into(&mut entry, AT).is_empty(), "the status tells that");
        let details: Value = serde_json::from_str(&entry.details).expect("JSON");
        assert_eq!(details, json!({"by hand": 1, "cpu": 91}), "what was known last stays");
        assert_eq!(entry.head.status, UNREACHABLE);
    }
}
