//! One HTTP connection request: a GET that the CPE wants authenticated (TR-069 §3.2.2).
//!
//! Not hyper's client: the small servers in CPEs send what it refuses (quirk 72), and an address that was checked must
//! be the one that is called.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{timeout, timeout_at};

use super::answer::{self, BodyLength, Head, Stream};
use super::challenge;
use super::policy::{AddressPolicy, BasicPolicy};
use super::url::{CallUrl, Host};
use super::verdict::CallVerdict;
use crate::types::secret::Secret;

/// What is read at once.
const READ_BYTES: usize = 2048;
/// A name's addresses that are tried.
const MAX_ADDRESSES: usize = 4;

/// Whom to call.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// `ManagementServer.ConnectionRequestURL` as the device gave it.
    pub url: &'a str,
    /// `ConnectionRequestUsername` and `-Password`, when they are known.
    pub credentials: Option<(&'a str, &'a Secret)>,
    /// Where the device's last Inform came from.
    pub cpe_address: IpAddr,
    /// Where calls may go.
    pub policy: &'a AddressPolicy,
}

/// How long and how much a call may take.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallLimits {
    /// For looking a name up, and for each connection, in seconds.
    pub connect_timeout_secs: u64,
    /// For each answer, in seconds: sleeping CPEs need some.
    pub response_timeout_secs: u64,
    /// For everything, in seconds.
    pub total_timeout_secs: u64,
    /// Everything that is read of one connection, in bytes.
    pub max_answer_bytes: usize,
    /// Whether the password may go in clear.
    pub basic: BasicPolicy,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            connect_timeout_secs: 3,
            response_timeout_secs: 8,
            total_timeout_secs: 20,
            max_answer_bytes: 8 << 10,
            basic: BasicPolicy::default(),
        }
    }
}

impl CallLimits {
    const fn connect(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_secs)
    }

    const fn response(&self) -> Duration {
        Duration::from_secs(self.response_timeout_secs)
    }

    const fn total(&self) -> Duration {
        Duration::from_secs(self.total_timeout_secs)
    }
}

/// Asks a CPE to call in. Never fails: every trouble is a verdict.
pub async fn call(target: &Target<'_>, limits: &CallLimits) -> CallVerdict {
    match timeout(limits.total(), try_call(target, limits)).await {
        Ok(Ok(verdict) | Err(verdict)) => verdict,
        Err(_) => CallVerdict::TimedOut,
    }
}

async fn try_call(target: &Target<'_>, limits: &CallLimits) -> Result<CallVerdict, CallVerdict> {
    let url = CallUrl::parse(target.url)?;
    let addresses = permitted_addresses(&url, target, limits).await?;
    let request = Request { url, target: url.target() };
    let mut wire = Wire::connect(&addresses, limits).await?;
    let first = wire.ask(&request.text(None), limits).await.map_err(Lost::verdict)?;
    let Reading::Challenged(mut challenges) = Reading::of(first.status, first.challenges, Credentials::Unsent) else {
        return Ok(Reading::of(first.status, Vec::new(), Credentials::Unsent).verdict());
    };
    let credentials = target.credentials.ok_or(CallVerdict::NeedsCredentials)?;
    let mut wire = wire.after(first.body, first.closes, limits).await;
    // Twice at most: again when the nonce was stale.
    for attempt in [Attempt::First, Attempt::Last] {
        let authorization = challenge::respond(&challenges, credentials, &request.target, limits.basic)?;
        let text = request.text(Some(&authorization));
        let (open, head) = ask_once_more(wire, &text, &addresses, limits).await?;
        match (Reading::of(head.status, head.challenges, Credentials::Sent), attempt) {
            (Reading::Challenged(fresh), Attempt::First) if challenge::is_stale(&fresh) => challenges = fresh,
            (Reading::Challenged(_), _) => return Ok(CallVerdict::BadCredentials),
            (Reading::End(verdict), _) => return Ok(verdict),
        }
        wire = open.after(head.body, head.closes, limits).await;
    }
    Ok(CallVerdict::BadCredentials)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Last,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Credentials {
    Unsent,
    Sent,
}

/// What a status means.
enum Reading {
    Challenged(Vec<String>),
    End(CallVerdict),
}

impl Reading {
    fn of(status: u16, challenges: Vec<String>, credentials: Credentials) -> Self {
        Self::End(match (status, credentials) {
            (401, _) => return Self::Challenged(challenges),
            (200..=299, _) => CallVerdict::Accepted,
            (300..=399, _) => CallVerdict::Redirected,
            (400 | 404 | 410, _) => CallVerdict::StaleUrl,
            (403, Credentials::Unsent) => CallVerdict::NeedsCredentials,
            (403, Credentials::Sent) => CallVerdict::BadCredentials,
            (429 | 503, _) => CallVerdict::Busy,
            _ => CallVerdict::Protocol,
        })
    }

    fn verdict(self) -> CallVerdict {
        match self {
            Self::Challenged(_) => CallVerdict::NeedsCredentials,
            Self::End(verdict) => verdict,
        }
    }
}

type Addresses = SmallVec<[SocketAddr; MAX_ADDRESSES]>;

/// The addresses of the URL's host that may be called, those of the CPE's own family first.
async fn permitted_addresses(
    url: &CallUrl<'_>,
    target: &Target<'_>,
    limits: &CallLimits,
) -> Result<Addresses, CallVerdict> {
    let mut found = Addresses::new();
    match url.host {
        Host::Address(address) => found.push(SocketAddr::new(address.to_canonical(), url.port)),
        Host::Name(name) => {
            let looked_up = timeout(limits.connect(), lookup_host((name, url.port))).await;
            let addresses = looked_up.map_err(|_| CallVerdict::TimedOut)?.map_err(|_| CallVerdict::Unreachable)?;
            found.extend(addresses.map(|address| SocketAddr::new(address.ip().to_canonical(), address.port())));
        }
    }
    if found.is_empty() {
        return Err(CallVerdict::Unreachable);
    }
    found.retain(|address| target.policy.permits(address.ip(), target.cpe_address));
    let own_family = target.cpe_address.to_canonical().is_ipv4();
    found.sort_by_key(|address| address.is_ipv4() != own_family);
    found.truncate(MAX_ADDRESSES);
    if found.is_empty() { Err(CallVerdict::ForbiddenAddress) } else { Ok(found) }
}

struct Request<'a> {
    url: CallUrl<'a>,
    target: String,
}

impl Request<'_> {
    fn text(&self, authorization: Option<&str>) -> String {
        let (target, host) = (&self.target, self.url.authority);
        let authorization = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: acsd\r\n{authorization}\r\n")
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// The CPE closed or reset the connection without one.
    Connection,
    /// None came in time.
    Time,
    /// What came is none.
    Sense,
}

impl Lost {
    const fn verdict(self) -> CallVerdict {
        match self {
            Self::Time => CallVerdict::TimedOut,
            Self::Connection | Self::Sense => CallVerdict::Protocol,
        }
    }
}

/// Asks on `wire`, or on a new connection when there is none. A CPE that closes on the second request gets the same
/// one again on a new connection, once.
async fn ask_once_more(
    wire: Option<Wire>,
    request: &str,
    addresses: &Addresses,
    limits: &CallLimits,
) -> Result<(Wire, Head), CallVerdict> {
    let mut wire = match wire {
        Some(wire) => wire,
        None => Wire::connect(addresses, limits).await?,
    };
    match wire.ask(request, limits).await {
        Ok(head) => return Ok((wire, head)),
        Err(Lost::Connection) => drop(wire),
        Err(lost) => return Err(lost.verdict()),
    }
    let mut wire = Wire::connect(addresses, limits).await?;
    let head = wire.ask(request, limits).await.map_err(Lost::verdict)?;
    Ok((wire, head))
}

/// A connection to a CPE, and what was read of it but not yet understood.
#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
    /// How much may still be read.
    allowance: usize,
}

impl Wire {
    async fn connect(addresses: &Addresses, limits: &CallLimits) -> Result<Self, CallVerdict> {
        let mut verdict = CallVerdict::Unreachable;
        for address in addresses {
            match timeout(limits.connect(), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(Self { stream, unread: Vec::new(), allowance: limits.max_answer_bytes }),
                Ok(Err(trouble)) => verdict = not_connected(&trouble),
                Err(_) => verdict = CallVerdict::TimedOut,
            }
        }
        Err(verdict)
    }

    /// Sends a request and reads the head of its answer, passing over 1xx.
    async fn ask(&mut self, request: &str, limits: &CallLimits) -> Result<Head, Lost> {
        let deadline = tokio::time::Instant::now() + limits.response();
        let asked = async {
            // A failed write says little: the answer may have come before the CPE closed (quirk 72).
            let written = self.stream.write_all(request.as_bytes()).await;
            loop {
                let head = self.read_head().await?;
                if head.status >= 200 {
                    return Ok(head);
                }
                if written.is_err() && self.unread.is_empty() {
                    return Err(Lost::Connection);
                }
            }
        };
        timeout_at(deadline, asked).await.unwrap_or(Err(Lost::Time))
    }

    async fn read_head(&mut self) -> Result<Head, Lost> {
        let mut stream = Stream::Open;
        loop {
            match answer::parse(&self.unread, stream) {
                Ok(Some((head, taken))) => {
                    self.unread.drain(..taken.min(self.unread.len()));
                    return Ok(head);
                }
                Ok(None) => {}
                Err(_) if self.unread.is_empty() => return Err(Lost::Connection),
                Err(_) => return Err(Lost::Sense),
            }
            if self.read_more().await? == 0 {
                stream = Stream::Ended;
            }
        }
    }

    /// Reads on; zero at the end.
    async fn read_more(&mut self) -> Result<usize, Lost> {
        if self.allowance == 0 {
            return Err(Lost::Sense);
        }
        let mut piece = [0; READ_BYTES];
        let room = piece.get_mut(..READ_BYTES.min(self.allowance)).unwrap_or_default();
        // A reset ends the stream like a close.
        let read = self.stream.read(room).await.unwrap_or(0);
        self.allowance -= read;
        self.unread.extend_from_slice(piece.get(..read).unwrap_or_default());
        Ok(read)
    }

    /// The same connection behind the body of an answer, if it can carry another request; else it is closed here,
    /// before another is opened: some CPEs serve one at a time.
    async fn after(mut self, body: BodyLength, closes: bool, limits: &CallLimits) -> Option<Self> {
        if let BodyLength::Bytes(length) = body {
            let skipped = async {
                while self.unread.len() < length {
                    if self.read_more().await? == 0 {
                        return Err(Lost::Connection);
                    }
                }
                Ok(())
            };
            if !matches!(timeout(limits.response(), skipped).await, Ok(Ok(()))) {
                return None;
            }
            self.unread.drain(..length);
        }
        // The next answer may be there already, unasked (quirk 72).
        let answered = self.unread.starts_with(b"HTTP/");
        (answered || (!closes && matches!(body, BodyLength::Bytes(_)))).then_some(self)
    }
}

fn not_connected(trouble: &io::Error) -> CallVerdict {
    match trouble.kind() {
        io::ErrorKind::ConnectionRefused => CallVerdict::Refused,
        io::ErrorKind::TimedOut => CallVerdict::TimedOut,
        _ => CallVerdict::Unreachable,
    }
}
