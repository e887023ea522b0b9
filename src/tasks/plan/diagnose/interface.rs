//! Finding the interface that a test is to use.

use std::collections::BTreeMap;

use crate::diagnostics::interface::{Wish, reads, reason, resolve};
use crate::model::device::DataModel;
use crate::model::transaction::VariableResult;
use crate::tasks::plan::get::{Pace, Reader};
use crate::tasks::plan::{Context, Desk, Step, faults};
use crate::types::path::ReadPath;

use super::{Stage, Test, progress_mut};

impl Test {
    /// Reads what tells where the interface is, unless it was found before, is a path, or none was asked for.
    pub(super) fn find_interface(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>) -> Step {
        let Some(asked) = self.order.interface.as_deref() else { return self.start(desk, cx) };
        match Wish::read(asked) {
            Wish::Path(path) => {
                if let Some(test) = progress_mut(desk.transaction) {
                    test.interface = Some(path.into());
                }
                self.start(desk, cx)
            }
            wish => self.read_interfaces(desk, cx, wish, 0),
        }
    }

    fn read_interfaces(&mut self, desk: &mut Desk<'_>, cx: &Context<'_>, wish: Wish, round: usize) -> Step {
        let model = self.model();
        let paths = reads(model, &wish, round).iter().filter_map(|path| ReadPath::try_from(*path).ok());
        let reader = Reader::of_paths(&paths.collect::<Vec<_>>(), Pace::of(desk.transaction), cx.limits.batch);
        let words = reason(model, &wish);
        self.call(reader, |reader| Stage::Interface { reader, wish, round }).unwrap_or_else(|| self.unresolved(words))
    }

    pub(super) fn interface_read(
        &mut self,
        desk: &mut Desk<'_>,
        cx: &Context<'_>,
        results: &[VariableResult],
        wish: Wish,
        round: usize,
    ) -> Step {
        self.seen.take(results);
        let values: BTreeMap<&str, &str> =
            self.seen.0.iter().map(|(path, (value, _))| (&**path, value.as_str())).collect();
        let Some(path) = resolve(self.model(), &wish, &values, round) else {
            return self.read_interfaces(desk, cx, wish, round + 1);
        };
        if let Some(test) = progress_mut(desk.transaction) {
            test.interface = Some(path.into());
        }
        self.start(desk, cx)
    }

    fn model(&self) -> DataModel {
        self.site.as_ref().map_or(DataModel::Unknown, |site| DataModel::of_path(&site.object))
    }

    fn unresolved(&self, reason: &str) -> Step {
        let asked = self.order.interface.as_deref().unwrap_or_default();
        faults::fail(faults::own(format!("the interface {asked:?} {reason}")))
    }
}
