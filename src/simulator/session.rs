//! One CWMP session from the CPE's side (TR-069 §3.7.1.3).

mod transport;

use std::time::Duration;

use tokio::time::Instant;

use super::auth::Authenticator;
use super::config::CpeConfig;
use super::cpe::Shared;
use super::deployment;
use super::envelope::Style;
use super::http::{Connection, Target};
use super::misbehave::Misbehaviour;
use super::report::{Event, Outcome, Rule, ServedRpc, SessionFailure, SessionReport, Violation};
use super::rpc;
use super::schema;
use super::soap::{self, Incoming, Payload};
use super::state::{AcsCall, wall_clock};
use super::xml::Element;
use crate::types::value::XsdType;

/// Times that a request is sent again on fault 8005.
const REPEATS_MAX: u32 = 4;
/// Requests that the ACS may make in one session before it counts as endless.
const RPCS_MAX: usize = 10_000;
/// `ACS fault`: retry request.
const RETRY_REQUEST: u32 = 8005;

/// Why a session is not carried on.
enum Stop {
    Failed(SessionFailure),
    /// A misbehaviour says so.
    Abandoned,
    /// A misbehaviour ends it where the CPE believes it to be complete.
    Hung,
}

impl From<SessionFailure> for Stop {
    fn from(failure: SessionFailure) -> Self {
        Self::Failed(failure)
    }
}

/// What an HTTP response carried.
enum Received {
    Empty,
    Envelope(String),
}

/// A request of the CPE's own, to be made after its Inform.
enum Call {
    Transfer(u32),
    Deployment,
    Other(AcsCall),
}

struct Session<'a> {
    shared: &'a Shared,
    config: &'a CpeConfig,
    style: Style,
    target: Target,
    connection: Option<Connection>,
    authenticator: Authenticator,
    cookies: Vec<(String, String)>,
    informed: bool,
    next_id: u32,
    report: SessionReport,
}

/// Holds one session, and tells the CPE's state how it went. `None` when the CPE is away.
pub(super) async fn run(shared: &Shared) -> Option<SessionReport> {
    let started = Instant::now();
    let config = &*shared.config;
    let (events, retry_count, url, credentials) = {
        let mut state = shared.state.lock();
        if !state.session_begins() {
            return None;
        }
        (state.pending_events(), state.retry_count, state.acs_url(), state.acs_credentials())
    };
    let mut report = SessionReport {
        outcome: Outcome::Completed,
        events,
        retry_count,
        rpcs: Vec::new(),
        called: Vec::new(),
        violations: Vec::new(),
        informs: 0,
        posts: 0,
        connections: 0,
        challenges: 0,
        chosen_version: None,
        duration: Duration::ZERO,
        messages: Vec::new(),
    };
    let end = match Target::parse(&url) {
        Ok(target) => {
            let mut session = Session {
                shared,
                config,
                style: Style::of(config),
                target,
                connection: None,
                authenticator: Authenticator::new(credentials),
                cookies: Vec::new(),
                informed: false,
                next_id: fastrand::u32(1..1_000_000),
                report,
            };
            let end = session.hold().await;
            report = session.report;
            end
        }
        Err(_) => Err(Stop::Failed(SessionFailure::Connect)),
    };
    report.duration = started.elapsed();
    let now = Instant::now();
    let mut state = shared.state.lock();
    report.outcome = match end {
        Ok(()) => Outcome::Completed,
        Err(Stop::Hung | Stop::Abandoned) => Outcome::Abandoned,
        Err(Stop::Failed(ref failure)) => Outcome::Failed(failure.clone()),
    };
    match end {
        Ok(()) | Err(Stop::Hung) => state.session_completed(now),
        Err(Stop::Abandoned | Stop::Failed(_)) => state.session_failed(now),
    }
    Some(report)
}

impl Session<'_> {
    async fn hold(&mut self) -> Result<(), Stop> {
        if self.config.has(&Misbehaviour::EmptyPostFirst)
            && let Received::Envelope(_) = self.post(None).await?
        {
            self.violation(Rule::Sequence, "an envelope in answer to an empty POST before the Inform".to_owned());
        }
        let (mut on_hold, calls) = self.inform().await?;
        let mut calls = calls.into_iter().peekable();
        loop {
            while !on_hold && let Some(call) = calls.next() {
                on_hold = self.call(&call).await?;
            }
            if self.config.has(&Misbehaviour::NoEmptyPost) {
                return Err(Stop::Hung);
            }
            let is_last_word = !on_hold;
            let mut received = self.say_nothing().await?;
            while let Received::Envelope(text) = received {
                received = self.serve(&text, &mut on_hold).await?;
            }
            // A 204 ends any hold (TR-069 §3.5, HoldRequests).
            on_hold = false;
            if is_last_word {
                self.remember_cookies();
                return Ok(());
            }
        }
    }

    /// Sends the Inform. Gives `HoldRequests` and what the CPE itself wants to call.
    async fn inform(&mut self) -> Result<(bool, Vec<Call>), Stop> {
        let id = self.fresh_id();
        let (listed, calls) = {
            let state = self.shared.state.lock();
            let transfers = state.transfers.iter().filter(|t| t.is_done()).map(|t| Call::Transfer(t.number));
            let deployments = state.deployments.iter().map(|_| Call::Deployment);
            let others = state.calls.iter().cloned().map(Call::Other);
            (state.inform_parameters(&self.report.events), transfers.chain(deployments).chain(others).collect())
        };
        let envelope = self.style.envelope(&self.style.inform_headers(&id), &self.inform_body(&listed));
        if self.config.has(&Misbehaviour::StaleCookies) {
            self.cookies.clone_from(&self.shared.stale_cookies.lock());
        }
        for _ in 0..=REPEATS_MAX {
            let text = self.send_inform(&envelope).await?;
            let incoming = self.read(&text)?;
            match incoming.payload {
                Payload::Fault(RETRY_REQUEST) => {}
                Payload::Fault(code) => return Err(SessionFailure::InformFault(code).into()),
                Payload::Message(ref message) if message.local == "InformResponse" => {
                    self.check_id(incoming.id.as_deref(), &id);
                    self.check_inform_response(message);
                    let on_hold = incoming.hold;
                    self.report.chosen_version = incoming.chosen_version;
                    self.shared.state.lock().inform_delivered(&self.report.events, &listed);
                    if self.cookies.is_empty() {
                        self.violation(Rule::Cookie, "the InformResponse sets no cookie".to_owned());
                    }
                    self.informed = true;
                    return Ok((on_hold, calls));
                }
                Payload::Message(ref message) => {
                    let detail = format!("{} in answer to an Inform", message.local);
                    self.violation(Rule::Sequence, detail);
                    return Err(SessionFailure::Malformed.into());
                }
            }
        }
        Err(SessionFailure::InformFault(RETRY_REQUEST).into())
    }

    async fn send_inform(&mut self, envelope: &str) -> Result<String, Stop> {
        let times = if self.config.has(&Misbehaviour::DuplicateInform) { 2 } else { 1 };
        let mut last = Received::Empty;
        for time in 0..times {
            if time > 0 {
                // As after an answer that was lost: the connection and its cookie are gone.
                self.connection = None;
                self.cookies.clear();
            }
            self.report.informs += 1;
            last = self.post(Some(envelope)).await?;
        }
        match last {
            Received::Envelope(text) => Ok(text),
            Received::Empty => Err(SessionFailure::Malformed.into()),
        }
    }

    fn inform_body(&self, listed: &[(String, XsdType, String)]) -> String {
        let identity = &self.config.identity;
        let events: &[Event] = &self.report.events;
        self.style.message("Inform", |writer| {
            writer.open("DeviceId");
            writer.leaf("Manufacturer", &identity.manufacturer);
            writer.leaf("OUI", &identity.oui);
            writer.leaf("ProductClass", &identity.product_class);
            writer.leaf("SerialNumber", &identity.serial_number);
            writer.close("DeviceId");
            writer.array("Event", "cwmp:EventStruct", events.len(), |writer| {
                for event in events {
                    writer.open("EventStruct");
                    writer.leaf("EventCode", event.code.as_str());
                    writer.leaf("CommandKey", &event.command_key);
                    writer.close("EventStruct");
                }
            });
            writer.leaf("MaxEnvelopes", "1");
            writer.leaf("CurrentTime", &wall_clock().to_string());
            writer.leaf("RetryCount", &self.report.retry_count.to_string());
            writer.array("ParameterList", "cwmp:ParameterValueStruct", listed.len(), |writer| {
                for (path, ty, value) in listed {
                    writer.parameter(path, *ty, value);
                }
            });
        })
    }

    fn check_inform_response(&mut self, message: &Element<'_>) {
        if message.child_text("MaxEnvelopes") != "1" {
            self.violation(Rule::Schema, "InformResponse: MaxEnvelopes is not 1".to_owned());
        }
    }

    /// Makes one call of the CPE's own. Gives `HoldRequests`.
    async fn call(&mut self, call: &Call) -> Result<bool, Stop> {
        let Some((method, body)) = self.call_body(call) else { return Ok(false) };
        let id = self.fresh_id();
        let envelope = self.style.envelope(&self.style.id_header(Some(&id)), &body);
        self.report.called.push(method);
        let mut on_hold = false;
        for _ in 0..=REPEATS_MAX {
            let Received::Envelope(text) = self.post(Some(&envelope)).await? else {
                self.violation(Rule::Sequence, format!("204 in answer to {method}"));
                return Err(SessionFailure::Malformed.into());
            };
            let incoming = self.read(&text)?;
            self.check_id(incoming.id.as_deref(), &id);
            on_hold = incoming.hold;
            match incoming.payload {
                Payload::Fault(RETRY_REQUEST) => continue,
                // Any other fault: the CPE gives this call up (cwmp.md §6.2).
                Payload::Fault(_) => {}
                Payload::Message(message) if message.local.strip_suffix("Response") == Some(method) => {}
                Payload::Message(message) => {
                    self.violation(Rule::Sequence, format!("{} in answer to {method}", message.local));
                    return Err(SessionFailure::Malformed.into());
                }
            }
            self.forget(call);
            break;
        }
        Ok(on_hold)
    }

    fn call_body(&self, call: &Call) -> Option<(&'static str, String)> {
        let style = &self.style;
        let state = self.shared.state.lock();
        Some(match call {
            Call::Transfer(number) => {
                let transfer = state.transfers.iter().find(|transfer| transfer.number == *number)?;
                ("TransferComplete", transfer.complete(style, &self.config.misbehaviour))
            }
            Call::Deployment => ("DUStateChangeComplete", deployment::complete(style, state.deployments.first()?)),
            Call::Other(AcsCall::GetRpcMethods) => ("GetRPCMethods", style.message("GetRPCMethods", |_| {})),
            Call::Other(AcsCall::RequestDownload(file_type)) => {
                let body = style.message("RequestDownload", |writer| {
                    writer.leaf("FileType", file_type);
                    writer.array("FileTypeArg", "cwmp:ArgStruct", 0, |_| {});
                });
                ("RequestDownload", body)
            }
            Call::Other(AcsCall::Kicked([command, referer, arg, next])) => {
                let body = style.message("Kicked", |writer| {
                    writer.leaf("Command", command);
                    writer.leaf("Referer", referer);
                    writer.leaf("Arg", arg);
                    writer.leaf("Next", next);
                });
                ("Kicked", body)
            }
            Call::Other(AcsCall::AutonomousTransferComplete(url)) => {
                let body = style.message("AutonomousTransferComplete", |writer| {
                    writer.leaf("AnnounceURL", "");
                    writer.leaf("TransferURL", url);
                    writer.leaf("IsDownload", "1");
                    writer.leaf("FileType", "1 Firmware Upgrade Image");
                    writer.leaf("FileSize", "0");
                    writer.leaf("TargetFileName", "");
                    writer.open("FaultStruct");
                    writer.leaf("FaultCode", "0");
                    writer.leaf("FaultString", "");
                    writer.close("FaultStruct");
                    writer.leaf("StartTime", &wall_clock().to_string());
                    writer.leaf("CompleteTime", &wall_clock().to_string());
                });
                ("AutonomousTransferComplete", body)
            }
        })
    }

    /// The call was answered: what it told is delivered.
    fn forget(&self, call: &Call) {
        let mut state = self.shared.state.lock();
        match call {
            Call::Transfer(number) => state.transfer_reported(*number, Instant::now()),
            Call::Deployment => {
                if !state.deployments.is_empty() {
                    state.deployments.remove(0);
                }
            }
            Call::Other(call) => state.calls.retain(|pending| pending != call),
        }
    }

    async fn say_nothing(&mut self) -> Result<Received, Stop> {
        if self.config.has(&Misbehaviour::BlankPost) {
            self.post(Some(" \r\n")).await
        } else if self.config.has(&Misbehaviour::EmptyEnvelope) {
            let envelope = self.style.envelope("", "");
            self.post(Some(&envelope)).await
        } else {
            self.post(None).await
        }
    }

    /// Executes a request of the ACS, and sends the answer.
    async fn serve(&mut self, text: &str, on_hold: &mut bool) -> Result<Received, Stop> {
        let incoming = self.read(text)?;
        *on_hold = incoming.hold;
        let request = match incoming.payload {
            Payload::Message(message) if !message.local.ends_with("Response") => message,
            Payload::Message(message) => {
                self.violation(Rule::Sequence, format!("{} in answer to nothing", message.local));
                return Err(SessionFailure::Malformed.into());
            }
            Payload::Fault(code) => {
                self.violation(Rule::Sequence, format!("fault {code} in answer to nothing"));
                return Err(SessionFailure::Malformed.into());
            }
        };
        if self.report.rpcs.len() >= RPCS_MAX {
            return Err(SessionFailure::Malformed.into());
        }
        let is_first = self.report.rpcs.is_empty();
        let nth = self.count(&request);
        let matches = |method: &str, which: u32| method == request.local && (which == 0 || which == nth);
        let habits = &self.config.misbehaviour;
        if habits.iter().any(|h| matches!(h, Misbehaviour::DropBefore { method, nth } if matches(method, *nth))) {
            self.report.rpcs.push(ServedRpc { method: request.local.to_owned(), arguments: Vec::new(), fault: None });
            return Err(Stop::Abandoned);
        }
        let answer = rpc::serve(&mut self.shared.state.lock(), &self.style, &request, Instant::now());
        self.report.rpcs.push(answer.served);
        let mut body = answer.body;
        let mut id = incoming.id;
        for habit in habits {
            match habit {
                Misbehaviour::DropAfter { method, nth } if matches(method, *nth) => return Err(Stop::Abandoned),
                Misbehaviour::AnswerLate(delay) => tokio::time::sleep(*delay).await,
                Misbehaviour::WrongId => id = Some("wrong".to_owned()),
                Misbehaviour::MissingId => id = None,
                Misbehaviour::EmptyAnswer if is_first => return self.post(None).await,
                Misbehaviour::StaleResponse if is_first => {
                    id = Some("stale".to_owned());
                    let other = if request.local == "Reboot" { "FactoryResetResponse" } else { "RebootResponse" };
                    body = self.style.message(other, |_| {});
                }
                _ => {}
            }
        }
        let envelope = self.style.envelope(&self.style.id_header(id.as_deref()), &body);
        self.post(Some(&envelope)).await
    }

    /// Which request of its method this is, from 1.
    fn count(&self, request: &Element<'_>) -> u32 {
        let Some(method) = schema::known_method(request.local) else { return 0 };
        let mut state = self.shared.state.lock();
        let seen = state.seen.entry(method).or_default();
        *seen += 1;
        *seen
    }

    fn read<'t>(&mut self, text: &'t str) -> Result<Incoming<'t>, Stop> {
        if self.config.keep_messages {
            self.report.messages.push(text.to_owned());
        }
        let read = soap::read(text, self.config.version, &mut self.report.violations);
        let incoming = read.map_err(|_| Stop::Failed(SessionFailure::Malformed))?;
        if self.informed && incoming.chosen_version.is_some() {
            self.violation(Rule::Header, "UseCWMPVersion outside an InformResponse".to_owned());
        }
        Ok(incoming)
    }

    fn check_id(&mut self, found: Option<&str>, sent: &str) {
        if found != Some(sent) {
            self.violation(Rule::Header, format!("the ID {found:?} answers a request with ID {sent:?}"));
        }
    }

    fn fresh_id(&mut self) -> String {
        self.next_id += 1;
        self.next_id.to_string()
    }

    fn violation(&mut self, rule: Rule, detail: String) {
        self.report.violations.push(Violation { rule, detail });
    }
}
