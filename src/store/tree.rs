//! The rules of a device's known parameter tree, without I/O. A tree is a list in path order.

use crate::model::device::{Observed, Parameter, ParameterPatch, TreePatch};
use crate::types::time::Timestamp;

use super::{Listing, Page, ParameterQuery};

/// Applies what was learned, in path order whatever the order of the patch.
pub(super) fn apply(tree: Vec<Parameter>, patch: TreePatch, at: Timestamp) -> Vec<Parameter> {
    let forget = Forgotten::new(patch.forget);
    let mut learn = patch.learn;
    learn.retain(|one| !one.path.is_empty());
    learn.sort_by(|a, b| a.path.cmp(&b.path));
    let mut merged = Vec::with_capacity(tree.len() + learn.len());
    let mut known = tree.into_iter().filter(|parameter| !forget.holds(&parameter.path)).peekable();
    for one in learn {
        while let Some(earlier) = known.next_if(|parameter| parameter.path < one.path) {
            merged.push(earlier);
        }
        if let Some(same) = known.next_if(|parameter| parameter.path == one.path) {
            merged.push(same);
        }
        match merged.last_mut() {
            Some(same) if same.path == one.path => learn_one(same, one, at),
            Some(_) | None => {
                let mut fresh = Parameter {
                    path: one.path.clone(),
                    value: None,
                    ty: None,
                    writable: None,
                    notification: None,
                    updated_at: at,
                };
                learn_one(&mut fresh, one, at);
                merged.push(fresh);
            }
        }
    }
    merged.extend(known);
    merged
}

fn learn_one(parameter: &mut Parameter, patch: ParameterPatch, at: Timestamp) {
    if let Some((value, ty)) = patch.value {
        parameter.value = Some(value);
        parameter.ty = Some(ty);
    }
    parameter.writable = patch.writable.or(parameter.writable);
    parameter.notification = patch.notification.or(parameter.notification);
    parameter.updated_at = at;
}

/// Subtrees to forget, none inside another.
struct Forgotten(Vec<Box<str>>);

impl Forgotten {
    fn new(mut paths: Vec<Box<str>>) -> Self {
        paths.sort_unstable();
        let mut outer: Vec<Box<str>> = Vec::with_capacity(paths.len());
        for path in paths {
            if !outer.last().is_some_and(|last| holds(last, &path)) {
                outer.push(path);
            }
        }
        Self(outer)
    }

    fn holds(&self, path: &str) -> bool {
        // The last one that is not after `path` is the only one that can hold it, for none lies inside another.
        let after = self.0.partition_point(|one| **one <= *path);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|one| holds(one, path))
    }
}

/// Whether `path` is `subtree` or lies in it; a leaf holds itself alone, an empty path everything.
fn holds(subtree: &str, path: &str) -> bool {
    path == subtree || ((subtree.is_empty() || subtree.ends_with('.')) && path.starts_with(subtree))
}

/// Lets the hot record's values follow what was learned elsewhere; `false`: it held nothing of it.
///
/// Without that an older value would be laid over a newer one, because a value that the device repeats unchanged keeps
/// the time at which it was first seen.
pub(super) fn follow(observed: &mut Vec<Observed>, patch: &TreePatch, at: Timestamp) -> bool {
    let before = observed.len();
    if !patch.forget.is_empty() && before > 0 {
        let forget = Forgotten::new(patch.forget.clone());
        observed.retain(|one| !forget.holds(&one.path));
    }
    let mut changed = observed.len() != before;
    for one in observed.iter_mut() {
        let fresh = patch.learn.iter().rev().find(|learned| learned.path == one.path && learned.value.is_some());
        if let Some((value, ty)) = fresh.and_then(|learned| learned.value.as_ref())
            && (*value != one.value || *ty != one.ty)
        {
            one.value = value.clone();
            one.ty = *ty;
            one.at = at;
            changed = true;
        }
    }
    changed
}

/// Lays what the last Informs reported over the tree.
pub(super) fn overlay(mut tree: Vec<Parameter>, observed: Vec<Observed>) -> Vec<Parameter> {
    let known = tree.len();
    for one in observed {
        let found = tree.get(..known).and_then(|sorted| sorted.binary_search_by(|p| p.path.cmp(&one.path)).ok());
        match found.and_then(|at| tree.get_mut(at)) {
            Some(parameter) => {
                parameter.value = Some(one.value);
                parameter.ty = Some(one.ty);
                parameter.updated_at = parameter.updated_at.max(one.at);
            }
            None => tree.push(Parameter {
                path: one.path,
                value: Some(one.value),
                ty: Some(one.ty),
                writable: None,
                notification: None,
                updated_at: one.at,
            }),
        }
    }
    if tree.len() != known {
        tree.sort_by(|a, b| a.path.cmp(&b.path));
    }
    tree
}

/// The part of a tree that was asked for.
pub(super) fn select(tree: Vec<Parameter>, query: ParameterQuery<'_>, page: Page) -> Listing<Parameter> {
    let needle = query.search.to_lowercase();
    let found = |text: &str| text.to_lowercase().contains(&needle);
    let mut items = Vec::new();
    let mut count = 0_u64;
    for parameter in tree {
        let hit = parameter.path.starts_with(query.prefix)
            && (needle.is_empty() || found(&parameter.path) || parameter.value.as_deref().is_some_and(found));
        if hit {
            if count >= page.offset && items.len() < usize::try_from(page.limit).unwrap_or(usize::MAX) {
                items.push(parameter);
            }
            count += 1;
        }
    }
    Listing { items, count }
}

/// What is known of exactly these paths, in their order.
pub(super) fn pick(tree: &[Parameter], paths: &[&str]) -> Vec<Option<Parameter>> {
    paths
        .iter()
        .map(|path| tree.binary_search_by(|parameter| (*parameter.path).cmp(path)).ok().and_then(|at| tree.get(at)))
        .map(Option::<&Parameter>::cloned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::value::XsdType;

    fn learn(paths: &[(&str, &str)]) -> TreePatch {
        let learn = paths
            .iter()
            .map(|(path, value)| ParameterPatch {
                path: (*path).into(),
                value: Some(((*value).into(), XsdType::String)),
                writable: None,
                notification: None,
            })
            .collect();
        TreePatch { forget: Vec::new(), learn }
    }

    fn paths(tree: &[Parameter]) -> Vec<&str> {
        tree.iter().map(|parameter| &*parameter.path).collect()
    }

    #[test]
    fn patches_merge_in_path_order_and_the_last_value_wins() {
        let tree = apply(Vec::new(), learn(&[("D.B", "1"), ("D.A", "2"), ("D.B", "3")]), Timestamp(1));
        assert_eq!(paths(&tree), ["D.A", "D.B"]);
        assert_eq!(tree.last().and_then(|last| last.value.as_deref()), Some("3"));
        let tree = apply(tree, learn(&[("D.AA", "4"), ("D.C", "5"), ("D.A", "6")]), Timestamp(2));
        assert_eq!(paths(&tree), ["D.A", "D.AA", "D.B", "D.C"]);
        let times: Vec<_> = tree.iter().map(|parameter| parameter.updated_at.0).collect();
        assert_eq!(times, [2, 2, 1, 2]);
    }

    #[test]
    fn forgetting_takes_whole_subtrees_and_single_leaves() {
        let all = [("D.T.1.A", ""), ("D.T.10.A", ""), ("D.T.2.A", ""), ("D.T.2.B", ""), ("D.TX", "")];
        let table: [(&[&str], &[&str]); 4] = [
            (&["D.T.1."], &["D.T.10.A", "D.T.2.A", "D.T.2.B", "D.TX"]),
            (&["D.T.2.A", "D.T.2.", "D.T.2.B"], &["D.T.1.A", "D.T.10.A", "D.TX"]),
            (&["D.T"], &["D.T.1.A", "D.T.10.A", "D.T.2.A", "D.T.2.B", "D.TX"]),
            (&["", "D.TX"], &[]),
        ];
        for (forget, left) in table {
            let tree = apply(Vec::new(), learn(&all), Timestamp(1));
            let patch = TreePatch { forget: forget.iter().map(|path| (*path).into()).collect(), learn: Vec::new() };
            assert_eq!(paths(&apply(tree, patch, Timestamp(2))), left, "{forget:?}");
        }
    }
}
