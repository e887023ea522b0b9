//! Where sessions are recorded: whose, and what is recorded outside of a session.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::devices::onboard::Caller;
use crate::model::device::Profile;
use crate::model::trace::TraceOutcome;
use crate::types::ident::DeviceKey;
use crate::types::time::Timestamp;

use super::super::exchange::{Answer, Connection, Post};
use super::super::recorder::Recording;
use super::super::sessions::{Live, Taken};
use super::{Driver, Held, Inner};

impl Driver {
    /// Stores the recordings of sessions until told to stop. What [`Self::sweep`] ends after that, it stores itself.
    pub async fn record(self, shutdown: CancellationToken) {
        self.inner.recorder.keep(&*self.inner.services.store, &shutdown).await;
    }
}

impl Inner {
    /// Whether the sessions of a device are recorded: it says so, or its type does.
    fn is_traced(&self, profile: &Profile) -> bool {
        profile.debug
            || self.services.store.device_types().of(profile.device_type).is_some_and(|device_type| device_type.debug)
    }

    /// Begins the recording of a session, if its device's are recorded.
    pub(super) fn begin_recording(
        &self,
        device: DeviceKey,
        profile: &Profile,
        post: &Post,
        answer: &Answer,
        now: Timestamp,
    ) -> Recording {
        if self.is_traced(profile) { self.recorder.begin(device, post, answer, now) } else { Recording::default() }
    }

    /// Records the Inform of a device that is not let in. That a login is asked for in the first place is no refusal.
    pub(super) fn record_refusal(&self, caller: Option<&Caller>, post: &Post, answer: &Answer, now: Timestamp) {
        let is_first_challenge = matches!(answer, Answer::Challenge { connection: Connection::Keep, .. });
        if let Some(caller) = caller.filter(|caller| !is_first_challenge && self.is_traced(&caller.profile)) {
            self.recorder.refused(caller.key, post, answer, now);
        }
    }

    /// Records a POST, if its session is recorded still.
    pub(super) async fn record_post(&self, live: &mut Live, post: &Post) {
        if !live.trace.is_on() {
            return;
        }
        let now = self.now();
        match self.services.store.device(live.device).await {
            Ok(Some(device)) if !self.is_traced(&device.profile) => live.trace.stop(TraceOutcome::Stopped, now),
            Ok(_) | Err(_) => live.trace.heard(post, now),
        }
    }

    /// Records the answer to it. Of sessions that are not recorded not even the time is asked for.
    pub(super) fn record_answer(&self, live: &mut Live, answer: &Answer) {
        if live.trace.is_on() {
            live.trace.said(answer, self.now());
        }
    }

    /// Records a POST that is no CWMP, if it belongs to a session that is recorded.
    pub(super) async fn record_malformed(self: &Arc<Self>, post: &Post, answer: Answer) -> Answer {
        let token = post.cookie.or_else(|| self.sessions.of_connection(post.connection));
        let Some(Taken::Live(live)) = token.map(|token| self.sessions.take(token)) else { return answer };
        let mut held = Held { live: Some(live), inner: Arc::clone(self) };
        if let Some(live) = held.live.as_mut() {
            self.record_post(live, post).await;
            self.record_answer(live, &answer);
        }
        held.keep(answer).await
    }
}
