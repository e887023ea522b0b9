//! What the bench is told, and which of its processes this one is.

use std::path::PathBuf;

use crate::protocol::{Auth, Workload};

/// What this process does.
pub enum Role {
    /// Starts the others, measures, prints.
    Coordinator(Options),
    /// Answers without looking.
    Ceiling,
    /// acsd.
    Subject { auth: Auth, folder: PathBuf },
    /// Plays the CPEs.
    Generator { devices: usize },
}

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Options {
    pub rounds: usize,
    pub seconds: u64,
    /// Sessions held at the same time.
    pub cpes: usize,
    /// Devices registered.
    pub devices: usize,
    pub json: Option<PathBuf>,
    /// Where the stores are.
    pub dir: PathBuf,
    pub workloads: Vec<Workload>,
}

impl Options {
    /// Reads the command line. `cargo bench` adds `--bench`, which means nothing here.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Role {
        let mut options = Self {
            rounds: 5,
            seconds: 3,
            cpes: 256,
            devices: 8_192,
            json: std::env::var_os("ACSD_BENCH_JSON").map(PathBuf::from),
            dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
            workloads: Workload::ALL.to_vec(),
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
            let mut number = || value().parse::<usize>().unwrap_or_else(|error| panic!("{arg}: {error}"));
            match arg.as_str() {
                "--quick" => {
                    options.rounds = 1;
                    options.seconds = 1;
                    options.cpes = 64;
                    options.devices = 512;
                }
                "--rounds" => options.rounds = number().max(1),
                "--seconds" => options.seconds = u64::try_from(number().max(1)).unwrap(),
                "--cpes" => options.cpes = number().clamp(1, 16_000),
                "--devices" => options.devices = number(),
                "--json" => options.json = Some(value().into()),
                "--dir" => options.dir = value().into(),
                "--only" => options.workloads = value().split(',').map(Workload::parse).collect(),
                "role:ceiling" => return Role::Ceiling,
                "role:subject" => return Role::Subject { auth: Auth::parse(&value()), folder: value().into() },
                "role:generator" => return Role::Generator { devices: number() },
                "--bench" => {}
                other => panic!("what is {other:?}?"),
            }
        }
        // A device is in one session at a time.
        options.devices = options.devices.max(options.cpes);
        Role::Coordinator(options)
    }
}
