//! POSTs to one receiver over a connection that is kept: no redirects, bounded answers, bounded time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::Shared;
use crate::telemetry::chain;

/// Most that is read of an answer's body, for the sake of keeping the connection.
const ANSWER_MAX_BYTES: usize = 64 << 10;
const URL_MAX_CHARS: usize = 2_048;
const USER_AGENT: &str = concat!("acsd/", env!("CARGO_PKG_VERSION"));

/// Why a URL cannot be one of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL at all.
    #[error("is not a valid URL")]
    Syntax,
    /// Another scheme.
    #[error("must start with https:// or http://")]
    Scheme,
    /// `user:password@`: what is needed to get in does not belong into a URL that is shown.
    #[error("may not contain a user name or password")]
    Login,
    /// Too long.
    #[error("may have at most {URL_MAX_CHARS} characters")]
    Length,
}

/// Whether the receiver is spoken to under TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Plain,
    Tls,
}

/// A receiver's URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    transport: Transport,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// As in `Host`.
    authority: HeaderValue,
    path: Uri,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        if url.chars().count() > URL_MAX_CHARS {
            return Err(UrlError::Length);
        }
        if url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
            return Err(UrlError::Syntax);
        }
        let uri: Uri = url.parse().map_err(|_| UrlError::Syntax)?;
        let (transport, default_port) = match uri.scheme_str() {
            Some("http") => (Transport::Plain, 80),
            Some("https") => (Transport::Tls, 443),
            Some(_) | None => return Err(UrlError::Scheme),
        };
        let authority = uri.authority().ok_or(UrlError::Syntax)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::Login);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let names_a_port = authority.as_str().len() > authority.host().len();
        if host.is_empty() || (names_a_port && authority.port_u16().is_none_or(|port| port == 0)) {
            return Err(UrlError::Syntax);
        }
        let port = authority.port_u16().unwrap_or(default_port);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            transport,
            host,
            port,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| UrlError::Syntax)?,
            path: path.parse().map_err(|_| UrlError::Syntax)?,
        })
    }

    /// Whether events go over the wire in clear.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.transport == Transport::Plain
    }
}

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    /// The receiver refused it.
    #[error("the receiver answered {0}")]
    Status(StatusCode),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// No connection, or it broke off.
    #[error("{0}")]
    Connection(String),
    /// The receiver is not who it should be, or speaks no TLS.
    #[error("TLS: {0}")]
    Tls(String),
}

impl PostError {
    /// The metric's label.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Timeout(_) => "timeout",
            Self::Connection(_) => "connection",
            Self::Tls(_) => "tls",
        }
    }
}

/// What is posted.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) body: Bytes,
    pub(super) event_id: u64,
    pub(super) signature: String,
}

/// A receiver and the connection to it, if one is open.
pub(super) struct Client {
    shared: Arc<Shared>,
    target: Target,
    connection: Option<Connection>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Drives it; aborted when it is dropped.
    _driver: JoinSet<()>,
}

/// Whether a connection has carried an answer before: it may have been closed meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Fresh,
    Kept,
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>, target: Target) -> Self {
        Self { shared, target, connection: None }
    }

    /// Sends an event; `Ok` when the receiver has taken it (2xx).
    pub(super) async fn post(&mut self, message: &Message) -> Result<(), PostError> {
        let patience = Duration::from_secs(self.shared.config.timeout_secs);
        match tokio::time::timeout(patience, self.try_post(message)).await {
            Ok(posted) => posted,
            Err(_elapsed) => {
                self.connection = None;
                Err(PostError::Timeout(patience))
            }
        }
    }

    async fn try_post(&mut self, message: &Message) -> Result<(), PostError> {
        // A kept connection that has been closed meanwhile is no failure of the receiver.
        let (mut connection, age) = match self.connection.take() {
            Some(kept) if !kept.sender.is_closed() => (kept, Age::Kept),
            Some(_) | None => (self.connect().await?, Age::Fresh),
        };
        let answered = match connection.ask(&self.target, message).await {
            Err(_broken) if age == Age::Kept => {
                connection = self.connect().await?;
                connection.ask(&self.target, message).await
            }
            answered => answered,
        };
        let (status, body) = answered.map_err(|error| PostError::Connection(chain(&error)))?.into_parts();
        if Limited::new(body, ANSWER_MAX_BYTES).collect().await.is_ok() {
            self.connection = Some(connection);
        }
        if status.status.is_success() { Ok(()) } else { Err(PostError::Status(status.status)) }
    }

    async fn connect(&self) -> Result<Connection, PostError> {
        let broken = |error: std::io::Error| PostError::Connection(error.to_string());
        let stream = TcpStream::connect((self.target.host.as_str(), self.target.port)).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        match self.target.transport {
            Transport::Plain => Connection::over(stream).await,
            Transport::Tls => {
                let refused = |error: &(dyn std::error::Error + 'static)| PostError::Tls(chain(error));
                let config = self.shared.trust.config().await.map_err(|error| refused(&error))?;
                let name = ServerName::try_from(self.target.host.clone()).map_err(|error| refused(&error))?;
                let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| refused(&error))?;
                Connection::over(stream).await
            }
        }
    }
}

impl Connection {
    async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Result<Self, PostError> {
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| PostError::Connection(chain(&error)))?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection to a receiver of webhooks broke off: {}", chain(&error));
            }
        });
        Ok(Self { sender, _driver: driver })
    }

    async fn ask(&mut self, target: &Target, message: &Message) -> hyper::Result<http::Response<Incoming>> {
        let mut request = Request::new(Full::new(message.body.clone()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = target.path.clone();
        let headers = request.headers_mut();
        headers.insert(header::HOST, target.authority.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert("x-acsd-event-id", HeaderValue::from(message.event_id));
        if let Ok(signature) = HeaderValue::from_str(&message.signature) {
            headers.insert("x-acsd-signature", signature);
        }
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_or_refused() {
        let table = [
            ("https://example.net/hook?a=b", Ok(("example.net", 443, "/hook?a=b"))),
            ("http://[::1]:8080", Ok(("::1", 8080, "/"))),
            ("https://u:p@example.net/", Err(UrlError::Login)),
            ("ftp://example.net/", Err(UrlError::Scheme)),
            ("example.net", Err(UrlError::Scheme)),
            ("/hook", Err(UrlError::Scheme)),
            ("https://", Err(UrlError::Syntax)),
            ("https://example.net:99999/", Err(UrlError::Syntax)),
            ("https://example.net:0/", Err(UrlError::Syntax)),
            ("https://example.net/#part", Err(UrlError::Syntax)),
            ("https://example.net/a b", Err(UrlError::Syntax)),
            ("", Err(UrlError::Syntax)),
        ];
        for (url, want) in table {
            let read = Target::parse(url);
            let parts = read.as_ref().map(|target| (target.host.as_str(), target.port, target.path.to_string()));
            assert_eq!(
                parts.map_err(|error| *error),
                want.map(|(host, port, path)| (host, port, path.to_owned())),
                "{url}"
            );
        }
        assert_eq!(Target::parse(&format!("https://x/{}", "y".repeat(3000))), Err(UrlError::Length));
    }
}
