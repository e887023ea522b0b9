//! What cannot work, and what works but should be known.

use crate::acs::gate::{AuthMode, OnboardingMode};
use crate::health::HISTORY_POINTS_MAX;
use crate::telemetry::{LogFormat, parse_filter};
use crate::tls::ReloadableTls;
use crate::webhooks::read_authorities;

use super::{Config, Problem};

/// Most entries of a log: to look through so many in memory takes some 20 ms.
const LOG_MAX: u64 = 10_000_000;

/// Finds everything that cannot work.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    let mut problem = |place: &str, words: String| problems.push(Problem::new(place, words));
    let cwmp = &config.cwmp;
    if cwmp.onboarding_username.is_some() != cwmp.onboarding_password.is_some() {
        problem("cwmp.onboarding_username / cwmp.onboarding_password", "one is given without the other".to_owned());
    }
    if cwmp.onboarding_username.as_deref().is_some_and(|name| name.is_empty() || name.contains(['"', ':', '\\'])) {
        problem("cwmp.onboarding_username", "may not be empty nor contain quotes, colons or backslashes".to_owned());
    }
    if cwmp.onboarding_password.as_ref().is_some_and(|password| password.expose().is_empty()) {
        problem("cwmp.onboarding_password", "may not be empty".to_owned());
    }
    for words in cwmp.limits.problems() {
        problem("cwmp.limits", words);
    }
    for (key, words) in config.files.problems() {
        problem(&format!("files.{key}"), words);
    }
    for (place, value) in counts(config) {
        if value == 0 {
            problem(place, "must be at least 1".to_owned());
        }
    }
    // Both are filtered in memory.
    for (place, entries) in [("events.max", config.events.max), ("events.audit_max", config.events.audit_max)] {
        if entries > LOG_MAX {
            problem(place, format!("may be at most {LOG_MAX}"));
        }
    }
    if !(4..=HISTORY_POINTS_MAX).contains(&config.health.history_points) {
        problem("health.history_points", format!("must be from 4 to {HISTORY_POINTS_MAX}"));
    }
    check_texts(config, &mut problem);
}

/// What is a text to be read, or names files that have to be there.
fn check_texts(config: &Config, problem: &mut impl FnMut(&str, String)) {
    if let Some(token) = &config.api.admin_token
        && token.expose().chars().count() < 16
    {
        problem("api.admin_token", "must have at least 16 characters".to_owned());
    }
    if let Some(url) = &config.public_url
        && !(url.starts_with("http://") || url.starts_with("https://"))
    {
        problem("public_url", format!("{url:?} does not start with http:// or https://"));
    }
    if let Err(error) = parse_filter(&config.log.filter) {
        problem("log.filter", error.to_string());
    }
    if let Err(error) = config.log.format.parse::<LogFormat>() {
        problem("log.format", error.to_string());
    }
    if let Some(path) = &config.webhooks.ca_file
        && let Err(error) = read_authorities(path)
    {
        problem("webhooks.ca_file", crate::telemetry::chain(&error));
    }
    if let Some(tls) = &config.tls
        && let Err(error) = ReloadableTls::load(&tls.certificate, &tls.key)
    {
        problem("tls", crate::telemetry::chain(&error));
    }
}

/// What has to be at least 1.
fn counts(config: &Config) -> [(&'static str, usize); 33] {
    let cwmp = &config.cwmp;
    [
        ("cwmp.max_sessions", cwmp.max_sessions),
        ("cwmp.max_exchanges", cwmp.max_exchanges),
        ("cwmp.max_parameters", cwmp.max_parameters),
        ("cwmp.max_xml_depth", cwmp.max_xml_depth),
        ("cwmp.fallback_interval_secs", wide(cwmp.fallback_interval_secs)),
        ("api.limits.body_limit_bytes", config.api.limits.body_limit_bytes),
        ("api.limits.import_line_bytes", config.api.limits.import_line_bytes),
        ("connection_request.concurrency", config.connection_request.concurrency),
        ("transactions.attempts", wide(config.transactions.attempts)),
        ("transactions.batch", config.transactions.batch),
        ("transactions.discoveries_max", config.transactions.discoveries_max),
        ("events.retention_days", wide(config.events.retention_days)),
        ("events.max", wide(config.events.max)),
        ("events.audit_retention_days", wide(config.events.audit_retention_days)),
        ("events.audit_max", wide(config.events.audit_max)),
        ("health.entries_per_device", config.health.entries_per_device),
        ("health.entry_retention_days", wide(config.health.entry_retention_days)),
        ("health.checks_per_second", config.health.checks_per_second),
        ("health.checks_at_once", config.health.checks_at_once),
        ("health.history_retention_days", wide(config.health.history_retention_days)),
        ("health.history_spacing_secs", wide(config.health.history_spacing_secs)),
        ("webhooks.timeout_secs", wide(config.webhooks.timeout_secs)),
        ("webhooks.lanes", config.webhooks.lanes),
        ("webhooks.retry_first_ms", wide(config.webhooks.retry_first_ms)),
        ("webhooks.retry_max_secs", wide(config.webhooks.retry_max_secs)),
        ("webhooks.give_up_after_hours", wide(config.webhooks.give_up_after_hours)),
        ("campaigns.concurrency", wide(config.campaigns.concurrency)),
        ("campaigns.slot_timeout_secs", wide(config.campaigns.slot_timeout_secs)),
        ("campaigns.device_timeout_secs", wide(config.campaigns.device_timeout_secs)),
        ("traces.message_max_bytes", config.traces.message_max_bytes),
        ("traces.session_max_bytes", config.traces.session_max_bytes),
        ("sled.history_max", config.sled.history_max),
        ("sled.queue_max", config.sled.queue_max),
    ]
}

/// Whatever does not fit is not 0.
fn wide(value: impl TryInto<usize>) -> usize {
    value.try_into().unwrap_or(usize::MAX)
}

/// Things that work but that an operator should know.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.cwmp.auth == AuthMode::Basic {
        warnings.push(format!(
            "cwmp.auth = \"basic\": passwords of CPEs travel in clear over {} (HTTP)",
            config.cwmp.listen
        ));
    }
    if config.cwmp.auth == AuthMode::None {
        warnings.push("cwmp.auth = \"none\": anyone can pose as any CPE".to_owned());
    }
    if config.cwmp.onboarding == OnboardingMode::Open {
        warnings.push("cwmp.onboarding = \"open\": unknown CPEs are let in unchallenged once".to_owned());
    }
    if !config.api.listen.ip().is_loopback() && config.tls.is_none() {
        warnings.push(format!("the API on {} is plain HTTP: tokens travel in clear", config.api.listen));
    }
    warnings
}
