//! Lists that bitmaps alone do not answer: a search, an ordering. Runs on a copy of what it needs, without any lock.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use memchr::memmem::Finder;
use roaring::RoaringBitmap;

use crate::model::device::Status;
use crate::store::listing::{DeviceOrder, Direction, OrderBy, OrderField, SearchWords, fold};
use crate::store::{DeviceFilter, Page};
use crate::types::ident::DeviceKey;
use crate::types::time::Timestamp;

use super::segment::{Bits, Segment, TextField, segment_of};

/// Entries beyond those of the page that are gathered before the last are thrown out.
const SPARE: usize = 1024;

/// The devices that a filter's bitmaps leave, and what is still to be asked of them.
#[derive(Debug)]
pub(in crate::store) struct Selection {
    pub(super) found: RoaringBitmap,
    pub(super) search: SearchWords,
    pub(super) changed_from: Option<Timestamp>,
    pub(super) order: DeviceOrder,
    /// Where anything of the above is given.
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) software: Vec<Option<Arc<str>>>,
    pub(super) manufacturers: Vec<Option<Arc<str>>>,
}

/// Keys of a page in their order, and how many there are in all.
pub(in crate::store) type Selected = (Vec<DeviceKey>, u64);

impl Selection {
    /// As the function of this name.
    fn is_quick(&self) -> bool {
        !needs_rows(&self.search, self.changed_from, &self.order)
    }

    /// One page, and the exact number of all.
    pub(in crate::store) fn page(&self, page: Page) -> Selected {
        let by_key = by_key(&self.order);
        if self.is_quick() {
            return (page_of(&self.found, page, by_key.unwrap_or(Direction::Ascending)), self.found.len());
        }
        let chunks = self.chunks();
        let count = chunks.iter().map(|chunk| chunk.rows.len()).sum::<usize>();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let keys = match by_key {
            Some(direction) => {
                let found = chunks.iter().flat_map(|chunk| chunk.rows.iter().map(|row| chunk.segment.key(row)));
                page_of(&found.collect(), page, direction)
            }
            None => Ranking::of(self, &chunks).page(page, count),
        };
        (keys, count)
    }

    /// The rows that match, segment by segment.
    fn chunks(&self) -> Vec<Chunk<'_>> {
        let finders: Vec<Finder<'_>> = self.search.words().iter().map(|word| Finder::new(word.as_bytes())).collect();
        let mut chunks = Vec::with_capacity(self.segments.len());
        let mut keys = self.found.iter().peekable();
        let all: usize = self.segments.iter().map(|segment| segment.len()).sum();
        let everything = self.found.len() == u64::try_from(all).unwrap_or(u64::MAX);
        for segment in &self.segments {
            let mut rows = if everything { Bits::first(segment.len()) } else { Bits::default() };
            let span = segment_of(segment.key(0));
            while let Some(key) = keys.next_if(|key| !everything && segment_of(*key) <= span) {
                if let Some(row) = segment.row(key) {
                    rows.insert(row);
                }
            }
            for word in &finders {
                segment.search(word, &mut rows);
            }
            if let Some(from) = self.changed_from {
                let before = |row: &usize| segment.get(*row).is_none_or(|row| row.status_change < from);
                for row in rows.iter().filter(before) {
                    rows.remove(row);
                }
            }
            if rows != Bits::default() {
                chunks.push(Chunk { segment, rows });
            }
        }
        chunks
    }
}

/// Whether bitmaps are all there is to a list: microseconds.
pub(in crate::store) fn is_quick(filter: &DeviceFilter) -> bool {
    !needs_rows(&filter.search, filter.status_change_from, &filter.order)
}

/// Whether a list cannot be answered from bitmaps alone.
pub(super) fn needs_rows(search: &SearchWords, changed_from: Option<Timestamp>, order: &DeviceOrder) -> bool {
    !search.words().is_empty() || changed_from.is_some() || by_key(order).is_none()
}

/// The direction of an order by key; `None` when it is by something else first. Keys are unique: what comes behind them
/// does not matter.
fn by_key(order: &DeviceOrder) -> Option<Direction> {
    match order.fields().first() {
        None => Some(Direction::Ascending),
        Some(OrderBy { field: OrderField::Id, direction }) => Some(*direction),
        Some(_) => None,
    }
}

fn page_of(found: &RoaringBitmap, page: Page, direction: Direction) -> Vec<DeviceKey> {
    let count = found.len();
    let (from, to) = match direction {
        Direction::Ascending => (page.offset, page.offset.saturating_add(page.limit.into())),
        Direction::Descending => {
            let to = count.saturating_sub(page.offset);
            (to.saturating_sub(page.limit.into()), to)
        }
    };
    let first = u32::try_from(from).ok().and_then(|from| found.select(from));
    let Some(first) = first else { return Vec::new() };
    let length = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    let mut keys: Vec<DeviceKey> = found.range(first..).take(length).map(DeviceKey).collect();
    if direction == Direction::Descending {
        keys.reverse();
    }
    keys
}

/// The rows of one segment that match.
struct Chunk<'a> {
    segment: &'a Segment,
    rows: Bits,
}

/// One device among those to be ordered: the beginning of what it is ordered by, and where the rest is.
#[derive(Debug, Clone, Copy)]
struct Entry {
    lead: u128,
    chunk: u32,
    row: u32,
}

/// Puts devices in order.
struct Ranking<'a> {
    chunks: &'a [Chunk<'a>],
    orders: &'a [OrderBy],
    software: Ranks,
    manufacturers: Ranks,
    /// How many bytes the texts of the first field have in common: what tells them apart comes behind.
    common: usize,
}

impl<'a> Ranking<'a> {
    fn of(selection: &'a Selection, chunks: &'a [Chunk<'a>]) -> Self {
        let mut ranking = Self {
            chunks,
            orders: selection.order.fields(),
            software: Ranks::of(&selection.software),
            manufacturers: Ranks::of(&selection.manufacturers),
            common: 0,
        };
        if let Some(field) = ranking.orders.first().and_then(|order| text_field(order.field)) {
            ranking.common = ranking.common(field);
        }
        ranking
    }

    /// The page, without putting all in order: only what may be before its end is kept.
    fn page(&self, page: Page, count: u64) -> Vec<DeviceKey> {
        let end = page.offset.saturating_add(page.limit.into()).min(count);
        let (Ok(offset), Ok(end)) = (usize::try_from(page.offset), usize::try_from(end)) else { return Vec::new() };
        if offset >= end {
            return Vec::new();
        }
        let compare = |one: &Entry, other: &Entry| self.compare(one, other);
        let room = end.saturating_mul(2).saturating_add(SPARE);
        let mut kept: Vec<Entry> = Vec::new();
        let mut bar: Option<Entry> = None;
        for entry in self.entries() {
            if bar.is_some_and(|bar| self.compare(&entry, &bar) == Ordering::Greater) {
                continue;
            }
            kept.push(entry);
            if kept.len() >= room {
                bar = Some(*kept.select_nth_unstable_by(end - 1, compare).1);
                kept.truncate(end);
            }
        }
        if kept.len() > end {
            kept.select_nth_unstable_by(end - 1, compare);
            kept.truncate(end);
        }
        if offset > 0 && offset < kept.len() {
            kept.select_nth_unstable_by(offset, compare);
        }
        let shown = kept.get_mut(offset..).unwrap_or_default();
        shown.sort_unstable_by(compare);
        let key = |entry: &Entry| self.at(entry).map(|(segment, row)| DeviceKey(segment.key(row)));
        shown.iter().filter_map(key).collect()
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let first = self.orders.first().copied();
        self.chunks.iter().enumerate().flat_map(move |(chunk, held)| {
            held.rows.iter().map(move |row| {
                let lead = first.map_or(0, |order| self.lead(held.segment, row, order));
                Entry { lead, chunk: narrow(chunk), row: narrow(row) }
            })
        })
    }

    fn lead(&self, segment: &Segment, row: usize, order: OrderBy) -> u128 {
        let lead = match text_field(order.field) {
            Some(field) => {
                let text = segment.text(row, field).get(self.common..).unwrap_or_default();
                let mut lead = [0; 16];
                for (place, byte) in lead.iter_mut().zip(text) {
                    *place = *byte;
                }
                u128::from_be_bytes(lead)
            }
            None => self.number(segment, row, order.field),
        };
        match order.direction {
            Direction::Ascending => lead,
            Direction::Descending => !lead,
        }
    }

    fn compare(&self, one: &Entry, other: &Entry) -> Ordering {
        one.lead
            .cmp(&other.lead)
            .then_with(|| self.compare_rest(one, other))
            .then_with(|| (one.chunk, one.row).cmp(&(other.chunk, other.row)))
    }

    fn compare_rest(&self, one: &Entry, other: &Entry) -> Ordering {
        let (Some((segment, row)), Some((other_segment, other_row))) = (self.at(one), self.at(other)) else {
            return Ordering::Equal;
        };
        for (place, order) in self.orders.iter().enumerate() {
            let found = match text_field(order.field) {
                Some(field) => segment.text(row, field).cmp(other_segment.text(other_row, field)),
                None if place == 0 => continue,
                None => {
                    let number = self.number(segment, row, order.field);
                    number.cmp(&self.number(other_segment, other_row, order.field))
                }
            };
            if found != Ordering::Equal {
                return order.direction.turn(found);
            }
        }
        Ordering::Equal
    }

    fn at(&self, entry: &Entry) -> Option<(&Segment, usize)> {
        let chunk = self.chunks.get(usize::try_from(entry.chunk).ok()?)?;
        Some((chunk.segment, usize::try_from(entry.row).ok()?))
    }

    /// What is compared of a field that is no text; what is not there is 0.
    fn number(&self, segment: &Segment, row: usize, field: OrderField) -> u128 {
        let Some(values) = segment.get(row) else { return 0 };
        match field {
            OrderField::Id => segment.key(row).into(),
            OrderField::Status => u128::from(segment.status(row) == Status::Up),
            OrderField::StatusChange => ordinal(values.status_change),
            OrderField::Created => ordinal(values.created),
            OrderField::LastConnection => segment.last_inform(row).map_or(0, ordinal),
            OrderField::SoftwareVersion => self.software.rank(values.software),
            OrderField::Manufacturer => self.manufacturers.rank(values.manufacturer),
            OrderField::Address => address_number(segment.address(row)),
            OrderField::SerialNumber | OrderField::Name | OrderField::CustomerId => 0,
        }
    }

    /// How many bytes the texts of all devices have in common at their beginning.
    fn common(&self, field: TextField) -> usize {
        let mut texts =
            self.chunks.iter().flat_map(|chunk| chunk.rows.iter().map(|row| chunk.segment.text(row, field)));
        let Some(first) = texts.next() else { return 0 };
        let mut common = first.len();
        for text in texts {
            let same = first.iter().zip(text).take(common).take_while(|(one, other)| one == other).count();
            common = same;
            if common == 0 {
                break;
            }
        }
        common
    }
}

fn text_field(field: OrderField) -> Option<TextField> {
    match field {
        OrderField::SerialNumber => Some(TextField::SerialNumber),
        OrderField::Name => Some(TextField::Name),
        OrderField::CustomerId => Some(TextField::CustomerId),
        _ => None,
    }
}

/// A time as a number that is never 0.
fn ordinal(at: Timestamp) -> u128 {
    u128::from(at.0.cast_unsigned() ^ (1 << 63)) + 1
}

fn address_number(address: &[u8]) -> u128 {
    match std::str::from_utf8(address).ok().and_then(|text| text.parse().ok()) {
        None => 0,
        Some(IpAddr::V4(address)) => u128::from(address.to_bits()) + 1,
        Some(IpAddr::V6(address)) => address.to_bits().saturating_add(1 << 33),
    }
}

/// The places of a dictionary's texts in their order.
struct Ranks(Vec<u32>);

impl Ranks {
    fn of(texts: &[Option<Arc<str>>]) -> Self {
        let folded: Vec<Option<String>> = texts.iter().map(|text| text.as_deref().map(fold)).collect();
        let mut sorted: Vec<&String> = folded.iter().flatten().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let rank = |text: &String| sorted.binary_search(&text).ok().and_then(|at| u32::try_from(at + 1).ok());
        Self(folded.iter().map(|text| text.as_ref().and_then(rank).unwrap_or_default()).collect())
    }

    fn rank(&self, code: u32) -> u128 {
        usize::try_from(code).ok().and_then(|code| self.0.get(code)).copied().unwrap_or_default().into()
    }
}
