//! What lies between a device and a procedure: sessions, the ledger, the clock.

use std::collections::HashMap;
use std::time::Duration;

use crate::auth::seal::SealError;
use crate::cwmp::emission::BooleanForm;
use crate::cwmp::message::Request;
use crate::cwmp::message::inform::EventStruct;
use crate::model::call::RpcMethods;
use crate::model::device::{DataModel, Parameter, TreePatch};
use crate::model::device_type::DeviceType;
use crate::model::procedure::Progress;
use crate::model::transaction::{Kind, Phase, Transaction, TransactionFault, TransactionStatus, VariableResult, Work};
use crate::tasks::plan::news::{self, News};
use crate::tasks::plan::{
    self, Attributes, Context, Ending, KnownNames, PlanLimits, Running, Save, Step, Wanted, unopenable,
};
use crate::types::event::EventCode;
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::path::{ObjectPath, ParameterPath, ReadPath};
use crate::types::time::Timestamp;
use crate::types::value::XsdType;

use super::device::{Device, Reply};

/// Most calls of one session: nothing here needs as many.
const CALLS_MAX: u32 = 500;

pub(super) struct World {
    pub(super) device: Device,
    /// The row as the ledger has it.
    pub(super) transaction: Transaction,
    pub(super) now: Timestamp,
    pub(super) known: HashMap<Box<str>, Parameter>,
    pub(super) wanted: Option<Wanted>,
    pub(super) limits: PlanLimits,
    pub(super) data_model: DataModel,
    pub(super) boolean_form: BooleanForm,
    pub(super) last_boot: Option<Timestamp>,
    pub(super) inform_interval: Duration,
    pub(super) software_version: String,
    pub(super) methods: Option<RpcMethods>,
    pub(super) attributes: Attributes,
    pub(super) device_type: DeviceType,
    /// Of the settled transaction.
    pub(super) results: Vec<VariableResult>,
    pub(super) learned: Vec<TreePatch>,
    pub(super) sessions: u32,
}

impl World {
    pub(super) fn new(device: Device, work: Work) -> Self {
        let now = Timestamp::from_secs(1_000_000);
        let transaction = Transaction {
            id: TransactionId(7),
            device: DeviceKey(1),
            kind: Kind::Headless,
            work,
            status: TransactionStatus::Scheduled,
            phase: Phase::Ready { not_before: None },
            created_at: now,
            expires_at: None,
            started_at: None,
            completed_at: None,
            attempts: 0,
            history: Vec::new(),
            fault: None,
            note: None,
            requested_by: "test".to_owned(),
            campaign: None,
            progress: Progress::default(),
        };
        Self {
            device,
            transaction,
            now,
            known: HashMap::new(),
            wanted: None,
            limits: PlanLimits::default(),
            data_model: DataModel::Device,
            boolean_form: BooleanForm::Learned,
            last_boot: None,
            inform_interval: Duration::from_secs(30),
            software_version: "1.0".to_owned(),
            methods: None,
            attributes: Attributes::Allowed,
            device_type: DeviceType::generic(now),
            results: Vec::new(),
            learned: Vec::new(),
            sessions: 0,
        }
    }

    /// What acsd has seen of a parameter before.
    pub(super) fn knows(mut self, path: &str, value: &str, ty: XsdType) -> Self {
        let parameter = Parameter {
            path: path.into(),
            value: Some(value.into()),
            ty: Some(ty),
            writable: None,
            notification: None,
            updated_at: self.now,
        };
        self.known.insert(path.into(), parameter);
        self
    }

    /// One session. Time goes on by a second for each call.
    pub(super) fn session(&mut self) {
        self.sessions += 1;
        if let Phase::Ready { not_before: Some(at) } = self.transaction.phase {
            self.now = self.now.max(at);
        }
        self.transaction.status = TransactionStatus::InProgress;
        self.transaction.phase = Phase::Running;
        if !std::mem::take(&mut self.transaction.progress.resumed) {
            self.transaction.attempts += 1;
        }
        self.carry();
    }

    /// The rest of a session, once the transaction is claimed.
    pub(super) fn carry(&mut self) {
        let (wanted, limits, known) = (self.wanted.clone(), self.limits.clone(), self.known.clone());
        let (methods, device_type) = (self.methods.clone(), self.device_type.clone());
        let software_version = self.software_version.clone();
        let mut paths: Vec<&str> = known.keys().map(AsRef::as_ref).collect();
        paths.sort_unstable();
        let walked = plan::walked(&self.transaction);
        let names = KnownNames::of(paths.into_iter().filter(|path| *path > walked));
        let context = |world: &Self| Context {
            now: world.now,
            data_model: world.data_model,
            last_boot: world.last_boot,
            inform_interval: world.inform_interval,
            boolean_form: world.boolean_form,
            jitter: 500,
            known: &known,
            names: &names,
            wanted: wanted.as_ref(),
            methods: methods.as_ref(),
            attributes: world.attributes,
            software_version: &software_version,
            device_type: &device_type,
            limits: &limits,
        };
        let clear = self.transaction.work.open(&|_| Err(SealError::Unopenable)).map_err(|error| unopenable(&error));
        let (mut running, mut step) = Running::begin(self.transaction.clone(), clear, &context(self));
        let mut calls = 0;
        // What was learned when the transaction was last saved.
        let mut saved = TreePatch::default();
        while let Step::Call { request, save } = step {
            calls += 1;
            assert!(calls < CALLS_MAX, "a session without end: {:?}", self.device.methods());
            if save == Save::Before {
                self.transaction = running.transaction.clone();
                join(&mut saved, std::mem::take(&mut running.learned));
            } else {
                assert!(!matches!(request, Request::AddObject(_) | Request::Reboot(_) | Request::FactoryReset));
            }
            self.now = self.now + Duration::from_secs(1);
            match self.device.call(&request) {
                Reply::Answer(answer) => step = running.answer(&answer, &context(self)),
                Reply::Gone { killed: true } => {
                    self.transaction.phase = Phase::Ready { not_before: None };
                    self.learned.push(saved);
                    return;
                }
                Reply::Gone { killed: false } => {
                    step = running.lost(self.now, 500, &self.limits);
                    assert!(!matches!(step, Step::Call { .. } | Step::Wait { .. }));
                }
            }
        }
        join(&mut saved, running.learned);
        self.learned.push(saved);
        self.methods = running.methods.or(methods);
        self.results = running.results;
        self.transaction = running.transaction;
    }

    /// Sessions until the transaction has ended or waits.
    pub(super) fn run(&mut self) -> &mut Self {
        while matches!(self.transaction.phase, Phase::Ready { .. }) {
            assert!(self.sessions < 40, "never ends: {:?}", self.transaction);
            self.session();
        }
        self
    }

    /// The device Informs with these events, and then holds sessions as before.
    pub(super) fn inform(&mut self, events: &[(EventCode, &str)]) {
        self.inform_among(events, 0);
    }

    /// As [`inform`](Self::inform), of a device that has other tests outstanding as well.
    pub(super) fn inform_among(&mut self, events: &[(EventCode, &str)], others: usize) {
        let events: Vec<_> = events
            .iter()
            .map(|(code, key)| EventStruct {
                code: *code,
                raw_code: code.as_str().into(),
                command_key: (*key).to_owned().into(),
            })
            .collect();
        if events.iter().any(|event| event.code == EventCode::Boot) {
            self.last_boot = Some(self.now);
        }
        if self.transaction.status.is_final() {
            return;
        }
        let news = News { at: self.now, events: &events, software_version: &self.software_version };
        let results = news::informed(&mut self.transaction, &news, others);
        self.results.extend(results);
    }

    /// The device makes a call of its own.
    pub(super) fn calls(&mut self, request: &Request<'_>) {
        self.calls_among(request, 0);
    }

    /// As [`calls`](Self::calls), where others may be meant as well.
    pub(super) fn calls_among(&mut self, request: &Request<'_>, others: usize) {
        if self.transaction.status.is_final() {
            return;
        }
        let results = news::called(&mut self.transaction, request, others, self.now);
        self.results.extend(results);
    }

    /// What is waited for does not come in time.
    pub(super) fn run_out(&mut self) {
        if let Phase::Waiting { until, .. } = self.transaction.phase {
            self.now = self.now.max(until);
            self.transaction.resume();
        }
    }

    /// What the queue says to it now.
    pub(super) fn overdue(&self) -> Option<TransactionFault> {
        news::overdue(&self.transaction, self.now)
    }

    /// Back-off that the transaction waits for now, in seconds.
    pub(super) fn backoff(&self) -> u64 {
        match self.transaction.phase {
            Phase::Ready { not_before: Some(at) } => at.since(self.now).as_secs(),
            _ => 0,
        }
    }

    pub(super) fn ending(&self) -> Ending {
        match self.transaction.status {
            TransactionStatus::Completed => Ending::Completed { note: self.transaction.note.clone() },
            TransactionStatus::Failed => Ending::Failed(self.fault().clone()),
            other => panic!("it is {other:?}: {:?}", self.transaction),
        }
    }

    pub(super) fn fault(&self) -> &TransactionFault {
        self.transaction.fault.as_ref().expect("a fault")
    }

    pub(super) fn assert_completed(&self) {
        assert!(matches!(self.ending(), Ending::Completed { .. }), "{:?}", self.transaction.fault);
    }

    /// Path, value and fault code of each result.
    pub(super) fn outcome(&self) -> Vec<(&str, Option<&str>, Option<u16>)> {
        self.results
            .iter()
            .map(|result| (&*result.path, result.value.as_deref(), result.fault.as_ref().map(|fault| fault.code)))
            .collect()
    }
}

/// The later patch applied after the earlier one.
fn join(earlier: &mut TreePatch, later: TreePatch) {
    let is_gone = |path: &str| {
        later.forget.iter().any(|gone| path == &**gone || (gone.ends_with('.') && path.starts_with(&**gone)))
    };
    earlier.learn.retain(|one| !is_gone(&one.path));
    earlier.forget.extend(later.forget);
    earlier.learn.extend(later.learn);
}

pub(super) fn parameter(path: &str) -> ParameterPath {
    ParameterPath::try_from(path).unwrap()
}

pub(super) fn object(path: &str) -> ObjectPath {
    ObjectPath::try_from(path).unwrap()
}

pub(super) fn get(paths: &[&str]) -> Work {
    Work::Get { paths: paths.iter().map(|path| ReadPath::try_from(*path).unwrap()).collect() }
}
