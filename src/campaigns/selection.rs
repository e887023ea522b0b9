//! Which devices a campaign means.

use crate::model::campaign::{Campaign, Selection};
use crate::model::organizations;
use crate::store::{DeviceFilter, Page, Store, StoreError};
use crate::types::ident::DeviceKey;

/// How many devices that would be now.
pub(super) async fn count(store: &dyn Store, campaign: &Campaign) -> Result<u32, StoreError> {
    let count = store.list(&filter(store, campaign).await?, Page { offset: 0, limit: 1 }).await?.count;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The devices, in the order of their keys.
pub(super) async fn keys(store: &dyn Store, campaign: &Campaign) -> Result<Vec<DeviceKey>, StoreError> {
    let mut keys = store.select(&filter(store, campaign).await?).await?;
    keys.sort_unstable();
    Ok(keys)
}

async fn filter(store: &dyn Store, campaign: &Campaign) -> Result<DeviceFilter, StoreError> {
    let Selection {
        device_type,
        organization,
        location,
        status,
        is_active,
        tags,
        search,
        software_version,
        manufacturer,
        serial_numbers,
    } = campaign.selection.clone();
    let among = match serial_numbers {
        None => None,
        // Only these are tested, not all devices.
        Some(serials) => {
            let mut named = Vec::with_capacity(serials.len());
            for serial in serials {
                named.extend(store.by_serial(serial.as_str()).await?.map(|device| device.key));
            }
            Some(named)
        }
    };
    let all = store.organizations().all();
    Ok(DeviceFilter {
        among,
        visible: campaign.organizations.as_ref().map(|roots| organizations::covered(&all, roots)),
        organization,
        device_type,
        location,
        status,
        is_active,
        // Checked when the campaign was made.
        search: search.parse().unwrap_or_default(),
        tags,
        software_version,
        manufacturer,
        ..DeviceFilter::default()
    })
}
