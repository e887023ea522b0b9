//! `/inventory_device_serial/import/`: many devices at once, as JSON lines or CSV, with a report of each line.
//!
//! The body is read as it arrives and the report is sent as it grows; neither is ever held whole. So many lines are under way
//! at once and share the flushes of the store; lines of one device keep their order, and the report has the order of the
//! body. A client should read the report while it sends: what it does not take waits, but only [`ROOM_BYTES`] of it.
//!
//! A device whose serial number is `import` keeps its path: the import is the one `POST` there is.

mod line;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::line::{Mode, Outcome, Run, carry_out, serial_of};
use self::source::{Line, Source, WHOLE};
use crate::api::ApiState;
use crate::api::access::Operator;
use crate::api::error::{ApiError, FieldErrors};
use crate::api::openapi::{Reading, Writing};
use crate::api::query::Query;
use crate::api::stream::{self, Broken, NotTaken, Pipe};
use crate::telemetry;

/// The path of this resource.
pub(in crate::api) const PATH: &str = "/api/v1/inventory_device_serial/import/";
/// Lines under way at once.
const AT_ONCE: usize = 64;
/// Lines that have ended and wait for an earlier one, and those under way.
const WAITING: usize = 4 * AT_ONCE;
/// Bytes of the report that wait for a client which sends everything before it reads: some 50,000 lines.
const ROOM_BYTES: u32 = 4 * 1024 * 1024;

/// Which lines the report names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reported {
    All,
    Errors,
}

/// Creates and changes devices, one per line.
///
/// Each line has the fields of a creation; where there is a device of its serial number, it changes what it names, as `PATCH`
/// does. A line that cannot be done stops no other. In CSV the first line names the columns; an empty cell empties its field, where
/// the field may be empty, and a column that is left out leaves it as it is; tags are joined by semicolons. The answer has a line of
/// JSON per line: `line`, `serial_number`, `result` (`created`, `updated`, `unchanged`, `error`) and, of an error, `errors`
/// by field. Its last line is `{"summary": {...}}`, with `complete` false where not all was read.
#[utoipa::path(post, path = "/api/v1/inventory_device_serial/import/", tag = "devices",
    params(
        ("mode" = Option<String>, Query, description = "`create`, `update`, or both: `upsert` (unless told)"),
        ("dry_run" = Option<bool>, Query, description = "Only checks"),
        ("report" = Option<String>, Query, description = "`all` lines (unless told), or those with `errors`")
    ),
    request_body(
        content(
            (String = "application/x-ndjson", example = "{\"serial_number\": \"SN1\", \"name\": \"Lobby\"}\n"),
            (String = "application/jsonl", example = "{\"serial_number\": \"SN1\", \"name\": \"Lobby\"}\n"),
            (String = "text/csv", example = "serial_number,name\nSN1,Lobby\n")
        ),
        description = "An object per line, or a table with a header"),
    responses(
        (status = 200, description = "The report", content((String = "application/x-ndjson"))),
        Reading, Writing))]
pub(in crate::api) async fn import(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let mode = query.parsed("mode", Mode::parse, "Must be create, update or upsert.").unwrap_or_default();
    let run = if query.boolean("dry_run") == Some(true) { Run::Dry } else { Run::Real };
    let reported = query.parsed("report", reported, "Must be all or errors.").unwrap_or(Reported::All);
    query.finish()?;
    let source = source_of(request.headers(), state.config.import_line_bytes)?;
    let permit = state.transfer()?;
    let patience = Duration::from_secs(state.config.body_time_secs.into());
    let mut arrival = Arrival { body: request.into_body(), patience };
    // A client that announced its body and waits is asked for it before it is answered.
    let first = arrival.next().await;
    let import = Import { state, caller, mode, run, reported, running: JoinSet::new(), flight: Flight::default() };
    let body = stream::body(ROOM_BYTES, patience, |pipe| async move {
        let _permit = permit;
        import.run(source, first, arrival, pipe).await
    });
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

fn reported(word: &str) -> Option<Reported> {
    match word {
        "all" => Some(Reported::All),
        "errors" => Some(Reported::Errors),
        _ => None,
    }
}

fn source_of(headers: &HeaderMap, line_bytes: usize) -> Result<Source, ApiError> {
    let raw = headers.get(header::CONTENT_TYPE).map_or(Ok(""), |value| value.to_str()).unwrap_or("?");
    let mut parts = raw.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    let mut charsets =
        parts.filter_map(|part| part.strip_prefix("charset=").map(|name| name.trim_matches('"').to_owned()));
    match (essence.as_str(), charsets.all(|name| name == "utf-8" || name == "utf8")) {
        ("application/x-ndjson" | "application/jsonl", true) => Ok(Source::json(line_bytes)),
        ("text/csv", true) => Ok(Source::csv(line_bytes)),
        _ => Err(ApiError::Detail {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            detail: format!("Unsupported media type \"{raw}\" in request: send application/x-ndjson or text/csv.")
                .into(),
        }),
    }
}

/// The body, piece by piece, each within its time.
struct Arrival {
    body: Body,
    patience: Duration,
}

/// What arrives next.
enum Arrived {
    Piece(Bytes),
    End,
    /// No more will come, and why.
    Cut(&'static str),
}

impl Arrival {
    async fn next(&mut self) -> Arrived {
        self.next_until(Instant::now() + self.patience).await
    }

    async fn next_until(&mut self, end: Instant) -> Arrived {
        loop {
            match tokio::time::timeout_at(end, self.body.frame()).await {
                Err(_elapsed) => return Arrived::Cut("The body took too long to arrive."),
                Ok(None) => return Arrived::End,
                Ok(Some(Err(_broken))) => return Arrived::Cut("The body broke off."),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) if !piece.is_empty() => return Arrived::Piece(piece),
                    Ok(_) | Err(_) => {}
                },
            }
        }
    }
}

/// A line of the report.
#[derive(Serialize)]
struct Report<'a> {
    line: u64,
    serial_number: Option<&'a str>,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Map<String, Value>>,
}

/// The last line of the report.
#[derive(Debug, Default, Serialize)]
struct Summary {
    lines: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    errors: u64,
    dry_run: bool,
    /// Whether all was read.
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

/// Lines that are under way or wait for earlier ones to be reported.
#[derive(Default)]
struct Flight {
    next: u64,
    /// By their turn: line, device, and the outcome when it is there.
    lines: BTreeMap<u64, (u64, Option<String>, Option<Outcome>)>,
    /// acsd failed at one of them.
    failed: bool,
    summary: Summary,
}

impl Flight {
    fn is_busy_with(&self, serial: Option<&str>) -> bool {
        self.lines
            .values()
            .any(|(_, other, outcome)| outcome.is_none() && other.as_deref() == serial && serial.is_some())
    }

    fn enter(&mut self, line: u64, serial: Option<String>, outcome: Option<Outcome>) -> u64 {
        let turn = self.next;
        self.next += 1;
        self.lines.insert(turn, (line, serial, outcome));
        turn
    }

    fn end(&mut self, turn: u64, outcome: Outcome) {
        self.failed |= matches!(outcome, Outcome::Failed(_));
        if let Some((_, _, place)) = self.lines.get_mut(&turn) {
            *place = Some(outcome);
        }
    }
}

struct Import {
    state: Arc<ApiState>,
    caller: Operator,
    mode: Mode,
    run: Run,
    reported: Reported,
    running: JoinSet<(u64, Outcome)>,
    flight: Flight,
}

impl Import {
    async fn run(mut self, mut source: Source, first: Arrived, mut arrival: Arrival, pipe: Pipe) -> Result<(), Broken> {
        let cut = match self.read(&mut source, first, &mut arrival, &pipe).await {
            Ok(cut) => cut,
            Err(NotTaken) => return Err(NotTaken.into()),
        };
        while !self.running.is_empty() {
            self.settle().await;
        }
        self.report(&pipe).await?;
        let summary =
            Summary { dry_run: self.run == Run::Dry, complete: cut.is_none(), detail: cut, ..self.flight.summary };
        tracing::info!("{} imported devices: {summary:?}", self.caller.name());
        pipe.send(json_line(&BTreeMap::from([("summary", summary)]))?).await?;
        Ok(())
    }

    /// Reads and starts everything; why the end was not reached, if it was not.
    async fn read(
        &mut self,
        source: &mut Source,
        first: Arrived,
        arrival: &mut Arrival,
        pipe: &Pipe,
    ) -> Result<Option<&'static str>, NotTaken> {
        let mut arrived = first;
        loop {
            let at_end = match arrived {
                Arrived::Piece(piece) => {
                    source.push(piece);
                    false
                }
                Arrived::End => true,
                Arrived::Cut(reason) => return Ok(Some(reason)),
            };
            while let Some(line) = source.next(at_end) {
                self.start(line, pipe).await?;
                if self.flight.failed {
                    return Ok(Some("The server failed to store a device and gave up."));
                }
                self.report(pipe).await?;
                if self.state.draining.is_cancelled() {
                    return Ok(Some("The server is stopping."));
                }
            }
            if at_end {
                return Ok(None);
            }
            arrived = self.wait(arrival, pipe).await?;
        }
    }

    /// Waits for more of the body; what ends meanwhile is reported.
    async fn wait(&mut self, arrival: &mut Arrival, pipe: &Pipe) -> Result<Arrived, NotTaken> {
        let end = Instant::now() + arrival.patience;
        loop {
            tokio::select! {
                biased;
                ended = self.running.join_next(), if !self.running.is_empty() => self.note(ended),
                arrived = arrival.next_until(end) => return Ok(arrived),
            }
            self.report(pipe).await?;
        }
    }

    /// Starts a line when there is room and no earlier line of its device is under way.
    async fn start(&mut self, line: Line, pipe: &Pipe) -> Result<(), NotTaken> {
        let Line { number, object } = line;
        let object = match object {
            Ok(object) => object,
            Err(errors) => {
                self.flight.enter(number, None, Some(Outcome::Refused(errors)));
                return self.report(pipe).await;
            }
        };
        let serial = serial_of(&object).map(str::to_owned);
        while self.running.len() >= AT_ONCE
            || self.flight.lines.len() >= WAITING
            || self.flight.is_busy_with(serial.as_deref())
        {
            self.settle().await;
            self.report(pipe).await?;
        }
        let turn = self.flight.enter(number, serial, None);
        let (state, caller, mode, run) = (Arc::clone(&self.state), self.caller.clone(), self.mode, self.run);
        self.running.spawn(async move { (turn, carry_out(&state, &caller, mode, run, object).await) });
        Ok(())
    }

    async fn settle(&mut self) {
        let ended = self.running.join_next().await;
        self.note(ended);
    }

    fn note(&mut self, ended: Option<Result<(u64, Outcome), tokio::task::JoinError>>) {
        match ended {
            Some(Ok((turn, outcome))) => self.flight.end(turn, outcome),
            Some(Err(panicked)) => {
                // Which one it was is not known: all that have no outcome count as failed when nothing runs any more.
                tracing::error!("a line of an import broke off: {panicked}");
            }
            None => {}
        }
        if self.running.is_empty() {
            for (_, _, outcome) in self.flight.lines.values_mut().filter(|(_, _, outcome)| outcome.is_none()) {
                *outcome = Some(Outcome::Refused(FieldErrors::one(WHOLE, FAILED)));
            }
        }
    }

    /// Reports what is next in the order of the body.
    async fn report(&mut self, pipe: &Pipe) -> Result<(), NotTaken> {
        while let Some(entry) = self.flight.lines.first_entry() {
            if entry.get().2.is_none() {
                return Ok(());
            }
            let (line, serial, outcome) = entry.remove();
            let Some(outcome) = outcome else { return Ok(()) };
            let summary = &mut self.flight.summary;
            summary.lines += 1;
            let (count, result, errors) = match outcome {
                Outcome::Created => (&mut summary.created, "created", None),
                Outcome::Updated => (&mut summary.updated, "updated", None),
                Outcome::Unchanged => (&mut summary.unchanged, "unchanged", None),
                Outcome::Refused(errors) => (&mut summary.errors, "error", Some(errors.into_map())),
                Outcome::Failed(cause) => {
                    tracing::error!("an import failed at line {line}: {}", telemetry::chain(&*cause));
                    (&mut summary.errors, "error", Some(FieldErrors::one(WHOLE, FAILED).into_map()))
                }
            };
            *count += 1;
            if self.reported == Reported::All || errors.is_some() {
                let report = Report { line, serial_number: serial.as_deref(), result, errors };
                pipe.send(json_line(&report).map_err(|_| NotTaken)?).await?;
            }
        }
        Ok(())
    }
}

const FAILED: &str = "The server failed to do this.";

fn json_line(value: &impl Serialize) -> serde_json::Result<Bytes> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line.into())
}
