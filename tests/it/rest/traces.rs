//! `acsd trace`, through a running acsd.

use std::sync::Arc;
use std::time::Duration;

use acsd::cli::trace::{Output, TraceArgs, TraceError, run};
use acsd::model::trace::{Direction, SessionTrace, TraceMessage, TraceOutcome};
use clap::Parser;
use parking_lot::Mutex;
use serde_json::json;

use super::support::{Api, STRANGER, VIEWER};
use crate::store::support::secs;
use crate::store::traces::trace;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: TraceArgs,
}

/// Where the command prints, for those who watch.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).expect("text")
    }
}

async fn ask(api: &Api, token: &str, line: &[&str]) -> (Result<(), TraceError>, String, String) {
    let url = format!("http://{}", api.address);
    let line = [&["trace"], line, &["--url", &url, "--token", token]].concat();
    let args = Command::try_parse_from(line).expect("arguments").args;
    let (mut result, mut notes) = (Paper::default(), Paper::default());
    let done = run(args, Output { result: &mut result, notes: &mut notes }).await;
    (done, result.text(), notes.text())
}

fn envelope(body: &str) -> String {
    format!("<Envelope><Header><ID>1</ID></Header><Body>{body}</Body></Envelope>")
}

fn session() -> SessionTrace {
    let message = |ms: i64, direction, rpc: &str, xml: String, status, note: &str| TraceMessage {
        at: acsd::types::time::Timestamp(60_000 + ms),
        direction,
        rpc: rpc.into(),
        xml: xml.into(),
        status,
        note: note.into(),
    };
    let (inward, out, none) = (Direction::In, Direction::Out, String::new());
    let inform = "<Inform><DeviceId><OUI>00D09E</OUI><ProductClass>IGD</ProductClass><SerialNumber>1</SerialNumber></DeviceId>\
        <ParameterList><P><Name>D.A</Name><Value>1</Value></P><P><Name>D.B</Name><Value>2</Value></P></ParameterList></Inform>";
    let set = "<SetParameterValues><ParameterList><P><Name>D.Password</Name><Value>****</Value></P></ParameterList>\
        </SetParameterValues>";
    let fault = "<Fault><detail><Fault><FaultCode>9003</FaultCode><FaultString>Invalid \u{7f}arguments</FaultString>\
        <SetParameterValuesFault><ParameterName>D.Password</ParameterName><FaultCode>9007</FaultCode>\
        <FaultString>too short</FaultString></SetParameterValuesFault></Fault></detail></Fault>";
    let get = "<GetParameterValues><ParameterNames><string>D.A</string><string>D.B</string></ParameterNames></GetParameterValues>";
    let messages = vec![
        message(0, inward, "Inform", envelope(inform), None, ""),
        message(2, out, "InformResponse", envelope("<InformResponse/>"), Some(200), ""),
        message(40, inward, "", none.clone(), None, ""),
        message(41, out, "SetParameterValues", envelope(set), Some(200), ""),
        message(1200, inward, "Fault", envelope(fault), None, ""),
        message(1201, out, "GetParameterValues", envelope(get), Some(200), ""),
        message(1300, inward, "", none.clone(), None, "7 bytes that cannot be read, and so are not kept"),
        message(1301, out, "", none.clone(), Some(400), "broken XML at byte 3"),
        message(1400, inward, "GetParameterValuesResponse", "<E><Bo".to_owned(), None, "cut: 300000 bytes in all"),
        message(1401, out, "", none, Some(204), ""),
    ];
    SessionTrace { messages, omitted: 1, ..trace(60, TraceOutcome::Completed, "") }
}

async fn with_session() -> Api {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let key = api.store.by_serial("S").await.expect("the store").expect("the device").key;
    api.store.keep_trace(key, session(), 9).await.expect("kept");
    api
}

#[tokio::test]
async fn a_session_is_shown_as_a_ladder() {
    let api = with_session().await;
    let (done, shown, _) = ask(&api, VIEWER, &["S"]).await;
    done.expect("shown");
    insta::assert_snapshot!(shown, @"
    Session 1  1970-01-01T00:01:00Z  192.0.2.7  2 PERIODIC  completed after 1.401 s

        0.000 s  CPE ──▶ ACS  Inform                          00D09E IGD 1, 2 parameters
        0.002 s  CPE ◀── ACS  InformResponse
        0.040 s  CPE ──▶ ACS  (empty)
        0.041 s  CPE ◀── ACS  SetParameterValues              D.Password = ****
        1.200 s  CPE ──▶ ACS  Fault                           9003 Invalid \u{fffd}arguments; D.Password 9007 too short
        1.201 s  CPE ◀── ACS  GetParameterValues              2 names
        1.300 s  CPE ──▶ ACS  (unreadable)                    [7 bytes that cannot be read, and so are not kept]
        1.301 s  CPE ◀── ACS  (400)                           [broken XML at byte 3]
        1.400 s  CPE ──▶ ACS  GetParameterValuesResponse      [cut: 300000 bytes in all]
        1.401 s  CPE ◀── ACS  (204)
               and 1 more, which were not kept
    ");
    let (done, shown, _) = ask(&api, VIEWER, &["S", "--xml", "--session", "1"]).await;
    done.expect("shown");
    let lines: Vec<&str> = shown.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with("0.041 s")).expect("the call");
    assert_eq!(&lines[at + 1..at + 5], ["<Envelope>", "<Header>", "<ID>1</ID>", "</Header>"]);
}

#[tokio::test]
async fn what_cannot_be_shown_is_said() {
    let api = with_session().await;
    api.create(json!({"serial_number": "T"})).await;
    let (done, shown, notes) = ask(&api, VIEWER, &["T"]).await;
    done.expect("nothing to show");
    assert!(shown.is_empty() && notes.contains("No session of T is recorded"), "{shown}{notes}");
    for (token, line) in [(STRANGER, ["S", "--xml"]), (VIEWER, ["U", "--follow"]), (VIEWER, ["S", "--session=9"])] {
        let refused = ask(&api, token, &line).await.0.expect_err("nothing there");
        assert!(matches!(refused, TraceError::Client(_)) && !refused.is_usage(), "{refused:?}");
    }
}

#[tokio::test]
async fn followers_see_new_sessions() {
    let api = with_session().await;
    let url = format!("http://{}", api.address);
    let line = ["trace", "S", "--follow", "--url", &url, "--token", VIEWER];
    let args = Command::try_parse_from(line).expect("arguments").args;
    let (result, notes) = (Paper::default(), Paper::default());
    let (mut printed, mut told) = (result.clone(), notes.clone());
    let following = tokio::spawn(async move { run(args, Output { result: &mut printed, notes: &mut told }).await });
    let until = async |holds: &dyn Fn() -> bool| {
        let waiting = async {
            while !holds() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("in time");
    };
    until(&|| notes.text().contains("Waiting")).await;
    let key = api.store.by_serial("S").await.expect("the store").expect("the device").key;
    let late = SessionTrace { started_at: secs(86_400), ..session() };
    api.store.keep_trace(key, late, 9).await.expect("kept");
    until(&|| result.text().contains("1970-01-02T00:00:00Z")).await;
    following.abort();
    assert_eq!(result.text().matches("Session ").count(), 1, "only the new one: {}", result.text());
}
