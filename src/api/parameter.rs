//! `/inventory_device_serial/{serial_number}/parameters/`: what is known of a device's data model (rest-api.md §4).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::ApiState;
use super::access::{Caller, Operator};
use super::audit::Done;
use super::body::{Fields, JsonObject, sentence};
use super::device::Serial;
use super::error::{ApiError, FieldErrors};
use super::headless::form::{check_characters, check_given, check_mask, kind_word};
use super::openapi::{Detail, PageParameters, Reading, Writing};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use super::rpc;
use super::transaction::TransactionView;
use super::words::KindOfValue;
use crate::model::audit::AuditResource;
use crate::model::device::{Device, Parameter};
use crate::model::transaction::{Assignment, Kind, Work};
use crate::store::ParameterQuery;
use crate::types::path::{ObjectPath, ParameterPath, ReadPath};
use crate::types::value::XsdType;

/// A parameter, or an object with its final dot.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParameterView {
    path: String,
    /// Null where it was never read.
    value: Option<String>,
    /// `integer`, `boolean` or `string`.
    #[schema(value_type = Option<KindOfValue>)]
    value_type: Option<&'static str>,
    #[schema(example = "xsd:unsignedInt")]
    xsd_type: Option<&'static str>,
    /// Null where it was never asked.
    writable: Option<bool>,
    /// 0 off, 1 passive, 2 active; null where it was never asked.
    notification: Option<u8>,
    updated_at: String,
}

impl ParameterView {
    fn of(parameter: Parameter) -> Self {
        Self {
            path: parameter.path.into(),
            value: parameter.value.map(Into::into),
            value_type: parameter.ty.map(|ty| kind_word(ty.kind())),
            xsd_type: parameter.ty.map(XsdType::qualified),
            writable: parameter.writable,
            notification: parameter.notification,
            updated_at: parameter.updated_at.to_string(),
        }
    }
}

/// What is to be read, or what is to be discovered: one of them.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = ParameterRefresh, example = json!({"refresh": "Device.WiFi."}))]
pub(super) struct RefreshSchema {
    /// Reads the values of a parameter, or of an object with its final dot.
    #[schema(min_length = 1, max_length = 256, nullable = false)]
    refresh: Option<String>,
    /// Finds out which parameters and objects there are below an object, or with `true` in the whole data model.
    #[schema(value_type = Option<Discovery>, nullable = false)]
    discover: Option<String>,
}

/// Where a discovery begins; for the description.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "a schema only")]
#[schema(example = "Device.WiFi.")]
pub(super) enum Discovery {
    /// An object, with its final dot.
    Below(String),
    /// The whole data model.
    All(bool),
}

/// The known tree.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/{serial_number}/parameters/", tag = "parameters",
    params(
        ("serial_number" = String, Path, description = "Percent-encoded where need be"),
        ("prefix" = Option<String>, Query, description = "Only paths that begin so"),
        ("search" = Option<String>, Query, description = "Only where path or value contain this, in any case"),
        PageParameters
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<ParameterView>),
        (status = 404, description = "There is no such device", body = Detail),
        Reading))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    mut query: Query,
) -> Result<Json<Envelope<ParameterView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let prefix = query.text("prefix").unwrap_or_default().to_owned();
    let search = query.text("search").unwrap_or_default().to_owned();
    let links = query.finish()?;
    let device = caller.device(&state, &serial).await?;
    let wanted = ParameterQuery { prefix: &prefix, search: &search };
    let listing = state.store.parameters(device.key, wanted, page).await?;
    let views = listing.items.into_iter().map(ParameterView::of).collect();
    Ok(Json(links.envelope(page, listing.count, views)))
}

/// Schedules a read, or a discovery.
#[utoipa::path(post, path = "/api/v1/inventory_device_serial/{serial_number}/parameters/", tag = "parameters",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    request_body = RefreshSchema,
    responses(
        (status = 202, description = "Scheduled", body = TransactionView),
        (status = 404, description = "There is no such device", body = Detail),
        (status = 409, description = "The device's queue is full", body = Detail),
        (status = 422, description = "The device is inactive", body = Detail),
        Reading, Writing))]
pub(super) async fn refresh(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<TransactionView>), ApiError> {
    let device = caller.device(&state, &serial).await?;
    let sent = serde_json::Value::Object(body.clone());
    match read_refresh(Fields::new(body))? {
        Wanted::Values(path) => accept(&state, &caller, device, Work::Get { paths: vec![path] }, sent).await,
        Wanted::Names(below) => {
            let transaction = rpc::schedule(&state, &caller, &device, Work::Discover { below }, &sent).await?;
            Ok((StatusCode::ACCEPTED, Json(TransactionView::of(&device, transaction))))
        }
    }
}

/// What is to be learned of a device.
enum Wanted {
    /// What the parameters below here hold.
    Values(ReadPath),
    /// Which parameters there are, below here or at all.
    Names(Option<ObjectPath>),
}

fn read_refresh(mut fields: Fields) -> Result<Wanted, FieldErrors> {
    let path = fields.parsed("refresh", |text| ReadPath::try_from(text));
    let below = match fields.any("discover") {
        None => None,
        Some(serde_json::Value::Bool(true)) => Some(None),
        Some(serde_json::Value::String(text)) => match ObjectPath::try_from(text.as_str()) {
            Ok(below) => Some(Some(below)),
            Err(reason) => {
                fields.error("discover", sentence(&reason));
                None
            }
        },
        Some(_) => {
            fields.error("discover", "Must be an object with its final dot, or true.");
            None
        }
    };
    if path.is_some() && below.is_some() {
        fields.error("discover", "Either this or refresh is to be given, not both.");
    }
    let wanted = match (path, below) {
        (Some(path), _) => Some(Wanted::Values(path)),
        (None, Some(below)) => Some(Wanted::Names(below)),
        (None, None) if fields.is_clean() => fields.require("refresh", None),
        (None, None) => None,
    };
    fields.finish(&[])?;
    wanted.ok_or_else(|| FieldErrors::one("refresh", "This field is required."))
}

/// Schedules writes: each key is a path, each value a string.
#[utoipa::path(patch, path = "/api/v1/inventory_device_serial/{serial_number}/parameters/", tag = "parameters",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    request_body(content = std::collections::HashMap<String, String>,
        example = json!({"Device.ManagementServer.PeriodicInformInterval": "300"})),
    responses(
        (status = 202, description = "Scheduled", body = TransactionView),
        (status = 404, description = "There is no such device", body = Detail),
        (status = 409, description = "The device's queue is full", body = Detail),
        (status = 422, description = "The device is inactive", body = Detail),
        Reading, Writing))]
pub(super) async fn write(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<TransactionView>), ApiError> {
    let device = caller.device(&state, &serial).await?;
    let sent = serde_json::Value::Object(body.clone());
    let assignments = read_assignments(body)?;
    let paths: Vec<&str> = assignments.iter().map(|assignment| assignment.path.as_str()).collect();
    let known = state.store.known(device.key, &paths).await?;
    let mut errors = FieldErrors::default();
    for (assignment, known) in assignments.iter().zip(&known) {
        if let Some(reason) = check_given(known.as_ref(), &assignment.value) {
            errors.add(assignment.path.as_str(), sentence(&reason));
        }
    }
    errors.into_result()?;
    accept(&state, &caller, device, Work::Set { assignments }, sent).await
}

fn read_assignments(body: serde_json::Map<String, serde_json::Value>) -> Result<Vec<Assignment>, ApiError> {
    if body.is_empty() {
        return Err(ApiError::bad_request("At least one parameter is required."));
    }
    let mut fields = Fields::new(body);
    let mut assignments = Vec::new();
    for name in fields.remaining() {
        let check = |text: &str| check_characters(text).or_else(|| check_mask(&name, text));
        let value = fields.parsed(&name, |text| check(text).map_or_else(|| Ok(text.to_owned()), Err));
        match ParameterPath::try_from(name.as_str()) {
            Ok(path) => assignments.extend(value.map(|value| Assignment { path, value: value.into(), ty: None })),
            Err(reason) => fields.error(&name, sentence(&format!("the path {reason}"))),
        }
    }
    fields.finish(&[])?;
    Ok(assignments)
}

async fn accept(
    state: &ApiState,
    caller: &Caller,
    device: Device,
    work: Work,
    sent: serde_json::Value,
) -> Result<(StatusCode, Json<TransactionView>), ApiError> {
    let what = json!({ "operation": work.operation(), "parameters": sent });
    let transaction = state.schedule(caller, &device, Kind::Headless, work).await?;
    let done = Done::ordered(AuditResource::Headless, &transaction.id, &what);
    state.audit(caller, done.of_device(&device)).await?;
    let view = TransactionView::of(&device, transaction);
    Ok((StatusCode::ACCEPTED, Json(view)))
}
