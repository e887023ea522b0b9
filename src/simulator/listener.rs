//! Where CPEs are woken: one HTTP listener for any number of them, each on a path of its own (TR-069 §3.2.2).

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use md5::{Digest as _, Md5};
use parking_lot::RwLock;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::cpe::Shared;
use super::http::Target;
use super::misbehave::Misbehaviour;
use super::state::wall_clock;

/// Connections open at once.
const CONNECTIONS_MAX: usize = 512;
/// How long a client may take for its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a nonce is good for, in seconds.
const NONCE_LIFE_SECS: i64 = 300;
const REALM: &str = "acsd-simulator";

/// Listens for connection requests on behalf of many CPEs. Ends when the last handle of it is dropped.
#[derive(Debug)]
pub struct ConnectionRequestListener {
    address: SocketAddr,
    /// What CPEs advertise, found out when the first one asks.
    advertised: OnceCell<IpAddr>,
    board: Arc<Board>,
    _stop: DropGuard,
}

/// Who can be woken under which path.
#[derive(Debug)]
struct Board {
    cpes: RwLock<HashMap<String, Weak<Shared>>>,
    /// Makes nonces unguessable.
    secret: u128,
}

/// A path on the listener, before its CPE exists.
#[derive(Debug)]
pub(super) struct Place {
    path: String,
    pub(super) url: String,
}

/// A CPE's place on a listener; given up when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    listener: Arc<ConnectionRequestListener>,
    path: String,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.listener.board.cpes.write().remove(&self.path);
    }
}

impl ConnectionRequestListener {
    /// Binds and begins to listen; port 0 takes a free one.
    ///
    /// # Errors
    /// What binding failed with.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Arc<Self>> {
        let socket = TcpListener::bind(address).await?;
        let board = Arc::new(Board { cpes: RwLock::new(HashMap::new()), secret: fastrand::u128(..) });
        let stop = CancellationToken::new();
        let address = socket.local_addr()?;
        // Ends with `stop`, which the last handle cancels.
        tokio::spawn(accept(socket, Arc::clone(&board), stop.clone()));
        Ok(Arc::new(Self { address, advertised: OnceCell::new(), board, _stop: stop.drop_guard() }))
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A path that nobody guesses, and the URL to advertise to an ACS at `acs_url`.
    pub(super) async fn place(&self, acs_url: &str) -> Place {
        let path = format!("/{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let ip = *self.advertised.get_or_init(|| advertised_ip(self.address.ip(), acs_url)).await;
        let host = SocketAddr::new(ip, self.address.port());
        Place { url: format!("http://{host}{path}"), path }
    }

    pub(super) fn register(self: Arc<Self>, place: Place, cpe: &Arc<Shared>) -> Registration {
        self.board.cpes.write().insert(place.path.clone(), Arc::downgrade(cpe));
        Registration { path: place.path, listener: self }
    }
}

/// The bound address; bound to all, the one that this machine reaches the ACS from.
async fn advertised_ip(bound: IpAddr, acs_url: &str) -> IpAddr {
    if !bound.is_unspecified() {
        return bound;
    }
    local_ip_toward(bound, acs_url).await.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

async fn local_ip_toward(any: IpAddr, acs_url: &str) -> Option<IpAddr> {
    let target = Target::parse(acs_url).ok()?;
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    // Sends nothing: it makes the system choose a route.
    socket.connect((target.bare_host(), target.port)).await.ok()?;
    Some(socket.local_addr().ok()?.ip().to_canonical())
}

async fn accept(socket: TcpListener, board: Arc<Board>, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let board = Arc::clone(&board);
                let stop = stop.clone();
                // Bounded by the permits.
                tokio::spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = converse(stream, &board) => {}
                    }
                    drop(permit);
                });
            }
            Err(error) => tracing::debug!(%error, "cannot accept a connection request"),
        }
    }
}

async fn converse(stream: TcpStream, board: &Board) {
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let response = board.answer(&request);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).title_case_headers(true);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection request broke");
    }
}

impl Board {
    fn answer(&self, request: &Request<Incoming>) -> Response<Empty<Bytes>> {
        if request.method() != Method::GET {
            return status(StatusCode::METHOD_NOT_ALLOWED);
        }
        let path = request.uri().path();
        let cpe = self.cpes.read().get(path).and_then(Weak::upgrade);
        let Some(cpe) = cpe else { return status(StatusCode::NOT_FOUND) };
        let answer = self.wake(&cpe, request);
        if let Some(counters) = &cpe.config.counters {
            counters.connection_request(answer.status());
        }
        answer
    }

    fn wake(&self, cpe: &Shared, request: &Request<Incoming>) -> Response<Empty<Bytes>> {
        let path = request.uri().path();
        let (username, password, is_away) = {
            let state = cpe.state.lock();
            let (username, password) =
                (state.management("ConnectionRequestUsername"), state.management("ConnectionRequestPassword"));
            (username, password, state.is_away())
        };
        let now = wall_clock().as_secs();
        let has_credentials = !username.is_empty() || !password.is_empty();
        if has_credentials {
            let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let is_right = given.is_some_and(|given| self.check(given, &username, &password, path, now));
            if !is_right {
                return self.challenge(path, now);
            }
        }
        if is_away || !take_turn(cpe) {
            return status(StatusCode::SERVICE_UNAVAILABLE);
        }
        cpe.state.lock().connection_requested(Instant::now());
        cpe.wake.notify_one();
        let no_content = cpe.config.has(&Misbehaviour::NoContentOnConnectionRequest);
        status(if no_content { StatusCode::NO_CONTENT } else { StatusCode::OK })
    }

    fn nonce(&self, path: &str, made_secs: i64) -> String {
        format!("{made_secs:x}-{}", md5_hex(&format!("{:x}:{made_secs}:{path}", self.secret)))
    }

    fn challenge(&self, path: &str, now_secs: i64) -> Response<Empty<Bytes>> {
        let nonce = self.nonce(path, now_secs);
        let text = format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5");
        let mut response = status(StatusCode::UNAUTHORIZED);
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }

    /// RFC 2617 §3.2.2, with `qop=auth` or, as RFC 2069 clients do, without.
    fn check(&self, given: &str, username: &str, password: &str, path: &str, now_secs: i64) -> bool {
        let Some(fields) = given.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("digest")) else {
            return false;
        };
        let fields = digest_fields(fields.1);
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        let made = field("nonce").split('-').next().and_then(|hex| i64::from_str_radix(hex, 16).ok());
        let Some(made) = made.filter(|made| (now_secs - NONCE_LIFE_SECS..=now_secs).contains(made)) else {
            return false;
        };
        if field("nonce") != self.nonce(path, made) || field("username") != username || field("uri") != path {
            return false;
        }
        let secret = md5_hex(&format!("{username}:{REALM}:{password}"));
        let request = md5_hex(&format!("GET:{path}"));
        let expected = if field("qop").is_empty() {
            md5_hex(&format!("{secret}:{}:{request}", field("nonce")))
        } else {
            let (nonce, nc, cnonce, qop) = (field("nonce"), field("nc"), field("cnonce"), field("qop"));
            md5_hex(&format!("{secret}:{nonce}:{nc}:{cnonce}:{qop}:{request}"))
        };
        expected == field("response")
    }
}

/// Whether enough time has passed since the last accepted one.
fn take_turn(cpe: &Shared) -> bool {
    let gap = cpe.config.scaled(cpe.config.connection_request_gap);
    let mut last = cpe.last_connection_request.lock();
    let now = Instant::now();
    if last.is_some_and(|last| now.duration_since(last) < gap) {
        return false;
    }
    *last = Some(now);
    true
}

fn status(code: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = code;
    response
}

/// `name="value", name=value`; commas inside quotes stay.
fn digest_fields(text: &str) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').map_or((after, ""), |(value, after)| (value.trim(), after)),
        };
        fields.insert(name.trim().trim_start_matches(',').trim().to_ascii_lowercase(), value.to_owned());
        rest = after.trim_start().trim_start_matches(',');
    }
    fields
}

fn md5_hex(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_answer_is_checked_by_its_fields() {
        let fields = digest_fields(r#"username="a, b", nc=00000001,qop=auth , uri="/x""#);
        assert_eq!(fields.get("username").map(String::as_str), Some("a, b"));
        assert_eq!(fields.get("nc").map(String::as_str), Some("00000001"));
        assert_eq!(fields.get("qop").map(String::as_str), Some("auth"));
        assert_eq!(fields.get("uri").map(String::as_str), Some("/x"));
    }

    #[test]
    fn the_response_agrees_with_another_implementation() {
        let board = Board { cpes: RwLock::new(HashMap::new()), secret: 7 };
        let offer = format!("Digest realm=\"{REALM}\", nonce=\"{}\", qop=\"auth\"", board.nonce("/p", 1000));
        let mut prompt = digest_auth::parse(&offer).expect("a challenge");
        let mut context = digest_auth::AuthContext::new("user", "pass", "/p");
        context.method = digest_auth::HttpMethod::GET;
        let answer = prompt.respond(&context).expect("an answer").to_header_string();
        assert!(board.check(&answer, "user", "pass", "/p", 1010));
        assert!(!board.check(&answer, "user", "wrong", "/p", 1010));
        assert!(!board.check(&answer, "user", "pass", "/q", 1010));
        assert!(!board.check(&answer, "user", "pass", "/p", 2000));
    }
}
