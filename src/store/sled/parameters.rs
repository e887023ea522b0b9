//! Known parameter trees: one compressed record per device.

use std::sync::Arc;

use memchr::memmem;

use crate::model::device::{Parameter, State, TreePatch};
use crate::store::key::{self, Table};
use crate::store::{Listing, Page, ParameterQuery, StoreError, record, tree};
use crate::types::ident::DeviceKey;
use crate::types::time::Timestamp;

use super::{Core, blocking};

/// A stored tree larger than this, or a patch with more entries than [`INLINE_ENTRIES`], is worked on where it may block:
/// packing takes some 50 µs per 1,000 parameters and unpacking a third of that, so this bounds a stall to about 0.2 ms.
const INLINE_BYTES: usize = 16 << 10;
const INLINE_ENTRIES: usize = 500;
/// A hot record is not searched for more paths than these: to decode it is then cheaper.
const SCANNED_ENTRIES: usize = 16;

impl Core {
    /// Applies a patch to the tree alone. Gives it back when what is stored has more than `limit` bytes.
    fn patch_tree(
        &self,
        key: DeviceKey,
        patch: TreePatch,
        at: Timestamp,
        limit: usize,
    ) -> Result<Option<TreePatch>, StoreError> {
        let _tree = self.tree_locks.lock(key);
        if !self.exists(key) {
            return Ok(None);
        }
        let place = key::device(key);
        let forgets_all = patch.forget.iter().any(|path| path.is_empty());
        let stored = self.database.get(Table::Parameters, &place)?;
        if stored.as_ref().is_some_and(|bytes| bytes.len() > limit) {
            return Ok(Some(patch));
        }
        let known = match stored.as_deref() {
            Some(bytes) if !forgets_all => record::decode_tree(bytes, |_| true)?,
            Some(_) | None => Vec::new(),
        };
        if stored.is_none() && patch.learn.is_empty() {
            return Ok(None);
        }
        let tree = tree::apply(known, patch, at);
        self.database.put(Table::Parameters, &place, &record::encode_tree(&tree)?)?;
        Ok(None)
    }

    /// Lets the hot record follow what was learned elsewhere.
    fn follow(&self, key: DeviceKey, patch: &TreePatch, at: Timestamp) -> Result<(), StoreError> {
        let _stripe = self.stripes.lock(key);
        let Some(bytes) = self.database.get(Table::Devices, &key::device(key))? else { return Ok(()) };
        if !concerns(&bytes, patch)? {
            return Ok(());
        }
        let mut state: State = record::decode("device state", &bytes)?;
        if tree::follow(&mut state.observed, patch, at) {
            self.put_state(key, &state, 512)?;
        }
        Ok(())
    }

    fn is_large(&self, key: DeviceKey) -> Result<bool, StoreError> {
        Ok(self.database.size(Table::Parameters, &key::device(key))? > INLINE_BYTES)
    }

    /// Those parameters whose path is wanted, the last Informs' values laid over the tree.
    fn known_tree(&self, key: DeviceKey, wanted: impl Fn(&str) -> bool) -> Result<Vec<Parameter>, StoreError> {
        let stored = {
            let _tree = self.tree_locks.lock(key);
            self.database.get(Table::Parameters, &key::device(key))?
        };
        let tree = match stored {
            Some(bytes) => record::decode_tree(&bytes, &wanted)?,
            None => Vec::new(),
        };
        let mut observed = self.state(key)?.map(|state| state.observed).unwrap_or_default();
        observed.retain(|one| wanted(&one.path));
        Ok(tree::overlay(tree, observed))
    }

    fn select_parameters(
        &self,
        key: DeviceKey,
        query: ParameterQuery<'_>,
        page: Page,
    ) -> Result<Listing<Parameter>, StoreError> {
        let found = self.known_tree(key, |path| path.starts_with(query.prefix))?;
        Ok(tree::select(found, query, page))
    }

    fn pick_parameters(&self, key: DeviceKey, paths: &[&str]) -> Result<Vec<Option<Parameter>>, StoreError> {
        let found = self.known_tree(key, |path| paths.contains(&path))?;
        Ok(tree::pick(&found, paths))
    }
}

/// Whether a hot record, as it is kept, may have to follow a patch: a look at its bytes instead of its fields. They begin
/// with path, value and type for each parameter; what is there with the value that was learned has nothing to follow.
fn concerns(record: &[u8], patch: &TreePatch) -> Result<bool, StoreError> {
    if patch.learn.len() > SCANNED_ENTRIES || !patch.forget.is_empty() {
        return Ok(true);
    }
    for one in &patch.learn {
        let Some((value, ty)) = &one.value else { continue };
        if memmem::find(record, one.path.as_bytes()).is_none() {
            continue;
        }
        let known = record::encode(&(&one.path, value, ty), one.path.len() + value.len())?;
        if memmem::find(record, known.get(1..).unwrap_or_default()).is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the inventory's part of the trait does for trees.
pub(super) async fn patch(
    core: &Arc<Core>,
    key: DeviceKey,
    patch: TreePatch,
    at: Timestamp,
    follow: Follow,
) -> Result<(), StoreError> {
    core.health.check()?;
    let work = move |core: &Core, patch: TreePatch, follow: Follow, limit: usize| {
        if follow == Follow::HotRecord {
            core.follow(key, &patch, at)?;
        }
        core.patch_tree(key, patch, at, limit)
    };
    let (patch, follow) = if patch.learn.len() > INLINE_ENTRIES {
        (patch, follow)
    } else {
        match work(core, patch, follow, INLINE_BYTES)? {
            Some(patch) => (patch, Follow::Nothing),
            None => return Ok(()),
        }
    };
    blocking(core, move |core| work(core, patch, follow, usize::MAX).map(drop)).await
}

/// Whether the hot record has to be brought in line with a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    /// The patch was learned elsewhere.
    HotRecord,
    /// The patch comes from the hot record itself.
    Nothing,
}

/// See [`crate::store::DeviceStore::parameters`].
pub(super) async fn parameters(
    core: &Arc<Core>,
    key: DeviceKey,
    query: ParameterQuery<'_>,
    page: Page,
) -> Result<Listing<Parameter>, StoreError> {
    if !core.is_large(key)? {
        return core.select_parameters(key, query, page);
    }
    let (prefix, search) = (query.prefix.to_owned(), query.search.to_owned());
    blocking(core, move |core| core.select_parameters(key, ParameterQuery { prefix: &prefix, search: &search }, page))
        .await
}

/// See [`crate::store::DeviceStore::known`].
pub(super) async fn known(
    core: &Arc<Core>,
    key: DeviceKey,
    paths: &[&str],
) -> Result<Vec<Option<Parameter>>, StoreError> {
    if !core.is_large(key)? {
        return core.pick_parameters(key, paths);
    }
    let owned: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    blocking(core, move |core| {
        let paths: Vec<&str> = owned.iter().map(String::as_str).collect();
        core.pick_parameters(key, &paths)
    })
    .await
}
