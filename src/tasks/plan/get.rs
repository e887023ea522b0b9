//! `get`: reading parameters, subtrees or the whole tree.

mod reader;

use crate::cwmp::session::Answer;
use crate::model::transaction::{Transaction, Work};

use super::faults::{self, Trouble};
use super::{Context, Desk, Ending, Save, Step};

pub(super) use reader::Reader;

/// The procedure `get`.
#[derive(Debug, Default)]
pub(super) struct Get {
    reader: Option<Reader>,
}

impl Get {
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let Work::Get { paths } = &desk.transaction.work else {
            return faults::fail(faults::own("the transaction is no get"));
        };
        let pace = Pace::of(desk.transaction);
        let reader = if paths.is_empty() {
            Reader::of_tree(cx.data_model.root(), pace, cx.limits.batch)
        } else {
            Reader::of_paths(paths, pace, cx.limits.batch)
        };
        self.advance(reader, desk, cx)
    }

    pub(super) fn answer(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, answer: &Answer<'_>) -> Step {
        let Some(mut reader) = self.reader.take() else {
            return faults::fail(faults::own("an answer came that nobody asked for"));
        };
        match reader.take_in(answer, desk.learned) {
            Ok(()) => self.advance(reader, desk, cx),
            Err(trouble) => {
                *desk.results = reader.results;
                desk.results.sort_by_key(|result| result.variable);
                faults::react(desk.transaction, cx, trouble)
            }
        }
    }

    fn advance(&mut self, mut reader: Reader, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        if let Some(request) = reader.next_call() {
            self.reader = Some(reader);
            return Step::Call { request, save: Save::NotNeeded };
        }
        let mut results = reader.results;
        results.sort_by_key(|result| result.variable);
        let fault = results.iter().find_map(|result| Some(faults::named(&result.path, result.fault.clone()?)));
        let nothing = results.is_empty();
        *desk.results = results;
        match (fault, reader.skipped) {
            (Some(fault), _) => faults::fail(fault),
            (None, Some(skipped)) if nothing => faults::react(desk.transaction, cx, Trouble::Fault(skipped.first)),
            (None, skipped) => Step::End(Ending::Completed { note: skipped.map(|skipped| skipped.note()) }),
        }
    }
}

/// How much one call may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// What the work names, as it names it.
    Subtrees,
    /// Only parameters that the device has just listed, one level after the other.
    Levels,
}

impl Pace {
    /// Some agents die of a partial path, or of a name that they do not have (quirk 71), and weak devices of a large answer;
    /// others die of being asked for names. So when the last attempt broke off, the next one asks the other way.
    pub(super) const fn of(transaction: &Transaction) -> Self {
        if transaction.fault.is_none() && transaction.attempts.is_multiple_of(2) {
            Self::Levels
        } else {
            Self::Subtrees
        }
    }
}

/// Whether the text has `path` in it as a whole word, not merely as the start of a longer one.
pub(super) fn mentions(text: &str, path: &str) -> bool {
    let is_path_char = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.match_indices(path).any(|(at, _)| {
        let after = text.get(at + path.len()..).and_then(|rest| rest.chars().next());
        let before = text.get(..at).and_then(|head| head.chars().next_back());
        // A full stop may end the sentence.
        after.is_none_or(|c| !is_path_char(c) || c == '.') && before.is_none_or(|c| !is_path_char(c))
    })
}
