//! `Download`, `ScheduleDownload` and `Upload`: file transfers, reported when they are over.

use crate::cwmp::message::Request;
use crate::cwmp::session::Answer;
use crate::model::transaction::Transaction;
use crate::types::time::Timestamp;

use super::faults;
use super::news::{News, Reaction};
use super::{Context, Desk, Step};

/// The procedure.
#[derive(Debug, Default)]
pub(super) struct Transfer;

impl Transfer {
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

/// The CPE has called.
pub(super) fn called(
    _transaction: &mut Transaction,
    _request: &Request<'_>,
    _others: usize,
    _at: Timestamp,
) -> Reaction {
    Reaction::Nothing
}
