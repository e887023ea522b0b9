//! File transfers: their queue, their way over HTTP, and how they are reported.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::auth::{Authenticator, Challenged};
use super::config::{CpeConfig, Credentials};
use super::envelope::Style;
use super::http::{Connection, Framing, HttpError, Response, Target};
use super::state::{State, wall_clock};
use crate::types::event::EventCode;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// `0001-01-01T00:00:00Z`.
pub(super) const UNKNOWN_TIME: &str = "0001-01-01T00:00:00Z";

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    NotStarted {
        due: Instant,
    },
    Running,
    /// Over, its `TransferComplete` undelivered.
    Done {
        fault: u16,
        started: Timestamp,
        completed: Timestamp,
    },
}

/// One queued transfer.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    pub(super) number: u32,
    pub(super) kind: TransferKind,
    pub(super) command_key: String,
    pub(super) file_type: String,
    pub(super) url: String,
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) file_size: u32,
    pub(super) target: String,
    progress: Progress,
}

/// What was asked for, before it has a number and a time.
#[derive(Debug)]
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
}

impl Transfer {
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.progress, Progress::Done { .. })
    }

    pub(super) const fn due(&self) -> Option<Instant> {
        match self.progress {
            Progress::NotStarted { due } => Some(due),
            Progress::Running | Progress::Done { .. } => None,
        }
    }

    /// `State` of `QueuedTransferStruct`.
    pub(super) const fn state_number(&self) -> &'static str {
        match self.progress {
            Progress::NotStarted { .. } => "1",
            Progress::Running => "2",
            Progress::Done { .. } => "3",
        }
    }

    pub(super) const fn begin(&mut self) {
        self.progress = Progress::Running;
    }

    pub(super) const fn finish(&mut self, fault: u16, started: Timestamp, completed: Timestamp) {
        self.progress = Progress::Done { fault, started, completed };
    }

    /// The body of its `TransferComplete`.
    pub(super) fn complete(&self, style: &Style) -> String {
        let (fault, times) = match self.progress {
            Progress::Done { fault, started, completed } => (fault, Some((started, completed))),
            Progress::NotStarted { .. } | Progress::Running => (9001, None),
        };
        let time = |pick: fn((Timestamp, Timestamp)) -> Timestamp| match times {
            Some(times) if fault == 0 => pick(times).to_string(),
            _ => UNKNOWN_TIME.to_owned(),
        };
        style.message("TransferComplete", |writer| {
            writer.leaf("CommandKey", &self.command_key);
            writer.open("FaultStruct");
            writer.leaf("FaultCode", &fault.to_string());
            writer.leaf("FaultString", if fault == 0 { "" } else { "file transfer failed" });
            writer.close("FaultStruct");
            writer.leaf("StartTime", &time(|(started, _)| started));
            writer.leaf("CompleteTime", &time(|(_, completed)| completed));
        })
    }
}

impl State {
    /// Queues a transfer.
    pub(super) fn queue_transfer(&mut self, order: Order, now: Instant) {
        let number = self.next_transfer;
        self.next_transfer = self.next_transfer.wrapping_add(1);
        let due = now + self.config.scaled(order.delay);
        self.transfers.push(Transfer {
            number,
            kind: order.kind,
            command_key: order.command_key,
            file_type: order.file_type,
            url: order.url,
            username: order.username,
            password: order.password,
            file_size: order.file_size,
            target: order.target,
            progress: Progress::NotStarted { due },
        });
    }

    /// Takes what a transfer came to: its report is due, and a firmware image makes the CPE reboot into it.
    pub(super) fn transfer_finished(&mut self, number: u32, outcome: &Outcome, started: Timestamp, now: Instant) {
        let Some(transfer) = self.transfers.iter_mut().find(|transfer| transfer.number == number) else { return };
        let fault = match outcome {
            Outcome::Fetched(_) | Outcome::Sent => 0,
            Outcome::Failed(fault) => *fault,
        };
        transfer.finish(fault, started, wall_clock());
        let is_firmware = transfer.kind.is_download() && transfer.file_type.starts_with("1 ");
        match outcome {
            Outcome::Fetched(file) if is_firmware => {
                let version = image_version(file);
                self.install_firmware(version, now);
            }
            Outcome::Fetched(_) | Outcome::Sent | Outcome::Failed(_) => self.want_session(now),
        }
    }
}

/// What a transfer came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Fetched(Bytes),
    Sent,
    /// A CWMP fault code.
    Failed(u16),
}

/// The version in an image's first line (`Version: 2.1.0`), or one made from its contents.
fn image_version(file: &[u8]) -> String {
    let first = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let stated = std::str::from_utf8(first).ok().and_then(|line| line.trim().strip_prefix("Version:"));
    match stated.map(str::trim).filter(|version| !version.is_empty() && version.len() <= 64) {
        Some(version) => version.to_owned(),
        None => {
            let digest = hex::encode(Sha256::digest(file));
            format!("image-{}", digest.get(..12).unwrap_or_default())
        }
    }
}

/// Carries a transfer out: GET for downloads, PUT for uploads, with Basic or Digest when asked.
pub(super) async fn carry_out(config: &CpeConfig, transfer: &Transfer, contents: Bytes) -> Outcome {
    let (method, body) =
        if transfer.kind.is_download() { (Method::GET, Bytes::new()) } else { (Method::PUT, contents) };
    let exchange = request(config, transfer, &method, body);
    let response = match tokio::time::timeout(config.response_timeout, exchange).await {
        Ok(Ok(response)) => response,
        Ok(Err(HttpError::Url)) => return Outcome::Failed(9013),
        Ok(Err(HttpError::Connect(_) | HttpError::Tls(_) | HttpError::NoTrust)) => return Outcome::Failed(9015),
        Ok(Err(_)) | Err(_) => return Outcome::Failed(if transfer.kind.is_download() { 9017 } else { 9011 }),
    };
    match response.status {
        StatusCode::UNAUTHORIZED => Outcome::Failed(9012),
        status if !status.is_success() => Outcome::Failed(9016),
        _ if !transfer.kind.is_download() => Outcome::Sent,
        _ if transfer.file_size != 0 && usize::try_from(transfer.file_size) != Ok(response.body.len()) => {
            Outcome::Failed(9018)
        }
        _ => Outcome::Fetched(response.body),
    }
}

async fn request(config: &CpeConfig, transfer: &Transfer, method: &Method, body: Bytes) -> Result<Response, HttpError> {
    let target = Target::parse(&transfer.url)?;
    let credentials = (!transfer.username.is_empty())
        .then(|| Credentials { username: transfer.username.clone(), password: transfer.password.clone() });
    let mut authenticator = Authenticator::new(credentials);
    let mut connection = Connection::open(&target, &config.tls).await?;
    loop {
        let mut builder =
            http::Request::builder().method(method).uri(&target.path).header(header::HOST, target.authority());
        let authorization = authenticator.authorization(method.as_str(), &target.path);
        let has_answered = authorization.is_some();
        if let Some(authorization) = authorization {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        if !connection.is_usable().await {
            connection = Connection::open(&target, &config.tls).await?;
        }
        let response = connection.send(builder, body.clone(), Framing::Length).await?;
        let is_challenge = response.status == StatusCode::UNAUTHORIZED && !has_answered;
        if !is_challenge || authenticator.challenged(&response.headers, |_| {}) == Challenged::Hopeless {
            return Ok(response);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_states_its_version_or_gets_one() {
        assert_eq!(image_version(b"Version: 2.1.0\nbinary"), "2.1.0");
        assert!(image_version(b"\xff\xfe").starts_with("image-"));
    }
}
