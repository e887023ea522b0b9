//! Download and upload (TR-143): bytes over time.
//!
//! The time is `EOMTime` − `BOMTime`, from the first packet of data to the last. No data comes before it was asked for: a
//! `BOMTime` before `ROMTime` is one of an earlier test, which some devices never reset, and there is no time. The bytes are `TestBytesReceived` of a
//! download, `TestBytesSent` of an upload; where an upload has no such parameter (TR-098, TR-181 before 2.9) they are
//! `TotalBytesSent`, else `TestFileLength`. With several connections at once the speed is what went over all of them while
//! all were busy, `TestBytes...UnderFullLoading` over `PeriodOfFullLoading`.
//!
//! Counters of 32 bits begin anew at 4 GiB. What went by is put right where something tells how much it was: the wider
//! of two counters; the size that an upload was asked for; the size that the name of a file states (`5GiB.bin`), if the
//! counter shows just that size but for whole 4 GiB.

use crate::diagnostics::inputs::upload_bytes;
use crate::diagnostics::readings::Readings;
use crate::model::diagnostic::DiagnosticOrder;
use crate::types::time::{CwmpTime, parse_cwmp_time};

/// Where a 32-bit counter begins anew.
const WRAP: u64 = 1 << 32;
/// Below this many microseconds the figure says little: many devices note times to the second.
const CONFIDENT_MICROS: u64 = 2_000_000;

/// What came of a transfer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Speed {
    /// Millions of bits a second; `None`: the device's numbers give none.
    pub mbps: Option<f64>,
    /// Bytes transferred.
    pub bytes: Option<u64>,
    /// From the first packet to the last, in seconds.
    pub secs: Option<f64>,
    /// What is odd about the numbers.
    pub note: Option<&'static str>,
}

pub(super) fn download(readings: Readings<'_>, order: &DiagnosticOrder) -> Speed {
    let total = readings.number(&["TotalBytesReceived"]);
    let own = readings.number(&["TestBytesReceived"]);
    // A counter that was never moved says less than one that was.
    let bytes = own.filter(|own| *own > 0 || total.is_none_or(|total| total == 0)).map(|bytes| match total {
        // The wider counter of the two tells how often the narrower one has begun anew.
        Some(total) if total >= WRAP && bytes < WRAP => bytes + (total - bytes) / WRAP * WRAP,
        Some(_) | None => stated_sizes(&order.target).find_map(|stated| known(bytes, stated)).unwrap_or(bytes),
    });
    speed(readings, bytes.or(total), "TestBytesReceivedUnderFullLoading")
}

pub(super) fn upload(readings: Readings<'_>, order: &DiagnosticOrder) -> Speed {
    let asked =
        readings.number(&["TestFileLength"]).filter(|length| *length > 0).unwrap_or_else(|| upload_bytes(order));
    let whole = |sent: u64| if sent < WRAP && sent < asked { unwrapped(sent, asked) } else { Some(sent) };
    let own = readings.number(&["TestBytesSent"]).filter(|sent| *sent > 0);
    // The interface's counter is shown less than what went over it when it began anew in the middle.
    let total = || readings.number(&["TotalBytesSent"]).filter(|sent| *sent > 0).and_then(whole);
    let sent = own.map(|own| whole(own).unwrap_or(own)).or_else(total);
    speed(readings, Some(sent.unwrap_or(asked)), "TestBytesSentUnderFullLoading")
}

/// A counter of 32 bits that has begun anew, when no less than `expected` bytes went by; `None`: it merely falls short.
fn unwrapped(counter: u64, expected: u64) -> Option<u64> {
    let wraps = expected.saturating_sub(counter).div_ceil(WRAP);
    let whole = counter.checked_add(wraps.checked_mul(WRAP)?)?;
    // Headers and other traffic of the interface add little to a file of this size.
    (expected >= WRAP / 2 && whole <= expected.saturating_add(expected / 2)).then_some(whole)
}

/// A counter that shows a file of `stated` bytes, but for whole 4 GiB and the headers.
fn known(counter: u64, stated: u64) -> Option<u64> {
    let whole = (stated > counter && counter < WRAP).then(|| unwrapped(counter, stated)).flatten()?;
    (whole - stated <= stated / 50).then_some(whole)
}

/// The sizes that the name of a file may mean, as files for speed tests have it: `1GB.bin`, `5GiB`. A GB is 10⁹ bytes or
/// 2³⁰.
fn stated_sizes(url: &str) -> impl Iterator<Item = u64> {
    let name = url.split(['?', '#']).next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let digits = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
    let (number, unit) = name.split_at_checked(digits).unwrap_or_default();
    let powers = match unit.chars().next().map(|unit| unit.to_ascii_lowercase()) {
        Some('g') => Some([1_000_000_000, 1 << 30]),
        Some('m') => Some([1_000_000, 1 << 20]),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    powers.into_iter().flatten().filter_map(move |power| number?.checked_mul(power))
}

fn speed(readings: Readings<'_>, bytes: Option<u64>, loaded: &str) -> Speed {
    let micros = |leaf| readings.text(leaf).and_then(micros);
    let several = readings.number(&["NumberOfConnections"]).is_some_and(|connections| connections > 1);
    let full = readings
        .number(&["PeriodOfFullLoading"])
        .filter(|period| several && *period > 0)
        .zip(readings.number(&[loaded]).filter(|bytes| *bytes > 0));
    let span = match (micros("BOMTime"), micros("EOMTime")) {
        (Some(begin), Some(_)) if micros("ROMTime").is_some_and(|request| begin < request) => Err(
            "the device's times contradict each other: the first packet came before it was asked for, the time may be that \
             of an earlier test",
        ),
        (Some(begin), Some(end)) => u64::try_from(end - begin)
            .ok()
            .filter(|span| *span > 0)
            .ok_or("the device's times of the first and the last packet are equal, or in the wrong order"),
        _ => Err("the device does not know when the first or the last packet came"),
    };
    let secs = span.ok().map(|span| rounded(to_f64(span) / 1e6));
    // Bits a microsecond are millions of bits a second.
    let mbps = match (full, span, bytes) {
        (Some((period, bytes)), _, _) => Some(to_f64(bytes) * 8.0 / to_f64(period)),
        (None, Ok(span), Some(bytes)) if bytes > 0 => Some(to_f64(bytes) * 8.0 / to_f64(span)),
        (None, _, _) => None,
    };
    let note = match (mbps, full, span) {
        // These figures are not those of the bytes and seconds that are shown beside them.
        (Some(_), Some((period, _)), _) if period < CONFIDENT_MICROS => Some(
            "several connections: the speed is the bytes under full loading over its period, which was less than two \
             seconds: the figure is rough",
        ),
        (Some(_), Some(_), Err(_)) => Some(
            "several connections: the speed is the bytes under full loading over its period; the device's times of the \
             first and the last packet give no duration",
        ),
        (Some(_), Some(_), Ok(_)) => {
            Some("several connections: the speed is the bytes under full loading over its period")
        }
        (Some(_), None, Ok(span)) if span < CONFIDENT_MICROS => {
            Some("the test took less than two seconds: the figure is rough")
        }
        (Some(_), None, _) => None,
        (None, _, Err(reason)) => Some(reason),
        (None, _, Ok(_)) => Some("the device does not say how many bytes went by"),
    };
    Speed { mbps: mbps.map(rounded), bytes, secs, note }
}

/// Microseconds since 1970 of a time as devices write it; `None` where they do not know the time, or count from their boot.
fn micros(text: &str) -> Option<i64> {
    // Some devices write the fraction as their locale has it.
    let text = text.replace(',', ".");
    let Some(CwmpTime::At(at)) = parse_cwmp_time(&text) else { return None };
    // That has the fraction to three digits.
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.chars().take_while(char::is_ascii_digit).chain("000000".chars()).take(6).skip(3);
    let rest = digits.filter_map(|digit| digit.to_digit(10)).fold(0, |rest, digit| rest * 10 + i64::from(digit));
    at.0.checked_mul(1000)?.checked_add(rest)
}

/// To six digits behind the point: what the device's microseconds are worth.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// Exact up to 2⁵³, which is more than any line carries.
#[expect(clippy::cast_precision_loss, reason = "counters of bytes and microseconds stay far below 2^53")]
pub(super) const fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::super::{Findings, readings_of};
    use super::*;
    use crate::model::diagnostic::{DiagnosticKind, UploadSize};

    const OBJECT: &str = "Device.IP.Diagnostics.DownloadDiagnostics.";

    fn down(values: &[(&str, &str)]) -> Speed {
        down_from("http://h/", values)
    }

    fn down_from(target: &str, values: &[(&str, &str)]) -> Speed {
        let order = DiagnosticOrder { kind: DiagnosticKind::Download, target: target.to_owned(), ..order(1) };
        download(Readings::new(&readings_of(OBJECT, values), OBJECT), &order)
    }

    fn up(megabytes: u32, values: &[(&str, &str)]) -> Speed {
        upload(Readings::new(&readings_of(OBJECT, values), OBJECT), &order(megabytes))
    }

    fn order(megabytes: u32) -> DiagnosticOrder {
        DiagnosticOrder {
            kind: DiagnosticKind::Upload,
            target: String::new(),
            upload_size: Some(UploadSize::Number(megabytes)),
            count: None,
            size: None,
            timeout_secs: None,
            max_hops: None,
            interface: None,
        }
    }

    #[test]
    fn a_download_is_bytes_over_the_time_between_the_first_and_the_last_packet() {
        // 1,073,741,824 B × 8 / 10⁶ / 129.2 s
        let speed = down(&[
            ("ROMTime", "2024-01-15T10:30:00.000000Z"),
            ("BOMTime", "2024-01-15T10:30:01.500000Z"),
            ("EOMTime", "2024-01-15T10:32:10.700000Z"),
            ("TestBytesReceived", "1073741824"),
            ("TotalBytesReceived", "1100000000"),
        ]);
        assert_eq!(speed, Speed { mbps: Some(66.485_562), bytes: Some(1_073_741_824), secs: Some(129.2), note: None });
    }

    #[test]
    fn times_are_read_in_every_form() {
        let table = [
            // 5 s, 10,000,000 B: 16 Mbit/s
            ("2024-01-15T10:30:00.000000Z", "2024-01-15T10:30:05.000000Z", Some(16.0), Some(5.0)),
            ("2024-01-15T10:30:00", "2024-01-15T10:30:05", Some(16.0), Some(5.0)),
            ("2024-01-15T10:30:00.5", "2024-01-15T10:30:05.500000000", Some(16.0), Some(5.0)),
            ("2024-01-15T12:30:00.000001+02:00", "2024-01-15T10:30:05.000001Z", Some(16.0), Some(5.0)),
            ("2024-01-15 10:30:00.5", "2024-01-15 10:30:05.5", Some(16.0), Some(5.0)),
            ("2024-01-15T10:30:00,5Z", "2024-01-15 10:30:05,500000+00:00", Some(16.0), Some(5.0)),
            ("2024-01-15T10:30:00,000001Z", "2024-01-15T10:30:02,000002Z", Some(39.99998), Some(2.000_001)),
            // 2.000001 s
            ("2024-01-15T10:30:00.000001Z", "2024-01-15T10:30:02.000002Z", Some(39.99998), Some(2.000_001)),
            // The clock was never set.
            ("1970-01-01T00:10:00.250Z", "1970-01-01T00:10:05.250Z", Some(16.0), Some(5.0)),
            ("2024-01-15T10:30:05Z", "2024-01-15T10:30:05Z", None, None),
            ("2024-01-15T10:30:06Z", "2024-01-15T10:30:05Z", None, None),
            ("0001-01-01T00:00:00Z", "2024-01-15T10:30:05Z", None, None),
            ("0001-01-01T00:00:10Z", "0001-01-01T00:00:15Z", None, None),
            ("0000-00-00T00:00:00", "", None, None),
        ];
        for (begin, end, mbps, secs) in table {
            let speed = down(&[("BOMTime", begin), ("EOMTime", end), ("TestBytesReceived", "10000000")]);
            assert_eq!((speed.mbps, speed.secs), (mbps, secs), "{begin} {end}");
            assert_eq!(speed.note.is_some(), mbps.is_none(), "{begin} {end}: {:?}", speed.note);
        }
        let short = down(&[
            ("BOMTime", "2024-01-15T10:30:00.000000Z"),
            ("EOMTime", "2024-01-15T10:30:01.000000Z"),
            ("TestBytesReceived", "1000000"),
        ]);
        assert!(short.mbps == Some(8.0) && short.note.is_some_and(|note| note.contains("rough")));
    }

    #[test]
    fn a_first_packet_from_before_the_request_gives_no_speed() {
        let table = [
            // The device never resets BOMTime: it would be 10,000,000 B over 2.493 s instead of 1.004 s at the most.
            ("2024-01-15T01:13:22.192Z", "2024-01-15T01:13:20.703Z", "2024-01-15T01:13:23.196Z", None),
            ("2024-01-15T01:13:22.192001Z", "2024-01-15T01:13:22.192000Z", "2024-01-15T01:13:27.192Z", None),
            // In zones of their own: 00:00:01 is before 00:00:02.
            ("2024-01-15T02:00:02+02:00", "2024-01-15T00:00:01Z", "2024-01-15T00:00:06Z", None),
            // 80,000,000 bit over 5 s.
            ("2024-01-15T02:00:01+02:00", "2024-01-15T00:00:01Z", "2024-01-15T00:00:06Z", Some(16.0)),
            ("2024-01-15T01:13:22.192Z", "2024-01-15T01:13:22.192Z", "2024-01-15T01:13:27.192Z", Some(16.0)),
            // Times that are none contradict nothing.
            ("0001-01-01T00:00:00Z", "2024-01-15T00:00:01Z", "2024-01-15T00:00:06Z", Some(16.0)),
            ("0000-00-00T00:00:00", "2024-01-15T00:00:01Z", "2024-01-15T00:00:06Z", Some(16.0)),
            ("9999-12-31T23:59:59Z", "2024-01-15T00:00:01Z", "2024-01-15T00:00:06Z", Some(16.0)),
            ("", "2024-01-15T00:00:01Z", "2024-01-15T00:00:06Z", Some(16.0)),
        ];
        for (request, begin, end, mbps) in table {
            let values = [("ROMTime", request), ("BOMTime", begin), ("EOMTime", end)];
            let down = down(&[&values[..], &[("TestBytesReceived", "10000000")]].concat());
            let up = up(10, &[&values[..], &[("TestBytesSent", "10000000")]].concat());
            for (speed, findings) in [(down.clone(), Findings::Download(down)), (up.clone(), Findings::Upload(up))] {
                assert_eq!((speed.mbps, speed.bytes), (mbps, Some(10_000_000)), "{request} {begin}");
                assert_eq!(
                    (speed.secs, findings.is_success()),
                    (mbps.map(|_| 5.0), mbps.is_some()),
                    "{request} {begin}"
                );
                let contradicts = speed.note.is_some_and(|note| note.contains("contradict"));
                assert_eq!(contradicts, mbps.is_none(), "{request} {begin}: {:?}", speed.note);
            }
        }
    }

    #[test]
    fn several_connections_are_measured_while_all_are_busy() {
        let values = [
            ("NumberOfConnections", "4"),
            ("BOMTime", "2024-01-15T10:30:00Z"),
            ("EOMTime", "2024-01-15T10:30:10Z"),
            ("TestBytesReceived", "100000000"),
            ("TestBytesReceivedUnderFullLoading", "90000000"),
            ("PeriodOfFullLoading", "8000000"),
        ];
        // 720,000,000 bit / 8,000,000 µs
        assert_eq!((down(&values).mbps, down(&values).secs), (Some(90.0), Some(10.0)));
        let one: Vec<_> = values
            .iter()
            .map(|(leaf, value)| if *leaf == "NumberOfConnections" { (*leaf, "1") } else { (*leaf, *value) })
            .collect();
        assert_eq!((down(&one).mbps, down(&one).note), (Some(80.0), None));
    }

    #[test]
    fn a_speed_under_full_loading_says_that_it_is_one() {
        let (known, equal) = ("2024-01-15T10:30:10Z", "2024-01-15T10:30:00Z");
        let table = [
            // 720,000,000 bit / 8,000,000 µs
            (known, "8000000", 90.0, Some(10.0), "full loading over its period"),
            // 720,000,000 bit / 1,600,000 µs
            (known, "1600000", 450.0, Some(10.0), "rough"),
            (equal, "8000000", 90.0, None, "no duration"),
            // Without figures under full loading: 800,000,000 bit / 10 s.
            (known, "0", 80.0, Some(10.0), ""),
        ];
        for (end, period, mbps, secs, words) in table {
            let values = [
                ("NumberOfConnections", "4"),
                ("BOMTime", "2024-01-15T10:30:00Z"),
                ("EOMTime", end),
                ("TestBytesReceived", "100000000"),
                ("TestBytesReceivedUnderFullLoading", "90000000"),
                ("PeriodOfFullLoading", period),
            ];
            let speed = down(&values);
            assert_eq!((speed.mbps, speed.secs), (Some(mbps), secs), "{end} {period}");
            let note = speed.note.unwrap_or_default();
            assert_eq!((note.contains(words), note.is_empty()), (true, words.is_empty()), "{end} {period}: {note}");
        }
    }

    #[test]
    fn counters_that_began_anew_are_put_right() {
        let times = [("BOMTime", "2024-01-15T10:30:00Z"), ("EOMTime", "2024-01-15T10:31:40Z")];
        let with = |values: &[(&'static str, &'static str)]| [&times[..], values].concat();
        // 5 GiB: the narrow counter shows 1 GiB, the wide one all. 42,949,672,960 bit / 100 s
        let wide = down(&with(&[("TestBytesReceived", "1073741824"), ("TotalBytesReceived", "5400000000")]));
        assert_eq!((wide.bytes, wide.mbps), (Some(5_368_709_120), Some(429.49673)));
        // The total began anew, the test's own counter did not.
        let total = down(&with(&[("TestBytesReceived", "4200000000"), ("TotalBytesReceived", "105032704")]));
        assert_eq!(total.bytes, Some(4_200_000_000));
        // 8192 MB were asked for: 8,589,934,592 B and 1 % of headers are 8,675,833,937 B, shown modulo 2³².
        let sent = up(8192, &with(&[("TotalBytesSent", "85899345"), ("TestFileLength", "0")]));
        assert_eq!(sent.bytes, Some(8_675_833_937));
        // Cut off half-way: nothing began anew.
        let cut = up(100, &with(&[("TestBytesSent", "50000000"), ("TestFileLength", "104857600")]));
        assert_eq!(cut.bytes, Some(50_000_000));
        // The interface's counter of a small file began anew: it says nothing.
        let small = up(100, &with(&[("TotalBytesSent", "50000"), ("TestFileLength", "104857600")]));
        assert_eq!(small.bytes, Some(104_857_600));
        // 5 GiB and 240 B of headers, shown modulo 2³²; both counters began anew, and the file's name tells.
        let both = [("TestBytesReceived", "1073742064"), ("TotalBytesReceived", "42949672")];
        assert_eq!(down_from("http://h/a/5GiB.bin?x=1/y", &with(&both)).bytes, Some(5_368_709_360));
        assert_eq!(down_from("http://h/5GB", &with(&both)).bytes, Some(5_368_709_360));
        for other in ["http://h/6GB.bin", "http://h/1GB.bin", "http://h/file.bin", "http://5GiB/", "ftp://h/5"] {
            assert_eq!(down_from(other, &with(&both)).bytes, Some(1_073_742_064), "{other}");
        }
    }

    #[test]
    fn an_upload_of_tr_098_has_no_counter_of_its_own() {
        let times = [("BOMTime", "2024-01-15T10:30:00.0Z"), ("EOMTime", "2024-01-15T10:30:10.0Z")];
        let total = [&times[..], &[("TotalBytesSent", "12000000"), ("TestFileLength", "10485760")]].concat();
        assert_eq!(up(10, &total).mbps, Some(9.6));
        let length = [&times[..], &[("TestFileLength", "10485760")]].concat();
        // 83,886,080 bit / 10 s
        assert_eq!(up(10, &length).mbps, Some(8.388_608));
        assert_eq!(up(10, &times).bytes, Some(10_485_760));
    }

    #[test]
    fn a_download_that_the_device_did_not_count_is_what_its_interface_received() {
        let times = [("BOMTime", "2024-01-15T10:30:00Z"), ("EOMTime", "2024-01-15T10:30:10Z")];
        let table = [
            // 80,000,000 bit / 10 s
            (Some("0"), Some("10000000"), Some(10_000_000), Some(8.0)),
            (None, Some("10000000"), Some(10_000_000), Some(8.0)),
            (Some("(null)"), Some("10000000"), Some(10_000_000), Some(8.0)),
            (Some("9000000"), Some("10000000"), Some(9_000_000), Some(7.2)),
            (Some("9000000"), Some("0"), Some(9_000_000), Some(7.2)),
            // 5 GiB of the wide counter alone: 42,949,672,960 bit / 10 s
            (Some("0"), Some("5368709120"), Some(5_368_709_120), Some(4_294.967_296)),
            (Some("0"), Some("0"), Some(0), None),
            (Some("0"), None, Some(0), None),
            (None, Some("0"), Some(0), None),
        ];
        for (own, total, bytes, mbps) in table {
            let own = own.map(|own| ("TestBytesReceived", own));
            let total = total.map(|total| ("TotalBytesReceived", total));
            let values: Vec<_> = times.into_iter().chain(own).chain(total).collect();
            assert_eq!((down(&values).bytes, down(&values).mbps), (bytes, mbps), "{values:?}");
        }
    }

    #[test]
    fn absurd_counters_do_no_harm() {
        let largest = u64::MAX.to_string();
        for counter in ["1", "4294967295", largest.as_str()] {
            let counters = [("TotalBytesSent", counter), ("TestFileLength", largest.as_str())];
            assert!(up(100, &counters).bytes.is_some(), "{counter}");
            let counters = [("TestBytesReceived", counter), ("TotalBytesReceived", largest.as_str())];
            assert!(down(&counters).bytes.is_some(), "{counter}");
        }
    }

    #[test]
    fn a_device_that_counts_nothing_gives_no_number() {
        let speed = down(&[("BOMTime", "2024-01-15T10:30:00Z"), ("EOMTime", "2024-01-15T10:30:10Z")]);
        assert_eq!((speed.mbps, speed.bytes), (None, None));
        assert!(speed.note.is_some_and(|note| note.contains("how many bytes")));
    }
}
