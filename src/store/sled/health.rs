//! Whether writes are taken.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::{ALARMS, StoreError};

/// Why the store no longer takes writes, if so.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// For good: sled fails every operation after an I/O error, until the process starts anew.
    failure: OnceLock<String>,
    /// Until there is room again.
    low_space: AtomicBool,
    /// One for each [`Alarm`].
    alarms: [AtomicBool; ALARM_COUNT],
}

/// What an operator should look at, although writes are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    /// Much of the space on disk is taken up by what is no longer there.
    WastedSpace,
    /// sled has put something into files that it never syncs.
    SideFiles,
}

const ALARM_COUNT: usize = 2;

impl Alarm {
    const ALL: [Self; ALARM_COUNT] = [Self::WastedSpace, Self::SideFiles];

    const fn label(self) -> &'static str {
        match self {
            Self::WastedSpace => "wasted_space",
            Self::SideFiles => "side_files",
        }
    }

    /// What was found and what to do.
    const fn words(self) -> &'static str {
        match self {
            Self::WastedSpace => {
                "the store takes more than 4 times the space of what is in it: stop acsd when convenient and run `acsd \
                 compact`"
            }
            Self::SideFiles => {
                "the store has side files, which should never happen: every flush now syncs the whole file system, \
                 please report this"
            }
        }
    }
}

impl Health {
    /// Ends writing for good. The first reason stays.
    pub(super) fn fail(&self, reason: impl Into<String>) -> StoreError {
        let reason = self.failure.get_or_init(|| {
            let reason = reason.into();
            tracing::error!(reason = %reason, "the store takes no more writes: {reason}");
            reason
        });
        StoreError::Broken { reason: reason.clone() }
    }

    /// Ends writing on purpose.
    pub(super) fn close(&self) {
        self.failure.get_or_init(|| "it is closed".to_owned());
    }

    pub(super) fn set_low_space(&self, low: bool) {
        if self.low_space.swap(low, Ordering::Relaxed) != low {
            if low {
                tracing::error!("the disk is nearly full: the store takes no writes until there is room");
            } else {
                tracing::info!("there is room on the disk again: the store takes writes");
            }
        }
    }

    /// Raises or clears an alarm; logs when that is new.
    pub(super) fn set_alarm(&self, alarm: Alarm, raised: bool) {
        let [wasted_space, side_files] = &self.alarms;
        let flag = match alarm {
            Alarm::WastedSpace => wasted_space,
            Alarm::SideFiles => side_files,
        };
        metrics::gauge!(ALARMS, "alarm" => alarm.label()).set(if raised { 1.0 } else { 0.0 });
        match (flag.swap(raised, Ordering::Relaxed), raised) {
            (false, true) => tracing::warn!("{}", alarm.words()),
            (true, false) => tracing::info!("no longer true: {}", alarm.words()),
            (false, false) | (true, true) => {}
        }
    }

    /// The words of all alarms that are raised.
    pub(super) fn warnings(&self) -> Vec<String> {
        let raised = self.alarms.iter().map(|flag| flag.load(Ordering::Relaxed));
        Alarm::ALL.iter().zip(raised).filter(|(_, raised)| *raised).map(|(alarm, _)| alarm.words().to_owned()).collect()
    }

    /// Whether an alarm is raised.
    pub(super) fn is_raised(&self, alarm: Alarm) -> bool {
        Alarm::ALL.iter().zip(&self.alarms).any(|(one, flag)| *one == alarm && flag.load(Ordering::Relaxed))
    }

    /// Whether writes are taken.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if let Some(reason) = self.failure.get() {
            return Err(StoreError::Broken { reason: reason.clone() });
        }
        if self.low_space.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable { reason: "the disk is nearly full".to_owned() });
        }
        Ok(())
    }

    /// What sled's refusal means to a caller.
    pub(super) fn judge(&self, error: &::sled::Error) -> StoreError {
        match error {
            ::sled::Error::Corruption { .. } => {
                StoreError::Corrupt { what: "page".to_owned(), reason: error.to_string() }
            }
            ::sled::Error::CollectionNotFound(_)
            | ::sled::Error::Unsupported(_)
            | ::sled::Error::ReportableBug(_)
            | ::sled::Error::Io(_) => self.fail(error.to_string()),
        }
    }
}
