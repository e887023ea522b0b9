//! One lock for a handful of devices, and the queue documents that are on their way to the disk.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::store::queue::QueueDocument;
use crate::types::ident::DeviceKey;

/// Power of two; enough that two busy devices seldom meet.
const STRIPES: usize = 1024;

/// A lock per device, shared with every 1,024th other one. Never held across an await.
pub(super) struct Striped<T>(Box<[Mutex<T>]>);

/// Locks with what they guard: documents under way.
pub(super) type Stripes = Striped<Stripe>;
/// Locks alone.
pub(super) type Locks = Striped<()>;

/// What the devices of a stripe have under way.
#[derive(Debug, Default)]
pub(super) struct Stripe {
    queues: HashMap<DeviceKey, UnderWay>,
}

/// A queue document of which newer versions wait for their flush, or that is ahead of the disk by the start of a read.
#[derive(Debug)]
struct UnderWay {
    published: Arc<QueueDocument>,
    latest: Arc<QueueDocument>,
    pending: usize,
}

impl<T: Default> Default for Striped<T> {
    fn default() -> Self {
        Self(std::iter::repeat_with(Mutex::default).take(STRIPES).collect())
    }
}

impl<T> Striped<T> {
    /// Locks a device's stripe.
    pub(super) fn lock(&self, key: DeviceKey) -> MutexGuard<'_, T> {
        let at = usize::try_from(key.0).unwrap_or_default() % STRIPES;
        #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
        self.0[at].lock()
    }
}

impl Stripe {
    /// What readers get, if versions of the document are under way.
    pub(super) fn published(&self, key: DeviceKey) -> Option<Arc<QueueDocument>> {
        self.queues.get(&key).map(|under_way| Arc::clone(&under_way.published))
    }

    /// What the next change builds on, if versions of the document are under way.
    pub(super) fn latest(&self, key: DeviceKey) -> Option<Arc<QueueDocument>> {
        self.queues.get(&key).map(|under_way| Arc::clone(&under_way.latest))
    }

    /// Whether versions of the document are on their way to the disk.
    pub(super) fn is_pending(&self, key: DeviceKey) -> bool {
        self.queues.get(&key).is_some_and(|under_way| under_way.pending > 0)
    }

    /// Takes in a version that is not written for its own sake: the next one that is will contain it.
    pub(super) fn keep(&mut self, key: DeviceKey, document: Arc<QueueDocument>) {
        let published = Arc::clone(&document);
        self.queues.insert(key, UnderWay { published, latest: document, pending: 0 });
    }

    /// Notes that `next` follows `before` and has been handed to the committer.
    pub(super) fn submit(&mut self, key: DeviceKey, before: Arc<QueueDocument>, next: Arc<QueueDocument>) {
        let under_way = self.queues.entry(key).or_insert_with(|| UnderWay {
            published: Arc::clone(&before),
            latest: before,
            pending: 0,
        });
        under_way.latest = next;
        under_way.pending += 1;
    }

    /// Notes that `document` is durable.
    pub(super) fn publish(&mut self, key: DeviceKey, document: &Arc<QueueDocument>) {
        if let Some(under_way) = self.queues.get_mut(&key) {
            under_way.published = Arc::clone(document);
            under_way.pending -= 1;
            if under_way.pending == 0 {
                self.queues.remove(&key);
            }
        }
    }

    /// Forgets a removed device.
    pub(super) fn forget(&mut self, key: DeviceKey) {
        self.queues.remove(&key);
    }
}
