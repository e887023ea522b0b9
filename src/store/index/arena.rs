//! Many short texts in one piece of memory, so that a search runs straight through all of them.

use memchr::memmem::Finder;

use super::segment::{Bits, ROWS};

/// Ends every text. No text has it inside: it is no byte of UTF-8.
pub(super) const END: u8 = 0xff;

/// Texts by their row.
#[derive(Debug, Clone, Default)]
pub(super) struct Arena {
    bytes: Vec<u8>,
    /// Where each row begins.
    starts: Vec<u32>,
}

impl Arena {
    /// Puts in a row before the one that is at `row` now.
    pub(super) fn insert(&mut self, row: usize, text: &[u8]) {
        let at = self.starts.get(row).map_or(self.bytes.len(), |start| widen(*start));
        self.splice(at, 0, text.len() + 1);
        self.fill(at, text);
        self.starts.insert(row, narrow(at));
        self.shift(row + 1, 0, text.len() + 1);
    }

    /// Replaces a row.
    pub(super) fn set(&mut self, row: usize, text: &[u8]) {
        let Some((at, end)) = self.bounds(row) else { return };
        self.splice(at, end - at, text.len() + 1);
        self.fill(at, text);
        self.shift(row + 1, end - at, text.len() + 1);
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, row: usize) {
        let Some((at, end)) = self.bounds(row) else { return };
        self.splice(at, end - at, 0);
        self.starts.remove(row);
        self.shift(row, end - at, 0);
    }

    /// A row's text.
    pub(super) fn get(&self, row: usize) -> &[u8] {
        self.bounds(row).and_then(|(at, end)| self.bytes.get(at..end - 1)).unwrap_or_default()
    }

    /// Gives back what is spare.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.starts.shrink_to_fit();
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        self.bytes.capacity() + self.starts.capacity() * size_of::<u32>()
    }

    /// Marks the rows that have the word.
    pub(super) fn find(&self, word: &Finder<'_>, found: &mut Bits) {
        let (mut from, mut row) = (0, 0);
        while let Some(at) = self.bytes.get(from..).and_then(|rest| word.find(rest)) {
            let hit = narrow(from + at);
            let rest = self.starts.get(row..).unwrap_or_default();
            // Hits ascend, mostly by a few rows.
            let step = match rest.iter().take(8).position(|start| *start > hit) {
                Some(step) => step,
                None => rest.partition_point(|start| *start <= hit),
            };
            row += step;
            found.insert(row - 1);
            match self.starts.get(row) {
                Some(next) => from = widen(*next),
                None => return,
            }
        }
    }

    fn bounds(&self, row: usize) -> Option<(usize, usize)> {
        let at = widen(*self.starts.get(row)?);
        let end = self.starts.get(row + 1).map_or(self.bytes.len(), |start| widen(*start));
        Some((at, end))
    }

    /// Makes the `before` bytes at `at` into `now` bytes. Grows by little: most arenas are full, and there are many.
    fn splice(&mut self, at: usize, before: usize, now: usize) {
        let length = self.bytes.len();
        if now > before {
            let more = now - before;
            if self.bytes.capacity() < length + more {
                let spare = if self.starts.len() < ROWS { length / 2 } else { length / 16 };
                self.bytes.reserve_exact(more + spare);
            }
            self.bytes.resize(length + more, 0);
        }
        self.bytes.copy_within(at + before..length, at + now);
        self.bytes.truncate(length + now - before);
    }

    fn fill(&mut self, at: usize, text: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + text.len()) {
            place.copy_from_slice(text);
        }
        if let Some(end) = self.bytes.get_mut(at + text.len()) {
            *end = END;
        }
    }

    fn shift(&mut self, row: usize, before: usize, now: usize) {
        let change = narrow(now).wrapping_sub(narrow(before));
        for start in self.starts.get_mut(row..).unwrap_or_default() {
            *start = start.wrapping_add(change);
        }
    }
}

/// An arena is far smaller than 4 GiB: its rows are few and their texts bounded.
fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn widen(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Change {
        Insert(usize, String),
        Set(usize, String),
        Remove(usize),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (0..9_usize, "[ab]{0,5}").prop_map(|(row, text)| Change::Insert(row, text)),
            (0..9_usize, "[ab]{0,5}").prop_map(|(row, text)| Change::Set(row, text)),
            (0..9_usize).prop_map(Change::Remove),
        ]
    }

    proptest! {
        #[test]
        fn it_holds_what_a_list_of_strings_would(changes in proptest::collection::vec(change(), 0..40)) {
            let (mut arena, mut plain) = (Arena::default(), Vec::<String>::new());
            for change in changes {
                match change {
                    Change::Insert(row, text) if row <= plain.len() => {
                        arena.insert(row, text.as_bytes());
                        plain.insert(row, text);
                    }
                    Change::Set(row, text) if row < plain.len() => {
                        arena.set(row, text.as_bytes());
                        plain[row] = text;
                    }
                    Change::Remove(row) if row < plain.len() => {
                        arena.remove(row);
                        plain.remove(row);
                    }
                    _ => {}
                }
            }
            for (row, text) in plain.iter().enumerate() {
                prop_assert_eq!(arena.get(row), text.as_bytes());
            }
            for word in ["a", "ab", "bba"] {
                let mut found = Bits::default();
                arena.find(&Finder::new(word), &mut found);
                let want: Vec<usize> = (0..plain.len()).filter(|row| plain[*row].contains(word)).collect();
                prop_assert_eq!(found.iter().collect::<Vec<_>>(), want);
            }
        }
    }
}
