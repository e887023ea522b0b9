//! Organizations form trees: what is said of one holds for those below it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::device::OrganizationId;
use super::inventory::Organization;

/// All organizations, by number.
pub type Organizations = BTreeMap<u32, Arc<Organization>>;

/// These organizations and all below them, in the order of their numbers, each once.
#[must_use]
pub fn covered(all: &Organizations, roots: &[OrganizationId]) -> Vec<OrganizationId> {
    let mut children: HashMap<OrganizationId, Vec<OrganizationId>> = HashMap::new();
    for organization in all.values() {
        if let Some(parent) = organization.parent {
            children.entry(parent).or_default().push(organization.id);
        }
    }
    let mut found = Vec::new();
    let mut next = roots.to_vec();
    while let Some(one) = next.pop() {
        found.push(one);
        // Taken out, so that each is gone through once whatever the tree looks like.
        next.extend(children.remove(&one).unwrap_or_default());
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether an organization is `top` or lies below it.
#[must_use]
pub fn lies_within(all: &Organizations, organization: OrganizationId, top: OrganizationId) -> bool {
    let mut at = Some(organization);
    for _ in 0..=all.len() {
        match at {
            Some(one) if one == top => return true,
            Some(one) => at = all.get(&one.0).and_then(|record| record.parent),
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::time::Timestamp;

    fn entries(parents: &[(u32, Option<u32>)]) -> Organizations {
        let record = |(id, parent): &(u32, Option<u32>)| {
            let id = OrganizationId(*id);
            let parent = parent.map(OrganizationId);
            (id.0, Arc::new(Organization { id, parent, ..Organization::first(Timestamp(0)) }))
        };
        parents.iter().map(record).collect()
    }

    #[test]
    fn a_parent_covers_all_below_it() {
        let all = entries(&[(1, None), (2, Some(1)), (3, Some(2)), (4, None), (5, Some(4))]);
        let table: [(&[u32], &[u32]); 5] =
            [(&[1], &[1, 2, 3]), (&[3], &[3]), (&[2, 1], &[1, 2, 3]), (&[9], &[9]), (&[], &[])];
        for (roots, want) in table {
            let roots: Vec<_> = roots.iter().copied().map(OrganizationId).collect();
            let ids: Vec<u32> = covered(&all, &roots).into_iter().map(|one| one.0).collect();
            assert_eq!(ids, want, "{roots:?}");
        }
        let within = |one, top| lies_within(&all, OrganizationId(one), OrganizationId(top));
        assert!(within(3, 1) && within(3, 3) && !within(1, 3) && !within(5, 1) && !within(9, 1));
    }

    #[test]
    fn a_broken_tree_is_gone_through_once() {
        let all = entries(&[(1, Some(2)), (2, Some(1))]);
        assert_eq!(covered(&all, &[OrganizationId(1)]).len(), 2);
        assert!(!lies_within(&all, OrganizationId(1), OrganizationId(9)));
    }
}
