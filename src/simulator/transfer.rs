//! File transfers: their queue, when they run, and how they are reported.

mod fetch;
mod files;
mod send;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cpe::Shared;
use super::envelope::{Style, fault_text};
use super::misbehave::Misbehaviour;
use super::state::{Firmware, State, wall_clock};
use crate::types::event::EventCode;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

pub(super) use fetch::{Check, Fetched};

/// `0001-01-01T00:00:00Z`.
pub(super) const UNKNOWN_TIME: &str = "0001-01-01T00:00:00Z";

const FILE_CORRUPTED: u16 = 9018;
const WINDOWS_MISSED: u16 = 9020;
/// Repetitions in a window whose `MaxRetries` leaves them to the CPE.
const OWN_RETRIES: u32 = 3;
/// Before a repetition in a window.
const RETRY_WAIT: Duration = Duration::from_secs(5);

/// Which RPC asked for a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferKind {
    Download,
    Upload,
    ScheduleDownload,
}

impl TransferKind {
    pub(super) const fn event(self) -> EventCode {
        match self {
            Self::Download => EventCode::MDownload,
            Self::Upload => EventCode::MUpload,
            Self::ScheduleDownload => EventCode::MScheduleDownload,
        }
    }

    pub(super) const fn is_download(self) -> bool {
        !matches!(self, Self::Upload)
    }
}

/// How far a transfer has come.
#[derive(Debug, Clone)]
enum Progress {
    NotStarted {
        due: Instant,
    },
    Running(CancellationToken),
    /// Over, its `TransferComplete` undelivered.
    Done {
        fault: u16,
        started: Timestamp,
        completed: Timestamp,
    },
}

/// When a scheduled download may run (`TimeWindowStruct`, TR-069 A.4.1.8).
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) start: Duration,
    pub(super) end: Duration,
    /// Somebody would have to confirm it, and nobody is there: the window passes.
    pub(super) needs_confirmation: bool,
    /// `None` leaves it to the CPE.
    pub(super) retries: Option<u32>,
}

/// A window on this CPE's clock.
#[derive(Debug, Clone, Copy)]
struct OpenWindow {
    start: Instant,
    end: Instant,
    needs_confirmation: bool,
    retries_left: u32,
}

/// What was asked for, before it has a number and a time.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) kind: TransferKind,
    pub(super) command_key: String,
    pub(super) file_type: String,
    pub(super) url: String,
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) file_size: u32,
    pub(super) target: String,
    pub(super) delay: Duration,
    /// Only of `ScheduleDownload`.
    pub(super) windows: Vec<Window>,
}

/// One queued transfer.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    pub(super) number: u32,
    pub(super) order: Order,
    progress: Progress,
    /// Those that have not passed, of a scheduled download.
    windows: Vec<OpenWindow>,
}

impl Transfer {
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.progress, Progress::Done { .. })
    }

    const fn is_running(&self) -> bool {
        matches!(self.progress, Progress::Running(_))
    }

    /// When it begins; `None` once it has.
    pub(super) const fn due(&self) -> Option<Instant> {
        match self.progress {
            Progress::NotStarted { due } => Some(due),
            Progress::Running(_) | Progress::Done { .. } => None,
        }
    }

    /// `State` of `QueuedTransferStruct`.
    pub(super) const fn state_number(&self) -> &'static str {
        match self.progress {
            Progress::NotStarted { .. } => "1",
            Progress::Running(_) => "2",
            Progress::Done { .. } => "3",
        }
    }

    fn is_firmware(&self) -> bool {
        self.order.kind.is_download() && self.order.file_type.starts_with("1 ")
    }

    /// The key that its reports carry.
    pub(super) fn reported_key<'a>(&'a self, habits: &[Misbehaviour]) -> &'a str {
        if habits.contains(&Misbehaviour::EmptyTransferKey) { "" } else { &self.order.command_key }
    }

    /// The body of its `TransferComplete`.
    pub(super) fn complete(&self, style: &Style, habits: &[Misbehaviour]) -> String {
        let (fault, times) = match self.progress {
            Progress::Done { fault, started, completed } => (fault, Some((started, completed))),
            Progress::NotStarted { .. } | Progress::Running(_) => (9001, None),
        };
        let time = |pick: fn((Timestamp, Timestamp)) -> Timestamp| match times {
            Some(times) if fault == 0 => pick(times).to_string(),
            _ => UNKNOWN_TIME.to_owned(),
        };
        style.message("TransferComplete", |writer| {
            writer.leaf("CommandKey", self.reported_key(habits));
            writer.open("FaultStruct");
            writer.leaf("FaultCode", &fault.to_string());
            writer.leaf("FaultString", if fault == 0 { "" } else { fault_text(fault) });
            writer.close("FaultStruct");
            writer.leaf("StartTime", &time(|(started, _)| started));
            writer.leaf("CompleteTime", &time(|(_, completed)| completed));
        })
    }

    /// Lets windows pass that are over or that nobody confirms. `false` when none is left.
    fn enter_window(&mut self, now: Instant) -> bool {
        self.windows.retain(|window| window.end > now);
        let Some(window) = self.windows.first() else { return false };
        let from = if window.needs_confirmation { window.end } else { window.start };
        self.progress = Progress::NotStarted { due: from.max(now) };
        true
    }
}

/// A transfer that begins now.
#[derive(Debug)]
pub(super) struct TransferJob {
    number: u32,
    order: Order,
    /// What an upload sends.
    contents: Bytes,
    stop: CancellationToken,
    /// The end of the window that it runs in.
    until: Option<Instant>,
}

/// What a transfer came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Fetched(Fetched),
    /// So many bytes.
    Sent(u64),
    /// A CWMP fault code.
    Failed(u16),
}

impl State {
    /// Queues a transfer.
    pub(super) fn queue_transfer(&mut self, order: Order, now: Instant) {
        let number = self.next_transfer;
        self.next_transfer = self.next_transfer.wrapping_add(1);
        let open = |window: &Window| OpenWindow {
            start: now + self.config.scaled(window.start),
            end: now + self.config.scaled(window.end),
            needs_confirmation: window.needs_confirmation,
            retries_left: window.retries.unwrap_or(OWN_RETRIES),
        };
        let windows: Vec<OpenWindow> = order.windows.iter().map(open).collect();
        let due = now + self.config.scaled(order.delay);
        let mut transfer = Transfer { number, order, progress: Progress::NotStarted { due }, windows };
        if transfer.order.kind == TransferKind::ScheduleDownload {
            transfer.enter_window(now);
        }
        self.transfers.push(transfer);
    }

    /// When the next transfer begins, if none is running.
    pub(super) fn next_transfer_due(&self) -> Option<Instant> {
        if self.transfers.iter().any(Transfer::is_running) {
            return None;
        }
        self.transfers.iter().filter_map(Transfer::due).min()
    }

    /// The transfer that is due, unless another one is running. It counts as running from now on.
    pub(super) fn transfer_due(&mut self, now: Instant) -> Option<TransferJob> {
        self.pass_windows(now);
        if self.next_transfer_due()? > now {
            return None;
        }
        let is_due = |transfer: &&mut Transfer| transfer.due().is_some_and(|due| due <= now);
        let transfer = self.transfers.iter_mut().find(is_due)?;
        let stop = CancellationToken::new();
        transfer.progress = Progress::Running(stop.clone());
        let until = transfer.windows.first().map(|window| window.end);
        let (number, order) = (transfer.number, transfer.order.clone());
        let contents = if order.kind.is_download() { Bytes::new() } else { self.upload_contents(&order.file_type) };
        Some(TransferJob { number, order, contents, stop, until })
    }

    /// Scheduled downloads whose windows are all over have failed.
    fn pass_windows(&mut self, now: Instant) {
        let is_missed = |transfer: &mut Transfer| {
            transfer.order.kind == TransferKind::ScheduleDownload
                && transfer.due().is_some_and(|due| due <= now)
                && !transfer.enter_window(now)
        };
        let missed: Vec<u32> = self.transfers.iter_mut().filter_map(|t| is_missed(t).then_some(t.number)).collect();
        for number in missed {
            self.transfer_over(number, &Outcome::Failed(WINDOWS_MISSED), wall_clock(), now);
        }
    }

    /// The reboot interrupts what runs; it begins again afterwards.
    pub(super) fn interrupt_transfers(&mut self, back: Instant) {
        for transfer in &mut self.transfers {
            if let Progress::Running(stop) = &transfer.progress {
                stop.cancel();
                transfer.progress = Progress::NotStarted { due: back };
            }
        }
    }

    /// Everything in the queue is forgotten.
    pub(super) fn drop_transfers(&mut self) {
        for transfer in self.transfers.drain(..) {
            if let Progress::Running(stop) = transfer.progress {
                stop.cancel();
            }
        }
    }

    /// Takes what an attempt came to: a scheduled download may have more of them.
    fn transfer_finished(&mut self, number: u32, outcome: &Outcome, started: Timestamp, now: Instant) {
        let wait = self.config.scaled(RETRY_WAIT);
        let Some(transfer) = self.transfers.iter_mut().find(|transfer| transfer.number == number) else { return };
        if let Outcome::Failed(_) = outcome
            && let Some(window) = transfer.windows.first_mut()
        {
            if window.retries_left > 0 && now + wait < window.end {
                window.retries_left -= 1;
                transfer.progress = Progress::NotStarted { due: now + wait };
                return;
            }
            transfer.windows.remove(0);
            if transfer.enter_window(now) {
                return;
            }
        }
        self.transfer_over(number, outcome, started, now);
    }

    /// The transfer's report is due, and a firmware image makes the CPE reboot into it.
    fn transfer_over(&mut self, number: u32, outcome: &Outcome, started: Timestamp, now: Instant) {
        let is_failing = self.config.is_failing();
        let Some(transfer) = self.transfers.iter_mut().find(|transfer| transfer.number == number) else { return };
        let is_firmware = transfer.is_firmware();
        let fault = match outcome {
            Outcome::Fetched(_) if is_firmware && is_failing => self.config.failing_fault,
            Outcome::Fetched(_) | Outcome::Sent(_) => 0,
            Outcome::Failed(fault) => *fault,
        };
        transfer.progress = Progress::Done { fault, started, completed: wall_clock() };
        let file_type = transfer.order.file_type.clone();
        if let Some(counters) = &self.config.counters {
            counters.transfer(outcome, fault);
        }
        let is_silent = self.config.has(&Misbehaviour::NoTransferComplete);
        if is_silent {
            self.transfers.retain(|transfer| transfer.number != number);
        } else {
            self.want_session(now);
        }
        let Outcome::Fetched(file) = outcome else { return };
        if fault != 0 {
            return;
        }
        if is_firmware {
            let firmware = if self.config.has(&Misbehaviour::DownloadWithoutVersionChange) {
                Firmware::Old
            } else {
                Firmware::New(file.version.clone())
            };
            if self.config.has(&Misbehaviour::TransferCompleteBeforeReboot) && !is_silent {
                self.install_after_report = Some((number, firmware));
            } else {
                self.install_firmware(firmware, now);
            }
        } else {
            self.store_file(&file_type, file);
        }
    }

    /// The ACS has answered this transfer's `TransferComplete`.
    pub(super) fn transfer_reported(&mut self, number: u32, now: Instant) {
        self.transfers.retain(|transfer| transfer.number != number);
        if let Some((_, firmware)) = self.install_after_report.take_if(|(waiting, _)| *waiting == number) {
            self.install_firmware(firmware, now);
        }
    }
}

/// Carries a transfer out, unless it is interrupted.
pub(super) async fn run(shared: Arc<Shared>, job: TransferJob) {
    let started = wall_clock();
    let attempt = async {
        let work = async {
            if job.order.kind.is_download() {
                fetch::fetch(&shared.config, &job.order).await
            } else {
                send::send(&shared.config, &job.order, job.contents.clone()).await
            }
        };
        match job.until {
            Some(until) => tokio::time::timeout_at(until, work).await.unwrap_or(Outcome::Failed(WINDOWS_MISSED)),
            None => work.await,
        }
    };
    let outcome = tokio::select! {
        () = job.stop.cancelled() => return,
        outcome = attempt => outcome,
    };
    let mut state = shared.state.lock();
    if !job.stop.is_cancelled() {
        state.transfer_finished(job.number, &outcome, started, Instant::now());
    }
}
