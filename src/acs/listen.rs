//! The accept loops of the CWMP endpoint: HTTP/1.1 rules, limits, TLS, drain.
//!
//! One task per connection at a time, all of them in a set that the accept loop watches: a panic costs the connection
//! it happened on and nothing else. While a file goes over a connection, its task is on the bulk lane. Everything a peer
//! can make us hold is bounded ([`ListenConfig`]), and every bound has a counter ([`refusal`]).
//!
//! A connection over a limit is accepted and closed at once, without a word: a 503 would mean reading its request
//! first, which is what the limit is there to avoid.

mod body;
mod carriage;
mod config;
mod connection;
mod file;
mod gate;
mod inflate;
mod pace;
pub mod refusal;
mod respond;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::files::FileServer;

use self::carriage::{Carried, Connections, Seat};
pub use self::config::ListenConfig;
use self::gate::Gate;
use self::refusal::Refusal;
use super::exchange::{ConnectionId, Exchange};
use crate::tls::ReloadableTls;

/// Connections the kernel holds for us before they are accepted; it takes no more than `net.core.somaxconn`.
const BACKLOG: u32 = 4096;
/// How long the loop rests when the process has no file descriptor or memory left for another connection.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A listening address could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// Listens on `address`. `[::]` serves IPv4 too; where the machine has no IPv6 it means `0.0.0.0`.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    listen(address).or_else(|source| {
        let no_ipv6 = source.kind() == io::ErrorKind::AddrNotAvailable || source.raw_os_error() == Some(EAFNOSUPPORT);
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        if no_ipv6 && address.is_ipv6() && address.ip().is_unspecified() {
            listen(any).map_err(|source| BindError { address: any, source })
        } else {
            Err(BindError { address, source })
        }
    })
}

/// Linux's number for a family the kernel does not have: `io::ErrorKind` does not name it.
const EAFNOSUPPORT: i32 = 97;

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    // A restarted daemon gets its port back although connections of the old one linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How a listener ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy at the end of the grace and were cut.
    pub cut: usize,
}

/// The CWMP endpoint: what its listeners (plain, TLS) have in common, so that their limits are counted together.
pub struct Endpoint<E> {
    exchange: Arc<E>,
    config: ListenConfig,
    gate: Arc<Gate>,
    files: Option<FileServer>,
    next_connection: AtomicU64,
}

impl<E: Exchange> Endpoint<E> {
    /// One per process, made after the metrics recorder is installed.
    pub fn new(config: ListenConfig, exchange: Arc<E>) -> Arc<Self> {
        Self::build(config, exchange, None)
    }

    /// The same, which serves files as well.
    pub fn with_files(config: ListenConfig, exchange: Arc<E>, files: FileServer) -> Arc<Self> {
        Self::build(config, exchange, Some(files))
    }

    fn build(config: ListenConfig, exchange: Arc<E>, files: Option<FileServer>) -> Arc<Self> {
        let gate = Arc::new(Gate::new(&config));
        Arc::new(Self { exchange, config, gate, files, next_connection: AtomicU64::new(1) })
    }

    /// Serves a listener until `shutdown`: HTTP, or HTTPS when `tls` is given.
    ///
    /// After `shutdown` no connection is accepted. Idle ones are closed; one on which a CWMP session is open lives
    /// until that session has got its last answer, and at most for the configured grace. Returns when the last is gone.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<ReloadableTls>,
        shutdown: CancellationToken,
    ) -> Drained {
        let mut connections = Connections::new();
        let mut rested = false;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => go_on(ended, &mut connections),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        rested = false;
                        self.admit(stream, peer, tls.as_ref(), &shutdown, &mut connections);
                    }
                    Err(trouble) if concerns_one_connection(&trouble) => {
                        debug!(error = %trouble, "a connection was gone before it was accepted");
                    }
                    Err(trouble) => {
                        Refusal::Accept.count();
                        if !std::mem::replace(&mut rested, true) {
                            warn!(
                                error = %trouble,
                                "cannot accept connections, trying again every {} ms: {trouble}", ACCEPT_REST.as_millis()
                            );
                        }
                        tokio::select! {
                            () = shutdown.cancelled() => break,
                            () = sleep(ACCEPT_REST) => {}
                        }
                    }
                },
            }
        }
        drop(listener);
        self.drain(connections).await
    }

    fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        tls: Option<&ReloadableTls>,
        shutdown: &CancellationToken,
        connections: &mut Connections,
    ) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let permit = match self.gate.enter(peer.ip()) {
            Ok(permit) => permit,
            Err(refusal) => {
                refusal.count();
                return debug!(%peer, "connection refused: {refusal}");
            }
        };
        // Answers are written whole: waiting for more to send only delays the CPE. Without it, it still works.
        if let Err(trouble) = stream.set_nodelay(true) {
            debug!(%peer, error = %trouble, "cannot set TCP_NODELAY");
        }
        let id = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        let seat = Seat::new(self.files.as_ref().map(|files| files.lane().clone()).unwrap_or_default());
        let peer = connection::Peer { address: peer, id, permit: Arc::new(permit), seat: Arc::clone(&seat) };
        let serving = connection::run(Arc::clone(self), stream, peer, tls.cloned(), shutdown.clone());
        Carried::new(serving, seat).go_on(connections);
    }

    async fn drain(&self, mut connections: Connections) -> Drained {
        let deadline = Instant::now() + self.config.drain();
        while let Ok(Some(ended)) = timeout_at(deadline, connections.join_next()).await {
            go_on(ended, &mut connections);
        }
        let cut = connections.len();
        connections.shutdown().await;
        Drained { cut }
    }
}

/// A connection task's end: the connection goes on elsewhere, or is over, of which only a panic is worth a word.
fn go_on(ended: Result<Option<Carried>, JoinError>, connections: &mut Connections) {
    match ended {
        Ok(Some(carried)) => carried.go_on(connections),
        Err(trouble) if trouble.is_panic() => {
            Refusal::Panic.count();
            error!(error = %trouble, "an exchange panicked; its connection was dropped");
        }
        Ok(None) | Err(_) => {}
    }
}

/// Whether accepting failed because that one connection is gone, rather than for want of resources.
fn concerns_one_connection(trouble: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        trouble.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused | Kind::Interrupted | Kind::TimedOut
    )
}
