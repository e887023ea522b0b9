//! Values of numeric parameters over time, a document per device.

use crate::model::series::{Point, Sample, SeriesLimits};
use crate::types::ident::DeviceKey;
use crate::types::time::Timestamp;

use super::StoreFuture;

/// Values over time. They go with their device.
pub trait SeriesStore: Send + Sync {
    /// Takes in what was learned of a device, as [`Series::add`](crate::model::series::Series::add) has it; relaxed. How
    /// many points were added; none when the device is gone.
    fn add_samples(
        &self,
        device: DeviceKey,
        at: Timestamp,
        samples: Vec<Sample>,
        limits: SeriesLimits,
    ) -> StoreFuture<'_, usize>;

    /// The points of a parameter within a span, both ends included, oldest first.
    fn points<'a>(&'a self, device: DeviceKey, path: &'a str, span: Span) -> StoreFuture<'a, Vec<Point>>;
}

/// A span of time; an end that is not given lies at no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Not after.
    pub to: Option<Timestamp>,
}

impl Span {
    /// Those points that lie in it; `points` in the order of time.
    pub(super) fn of(self, points: &[Point]) -> &[Point] {
        let start = self.from.map_or(0, |from| points.partition_point(|point| point.at < from));
        let end = self.to.map_or(points.len(), |to| points.partition_point(|point| point.at <= to));
        points.get(start..end.max(start)).unwrap_or_default()
    }
}
