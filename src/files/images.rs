//! The bytes of firmware images, which operators bring.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::beginning::Beginning;
use super::draft::Turn;
use super::{Complete, Draft, Files, ReceiveError};
use crate::model::file::{Content, FirmwareImage, ImageId};
use crate::store::StoreError;

/// Where an upload begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first byte; what is here of it is thrown away.
    Anew,
    /// With this byte: what came before is here.
    At(u64),
}

/// Why an image's bytes were not taken.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is no such image.
    #[error("there is no such image")]
    Unknown,
    /// It is being written already.
    #[error("the file of this image is being uploaded already")]
    Busy,
    /// The upload does not begin where the last one ended.
    #[error("the upload has to go on at byte {expected}")]
    Offset {
        /// Where it has to begin.
        expected: u64,
    },
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It is not as large as announced. Nothing is kept.
    #[error("the file has {found} bytes instead of {announced}")]
    Size {
        /// What the record says.
        announced: u64,
        /// What came.
        found: u64,
    },
    /// It is another file than announced. Nothing is kept.
    #[error("the file has the SHA-256 {found}")]
    Sum {
        /// What came, in hexadecimal digits.
        found: String,
    },
    /// The bytes could not be taken.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// The store failed.
    #[error("the image was not stored")]
    Store(#[from] StoreError),
}

/// The right to write an image: one upload at a time.
#[derive(Debug)]
struct WritingTurn {
    id: ImageId,
    writing: Arc<Mutex<HashSet<ImageId>>>,
}

impl WritingTurn {
    fn take(writing: &Arc<Mutex<HashSet<ImageId>>>, id: ImageId) -> Option<Self> {
        writing.lock().insert(id).then(|| Self { id, writing: Arc::clone(writing) })
    }
}

impl Drop for WritingTurn {
    fn drop(&mut self) {
        self.writing.lock().remove(&self.id);
    }
}

impl Files {
    /// How much of an image is here that is not here whole, in bytes.
    ///
    /// # Errors
    /// [`ReceiveError::Io`].
    pub async fn partial(&self, id: ImageId) -> Result<u64, ReceiveError> {
        let folder = Arc::clone(&self.folder);
        self.folder.blocking(move || Ok(folder.partial(id).unwrap_or_default())).await
    }

    /// Begins to receive an image. `announced`: how large it will be.
    ///
    /// # Errors
    /// [`ImageError::Busy`], `Offset`, `Receive`.
    pub async fn receive_image(&self, id: ImageId, start: Start, announced: Option<u64>) -> Result<Draft, ImageError> {
        let limit_bytes = self.config.max_image_bytes;
        let turn = WritingTurn::take(&self.writing, id).ok_or(ImageError::Busy)?;
        let here = self.partial(id).await?;
        let from = match start {
            Start::Anew => Beginning::Anew,
            Start::At(offset) if offset == here => Beginning::Kept,
            Start::At(_) => return Err(ImageError::Offset { expected: here }),
        };
        self.admit(announced, if from == Beginning::Kept { here } else { 0 }, limit_bytes)?;
        let turn: Turn = Box::new(turn);
        Ok(Draft::resume(Arc::clone(&self.folder), id, from, limit_bytes, turn).await?)
    }

    /// Begins to receive an image of which there is no record yet.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn receive_new_image(&self, announced: Option<u64>) -> Result<Draft, ReceiveError> {
        let limit_bytes = self.config.max_image_bytes;
        self.admit(announced, 0, limit_bytes)?;
        Draft::begin(Arc::clone(&self.folder), limit_bytes).await
    }

    /// Makes what has arrived the file of an image, if it is what was announced: durable when this returns.
    ///
    /// # Errors
    /// [`ImageError`]; nothing of what came is kept then.
    pub async fn complete_image(&self, id: ImageId, complete: Complete) -> Result<Arc<FirmwareImage>, ImageError> {
        let image = self.store.firmware_images().of(id).ok_or(ImageError::Unknown);
        if let Err(error) = image.and_then(|image| check(&image, &complete)) {
            // Whoever reads why may send it again at once.
            complete.discard().await;
            return Err(error);
        }
        let held = complete.publish().await?;
        let (sha256, size) = (held.sha256(), held.size());
        let mut before = Content::Missing;
        // Kept together with the change, not when it is durable: whoever waits for that may go away, or wait in vain.
        let edit = |image: &mut FirmwareImage| {
            before = std::mem::replace(&mut image.content, Content::Here { sha256, size });
            (image.size, image.sha256) = (Some(size), Some(sha256));
            held.keep();
        };
        let image = self.store.firmware_images().edit(id.0, Box::new(edit)).await?.ok_or(ImageError::Unknown)?;
        if let Content::Here { sha256, .. } = before {
            self.release(sha256).await;
        }
        Ok(image)
    }

    /// Lets go of the bytes of an image that was removed.
    pub async fn forget_image(&self, image: &FirmwareImage) {
        if let Content::Here { sha256, .. } = image.content {
            self.release(sha256).await;
        }
        let (folder, id) = (Arc::clone(&self.folder), image.id);
        if let Err(error) = self.folder.blocking(move || folder.forget_partial(id)).await {
            tracing::warn!(%error, "the beginning of image {} could not be removed", id.0);
        }
    }
}

/// Whether what came is what was announced.
fn check(image: &FirmwareImage, complete: &Complete) -> Result<(), ImageError> {
    // What is here already announces nothing of what takes its place.
    let announced = if image.content == Content::Missing { (image.size, image.sha256) } else { (None, None) };
    match announced {
        _ if complete.size() == 0 => Err(ImageError::Empty),
        (Some(announced), _) if announced != complete.size() => {
            Err(ImageError::Size { announced, found: complete.size() })
        }
        (_, Some(sum)) if sum != complete.sha256() => Err(ImageError::Sum { found: hex::encode(complete.sha256()) }),
        _ => Ok(()),
    }
}
