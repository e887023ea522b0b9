//! Reading a type from a body.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::health::{HealthSchema, read_health_parameters, read_history_parameters};
use super::view::LocationParameter;
use crate::api::body::{Fields, LINE_MAX_CHARS, Line, sentence};
use crate::api::catalogue::{Names, Write, read_only, read_wished};
use crate::api::error::FieldErrors;
use crate::api::wanted::form::{
    AttributeSchema, ObjectSchema, WantedPatch, WriteSchema, parse_path, read_writes, seal_writes,
};
use crate::api::words::{FileLoginWord, not_a_choice};
use crate::auth::seal::{SealError, Sealer};
use crate::model::device::DataModel;
use crate::model::device_type::{
    DeviceType, EmissionOverrides, FileLogin, HealthParameter, NeighborScan, Pattern, TypeMatch,
};
use crate::model::wanted::{WantedConfiguration, WantedParameter};
use crate::types::path::{ObjectPath, ParameterPath};

/// The columns of a scan that are made use of.
const SCAN_COLUMNS: [&str; 9] = [
    "Radio",
    "SSID",
    "BSSID",
    "Channel",
    "SignalStrength",
    "OperatingFrequencyBand",
    "OperatingChannelBandwidth",
    "SecurityModeEnabled",
    "OperatingStandards",
];
/// Most words for a scan that is done.
const SCAN_WORDS_MAX: usize = 16;

/// What the fields of a type may hold.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only; a test holds it against the reader")]
#[schema(as = DeviceTypeFields, example = json!({
    "name": "Enterprise router", "update_frequency": 300,
    "device_factory": [{"path": "Device.WiFi.Radio.1.Channel", "value": "6"}],
    "health_parameters": [{"name": "cpu_usage", "path": "Device.DeviceInfo.ProcessStatus.CPUUsage", "warning_above": 90}]
}))]
pub(super) struct DeviceTypeSchema {
    /// Required, unless `short_name` is given.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    name: Option<String>,
    /// Unique; at first the name.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    short_name: Option<String>,
    r#match: Option<MatchSchema>,
    /// Parameters with fixed paths that every device of the type is to have.
    #[schema(nullable = false)]
    parameters: Option<Vec<WriteSchema>>,
    /// Notification attributes.
    #[schema(nullable = false)]
    attributes: Option<Vec<AttributeSchema>>,
    /// Rows of tables, found by key.
    #[schema(nullable = false)]
    objects: Option<Vec<ObjectSchema>>,
    /// What the operation `device_factory` writes.
    #[schema(nullable = false)]
    device_factory: Option<Vec<WriteSchema>>,
    /// What health checks read, and what they find alarming.
    #[schema(nullable = false)]
    health_parameters: Option<Vec<HealthSchema>>,
    /// The parameter that a device's `location_name` is written to; or a list of one per data model.
    location_parameter: Option<LocationParameter>,
    /// Periodic Inform interval in seconds of devices that have none of their own.
    #[schema(minimum = 1)]
    update_frequency: Option<u32>,
    emission: Option<EmissionSchema>,
    /// Whether its devices log in when they fetch or send files, besides knowing the link: `none`, `basic` or `digest`.
    #[schema(nullable = false, value_type = Option<FileLoginWord>)]
    file_login: Option<String>,
    /// Traces the sessions of all its devices.
    #[schema(nullable = false)]
    debug: Option<bool>,
    /// How its devices scan for Wi-Fi networks, where they do it another way than TR-181 has it.
    neighbor_scan: Option<NeighborScanSchema>,
    /// Has the health of its devices checked by itself, every so many seconds; null: only when asked.
    #[schema(minimum = 60, maximum = 31_536_000)]
    health_interval: Option<u32>,
    /// Numeric parameters whose values are kept over time, besides those of `health_parameters`.
    #[schema(nullable = false, max_items = 64)]
    history_parameters: Option<Vec<Line>>,
}

/// Which devices get this type at first contact: patterns in which `*` stands for anything. All that are given must fit.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DeviceTypeMatch)]
pub(super) struct MatchSchema {
    #[schema(max_length = 256)]
    oui: Option<String>,
    #[schema(max_length = 256)]
    product_class: Option<String>,
    #[schema(max_length = 256)]
    model_name: Option<String>,
    #[schema(max_length = 256)]
    software_version: Option<String>,
}

/// How envelopes for these devices are written; absent or null: as configured.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DeviceTypeEmission)]
pub(super) struct EmissionSchema {
    /// `mirror`, `always` or `never`.
    #[schema(pattern = "^(mirror|always|never)$")]
    xml_declaration: Option<String>,
    /// `SOAP-ENV`, `soap-env` or `soapenv`.
    #[schema(pattern = "^(SOAP-ENV|soap-env|soapenv)$")]
    soap_prefix: Option<String>,
    /// Leaves `ParameterKey` out.
    no_parameter_key: Option<bool>,
    /// Never sends `GetParameterAttributes` or `SetParameterAttributes`.
    no_attributes: Option<bool>,
    /// Puts `encodingStyle` on the SOAP body.
    encoding_style: Option<bool>,
    /// `learned`, `digit` or `word`.
    #[schema(pattern = "^(learned|digit|word)$")]
    boolean_form: Option<String>,
}

/// A vendor's own scan for Wi-Fi networks.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DeviceTypeNeighborScan, example = json!({
    "state": "InternetGatewayDevice.LANDevice.1.X_Scan.State", "start": "1", "done": ["0"],
    "table": "InternetGatewayDevice.LANDevice.1.X_Scan.AP.",
    "columns": {"SSID": "Name", "Channel": "Channel", "SignalStrength": "RSSI"}
}))]
pub(super) struct NeighborScanSchema {
    /// The parameter that starts the scan and tells its state.
    #[schema(min_length = 1, max_length = 256)]
    state: String,
    /// What is written to it; `Requested` unless told.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    start: Option<String>,
    /// Its values that mean that the scan is done, besides `Complete` and `Completed`.
    #[schema(nullable = false)]
    done: Option<Vec<Line>>,
    /// The table of networks.
    #[schema(min_length = 1, max_length = 256)]
    table: String,
    /// The device's own names of columns, by the names that TR-181 has for them in
    /// `Device.WiFi.NeighboringWiFiDiagnostic.Result.{i}.`. A column that is not told of bears the standard's name.
    #[schema(nullable = false)]
    columns: Option<std::collections::BTreeMap<String, String>>,
}

/// A type to be created.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DeviceTypeCreate, example = json!({
    "id": 5, "short_name": "enterprise_router", "name": "Enterprise router",
    "match": {"oui": "00D09E", "product_class": "IGD*"},
    "parameters": [{"path": "Device.ManagementServer.PeriodicInformInterval", "value": "300", "value_type": "integer"}],
    "attributes": [{"path": "Device.DeviceInfo.SoftwareVersion", "notification": 2}],
    "objects": [{"path": "Device.WiFi.SSID.", "key": {"SSID": "guest"}, "parameters": {"Enable": true}}]
}))]
pub(super) struct DeviceTypeCreateSchema {
    /// A wished-for id.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    id: Option<u32>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: DeviceTypeSchema,
}

/// How often checks may be asked for, in seconds.
const HEALTH_INTERVAL_SECS: std::ops::RangeInclusive<u32> = 60..=31_536_000;

/// Checked values.
#[expect(clippy::option_option, reason = "absent and null are different things")]
pub(super) struct DeviceTypePatch {
    pub(super) wished: Option<u32>,
    names: Names,
    matching: Option<TypeMatch>,
    wanted: WantedPatch,
    device_factory: Option<Vec<WantedParameter>>,
    health_parameters: Option<Vec<HealthParameter>>,
    location_parameters: Option<Vec<ParameterPath>>,
    update_frequency: Option<Option<u32>>,
    emission: Option<EmissionOverrides>,
    file_login: Option<FileLogin>,
    debug: Option<bool>,
    neighbor_scan: Option<Option<NeighborScan>>,
    health_interval: Option<Option<u32>>,
    history_parameters: Option<Vec<ParameterPath>>,
}

impl DeviceTypePatch {
    /// Seals what its path hides, but for what is sealed already.
    pub(super) fn seal(&mut self, sealer: &Sealer) -> Result<(), SealError> {
        self.wanted.seal(sealer)?;
        seal_writes(&mut self.device_factory, sealer)
    }

    pub(super) fn apply(self, record: &mut DeviceType) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut record.name, self.names.name);
        set(&mut record.short_name, self.names.short_name);
        set(&mut record.matching, self.matching);
        self.wanted.apply(&mut record.wanted);
        set(&mut record.device_factory, self.device_factory);
        set(&mut record.health_parameters, self.health_parameters);
        set(&mut record.location_parameters, self.location_parameters);
        set(&mut record.update_frequency, self.update_frequency);
        set(&mut record.emission, self.emission);
        set(&mut record.file_login, self.file_login);
        set(&mut record.debug, self.debug);
        set(&mut record.neighbor_scan, self.neighbor_scan);
        set(&mut record.health_interval_secs, self.health_interval);
        set(&mut record.history_parameters, self.history_parameters);
    }
}

/// Reads a type; `stored` is what masked values stand for.
pub(super) fn read(
    body: Map<String, Value>,
    write: Write,
    stored: &DeviceType,
) -> Result<DeviceTypePatch, FieldErrors> {
    let mut fields = Fields::new(body);
    let wished = read_wished(&mut fields, write);
    let names = Names::read(&mut fields, write);
    let matching = fields.nullable("match", read_match).map(Option::unwrap_or_default);
    let wanted = WantedPatch::read(&mut fields, &stored.wanted);
    let device_factory = read_writes(&mut fields, "device_factory", &stored.device_factory);
    let health_parameters = read_health_parameters(&mut fields);
    let location_parameters = read_location_parameters(&mut fields);
    let update_frequency = fields.nullable("update_frequency", |fields, name| fields.integer(name, 1..=u32::MAX));
    let emission = fields.nullable("emission", read_emission).map(Option::unwrap_or_default);
    let file_login = fields.parsed("file_login", FileLoginWord::parse);
    let debug = fields.boolean("debug");
    let neighbor_scan = fields.nullable("neighbor_scan", read_neighbor_scan);
    let health_interval = fields.nullable("health_interval", |fields, name| fields.integer(name, HEALTH_INTERVAL_SECS));
    let history_parameters = read_history_parameters(&mut fields);
    fields.finish(read_only(write))?;
    let WantedConfiguration { parameters, attributes, objects } = WantedConfiguration::default();
    let wanted = WantedPatch {
        parameters: write.or_default(wanted.parameters, || parameters),
        attributes: write.or_default(wanted.attributes, || attributes),
        objects: write.or_default(wanted.objects, || objects),
    };
    Ok(DeviceTypePatch {
        wished,
        names,
        matching: write.or_default(matching, TypeMatch::default),
        wanted,
        device_factory: write.or_default(device_factory, Vec::new),
        health_parameters: write.or_default(health_parameters, Vec::new),
        location_parameters: write.or_default(location_parameters, Vec::new),
        update_frequency: write.or_default(update_frequency, || None),
        emission: write.or_default(emission, EmissionOverrides::default),
        file_login: write.or_default(file_login, FileLogin::default),
        debug: write.or_default(debug, || false),
        neighbor_scan: write.or_default(neighbor_scan, || None),
        health_interval: write.or_default(health_interval, || None),
        history_parameters: write.or_default(history_parameters, Vec::new),
    })
}

/// Takes an object of which `read` takes the fields.
fn read_nested<T>(fields: &mut Fields, field: &str, read: impl FnOnce(&mut Fields) -> T) -> Option<T> {
    let mut nested = Fields::new(fields.object(field)?);
    let value = read(&mut nested);
    match nested.finish(&[]) {
        Ok(()) => Some(value),
        Err(errors) => {
            fields.nested_errors(field, errors);
            None
        }
    }
}

fn read_match(fields: &mut Fields, field: &str) -> Option<TypeMatch> {
    read_nested(fields, field, |fields| {
        let mut pattern = |name: &str| {
            let text = fields.nullable(name, |fields, name| fields.text(name, LINE_MAX_CHARS)).flatten()?;
            let text = text.trim();
            (!text.is_empty()).then(|| Pattern(text.to_owned()))
        };
        TypeMatch {
            oui: pattern("oui"),
            product_class: pattern("product_class"),
            model_name: pattern("model_name"),
            software_version: pattern("software_version"),
        }
    })
}

fn read_neighbor_scan(fields: &mut Fields, field: &str) -> Option<NeighborScan> {
    let read = |fields: &mut Fields| {
        let state = fields.parsed("state", parse_path);
        let table = fields.parsed("table", |text| ObjectPath::try_from(text));
        if let (Some(state), Some(table)) = (&state, &table)
            && DataModel::of_path(state.as_str()) != DataModel::of_path(table.as_str())
        {
            fields.error("table", "Must be of the same data model as the state.");
        }
        let (state, table) = (fields.require("state", state), fields.require("table", table));
        let start = fields.filled_line("start").unwrap_or_else(|| "Requested".to_owned());
        let done = fields.lines("done", SCAN_WORDS_MAX).unwrap_or_default();
        let columns = read_columns(fields);
        Some(NeighborScan { state: state?, start, done, table: table?, columns })
    };
    read_nested(fields, field, read).flatten()
}

fn read_columns(fields: &mut Fields) -> Vec<(String, String)> {
    const FIELD: &str = "columns";
    let given = fields.object(FIELD).unwrap_or_default();
    let mut columns = Vec::with_capacity(given.len());
    for (standard, own) in given {
        let own = own.as_str().map(str::trim).unwrap_or_default().to_owned();
        if !SCAN_COLUMNS.contains(&standard.as_str()) {
            fields.error(FIELD, not_a_choice(&standard, &SCAN_COLUMNS));
        } else if own.is_empty() || own.chars().count() > LINE_MAX_CHARS || own.ends_with('.') {
            fields.error(FIELD, format!("The name of {standard} on the device is required, relative to a row."));
        } else {
            columns.push((standard, own));
        }
    }
    columns
}

fn read_emission(fields: &mut Fields, field: &str) -> Option<EmissionOverrides> {
    read_nested(fields, field, |fields| EmissionOverrides {
        xml_declaration: read_word(fields, "xml_declaration", &["mirror", "always", "never"]),
        soap_prefix: read_word(fields, "soap_prefix", &["SOAP-ENV", "soap-env", "soapenv"]),
        no_parameter_key: fields.nullable("no_parameter_key", Fields::boolean).flatten(),
        no_attributes: fields.nullable("no_attributes", Fields::boolean).flatten(),
        encoding_style: fields.nullable("encoding_style", Fields::boolean).flatten(),
        boolean_form: read_word(fields, "boolean_form", &["learned", "digit", "word"]),
    })
}

/// A word of a closed set, as the configuration file spells it.
fn read_word<T: DeserializeOwned>(fields: &mut Fields, field: &str, choices: &[&str]) -> Option<T> {
    let read = |word: &str| serde_json::from_value(word.into()).map_err(|_unknown| not_a_choice(word, choices));
    fields.nullable(field, |fields, field| fields.parsed(field, read)).flatten()
}

/// Null, a path, or a list of paths of which no two are of one data model.
fn read_location_parameters(fields: &mut Fields) -> Option<Vec<ParameterPath>> {
    const FIELD: &str = "location_parameter";
    let given = fields.nullable(FIELD, Fields::any)?;
    let texts = match given {
        None => return Some(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
    };
    let mut paths: Vec<ParameterPath> = Vec::with_capacity(texts.len());
    for text in texts {
        let Value::String(text) = text else {
            fields.error(FIELD, "Expected a path or a list of paths.");
            return None;
        };
        if text.is_empty() && paths.is_empty() {
            continue;
        }
        let model = DataModel::of_path(&text);
        match parse_path(&text) {
            Ok(_) if paths.iter().any(|other| DataModel::of_path(other.as_str()) == model) => {
                fields.error(FIELD, "Only one path of each data model is possible.");
                return None;
            }
            Ok(path) => paths.push(path),
            Err(reason) => {
                fields.error(FIELD, sentence(&reason));
                return None;
            }
        }
    }
    Some(paths)
}
