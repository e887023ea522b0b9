//! How a type looks in answers.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::wanted::view::{AttributeView, ObjectView, WantedView, WriteView};
use crate::api::words::FileLoginWord;
use crate::cwmp::emission::{BooleanForm, DeclarationPolicy, SoapPrefix};
use crate::model::device_type::{DeviceType, EmissionOverrides, HealthParameter, NeighborScan, Pattern, TypeMatch};

/// A kind of device.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct DeviceTypeView {
    id: u32,
    #[schema(example = "enterprise_router")]
    short_name: String,
    #[schema(example = "Enterprise router")]
    name: String,
    r#match: MatchView,
    parameters: Vec<WriteView>,
    attributes: Vec<AttributeView>,
    objects: Vec<ObjectView>,
    /// What the operation `device_factory` writes.
    device_factory: Vec<WriteView>,
    health_parameters: Vec<HealthView>,
    /// The parameter that a device's `location_name` is written to; a list where there is one per data model.
    location_parameter: Option<LocationParameter>,
    /// Periodic Inform interval in seconds of devices that have none of their own.
    update_frequency: Option<u32>,
    emission: EmissionView,
    /// Whether its devices log in when they fetch or send files, besides knowing the link.
    file_login: FileLoginWord,
    /// Whether the sessions of all its devices are traced.
    debug: bool,
    /// How its devices scan for Wi-Fi networks, where they do it another way than TR-181 has it.
    neighbor_scan: Option<NeighborScanView>,
    created: String,
}

/// A vendor's own scan for Wi-Fi networks.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct NeighborScanView {
    /// The parameter that starts the scan and tells its state.
    #[schema(example = "InternetGatewayDevice.LANDevice.1.X_Scan.State")]
    state: String,
    /// What is written to it.
    #[schema(example = "Requested")]
    start: String,
    /// Its values that mean that the scan is done, besides `Complete` and `Completed`.
    done: Vec<String>,
    /// The table of networks.
    #[schema(example = "InternetGatewayDevice.LANDevice.1.X_Scan.AP.")]
    table: String,
    /// The device's own names of columns, by those of TR-181.
    columns: BTreeMap<String, String>,
}

/// A path, or one for each data model.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(example = "Device.DeviceInfo.X_Location")]
pub(in crate::api) enum LocationParameter {
    /// A path.
    One(String),
    /// One below `Device.` and one below `InternetGatewayDevice.`.
    PerDataModel(Vec<String>),
}

/// Which devices get this type at first contact: patterns in which `*` stands for anything; empty ones say nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct MatchView {
    #[schema(example = "00D09E")]
    oui: String,
    #[schema(example = "IGD*")]
    product_class: String,
    model_name: String,
    software_version: String,
}

/// A parameter that tells how a device is.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct HealthView {
    #[schema(example = "cpu_usage")]
    name: String,
    #[schema(example = "Device.DeviceInfo.ProcessStatus.CPUUsage")]
    path: String,
    /// An issue from this value on upwards.
    warning_above: Option<f64>,
    /// An issue from this value on downwards.
    warning_below: Option<f64>,
    severity: String,
    code: String,
    message: String,
}

/// How envelopes for these devices are written; null: as configured.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct EmissionView {
    /// `mirror`, `always` or `never`.
    #[schema(value_type = Option<String>)]
    xml_declaration: Option<DeclarationPolicy>,
    /// `SOAP-ENV`, `soap-env` or `soapenv`.
    #[schema(value_type = Option<String>)]
    soap_prefix: Option<SoapPrefix>,
    /// Leaves `ParameterKey` out.
    no_parameter_key: Option<bool>,
    /// Never sends `GetParameterAttributes` or `SetParameterAttributes`.
    no_attributes: Option<bool>,
    /// Puts `encodingStyle` on the SOAP body.
    encoding_style: Option<bool>,
    /// `learned`, `digit` or `word`.
    #[schema(value_type = Option<String>)]
    boolean_form: Option<BooleanForm>,
}

impl DeviceTypeView {
    pub(super) fn of(record: &DeviceType) -> Self {
        let WantedView { parameters, attributes, objects } = WantedView::of(&record.wanted);
        Self {
            id: record.id.0,
            short_name: record.short_name.clone(),
            name: record.name.clone(),
            r#match: MatchView::of(&record.matching),
            parameters,
            attributes,
            objects,
            device_factory: record.device_factory.iter().map(WriteView::of).collect(),
            health_parameters: record.health_parameters.iter().map(HealthView::of).collect(),
            location_parameter: match record.location_parameters.as_slice() {
                [] => None,
                [only] => Some(LocationParameter::One(only.to_string())),
                several => Some(LocationParameter::PerDataModel(several.iter().map(ToString::to_string).collect())),
            },
            update_frequency: record.update_frequency,
            emission: EmissionView::of(record.emission),
            file_login: record.file_login.into(),
            debug: record.debug,
            neighbor_scan: record.neighbor_scan.as_ref().map(NeighborScanView::of),
            created: record.created.to_string(),
        }
    }
}

impl MatchView {
    fn of(matching: &TypeMatch) -> Self {
        let text = |pattern: &Option<Pattern>| pattern.as_ref().map(|pattern| pattern.0.clone()).unwrap_or_default();
        Self {
            oui: text(&matching.oui),
            product_class: text(&matching.product_class),
            model_name: text(&matching.model_name),
            software_version: text(&matching.software_version),
        }
    }
}

impl HealthView {
    fn of(parameter: &HealthParameter) -> Self {
        Self {
            name: parameter.name.clone(),
            path: parameter.path.to_string(),
            warning_above: parameter.warning_above,
            warning_below: parameter.warning_below,
            severity: parameter.severity.clone(),
            code: parameter.code.clone(),
            message: parameter.message.clone(),
        }
    }
}

impl NeighborScanView {
    fn of(scan: &NeighborScan) -> Self {
        Self {
            state: scan.state.to_string(),
            start: scan.start.clone(),
            done: scan.done.clone(),
            table: scan.table.to_string(),
            columns: scan.columns.iter().cloned().collect(),
        }
    }
}

impl EmissionView {
    fn of(emission: EmissionOverrides) -> Self {
        Self {
            xml_declaration: emission.xml_declaration,
            soap_prefix: emission.soap_prefix,
            no_parameter_key: emission.no_parameter_key,
            no_attributes: emission.no_attributes,
            encoding_style: emission.encoding_style,
            boolean_form: emission.boolean_form,
        }
    }
}
