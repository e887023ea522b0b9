//! `TraceRoute`: the hops on the way to a host.

use std::time::Duration;

use super::finding::{Ending, Finding, Inputs, Value, Values};
use super::network::{Fate, Peer, address_of, narrow};

const GIVE_UP: Duration = Duration::from_millis(200);
/// Hops that answer on the way to a host that does not.
const HOPS_TO_NOWHERE: u32 = 4;
/// This hop never answers, unless it is the last.
const SILENT_HOP: u32 = 3;

pub(super) fn trace(inputs: &Inputs) -> Finding {
    let host = inputs.text("Host");
    let peer = Peer::of(host, &inputs.serial);
    match peer.fate {
        Fate::Unresolvable => return Finding::failed(GIVE_UP, &["Error_CannotResolveHostName"]),
        Fate::NoRoute => {
            return Finding::failed(GIVE_UP, &["Error_NoRouteToHost", "Error_Other", "Error_MaxHopCountExceeded"]);
        }
        Fate::Silent | Fate::Refused | Fate::Lossy | Fate::Alive => {}
    }
    let most = narrow(inputs.number("MaxHopCount", 30)).clamp(1, 64);
    let is_silent = peer.fate == Fate::Silent;
    let is_reached = !is_silent && peer.hops <= most;
    let last = if is_reached { peer.hops } else { most };
    let mut finding = Finding::success(Duration::ZERO);
    let mut rows = Vec::new();
    let mut last_ms = 0;
    for hop in 1..=last {
        let is_target = is_reached && hop == last;
        let is_mute = (hop == SILENT_HOP && !is_target) || (is_silent && hop > HOPS_TO_NOWHERE);
        let times = if is_mute { Vec::new() } else { times_ms(inputs, &peer, hop) };
        if is_target {
            last_ms = times.iter().sum::<u64>() / u64::try_from(times.len().max(1)).unwrap_or(1);
        }
        finding.duration += wait(inputs, &times);
        rows.push(row(inputs, host, &peer, hop, is_target, &times));
    }
    finding.set("IPAddressUsed", Value::text(inputs.wan_ip.as_str()));
    finding.number("ResponseTime", last_ms);
    finding.tables.push(("RouteHops", rows));
    if !is_reached {
        // What was found on the way is kept: it is what the test is for.
        finding.ending = Ending::Failed(&["Error_MaxHopCountExceeded"]);
    }
    finding
}

fn tries(inputs: &Inputs) -> u64 {
    inputs.number("NumberOfTries", 3).clamp(1, 3)
}

/// One time for each try, growing with the distance; less than a millisecond counts as one.
fn times_ms(inputs: &Inputs, peer: &Peer, hop: u32) -> Vec<u64> {
    let step_us = peer.rtt_us / u64::from(peer.hops.max(1));
    let base_us = step_us * u64::from(hop);
    (0..tries(inputs))
        .map(|attempt| base_us + peer.pick(u64::from(hop) * 4 + attempt, step_us / 2 + 1))
        .map(|us| us.div_ceil(1000).max(1))
        .collect()
}

fn wait(inputs: &Inputs, times: &[u64]) -> Duration {
    if times.is_empty() {
        Duration::from_millis(inputs.number("Timeout", 5000).saturating_mul(tries(inputs)))
    } else {
        Duration::from_millis(times.iter().sum())
    }
}

/// TR-181 calls it `Host`, TR-098 `HopHost`, and so on.
fn row(inputs: &Inputs, host: &str, peer: &Peer, hop: u32, is_target: bool, times: &[u64]) -> Values {
    let address = if is_target { peer.address } else { Some(address_of(peer.pick(7, 200), u64::from(hop))) };
    let address = address.map(|address| address.to_string()).unwrap_or_default();
    let (name, address) = match (times.is_empty(), is_target) {
        (true, _) => (String::new(), String::new()),
        (false, true) if address == host => (address, String::new()),
        (false, true) => (host.to_owned(), address),
        // Every other router has a name.
        (false, false) if hop.is_multiple_of(2) => (address, String::new()),
        (false, false) => (format!("hop{hop}.isp.example.net"), address),
    };
    let silence = vec!["0".to_owned(); usize::try_from(tries(inputs)).unwrap_or(1)];
    let times: Vec<String> = if times.is_empty() { silence } else { times.iter().map(u64::to_string).collect() };
    let times = times.join(",");
    let legacy_name = if name.is_empty() { "*".to_owned() } else { name.clone() };
    vec![
        ("Host".into(), Value::Text(name)),
        ("HostAddress".into(), Value::Text(address.clone())),
        ("ErrorCode".into(), Value::Number(0)),
        ("RTTimes".into(), Value::Text(times.clone())),
        ("HopHost".into(), Value::Text(legacy_name)),
        ("HopHostAddress".into(), Value::Text(address)),
        ("HopErrorCode".into(), Value::Number(0)),
        ("HopRTTimes".into(), Value::Text(times)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(finding: &Finding, leaf: &str) -> Vec<String> {
        let rows = &finding.tables[0].1;
        let text = |row: &Values| row.iter().find(|(have, _)| have == leaf).map(|(_, value)| value.clone());
        rows.iter().map(|row| if let Some(Value::Text(text)) = text(row) { text } else { String::new() }).collect()
    }

    #[test]
    fn times_grow_toward_the_host_and_one_hop_is_silent() {
        let finding = trace(&Inputs::with("SN", &[("Host", "example.net"), ("Timeout", "1000")]));
        assert_eq!(finding.ending, Ending::Success);
        let times = texts(&finding, "RTTimes");
        assert_eq!(times[2], "0,0,0");
        assert_eq!((texts(&finding, "Host")[2].as_str(), texts(&finding, "HopHost")[2].as_str()), ("", "*"));
        assert_eq!(texts(&finding, "Host").last().map(String::as_str), Some("example.net"));
        let first = |at: usize| times[at].split(',').next().and_then(|n| n.parse::<u64>().ok()).expect("a number");
        assert!(first(0) <= first(1) && first(1) <= first(times.len() - 1), "{times:?}");
        assert!(finding.duration >= Duration::from_secs(3), "the silent hop takes three time-outs");
    }

    #[test]
    fn too_few_hops_and_a_silent_host_exceed_the_limit() {
        for (host, most, rows) in [("example.net", "2", 2), ("far.example", "30", 30), ("192.0.2.1", "6", 6)] {
            let finding = trace(&Inputs::with("SN", &[("Host", host), ("MaxHopCount", most)]));
            assert_eq!(finding.ending, Ending::Failed(&["Error_MaxHopCountExceeded"]), "{host}");
            assert_eq!(finding.tables[0].1.len(), rows, "{host}");
        }
        let one = trace(&Inputs::with("SN", &[("Host", "127.0.0.1"), ("NumberOfTries", "2")]));
        assert_eq!(texts(&one, "RTTimes"), ["1,1"]);
    }
}
