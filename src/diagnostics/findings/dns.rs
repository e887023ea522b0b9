//! Look-ups in the DNS, one row each.

use crate::diagnostics::readings::{Readings, Row, TimeUnit, list};

use super::speed::rounded;

/// What came of them. A look-up that failed does not make the test fail: its row tells.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lookups {
    /// In their order.
    pub lookups: Vec<Lookup>,
    /// How many succeeded.
    pub success_count: u64,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lookup {
    /// `Success`, `Error_HostNameNotResolved`, ...
    pub status: Option<String>,
    /// `Authoritative`, `NonAuthoritative`, `None`.
    pub answer_type: Option<String>,
    /// The name that was answered with.
    pub host_name: Option<String>,
    /// The addresses.
    pub addresses: Vec<String>,
    /// Who answered.
    pub dns_server: Option<String>,
    /// Milliseconds to the answer; `None`: there was none.
    pub response_time_ms: Option<f64>,
}

pub(super) fn lookups(readings: Readings<'_>) -> Lookups {
    let lookups: Vec<Lookup> = readings.own_rows("Result.").iter().map(lookup).collect();
    let succeeded = || lookups.iter().filter(|lookup| lookup.succeeded()).count();
    let counted = readings.number(&["SuccessCount"]);
    let success_count = counted.unwrap_or_else(|| u64::try_from(succeeded()).unwrap_or(u64::MAX));
    Lookups { lookups, success_count }
}

impl Lookup {
    fn succeeded(&self) -> bool {
        self.status.as_deref().is_some_and(|status| status.eq_ignore_ascii_case("Success"))
    }
}

fn lookup(row: &Row<'_>) -> Lookup {
    let text = |leaf: &str| row.text(&[leaf]).map(str::to_owned);
    let mut lookup = Lookup {
        status: text("Status"),
        answer_type: text("AnswerType"),
        host_name: text("HostNameReturned"),
        addresses: list(row.text(&["IPAddresses"]).unwrap_or_default()).map(str::to_owned).collect(),
        dns_server: text("DNSServerIP"),
        response_time_ms: None,
    };
    // 0 is none, unless there was an answer within the first millisecond.
    let time = row.millis("ResponseTime", TimeUnit::Millis).filter(|millis| *millis > 0.0 || lookup.succeeded());
    lookup.response_time_ms = time.map(rounded);
    lookup
}

#[cfg(test)]
mod tests {
    use super::super::readings_of;
    use super::*;

    #[test]
    fn each_look_up_has_its_row() {
        let values = [
            ("SuccessCount", "1"),
            ("Result.2.Status", "Error_Timeout"),
            ("Result.2.AnswerType", "None"),
            ("Result.2.IPAddresses", ""),
            ("Result.2.ResponseTime", "0"),
            ("Result.1.Status", "Success"),
            ("Result.1.AnswerType", "NonAuthoritative"),
            ("Result.1.HostNameReturned", "example.net"),
            ("Result.1.IPAddresses", "192.0.2.1, 2001:db8::1"),
            ("Result.1.DNSServerIP", "192.0.2.53"),
            ("Result.1.ResponseTime", "23"),
        ];
        let results = readings_of("O.", &values);
        let found = lookups(Readings::new(&results, "O."));
        let first = Lookup {
            status: Some("Success".to_owned()),
            answer_type: Some("NonAuthoritative".to_owned()),
            host_name: Some("example.net".to_owned()),
            addresses: vec!["192.0.2.1".to_owned(), "2001:db8::1".to_owned()],
            dns_server: Some("192.0.2.53".to_owned()),
            response_time_ms: Some(23.0),
        };
        let second = Lookup {
            status: Some("Error_Timeout".to_owned()),
            answer_type: Some("None".to_owned()),
            ..Lookup::default()
        };
        assert_eq!(found, Lookups { lookups: vec![first, second], success_count: 1 });
    }

    #[test]
    fn times_with_fractions_and_units_are_read() {
        let table = [
            ("Success", "12.4", Some(12.4)),
            ("Success", "12 ms", Some(12.0)),
            ("Success", "0.0", Some(0.0)),
            ("Error_Timeout", "0.0", None),
            ("Success", "(null)", None),
        ];
        for (status, time, want) in table {
            let results = readings_of("O.", &[("Result.1.Status", status), ("Result.1.ResponseTime", time)]);
            let found = lookups(Readings::new(&results, "O."));
            assert_eq!(found.lookups[0].response_time_ms, want, "{status} {time}");
        }
    }

    #[test]
    fn successes_are_counted_where_the_device_does_not() {
        let results = readings_of("O.", &[("Result.1.Status", "Success"), ("Result.2.Status", "success")]);
        assert_eq!(lookups(Readings::new(&results, "O.")).success_count, 2);
    }
}
