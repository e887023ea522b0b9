//! `Diagnose`: a test that the device runs by itself.
//!
//! 1. The object is found: in the known tree, else by one `GetParameterNames`. State, inputs and their types are read.
//! 2. The inputs are written in one call, `DiagnosticsState` last. Where that is refused: without what nobody asked for,
//!    the interface with a final dot, and at last in two calls ([`start`]).
//! 3. The state is read once; most devices begin only when the session ends. The transaction waits.
//! 4. `8 DIAGNOSTICS COMPLETE`, a boot, or the timer resume it; its own object tells how things are ([`watch`]).
//!
//! Whether the call that starts a test was carried out may be unknown: then state and inputs are read before it is
//! repeated. What the object said before is not taken for this test's, where its inputs do not tell the two apart: they were
//! the very same before, or an earlier call may have written them without starting the test.

mod find;
mod interface;
mod start;
mod watch;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::cwmp::session::Answer;
use crate::diagnostics::interface::Wish;
use crate::diagnostics::site::{Site, sites};
use crate::diagnostics::timing::Timing;
use crate::model::diagnostic::DiagnosticOrder;
use crate::model::procedure::{InFlight, Stage as Kept, TestProgress};
use crate::model::transaction::{Transaction, VariableResult, Work};
use crate::types::event::EventCode;
use crate::types::time::Timestamp;
use crate::types::value::XsdType;

use super::faults;
use super::get::Reader;
use super::news::{News, Reaction};
use super::{Context, Desk, Save, Step};

/// What a device that Informs by itself may be late.
const LATE: Duration = Duration::from_secs(90);
/// Longest that a device which has been told to run the test is waited for on account of its Inform interval. Its results may
/// be there all that time, but a test holds its place as long: one hourly Inform, and half an hour for it to be late.
const AWAY_MAX: Duration = Duration::from_mins(90);

/// The procedure.
#[derive(Debug, Default)]
pub(super) struct Diagnose {
    test: Option<Test>,
}

/// A test in a session.
#[derive(Debug)]
struct Test {
    order: DiagnosticOrder,
    timing: Timing,
    /// How long the device may stay away that was not told to run it: nothing is lost by waiting until it Informs by itself.
    unstarted: Duration,
    /// How long it may stay away that was: as [`Timing::away`], or until it Informs by itself if that is later, up to
    /// [`AWAY_MAX`].
    away: Duration,
    stage: Stage,
    /// The object that it is made with, as far as that is found.
    site: Option<Site>,
    /// Where else it may be.
    others: VecDeque<Site>,
    /// Where it was looked for in vain.
    missed: Vec<Box<str>>,
    /// What the object holds: its state, and the inputs that it has.
    seen: Seen,
    form: start::Form,
    /// When the call that starts it went out in this session.
    sent: Option<Timestamp>,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was asked.
    Idle,
    /// State and inputs are read before the start.
    Look { reader: Reader, way: find::Way },
    /// What there is to know of interfaces is read.
    Interface { reader: Reader, wish: Wish, round: usize },
    /// A write is out.
    Write { part: start::Part, written: Vec<start::Written> },
    /// The state is read right after the start.
    Poll,
    /// State and inputs are read again.
    Check { reader: Reader, why: watch::Check },
    /// The results are read.
    Collect { reader: Reader, word: String },
    /// It is called off, and fails with this.
    Cancel { verdict: String },
}

/// Values and types by path.
#[derive(Debug, Default)]
struct Seen(HashMap<Box<str>, (String, XsdType)>);

impl Seen {
    fn take(&mut self, results: &[VariableResult]) {
        let values = results.iter().filter(|result| result.fault.is_none());
        self.0.extend(values.filter_map(|result| {
            let value = result.value.as_deref()?;
            Some((result.path.clone(), (value.to_owned(), result.ty.unwrap_or_default())))
        }));
    }

    fn value(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(|(value, _)| value.as_str())
    }

    fn ty(&self, path: &str) -> Option<XsdType> {
        self.0.get(path).map(|(_, ty)| *ty)
    }
}

impl Diagnose {
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let Work::Diagnose(order) = &desk.transaction.work else {
            return faults::fail(faults::own("the transaction is no test"));
        };
        let order = (**order).clone();
        let kept = progress(desk.transaction).cloned();
        let others = sites(order.kind, cx.data_model, cx.device_type.neighbor_scan.as_ref());
        let timing = Timing::of(&order, cx.limits.test_margin, cx.limits.test_patience);
        // An Inform may be lost: the next one brings the device as well.
        let coming = cx.inform_interval.saturating_mul(2) + LATE;
        let mut test = Test {
            unstarted: timing.lost.max(coming),
            away: timing.away.max(coming.min(AWAY_MAX)),
            timing,
            order,
            stage: Stage::Idle,
            site: kept.as_ref().map(|kept| Site::kept(&kept.object, kept.scan.as_deref())),
            others: others.into(),
            missed: Vec::new(),
            seen: Seen::default(),
            form: start::Form::default(),
            sent: None,
        };
        let step = match (&desk.transaction.progress.in_flight, kept) {
            (Some(InFlight::StartTest { at }), Some(_)) => {
                let at = *at;
                test.check(desk, cx, watch::Check::Unknown { at })
            }
            (_, Some(TestProgress { requested_at: Some(at), .. })) => {
                test.check(desk, cx, watch::Check::Resumed { at })
            }
            (_, Some(_) | None) => {
                test.site = None;
                // Should it vanish before it is told anything, others get their turn.
                let fresh = desk.transaction.progress.deadline.replace(cx.now + test.unstarted).is_none();
                match test.look_further(desk, cx) {
                    Step::Call { request, .. } if fresh => Step::Call { request, save: Save::Before },
                    step => step,
                }
            }
        };
        let step = test.patiently(desk, step);
        self.test = Some(test);
        step
    }

    pub(super) fn answer(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        match self.test.as_mut() {
            Some(test) => {
                let step = test.answer(desk, cx, answer);
                test.patiently(desk, step)
            }
            None => faults::fail(faults::own("an answer came that nobody asked for")),
        }
    }
}

impl Test {
    /// A device that was told to come back later is not given up before it could.
    fn patiently(&self, desk: &mut Desk<'_>, step: Step) -> Step {
        if let Step::Release { not_before: Some(at) } = step {
            let has_begun = desk.transaction.progress.in_flight.is_some()
                || progress(desk.transaction).is_some_and(|test| test.requested_at.is_some());
            let away = if has_begun { self.away } else { self.unstarted };
            let deadline = &mut desk.transaction.progress.deadline;
            *deadline = (*deadline).max(Some(at + away));
        }
        step
    }

    fn answer(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => faults::fail(faults::own("an answer came that nobody asked for")),
            Stage::Look { mut reader, way } => match reader.take_in(answer, desk.learned) {
                Err(trouble) => faults::react(desk.transaction, cx, trouble),
                Ok(()) => match reader.next_call() {
                    Some(request) => {
                        self.stage = Stage::Look { reader, way };
                        Step::Call { request, save: Save::NotNeeded }
                    }
                    None => self.looked(desk, cx, &reader.results, way),
                },
            },
            Stage::Interface { mut reader, wish, round } => match reader.take_in(answer, desk.learned) {
                Err(trouble) => faults::react(desk.transaction, cx, trouble),
                Ok(()) => match reader.next_call() {
                    Some(request) => {
                        self.stage = Stage::Interface { reader, wish, round };
                        Step::Call { request, save: Save::NotNeeded }
                    }
                    None => self.interface_read(desk, cx, &reader.results, wish, round),
                },
            },
            Stage::Write { part, written } => self.written(desk, cx, part, &written, answer),
            Stage::Poll => self.polled(desk, cx, answer),
            Stage::Check { mut reader, why } => match reader.take_in(answer, desk.learned) {
                Err(trouble) => faults::react_unresolved(desk.transaction, cx, trouble),
                Ok(()) => match reader.next_call() {
                    Some(request) => {
                        self.stage = Stage::Check { reader, why };
                        Step::Call { request, save: Save::NotNeeded }
                    }
                    None => self.checked(desk, cx, &reader.results, why),
                },
            },
            Stage::Collect { reader, word } => self.collecting(desk, cx, reader, word, answer),
            Stage::Cancel { verdict } => faults::fail(faults::own(verdict)),
        }
    }

    /// Reads on, or goes on with what was read.
    fn call(&mut self, mut reader: Reader, stage: impl FnOnce(Reader) -> Stage) -> Option<Step> {
        let request = reader.next_call()?;
        self.stage = stage(reader);
        Some(Step::Call { request, save: Save::NotNeeded })
    }
}

/// What a transaction remembers of its test.
fn progress(transaction: &Transaction) -> Option<&TestProgress> {
    match transaction.progress.stage.as_deref()? {
        Kept::Test(test) => Some(test),
        Kept::Transfer(_) | Kept::Discovery(_) | Kept::Call(_) => None,
    }
}

/// The same, to be changed; made where there is none.
fn progress_mut(transaction: &mut Transaction) -> Option<&mut TestProgress> {
    let stage = transaction.progress.stage.get_or_insert_with(|| Box::new(Kept::Test(TestProgress::default())));
    match stage.as_mut() {
        Kept::Test(test) => Some(test),
        Kept::Transfer(_) | Kept::Discovery(_) | Kept::Call(_) => None,
    }
}

/// What is said when the device has not come back in time.
pub(super) fn overdue(transaction: &Transaction) -> Cow<'static, str> {
    let begun = matches!(transaction.progress.in_flight, Some(InFlight::StartTest { .. }));
    let lost = match progress(transaction) {
        Some(TestProgress { ended: Some(word), .. }) => {
            let words =
                format!("the test has ended on the device with {word}, but its results could not be read in time");
            return words.into();
        }
        Some(TestProgress { requested_at: Some(_), .. }) => {
            "the device did not come back in time to tell what became of the test"
        }
        Some(_) | None if begun => "the device did not come back in time to tell whether it has started the test",
        Some(TestProgress { busy_since: Some(_), .. }) => {
            "the device did not come back in time: a test that somebody else has started was in the way"
        }
        Some(_) | None => "the device did not come back in time to be told to run the test",
    };
    lost.into()
}

/// Whether the device may report the end of this test.
pub(super) fn is_outstanding(transaction: &Transaction) -> bool {
    let begun = matches!(transaction.progress.in_flight, Some(InFlight::StartTest { .. }));
    begun || progress(transaction).is_some_and(|test| test.requested_at.is_some())
}

/// The device has Informed. `8 DIAGNOSTICS COMPLETE` does not say which test is done, and a test that was lost in a restart
/// will not report: each looks at its own object. `others` is how many more tests the event may be about: one that looks as
/// before it was started then has to wait until it can be over.
pub(super) fn informed(transaction: &mut Transaction, news: &News<'_>, others: usize) -> Reaction {
    let done = news.has(EventCode::DiagnosticsComplete);
    let restarted = [EventCode::Boot, EventCode::Bootstrap, EventCode::MReboot].into_iter().any(|code| news.has(code));
    if !done && !restarted {
        return Reaction::Nothing;
    }
    let may_be_meant = is_outstanding(transaction);
    match transaction.progress.stage.as_deref_mut() {
        Some(Kept::Test(test)) => test.reported |= done && may_be_meant && (others == 0 || test.stale.is_none()),
        Some(Kept::Transfer(_) | Kept::Discovery(_) | Kept::Call(_)) | None => return Reaction::Nothing,
    }
    Reaction::Resume
}
