//! What lists are searched and ordered by, for a few hundred neighbouring devices: texts in one piece, times in columns.
//!
//! Segments are shared with whoever reads: a long scan holds the segments as they were when it began, and no lock. A writer
//! that meets one copies it, some 50 KB.

use std::sync::atomic::{AtomicI64, Ordering};

use memchr::memchr;
use memchr::memmem::Finder;

use crate::model::device::{Profile, Status};
use crate::store::listing::fold;
use crate::types::time::Timestamp;

use super::arena::{Arena, END};
use super::dictionary::NOTHING;

/// Most rows of a segment, and so the span of keys in it.
pub(super) const ROWS: usize = 512;
/// How many bits of a key say which row it may be.
const ROW_BITS: u32 = ROWS.trailing_zeros();

/// In the place of a name that is the serial number, as most are. Like [`END`] no byte of UTF-8.
const SAME: &[u8] = &[0xfe];
/// "Never", as a time.
const NEVER: i64 = i64::MIN;

/// Which segment a key belongs to.
pub(super) fn segment_of(key: u32) -> u32 {
    key >> ROW_BITS
}

/// A set of rows of one segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bits([u64; ROWS / 64]);

impl Bits {
    /// The first rows, so many of them.
    pub(super) fn first(rows: usize) -> Self {
        let mut bits = Self::default();
        for (at, word) in bits.0.iter_mut().enumerate() {
            *word = match rows.saturating_sub(at * 64) {
                0 => 0,
                some @ 1..64 => (1 << some) - 1,
                _ => u64::MAX,
            };
        }
        bits
    }

    pub(super) fn insert(&mut self, row: usize) {
        if let Some(word) = self.0.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }

    pub(super) fn remove(&mut self, row: usize) {
        if let Some(word) = self.0.get_mut(row / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= other;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| usize::try_from(word.count_ones()).unwrap_or_default()).sum()
    }

    /// The rows, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        self.0.into_iter().enumerate().flat_map(|(at, word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = usize::try_from(left.trailing_zeros()).unwrap_or_default();
                if left == 0 {
                    return None;
                }
                left &= left - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

/// A text field of a row's words, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextField {
    SerialNumber,
    Name,
    CustomerId,
}

/// What is compared of one device besides its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) status_change: Timestamp,
    pub(super) created: Timestamp,
    /// In the dictionary of software versions.
    pub(super) software: u32,
    /// In the dictionary of manufacturers.
    pub(super) manufacturer: u32,
}

/// The devices whose keys lie in one span of [`ROWS`].
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// The keys, ascending.
    keys: Vec<u32>,
    rows: Vec<Row>,
    status: Vec<Status>,
    /// Written by every Inform under no more than a reader's lock.
    last_inform: Vec<AtomicI64>,
    /// Serial number, alternative one, name, customer id, tags.
    words: Arena,
    addresses: Arena,
}

impl Clone for Segment {
    fn clone(&self) -> Self {
        let copy = |at: &AtomicI64| AtomicI64::new(at.load(Ordering::Relaxed));
        Self {
            keys: self.keys.clone(),
            rows: self.rows.clone(),
            status: self.status.clone(),
            last_inform: self.last_inform.iter().map(copy).collect(),
            words: self.words.clone(),
            addresses: self.addresses.clone(),
        }
    }
}

impl Segment {
    /// Where a device is.
    pub(super) fn row(&self, key: u32) -> Option<usize> {
        // Where no device was ever removed, the row can be told from the key.
        let guess = usize::try_from(key.wrapping_sub(*self.keys.first()?)).unwrap_or(usize::MAX);
        if self.keys.get(guess) == Some(&key) {
            return Some(guess);
        }
        self.keys.binary_search(&key).ok()
    }

    /// Takes in a device that has never Informed.
    pub(super) fn insert(&mut self, key: u32, profile: &Profile) {
        let row = self.keys.partition_point(|other| *other < key);
        self.keys.insert(row, key);
        let created = profile.created;
        self.rows.insert(row, Row { status_change: created, created, software: NOTHING, manufacturer: NOTHING });
        self.status.insert(row, Status::Down);
        self.last_inform.insert(row, AtomicI64::new(NEVER));
        self.words.insert(row, &words(profile));
        self.addresses.insert(row, &[]);
        if self.keys.len() == ROWS {
            self.shrink();
        }
    }

    /// Takes a device out; what it was.
    pub(super) fn remove(&mut self, key: u32) -> Option<Row> {
        let row = self.row(key)?;
        self.keys.remove(row);
        self.status.remove(row);
        self.last_inform.remove(row);
        self.words.remove(row);
        self.addresses.remove(row);
        Some(self.rows.remove(row))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many devices there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn key(&self, row: usize) -> u32 {
        self.keys.get(row).copied().unwrap_or_default()
    }

    pub(super) fn get(&self, row: usize) -> Option<&Row> {
        self.rows.get(row)
    }

    pub(super) fn get_mut(&mut self, row: usize) -> Option<&mut Row> {
        self.rows.get_mut(row)
    }

    pub(super) fn status(&self, row: usize) -> Status {
        self.status.get(row).copied().unwrap_or_default()
    }

    pub(super) fn set_status(&mut self, row: usize, status: Status) {
        if let Some(place) = self.status.get_mut(row) {
            *place = status;
        }
    }

    /// The last Inform.
    pub(super) fn last_inform(&self, row: usize) -> Option<Timestamp> {
        let at = self.last_inform.get(row)?.load(Ordering::Relaxed);
        (at != NEVER).then_some(Timestamp(at))
    }

    pub(super) fn note_inform(&self, row: usize, at: Timestamp) {
        if let Some(place) = self.last_inform.get(row) {
            place.store(at.0, Ordering::Relaxed);
        }
    }

    pub(super) fn set_words(&mut self, row: usize, profile: &Profile) {
        self.words.set(row, &words(profile));
    }

    pub(super) fn address(&self, row: usize) -> &[u8] {
        self.addresses.get(row)
    }

    pub(super) fn set_address(&mut self, row: usize, address: &str) {
        if self.addresses.get(row) != address.as_bytes() {
            self.addresses.set(row, address.as_bytes());
        }
    }

    /// A folded text.
    pub(super) fn text(&self, row: usize, field: TextField) -> &[u8] {
        let words = self.words.get(row);
        match field {
            TextField::SerialNumber => nth(words, 0),
            TextField::Name => match nth(words, 2) {
                SAME => nth(words, 0),
                name => name,
            },
            TextField::CustomerId => nth(words, 3),
        }
    }

    /// Leaves of `wanted` the rows that have the word.
    pub(super) fn search(&self, word: &Finder<'_>, wanted: &mut Bits) {
        // Straight through all of them, unless few are asked for.
        if wanted.len() * 8 >= self.len() {
            let mut found = Bits::default();
            self.words.find(word, &mut found);
            self.addresses.find(word, &mut found);
            return wanted.intersect(&found);
        }
        let has = |row: usize| word.find(self.words.get(row)).is_some() || word.find(self.addresses.get(row)).is_some();
        for row in wanted.iter().filter(|row| !has(*row)).collect::<smallvec::SmallVec<[usize; 64]>>() {
            wanted.remove(row);
        }
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>()
            + self.keys.capacity() * size_of::<u32>()
            + self.rows.capacity() * size_of::<Row>()
            + self.status.capacity() * size_of::<Status>()
            + self.last_inform.capacity() * size_of::<AtomicI64>()
            + self.words.size()
            + self.addresses.size()
    }

    fn shrink(&mut self) {
        self.keys.shrink_to_fit();
        self.rows.shrink_to_fit();
        self.status.shrink_to_fit();
        self.last_inform.shrink_to_fit();
        self.words.shrink();
    }
}

/// What a device is searched by, its address aside: folded, the fields apart.
fn words(profile: &Profile) -> Vec<u8> {
    let serial = fold(profile.serial_number.as_str());
    let name = fold(&profile.name);
    let mut words = serial.clone().into_bytes();
    words.push(END);
    words.extend_from_slice(fold(&profile.serial_number_alt).as_bytes());
    words.push(END);
    words.extend_from_slice(if name == serial { SAME } else { name.as_bytes() });
    words.push(END);
    words.extend_from_slice(fold(&profile.customer_id).as_bytes());
    for tag in &profile.tags {
        words.push(END);
        words.extend_from_slice(fold(tag).as_bytes());
    }
    words
}

fn nth(words: &[u8], field: usize) -> &[u8] {
    let mut rest = words;
    for _ in 0..field {
        let Some(end) = memchr(END, rest) else { return &[] };
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    let end = memchr(END, rest).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}
