//! Firmware images as records that others refer to: devices that are to run them, work that brings them.

use std::sync::Arc;

use super::{Dependents, Inventory, InventoryError, count};
use crate::files::Files;
use crate::model::campaign::{Campaign, CampaignOperation};
use crate::model::device::DeviceTypeId;
use crate::model::file::{FirmwareImage, ImageId};
use crate::model::transaction::{Transaction, Work};
use crate::model::transfer::FileRef;
use crate::store::catalogue::AddError;
use crate::store::{DeviceFilter, StoreError};

/// Transactions looked at in one go.
const BATCH: usize = 500;

impl Inventory<'_> {
    /// What refers to an image: `devices`, `campaigns` that are not over, `transactions`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn image_dependents(&self, id: ImageId) -> Result<Dependents, StoreError> {
        let mut dependents = Dependents::default();
        let filter = DeviceFilter { firmware_image: Some(id), ..DeviceFilter::default() };
        dependents.note("devices", self.devices(&filter).await?);
        let campaigns = self.store.campaigns().all();
        let bring = |one: &&Arc<Campaign>| one.operation == CampaignOperation::Firmware(id);
        dependents.note("campaigns", count(campaigns.values().filter(bring).filter(|one| one.course.closed.is_none())));
        let (mut transactions, mut after) = (0, None);
        loop {
            let live = self.store.live_after(after, BATCH).await?;
            let Some(last) = live.last() else { break };
            after = Some(last.id);
            transactions += count(live.iter().filter(|transaction| brings(transaction, id)));
        }
        dependents.note("transactions", transactions);
        Ok(dependents)
    }

    /// How many devices of another type than this are to run an image.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn devices_of_other_types(&self, id: ImageId, meant: DeviceTypeId) -> Result<u64, StoreError> {
        let all = DeviceFilter { firmware_image: Some(id), ..DeviceFilter::default() };
        let fitting = DeviceFilter { device_type: Some(meant), ..all.clone() };
        Ok(self.devices(&all).await?.saturating_sub(self.devices(&fitting).await?))
    }

    /// Removes an image to which nothing refers, with its file.
    ///
    /// # Errors
    /// [`InventoryError::InUse`], `Unknown`, `Store`.
    pub async fn remove_image(&self, files: &Files, image: &Arc<FirmwareImage>) -> Result<(), InventoryError> {
        let dependents = self.image_dependents(image.id).await?;
        if dependents != Dependents::default() {
            return Err(InventoryError::InUse(dependents));
        }
        let catalogue = self.store.firmware_images();
        let present = catalogue.of(image.id).ok_or(InventoryError::Unknown)?;
        if !catalogue.remove(image.id.0).await? {
            return Err(InventoryError::Unknown);
        }
        let late = self.image_dependents(image.id).await?;
        if late == Dependents::default() {
            files.forget_image(&present).await;
            return Ok(());
        }
        match catalogue.add(Some(image.id.0), Box::new(move |_id| FirmwareImage::clone(&present))).await {
            Ok(_) | Err(AddError::Taken { .. }) => Err(InventoryError::InUse(late)),
            Err(failed) => Err(failed.into()),
        }
    }
}

/// Whether it brings the image to a device.
fn brings(transaction: &Transaction, id: ImageId) -> bool {
    match &transaction.work {
        Work::Download(order) => !transaction.status.is_final() && order.file == FileRef::Image(id),
        _ => false,
    }
}
