//! The coordinator: starts the others, alternates between them, and puts the rounds together.

use std::net::SocketAddr;
use std::path::Path;

use crate::options::Options;
use crate::protocol::{Auth, Figures, FromServer, Process, Round, ToGenerator, ToServer, Workload};
use crate::report::{Counts, Measured, Report, Row};
use crate::{allocator, ceiling};

/// Linux counts processor time in these, whatever the kernel's own tick is (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// A server with its address for each workload.
struct Server {
    process: Process,
    addresses: Vec<SocketAddr>,
}

struct Bench<'o> {
    options: &'o Options,
    generator: Process,
    ceiling: Server,
    open: Option<Server>,
    digest: Option<Server>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Ceiling,
    Acsd,
}

pub fn run(options: &Options) {
    let folder = tempfile::Builder::new().prefix("inform_throughput").tempdir_in(&options.dir).expect("a folder");
    let mut bench = Bench::start(options, folder.path());
    bench.register();
    let mut rounds: Vec<(Workload, Vec<Measured>, Vec<Measured>)> =
        options.workloads.iter().map(|workload| (*workload, Vec::new(), Vec::new())).collect();
    for round in 0..options.rounds {
        for (workload, of_ceiling, of_acsd) in &mut rounds {
            eprintln!("round {} of {}: {}", round + 1, options.rounds, workload.name());
            // Neither side always has the colder machine.
            let order = if round % 2 == 0 { [Side::Ceiling, Side::Acsd] } else { [Side::Acsd, Side::Ceiling] };
            for side in order {
                let measured = bench.measure(*workload, side);
                match side {
                    Side::Ceiling => of_ceiling.push(measured),
                    Side::Acsd => of_acsd.push(measured),
                }
            }
        }
    }
    let rows = rounds
        .into_iter()
        .map(|(workload, of_ceiling, of_acsd)| {
            let counts = [Side::Ceiling, Side::Acsd].map(|side| bench.count(workload, side));
            let [counts_of_ceiling, counts_of_acsd] = counts;
            let (theirs, ours) = (counts_of_ceiling.answered_bytes, counts_of_acsd.answered_bytes);
            assert!((theirs - ours).abs() < 0.5, "{}: {theirs} and {ours} bytes are not the same", workload.name());
            Row {
                workload,
                ceiling: Measured::median(&of_ceiling),
                acsd: Measured::median(&of_acsd),
                counts_of_ceiling,
                counts_of_acsd,
            }
        })
        .collect();
    let report = Report {
        allocator: allocator::NAME,
        cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        rounds: options.rounds,
        seconds: options.seconds,
        cpes: options.cpes,
        devices: options.devices,
        rows,
    };
    report.print();
    if let Some(file) = &options.json {
        std::fs::write(file, report.json()).expect("the JSON file can be written");
    }
    bench.stop();
}

impl<'o> Bench<'o> {
    fn start(options: &'o Options, folder: &Path) -> Self {
        let needs = |auth| options.workloads.iter().any(|workload| workload.auth() == auth);
        let subject = |auth: Auth| {
            let data = folder.join(auth.name());
            let args = ["role:subject", auth.name(), data.to_str().expect("text")];
            needs(auth).then(|| Server::start(&format!("acsd-{}", auth.name()), &args, folder))
        };
        let devices = options.devices.to_string();
        Self {
            options,
            generator: Process::start("generator", &["role:generator", &devices], folder),
            ceiling: Server::start("ceiling", &["role:ceiling"], folder),
            open: subject(Auth::None),
            digest: subject(Auth::Digest),
        }
    }

    /// First contact of every device with every acsd.
    fn register(&mut self) {
        let cpes = self.options.cpes;
        for (auth, server) in [(Auth::None, &mut self.open), (Auth::Digest, &mut self.digest)] {
            let Some(server) = server else { continue };
            let target = server.addresses[0];
            let round = self.generator.ask(&ToGenerator::Register { target, auth, cpes });
            succeeded("registration", &round);
            assert_eq!(server.figures().devices, u64::try_from(self.options.devices).unwrap(), "all are registered");
            eprintln!("{} devices registered ({}) in {} ms", round.sessions, auth.name(), round.micros / 1000);
        }
    }

    fn server(&mut self, workload: Workload, side: Side) -> (&mut Server, SocketAddr) {
        match (side, workload.auth()) {
            (Side::Ceiling, _) => {
                let address = ceiling::address(&self.ceiling.addresses, workload);
                (&mut self.ceiling, address)
            }
            (Side::Acsd, Auth::None) => with_address(self.open.as_mut().expect("started")),
            (Side::Acsd, Auth::Digest) => with_address(self.digest.as_mut().expect("started")),
        }
    }

    /// One round against one of the two.
    fn measure(&mut self, workload: Workload, side: Side) -> Measured {
        let before = self.prepare(workload, side);
        let (server, target) = self.server(workload, side);
        let process = server.process.id();
        let cpu_before = cpu_micros(process);
        let (cpes, seconds) = (self.options.cpes, self.options.seconds);
        let round: Round = self.generator.ask(&ToGenerator::Run { target, workload, cpes, seconds });
        let cpu_after = cpu_micros(process);
        succeeded(workload.name(), &round);
        let (server, _) = self.server(workload, side);
        verify(workload, side, &before, &server.figures(), round.sessions);
        Measured::new(&round, cpu_after.saturating_sub(cpu_before), resident_bytes(process))
    }

    /// One more round in which is counted and not measured.
    fn count(&mut self, workload: Workload, side: Side) -> Counts {
        let before = self.prepare(workload, side);
        let (server, target) = self.server(workload, side);
        server.tell(&ToServer::StartCounting);
        let cpes = self.options.cpes;
        let round: Round = self.generator.ask(&ToGenerator::Run { target, workload, cpes, seconds: 1 });
        succeeded(workload.name(), &round);
        let (server, _) = self.server(workload, side);
        server.tell(&ToServer::StopCounting);
        Counts::new(&round, &before, &server.figures())
    }

    /// Gives every device its work, where the workload has any.
    fn prepare(&mut self, workload: Workload, side: Side) -> Figures {
        let (server, _) = self.server(workload, side);
        if workload == Workload::Get && side == Side::Acsd {
            server.tell(&ToServer::Schedule);
        }
        server.figures()
    }

    fn stop(mut self) {
        for server in [self.open.as_mut(), self.digest.as_mut()].into_iter().flatten() {
            server.tell(&ToServer::Stop);
        }
    }
}

fn with_address(server: &mut Server) -> (&mut Server, SocketAddr) {
    let address = server.addresses[0];
    (server, address)
}

impl Server {
    fn start(name: &str, args: &[&str], folder: &Path) -> Self {
        let mut process = Process::start(name, args, folder);
        let FromServer::Ready { addresses } = process.read() else { panic!("{name} does not say where it is") };
        Self { process, addresses }
    }

    fn tell(&mut self, command: &ToServer) {
        let _: FromServer = self.process.ask(command);
    }

    fn figures(&mut self) -> Figures {
        match self.process.ask(&ToServer::Figures) {
            FromServer::Figures(figures) => figures,
            FromServer::Ready { .. } | FromServer::Done => panic!("a server gives no figures"),
        }
    }
}

fn succeeded(what: &str, round: &Round) {
    let failure = round.failure.as_deref().unwrap_or_default();
    assert_eq!(round.failed, 0, "{what}: {} sessions succeeded, others did not: {failure}", round.sessions);
    assert!(round.sessions > 0, "{what}: no session was held");
}

/// Every `get` that a device answered is a completed transaction on disk.
fn verify(workload: Workload, side: Side, before: &Figures, after: &Figures, sessions: u64) {
    if workload == Workload::Get && side == Side::Acsd {
        assert_eq!(after.completed - before.completed, sessions, "each session completes its transaction");
    }
}

/// User and system time of a process so far (`proc(5)`, `/proc/pid/stat`, fields 14 and 15).
fn cpu_micros(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in parentheses, may contain anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks * 1_000_000 / TICKS_PER_SECOND
}

/// Memory of a process that is in RAM (`VmRSS`).
fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) * 1024
}
