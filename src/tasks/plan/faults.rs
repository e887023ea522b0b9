//! What a fault, a lost session or a missing answer means for a transaction (design.md §4, *Retry*).

use std::time::Duration;

use crate::cwmp::fault::{CpeFaultCode, Remedy};
use crate::cwmp::message::Fault;
use crate::cwmp::session::Answer;
use crate::model::device::TreePatch;
use crate::model::transaction::{Transaction, TransactionFault};
use crate::types::time::Timestamp;

use super::{Context, Ending, PlanLimits, Step};

/// Most names in the words of a fault that does not say which of them it is about.
const NAMES_MAX: usize = 4;
/// Code of a fault that is acsd's own verdict.
pub(super) const OWN_VERDICT: u16 = 0;

/// An answer that is no response of the method called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The CPE refused.
    Fault(TransactionFault),
    /// It answered something else, or nothing.
    NoAnswer(&'static str),
}

impl Trouble {
    /// What is wrong with `answer`, which was not the response hoped for.
    pub(super) fn of(answer: &Answer<'_>) -> Self {
        match answer {
            Answer::Fault(fault) => Self::Fault(fault_of(fault)),
            Answer::Response(_) | Answer::Mismatch => {
                Self::NoAnswer("the device answered with another method's response")
            }
            Answer::Missing => Self::NoAnswer("the device did not answer the call"),
        }
    }
}

/// A CPE's fault in numbers and words; the parameters it names are in the words.
pub(super) fn fault_of(fault: &Fault<'_>) -> TransactionFault {
    let mut message = words(fault.code, &fault.message);
    for (index, parameter) in fault.parameters.iter().take(4).enumerate() {
        message.push_str(if index == 0 { ": " } else { "; " });
        message.push_str(&parameter.name);
        message.push_str(": ");
        message.push_str(&parameter.code.to_string());
        message.push(' ');
        message.push_str(&words(parameter.code, &parameter.message));
    }
    TransactionFault { code: fault.code.0, message }
}

/// The CPE's words, or the standard's where it has none.
pub(super) fn words(code: CpeFaultCode, message: &str) -> String {
    let message = message.trim();
    if message.is_empty() { code.meaning().to_owned() } else { message.chars().take(256).collect() }
}

/// A verdict of acsd's own.
pub(super) fn own(message: impl Into<String>) -> TransactionFault {
    TransactionFault { code: OWN_VERDICT, message: message.into() }
}

/// A fault with the parameter it is about in its words.
pub(super) fn named(path: &str, fault: TransactionFault) -> TransactionFault {
    if fault.message.contains(path) {
        return fault;
    }
    TransactionFault { message: format!("{path}: {}", fault.message), ..fault }
}

/// A fault that may be about any of these parameters, in words that name them, unless it names one of them itself.
pub(super) fn about(paths: &[&str], fault: TransactionFault) -> TransactionFault {
    match paths {
        [] => fault,
        [only] => named(only, fault),
        several if several.iter().any(|path| fault.message.contains(path)) => fault,
        several => {
            let more = if several.len() > NAMES_MAX { ", ..." } else { "" };
            let names: Vec<&str> = several.iter().take(NAMES_MAX).copied().collect();
            let message = format!("{} (one of {}{more})", fault.message, names.join(", "));
            TransactionFault { message, ..fault }
        }
    }
}

/// Takes a path out of the known tree, with whatever was learned below it just before.
pub(super) fn forget(learned: &mut TreePatch, path: &str) {
    learned
        .learn
        .retain(|patch| if path.ends_with('.') { !patch.path.starts_with(path) } else { *patch.path != *path });
    learned.forget.push(path.into());
}

/// Fails for good.
pub(super) fn fail(fault: TransactionFault) -> Step {
    Step::End(Ending::Failed(fault))
}

/// Done.
pub(super) fn complete() -> Step {
    Step::End(Ending::Completed { note: None })
}

/// Backs off or fails, as the fault's remedy says.
pub(super) fn react(transaction: &mut Transaction, cx: &Context<'_>, trouble: Trouble) -> Step {
    let (fault, remedy) = match trouble {
        Trouble::Fault(fault) => {
            let remedy = CpeFaultCode(fault.code).remedy();
            (fault, remedy)
        }
        Trouble::NoAnswer(words) => (own(words), Remedy::Retry),
    };
    let give_up = match remedy {
        Remedy::Permanent => true,
        Remedy::RetryOnce => std::mem::replace(&mut transaction.progress.second_try, true),
        Remedy::Retry => transaction.attempts >= cx.limits.attempts,
    };
    transaction.fault = Some(fault.clone());
    if give_up {
        return fail(fault);
    }
    transaction.progress.reread_types |= fault.code == CpeFaultCode::INVALID_TYPE.0;
    transaction.progress.in_flight = None;
    Step::Release { not_before: Some(cx.now + backoff(transaction.attempts, cx.jitter, cx.limits)) }
}

/// As [`react`], but what is in flight stays noted: the next attempt looks into its outcome first.
pub(super) fn react_unresolved(transaction: &mut Transaction, cx: &Context<'_>, trouble: Trouble) -> Step {
    let in_flight = transaction.progress.in_flight.take();
    let step = react(transaction, cx, trouble);
    let unresolved = in_flight.is_some();
    transaction.progress.in_flight = in_flight;
    match step {
        Step::End(Ending::Failed(fault)) if unresolved => {
            let message = format!("{}; whether the change was made is unknown", fault.message);
            fail(TransactionFault { message, ..fault })
        }
        other => other,
    }
}

/// The session broke off. The first time the next session takes the transaction up at once; when that happens again it
/// backs off as well, so that a call which kills the session cannot hold up the rest of the queue.
pub(super) fn lost(transaction: &mut Transaction, now: Timestamp, jitter: u32, limits: &PlanLimits) -> Step {
    if transaction.attempts >= limits.attempts {
        let sessions = transaction.attempts;
        return fail(own(format!("the session broke off in each of {sessions} attempts; the outcome is unknown")));
    }
    let not_before =
        (transaction.attempts > 1).then(|| now + backoff(transaction.attempts.saturating_sub(1), jitter, limits));
    transaction.fault = None;
    Step::Release { not_before }
}

/// Doubles with each attempt, up to the cap, and is spread by up to a fifth either way.
fn backoff(attempts: u32, jitter: u32, limits: &PlanLimits) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let base = limits.backoff_first.saturating_mul(1 << doublings).min(limits.backoff_max);
    base.mul_f64(0.8 + 0.4 * f64::from(jitter.min(999)) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_to_its_cap() {
        let limits = PlanLimits::default();
        let seconds = |attempts| backoff(attempts, 500, &limits).as_secs();
        assert_eq!([seconds(1), seconds(2), seconds(3), seconds(30)], [30, 60, 120, 3600]);
        assert!(backoff(1, 0, &limits) < backoff(1, 999, &limits));
    }
}
