//! Writing the inputs and starting the test.

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::{Applied, SetParameterValues};
use crate::cwmp::message::inform::ParameterValueStruct;
use crate::cwmp::message::{Fault, Request, Response};
use crate::cwmp::session::Answer;
use crate::diagnostics::inputs::{Input, Need, inputs};
use crate::diagnostics::site::Site;
use crate::diagnostics::state::TestState;
use crate::model::procedure::{InFlight, TestProgress};
use crate::tasks::plan::faults::{self, Trouble};
use crate::tasks::plan::{Context, Desk, Save, Step, set};
use crate::types::value::{XsdType, same_meaning};

use super::watch::Check;
use super::{Test, progress, progress_mut};

/// Most calls that it may take to find a form which the device accepts.
const FORMS_MAX: u8 = 8;

/// How the start is written.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// Inputs that nobody asked for and that the device refuses.
    dropped: Vec<&'static str>,
    /// The interface's path ends in a dot.
    dotted: bool,
    /// In two calls.
    split: bool,
    tried: u8,
}

/// What a write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Inputs and state.
    Whole,
    /// Inputs alone.
    Inputs,
    /// The state alone.
    State,
}

/// A parameter that was written.
#[derive(Debug, Clone)]
pub(super) struct Written {
    path: String,
    leaf: &'static str,
    need: Need,
}

impl Test {
    /// Notes what the object is like, and writes.
    pub(super) fn start(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let Some(site) = self.site.clone() else { return faults::fail(faults::own("the test has no object")) };
        let interface = progress(desk.transaction).and_then(|test| test.interface.clone());
        let same = self.holds(&site, interface.as_deref());
        if let Some(test) = progress_mut(desk.transaction) {
            let fresh = TestProgress {
                object: site.object.clone(),
                scan: site.scan.clone(),
                interface,
                ..TestProgress::default()
            };
            *test = fresh;
        }
        if same {
            self.distrust(desk, &site);
        }
        desk.transaction.progress.deadline = Some(cx.now + self.timing.lost.max(self.away));
        self.write(desk, cx)
    }

    /// The inputs cannot tell this test from an earlier one: what the object said before the start proves nothing when it is
    /// said again.
    fn distrust(&self, desk: &mut Desk<'_>, site: &Site) {
        let Some(word) = self.seen.value(&site.state) else { return };
        let state = TestState::read(word, site.scan.as_deref());
        if !matches!(state, TestState::Idle | TestState::Canceled)
            && let Some(test) = progress_mut(desk.transaction)
        {
            test.stale = Some(word.into());
        }
    }

    /// Whether the object holds the very inputs that the test is to have.
    pub(super) fn holds(&self, site: &Site, interface: Option<&str>) -> bool {
        inputs(&self.order, interface).iter().filter(|input| input.need != Need::IfOther).all(|input| {
            let path = format!("{}{}", site.object, input.leaf);
            let bare = |text: &str| text.strip_suffix('.').unwrap_or(text).to_owned();
            match self.seen.value(&path) {
                // What it does not have makes no difference.
                None => true,
                Some(value) if input.leaf == "Interface" => bare(value) == bare(&input.value),
                Some(value) => same_meaning(self.seen.ty(&path).unwrap_or(input.ty), value, &input.value),
            }
        })
    }

    fn write(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let Some(site) = self.site.clone() else { return faults::fail(faults::own("the test has no object")) };
        let interface = progress(desk.transaction).and_then(|test| test.interface.clone());
        self.form.tried = self.form.tried.saturating_add(1);
        if self.form.tried > 1 {
            // From here on the inputs may be there without the start: one call has them alone, and a device that refuses a
            // call may have kept a part of it.
            self.distrust(desk, &site);
        }
        let part = if self.form.split { Part::Inputs } else { Part::Whole };
        let (mut parameters, mut written) = (Vec::new(), Vec::new());
        if site.scan.is_none() {
            for input in inputs(&self.order, interface.as_deref()) {
                match self.parameter(&site, &input, cx) {
                    Ok(Some(parameter)) => {
                        written.push(Written { path: parameter.name.to_string(), leaf: input.leaf, need: input.need });
                        parameters.push(parameter);
                    }
                    Ok(None) => {}
                    Err(words) => return faults::fail(faults::own(words)),
                }
            }
        }
        if part == Part::Inputs && !parameters.is_empty() {
            return self.send(desk, cx, Part::Inputs, parameters, written);
        }
        parameters.push(self.starter(&site, cx));
        let part = if self.form.split { Part::State } else { Part::Whole };
        self.send(desk, cx, part, parameters, written)
    }

    /// The parameter that starts the test: always the last one, for devices that carry out one after the other and reset
    /// the state with each input.
    fn starter(&self, site: &Site, cx: &Context<'_>) -> ParameterValueStruct<'static> {
        let ty = self.seen.ty(&site.state).unwrap_or(XsdType::String);
        let value = set::lexical(ty, site.start(), self.seen.value(&site.state), cx.boolean_form);
        ParameterValueStruct::new(site.state.to_string(), value, ty)
    }

    /// An input as it is written; `None`: it is not. Words, where there is no test without it.
    fn parameter(
        &self,
        site: &Site,
        input: &Input,
        cx: &Context<'_>,
    ) -> Result<Option<ParameterValueStruct<'static>>, String> {
        let path = format!("{}{}", site.object, input.leaf);
        let Some(present) = self.seen.value(&path) else {
            return match (input.need, input.leaf) {
                (Need::Target, _) => Err(format!("the device has no {path}")),
                (Need::Always, "Interface") => Err(format!("no interface can be chosen: the device has no {path}")),
                (Need::Always | Need::IfOther, _) => Ok(None),
            };
        };
        let ty = self.seen.ty(&path).unwrap_or(input.ty);
        if input.need == Need::IfOther
            && (self.form.dropped.contains(&input.leaf) || ty.same_value(present, &input.value))
        {
            return Ok(None);
        }
        let dot = if input.leaf == "Interface" && self.form.dotted && !input.value.is_empty() { "." } else { "" };
        let value = format!("{}{dot}", input.value);
        ty.check(&value).map_err(|reason| format!("{path} cannot be {value}: the value {reason}"))?;
        Ok(Some(ParameterValueStruct::new(path, set::lexical(ty, &value, Some(present), cx.boolean_form), ty)))
    }

    fn send(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        part: Part,
        parameters: Vec<ParameterValueStruct<'static>>,
        written: Vec<Written>,
    ) -> Step {
        desk.transaction.progress.in_flight = Some(InFlight::StartTest { at: cx.now });
        self.sent = Some(cx.now);
        let parameter_key = desk.transaction.id.to_string().into();
        self.stage = super::Stage::Write { part, written };
        Step::Call {
            request: Request::SetParameterValues(SetParameterValues { parameters, parameter_key }),
            save: Save::Before,
        }
    }

    /// The answer to a write.
    pub(super) fn written(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        part: Part,
        written: &[Written],
        answer: &Answer<'_>,
    ) -> Step {
        match (answer, part) {
            (Answer::Response(Response::SetParameterValues(_)), Part::Inputs) => {
                let Some(site) = self.site.clone() else { return faults::fail(faults::own("the test has no object")) };
                let starter = self.starter(&site, cx);
                self.send(desk, cx, Part::State, vec![starter], Vec::new())
            }
            (Answer::Response(Response::SetParameterValues(applied)), Part::Whole | Part::State) => {
                desk.transaction.progress.in_flight = None;
                if let Some(test) = progress_mut(desk.transaction) {
                    test.requested_at = self.sent;
                }
                match applied {
                    Applied::Now => self.poll(),
                    // Its state is that of before.
                    Applied::Later => self.wait(desk, cx),
                }
            }
            (Answer::Fault(fault), _) => self.refused(desk, cx, written, fault),
            // Whether it was carried out is unknown, but the session goes on: the device is asked at once.
            (Answer::Response(_) | Answer::Mismatch | Answer::Missing, _) => {
                let at = self.sent.unwrap_or(cx.now);
                self.check(desk, cx, Check::Unknown { at })
            }
        }
    }

    /// The device refused the write: another form of it may do.
    fn refused(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, written: &[Written], fault: &Fault<'_>) -> Step {
        desk.transaction.progress.in_flight = None;
        let is_named = |path: &str| fault.parameters.iter().any(|parameter| parameter.name.trim() == path);
        for gone in fault.parameters.iter().filter(|parameter| parameter.code == CpeFaultCode::INVALID_NAME) {
            faults::forget(desk.learned, gone.name.trim());
            self.seen.0.remove(gone.name.trim());
        }
        if self.form.tried < FORMS_MAX && self.reform(written, fault, is_named) {
            return self.write(desk, cx);
        }
        faults::react(desk.transaction, cx, Trouble::Fault(set::refusal(fault)))
    }

    /// Chooses the next form; `false`: there is none that could help.
    fn reform(&mut self, written: &[Written], fault: &Fault<'_>, is_named: impl Fn(&str) -> bool) -> bool {
        let names_nothing = fault.parameters.is_empty();
        // What nobody asked for is not worth failing for.
        let unasked = written.iter().filter(|one| one.need == Need::IfOther && (names_nothing || is_named(&one.path)));
        let unasked: Vec<&'static str> = unasked.map(|one| one.leaf).collect();
        if !unasked.is_empty() {
            self.form.dropped.extend(unasked);
            return true;
        }
        let is_gone = |one: &&Written| one.need == Need::Always && is_named(&one.path);
        if written.iter().filter(is_gone).any(|one| self.seen.value(&one.path).is_none()) {
            return true;
        }
        let by_interface = |one: &&Written| one.leaf == "Interface" && (names_nothing || is_named(&one.path));
        if !self.form.dotted && written.iter().any(|one| by_interface(&one)) {
            self.form.dotted = true;
            return true;
        }
        // A required input that is refused is refused in any form.
        let input_refused = written.iter().any(|one| is_named(&one.path));
        if !self.form.split && !input_refused && !written.is_empty() {
            (self.form.split, self.form.dotted) = (true, false);
            return true;
        }
        false
    }
}
