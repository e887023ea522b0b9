//! Whole sessions of CPEs that share no code with acsd: what agents of the field write on the wire, byte for byte, and
//! what they need to find in the answers.

mod client;
mod tree;

use acsd::acs::gate::AuthMode;
use serde_json::json;

use self::client::{Answers, Client, Cookies, Login, Style};
use self::tree::Habit;
use crate::support::{Acs, config};

const UP_TIME: &str = "DeviceInfo.UpTime";

/// Scripted agents on libcurl, Node.js, Go, Python, Java and plain sockets.
const AGENTS: [Style; 9] = [
    // Offers Basic unasked, sends back the cookie with its attributes, and types its empty POSTs.
    Style {
        name: "node",
        headers: "Connection: keep-alive\r\n",
        headers_when_empty: "Content-Type: text/xml; charset=\"utf-8\"\r\n",
        login: Login::BasicUnasked,
        cookies: Cookies::Verbatim,
        declaration: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        ..Style::PLAIN
    },
    // As above, but its connection is its session; `nc` never counts.
    Style {
        name: "node-without-cookies",
        headers: "User-Agent: CWMP/1.0\r\n",
        login: Login::BasicUnasked,
        cookies: Cookies::Never,
        ..Style::PLAIN
    },
    // A new handle for each message, which knows nothing of the challenge before; an empty ID.
    Style {
        name: "curl-handle-per-post",
        headers: "User-Agent: agent\r\nAccept: */*\r\n",
        headers_when_empty: "Content-Type: text/xml\r\n",
        login: Login::DigestForgotten,
        connection_per_post: true,
        envelope: "soap_env",
        encoding: "soap_enc",
        declaration: "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>",
        namespace: "urn:dslforum-org:cwmp-1-2",
        version: "1.2",
        id: Some(""),
        ..Style::PLAIN
    },
    // Compresses what it sends, and says so of its empty POSTs too.
    Style {
        name: "curl-gzip",
        headers: "User-Agent: agent\r\nAccept-Encoding: gzip\r\nContent-Encoding: gzip\r\n",
        login: Login::Digest,
        gzip: true,
        envelope: "soap_env",
        encoding: "soap_enc",
        namespace: "urn:dslforum-org:cwmp-1-2",
        version: "1.4",
        header: "<cwmp:SessionTimeout soap_env:mustUnderstand=\"0\">60</cwmp:SessionTimeout>\
                 <cwmp:SupportedCWMPVersions soap_env:mustUnderstand=\"0\">1.0,1.1,1.2,1.3,1.4</cwmp:SupportedCWMPVersions>",
        ..Style::PLAIN
    },
    // With Digest alone libcurl fetches the challenge by a POST without body, in front of the Inform; its jar keeps the
    // cookie of the session before.
    Style {
        name: "curl-digest",
        headers: "Accept: */*\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        login: Login::DigestEmptyFirst,
        ..Style::PLAIN
    },
    // RFC 2069, an answer to no challenge at first, an empty `uri`; no login on empty POSTs. Wraps what it reads into an
    // element of its own: a declaration would break it.
    Style {
        name: "sockets-rfc-2069",
        headers: "User-Agent: agent\r\nAccept: */*\r\nContent-Type: text/xml; charset=utf-8\r\n",
        login: Login::BlankRfc2069,
        cookies: Cookies::Verbatim,
        envelope: "SOAP-ENV",
        encoding: "SOAP-ENC",
        answers: Answers::WithoutDeclaration,
        ..Style::PLAIN
    },
    Style {
        name: "go",
        headers: "User-Agent: Go-http-client/1.1\r\nContent-Type: text/xml; encoding=utf-8\r\nAccept-Encoding: gzip\r\n",
        login: Login::Digest,
        envelope: "soapenv",
        encoding: "soapenc",
        id: None,
        ..Style::PLAIN
    },
    // Takes a cookie once in its life.
    Style { name: "first-cookie", headers: "SOAPAction: \"\"\r\n", cookies: Cookies::First, ..Style::PLAIN },
    // Header names in lower case, a line feed behind each body, RFC 2965 cookies.
    Style {
        name: "lower-case",
        headers: "soapaction:\r\nconnection:close\r\n",
        login: Login::Digest,
        cookies: Cookies::Rfc2965,
        connection_per_post: true,
        namespace: "urn:dslforum-org:cwmp-1-1",
        version: "1.1",
        behind_body: "\r\n",
        ..Style::PLAIN
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_the_field_hold_whole_sessions() {
    for auth in [AuthMode::Digest, AuthMode::None] {
        let mut config = config();
        config.cwmp.auth = auth;
        let acs = Acs::start(config).await;
        for style in &AGENTS {
            for root in ["Device.", "InternetGatewayDevice."] {
                let serial = format!("{}-{root}", style.name);
                let mut agent = Client::new(acs.daemon.cwmp_address, style, auth, root, &serial);
                let first = agent.session("0 BOOTSTRAP").await;
                assert!(first.contains(&"SetParameterValues".to_owned()), "{serial}: {first:?}");
                let path = format!("{root}{UP_TIME}");
                let get = acs.schedule(&serial, "get", json!([{"variable_name": path}])).await;
                assert_eq!(agent.session("2 PERIODIC").await, ["GetParameterValues"], "{serial}");
                let row = acs.ended(&get).await;
                assert_eq!(row["status"], "completed", "{serial}: {row}");
                assert_eq!(row["variables"][0]["value"], "77", "{serial}: {row}");
                agent.finish();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheme_that_nobody_asked_for_is_no_failed_login() {
    let mut config = config();
    config.cwmp.failed_logins_per_minute = 2;
    let acs = Acs::start(config).await;
    let [node, ..] = &AGENTS;
    for number in 0..5 {
        let mut agent =
            Client::new(acs.daemon.cwmp_address, node, AuthMode::Digest, "Device.", &format!("FLEET-{number}"));
        agent.session("0 BOOTSTRAP").await;
    }
}

/// Agents of the field by what they make of names and partial paths.
const READERS: [Style; 9] = [
    Style { name: "faithful", ..Style::PLAIN },
    // Scripts that look names up in a table, unguarded.
    Style {
        name: "dies-of-what-it-lacks",
        habit: Habit::DiesOfWhatItLacks,
        login: Login::BasicUnasked,
        cookies: Cookies::Verbatim,
        ..Style::PLAIN
    },
    // Gives up the session over an RPC that it does not know.
    Style { name: "dies-of-names", habit: Habit::DiesOfNames, envelope: "soap_env", ..Style::PLAIN },
    Style { name: "refuses-names", habit: Habit::RefusesNames, ..Style::PLAIN },
    Style {
        name: "lists-leaves-only",
        habit: Habit::ListsLeavesOnly,
        namespace: "urn:dslforum-org:cwmp-1-1",
        version: "1.1",
        ..Style::PLAIN
    },
    Style { name: "expands-nothing", habit: Habit::ExpandsNothing, ..Style::PLAIN },
    Style { name: "refuses-partial-paths", habit: Habit::RefusesPartialPaths, ..Style::PLAIN },
    Style { name: "ignores-partial-paths", habit: Habit::IgnoresPartialPaths, ..Style::PLAIN },
    Style { name: "answers-the-last", habit: Habit::AnswersTheLast, ..Style::PLAIN },
];

/// Sessions until one passes without a call.
async fn until_idle(agent: &mut Client<'_>) -> Vec<String> {
    let mut calls = agent.session("0 BOOTSTRAP").await;
    for _ in 0..8 {
        let more = agent.session("2 PERIODIC").await;
        if more.is_empty() {
            return calls;
        }
        calls.extend(more);
    }
    panic!("never idle: {calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_set_up_and_read_whatever_they_make_of_names() {
    let acs = Acs::start(config()).await;
    for style in &READERS {
        for root in ["Device.", "InternetGatewayDevice."] {
            let serial = format!("{}-{root}", style.name);
            let mut agent = Client::new(acs.daemon.cwmp_address, style, AuthMode::Digest, root, &serial);
            let calls = until_idle(&mut agent).await;
            let writes = calls.iter().filter(|call| *call == "SetParameterValues").count();
            assert_eq!(writes, 2, "both logins: {serial}: {calls:?}");

            for (path, count) in [(format!("{root}DeviceInfo."), 2), (root.to_owned(), 9)] {
                let get = acs.schedule(&serial, "get", json!([{"variable_name": path}])).await;
                let calls = [agent.session("2 PERIODIC").await, agent.session("2 PERIODIC").await].concat();
                let row = acs.ended(&get).await;
                let values = row["variables"].as_array().unwrap();
                let read = values.iter().filter(|variable| !variable["value"].is_null()).count();
                assert_eq!(row["status"], "completed", "{serial}: {calls:?}: {row}");
                assert_eq!(read, count, "{serial}: {calls:?}: {row}");
            }
            agent.finish();
        }
    }
}
