//! What has become of a test that was started.

use std::borrow::Cow;
use std::time::Duration;

use crate::cwmp::message::acs::{GetParameterValues, SetParameterValues};
use crate::cwmp::message::inform::ParameterValueStruct;
use crate::cwmp::message::{Request, Response};
use crate::cwmp::session::Answer;
use crate::diagnostics::inputs::{Need, inputs};
use crate::diagnostics::interface::Wish;
use crate::diagnostics::site::Site;
use crate::diagnostics::state::TestState;
use crate::model::diagnostic::DiagnosticKind;
use crate::model::procedure::TestProgress;
use crate::model::transaction::{VariableResult, WaitReason};
use crate::tasks::plan::faults::{self, Trouble};
use crate::tasks::plan::get::{Pace, Reader};
use crate::tasks::plan::{Context, Desk, Ending, Save, Step};
use crate::types::path::ReadPath;
use crate::types::time::Timestamp;
use crate::types::value::XsdType;

use super::{Stage, Test, progress, progress_mut};

/// How often a test that takes longer than expected is looked at.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Longest word that is told of a state which nobody knows, in characters.
const WORD_MAX_CHARS: usize = 64;

/// Why state and inputs are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// The device has taken the order at that time.
    Resumed { at: Timestamp },
    /// Whether it has is not known.
    Unknown { at: Timestamp },
}

impl Test {
    /// Reads the state right after the start: some devices are done within the session.
    pub(super) fn poll(&mut self) -> Step {
        let Some(site) = &self.site else { return faults::fail(faults::own("the test has no object")) };
        self.stage = Stage::Poll;
        Step::Call {
            request: Request::GetParameterValues(GetParameterValues {
                names: vec![Cow::Owned(site.state.to_string())],
            }),
            save: Save::NotNeeded,
        }
    }

    pub(super) fn polled(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        let Some(site) = self.site.clone() else { return faults::fail(faults::own("the test has no object")) };
        // Whatever else it answers: the device has taken the order, and the state is asked for again.
        let Answer::Response(Response::GetParameterValues(values)) = answer else { return self.wait(desk, cx) };
        let Some(found) = values.parameters.iter().find(|one| one.name == *site.state) else {
            return self.wait(desk, cx);
        };
        let state = TestState::read(&found.value, site.scan.as_deref());
        let Some(test) = progress_mut(desk.transaction) else { return self.wait(desk, cx) };
        test.seen_running |= state == TestState::Running;
        moved_on(test, &found.value);
        if state.is_final() && !is_stale(test, &found.value) {
            return self.collect(desk, cx, found.value.to_string());
        }
        self.wait(desk, cx)
    }

    /// Reads state and inputs.
    pub(super) fn check(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, why: Check) -> Step {
        let Some(site) = self.site.clone() else { return faults::fail(faults::own("the test has no object")) };
        let mut paths = vec![site.state.to_string()];
        if site.scan.is_none() {
            let is_read = |need| match why {
                Check::Resumed { .. } => need == Need::Target,
                Check::Unknown { .. } => true,
            };
            let leaves = inputs(&self.order, None).into_iter().filter(|input| is_read(input.need));
            paths.extend(leaves.map(|input| format!("{}{}", site.object, input.leaf)));
        }
        // What it has not was found out before the start.
        paths.retain(|path| *path == *site.state || cx.known.is_empty() || cx.known.contains_key(path.as_str()));
        let paths: Vec<ReadPath> = paths.iter().filter_map(|path| ReadPath::try_from(path.as_str()).ok()).collect();
        let reader = Reader::of_paths(&paths, Pace::Subtrees, cx.limits.batch);
        match self.call(reader, |reader| Stage::Check { reader, why }) {
            Some(step) => step,
            None => self.wait(desk, cx),
        }
    }

    pub(super) fn checked(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        results: &[VariableResult],
        why: Check,
    ) -> Step {
        let Some(site) = self.site.clone() else { return faults::fail(faults::own("the test has no object")) };
        self.seen.0.clear();
        self.seen.take(results);
        let Some(word) = self.seen.value(&site.state).map(str::to_owned) else {
            return faults::fail(faults::own(format!("the device has no {} any more", site.state)));
        };
        match why {
            Check::Resumed { at } => self.resumed(desk, cx, &site, at, word),
            Check::Unknown { at } => self.unknown(desk, cx, &site, at, word),
        }
    }

    /// The device had taken the order.
    fn resumed(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, site: &Site, at: Timestamp, word: String) -> Step {
        let Some(test) = progress_mut(desk.transaction) else {
            return faults::fail(faults::own("the transaction is no test"));
        };
        let restarted = cx.last_boot.is_some_and(|boot| boot > at);
        let overdue = cx.now >= at + self.timing.look;
        moved_on(test, &word);
        let (state, stale) = (TestState::read(&word, site.scan.as_deref()), is_stale(test, &word));
        let lost = if restarted {
            "the device restarted while the test ran: its result is lost"
        } else {
            "the test was reset on the device before it ended: its result is lost"
        };
        match state {
            TestState::Complete | TestState::Failed | TestState::Running | TestState::Unknown
                if !self.is_target(site) =>
            {
                faults::fail(faults::own("another test has taken the place of this one on the device"))
            }
            // Of an earlier run, it may be; the device has not said that this one is done.
            TestState::Complete | TestState::Failed if stale && restarted => faults::fail(faults::own(lost)),
            TestState::Complete | TestState::Failed if stale && !overdue => self.wait(desk, cx),
            TestState::Complete | TestState::Failed => self.collect(desk, cx, word),
            TestState::Canceled => faults::fail(faults::own("the test was called off on the device")),
            TestState::Idle if restarted || test.seen_running || overdue => faults::fail(faults::own(lost)),
            TestState::Idle => self.wait(desk, cx),
            TestState::Running => {
                // It was another test that is done.
                (test.seen_running, test.reported) = (true, false);
                if cx.now < at + self.timing.give_up {
                    return self.wait(desk, cx);
                }
                let secs = self.timing.give_up.as_secs();
                let words = format!("the test timed out: after {secs} s the device still runs it");
                self.give_up(desk, site, words)
            }
            // It may run, or be over. An event 8 before the time to look may be another test's.
            TestState::Unknown if test.reported && overdue => self.collect(desk, cx, word),
            TestState::Unknown if cx.now < at + self.timing.give_up => self.wait(desk, cx),
            TestState::Unknown => self.collect(desk, cx, word),
        }
    }

    /// Whether the device has taken the order is not known. What it shows is taken for this test's only when it can be no
    /// other's; else the test is started again, which at worst runs it twice.
    fn unknown(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, site: &Site, at: Timestamp, word: String) -> Step {
        let Some(test) = progress(desk.transaction) else {
            return faults::fail(faults::own("the transaction is no test"));
        };
        let arrived = self.holds(site, test.interface.as_deref());
        let state = TestState::read(&word, site.scan.as_deref());
        // An event 8 since then may be another test's. One that ran before may have ended since.
        let may_run = |state| matches!(state, TestState::Running | TestState::Unknown);
        let ran = |stale: &str| may_run(TestState::read(stale, site.scan.as_deref()));
        let earlier = test.stale.as_deref().is_some_and(|stale| is_same_word(stale, &word) || ran(stale));
        if arrived && !earlier && may_run(state) {
            desk.transaction.progress.in_flight = None;
            if let Some(test) = progress_mut(desk.transaction) {
                test.requested_at = Some(at);
                (test.seen_running, test.reported) = (state == TestState::Running, false);
            }
            // It may have run for too long by now.
            return self.resumed(desk, cx, site, at, word);
        }
        if arrived && !earlier && state.is_final() {
            desk.transaction.progress.in_flight = None;
            if let Some(test) = progress_mut(desk.transaction) {
                test.requested_at = Some(at);
            }
            return self.collect(desk, cx, word);
        }
        if self.sent.is_some() {
            let words = "the device did not answer the call that starts the test, and does not run it";
            return faults::react_unresolved(desk.transaction, cx, Trouble::NoAnswer(words));
        }
        desk.transaction.progress.in_flight = None;
        desk.transaction.progress.deadline = Some(cx.now + self.unstarted);
        self.site = None;
        self.look_further(desk, cx)
    }

    /// Whether the object still has the target of this test: somebody else may have started another one since.
    fn is_target(&self, site: &Site) -> bool {
        let all = inputs(&self.order, None);
        let Some(target) = all.iter().find(|input| input.need == Need::Target) else { return true };
        let shown = self.seen.value(&format!("{}{}", site.object, target.leaf)).map_or("", str::trim);
        // What a device does not show says nothing.
        shown.is_empty() || shown.eq_ignore_ascii_case(target.value.trim())
    }

    /// Waits for the device to say that it is done, or for the time to look at it.
    pub(super) fn wait(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let at = progress(desk.transaction).and_then(|test| test.requested_at).unwrap_or(cx.now);
        let (look, give_up) = (at + self.timing.look, at + self.timing.give_up);
        let until = if cx.now < look { look } else { (cx.now + LOOK_EVERY).min(give_up).max(cx.now) };
        // A device that is called then has its time to come, however late it was today.
        desk.transaction.progress.deadline = Some((at + self.timing.lost).max(until + self.away));
        Step::Wait { reason: WaitReason::Diagnostics, until }
    }

    /// Reads the object with its tables.
    fn collect(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, word: String) -> Step {
        let Some(site) = self.site.clone() else { return faults::fail(faults::own("the test has no object")) };
        let deadline = desk.transaction.progress.deadline.unwrap_or(cx.now);
        if let Some(test) = progress_mut(desk.transaction)
            && test.ended.is_none()
        {
            test.ended = Some(told(&word).into());
            // It has come back in time. Should it vanish while its results are read, it gets a little more, once.
            desk.transaction.progress.deadline = Some(deadline.max(cx.now + self.away));
        }
        // Rows of earlier tests are no more.
        for table in site.tables(self.order.kind) {
            faults::forget(desk.learned, &table);
        }
        let mut paths = vec![&*site.object];
        paths.extend(site.table_elsewhere());
        let target = self.order.target.as_str();
        let by_name = self.order.kind == DiagnosticKind::WifiNeighbor && matches!(Wish::read(target), Wish::Named(_));
        if by_name && site.scan.is_none() && !is_band(target) {
            paths.push("Device.WiFi.Radio.");
        }
        let paths: Vec<ReadPath> = paths.iter().filter_map(|path| ReadPath::try_from(*path).ok()).collect();
        let reader = Reader::of_paths(&paths, Pace::of(desk.transaction), cx.limits.batch);
        match self.call(reader, |reader| Stage::Collect { reader, word }) {
            Some(step) => step,
            None => faults::fail(faults::own("the test has no object")),
        }
    }

    pub(super) fn collecting(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        mut reader: Reader,
        word: String,
        answer: &Answer<'_>,
    ) -> Step {
        if let Err(trouble) = reader.take_in(answer, desk.learned) {
            return faults::react(desk.transaction, cx, trouble);
        }
        if let Some(request) = reader.next_call() {
            self.stage = Stage::Collect { reader, word };
            return Step::Call { request, save: Save::NotNeeded };
        }
        let Some(site) = self.site.clone() else { return faults::fail(faults::own("the test has no object")) };
        let mut results = reader.results;
        results.retain(|result| result.fault.is_none() && result.value.is_some());
        self.end(desk, cx, &site, results, &word)
    }

    /// Ends with what was read; `before`: the word for which it was.
    fn end(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        site: &Site,
        results: Vec<VariableResult>,
        before: &str,
    ) -> Step {
        let read = results.iter().find(|result| result.path == site.state).and_then(|result| result.value.as_deref());
        let word = read.unwrap_or(before).to_owned();
        let read = |word: &str| TestState::read(word, site.scan.as_deref());
        match read(&word) {
            TestState::Complete => {
                *desk.results = results;
                Step::End(Ending::Completed { note: None })
            }
            TestState::Failed => {
                *desk.results = results;
                faults::fail(faults::own(format!("the device ended the test with {}", word.trim())))
            }
            TestState::Unknown if read(before) == TestState::Unknown => {
                *desk.results = results;
                let (word, complete) = (told(&word), site.complete());
                let said = if progress(desk.transaction).is_some_and(|test| test.reported) {
                    "the device has reported the end of the test, but".to_owned()
                } else {
                    format!("the test timed out: after {} s the device", self.timing.give_up.as_secs())
                };
                let words = format!("{said} says `{word}`, which is neither {complete} nor an error");
                self.give_up(desk, site, words)
            }
            TestState::Idle | TestState::Running | TestState::Canceled | TestState::Unknown => {
                if let Some(test) = progress_mut(desk.transaction) {
                    test.ended = None;
                }
                let words = "the test was reset on the device while its results were read";
                faults::react(desk.transaction, cx, Trouble::NoAnswer(words))
            }
        }
    }

    /// Calls the test off, where there is a word for it, and fails whatever comes of that.
    fn give_up(&mut self, desk: &Desk<'_>, site: &Site, verdict: String) -> Step {
        if !site.may_be_canceled() {
            return faults::fail(faults::own(verdict));
        }
        let ty = self.seen.ty(&site.state).unwrap_or(XsdType::String);
        self.stage = Stage::Cancel { verdict };
        let parameters = vec![ParameterValueStruct::new(site.state.to_string(), "Canceled", ty)];
        let parameter_key = desk.transaction.id.to_string().into();
        Step::Call {
            request: Request::SetParameterValues(SetParameterValues { parameters, parameter_key }),
            save: Save::NotNeeded,
        }
    }
}

/// A device's word, as it is told.
fn told(word: &str) -> String {
    word.trim().chars().take(WORD_MAX_CHARS).collect()
}

/// Another word than before the test began: from now on the object speaks of this test.
fn moved_on(test: &mut TestProgress, word: &str) {
    test.stale.take_if(|stale| !is_same_word(stale, word));
}

/// Whether this is what the object said before the test began.
fn is_stale(test: &TestProgress, word: &str) -> bool {
    !test.reported && test.stale.as_deref().is_some_and(|stale| is_same_word(stale, word))
}

pub(super) fn is_same_word(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

fn is_band(target: &str) -> bool {
    target.trim().eq_ignore_ascii_case("all") || crate::diagnostics::channels::Band::parse(target).is_some()
}
