//! The house's floors: who may import whom, which crates are named where, and how big a file may be.
//!
//! A module imports lower ranks and itself, nothing else; two of one rank do not know each other. Where the ranks differ
//! from a plain reading of the layout, the reasons are:
//! - `model` stands above `cwmp::{message, version}`: a device's state keeps what the device speaks, and `model::learn` is
//!   taught by an Inform as decoded.
//! - `telemetry` stands above `store`: a scrape shows the store's figures. Nothing below the edges imports it; what the
//!   services count, they count through the `metrics` macros.
//! - `devices::edit` stands above the rest of `devices` and above `connreq` and `tasks`: an operator's change to a device
//!   schedules the work that brings it to the device. Nothing but the API calls it.
//! - `connreq` stands above `devices`: a woken device is awaited at `devices::presence`.
//! - `cli` stands above `app`: a subcommand builds the daemon, never the other way round.
//! - `simulator` shares `types`, `telemetry` and the `clock` (nothing else may ask the operating system for the time) with
//!   the server and no more, so that a mistake cannot cancel itself out.

use std::fs;
use std::path::{Path, PathBuf};

/// Rank and modules; the longest prefix of a path decides.
const LAYERS: [(u32, &[&str]); 25] = [
    (0, &["types"]),
    (10, &["cwmp", "cwmp::message", "cwmp::fault", "cwmp::version", "cwmp::emission"]),
    (10, &["auth"]),
    (10, &["clock"]),
    (10, &["tls"]),
    (15, &["model"]),
    (20, &["cwmp::codec"]),
    (20, &["cwmp::session"]),
    (20, &["store"]),
    (25, &["telemetry"]),
    (28, &["events"]),
    (28, &["files"]),
    (28, &["diagnostics"]),
    (30, &["devices"]),
    (32, &["connreq"]),
    (34, &["tasks"]),
    (36, &["devices::edit", "devices::inventory", "devices::keeper"]),
    (36, &["webhooks"]),
    (36, &["health"]),
    (38, &["campaigns"]),
    (40, &["acs"]),
    (40, &["api"]),
    (50, &["config"]),
    (60, &["app"]),
    (62, &["cli"]),
];
/// All that the simulator may import of the server.
const SIMULATOR_MAY: [&str; 4] = ["simulator", "types", "telemetry", "clock"];
/// What the simulator may be imported by.
const SIMULATED_BY: [&str; 3] = ["simulator", "app", "cli"];

const LINES_MAX: usize = 800;

struct Source {
    /// Below the crate's folder.
    path: String,
    text: String,
}

impl Source {
    /// Without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap_or("")))
    }

    /// `tasks::plan::get` of `src/tasks/plan/get.rs`.
    fn module(&self) -> String {
        self.path.trim_start_matches("src/").trim_end_matches(".rs").replace('/', "::")
    }

    fn is_in(&self, folder: &str) -> bool {
        self.path == format!("src/{folder}.rs") || self.path.starts_with(&format!("src/{folder}/"))
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("readable");
                let below = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
                found.push(Source { path: below, text });
            }
        }
    }
    found
}

/// The layer of a module: its place in the table and its rank.
fn layer(module: &str) -> Option<(usize, u32)> {
    let fits = |prefix: &str| module == prefix || module.starts_with(&format!("{prefix}::"));
    let all = LAYERS.iter().enumerate();
    let matches = all.flat_map(|(place, (rank, prefixes))| {
        prefixes.iter().filter(|prefix| fits(prefix)).map(move |prefix| (prefix.len(), place, *rank))
    });
    matches.max().map(|(_, place, rank)| (place, rank))
}

/// Every `crate::a::b` on a line, as `a::b`.
fn imports(code: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let named = |(at, token): (usize, &str)| {
        let is_word = code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
        let rest = &code[at + token.len()..];
        let path: String = rest.chars().take_while(|c| is_path(*c)).collect();
        (!is_word).then(|| path.trim_end_matches(':').to_owned())
    };
    code.match_indices("crate::").filter_map(named).collect()
}

fn refuse(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn nothing_is_imported_upwards() {
    let mut problems = Vec::new();
    for source in sources("src") {
        let module = source.module();
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let simulated = source.is_in("simulator");
        let own = layer(&module);
        if own.is_none() && !simulated {
            problems.push(format!("{} has no place in the table", source.path));
            continue;
        }
        for (line, code) in source.code() {
            for import in imports(code) {
                let top = import.split("::").next().unwrap_or_default();
                let allowed = if simulated {
                    SIMULATOR_MAY.contains(&top)
                } else if top == "simulator" {
                    SIMULATED_BY.contains(&module.split("::").next().unwrap_or_default())
                } else {
                    match (own, layer(&import)) {
                        (Some((place, rank)), Some((other, below))) => other == place || below < rank,
                        _ => false,
                    }
                };
                if !allowed {
                    problems.push(format!("{}:{line}: {module} imports {import:?}", source.path));
                }
            }
        }
    }
    refuse(&problems);
}

#[test]
fn files_stay_small_and_have_names() {
    let mut problems = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            problems.push(format!("{} has {lines} lines", source.path));
        }
        let file = source.path.rsplit('/').next().unwrap_or_default();
        if matches!(file, "mod.rs" | "util.rs" | "utils.rs" | "common.rs" | "helpers.rs") {
            problems.push(format!("{}: a function lives with the type it serves", source.path));
        }
    }
    refuse(&problems);
}

/// Whether a crate is named: `sled::` or `use sled;`.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + name.len()..];
        let is_path =
            after.starts_with("::") || (code.trim_start().starts_with("use ") && after.starts_with([';', ' ']));
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '"')) && is_path
    })
}

#[test]
fn crates_are_named_only_where_they_belong() {
    let io = ["tokio", "tokio_util", "tokio_rustls", "hyper", "hyper_util", "axum", "sled"];
    let mut problems = Vec::new();
    for source in sources("src") {
        let is_pure = ["types", "model", "cwmp"].into_iter().any(|folder| source.is_in(folder));
        for (line, code) in source.code() {
            let mut refuse = |name: &str| {
                if names(code, name) {
                    problems.push(format!("{}:{line} names {name}", source.path));
                }
            };
            if !source.is_in("store/sled") {
                refuse("sled");
            }
            if !source.is_in("cwmp/codec") && !source.is_in("simulator") {
                refuse("quick_xml");
            }
            if is_pure {
                for name in io {
                    refuse(name);
                }
            }
        }
    }
    problems.dedup();
    refuse(&problems);
}

#[test]
fn the_clock_alone_asks_the_operating_system_for_the_time() {
    let mut problems = Vec::new();
    for source in sources("src").into_iter().filter(|source| !source.is_in("clock") && !source.is_in("simulator")) {
        for (line, code) in source.code() {
            if ["SystemTime::now", "jiff::Timestamp::now", "Zoned::now"].into_iter().any(|call| code.contains(call)) {
                problems.push(format!("{}:{line} reads the clock", source.path));
            }
        }
    }
    refuse(&problems);
}

#[test]
fn the_reader_of_imports_sees_what_there_is() {
    assert_eq!(imports("use crate::store::{Store, StoreError};"), ["store"]);
    assert_eq!(imports("pub(in crate::store) fn a(b: crate::types::ident::X)"), ["store", "types::ident::X"]);
    assert_eq!(layer("devices::edit::draft").map(|(_, rank)| rank), Some(36));
    assert_eq!(layer("devices::presence").map(|(_, rank)| rank), Some(30));
    assert_eq!(layer("cwmp::message::acs").map(|(_, rank)| rank), Some(10));
    assert!(names("let db = sled::open(path)", "sled") && !names("args.sled_dir", "sled"));
}
