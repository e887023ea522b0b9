//! `DiagnosticsState`: what a device says of a test.

use crate::model::device_type::NeighborScan;

/// What the word means. Spellings differ between versions of the data models, and some devices invent words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestState {
    /// `None`: no test was run, or what came of it is gone (a reboot, or an input was written since).
    Idle,
    /// `Requested`: it is to run, or runs.
    Running,
    /// `Complete`, or `Completed` as TR-098 and TR-181 up to 2.12 have it for some tests. No other word: these alone say that
    /// there are results.
    Complete,
    /// `Canceled`.
    Canceled,
    /// `Error`, `Error_CannotResolveHostName`, ...: any word that begins so.
    Failed,
    /// A word that no data model has (`InProgress`, `Finished`): the test may run, or have ended in whatever way.
    Unknown,
}

impl TestState {
    /// Reads a word without regard to case; `scan` is the vendor's own scan that it belongs to.
    #[must_use]
    pub fn read(word: &str, scan: Option<&NeighborScan>) -> Self {
        let word = word.trim();
        let is = |other: &str| word.eq_ignore_ascii_case(other.trim());
        if let Some(scan) = scan {
            // Before all else: a vendor's words may be numbers, or mean something else in the standard.
            if scan.done.iter().any(|done| is(done)) {
                return Self::Complete;
            }
            if is(&scan.start) {
                return Self::Running;
            }
        }
        if word.is_empty() || is("None") {
            Self::Idle
        } else if is("Complete") || is("Completed") {
            Self::Complete
        } else if is("Canceled") || is("Cancelled") {
            Self::Canceled
        } else if is("Requested") {
            Self::Running
        } else if word.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("Error")) {
            Self::Failed
        } else {
            Self::Unknown
        }
    }

    /// Whether a test has ended with this, and has not been reset since.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Complete | Self::Failed => true,
            Self::Idle | Self::Running | Self::Canceled | Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::path::{ObjectPath, ParameterPath};

    #[test]
    fn words_are_read_in_every_spelling() {
        let table = [
            ("None", TestState::Idle),
            ("", TestState::Idle),
            (" requested ", TestState::Running),
            ("InProgress", TestState::Unknown),
            ("Finished", TestState::Unknown),
            ("Complete.", TestState::Unknown),
            ("Complete", TestState::Complete),
            ("COMPLETED", TestState::Complete),
            ("Canceled", TestState::Canceled),
            ("cancelled", TestState::Canceled),
            ("Error", TestState::Failed),
            ("error_MaxHopCountExceeded", TestState::Failed),
            ("Err\u{f6}r", TestState::Unknown),
        ];
        for (word, want) in table {
            assert_eq!(TestState::read(word, None), want, "{word:?}");
        }
    }

    #[test]
    fn a_vendor_has_words_of_its_own() {
        let scan = NeighborScan {
            state: ParameterPath::try_from("D.Scan").expect("a path"),
            start: "1".to_owned(),
            done: vec!["0".to_owned(), "None".to_owned()],
            table: ObjectPath::try_from("D.T.").expect("a path"),
            columns: Vec::new(),
        };
        for (word, want) in [
            ("1", TestState::Running),
            ("0", TestState::Complete),
            ("none", TestState::Complete),
            ("Complete", TestState::Complete),
            ("Error", TestState::Failed),
        ] {
            assert_eq!(TestState::read(word, Some(&scan)), want, "{word:?}");
        }
    }
}
