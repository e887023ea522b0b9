//! The names that are known of a subtree, close together: a discovery has them at hand for as long as it walks.

/// Names in the order of paths, one after the other in one text: 4 bytes each besides their characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownNames {
    text: String,
    /// Where each of them ends.
    ends: Vec<u32>,
}

impl KnownNames {
    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self { text: String::new(), ends: Vec::new() }
    }

    /// Of names in the order of paths. More than 4 GiB of them are not kept.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut known = Self::none();
        for name in names {
            let Ok(end) = u32::try_from(known.text.len().saturating_add(name.len())) else { break };
            known.text.push_str(name);
            known.ends.push(end);
        }
        known.text.shrink_to_fit();
        known.ends.shrink_to_fit();
        known
    }

    /// What they take in memory, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// The names below an object, itself left out.
    pub(super) fn below<'s>(&'s self, object: &'s str) -> impl Iterator<Item = &'s str> {
        let from = self.first_after(object);
        (from..self.ends.len()).map_while(|at| self.name(at)).take_while(move |name| name.starts_with(object))
    }

    /// Which is the first that comes after this one.
    fn first_after(&self, object: &str) -> usize {
        let (mut from, mut to) = (0, self.ends.len());
        while from < to {
            let middle = usize::midpoint(from, to);
            if self.name(middle).is_some_and(|name| name <= object) { from = middle + 1 } else { to = middle }
        }
        from
    }

    fn name(&self, at: usize) -> Option<&str> {
        let end = |at: usize| self.ends.get(at).and_then(|end| usize::try_from(*end).ok());
        let begin = if at == 0 { 0 } else { end(at - 1)? };
        self.text.get(begin..end(at)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_below_their_objects() {
        let names = ["D.", "D.A.", "D.A.1", "D.A.1.B", "D.AB", "D.B.X"];
        let known = KnownNames::of(names);
        let below = |object| known.below(object).collect::<Vec<_>>();
        assert_eq!(below("D."), names[1..]);
        assert_eq!(below("D.A."), ["D.A.1", "D.A.1.B"]);
        assert_eq!(below("D.B."), ["D.B.X"]);
        assert_eq!(below("D.A.9."), [""; 0]);
        assert_eq!(below("E."), [""; 0]);
        assert_eq!(KnownNames::none().below("D.").count(), 0);
    }

    #[test]
    fn a_large_tree_takes_little_more_than_its_characters() {
        let names: Vec<String> =
            (0..20_000).map(|n| format!("Device.WiFi.AccessPoint.{n:05}.AssociatedDevice.Stats.Bytes")).collect();
        let characters: usize = names.iter().map(String::len).sum();
        let known = KnownNames::of(names.iter().map(String::as_str));
        assert!(known.bytes() <= characters + 20_000 * 4, "{}", known.bytes());
        assert_eq!(known.below("Device.").count(), 20_000);
    }
}
