//! The CPE's HTTP client: one connection at a time, on hyper's connection API.
//!
//! The connection is driven by whoever waits for an answer on it; there is no task per connection.

mod body;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(super) use body::RequestBody;

use super::tls::TlsTrust;

/// Largest answer that is read, in bytes.
const RESPONSE_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes that a connection reads ahead: hundreds of CPEs download at the same time.
const READ_AHEAD_BYTES: usize = 64 * 1024;

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

/// An answer whose body is still on its way: [`Connection::next_piece`] reads it.
#[derive(Debug)]
pub(super) struct Streaming {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
}

/// hyper's side of a connection: it moves bytes when it is polled.
type Driver = Pin<Box<http1::Connection<TokioIo<Stream>, RequestBody>>>;

/// One TCP or TLS connection to a server.
pub(super) struct Connection {
    sender: http1::SendRequest<RequestBody>,
    driver: Option<Driver>,
    /// Requests answered on it.
    pub(super) answered: u32,
    /// When the TCP connection was asked for, and when it was there.
    pub(super) opened: (Instant, Instant),
}

impl Connection {
    /// Connects and, for `https`, shakes hands.
    pub(super) async fn open(target: &Target, trust: &TlsTrust) -> Result<Self, HttpError> {
        let asked = Instant::now();
        let tcp = TcpStream::connect((target.bare_host(), target.port)).await.map_err(HttpError::Connect)?;
        let opened = (asked, Instant::now());
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
            .max_buf_size(READ_AHEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(HttpError::Broken)?;
        Ok(Self { sender, driver: Some(Box::pin(driver)), answered: 0, opened })
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
        if let Some(length) = body.length() {
            parts = parts.header(header::CONTENT_LENGTH, length);
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
        let Streaming { status, headers, body } = self.begin(request).await?;
        let body = drive(&mut self.driver, read_body(body)).await?;
        self.answered += 1;
        let missed_continue = go_ahead.is_some_and(|go_ahead| go_ahead.missed.load(Ordering::Relaxed));
        Ok(Response { status, headers, body, missed_continue })
    }

    /// Sends one request and waits for the head of the answer.
    pub(super) async fn begin(&mut self, request: Request<RequestBody>) -> Result<Streaming, HttpError> {
        let Self { sender, driver, .. } = self;
        let response = drive(driver, sender.send_request(request)).await.map_err(HttpError::Broken)?;
        let (head, body) = response.into_parts();
        Ok(Streaming { status: head.status, headers: head.headers, body })
    }

    /// The next piece of an answer's body; `None` at its end.
    pub(super) async fn next_piece(&mut self, answer: &mut Streaming) -> Result<Option<Bytes>, HttpError> {
        loop {
            let Some(frame) = drive(&mut self.driver, answer.body.frame()).await else { return Ok(None) };
            if let Ok(data) = frame.map_err(HttpError::Broken)?.into_data() {
                return Ok(Some(data));
            }
        }
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
