//! Makes sled's flushes reach the disk (guards 1 and 6).
//!
//! On Linux sled ends a flush in `sync_file_range(2)`, which neither flushes the disk's own cache nor writes the metadata
//! that a longer file needs: after a power cut whole stores were empty. This module defines the C symbol of that name
//! itself; the linker takes it before the C library's. Nothing else in the crate is `unsafe`.
//!
//! That the linker took it is not believed but tried: at every open [`count`] must move with a flush.
#![expect(unsafe_code, reason = "a C symbol is defined and C functions are called: nothing safe does that")]

use std::ffi::{CString, c_int, c_uint};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static SYNCS: AtomicU64 = AtomicU64::new(0);
static WHOLE_FILE_SYSTEM: AtomicBool = AtomicBool::new(false);

/// In place of `sync_file_range(2)`: writes the whole file and what is needed to find its content again.
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(fd: c_int, _offset: i64, _length: i64, _flags: c_uint) -> c_int {
    // SAFETY: both calls take any integer; one that is no open file is answered with EBADF.
    let mut answer = unsafe { libc::fdatasync(fd) };
    if answer == 0 && WHOLE_FILE_SYSTEM.load(Ordering::SeqCst) {
        // SAFETY: as above.
        answer = unsafe { libc::syncfs(fd) };
    }
    if answer == 0 {
        SYNCS.fetch_add(1, Ordering::SeqCst);
    }
    answer
}

/// How many syncs have reached the disk since the process began.
pub(super) fn count() -> u64 {
    // The reference keeps the symbol in every binary that opens a store.
    std::hint::black_box(sync_file_range as extern "C" fn(c_int, i64, i64, c_uint) -> c_int);
    SYNCS.load(Ordering::SeqCst)
}

/// From now on every sync covers the whole file system: needed once sled keeps side files, which it never syncs. What is
/// in `folder` already is synced at once, for syncs that began before and are waited for.
pub(super) fn cover_side_files(folder: &Path) -> io::Result<()> {
    WHOLE_FILE_SYSTEM.store(true, Ordering::SeqCst);
    let folder = File::open(folder)?;
    // SAFETY: the descriptor is open as long as `folder` is there.
    if unsafe { libc::syncfs(folder.as_raw_fd()) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Bytes that a process without privileges may still write to the file system of `folder`.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    let mut figures = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` ends in a NUL and `figures` has room for what the call writes.
    if unsafe { libc::statvfs(path.as_ptr(), figures.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has written the structure.
    let figures = unsafe { figures.assume_init() };
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}
