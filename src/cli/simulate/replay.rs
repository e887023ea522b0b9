//! `acsd simulate --replay`: recorded sessions, played again.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::{SimulateArgs, acs_uri, credentials, trust};
use crate::simulator::{ReplayConfig, ReplayReport, load_recorded, replay};

/// How long to wait for an answer to a POST.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Plays the sessions one after the other, and prints what was not as recorded.
///
/// # Errors
/// When there is nothing to play, or the arguments cannot be carried out.
pub(super) async fn run(folder: &Path, args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    acs_uri(args)?;
    let config = ReplayConfig {
        acs_url: args.acs_url.clone(),
        credentials: credentials(args),
        tls: trust(args)?,
        response_timeout: RESPONSE_TIMEOUT,
    };
    let sessions = {
        let folder = folder.to_owned();
        tokio::task::spawn_blocking(move || load_recorded(&folder)).await??
    };
    let mut reports = Vec::with_capacity(sessions.len());
    for session in &sessions {
        let report = replay(session, &config).await;
        if !args.json {
            write!(std::io::stdout(), "{}", Text(&report))?;
        }
        reports.push(report);
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &reports)?;
        writeln!(out)?;
    } else {
        let held = reports.iter().filter(|report| report.was_held()).count();
        let same = reports.iter().filter(|report| report.is_as_recorded()).count();
        writeln!(out, "{} sessions: {held} held, {same} as recorded", reports.len())?;
    }
    let all_held = reports.iter().all(ReplayReport::was_held);
    Ok(if all_held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A report as people read it.
struct Text<'a>(&'a ReplayReport);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        let list = |methods: &[String]| if methods.is_empty() { "nothing".to_owned() } else { methods.join(", ") };
        match &report.failure {
            Some(failure) => writeln!(f, "{}: not held: {failure}", report.session)?,
            None => writeln!(f, "{}: held in {} POSTs", report.session, report.posts)?,
        }
        if report.recorded == report.asked {
            writeln!(f, "  the ACS asked as recorded: {}", list(&report.asked))?;
        } else {
            writeln!(f, "  the ACS asked when recorded: {}", list(&report.recorded))?;
            writeln!(f, "  the ACS asked now:           {}", list(&report.asked))?;
        }
        for difference in &report.differences {
            writeln!(f, "  {difference}")?;
        }
        Ok(())
    }
}
