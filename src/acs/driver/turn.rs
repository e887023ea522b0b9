//! The ACS's turn: transactions become calls, answers become results.

use crate::cwmp::message::{Body, Fault, Header, Method, Request};
use crate::cwmp::session::{Answer as Reply, Outcome};
use crate::devices::classify;
use crate::devices::keeper::upkeep::{Occasion, Wake, Written};
use crate::events;
use crate::health::Learned;
use crate::model::call::{Call, RpcMethods};
use crate::model::device::{DataModel, Login, Profile, Setting, State};
use crate::model::transaction::{Phase, Transaction, TransactionStatus, VariableResult, WaitReason, Work};
use crate::model::wanted::ConfigurationMark;
use crate::store::StoreError;
use crate::tasks::plan::{self, Running, Save, Step, Wanted};
use crate::telemetry::names;
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::super::discoveries;
use super::super::exchange::Answer;
use super::super::sessions::Live;
use super::Inner;
use super::prepare::context;

/// Most faults of one session that the event log is told.
const FAULTS_TOLD_MAX: u8 = 8;

impl Inner {
    /// The CPE has nothing more to say: the next call, or the end.
    pub(super) async fn take_turn(&self, live: &mut Live) -> Answer {
        // Left over only when the task that answered an earlier POST was dropped half-way.
        if let Some(running) = live.running.take() {
            self.lose(running).await;
        }
        self.next_transaction(live).await
    }

    /// The outstanding call has its answer.
    pub(super) async fn answered(&self, live: &mut Live, called: Option<Method>, reply: &Reply<'_>) -> Answer {
        let now = self.now();
        if let Some(mut running) = live.running.take() {
            self.count_reply(called, reply);
            // A read that is narrowed down to the one wrong name gets many.
            if let (Reply::Fault(fault), ..FAULTS_TOLD_MAX) = (reply, live.faults_told) {
                live.faults_told += 1;
                let of = (called, Some(running.transaction.id));
                events::fault(&*self.services.store, &live.snapshot.profile, now, of, fault);
            }
            self.note_arrival(live, &running.transaction);
            let step = running.answer(reply, &context(live, &self.config, now));
            live.running = Some(running);
            if let Some(answer) = self.carry_out(live, step).await {
                return answer;
            }
        }
        self.next_transaction(live).await
    }

    fn count_reply(&self, called: Option<Method>, reply: &Reply<'_>) {
        let result = match reply {
            Reply::Response(_) if called == Some(Method::GetParameterValues) => return self.meters.count_read(),
            Reply::Response(_) => "ok",
            Reply::Fault(fault) => {
                count_fault(fault);
                "fault"
            }
            Reply::Mismatch => "mismatch",
            Reply::Missing => "missing",
        };
        let rpc = called.map_or("none", Method::name);
        metrics::counter!(names::RPCS, "rpc" => rpc, "result" => result).increment(1);
    }

    /// Starts transactions until one has a call to send, or none is left.
    async fn next_transaction(&self, live: &mut Live) -> Answer {
        let store = &self.services.store;
        loop {
            let now = self.now();
            if !store.has_work(live.device, now) {
                return self.finish(live, Outcome::Completed).await;
            }
            let mut transaction = match store.claim(live.device, &live.tried, now).await {
                Ok(Some(transaction)) => transaction,
                Ok(None) => return self.finish(live, Outcome::Completed).await,
                Err(error) => {
                    tracing::error!(%error, "no transaction could be started");
                    return self.finish(live, Outcome::Completed).await;
                }
            };
            live.tried.push(transaction.id);
            live.walk = None;
            if matches!(transaction.work, Work::Discover { .. }) {
                live.walk = self.discoveries.enter();
                if live.walk.is_none() {
                    self.put_off(transaction, now).await;
                    continue;
                }
            }
            let clear = match self.prepare(live, &transaction).await {
                Ok(clear) => clear,
                Err(error) => {
                    tracing::error!(%error, transaction.id = %transaction.id, "a transaction could not be prepared");
                    // Begun without what it is to bring, it would end as if nothing were wanted.
                    plan::book(&mut transaction, &Step::Release { not_before: None }, now);
                    if let Err(error) = store.save(&transaction).await {
                        tracing::error!(%error, transaction.id = %transaction.id, "a transaction was not saved");
                    }
                    return self.finish(live, Outcome::Completed).await;
                }
            };
            let cx = context(live, &self.config, now);
            let (running, step) = Running::begin(transaction, clear, &cx);
            live.running = Some(running);
            if let Some(answer) = self.carry_out(live, step).await {
                return answer;
            }
        }
    }

    /// As many discoveries run as may: this one waits for its turn.
    async fn put_off(&self, mut transaction: Transaction, now: Timestamp) {
        metrics::counter!(names::DISCOVERIES_PUT_OFF).increment(1);
        let pause = discoveries::pause(now.since(transaction.created_at), jitter());
        transaction.put_off(WaitReason::DiscoveryTurn, now + pause);
        if let Err(error) = self.services.store.save(&transaction).await {
            tracing::error!(%error, transaction.id = %transaction.id, "a transaction was not saved");
        }
    }

    /// Carries out a step. `None`: the transaction has left the session, and the next one may come.
    async fn carry_out(&self, live: &mut Live, step: Step) -> Option<Answer> {
        let now = self.now();
        match step {
            Step::Call { request, save } => self.send(live, request, save).await,
            Step::Wait { .. } | Step::Release { .. } => {
                let mut running = live.running.take()?;
                live.walk = None;
                note_methods(live, &running);
                self.keep_history(live, &running, now);
                self.keep_learned(&mut running, live.device, noted_interval(live), now).await;
                if let Err(error) = self.services.store.save(&running.transaction).await {
                    tracing::error!(%error, transaction.id = %running.transaction.id, "a transaction was not saved");
                }
                None
            }
            Step::End(_) => {
                let mut running = live.running.take()?;
                live.walk = None;
                note_methods(live, &running);
                self.keep_history(live, &running, now);
                self.keep_learned(&mut running, live.device, noted_interval(live), now).await;
                let brought = Brought { wanted: live.wanted.take(), login: live.wanted_login.take() };
                self.settle(running, brought, now).await;
                None
            }
        }
    }

    /// Sends a call of the transaction that runs. `None`: that has ended meanwhile, so nothing is sent for it.
    async fn send(&self, live: &mut Live, request: Request<'static>, save: Save) -> Option<Answer> {
        if save == Save::Before
            && let Some(mut running) = live.running.take()
        {
            // What the saved progress builds upon.
            self.keep_learned(&mut running, live.device, noted_interval(live), self.now()).await;
            live.running = Some(running);
        }
        match self.save_before(live, &request, save).await {
            Ok(true) => {}
            Ok(false) => {
                self.drop_ended(live);
                return None;
            }
            Err(error) => {
                // Not on disk: not sent.
                tracing::error!(%error, "a call was not sent");
                return Some(self.finish(live, Outcome::Completed).await);
            }
        }
        let id = live.session.call(request.method());
        let header = Header { id: Some(id.into()), ..Header::default() };
        let body = Self::encode(&header, &Body::Request(request), live.session.emission());
        live.sent = body.clone();
        Some(Answer::Envelope { body, cookie: None })
    }

    /// Saves what has to be on disk before a call goes out. `false`: its transaction has ended, and the call must not.
    async fn save_before(&self, live: &Live, request: &Request<'_>, save: Save) -> Result<bool, StoreError> {
        let Some(running) = live.running.as_ref() else { return Ok(true) };
        if save == Save::NotNeeded {
            return Ok(true);
        }
        let store = &self.services.store;
        if !store.save(&running.transaction).await? {
            return Ok(false);
        }
        if matches!(request, Request::FactoryReset) {
            let now = self.now();
            let edit = Box::new(move |profile: &mut Profile| profile.credentials.reset_ordered = Some(now));
            store.edit_profile(live.device, edit).await?;
        }
        Ok(true)
    }

    /// Lets go of the transaction that runs, which something else has ended.
    fn drop_ended(&self, live: &mut Live) {
        let Some(running) = live.running.take() else { return };
        let id = running.transaction.id;
        tracing::info!(transaction.id = %id, "transaction {id} has ended meanwhile; nothing more is sent for it");
        note_methods(live, &running);
        self.keep_history(live, &running, self.now());
        (live.walk, live.wanted, live.wanted_login) = (None, None, None);
    }

    /// Has those numbers kept over time, among what a procedure learned, that the type asks for.
    fn keep_history(&self, live: &Live, running: &Running, now: Timestamp) {
        let values = running.learned.learn.iter().filter_map(|learned| {
            let (value, _) = learned.value.as_ref()?;
            Some(Learned { path: &learned.path, value })
        });
        self.services.health.learn(live.device, &live.device_type, values, now);
    }

    /// Takes what a procedure learned into the parameter tree. Repeated by the device, so not waited for. `noted` is the
    /// interval that the record certainly has already.
    async fn keep_learned(&self, running: &mut Running, device: DeviceKey, noted: Option<u32>, now: Timestamp) {
        if let Some(methods) = running.methods.take() {
            self.note_methods(device, methods).await;
        }
        let patch = std::mem::take(&mut running.learned);
        if patch.forget.is_empty() && patch.learn.is_empty() {
            return;
        }
        if let (Work::Configure(_), Some(learned)) = (&running.transaction.work, patch.learn.first()) {
            self.note_data_model(device, DataModel::of_path(&learned.path)).await;
        }
        let is_classified = patch.learn.iter().any(|it| it.value.is_some() && classify::is_model_name(&it.path));
        // The last: what was written is read back.
        let interval = patch.learn.iter().rev().find_map(|learned| {
            let (value, _) = learned.value.as_ref()?;
            learned.path.ends_with(".ManagementServer.PeriodicInformInterval").then(|| value.trim().parse::<u32>())
        });
        let store = &self.services.store;
        if let Some(Ok(secs @ 1..)) = interval
            && noted != Some(secs)
        {
            self.note_interval(device, secs).await;
        }
        if let Err(error) = store.patch_parameters(device, patch, now).await {
            tracing::error!(%error, device.id = %device, "the parameters of device {device} were not kept");
        }
        if is_classified {
            self.classify_again(device, now).await;
        }
    }

    /// The device has said which methods it has.
    async fn note_methods(&self, device: DeviceKey, methods: RpcMethods) {
        let edit = Box::new(move |profile: &mut Profile| profile.methods = Some(methods));
        if let Err(error) = self.services.store.edit_profile(device, edit).await {
            tracing::error!(%error, device.id = %device, "the methods of device {device} were not kept");
        }
    }

    /// The device's model name was read.
    async fn classify_again(&self, device: DeviceKey, now: Timestamp) {
        let store = &*self.services.store;
        let again = async {
            let Some(device) = store.device(device).await? else { return Ok(()) };
            let before = device.profile.device_type;
            let device = classify::classify(store, device, now).await?;
            if device.profile.device_type != before {
                self.upkeep().tend(&device, Occasion::Other, Wake::IsHere, now).await?;
            }
            Ok::<(), StoreError>(())
        };
        if let Err(error) = again.await {
            tracing::error!(%error, device.id = %device, "device {device} was not classified by its model name");
        }
    }

    /// The Inform may not have told which tree the device has.
    async fn note_data_model(&self, device: DeviceKey, found: DataModel) {
        let edit = Box::new(move |state: &mut State| {
            if state.data_model == DataModel::Unknown {
                state.data_model = found;
            }
        });
        if let Err(error) = self.services.store.edit_state(device, edit).await {
            tracing::error!(%error, device.id = %device, "the data model of device {device} was not kept");
        }
    }

    async fn note_interval(&self, device: DeviceKey, secs: u32) {
        let edit = Box::new(move |state: &mut State| state.periodic_interval_secs = Some(secs));
        if let Err(error) = self.services.store.edit_state(device, edit).await {
            tracing::error!(%error, device.id = %device, "the interval of device {device} was not kept");
        }
        self.services.expiry.arm(device, self.now(), Some(secs));
    }

    async fn settle(&self, running: Running, brought: Brought, now: Timestamp) {
        let Running { transaction, results, .. } = running;
        let edited = self.after_effects(&transaction, &results, brought, now);
        let (settled, ()) = tokio::join!(self.services.queue.settle(&transaction, &results), edited);
        if let Err(error) = settled {
            tracing::error!(%error, transaction.id = %transaction.id, "transaction {} was not settled", transaction.id);
        }
        if let Some(withdrawn) = withdrawn_by(&transaction)
            && let Err(error) = self.services.queue.withdrawn(transaction.device, withdrawn, transaction.id, now).await
        {
            tracing::error!(%error, transaction.id = %withdrawn, "transaction {withdrawn} was not ended");
        }
        if is_configuration(&transaction.work) {
            self.tend_again(transaction.device, now).await;
        }
    }

    /// A transaction has ended by what the CPE reported, before its call was answered.
    pub(super) async fn settle_reported(&self, running: Running, now: Timestamp) {
        self.settle(running, Brought::default(), now).await;
    }

    /// What is wanted may have changed while it was brought.
    async fn tend_again(&self, device: DeviceKey, now: Timestamp) {
        let again = async {
            if let Some(device) = self.services.store.device(device).await? {
                self.upkeep().tend(&device, Occasion::Other, Wake::IsHere, now).await?;
            }
            Ok::<(), StoreError>(())
        };
        if let Err(error) = again.await {
            tracing::error!(%error, device.id = %device, "device {device} was not looked at again");
        }
    }

    /// What the end of a transaction means for the device's record.
    async fn after_effects(
        &self,
        transaction: &Transaction,
        results: &[VariableResult],
        brought: Brought,
        now: Timestamp,
    ) {
        let completed = transaction.status == TransactionStatus::Completed;
        let device = transaction.device;
        let words = transaction.fault.as_ref().map(|fault| fault.message.clone());
        let edit: Box<dyn FnOnce(&mut Profile) + Send> = match transaction.work {
            Work::Configure(setting) => {
                let (id, login) = (transaction.id, brought.login);
                Box::new(move |profile| {
                    if completed && setting == Setting::Credentials && profile.credentials.next == login {
                        profile.credentials.taken = profile.credentials.next.take();
                    }
                    configured(profile, setting, id, completed, words.as_deref(), now);
                })
            }
            Work::Set { .. } | Work::AddObject { .. } | Work::DeleteObject { .. } if completed => {
                Box::new(move |profile| profile.last_change = Some(now))
            }
            Work::DeviceFactory if has_written(results) => Box::new(move |profile| profile.last_change = Some(now)),
            Work::Sync | Work::Reconfigure => {
                let written = if has_written(results) { Written::Something } else { Written::Nothing };
                let used = brought.mark();
                if let Err(error) = self.upkeep().configured(transaction, used, written, now).await {
                    tracing::error!(%error, device.id = %device, "how far device {device} is configured was not noted");
                }
                return;
            }
            Work::Get { .. }
            | Work::Set { .. }
            | Work::AddObject { .. }
            | Work::DeleteObject { .. }
            | Work::Reboot
            | Work::FactoryReset
            | Work::DeviceFactory
            | Work::Diagnose(_)
            | Work::Download(_)
            | Work::Upload(_)
            | Work::Call(_)
            | Work::Discover { .. } => return,
        };
        if let Err(error) = self.services.store.edit_profile(device, edit).await {
            tracing::error!(%error, device.id = %device, "the record of device {device} was not brought up to date");
        }
    }

    /// Frees transactions that are running in no session: the store did not take how their session ended.
    pub(super) async fn reclaim(&self, device: DeviceKey) {
        let running = match self.services.store.running(device).await {
            Ok(running) => running,
            Err(error) => {
                return tracing::error!(%error, device.id = %device, "the queue of device {device} was not read");
            }
        };
        for mut transaction in running {
            tracing::warn!(transaction.id = %transaction.id, "transaction {} was left running; its outcome is looked into", transaction.id);
            plan::book(&mut transaction, &Step::Release { not_before: None }, self.now());
            if let Err(error) = self.services.store.save(&transaction).await {
                tracing::error!(%error, transaction.id = %transaction.id, "a transaction was not saved");
            }
        }
    }

    /// The session is over before the procedure was.
    pub(super) async fn lose(&self, mut running: Running) {
        let now = self.now();
        let device = running.transaction.device;
        self.keep_learned(&mut running, device, None, now).await;
        // Ended already, and only the settling was cut short.
        if running.transaction.phase == Phase::Ended {
            return self.settle(running, Brought::default(), now).await;
        }
        match running.lost(now, jitter(), &self.config.plan) {
            Step::End(_) => self.settle(running, Brought::default(), now).await,
            Step::Release { .. } | Step::Wait { .. } | Step::Call { .. } => {
                if let Err(error) = self.services.store.save(&running.transaction).await {
                    tracing::error!(%error, transaction.id = %running.transaction.id, "a transaction was not saved");
                }
            }
        }
    }
}

/// A setting has reached the device, or was refused; then it stays pending, and says why.
fn configured(
    profile: &mut Profile,
    setting: Setting,
    id: TransactionId,
    completed: bool,
    words: Option<&str>,
    now: Timestamp,
) {
    if completed {
        profile.last_configuration = Some(now);
        profile.pending.retain(|pending| pending.setting != setting || pending.transaction.is_some_and(|of| of != id));
        if setting == Setting::ConnectionRequest {
            profile.credentials.connection_request_set = true;
        }
    } else {
        for pending in profile.pending.iter_mut().filter(|pending| pending.is_carried_by(setting, id)) {
            pending.failed = Some(words.unwrap_or("not done").to_owned());
        }
    }
}

/// What a transaction that has ended was to bring to its device.
#[derive(Default)]
struct Brought {
    wanted: Option<Wanted>,
    /// The login among it, as the profile had it.
    login: Option<Login>,
}

impl Brought {
    fn mark(&self) -> Option<ConfigurationMark> {
        match &self.wanted {
            Some(Wanted::Configuration { effective, .. }) => Some(effective.mark),
            Some(_) | None => None,
        }
    }
}

const fn is_configuration(work: &Work) -> bool {
    matches!(work, Work::Sync | Work::Reconfigure | Work::Configure(Setting::LocationUpdate | Setting::UpdateFrequency))
}

/// The transaction whose transfer this one has taken out of the device's queue.
fn withdrawn_by(transaction: &Transaction) -> Option<TransactionId> {
    let Work::Call(call) = &transaction.work else { return None };
    let Call::CancelTransfer { transfer } = &**call else { return None };
    transfer.transaction().filter(|_| transaction.status == TransactionStatus::Completed)
}

/// The next transactions of the session need not ask again.
fn note_methods(live: &mut Live, running: &Running) {
    if let Some(methods) = &running.methods {
        live.snapshot.profile.methods = Some(methods.clone());
    }
}

fn has_written(results: &[VariableResult]) -> bool {
    results.iter().any(|result| result.fault.is_none())
}

/// The periodic interval on record, if no transaction of this session can have changed it since the Inform.
fn noted_interval(live: &Live) -> Option<u32> {
    live.snapshot.state.periodic_interval_secs.filter(|_| live.tried.len() <= 1)
}

pub(super) fn jitter() -> u32 {
    fastrand::u32(0..1000)
}

fn count_fault(fault: &Fault<'_>) {
    // A closed set: what a CPE invents is counted as "other".
    let code = match fault.code.0 {
        code @ 9000..=9032 => code.to_string(),
        _ => "other".to_owned(),
    };
    metrics::counter!(names::FAULTS, "code" => code).increment(1);
}
