//! `IPPing` and `UDPEchoDiagnostics`: packets there and back.

use std::time::Duration;

use super::finding::{Finding, Inputs, Value, Values};
use super::network::{Fate, Peer};

/// More packets than this are not counted one by one: the test ends after so many.
const PACKETS_MAX: u64 = 100_000;
/// How long it takes to find out that a name cannot be resolved or that there is no route.
const GIVE_UP: Duration = Duration::from_millis(200);

/// Answers of one series of packets.
struct Series {
    /// Microseconds of each packet's answer; `None` for those without one in time.
    answers: Vec<Option<u64>>,
    timeout: Duration,
}

impl Series {
    fn of(inputs: &Inputs, peer: &Peer) -> Self {
        let timeout = Duration::from_millis(inputs.number("Timeout", 5000));
        let count = inputs.number("NumberOfRepetitions", 1).clamp(1, PACKETS_MAX);
        let in_time = |us: &u64| Duration::from_micros(*us) <= timeout;
        Self { answers: (0..count).map(|number| peer.answer_us(number).filter(in_time)).collect(), timeout }
    }

    fn successes(&self) -> impl Iterator<Item = u64> {
        self.answers.iter().filter_map(|answer| *answer)
    }

    fn count(&self) -> (u64, u64) {
        let all = u64::try_from(self.answers.len()).unwrap_or(u64::MAX);
        let good = u64::try_from(self.successes().count()).unwrap_or(u64::MAX);
        (good, all - good)
    }

    /// Average, least and longest time in microseconds; zeroes when nothing came back.
    fn times_us(&self) -> [u64; 3] {
        let (good, _) = self.count();
        let sum: u64 = self.successes().sum();
        [sum.checked_div(good).unwrap_or(0), self.successes().min().unwrap_or(0), self.successes().max().unwrap_or(0)]
    }

    fn wait_for(&self, answer: Option<u64>) -> Duration {
        answer.map_or(self.timeout, Duration::from_micros)
    }
}

/// Why no packet leaves at all.
fn no_way(peer: &Peer) -> Option<Finding> {
    match peer.fate {
        Fate::Unresolvable => Some(Finding::failed(GIVE_UP, &["Error_CannotResolveHostName"])),
        Fate::NoRoute => Some(Finding::failed(GIVE_UP, &["Error_NoRouteToHost", "Error_Other"])),
        Fate::Silent | Fate::Refused | Fate::Lossy | Fate::Alive => None,
    }
}

/// One packet after the other, each when the last was answered or given up.
pub(super) fn ping(inputs: &Inputs) -> Finding {
    let peer = Peer::of(inputs.text("Host"), &inputs.serial);
    if let Some(failed) = no_way(&peer) {
        return failed;
    }
    let series = Series::of(inputs, &peer);
    let mut finding = Finding::success(series.answers.iter().map(|answer| series.wait_for(*answer)).sum());
    let (good, bad) = series.count();
    let [average, least, most] = series.times_us();
    finding.set("IPAddressUsed", Value::text(inputs.wan_ip.as_str()));
    finding.number("SuccessCount", good);
    finding.number("FailureCount", bad);
    for (leaf, us) in [("Average", average), ("Minimum", least), ("Maximum", most)] {
        finding.number(&format!("{leaf}ResponseTime"), us / 1000);
        finding.number(&format!("{leaf}ResponseTimeDetailed"), us);
    }
    finding
}

/// Packets at a fixed distance, whatever becomes of the earlier ones. All times are microseconds, unlike a ping's.
pub(super) fn udp_echo(inputs: &Inputs) -> Finding {
    let peer = Peer::of(inputs.text("Host"), &inputs.serial);
    if let Some(failed) = no_way(&peer) {
        return failed;
    }
    let series = Series::of(inputs, &peer);
    let gap = Duration::from_millis(inputs.number("InterTransmissionTime", 1000));
    let sent_at = |number: usize| gap.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
    let last = series.answers.len().saturating_sub(1);
    let last_answer = series.answers.last().copied().flatten();
    let mut finding = Finding::success(sent_at(last) + series.wait_for(last_answer));
    let (good, bad) = series.count();
    let [average, least, most] = series.times_us();
    finding.set("IPAddressUsed", Value::text(inputs.wan_ip.as_str()));
    finding.number("SuccessCount", good);
    finding.number("FailureCount", bad);
    finding.number("AverageResponseTime", average);
    finding.number("MinimumResponseTime", least);
    finding.number("MaximumResponseTime", most);
    if inputs.is_set("EnableIndividualPacketResults") {
        let most_rows = usize::try_from(inputs.number("UDPEchoDiagnosticsMaxResults", 0)).unwrap_or(0);
        let rows = series.answers.iter().take(most_rows).enumerate();
        finding.tables.push((
            "IndividualPacketResult",
            rows.map(|(number, answer)| packet(number, sent_at(number), *answer)).collect(),
        ));
    }
    finding
}

fn packet(number: usize, sent: Duration, answer: Option<u64>) -> Values {
    let serial_number = u64::try_from(number).unwrap_or(u64::MAX) + 1;
    let mut row: Values = vec![
        ("PacketSuccess".into(), Value::text(if answer.is_some() { "true" } else { "false" })),
        ("PacketSendTime".into(), Value::At(sent)),
        ("TestGenSN".into(), Value::Number(serial_number)),
    ];
    if let Some(us) = answer {
        row.push(("PacketReceiveTime".into(), Value::At(sent + Duration::from_micros(us))));
        row.push(("TestRespSN".into(), Value::Number(serial_number)));
        row.push(("TestRespRcvTimeStamp".into(), Value::Number(us / 2)));
        row.push(("TestRespReplyTimeStamp".into(), Value::Number(us / 2 + 10)));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::super::finding::Ending;
    use super::*;

    fn number(finding: &Finding, leaf: &str) -> u64 {
        match finding.values.iter().find(|(have, _)| have == leaf) {
            Some((_, Value::Number(number))) => *number,
            other => panic!("{leaf}: {other:?}"),
        }
    }

    #[test]
    fn a_ping_lasts_as_long_as_its_answers_take() {
        let finding = ping(&Inputs::with("SN", &[("Host", "example.net"), ("NumberOfRepetitions", "5")]));
        assert_eq!((number(&finding, "SuccessCount"), number(&finding, "FailureCount")), (5, 0));
        let average = number(&finding, "AverageResponseTimeDetailed");
        assert_eq!(number(&finding, "AverageResponseTime"), average / 1000);
        assert!(number(&finding, "MinimumResponseTime") <= average / 1000);
        let total = u64::try_from(finding.duration.as_micros()).expect("short");
        assert!((average * 5..average * 5 + 5).contains(&total));
    }

    #[test]
    fn lost_packets_take_their_time_out_and_are_no_error() {
        let inputs = [("Host", "192.0.2.1"), ("NumberOfRepetitions", "3"), ("Timeout", "700")];
        let finding = ping(&Inputs::with("SN", &inputs));
        assert_eq!(finding.ending, Ending::Success);
        assert_eq!((number(&finding, "SuccessCount"), number(&finding, "FailureCount")), (0, 3));
        assert_eq!((number(&finding, "MinimumResponseTime"), finding.duration), (0, Duration::from_millis(2100)));
        let lossy = ping(&Inputs::with("SN", &[("Host", "lossy.example"), ("NumberOfRepetitions", "6")]));
        assert_eq!((number(&lossy, "SuccessCount"), number(&lossy, "FailureCount")), (4, 2));
        let slow = ping(&Inputs::with("SN", &[("Host", "example.net"), ("Timeout", "1")]));
        assert_eq!(number(&slow, "FailureCount"), 1);
    }

    #[test]
    fn an_echo_counts_microseconds_and_lists_its_packets() {
        let inputs = [
            ("Host", "example.net"),
            ("NumberOfRepetitions", "4"),
            ("InterTransmissionTime", "100"),
            ("EnableIndividualPacketResults", "1"),
            ("UDPEchoDiagnosticsMaxResults", "3"),
        ];
        let finding = udp_echo(&Inputs::with("SN", &inputs));
        assert!(number(&finding, "MinimumResponseTime") >= 5_000);
        assert!(finding.duration > Duration::from_millis(300));
        assert_eq!(finding.tables[0].1.len(), 3);
        let unresolvable = udp_echo(&Inputs::with("SN", &[("Host", "a.invalid")]));
        assert_eq!(unresolvable.ending, Ending::Failed(&["Error_CannotResolveHostName"]));
    }
}
