//! What `acsd export` and `acsd import` share: formats, files, the progress bar, and why they fail.

use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncWrite};

use super::client::ClientError;

/// In the place of a file: standard input or output.
const STANDARD: &str = "-";

/// How devices are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A header and a row per device
    Csv,
    /// An object per line
    Jsonl,
}

impl Format {
    /// By the end of the file's name; JSON lines unless it is `.csv`.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        if is_csv { Self::Csv } else { Self::Jsonl }
    }

    /// The API's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// The type of such a body.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Jsonl => "application/x-ndjson",
        }
    }
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The running acsd could not be asked, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The answer of the running acsd makes no sense: it is another version, or no acsd.
    #[error("the answer is not what an acsd of this version gives")]
    Answer(#[source] serde_json::Error),
    /// Not all was read.
    #[error("not all was imported: {0}")]
    Incomplete(String),
    /// Nobody reads what is said.
    #[error("the result cannot be printed")]
    Print(#[source] io::Error),
}

impl TransferError {
    /// Whether the command line itself is wrong: nothing was tried.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Client(ClientError::Url { .. } | ClientError::NoTrust))
    }

    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Read { path, source }
    }

    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Write { path, source }
    }
}

/// Opens a file, or standard input; how many bytes there are, where that is known.
pub(super) async fn source(path: &Path) -> Result<(Box<dyn AsyncRead + Unpin + Send>, Option<u64>), TransferError> {
    if path == Path::new(STANDARD) {
        let input = io::stdin().as_fd().try_clone_to_owned().map_err(TransferError::read(path))?;
        return Ok((Box::new(File::from_std(input.into())), None));
    }
    let file = File::open(path).await.map_err(TransferError::read(path))?;
    let size = file.metadata().await.map_err(TransferError::read(path))?.len();
    Ok((Box::new(file), (size > 0).then_some(size)))
}

/// Creates a file, or takes standard output.
pub(super) async fn target(path: &Path) -> Result<Box<dyn AsyncWrite + Unpin + Send>, TransferError> {
    if path == Path::new(STANDARD) {
        let output = io::stdout().as_fd().try_clone_to_owned().map_err(TransferError::write(path))?;
        return Ok(Box::new(File::from_std(output.into())));
    }
    Ok(Box::new(File::create(path).await.map_err(TransferError::write(path))?))
}

/// A bar on standard error; hidden where that is no terminal, or nobody wants it.
pub(super) fn progress(quiet: bool, length: Option<u64>, template: &str) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let style = ProgressStyle::with_template(template);
    style.map_or_else(|_wrong| bar.clone(), |style| bar.clone().with_style(style))
}
