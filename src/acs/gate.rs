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
use crate::types::network::Network;
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
    /// By the login that it had confirmed: the hand-over is complete.
    Taken,
    /// By the login that was on its way to it: so it has arrived.
    Next,
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
        let failures = Failures { limit: failures_per_minute, spared: Vec::new(), by_address: Mutex::default() };
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
        let Some(presented) = Authorization::parse(header) else {
            return if self.may_come_unchallenged(claim.device) {
                Passage::Granted(Principal::Unchallenged)
            } else {
                self.refuse(now)
            };
        };
        if !self.speaks(&presented) && !self.may_come_unchallenged(claim.device) {
            // Some agents send Basic unasked; that is no failed try, only the wrong scheme.
            return Passage::Challenge { www_authenticate: self.challenge(now), failed: Failed::No };
        }
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

    /// Whether a POST that continues a device's session on a new connection carries the device's proof. `opened_by` is how
    /// the session was opened: that is still good.
    #[must_use]
    pub fn continues(
        &self,
        authorization: Option<&str>,
        device: &Profile,
        opened_by: Principal,
        now: Timestamp,
    ) -> Passage {
        let bootstrap = opened_by == Principal::Shared;
        self.judge(Claim { authorization, device: Some(device), bootstrap }, now)
    }

    /// Lets these networks fail as often as they like: whole fleets come from there, by way of proxies.
    #[must_use]
    pub fn sparing(mut self, networks: Vec<Network>) -> Self {
        self.failures.spared = networks;
        self
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
        self.onboarding == OnboardingMode::Open
            && device.is_none_or(|device| device.credentials.current.is_none() && device.credentials.taken.is_none())
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
        own(Principal::Taken, credentials.and_then(|credentials| credentials.taken.as_ref()));
        own(Principal::Next, credentials.and_then(|credentials| credentials.next.as_ref()));
        // A device with a login of its own may fall back on the shared one only after a factory reset, and from then on
        // until it has used the new one: it reports the bootstrap once, but may take several sessions to be provisioned.
        let needs_own = credentials.is_some_and(|credentials| credentials.current.is_some() && !credentials.on_shared);
        if let Some(shared) = &self.shared
            && shared.username == username
            && (!needs_own || claim.bootstrap)
        {
            candidates.push((Principal::Shared, shared.password.clone()));
        }
        candidates
    }

    const fn speaks(&self, presented: &Authorization<'_>) -> bool {
        matches!(
            (presented, self.mode),
            (Authorization::Digest(_), AuthMode::Digest) | (Authorization::Basic(_), AuthMode::Basic)
        )
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
    spared: Vec<Network>,
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
        if self.limit == 0 || self.spared.iter().any(|network| network.contains(address)) {
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
    use base64::Engine as _;

    use super::*;
    use crate::model::device::Credentials;
    use crate::types::ident::SerialNumber;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn gate(mode: AuthMode, onboarding: OnboardingMode) -> Gate {
        let shared = SharedLogin { username: "shared".to_owned(), password: Secret::new("onboard".to_owned()) };
        let digest = DigestServer::new([7; 32], "acsd", Duration::from_mins(5));
        Gate::new(mode, onboarding, digest, "acsd", Some(shared), Arc::new(Sealer::from_key(&[9; 32])), 0)
    }

    fn login(gate: &Gate, password: &str) -> Login {
        let password = gate.sealer.seal(&Secret::new(password.to_owned())).expect("seals");
        Login { username: "00D09E-1".to_owned(), password }
    }

    /// A device with these logins of its own: the one in use, and the one on its way.
    fn device(gate: &Gate, current: Option<&str>, next: Option<&str>) -> Profile {
        let mut profile = Profile::fresh(SerialNumber::try_from("1").expect("valid"), NOW);
        profile.credentials = Credentials {
            current: current.map(|password| login(gate, password)),
            next: next.map(|password| login(gate, password)),
            ..Credentials::default()
        };
        profile
    }

    fn basic(username: &str, password: &str) -> String {
        let both = format!("{username}:{password}");
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both))
    }

    fn judge(gate: &Gate, device: Option<&Profile>, authorization: Option<&str>, bootstrap: bool) -> Passage {
        gate.judge(Claim { authorization, device, bootstrap }, NOW)
    }

    fn is_refused(passage: &Passage) -> bool {
        matches!(passage, Passage::Challenge { failed: Failed::Yes, .. })
    }

    #[test]
    fn a_login_opens_to_its_own_device_alone() {
        let gate = gate(AuthMode::Basic, OnboardingMode::Shared);
        let device = device(&gate, Some("own"), Some("new"));
        let granted = |password| judge(&gate, Some(&device), Some(&basic("00D09E-1", password)), false);
        assert_eq!(granted("own"), Passage::Granted(Principal::Own));
        assert_eq!(granted("new"), Passage::Granted(Principal::Next));
        assert!(is_refused(&granted("onboard")));
        assert!(is_refused(&judge(&gate, None, Some(&basic("00D09E-1", "own")), false)), "another identity");
        let unheard = judge(&gate, Some(&device), None, false);
        assert!(matches!(unheard, Passage::Challenge { failed: Failed::No, .. }));
    }

    #[test]
    fn the_shared_login_serves_those_without_one_of_their_own() {
        let gate = gate(AuthMode::Basic, OnboardingMode::Shared);
        let shared = basic("shared", "onboard");
        let judge = |device: Option<&Profile>, bootstrap| judge(&gate, device, Some(&shared), bootstrap);
        assert_eq!(judge(None, false), Passage::Granted(Principal::Shared));
        assert_eq!(judge(Some(&device(&gate, None, None)), false), Passage::Granted(Principal::Shared));
        let settled = device(&gate, Some("own"), None);
        assert!(is_refused(&judge(Some(&settled), false)));
        assert_eq!(judge(Some(&settled), true), Passage::Granted(Principal::Shared), "after a reset");
    }

    #[test]
    fn a_reset_device_is_not_locked_out_when_its_new_login_did_not_reach_it_at_once() {
        let gate = gate(AuthMode::Basic, OnboardingMode::Shared);
        // The session with the bootstrap was lost; the next Inform no longer reports one.
        let mut reset = device(&gate, Some("before the reset"), Some("on its way"));
        reset.credentials.on_shared = true;
        let passage = judge(&gate, Some(&reset), Some(&basic("shared", "onboard")), false);
        assert_eq!(passage, Passage::Granted(Principal::Shared));
        // An operator's new login alone opens nothing to those who know the shared one.
        let handing_over = device(&gate, Some("in use"), Some("on its way"));
        assert!(is_refused(&judge(&gate, Some(&handing_over), Some(&basic("shared", "onboard")), false)));
    }

    #[test]
    fn closed_and_open_onboarding_do_what_they_say() {
        let shared = basic("shared", "onboard");
        let closed = gate(AuthMode::Basic, OnboardingMode::Closed);
        assert!(matches!(judge(&closed, None, Some(&shared), true), Passage::Forbidden(_)));
        let open = gate(AuthMode::Digest, OnboardingMode::Open);
        assert_eq!(judge(&open, None, None, false), Passage::Granted(Principal::Unchallenged));
        let settled = device(&open, Some("own"), None);
        assert!(matches!(judge(&open, Some(&settled), None, true), Passage::Challenge { .. }), "only once");
        let stray = judge(&open, None, Some("Digest username=\"x\""), false);
        assert_eq!(stray, Passage::Granted(Principal::Unchallenged), "a login left over from elsewhere");
    }

    #[test]
    fn the_wrong_scheme_is_challenged_but_is_no_failed_try() {
        let gate = gate(AuthMode::Digest, OnboardingMode::Shared);
        let passage = judge(&gate, None, Some(&basic("shared", "onboard")), false);
        assert!(matches!(passage, Passage::Challenge { failed: Failed::No, .. }), "{passage:?}");
    }

    #[test]
    fn an_address_is_shut_out_for_the_rest_of_its_minute() {
        let failures = Failures { limit: 2, spared: Vec::new(), by_address: Mutex::default() };
        let (address, start) = (IpAddr::from([192, 0, 2, 1]), Timestamp::from_secs(100));
        failures.count(address, start);
        assert!(!failures.reached(address, start));
        failures.count(address, start);
        assert!(failures.reached(address, start));
        assert!(!failures.reached(address, start + MINUTE));
        assert!(!failures.reached(IpAddr::from([192, 0, 2, 2]), start));
    }
}
