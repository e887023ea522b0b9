//! The ACS's turn: transactions become calls, answers become results.

use std::collections::HashMap;

use crate::cwmp::message::{Body, Fault, Header, Method, Request};
use crate::cwmp::session::{Answer as Reply, Outcome};
use crate::model::device::{DataModel, Device, Login, Profile, Setting, State};
use crate::model::transaction::{Phase, Transaction, TransactionStatus, Work};
use crate::store::StoreError;
use crate::tasks::plan::{self, Context, Running, Save, Step, Wanted};
use crate::telemetry::names;
use crate::types::ident::DeviceKey;
use crate::types::time::Timestamp;

use super::super::exchange::Answer;
use super::super::sessions::Live;
use super::Inner;

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
        if let Some(running) = live.running.as_mut() {
            self.count_reply(called, reply);
            let cx = context(&live.snapshot, &live.known, live.wanted.as_ref(), &self.config, now);
            let step = running.answer(reply, &cx);
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
            let transaction = match store.claim(live.device, &live.tried, now).await {
                Ok(Some(transaction)) => transaction,
                Ok(None) => return self.finish(live, Outcome::Completed).await,
                Err(error) => {
                    tracing::error!(%error, "no transaction could be started");
                    return self.finish(live, Outcome::Completed).await;
                }
            };
            live.tried.push(transaction.id);
            if let Err(error) = self.prepare(live, &transaction).await {
                tracing::error!(%error, transaction.id = %transaction.id, "a transaction could not be prepared");
            }
            let cx = context(&live.snapshot, &live.known, live.wanted.as_ref(), &self.config, now);
            let (running, step) = Running::begin(transaction, &cx);
            live.running = Some(running);
            if let Some(answer) = self.carry_out(live, step).await {
                return answer;
            }
        }
    }

    /// Gathers what the procedure has to know before it starts.
    async fn prepare(&self, live: &mut Live, transaction: &Transaction) -> Result<(), StoreError> {
        let store = &self.services.store;
        live.known.clear();
        (live.wanted, live.wanted_login) = (None, None);
        let root = live.snapshot.state.data_model.root();
        let setting_paths;
        let paths: Vec<&str> = match &transaction.work {
            Work::Set { assignments } => assignments.iter().map(|assignment| assignment.path.as_str()).collect(),
            Work::Configure(setting) => {
                setting_paths = plan::setting_paths(root, *setting);
                setting_paths.iter().map(String::as_str).collect()
            }
            Work::Get { .. }
            | Work::AddObject { .. }
            | Work::DeleteObject { .. }
            | Work::Reboot
            | Work::FactoryReset
            | Work::Sync
            | Work::Reconfigure
            | Work::DeviceFactory => Vec::new(),
        };
        if !paths.is_empty() {
            let known = store.known(live.device, &paths).await?;
            live.known = known.into_iter().flatten().map(|parameter| (parameter.path.clone(), parameter)).collect();
        }
        if let Work::Configure(setting) = transaction.work
            && let Some(device) = store.device(live.device).await?
        {
            live.wanted = self.wanted(&device, setting);
            live.wanted_login = device.profile.credentials.next.filter(|_| setting == Setting::Credentials);
        }
        Ok(())
    }

    /// What a setting's value is to be, from the profile as it is now.
    fn wanted(&self, device: &Device, setting: Setting) -> Option<Wanted> {
        let credentials = &device.profile.credentials;
        let login = match setting {
            Setting::UpdateFrequency => {
                return Some(Wanted::Interval {
                    secs: device.profile.update_frequency,
                    fallback_secs: self.config.fallback_interval_secs,
                });
            }
            Setting::Credentials => credentials.next.as_ref()?,
            Setting::ConnectionRequest => credentials.connection_request.as_ref()?,
            Setting::LocationUpdate | Setting::FirmwareUpgrade => return None,
        };
        match self.services.sealer.open(&login.password) {
            Ok(password) => Some(Wanted::Login { username: login.username.clone(), password }),
            Err(error) => {
                tracing::error!(%error, device.id = %device.key, "a password of device {} cannot be unsealed", device.key);
                None
            }
        }
    }

    /// Carries out a step. `None`: the transaction has left the session, and the next one may come.
    async fn carry_out(&self, live: &mut Live, step: Step) -> Option<Answer> {
        let now = self.now();
        match step {
            Step::Call { request, save } => Some(self.send(live, request, save).await),
            Step::Wait { .. } | Step::Release { .. } => {
                let mut running = live.running.take()?;
                self.keep_learned(&mut running, live.device, noted_interval(live), now).await;
                if let Err(error) = self.services.store.save(&running.transaction).await {
                    tracing::error!(%error, transaction.id = %running.transaction.id, "a transaction was not saved");
                }
                None
            }
            Step::End(_) => {
                let mut running = live.running.take()?;
                self.keep_learned(&mut running, live.device, noted_interval(live), now).await;
                let login = live.wanted_login.take();
                self.settle(running, login, now).await;
                None
            }
        }
    }

    async fn send(&self, live: &mut Live, request: Request<'static>, save: Save) -> Answer {
        if let Err(error) = self.save_before(live, &request, save).await {
            // Not on disk: not sent.
            tracing::error!(%error, "a call was not sent");
            return self.finish(live, Outcome::Completed).await;
        }
        let id = live.session.call(request.method());
        let header = Header { id: Some(id.into()), ..Header::default() };
        let body = Self::encode(&header, &Body::Request(request), live.session.emission());
        live.sent = body.clone();
        Answer::Envelope { body, cookie: None }
    }

    async fn save_before(&self, live: &Live, request: &Request<'_>, save: Save) -> Result<(), StoreError> {
        let Some(running) = live.running.as_ref() else { return Ok(()) };
        if save == Save::NotNeeded {
            return Ok(());
        }
        let store = &self.services.store;
        if matches!(request, Request::FactoryReset) {
            let now = self.now();
            let edit = Box::new(move |profile: &mut Profile| profile.credentials.reset_ordered = Some(now));
            let (saved, edited) = tokio::join!(store.save(&running.transaction), store.edit_profile(live.device, edit));
            edited?;
            return saved;
        }
        store.save(&running.transaction).await
    }

    /// Takes what a procedure learned into the parameter tree. Repeated by the device, so not waited for. `noted` is the
    /// interval that the record certainly has already.
    async fn keep_learned(&self, running: &mut Running, device: DeviceKey, noted: Option<u32>, now: Timestamp) {
        let patch = std::mem::take(&mut running.learned);
        if patch.forget.is_empty() && patch.learn.is_empty() {
            return;
        }
        if let (Work::Configure(_), Some(learned)) = (&running.transaction.work, patch.learn.first()) {
            self.note_data_model(device, DataModel::of_path(&learned.path)).await;
        }
        let interval = patch.learn.iter().find_map(|learned| {
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

    /// `login`: the one that a `Configure` has written.
    async fn settle(&self, running: Running, login: Option<Login>, now: Timestamp) {
        let Running { transaction, results, .. } = running;
        let edited = self.after_effects(&transaction, login, now);
        let (settled, ()) = tokio::join!(self.services.queue.settle(&transaction, &results), edited);
        if let Err(error) = settled {
            tracing::error!(%error, transaction.id = %transaction.id, "transaction {} was not settled", transaction.id);
        }
    }

    /// What the end of a transaction means for the device's record.
    async fn after_effects(&self, transaction: &Transaction, login: Option<Login>, now: Timestamp) {
        let completed = transaction.status == TransactionStatus::Completed;
        let device = transaction.device;
        let words = transaction.fault.as_ref().map(|fault| fault.message.clone());
        let edit: Box<dyn FnOnce(&mut Profile) + Send> = match transaction.work {
            Work::Configure(setting) => {
                let id = transaction.id;
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
            Work::Get { .. }
            | Work::Set { .. }
            | Work::AddObject { .. }
            | Work::DeleteObject { .. }
            | Work::Reboot
            | Work::FactoryReset
            | Work::Sync
            | Work::Reconfigure
            | Work::DeviceFactory => return,
        };
        let edited = match self.services.store.edit_profile(device, edit).await {
            Ok(edited) => edited,
            Err(error) => {
                tracing::error!(%error, device.id = %device, "the record of device {device} was not brought up to date");
                return;
            }
        };
        let interval = edited.and_then(|device| device.profile.update_frequency);
        if let (true, Work::Configure(Setting::UpdateFrequency), Some(secs)) = (completed, &transaction.work, interval)
        {
            self.note_interval(device, secs).await;
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
            return self.settle(running, None, now).await;
        }
        match running.lost(now, jitter(), &self.config.plan) {
            Step::End(_) => self.settle(running, None, now).await,
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
    id: crate::types::ident::TransactionId,
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
        for pending in profile.pending.iter_mut().filter(|pending| pending.transaction == Some(id)) {
            pending.failed = Some(words.unwrap_or("not done").to_owned());
        }
    }
}

fn context<'c>(
    device: &Device,
    known: &'c HashMap<Box<str>, crate::model::device::Parameter>,
    wanted: Option<&'c Wanted>,
    config: &'c super::DriverConfig,
    now: Timestamp,
) -> Context<'c> {
    Context {
        now,
        data_model: device.state.data_model,
        last_boot: device.state.last_boot,
        boolean_form: config.emission.boolean_form,
        jitter: jitter(),
        known,
        wanted,
        limits: &config.plan,
    }
}

/// The periodic interval on record, if no transaction of this session can have changed it since the Inform.
fn noted_interval(live: &Live) -> Option<u32> {
    live.snapshot.state.periodic_interval_secs.filter(|_| live.tried.len() <= 1)
}

fn jitter() -> u32 {
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
