//! One connection, from handshake to last byte.

use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Endpoint;
use super::body::{self, Ending};
use super::carriage::Seat;
use super::file::{Outgoing, Streamed, UnderWay};
use super::gate::Permit;
use super::pace::{Pace, Paced, Phase};
use super::refusal::Refusal;
use super::respond;
use crate::acs::cookie;
use crate::acs::exchange::{Answer, ConnectionId, Exchange, Post, Transport};
use crate::acs::files::{self, FileServer};
use crate::tls::ReloadableTls;

/// hyper takes no read buffer smaller than this.
const LEAST_BUFFER_BYTES: usize = 8192;

/// Who is at the other end.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) id: ConnectionId,
    pub(super) permit: Arc<Permit>,
    pub(super) seat: Arc<Seat>,
}

/// Tells the exchange that the connection is gone, also when a panic ended it.
struct Farewell<E: Exchange> {
    exchange: Arc<E>,
    id: ConnectionId,
}

impl<E: Exchange> Drop for Farewell<E> {
    fn drop(&mut self) {
        self.exchange.disconnected(self.id);
    }
}

/// Serves a connection until it ends, takes too long, or the shutdown finds it at rest.
pub(super) async fn run<E: Exchange>(
    endpoint: Arc<Endpoint<E>>,
    stream: TcpStream,
    peer: Peer,
    tls: Option<ReloadableTls>,
    shutdown: CancellationToken,
) {
    let Some(tls) = tls else { return serve(endpoint, stream, peer, Transport::Plain, shutdown).await };
    let address = peer.address;
    let handshake = TlsAcceptor::from(tls.current()).accept(stream);
    let accepted = tokio::select! {
        () = shutdown.cancelled() => return,
        accepted = timeout(endpoint.config.handshake(), handshake) => accepted,
    };
    match accepted {
        Ok(Ok(stream)) => serve(endpoint, stream, peer, Transport::Tls, shutdown).await,
        Ok(Err(trouble)) => {
            Refusal::Handshake.count();
            debug!(peer = %address, error = %trouble, "TLS handshake failed: {trouble}");
        }
        Err(_) => {
            Refusal::HandshakeTimeout.count();
            debug!(peer = %address, "TLS handshake took too long");
        }
    }
}

async fn serve<E, S>(
    endpoint: Arc<Endpoint<E>>,
    stream: S,
    peer: Peer,
    transport: Transport,
    shutdown: CancellationToken,
) where
    E: Exchange,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = &endpoint.config;
    let Peer { address: peer, id, permit, seat } = peer;
    let stall = endpoint.files.as_ref().map_or(config.idle(), FileServer::stall);
    let pace = Pace::new(config.request(), config.idle(), stall);
    let served = Arc::new(Served {
        pace: Arc::clone(&pace),
        farewell: Farewell { exchange: Arc::clone(&endpoint.exchange), id },
        endpoint: Arc::clone(&endpoint),
        peer,
        permit,
        seat,
        transport,
    });
    let service = service_fn(|request| {
        let served = Arc::clone(&served);
        async move { Ok::<_, Infallible>(served.answer(request).await) }
    });
    let io = TokioIo::new(Paced::new(stream, Arc::clone(&pace)));
    let mut connection = pin!(
        http1::Builder::new()
            .title_case_headers(true)
            // A CPE that closes its side right after a POST still gets it processed and answered (quirk 37).
            .half_close(true)
            .header_read_timeout(None)
            .max_header_size(config.max_header_bytes)
            .max_buf_size(config.max_header_bytes.saturating_mul(2).max(LEAST_BUFFER_BYTES))
            .serve_connection(io, service)
    );
    let mut stopped = pin!(shutdown.cancelled());
    let mut timer = pin!(sleep_until(Instant::now() + config.idle()));
    let mut closing = false;
    let outcome = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(Ok(ended));
            }
            // Asking for the shutdown takes a lock that all connections share: only asked when it would matter.
            if !closing && pace.is_at_rest() && stopped.as_mut().poll(cx).is_ready() {
                connection.as_mut().graceful_shutdown();
                closing = true;
                continue;
            }
            return pace.poll_expired(cx, timer.as_mut()).map(Err);
        }
    })
    .await;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(trouble)) => {
            if trouble.is_parse() {
                Refusal::Protocol.count();
            }
            debug!(%peer, error = %trouble, "connection ended: {trouble}");
        }
        Err(Phase::Idle) => debug!(%peer, "idle connection closed"),
        Err(Phase::Sending) => debug!(%peer, "a file was not taken any further, connection closed"),
        Err(Phase::Receiving | Phase::Answering) => {
            Refusal::RequestTimeout.count();
            debug!(%peer, "a request took too long, connection closed");
        }
    }
}

/// What the requests of one connection have in common.
struct Served<E: Exchange> {
    endpoint: Arc<Endpoint<E>>,
    farewell: Farewell<E>,
    pace: Arc<Pace>,
    peer: SocketAddr,
    permit: Arc<Permit>,
    seat: Arc<Seat>,
    transport: Transport,
}

impl<E: Exchange> Served<E> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Outgoing> {
        self.pace.begin_request();
        match &self.endpoint.files {
            Some(server) if files::is_file(request.uri().path()) => self.transfer(server, request).await,
            Some(_) | None => self.exchange(request).await.map(Outgoing::Whole),
        }
    }

    /// A file: a transfer has its own limits, and its own idea of how long it may take.
    async fn transfer(&self, server: &FileServer, request: Request<Incoming>) -> Response<Outgoing> {
        self.pace.enter(Phase::Answering);
        let (head, incoming) = request.into_parts();
        // Only a transfer leaves the count of connections, which has one of its own, and the sessions' threads: from before
        // its file is opened.
        let begin = || async { UnderWay::new(self.permit.set_aside(), self.seat.board().await) };
        let (response, under_way) = server.answer(&head, incoming, begin).await;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.pace.announce_challenge();
        }
        self.pace.enter(if under_way.is_some() { Phase::Sending } else { Phase::Idle });
        response.map(|body| match under_way {
            Some(under_way) => Outgoing::File(Streamed::new(body, Arc::clone(&self.pace), under_way)),
            None => Outgoing::Line(body),
        })
    }

    async fn exchange(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let response = match self.try_answer(request).await {
            Ok(response) => response,
            Err(refusal) => {
                refusal.count();
                debug!(peer = %self.peer, "request refused: {refusal}");
                self.pace.set_mid_session(false);
                respond::refused(refusal)
            }
        };
        self.pace.enter(Phase::Idle);
        response
    }

    async fn try_answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Refusal> {
        let (head, incoming) = request.into_parts();
        if head.method != Method::POST {
            return Err(Refusal::Method);
        }
        let received = body::receive(incoming, &head.headers, &self.endpoint.config, &self.endpoint.gate).await?;
        self.pace.enter(Phase::Answering);
        let post = Post {
            peer: self.peer,
            connection: self.farewell.id,
            transport: self.transport,
            cookie: cookie::from_headers(&head.headers),
            authorization: authorization(&head.headers),
            target: target(&head.uri),
            host: head.headers.get(HOST).cloned(),
            charset: charset(&head.headers),
            body: received.bytes,
        };
        let answer = self.endpoint.exchange.post(post).await;
        self.pace.set_mid_session(matches!(answer, Answer::Envelope { .. }));
        if matches!(answer, Answer::Challenge { .. }) {
            self.pace.announce_challenge();
        }
        let response = respond::answered(answer, self.transport);
        Ok(match received.ending {
            Ending::Proper => response,
            // Where the next request would begin is anybody's guess.
            Ending::Short => respond::and_close(response),
        })
    }
}

fn authorization(headers: &HeaderMap) -> Option<Box<str>> {
    std::str::from_utf8(headers.get(AUTHORIZATION)?.as_bytes()).ok().map(Into::into)
}

/// As it stood in the request line.
fn target(uri: &Uri) -> Box<str> {
    match (uri.authority(), uri.path_and_query()) {
        (None, Some(path)) => path.as_str().into(),
        _ => uri.to_string().into(),
    }
}

/// `text/xml; charset="utf-8"`, with or without quotes, in any case.
fn charset(headers: &HeaderMap) -> Option<Box<str>> {
    let value = std::str::from_utf8(headers.get(CONTENT_TYPE)?.as_bytes()).ok()?;
    value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim_matches(|c: char| matches!(c, '"' | '\'') || c.is_ascii_whitespace());
        (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then(|| value.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charset_is_found_as_the_field_writes_it() {
        let table = [
            ("text/xml; charset=\"utf-8\"", Some("utf-8")),
            ("text/xml;charset=ISO-8859-1", Some("ISO-8859-1")),
            ("application/soap+xml; action=\"x\"; Charset = 'utf-8'", Some("utf-8")),
            ("text/xml; charset=", None),
            ("text/xml", None),
        ];
        for (value, want) in table {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(charset(&headers).as_deref(), want, "{value}");
        }
    }
}
