//! What follows from an Inform, for the record of its device and for the work that waits for it.

use crate::cwmp::message::Envelope;
use crate::cwmp::message::inform::Inform;
use crate::devices::classify;
use crate::devices::keeper::upkeep::{Occasion, Wake};
use crate::devices::onboard::{Binding, Caller, Handed, OnboardError, OwnLogin};
use crate::model::device::{Device, Profile};
use crate::model::learn::{InformFacts, Learned as Lessons, ResetOrder};
use crate::tasks::plan::news::News;
use crate::telemetry::names;
use crate::types::ident::DeviceIdentity;
use crate::types::time::Timestamp;

use super::super::exchange::Post;
use super::super::gate::Principal;
use super::Inner;

impl Inner {
    /// Records the Inform with everything that follows from it. What the CPE will forget is durable when this returns.
    #[expect(clippy::too_many_arguments, reason = "the facts of one Inform, each from another place")]
    pub(super) async fn begin(
        &self,
        post: &Post,
        envelope: &Envelope<'_>,
        inform: &Inform<'_>,
        identity: &DeviceIdentity,
        (known, principal): (Option<Caller>, Principal),
        cwmp_version: crate::cwmp::version::CwmpVersion,
        now: Timestamp,
    ) -> Result<Device, OnboardError> {
        let onboarding = &self.services.onboarding;
        let device = self.on_record(known, inform, identity, now).await?;
        match principal {
            Principal::Taken => onboarding.complete_hand_over(device.key, Handed::Taken).await?,
            Principal::Next => onboarding.complete_hand_over(device.key, Handed::Next).await?,
            Principal::Unchallenged | Principal::Shared | Principal::Own => {}
        }
        let reset = match device.profile.credentials.reset_ordered {
            Some(_) => ResetOrder::Ordered,
            None => ResetOrder::Unordered,
        };
        let facts = InformFacts {
            at: now,
            peer: post.peer.ip(),
            identity,
            manufacturer: &inform.device_id.manufacturer,
            cwmp_version,
            namespace: envelope.namespace.unwrap_or_default(),
            events: &inform.events,
            parameters: &inform.parameters,
            reset,
        };
        let Some((state, learned)) = onboarding.record(device.key, facts).await? else {
            // Sent again, it registers the device anew.
            return Err(OnboardError::Store(crate::store::StoreError::Busy {
                reason: "the device was deleted while it called".to_owned(),
            }));
        };
        report(&device, &learned);
        if learned.came_up || learned.interval_changed {
            self.services.expiry.arm(device.key, now, state.periodic_interval_secs);
        }
        let device = Device { key: device.key, profile: device.profile, state };
        let device = self.provide(device, &learned, principal, identity, now).await?;
        let device = self.keep_configured(device, &learned, now).await?;
        // Last, so that whoever sees a factory reset completed finds the work that puts the device right again.
        let news = News { at: now, events: &inform.events, software_version: &device.state.software_version };
        if news.may_matter() {
            self.services.queue.informed(device.key, &news).await?;
        }
        Ok(device)
    }

    /// The caller's record: bound to its identity, or made, where there was none.
    async fn on_record(
        &self,
        known: Option<Caller>,
        inform: &Inform<'_>,
        identity: &DeviceIdentity,
        now: Timestamp,
    ) -> Result<Caller, OnboardError> {
        let onboarding = &self.services.onboarding;
        let Some(device) = known else {
            let matched = classify::at_first_sight(&*self.services.store, identity, &inform.parameters);
            return Ok(Caller::from(onboarding.register(identity, matched, now).await?));
        };
        if device.binding == Binding::CreatedAhead {
            onboarding.bind(&device, identity, now).await?;
        }
        Ok(device)
    }

    /// Forgets what another software need not have, and gives the device its logins where it has lost them or never had any.
    async fn provide(
        &self,
        mut device: Device,
        learned: &Lessons,
        principal: Principal,
        identity: &DeviceIdentity,
        now: Timestamp,
    ) -> Result<Device, OnboardError> {
        if (learned.bootstrapped || learned.software_was.is_some()) && device.profile.methods.take().is_some() {
            // Another software may have others.
            let forget = Box::new(|profile: &mut Profile| profile.methods = None);
            self.services.store.edit_profile(device.key, forget).await?;
        }
        let onboarding = &self.services.onboarding;
        if learned.first_contact
            || learned.bootstrapped
            || onboarding.owes_provisioning(device.key, &device.profile).await?
        {
            let own_login = match principal {
                Principal::Own | Principal::Taken | Principal::Next => OwnLogin::InUse,
                Principal::Shared | Principal::Unchallenged if has_own_login(&device) => OwnLogin::Lost,
                Principal::Shared | Principal::Unchallenged => OwnLogin::Missing,
            };
            onboarding.provision(&device, identity, own_login, now).await?;
            // Its logins may have changed just now.
            if let Some(fresh) = self.services.store.device(device.key).await? {
                device = fresh;
            }
        }
        Ok(device)
    }

    /// Has the device classified when the Inform says something new of it, and configured when it is not as it is to be.
    async fn keep_configured(
        &self,
        mut device: Device,
        learned: &Lessons,
        now: Timestamp,
    ) -> Result<Device, OnboardError> {
        if learned.first_contact || learned.software_was.is_some() {
            device = classify::classify(&*self.services.store, device, now).await?;
        }
        let occasion = if learned.booted || learned.bootstrapped { Occasion::Boot } else { Occasion::Other };
        self.upkeep().tend(&device, occasion, Wake::IsHere, now).await?;
        Ok(device)
    }
}

fn has_own_login(device: &Device) -> bool {
    let credentials = &device.profile.credentials;
    credentials.current.is_some() || credentials.taken.is_some()
}

/// What an operator would want to read in the log.
fn report(device: &Caller, learned: &Lessons) {
    let key = device.key;
    if learned.bootstrap_loop {
        tracing::warn!(device.id = %key, "device {key} bootstraps again and again: this one counts as a boot");
    } else if learned.bootstrapped && !learned.first_contact {
        let ordered = device.profile.credentials.reset_ordered.is_some();
        tracing::info!(device.id = %key, ordered, "device {key} comes back from a factory reset");
        if !ordered {
            metrics::counter!(names::UNORDERED_BOOTSTRAPS).increment(1);
        }
    }
    if let Some(was) = &learned.software_was {
        tracing::info!(device.id = %key, %was, "device {key} has changed its software version");
    }
}
