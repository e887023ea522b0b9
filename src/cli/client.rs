//! A small client of acsd's own API, for the commands that speak to a running acsd.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::uri::{InvalidUri, Scheme};
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::types::secret::Secret;

/// Longest one call may take.
const CALL_TIME: Duration = Duration::from_secs(30);
/// Most bytes of an answer.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Which running acsd a command speaks to.
#[derive(Debug, Args)]
pub struct Remote {
    /// URL of the running acsd's API
    #[arg(long, env = "ACSD_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A token for it
    #[arg(long, env = "ACSD_TOKEN", hide_env_values = true)]
    token: String,
    /// PEM file of the certificate to trust, for an https:// URL
    #[arg(long, env = "ACSD_CA_CERTIFICATE", value_name = "FILE")]
    ca_certificate: Option<PathBuf>,
}

impl Remote {
    /// A client of it.
    ///
    /// # Errors
    /// As [`ApiClient::new`].
    pub fn client(self) -> Result<ApiClient, ClientError> {
        ApiClient::new(&self.url, Secret::new(self.token), self.ca_certificate)
    }
}

/// Where the API is, and who asks.
#[derive(Debug, Clone)]
pub struct ApiClient {
    base: Uri,
    token: Secret,
    ca_certificate: Option<PathBuf>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is none that this client can call.
    #[error("{url} is no http:// or https:// URL of a host")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it, where its syntax is.
        #[source]
        source: Option<InvalidUri>,
    },
    /// `https://` without a certificate to trust.
    #[error("an https:// URL needs --ca-certificate: the PEM file of the certificate to trust")]
    NoTrust,
    /// The certificate file is unusable.
    #[error("{path} holds no usable certificate: {reason}")]
    Certificate {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Nobody answers there.
    #[error("{authority} cannot be reached")]
    Unreachable {
        /// Host and port.
        authority: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The exchange broke off.
    #[error("the exchange with {authority} broke off: {reason}")]
    Broken {
        /// Host and port.
        authority: String,
        /// Why.
        reason: String,
    },
    /// acsd refused.
    #[error("acsd answered {status}: {detail}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it said.
        detail: String,
    },
}

impl ApiClient {
    /// Of the API below `url` (`http://127.0.0.1:8080`).
    ///
    /// # Errors
    /// [`ClientError::Url`], [`ClientError::NoTrust`].
    pub fn new(url: &str, token: Secret, ca_certificate: Option<PathBuf>) -> Result<Self, ClientError> {
        let wrong = |source| ClientError::Url { url: url.to_owned(), source };
        let base: Uri = url.trim_end_matches('/').parse().map_err(|source| wrong(Some(source)))?;
        if base.host().is_none_or(str::is_empty) {
            return Err(wrong(None));
        }
        match base.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => {
                if ca_certificate.is_none() {
                    return Err(ClientError::NoTrust);
                }
            }
            _ => return Err(wrong(None)),
        }
        Ok(Self { base, token, ca_certificate })
    }

    /// One call; the JSON of the answer, null when it has none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        match tokio::time::timeout(CALL_TIME, self.exchange(method, path, body)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(self.broken(&format!("no answer within {CALL_TIME:?}"))),
        }
    }

    /// One call of which the body is sent and the answer is read piece by piece; it lasts as long as it lasts.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Refused`] when acsd does not answer with success.
    pub async fn stream<B>(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&'static str>,
        body: B,
    ) -> Result<Streamed, ClientError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = match tokio::time::timeout(CALL_TIME, self.connect()).await {
            Ok(stream) => stream?,
            Err(_elapsed) => return Err(self.broken(&format!("no connection within {CALL_TIME:?}"))),
        };
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.broken(&error))?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection to acsd broke off: {error}");
            }
        });
        let request = self.request(method, path, content_type, body)?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await.map_err(|error| self.broken(&error))?;
            return Err(refused(parts.status, &body.to_bytes()));
        }
        Ok(Streamed { headers: parts.headers, body, authority: self.authority(), _driver: driver })
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let content_type = body.is_some().then_some("application/json");
        let bytes = body.map(ToString::to_string).unwrap_or_default();
        let mut answer = self.stream(method, path, content_type, Full::new(Bytes::from(bytes))).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.next().await? {
            if bytes.len() + piece.len() > ANSWER_MAX_BYTES {
                return Err(self.broken(&format!("the answer has more than {ANSWER_MAX_BYTES} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn connect(&self) -> Result<Box<dyn Transport>, ClientError> {
        let tls = self.base.scheme() == Some(&Scheme::HTTPS);
        let port = self.base.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let host = self.base.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let unreachable = |source| ClientError::Unreachable { authority: self.authority(), source };
        let stream = TcpStream::connect((host, port)).await.map_err(unreachable)?;
        if !tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| self.broken(&error))?;
        Ok(Box::new(TlsConnector::from(self.trust()?).connect(name, stream).await.map_err(unreachable)?))
    }

    fn request<B>(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&'static str>,
        body: B,
    ) -> Result<Request<B>, ClientError> {
        let prefix = self.base.path().trim_end_matches('/');
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{prefix}{path}"))
            .header(header::HOST, self.authority())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(header::CONNECTION, "close");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        request.body(body).map_err(|error| self.broken(&error))
    }

    /// Only what the operator named is trusted: acsd's certificate is most often its own.
    fn trust(&self) -> Result<Arc<ClientConfig>, ClientError> {
        let path = self.ca_certificate.as_ref().ok_or(ClientError::NoTrust)?;
        let wrong = |reason: String| ClientError::Certificate { path: path.clone(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(wrong("it is empty".to_owned()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    fn authority(&self) -> String {
        self.base.authority().map(ToString::to_string).unwrap_or_default()
    }

    fn broken(&self, reason: &dyn std::fmt::Display) -> ClientError {
        ClientError::Broken { authority: self.authority(), reason: reason.to_string() }
    }
}

fn refused(status: StatusCode, body: &[u8]) -> ClientError {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let detail = json.get("detail").and_then(Value::as_str).map_or_else(|| json.to_string(), str::to_owned);
    ClientError::Refused { status, detail }
}

/// A connection, with TLS or without.
trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// An answer that is read piece by piece.
#[derive(Debug)]
pub struct Streamed {
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    authority: String,
    /// Drives the connection, and ends with this answer.
    _driver: JoinSet<()>,
}

impl Streamed {
    /// The next piece; `None`: that was all.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the answer ends before its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
                Some(Err(error)) => {
                    let (authority, reason) = (self.authority.clone(), error.to_string());
                    return Err(ClientError::Broken { authority, reason });
                }
            }
        }
    }
}
