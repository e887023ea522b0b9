//! How many discoveries run at once: each has the names at hand that are known of its device, and many operators would have
//! the whole fleet discovered in one go.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::tasks::plan::KnownNames;

/// How long a discovery waits at least that has found no place.
const PAUSE_MIN: Duration = Duration::from_secs(30);
/// The longer they have waited, the longer the line: no longer than that, however.
const PAUSE_MAX: Duration = Duration::from_mins(15);

/// How long a discovery waits that has found no place, `waited` after it was ordered: a quarter of that within bounds, and
/// up to as much again by `jitter` (thousandths), so that the devices of a fleet are neither called all at once nor again
/// and again.
pub(super) fn pause(waited: Duration, jitter: u32) -> Duration {
    let pause = (waited / 4).clamp(PAUSE_MIN, PAUSE_MAX);
    pause + pause * jitter.min(1_000) / 1_000
}

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

    #[test]
    fn whoever_has_waited_long_asks_seldom() {
        let secs = Duration::from_secs;
        let waits = [(0, 30), (120, 30), (400, 100), (3_600, 900), (1_000_000, 900)];
        for (waited, least) in waits {
            assert_eq!(pause(secs(waited), 0), secs(least), "{waited}");
            assert_eq!(pause(secs(waited), 500), secs(least) * 3 / 2, "{waited}");
            assert!(pause(secs(waited), 999) < secs(least) * 2, "{waited}");
        }
    }

    /// A fleet that is discovered in one go is not called again and again.
    #[test]
    fn ten_thousand_make_few_calls() {
        const DAY: u64 = 24 * 3_600;
        let mut random = fastrand::Rng::with_seed(7);
        let mut calls = 0;
        for _ in 0..10_000 {
            let mut waited = Duration::ZERO;
            while waited.as_secs() < DAY {
                waited += pause(waited, random.u32(0..1_000));
                calls += 1;
            }
        }
        assert!(calls / DAY < 10, "{calls} calls in a day");
    }
}
