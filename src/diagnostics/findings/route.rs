//! Traceroute: the hops on the way.

use std::net::IpAddr;

use crate::diagnostics::readings::{Readings, Row, TimeUnit, times};

use super::speed::rounded;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Route {
    /// In their order.
    pub hops: Vec<Hop>,
    /// Milliseconds to the target; `None`: it was not reached.
    pub response_time_ms: Option<f64>,
}

/// A router on the way.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hop {
    /// Name or address; `None`: it stayed silent.
    pub host: Option<String>,
    /// Its address, where that is known.
    pub address: Option<String>,
    /// Milliseconds of each try; `None`: no answer came. A time below 1 ms is rounded up to 1 by the device.
    pub rtt_ms: Vec<Option<f64>>,
    /// ICMP code; 0 is none.
    pub error_code: u64,
}

pub(super) fn route(readings: Readings<'_>) -> Route {
    let total = readings.millis(&["ResponseTime"], TimeUnit::Millis).filter(|millis| *millis > 0.0);
    Route { hops: readings.own_rows("RouteHops.").iter().map(hop).collect(), response_time_ms: total.map(rounded) }
}

fn hop(row: &Row<'_>) -> Hop {
    // TR-181 and TR-098 have other names for the same.
    let host = row.text(&["Host", "HopHost"]).filter(|host| !host.starts_with('*'));
    let address = row.text(&["HostAddress", "HopHostAddress"]);
    // Given apart only where the host is a name.
    let address = address.or(host.filter(|host| host.parse::<IpAddr>().is_ok()));
    let tries = times(row.text(&["RTTimes", "HopRTTimes"]).unwrap_or_default(), TimeUnit::Millis);
    let answered = |time: Option<f64>| time.filter(|millis| *millis > 0.0).map(rounded);
    Hop {
        host: host.map(str::to_owned),
        address: address.map(str::to_owned),
        rtt_ms: tries.into_iter().map(answered).collect(),
        error_code: row.number(&["ErrorCode", "HopErrorCode"]).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::readings_of;
    use super::*;

    fn hops(values: &[(&str, &str)]) -> Route {
        route(Readings::new(&readings_of("O.", values), "O."))
    }

    #[test]
    fn hops_come_in_the_order_of_their_numbers_in_both_models() {
        let gateway = Hop {
            host: Some("gw".to_owned()),
            address: Some("10.0.0.1".to_owned()),
            rtt_ms: vec![Some(1.0), Some(2.0), None],
            error_code: 0,
        };
        let silent = Hop { rtt_ms: vec![None, None, None], ..Hop::default() };
        let target = Hop {
            host: Some("8.8.8.8".to_owned()),
            address: Some("8.8.8.8".to_owned()),
            rtt_ms: vec![Some(12.0)],
            error_code: 3,
        };
        let want = Route { hops: vec![gateway, silent, target], response_time_ms: Some(12.0) };
        let tr_181 = [
            ("ResponseTime", "12"),
            ("RouteHops.10.Host", "8.8.8.8"),
            ("RouteHops.10.HostAddress", ""),
            ("RouteHops.10.ErrorCode", "3"),
            ("RouteHops.10.RTTimes", "12"),
            ("RouteHops.1.Host", "gw"),
            ("RouteHops.1.HostAddress", "10.0.0.1"),
            ("RouteHops.1.RTTimes", "1, 2,0"),
            ("RouteHops.2.Host", "*"),
            ("RouteHops.2.RTTimes", "0,0,0"),
        ];
        assert_eq!(hops(&tr_181), want);
        let tr_098: Vec<(String, &str)> = tr_181
            .iter()
            .map(|(leaf, value)| match leaf.rsplit_once('.') {
                Some((row, name)) => (format!("{row}.Hop{name}"), *value),
                None => ((*leaf).to_owned(), *value),
            })
            .collect();
        let tr_098: Vec<(&str, &str)> = tr_098.iter().map(|(leaf, value)| (leaf.as_str(), *value)).collect();
        assert_eq!(hops(&tr_098), want);
    }

    #[test]
    fn times_are_read_in_every_form() {
        let table = [
            ("15.375", Some(15.375), "12 13 14", vec![Some(12.0), Some(13.0), Some(14.0)]),
            ("15 ms", Some(15.0), "1 ms", vec![Some(1.0)]),
            ("0.0", None, "1 ms,0.4 ms,*", vec![Some(1.0), Some(0.4), None]),
            ("(null)", None, "900 us 0", vec![Some(0.9), None]),
        ];
        for (total, response_time_ms, tries, rtt_ms) in table {
            let found = hops(&[("ResponseTime", total), ("RouteHops.1.RTTimes", tries)]);
            assert_eq!((found.response_time_ms, &found.hops[0].rtt_ms), (response_time_ms, &rtt_ms), "{total} {tries}");
        }
    }

    #[test]
    fn no_route_has_no_response_time() {
        assert_eq!(hops(&[("ResponseTime", "0")]), Route::default());
    }
}
