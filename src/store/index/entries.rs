//! Diagnostic entries in memory: what lists filter by, 8 bytes each, and each device's own in 8 bytes more; with what the
//! trees around them take, 26 bytes (measured).
//!
//! The free words of type and status are kept once per pair of them; rows name the pair.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use roaring::RoaringBitmap;

use crate::model::entry::{DiagnosticEntry, EntryHead, EntryId, EntryText};
use crate::store::Page;
use crate::types::ident::DeviceKey;

/// Rows of one segment, a power of two.
const SEGMENT: u32 = 256;
/// In a row's label: the entry has text to be searched.
const HAS_TEXT: u32 = 1 << 31;

/// One entry; the device 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Row {
    device: u32,
    label: u32,
}

#[derive(Debug)]
struct Segment {
    live: u32,
    rows: [Row; SEGMENT as usize],
}

impl Default for Segment {
    fn default() -> Self {
        Self { live: 0, rows: [Row::default(); SEGMENT as usize] }
    }
}

/// All entries.
#[derive(Debug, Default)]
pub(in crate::store) struct EntryIndex {
    /// By the span of their numbers.
    segments: BTreeMap<u32, Box<Segment>>,
    of_device: BTreeSet<(u32, u32)>,
    labels: Labels,
    count: u64,
}

/// An entry that may match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Candidate {
    pub(in crate::store) id: EntryId,
    pub(in crate::store) device: DeviceKey,
    /// Whether it has text of its own.
    pub(in crate::store) has_text: bool,
}

/// Which entries are looked for, as far as the index can tell.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct EntryTest {
    pub(in crate::store) device: Option<DeviceKey>,
    pub(in crate::store) visible: Option<RoaringBitmap>,
    pub(in crate::store) kind: Option<String>,
    pub(in crate::store) status: Option<String>,
}

impl EntryTest {
    fn lets_all_through(&self) -> bool {
        self.device.is_none() && self.visible.is_none() && self.kind.is_none() && self.status.is_none()
    }

    /// Whether no more rows than a device has, or a page, are looked at: microseconds.
    pub(in crate::store) fn is_quick(&self) -> bool {
        self.device.is_some() || self.lets_all_through()
    }
}

impl EntryIndex {
    /// Takes an entry in, or follows it.
    pub(in crate::store) fn put(&mut self, id: EntryId, head: &EntryHead, text: &EntryText) {
        let label = self.labels.take(&head.kind, &head.status) | if text.is_empty() { 0 } else { HAS_TEXT };
        let segment = self.segments.entry(id.0 / SEGMENT).or_default();
        let Some(row) = segment.rows.get_mut(place(id)) else { return };
        let before = std::mem::replace(row, Row { device: head.device.0, label });
        if before.device == 0 {
            segment.live += 1;
            self.count += 1;
            self.of_device.insert((head.device.0, id.0));
        } else {
            self.labels.release(before.label & !HAS_TEXT);
        }
    }

    /// Takes an entry out.
    pub(in crate::store) fn remove(&mut self, id: EntryId) {
        let Some(segment) = self.segments.get_mut(&(id.0 / SEGMENT)) else { return };
        let Some(row) = segment.rows.get_mut(place(id)).filter(|row| row.device != 0) else { return };
        let before = std::mem::take(row);
        segment.live -= 1;
        if segment.live == 0 {
            self.segments.remove(&(id.0 / SEGMENT));
        }
        self.count -= 1;
        self.labels.release(before.label & !HAS_TEXT);
        self.of_device.remove(&(before.device, id.0));
    }

    /// Whose an entry is.
    pub(in crate::store) fn device_of(&self, id: EntryId) -> Option<DeviceKey> {
        self.row(id).map(|row| DeviceKey(row.device))
    }

    /// The highest number.
    pub(in crate::store) fn last(&self) -> Option<EntryId> {
        let (span, segment) = self.segments.last_key_value()?;
        numbered(*span, segment).rev().find(|(_, row)| row.device != 0).map(|(id, _)| id)
    }

    /// A device's entries, newest first.
    pub(in crate::store) fn of_device(&self, device: DeviceKey) -> impl Iterator<Item = EntryId> {
        self.of_device.range((device.0, 0)..=(device.0, u32::MAX)).rev().map(|(_, id)| EntryId(*id))
    }

    /// A device's newest entry of a type.
    pub(in crate::store) fn newest_of(&self, device: DeviceKey, kind: &str) -> Option<EntryId> {
        let is_of = |id: &EntryId| self.row(*id).is_some_and(|row| self.labels.kind(row.label & !HAS_TEXT) == kind);
        self.of_device(device).find(is_of)
    }

    /// Devices that have entries.
    pub(in crate::store) fn devices(&self) -> BTreeSet<DeviceKey> {
        self.of_device.iter().map(|(device, _)| DeviceKey(*device)).collect()
    }

    /// The entries behind a number, oldest first, at most `limit`.
    pub(in crate::store) fn after(&self, after: EntryId, limit: usize) -> Vec<EntryId> {
        let segments = self.segments.range(after.0 / SEGMENT..);
        let ids = segments.flat_map(|(span, segment)| numbered(*span, segment));
        ids.filter(|(id, row)| row.device != 0 && *id > after).map(|(id, _)| id).take(limit).collect()
    }

    /// One page, newest first, and the exact number of matches.
    pub(in crate::store) fn select(&self, test: &EntryTest, page: Page) -> (Vec<EntryId>, u64) {
        let end = page.offset.saturating_add(u64::from(page.limit));
        if test.lets_all_through() {
            return (self.page(page.offset, end), self.count);
        }
        let (mut ids, mut count) = (Vec::new(), 0_u64);
        self.visit(test, |candidate| {
            if (page.offset..end).contains(&count) {
                ids.push(candidate.id);
            }
            count += 1;
        });
        (ids, count)
    }

    /// All that match, newest first.
    pub(in crate::store) fn candidates(&self, test: &EntryTest) -> Vec<Candidate> {
        let mut found = Vec::new();
        self.visit(test, |candidate| found.push(candidate));
        found
    }

    fn visit(&self, test: &EntryTest, mut found: impl FnMut(Candidate)) {
        let labels = self.labels.matching(test.kind.as_deref(), test.status.as_deref());
        let mut look = |id: EntryId, row: &Row| {
            let label = usize::try_from(row.label & !HAS_TEXT).unwrap_or(usize::MAX);
            let fits = labels.as_ref().is_none_or(|labels| labels.get(label) == Some(&true))
                && test.visible.as_ref().is_none_or(|visible| visible.contains(row.device));
            if fits {
                found(Candidate { id, device: DeviceKey(row.device), has_text: row.label & HAS_TEXT != 0 });
            }
        };
        if let Some(device) = test.device {
            for id in self.of_device(device) {
                if let Some(row) = self.row(id) {
                    look(id, row);
                }
            }
            return;
        }
        for (span, segment) in self.segments.iter().rev() {
            for (id, row) in numbered(*span, segment).rev().filter(|(_, row)| row.device != 0) {
                look(id, row);
            }
        }
    }

    /// A page of all, with whole segments skipped.
    fn page(&self, from: u64, end: u64) -> Vec<EntryId> {
        let (mut ids, mut seen) = (Vec::new(), 0_u64);
        for (span, segment) in self.segments.iter().rev() {
            if seen + u64::from(segment.live) <= from {
                seen += u64::from(segment.live);
                continue;
            }
            for (id, _) in numbered(*span, segment).rev().filter(|(_, row)| row.device != 0) {
                if seen >= end {
                    return ids;
                }
                if seen >= from {
                    ids.push(id);
                }
                seen += 1;
            }
        }
        ids
    }

    fn row(&self, id: EntryId) -> Option<&Row> {
        self.segments.get(&(id.0 / SEGMENT))?.rows.get(place(id)).filter(|row| row.device != 0)
    }
}

impl EntryIndex {
    /// As [`Self::put`], of a whole entry.
    pub(in crate::store) fn follow(&mut self, entry: &DiagnosticEntry) {
        self.put(entry.id, &entry.head, &entry.text);
    }

    /// Which of a device's entries have to go so that it has at most `keep`: the oldest, but not the newest of `spared`.
    pub(in crate::store) fn surplus(&self, device: DeviceKey, keep: usize, spared: &str) -> Vec<EntryId> {
        let surplus = self.of_device(device).count().saturating_sub(keep.max(1));
        if surplus == 0 {
            return Vec::new();
        }
        let spared = self.newest_of(device, spared);
        let mut all: Vec<EntryId> = self.of_device(device).filter(|id| Some(*id) != spared).collect();
        all.reverse();
        all.truncate(surplus);
        all
    }
}

fn place(id: EntryId) -> usize {
    usize::try_from(id.0 % SEGMENT).unwrap_or(0)
}

fn numbered(span: u32, segment: &Segment) -> impl DoubleEndedIterator<Item = (EntryId, &Row)> {
    let first = span * SEGMENT;
    let offset = |at: usize| u32::try_from(at).unwrap_or(0);
    segment.rows.iter().enumerate().map(move |(at, row)| (EntryId(first + offset(at)), row))
}

/// Pairs of type and status, by small numbers. One that no entry has any more is forgotten and its number used again.
#[derive(Debug, Default)]
struct Labels {
    numbers: HashMap<(Box<str>, Box<str>), u32>,
    slots: Vec<Option<Label>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Label {
    kind: Box<str>,
    status: Box<str>,
    entries: u32,
}

impl Labels {
    /// The number of a pair, which one more entry has.
    fn take(&mut self, kind: &str, status: &str) -> u32 {
        let pair = (Box::from(kind), Box::from(status));
        let number = match self.numbers.get(&pair) {
            Some(number) => *number,
            None => {
                let number = self.free.pop().unwrap_or_else(|| {
                    self.slots.push(None);
                    u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
                });
                self.numbers.insert(pair, number);
                number
            }
        };
        if let Some(slot) = usize::try_from(number).ok().and_then(|at| self.slots.get_mut(at)) {
            let label = slot.get_or_insert_with(|| Label { kind: kind.into(), status: status.into(), entries: 0 });
            label.entries += 1;
        }
        number
    }

    /// One entry less has this pair.
    fn release(&mut self, number: u32) {
        let Some(slot) = usize::try_from(number).ok().and_then(|at| self.slots.get_mut(at)) else { return };
        let Some(label) = slot else { return };
        label.entries -= 1;
        if label.entries == 0
            && let Some(gone) = slot.take()
        {
            self.numbers.remove(&(gone.kind, gone.status));
            self.free.push(number);
        }
    }

    fn kind(&self, number: u32) -> &str {
        let slot = usize::try_from(number).ok().and_then(|at| self.slots.get(at));
        slot.and_then(Option::as_ref).map_or("", |label| &label.kind)
    }

    /// Which numbers match; `None`: all.
    fn matching(&self, kind: Option<&str>, status: Option<&str>) -> Option<Vec<bool>> {
        if kind.is_none() && status.is_none() {
            return None;
        }
        let fits = |label: &Label| {
            kind.is_none_or(|wanted| *label.kind == *wanted) && status.is_none_or(|wanted| *label.status == *wanted)
        };
        Some(self.slots.iter().map(|slot| slot.as_ref().is_some_and(fits)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::time::Timestamp;

    const ALL: Page = Page { offset: 0, limit: 1000 };

    fn put(index: &mut EntryIndex, id: u32, device: u32, kind: &str, status: &str) {
        let mut entry = DiagnosticEntry::new(EntryId(id), DeviceKey(device), kind, Timestamp(1));
        entry.head.status = status.to_owned();
        index.follow(&entry);
    }

    fn found(index: &EntryIndex, test: &EntryTest, page: Page) -> (Vec<u32>, u64) {
        let (ids, count) = index.select(test, page);
        (ids.into_iter().map(|id| id.0).collect(), count)
    }

    #[test]
    fn rows_are_small() {
        assert_eq!(size_of::<Row>(), 8);
    }

    #[test]
    fn filters_count_exactly_newest_first() {
        let mut index = EntryIndex::default();
        for id in 1..=1000 {
            put(&mut index, id, id % 10 + 1, if id % 2 == 0 { "maintenance" } else { "health_check" }, "open");
        }
        put(&mut index, 998, 9, "maintenance", "closed");
        let all = EntryTest::default();
        assert_eq!(found(&index, &all, Page { offset: 300, limit: 2 }), (vec![700, 699], 1000));
        let checks = EntryTest { kind: Some("health_check".to_owned()), ..EntryTest::default() };
        assert_eq!(found(&index, &checks, Page { offset: 1, limit: 2 }), (vec![997, 995], 500));
        let closed = EntryTest { status: Some("closed".to_owned()), ..EntryTest::default() };
        assert_eq!(found(&index, &closed, ALL), (vec![998], 1));
        let device = EntryTest { device: Some(DeviceKey(9)), ..checks.clone() };
        assert_eq!(found(&index, &device, ALL).1, 0, "its numbers are all even");
        let visible = EntryTest { visible: Some([2, 3].into_iter().collect()), ..checks };
        assert_eq!(found(&index, &visible, Page { offset: 0, limit: 1 }), (vec![991], 100));
        let unknown = EntryTest { kind: Some("?".to_owned()), ..EntryTest::default() };
        assert_eq!(found(&index, &unknown, ALL), (vec![], 0));
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut index = EntryIndex::default();
        for id in 1..=600 {
            put(&mut index, id, id, &format!("kind {id}"), "s");
        }
        for id in 1..=600 {
            index.remove(EntryId(id));
            index.remove(EntryId(id));
        }
        assert_eq!((index.count, index.segments.len(), index.of_device.len()), (0, 0, 0));
        assert!(index.labels.numbers.is_empty() && index.last().is_none());
        put(&mut index, 601, 1, "new", "s");
        assert_eq!(index.labels.slots.len(), 600, "numbers are used again");
        assert_eq!(index.last(), Some(EntryId(601)));
    }

    #[test]
    fn the_oldest_are_too_many_but_never_the_check() {
        let mut index = EntryIndex::default();
        put(&mut index, 1, 1, "health_check", "ok");
        for id in 2..=5 {
            put(&mut index, id, 1, "maintenance", "");
        }
        let surplus = |index: &EntryIndex, keep| {
            index.surplus(DeviceKey(1), keep, "health_check").iter().map(|id| id.0).collect::<Vec<_>>()
        };
        assert_eq!(surplus(&index, 5), [0_u32; 0]);
        assert_eq!(surplus(&index, 3), [2, 3]);
        assert_eq!(index.newest_of(DeviceKey(1), "health_check"), Some(EntryId(1)));
        assert_eq!(index.after(EntryId(2), 2), [EntryId(3), EntryId(4)]);
    }
}
