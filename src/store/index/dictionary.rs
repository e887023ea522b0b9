//! Texts that many devices share, by small numbers: software versions, manufacturers.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

/// Which devices have which text. A text that no device has any more is forgotten and its number used again.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    codes: HashMap<Arc<str>, u32>,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    text: Arc<str>,
    devices: RoaringBitmap,
}

/// The number of the empty text, of which no list is kept.
pub(super) const NOTHING: u32 = u32::MAX;

impl Dictionary {
    /// The text of a number.
    pub(super) fn text(&self, code: u32) -> &str {
        self.entry(code).map_or("", |entry| &entry.text)
    }

    /// Moves a device to another text; the number of that.
    pub(super) fn replace(&mut self, device: u32, before: u32, text: &str) -> u32 {
        if self.text(before) == text {
            return before;
        }
        self.remove(device, before);
        if text.is_empty() {
            return NOTHING;
        }
        let code = match self.codes.get(text) {
            Some(code) => *code,
            None => self.add(text),
        };
        if let Some(Some(entry)) = self.entries.get_mut(place(code)) {
            entry.devices.insert(device);
        }
        code
    }

    /// Takes a device out.
    pub(super) fn remove(&mut self, device: u32, code: u32) {
        let Some(slot) = self.entries.get_mut(place(code)) else { return };
        let Some(entry) = slot else { return };
        entry.devices.remove(device);
        if entry.devices.is_empty() {
            self.codes.remove(&entry.text);
            *slot = None;
            self.free.push(code);
        }
    }

    /// The devices that have this text.
    pub(super) fn devices(&self, text: &str) -> Option<&RoaringBitmap> {
        self.entry(*self.codes.get(text)?).map(|entry| &entry.devices)
    }

    /// The texts by their numbers, for an ordering that is made when no lock is held any more.
    pub(super) fn texts(&self) -> Vec<Option<Arc<str>>> {
        self.entries.iter().map(|entry| entry.as_ref().map(|entry| Arc::clone(&entry.text))).collect()
    }

    fn entry(&self, code: u32) -> Option<&Entry> {
        self.entries.get(place(code))?.as_ref()
    }

    fn add(&mut self, text: &str) -> u32 {
        let text: Arc<str> = text.into();
        let entry = Some(Entry { text: Arc::clone(&text), devices: RoaringBitmap::new() });
        let code = match self.free.pop() {
            Some(code) => {
                if let Some(slot) = self.entries.get_mut(place(code)) {
                    *slot = entry;
                }
                code
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).unwrap_or(NOTHING)
            }
        };
        self.codes.insert(text, code);
        code
    }
}

fn place(code: u32) -> usize {
    usize::try_from(code).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again_when_nobody_has_the_text() {
        let mut dictionary = Dictionary::default();
        let one = dictionary.replace(1, NOTHING, "1.0");
        assert_eq!(dictionary.replace(2, NOTHING, "1.0"), one);
        let two = dictionary.replace(1, one, "2.0");
        assert_ne!(one, two);
        assert_eq!(dictionary.devices("1.0").map(RoaringBitmap::len), Some(1));
        assert_eq!(dictionary.replace(2, one, ""), NOTHING);
        assert!(dictionary.devices("1.0").is_none());
        assert_eq!(dictionary.replace(2, NOTHING, "3.0"), one);
        assert_eq!((dictionary.text(one), dictionary.text(two), dictionary.text(NOTHING)), ("3.0", "2.0", ""));
        assert_eq!(dictionary.texts().len(), 2);
    }
}
