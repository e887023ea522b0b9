//! The allocator of every process of the bench: production's choice, or another one to compare, and a counter.
//!
//! `ACSD_BENCH_ALLOCATOR=system|mimalloc|jemalloc` at build time; without it, what `acsd` itself uses.
#![expect(unsafe_code, reason = "a global allocator cannot be written without; each call is handed on as it came")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mimalloc::MiMalloc;
use tikv_jemallocator::Jemalloc;

/// Which one is built in.
pub const NAME: &str = match option_env!("ACSD_BENCH_ALLOCATOR") {
    Some(name) => name,
    None => "mimalloc",
};

enum Choice {
    System,
    MiMalloc,
    Jemalloc,
}

const CHOICE: Choice = match NAME.as_bytes() {
    b"system" => Choice::System,
    b"mimalloc" => Choice::MiMalloc,
    b"jemalloc" => Choice::Jemalloc,
    _ => panic!("ACSD_BENCH_ALLOCATOR has to be system, mimalloc or jemalloc"),
};

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// Counts from now on. Counting costs time, so it is off while time is measured.
pub fn start_counting() {
    ON.store(true, Ordering::Relaxed);
}

/// Stops counting.
pub fn stop_counting() {
    ON.store(false, Ordering::Relaxed);
}

/// Allocations (reallocations included) and bytes asked for, while counting.
pub fn counted() -> (u64, u64) {
    (ALLOCATIONS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed))
}

fn count(bytes: usize) {
    if ON.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }
}

/// The chosen allocator, counted.
pub struct Counting;

// SAFETY: every call goes unchanged to one and the same allocator, fixed at build time.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe {
            match CHOICE {
                Choice::System => System.alloc(layout),
                Choice::MiMalloc => MiMalloc.alloc(layout),
                Choice::Jemalloc => Jemalloc.alloc(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe {
            match CHOICE {
                Choice::System => System.alloc_zeroed(layout),
                Choice::MiMalloc => MiMalloc.alloc_zeroed(layout),
                Choice::Jemalloc => Jemalloc.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe {
            match CHOICE {
                Choice::System => System.dealloc(memory, layout),
                Choice::MiMalloc => MiMalloc.dealloc(memory, layout),
                Choice::Jemalloc => Jemalloc.dealloc(memory, layout),
            }
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as above.
        unsafe {
            match CHOICE {
                Choice::System => System.realloc(memory, layout, size),
                Choice::MiMalloc => MiMalloc.realloc(memory, layout, size),
                Choice::Jemalloc => Jemalloc.realloc(memory, layout, size),
            }
        }
    }
}
