//! Brings the events to one receiver.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Message, PostError, Target};
use super::{Shared, signature};
use crate::events::view::EventView;
use crate::model::event::{Event, EventId};
use crate::model::organizations;
use crate::model::webhook::{Delivery, Webhook};
use crate::store::events::EventFilter;
use crate::telemetry::names;
use crate::types::secret::Secret;

/// Events that are read at a time.
const BATCH: usize = 256;
/// While events flow, progress is saved this often.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// While only unwanted events flow, this often.
const SAVE_IDLE_EVERY: Duration = Duration::from_mins(1);
/// How long to wait when the store does not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Delivers the events of one webhook until it is stopped or has to be paused.
pub(super) struct Worker {
    shared: Arc<Shared>,
    record: Arc<Webhook>,
    stop: CancellationToken,
    delivery: Delivery,
    news: watch::Receiver<EventId>,
    /// When progress was last saved, or tried to be.
    saved_at: Instant,
    saved: Delivery,
    /// Whether events have been taken since.
    has_delivered: bool,
}

/// Some devices' events, and the connection that they go over.
struct Lane {
    client: Client,
    waiting: VecDeque<Event>,
    /// Why the last try failed.
    failure: Option<PostError>,
}

/// Why the worker ends.
enum End {
    /// It was told to.
    Stopped,
    /// Nothing can be delivered any more, for this reason.
    Paused(String),
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, record: Arc<Webhook>, stop: CancellationToken) -> Self {
        let news = shared.store.watch_events();
        let delivery = record.delivery.clone();
        let (saved_at, saved) = (Instant::now(), delivery.clone());
        Self { shared, stop, news, saved_at, saved, has_delivered: false, delivery, record }
    }

    pub(super) async fn run(mut self) {
        let end = match self.lanes() {
            Ok((mut lanes, secret)) => self.deliver(&mut lanes, &secret).await,
            Err(reason) => End::Paused(reason),
        };
        let paused = match end {
            End::Stopped => None,
            End::Paused(reason) => {
                tracing::warn!(webhook.id = self.record.id.0, "webhook {} is paused: {reason}", self.record.id.0);
                Some(reason)
            }
        };
        // Otherwise it would begin anew at once, and end again.
        while !self.save(paused.clone()).await && paused.is_some() {
            if self.stopped_within(STORE_PAUSE).await {
                return;
            }
        }
    }

    /// Opens what is needed to deliver.
    fn lanes(&self) -> Result<(Vec<Lane>, Secret), String> {
        let target = Target::parse(&self.record.url).map_err(|error| format!("the URL {error}"))?;
        let secret = self.shared.sealer.open(&self.record.secret).map_err(|error| format!("its secret: {error}"))?;
        let lane = || Lane {
            client: Client::new(Arc::clone(&self.shared), target.clone()),
            waiting: VecDeque::new(),
            failure: None,
        };
        Ok((std::iter::repeat_with(lane).take(self.shared.config.lanes.max(1)).collect(), secret))
    }

    async fn deliver(&mut self, lanes: &mut Vec<Lane>, secret: &Secret) -> End {
        loop {
            // Marked as seen before it is read: what comes meanwhile is news.
            self.news.mark_unchanged();
            let filter = EventFilter {
                visible: self
                    .record
                    .organizations
                    .as_deref()
                    .map(|of| organizations::covered(&self.shared.store.organizations().all(), of)),
                kinds: self.record.wanted(),
                ..EventFilter::default()
            };
            let batch = match self.shared.store.events_after(self.delivery.cursor, &filter, BATCH).await {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::error!(%error, "the events for webhook {} were not read", self.record.id.0);
                    if self.stopped_within(STORE_PAUSE).await {
                        return End::Stopped;
                    }
                    continue;
                }
            };
            if batch.trimmed > 0 {
                self.note_missed(batch.trimmed);
            }
            if batch.events.is_empty() {
                self.delivery.cursor = batch.up_to;
                self.save_if_due(if self.has_delivered { SAVE_EVERY } else { SAVE_IDLE_EVERY }).await;
                let due = self.saved_at + SAVE_EVERY;
                tokio::select! {
                    () = self.stop.cancelled() => return End::Stopped,
                    changed = self.news.changed() => if changed.is_err() { return End::Stopped },
                    // Nothing may come for long.
                    () = tokio::time::sleep_until(due), if self.has_delivered => {}
                }
                continue;
            }
            for event in batch.events {
                let place = lane_of(&event, lanes.len());
                if let Some(lane) = lanes.get_mut(place) {
                    lane.waiting.push_back(event);
                }
            }
            if let Some(end) = self.empty(lanes, secret, batch.up_to).await {
                return end;
            }
            self.has_delivered = true;
            self.save_if_due(SAVE_EVERY).await;
        }
    }

    /// Tries until everything in the lanes has been taken: then the cursor is at `up_to`.
    async fn empty(&mut self, lanes: &mut Vec<Lane>, secret: &Secret, up_to: EventId) -> Option<End> {
        loop {
            let waiting = |lanes: &[Lane]| lanes.iter().map(|lane| lane.waiting.len()).sum::<usize>();
            let before = waiting(lanes);
            // Cut short, what was under way may arrive twice.
            let stop = self.stop.clone();
            if stop.run_until_cancelled(self.round(lanes, secret)).await.is_none() {
                return Some(End::Stopped);
            }
            let now = self.shared.clock.now();
            if waiting(lanes) < before {
                self.delivery.last_delivery_at = Some(now);
            }
            let failure = lanes.iter_mut().filter_map(|lane| lane.failure.take()).last();
            let Some(failure) = failure else {
                if self.delivery.failures > 0 {
                    tracing::info!(webhook.id = self.record.id.0, "webhook {} takes events again", self.record.id.0);
                }
                let Delivery { missed, last_delivery_at, .. } = self.delivery;
                let had_failed = self.delivery.failures > 0;
                self.delivery = Delivery { cursor: up_to, last_delivery_at, missed, ..Delivery::default() };
                if had_failed {
                    self.save(None).await;
                }
                return None;
            };
            let oldest = lanes.iter().filter_map(|lane| lane.waiting.front()).map(|event| event.id).min();
            self.delivery.cursor = oldest.map_or(up_to, |EventId(id)| EventId(id.saturating_sub(1)));
            self.delivery.failures = self.delivery.failures.saturating_add(1);
            self.delivery.last_error = Some(failure.to_string());
            let since = *self.delivery.failing_since.get_or_insert(now);
            if now.since(since) >= self.shared.config.give_up_after() {
                return Some(End::Paused(format!("nothing was taken since {since}: {failure}")));
            }
            if self.delivery.failures == 1 {
                tracing::warn!(webhook.id = self.record.id.0, "webhook {} fails: {failure}", self.record.id.0);
            }
            self.save(None).await;
            if self.stopped_within(self.shared.config.pause(self.delivery.failures)).await {
                return Some(End::Stopped);
            }
        }
    }

    /// Sends along all lanes at once what waits in them. A lane stops at its first failure.
    async fn round(&self, lanes: &mut Vec<Lane>, secret: &Secret) {
        let mut tasks = JoinSet::new();
        for (place, lane) in std::mem::take(lanes).into_iter().enumerate() {
            let (shared, secret) = (Arc::clone(&self.shared), secret.clone());
            tasks.spawn(async move { (place, lane.send(&shared, &secret).await) });
        }
        let mut back = tasks.join_all().await;
        back.sort_by_key(|(place, _)| *place);
        lanes.extend(back.into_iter().map(|(_, lane)| lane));
    }

    fn note_missed(&mut self, missed: u64) {
        self.delivery.missed = self.delivery.missed.saturating_add(missed);
        tracing::warn!(
            webhook.id = self.record.id.0,
            "webhook {} was too slow: up to {missed} events were dropped from the log before it took them",
            self.record.id.0
        );
    }

    async fn stopped_within(&self, pause: Duration) -> bool {
        self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none()
    }

    async fn save_if_due(&mut self, every: Duration) {
        if self.delivery != self.saved && self.saved_at.elapsed() >= every {
            self.save(None).await;
        }
    }

    /// `false`: the store did not take it.
    async fn save(&mut self, paused: Option<String>) -> bool {
        if self.delivery == self.saved && paused.is_none() {
            return true;
        }
        self.saved_at = Instant::now();
        let (delivery, mine) = (self.delivery.clone(), Arc::clone(&self.record));
        let edit = move |record: &mut Webhook| {
            // A number is not given out twice, but may be wished for again.
            if record.created != mine.created {
                return;
            }
            // With what an operator has changed meanwhile it may well go.
            if paused.is_some() && super::is_same(record, &mine) {
                record.paused = paused;
            }
            record.delivery = delivery;
        };
        match self.shared.store.webhooks().edit(self.record.id.0, Box::new(edit)).await {
            Ok(_) => {
                self.saved = self.delivery.clone();
                self.has_delivered = false;
                true
            }
            Err(error) => {
                tracing::error!(%error, "the progress of webhook {} was not saved", self.record.id.0);
                false
            }
        }
    }
}

impl Lane {
    async fn send(mut self, shared: &Shared, secret: &Secret) -> Self {
        while let Some(event) = self.waiting.front() {
            let event_id = event.id.0;
            let body = match serde_json::to_vec(&EventView::from(event.clone())) {
                Ok(body) => body,
                Err(error) => {
                    tracing::error!(%error, "event {event_id} cannot be written and is left out");
                    self.waiting.pop_front();
                    continue;
                }
            };
            let signature = signature::sign(secret, shared.clock.now(), &body);
            let posted = self.client.post(&Message { body: body.into(), event_id, signature }).await;
            let result = posted.as_ref().map_or_else(PostError::label, |()| "delivered");
            metrics::counter!(names::WEBHOOK_DELIVERIES, "result" => result).increment(1);
            match posted {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(failure) => {
                    self.failure = Some(failure);
                    break;
                }
            }
        }
        self
    }
}

/// Events of one device share a lane; those of none share one, too.
fn lane_of(event: &Event, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    event.entry.head.serial_number.hash(&mut hasher);
    let lanes = u64::try_from(lanes).unwrap_or(1).max(1);
    usize::try_from(hasher.finish() % lanes).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::seal::Sealer;
    use crate::model::webhook::WebhookId;
    use crate::store::Store;
    use crate::store::catalogue::CatalogueStore as _;
    use crate::store::memory::{MemoryConfig, MemoryStore};
    use crate::types::time::{Clock, Timestamp};
    use crate::webhooks::WebhooksConfig;
    use crate::webhooks::trust::Trust;

    #[derive(Debug)]
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
    }

    /// Its secret cannot be opened, so that it has to be paused.
    fn record() -> Webhook {
        Webhook {
            id: WebhookId(1),
            url: "http://192.0.2.1/".to_owned(),
            secret: Sealer::from_key(&[2; 32]).seal(&Secret::new("secret")).expect("sealed"),
            kinds: None,
            organizations: None,
            is_active: true,
            paused: None,
            created: Timestamp(0),
            delivery: Delivery::default(),
        }
    }

    fn worker(record: Webhook, store: &Arc<MemoryStore>, stop: &CancellationToken) -> Worker {
        let shared = Shared {
            store: Arc::clone(store) as Arc<dyn Store>,
            clock: Arc::new(Still),
            sealer: Arc::new(Sealer::from_key(&[1; 32])),
            trust: Trust::new(None),
            config: WebhooksConfig::default(),
        };
        Worker::new(Arc::new(shared), Arc::new(record), stop.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_is_not_saved_is_tried_again_instead_of_delivery() {
        let (store, stop) = (Arc::new(MemoryStore::new(MemoryConfig::default())), CancellationToken::new());
        store.close().await.expect("closed");
        let mut running = tokio::spawn(worker(record(), &store, &stop).run());
        let ended = tokio::time::timeout(Duration::from_mins(1), &mut running).await;
        assert!(ended.is_err(), "it would be started anew at once");
        stop.cancel();
        running.await.expect("it ends when it is told to");
    }

    #[tokio::test]
    async fn what_was_changed_meanwhile_is_not_paused() {
        for (url, paused) in [("http://192.0.2.1/", true), ("http://192.0.2.2/", false)] {
            let (store, stop) = (Arc::new(MemoryStore::new(MemoryConfig::default())), CancellationToken::new());
            let before = record();
            let present = Webhook { url: url.to_owned(), ..before.clone() };
            store.webhooks().add(Some(1), Box::new(move |_| present)).await.expect("added");
            worker(before, &store, &stop).run().await;
            let kept = store.webhooks().get(1).expect("there");
            assert_eq!(kept.paused.is_some(), paused, "{url}");
        }
    }
}
