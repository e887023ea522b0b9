//! The bulk lane: a small runtime of its own for what moves files, whose threads give way to all others.
//!
//! What moves files can use all of the machine for minutes, while sessions want a little of it at once. On one runtime they
//! would stand in one line; here each has its own, and the kernel, which has both, takes from that of the sessions first.
//!
//! A thread that gives way may be made to wait anywhere, so nothing may hold a lock for long here that others want too.

use std::future::Future;
use std::io;
use std::num::NonZero;
use std::sync::Once;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{self, AbortHandle, JoinHandle, JoinSet};

/// How much nicer than the rest of the process: a tenth of its share of a core that both want.
const NICENESS: i32 = 10;
/// Most threads that move bytes, on however large a machine.
const WORKERS_MAX: usize = 8;
/// Most threads that wait for the disk: more than the pieces that are read at a time, so that what arrives gets its turn.
const BLOCKING_MAX: usize = 2 * super::READS;

/// The lane's threads. They end when this is closed or dropped.
#[derive(Debug)]
pub struct BulkRuntime {
    /// Taken when it is closed.
    runtime: Option<Runtime>,
    lane: Lane,
}

impl BulkRuntime {
    /// Starts them: half as many as there are cores, and others as they are needed.
    ///
    /// # Errors
    /// Of the operating system, which has no thread or descriptor left.
    pub fn start() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let runtime = Builder::new_multi_thread()
            .thread_name("acsd-bulk")
            .worker_threads((cores / 2).clamp(1, WORKERS_MAX))
            .max_blocking_threads(BLOCKING_MAX)
            .on_thread_start(give_way)
            .enable_all()
            .build()?;
        let lane = Lane { handle: Some(runtime.handle().clone()) };
        Ok(Self { runtime: Some(runtime), lane })
    }

    /// The way in.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane.clone()
    }

    /// Ends the lane. What is on it is dropped; a last write to the disk gets this long.
    pub async fn close(mut self, patience: Duration) {
        let Some(runtime) = self.runtime.take() else { return };
        // It waits, which only a thread may that may block.
        if task::spawn_blocking(move || runtime.shutdown_timeout(patience)).await.is_err() {
            tracing::warn!("the threads that move files did not end properly");
        }
    }
}

impl Drop for BulkRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lowers the priority of the thread that calls this: on Linux, each has its own.
fn give_way() {
    static FAILED: Once = Once::new();
    if !cfg!(target_os = "linux") {
        return;
    }
    if let Err(error) = rustix::process::nice(NICENESS) {
        FAILED.call_once(|| tracing::warn!(%error, "file transfers get no lower priority than sessions: {error}"));
    }
}

/// Where what moves files runs: on the bulk lane, or, by default, wherever it is begun.
#[derive(Debug, Clone, Default)]
pub struct Lane {
    handle: Option<Handle>,
}

impl Lane {
    /// Whether it is another than where everything else runs.
    #[must_use]
    pub const fn is_apart(&self) -> bool {
        self.handle.is_some()
    }

    /// Tasks that are on it now; 0 when it is not apart.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.handle.as_ref().map_or(0, |handle| handle.metrics().num_alive_tasks())
    }

    /// Spawns a task of the set onto it.
    pub fn spawn<T: Send + 'static>(
        &self,
        set: &mut JoinSet<T>,
        task: impl Future<Output = T> + Send + 'static,
    ) -> AbortHandle {
        match &self.handle {
            Some(handle) => set.spawn_on(task, handle),
            None => set.spawn(task),
        }
    }

    /// Runs what blocks on a thread of it that may.
    pub(super) fn spawn_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        match &self.handle {
            Some(handle) => handle.spawn_blocking(work),
            None => task::spawn_blocking(work),
        }
    }

    /// The same, for what nobody waits for. Where there is no runtime, nobody is held up: there it is done at once. A runtime
    /// that is ending drops it.
    pub(super) fn leave_behind(&self, work: impl FnOnce() + Send + 'static) {
        match self.handle.clone().or_else(|| Handle::try_current().ok()) {
            Some(handle) => drop(handle.spawn_blocking(work)),
            None => work(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> (String, i32) {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        (name, rustix::process::getpriority_process(None).unwrap())
    }

    #[tokio::test]
    async fn its_threads_give_way_and_no_other() {
        let (_, ours) = here();
        let bulk = BulkRuntime::start().unwrap();
        let mut set = JoinSet::new();
        bulk.lane().spawn(&mut set, async { here() });
        let worker = set.join_next().await.unwrap().unwrap();
        let blocking = bulk.lane().spawn_blocking(here).await.unwrap();
        for (name, niceness) in [worker, blocking] {
            assert_eq!((name.as_str(), niceness), ("acsd-bulk", (ours + NICENESS).min(19)));
        }
        assert_eq!(here().1, ours);
        assert!(bulk.lane().is_apart() && !Lane::default().is_apart());
        bulk.close(Duration::from_secs(20)).await;
    }

    #[tokio::test]
    async fn what_is_on_it_when_it_ends_is_dropped() {
        let bulk = BulkRuntime::start().unwrap();
        let lane = bulk.lane();
        let mut set = JoinSet::new();
        lane.spawn(&mut set, std::future::pending::<()>());
        assert_eq!(lane.tasks(), 1);
        // In the middle of another runtime: it must not wait there.
        drop(bulk);
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        lane.spawn(&mut set, std::future::pending());
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(lane.spawn_blocking(|| ()).await.unwrap_err().is_cancelled());
    }
}
