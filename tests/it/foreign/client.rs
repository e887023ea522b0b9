//! The client: HTTP/1.1 by hand over a socket, envelopes by hand, and no more XML knowledge than string searches.

use std::io::Write as _;
use std::net::SocketAddr;

use acsd::acs::gate::AuthMode;
use acsd::cwmp::version::CwmpVersion;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tree::{self, Habit, Shown};
use crate::support::{PASSWORD, PATIENCE, USER};

/// How an agent presents itself when the ACS wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    /// Once challenged, on every POST, counting `nc`.
    Digest,
    /// As after each message it had forgotten the challenge.
    DigestForgotten,
    /// Asks for the challenge by an empty POST, at the start of each session; an old cookie goes with it.
    DigestEmptyFirst,
    /// Basic until challenged; then Digest, with `nc` 1 for ever.
    BasicUnasked,
    /// Without `qop`, with an empty `uri`, and before any challenge with an empty nonce and realm; not on empty POSTs.
    BlankRfc2069,
}

/// What comes back of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookies {
    Pair,
    /// With its attributes.
    Verbatim,
    Rfc2965,
    /// The first one it ever got, for ever.
    First,
    Never,
}

/// What an agent needs of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    Any,
    WithoutDeclaration,
}

/// The habits of one agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) name: &'static str,
    pub(super) headers: &'static str,
    pub(super) headers_when_empty: &'static str,
    pub(super) login: Login,
    pub(super) cookies: Cookies,
    pub(super) connection_per_post: bool,
    pub(super) gzip: bool,
    pub(super) behind_body: &'static str,
    pub(super) declaration: &'static str,
    /// Prefixes of the SOAP namespaces.
    pub(super) envelope: &'static str,
    pub(super) encoding: &'static str,
    pub(super) namespace: &'static str,
    /// What is spoken in the end.
    pub(super) version: &'static str,
    /// More elements of the Inform's header.
    pub(super) header: &'static str,
    /// Of the Inform.
    pub(super) id: Option<&'static str>,
    pub(super) answers: Answers,
    pub(super) habit: Habit,
}

impl Style {
    pub(super) const PLAIN: Self = Self {
        name: "plain",
        headers: "",
        headers_when_empty: "",
        login: Login::Digest,
        cookies: Cookies::Pair,
        connection_per_post: false,
        gzip: false,
        behind_body: "",
        declaration: "",
        envelope: "soap-env",
        encoding: "soap-enc",
        namespace: "urn:dslforum-org:cwmp-1-0",
        version: "1.0",
        header: "",
        id: Some("7&amp;8"),
        answers: Answers::Any,
        habit: Habit::Faithful,
    };
}

pub(super) struct Client<'s> {
    address: SocketAddr,
    style: &'s Style,
    auth: AuthMode,
    root: &'static str,
    serial: String,
    stream: Option<BufStream<TcpStream>>,
    cookie: Option<String>,
    challenge: Option<Challenge>,
    counter: u32,
    /// Every envelope that acsd has sent.
    heard: Vec<String>,
}

struct Challenge {
    realm: String,
    nonce: String,
}

struct Reply {
    status: u16,
    body: String,
}

impl<'s> Client<'s> {
    pub(super) fn new(address: SocketAddr, style: &'s Style, auth: AuthMode, root: &'static str, serial: &str) -> Self {
        let serial = serial.to_owned();
        let (stream, cookie, challenge) = (None, None, None);
        Self { address, style, auth, root, serial, stream, cookie, challenge, counter: 0, heard: Vec::new() }
    }

    /// From Inform to 204, or to the agent's death: what acsd called, in order.
    pub(super) async fn session(&mut self, event: &str) -> Vec<String> {
        let inform = self.inform(event);
        if self.style.login == Login::DigestEmptyFirst {
            self.challenge = None;
            let probe = self.exchange("").await;
            let expected = if self.auth == AuthMode::Digest { 401 } else { 204 };
            assert_eq!(probe.status, expected, "{}: else it would not authenticate at all", self.serial);
        }
        let opened = self.post(&inform).await;
        assert_eq!(opened.status, 200, "{}: {}", self.serial, opened.body);
        assert!(opened.body.contains("<MaxEnvelopes>1</MaxEnvelopes>"), "{}", opened.body);
        let echoed = self.style.id.filter(|id| !id.is_empty()).map(|id| format!("mustUnderstand=\"1\">{id}</cwmp:ID>"));
        assert_eq!(opened.body.contains("cwmp:ID"), echoed.is_some(), "{}", opened.body);
        assert!(echoed.is_none_or(|id| opened.body.contains(&id)), "{}", opened.body);
        let offered = self.style.header.contains("SupportedCWMPVersions");
        assert_eq!(opened.body.contains("UseCWMPVersion"), offered, "{}", opened.body);
        let mut calls = Vec::new();
        let mut answer = String::new();
        for _ in 0..20 {
            let reply = self.post(&answer).await;
            if reply.status == 204 {
                self.stream = None;
                return calls;
            }
            assert_eq!(reply.status, 200, "{}: {}", self.serial, reply.body);
            let method = between(&reply.body, ":Body><cwmp:", ">").to_owned();
            let answered = self.answer(&method, &reply.body);
            calls.push(method);
            let Some(envelope) = answered else {
                self.stream = None;
                return calls;
            };
            answer = envelope;
        }
        panic!("{}: never ends: {calls:?}", self.serial);
    }

    /// Checks everything acsd said against the schema.
    pub(super) fn finish(self) {
        let version = CwmpVersion::parse(self.style.version).unwrap();
        let named = self.heard.iter().enumerate().map(|(at, text)| (format!("{at}"), text.as_bytes()));
        crate::codec::schema::assert_all_valid(named, version);
    }

    fn inform(&self, event: &str) -> String {
        let (root, encoding, serial) = (self.root, self.style.encoding, &self.serial);
        let values = [("DeviceInfo.SoftwareVersion", "1"), ("ManagementServer.ParameterKey", "")]
            .map(|(leaf, value)| value_struct(&format!("{root}{leaf}"), "string", value))
            .concat();
        let body = format!(
            "<cwmp:Inform><DeviceId><Manufacturer>Acme</Manufacturer><OUI>00D09E</OUI><ProductClass>Box</ProductClass>\
             <SerialNumber>{serial}</SerialNumber></DeviceId><Event {encoding}:arrayType=\"cwmp:EventStruct[1]\">\
             <EventStruct><EventCode>{event}</EventCode><CommandKey/></EventStruct></Event><MaxEnvelopes>1</MaxEnvelopes>\
             <CurrentTime>2024-05-01T10:00:00.123+0200</CurrentTime><RetryCount>0</RetryCount>\
             <ParameterList {encoding}:arrayType=\"cwmp:ParameterValueStruct[2]\">{values}</ParameterList></cwmp:Inform>"
        );
        self.wrapped(self.style.id, self.style.header, &body)
    }

    /// `None` when the agent ends instead.
    fn answer(&self, method: &str, call: &str) -> Option<String> {
        let id = between(call, "mustUnderstand=\"1\">", "</cwmp:ID>");
        let Style { encoding, habit, .. } = *self.style;
        let list = |ty: &str, items: &[String]| {
            let (count, items) = (items.len(), items.concat());
            format!("<ParameterList {encoding}:arrayType=\"cwmp:{ty}[{count}]\">{items}</ParameterList>")
        };
        let body = match method {
            "GetParameterValues" => {
                let names = call.split("<string>").skip(1).filter_map(|rest| rest.split("</string>").next());
                match tree::values(habit, self.root, &names.collect::<Vec<_>>()) {
                    Shown::These(values) => {
                        let items: Vec<_> =
                            values.iter().map(|(name, ty, value)| value_struct(name, ty, value)).collect();
                        list("ParameterValueStruct", &items)
                    }
                    Shown::Fault(code) => return Some(self.fault(id, code)),
                    Shown::Death => return None,
                }
            }
            "SetParameterValues" => {
                let parameters = call.matches("<ParameterValueStruct><Name>").count();
                assert!(
                    call.contains(&format!("SOAP-ENC:arrayType=\"cwmp:ParameterValueStruct[{parameters}]\"")),
                    "{call}"
                );
                assert_eq!(call.matches("</Name><Value xsi:type=\"xsd:").count(), parameters, "{call}");
                assert!(call.contains("</ParameterList><ParameterKey>"), "{call}");
                "<Status>0</Status>".to_owned()
            }
            "GetParameterNames" => {
                assert!(call.contains("<NextLevel>1</NextLevel>"), "{call}");
                match tree::names(habit, self.root, between(call, "<ParameterPath>", "</ParameterPath>")) {
                    Shown::These(names) => {
                        let items: Vec<_> = names.iter().map(|name| info_struct(name)).collect();
                        list("ParameterInfoStruct", &items)
                    }
                    Shown::Fault(code) => return Some(self.fault(id, code)),
                    Shown::Death => return None,
                }
            }
            other => panic!("nobody asked for {other}"),
        };
        Some(self.wrapped(Some(id), "", &format!("<cwmp:{method}Response>{body}</cwmp:{method}Response>")))
    }

    fn fault(&self, id: &str, code: u16) -> String {
        let envelope = self.style.envelope;
        let body = format!(
            "<{envelope}:Fault><faultcode>Client</faultcode><faultstring>CWMP fault</faultstring><detail><cwmp:Fault>\
             <FaultCode>{code}</FaultCode><FaultString>no</FaultString></cwmp:Fault></detail></{envelope}:Fault>"
        );
        self.wrapped(Some(id), "", &body)
    }

    fn wrapped(&self, id: Option<&str>, header: &str, body: &str) -> String {
        let Style { envelope, encoding, namespace, declaration, .. } = self.style;
        let id = id.map(|id| format!("<cwmp:ID {envelope}:mustUnderstand=\"1\">{id}</cwmp:ID>")).unwrap_or_default();
        format!(
            "{declaration}<{envelope}:Envelope xmlns:{envelope}=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:{encoding}=\"http://schemas.xmlsoap.org/soap/encoding/\" \
             xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xmlns:cwmp=\"{namespace}\"><{envelope}:Header>{id}{header}</{envelope}:Header>\
             <{envelope}:Body>{body}</{envelope}:Body></{envelope}:Envelope>"
        )
    }

    /// One POST, and once more when it is challenged.
    async fn post(&mut self, body: &str) -> Reply {
        if self.style.login == Login::DigestForgotten {
            self.challenge = None;
        }
        let mut reply = self.exchange(body).await;
        if reply.status == 401 {
            reply = self.exchange(body).await;
        }
        if reply.status == 200 {
            self.check(&reply.body);
            self.heard.push(reply.body.clone());
        }
        reply
    }

    /// What agents look for with string searches.
    fn check(&self, envelope: &str) {
        let declared = envelope.starts_with("<?xml");
        assert_eq!(declared, !self.style.declaration.is_empty(), "{envelope}");
        assert!(!declared || self.style.answers == Answers::Any, "{envelope}");
        for namespace in [
            "xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\"",
            "xmlns:SOAP-ENC=\"http://schemas.xmlsoap.org/soap/encoding/\"",
            "xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"",
            "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"",
            &format!("xmlns:cwmp=\"{}\"", self.style.namespace),
        ] {
            assert!(envelope.contains(namespace), "{namespace} in {envelope}");
        }
        assert!(envelope.contains("<SOAP-ENV:Body><cwmp:"), "{envelope}");
    }

    async fn exchange(&mut self, body: &str) -> Reply {
        let mut sent = body.as_bytes().to_vec();
        if self.style.gzip && !body.is_empty() {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body.as_bytes()).unwrap();
            sent = encoder.finish().unwrap();
        }
        let mut head = format!(
            "POST /acs HTTP/1.1\r\nHost: {}\r\n{}{}Content-Length: {}\r\n",
            self.address,
            self.style.headers,
            if body.is_empty() { self.style.headers_when_empty } else { "" },
            sent.len()
        );
        for (name, value) in [("Authorization", self.authorization(body)), ("Cookie", self.cookie.clone())] {
            if let Some(value) = value {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head.push_str("\r\n");
        let behind = if body.is_empty() { "" } else { self.style.behind_body };
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufStream::new(TcpStream::connect(self.address).await.unwrap()),
        };
        let bytes = [head.as_bytes(), &sent, behind.as_bytes()].concat();
        let talked = async {
            stream.write_all(&bytes).await.unwrap();
            stream.flush().await.unwrap();
            self.read(&mut stream).await
        };
        let (reply, closes) = timeout(PATIENCE, talked).await.expect("an answer in time");
        self.stream = (!closes && !self.style.connection_per_post).then_some(stream);
        reply
    }

    async fn read(&mut self, stream: &mut BufStream<TcpStream>) -> (Reply, bool) {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let status: u16 =
            line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
        let (mut length, mut closes) = (0, false);
        loop {
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            // Some look headers up by their exact name.
            match line.trim_end().split_once(": ") {
                None => break,
                Some(("Content-Length", value)) => length = value.parse().unwrap(),
                Some(("Connection", value)) => closes = value == "close",
                Some(("Set-Cookie", value)) => self.keep_cookie(value),
                Some(("Www-Authenticate" | "WWW-Authenticate", value)) => self.keep_challenge(value),
                Some(("Transfer-Encoding", value)) => panic!("{value}"),
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        (Reply { status, body: String::from_utf8(body).unwrap() }, closes)
    }

    fn keep_cookie(&mut self, value: &str) {
        let (pair, _) = value.split_once(';').unwrap_or((value, ""));
        let (name, text) = pair.split_once('=').unwrap();
        self.cookie = match self.style.cookies {
            Cookies::Pair => Some(pair.to_owned()),
            Cookies::Verbatim => Some(value.to_owned()),
            Cookies::Rfc2965 => Some(format!("$Version=\"1\"; {name}=\"{text}\"; $Path=\"/\"")),
            Cookies::First => Some(self.cookie.take().unwrap_or_else(|| pair.to_owned())),
            Cookies::Never => None,
        };
    }

    fn keep_challenge(&mut self, value: &str) {
        let nonce = between(value, "nonce=\"", "\"").to_owned();
        // What fits into the fixed buffers of small agents.
        assert!(nonce.len() <= 32, "{nonce}");
        self.challenge = Some(Challenge { realm: between(value, "realm=\"", "\"").to_owned(), nonce });
        self.counter = 0;
    }

    fn authorization(&mut self, body: &str) -> Option<String> {
        match (self.auth, self.style.login, &self.challenge) {
            // An agent that has a login, but is not asked for it.
            (_, Login::BasicUnasked, None) => Some(format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))),
            (AuthMode::Digest, Login::BlankRfc2069, challenge) if !body.is_empty() => {
                let (realm, nonce) = challenge.as_ref().map_or(("", ""), |it| (&it.realm, &it.nonce));
                let response = md5(&[&md5(&[USER, realm, PASSWORD]), nonce, &md5(&["POST", ""])]);
                Some(format!(
                    "Digest username=\"{USER}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"\", response=\"{response}\""
                ))
            }
            (_, Login::BlankRfc2069, _) | (_, _, None) => None,
            (_, login, Some(Challenge { realm, nonce })) => {
                self.counter = if login == Login::BasicUnasked { 1 } else { self.counter + 1 };
                let count = format!("{:08x}", self.counter);
                let (ha1, ha2) = (md5(&[USER, realm, PASSWORD]), md5(&["POST", "/acs"]));
                let response = md5(&[&ha1, nonce, &count, "0a4f113b", "auth", &ha2]);
                Some(format!(
                    "Digest username=\"{USER}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"/acs\", \
                     response=\"{response}\", algorithm=MD5, qop=auth, nc={count}, cnonce=\"0a4f113b\""
                ))
            }
        }
    }
}

fn value_struct(name: &str, ty: &str, value: &str) -> String {
    format!(
        "<ParameterValueStruct><Name>{name}</Name><Value xsi:type=\"xsd:{ty}\">{value}</Value></ParameterValueStruct>"
    )
}

fn info_struct(name: &str) -> String {
    format!("<ParameterInfoStruct><Name>{name}</Name><Writable>1</Writable></ParameterInfoStruct>")
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end} in {rest}")).0
}

/// Of the parts, joined by colons.
fn md5(parts: &[&str]) -> String {
    hex::encode(Md5::digest(parts.join(":")))
}
