//! The wanted firmware image of a device.

use crate::model::campaign::CampaignId;
use crate::model::device::Device;
use crate::model::file::ImageId;
use crate::model::transaction::Transaction;

use super::{EditError, Editor};

impl Editor<'_> {
    /// Makes an image the wanted one and schedules what brings it to the device; `None`: the device runs it already.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn upgrade(
        &self,
        _device: &Device,
        _image: ImageId,
        _by: &str,
        _campaign: Option<CampaignId>,
    ) -> Result<Option<Transaction>, EditError> {
        Err(EditError::Impossible("not built"))
    }
}
