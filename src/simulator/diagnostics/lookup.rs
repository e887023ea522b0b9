//! `NSLookupDiagnostics`: questions to a name server.

use std::time::Duration;

use super::finding::{Finding, Inputs, Value, Values};
use super::network::{Fate, Peer, address_of, fingerprint, pick};

/// The provider's own name server.
const DEFAULT_SERVER: &str = "100.64.0.53";
/// Repetitions that get a row.
const ROWS_MAX: u64 = 100;
const GIVE_UP: Duration = Duration::from_millis(200);

pub(super) fn look_up(inputs: &Inputs) -> Finding {
    let server_name = match inputs.text("DNSServer") {
        "" => DEFAULT_SERVER,
        name => name,
    };
    let server = Peer::of(server_name, &inputs.serial);
    if server.fate == Fate::Unresolvable {
        return Finding::failed(GIVE_UP, &["Error_DNSServerNotResolved", "Error_Other"]);
    }
    let server_ip = server.address.map(|address| address.to_string()).unwrap_or_default();
    let timeout = Duration::from_millis(inputs.number("Timeout", 5000));
    let name = inputs.text("HostName");
    let is_known = Peer::of(name, &inputs.serial).fate != Fate::Unresolvable;
    let mut finding = Finding::success(Duration::ZERO);
    let mut successes = 0;
    let mut rows: Vec<Values> = Vec::new();
    for number in 0..inputs.number("NumberOfRepetitions", 1).clamp(1, ROWS_MAX) {
        let answer = server.answer_us(number).map(Duration::from_micros).filter(|after| *after <= timeout);
        finding.duration += answer.unwrap_or(timeout);
        let status = match answer {
            None if server.fate == Fate::NoRoute => "Error_DNSServerNotAvailable",
            None => "Error_Timeout",
            Some(_) if !is_known => "Error_HostNameNotResolved",
            Some(_) => "Success",
        };
        let is_success = status == "Success";
        successes += u64::from(is_success);
        let took_ms = answer.map_or(0, |after| u64::try_from(after.as_micros().div_ceil(1000)).unwrap_or(u64::MAX));
        rows.push(vec![
            ("Status".into(), Value::text(status)),
            ("AnswerType".into(), Value::text(if is_success { "NonAuthoritative" } else { "None" })),
            ("HostNameReturned".into(), Value::text(if is_success { name } else { "" })),
            ("IPAddresses".into(), Value::Text(if is_success { addresses(name) } else { String::new() })),
            ("DNSServerIP".into(), Value::text(server_ip.as_str())),
            ("ResponseTime".into(), Value::Number(took_ms)),
        ]);
    }
    finding.number("SuccessCount", successes);
    finding.tables.push(("Result", rows));
    finding
}

/// An address is its own answer; a name has one to three.
fn addresses(name: &str) -> String {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return name.to_owned();
    }
    let seed = fingerprint(&[name]);
    let all: Vec<String> = (0..=pick(seed, 1, 3)).map(|nth| address_of(seed, nth).to_string()).collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Ending;
    use super::*;

    fn statuses(inputs: &[(&str, &str)]) -> Vec<String> {
        let finding = look_up(&Inputs::with("SN", inputs));
        assert_eq!(finding.ending, Ending::Success);
        let status = |row: &Values| match &row[0].1 {
            Value::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        finding.tables[0].1.iter().map(status).collect()
    }

    #[test]
    fn each_repetition_has_a_result_of_its_own() {
        let three = ("NumberOfRepetitions", "3");
        assert_eq!(statuses(&[("HostName", "example.net"), three]), ["Success"; 3]);
        assert_eq!(statuses(&[("HostName", "no.invalid"), three]), ["Error_HostNameNotResolved"; 3]);
        assert_eq!(statuses(&[("HostName", "example.net"), ("DNSServer", "192.0.2.53")]), ["Error_Timeout"]);
        let no_route = [("HostName", "example.net"), ("DNSServer", "198.51.100.53")];
        assert_eq!(statuses(&no_route), ["Error_DNSServerNotAvailable"]);
        let lossy = [("HostName", "example.net"), ("DNSServer", "lossy.example"), three];
        assert_eq!(statuses(&lossy), ["Success", "Success", "Error_Timeout"]);
        let failed = look_up(&Inputs::with("SN", &[("HostName", "a"), ("DNSServer", "ns.invalid")]));
        assert_eq!(failed.ending, Ending::Failed(&["Error_DNSServerNotResolved", "Error_Other"]));
    }
}
