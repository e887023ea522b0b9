//! Words of closed sets, as the API reads and writes them, each beside the model's value it stands for.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::token::Role;
use crate::model::transaction::{Kind, TransactionStatus};

/// One enum of words, and the way to the model and back.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident for $model:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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

/// What is said of a word that is none of the choices.
pub(super) fn not_a_choice(word: &str, choices: &[&str]) -> String {
    format!("\"{word}\" is not a valid choice: use one of {}", choices.join(", "))
}
