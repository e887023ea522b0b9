//! Open sessions by their cookie, and by their connection for agents without one.
//!
//! A POST takes its session out of the table and puts it back when it has been answered: no lock is held meanwhile, and
//! two POSTs of one session can never work on it at the same time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use parking_lot::Mutex;

use crate::cwmp::emission::EmissionFlags;
use crate::cwmp::session::Session;
use crate::model::device::{Device, Login, Parameter};
use crate::model::device_type::DeviceType;
use crate::tasks::plan::{Running, Wanted};
use crate::types::ident::{DeviceIdentity, DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::discoveries::Walk;
use super::exchange::{ConnectionId, SessionToken, Transport};
use super::gate::Principal;
use super::recorder::Recording;

/// A session with everything that belongs to it.
pub struct Live {
    /// Its cookie.
    pub token: SessionToken,
    /// Whose it is.
    pub device: DeviceKey,
    /// The engine.
    pub session: Session,
    /// The connection that last proved itself.
    pub connection: ConnectionId,
    /// How its device proved itself.
    pub opened_by: Principal,
    /// Where it came from.
    pub address: IpAddr,
    /// How it calls us: `Host` of its Inform, and whether over TLS.
    pub called_at: (Option<HeaderValue>, Transport),
    /// Whether the CPE has returned the cookie.
    pub cookie_seen: bool,
    /// The transaction being carried out.
    pub running: Option<Running>,
    /// What is known of the parameters that it names.
    pub known: HashMap<Box<str>, Parameter>,
    /// Of a discovery.
    pub walk: Option<Walk>,
    /// The values that it configures.
    pub wanted: Option<Wanted>,
    /// Of its device, when the session began.
    pub device_type: Arc<DeviceType>,
    /// The login among them, as the profile has it.
    pub wanted_login: Option<Login>,
    /// Transactions already tried in this session.
    pub tried: Vec<TransactionId>,
    /// Faults of the device that the event log has been told in this session.
    pub faults_told: u8,
    /// The envelope last sent: the InformResponse, then the outstanding call.
    pub sent: Bytes,
    /// When the Inform came.
    pub opened_at: Timestamp,
    /// How envelopes are written for the device.
    pub flags: EmissionFlags,
    /// The device as it was after the Inform.
    pub snapshot: Box<Device>,
    /// What is recorded of it.
    pub trace: Recording,
}

/// A session whose Inform could not be recorded and is to be sent again.
pub struct Unopened {
    /// Its cookie.
    pub token: SessionToken,
    /// The connection that knows the cookie.
    pub connection: ConnectionId,
    /// The engine.
    pub session: Session,
    /// When the Inform first came.
    pub began_at: Timestamp,
}

enum Slot {
    Idle(Box<Live>),
    /// Being worked on.
    Busy,
    /// Being worked on, but a newer session of the device has begun.
    Superseded,
}

/// What a look-up found.
pub enum Taken {
    /// The session is the caller's until it is put back.
    Live(Box<Live>),
    /// Another POST of it is being answered.
    Busy,
    /// There is none.
    Unknown,
}

/// What became of a session that was put back.
pub enum PutBack {
    /// It waits for the next POST.
    Kept,
    /// A newer session has begun: the caller has to wind this one up.
    Superseded(Box<Live>),
}

/// The session that a newer one supersedes.
pub enum Predecessor {
    /// It rested: the caller winds it up.
    Idle(Box<Live>),
    /// A POST of it is being answered: whoever does that winds it up.
    Busy,
    /// It is over.
    Gone,
}

/// All open sessions.
#[derive(Default)]
pub struct SessionTable {
    slots: Mutex<HashMap<SessionToken, Slot>>,
    by_connection: Mutex<HashMap<ConnectionId, SessionToken>>,
    /// By who Informed: agents that come back over another connection, or without the cookie, are told once like all others.
    unopened: Mutex<HashMap<DeviceIdentity, Unopened>>,
}

impl SessionTable {
    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.lock().len() + self.unopened.lock().len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a session, in the caller's hands until it is put back.
    pub fn reserve(&self, token: SessionToken, connection: ConnectionId) {
        self.slots.lock().insert(token, Slot::Busy);
        self.by_connection.lock().insert(connection, token);
    }

    /// Keeps a session until its Inform is sent again.
    pub fn await_inform(&self, identity: DeviceIdentity, unopened: Unopened) {
        self.unopened.lock().insert(identity, unopened);
    }

    /// Whether a device has been told to send its Inform again.
    #[must_use]
    pub fn awaits_inform(&self, identity: &DeviceIdentity) -> bool {
        self.unopened.lock().contains_key(identity)
    }

    /// Takes out the session of a device whose Inform was to be sent again.
    pub fn take_unopened(&self, identity: &DeviceIdentity) -> Option<Unopened> {
        self.unopened.lock().remove(identity)
    }

    /// Takes out every session whose Inform has not been sent again in time.
    pub fn take_unopened_overdue(&self, now: Timestamp) -> Vec<Unopened> {
        let mut waiting = self.unopened.lock();
        waiting.extract_if(|_, unopened| unopened.session.deadline() <= now).map(|(_, unopened)| unopened).collect()
    }

    /// Takes a session out by its cookie.
    pub fn take(&self, token: SessionToken) -> Taken {
        let mut slots = self.slots.lock();
        let Some(slot) = slots.get_mut(&token) else { return Taken::Unknown };
        match std::mem::replace(slot, Slot::Busy) {
            Slot::Idle(live) => Taken::Live(live),
            Slot::Busy => Taken::Busy,
            Slot::Superseded => {
                *slot = Slot::Superseded;
                Taken::Busy
            }
        }
    }

    /// The open session that a connection belongs to (quirk 63).
    #[must_use]
    pub fn of_connection(&self, connection: ConnectionId) -> Option<SessionToken> {
        let token = self.by_connection.lock().get(&connection).copied()?;
        self.slots.lock().contains_key(&token).then_some(token)
    }

    /// Takes out the session of a connection if its CPE has never returned its cookie: agents that keep the cookie of a
    /// session before it (quirk 10). One that has returned it is not meant by a cookie of another session.
    pub fn take_ignorant(&self, connection: ConnectionId) -> Taken {
        let Some(token) = self.by_connection.lock().get(&connection).copied() else { return Taken::Unknown };
        let ignorant = match self.slots.lock().get(&token) {
            Some(Slot::Idle(live)) => !live.cookie_seen,
            Some(Slot::Busy | Slot::Superseded) | None => false,
        };
        if ignorant { self.take(token) } else { Taken::Unknown }
    }

    /// Whether a session has been held over a connection, be it over or not.
    #[must_use]
    pub fn has_served(&self, connection: ConnectionId) -> bool {
        self.by_connection.lock().contains_key(&connection)
    }

    /// The one session from this address whose CPE has never returned a cookie; `None` when there are several
    /// (quirk 10). Looks at every session: only for agents that leave no other way.
    #[must_use]
    pub fn of_address(&self, address: IpAddr) -> Option<SessionToken> {
        let slots = self.slots.lock();
        let mut candidates = slots.iter().filter_map(|(token, slot)| match slot {
            Slot::Idle(live) if live.address == address && !live.cookie_seen => Some(*token),
            Slot::Idle(_) | Slot::Busy | Slot::Superseded => None,
        });
        let only = candidates.next()?;
        candidates.next().is_none().then_some(only)
    }

    /// Puts a session back until its next POST.
    pub fn put_back(&self, live: Box<Live>) -> PutBack {
        let mut slots = self.slots.lock();
        match slots.get(&live.token) {
            Some(Slot::Superseded) => {
                slots.remove(&live.token);
                PutBack::Superseded(live)
            }
            Some(Slot::Busy | Slot::Idle(_)) | None => {
                slots.insert(live.token, Slot::Idle(live));
                PutBack::Kept
            }
        }
    }

    /// Ends a session that the caller holds. Its connection stays known until it is gone.
    pub fn remove(&self, token: SessionToken) {
        self.slots.lock().remove(&token);
    }

    /// A newer session of the device has begun: hands out this one to be wound up, or marks it so that whoever works on
    /// it does.
    pub fn supersede(&self, token: SessionToken) -> Predecessor {
        let mut slots = self.slots.lock();
        match slots.remove(&token) {
            Some(Slot::Idle(live)) => Predecessor::Idle(live),
            Some(Slot::Busy | Slot::Superseded) => {
                slots.insert(token, Slot::Superseded);
                Predecessor::Busy
            }
            None => Predecessor::Gone,
        }
    }

    /// Whether any session can still go on when no new connection is taken.
    #[must_use]
    pub fn any_connected(&self) -> bool {
        let connected = self.by_connection.lock();
        let slots = self.slots.lock();
        !slots.is_empty() && connected.values().any(|token| slots.contains_key(token))
    }

    /// Binds a session to one more connection.
    pub fn bind(&self, connection: ConnectionId, token: SessionToken) {
        self.by_connection.lock().insert(connection, token);
    }

    /// A connection is gone.
    pub fn unbind(&self, connection: ConnectionId) {
        self.by_connection.lock().remove(&connection);
    }

    /// Takes out every session whose CPE has been silent too long, or that has lasted `grace` beyond `now`.
    pub fn take_overdue(&self, now: Timestamp, grace: Duration) -> Vec<Box<Live>> {
        let mut slots = self.slots.lock();
        let overdue: Vec<SessionToken> = slots
            .iter()
            .filter_map(|(token, slot)| match slot {
                Slot::Idle(live) if live.session.deadline() + grace <= now => Some(*token),
                Slot::Idle(_) | Slot::Busy | Slot::Superseded => None,
            })
            .collect();
        let mut taken = Vec::new();
        for token in overdue {
            if let Some(Slot::Idle(live)) = slots.remove(&token) {
                taken.push(live);
            }
        }
        taken
    }

    /// Takes out every idle session: acsd is going down.
    pub fn take_all(&self) -> Vec<Box<Live>> {
        let mut slots = self.slots.lock();
        let tokens: Vec<SessionToken> = slots.keys().copied().collect();
        let mut taken = Vec::new();
        for token in tokens {
            match slots.remove(&token) {
                Some(Slot::Idle(live)) => taken.push(live),
                Some(busy @ (Slot::Busy | Slot::Superseded)) => {
                    slots.insert(token, busy);
                }
                None => {}
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cwmp::session::{Action, SessionLimits};

    #[test]
    fn an_inform_that_is_not_sent_again_is_not_waited_for_for_ever() {
        let table = SessionTable::default();
        let began_at = Timestamp::from_secs(1_000);
        let identity = DeviceIdentity::new("00D09E", "P", "1").expect("valid");
        let mut session = Session::new(began_at, 1, SessionLimits::default());
        assert_eq!(session.retry_inform(began_at), Action::RetryInform);
        let unopened = Unopened { token: SessionToken(1), connection: ConnectionId(1), session, began_at };
        table.await_inform(identity.clone(), unopened);
        assert!(table.awaits_inform(&identity) && table.len() == 1, "it takes a place");
        assert!(table.take_unopened_overdue(began_at + Duration::from_secs(59)).is_empty());
        assert_eq!(table.take_unopened_overdue(began_at + Duration::from_mins(1)).len(), 1);
        assert!(!table.awaits_inform(&identity) && table.is_empty());
        assert!(table.take_unopened(&identity).is_none());
    }
}
