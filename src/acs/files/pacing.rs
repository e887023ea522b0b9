//! Bytes per second, shared fairly: each transfer has one piece in line at a time, so that all of them move on alike.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// What may be sent at once after a rest, in seconds' worth.
const BURST: Duration = Duration::from_millis(250);
/// Smallest and largest piece.
const LEAST_PIECE: u64 = 4 << 10;
/// Pieces per second that a lone transfer under this cap gets.
const PIECES_PER_SEC: u64 = 8;

#[derive(Debug)]
pub(super) struct Pacer {
    rate: u64,
    /// When the line is through.
    next: Mutex<Instant>,
}

impl Pacer {
    /// So many bytes per second; `None` for 0, which is no limit.
    pub(super) fn new(rate: u64) -> Option<Self> {
        (rate > 0).then(|| Self { rate, next: Mutex::new(Instant::now()) })
    }

    /// How large pieces may be, so that they flow rather than gush.
    pub(super) fn piece(&self) -> u64 {
        (self.rate / PIECES_PER_SEC).max(LEAST_PIECE)
    }

    /// Waits until so many bytes may go.
    pub(super) async fn wait(&self, bytes: u64) {
        let turn = {
            let mut next = self.next.lock();
            let now = Instant::now();
            let turn = (*next).max(now.checked_sub(BURST).unwrap_or(now));
            let micros = bytes.saturating_mul(1_000_000) / self.rate;
            *next = turn + Duration::from_micros(micros);
            turn
        };
        sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept_and_shared() {
        let pacer = Arc::new(Pacer::new(100_000).unwrap());
        let start = Instant::now();
        let transfers: Vec<_> = (0..4)
            .map(|_| {
                let pacer = Arc::clone(&pacer);
                tokio::spawn(async move {
                    for _ in 0..10 {
                        pacer.wait(10_000).await;
                    }
                    Instant::now()
                })
            })
            .collect();
        let mut ends = Vec::new();
        for transfer in transfers {
            ends.push((transfer.await.unwrap() - start).as_secs_f64());
        }
        // 400 kB at 100 kB/s; the last pieces of the four are next to each other.
        for end in ends {
            assert!((3.2..=4.1).contains(&end), "{end}");
        }
        assert!(Pacer::new(0).is_none());
        assert_eq!(Pacer::new(8192).unwrap().piece(), LEAST_PIECE);
    }
}
