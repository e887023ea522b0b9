//! The CPE's HTTP client: one connection at a time, on hyper's connection API.
//!
//! The connection is driven by whoever waits for an answer on it; there is no task per connection.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls::TlsTrust;

/// Largest answer that is read, in bytes.
const RESPONSE_MAX_BYTES: usize = 64 * 1024 * 1024;
/// How long a client that said `Expect: 100-continue` waits before it sends the body anyway (as libcurl does).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("not an http:// or https:// URL")]
    Url,
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    #[error("TLS handshake failed")]
    Tls(#[source] std::io::Error),
    #[error("no certificates to trust were configured")]
    NoTrust,
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    #[error("the request cannot be built")]
    Request(#[source] http::Error),
    #[error("the answer is larger than {RESPONSE_MAX_BYTES} bytes")]
    TooLarge,
    #[error("no answer in time")]
    Timeout,
}

/// Where a URL points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) is_tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query.
    pub(super) path: String,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, HttpError> {
        let uri: http::Uri = url.trim().parse().map_err(|_| HttpError::Url)?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(HttpError::Url),
        };
        let host = uri.host().ok_or(HttpError::Url)?.to_owned();
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { is_tls, host, port, path })
    }

    /// `host:port`, without the port when it is the scheme's own.
    pub(super) fn authority(&self) -> String {
        let default_port = if self.is_tls { 443 } else { 80 };
        if self.port == default_port { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Whether both are reached through the same connection.
    pub(super) fn same_server(&self, other: &Self) -> bool {
        (self.is_tls, &self.host, self.port) == (other.is_tls, &other.host, other.port)
    }

    pub(super) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// How a request body goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Framing {
    /// With its length.
    #[default]
    Length,
    /// In two chunks.
    Chunked,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The server sent no `100 Continue` in time although it was asked to.
    pub(super) missed_continue: bool,
}

/// hyper's side of a connection: it moves bytes when it is polled.
type Driver = Pin<Box<http1::Connection<TokioIo<Stream>, RequestBody>>>;

/// One TCP or TLS connection to a server.
pub(super) struct Connection {
    sender: http1::SendRequest<RequestBody>,
    driver: Option<Driver>,
    /// Requests answered on it.
    pub(super) answered: u32,
}

impl Connection {
    /// Connects and, for `https`, shakes hands.
    pub(super) async fn open(target: &Target, trust: &TlsTrust) -> Result<Self, HttpError> {
        let tcp = TcpStream::connect((target.bare_host(), target.port)).await.map_err(HttpError::Connect)?;
        tcp.set_nodelay(true).map_err(HttpError::Connect)?;
        let stream = if target.is_tls {
            let config = trust.config().ok_or(HttpError::NoTrust)?;
            let name =
                rustls_pki_types::ServerName::try_from(target.bare_host().to_owned()).map_err(|_| HttpError::Url)?;
            let tls = TlsConnector::from(config).connect(name, tcp).await.map_err(HttpError::Tls)?;
            Stream::Tls(Box::new(tls))
        } else {
            Stream::Plain(tcp)
        };
        let (sender, driver) = http1::Builder::new()
            .title_case_headers(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(HttpError::Broken)?;
        Ok(Self { sender, driver: Some(Box::pin(driver)), answered: 0 })
    }

    /// Whether another request may be tried on it.
    pub(super) async fn is_usable(&mut self) -> bool {
        let Self { sender, driver, .. } = self;
        drive(driver, sender.ready()).await.is_ok()
    }

    /// Sends one request and reads the whole answer.
    pub(super) async fn send(
        &mut self,
        mut parts: http::request::Builder,
        body: Bytes,
        framing: Framing,
    ) -> Result<Response, HttpError> {
        let expects = parts.headers_ref().is_some_and(|headers| headers.contains_key(header::EXPECT));
        let (body, go_ahead) = RequestBody::new(body, framing, expects);
        if framing == Framing::Length {
            parts = parts.header(header::CONTENT_LENGTH, body.left());
        }
        let mut request: Request<RequestBody> = parts.body(body).map_err(HttpError::Request)?;
        if let Some(go_ahead) = &go_ahead {
            let go_ahead = Arc::clone(go_ahead);
            hyper::ext::on_informational(&mut request, move |informational| {
                if informational.status() == StatusCode::CONTINUE {
                    go_ahead.given.notify_one();
                }
            });
        }
        let Self { sender, driver, .. } = self;
        let response = drive(driver, sender.send_request(request)).await.map_err(HttpError::Broken)?;
        let (head, incoming) = response.into_parts();
        let body = drive(driver, read_body(incoming)).await?;
        self.answered += 1;
        let missed_continue = go_ahead.is_some_and(|go_ahead| go_ahead.missed.load(Ordering::Relaxed));
        Ok(Response { status: head.status, headers: head.headers, body, missed_continue })
    }
}

async fn read_body(mut incoming: Incoming) -> Result<Bytes, HttpError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(HttpError::Broken)?.into_data() else { continue };
        if whole.len() + data.len() > RESPONSE_MAX_BYTES {
            return Err(HttpError::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Polls the connection as long as `work` is not done. Its own result does not matter: if it breaks, `work` says so.
async fn drive<F: Future>(driver: &mut Option<Driver>, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Some(connection) = driver
            && connection.as_mut().poll(context).is_ready()
        {
            *driver = None;
        }
        work.as_mut().poll(context)
    })
    .await
}

/// A request body in one piece, in chunks, or held back until the server says `100 Continue`.
pub(super) struct RequestBody {
    rest: Bytes,
    framing: Framing,
    hold: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// What a held-back body waits for.
#[derive(Debug, Default)]
struct GoAhead {
    given: Notify,
    missed: AtomicBool,
}

impl RequestBody {
    fn new(rest: Bytes, framing: Framing, expects: bool) -> (Self, Option<Arc<GoAhead>>) {
        let go_ahead = (expects && !rest.is_empty()).then(Arc::<GoAhead>::default);
        let hold = go_ahead.clone().map(|go_ahead| -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(async move {
                // Sent anyway when the second is over, as every such client does.
                if tokio::time::timeout(CONTINUE_WAIT, go_ahead.given.notified()).await.is_err() {
                    go_ahead.missed.store(true, Ordering::Relaxed);
                }
            })
        });
        (Self { rest, framing, hold }, go_ahead)
    }

    fn left(&self) -> u64 {
        u64::try_from(self.rest.len()).unwrap_or(u64::MAX)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(hold) = &mut self.hold {
            if hold.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.hold = None;
        }
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let all = self.rest.len();
        let piece = if self.framing == Framing::Chunked { all.div_ceil(2).max(all.min(64)) } else { all };
        let data = self.rest.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.hold.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.framing == Framing::Chunked { SizeHint::default() } else { SizeHint::with_exact(self.left()) }
    }
}

/// A TCP stream with or without TLS around it.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, data),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
