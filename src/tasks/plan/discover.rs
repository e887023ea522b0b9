//! `discover`: which parameters and objects there are.
//!
//! Objects are walked in the order of their paths, parents first. Near the root each is asked for its children alone: whole
//! trees make weak devices reboot (cwmp.md §4.5). Further below, and where little is known to be, one call brings a whole
//! subtree; what a device refuses so, or breaks off at, is asked level by level, and left out when that fails too.
//!
//! One path says how far the walk has come, however wide the tree: whoever takes it up again lists the objects above that
//! path once more and goes on behind it.

mod known;
mod listing;

use std::borrow::Cow;

use crate::cwmp::fault::CpeFaultCode;
use crate::cwmp::message::acs::GetParameterNames;
use crate::cwmp::message::{Request, Response};
use crate::cwmp::session::Answer;
use crate::model::call::results::{SKIPPED, TOTAL};
use crate::model::device::DataModel;
use crate::model::procedure::{DiscoveryProgress, Stage as Saved};
use crate::model::transaction::{Transaction, VariableResult, WaitReason, Work};
use crate::types::value::XsdType;

pub use self::known::KnownNames;
use self::listing::Listing;
use super::faults::{self, Trouble};
use super::{Context, Desk, Ending, Save, Step};

/// Calls of one session; then others have their turn.
const CALLS_PER_SESSION: u32 = 400;
/// Calls between two savings of how far it has come.
const CALLS_PER_SAVE: u32 = 32;
/// Names between two savings.
const NAMES_PER_SAVE: usize = 5_000;
/// So far below the root an object is asked for all that is below it, if nothing is known of that.
const SUBTREE_DEPTH: usize = 3;
/// Most names known below an object that is asked for all of them at once.
const SUBTREE_NAMES_MAX: usize = 500;
/// How often the session may break off at an object before it is left out: once for its subtree, once for its level.
const LOSSES_MAX: u8 = 2;
/// Longest text kept of why an object was left out, in characters.
const REASON_MAX_CHARS: usize = 256;

/// The procedure.
#[derive(Debug, Default)]
pub(super) struct Discover {
    /// To be listed, the next one last.
    open: Vec<Box<str>>,
    /// The object that was asked for, and how.
    current: Option<(Box<str>, Reach)>,
    /// Where the walk begins.
    root: Box<str>,
    progress: DiscoveryProgress,
    calls: u32,
    calls_since_save: u32,
}

/// How far a call reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// `NextLevel` 1: the children.
    Level,
    /// `NextLevel` 0: everything below.
    Subtree,
}

impl Discover {
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let Work::Discover { below } = &desk.transaction.work else {
            return faults::fail(faults::own("the transaction is no discovery"));
        };
        self.root = below.as_ref().map_or(cx.data_model.root(), |below| below.as_str()).into();
        self.progress = saved(desk.transaction);
        let progress = &mut self.progress;
        if !progress.asking.is_empty() {
            let again = progress.asking == progress.suspect;
            progress.losses = if again { progress.losses.saturating_add(1) } else { 1 };
            progress.suspect = std::mem::take(&mut progress.asking);
        }
        self.open.push(self.root.clone());
        self.go_on(desk, cx, Save::NotNeeded)
    }

    pub(super) fn answer(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        let Some((object, reach)) = self.current.take() else {
            return faults::fail(faults::own("an answer came that nobody asked for"));
        };
        let listing = match answer {
            Answer::Response(Response::GetParameterNames(names)) => Listing::of(&object, names),
            answer => return self.refused(object, reach, desk, cx, answer),
        };
        if listing.is_empty() {
            // No names at all: an empty table, or an agent that does not list so (quirk 59).
            if reach == Reach::Subtree {
                return self.ask(object, Reach::Level, desk, Save::NotNeeded);
            }
            if depth(&object) == 1 {
                return self.no_root(
                    &object,
                    desk,
                    cx,
                    Trouble::Fault(faults::own("the device lists nothing below it")),
                );
            }
        }
        let whole = self.take_in(&object, reach, &listing, desk, cx);
        if self.progress.found > cx.limits.discovered_names {
            let most = cx.limits.discovered_names;
            return self.end(desk, Some(format!("the device has more than {most} names; the first ones are kept")));
        }
        // It has come further: should the session break off from now on, that is no attempt in vain.
        desk.transaction.progress.resumed = *object > *self.progress.after;
        self.done(object, whole);
        let much = self.calls_since_save >= CALLS_PER_SAVE || desk.learned.learn.len() >= NAMES_PER_SAVE;
        self.go_on(desk, cx, if much { Save::Before } else { Save::NotNeeded })
    }

    /// Asks for the next object, hands over to the next session, or ends.
    fn go_on(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, save: Save) -> Step {
        while let Some(object) = self.open.pop() {
            let lost = if object == self.progress.suspect { self.progress.losses } else { 0 };
            if lost >= LOSSES_MAX && object != self.root {
                self.skip(object, "the session broke off at it");
                continue;
            }
            if self.calls >= CALLS_PER_SESSION {
                self.save(desk);
                return Step::Wait { reason: WaitReason::NextSession, until: cx.now };
            }
            let reach = if lost > 0 { Reach::Level } else { self.reach_of(&object, cx) };
            return self.ask(object, reach, desk, save);
        }
        self.end(desk, None)
    }

    fn ask(&mut self, object: Box<str>, reach: Reach, desk: &mut Desk<'_>, save: Save) -> Step {
        let path = Cow::Owned(object.to_string());
        let request = Request::GetParameterNames(GetParameterNames { path, next_level: reach == Reach::Level });
        self.progress.asking.clone_from(&object);
        self.current = Some((object, reach));
        self.calls = self.calls.saturating_add(1);
        self.calls_since_save = if save == Save::Before { 0 } else { self.calls_since_save.saturating_add(1) };
        self.save(desk);
        Step::Call { request, save }
    }

    /// How the object is asked when nothing speaks against it.
    fn reach_of(&self, object: &str, cx: &Context<'_>) -> Reach {
        // The walk has been below it: it was asked level by level, and what is known of it is not all at hand any more.
        if self.progress.after.starts_with(object) {
            return Reach::Level;
        }
        let depth = depth(object);
        let known = cx.names.below(object).take(SUBTREE_NAMES_MAX + 1).count();
        let is_moderate = known <= SUBTREE_NAMES_MAX && (known > 0 || depth >= SUBTREE_DEPTH);
        if depth > 1 && *object != *self.root && is_moderate { Reach::Subtree } else { Reach::Level }
    }

    /// Takes in an answer; whether it brought all that is below.
    fn take_in(
        &mut self,
        object: &str,
        reach: Reach,
        listing: &Listing,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
    ) -> bool {
        let is_new = *object > *self.progress.after;
        listing.learn(desk.learned);
        if is_new {
            self.progress.found = self.progress.found.saturating_add(listing.count());
        }
        let whole = (reach == Reach::Subtree && !listing.is_one_level()) || listing.is_deep();
        for name in cx.names.below(object).filter(|name| !listing.has(name, whole)) {
            // What lies below one that is gone goes with it.
            let gone = listing.unlisted(name, whole);
            if desk.learned.forget.last().is_none_or(|last| **last != *gone) {
                desk.learned.forget.push(gone.into());
            }
        }
        if !whole {
            let DiscoveryProgress { after, complete, .. } = &self.progress;
            // Walked before, unless the walk ended below it.
            let is_done =
                |child: &str| (child < &**after && !after.starts_with(child)) || (*complete && child == &**after);
            self.open.extend(listing.children().rev().filter(|child| !is_done(child)).map(Into::into));
        }
        whole
    }

    /// An object has been dealt with; with `whole` all that is below it, too.
    fn done(&mut self, object: Box<str>, whole: bool) {
        let progress = &mut self.progress;
        progress.asking = Box::default();
        if progress.suspect == object {
            (progress.suspect, progress.losses) = (Box::default(), 0);
        }
        if *object > *progress.after {
            (progress.after, progress.complete) = (object, whole);
        }
    }

    /// A fault, or no answer, in the place of names.
    fn refused(
        &mut self,
        object: Box<str>,
        reach: Reach,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        answer: &Answer<'_>,
    ) -> Step {
        let trouble = Trouble::of(answer);
        let code = match &trouble {
            Trouble::Fault(fault) => Some(CpeFaultCode(fault.code)),
            Trouble::NoAnswer(_) => None,
        };
        if code == Some(CpeFaultCode::INVALID_NAME) && object != self.root {
            // Gone since its parent listed it.
            faults::forget(desk.learned, &object);
            self.done(object, true);
            return self.go_on(desk, cx, Save::NotNeeded);
        }
        if reach == Reach::Subtree {
            return self.ask(object, Reach::Level, desk, Save::NotNeeded);
        }
        if object != self.root {
            let words = match &trouble {
                Trouble::Fault(fault) => format!("{} {}", fault.code, fault.message),
                Trouble::NoAnswer(words) => (*words).to_owned(),
            };
            self.skip(object, &words);
            return self.go_on(desk, cx, Save::NotNeeded);
        }
        self.no_root(&object, desk, cx, trouble)
    }

    /// The object that the walk begins with is not listed.
    fn no_root(&mut self, object: &str, desk: &mut Desk<'_>, cx: &Context<'_>, trouble: Trouble) -> Step {
        let other = DataModel::InternetGatewayDevice.root();
        let anywhere = matches!(desk.transaction.work, Work::Discover { below: None });
        if anywhere && cx.data_model == DataModel::Unknown && object != other && matches!(trouble, Trouble::Fault(_)) {
            self.root = other.into();
            return self.ask(other.into(), Reach::Level, desk, Save::NotNeeded);
        }
        // It is refused, not lost.
        self.progress.asking = Box::default();
        self.save(desk);
        let trouble = match trouble {
            Trouble::Fault(fault) => Trouble::Fault(faults::named(object, fault)),
            Trouble::NoAnswer(words) => Trouble::NoAnswer(words),
        };
        faults::react(desk.transaction, cx, trouble)
    }

    fn skip(&mut self, object: Box<str>, words: &str) {
        self.progress.skipped = self.progress.skipped.saturating_add(1);
        if self.progress.first_skipped.is_empty() {
            let reason: String = format!("{object}: {words}").chars().take(REASON_MAX_CHARS).collect();
            self.progress.first_skipped = reason.into();
        }
        self.done(object, true);
    }

    fn save(&self, desk: &mut Desk<'_>) {
        desk.transaction.progress.stage = Some(Box::new(Saved::Discovery(self.progress.clone())));
    }

    fn end(&mut self, desk: &mut Desk<'_>, failure: Option<String>) -> Step {
        self.save(desk);
        let DiscoveryProgress { found, skipped, first_skipped, .. } = &self.progress;
        desk.results.push(count(TOTAL, *found));
        desk.results.push(count(SKIPPED, *skipped));
        if let Some(words) = failure {
            return faults::fail(faults::own(words));
        }
        let note = (*skipped > 0)
            .then(|| format!("left out {skipped} objects that the device does not list; the first: {first_skipped}"));
        Step::End(Ending::Completed { note })
    }
}

/// The last object that a discovery has listed, in its present state: what comes before it need not be at hand any more.
#[must_use]
pub fn walked(transaction: &Transaction) -> &str {
    match transaction.progress.stage.as_deref() {
        Some(Saved::Discovery(progress)) => &progress.after,
        _ => "",
    }
}

/// 1: the root of the data model.
fn depth(object: &str) -> usize {
    object.matches('.').count()
}

fn saved(transaction: &Transaction) -> DiscoveryProgress {
    match transaction.progress.stage.as_deref() {
        Some(Saved::Discovery(progress)) => progress.clone(),
        _ => DiscoveryProgress::default(),
    }
}

fn count(path: &str, count: u32) -> VariableResult {
    VariableResult {
        variable: 0,
        path: path.into(),
        value: Some(count.to_string().into()),
        ty: Some(XsdType::UnsignedInt),
        instance_number: None,
        fault: None,
    }
}
