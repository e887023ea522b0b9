//! Where the devices of a campaign stand, in memory: 4 bytes for a device's key and 1 for its place.
//!
//! Of each block of devices it is known how many are in which place, so that who is looked for among a million is found by
//! reading one block: the loop and the API share this under a lock that is held for microseconds.

use std::ops::Range;

use crate::model::campaign::member::{Counts, MemberStatus, Standing};
use crate::model::campaign::{Campaign, Rollout, Tally};
use crate::store::{Page, Store, StoreError};
use crate::types::ident::DeviceKey;

/// Devices of a block.
const BLOCK: usize = 4_096;

/// Where a device stands, as the loop sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Its turn is still to come.
    Pending,
    /// It has had a turn and is to have another, when those before it in its step have had theirs.
    Again,
    /// Being scheduled; takes a slot.
    Starting,
    /// At it; takes a slot.
    Running,
    /// Scheduled, but it has not called in: takes none.
    Aside,
    /// Done.
    Succeeded,
    /// Not done.
    Failed,
    /// Left out.
    Skipped,
}

impl Place {
    const ALL: [Self; 8] = [
        Self::Pending,
        Self::Again,
        Self::Starting,
        Self::Running,
        Self::Aside,
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
    ];

    pub(super) const fn status(self) -> MemberStatus {
        match self {
            Self::Pending | Self::Again => MemberStatus::Pending,
            Self::Starting | Self::Running | Self::Aside => MemberStatus::Running,
            Self::Succeeded => MemberStatus::Succeeded,
            Self::Failed => MemberStatus::Failed,
            Self::Skipped => MemberStatus::Skipped,
        }
    }

    const fn takes_a_slot(self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }
}

impl From<Standing> for Place {
    /// Of one that has a row. Whether one that runs takes a slot is seen when it is looked at.
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Pending => Self::Again,
            Standing::Starting => Self::Starting,
            Standing::Running => Self::Running,
            Standing::Succeeded => Self::Succeeded,
            Standing::Failed => Self::Failed,
            Standing::Skipped => Self::Skipped,
        }
    }
}

/// How many devices of a block are in which place.
#[derive(Debug, Clone, Copy, Default)]
struct Block([u16; Place::ALL.len()]);

impl Block {
    /// The devices of one in which nobody has had a turn.
    fn pending(devices: usize) -> Self {
        let mut block = Self::default();
        *block.of(Place::Pending) = u16::try_from(devices).unwrap_or(u16::MAX);
        block
    }

    fn of(&mut self, place: Place) -> &mut u16 {
        let Self([pending, again, starting, running, aside, succeeded, failed, skipped]) = self;
        match place {
            Place::Pending => pending,
            Place::Again => again,
            Place::Starting => starting,
            Place::Running => running,
            Place::Aside => aside,
            Place::Succeeded => succeeded,
            Place::Failed => failed,
            Place::Skipped => skipped,
        }
    }

    fn among(mut self, is_wanted: impl Fn(Place) -> bool) -> usize {
        Place::ALL.into_iter().filter(|place| is_wanted(*place)).map(|place| usize::from(*self.of(place))).sum()
    }
}

/// All devices of a campaign, in the order of their turns.
#[derive(Debug)]
pub(super) struct Roster {
    keys: Box<[DeviceKey]>,
    places: Box<[Place]>,
    blocks: Box<[Block]>,
    counts: Counts,
    /// Devices that take a slot.
    slots: usize,
    /// Behind the last device of each step.
    ends: Vec<usize>,
    /// Of each step, devices that are not finished.
    open: Vec<usize>,
}

impl Roster {
    /// Of these devices, in the order of their keys; none has had its turn.
    pub(super) fn new(keys: Vec<DeviceKey>, rollout: &Rollout) -> Self {
        let total = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let ends = rollout.ends(keys.len());
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let open = starts.zip(&ends).map(|(start, end)| end.saturating_sub(start)).collect();
        Self {
            places: vec![Place::Pending; keys.len()].into(),
            blocks: keys.chunks(BLOCK).map(|block| Block::pending(block.len())).collect(),
            keys: keys.into(),
            counts: Counts { total, pending: total, ..Counts::default() },
            slots: 0,
            ends,
            open,
        }
    }

    /// Of a campaign that is planned, as the store has it.
    pub(super) async fn load(store: &dyn Store, campaign: &Campaign) -> Result<Self, StoreError> {
        let keys = store.planned_members(campaign.id).await?.unwrap_or_default();
        let mut roster = Self::new(keys, &campaign.rollout);
        for (device, standing) in store.standings(campaign.id).await? {
            if let Some(at) = roster.find(device) {
                roster.put(at, standing.into());
            }
        }
        Ok(roster)
    }

    pub(super) fn key(&self, at: usize) -> Option<DeviceKey> {
        self.keys.get(at).copied()
    }

    pub(super) fn place(&self, at: usize) -> Option<Place> {
        self.places.get(at).copied()
    }

    pub(super) fn find(&self, key: DeviceKey) -> Option<usize> {
        self.keys.binary_search(&key).ok()
    }

    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) const fn tally(&self) -> Tally {
        Tally { succeeded: self.counts.succeeded, failed: self.counts.failed }
    }

    pub(super) const fn slots(&self) -> usize {
        self.slots
    }

    /// Moves a device to another place.
    pub(super) fn put(&mut self, at: usize, place: Place) {
        let step = self.step_at(at);
        let Some(slot) = self.places.get_mut(at) else { return };
        let before = std::mem::replace(slot, place);
        if let Some(block) = self.blocks.get_mut(at / BLOCK) {
            *block.of(before) -= 1;
            *block.of(place) += 1;
        }
        self.counts.take(before.status());
        self.counts.add(place.status());
        self.slots -= usize::from(before.takes_a_slot());
        self.slots += usize::from(place.takes_a_slot());
        if let Some(open) = self.open.get_mut(step) {
            *open -= usize::from(!before.status().is_final());
            *open += usize::from(!place.status().is_final());
        }
    }

    /// The step in which a device has its turn.
    pub(super) fn step_at(&self, at: usize) -> usize {
        self.ends.partition_point(|end| *end <= at)
    }

    /// How many steps there are, the canary included.
    pub(super) fn steps(&self) -> usize {
        self.ends.len()
    }

    /// Whether a step has any device.
    pub(super) fn has_devices(&self, step: usize) -> bool {
        let start = step.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(step).is_some_and(|end| *end > start)
    }

    /// Whether every device of this step and those before it is finished.
    pub(super) fn is_over(&self, step: usize) -> bool {
        self.open.iter().take(step.saturating_add(1)).all(|open| *open == 0)
    }

    /// The next devices to have their turn in this step or one before it, at most `max`: those that had none first.
    pub(super) fn next(&self, step: usize, max: usize) -> Vec<usize> {
        let end = self.ends.get(step).copied().unwrap_or(self.keys.len());
        let pending = self.positions(0..end, |place| place == Place::Pending);
        let again = self.positions(0..end, |place| place == Place::Again);
        pending.chain(again).take(max).collect()
    }

    /// Devices in one of these places from `from` on, at most `max`.
    pub(super) fn among(&self, places: &[Place], from: usize, max: usize) -> Vec<usize> {
        self.positions(from..self.keys.len(), |place| places.contains(&place)).take(max).collect()
    }

    /// Where in a part of the list devices in wanted places are.
    fn positions<'r>(
        &'r self,
        part: Range<usize>,
        is_wanted: impl Fn(Place) -> bool + Copy + 'r,
    ) -> impl Iterator<Item = usize> + 'r {
        let blocks = self.blocks.iter().enumerate().map(|(at, block)| (at * BLOCK, block));
        let touched = blocks.skip(part.start / BLOCK).take_while(move |(start, _)| *start < part.end);
        touched.filter(move |(_, block)| block.among(is_wanted) > 0).flat_map(move |(start, _)| {
            let here = start.max(part.start)..(start + BLOCK).min(part.end);
            let places = here.clone().zip(self.places.get(here).unwrap_or_default());
            places.filter(move |(_, place)| is_wanted(**place)).map(|(at, _)| at)
        })
    }

    /// One page with the step of each, and how many match in all.
    pub(super) fn page(&self, status: Option<MemberStatus>, page: Page) -> (Vec<(DeviceKey, u32)>, u64) {
        let is_wanted = move |place: Place| status.is_none_or(|one| one == place.status());
        let mut counts = self.counts;
        let count = u64::from(status.map_or(counts.total, |status| *counts.of(status)));
        let mut ahead = usize::try_from(page.offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let mut from = 0;
        for block in &self.blocks {
            let here = block.among(is_wanted);
            if here > ahead {
                break;
            }
            ahead -= here;
            from += BLOCK;
        }
        let found = self.positions(from..self.keys.len(), is_wanted).skip(ahead).take(limit).filter_map(|at| {
            let step = u32::try_from(self.step_at(at)).unwrap_or(u32::MAX);
            Some((self.key(at)?, step))
        });
        (found.collect(), count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn roster(total: u32, canary: u32, steps: &[u8]) -> Roster {
        let keys = (1..=total).map(|key| DeviceKey(key * 3)).collect();
        Roster::new(keys, &Rollout { canary, steps: steps.to_vec() })
    }

    #[test]
    fn a_device_takes_five_bytes() {
        assert_eq!(size_of::<DeviceKey>() + size_of::<Place>(), 5);
    }

    #[test]
    fn turns_come_in_order_and_second_ones_behind_the_first() {
        let mut roster = roster(10, 2, &[50, 100]);
        assert_eq!(roster.next(0, 5), [0, 1], "the canary");
        roster.put(0, Place::Again);
        roster.put(1, Place::Succeeded);
        assert_eq!(roster.next(0, 5), [0]);
        assert!(!roster.is_over(0));
        roster.put(0, Place::Failed);
        assert!(roster.is_over(0) && !roster.is_over(1));
        assert_eq!(roster.next(1, 5), [2, 3, 4]);
        roster.put(2, Place::Again);
        assert_eq!(roster.next(1, 2), [3, 4]);
        assert_eq!(roster.next(1, 9), [3, 4, 2]);
        assert_eq!(roster.next(2, 9), [3, 4, 5, 6, 7, 8, 9, 2]);
        assert_eq!((roster.step_at(1), roster.step_at(4), roster.step_at(9)), (0, 1, 2));
        let (page, count) = roster.page(Some(MemberStatus::Pending), Page { offset: 1, limit: 2 });
        assert_eq!((page, count), (vec![(DeviceKey(12), 1), (DeviceKey(15), 1)], 8));
    }

    fn place() -> impl Strategy<Value = Place> {
        use Place::{Again, Aside, Failed, Pending, Running, Skipped, Starting, Succeeded};
        prop::sample::select(vec![Pending, Again, Starting, Running, Aside, Succeeded, Failed, Skipped])
    }

    #[test]
    fn blocks_show_what_a_walk_over_all_shows() {
        let total = 3 * BLOCK + 17;
        let mut roster = roster(u32::try_from(total).expect("few"), 0, &[100]);
        let mut plain = vec![Place::Pending; total];
        // Runs longer than a block, and single ones at the edges of blocks.
        for (part, place) in [
            (0..BLOCK + 3, Place::Succeeded),
            (2 * BLOCK - 1..2 * BLOCK, Place::Failed),
            (2 * BLOCK..3 * BLOCK, Place::Succeeded),
            (2 * BLOCK + 5..2 * BLOCK + 6, Place::Failed),
            (total - 1..total, Place::Failed),
        ] {
            for at in part {
                roster.put(at, place);
                plain[at] = place;
            }
        }
        for status in MemberStatus::ALL {
            let all: Vec<usize> = (0..total).filter(|at| plain[*at].status() == status).collect();
            for offset in [0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 2, BLOCK + 3, 2 * BLOCK, total, usize::MAX] {
                let page = Page { offset: u64::try_from(offset).expect("wide"), limit: 3 };
                let (found, count) = roster.page(Some(status), page);
                let want: Vec<_> = all.iter().skip(offset).take(3).filter_map(|at| roster.key(*at)).collect();
                assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), want, "{status:?} from {offset}");
                assert_eq!(count, u64::try_from(all.len()).expect("wide"), "{status:?}");
            }
        }
        assert_eq!(roster.among(&[Place::Failed], 0, 9), [2 * BLOCK - 1, 2 * BLOCK + 5, total - 1]);
        assert_eq!(roster.among(&[Place::Failed], 2 * BLOCK + 6, 9), [total - 1]);
        assert_eq!(roster.next(0, 2), [BLOCK + 3, BLOCK + 4]);
    }

    proptest! {
        #[test]
        fn figures_are_what_a_count_finds(moves in prop::collection::vec((0_usize..12, place()), 0..60), step in 0_usize..3, max in 0_usize..4) {
            let mut roster = roster(12, 2, &[50, 100]);
            let mut plain = [Place::Pending; 12];
            for (at, place) in moves {
                roster.put(at, place);
                plain[at] = place;
                let having = |wanted: MemberStatus| u32::try_from(plain.iter().filter(|one| one.status() == wanted).count());
                for status in MemberStatus::ALL {
                    prop_assert_eq!(*roster.counts().of(status), having(status).expect("few"));
                }
                prop_assert_eq!(roster.slots(), plain.iter().filter(|one| one.takes_a_slot()).count());
                let end = [2, 6, 12][step];
                prop_assert_eq!(roster.is_over(step), plain[..end].iter().all(|one| one.status().is_final()));
                let all = |wanted: Place| (0..end).filter(move |at| plain[*at] == wanted);
                let want: Vec<usize> = all(Place::Pending).chain(all(Place::Again)).take(max).collect();
                prop_assert_eq!(roster.next(step, max), want);
            }
        }
    }
}
