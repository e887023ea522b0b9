//! What a device needs to fetch or send a file, and what follows from its asking for one.

use std::error::Error;
use std::time::Duration;

use http::uri::Scheme;

use crate::cwmp::message::Request;
use crate::devices::keeper::upkeep::{Occasion, Wake};
use crate::files::{Target, Terms};
use crate::model::device::Setting;
use crate::model::file::{Content, FIRMWARE_FILE_TYPE};
use crate::model::transaction::{Transaction, Work};
use crate::model::transfer::FileRef;
use crate::store::StoreError;
use crate::tasks::plan::{TransferOffer, Wanted};
use crate::types::ident::DeviceKey;

use super::super::exchange::Transport;
use super::super::sessions::Live;
use super::Inner;

impl Inner {
    /// Where the file of a transfer is, or goes to; `None`: the order itself says so, or it is no transfer.
    pub(super) fn transfer(&self, live: &Live, transaction: &Transaction) -> Option<Wanted> {
        let store = &self.services.store;
        let (target, size, version) = match &transaction.work {
            Work::Download(order) => match order.file {
                FileRef::Image(id) => match store.firmware_images().of(id) {
                    None => return Some(Wanted::NoTransfer("the firmware image is gone")),
                    Some(image) => match image.content {
                        Content::Missing => {
                            return Some(Wanted::NoTransfer("the file of the firmware image is not here"));
                        }
                        Content::Here { size, .. } => (Target::Image(id), size, image.version.as_str().into()),
                    },
                },
                FileRef::Stored(id) => match store.stored_files().of(id) {
                    None => return Some(Wanted::NoTransfer("the stored file is gone")),
                    Some(file) => (Target::Stored(id), file.size, "".into()),
                },
                FileRef::Elsewhere(_) => return None,
            },
            Work::Upload(_) => (Target::Upload, 0, "".into()),
            _ => return None,
        };
        let files = &self.services.files;
        let (host, transport) = &live.called_at;
        let scheme = match transport {
            Transport::Tls => Scheme::HTTPS,
            Transport::Plain => Scheme::HTTP,
        };
        let Some(base) = files.base(&scheme, host.as_ref()) else {
            return Some(Wanted::NoTransfer("how the device calls acsd is no address that a file could be offered at"));
        };
        let terms = Terms { login: live.device_type.file_login, delay: delay(&transaction.work) };
        let link = files.link(target, live.device, transaction.id, terms);
        let Some(url) = link.url(&base) else {
            return Some(Wanted::NoTransfer("the address of the file is longer than devices take"));
        };
        let (username, password, arrived) = (link.username, link.password, files.arrived(transaction.id));
        Some(Wanted::Transfer(TransferOffer { url, username, password, size, version, arrived }))
    }

    /// The file of an upload may have come since the call was sent.
    pub(super) fn note_arrival(&self, live: &mut Live, transaction: &Transaction) {
        if let (Work::Upload(_), Some(Wanted::Transfer(offer))) = (&transaction.work, &mut live.wanted) {
            offer.arrived = self.services.files.arrived(transaction.id);
        }
    }

    /// The device asks for a file: if an image waits for it that it has not been offered, it gets that, and nothing else.
    pub(super) async fn offer_image(&self, device: DeviceKey, request: &Request<'_>) {
        let Request::RequestDownload(asked) = request else { return };
        if asked.file_type.trim_start().chars().next() != FIRMWARE_FILE_TYPE.chars().next() {
            return;
        }
        if let Err(error) = self.hasten_upgrade(device).await {
            tracing::error!(error = &error as &dyn Error, device.id = %device, "device {device} asks for a file, and its queue was not read");
        }
    }

    async fn hasten_upgrade(&self, key: DeviceKey) -> Result<(), StoreError> {
        let store = &self.services.store;
        let Some(device) = store.device(key).await? else { return Ok(()) };
        let mut pending = device.profile.pending.iter();
        let Some(entry) = pending.find(|entry| entry.setting == Setting::FirmwareUpgrade) else { return Ok(()) };
        match entry.transaction {
            // Backing off; one that waits for the device is not touched.
            Some(carrier) if entry.failed.is_none() => store.hasten(key, carrier).await.map(|_hastened| ()),
            Some(_) => Ok(()),
            None => self.upkeep().tend(&device, Occasion::Other, Wake::IsHere, self.now()).await.map(|_tended| ()),
        }
    }
}

/// How long the device is told to wait before it comes for the file.
fn delay(work: &Work) -> Duration {
    let secs = match work {
        Work::Download(order) => order.windows.iter().map(|window| window.end_secs).fold(order.delay_secs, u32::max),
        Work::Upload(order) => order.delay_secs,
        _ => 0,
    };
    Duration::from_secs(secs.into())
}
