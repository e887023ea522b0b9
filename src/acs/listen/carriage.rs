//! Which runtime a connection is polled on: that of the sessions, or, while a file goes over it, the bulk lane.
//!
//! A connection is one boxed future. Its task ends, with the future as its result, as soon as that wants to be elsewhere,
//! and the accept loop spawns it there: it stays in the loop's set all the time, so that a panic, the drain and the end of
//! the listener find it wherever it is. Sockets and timers stay with the runtime they came from; whoever polls them last is
//! woken.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::task::JoinSet;

use crate::files::lane::Lane;

/// The connections of a listener. A task that returns one wants it to be spawned again.
pub(super) type Connections = JoinSet<Option<Carried>>;

/// Where one connection is, and where it wants to be.
#[derive(Debug)]
pub(super) struct Seat {
    lane: Lane,
    /// These two are written by whoever polls the connection or is about to.
    wants_bulk: AtomicBool,
    is_bulk: AtomicBool,
}

impl Seat {
    pub(super) fn new(lane: Lane) -> Arc<Self> {
        Arc::new(Self { lane, wants_bulk: AtomicBool::new(false), is_bulk: AtomicBool::new(false) })
    }

    /// Moves the connection that this is called on to the bulk lane, where it stays until the result is dropped.
    pub(super) async fn board(self: &Arc<Self>) -> Boarded {
        let boarded = Boarded { seat: Arc::clone(self) };
        if self.lane.is_apart() {
            self.wants_bulk.store(true, Ordering::Relaxed);
            // Nobody needs to wake it: the task sees what it wants, and its next one polls it first thing.
            poll_fn(|_| if self.is_misplaced() { Poll::Pending } else { Poll::Ready(()) }).await;
        }
        boarded
    }

    fn is_misplaced(&self) -> bool {
        self.wants_bulk.load(Ordering::Relaxed) != self.is_bulk.load(Ordering::Relaxed)
    }
}

/// A file is under way on the connection.
#[derive(Debug)]
pub(super) struct Boarded {
    seat: Arc<Seat>,
}

impl Drop for Boarded {
    fn drop(&mut self) {
        self.seat.wants_bulk.store(false, Ordering::Relaxed);
    }
}

/// A connection that is polled by no task.
pub(super) struct Carried {
    connection: Pin<Box<dyn Future<Output = ()> + Send>>,
    seat: Arc<Seat>,
}

impl Carried {
    pub(super) fn new(connection: impl Future<Output = ()> + Send + 'static, seat: Arc<Seat>) -> Self {
        Self { connection: Box::pin(connection), seat }
    }

    /// Spawns it where it wants to be.
    pub(super) fn go_on(self, connections: &mut Connections) {
        let to_bulk = self.seat.wants_bulk.load(Ordering::Relaxed);
        self.seat.is_bulk.store(to_bulk, Ordering::Relaxed);
        if to_bulk {
            let lane = self.seat.lane.clone();
            lane.spawn(connections, self.ride());
        } else {
            connections.spawn(self.ride());
        }
    }

    /// Until the connection is over, or wants to be elsewhere.
    async fn ride(self) -> Option<Self> {
        let Self { mut connection, seat } = self;
        let is_over = poll_fn(|cx| match connection.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if seat.is_misplaced() => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        })
        .await;
        if is_over { None } else { Some(Self { connection, seat }) }
    }
}
