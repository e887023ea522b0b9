//! `acsd import`: devices from a file into a running acsd.

use std::convert::Infallible;
use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use clap::{Args, ValueEnum};
use http::Method;
use hyper::body::{Body, Frame};
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::client::{ApiClient, Remote};
use super::transfer::{Format, TransferError, progress, source, target};

const IMPORT: &str = "/api/v1/inventory_device_serial/import/";
/// Bytes read at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces between the file and the connection.
const PIECES: usize = 4;
/// Lines that are named when they failed and no report is kept.
const NAMED_MAX: u64 = 20;

/// Arguments of `acsd import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// What to read: CSV with a header, or JSON lines; - for standard input
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
    /// csv or jsonl [default: by the end of the file's name]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Which devices lines may mean
    #[arg(long, value_enum, default_value = "upsert")]
    mode: ModeArg,
    /// Only check every line
    #[arg(long)]
    dry_run: bool,
    /// Where to write what became of each line, as JSON lines; - for standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// No progress bar, no remarks
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeArg {
    /// New ones
    Create,
    /// Known ones
    Update,
    /// Both
    Upsert,
}

impl ModeArg {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Upsert => "upsert",
        }
    }
}

/// Runs the command; remarks go to `notes`. Exit code 1 when a line failed.
///
/// # Errors
/// [`TransferError`].
pub async fn run(args: ImportArgs, notes: &mut (dyn Write + Send)) -> Result<ExitCode, TransferError> {
    let ImportArgs { file, remote, format, mode, dry_run, report, quiet } = args;
    let client = remote.client()?;
    let format = format.unwrap_or_else(|| Format::of(&file));
    let path = format!("{IMPORT}?mode={}&dry_run={dry_run}", mode.as_str());
    let (input, size) = source(&file).await?;
    let template =
        if size.is_some() { "{wide_bar} {bytes}/{total_bytes}, {eta} left; {msg}" } else { "{spinner} {bytes}; {msg}" };
    let bar = progress(quiet, size, template);
    let report = match report {
        Some(path) => Some((target(&path).await?, path)),
        None => None,
    };
    let (sender, pieces) = mpsc::channel(PIECES);
    let mut tally = Tally { report, ..Tally::default() };
    let sent = async {
        feed(input, sender, &bar).await.map_err(TransferError::read(&file))?;
        // What is left is the answer's business.
        std::future::pending::<Result<Infallible, TransferError>>().await
    };
    tokio::select! {
        biased;
        answered = receive(&client, &path, format, Pieces(pieces), &mut tally, &bar) => answered?,
        failed = sent => match failed? {},
    }
    bar.finish_and_clear();
    let summary = tally.summary.ok_or_else(|| TransferError::Incomplete("the report has no end".to_owned()))?;
    if !quiet {
        for line in &tally.named {
            writeln!(notes, "{line}").map_err(TransferError::Print)?;
        }
        let more = summary.errors.saturating_sub(u64::try_from(tally.named.len()).unwrap_or(u64::MAX));
        if tally.report.is_none() && more > 0 {
            writeln!(notes, "... and {more} more; --report keeps all of them").map_err(TransferError::Print)?;
        }
        let verb = if dry_run { "would be " } else { "" };
        let Summary { created, updated, unchanged, errors, .. } = summary;
        writeln!(notes, "{verb}created {created}, {verb}updated {updated}, unchanged {unchanged}, failed {errors}")
            .map_err(TransferError::Print)?;
    }
    if !summary.complete {
        return Err(TransferError::Incomplete(summary.detail.unwrap_or_default()));
    }
    Ok(if summary.errors > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Reads the file into the body, as fast as acsd takes it.
async fn feed(
    mut input: Box<dyn AsyncRead + Unpin + Send>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    bar: &ProgressBar,
) -> io::Result<()> {
    loop {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        match input.read_buf(&mut piece).await {
            Ok(0) => return Ok(()),
            Ok(read) => {
                if pieces.send(Ok(piece.freeze())).await.is_err() {
                    // acsd has answered already.
                    return Ok(());
                }
                bar.inc(u64::try_from(read).unwrap_or_default());
            }
            Err(error) => {
                // The body must not pass for whole. Nobody to tell: acsd has answered already.
                drop(pieces.send(Err(io::Error::other("the file cannot be read"))).await);
                return Err(error);
            }
        }
    }
}

async fn receive(
    client: &ApiClient,
    path: &str,
    format: Format,
    body: Pieces,
    tally: &mut Tally,
    bar: &ProgressBar,
) -> Result<(), TransferError> {
    let mut answer = client.stream(Method::POST, path, Some(format.content_type()), body).await?;
    let mut begun = BytesMut::new();
    while let Some(piece) = answer.next().await? {
        begun.extend_from_slice(&piece);
        while let Some(end) = memchr::memchr(b'\n', &begun) {
            let line = begun.split_to(end + 1);
            tally.note(&line).await?;
        }
        bar.set_message(format!("{} lines done, {} failed", tally.lines, tally.errors));
    }
    tally.finish().await
}

/// What became of the lines.
#[derive(Default)]
struct Tally {
    report: Option<(Box<dyn AsyncWrite + Unpin + Send>, PathBuf)>,
    lines: u64,
    errors: u64,
    named: Vec<String>,
    summary: Option<Summary>,
}

/// A line of acsd's report.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reported {
    End { summary: Summary },
    Line { line: u64, serial_number: Option<String>, errors: Option<Map<String, Value>> },
}

#[derive(Deserialize)]
struct Summary {
    created: u64,
    updated: u64,
    unchanged: u64,
    errors: u64,
    complete: bool,
    detail: Option<String>,
}

impl Tally {
    async fn note(&mut self, text: &[u8]) -> Result<(), TransferError> {
        if let Some((file, path)) = &mut self.report {
            file.write_all(text).await.map_err(TransferError::write(path))?;
        }
        match serde_json::from_slice(text).map_err(TransferError::Answer)? {
            Reported::End { summary } => self.summary = Some(summary),
            Reported::Line { line, serial_number, errors } => {
                self.lines += 1;
                if let Some(errors) = errors {
                    self.errors += 1;
                    if self.report.is_none() && self.errors <= NAMED_MAX {
                        let serial = serial_number.map(|serial| format!(" ({serial})")).unwrap_or_default();
                        self.named.push(format!("line {line}{serial}: {}", Value::Object(errors)));
                    }
                }
            }
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), TransferError> {
        if let Some((file, path)) = &mut self.report {
            file.flush().await.map_err(TransferError::write(path))?;
        }
        Ok(())
    }
}

/// A body that grows while it is sent.
struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
