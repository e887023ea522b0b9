//! A wanted parameter whose path is known, and how the device's own value stands to it.

use std::collections::HashMap;

use crate::cwmp::emission::BooleanForm;
use crate::model::device::Parameter;
use crate::model::transaction::{TransactionFault, TypeHint, VariableResult};
use crate::types::path::ParameterPath;
use crate::types::value::{ValueKind, XsdType, is_masked, same_meaning};

use super::super::{faults, set};

/// A parameter and what it is to be.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    pub(super) path: ParameterPath,
    value: String,
    hint: Option<TypeHint>,
    /// The type to write with, once it is settled.
    pub(super) ty: XsdType,
    /// The value as it goes out, once the type is settled.
    pub(super) text: String,
}

/// How the device's value stands to what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The same, by type.
    Right,
    /// Another one.
    Differs,
    /// It is a secret that the device does not show.
    Hidden,
}

/// What settles a goal's type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'e> {
    /// What was read in this session.
    pub(super) read: Option<&'e VariableResult>,
    /// What is known from before.
    pub(super) known: Option<&'e Parameter>,
    /// The device refused the operator's type: its own counts.
    pub(super) reread: bool,
    /// How booleans are written.
    pub(super) form: BooleanForm,
}

impl Goal {
    pub(super) fn new(path: ParameterPath, value: &str, hint: Option<TypeHint>) -> Self {
        Self { path, value: value.to_owned(), hint, ty: XsdType::default(), text: value.to_owned() }
    }

    /// Whether the device is never asked whether it took the value.
    pub(super) fn is_secret(&self) -> bool {
        self.path.hides_its_value()
    }

    /// Whether the type can be known without asking the device.
    pub(super) fn has_type(&self, known: Option<&Parameter>) -> bool {
        set::choose_type(self.hint, known.and_then(|known| known.ty)).is_some()
    }

    /// Settles the type, and says how the device's value stands to this one.
    ///
    /// # Errors
    /// The parameter cannot be read, or the wanted value is none of its type.
    pub(super) fn settle(&mut self, evidence: Evidence<'_>) -> Result<Standing, TransactionFault> {
        let Evidence { read, known, reread, form } = evidence;
        match read.and_then(|read| read.fault.as_ref()) {
            // Some devices leave out what they hide.
            Some(fault) if self.is_secret() && fault.code == faults::OWN_VERDICT => {}
            Some(fault) => return Err(fault.clone()),
            None => {}
        }
        let reported = read.and_then(|read| read.ty).or_else(|| known.and_then(|known| known.ty));
        let hint = if reread { None } else { self.hint };
        self.ty = set::choose_type(hint, reported).unwrap_or_default();
        if let Err(reason) = self.ty.check(&self.value) {
            return Err(faults::own(format!("the wanted value {reason}")));
        }
        let value =
            read.and_then(|read| read.value.as_deref()).or_else(|| known.and_then(|known| known.value.as_deref()));
        // Some devices call everything a string: a boolean is a boolean all the same.
        let spelled_as = match (self.ty, self.hint) {
            (XsdType::String, Some(TypeHint::Kind(ValueKind::Boolean))) => XsdType::Boolean,
            (ty, _) => ty,
        };
        self.text = set::lexical(spelled_as, &self.value, value, form);
        Ok(match read {
            Some(read) => self.standing(read),
            None => Standing::Differs,
        })
    }

    /// How a value that was read stands to the wanted one.
    pub(super) fn standing(&self, read: &VariableResult) -> Standing {
        let value = read.value.as_deref().unwrap_or_default();
        if self.is_secret() && is_masked(value) {
            return Standing::Hidden;
        }
        if read.fault.is_none() && same(self.hint, read.ty.unwrap_or_default(), value, &self.value) {
            Standing::Right
        } else {
            Standing::Differs
        }
    }

    /// What became of it. A secret is not among what is told.
    pub(super) fn result(&self, fault: Option<TransactionFault>) -> VariableResult {
        VariableResult {
            variable: 0,
            path: self.path.as_str().into(),
            value: (!self.is_secret()).then(|| self.text.as_str().into()),
            ty: Some(self.ty),
            instance_number: None,
            fault,
        }
    }
}

/// Whether two texts mean the same by the device's type, or by what the operator says it is.
pub(super) fn same(hint: Option<TypeHint>, ty: XsdType, left: &str, right: &str) -> bool {
    let said = match hint {
        Some(TypeHint::Exact(ty)) => Some(ty),
        Some(TypeHint::Kind(ValueKind::Boolean)) => Some(XsdType::Boolean),
        Some(TypeHint::Kind(ValueKind::Integer)) => Some(XsdType::Long),
        Some(TypeHint::Kind(ValueKind::String)) | None => None,
    };
    same_meaning(ty, left, right) || said.is_some_and(|said| same_meaning(said, left, right))
}

/// Goals in the order of the configuration, at most one for a path: a call that names one twice is refused.
#[derive(Debug, Default)]
pub(super) struct Goals {
    list: Vec<Goal>,
    places: HashMap<ParameterPath, usize>,
}

impl Goals {
    /// Adds a goal, or replaces the one for its path; its place.
    pub(super) fn put(&mut self, goal: Goal) -> usize {
        match self.places.get(&goal.path) {
            Some(&at) => {
                if let Some(old) = self.list.get_mut(at) {
                    *old = goal;
                }
                at
            }
            None => {
                let at = self.list.len();
                self.places.insert(goal.path.clone(), at);
                self.list.push(goal);
                at
            }
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<&Goal> {
        self.list.get(at)
    }

    pub(super) fn of(&self, path: &ParameterPath) -> Option<&Goal> {
        self.list.get(*self.places.get(path)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Goal> {
        self.list.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Goal)> {
        self.list.iter_mut().enumerate()
    }
}
