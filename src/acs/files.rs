//! The file server: what CPEs fetch and send, under unguessable links.
//!
//! It sits on the CWMP listeners, and on one of its own when that is configured. Transfers have their own limits, apart
//! from those of sessions: so many at once, so many of one device, so many bytes per second. A transfer may take hours, as
//! long as something moves.

mod body;
mod meters;
mod pacing;
mod receive;
mod slots;

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;

use self::meters::{Direction, Meters, Outcome};
use self::pacing::Pacer;
use self::receive::Discard;
use self::slots::Slots;
use crate::auth::authorization::Authorization;
use crate::auth::basic;
use crate::auth::digest::{DigestServer, DigestVerdict, Stale};
use crate::auth::seal::Sealer;
use crate::files::fetch::Fetch;
use crate::files::lane::Lane;
use crate::files::{Claim, Files, PREFIX, Target};
use crate::model::device_type::FileLogin;
use crate::types::time::Clock;

pub use self::body::FileBody;

use super::exchange::{Answer, ConnectionId, Exchange, Post};

const REALM: &str = "acsd files";
/// How long a challenge may be answered: some CPEs keep one for all parts that they fetch.
const NONCE_LIFE: Duration = Duration::from_mins(10);
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const FETCHING: HeaderValue = HeaderValue::from_static("GET, HEAD");
const SENDING: HeaderValue = HeaderValue::from_static("PUT, POST");
/// When too many transfers are under way: from so many seconds on, and up to twice as many.
const RETRY_SECS: u64 = 30;

/// Serves files to CPEs.
#[derive(Clone)]
pub struct FileServer {
    inner: Arc<Inner>,
}

struct Inner {
    files: Arc<Files>,
    clock: Arc<dyn Clock>,
    digest: DigestServer,
    slots: Slots,
    /// Of those that ask about a file and do not fetch it: they open it as well, but take no place from who does.
    looks: Slots,
    total: Option<Arc<Pacer>>,
    meters: Meters,
}

/// Whether a request is one for the file server.
#[must_use]
pub fn is_file(path: &str) -> bool {
    path.starts_with(PREFIX)
}

impl FileServer {
    /// Over the files, made after the metrics recorder is installed.
    #[must_use]
    pub fn new(files: Arc<Files>, clock: Arc<dyn Clock>, sealer: &Sealer) -> Self {
        let digest = DigestServer::new(sealer.derive("nonces of the file server"), REALM, NONCE_LIFE);
        let config = files.config();
        let slots = || Slots::new(config.max_transfers, config.max_transfers_per_device);
        let (slots, looks) = (slots(), slots());
        let total = Pacer::new(config.bandwidth_bytes_per_sec).map(Arc::new);
        Self { inner: Arc::new(Inner { digest, slots, looks, total, meters: Meters::new(), files, clock }) }
    }

    /// How long nothing may move on a connection before it is given up.
    #[must_use]
    pub fn stall(&self) -> Duration {
        self.inner.files.config().stall()
    }

    /// Where the connection of a transfer is to be polled.
    #[must_use]
    pub fn lane(&self) -> &Lane {
        self.inner.files.lane()
    }

    /// Answers a request below [`PREFIX`]. `begin` is awaited under a genuine link and within the limits, before the disk is
    /// asked; what it returns lives as long as the transfer does: if that is the answer's body, it is handed back.
    pub async fn answer<T: Send, B: Future<Output = T> + Send>(
        &self,
        head: &Parts,
        mut incoming: Incoming,
        begin: impl FnOnce() -> B + Send,
    ) -> (Response<FileBody>, Option<T>) {
        match self.inner.try_answer(head, &mut incoming, begin).await {
            Ok(answer) => answer,
            Err(refused) => {
                if refused.counted == Counted::NotYet {
                    meters::count(refused.direction, refused.outcome);
                }
                // A client that sends everything before it reads gets to read why it was in vain.
                if !matches!(refused.outcome, Outcome::Stalled | Outcome::BrokenOff) {
                    let bounds = match refused.outcome {
                        // Anybody can think of one.
                        Outcome::UnknownLink => Discard::STRANGER,
                        _ => Discard::device(self.inner.files.config()),
                    };
                    receive::discard(&head.headers, incoming, bounds).await;
                }
                (refused.into_response(), None)
            }
        }
    }
}

/// A request that is not granted.
#[derive(Debug)]
struct Refused {
    direction: Direction,
    outcome: Outcome,
    status: StatusCode,
    words: String,
    /// A challenge, or the methods that there are.
    more: More,
    counted: Counted,
}

/// Whether the metrics know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    NotYet,
    Already,
}

#[derive(Debug)]
enum More {
    Nothing,
    Challenge(Challenges),
    Allow(HeaderValue),
    RetryAfter,
}

/// What a device may log in by, in the order in which they are offered.
#[derive(Debug)]
struct Challenges {
    digest: Option<String>,
    basic: String,
}

impl Refused {
    fn new(direction: Direction, outcome: Outcome, status: StatusCode, words: impl Into<String>) -> Self {
        Self { direction, outcome, status, words: words.into(), more: More::Nothing, counted: Counted::NotYet }
    }

    fn into_response(self) -> Response<FileBody> {
        let mut response = Response::new(FileBody::text(format!("{}\n", self.words)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, TEXT);
        match self.more {
            // The connection stays: the next request is the same with a login.
            More::Challenge(Challenges { digest, basic }) => {
                let values = digest.into_iter().chain([basic]).filter_map(|text| HeaderValue::try_from(text).ok());
                for value in values {
                    headers.append(WWW_AUTHENTICATE, value);
                }
                return response;
            }
            More::Allow(methods) => {
                headers.insert(ALLOW, methods);
            }
            More::RetryAfter => {
                let secs = RETRY_SECS + fastrand::u64(..=RETRY_SECS);
                headers.insert(RETRY_AFTER, HeaderValue::from(secs));
            }
            More::Nothing => {}
        }
        headers.insert(CONNECTION, CLOSE);
        response
    }
}

impl Inner {
    async fn try_answer<T: Send, B: Future<Output = T> + Send>(
        &self,
        head: &Parts,
        incoming: &mut Incoming,
        begin: impl FnOnce() -> B + Send,
    ) -> Result<(Response<FileBody>, Option<T>), Refused> {
        let direction = Direction::of(&head.method);
        // What follows the token is a name for the device's eyes.
        let token = head.uri.path().strip_prefix(PREFIX).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let claim = self.files.claim(token).ok_or_else(|| unknown(direction))?;
        let (fits, allowed) = match claim.target {
            Target::Image(_) | Target::Stored(_) => (matches!(head.method, Method::GET | Method::HEAD), FETCHING),
            Target::Upload => (matches!(head.method, Method::PUT | Method::POST), SENDING),
        };
        if !fits {
            let words = format!("this link does not take {}", head.method);
            let refused = Refused::new(direction, Outcome::Method, StatusCode::METHOD_NOT_ALLOWED, words);
            return Err(Refused { more: More::Allow(allowed), ..refused });
        }
        self.authorise(head, token, &claim, direction)?;
        match claim.target {
            Target::Upload => self.receive(head, incoming, &claim, begin).await.map(|response| (response, None)),
            Target::Image(_) | Target::Stored(_) => self.send(head, &claim, begin).await,
        }
    }

    /// Whether the device may, as its type has it. Any login of the link's is good, asked for or not.
    fn authorise(&self, head: &Parts, token: &str, claim: &Claim, direction: Direction) -> Result<(), Refused> {
        if claim.login == FileLogin::None {
            return Ok(());
        }
        let now = self.clock.now();
        let (username, password) = self.files.login(token);
        let presented = head.headers.get(AUTHORIZATION).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        let mut stale = Stale::No;
        if let Some(answer) = presented.and_then(Authorization::parse)
            && answer.username() == username
        {
            match &answer {
                Authorization::Basic(credentials) if credentials.verify(&password) => return Ok(()),
                Authorization::Digest(answer) => {
                    match self.digest.verify(answer, head.method.as_str(), &password, now) {
                        DigestVerdict::Accepted => return Ok(()),
                        DigestVerdict::Stale => stale = Stale::Yes,
                        DigestVerdict::Refused => {}
                    }
                }
                Authorization::Basic(_) => {}
            }
        }
        let digest = match claim.login {
            // Of such types some would choose a digest, and get it wrong.
            FileLogin::Basic => None,
            FileLogin::Digest | FileLogin::None => Some(self.digest.challenge(now, stale)),
        };
        // Those that know nothing else have it as well: the login is worth no more than the link, which they have shown.
        let challenges = Challenges { digest, basic: basic::challenge(REALM) };
        let outcome =
            if presented.is_some() && stale == Stale::No { Outcome::LoginFailed } else { Outcome::LoginAsked };
        let refused = Refused::new(direction, outcome, StatusCode::UNAUTHORIZED, "log in to go on");
        Err(Refused { more: More::Challenge(challenges), ..refused })
    }

    async fn send<T: Send, B: Future<Output = T> + Send>(
        &self,
        head: &Parts,
        claim: &Claim,
        begin: impl FnOnce() -> B + Send,
    ) -> Result<(Response<FileBody>, Option<T>), Refused> {
        let direction = Direction::Download;
        // A disk that hangs holds up this many, none of which is counted among the sessions' connections.
        let slots = if head.method == Method::HEAD { &self.looks } else { &self.slots };
        let slot = slots.take(claim.device).ok_or_else(|| busy(direction))?;
        let begun = begin().await;
        let offer = match self.files.offer(claim.target).await {
            Ok(Some(offer)) if Some(offer.sha256) == claim.content => offer,
            // Gone, or replaced since the link was looked at.
            Ok(_) => return Err(unknown(direction)),
            Err(_logged) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                return Err(Refused::new(direction, Outcome::Failed, status, "the file cannot be read"));
            }
        };
        let Fetch { status, headers, part } = Fetch::of(&head.method, &head.headers, &offer);
        let (body, begun) = if part.is_empty() {
            (FileBody::empty(), None)
        } else {
            let own = Pacer::new(self.files.config().transfer_bandwidth_bytes_per_sec).map(Arc::new);
            let pacers = self.total.iter().cloned().chain(own).collect();
            let body = FileBody::of(offer.content, part, pacers, self.meters.begin(direction, slot));
            (body, Some(begun))
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok((response, begun))
    }
}

fn unknown(direction: Direction) -> Refused {
    // Expired, forged or for a file that is gone: not told apart.
    Refused::new(
        direction,
        Outcome::UnknownLink,
        StatusCode::NOT_FOUND,
        "there is no such file, or the link has expired",
    )
}

fn busy(direction: Direction) -> Refused {
    let words = "too many transfers are under way: come back later";
    let refused = Refused::new(direction, Outcome::Busy, StatusCode::SERVICE_UNAVAILABLE, words);
    Refused { more: More::RetryAfter, ..refused }
}

/// `Content-Type` as text.
fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What a listener for files alone has to say to CWMP.
#[derive(Debug, Clone, Copy, Default)]
pub struct FilesAlone;

impl Exchange for FilesAlone {
    async fn post(&self, _post: Post) -> Answer {
        Answer::Forbidden { reason: "this address has files only" }
    }

    fn disconnected(&self, _connection: ConnectionId) {}
}
