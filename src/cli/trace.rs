//! `acsd trace SERIAL`: the recorded sessions of a device as a ladder, as envelopes, or as files.

mod export;
mod ladder;
mod layout;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::client::{ApiClient, ClientError};
use crate::types::secret::Secret;

pub(super) use layout::printable;

/// Path of devices below the API's URL.
const DEVICES: &str = "/api/v1/inventory_device_serial/";
/// Sessions fetched at a time.
const PAGE: usize = 10;
/// How often `--follow` asks.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// Recorded sessions of a device.
///
/// Sessions are recorded while `debug` of the device or of its type is on; passwords, passphrases and keys in them are
/// blanked.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// The device's serial number
    serial: String,
    /// The acsd to ask
    #[arg(long, env = "ACSD_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// An API token; a viewer's will do
    #[arg(long, env = "ACSD_TOKEN", hide_env_values = true)]
    token: String,
    /// PEM file of the certificate to trust, for an https:// URL
    #[arg(long, env = "ACSD_CA_CERTIFICATE", value_name = "FILE")]
    ca_certificate: Option<PathBuf>,
    /// Only this session
    #[arg(long, value_name = "ID", conflicts_with = "follow")]
    session: Option<u64>,
    /// Wait for new sessions until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// Show the envelopes, too
    #[arg(long)]
    xml: bool,
    /// Write each session into a folder below this one, for `acsd simulate --replay`
    #[arg(long, value_name = "FOLDER")]
    export: Option<PathBuf>,
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// acsd could not be asked, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The answer makes no sense: it is another version, or no acsd.
    #[error("the answer is not what an acsd of this version gives")]
    Answer(#[source] serde_json::Error),
    /// A file cannot be written.
    #[error("{} cannot be written", path.display())]
    Export {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody reads what is printed.
    #[error("the result cannot be printed")]
    Print(#[from] io::Error),
}

impl TraceError {
    /// Whether the command line itself is wrong: nothing was tried.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Client(ClientError::Url { .. } | ClientError::NoTrust))
    }
}

/// A recorded session, as the API shows it.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Session {
    id: u64,
    started_at: String,
    ended_at: String,
    address: String,
    events: Vec<String>,
    outcome: String,
    #[serde(default)]
    messages: Vec<Message>,
    omitted: u32,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Message {
    time: String,
    offset_ms: u64,
    direction: Direction,
    rpc: String,
    xml: String,
    status: Option<u16>,
    note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    In,
    Out,
}

#[derive(Deserialize)]
struct Page {
    results: Vec<Session>,
}

/// Where the command prints.
pub struct Output<'a> {
    /// What was asked for.
    pub result: &'a mut (dyn Write + Send),
    /// Remarks.
    pub notes: &'a mut (dyn Write + Send),
}

/// Runs the command; with `--follow` it ends only when it is dropped, or by an error.
///
/// # Errors
/// [`TraceError`].
pub async fn run(args: TraceArgs, output: Output<'_>) -> Result<(), TraceError> {
    let client = ApiClient::new(&args.url, Secret::new(args.token.clone()), args.ca_certificate.clone())?;
    let path = format!("{DEVICES}{}/sessions/", utf8_percent_encode(&args.serial, NON_ALPHANUMERIC));
    let mut tracer = Tracer { source: Source { client, path }, args, output };
    if let Some(id) = tracer.args.session {
        let session = tracer.source.get(&format!("{id}/")).await?;
        return tracer.present(&session);
    }
    if tracer.args.follow {
        return tracer.follow().await;
    }
    let (mut last, mut seen) = (0, false);
    loop {
        let sessions = tracer.source.after(last).await?;
        let Some(newest) = sessions.last() else { break };
        (last, seen) = (newest.id, true);
        for session in &sessions {
            tracer.present(session)?;
        }
    }
    if !seen {
        let Tracer { args, output, .. } = &mut tracer;
        let hint = "sessions are recorded while debug of the device or of its type is on";
        writeln!(output.notes, "No session of {} is recorded; {hint}.", printable(&args.serial))?;
    }
    Ok(())
}

/// The sessions of one device.
struct Source {
    client: ApiClient,
    path: String,
}

impl Source {
    async fn get<T: DeserializeOwned>(&self, below: &str) -> Result<T, TraceError> {
        let answer = self.client.call(Method::GET, &format!("{}{below}", self.path), None).await?;
        serde_json::from_value(answer).map_err(TraceError::Answer)
    }

    /// The sessions after this one, oldest first; not all of them, if there are many.
    async fn after(&self, id: u64) -> Result<Vec<Session>, TraceError> {
        Ok(self.get::<Page>(&format!("?after={id}&limit={PAGE}")).await?.results)
    }
}

struct Tracer<'a> {
    source: Source,
    args: TraceArgs,
    output: Output<'a>,
}

impl Tracer<'_> {
    async fn follow(&mut self) -> Result<(), TraceError> {
        let newest = self.source.get::<Page>("?limit=1&messages=false").await?.results;
        let mut last = newest.first().map_or(0, |session| session.id);
        writeln!(self.output.notes, "Waiting for sessions of {}.", printable(&self.args.serial))?;
        loop {
            let sessions = self.source.after(last).await?;
            for session in &sessions {
                last = session.id;
                self.present(session)?;
            }
            if sessions.is_empty() {
                tokio::time::sleep(FOLLOW_EVERY).await;
            }
        }
    }

    fn present(&mut self, session: &Session) -> Result<(), TraceError> {
        if let Some(folder) = &self.args.export {
            let written = export::write(folder, &self.args.serial, session)?;
            writeln!(self.output.result, "{}", written.display())?;
        } else {
            ladder::write(session, self.args.xml, self.output.result)?;
        }
        self.output.result.flush()?;
        Ok(())
    }
}
