//! Speed tests for real, toward servers on this machine: bytes are streamed and thrown away, times are measured.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode, header};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::finding::{Ending, Finding, Inputs};
use super::network::narrow;
use super::throughput::{
    BROKEN, CANNOT_RESOLVE, Direction, Flow, LOGIN_FAILED, NO_RESPONSE, REFUSED, TIMED_OUT, add_up,
};
use crate::simulator::config::CpeConfig;
use crate::simulator::http::{Connection, HttpError, RequestBody, Target};

/// Connections of one test.
const CONNECTIONS_MAX: u32 = 8;
/// The least that lies between the first byte and the last.
const TICK: Duration = Duration::from_micros(1);

/// What all connections of a test have in common.
#[derive(Debug, Clone)]
struct Plan {
    direction: Direction,
    target: Target,
    /// The test's beginning.
    began: Instant,
    /// A time-based test ends so long after its first data.
    limit: Option<Duration>,
    /// Bytes that each connection uploads.
    bytes: u64,
}

/// Why a connection did not get to its end.
type Failure = &'static [&'static str];

/// Runs the test, all connections at once.
pub(super) async fn run(config: &Arc<CpeConfig>, direction: Direction, inputs: &Inputs, target: Target) -> Finding {
    let limit = inputs.number("TimeBasedTestDuration", 0);
    let plan = Plan {
        direction,
        target,
        began: Instant::now(),
        limit: (limit > 0).then(|| config.scaled(Duration::from_secs(limit))),
        bytes: if limit > 0 { u64::MAX } else { inputs.number("TestFileLength", 0) },
    };
    let count = narrow(inputs.number("NumberOfConnections", 1)).clamp(1, CONNECTIONS_MAX);
    // Ends with this future: dropping the set aborts its tasks.
    let mut connections = JoinSet::new();
    for _ in 0..count {
        let (plan, config) = (plan.clone(), Arc::clone(config));
        connections.spawn(async move {
            let mut flow = Flow::default();
            let failure = transfer(&plan, &config, &mut flow).await.err();
            (flow, failure)
        });
    }
    let mut flows = Vec::new();
    let mut ending = Ending::Success;
    while let Some(joined) = connections.join_next().await {
        match joined {
            Ok((flow, failure)) => {
                flows.push(flow);
                if let Some(states) = failure {
                    ending = Ending::Failed(states);
                }
            }
            Err(_) => ending = Ending::Failed(&["Error_Internal", "Error_TransferFailed", "Error_NoTransferComplete"]),
        }
    }
    flows.sort_by_key(|flow| flow.opened);
    add_up(direction, inputs, &flows, ending, plan.began.elapsed())
}

async fn transfer(plan: &Plan, config: &CpeConfig, flow: &mut Flow) -> Result<(), Failure> {
    let opening = Connection::open(&plan.target, &config.tls);
    let mut connection = match tokio::time::timeout(config.response_timeout, opening).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(HttpError::Url)) => return Err(CANNOT_RESOLVE),
        Ok(Err(_)) => return Err(REFUSED),
        Err(_) => return Err(NO_RESPONSE),
    };
    let since = |moment: Instant| moment.duration_since(plan.began);
    flow.opened = Some((since(connection.opened.0), since(connection.opened.1)));
    match plan.direction {
        Direction::Download => download(plan, config, &mut connection, flow).await,
        Direction::Upload => upload(plan, config, &mut connection, flow).await,
    }
}

fn request(plan: &Plan, method: Method, body: RequestBody) -> Result<Request<RequestBody>, Failure> {
    let mut builder = Request::builder()
        .method(method)
        .uri(&plan.target.path)
        .header(header::HOST, plan.target.authority())
        .header(header::USER_AGENT, "acsd-simulator");
    if plan.direction == Direction::Upload {
        builder = builder.header(header::CONTENT_TYPE, "application/octet-stream");
        if let Some(length) = body.length() {
            builder = builder.header(header::CONTENT_LENGTH, length);
        }
    }
    builder.body(body).map_err(|_| REFUSED)
}

async fn download(
    plan: &Plan,
    config: &CpeConfig,
    connection: &mut Connection,
    flow: &mut Flow,
) -> Result<(), Failure> {
    let request = request(plan, Method::GET, RequestBody::empty())?;
    flow.request = Some(plan.began.elapsed());
    let head = tokio::time::timeout(config.response_timeout, connection.begin(request)).await;
    let mut answer = head.map_err(|_| NO_RESPONSE)?.map_err(|_| NO_RESPONSE)?;
    check(answer.status)?;
    let first = plan.began.elapsed();
    flow.bytes = head_bytes(&answer.headers);
    flow.data = Some((first, first + TICK));
    let until = plan.limit.map(|limit| Instant::now() + limit);
    loop {
        if until.is_some_and(|until| until <= Instant::now()) {
            return Ok(());
        }
        let piece = tokio::time::timeout(config.response_timeout, connection.next_piece(&mut answer)).await;
        match piece {
            Ok(Ok(Some(piece))) => {
                flow.bytes += u64::try_from(piece.len()).unwrap_or(0);
                flow.data = Some((first, plan.began.elapsed().max(first + TICK)));
            }
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(_)) => return Err(BROKEN),
            Err(_) => return Err(TIMED_OUT),
        }
    }
}

async fn upload(plan: &Plan, config: &CpeConfig, connection: &mut Connection, flow: &mut Flow) -> Result<(), Failure> {
    let until = plan.limit.map(|limit| Instant::now() + limit);
    let (body, sent) = RequestBody::filling(plan.bytes, until);
    let request = request(plan, Method::PUT, body)?;
    flow.request = Some(plan.began.elapsed());
    let mut answering = std::pin::pin!(connection.begin(request));
    let mut seen = 0;
    let answer = loop {
        // The answer comes after the last byte: what must not stand still is the bytes.
        match tokio::time::timeout(config.response_timeout, &mut answering).await {
            Ok(answer) => break answer,
            Err(_) if sent.so_far().is_some_and(|so_far| so_far.bytes > seen) => {
                seen = sent.so_far().map_or(seen, |so_far| so_far.bytes);
            }
            Err(_) => return Err(TIMED_OUT),
        }
    };
    if let Some(so_far) = sent.so_far() {
        let since = |moment: Instant| moment.duration_since(plan.began);
        flow.data = Some((since(so_far.first), since(so_far.last).max(since(so_far.first))));
        flow.bytes = so_far.bytes;
    }
    let answer = answer.map_err(|_| BROKEN)?;
    check(answer.status)?;
    // The last packet is gone when the server has it, not when the kernel took it.
    flow.data = flow.data.map(|(first, _)| (first, plan.began.elapsed().max(first + TICK)));
    Ok(())
}

fn check(status: StatusCode) -> Result<(), Failure> {
    match status {
        StatusCode::UNAUTHORIZED => Err(LOGIN_FAILED),
        status if status.is_success() => Ok(()),
        _ => Err(BROKEN),
    }
}

/// TR-143 counts the headers of the answer too: the status line, `Name: value` and an empty line.
fn head_bytes(headers: &HeaderMap) -> u64 {
    let lines: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    u64::try_from(lines + "HTTP/1.1 200 OK\r\n\r\n".len()).unwrap_or(0)
}
