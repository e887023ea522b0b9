//! Who may hold a session: authentication of a POST, bound to the identity that its Inform claims (design.md §7).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::auth::authorization::Authorization;
use crate::auth::basic;
use crate::auth::digest::{DigestServer, DigestVerdict, Stale};
use crate::auth::seal::Sealer;
use crate::model::device::{Login, Profile};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// What CPEs must present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// HTTP Digest: the only one that TR-069 allows without TLS.
    #[default]
    Digest,
    /// HTTP Basic: the password travels in clear unless TLS hides it.
    Basic,
    /// Nothing.
    None,
}

/// How an unknown CPE gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OnboardingMode {
    /// With the shared onboarding credential.
    #[default]
    Shared,
    /// Unchallenged, once.
    Open,
    /// Not at all.
    Closed,
}

/// The shared onboarding credential.
#[derive(Debug, Clone)]
pub struct SharedLogin {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// How a CPE proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// It did not have to.
    Unchallenged,
    /// By the shared onboarding credential.
    Shared,
    /// By its own login.
    Own,
    /// By the login that was on its way to it: the hand-over is complete.
    Handed,
}

/// What the gate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passage {
    /// In.
    Granted(Principal),
    /// Not yet: 401.
    Challenge {
        /// `WWW-Authenticate`.
        www_authenticate: String,
        /// Whether this was a failed try.
        failed: Failed,
    },
    /// Never as things are: 403.
    Forbidden(&'static str),
}

/// Whether a challenge follows a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// Nothing usable was presented yet.
    No,
    /// What was presented is wrong.
    Yes,
}

/// What is at the gate.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The device that the Inform's identity belongs to, if there is one.
    pub device: Option<&'a Profile>,
    /// Whether the Inform has a `0 BOOTSTRAP`.
    pub bootstrap: bool,
}

/// The gate of the CWMP endpoint.
pub struct Gate {
    mode: AuthMode,
    onboarding: OnboardingMode,
    realm: &'static str,
    digest: DigestServer,
    shared: Option<SharedLogin>,
    sealer: Arc<Sealer>,
    failures: Failures,
}

impl Gate {
    /// `failures_per_minute` failed logins per address are judged, further ones refused unheard; 0: no limit.
    #[must_use]
    pub fn new(
        mode: AuthMode,
        onboarding: OnboardingMode,
        digest: DigestServer,
        realm: &'static str,
        shared: Option<SharedLogin>,
        sealer: Arc<Sealer>,
        failures_per_minute: u32,
    ) -> Self {
        let failures = Failures { limit: failures_per_minute, by_address: Mutex::default() };
        Self { mode, onboarding, realm, digest, shared, sealer, failures }
    }

    /// Whether a POST without `Authorization` can be challenged before anyone looks at what it says.
    #[must_use]
    pub fn challenges_unread(&self) -> bool {
        self.mode != AuthMode::None && self.onboarding != OnboardingMode::Open
    }

    /// A first challenge.
    #[must_use]
    pub fn challenge(&self, now: Timestamp) -> String {
        self.challenge_with(now, Stale::No)
    }

    /// Judges an Inform.
    #[must_use]
    pub fn judge(&self, claim: Claim<'_>, now: Timestamp) -> Passage {
        if self.mode == AuthMode::None {
            return match (claim.device, self.onboarding) {
                (None, OnboardingMode::Closed) => Passage::Forbidden("this device is not registered here"),
                (Some(_), _) | (None, OnboardingMode::Shared | OnboardingMode::Open) => {
                    Passage::Granted(Principal::Unchallenged)
                }
            };
        }
        let Some(header) = claim.authorization else {
            return if self.may_come_unchallenged(claim.device) {
                Passage::Granted(Principal::Unchallenged)
            } else {
                Passage::Challenge { www_authenticate: self.challenge(now), failed: Failed::No }
            };
        };
        let Some(presented) = Authorization::parse(header) else { return self.refuse(now) };
        let username = presented.username();
        let mut stale = false;
        for (principal, password) in self.candidates(&claim, &username) {
            match self.check(&presented, &password, now) {
                DigestVerdict::Accepted if principal == Principal::Shared => {
                    return match (claim.device, self.onboarding) {
                        (None, OnboardingMode::Closed) => Passage::Forbidden("this device is not registered here"),
                        (Some(_), _) | (None, OnboardingMode::Shared | OnboardingMode::Open) => {
                            Passage::Granted(principal)
                        }
                    };
                }
                DigestVerdict::Accepted => return Passage::Granted(principal),
                DigestVerdict::Stale => stale = true,
                DigestVerdict::Refused => {}
            }
        }
        if stale {
            let www_authenticate = self.challenge_with(now, Stale::Yes);
            return Passage::Challenge { www_authenticate, failed: Failed::No };
        }
        // An agent may send an Authorization left over from elsewhere where nothing would have done.
        if self.may_come_unchallenged(claim.device) {
            return Passage::Granted(Principal::Unchallenged);
        }
        self.refuse(now)
    }

    /// Whether a POST that continues a device's session on a new connection carries the device's proof.
    #[must_use]
    pub fn continues(&self, authorization: Option<&str>, device: &Profile, now: Timestamp) -> Passage {
        // The Inform of this session has been judged: whatever got it in is still good.
        self.judge(Claim { authorization, device: Some(device), bootstrap: true }, now)
    }

    /// Whether this address has failed too often within the minute to be heard at all.
    #[must_use]
    pub fn is_shut_to(&self, address: IpAddr, now: Timestamp) -> bool {
        self.failures.reached(address, now)
    }

    /// Counts a failed login.
    pub fn count_failure(&self, address: IpAddr, now: Timestamp) {
        self.failures.count(address, now);
    }

    fn may_come_unchallenged(&self, device: Option<&Profile>) -> bool {
        self.onboarding == OnboardingMode::Open && device.is_none_or(|device| device.credentials.current.is_none())
    }

    /// The logins that would do, of those with this user name.
    fn candidates(&self, claim: &Claim<'_>, username: &str) -> Vec<(Principal, Secret)> {
        let mut candidates = Vec::new();
        let credentials = claim.device.map(|device| &device.credentials);
        let mut own = |principal, login: Option<&Login>| {
            let Some(login) = login.filter(|login| login.username == username) else { return };
            match self.sealer.open(&login.password) {
                Ok(password) => candidates.push((principal, password)),
                Err(error) => tracing::error!(%error, "a device's password cannot be unsealed"),
            }
        };
        own(Principal::Own, credentials.and_then(|credentials| credentials.current.as_ref()));
        own(Principal::Handed, credentials.and_then(|credentials| credentials.next.as_ref()));
        let has_own = credentials.is_some_and(|credentials| credentials.current.is_some());
        // A device with a login of its own may fall back on the shared one only after a factory reset.
        if let Some(shared) = &self.shared
            && shared.username == username
            && (!has_own || claim.bootstrap)
        {
            candidates.push((Principal::Shared, shared.password.clone()));
        }
        candidates
    }

    fn check(&self, presented: &Authorization<'_>, password: &Secret, now: Timestamp) -> DigestVerdict {
        match (presented, self.mode) {
            (Authorization::Digest(answer), AuthMode::Digest) => self.digest.verify(answer, "POST", password, now),
            (Authorization::Basic(login), AuthMode::Basic) if login.verify(password) => DigestVerdict::Accepted,
            (Authorization::Digest(_) | Authorization::Basic(_), _) => DigestVerdict::Refused,
        }
    }

    fn refuse(&self, now: Timestamp) -> Passage {
        Passage::Challenge { www_authenticate: self.challenge(now), failed: Failed::Yes }
    }

    fn challenge_with(&self, now: Timestamp, stale: Stale) -> String {
        match self.mode {
            AuthMode::Basic => basic::challenge(self.realm),
            AuthMode::Digest | AuthMode::None => self.digest.challenge(now, stale),
        }
    }
}

const MINUTE: Duration = Duration::from_mins(1);
/// Addresses remembered; beyond, the oldest minutes are dropped.
const ADDRESSES_MAX: usize = 65_536;

/// Failed logins per address, in windows of a minute.
struct Failures {
    limit: u32,
    by_address: Mutex<HashMap<IpAddr, (Timestamp, u32)>>,
}

impl Failures {
    fn reached(&self, address: IpAddr, now: Timestamp) -> bool {
        self.limit > 0
            && self
                .by_address
                .lock()
                .get(&address)
                .is_some_and(|(since, count)| now.since(*since) < MINUTE && *count >= self.limit)
    }

    fn count(&self, address: IpAddr, now: Timestamp) {
        if self.limit == 0 {
            return;
        }
        let mut by_address = self.by_address.lock();
        if by_address.len() >= ADDRESSES_MAX {
            by_address.retain(|_, (since, _)| now.since(*since) < MINUTE);
            if by_address.len() >= ADDRESSES_MAX {
                by_address.clear();
            }
        }
        let entry = by_address.entry(address).or_insert((now, 0));
        if now.since(entry.0) >= MINUTE {
            *entry = (now, 0);
        }
        entry.1 = entry.1.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shut_out_for_the_rest_of_its_minute() {
        let failures = Failures { limit: 2, by_address: Mutex::default() };
        let (address, start) = (IpAddr::from([192, 0, 2, 1]), Timestamp::from_secs(100));
        failures.count(address, start);
        assert!(!failures.reached(address, start));
        failures.count(address, start);
        assert!(failures.reached(address, start));
        assert!(!failures.reached(address, start + MINUTE));
        assert!(!failures.reached(IpAddr::from([192, 0, 2, 2]), start));
    }
}
