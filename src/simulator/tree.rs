//! One CPE's parameters: the shared model, and what this CPE changed of it (copy on write).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::model::{DataModel, ObjectKind, Spec};

/// The model plus this CPE's changes. Holds nothing of its own until something is written.
#[derive(Debug)]
pub(super) struct Tree {
    model: Arc<DataModel>,
    /// Written values of the model's parameters.
    values: BTreeMap<Box<str>, Box<str>>,
    /// Parameters of added rows.
    added: BTreeMap<Box<str>, Added>,
    added_objects: BTreeMap<Box<str>, ObjectKind>,
    /// Rows of the model that are gone.
    deleted: BTreeSet<Box<str>>,
    /// Last number given out per table: numbers are never used again.
    last_number: BTreeMap<Box<str>, u32>,
}

/// A parameter of an added row.
#[derive(Debug)]
struct Added {
    /// Where the model describes it.
    spec: usize,
    /// What was written into it.
    value: Option<Box<str>>,
}

impl Tree {
    pub(super) const fn new(model: Arc<DataModel>) -> Self {
        Self {
            model,
            values: BTreeMap::new(),
            added: BTreeMap::new(),
            added_objects: BTreeMap::new(),
            deleted: BTreeSet::new(),
            last_number: BTreeMap::new(),
        }
    }

    pub(super) fn root(&self) -> &str {
        self.model.root()
    }

    pub(super) fn parameter(&self, path: &str) -> Option<&Spec> {
        match self.added.get(path) {
            Some(added) => self.model.spec(added.spec),
            None => self.model.leaf(path).filter(|_| !self.is_deleted(path)),
        }
    }

    pub(super) fn object(&self, path: &str) -> Option<ObjectKind> {
        match self.added_objects.get(path) {
            Some(kind) => Some(*kind),
            None => self.model.object(path).filter(|_| !self.is_deleted(path)),
        }
    }

    /// Every parameter whose path begins with `prefix`.
    pub(super) fn parameters_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Spec)> {
        let own = self.model.leaves_below(prefix).filter(|(path, _)| !self.is_deleted(path));
        let added = below(&self.added, prefix).filter_map(|(path, added)| Some((path, self.model.spec(added.spec)?)));
        own.chain(added)
    }

    /// The parameters that stand in every Inform; those of added rows included.
    pub(super) fn forced(&self) -> impl Iterator<Item = &str> {
        let own = self.model.forced().filter(|path| !self.is_deleted(path));
        let is_forced = |added: &Added| self.model.spec(added.spec).is_some_and(|spec| spec.forced);
        own.chain(self.added.iter().filter(move |(_, added)| is_forced(added)).map(|(path, _)| &**path))
    }

    /// Every object whose path begins with `prefix`, itself included.
    pub(super) fn objects_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, ObjectKind)> {
        let own = self.model.objects_below(prefix).filter(|(path, _)| !self.is_deleted(path));
        own.chain(below(&self.added_objects, prefix).map(|(path, kind)| (path, *kind)))
    }

    /// Whether the rows of this object, if it is a table, may be added and deleted.
    pub(super) fn is_writable(&self, kind: ObjectKind) -> bool {
        match kind {
            ObjectKind::Plain => false,
            ObjectKind::Table(table) => self.model.table(table).is_some_and(|table| table.creatable),
            ObjectKind::Row { deletable } => deletable,
        }
    }

    /// What was written, or what the model says; placeholders not yet filled in.
    pub(super) fn raw_value(&self, path: &str) -> Option<&str> {
        let spec = self.parameter(path)?;
        let own = match self.added.get(path) {
            Some(added) => added.value.as_ref(),
            None => self.values.get(path),
        };
        Some(own.map_or(&*spec.value, |value| &**value))
    }

    /// Writes a value; the caller has checked that the parameter exists.
    pub(super) fn set(&mut self, path: &str, value: &str) {
        match self.added.get_mut(path) {
            Some(added) => added.value = Some(value.into()),
            None => {
                self.values.insert(path.into(), value.into());
            }
        }
    }

    /// Forgets what was written: the parameter reads as the model has it.
    pub(super) fn unset(&mut self, path: &str) {
        match self.added.get_mut(path) {
            Some(added) => added.value = None,
            None => {
                self.values.remove(path);
            }
        }
    }

    /// Deletes every row that was added to a table; the next one is number 1 again, or follows the model's own.
    pub(super) fn clear_rows(&mut self, table: &str) {
        for number in self.rows(table) {
            let row = format!("{table}{number}.");
            if self.model.object(&row).is_none() {
                remove_below(&mut self.added, &row);
                remove_below(&mut self.added_objects, &row);
            }
        }
        self.last_number.remove(table);
    }

    /// The numbers of a table's rows.
    pub(super) fn rows(&self, table: &str) -> Vec<u32> {
        self.objects_below(table)
            .filter_map(|(path, _)| path.strip_prefix(table)?.strip_suffix('.')?.parse().ok())
            .collect()
    }

    /// Adds a row with the model's defaults. `None` when there is no such table.
    pub(super) fn add_row(&mut self, table: &str) -> Option<u32> {
        let ObjectKind::Table(index) = self.object(table)? else { return None };
        let highest = self
            .model
            .objects_below(table)
            .filter_map(|(path, _)| path.strip_prefix(table)?.strip_suffix('.')?.parse::<u32>().ok());
        let last = self.last_number.get(table).copied().or_else(|| highest.max()).unwrap_or(0);
        let number = last.checked_add(1)?;
        self.last_number.insert(table.into(), number);
        let parts = self.model.make_row(index, table, number);
        self.added.extend(parts.leaves.into_iter().map(|(path, spec)| (path, Added { spec, value: None })));
        self.added_objects.extend(parts.objects);
        Some(number)
    }

    /// Deletes a row and all below it.
    pub(super) fn delete_row(&mut self, row: &str) {
        if let Some(table) = row.strip_suffix('.').and_then(|body| Some(body.rsplit_once('.')?.0)) {
            let table = format!("{table}.");
            let highest = self.rows(&table).into_iter().max().unwrap_or(0);
            let last = self.last_number.entry(table.into()).or_insert(highest);
            *last = (*last).max(highest);
        }
        remove_below(&mut self.values, row);
        remove_below(&mut self.added, row);
        remove_below(&mut self.added_objects, row);
        if self.model.object(row).is_some() {
            self.deleted.insert(row.into());
        }
    }

    /// Forgets every change.
    pub(super) fn reset(&mut self) {
        *self = Self::new(Arc::clone(&self.model));
    }

    fn is_deleted(&self, path: &str) -> bool {
        !self.deleted.is_empty()
            && path.match_indices('.').any(|(at, _)| path.get(..=at).is_some_and(|row| self.deleted.contains(row)))
    }
}

fn below<'a, T>(map: &'a BTreeMap<Box<str>, T>, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a T)> {
    map.range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(path, _)| path.starts_with(prefix))
        .map(|(path, value)| (&**path, value))
}

fn remove_below<T>(map: &mut BTreeMap<Box<str>, T>, prefix: &str) {
    let gone: Vec<Box<str>> = below(map, prefix).map(|(path, _)| path.into()).collect();
    for path in gone {
        map.remove(&path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Device.NAT.PortMapping.";

    #[test]
    fn rows_come_and_go_and_their_numbers_never_return() {
        let mut tree = Tree::new(DataModel::tr181());
        assert_eq!(tree.rows(TABLE), [1, 2]);
        assert_eq!(tree.add_row(TABLE), Some(3));
        assert_eq!(tree.raw_value("Device.NAT.PortMapping.3.Enable"), Some("false"));
        tree.delete_row("Device.NAT.PortMapping.3.");
        tree.delete_row("Device.NAT.PortMapping.1.");
        assert_eq!(tree.rows(TABLE), [2]);
        assert_eq!(tree.parameter("Device.NAT.PortMapping.1.Enable"), None);
        assert_eq!(tree.object("Device.NAT.PortMapping.1."), None);
        assert_eq!(tree.add_row(TABLE), Some(4));
        tree.reset();
        assert_eq!(tree.rows(TABLE), [1, 2]);
    }

    #[test]
    fn the_highest_row_of_the_model_is_not_reused_either() {
        let mut tree = Tree::new(DataModel::tr181());
        tree.delete_row("Device.NAT.PortMapping.2.");
        assert_eq!(tree.add_row(TABLE), Some(3));
    }

    #[test]
    fn inner_tables_that_can_be_added_to_start_empty() {
        let mut tree = Tree::new(DataModel::tr181());
        assert_eq!(tree.add_row("Device.IP.Interface."), Some(3));
        assert_eq!(tree.rows("Device.IP.Interface.3.IPv4Address."), Vec::<u32>::new());
        assert_eq!(tree.add_row("Device.IP.Interface.3.IPv4Address."), Some(1));
        assert_eq!(tree.add_row("Device.IP."), None);
    }
}
