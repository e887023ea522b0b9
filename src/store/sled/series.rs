//! Values over time on disk: a document per device, in which times and whole numbers are told by their differences.

use serde::{Deserialize, Serialize};

use crate::model::series::{PathSeries, Point, Sample, Series, SeriesLimits};
use crate::store::key::{self, Table};
use crate::store::series::{SeriesStore, Span};
use crate::store::{StoreError, StoreFuture, record};
use crate::types::ident::DeviceKey;
use crate::types::time::Timestamp;

use super::{Core, SledStore, blocking};

/// A document larger than this is worked on where it may block.
const INLINE_BYTES: usize = 8 << 10;

/// The points of one path as they are kept.
#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    path: &'a str,
    /// Seconds: the first since 1970, the others since the one before.
    times: Vec<i64>,
    values: Values,
}

#[derive(Serialize, Deserialize)]
enum Values {
    /// All are whole numbers: the first, then the differences.
    Whole(Vec<i64>),
    /// As they are.
    Real(Vec<f64>),
}

/// Whole numbers up to here are told apart by an `f64`.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

fn whole(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and within what both types hold exactly")]
    (value.fract() == 0.0 && value.abs() <= WHOLE_MAX).then_some(value as i64)
}

fn differences(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut before = 0;
    values.map(|value| value - std::mem::replace(&mut before, value)).collect()
}

fn sums(differences: &[i64]) -> impl Iterator<Item = i64> {
    let mut sum = 0_i64;
    differences.iter().map(move |difference| {
        sum = sum.saturating_add(*difference);
        sum
    })
}

fn encode(series: &Series) -> Result<Vec<u8>, StoreError> {
    let pack = |one: &PathSeries| {
        let all_whole: Option<Vec<i64>> = one.points.iter().map(|point| whole(point.value)).collect();
        Ok(Packed {
            path: "",
            times: differences(one.points.iter().map(|point| point.at.as_secs())),
            values: match all_whole {
                Some(values) => Values::Whole(differences(values.into_iter())),
                None => Values::Real(one.points.iter().map(|point| point.value).collect()),
            },
        })
    };
    let packed: Result<Vec<Packed<'_>>, StoreError> =
        series.paths.iter().map(|one| pack(one).map(|packed| Packed { path: &one.path, ..packed })).collect();
    record::encode_large(&packed?)
}

fn decode(bytes: &[u8]) -> Result<Series, StoreError> {
    #[derive(Deserialize)]
    struct Owned {
        path: Box<str>,
        times: Vec<i64>,
        values: Values,
    }
    let packed: Vec<Owned> = record::decode("series", bytes)?;
    let unpack = |one: Owned| {
        let times = sums(&one.times).map(Timestamp::from_secs);
        #[expect(clippy::cast_precision_loss, reason = "they were written from values of this type")]
        let values: Vec<f64> = match one.values {
            Values::Whole(differences) => sums(&differences).map(|value| value as f64).collect(),
            Values::Real(values) => values,
        };
        let points = times.zip(values).map(|(at, value)| Point { at, value }).collect();
        PathSeries { path: one.path, points }
    };
    Ok(Series { paths: packed.into_iter().map(unpack).collect() })
}

impl Core {
    fn series(&self, device: DeviceKey) -> Result<Series, StoreError> {
        let bytes = self.database.get(Table::Series, &key::device(device))?;
        bytes.map_or_else(|| Ok(Series::default()), |bytes| decode(&bytes))
    }

    fn add_samples(
        &self,
        device: DeviceKey,
        at: Timestamp,
        samples: &[Sample],
        limits: SeriesLimits,
    ) -> Result<usize, StoreError> {
        // The lock under which a removed device's records are deleted: nothing is written behind that.
        let _tree = self.tree_locks.lock(device);
        if !self.exists(device) {
            return Ok(0);
        }
        let mut series = self.series(device)?;
        let added = series.add(at, samples, limits);
        if added > 0 {
            self.database.put(Table::Series, &key::device(device), &encode(&series)?)?;
        }
        Ok(added)
    }

    fn is_long(&self, device: DeviceKey) -> Result<bool, StoreError> {
        Ok(self.database.size(Table::Series, &key::device(device))? > INLINE_BYTES)
    }
}

impl SeriesStore for SledStore {
    fn add_samples(
        &self,
        device: DeviceKey,
        at: Timestamp,
        samples: Vec<Sample>,
        limits: SeriesLimits,
    ) -> StoreFuture<'_, usize> {
        Box::pin(async move {
            self.core.health.check()?;
            if !self.core.is_long(device)? {
                return self.core.add_samples(device, at, &samples, limits);
            }
            blocking(&self.core, move |core| core.add_samples(device, at, &samples, limits)).await
        })
    }

    fn points<'a>(&'a self, device: DeviceKey, path: &'a str, span: Span) -> StoreFuture<'a, Vec<Point>> {
        let path = path.to_owned();
        Box::pin(
            async move { blocking(&self.core, move |core| Ok(span.of(core.series(device)?.of(&path)).to_vec())).await },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, values: impl Iterator<Item = f64>) -> PathSeries {
        let at = (0..).map(|number| Timestamp::from_secs(1_700_000_000 + number * 300));
        PathSeries { path: path.into(), points: at.zip(values).map(|(at, value)| Point { at, value }).collect() }
    }

    #[test]
    fn series_come_back_and_are_small() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut byte = || f64::from(random.u8(..));
        let series = Series {
            paths: vec![
                one("D.Cpu", (0..500).map(|_| byte())),
                one("D.Negative", [-1.0, 0.0, -9_007_199_254_740_992.0, 9e15, 5.0].into_iter()),
                one("D.Real", [0.5, -0.25, 1e300, f64::MIN_POSITIVE].into_iter()),
                one("D.Up", (0..500).map(|number| f64::from(number) * 300.0)),
            ],
        };
        let bytes = encode(&series).expect("encodes");
        assert_eq!(decode(&bytes).expect("decodes"), series);
        assert!(bytes.len() < 4_096, "{} bytes for 1,009 points", bytes.len());
        assert_eq!(decode(&encode(&Series::default()).expect("encodes")).expect("decodes"), Series::default());
    }
}
