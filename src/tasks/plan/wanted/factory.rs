//! `device_factory`: what the type defines as its partial reset is written without looking. It may restart the device, and
//! need not read back as it was written; but none of it is written twice without need.

use crate::model::procedure::InFlight;
use crate::types::path::ParameterPath;

use super::super::{Context, Desk, Step, faults};
use super::goal::{Goal, Standing};
use super::{After, Converge, Mode, is_done, note_written, pace, reader};

impl Converge {
    /// Whether an earlier write arrived, else which types the device has.
    pub(super) fn begin_factory(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        self.mode = Mode::Factory;
        let in_flight = desk.transaction.progress.in_flight.clone();
        if let Some(InFlight::WantedWrite { paths, at, .. }) = in_flight {
            if cx.last_boot.is_some_and(|boot| boot >= at) {
                self.remarks.push("the device restarted after it was written".to_owned());
                arrived(desk, &paths);
            } else {
                self.unconfirmed.extend(paths);
            }
        }
        let reread = desk.transaction.progress.reread_types || !self.unconfirmed.is_empty();
        let has_type = |goal: &Goal| !reread && goal.has_type(cx.known.get(goal.path.as_str()));
        let unseen = self.goals.iter().filter(|goal| !is_done(desk, &goal.path) && !has_type(goal));
        let unseen = unseen.map(|goal| goal.path.clone()).collect();
        let reader = reader(unseen, pace(desk), cx);
        self.read(desk, cx, reader, After::Factory)
    }

    /// Types are known; of a write whose answer was lost, whether it arrived.
    pub(super) fn look_into_factory(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let standings = match self.settle(desk, cx) {
            Ok(standings) => standings,
            Err(fault) => return faults::fail(fault),
        };
        let lost = |(at, _): &&(usize, Standing)| {
            self.goals.get(*at).is_some_and(|goal| self.unconfirmed.contains(&goal.path))
        };
        let lost: Vec<Standing> = standings.iter().filter(lost).map(|(_, standing)| *standing).collect();
        if lost.contains(&Standing::Right) && !lost.contains(&Standing::Differs) {
            self.remarks.push("confirmed by reading back".to_owned());
            let paths: Vec<ParameterPath> = self.unconfirmed.drain().collect();
            arrived(desk, &paths);
        }
        desk.transaction.progress.in_flight = None;
        let left = standings.into_iter().map(|(at, _)| at);
        let left = left.filter(|at| self.goals.get(*at).is_some_and(|goal| !is_done(desk, &goal.path))).collect();
        self.arrange(left);
        self.next_errand(desk, cx)
    }
}

/// The device has got these.
fn arrived(desk: &mut Desk<'_>, paths: &[ParameterPath]) {
    desk.transaction.progress.in_flight = None;
    for path in paths {
        note_written(desk, path);
    }
}
