//! `discover`: which parameters and objects there are.

use crate::cwmp::session::Answer;

use super::faults;
use super::{Context, Desk, Step};

/// The procedure.
#[derive(Debug, Default)]
pub(super) struct Discover;

impl Discover {
    pub(super) fn begin(&mut self, _desk: &mut Desk<'_>, _cx: &Context<'_>) -> Step {
        faults::fail(faults::own("not built"))
    }

    pub(super) fn answer(&mut self, _desk: &mut Desk<'_>, _cx: &Context<'_>, _answer: &Answer<'_>) -> Step {
        faults::fail(faults::own("not built"))
    }
}
