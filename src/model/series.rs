//! Values of numeric parameters over time: what is kept of one device, and what is thinned out.
//!
//! New points are taken at most one per [`SeriesLimits::spacing`] and path. Points older than the retention go. When a path
//! has more points than allowed, the newer half of them stays as it was sampled, and the older ones are thinned out so that
//! the other half reaches over the whole retention: with 500 points and 30 days, about one in three hours.

use std::time::Duration;

use crate::types::time::Timestamp;

/// Most parameters of one device whose values are kept; beyond them the one that was heard of least recently goes.
pub const PATHS_MAX: usize = 128;

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When it was learned, in whole seconds.
    pub at: Timestamp,
    /// What it was.
    pub value: f64,
}

/// A value that was just learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Of which parameter.
    pub path: Box<str>,
    /// What it is.
    pub value: f64,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesLimits {
    /// Least distance of two points of a path.
    pub spacing: Duration,
    /// Older points go.
    pub retention: Duration,
    /// Most points of a path; at least 4.
    pub points: usize,
}

/// The points of one parameter, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct PathSeries {
    /// Which.
    pub path: Box<str>,
    /// Oldest first, no two at one time.
    pub points: Vec<Point>,
}

/// All that is kept of one device.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// In the order of their paths.
    pub paths: Vec<PathSeries>,
}

impl Series {
    /// The points of a parameter, oldest first.
    #[must_use]
    pub fn of(&self, path: &str) -> &[Point] {
        match self.position(path) {
            Ok(at) => self.paths.get(at).map(|one| one.points.as_slice()).unwrap_or_default(),
            Err(_) => &[],
        }
    }

    /// Takes in what was learned at a time; how many points were added. None: nothing has changed.
    pub fn add(&mut self, at: Timestamp, samples: &[Sample], limits: SeriesLimits) -> usize {
        let at = Timestamp::from_secs(at.as_secs());
        let mut added = 0;
        for sample in samples.iter().filter(|sample| sample.value.is_finite()) {
            let place = match self.position(&sample.path) {
                Ok(place) => place,
                Err(place) => {
                    self.paths.insert(place, PathSeries { path: sample.path.clone(), points: Vec::new() });
                    place
                }
            };
            let Some(one) = self.paths.get_mut(place) else { continue };
            if one.add(Point { at, value: sample.value }, limits) {
                added += 1;
            }
        }
        if added > 0 {
            self.expire(at - limits.retention);
        }
        added
    }

    fn expire(&mut self, before: Timestamp) {
        for one in &mut self.paths {
            let old = one.points.partition_point(|point| point.at < before);
            one.points.drain(..old);
        }
        self.paths.retain(|one| !one.points.is_empty());
        while self.paths.len() > PATHS_MAX {
            let last = |one: &PathSeries| one.points.last().map(|point| point.at);
            let Some((oldest, _)) = self.paths.iter().enumerate().min_by_key(|(_, one)| last(one)) else { return };
            self.paths.remove(oldest);
        }
    }

    fn position(&self, path: &str) -> Result<usize, usize> {
        self.paths.binary_search_by(|one| (*one.path).cmp(path))
    }
}

impl PathSeries {
    fn add(&mut self, point: Point, limits: SeriesLimits) -> bool {
        // What lies further ahead than the next point may was written under a clock that has been set back since.
        while self.points.last().is_some_and(|last| last.at > point.at + limits.spacing) {
            self.points.pop();
        }
        if self.points.last().is_some_and(|last| last.at >= point.at || point.at.since(last.at) < limits.spacing) {
            return false;
        }
        self.points.push(point);
        if self.points.len() > limits.points.max(4) {
            self.thin(limits);
        }
        true
    }

    /// Thins out all but the newer half of what is allowed.
    fn thin(&mut self, limits: SeriesLimits) {
        let half = limits.points.max(4) / 2;
        let step = limits.retention / u32::try_from(half).unwrap_or(u32::MAX);
        let (old, mut place) = (self.points.len().saturating_sub(half), 0);
        let mut kept: Option<Timestamp> = None;
        self.points.retain(|point| {
            place += 1;
            let stays = place > old || kept.is_none_or(|kept| point.at.since(kept) >= step);
            if stays {
                kept = Some(point.at);
            }
            stays
        });
        let surplus = self.points.len().saturating_sub(limits.points.max(4));
        self.points.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SeriesLimits =
        SeriesLimits { spacing: Duration::from_mins(1), retention: Duration::from_hours(24), points: 8 };

    fn add(series: &mut Series, secs: i64, path: &str, value: f64) -> usize {
        series.add(Timestamp::from_secs(secs), &[Sample { path: path.into(), value }], LIMITS)
    }

    fn times(series: &Series, path: &str) -> Vec<i64> {
        series.of(path).iter().map(|point| point.at.as_secs()).collect()
    }

    #[test]
    fn points_keep_their_distance_and_paths_their_own() {
        let mut series = Series::default();
        for (secs, added) in [(1000, 1), (1059, 0), (1060, 1), (1060, 0)] {
            assert_eq!(add(&mut series, secs, "D.A", 1.0), added, "{secs}");
        }
        assert_eq!(add(&mut series, 1061, "D.B", 2.0), 1);
        assert_eq!(add(&mut series, 2000, "D.B", f64::NAN), 0);
        assert_eq!((times(&series, "D.A"), times(&series, "D.B")), (vec![1000, 1060], vec![1061]));
        assert!(times(&series, "D").is_empty());
    }

    #[test]
    fn the_newest_points_stay_and_older_ones_reach_over_the_retention() {
        let mut series = Series::default();
        for at in 0..3_000 {
            add(&mut series, at * 100, "D.A", 0.5);
            assert!(series.of("D.A").len() <= 8);
        }
        let kept = times(&series, "D.A");
        assert!(kept.ends_with(&[299_600, 299_700, 299_800, 299_900]), "{kept:?}");
        let old: Vec<i64> = kept.iter().copied().filter(|at| *at < 299_600).collect();
        assert!(old.len() >= 3 && old.windows(2).all(|pair| pair[1] - pair[0] >= 86_400 / 4), "{kept:?}");
        assert!(old.first().is_some_and(|first| *first < 299_900 - 60_000), "a day is reached over: {kept:?}");
    }

    #[test]
    fn old_points_go_and_empty_paths_with_them() {
        let mut series = Series::default();
        add(&mut series, 0, "D.OLD", 1.0);
        add(&mut series, 50_000, "D.A", 1.0);
        add(&mut series, 100_000, "D.A", 1.0);
        assert_eq!(times(&series, "D.A"), [50_000, 100_000]);
        assert_eq!(series.paths.len(), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_series() {
        let mut series = Series::default();
        for at in [1000, 2000, 900_000] {
            add(&mut series, at, "D.A", 1.0);
        }
        assert_eq!(add(&mut series, 3000, "D.A", 2.0), 1);
        assert_eq!(times(&series, "D.A"), [3000], "what the leap made too old is gone");
    }

    #[test]
    fn paths_are_bounded() {
        let mut series = Series::default();
        for number in 0..PATHS_MAX + 5 {
            let at = 1000 + i64::try_from(number).expect("small");
            add(&mut series, at, &format!("D.{number:03}"), 1.0);
        }
        assert_eq!(series.paths.len(), PATHS_MAX);
        assert!(times(&series, "D.000").is_empty() && !times(&series, "D.005").is_empty());
    }
}
