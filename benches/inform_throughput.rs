//! Inform throughput: acsd on its embedded store beside a bare hyper responder that answers the same bytes, in one run.
//!
//! ```text
//! cargo bench --bench inform_throughput -- [--quick] [--json FILE] [--rounds N] [--seconds N] [--cpes N] [--devices N]
//!     [--only WORKLOAD,...] [--dir FOLDER]
//! ```
//!
//! Four processes, all of them this binary: the coordinator, which prints; the ceiling; one acsd that asks for no login
//! and one that asks for HTTP Digest, each with its own store in a temporary folder; and the generator, a closed loop of CPEs
//! over raw TCP on loopback. Servers and generator are apart so that the servers' CPU time and memory are theirs alone. On
//! one machine they share the processors all the same: the ratio of throughputs includes what the generator costs, the
//! ratio of CPU times does not. Read both.
//!
//! Rounds are short and alternate between ceiling and acsd, because machines are noisy; what is printed are medians. The
//! counts (allocations, bytes, syncs per session) do not depend on the machine: they are the figures to keep.
//!
//! `--quick` is for CI: few devices, one round, no statement about speed, but every session has to succeed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a bench prints, and fails by panicking"
)]
#![allow(clippy::allow_attributes, reason = "as above")]

#[path = "inform_throughput/allocator.rs"]
mod allocator;
#[path = "inform_throughput/ceiling.rs"]
mod ceiling;
#[path = "inform_throughput/coordinator.rs"]
mod coordinator;
#[path = "inform_throughput/cpe.rs"]
mod cpe;
#[path = "inform_throughput/envelopes.rs"]
mod envelopes;
#[path = "inform_throughput/generator.rs"]
mod generator;
#[path = "inform_throughput/options.rs"]
mod options;
#[path = "inform_throughput/protocol.rs"]
mod protocol;
#[path = "inform_throughput/report.rs"]
mod report;
#[path = "inform_throughput/subject.rs"]
mod subject;

use options::{Options, Role};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

fn main() {
    match Options::parse(std::env::args().skip(1)) {
        Role::Coordinator(options) => coordinator::run(&options),
        Role::Ceiling => ceiling::run(),
        Role::Subject { auth, folder } => subject::run(auth, &folder),
        Role::Generator { devices } => generator::run(devices),
    }
}
