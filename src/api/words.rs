//! Words of closed sets, as the API reads and writes them, each beside the model's value it stands for.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::headless::form::{OPERATIONS, TYPE_NAMES};
use super::rpc::form::METHODS;
use crate::devices::edit::Operation;
use crate::model::audit::AuditResource;
use crate::model::campaign::CampaignState;
use crate::model::campaign::member::MemberStatus;
use crate::model::device_type::FileLogin;
use crate::model::diagnostic::DiagnosticKind;
use crate::model::event::EventKind;
use crate::model::token::Role;
use crate::model::transaction::{Kind, TransactionStatus};
use crate::types::value::XsdType;

/// A text that is one of some words.
fn schema_of(words: impl IntoIterator<Item = &'static str>, description: &[&str]) -> RefOr<Schema> {
    let description = description.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n");
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).enum_values(Some(words)).into()
}

/// One enum of words, and the way to the model and back.
macro_rules! words {
    ($(#[doc = $doc:literal])* $name:ident for $model:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub(super) enum $name {
            $(#[doc = concat!("`", $word, "`")] #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// The model's value for a word.
            pub(super) fn parse(word: &str) -> Result<$model, String> {
                match word {
                    $($word => Ok($model::$variant),)+
                    other => Err(not_a_choice(other, &[$($word),+])),
                }
            }
        }

        // Not derived: the derivation does not see words that come out of a macro.
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema_of([$($word),+], &[$($doc),*])
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }

        impl From<$model> for $name {
            fn from(value: $model) -> Self {
                match value {
                    $($model::$variant => Self::$variant),+
                }
            }
        }
    };
}

words! {
    /// Where a transaction stands.
    StatusWord for TransactionStatus {
        Scheduled = "scheduled",
        InProgress = "in_progress",
        Completed = "completed",
        Failed = "failed",
        Expired = "expired",
        Canceled = "canceled",
    }
}

words! {
    /// Which part of the API a transaction belongs to.
    KindWord for Kind {
        Operation = "operation",
        Headless = "headless",
        Diag = "diag",
        Firmware = "firmware",
        Configuration = "configuration",
        Transfer = "transfer",
        Rpc = "rpc",
        Health = "health",
    }
}

words! {
    /// Where a device of a campaign stands.
    MemberStatusWord for MemberStatus {
        Pending = "pending",
        Running = "running",
        Succeeded = "succeeded",
        Failed = "failed",
        Skipped = "skipped",
    }
}

words! {
    /// Where a campaign stands.
    CampaignStateWord for CampaignState {
        Draft = "draft",
        Running = "running",
        Paused = "paused",
        Stopped = "stopped",
        Completed = "completed",
        Canceled = "canceled",
    }
}

words! {
    /// Whether devices log in to the file server.
    FileLoginWord for FileLogin {
        None = "none",
        Basic = "basic",
        Digest = "digest",
    }
}

words! {
    /// What a token may do.
    RoleWord for Role {
        Viewer = "viewer",
        Operator = "operator",
        Admin = "admin",
    }
}

/// Words whose model reads and writes them itself: for the description.
macro_rules! described {
    ($(#[doc = $doc:literal])* $name:ident is $words:expr) => {
        $(#[doc = $doc])*
        pub(in crate::api) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema_of($words, &[$($doc),*])
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

described! {
    /// What a device can be ordered to do.
    OperationWord is Operation::ALL.map(Operation::as_str)
}

described! {
    /// What a headless operation does.
    HeadlessWord is OPERATIONS
}

described! {
    /// A method of CWMP that can be called.
    RpcWord is METHODS
}

described! {
    /// A test that a device runs by itself.
    DiagnosticWord is DiagnosticKind::ALL.map(DiagnosticKind::as_str)
}

described! {
    /// What an event tells of.
    EventKindWord is EventKind::ALL.map(EventKind::as_str)
}

described! {
    /// What kind of thing was changed.
    ResourceWord is AuditResource::ALL.map(AuditResource::as_str)
}

described! {
    /// The type of a value: a documented word, or the name of a type of XML Schema, with its prefix or without.
    TypeWord is TYPE_NAMES.into_iter().chain(XsdType::ALL.map(XsdType::qualified))
}

described! {
    /// The type of a value, in the documented words.
    KindOfValue is ["integer", "boolean", "string"]
}

/// What is said of a word that is none of the choices.
pub(super) fn not_a_choice(word: &str, choices: &[&str]) -> String {
    format!("\"{word}\" is not a valid choice: use one of {}", choices.join(", "))
}
