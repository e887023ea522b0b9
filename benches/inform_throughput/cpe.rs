//! One CPE: a connection, the least HTTP that does, and a session from Inform to 204.

use std::net::{Ipv4Addr, SocketAddr};

use md5::{Digest as _, Md5};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::envelopes::{self, between};

pub const SHARED_USERNAME: &str = "factory";
pub const SHARED_PASSWORD: &str = "factory-secret";

/// No answer of an ACS in this bench is longer.
const BUFFER_BYTES: usize = 16 << 10;
const PATH: &str = "/acs";

/// Why a session failed.
pub type Failure = String;

/// A device: what it says, ready to be sent, and its login.
pub struct Device {
    /// Head without its last line, and body, of the Inform of a first contact.
    first: Said,
    /// The same of a periodic one.
    periodic: Said,
    login: (String, String),
}

struct Said {
    head: Vec<u8>,
    body: Vec<u8>,
}

/// Which Inform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    FirstContact,
    Periodic,
}

impl Device {
    pub fn new(device: usize) -> Self {
        let said = |events: &[&str]| Said::new(envelopes::inform(device, events));
        Self {
            first: said(&["0 BOOTSTRAP", "1 BOOT"]),
            periodic: said(&["2 PERIODIC"]),
            login: (SHARED_USERNAME.to_owned(), SHARED_PASSWORD.to_owned()),
        }
    }
}

impl Said {
    fn new(body: String) -> Self {
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: acs.example.net:7547\r\nUser-Agent: cpe/1.0\r\n\
            Content-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: \r\nContent-Length: {}\r\n",
            body.len()
        );
        Self { head: head.into_bytes(), body: body.into_bytes() }
    }
}

/// A connection to the ACS.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    out: Vec<u8>,
    /// Bytes received.
    pub received: u64,
}

/// An answer, in the connection's buffer.
struct Answer {
    status: u16,
    head: usize,
    end: usize,
}

impl Connection {
    /// From an address of its own: a fleet behind one address would run out of ports.
    pub async fn open(from: Ipv4Addr, target: SocketAddr) -> Result<Self, Failure> {
        let socket = TcpSocket::new_v4().map_err(|error| format!("socket: {error}"))?;
        socket.bind((from, 0).into()).map_err(|error| format!("bind: {error}"))?;
        let stream = socket.connect(target).await.map_err(|error| format!("connect: {error}"))?;
        stream.set_nodelay(true).map_err(|error| format!("nodelay: {error}"))?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES], out: Vec::with_capacity(4096), received: 0 })
    }

    /// Sends what is in `out`, and reads the answer.
    async fn exchange(&mut self) -> Result<Answer, Failure> {
        self.stream.write_all(&self.out).await.map_err(|error| format!("write: {error}"))?;
        let mut filled = 0;
        let mut expected: Option<(u16, usize, usize)> = None;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await.map_err(|error| format!("read: {error}"))?;
            if read == 0 {
                return Err("the connection was closed in the middle of a session".to_owned());
            }
            filled += read;
            if expected.is_none()
                && let Some(head) = memchr::memmem::find(&self.buffer[..filled], b"\r\n\r\n").map(|at| at + 4)
            {
                let text = std::str::from_utf8(&self.buffer[..head]).map_err(|error| error.to_string())?;
                let status = text.get(9..12).and_then(|code| code.parse().ok()).ok_or("no status line")?;
                let length = header(text, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0_usize);
                expected = Some((status, head, head + length));
            }
            if let Some((status, head, end)) = expected
                && filled >= end
            {
                self.received += u64::try_from(filled).unwrap_or(0);
                return if filled == end { Ok(Answer { status, head, end }) } else { Err("too many bytes".to_owned()) };
            }
        }
    }

    fn head(&self, answer: &Answer) -> &str {
        std::str::from_utf8(&self.buffer[..answer.head]).unwrap_or_default()
    }

    fn body(&self, answer: &Answer) -> &str {
        std::str::from_utf8(&self.buffer[answer.head..answer.end]).unwrap_or_default()
    }

    fn say(&mut self, parts: &[&[u8]]) {
        self.out.clear();
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }
}

fn header<'t>(head: &'t str, name: &str) -> Option<&'t str> {
    head.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Holds a session; returns how many calls the ACS made.
pub async fn session(connection: &mut Connection, device: &mut Device, reason: Reason) -> Result<usize, Failure> {
    let inform = match reason {
        Reason::FirstContact => &device.first,
        Reason::Periodic => &device.periodic,
    };
    connection.say(&[&inform.head, b"\r\n", &inform.body]);
    let mut answer = connection.exchange().await?;
    if answer.status == 401 {
        let authorization = authorization(connection.head(&answer), &device.login)?;
        connection.say(&[&inform.head, authorization.as_bytes(), b"\r\n\r\n", &inform.body]);
        answer = connection.exchange().await?;
    }
    if answer.status != 200 || !connection.body(&answer).contains("InformResponse>") {
        return Err(format!("the Inform was answered {} {}", answer.status, connection.body(&answer)));
    }
    let cookie = header(connection.head(&answer), "set-cookie")
        .and_then(|cookie| cookie.split(';').next())
        .ok_or("no cookie")?
        .to_owned();
    let head =
        format!("POST {PATH} HTTP/1.1\r\nHost: acs.example.net:7547\r\nUser-Agent: cpe/1.0\r\nCookie: {cookie}\r\n");
    connection.say(&[head.as_bytes(), b"Content-Length: 0\r\n\r\n"]);
    let mut calls = 0;
    loop {
        answer = connection.exchange().await?;
        if answer.status == 204 {
            return Ok(calls);
        }
        if answer.status != 200 {
            return Err(format!("a POST was answered {}", answer.status));
        }
        let body = answer_call(connection.body(&answer), &mut device.login)?;
        let rest = format!(
            "Content-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: \r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        connection.say(&[head.as_bytes(), rest.as_bytes(), body.as_bytes()]);
        calls += 1;
    }
}

fn answer_call(call: &str, login: &mut (String, String)) -> Result<String, Failure> {
    let id = between(call, "<cwmp:ID", "</cwmp:ID>").and_then(|id| id.split_once('>')).map_or("", |(_, id)| id);
    let set = |name: &str| {
        let after = between(call, &format!("Device.ManagementServer.{name}</Name>"), "</Value>")?;
        after.split_once("<Value").and_then(|(_, value)| value.split_once('>')).map(|(_, value)| value.to_owned())
    };
    if let (Some(username), Some(password)) = (set("Username"), set("Password")) {
        *login = (username, password);
    }
    envelopes::answer(call, id).ok_or_else(|| format!("an unexpected call: {call}"))
}

/// The answer to a challenge (RFC 2617 §3.2.2).
fn authorization(head: &str, (username, password): &(String, String)) -> Result<String, Failure> {
    let challenge = header(head, "www-authenticate").ok_or("no challenge")?;
    let realm = between(challenge, "realm=\"", "\"").ok_or("no realm")?;
    let nonce = between(challenge, "nonce=\"", "\"").ok_or("no nonce")?;
    let (count, cnonce) = ("00000001", "0a4f113b");
    let secret = hash(&[username, ":", realm, ":", password]);
    let what = hash(&["POST:", PATH]);
    let response = hash(&[&secret, ":", nonce, ":", count, ":", cnonce, ":auth:", &what]);
    Ok(format!(
        "Authorization: Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{PATH}\", \
        response=\"{response}\", qop=auth, nc={count}, cnonce=\"{cnonce}\", algorithm=MD5"
    ))
}

fn hash(parts: &[&str]) -> String {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
