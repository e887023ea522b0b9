//! Ping and UDP echo: packets sent and answered.
//!
//! `IPPing` counts milliseconds, and since TR-181 2.7 microseconds in parameters of their own; `UDPEchoDiagnostics` counts
//! microseconds in parameters that bear the names of the former.

use crate::diagnostics::readings::{Readings, TimeUnit};

use super::speed::{rounded, to_f64};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Echo {
    /// Packets sent: those that were answered and those that were not.
    pub sent: u64,
    /// Packets answered.
    pub received: u64,
    /// Percent of them that were not; `None`: none was sent.
    pub loss_percent: Option<f64>,
    /// Shortest time to an answer, in milliseconds; `None`: none came.
    pub min_ms: Option<f64>,
    /// Longest.
    pub max_ms: Option<f64>,
    /// Mean.
    pub avg_ms: Option<f64>,
}

pub(super) fn ping(readings: Readings<'_>) -> Echo {
    let time = |detailed: &str, whole: &[&str]| {
        let fine = readings.millis(&[detailed], TimeUnit::Micros).filter(|millis| *millis > 0.0);
        fine.or_else(|| readings.millis(whole, TimeUnit::Millis))
    };
    echo(
        readings,
        time("MinimumResponseTimeDetailed", &["MinimumResponseTime", "MinimumResponseTmie"]),
        time("MaximumResponseTimeDetailed", &["MaximumResponseTime"]),
        time("AverageResponseTimeDetailed", &["AverageResponseTime"]),
    )
}

pub(super) fn udp(readings: Readings<'_>) -> Echo {
    let time = |leaf| readings.millis(&[leaf], TimeUnit::Micros);
    echo(readings, time("MinimumResponseTime"), time("MaximumResponseTime"), time("AverageResponseTime"))
}

fn echo(readings: Readings<'_>, min_ms: Option<f64>, max_ms: Option<f64>, avg_ms: Option<f64>) -> Echo {
    let received = readings.number(&["SuccessCount"]).unwrap_or(0);
    let lost = readings.number(&["FailureCount"]).unwrap_or(0);
    let sent = received.saturating_add(lost);
    // Of no answer the times are 0, which is no time.
    let answered = |time: Option<f64>| time.filter(|_| received > 0).map(rounded);
    Echo {
        sent,
        received,
        loss_percent: (sent > 0).then(|| rounded(to_f64(lost) * 100.0 / to_f64(sent))),
        min_ms: answered(min_ms),
        max_ms: answered(max_ms),
        avg_ms: answered(avg_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::super::readings_of;
    use super::*;

    fn of(read: fn(Readings<'_>) -> Echo, values: &[(&str, &str)]) -> Echo {
        read(Readings::new(&readings_of("O.", values), "O."))
    }

    #[test]
    fn units_are_those_of_the_parameter() {
        let milli = [
            ("SuccessCount", "4"),
            ("FailureCount", "1"),
            ("MinimumResponseTime", "12"),
            ("MaximumResponseTime", "15"),
            ("AverageResponseTime", "14"),
        ];
        let whole = Echo {
            sent: 5,
            received: 4,
            loss_percent: Some(20.0),
            min_ms: Some(12.0),
            max_ms: Some(15.0),
            avg_ms: Some(14.0),
        };
        assert_eq!(of(ping, &milli), whole);
        let detailed = [
            ("MinimumResponseTimeDetailed", "12400"),
            ("MaximumResponseTimeDetailed", "15800"),
            ("AverageResponseTimeDetailed", "14100"),
        ];
        let fine = Echo { min_ms: Some(12.4), max_ms: Some(15.8), avg_ms: Some(14.1), ..whole.clone() };
        assert_eq!(of(ping, &[&milli[..], &detailed].concat()), fine);
        let unset = detailed.map(|(leaf, _)| (leaf, "0"));
        assert_eq!(of(ping, &[&milli[..], &unset].concat()), whole);
        // The same names in microseconds.
        let echo = Echo { min_ms: Some(0.012), max_ms: Some(0.015), avg_ms: Some(0.014), ..whole };
        assert_eq!(of(udp, &milli), echo);
    }

    #[test]
    fn times_with_fractions_and_units_are_read() {
        let table = [
            // As it is written, in milliseconds of a ping, in milliseconds of a UDP echo.
            ("12.4", Some(12.4), Some(0.0124)),
            ("11.903", Some(11.903), Some(0.011_903)),
            ("12 ms", Some(12.0), Some(12.0)),
            ("900us", Some(0.9), Some(0.9)),
            ("n/a", None, None),
        ];
        for (text, pinged, echoed) in table {
            let values = [("SuccessCount", "4.0"), ("FailureCount", "1"), ("AverageResponseTime", text)];
            let (ping, udp) = (of(ping, &values), of(udp, &values));
            assert_eq!((ping.sent, ping.avg_ms, udp.avg_ms), (5, pinged, echoed), "{text}");
        }
        let detailed =
            [("SuccessCount", "1"), ("AverageResponseTime", "12"), ("AverageResponseTimeDetailed", "12400.5")];
        assert_eq!(of(ping, &detailed).avg_ms, Some(12.4005));
    }

    #[test]
    fn the_misspelt_parameter_of_tr_098_is_read() {
        let values = [("SuccessCount", "1"), ("FailureCount", "0"), ("MinimumResponseTmie", "7")];
        assert_eq!(of(ping, &values).min_ms, Some(7.0));
    }

    #[test]
    fn loss_is_of_what_was_sent_not_of_what_was_asked_for() {
        let table = [
            ("10", "0", 10, Some(0.0)),
            ("0", "10", 10, Some(100.0)),
            ("2", "1", 3, Some(33.333_333)),
            ("0", "0", 0, None),
            ("(null)", "", 0, None),
        ];
        for (success, failure, sent, loss) in table {
            let values = [
                ("NumberOfRepetitions", "20"),
                ("SuccessCount", success),
                ("FailureCount", failure),
                ("AverageResponseTime", "0"),
            ];
            let echo = of(ping, &values);
            assert_eq!((echo.sent, echo.loss_percent), (sent, loss), "{success}/{failure}");
            assert_eq!(echo.avg_ms.is_some(), echo.received > 0, "{success}/{failure}");
        }
    }
}
