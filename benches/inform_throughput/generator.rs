//! The generator: a fleet in a closed loop.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cpe::{self, Connection, Device, Failure, Reason};
use crate::protocol::{self, Auth, Round, ToGenerator, Workload};

/// Of all devices, by what their ACS asks for: each remembers the login that it was given.
struct Fleets {
    open: Vec<Device>,
    digest: Vec<Device>,
}

impl Fleets {
    fn of(&mut self, auth: Auth) -> &mut Vec<Device> {
        match auth {
            Auth::None => &mut self.open,
            Auth::Digest => &mut self.digest,
        }
    }
}

/// What the CPEs are to do.
#[derive(Debug, Clone, Copy)]
struct Plan {
    target: SocketAddr,
    reason: Reason,
    keeps_connections: bool,
    /// Calls that each session has to bring; `None`: any number.
    calls: Option<usize>,
    until: Until,
}

#[derive(Debug, Clone, Copy)]
enum Until {
    /// The time is over.
    Deadline(Instant),
    /// Each device has had a session.
    OnceEach,
}

/// What one CPE's loop has seen.
#[derive(Default)]
struct Seen {
    micros: Vec<u64>,
    failures: Vec<Failure>,
    bytes: u64,
}

pub fn run(devices: usize) {
    // The server needs the other half of the processors.
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2).max(1);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("a runtime");
    let fleet = || (0..devices).map(Device::new).collect();
    let mut fleets = Fleets { open: fleet(), digest: fleet() };
    protocol::serve(|command: ToGenerator| match command {
        ToGenerator::Register { target, auth, cpes } => {
            let plan = Plan {
                target,
                reason: Reason::FirstContact,
                keeps_connections: false,
                calls: None,
                until: Until::OnceEach,
            };
            round(&runtime, fleets.of(auth), plan, cpes)
        }
        ToGenerator::Run { target, workload, cpes, seconds } => {
            let until = match workload {
                Workload::Get => Until::OnceEach,
                Workload::Periodic | Workload::PeriodicKeepAlive | Workload::PeriodicDigest => {
                    Until::Deadline(Instant::now() + Duration::from_secs(seconds))
                }
            };
            let plan = Plan {
                target,
                reason: Reason::Periodic,
                keeps_connections: workload.keeps_connections(),
                calls: Some(workload.calls()),
                until,
            };
            round(&runtime, fleets.of(workload.auth()), plan, cpes)
        }
    });
}

fn round(runtime: &Runtime, fleet: &mut Vec<Device>, plan: Plan, cpes: usize) -> Round {
    let share = fleet.len().div_ceil(cpes);
    let begun = Instant::now();
    let mut seen = Seen::default();
    runtime.block_on(async {
        let mut loops = JoinSet::new();
        let mut cpe = 0_u16;
        // Handed out and gathered again in order: a device keeps its place in the fleet.
        while !fleet.is_empty() {
            let rest = fleet.split_off(share.min(fleet.len()));
            let [high, low] = cpe.to_be_bytes();
            let address = Ipv4Addr::new(127, 1 + high, low, 1);
            loops.spawn(hold_sessions(std::mem::replace(fleet, rest), cpe, address, plan));
            cpe += 1;
        }
        let mut shares = Vec::new();
        while let Some(ended) = loops.join_next().await {
            let (cpe, devices, part) = ended.expect("a CPE does not panic");
            shares.push((cpe, devices));
            seen.micros.extend(part.micros);
            seen.failures.extend(part.failures);
            seen.bytes += part.bytes;
        }
        shares.sort_by_key(|(cpe, _)| *cpe);
        fleet.extend(shares.into_iter().flat_map(|(_, devices)| devices));
    });
    let micros = micros_since(begun);
    seen.micros.sort_unstable();
    let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    Round {
        sessions: count(seen.micros.len()),
        failed: count(seen.failures.len()),
        failure: seen.failures.into_iter().next(),
        micros,
        p50_micros: per_mille(&seen.micros, 500),
        p99_micros: per_mille(&seen.micros, 990),
        p999_micros: per_mille(&seen.micros, 999),
        bytes: seen.bytes,
    }
}

/// One CPE's loop: its devices in turn, one session after the other.
async fn hold_sessions(mut devices: Vec<Device>, cpe: u16, from: Ipv4Addr, plan: Plan) -> (u16, Vec<Device>, Seen) {
    let mut seen = Seen::default();
    let mut kept = None;
    let mut at = 0;
    loop {
        match plan.until {
            Until::Deadline(deadline) if Instant::now() >= deadline => break,
            Until::OnceEach if at >= devices.len() => break,
            Until::Deadline(_) | Until::OnceEach => {}
        }
        let place = at % devices.len();
        at += 1;
        let begun = Instant::now();
        let ended = async {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(from, plan.target).await?,
            };
            let before = connection.received;
            let calls = cpe::session(&mut connection, &mut devices[place], plan.reason).await?;
            if plan.calls.is_some_and(|expected| calls != expected) {
                return Err(format!("{calls} calls in a session"));
            }
            Ok::<_, Failure>((connection, before))
        };
        match ended.await {
            Ok((connection, before)) => {
                seen.micros.push(micros_since(begun));
                seen.bytes += connection.received - before;
                if plan.keeps_connections {
                    kept = Some(connection);
                }
            }
            Err(failure) => {
                seen.failures.push(failure);
                // A server that is down is not to be hammered.
                if seen.failures.len() >= 10 {
                    break;
                }
            }
        }
    }
    (cpe, devices, seen)
}

fn micros_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn per_mille(sorted: &[u64], per_mille: usize) -> u64 {
    sorted.get(sorted.len() * per_mille / 1000).or(sorted.last()).copied().unwrap_or(0)
}
