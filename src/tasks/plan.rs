//! Procedures: how a transaction becomes RPCs. Pure state machines, fed with answers and Inform events.
//!
//! A [`Running`] procedure lives as long as the session that carries it out. What must outlive the session is in its
//! transaction ([`crate::model::procedure::Progress`]) and is saved by the driver where a [`Step`] says so: before a call
//! whose repetition could harm, and wherever the procedure waits. An outcome that is unknown, because the answer never
//! came, is looked into before anything is repeated (design.md §4).

mod call;
mod configure;
mod diagnose;
mod discover;
mod faults;
mod get;
mod methods;
pub mod news;
mod restart;
mod rows;
mod set;
mod transfer;
mod wanted;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::cwmp::emission::BooleanForm;
use crate::cwmp::message::Request;
use crate::cwmp::session::Answer;
use crate::model::call::RpcMethods;
use crate::model::device::{DataModel, Parameter, Setting, TreePatch};
use crate::model::device_type::DeviceType;
use crate::model::file::StoredFileId;
use crate::model::transaction::{
    OpenWork, Phase, Transaction, TransactionFault, TransactionStatus, VariableResult, WaitReason, Work,
};
use crate::model::wanted::{ConfigurationMark, Effective, Unopenable};
use crate::types::path::ParameterPath;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

pub use discover::{KnownNames, walked};

/// The parameters that a setting concerns, in a tree with this root.
#[must_use]
pub fn setting_paths(root: &str, setting: Setting) -> Vec<String> {
    configure::setting_paths(root, setting)
}

/// What a transaction fails with that has a secret which does not open.
#[must_use]
pub fn unopenable(error: &Unopenable) -> TransactionFault {
    faults::own(format!("{error}: {}", error.source))
}

/// What the driver does next with a procedure.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send this call.
    Call {
        /// The call.
        request: Request<'static>,
        /// Whether the transaction has to be saved first.
        save: Save,
    },
    /// Save; the transaction waits for the device across sessions.
    Wait {
        /// For what.
        reason: WaitReason,
        /// When to give up.
        until: Timestamp,
    },
    /// Save; the transaction is done with this session and may be taken up again from `not_before` on.
    Release {
        /// Back-off; `None`: in the next session.
        not_before: Option<Timestamp>,
    },
    /// Settle.
    End(Ending),
}

/// Whether a call's repetition could harm, so that its being in flight must be on disk before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Save {
    /// Durable first.
    Before,
    /// A read.
    NotNeeded,
}

/// How a transaction ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Done.
    Completed {
        /// Something the operator should know.
        note: Option<String>,
    },
    /// Not done.
    Failed(TransactionFault),
}

/// What a procedure may know of the world.
#[derive(Debug)]
pub struct Context<'c> {
    /// The present.
    pub now: Timestamp,
    /// The device's tree.
    pub data_model: DataModel,
    /// When the device last reported a boot.
    pub last_boot: Option<Timestamp>,
    /// How often it Informs by itself: one that cannot be called comes no sooner.
    pub inform_interval: Duration,
    /// How booleans are written.
    pub boolean_form: BooleanForm,
    /// A number from 0 to 999, different each time: spreads back-offs.
    pub jitter: u32,
    /// What is known of the parameters that the work names.
    pub known: &'c HashMap<Box<str>, Parameter>,
    /// Of a `Work::Discover`: the names known beforehand, from where it has [`walked`] to on.
    pub names: &'c KnownNames,
    /// The values of a `Work::Configure`.
    pub wanted: Option<&'c Wanted>,
    /// Which methods the device has, if it was asked.
    pub methods: Option<&'c RpcMethods>,
    /// Whether it may be asked for notification attributes.
    pub attributes: Attributes,
    /// What it runs.
    pub software_version: &'c str,
    /// Of the device.
    pub device_type: &'c DeviceType,
    /// Bounds.
    pub limits: &'c PlanLimits,
}

/// The values of a `Work::Configure`, taken from the profile when it runs.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// User name and password, of either login.
    Login {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// The periodic Inform interval.
    Interval {
        /// What an operator asked for; `None`: what the device has, if it Informs periodically at all.
        secs: Option<u32>,
        /// Used when the device does not.
        fallback_secs: u32,
    },
    /// Where the device stands.
    Location {
        /// The parameter that the type maps it to.
        path: ParameterPath,
        /// What to write.
        name: String,
    },
    /// All that a device is to be configured to; of a `Work::DeviceFactory`, its type's writes.
    Configuration {
        /// What is wanted.
        effective: Arc<Effective>,
        /// The configuration that was last brought to the device.
        applied: Option<ConfigurationMark>,
        /// Whether the device may be asked for notification attributes.
        attributes: Attributes,
    },
    /// A file, of a `Work::Download` or `Work::Upload`.
    Transfer(TransferOffer),
    /// Why the file of a `Work::Download` is not to be had.
    NoTransfer(&'static str),
}

/// What a device needs to fetch or send a file.
#[derive(Debug, Clone)]
pub struct TransferOffer {
    /// Where the file is, or goes to.
    pub url: String,
    /// Empty: none.
    pub username: String,
    /// Empty: none.
    pub password: Secret,
    /// Bytes of what is to be fetched; 0: unknown.
    pub size: u64,
    /// What the device will report once it runs the image; empty: not known, or no image.
    pub version: Box<str>,
    /// What the device has sent already.
    pub arrived: Option<StoredFileId>,
}

/// Whether a device may be asked for notification attributes (quirk 58).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attributes {
    /// As the standard has it.
    Allowed,
    /// It would drop the session.
    Never,
}

/// Bounds of procedures, configurable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanLimits {
    /// Most names in one `GetParameterValues`.
    pub batch: usize,
    /// Sessions that try a transaction before it fails.
    pub attempts: u32,
    /// First back-off; doubles.
    pub backoff_first: Duration,
    /// Longest back-off.
    pub backoff_max: Duration,
    /// How long a reboot or factory reset may take.
    pub restart: Duration,
    /// How long a file transfer may take, in all.
    pub transfer: Duration,
    /// Most names that a discovery takes in.
    pub discovered_names: u32,
    /// Most discoveries at the same time, those of all devices counted: each has the names at hand that are known of its device.
    pub discoveries: usize,
    /// What a test gets on top of its expected duration before a device that has not reported is asked.
    pub test_margin: Duration,
    /// What a test gets on top of its longest duration before it is given up.
    pub test_patience: Duration,
}

impl Default for PlanLimits {
    fn default() -> Self {
        Self {
            batch: 32,
            attempts: 5,
            backoff_first: Duration::from_secs(30),
            backoff_max: Duration::from_hours(1),
            restart: Duration::from_mins(15),
            transfer: Duration::from_hours(1),
            discovered_names: 250_000,
            discoveries: 16,
            test_margin: Duration::from_mins(1),
            test_patience: Duration::from_mins(5),
        }
    }
}

/// A transaction in a session.
#[derive(Debug)]
pub struct Running {
    /// The ledger row, kept up to date.
    pub transaction: Transaction,
    /// Results so far.
    pub results: Vec<VariableResult>,
    /// What was learned of the device since the driver last took it.
    pub learned: TreePatch,
    /// Which methods the device has, if it was asked just now.
    pub methods: Option<RpcMethods>,
    /// What it writes, in clear.
    clear: OpenWork,
    machine: Machine,
}

#[derive(Debug)]
enum Machine {
    Get(get::Get),
    Set(set::Set),
    Add(rows::Add),
    Delete(rows::Delete),
    Restart(restart::Restart),
    Configure(configure::Configure),
    Converge(Box<wanted::Converge>),
    Diagnose(Box<diagnose::Diagnose>),
    Transfer(Box<transfer::Transfer>),
    Call(Box<call::Single>),
    Discover(Box<discover::Discover>),
}

/// The parts of a running transaction that a machine may touch.
struct Desk<'r> {
    transaction: &'r mut Transaction,
    results: &'r mut Vec<VariableResult>,
    learned: &'r mut TreePatch,
    methods: &'r mut Option<RpcMethods>,
    clear: &'r OpenWork,
}

impl Running {
    /// Starts a claimed transaction, or takes it up where it broke off. `clear` is what it writes; where that is not to
    /// be had, the transaction fails.
    #[must_use]
    pub fn begin(
        transaction: Transaction,
        clear: Result<OpenWork, TransactionFault>,
        cx: &Context<'_>,
    ) -> (Self, Step) {
        let machine = match &transaction.work {
            Work::Get { .. } => Machine::Get(get::Get::default()),
            Work::Set { .. } => Machine::Set(set::Set::default()),
            Work::AddObject { .. } => Machine::Add(rows::Add::default()),
            Work::DeleteObject { .. } => Machine::Delete(rows::Delete::default()),
            Work::Reboot | Work::FactoryReset => Machine::Restart(restart::Restart::default()),
            Work::Configure(_) => Machine::Configure(configure::Configure::default()),
            Work::Sync | Work::Reconfigure | Work::DeviceFactory => Machine::Converge(Box::default()),
            Work::Diagnose(_) => Machine::Diagnose(Box::default()),
            Work::Download(_) | Work::Upload(_) => Machine::Transfer(Box::default()),
            Work::Call(_) => Machine::Call(Box::default()),
            Work::Discover { .. } => Machine::Discover(Box::default()),
        };
        let (clear, fault) = match clear {
            Ok(clear) => (clear, None),
            Err(fault) => (OpenWork::default(), Some(fault)),
        };
        let (results, learned, methods) = (Vec::new(), TreePatch::default(), None);
        let mut running = Self { transaction, results, learned, methods, clear, machine };
        if let Some(fault) = fault {
            let step = running.book(faults::fail(fault), cx.now);
            return (running, step);
        }
        let (mut desk, machine) = running.split();
        let step = match machine {
            Machine::Get(get) => get.begin(&mut desk, cx),
            Machine::Set(set) => set.begin(&mut desk, cx),
            Machine::Add(add) => add.begin(&mut desk, cx),
            Machine::Delete(delete) => delete.begin(&mut desk, cx),
            Machine::Restart(restart) => restart.begin(&mut desk, cx),
            Machine::Configure(configure) => configure.begin(&mut desk, cx),
            Machine::Converge(converge) => converge.begin(&mut desk, cx),
            Machine::Diagnose(diagnose) => diagnose.begin(&mut desk, cx),
            Machine::Transfer(transfer) => transfer.begin(&mut desk, cx),
            Machine::Call(call) => call.begin(&mut desk, cx),
            Machine::Discover(discover) => discover.begin(&mut desk, cx),
        };
        let step = running.book(step, cx.now);
        (running, step)
    }

    /// Feeds the answer to the last call.
    pub fn answer(&mut self, answer: &Answer<'_>, cx: &Context<'_>) -> Step {
        let (mut desk, machine) = self.split();
        let step = match machine {
            Machine::Get(get) => get.answer(&mut desk, cx, answer),
            Machine::Set(set) => set.answer(&mut desk, cx, answer),
            Machine::Add(add) => add.answer(&mut desk, cx, answer),
            Machine::Delete(delete) => delete.answer(&mut desk, cx, answer),
            Machine::Restart(restart) => restart.answer(&mut desk, cx, answer),
            Machine::Configure(configure) => configure.answer(&mut desk, cx, answer),
            Machine::Converge(converge) => converge.answer(&mut desk, cx, answer),
            Machine::Diagnose(diagnose) => diagnose.answer(&mut desk, cx, answer),
            Machine::Transfer(transfer) => transfer.answer(&mut desk, cx, answer),
            Machine::Call(call) => call.answer(&mut desk, cx, answer),
            Machine::Discover(discover) => discover.answer(&mut desk, cx, answer),
        };
        self.book(step, cx.now)
    }

    /// The session is gone, and with it the answer to the last call.
    pub fn lost(&mut self, now: Timestamp, jitter: u32, limits: &PlanLimits) -> Step {
        let step = faults::lost(&mut self.transaction, now, jitter, limits);
        self.book(step, now)
    }

    fn split(&mut self) -> (Desk<'_>, &mut Machine) {
        let desk = Desk {
            transaction: &mut self.transaction,
            results: &mut self.results,
            learned: &mut self.learned,
            methods: &mut self.methods,
            clear: &self.clear,
        };
        (desk, &mut self.machine)
    }

    /// Writes into the row what a step means for it.
    fn book(&mut self, step: Step, now: Timestamp) -> Step {
        book(&mut self.transaction, &step, now);
        step
    }
}

/// Writes into the row what a step means for it: phase, status, attempt, fault.
pub fn book(transaction: &mut Transaction, step: &Step, now: Timestamp) {
    match step {
        Step::Call { .. } => transaction.phase = Phase::Running,
        Step::Wait { reason, until } => {
            transaction.phase = Phase::Waiting { reason: *reason, until: *until };
        }
        Step::Release { not_before } => {
            transaction.phase = Phase::Ready { not_before: *not_before };
            let words = transaction.fault.as_ref().map_or("the session broke off", |fault| fault.message.as_str());
            let words = words.to_owned();
            transaction.note_attempt(now, words);
        }
        Step::End(ending) => {
            transaction.phase = Phase::Ended;
            transaction.completed_at = Some(now);
            transaction.progress.in_flight = None;
            match ending {
                Ending::Completed { note } => {
                    transaction.status = TransactionStatus::Completed;
                    transaction.fault = None;
                    transaction.note.clone_from(note);
                    transaction.note_attempt(now, "completed");
                }
                Ending::Failed(fault) => {
                    transaction.status = TransactionStatus::Failed;
                    transaction.note_attempt(now, fault.message.clone());
                    transaction.fault = Some(fault.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
