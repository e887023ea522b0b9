//! Looks after the disk: free space, side files, size beside what is live.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use crate::store::StoreError;

use super::health::{Alarm, Health};
use super::{Core, sync};

const EVERY: Duration = Duration::from_secs(1);
/// Size on disk is looked at each time this many looks at free space have been taken.
const SLOW_EVERY: u32 = 10;
/// Size on disk is not looked at below this: files grow by whole segments of 8 MiB.
const SMALL_BYTES: u64 = 64 << 20;
/// Size on disk over live size above which the alarm is raised, in tenths: ordinary stores stay at 25 to 34.
const RAISE_TENTHS: u128 = 40;
/// The same at which it is cleared.
const CLEAR_TENTHS: u128 = 35;

/// The thread that looks.
pub(super) struct Watch {
    running: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

impl Watch {
    /// Takes a first look and starts the thread.
    pub(super) fn start(core: &Arc<Core>) -> io::Result<Self> {
        look_at_space(core);
        look_at_size(core);
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
            look_at_size(core);
            if let Err(error) = core.database.note_live_bytes() {
                tracing::debug!("the live bytes were not noted: {error}");
            }
        }
    }
}

fn look_at_space(core: &Core) {
    match sync::free_bytes(&core.config.data_dir) {
        Ok(free) => core.health.set_low_space(free < core.config.free_space_floor_bytes),
        Err(error) => tracing::warn!("the free space of the data folder is not known: {error}"),
    }
}

fn look_at_size(core: &Core) {
    match core.database.disk_bytes() {
        Ok(bytes) => {
            core.disk_bytes.store(bytes, Ordering::Relaxed);
            let raised = core.health.is_raised(Alarm::WastedSpace);
            core.health.set_alarm(Alarm::WastedSpace, is_wasteful(raised, bytes, core.database.live_bytes()));
        }
        Err(error) => tracing::warn!("the size of the store is not known: {error}"),
    }
}

/// Whether much of the space on disk is taken up by what is no longer there. An alarm that is raised stays until it is well
/// below.
fn is_wasteful(raised: bool, disk_bytes: u64, live_bytes: u64) -> bool {
    let tenths = if raised { CLEAR_TENTHS } else { RAISE_TENTHS };
    disk_bytes > SMALL_BYTES && u128::from(disk_bytes) * 10 > u128::from(live_bytes) * tenths
}

/// sled never syncs its side files. There should be none; if there are, every sync covers the whole file system, until the
/// process ends. Looked at before every flush: some 6 microseconds beside a flush's 200 or more.
pub(super) fn guard_side_files(folder: &Path, health: &Health) -> Result<(), StoreError> {
    if health.is_raised(Alarm::SideFiles) {
        return Ok(());
    }
    let folder = folder.join("blobs");
    let found = fs::read_dir(&folder).is_ok_and(|mut files| files.next().is_some());
    if found {
        sync::cover_side_files(&folder)
            .map_err(|error| health.fail(format!("its side files were not synced: {error}")))?;
    }
    health.set_alarm(Alarm::SideFiles, found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waste_is_judged_with_a_floor_and_a_hysteresis() {
        let live = 100 << 20;
        let table = [
            ("a fresh store", false, SMALL_BYTES, 0, false),
            ("just above the floor", false, SMALL_BYTES + 1, 0, true),
            ("4 times", false, 4 * live, live, false),
            ("more", false, 4 * live + 1, live, true),
            ("still 4 times", true, 4 * live, live, true),
            ("well below", true, 3 * live + live / 2, live, false),
            ("small again", true, SMALL_BYTES, 0, false),
            ("no overflow", false, u64::MAX, u64::MAX, false),
        ];
        for (case, raised, disk, live, wanted) in table {
            assert_eq!(is_wasteful(raised, disk, live), wanted, "{case}");
        }
    }
}
