//! What a device lists below an object, made sense of.

use std::collections::{BTreeMap, BTreeSet};

use crate::cwmp::message::acs::ParameterNames;
use crate::model::device::{ParameterPatch, TreePatch};
use crate::types::path::{ObjectPath, ParameterPath};

/// The names below one object: each once, in the order of paths.
#[derive(Debug)]
pub(super) struct Listing {
    object: Box<str>,
    /// Full paths, and whether they are writable.
    names: BTreeMap<Box<str>, bool>,
    /// Objects that names lie in, listed or not, and the object itself.
    objects: BTreeSet<Box<str>>,
}

impl Listing {
    /// Of an answer. What is no path, or not below the object, is left out (quirk 20).
    pub(super) fn of(object: &str, answer: &ParameterNames<'_>) -> Self {
        let mut listing =
            Self { object: object.into(), names: BTreeMap::new(), objects: BTreeSet::from([object.into()]) };
        for info in &answer.parameters {
            let name = info.name.trim();
            let is_path = if name.ends_with('.') {
                ObjectPath::try_from(name).is_ok()
            } else {
                ParameterPath::try_from(name).is_ok()
            };
            let Some(rest) = name.strip_prefix(object).filter(|rest| is_path && !rest.is_empty()) else { continue };
            // The first one counts.
            listing.names.entry(name.into()).or_insert(info.writable);
            for (dot, _) in rest.match_indices('.') {
                if let Some(above) = name.get(..=object.len() + dot) {
                    listing.objects.insert(above.into());
                }
            }
        }
        listing
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many names it has.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.names.len()).unwrap_or(u32::MAX)
    }

    /// Whether it has more than children: some devices ignore `NextLevel`.
    pub(super) fn is_deep(&self) -> bool {
        self.names.keys().any(|name| self.child_of(name).len() < name.len())
    }

    /// Whether it has objects and nothing in any of them: some devices list one level whatever they are asked.
    pub(super) fn is_one_level(&self) -> bool {
        !self.is_deep() && self.children().next().is_some()
    }

    /// The objects directly below.
    pub(super) fn children(&self) -> impl DoubleEndedIterator<Item = &str> {
        let direct = |name: &&str| **name != *self.object && self.child_of(name).len() == name.len();
        self.objects.iter().map(|name| &**name).filter(direct)
    }

    /// Whether a known name is still there, as far as the answer tells: of a level only by its first segment.
    pub(super) fn has(&self, known: &str, whole: bool) -> bool {
        let shown = if whole { known } else { self.child_of(known) };
        self.names.contains_key(shown) || self.objects.contains(shown)
    }

    /// The outermost part of a known name that is not there any more.
    pub(super) fn unlisted<'n>(&self, known: &'n str, whole: bool) -> &'n str {
        if !whole {
            return self.child_of(known);
        }
        let from = self.object.len();
        let objects = known.match_indices('.').filter(|(dot, _)| *dot >= from);
        let mut above = objects.filter_map(|(dot, _)| known.get(..=dot));
        above.find(|object| !self.objects.contains(*object)).unwrap_or(known)
    }

    /// Takes the names into the known tree.
    pub(super) fn learn(&self, learned: &mut TreePatch) {
        learned.learn.extend(self.names.iter().map(|(path, writable)| ParameterPatch {
            path: path.clone(),
            value: None,
            writable: Some(*writable),
            notification: None,
        }));
    }

    /// The child of the object that a name below it is, or lies in.
    fn child_of<'n>(&self, name: &'n str) -> &'n str {
        let rest = name.get(self.object.len()..).unwrap_or_default();
        match rest.find('.') {
            Some(dot) => name.get(..=self.object.len() + dot).unwrap_or(name),
            None => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cwmp::message::acs::ParameterInfoStruct;

    fn listing(names: &[&str]) -> Listing {
        let info = |name: &&str| ParameterInfoStruct { name: (*name).to_owned().into(), writable: true };
        Listing::of("D.W.", &ParameterNames { parameters: names.iter().map(info).collect() })
    }

    #[test]
    fn odd_names_are_left_out_and_each_counts_once() {
        let odd = ["D.W.", "D.", "", "D.W..X", "D.W. A", "E.W.A", "D.W.A", " D.W.A ", "D.W.B.", "D.W.B."];
        let listing = listing(&odd);
        assert_eq!(listing.count(), 2);
        assert_eq!(listing.children().collect::<Vec<_>>(), ["D.W.B."]);
        assert!(!listing.is_deep() && listing.is_one_level());
    }

    #[test]
    fn what_is_gone_goes_with_all_that_is_below() {
        let level = listing(&["D.W.A", "D.W.B."]);
        assert!(level.has("D.W.A", false) && level.has("D.W.B.C.D", false) && !level.has("D.W.E.F", false));
        assert_eq!(level.unlisted("D.W.E.F", false), "D.W.E.");
        assert_eq!(level.unlisted("D.W.G", false), "D.W.G");
        let deep = listing(&["D.W.B.1.C", "D.W.B.1.D."]);
        assert!(deep.is_deep());
        assert!(deep.has("D.W.B.", true) && deep.has("D.W.B.1.D.", true) && !deep.has("D.W.B.2.C", true));
        assert_eq!(deep.unlisted("D.W.B.2.C", true), "D.W.B.2.");
        assert_eq!(deep.unlisted("D.W.B.1.X", true), "D.W.B.1.X");
    }
}
