//! Logs in memory: what entries are searched by, a few bytes each, in the order of their numbers, which have no gaps.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use crate::model::audit::{AuditHead, AuditResource};
use crate::model::device::OrganizationId;
use crate::model::event::{EventHead, EventId, EventKind};
use crate::model::token::TokenId;
use crate::store::audit::AuditFilter;
use crate::store::events::EventFilter;
use crate::store::{Page, Retention};
use crate::types::time::Timestamp;

/// What the index has to know of any entry.
pub(in crate::store) trait Row {
    /// When it was made, in whole Unix seconds.
    fn secs(&self) -> u32;
}

/// All entries of a log.
#[derive(Debug)]
pub(in crate::store) struct LogIndex<R> {
    /// Number of the first row.
    first: u64,
    rows: VecDeque<R>,
    /// Rows from this number on are not shown yet.
    shown_below: u64,
}

impl<R> Default for LogIndex<R> {
    fn default() -> Self {
        Self { first: 1, rows: VecDeque::new(), shown_below: 1 }
    }
}

impl<R: Row> LogIndex<R> {
    /// The number of the next entry.
    pub(in crate::store) fn next(&self) -> u64 {
        self.first.saturating_add(length(self.rows.len()))
    }

    /// Adds the next entry; its number.
    pub(in crate::store) fn push(&mut self, row: R) -> u64 {
        let id = self.next();
        self.rows.push_back(row);
        id
    }

    /// Takes in a stored entry. `false`: it leaves a gap, and everything before it is given up.
    pub(in crate::store) fn restore(&mut self, id: u64, row: R) -> bool {
        let follows = self.rows.is_empty() || self.next() == id;
        if !follows {
            self.rows.clear();
        }
        if self.rows.is_empty() {
            self.first = id;
        }
        self.rows.push_back(row);
        self.shown_below = self.next();
        follows
    }

    /// Shows the entries below a number; whether that shows any more than before.
    pub(in crate::store) fn show_below(&mut self, id: u64) -> bool {
        let more = id > self.shown_below;
        self.shown_below = self.shown_below.max(id);
        more
    }

    /// The newest entry shown; 0: none.
    pub(in crate::store) fn newest(&self) -> u64 {
        self.shown_below.saturating_sub(1)
    }

    /// One page, newest first, behind `after`, and the exact number of matches. Without a test nothing is looked at but
    /// the page; with one, every row: some 2 ms for a million.
    pub(in crate::store) fn select(
        &self,
        page: Page,
        after: u64,
        matches: Option<&dyn Fn(&R) -> bool>,
    ) -> (Vec<u64>, u64) {
        let from = self.first.max(after.saturating_add(1));
        let end = page.offset.saturating_add(u64::from(page.limit));
        let Some(matches) = matches else {
            let count = self.shown_below.saturating_sub(from);
            let newest_first = (page.offset..end.min(count)).map(|place| self.shown_below - 1 - place);
            return (newest_first.collect(), count);
        };
        let mut ids = Vec::new();
        let mut count = 0_u64;
        for (id, row) in self.between(from).rev() {
            if matches(row) {
                if (page.offset..end).contains(&count) {
                    ids.push(id);
                }
                count += 1;
            }
        }
        (ids, count)
    }

    /// At most `limit` matches behind `after`, oldest first; up to where that looked; and how many of the entries right
    /// behind `after` are gone.
    pub(in crate::store) fn following(
        &self,
        after: u64,
        limit: usize,
        matches: impl Fn(&R) -> bool,
    ) -> (Vec<u64>, u64, u64) {
        let from = self.first.max(after.saturating_add(1));
        let trimmed = from - after.saturating_add(1);
        let mut ids = Vec::new();
        for (id, row) in self.between(from) {
            if matches(row) {
                ids.push(id);
                if ids.len() >= limit {
                    return (ids, id, trimmed);
                }
            }
        }
        (ids, self.newest().max(after), trimmed)
    }

    /// The numbers of the oldest entries that are not to be kept, at most `limit`; they are forgotten.
    pub(in crate::store) fn trim(&mut self, keep: Retention, limit: usize) -> std::ops::Range<u64> {
        let (begin, before) = (self.first, seconds(keep.before));
        while self.first + 1 < self.shown_below && self.first - begin < length(limit) {
            let too_many = self.shown_below - self.first > keep.max;
            match self.rows.front() {
                Some(row) if too_many || row.secs() < before => self.rows.pop_front(),
                Some(_) | None => break,
            };
            self.first += 1;
        }
        begin..self.first
    }

    /// The rows from a number on that are shown.
    fn between(&self, from: u64) -> impl DoubleEndedIterator<Item = (u64, &R)> {
        let place = |id: u64| usize::try_from(id.saturating_sub(self.first)).unwrap_or(usize::MAX).min(self.rows.len());
        let end = place(self.shown_below);
        let start = place(from).min(end);
        let first = self.first;
        let rows = self.rows.range(start..end).enumerate();
        rows.map(move |(at, row)| (first + length(start + at), row))
    }
}

fn length(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_secs().max(0)).unwrap_or(u32::MAX)
}

/// A serial number's stand-in. Keyed by chance at each start: nobody can make two that share one.
fn fingerprint(serial_number: &str) -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEY.hash_one(serial_number)
}

/// Stands for no organization: numbers begin at 1.
const NONE: u32 = 0;

fn organization(id: Option<OrganizationId>) -> u32 {
    id.map_or(NONE, |id| id.0)
}

/// Some organizations, mostly few: faster to search than any clever set.
struct Visible(Vec<u32>);

impl Visible {
    fn of(organizations: &[OrganizationId]) -> Self {
        let mut sorted: Vec<u32> = organizations.iter().map(|id| id.0).filter(|id| *id != NONE).collect();
        sorted.sort_unstable();
        Self(sorted)
    }

    fn has(&self, organization: u32) -> bool {
        self.0.binary_search(&organization).is_ok()
    }
}

/// What events are searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct EventRow {
    serial_number: u64,
    organization: u32,
    secs: u32,
    kind: EventKind,
}

impl Row for EventRow {
    fn secs(&self) -> u32 {
        self.secs
    }
}

impl From<&EventHead> for EventRow {
    fn from(head: &EventHead) -> Self {
        Self {
            serial_number: head.serial_number.as_ref().map_or(0, |serial| fingerprint(serial.as_str())),
            organization: organization(head.organization),
            secs: seconds(head.time),
            kind: head.kind,
        }
    }
}

/// Tells which events a filter lets through, besides those behind [`EventFilter::after`]; `None`: all.
pub(in crate::store) fn event_test(filter: &EventFilter) -> Option<impl Fn(&EventRow) -> bool + use<>> {
    let EventFilter { visible, kinds, serial_number, since, after: EventId(_) } = filter;
    let all = EventFilter { after: filter.after, ..EventFilter::default() };
    if *filter == all {
        return None;
    }
    let (kinds, visible) = (*kinds, visible.as_deref().map(Visible::of));
    let (serial_number, since) = (serial_number.as_deref().map(fingerprint), since.map(seconds));
    Some(move |row: &EventRow| {
        kinds.has(row.kind)
            && serial_number.is_none_or(|wanted| row.serial_number == wanted)
            && since.is_none_or(|since| row.secs >= since)
            && visible.as_ref().is_none_or(|visible| visible.has(row.organization))
    })
}

/// What the audit trail is searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct AuditRow {
    serial_number: u64,
    organization: u32,
    secs: u32,
    token: TokenId,
    resource: AuditResource,
}

impl Row for AuditRow {
    fn secs(&self) -> u32 {
        self.secs
    }
}

impl From<&AuditHead> for AuditRow {
    fn from(head: &AuditHead) -> Self {
        Self {
            serial_number: head.serial_number.as_ref().map_or(0, |serial| fingerprint(serial.as_str())),
            organization: organization(head.organization),
            secs: seconds(head.time),
            token: head.token,
            resource: head.resource,
        }
    }
}

/// Tells which entries a filter lets through.
pub(in crate::store) fn audit_test(filter: &AuditFilter) -> impl Fn(&AuditRow) -> bool + use<> {
    let AuditFilter { visible, token, resource, serial_number, since } = filter;
    let visible = visible.as_ref().map(|(organizations, own)| (Visible::of(organizations), *own));
    let (token, resource) = (*token, *resource);
    let (serial_number, since) = (serial_number.as_deref().map(fingerprint), since.map(seconds));
    move |row: &AuditRow| {
        token.is_none_or(|wanted| row.token == wanted)
            && resource.is_none_or(|wanted| row.resource == wanted)
            && serial_number.is_none_or(|wanted| row.serial_number == wanted)
            && since.is_none_or(|since| row.secs >= since)
            && visible.as_ref().is_none_or(|(visible, own)| row.token == *own || visible.has(row.organization))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain(u32);

    impl Row for Plain {
        fn secs(&self) -> u32 {
            self.0
        }
    }

    const ALL: Page = Page { offset: 0, limit: 100 };

    fn index(rows: u32) -> LogIndex<Plain> {
        let mut index = LogIndex::default();
        for secs in 0..rows {
            index.push(Plain(secs));
        }
        index
    }

    #[test]
    fn rows_are_small() {
        assert!(size_of::<EventRow>() <= 24 && size_of::<AuditRow>() <= 32);
    }

    #[test]
    fn only_what_is_shown_is_found() {
        let mut index = index(5);
        assert_eq!(index.select(ALL, 0, None), (vec![], 0));
        assert_eq!(index.following(0, 10, |_| true), (vec![], 0, 0));
        assert!(index.show_below(4) && !index.show_below(4) && !index.show_below(2));
        assert_eq!(index.select(ALL, 0, None), (vec![3, 2, 1], 3));
        assert_eq!(index.select(Page { offset: 1, limit: 1 }, 0, None), (vec![2], 3));
        assert_eq!(index.select(ALL, 1, Some(&|row| row.0 != 1)), (vec![3], 1));
        assert_eq!(index.select(ALL, 9, None), (vec![], 0));
        assert_eq!(index.following(0, 2, |_| true), (vec![1, 2], 2, 0));
        assert_eq!(index.following(2, 2, |_| false), (vec![], 3, 0));
        assert_eq!(index.following(7, 2, |_| true), (vec![], 7, 0));
    }

    #[test]
    fn trimming_goes_in_small_steps_and_leaves_the_newest() {
        let mut index = index(10);
        index.show_below(11);
        let old = |secs| Retention { before: Timestamp::from_secs(secs), max: 100 };
        assert_eq!(index.trim(old(3), 2), 1..3);
        assert_eq!(index.trim(old(3), 2), 3..4);
        assert_eq!(index.trim(old(3), 2), 4..4);
        assert_eq!(index.trim(Retention { before: Timestamp(0), max: 5 }, 100), 4..6);
        assert_eq!(index.select(ALL, 0, None).1, 5);
        assert_eq!(index.following(0, 1, |_| true), (vec![6], 6, 5));
        assert_eq!(index.trim(old(100), 100), 6..10);
        assert_eq!((index.next(), index.newest()), (11, 10), "numbers go on");
    }

    #[test]
    fn a_stored_log_goes_on_where_it_ended() {
        let mut index = LogIndex::default();
        assert!(index.restore(7, Plain(1)) && index.restore(8, Plain(1)));
        assert_eq!((index.push(Plain(2)), index.select(ALL, 0, None)), (9, (vec![8, 7], 2)));
        let mut index = LogIndex::default();
        assert!(index.restore(7, Plain(1)) && !index.restore(9, Plain(1)));
        assert_eq!(index.select(ALL, 0, None), (vec![9], 1));
    }
}
