//! `acsd export`: devices of a running acsd, as a file.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::Method;
use http_body_util::Empty;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::AsyncWriteExt as _;

use super::client::{ClientError, Remote};
use super::transfer::{Format, TransferError, progress, target};

const EXPORT: &str = "/api/v1/inventory_device_serial/export/";
/// Longest silence of acsd.
const PATIENCE: Duration = Duration::from_mins(2);

/// Arguments of `acsd export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    remote: Remote,
    /// csv or jsonl [default: by the end of the file's name; csv on standard output]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where to write; - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Only these devices: a filter of the device list, such as tag=lobby or ordering=-created; may be given several times
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = read_filter)]
    filters: Vec<(String, String)>,
    /// No progress bar, no remarks
    #[arg(long, short)]
    quiet: bool,
}

fn read_filter(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("a filter is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Runs the command; remarks go to `notes`.
///
/// # Errors
/// [`TransferError`].
pub async fn run(args: ExportArgs, notes: &mut (dyn Write + Send)) -> Result<ExitCode, TransferError> {
    let ExportArgs { remote, format, output, filters, quiet } = args;
    let client = remote.client()?;
    let by_name = if output.extension().is_some() { Format::of(&output) } else { Format::Csv };
    let format = format.unwrap_or(by_name);
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let filters = filters.iter().map(|(key, value)| format!("&{}={}", encoded(key), encoded(value)));
    let path = format!("{EXPORT}?format={}{}", format.as_str(), filters.collect::<String>());
    let mut answer = client.stream(Method::GET, &path, None, Empty::<Bytes>::new()).await?;
    // Only now, so that a refused export leaves a file of the same name alone.
    let mut file = target(&output).await?;
    let total = answer.headers.get("x-total-count").and_then(|value| value.to_str().ok()?.parse().ok());
    let bar = progress(quiet, total, "{wide_bar} {pos}/{len} devices, {eta} left");
    let mut devices = Devices::new(format);
    loop {
        let piece = match tokio::time::timeout(PATIENCE, answer.next()).await {
            Ok(piece) => piece?,
            Err(_elapsed) => {
                let (authority, reason) = ("acsd".to_owned(), format!("nothing came for {PATIENCE:?}"));
                return Err(ClientError::Broken { authority, reason }.into());
            }
        };
        let Some(piece) = piece else { break };
        file.write_all(&piece).await.map_err(TransferError::write(&output))?;
        bar.set_position(devices.count(&piece));
    }
    file.flush().await.map_err(TransferError::write(&output))?;
    bar.finish_and_clear();
    if !quiet {
        writeln!(notes, "{} devices exported", devices.seen()).map_err(TransferError::Print)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts devices as they pass: line breaks outside of quotes.
struct Devices {
    format: Format,
    lines: u64,
    quoted: bool,
}

impl Devices {
    fn new(format: Format) -> Self {
        Self { format, lines: 0, quoted: false }
    }

    fn count(&mut self, piece: &[u8]) -> u64 {
        for byte in piece {
            match byte {
                b'"' if self.format == Format::Csv => self.quoted = !self.quoted,
                b'\n' if !self.quoted => self.lines += 1,
                _ => {}
            }
        }
        self.seen()
    }

    fn seen(&self) -> u64 {
        self.lines.saturating_sub(u64::from(self.format == Format::Csv))
    }
}
