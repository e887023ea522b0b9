//! What one line of an import does: it creates a device, or changes one as `PATCH` does.

use std::error::Error;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::{change_device, create_device, form};
use crate::api::ApiState;
use crate::api::access::Operator;
use crate::api::error::{ApiError, FieldErrors};
use crate::devices::edit::credentials;
use crate::devices::edit::draft::{DeviceDraft, DevicePatch};
use crate::model::device::{Device, Profile};
use crate::types::ident::SerialNumber;

use super::source::WHOLE;

/// Which devices lines may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mode {
    /// New ones.
    Create,
    /// Known ones.
    Update,
    /// Both.
    #[default]
    Upsert,
}

impl Mode {
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "create" => Some(Self::Create),
            "update" => Some(Self::Update),
            "upsert" => Some(Self::Upsert),
            _ => None,
        }
    }
}

/// Whether lines are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// They are.
    Real,
    /// They are only checked.
    Dry,
}

/// What became of a line.
#[derive(Debug)]
pub(super) enum Outcome {
    Created,
    Updated,
    Unchanged,
    /// It cannot be done, and why.
    Refused(FieldErrors),
    /// acsd failed; other lines would fare no better.
    Failed(Arc<dyn Error + Send + Sync>),
}

impl From<ApiError> for Outcome {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Fields(errors) | ApiError::Unprocessable(errors) => Self::Refused(errors),
            ApiError::Misconfigured { detail, .. } => Self::Refused(FieldErrors::one(WHOLE, detail)),
            ApiError::Detail { status, detail } if status == http::StatusCode::FORBIDDEN => {
                Self::Refused(FieldErrors::one("organization_id", detail))
            }
            ApiError::Detail { detail, .. } => Self::Refused(FieldErrors::one(WHOLE, detail)),
            ApiError::InUse { detail, .. } | ApiError::Unauthorized(detail) => {
                Self::Refused(FieldErrors::one(WHOLE, detail))
            }
            ApiError::TooManyRequests { .. } => Self::Refused(FieldErrors::one(WHOLE, "Too many requests.")),
            ApiError::Internal(cause) => Self::Failed(cause),
        }
    }
}

/// The device that a line means, if it says so.
pub(super) fn serial_of(object: &Map<String, Value>) -> Option<&str> {
    object.get("serial_number").and_then(Value::as_str)
}

/// Carries a line out.
pub(super) async fn carry_out(
    state: &ApiState,
    caller: &Operator,
    mode: Mode,
    run: Run,
    object: Map<String, Value>,
) -> Outcome {
    match decide(state, caller, mode, run, object).await {
        Ok(outcome) => outcome,
        Err(error) => error.into(),
    }
}

async fn decide(
    state: &ApiState,
    caller: &Operator,
    mode: Mode,
    run: Run,
    object: Map<String, Value>,
) -> Result<Outcome, ApiError> {
    let known = match serial_of(&object).and_then(|serial| SerialNumber::try_from(serial).ok()) {
        Some(serial) => state.store.by_serial(serial.as_str()).await?,
        // What is wrong with it is said with all the rest.
        None => None,
    };
    // A device of others is there only so far as its name is taken, which a `POST` tells as well.
    let mine = known.as_ref().is_some_and(|device| caller.sees(device.profile.organization));
    match known {
        Some(device) if mine && mode != Mode::Create => update(state, caller, run, device, object).await,
        None if mode != Mode::Update => create(state, caller, run, object).await,
        Some(_) if mode != Mode::Update => {
            // All else that is wrong with the line comes first, as at a `POST`.
            form::read_draft(object, caller, state)?;
            Ok(refused("A device with this serial number exists."))
        }
        _ if serial_of(&object).is_none() => Ok(refused("This field is required.")),
        _ => Ok(refused("There is no device with this serial number.")),
    }
}

fn refused(reason: &str) -> Outcome {
    Outcome::Refused(FieldErrors::one("serial_number", reason))
}

async fn create(
    state: &ApiState,
    caller: &Operator,
    run: Run,
    object: Map<String, Value>,
) -> Result<Outcome, ApiError> {
    let draft = form::read_draft(object, caller, state)?;
    match run {
        Run::Real => drop(create_device(state, caller, draft).await?),
        Run::Dry => check(state, &draft).await?,
    }
    Ok(Outcome::Created)
}

/// What a creation would be refused for, besides its fields.
async fn check(state: &ApiState, draft: &DeviceDraft) -> Result<(), ApiError> {
    credentials::of_new_device(draft).map_err(|error| ApiError::from(crate::devices::edit::EditError::from(error)))?;
    if let Some(key) = draft.key
        && state.store.device(key).await?.is_some()
    {
        return Err(ApiError::conflict(format!("A device with id {key} exists.")));
    }
    Ok(())
}

async fn update(
    state: &ApiState,
    caller: &Operator,
    run: Run,
    device: Device,
    object: Map<String, Value>,
) -> Result<Outcome, ApiError> {
    let patch = form::read_patch(object, &device, caller, state)?;
    let patch = differences(patch, &device.profile);
    let login = credentials::of_known_device(&device, &patch, &state.sealer)?;
    if login.is_none() && patch.operations.is_empty() && !patch.changes_record() {
        return Ok(Outcome::Unchanged);
    }
    if run == Run::Real {
        drop(change_device(state, caller, device, patch).await?);
    }
    Ok(Outcome::Updated)
}

/// Leaves of a change what is not so already: a line that was exported and comes back unchanged has no effect at all.
fn differences(mut patch: DevicePatch, profile: &Profile) -> DevicePatch {
    fn keep<T: PartialEq>(wanted: &mut Option<T>, present: &T) {
        if wanted.as_ref() == Some(present) {
            *wanted = None;
        }
    }
    keep(&mut patch.name, &profile.name);
    keep(&mut patch.customer_id, &profile.customer_id);
    keep(&mut patch.serial_number_alt, &profile.serial_number_alt);
    keep(&mut patch.description, &profile.description);
    keep(&mut patch.organization, &profile.organization);
    keep(&mut patch.device_type, &profile.device_type);
    keep(&mut patch.location, &profile.location);
    keep(&mut patch.location_name, &profile.location_name);
    keep(&mut patch.latitude, &profile.latitude);
    keep(&mut patch.longitude, &profile.longitude);
    keep(&mut patch.tags, &profile.tags);
    keep(&mut patch.is_active, &profile.is_active);
    keep(&mut patch.debug, &profile.debug);
    keep(&mut patch.firmware_image, &profile.firmware_image);
    keep(&mut patch.update_frequency, &profile.update_frequency);
    patch
}
