//! Wanted rows: which row of a table has the wanted key.

use std::collections::{BTreeMap, HashMap};

use crate::model::procedure::InFlight;
use crate::model::transaction::{TransactionFault, VariableResult};
use crate::model::wanted::{WantedObject, WantedValue};
use crate::types::path::{ObjectPath, ParameterPath, hides_its_value};
use crate::types::value::XsdType;

use super::super::{faults, rows};
use super::goal::{Goal, same};

/// A wanted row of a table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) table: ObjectPath,
    key: BTreeMap<String, WantedValue<String>>,
    /// Without what is in the key.
    parameters: BTreeMap<String, WantedValue<String>>,
    pub(super) place: Place,
}

/// Where a wanted row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// No row has its key.
    Missing,
    /// This one has it.
    Found(u32),
    /// This one was added for it, and does not have its values yet.
    Fresh(u32),
}

impl Row {
    /// The wanted rows; wishes for the same row are joined.
    ///
    /// # Errors
    /// A row without a key, or whose key the device hides, cannot be found again: one more would be added each time.
    pub(super) fn of_objects(objects: &[WantedObject<String>]) -> Result<Vec<Self>, TransactionFault> {
        let mut wanted: Vec<Self> = Vec::new();
        for object in objects {
            if object.key.is_empty() {
                return Err(faults::own(format!("the wanted row of {} has no key", object.table)));
            }
            if let Some(leaf) = object.key.keys().find(|leaf| hides_its_value(&format!("{}{leaf}", object.table))) {
                let words = format!("{leaf} is a secret: no row of {} can be found by it", object.table);
                return Err(faults::own(words));
            }
            let others = object.parameters.iter().filter(|(leaf, _)| !object.key.contains_key(*leaf));
            let parameters = others.map(|(leaf, value)| (leaf.clone(), value.clone()));
            match wanted.iter_mut().find(|row| row.is_for(object)) {
                Some(row) => row.parameters.extend(parameters),
                None => wanted.push(Self {
                    table: object.table.clone(),
                    key: object.key.clone(),
                    parameters: parameters.collect(),
                    place: Place::Missing,
                }),
            }
        }
        Ok(wanted)
    }

    fn is_for(&self, object: &WantedObject<String>) -> bool {
        self.table == object.table
            && self.key.len() == object.key.len()
            && self.key.iter().zip(&object.key).all(|((leaf, value), (other_leaf, other))| {
                leaf == other_leaf && same(value.ty, XsdType::String, &value.value, &other.value)
            })
    }

    /// The paths of the key in row `instance`.
    ///
    /// # Errors
    /// A leaf of the key is no path.
    pub(super) fn key_paths(&self, instance: u32) -> Result<Vec<ParameterPath>, TransactionFault> {
        let row = self.table.instance(instance);
        self.key.keys().map(|leaf| leaf_path(&row, leaf)).collect()
    }

    /// The goals of what is wanted of row `instance` besides its key.
    ///
    /// # Errors
    /// A leaf is no path.
    pub(super) fn parameters(&self, instance: u32) -> Result<Vec<Goal>, TransactionFault> {
        self.goals(instance, &self.parameters)
    }

    /// The goals of the key of row `instance`.
    ///
    /// # Errors
    /// A leaf is no path.
    pub(super) fn key(&self, instance: u32) -> Result<Vec<Goal>, TransactionFault> {
        self.goals(instance, &self.key)
    }

    fn goals(&self, instance: u32, of: &BTreeMap<String, WantedValue<String>>) -> Result<Vec<Goal>, TransactionFault> {
        let row = self.table.instance(instance);
        of.iter().map(|(leaf, value)| Ok(Goal::new(leaf_path(&row, leaf)?, &value.value, value.ty))).collect()
    }

    /// Its key in words.
    fn described(&self) -> String {
        let leaves: Vec<String> = self.key.iter().map(|(leaf, value)| format!("{leaf} '{}'", value.value)).collect();
        leaves.join(", ")
    }

    /// The rows that have its key.
    fn matches(
        &self,
        instances: &[u32],
        seen: &HashMap<Box<str>, VariableResult>,
    ) -> Result<Vec<u32>, TransactionFault> {
        let mut matches = instances.to_vec();
        for (leaf, value) in &self.key {
            let mut denied: Vec<TransactionFault> = Vec::new();
            let mut having = Vec::new();
            for instance in instances.iter().copied() {
                let path = leaf_path(&self.table.instance(instance), leaf)?;
                match seen.get(path.as_str()) {
                    Some(VariableResult { fault: Some(fault), .. }) => {
                        denied.push(faults::named(path.as_str(), fault.clone()));
                    }
                    Some(read) => {
                        let text = read.value.as_deref().unwrap_or_default();
                        if same(value.ty, read.ty.unwrap_or_default(), text, &value.value) {
                            having.push(instance);
                        }
                    }
                    None => {}
                }
            }
            // No row has the leaf at all: then a new one has not either.
            if let Some(fault) = denied.into_iter().nth(instances.len().saturating_sub(1)) {
                return Err(fault);
            }
            matches.retain(|instance| having.contains(instance));
        }
        Ok(matches)
    }
}

fn leaf_path(row: &ObjectPath, leaf: &str) -> Result<ParameterPath, TransactionFault> {
    row.leaf(leaf).map_err(|_| faults::own(format!("{row}{leaf} is no path")))
}

/// Finds each wanted row by its key, the one that an earlier session may have added included. What the operator should
/// know of it.
///
/// # Errors
/// A key cannot be read, or it cannot be told which row was added.
pub(super) fn resolve(
    wanted: &mut [Row],
    listed: &BTreeMap<ObjectPath, Vec<u32>>,
    seen: &HashMap<Box<str>, VariableResult>,
    in_flight: Option<&InFlight>,
) -> Result<Vec<String>, TransactionFault> {
    let mut remarks = Vec::new();
    for row in wanted.iter_mut() {
        let instances = listed.get(&row.table).map(Vec::as_slice).unwrap_or_default();
        let matches = row.matches(instances, seen)?;
        row.place = matches.first().map_or(Place::Missing, |instance| Place::Found(*instance));
        if let [first, .., last] = matches.as_slice() {
            let (table, key) = (&row.table, row.described());
            remarks.push(format!("{table} has more than one row with {key} ({first} to {last}): {first} is kept"));
        }
    }
    let (table, candidates) = match in_flight {
        Some(InFlight::WantedAdd { table, before }) => {
            let after = listed.get(table).map(Vec::as_slice).unwrap_or_default();
            (table, rows::new_rows(before, after))
        }
        Some(InFlight::WantedFill { table, instance }) => {
            let is_there = listed.get(table).is_some_and(|rows| rows.contains(instance));
            (table, if is_there { vec![*instance] } else { Vec::new() })
        }
        _ => return Ok(remarks),
    };
    let is_taken =
        |instance: &u32| wanted.iter().any(|row| row.table == *table && row.place == Place::Found(*instance));
    let free: Vec<u32> = candidates.into_iter().filter(|instance| !is_taken(instance)).collect();
    let missing = wanted.iter_mut().find(|row| row.table == *table && row.place == Place::Missing);
    match (free.as_slice(), missing) {
        ([], _) | (_, None) => {}
        ([instance], Some(row)) => row.place = Place::Fresh(*instance),
        (several, Some(_)) => return Err(rows::ambiguous(several)),
    }
    Ok(remarks)
}
