//! Values over time: a document per device, cut to spans, gone with the device.

use std::sync::Arc;
use std::time::Duration;

use acsd::model::series::{Sample, SeriesLimits};
use acsd::store::Store;
use acsd::store::series::Span;
use acsd::types::ident::DeviceKey;

use super::support::{open_at, register, secs};

pub(super) const LIMITS: SeriesLimits =
    SeriesLimits { spacing: Duration::from_secs(60), retention: Duration::from_hours(720), points: 500 };
const EVER: Span = Span { from: None, to: None };

async fn sample(store: &Arc<dyn Store>, device: DeviceKey, at: i64, values: &[(&str, f64)]) -> usize {
    let samples = values.iter().map(|(path, value)| Sample { path: (*path).into(), value: *value }).collect();
    store.add_samples(device, secs(at), samples, LIMITS).await.expect("taken")
}

async fn points(store: &Arc<dyn Store>, device: DeviceKey, path: &str, span: Span) -> Vec<(i64, f64)> {
    let found = store.points(device, path, span).await.expect("read");
    found.iter().map(|point| (point.at.as_secs(), point.value)).collect()
}

pub(super) async fn values_are_kept_and_cut_to_spans(store: &Arc<dyn Store>) {
    let (one, other) = (register(store, "1").await.key, register(store, "2").await.key);
    assert_eq!(sample(store, one, 1000, &[("D.A", 1.0), ("D.B", -0.5)]).await, 2);
    assert_eq!(sample(store, one, 1030, &[("D.A", 9.0)]).await, 0, "too soon");
    assert_eq!(sample(store, one, 1060, &[("D.A", 2.0)]).await, 1);
    assert_eq!(sample(store, one, 1120, &[("D.A", 3.0)]).await, 1);
    assert_eq!(points(store, one, "D.A", EVER).await, [(1000, 1.0), (1060, 2.0), (1120, 3.0)]);
    assert_eq!(points(store, one, "D.B", EVER).await, [(1000, -0.5)]);
    for (from, to, count) in [
        (Some(1000), Some(1120), 3),
        (Some(1001), None, 2),
        (None, Some(1060), 2),
        (Some(1121), None, 0),
        (Some(2), Some(1), 0),
    ] {
        let span = Span { from: from.map(secs), to: to.map(secs) };
        assert_eq!(points(store, one, "D.A", span).await.len(), count, "{span:?}");
    }
    assert!(points(store, one, "D", EVER).await.is_empty() && points(store, other, "D.A", EVER).await.is_empty());
}

/// More than one record holds.
pub(super) async fn long_series_are_kept(store: &Arc<dyn Store>) {
    let device = register(store, "1").await.key;
    let paths: Vec<String> = (0..100).map(|number| format!("Device.X.{number}.Value")).collect();
    for round in 0..150 {
        let value = |number: f64| (f64::from(round) + number / 7.0).sin();
        let values: Vec<(&str, f64)> =
            paths.iter().zip(0..).map(|(path, n)| (path.as_str(), value(f64::from(n)))).collect();
        assert_eq!(sample(store, device, i64::from(round) * 100, &values).await, 100);
    }
    let last = points(store, device, "Device.X.99.Value", EVER).await;
    assert_eq!((last.len(), last.last()), (150, Some(&(14_900, (149.0_f64 + 99.0 / 7.0).sin()))));
}

pub(super) async fn series_go_with_their_device(store: &Arc<dyn Store>) {
    let (gone, stays) = (register(store, "1").await.key, register(store, "2").await.key);
    for device in [gone, stays] {
        sample(store, device, 1000, &[("D.A", 1.0)]).await;
    }
    store.remove(gone).await.expect("removed");
    assert_eq!(sample(store, gone, 2000, &[("D.A", 1.0)]).await, 0, "nothing is kept of a device that is gone");
    assert!(points(store, gone, "D.A", EVER).await.is_empty());
    assert_eq!(points(store, stays, "D.A", EVER).await.len(), 1);
}

#[tokio::test]
async fn series_outlive_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..3_i64 {
        let store: Arc<dyn Store> = open_at(folder.path()).await;
        let device = match store.by_serial("1").await.expect("read") {
            Some(device) => device.key,
            None => register(&store, "1").await.key,
        };
        let kept = points(&store, device, "D.A", EVER).await;
        assert_eq!(i64::try_from(kept.len()), Ok(round));
        assert_eq!(sample(&store, device, round * 100, &[("D.A", 0.5)]).await, 1);
        store.close().await.expect("closes");
    }
}
