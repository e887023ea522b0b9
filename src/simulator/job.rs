//! What a CPE does besides sessions: tests and transfers, each in a task of its own that writes down what it came to.

use std::sync::Arc;

use tokio::time::Instant;

use super::cpe::Shared;
use super::diagnostics::{self, TestJob};
use super::state::State;
use super::transfer::{self, Transfer, TransferJob};

/// Something that begins now. There is at most one test of each object and one transfer at a time.
#[derive(Debug)]
pub(super) enum Job {
    Test(TestJob),
    Transfer(TransferJob),
}

impl State {
    /// What is due outside of sessions. It counts as running from now on.
    pub(super) fn jobs_due(&mut self, now: Instant) -> Vec<Job> {
        if self.is_away() {
            return Vec::new();
        }
        let mut jobs: Vec<Job> = self.tests_due().into_iter().map(Job::Test).collect();
        jobs.extend(self.transfer_due(now).map(Job::Transfer));
        jobs
    }

    /// Whether no test and no transfer runs or waits.
    pub(super) fn is_idle(&self) -> bool {
        self.tests.is_empty() && self.transfers.iter().all(Transfer::is_done)
    }
}

/// Carries it out. What it changes may make a session due.
pub(super) async fn run(shared: Arc<Shared>, job: Job) {
    match job {
        Job::Test(job) => Box::pin(diagnostics::run(Arc::clone(&shared), job)).await,
        Job::Transfer(job) => Box::pin(transfer::run(Arc::clone(&shared), job)).await,
    }
    shared.wake.notify_one();
    shared.job_ended.notify_waiters();
}
