//! What the coordinator and its children tell each other: a line of JSON each way, over the child's standard input and
//! output. A child whose input ends, ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Workload {
    /// `2 PERIODIC`, nothing to do, a TCP connection per session.
    Periodic,
    /// The same, connections kept from session to session.
    PeriodicKeepAlive,
    /// One `get` waits for the device; a TCP connection per session.
    Get,
    /// As [`Periodic`](Self::Periodic), and each session is challenged (HTTP Digest).
    PeriodicDigest,
}

impl Workload {
    pub const ALL: [Self; 4] = [Self::Periodic, Self::PeriodicKeepAlive, Self::Get, Self::PeriodicDigest];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Periodic => "periodic",
            Self::PeriodicKeepAlive => "periodic-keep-alive",
            Self::Get => "get",
            Self::PeriodicDigest => "periodic-digest",
        }
    }

    pub fn parse(name: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|workload| workload.name() == name)
            .unwrap_or_else(|| panic!("no workload is called {name}"))
    }

    pub const fn auth(self) -> Auth {
        match self {
            Self::Periodic | Self::PeriodicKeepAlive | Self::Get => Auth::None,
            Self::PeriodicDigest => Auth::Digest,
        }
    }

    /// Calls of the ACS in one session.
    pub const fn calls(self) -> usize {
        match self {
            Self::Get => 1,
            Self::Periodic | Self::PeriodicKeepAlive | Self::PeriodicDigest => 0,
        }
    }

    pub const fn keeps_connections(self) -> bool {
        matches!(self, Self::PeriodicKeepAlive)
    }
}

/// What an acsd asks CPEs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auth {
    None,
    Digest,
}

impl Auth {
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Digest => "digest",
        }
    }

    pub fn parse(name: &str) -> Self {
        if name == "digest" { Self::Digest } else { Self::None }
    }
}

/// To a server.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToServer {
    /// Put one `get` into every device's queue.
    Schedule,
    /// Count allocations from now on.
    StartCounting,
    /// No longer.
    StopCounting,
    /// How much of everything?
    Figures,
    /// End in good order.
    Stop,
}

/// From a server.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromServer {
    /// Where to call: the ceiling has an address for each workload.
    Ready {
        addresses: Vec<SocketAddr>,
    },
    Done,
    Figures(Figures),
}

/// Counters of a server since it began.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Figures {
    pub allocations: u64,
    pub allocated_bytes: u64,
    /// Syncs that reached the disk.
    pub syncs: u64,
    /// Transactions that have been completed.
    pub completed: u64,
    pub devices: u64,
}

/// To the generator.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToGenerator {
    /// First contact of every device: bootstrap, whatever the ACS wants, and its login.
    Register { target: SocketAddr, auth: Auth, cpes: usize },
    /// Sessions in a closed loop until the time is over; of a `get`, one per device instead.
    Run { target: SocketAddr, workload: Workload, cpes: usize, seconds: u64 },
}

/// From the generator: how it went.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Round {
    pub sessions: u64,
    pub failed: u64,
    /// The first thing that went wrong.
    pub failure: Option<String>,
    pub micros: u64,
    /// Of a session, from its first byte (its connection's first packet, if it has its own) to the end of the 204.
    pub p50_micros: u64,
    pub p99_micros: u64,
    pub p999_micros: u64,
    /// Bytes received.
    pub bytes: u64,
}

/// A child process of the coordinator.
pub struct Process {
    child: Child,
    commands: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    log: std::path::PathBuf,
}

impl Process {
    /// Starts this binary again with other arguments; what it logs goes to a file in `folder`.
    pub fn start(name: &str, args: &[&str], folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let mut child = Command::new(std::env::current_exe().expect("the path of this binary"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("a log file"))
            .spawn()
            .expect("the bench starts itself again");
        let commands = child.stdin.take();
        let replies = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, commands, replies, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line.
    pub fn read<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        if self.replies.read_line(&mut line).unwrap_or(0) == 0 {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            panic!("a process of the bench has ended; the end of its log, last line first:\n{}", tail.join("\n"));
        }
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// A command and its answer.
    pub fn ask<T: DeserializeOwned>(&mut self, command: &impl Serialize) -> T {
        let commands = self.commands.as_mut().expect("still open");
        writeln!(commands, "{}", serde_json::to_string(command).expect("serializes")).expect("the process runs");
        self.read()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.commands.take());
        if std::thread::panicking() {
            self.child.kill().ok();
        }
        self.child.wait().ok();
    }
}

/// The child's side: answers each command.
pub fn serve<C: DeserializeOwned, R: Serialize>(mut answer: impl FnMut(C) -> R) {
    for line in std::io::stdin().lines() {
        let command = serde_json::from_str(&line.expect("text")).expect("a command");
        say(&answer(command));
    }
}

/// The child's side: one line.
pub fn say(reply: &impl Serialize) {
    println!("{}", serde_json::to_string(reply).expect("serializes"));
}
