//! `Diagnose`: a test that the device runs by itself.

use crate::cwmp::session::Answer;
use crate::model::transaction::Transaction;

use super::faults;
use super::news::{News, Reaction};
use super::{Context, Desk, Step};

/// The procedure.
#[derive(Debug, Default)]
pub(super) struct Diagnose;

impl Diagnose {
    pub(super) fn begin(&mut self, _desk: &mut Desk<'_>, _cx: &Context<'_>) -> Step {
        faults::fail(faults::own("not built"))
    }

    pub(super) fn answer(&mut self, _desk: &mut Desk<'_>, _cx: &Context<'_>, _answer: &Answer<'_>) -> Step {
        faults::fail(faults::own("not built"))
    }
}

/// The device has Informed.
pub(super) fn informed(_transaction: &mut Transaction, _news: &News<'_>) -> Reaction {
    Reaction::Nothing
}
