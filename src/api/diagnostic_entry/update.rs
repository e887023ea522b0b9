//! `update_status=true`: the health checks of an answer are made before it is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::Named;
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::audit::Done;
use crate::api::error::ApiError;
use crate::health::{CheckError, Freshness, Ordered, Target};
use crate::model::audit::AuditResource;
use crate::model::device::Device;
use crate::model::entry::{DiagnosticEntry, HEALTH_CHECK};
use crate::types::ident::{DeviceKey, TransactionId};

/// What is to be checked for an answer.
pub(super) struct Checks {
    targets: Vec<(Device, Target)>,
    /// Whether one that cannot be made fails the request, whatever the others do.
    strict: bool,
}

impl Checks {
    /// A named entry, if it is a health check; the newest of a named device, made if it has none; else the newest of each
    /// device that has a health check on the page. Inactive devices are left alone.
    pub(super) async fn of(
        state: &ApiState,
        named: Option<&Named>,
        kind: Option<&str>,
        page: &[DiagnosticEntry],
    ) -> Result<Self, ApiError> {
        let mut targets: BTreeMap<DeviceKey, (Device, Target)> = BTreeMap::new();
        match named {
            Some(Named::Entry(device, entry)) if entry.is_health_check() => {
                targets.insert(device.key, (Device::clone(device), Target::Entry(entry.id)));
            }
            Some(Named::Device(device)) if kind.is_none_or(|kind| kind == HEALTH_CHECK) => {
                targets.insert(device.key, (Device::clone(device), Target::Newest));
            }
            Some(Named::Entry(..) | Named::Device(_)) => {}
            None => {
                for entry in page.iter().filter(|entry| entry.is_health_check()) {
                    let key = entry.head.device;
                    if !targets.contains_key(&key)
                        && let Some(device) = state.store.device(key).await?
                    {
                        targets.insert(key, (device, Target::Newest));
                    }
                }
            }
        }
        let targets = targets.into_values().filter(|(device, _)| device.profile.is_active).collect();
        Ok(Self { targets, strict: named.is_some() })
    }

    /// Makes them, and waits for them within the configured time.
    pub(super) async fn make(mut self, state: &Arc<ApiState>, caller: &Caller) -> Result<(), ApiError> {
        let mut broken = None;
        self.targets.retain(|(device, _)| match state.device_health.can_check(device) {
            Ok(()) => true,
            Err(fault) => {
                broken.get_or_insert(fault);
                false
            }
        });
        // Of many, the others are still worth their answer; of none, it would look as if all were well.
        if let Some(fault) = broken.filter(|_| self.strict || self.targets.is_empty()) {
            tracing::warn!("a health check was asked for that cannot be made: {fault}");
            let detail = crate::api::body::sentence(&fault);
            return Err(ApiError::Misconfigured { detail, request_id: caller.request_id().to_owned() });
        }
        let mut ordering = JoinSet::new();
        for (device, target) in self.targets {
            let (state, caller) = (Arc::clone(state), caller.clone());
            ordering.spawn(async move { order(&state, &caller, &device, target).await });
        }
        let mut ordered = Vec::new();
        while let Some(ended) = ordering.join_next().await {
            ordered.extend(ended.map_err(ApiError::internal)??);
        }
        state.await_checks(&ordered).await
    }
}

/// Orders one check; `None`: not possible just now, and what is known is shown.
async fn order(
    state: &ApiState,
    caller: &Caller,
    device: &Device,
    target: Target,
) -> Result<Option<(DeviceKey, TransactionId)>, ApiError> {
    match state.device_health.order(device, target, caller.name()).await {
        Ok(Ordered { entry, transaction, freshness }) => {
            if freshness == Freshness::New {
                let what = json!({ "operation": HEALTH_CHECK, "transaction": transaction.0 });
                let done = Done::ordered(AuditResource::DiagnosticEntry, &entry.id, &what);
                state.audit(caller, done.of_device(device)).await?;
            }
            Ok(Some((device.key, transaction)))
        }
        Err(CheckError::Store(error)) => Err(error.into()),
        Err(error @ (CheckError::Helper(_) | CheckError::Gone | CheckError::Refused(_))) => {
            tracing::debug!(device.id = %device.key, "device {} was not checked: {error}", device.key);
            Ok(None)
        }
    }
}

impl ApiState {
    /// Calls the devices, waits for the ends of their checks, and sees to it that the entries show them.
    async fn await_checks(&self, ordered: &[(DeviceKey, TransactionId)]) -> Result<(), ApiError> {
        let mut transactions = Vec::with_capacity(ordered.len());
        for (_, id) in ordered {
            transactions.extend(self.store.transaction(*id).await?);
        }
        self.refresh_transactions(&transactions).await;
        for (device, id) in ordered {
            // The service may be about to do the same: the second one finds nothing to do.
            self.device_health.apply(*id).await?;
            let has_ended = self.store.transaction(*id).await?.is_none_or(|transaction| transaction.status.is_final());
            if !has_ended {
                self.device_health.note_silence(*device, *id).await?;
            }
        }
        Ok(())
    }
}
