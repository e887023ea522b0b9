//! Reading a device from a body: which fields there are, what each may hold, and which are only ever read.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::body::{Degrees, Fields, LINE_MAX_CHARS, Line, TEXT_MAX_CHARS};
use crate::api::error::{ApiError, FieldErrors};
use crate::api::location;
use crate::devices::edit::draft::{DeviceDraft, DevicePatch};
use crate::devices::edit::{Operation, shown_update_frequency};
use crate::devices::inventory::{Reference, References};
use crate::model::device::{DEFAULT_ORGANIZATION, DEFAULT_TYPE, Device, DeviceTypeId, OrganizationId};
use crate::model::file::ImageId;
use crate::model::inventory::LocationId;
use crate::types::ident::{DeviceKey, SerialNumber};
use crate::types::secret::Secret;

/// Fields that answers have and that no write changes; they are ignored, so that what a GET gave can be sent back.
pub(super) const READ_ONLY: [&str; 17] = [
    "uuid",
    "status",
    "status_change",
    "type_short_name",
    "software_version",
    "hardware_version",
    "manufacturer",
    "unique_identifier",
    "product_class",
    "firmware_image_is_pending",
    "location_short_name",
    "address",
    "last_connection",
    "last_configuration",
    "last_change",
    "created",
    "pending_settings",
];
/// Read-only, too; apart because only some answers have it.
const PENDING_DETAIL: &str = "pending_settings_detail";

/// Most tags of a device.
const TAGS_MAX: usize = 64;
/// Longest user name and password, in characters (`ManagementServer.Username`: `string(256)`, TR-181).
const LOGIN_MAX_CHARS: usize = 256;

/// What the fields of a device may hold.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only; a test holds it against the reader")]
#[schema(as = DeviceFields, example = json!({
    "name": "Branch Office Router", "type": 1, "organization_id": 1, "is_active": true, "tags": ["branch"],
    "location_name": "Branch Office - Seattle", "update_frequency": 300
}))]
pub(in crate::api) struct DeviceFieldsSchema {
    /// For people; at first the serial number.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    name: Option<String>,
    #[schema(nullable = false, max_length = 256)]
    customer_id: Option<String>,
    #[schema(nullable = false, max_length = 256)]
    serial_number_alt: Option<String>,
    #[schema(nullable = false, max_length = 8192)]
    description: Option<String>,
    /// Whose it is; at first the organization 1.
    #[schema(nullable = false)]
    organization_id: Option<u32>,
    /// Its type; at first 1, until a match rule gives it another.
    #[schema(nullable = false)]
    r#type: Option<u32>,
    /// Where it stands.
    location: Option<u32>,
    /// Free text, which is written to the device where its type says to which parameter.
    #[schema(nullable = false, max_length = 256)]
    location_name: Option<String>,
    /// Decimal degrees, -90 to 90, as a string or a number.
    latitude: Option<Degrees>,
    /// Decimal degrees, -180 to 180, as a string or a number.
    longitude: Option<Degrees>,
    #[schema(nullable = false, max_items = 64, value_type = Option<Vec<Line>>)]
    tags: Option<Vec<String>>,
    /// An inactive device is refused when it calls, and takes no work.
    #[schema(nullable = false)]
    is_active: Option<bool>,
    /// Records its sessions.
    #[schema(nullable = false)]
    debug: Option<bool>,
    /// The image that it is to run, one for its type or for any: it is brought to the device, unless that runs its version
    /// already. Null: whichever it runs.
    firmware_image: Option<u32>,
    /// Periodic Inform interval in seconds; null: its type's.
    #[schema(minimum = 1)]
    update_frequency: Option<u32>,
    /// What the CPE presents; no colons. Empty: none.
    #[schema(nullable = false, max_length = 256)]
    username: Option<String>,
    /// What the CPE presents.
    #[schema(nullable = false, write_only, min_length = 1, max_length = 256)]
    password: Option<String>,
}

/// A device to be created.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DeviceCreate, example = json!({
    "name": "Branch Office Router", "serial_number": "ZN987654321", "customer_id": "CUST-67890", "type": 1,
    "organization_id": 1, "location_name": "Branch Office - Seattle", "description": "Primary router",
    "username": "device_admin", "password": "secure_password_123", "is_active": true,
    "latitude": "47.6062", "longitude": "-122.3321"
}))]
pub(in crate::api) struct DeviceCreateSchema {
    /// 1 to 64 printable characters.
    #[schema(min_length = 1, max_length = 64)]
    serial_number: String,
    /// A wished-for id.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    id: Option<u32>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: DeviceFieldsSchema,
}

/// All of a device that can be changed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DeviceReplace)]
pub(in crate::api) struct DeviceReplaceSchema {
    /// That of the path.
    #[schema(nullable = false, max_length = 256)]
    serial_number: Option<String>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: DeviceFieldsSchema,
}

/// A change of a device, and what is ordered with it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DevicePatch, example = json!({"location_name": "Building B", "reboot": true}))]
pub(in crate::api) struct DevicePatchSchema {
    /// That of the path.
    #[schema(nullable = false, max_length = 256)]
    serial_number: Option<String>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: DeviceFieldsSchema,
    /// `true` restarts the device.
    #[schema(nullable = false)]
    reboot: Option<bool>,
    /// `true` resets it to factory defaults.
    #[schema(nullable = false)]
    factory: Option<bool>,
    /// `true` carries out the partial reset of its type.
    #[schema(nullable = false)]
    device_factory: Option<bool>,
    /// `true` writes what differs from the wanted configuration.
    #[schema(nullable = false)]
    sync: Option<bool>,
    /// `true` writes all of the wanted configuration.
    #[schema(nullable = false)]
    reconf: Option<bool>,
}

/// Reads a device to be created.
pub(super) fn read_draft(body: Map<String, Value>, caller: &Caller, state: &ApiState) -> Result<DeviceDraft, ApiError> {
    require_scope(&body, caller)?;
    let mut fields = Fields::new(body);
    let serial = fields.parsed("serial_number", |text| SerialNumber::try_from(text));
    let serial = fields.require("serial_number", serial);
    let key = fields.nullable("id", |fields, name| fields.integer(name, 1..=i32::MAX.unsigned_abs())).flatten();
    let patch = read_fields(&mut fields);
    let defaults = References {
        organization: DEFAULT_ORGANIZATION,
        device_type: DEFAULT_TYPE,
        location: None,
        firmware_image: None,
    };
    check_references(&mut fields, &patch, defaults, caller, state);
    finish(fields, &[])?;
    let serial_number = serial.ok_or_else(missing)?;
    if patch.organization.is_none() {
        caller.require_organization(DEFAULT_ORGANIZATION)?;
    }
    Ok(DeviceDraft { key: key.map(DeviceKey), serial_number, fields: patch })
}

/// Reads a replacement: what is absent returns to its default, credentials aside.
pub(super) fn read_replacement(
    body: Map<String, Value>,
    device: &Device,
    caller: &Caller,
    state: &ApiState,
) -> Result<DevicePatch, ApiError> {
    require_scope(&body, caller)?;
    let mut fields = Fields::new(body);
    check_serial(&mut fields, &device.profile.serial_number);
    let patch = read_fields(&mut fields);
    let location = patch.location.or(Some(None));
    let firmware_image = patch.firmware_image.or(Some(None));
    let patch = DevicePatch { location, firmware_image, ..patch };
    check_references(&mut fields, &patch, (&device.profile).into(), caller, state);
    fields.require("name", patch.name.as_ref());
    fields.require("type", patch.device_type);
    fields.require("organization_id", patch.organization);
    fields.require("is_active", patch.is_active);
    finish(fields, &["id"])?;
    // The interval of its type, or the one it reported, is no wish of the operator's when it comes back as it was shown.
    let shown_frequency =
        device.profile.update_frequency.is_none().then(|| shown_update_frequency(device, &*state.store));
    let chosen_frequency =
        patch.update_frequency.filter(|wanted| shown_frequency.is_none() || *wanted != shown_frequency);
    Ok(DevicePatch {
        customer_id: patch.customer_id.or_else(|| Some(String::new())),
        serial_number_alt: patch.serial_number_alt.or_else(|| Some(String::new())),
        description: patch.description.or_else(|| Some(String::new())),
        // The type it has is no choice of the operator's: match rules may still give it another.
        device_type: patch.device_type.filter(|named| *named != device.profile.device_type),
        location_name: patch.location_name.or_else(|| Some(String::new())),
        latitude: patch.latitude.or(Some(None)),
        longitude: patch.longitude.or(Some(None)),
        tags: patch.tags.or_else(|| Some(Vec::new())),
        debug: patch.debug.or(Some(false)),
        // The image it has is not brought again because its record comes back as it was shown.
        firmware_image: Some(patch.firmware_image.flatten()).filter(|named| *named != device.profile.firmware_image),
        update_frequency: chosen_frequency.or(Some(None)),
        ..patch
    })
}

/// Reads a change, and what is ordered with it.
pub(super) fn read_patch(
    body: Map<String, Value>,
    device: &Device,
    caller: &Caller,
    state: &ApiState,
) -> Result<DevicePatch, ApiError> {
    require_scope(&body, caller)?;
    let mut fields = Fields::new(body);
    check_serial(&mut fields, &device.profile.serial_number);
    let mut patch = read_fields(&mut fields);
    check_references(&mut fields, &patch, (&device.profile).into(), caller, state);
    patch.operations =
        Operation::ALL.into_iter().filter(|operation| fields.boolean(operation.as_str()) == Some(true)).collect();
    finish(fields, &["id"])?;
    Ok(patch)
}

fn read_fields(fields: &mut Fields) -> DevicePatch {
    DevicePatch {
        name: fields.filled_line("name"),
        customer_id: fields.text("customer_id", LINE_MAX_CHARS),
        serial_number_alt: fields.text("serial_number_alt", LINE_MAX_CHARS),
        description: fields.text("description", TEXT_MAX_CHARS),
        organization: read_id(fields, "organization_id").map(OrganizationId),
        device_type: read_id(fields, "type").map(DeviceTypeId),
        location: fields.nullable("location", read_id).map(|id| id.map(LocationId)),
        location_name: fields.text("location_name", LINE_MAX_CHARS),
        latitude: fields.nullable("latitude", |fields, name| fields.degrees(name, 90.0)),
        longitude: fields.nullable("longitude", |fields, name| fields.degrees(name, 180.0)),
        tags: fields.lines("tags", TAGS_MAX),
        is_active: fields.boolean("is_active"),
        debug: fields.boolean("debug"),
        firmware_image: fields.nullable("firmware_image", read_id).map(|id| id.map(ImageId)),
        // TR-181 allows up to 2^32 - 1; the interval must be at least a second.
        update_frequency: fields.nullable("update_frequency", |fields, name| fields.integer(name, 1..=u32::MAX)),
        username: read_username(fields),
        password: read_password(fields),
        operations: Vec::new(),
    }
}

/// The id of a record.
fn read_id(fields: &mut Fields, name: &str) -> Option<u32> {
    fields.integer(name, 0..=u32::MAX)
}

/// Whether what a patch names is there, and there for this caller. What a device has already is not judged again, so that
/// what a GET gave can be sent back.
fn check_references(fields: &mut Fields, patch: &DevicePatch, present: References, caller: &Caller, state: &ApiState) {
    let wished = References {
        organization: patch.organization.unwrap_or(present.organization),
        device_type: patch.device_type.unwrap_or(present.device_type),
        location: patch.location.unwrap_or(present.location),
        firmware_image: patch.firmware_image.unwrap_or(present.firmware_image),
    };
    if let Some(id) = wished.location.filter(|_| wished.location != present.location)
        && state.store.locations().of(id).is_some_and(|location| !location::is_visible(caller, &location))
    {
        // As if there were none: it is not this token's business.
        fields.error(Reference::Location.as_str(), no_such(id.0));
        return;
    }
    for (reference, reason) in wished.broken(&*state.store) {
        let is_named = match reference {
            Reference::Organization => wished.organization != present.organization,
            Reference::DeviceType => wished.device_type != present.device_type,
            // Also when the device moves away from the organization whose location it is.
            Reference::Location => (wished.location, wished.organization) != (present.location, present.organization),
            // Also when the device gets another type.
            Reference::FirmwareImage => {
                (wished.firmware_image, wished.device_type) != (present.firmware_image, present.device_type)
            }
        };
        if is_named {
            fields.error(reference.as_str(), reason);
        }
    }
}

/// What is said of an id that does not exist.
pub(in crate::api) fn no_such(id: u32) -> String {
    format!("Invalid id \"{id}\" - object does not exist.")
}

/// Empty is what a GET gives for a device without credentials. Basic credentials cannot carry a colon (RFC 7617 §2).
fn read_username(fields: &mut Fields) -> Option<String> {
    let username = fields.text("username", LOGIN_MAX_CHARS)?;
    if username.contains(|c: char| c == ':' || c.is_control()) {
        fields.error("username", "Colons and control characters are not allowed.");
        return None;
    }
    Some(username)
}

fn read_password(fields: &mut Fields) -> Option<Secret> {
    let password = fields.text("password", LOGIN_MAX_CHARS)?;
    if password.is_empty() {
        fields.error("password", "This field may not be blank.");
        return None;
    }
    if password.contains(char::is_control) {
        fields.error("password", "Control characters are not allowed.");
        return None;
    }
    Some(Secret::new(password))
}

fn check_serial(fields: &mut Fields, serial: &SerialNumber) {
    if let Some(given) = fields.text("serial_number", LINE_MAX_CHARS)
        && given != serial.as_str()
    {
        fields.error("serial_number", "Must be the serial number of the path: it cannot be changed.");
    }
}

fn finish(fields: Fields, also_read_only: &[&str]) -> Result<(), FieldErrors> {
    let mut read_only = READ_ONLY.to_vec();
    read_only.push(PENDING_DETAIL);
    read_only.extend_from_slice(also_read_only);
    fields.finish(&read_only)
}

/// Before anything is said of the organization: whether it exists is not the business of a token that is not bound to it.
fn require_scope(body: &Map<String, Value>, caller: &Caller) -> Result<(), ApiError> {
    let named = body.get("organization_id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    named.map_or(Ok(()), |id| caller.require_organization(OrganizationId(id)))
}

fn missing() -> ApiError {
    FieldErrors::one("serial_number", "This field is required.").into()
}
