//! Who is here right now: open sessions, and signals for those who wait for a device or a transaction.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::types::ident::{DeviceKey, TransactionId};

/// What the services tell each other about the present moment. Nothing in here lasts.
#[derive(Debug, Default)]
pub struct Presence {
    /// Devices in a session, with the number of that session.
    sessions: Mutex<HashMap<DeviceKey, u128>>,
    /// Fires when a device's Inform has been recorded and its session has begun.
    pub informed: Signal<DeviceKey>,
    /// Fires when a transaction has ended.
    pub ended: Signal<TransactionId>,
}

impl Presence {
    /// A session of the device begins; the number of the one it supersedes, if any.
    pub fn enter(&self, key: DeviceKey, session: u128) -> Option<u128> {
        self.sessions.lock().insert(key, session)
    }

    /// A session of the device is over. Does nothing when another has superseded it.
    pub fn leave(&self, key: DeviceKey, session: u128) {
        let mut sessions = self.sessions.lock();
        if sessions.get(&key) == Some(&session) {
            sessions.remove(&key);
        }
    }

    /// Whether the device is in a session.
    #[must_use]
    pub fn in_session(&self, key: DeviceKey) -> bool {
        self.sessions.lock().contains_key(&key)
    }
}

/// One-shot signals by key. Firing one that nobody waits for costs an atomic read.
#[derive(Debug)]
pub struct Signal<K> {
    waiting: AtomicUsize,
    waiters: Mutex<HashMap<K, Vec<oneshot::Sender<()>>>>,
}

impl<K> Default for Signal<K> {
    fn default() -> Self {
        Self { waiting: AtomicUsize::new(0), waiters: Mutex::new(HashMap::new()) }
    }
}

impl<K: Copy + Eq + Hash> Signal<K> {
    /// A receiver for the next time `key` fires. Subscribe first, then look at the state, then wait.
    pub fn subscribe(&self, key: K) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = self.waiters.lock();
        let of_key = waiters.entry(key).or_default();
        // Those who stopped waiting leave a closed sender behind: sweep them, so that a key cannot grow without limit.
        of_key.retain(|other| !other.is_closed());
        of_key.push(sender);
        self.waiting.store(waiters.len(), Ordering::SeqCst);
        receiver
    }

    /// How many wait for `key` right now.
    pub fn waiters(&self, key: K) -> usize {
        let waiters = self.waiters.lock();
        waiters.get(&key).map_or(0, |of_key| of_key.iter().filter(|waiter| !waiter.is_closed()).count())
    }

    /// Wakes everyone who waits for `key`.
    pub fn fire(&self, key: K) {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut waiters = self.waiters.lock();
        let woken = waiters.remove(&key);
        self.waiting.store(waiters.len(), Ordering::SeqCst);
        drop(waiters);
        for sender in woken.into_iter().flatten() {
            // A receiver that is gone no longer waits.
            if sender.send(()).is_err() {
                tracing::trace!("a waiter had gone");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superseded_session_cannot_end_its_successor() {
        let presence = Presence::default();
        assert_eq!(presence.enter(DeviceKey(1), 10), None);
        assert_eq!(presence.enter(DeviceKey(1), 11), Some(10));
        presence.leave(DeviceKey(1), 10);
        assert!(presence.in_session(DeviceKey(1)));
        presence.leave(DeviceKey(1), 11);
        assert!(!presence.in_session(DeviceKey(1)));
    }

    #[tokio::test]
    async fn signals_reach_everyone_who_waits_and_nobody_else() {
        let signal = Signal::default();
        let (one, two, other) = (signal.subscribe(1), signal.subscribe(1), signal.subscribe(2));
        signal.fire(1);
        assert!(one.await.is_ok() && two.await.is_ok());
        drop(signal);
        assert!(other.await.is_err());
    }
}
