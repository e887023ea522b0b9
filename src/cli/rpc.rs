//! `acsd rpc SERIAL METHOD`: one call of CWMP, or a discovery, through a running acsd.

mod order;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::Instant;

use super::client::{ApiClient, ClientError, Remote};
use super::trace::printable;
use order::{Order, OrderError};

/// Path of devices below the API's URL.
const DEVICES: &str = "/api/v1/inventory_device_serial/";
/// How often it is asked how far the call is.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// What can be said after `METHOD`.
const EXAMPLES: &str = "\
METHOD is a method of CWMP, or a short name; what follows it depends on that:
  methods                            GetRPCMethods: what the device can do
  get PATH...                        GetParameterValues
  set PATH=VALUE...                  SetParameterValues
  names [OBJECT]                     GetParameterNames: what is directly below
  discover [OBJECT]                  all parameters and objects, learned into the known tree
  attributes PATH...                 GetParameterAttributes
  notify PATH=NUMBER...              SetParameterAttributes: 0 off, 1 passive, 2 active
  add TABLE | delete ROW             AddObject, DeleteObject
  schedule-inform SECONDS            ScheduleInform
  transfers                          GetAllQueuedTransfers
  cancel TRANSACTION|KEY             CancelTransfer
  install URL | update UUID|URL | uninstall UUID      ChangeDUState
  options [NAME] | vouchers BASE64...                 GetOptions, SetVouchers
  reboot | factory-reset

Examples:
  acsd rpc SN123 methods
  acsd rpc SN123 discover Device.WiFi.
  acsd rpc SN123 notify Device.WiFi.SSID.1.SSID=2
  acsd rpc SN123 install https://example.net/app.deb --arg username=u --arg password=p
  acsd rpc SN123 ScheduleInform --arg delay=60 --wait 120
  acsd rpc SN123 ChangeDUState --json '{\"operations\": [{\"action\": \"uninstall\", \"uuid\": \"...\"}]}'

Exit codes: 0 done; 1 the device or acsd refused, or it did not end in time; 2 the command line is wrong.";

/// One call of CWMP on a device, and what it brings.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RpcArgs {
    #[command(flatten)]
    remote: Remote,
    /// The device's serial number
    serial: String,
    /// A method of CWMP, or a short name: see below
    method: String,
    /// What the method is about: see below
    operands: Vec<String>,
    /// A field of the request, as the API has it; a value that is JSON is taken as such; may be given several times
    #[arg(long = "arg", value_name = "KEY=VALUE", value_parser = read_arg)]
    args: Vec<(String, String)>,
    /// All fields of the request but the method, as a JSON object
    #[arg(long, value_name = "BODY", conflicts_with_all = ["operands", "args"])]
    json: Option<String>,
    /// Seconds to wait for the end; 0: not at all
    #[arg(long, value_name = "SECS", default_value_t = 300)]
    wait: u64,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables
    Text,
    /// The transaction as the API shows it
    Json,
}

fn read_arg(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("a field is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The command line makes no call.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// acsd could not be asked, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The answer makes no sense: it is another version, or no acsd.
    #[error("the answer is not what an acsd of this version gives")]
    Answer,
    /// Nobody reads what is printed.
    #[error("the result cannot be printed")]
    Print(#[from] io::Error),
}

impl RpcError {
    /// Whether the command line itself is wrong: nothing was tried.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Order(_) | Self::Client(ClientError::Url { .. } | ClientError::NoTrust))
    }
}

/// Where the command prints.
pub struct Output<'a> {
    /// What was asked for.
    pub result: &'a mut (dyn Write + Send),
    /// Remarks.
    pub notes: &'a mut (dyn Write + Send),
}

/// Runs the command. Not successful when the call failed or did not end in time.
///
/// # Errors
/// [`RpcError`].
pub async fn run(args: RpcArgs, mut output: Output<'_>) -> Result<ExitCode, RpcError> {
    let RpcArgs { remote, serial, method, operands, args, json, wait, format } = args;
    let Order { below, body } = order::read(&method, &operands, &args, json.as_deref())?;
    let client = remote.client()?;
    let device = format!("{DEVICES}{}/", utf8_percent_encode(&serial, NON_ALPHANUMERIC));
    let accepted = client.call(Method::POST, &format!("{device}{below}"), Some(&body)).await?;
    let id = accepted.get("id").and_then(Value::as_u64).ok_or(RpcError::Answer)?;
    if wait == 0 {
        match format {
            Format::Text => writeln!(output.result, "{id}")?,
            Format::Json => writeln!(output.result, "{accepted:#}")?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let path = format!("{device}rpc/{id}/");
    let ended = follow(&client, &path, Duration::from_secs(wait), &mut output).await?;
    let Some(ended) = ended else {
        writeln!(output.notes, "Transaction {id} has not ended within {wait} s; it goes on without being watched.")?;
        return Ok(ExitCode::FAILURE);
    };
    match format {
        Format::Text => table::write(&ended, output.result)?,
        Format::Json => writeln!(output.result, "{ended:#}")?,
    }
    output.result.flush()?;
    if text(&ended, "status") == "completed" {
        return Ok(ExitCode::SUCCESS);
    }
    let fault = ended.get("fault").filter(|fault| !fault.is_null());
    let reason = fault.map_or_else(|| format!("it is {}", text(&ended, "status")), fault_words);
    writeln!(output.notes, "{} failed: {}", text(&ended, "operation"), printable(&reason))?;
    Ok(ExitCode::FAILURE)
}

/// Asks until the transaction has ended, and says what it waits for. `None`: it did not end in time.
async fn follow(
    client: &ApiClient,
    path: &str,
    patience: Duration,
    output: &mut Output<'_>,
) -> Result<Option<Value>, RpcError> {
    let end = Instant::now() + patience;
    let mut said = String::new();
    loop {
        let shown = client.call(Method::GET, path, None).await?;
        let status = text(&shown, "status");
        if status.is_empty() {
            return Err(RpcError::Answer);
        }
        if !matches!(status, "scheduled" | "in_progress") {
            return Ok(Some(shown));
        }
        let words = match text(&shown, "waiting_for") {
            "" => "the device is at it".to_owned(),
            reason => format!("waiting for {reason}"),
        };
        if words != said {
            writeln!(output.notes, "Transaction {}: {}", shown.get("id").unwrap_or(&Value::Null), printable(&words))?;
            output.notes.flush()?;
            said = words;
        }
        let now = Instant::now();
        if now >= end {
            return Ok(None);
        }
        tokio::time::sleep(ASK_EVERY.min(end - now)).await;
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A fault as people read it; acsd's own verdicts have no code.
fn fault_words(fault: &Value) -> String {
    let message = text(fault, "message");
    match fault.get("code").and_then(Value::as_u64) {
        None | Some(0) => message.to_owned(),
        Some(code) => format!("{code} {message}"),
    }
}
