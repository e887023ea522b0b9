//! Looks after the disk: free space, side files, size.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Core, open, sync};

const EVERY: Duration = Duration::from_secs(1);
/// Size on disk and side files are looked at each time this many looks at free space have been taken.
const SLOW_EVERY: u32 = 10;

/// The thread that looks.
pub(super) struct Watch {
    running: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

impl Watch {
    /// Takes a first look and starts the thread.
    pub(super) fn start(core: &Arc<Core>) -> io::Result<Self> {
        look_at_space(core);
        look_at_files(core);
        let (stop, stopped) = sync_channel(1);
        let core = Arc::clone(core);
        let thread = thread::Builder::new().name("acsd-store-watch".to_owned()).spawn(move || run(&core, &stopped))?;
        Ok(Self { running: Mutex::new(Some((stop, thread))) })
    }

    /// Ends the thread and waits for it.
    pub(super) async fn stop(&self) {
        let running = self.running.lock().take();
        if let Some((stop, thread)) = running {
            drop(stop);
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::warn!("the store's watch ended badly");
            }
        }
    }
}

fn run(core: &Core, stopped: &Receiver<()>) {
    for look in 1_u32.. {
        match stopped.recv_timeout(EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        look_at_space(core);
        if look.is_multiple_of(SLOW_EVERY) {
            look_at_files(core);
        }
    }
}

fn look_at_space(core: &Core) {
    match sync::free_bytes(&core.config.data_dir) {
        Ok(free) => core.health.set_low_space(free < core.config.free_space_floor_bytes),
        Err(error) => tracing::warn!("the free space of the data folder is not known: {error}"),
    }
}

fn look_at_files(core: &Core) {
    match core.database.disk_bytes() {
        Ok(bytes) => core.disk_bytes.store(bytes, Ordering::Relaxed),
        Err(error) => tracing::warn!("the size of the store is not known: {error}"),
    }
    guard_side_files(&open::database_folder(&core.config.data_dir));
}

/// sled never syncs its side files. There should be none; if there are, every sync covers the whole file system.
pub(super) fn guard_side_files(folder: &Path) {
    let found = fs::read_dir(folder.join("blobs")).is_ok_and(|mut files| files.next().is_some());
    if found && sync::cover_side_files() {
        tracing::error!(
            "the store has side files, which should never happen: every flush now syncs the whole file system, \
             please report this"
        );
    }
}
