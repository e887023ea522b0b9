//! The listener of the facade: plain or TLS, bounded, and stopped without breaking off what runs.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::paging::Scheme;
use crate::telemetry::chain;

/// Gives the TLS configuration that is to be used now; asked for each connection, so that it can be reloaded.
pub type TlsSource = Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>;

/// Limits of the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeLimits {
    /// Connections open at once; more wait in the backlog.
    pub connections: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Longest a request's head, or a TLS handshake, may take.
    pub header_time: Duration,
    /// Longest that open requests are waited for when stopping.
    pub drain_time: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_bytes: 32 * 1024,
            header_time: Duration::from_secs(10),
            drain_time: Duration::from_secs(15),
        }
    }
}

/// Serves until `stop` is cancelled, then lets open requests finish.
///
/// # Errors
/// Of the listener; failures of single connections are theirs alone.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsSource>,
    limits: ServeLimits,
    stop: CancellationToken,
) -> io::Result<()> {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        while let Some(ended) = connections.try_join_next() {
            note(ended);
        }
        let permit = tokio::select! {
            () = stop.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => match permit {
                Ok(permit) => permit,
                Err(_closed) => break,
            },
        };
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    // Out of descriptors, mostly: there will be some when connections end.
                    tracing::warn!("the API listener cannot accept: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let connection = Connection { peer, router: router.clone(), limits, stop: stop.clone() };
        let tls = tls.clone();
        connections.spawn(async move {
            connection.run(stream, tls).await;
            drop(permit);
        });
    }
    drop(listener);
    let draining = async {
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    };
    if tokio::time::timeout(limits.drain_time, draining).await.is_err() {
        tracing::warn!("API requests were still open after {:?} and are broken off", limits.drain_time);
    }
    Ok(())
}

/// A task's end, of which only a panic is worth a word.
fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("an API connection or write panicked: {error}");
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

struct Connection {
    peer: SocketAddr,
    router: Router,
    limits: ServeLimits,
    stop: CancellationToken,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsSource>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("an API connection from {} broke off: {error}", self.peer);
            return;
        }
        let Some(tls) = tls else { return self.speak(stream, Scheme::Plain).await };
        let handshake = TlsAcceptor::from(tls()).accept(stream);
        match tokio::time::timeout(self.limits.header_time, handshake).await {
            Ok(Ok(stream)) => self.speak(stream, Scheme::Tls).await,
            Ok(Err(error)) => tracing::debug!("no TLS with {}: {error}", self.peer),
            Err(_elapsed) => tracing::debug!("no TLS with {}: the handshake took too long", self.peer),
        }
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, scheme: Scheme) {
        let Self { peer, router, limits, stop } = self;
        let under_way = UnderWay::default();
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let mut request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(scheme);
            request.extensions_mut().insert(ConnectInfo(peer));
            under_way.answer(router.clone(), request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_time)
            .max_buf_size(limits.header_bytes.max(8192))
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!("an API connection from {peer} broke off: {}", chain(&error));
        }
        under_way.finish().await;
    }
}

/// Answers a write that takes too long, which goes on all the same. Rides in the request.
#[derive(Clone)]
pub(super) struct Early(Arc<Mutex<Option<oneshot::Sender<Response>>>>);

impl Early {
    fn new(tell: oneshot::Sender<Response>) -> Self {
        Self(Arc::new(Mutex::new(Some(tell))))
    }

    /// Gives the answer now; what comes later is for nobody. The connection ends with it, but keeps its place among those
    /// that there may be until the write has ended too: a client that tries again and again has no more writes under way
    /// than connections.
    pub(super) fn answer(&self, mut response: Response) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        self.tell(response);
    }

    fn tell(&self, response: Response) {
        if let Some(tell) = self.0.lock().take() {
            // Whoever is gone misses the answer, nothing else.
            let _gone = tell.send(response);
        }
    }
}

/// Writes of one connection. They are brought to their end, which is the audit trail, though the client is gone or has been
/// told that it takes too long; only a stop breaks them off, when its time is over.
#[derive(Default)]
struct UnderWay(Mutex<JoinSet<()>>);

impl UnderWay {
    /// Has a request answered. When the answer is not waited for any more, a read ends there, a write goes on.
    fn answer(
        &self,
        router: Router,
        mut request: Request,
    ) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
        let only_reads = request.method().is_safe();
        if only_reads {
            return Either::Left(router.oneshot(request));
        }
        let (tell, told) = oneshot::channel();
        let early = Early::new(tell);
        request.extensions_mut().insert(early.clone());
        let mut writes = self.0.lock();
        while let Some(ended) = writes.try_join_next() {
            note(ended);
        }
        writes.spawn(async move {
            let Ok(response) = router.oneshot(request).await;
            early.tell(response);
        });
        Either::Right(async move {
            // Without an answer: it has panicked. When the process stops, whoever waits here is gone as well.
            Ok(told.await.unwrap_or_else(|_panicked| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
        })
    }

    async fn finish(self) {
        let mut writes = self.0.into_inner();
        while let Some(ended) = writes.join_next().await {
            note(ended);
        }
    }
}
