//! Reading calls from a body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::body::{Fields, sentence};
use crate::api::error::FieldErrors;
use crate::api::headless::form::{TYPE_NAMES, check_characters, check_hint, check_mask, parse_type};
use crate::api::transfer::form::check_url;
use crate::api::words::{RpcWord, TypeWord, not_a_choice};
use crate::model::call::{AttributeChange, Call, DuAction, DuChange, TransferRef};
use crate::model::device::DataModel;
use crate::model::transaction::{Assignment, NewObject, Work};
use crate::types::ident::TransactionId;
use crate::types::path::{ObjectPath, ParameterPath, PathError, ReadPath};
use crate::types::secret::MaybeSealed;

/// The methods that can be called here.
pub(in crate::api) const METHODS: [&str; 17] = [
    "GetRPCMethods",
    "GetParameterNames",
    "GetParameterValues",
    "SetParameterValues",
    "GetParameterAttributes",
    "SetParameterAttributes",
    "AddObject",
    "DeleteObject",
    "Reboot",
    "FactoryReset",
    "ScheduleInform",
    "GetQueuedTransfers",
    "GetAllQueuedTransfers",
    "CancelTransfer",
    "ChangeDUState",
    "SetVouchers",
    "GetOptions",
];
/// Those that are ordered where files are.
const OF_FILES: [&str; 3] = ["Download", "Upload", "ScheduleDownload"];
/// The fields that one method or another has.
const ARGUMENTS: [&str; 10] = [
    "names",
    "parameters",
    "path",
    "next_level",
    "delay",
    "command_key",
    "transaction",
    "operations",
    "vouchers",
    "name",
];
/// Longest delay of a scheduled Inform: 31 days.
const DELAY_MAX_SECS: u32 = 31 * 24 * 3600;
/// Most names, changes or parameters of a call.
const NAMES_MAX: usize = 1_000;
/// Most operations on deployment units in one call.
const OPERATIONS_MAX: usize = 32;
/// Most vouchers in one call.
const VOUCHERS_MAX: usize = 16;
/// Longest voucher, in bytes of base64.
const VOUCHER_MAX_BYTES: usize = 64 * 1024;
/// Longest value, in characters.
const VALUE_MAX_CHARS: usize = 512 * 1024;
/// `URL`: `anyURI(1024)`.
const URL_MAX_CHARS: usize = 1024;
/// `Username`, `Password`, `ExecutionEnvRef`: `string(256)`.
const TEXT_MAX_CHARS: usize = 256;
/// `CommandKey`, `Version`: `string(32)`.
const KEY_MAX_CHARS: usize = 32;
/// `OptionName`: `string(64)`.
const NAME_MAX_CHARS: usize = 64;

/// A call to be ordered; each method has some of these fields.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = RpcOrder, example = json!({
    "method": "SetParameterAttributes",
    "parameters": [{"path": "Device.WiFi.SSID.1.SSID", "notification": 2}]
}))]
pub(in crate::api) struct RpcSchema {
    #[schema(value_type = RpcWord)]
    method: String,
    /// `GetParameterValues`, `GetParameterAttributes`: parameters, or objects with their final dot.
    #[schema(max_items = 1000, nullable = false)]
    names: Option<Vec<String>>,
    /// `SetParameterValues`, `SetParameterAttributes`.
    #[schema(max_items = 1000, nullable = false)]
    parameters: Option<Vec<ParameterSchema>>,
    /// `GetParameterNames`: an object, the whole tree unless told. `AddObject`: a table. `DeleteObject`: a row.
    #[schema(min_length = 1, max_length = 256, nullable = false)]
    path: Option<String>,
    /// `GetParameterNames`: only what is directly below, which is the default.
    #[schema(nullable = false)]
    next_level: Option<bool>,
    /// `ScheduleInform`: seconds.
    #[schema(minimum = 1, maximum = 2_678_400, nullable = false)]
    delay: Option<u32>,
    /// `CancelTransfer`: the key of the transfer; or else `transaction`.
    #[schema(min_length = 1, max_length = 32, nullable = false)]
    command_key: Option<String>,
    /// `CancelTransfer`: the transaction that ordered the transfer.
    #[schema(minimum = 1, nullable = false)]
    transaction: Option<u64>,
    /// `ChangeDUState`.
    #[schema(max_items = 32, nullable = false)]
    operations: Option<Vec<OperationSchema>>,
    /// `SetVouchers`: base64 each.
    #[schema(max_items = 16, nullable = false)]
    vouchers: Option<Vec<String>>,
    /// `GetOptions`: one option; all of them unless told.
    #[schema(max_length = 64, nullable = false)]
    name: Option<String>,
}

/// A parameter of a call.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = RpcParameter)]
struct ParameterSchema {
    /// A parameter; for `SetParameterAttributes` also an object with its final dot.
    #[schema(min_length = 1, max_length = 256)]
    path: String,
    /// `SetParameterValues`: always a string.
    #[schema(max_length = 524_288, nullable = false)]
    value: Option<String>,
    /// `SetParameterValues`: as in headless operations.
    #[schema(value_type = Option<TypeWord>)]
    value_type: Option<String>,
    /// `SetParameterAttributes`: 0 off, 1 passive, 2 active; 3 to 6 lightweight, in CWMP 1.4.
    #[schema(minimum = 0, maximum = 6, nullable = false)]
    notification: Option<u32>,
    /// `SetParameterAttributes`: who may write besides the ACS: `Subscriber`, or nobody.
    #[schema(max_items = 8, nullable = false)]
    access_list: Option<Vec<String>>,
}

/// An operation on a deployment unit.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = RpcUnitOperation)]
struct OperationSchema {
    /// `install`, `update` or `uninstall`.
    action: String,
    /// 8-4-4-4-12 hexadecimal digits; `uninstall` needs it.
    #[schema(nullable = false)]
    uuid: Option<String>,
    /// Where the unit is: `http` or `https`, without a login in it; `install` needs it.
    #[schema(max_length = 1024, nullable = false)]
    url: Option<String>,
    /// `update`, `uninstall`: only this version.
    #[schema(max_length = 32, nullable = false)]
    version: Option<String>,
    /// `install`, `update`: of the file server.
    #[schema(max_length = 256, nullable = false)]
    username: Option<String>,
    /// `install`, `update`: of the file server; never shown.
    #[schema(max_length = 256, nullable = false)]
    password: Option<String>,
    /// `install`, `uninstall`: path of the execution environment.
    #[schema(max_length = 256, nullable = false)]
    execution_env_ref: Option<String>,
}

/// A call as it was read.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) work: Work,
}

/// Reads a call; everything that is wrong at once.
pub(super) fn read(body: Map<String, Value>, data_model: DataModel) -> Result<Order, FieldErrors> {
    let mut fields = Fields::new(body);
    let method = fields.parsed("method", |word| {
        if OF_FILES.contains(&word) {
            return Err(format!(
                "{word} is ordered at the device's files/, and a firmware image by its firmware_image"
            ));
        }
        METHODS.into_iter().find(|known| *known == word).ok_or_else(|| not_a_choice(word, &METHODS))
    });
    // Without it, what is wrong with the rest cannot be said; only what no method has.
    let Some(method) = fields.require("method", method) else {
        fields.finish(&ARGUMENTS)?;
        return Err(required("method"));
    };
    let work = read_work(&mut fields, method, data_model);
    fields.finish(&[])?;
    work.map(|work| Order { work }).ok_or_else(|| required("method"))
}

fn read_work(fields: &mut Fields, method: &str, data_model: DataModel) -> Option<Work> {
    let call = match method {
        "GetRPCMethods" => Call::GetRpcMethods,
        "GetParameterNames" => return read_names_below(fields, data_model),
        "GetParameterValues" => return read_names(fields).map(|paths| Work::Get { paths }),
        "SetParameterValues" => return read_values(fields),
        "GetParameterAttributes" => Call::GetParameterAttributes { names: read_names(fields)? },
        "SetParameterAttributes" => {
            Call::SetParameterAttributes { changes: read_list(fields, "parameters", NAMES_MAX, read_attributes)? }
        }
        "AddObject" => {
            let table = fields.parsed("path", |text| ObjectPath::try_from(text));
            let table = fields.require("path", table)?;
            return Some(Work::AddObject { objects: vec![NewObject { table, values: Vec::new() }] });
        }
        "DeleteObject" => {
            let row = fields.parsed("path", |text| {
                let path = ObjectPath::try_from(text)?;
                if path.is_instance() { Ok(path) } else { Err(PathError::NotAnInstance) }
            });
            return Some(Work::DeleteObject { objects: vec![fields.require("path", row)?] });
        }
        "Reboot" => return Some(Work::Reboot),
        "FactoryReset" => return Some(Work::FactoryReset),
        "ScheduleInform" => {
            let delay = fields.integer("delay", 1..=DELAY_MAX_SECS);
            Call::ScheduleInform { delay_secs: fields.require("delay", delay)? }
        }
        "GetQueuedTransfers" => Call::GetQueuedTransfers,
        "GetAllQueuedTransfers" => Call::GetAllQueuedTransfers,
        "CancelTransfer" => Call::CancelTransfer { transfer: read_transfer(fields)? },
        "ChangeDUState" => {
            Call::ChangeDuState { operations: read_list(fields, "operations", OPERATIONS_MAX, read_operation)? }
        }
        "SetVouchers" => Call::SetVouchers { vouchers: read_vouchers(fields)? },
        _ => Call::GetOptions { name: line(fields, "name", NAME_MAX_CHARS).unwrap_or_default() },
    };
    Some(Work::Call(Box::new(call)))
}

fn read_names_below(fields: &mut Fields, data_model: DataModel) -> Option<Work> {
    let path = fields.parsed("path", |text| ObjectPath::try_from(text));
    match fields.boolean("next_level") {
        Some(false) => Some(Work::Discover { below: path }),
        Some(true) | None => {
            let path = path.or_else(|| ObjectPath::try_from(data_model.root()).ok())?;
            Some(Work::Call(Box::new(Call::GetParameterNames { path })))
        }
    }
}

fn read_names(fields: &mut Fields) -> Option<Vec<ReadPath>> {
    let names = fields.lines("names", NAMES_MAX);
    let names = fields.require("names", names)?;
    let mut paths = Vec::with_capacity(names.len());
    for name in &names {
        match ReadPath::try_from(name.as_str()) {
            Ok(path) => paths.push(path),
            Err(reason) => fields.error("names", format!("{name:?} {reason}.")),
        }
    }
    if names.is_empty() {
        fields.error("names", "At least one is required.");
    }
    (paths.len() == names.len() && !names.is_empty()).then_some(paths)
}

/// A list of objects, of which there has to be one at least.
fn read_list<T>(
    fields: &mut Fields,
    name: &str,
    max: usize,
    read: impl FnMut(Fields) -> Result<T, FieldErrors>,
) -> Option<Vec<T>> {
    let items = fields.list_of(name, read);
    let items = fields.require(name, items)?;
    if items.is_empty() {
        fields.error(name, "At least one is required.");
    } else if items.len() > max {
        fields.error(name, format!("Ensure this field has no more than {max} elements."));
    }
    Some(items)
}

fn read_values(fields: &mut Fields) -> Option<Work> {
    let mut seen = std::collections::HashSet::new();
    let assignments = read_list(fields, "parameters", NAMES_MAX, |one| {
        let assignment = read_value(one)?;
        if !seen.insert(assignment.path.clone()) {
            return Err(FieldErrors::one("path", "Is set twice."));
        }
        Ok(assignment)
    })?;
    Some(Work::Set { assignments })
}

fn read_value(mut one: Fields) -> Result<Assignment, FieldErrors> {
    let path = one.parsed("path", |text| ParameterPath::try_from(text));
    let path = one.require("path", path);
    let value = one.text("value", VALUE_MAX_CHARS);
    let value = one.require("value", value);
    let ty = one.nullable("value_type", |fields, name| {
        fields.parsed(name, |text| parse_type(text).ok_or_else(|| not_a_choice(text, &TYPE_NAMES)))
    });
    let ty = ty.flatten();
    if let Some(value) = &value {
        let masked = path.as_ref().and_then(|path| check_mask(path.as_str(), value));
        if let Some(reason) = masked.or_else(|| check_characters(value)).or_else(|| check_hint(ty, value)) {
            one.error("value", sentence(&reason));
        }
    }
    one.finish(&[])?;
    let (Some(path), Some(value)) = (path, value) else { return Err(required("path")) };
    Ok(Assignment { path, value: value.into(), ty })
}

fn read_attributes(mut one: Fields) -> Result<AttributeChange, FieldErrors> {
    let path = one.parsed("path", |text| ReadPath::try_from(text));
    let path = one.require("path", path);
    let notification = one.integer("notification", 0..=6).and_then(|number| u8::try_from(number).ok());
    let access_list = one.lines("access_list", 8);
    if access_list.iter().flatten().any(|entity| entity.chars().count() > NAME_MAX_CHARS) {
        one.error("access_list", "Every element must be a string of 1 to 64 characters.");
    }
    if one.is_clean() && notification.is_none() && access_list.is_none() {
        one.error("notification", "Either this or access_list is required.");
    }
    one.finish(&[])?;
    Ok(AttributeChange { path: path.ok_or_else(|| required("path"))?, notification, access_list })
}

fn read_transfer(fields: &mut Fields) -> Option<TransferRef> {
    let key = line(fields, "command_key", KEY_MAX_CHARS);
    let transaction = fields.any("transaction");
    match (key, transaction) {
        (Some(_), Some(_)) => {
            fields.error("transaction", "Either this or command_key is to be given, not both.");
            None
        }
        (Some(key), None) if key.is_empty() => {
            fields.error("command_key", "This field may not be blank.");
            None
        }
        (Some(key), None) => Some(TransferRef::Key(key)),
        (None, Some(number)) => match number.as_u64() {
            Some(number) => Some(TransferRef::Transaction(TransactionId(number))),
            None => {
                fields.error("transaction", "A valid integer is required.");
                None
            }
        },
        (None, None) => fields.require("command_key", None),
    }
}

fn read_operation(mut one: Fields) -> Result<DuChange, FieldErrors> {
    let action = one.parsed("action", |word| {
        let words = DuAction::ALL.map(DuAction::as_str);
        DuAction::ALL.into_iter().find(|action| action.as_str() == word).ok_or_else(|| not_a_choice(word, &words))
    });
    let action = one.require("action", action);
    let uuid = one.parsed("uuid", |text| if is_uuid(text) { Ok(text.to_owned()) } else { Err(NO_UUID) });
    let url = one.parsed("url", |text| match text {
        "" => Ok(String::new()),
        text => check_url(text, URL_MAX_CHARS).map(|()| text.to_owned()),
    });
    let version = line(&mut one, "version", KEY_MAX_CHARS);
    let username = line(&mut one, "username", TEXT_MAX_CHARS);
    let password = line(&mut one, "password", TEXT_MAX_CHARS);
    let execution_env_ref = line(&mut one, "execution_env_ref", TEXT_MAX_CHARS);
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    match action {
        Some(DuAction::Install) => {
            if !given(&url) {
                one.require::<()>("url", None);
            }
            refuse(&mut one, "install", &[("version", given(&version))]);
        }
        Some(DuAction::Update) => refuse(&mut one, "update", &[("execution_env_ref", given(&execution_env_ref))]),
        Some(DuAction::Uninstall) => {
            one.require("uuid", uuid.as_ref());
            let not_its = [("url", given(&url)), ("username", given(&username)), ("password", given(&password))];
            refuse(&mut one, "uninstall", &not_its);
        }
        None => {}
    }
    one.finish(&[])?;
    Ok(DuChange {
        action: action.ok_or_else(|| required("action"))?,
        uuid: uuid.unwrap_or_default(),
        url: url.unwrap_or_default(),
        version: version.unwrap_or_default(),
        username: username.unwrap_or_default(),
        password: MaybeSealed::from(password.unwrap_or_default().as_str()),
        execution_env_ref: execution_env_ref.unwrap_or_default(),
    })
}

/// What an action has no use for.
fn refuse(one: &mut Fields, action: &str, given: &[(&str, bool)]) {
    for (name, _) in given.iter().filter(|(_, given)| *given) {
        one.error(name, format!("Has no meaning for {action}."));
    }
}

fn read_vouchers(fields: &mut Fields) -> Option<Vec<MaybeSealed>> {
    let given = fields.any("vouchers");
    let Value::Array(items) = fields.require("vouchers", given)? else {
        fields.error("vouchers", "Expected a list of strings.");
        return None;
    };
    if items.is_empty() || items.len() > VOUCHERS_MAX {
        fields.error("vouchers", format!("From 1 to {VOUCHERS_MAX} elements are required."));
        return None;
    }
    let voucher = |item: Value| match item {
        Value::String(text) if text.len() <= VOUCHER_MAX_BYTES && STANDARD.decode(&text).is_ok() => Some(text.into()),
        _ => None,
    };
    let vouchers: Option<Vec<MaybeSealed>> = items.into_iter().map(voucher).collect();
    if vouchers.is_none() {
        fields.error("vouchers", format!("Every element must be base64 of at most {VOUCHER_MAX_BYTES} bytes."));
    }
    vouchers
}

/// A text of one line that may be empty.
fn line(fields: &mut Fields, name: &str, max_chars: usize) -> Option<String> {
    let text = fields.text(name, max_chars)?;
    if text.contains(char::is_control) {
        fields.error(name, "Control characters are not allowed.");
        return None;
    }
    Some(text)
}

const NO_UUID: &str = "must be 8-4-4-4-12 hexadecimal digits";

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn required(field: &str) -> FieldErrors {
    FieldErrors::one(field, "This field is required.")
}
