//! Whether writes are taken.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::StoreError;

/// Why the store no longer takes writes, if so.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// For good: sled fails every operation after an I/O error, until the process starts anew.
    failure: OnceLock<String>,
    /// Until there is room again.
    low_space: AtomicBool,
}

impl Health {
    /// Ends writing for good. The first reason stays.
    pub(super) fn fail(&self, reason: impl Into<String>) -> StoreError {
        let reason = self.failure.get_or_init(|| {
            let reason = reason.into();
            tracing::error!(reason = %reason, "the store takes no more writes: {reason}");
            reason
        });
        StoreError::Broken { reason: reason.clone() }
    }

    /// Ends writing on purpose.
    pub(super) fn close(&self) {
        self.failure.get_or_init(|| "it is closed".to_owned());
    }

    pub(super) fn set_low_space(&self, low: bool) {
        if self.low_space.swap(low, Ordering::Relaxed) != low {
            if low {
                tracing::error!("the disk is nearly full: the store takes no writes until there is room");
            } else {
                tracing::info!("there is room on the disk again: the store takes writes");
            }
        }
    }

    /// Whether writes are taken.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if let Some(reason) = self.failure.get() {
            return Err(StoreError::Broken { reason: reason.clone() });
        }
        if self.low_space.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable { reason: "the disk is nearly full".to_owned() });
        }
        Ok(())
    }

    /// What sled's refusal means to a caller.
    pub(super) fn judge(&self, error: &::sled::Error) -> StoreError {
        match error {
            ::sled::Error::Corruption { .. } => {
                StoreError::Corrupt { what: "page".to_owned(), reason: error.to_string() }
            }
            ::sled::Error::CollectionNotFound(_)
            | ::sled::Error::Unsupported(_)
            | ::sled::Error::ReportableBug(_)
            | ::sled::Error::Io(_) => self.fail(error.to_string()),
        }
    }
}
