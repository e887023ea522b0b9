//! `/inventory_device_serial/{serial_number}/rpc/`: single calls of CWMP, ordered and shown (rest-api.md §4).

pub(super) mod form;
pub(super) mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use self::form::Order;
use self::view::RpcView;
use super::ApiState;
use super::access::{Caller, Operator};
use super::audit::Done;
use super::body::JsonObject;
use super::device::{Serial, SerialAndId};
use super::error::{ApiError, FieldErrors};
use super::headless::form::check_against;
use super::openapi::{Detail, PageParameters, Reading, Writing};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use super::transaction::{TransactionView, read_status};
use super::words::StatusWord;
use crate::model::audit::AuditResource;
use crate::model::call::{Call, TransferRef};
use crate::model::device::Device;
use crate::model::transaction::{Kind, Transaction, Work};
use crate::store::TransactionFilter;
use crate::types::ident::TransactionId;

/// Which methods a device has.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MethodsView {
    /// As the device said; null while it was not asked since its software changed.
    #[schema(example = json!(["GetRPCMethods", "GetParameterValues", "ChangeDUState"]))]
    methods: Option<Vec<String>>,
    /// When it said so.
    asked_at: Option<String>,
    /// What it ran then.
    software_version: Option<String>,
}

/// Orders a call.
///
/// Before a method that a device need not have, it is asked which ones it has, unless that is remembered; one that it lacks
/// fails without being called. `GetParameterNames` with `next_level` false is carried out as a discovery.
#[utoipa::path(post, path = "/api/v1/inventory_device_serial/{serial_number}/rpc/", tag = "calls",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    request_body = form::RpcSchema,
    responses(
        (status = 202, description = "Scheduled", body = TransactionView),
        (status = 404, description = "There is no such device", body = Detail),
        (status = 409, description = "The device's queue is full", body = Detail),
        (status = 422, description = "The device is inactive", body = Detail),
        Reading, Writing))]
pub(super) async fn order(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<TransactionView>), ApiError> {
    let device = caller.device(&state, &serial).await?;
    let sent = told(body.clone());
    let Order { work } = form::read(body, device.state.data_model)?;
    check(&state, &device, &work).await?;
    let transaction = schedule(&state, &caller, &device, work, &sent).await?;
    Ok((StatusCode::ACCEPTED, Json(TransactionView::of(&device, transaction))))
}

/// What the audit trail tells of a call: what was sent, but of vouchers, which are rights, only what identifies them.
fn told(mut sent: Map<String, Value>) -> Value {
    if let Some(Value::Array(vouchers)) = sent.get_mut("vouchers") {
        for voucher in vouchers {
            let text = voucher.as_str().unwrap_or_default();
            *voucher = json!({ "chars": text.len(), "sha256": hex::encode(Sha256::digest(text)) });
        }
    }
    Value::Object(sent)
}

/// What only the record of the device tells to be wrong.
async fn check(state: &ApiState, device: &Device, work: &Work) -> Result<(), ApiError> {
    match work {
        Work::Set { assignments } => {
            let paths: Vec<&str> = assignments.iter().map(|assignment| assignment.path.as_str()).collect();
            let known = state.store.known(device.key, &paths).await?;
            check_against(assignments, &known).map_err(|errors| errors.renamed("variables", "parameters"))?;
        }
        Work::Call(call) => {
            if let Call::CancelTransfer { transfer: TransferRef::Transaction(id) } = &**call {
                let ordered = state.store.transaction(*id).await?;
                let is_transfer = |one: &Transaction| {
                    one.device == device.key && matches!(one.work, Work::Download(_) | Work::Upload(_))
                };
                match ordered.filter(is_transfer) {
                    None => {
                        return Err(FieldErrors::one("transaction", "Is no file transfer of this device.").into());
                    }
                    Some(ended) if ended.status.is_final() => {
                        return Err(FieldErrors::one("transaction", "Has ended.").into());
                    }
                    Some(_) => {}
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// Puts the call into the device's queue, its secrets sealed, and says so in the audit trail.
pub(super) async fn schedule(
    state: &ApiState,
    caller: &Caller,
    device: &Device,
    work: Work,
    sent: &Value,
) -> Result<Transaction, ApiError> {
    let transaction = state.schedule(caller, device, Kind::Rpc, work).await?;
    let done = Done::ordered(AuditResource::Rpc, &transaction.id, sent);
    state.audit(caller, done.of_device(device)).await?;
    let (operation, key) = (transaction.work.operation(), device.key);
    tracing::info!(device.id = %key, "{} ordered {operation} of device {key}", caller.name());
    Ok(transaction)
}

/// Calls of a device, newest first.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/{serial_number}/rpc/", tag = "calls",
    params(
        ("serial_number" = String, Path, description = "Percent-encoded where need be"),
        ("status" = Option<StatusWord>, Query, description = "Only in this status"),
        PageParameters
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<TransactionView>),
        (status = 404, description = "There is no such device", body = Detail),
        Reading))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
    mut query: Query,
) -> Result<Json<Envelope<TransactionView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let status = read_status(&mut query);
    let links = query.finish()?;
    let device = caller.device(&state, &serial).await?;
    let filter = TransactionFilter {
        visible: caller.visible().map(<[_]>::to_vec),
        device: Some(device.key),
        kind: Some(Kind::Rpc),
        status,
    };
    let listing = state.store.transactions(&filter, page).await?;
    let views = listing.items.into_iter().map(|transaction| TransactionView::of(&device, transaction)).collect();
    Ok(Json(links.envelope(page, listing.count, views)))
}

/// One call, with what it brought.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/{serial_number}/rpc/{id}/", tag = "calls",
    params(
        ("serial_number" = String, Path, description = "Percent-encoded where need be"),
        ("id" = u64, Path, description = "The transaction's number")
    ),
    responses(
        (status = 200, description = "The call", body = RpcView),
        (status = 404, description = "There is no such device or call", body = Detail),
        Reading))]
pub(super) async fn show(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    SerialAndId(serial, id): SerialAndId,
) -> Result<Json<RpcView>, ApiError> {
    let device = caller.device(&state, &serial).await?;
    let no_such_call = || ApiError::not_found("There is no call of this device with this id.");
    let id = id.parse().map(TransactionId).map_err(|_not_a_number| no_such_call())?;
    let transaction = state.store.transaction(id).await?;
    let is_meant = |found: &Transaction| found.device == device.key && found.kind == Kind::Rpc;
    let transaction = transaction.filter(is_meant).ok_or_else(no_such_call)?;
    let results = if transaction.status.is_final() { state.store.results(transaction.id).await? } else { Vec::new() };
    Ok(Json(RpcView::of(&device, transaction, &results)))
}

/// Which methods a device has, as far as it is known.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/{serial_number}/rpc/methods/", tag = "calls",
    params(("serial_number" = String, Path, description = "Percent-encoded where need be")),
    responses(
        (status = 200, description = "What is remembered of the last GetRPCMethods", body = MethodsView),
        (status = 404, description = "There is no such device", body = Detail),
        Reading))]
pub(super) async fn methods(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Serial(serial): Serial,
) -> Result<Json<MethodsView>, ApiError> {
    let device = caller.device(&state, &serial).await?;
    let known = device.profile.methods.as_ref();
    Ok(Json(MethodsView {
        methods: known.map(|known| known.names().into_iter().map(str::to_owned).collect()),
        asked_at: known.map(|known| known.at.to_string()),
        software_version: known.map(|known| known.software_version.to_string()),
    }))
}
