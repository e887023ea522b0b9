//! How a device looks in answers.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::error::ApiError;
use crate::api::words::StatusWord;
use crate::devices::edit::{self, credentials};
use crate::model::device::{Device, PendingSetting, Setting, Status};
use crate::store::Store;
use crate::types::ident::DeviceIdentity;

/// A row of the device list (rest-api.md 2.1).
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct DeviceRow {
    id: u32,
    uuid: String,
    name: String,
    customer_id: String,
    is_active: bool,
    /// `Up` or `Down`.
    #[schema(example = "Up", pattern = "^(Up|Down)$")]
    status: &'static str,
    status_change: String,
    r#type: u32,
    type_short_name: String,
    software_version: String,
    hardware_version: String,
    manufacturer: String,
    serial_number: String,
    serial_number_alt: String,
    description: String,
    organization_id: u32,
    location_name: String,
    location: Option<u32>,
    location_short_name: String,
    latitude: Option<String>,
    longitude: Option<String>,
    /// Where the CPE's last Inform came from.
    address: String,
    last_connection: Option<String>,
    last_configuration: Option<String>,
    created: String,
    /// Names of the settings the device has yet to take, joined by commas.
    pending_settings: Option<String>,
    /// Only where it was asked for with `pending=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pending_settings_detail: Option<Vec<PendingView>>,
}

/// A device with all its fields (rest-api.md 2.1).
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct DeviceDetail {
    id: u32,
    uuid: String,
    name: String,
    customer_id: String,
    is_active: bool,
    /// `Up` or `Down`.
    #[schema(example = "Up", pattern = "^(Up|Down)$")]
    status: &'static str,
    status_change: String,
    r#type: u32,
    type_short_name: String,
    software_version: String,
    hardware_version: String,
    manufacturer: String,
    /// OUI, product class and serial number as reported, joined by colons; empty before the first contact.
    unique_identifier: String,
    product_class: String,
    serial_number: String,
    serial_number_alt: String,
    description: String,
    organization_id: u32,
    firmware_image: Option<u32>,
    firmware_image_is_pending: bool,
    location_name: String,
    location: Option<u32>,
    location_short_name: String,
    latitude: Option<String>,
    longitude: Option<String>,
    /// What the CPE presents; while a change is pending, the new one.
    username: String,
    /// Periodic Inform interval in seconds.
    update_frequency: u32,
    /// Where the CPE's last Inform came from.
    address: String,
    last_connection: Option<String>,
    last_configuration: Option<String>,
    last_change: Option<String>,
    created: String,
    debug: bool,
    /// Names of the settings the device has yet to take, joined by commas.
    pending_settings: Option<String>,
    /// Only where it was asked for with `pending=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pending_settings_detail: Option<Vec<PendingView>>,
    tags: Vec<String>,
}

/// A setting that the device has yet to take.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct PendingView {
    #[schema(example = "update_frequency")]
    setting: &'static str,
    /// The transaction that carries it to the device, once there is one.
    transaction: Option<u64>,
    /// In the words of transactions; `failed` when the device refused it.
    status: StatusWord,
    created_at: String,
    /// The fault, or what it waits for.
    detail: String,
}

/// Whether pending settings are shown in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum PendingShown {
    /// Their names only.
    Names,
    /// In full.
    Detail,
}

impl PendingShown {
    /// By the query parameter `pending`.
    pub(in crate::api) fn asked(pending: Option<bool>) -> Self {
        if pending == Some(true) { Self::Detail } else { Self::Names }
    }
}

impl DeviceRow {
    pub(in crate::api) async fn of(device: Device, shown: PendingShown, store: &dyn Store) -> Result<Self, ApiError> {
        let pending_settings_detail = pending_detail(&device, shown, store).await?;
        let device_type = store.device_types().of(device.profile.device_type);
        let location = device.profile.location.and_then(|id| store.locations().of(id));
        let Device { key, profile, state } = device;
        Ok(Self {
            id: key.0,
            uuid: profile.uuid.to_string(),
            pending_settings: pending_names(&profile.pending),
            pending_settings_detail,
            name: profile.name,
            customer_id: profile.customer_id,
            is_active: profile.is_active,
            status: status_word(state.status),
            status_change: state.status_change.to_string(),
            r#type: profile.device_type.0,
            type_short_name: device_type.map(|one| one.short_name.clone()).unwrap_or_default(),
            software_version: state.software_version.into(),
            hardware_version: state.hardware_version.into(),
            manufacturer: state.manufacturer.into(),
            serial_number: profile.serial_number.to_string(),
            serial_number_alt: profile.serial_number_alt,
            description: profile.description,
            organization_id: profile.organization.0,
            location_name: profile.location_name,
            location: profile.location.map(|id| id.0),
            location_short_name: location.map(|one| one.short_name.clone()).unwrap_or_default(),
            latitude: profile.latitude,
            longitude: profile.longitude,
            address: state.address.map(|address| address.to_canonical().to_string()).unwrap_or_default(),
            last_connection: state.last_inform.map(|at| at.to_string()),
            last_configuration: profile.last_configuration.map(|at| at.to_string()),
            created: profile.created.to_string(),
        })
    }
}

impl DeviceDetail {
    pub(in crate::api) async fn of(device: Device, shown: PendingShown, store: &dyn Store) -> Result<Self, ApiError> {
        let update_frequency = edit::shown_update_frequency(&device, store);
        let username = credentials::wanted_login(&device).map(|login| login.username.clone()).unwrap_or_default();
        let identity = device.state.identity.as_ref();
        let unique_identifier = identity.map(unique_identifier).unwrap_or_default();
        let product_class = identity.map(|identity| identity.product_class.to_string()).unwrap_or_default();
        let (firmware_image, debug) = (device.profile.firmware_image.map(|image| image.0), device.profile.debug);
        let firmware_image_is_pending =
            device.profile.pending.iter().any(|entry| entry.setting == Setting::FirmwareUpgrade);
        let last_change = device.profile.last_change.map(|at| at.to_string());
        let tags = device.profile.tags.clone();
        let row = DeviceRow::of(device, shown, store).await?;
        Ok(Self {
            id: row.id,
            uuid: row.uuid,
            name: row.name,
            customer_id: row.customer_id,
            is_active: row.is_active,
            status: row.status,
            status_change: row.status_change,
            r#type: row.r#type,
            type_short_name: row.type_short_name,
            software_version: row.software_version,
            hardware_version: row.hardware_version,
            manufacturer: row.manufacturer,
            unique_identifier,
            product_class,
            serial_number: row.serial_number,
            serial_number_alt: row.serial_number_alt,
            description: row.description,
            organization_id: row.organization_id,
            firmware_image,
            firmware_image_is_pending,
            location_name: row.location_name,
            location: row.location,
            location_short_name: row.location_short_name,
            latitude: row.latitude,
            longitude: row.longitude,
            username,
            update_frequency,
            address: row.address,
            last_connection: row.last_connection,
            last_configuration: row.last_configuration,
            last_change,
            created: row.created,
            debug,
            pending_settings: row.pending_settings,
            pending_settings_detail: row.pending_settings_detail,
            tags,
        })
    }
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Up => "Up",
        Status::Down => "Down",
    }
}

pub(super) fn unique_identifier(identity: &DeviceIdentity) -> String {
    format!("{}:{}:{}", identity.oui, identity.product_class, identity.serial_number)
}

/// What of the pending settings is the operator's business.
fn shown_pending(pending: &[PendingSetting]) -> impl Iterator<Item = &PendingSetting> {
    pending.iter().filter(|entry| entry.setting != Setting::ConnectionRequest)
}

pub(super) fn pending_names(pending: &[PendingSetting]) -> Option<String> {
    let mut names: Vec<&str> = shown_pending(pending).map(|entry| entry.setting.as_str()).collect();
    names.sort_unstable();
    (!names.is_empty()).then(|| names.join(","))
}

async fn pending_detail(
    device: &Device,
    shown: PendingShown,
    store: &dyn Store,
) -> Result<Option<Vec<PendingView>>, ApiError> {
    if shown == PendingShown::Names {
        return Ok(None);
    }
    let mut views = Vec::new();
    for entry in shown_pending(&device.profile.pending) {
        let carrier = match entry.transaction {
            Some(id) => store.transaction(id).await?,
            None => None,
        };
        let waits = || match &carrier {
            Some(carrier) => {
                let fault = || carrier.fault.as_ref().map(|fault| fault.message.clone());
                carrier.waiting_for().or_else(fault).unwrap_or_default()
            }
            None if device.state.identity.is_none() => "the device's first contact".to_owned(),
            None if !device.profile.is_active => "the device to be active again".to_owned(),
            None => "the device's next session".to_owned(),
        };
        views.push(PendingView {
            setting: entry.setting.as_str(),
            transaction: entry.transaction.map(|id| id.0),
            status: edit::pending_status(entry, carrier.as_ref()).into(),
            created_at: entry.created_at.to_string(),
            detail: entry.failed.clone().unwrap_or_else(waits),
        });
    }
    views.sort_by_key(|view| view.setting);
    Ok(Some(views))
}
