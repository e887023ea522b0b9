//! What a simulated CPE can be told to do wrong, each a habit that was seen in the field (cwmp.md §7).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One bad habit. Several may be combined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Drops the connection when the `nth` request (from 1) of this method arrives, without executing it.
    DropBefore {
        /// RPC method, such as `SetParameterValues`.
        method: String,
        /// Which request of this method since the CPE was made; 0 means every one.
        nth: u32,
    },
    /// Executes the `nth` request of this method, then drops the connection in place of answering.
    DropAfter {
        /// RPC method.
        method: String,
        /// Which request of this method; 0 means every one.
        nth: u32,
    },
    /// Waits before each answer to an RPC.
    AnswerLate(Duration),
    /// Answers with an `ID` that is not the request's (quirk 16).
    WrongId,
    /// Answers without an `ID` header (quirk 16).
    MissingId,
    /// A new TCP connection for each POST (quirk 9).
    ConnectionPerPost,
    /// Never sends the empty POST: hangs up after the `InformResponse` and what it has to say itself (quirk 14).
    NoEmptyPost,
    /// Sends blanks where the empty POST belongs (quirk 14).
    BlankPost,
    /// Sends an envelope with an empty `Body` where the empty POST belongs (quirk 14).
    EmptyEnvelope,
    /// An empty POST before the Inform (quirk 61).
    EmptyPostFirst,
    /// Sends each Inform twice, the second on a new connection, as after a lost answer (quirk 12).
    DuplicateInform,
    /// Returns no cookie (quirks 10 and 63).
    NoCookies,
    /// Returns the cookie with its attributes, and the cookie of the old session with the next Inform (quirk 64).
    StaleCookies,
    /// Answers the first RPC of each session with an empty POST (quirk 62).
    EmptyAnswer,
    /// Answers the first RPC of each session with the response to another (quirk 17).
    StaleResponse,
    /// Sends no credentials before it is asked, on any POST (quirk 65).
    ChallengeEveryPost,
    /// Unusual prefixes, and prefixes on arguments (quirk 1).
    OddPrefixes,
    /// No `xsi:type` on values, no `arrayType` on lists (quirk 2).
    NoTypes,
    /// Empty values as `<Value/>`.
    SelfClosing,
    /// No XML declaration.
    NoDeclaration,
    /// Whitespace before the document and between its elements (quirk 4).
    Indented,
    /// Compresses request bodies with gzip.
    Gzip,
    /// Sends request bodies chunked.
    Chunked,
    /// `Expect: 100-continue`: waits up to a second for the go-ahead before each body.
    ExpectContinue,
    /// Answers connection requests with 204 in place of 200.
    NoContentOnConnectionRequest,
    /// Tests end without `8 DIAGNOSTICS COMPLETE`.
    NoEvent8,
    /// Transfers end without `TransferComplete` and without event 7 (quirk 27).
    NoTransferComplete,
    /// `TransferComplete` and its `M` event carry an empty command key (quirk 27).
    EmptyTransferKey,
    /// Firmware is reported before it is installed: the CPE reboots into it afterwards (quirk 28).
    TransferCompleteBeforeReboot,
    /// Tests that succeed end with `Completed`, whatever the model calls it.
    CompletedSpelling,
    /// Byte counters of tests are 32 bits wide, and the interface's wraps during the test: `TotalBytes` is less than
    /// `TestBytes`.
    WrappedCounters,
    /// Times of tests have whole seconds and no zone (quirk 19).
    NoFractionTimes,
    /// Tests end at once, while the session that requested them is open. Nothing is really transferred then.
    DiagnosticInSession,
    /// Reboots in the middle of each test.
    RebootDuringTest,
    /// Reports firmware as installed and reboots, but runs the old version afterwards.
    DownloadWithoutVersionChange,
    /// Every download arrives damaged: 9018.
    CorruptDownload,
    /// Takes the parameters of a `SetParameterValues` one after the other: a parameter of a test listed after its
    /// `DiagnosticsState` takes the request back.
    StateFirst,
    /// Wants the final dot on the `Interface` of a test, which others refuse.
    InterfaceWithDot,
}

/// Why a `--misbehave` item was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MisbehaviourError {
    /// No such habit.
    #[error("unknown misbehaviour {0:?}; known are {known}", known = Misbehaviour::NAMES.join(", "))]
    Unknown(String),
    /// The part after `=` is missing or cannot be read.
    #[error("{name} needs a value: {form}")]
    Value {
        /// The habit.
        name: &'static str,
        /// How its value looks.
        form: &'static str,
    },
}

impl Misbehaviour {
    /// Every name that [`FromStr`] takes.
    pub const NAMES: [&'static str; 38] = [
        "drop-before=METHOD[#NTH]",
        "drop-after=METHOD[#NTH]",
        "late=MILLISECONDS",
        "wrong-id",
        "missing-id",
        "connection-per-post",
        "no-empty-post",
        "blank-post",
        "empty-envelope",
        "empty-post-first",
        "duplicate-inform",
        "no-cookies",
        "stale-cookies",
        "empty-answer",
        "stale-response",
        "challenge-every-post",
        "odd-prefixes",
        "no-types",
        "self-closing",
        "no-declaration",
        "indented",
        "gzip",
        "chunked",
        "expect-continue",
        "no-content-on-connection-request",
        "no-event-8",
        "no-transfer-complete",
        "empty-transfer-key",
        "transfer-complete-before-reboot",
        "completed-spelling",
        "wrapped-counters",
        "no-fraction-times",
        "diagnostic-in-session",
        "reboot-during-test",
        "download-without-version-change",
        "corrupt-download",
        "state-first",
        "interface-with-dot",
    ];
}

impl FromStr for Misbehaviour {
    type Err = MisbehaviourError;

    fn from_str(text: &str) -> Result<Self, MisbehaviourError> {
        let (name, value) = text.trim().split_once('=').map_or((text.trim(), None), |(n, v)| (n, Some(v)));
        Ok(match name {
            "drop-before" => {
                let (method, nth) = method_and_nth("drop-before", value)?;
                Self::DropBefore { method, nth }
            }
            "drop-after" => {
                let (method, nth) = method_and_nth("drop-after", value)?;
                Self::DropAfter { method, nth }
            }
            "late" => {
                let millis = value.and_then(|v| v.trim_end_matches("ms").parse().ok());
                let millis = millis.ok_or(MisbehaviourError::Value { name: "late", form: "late=500" })?;
                Self::AnswerLate(Duration::from_millis(millis))
            }
            "wrong-id" => Self::WrongId,
            "missing-id" => Self::MissingId,
            "connection-per-post" => Self::ConnectionPerPost,
            "no-empty-post" => Self::NoEmptyPost,
            "blank-post" => Self::BlankPost,
            "empty-envelope" => Self::EmptyEnvelope,
            "empty-post-first" => Self::EmptyPostFirst,
            "duplicate-inform" => Self::DuplicateInform,
            "no-cookies" => Self::NoCookies,
            "stale-cookies" => Self::StaleCookies,
            "empty-answer" => Self::EmptyAnswer,
            "stale-response" => Self::StaleResponse,
            "challenge-every-post" => Self::ChallengeEveryPost,
            "odd-prefixes" => Self::OddPrefixes,
            "no-types" => Self::NoTypes,
            "self-closing" => Self::SelfClosing,
            "no-declaration" => Self::NoDeclaration,
            "indented" => Self::Indented,
            "gzip" => Self::Gzip,
            "chunked" => Self::Chunked,
            "expect-continue" => Self::ExpectContinue,
            "no-content-on-connection-request" => Self::NoContentOnConnectionRequest,
            "no-event-8" => Self::NoEvent8,
            "no-transfer-complete" => Self::NoTransferComplete,
            "empty-transfer-key" => Self::EmptyTransferKey,
            "transfer-complete-before-reboot" => Self::TransferCompleteBeforeReboot,
            "completed-spelling" => Self::CompletedSpelling,
            "wrapped-counters" => Self::WrappedCounters,
            "no-fraction-times" => Self::NoFractionTimes,
            "diagnostic-in-session" => Self::DiagnosticInSession,
            "reboot-during-test" => Self::RebootDuringTest,
            "download-without-version-change" => Self::DownloadWithoutVersionChange,
            "corrupt-download" => Self::CorruptDownload,
            "state-first" => Self::StateFirst,
            "interface-with-dot" => Self::InterfaceWithDot,
            _ => return Err(MisbehaviourError::Unknown(name.to_owned())),
        })
    }
}

fn method_and_nth(name: &'static str, value: Option<&str>) -> Result<(String, u32), MisbehaviourError> {
    let wrong = MisbehaviourError::Value { name, form: "METHOD or METHOD#2, such as drop-after=SetParameterValues#1" };
    let Some(value) = value.filter(|v| !v.is_empty()) else { return Err(wrong) };
    let (method, nth) = value.split_once('#').unwrap_or((value, "0"));
    let nth = nth.parse().map_err(|_| wrong)?;
    Ok((method.to_owned(), nth))
}

/// A fault that the CPE gives whenever an RPC names this parameter or object (or one below it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultPath {
    /// Parameter, or object with its final dot.
    pub path: String,
    /// CWMP fault code, such as 9002.
    pub code: u16,
}

/// Why a `--fault-path` was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must look like PATH=CODE with a code from 9000 to 9899")]
pub struct FaultPathError;

impl FromStr for FaultPath {
    type Err = FaultPathError;

    fn from_str(text: &str) -> Result<Self, FaultPathError> {
        let (path, code) = text.rsplit_once('=').ok_or(FaultPathError)?;
        let code = code.trim().parse().ok().filter(|code| (9000..9900).contains(code)).ok_or(FaultPathError)?;
        Ok(Self { path: path.trim().to_owned(), code })
    }
}

impl fmt::Display for FaultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path, self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_as_documented() {
        let drop = Misbehaviour::DropAfter { method: "SetParameterValues".into(), nth: 2 };
        assert_eq!("drop-after=SetParameterValues#2".parse(), Ok(drop));
        assert_eq!("late=250".parse(), Ok(Misbehaviour::AnswerLate(Duration::from_millis(250))));
        assert!(matches!("drop-after".parse::<Misbehaviour>(), Err(MisbehaviourError::Value { .. })));
        assert!(matches!("sing".parse::<Misbehaviour>(), Err(MisbehaviourError::Unknown(_))));
        for name in Misbehaviour::NAMES {
            let item = name.replace("METHOD[#NTH]", "Reboot").replace("MILLISECONDS", "1");
            assert!(item.parse::<Misbehaviour>().is_ok(), "{item}");
        }
        assert_eq!("Device.X=9002".parse(), Ok(FaultPath { path: "Device.X".into(), code: 9002 }));
        assert!("Device.X=8000".parse::<FaultPath>().is_err());
    }
}
