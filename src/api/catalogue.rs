//! What organizations, types and locations have in common as resources: numbers in paths, pages, names, refusals.

use serde::Serialize;
use utoipa::ToSchema;

use super::body::{Fields, sentence};
use super::error::{ApiError, FieldErrors};
use crate::devices::inventory::InventoryError;
use crate::store::Page;

/// How a body is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// `POST`: what is absent gets its default.
    Create,
    /// `PUT`: what is absent returns to its default.
    Replace,
    /// `PATCH`: what is absent stays.
    Change,
}

impl Write {
    /// What an absent optional field means.
    pub(super) fn or_default<T>(self, given: Option<T>, default: impl FnOnce() -> T) -> Option<T> {
        match self {
            Self::Create | Self::Replace => given.or_else(|| Some(default())),
            Self::Change => given,
        }
    }
}

/// A name for people and one for tables. Who gives one of them has given both.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) name: Option<String>,
    pub(super) short_name: Option<String>,
}

impl Names {
    pub(super) fn read(fields: &mut Fields, write: Write) -> Self {
        let mut name = fields.filled_line("name");
        let mut short_name = fields.filled_line("short_name");
        if write != Write::Change {
            name = name.or_else(|| short_name.clone());
            short_name = short_name.or_else(|| name.clone());
            fields.require("name", name.as_ref());
        }
        Self { name, short_name }
    }
}

/// Reads a wished-for number; only at creation: otherwise it is read-only.
pub(super) fn read_wished(fields: &mut Fields, write: Write) -> Option<u32> {
    match write {
        Write::Create => {
            fields.nullable("id", |fields, name| fields.integer(name, 1..=i32::MAX.unsigned_abs())).flatten()
        }
        Write::Replace | Write::Change => None,
    }
}

/// Fields that answers have and that no write changes.
pub(super) fn read_only(write: Write) -> &'static [&'static str] {
    match write {
        Write::Create => &["created"],
        Write::Replace | Write::Change => &["created", "id"],
    }
}

/// The number in a path. What is none is one that no record has.
pub(super) fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

/// A page of what is at hand whole, and how much that is.
pub(super) fn page_of<T>(all: Vec<T>, page: Page) -> (u64, Vec<T>) {
    let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    (count, all.into_iter().skip(offset).take(limit).collect())
}

/// What still refers to a record, by kind.
#[derive(Serialize, ToSchema)]
pub(super) struct InUse {
    /// For people.
    detail: String,
    /// `devices`, `organizations`, `locations`, `tokens`, `webhooks`, `campaigns`: how many of each.
    #[schema(example = json!({"devices": 3}))]
    dependents: std::collections::BTreeMap<String, u64>,
}

impl From<InventoryError> for ApiError {
    fn from(error: InventoryError) -> Self {
        let detail = sentence(&error);
        match error {
            InventoryError::Field { field, reason } => FieldErrors::one(field, sentence(&reason)).into(),
            InventoryError::ShortNameTaken(_) | InventoryError::NumberTaken(_) | InventoryError::Exhausted => {
                Self::conflict(detail)
            }
            InventoryError::InUse(dependents) => {
                Self::InUse { detail: "It is still in use and cannot be removed.", dependents }
            }
            InventoryError::Default(dependents) => {
                Self::InUse { detail: "It is the default and cannot be removed.", dependents }
            }
            InventoryError::Unknown => Self::not_found("There is no record with this id."),
            InventoryError::Store(source) => source.into(),
        }
    }
}
