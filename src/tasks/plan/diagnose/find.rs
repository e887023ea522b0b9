//! Finding the object of a test, and what it holds before the test begins.

use std::time::Duration;

use crate::diagnostics::inputs::{Need, inputs};
use crate::diagnostics::site::Site;
use crate::diagnostics::state::TestState;
use crate::model::transaction::{VariableResult, WaitReason};
use crate::tasks::plan::get::{Pace, Reader};
use crate::tasks::plan::{Context, Desk, Step, faults};
use crate::types::path::ReadPath;
use crate::types::value::parse_boolean;

use super::watch::is_same_word;
use super::{Stage, Test, progress, progress_mut};

/// How often it is looked whether somebody else's test has ended.
const BUSY_EVERY: Duration = Duration::from_mins(1);
/// How long somebody else's test is waited for, be its words known or not: one that still says that it runs is dead, or was
/// never ended.
const BUSY_MAX: Duration = Duration::from_mins(15);

/// How the object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By the names that are known of it.
    Known,
    /// By the names that it lists.
    Listed,
}

impl Test {
    /// Looks at the next place where the test may be.
    pub(super) fn look_further(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let Some(site) = self.others.pop_front() else { return self.nowhere(cx) };
        let paths = self.paths(&site);
        let is_known = |path: &str| cx.known.contains_key(path);
        let known = is_known(&site.state)
            && inputs(&self.order, None)
                .iter()
                .filter(|input| input.need != Need::IfOther)
                .all(|input| is_known(&format!("{}{}", site.object, input.leaf)));
        // Some agents die of being asked which names they have, others of names that they do not have: the next attempt
        // asks the other way.
        let is_first_way = Pace::of(desk.transaction) == Pace::Subtrees;
        let names: Vec<&String> = paths.iter().filter(|path| !known || is_known(path)).collect();
        let way = if known == is_first_way { Way::Known } else { Way::Listed };
        let step = self.read(&names, way, cx);
        self.site = Some(site);
        step.unwrap_or_else(|| self.look_further(desk, cx))
    }

    fn read(&mut self, names: &[&String], way: Way, cx: &Context<'_>) -> Option<Step> {
        let paths: Vec<ReadPath> = names.iter().filter_map(|name| ReadPath::try_from(name.as_str()).ok()).collect();
        let pace = match way {
            Way::Known => Pace::Subtrees,
            Way::Listed => Pace::Levels,
        };
        let reader = Reader::of_paths(&paths, pace, cx.limits.batch);
        self.call(reader, |reader| Stage::Look { reader, way })
    }

    /// State, inputs, and what says whether the device can make the test.
    fn paths(&self, site: &Site) -> Vec<String> {
        let mut paths = vec![site.state.to_string()];
        if site.scan.is_none() {
            paths.extend(inputs(&self.order, None).iter().map(|input| format!("{}{}", site.object, input.leaf)));
        }
        paths.extend(site.capabilities(self.order.kind));
        paths
    }

    /// State and inputs were read, or are not there.
    pub(super) fn looked(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        results: &[VariableResult],
        way: Way,
    ) -> Step {
        let Some(site) = self.site.clone() else { return self.nowhere(cx) };
        self.seen.take(results);
        let Some(state) = self.seen.value(&site.state) else {
            if way == Way::Known && cx.known.contains_key(&site.state) {
                // Known from before, and gone: a new firmware may have others.
                let paths = self.paths(&site);
                if let Some(step) = self.read(&paths.iter().collect::<Vec<_>>(), Way::Listed, cx) {
                    return step;
                }
            }
            self.missed.push(site.object);
            return self.look_further(desk, cx);
        };
        let word: Box<str> = state.into();
        if let Some(path) = self.incapable(&site) {
            let kind = self.order.kind.as_str();
            return faults::fail(faults::own(format!("the device cannot run {kind}: it says so in {path}")));
        }
        let may_run = match TestState::read(&word, site.scan.as_deref()) {
            TestState::Running => true,
            // A word that nobody knows may have been left there long ago: it counts as long as it is new.
            TestState::Unknown => {
                let seen = progress(desk.transaction).and_then(|test| test.stale.as_deref());
                !seen.is_some_and(|seen| is_same_word(seen, &word))
            }
            TestState::Idle | TestState::Complete | TestState::Canceled | TestState::Failed => false,
        };
        let step = if may_run { self.stand_back(desk, cx, word) } else { None };
        step.unwrap_or_else(|| self.find_interface(desk, cx))
    }

    /// Where the device says that it cannot make the test, with either version of IP.
    fn incapable(&self, site: &Site) -> Option<String> {
        let said: Vec<(String, bool)> = site
            .capabilities(self.order.kind)
            .into_iter()
            .filter_map(|path| Some((parse_boolean(self.seen.value(&path)?)?, path)))
            .map(|(can, path)| (path, can))
            .collect();
        if said.iter().any(|(_, can)| *can) { None } else { said.into_iter().next().map(|(path, _)| path) }
    }

    /// Waits for the end of a test that somebody else has started, whose object says `word`; `None`: it has been waited for
    /// long enough.
    fn stand_back(&self, desk: &mut Desk<'_>, cx: &Context<'_>, word: Box<str>) -> Option<Step> {
        let test = progress_mut(desk.transaction)?;
        test.stale = Some(word);
        let since = *test.busy_since.get_or_insert(cx.now);
        if cx.now.since(since) >= BUSY_MAX {
            return None;
        }
        desk.transaction.progress.deadline = Some(cx.now + self.unstarted);
        Some(Step::Wait { reason: WaitReason::ForeignTest, until: cx.now + BUSY_EVERY })
    }

    fn nowhere(&self, cx: &Context<'_>) -> Step {
        let kind = self.order.kind.as_str();
        let words = match self.missed.as_slice() {
            [] => format!(
                "{kind} is not possible: the data model {} has no object for it, and the device's type describes none",
                cx.data_model.root().trim_end_matches('.')
            ),
            missed => format!("{kind} is not possible: the device has no {}", missed.join(", no ")),
        };
        faults::fail(faults::own(words))
    }
}
