//! The request that a command line means.

use serde_json::{Map, Value, json};

/// What is sent, and where.
#[derive(Debug, PartialEq)]
pub(super) struct Order {
    /// Below the device's path.
    pub(super) below: &'static str,
    pub(super) body: Value,
}

/// Why a command line makes no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// What follows the method is missing or too much.
    #[error("{method} needs {needed}")]
    Operands {
        /// As given.
        method: String,
        /// What it takes.
        needed: &'static str,
    },
    /// An operand is no pair.
    #[error("{operand:?} is not of the form {form}")]
    Form {
        /// As given.
        operand: String,
        /// How it should look.
        form: &'static str,
    },
    /// `--json` is no object.
    #[error("--json needs a JSON object")]
    Json,
}

/// Of the method, what follows it, and the fields that were given by themselves.
pub(super) fn read(
    method: &str,
    operands: &[String],
    args: &[(String, String)],
    json: Option<&str>,
) -> Result<Order, OrderError> {
    let name = full_name(method);
    let mut body = match json {
        Some(json) => serde_json::from_str::<Map<String, Value>>(json).map_err(|_no_object| OrderError::Json)?,
        None => operands_of(method, name, operands)?,
    };
    let fields = args.iter().map(|(key, value)| {
        let value = serde_json::from_str(value).unwrap_or_else(|_text| Value::String(value.clone()));
        (key.clone(), value)
    });
    // What is said of a unit belongs to its operation.
    let unit = is_unit(method).then(|| body.get_mut("operations")?.get_mut(0)?.as_object_mut()).flatten();
    match unit {
        Some(operation) => operation.extend(fields.map(|(key, value)| (key, as_text(value)))),
        None => body.extend(fields),
    }
    if name == "discover" {
        return Ok(Order { below: "parameters/", body: Value::Object(body) });
    }
    body.insert("method".to_owned(), name.into());
    Ok(Order { below: "rpc/", body: Value::Object(body) })
}

/// The method that a short name means; what is none is left to acsd to judge.
fn full_name(method: &str) -> &str {
    match method {
        "methods" => "GetRPCMethods",
        "get" => "GetParameterValues",
        "set" => "SetParameterValues",
        "names" => "GetParameterNames",
        "attributes" => "GetParameterAttributes",
        "notify" => "SetParameterAttributes",
        "add" => "AddObject",
        "delete" => "DeleteObject",
        "reboot" => "Reboot",
        "factory-reset" => "FactoryReset",
        "schedule-inform" => "ScheduleInform",
        "transfers" => "GetAllQueuedTransfers",
        "cancel" => "CancelTransfer",
        "install" | "update" | "uninstall" => "ChangeDUState",
        "options" => "GetOptions",
        "vouchers" => "SetVouchers",
        other => other,
    }
}

fn is_unit(method: &str) -> bool {
    matches!(method, "install" | "update" | "uninstall")
}

fn operands_of(method: &str, name: &str, operands: &[String]) -> Result<Map<String, Value>, OrderError> {
    let wrong = |needed| OrderError::Operands { method: method.to_owned(), needed };
    let body = match (name, operands) {
        ("GetParameterValues" | "GetParameterAttributes", [_, ..]) => json!({ "names": operands }),
        ("SetParameterValues", [_, ..]) => {
            json!({ "parameters": pairs(operands, "PATH=VALUE", "value", |text| text.into())? })
        }
        ("SetParameterAttributes", [_, ..]) => {
            let number = |text: &str| text.parse::<u32>().map_or_else(|_none| text.into(), Value::from);
            json!({ "parameters": pairs(operands, "PATH=NUMBER", "notification", number)? })
        }
        ("GetParameterNames" | "AddObject" | "DeleteObject", [path]) => json!({ "path": path }),
        ("ScheduleInform", [delay]) => {
            let needed = "the delay in seconds";
            json!({ "delay": delay.parse::<u32>().map_err(|_no_number| wrong(needed))? })
        }
        ("CancelTransfer", [transfer]) => match transfer.parse::<u64>() {
            Ok(id) => json!({ "transaction": id }),
            Err(_a_key) => json!({ "command_key": transfer }),
        },
        ("GetOptions", [option]) => json!({ "name": option }),
        ("SetVouchers", [_, ..]) => json!({ "vouchers": operands }),
        ("ChangeDUState", [unit]) if is_unit(method) => {
            let is_url = method == "install" || (method == "update" && unit.contains("://"));
            let which = if is_url { "url" } else { "uuid" };
            json!({ "operations": [{ "action": method, which: unit }] })
        }
        ("ChangeDUState", []) if is_unit(method) => return Err(wrong("the unit: its URL or UUID")),
        ("discover", []) => json!({ "discover": true }),
        ("discover", [below]) => json!({ "discover": below }),
        (_, []) => json!({}),
        _ => return Err(wrong("other operands, or its fields by --arg and --json: see --help")),
    };
    match body {
        Value::Object(body) => Ok(body),
        _ => Err(OrderError::Json),
    }
}

/// `PATH=VALUE` each; the path has no equals sign.
fn pairs(
    operands: &[String],
    form: &'static str,
    field: &str,
    read: impl Fn(&str) -> Value,
) -> Result<Vec<Value>, OrderError> {
    let pair = |operand: &String| {
        let (path, value) =
            operand.split_once('=').ok_or_else(|| OrderError::Form { operand: operand.clone(), form })?;
        Ok(json!({ "path": path, field: read(value) }))
    };
    operands.iter().map(pair).collect()
}

/// All that is said of a unit is text, also what looks like a number.
fn as_text(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(line: &[&str], args: &[(&str, &str)], json: Option<&str>) -> Result<(&'static str, Value), OrderError> {
        let operands: Vec<String> = line[1..].iter().map(|word| (*word).to_owned()).collect();
        let args: Vec<_> = args.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        read(line[0], &operands, &args, json).map(|order| (order.below, order.body))
    }

    #[test]
    fn short_names_and_operands_make_the_request() {
        let uuid = "00000000-0000-0000-0000-000000000000";
        let table = [
            (&["methods"][..], json!({"method": "GetRPCMethods"})),
            (&["get", "D.A", "D.B."], json!({"method": "GetParameterValues", "names": ["D.A", "D.B."]})),
            (
                &["set", "D.A=x=y", "D.B=1"],
                json!({"method": "SetParameterValues",
                    "parameters": [{"path": "D.A", "value": "x=y"}, {"path": "D.B", "value": "1"}]}),
            ),
            (
                &["notify", "D.A=2"],
                json!({"method": "SetParameterAttributes", "parameters": [{"path": "D.A", "notification": 2}]}),
            ),
            (&["names"], json!({"method": "GetParameterNames"})),
            (&["schedule-inform", "60"], json!({"method": "ScheduleInform", "delay": 60})),
            (&["cancel", "12"], json!({"method": "CancelTransfer", "transaction": 12})),
            (&["cancel", "acsd-12"], json!({"method": "CancelTransfer", "command_key": "acsd-12"})),
            (
                &["uninstall", uuid],
                json!({"method": "ChangeDUState", "operations": [{"action": "uninstall", "uuid": uuid}]}),
            ),
            (&["Sing"], json!({"method": "Sing"})),
        ];
        for (line, want) in table {
            assert_eq!(body(line, &[], None), Ok(("rpc/", want)), "{line:?}");
        }
        assert_eq!(body(&["discover"], &[], None), Ok(("parameters/", json!({"discover": true}))));
        assert_eq!(body(&["discover", "D.W."], &[], None), Ok(("parameters/", json!({"discover": "D.W."}))));
    }

    #[test]
    fn fields_are_json_where_they_can_be_and_belong_to_the_unit_where_there_is_one() {
        let fields = [("delay", "60"), ("name", "x y")];
        let want = json!({"method": "ScheduleInform", "delay": 60, "name": "x y"});
        assert_eq!(body(&["ScheduleInform"], &fields, None), Ok(("rpc/", want)));
        let want = json!({"method": "ChangeDUState",
            "operations": [{"action": "install", "url": "http://h/a", "username": "u", "password": "12"}]});
        let login = [("username", "u"), ("password", "12")];
        assert_eq!(body(&["install", "http://h/a"], &login, None), Ok(("rpc/", want)));
        let want = json!({"method": "GetOptions", "name": "n"});
        assert_eq!(body(&["options"], &[], Some(r#"{"name": "n"}"#)), Ok(("rpc/", want)));
    }

    #[test]
    fn what_makes_no_call_is_said() {
        for line in [&["schedule-inform", "soon"][..], &["install"], &["set", "D.A"], &["reboot", "now"]] {
            assert!(body(line, &[], None).is_err(), "{line:?}");
        }
        assert_eq!(body(&["get"], &[], Some("[]")), Err(OrderError::Json));
    }
}
