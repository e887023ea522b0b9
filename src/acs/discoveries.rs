//! How many discoveries run at once: each has the names at hand that are known of its device, and many operators would have
//! the whole fleet discovered in one go.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::tasks::plan::KnownNames;

/// The places that discoveries share.
#[derive(Debug)]
pub struct Discoveries {
    places: Arc<Semaphore>,
}

/// A discovery in a session. Its place is free again when this is dropped.
#[derive(Debug)]
pub struct Walk {
    /// The names known beforehand.
    pub names: KnownNames,
    _place: OwnedSemaphorePermit,
}

impl Discoveries {
    /// So many at once; one at least.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS))) }
    }

    /// A place for one more; `None`: all are taken.
    #[must_use]
    pub fn enter(&self) -> Option<Walk> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Walk { names: KnownNames::none(), _place: place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_walk_is_over() {
        let discoveries = Discoveries::new(1);
        let first = discoveries.enter();
        assert!(first.is_some() && discoveries.enter().is_none());
        drop(first);
        assert!(discoveries.enter().is_some());
        assert!(Discoveries::new(0).enter().is_some());
    }
}
