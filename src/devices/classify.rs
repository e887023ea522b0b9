//! Which type a device gets by itself: the match rules of the types, put to what is known of the device.

use std::sync::Arc;

use crate::cwmp::message::inform::ParameterValueStruct;
use crate::model::device::{DataModel, Device, DeviceTypeId, Profile, TypeOrigin};
use crate::model::device_type::{DeviceType, TypeMatch};
use crate::model::matching::{self, Traits};
use crate::model::transaction::{Kind, NewTransaction, Work};
use crate::store::catalogue::Entries;
use crate::store::{EnqueueError, Merge, Store, StoreError};
use crate::types::ident::DeviceIdentity;
use crate::types::path::{ParameterPath, ReadPath};
use crate::types::time::Timestamp;

use super::onboard::REQUESTED_BY;

/// Below the root of either tree.
const MODEL_NAME: &str = "DeviceInfo.ModelName";
const SOFTWARE_VERSION: &str = "DeviceInfo.SoftwareVersion";

/// The type of a device that is not known yet, by what its Inform says; `None`: no rule matches.
#[must_use]
pub fn at_first_sight(
    store: &dyn Store,
    identity: &DeviceIdentity,
    parameters: &[ParameterValueStruct<'_>],
) -> Option<DeviceTypeId> {
    let types = store.device_types().all();
    if !has_rules(&types) {
        return None;
    }
    let value = |leaf: &str| {
        let mut named = parameters.iter().filter(|parameter| below_root(&parameter.name) == Some(leaf));
        named.next().map(|parameter| parameter.value.as_ref()).filter(|value| !value.is_empty())
    };
    let traits = Traits {
        oui: &identity.oui,
        product_class: &identity.product_class,
        model_name: value(MODEL_NAME),
        software_version: value(SOFTWARE_VERSION),
    };
    matching::classify(types.values().map(Arc::as_ref), &traits)
}

/// Gives a device the type that the rules say now, unless an operator chose the one it has. When none matches it keeps the
/// one it has. Where only the model name could tell and is not known, it is read first; [`is_model_name`] says when it has
/// come.
///
/// # Errors
/// [`StoreError`].
pub async fn classify(store: &dyn Store, device: Device, at: Timestamp) -> Result<Device, StoreError> {
    let types = store.device_types().all();
    if device.profile.type_origin == TypeOrigin::Operator || !has_rules(&types) {
        return Ok(device);
    }
    let Some(identity) = &device.state.identity else { return Ok(device) };
    let path = format!("{}{MODEL_NAME}", device.state.data_model.root());
    let known = store.known(device.key, &[&path]).await?.into_iter().flatten().next();
    let traits = Traits {
        oui: &identity.oui,
        product_class: &identity.product_class,
        model_name: known.as_ref().and_then(|known| known.value.as_deref()),
        software_version: Some(&*device.state.software_version).filter(|version| !version.is_empty()),
    };
    let all = types.values().map(Arc::as_ref);
    if matching::is_model_name_missing(all.clone(), &traits)
        && device.profile.is_active
        && device.state.data_model != DataModel::Unknown
    {
        read(store, &device, &path, at).await?;
    }
    let Some(found) = matching::classify(all, &traits).filter(|found| *found != device.profile.device_type) else {
        return Ok(device);
    };
    tracing::info!(device.id = %device.key, "device {} is of type {}", device.key, found.0);
    let edit = Box::new(move |profile: &mut Profile| {
        // An operator may have been quicker.
        if profile.type_origin != TypeOrigin::Operator {
            (profile.device_type, profile.type_origin) = (found, TypeOrigin::Matched);
        }
    });
    Ok(store.edit_profile(device.key, edit).await?.unwrap_or(device))
}

/// Whether this is the path of a device's model name, by which it may be classified anew.
#[must_use]
pub fn is_model_name(path: &str) -> bool {
    below_root(path) == Some(MODEL_NAME)
}

fn below_root(path: &str) -> Option<&str> {
    path.split_once('.').map(|(_, below)| below)
}

fn has_rules(types: &Entries<DeviceType>) -> bool {
    types.values().any(|known| known.matching != TypeMatch::default())
}

async fn read(store: &dyn Store, device: &Device, path: &str, at: Timestamp) -> Result<(), StoreError> {
    let Ok(path) = ParameterPath::try_from(path) else { return Ok(()) };
    let new = NewTransaction {
        kind: Kind::Configuration,
        work: Work::Get { paths: vec![ReadPath::Parameter(path)] },
        requested_by: REQUESTED_BY.to_owned(),
        expires_at: None,
        campaign: None,
    };
    match store.enqueue(device.key, new, Merge::SameUnstarted, at).await {
        Ok(_) => Ok(()),
        Err(EnqueueError::Store(error)) => Err(error),
        Err(error) => {
            tracing::warn!(device.id = %device.key, %error, "the model name of device {} is not read", device.key);
            Ok(())
        }
    }
}
