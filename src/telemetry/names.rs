//! Names of all metrics, each with what it says.
//!
//! Counters pair what acsd answered with why. Labels are closed sets, each the `as_str` or `label` of an enum; no label is
//! ever a serial number, an address or a path of a device.

use crate::store::{ALARMS, BATCH_SIZE, COMMIT_SECONDS, EVENTS, FLUSHES, SYNCS};

/// File transfers of CPEs that ended, by `direction` (`download`, `upload`) and `result`.
pub const FILE_TRANSFERS: &str = "acsd_file_transfers_total";
/// Bytes of files sent to and received from CPEs, by `direction`.
pub const FILE_BYTES: &str = "acsd_file_bytes_total";
/// File transfers of CPEs under way now, by `direction`.
pub const FILE_TRANSFERS_OPEN: &str = "acsd_file_transfers_open";
/// Requests to the API, by `method`, `route` (the pattern, not the path) and `status`.
pub const API_REQUESTS: &str = "acsd_api_requests_total";
/// CWMP sessions that ended, by `outcome` ([`crate::cwmp::session::Outcome`]).
pub const SESSIONS: &str = "acsd_sessions_total";
/// Events of Informs, by `event` (the code, `X vendor` for vendors' own).
pub const INFORMS: &str = "acsd_informs_total";
/// RPCs sent to CPEs, by `rpc` and `result` (`ok`, `fault`, `mismatch`, `missing`).
pub const RPCS: &str = "acsd_rpcs_total";
/// RPCs that CPEs called, by `rpc` and `result`.
pub const CPE_CALLS: &str = "acsd_cpe_calls_total";
/// Faults that CPEs answered, by `code`.
pub const FAULTS: &str = "acsd_cpe_faults_total";
/// What was refused before it cost much, by `reason`.
pub const REFUSED: &str = "acsd_cwmp_refused_total";
/// Informs that the store was too busy for and that CPEs were told to send again (fault 8005).
pub const INFORM_RETRIES: &str = "acsd_inform_retries_total";
/// Discoveries that had to wait because as many ran as may.
pub const DISCOVERIES_PUT_OFF: &str = "acsd_discoveries_put_off_total";
/// What CPEs sent that was no CWMP, by `kind`.
pub const MALFORMED: &str = "acsd_cwmp_malformed_total";
/// Devices registered under another serial because theirs was taken.
pub const IDENTITY_CONFLICTS: &str = "acsd_identity_conflicts_total";
/// Factory resets that nobody ordered here.
pub const UNORDERED_BOOTSTRAPS: &str = "acsd_unordered_bootstraps_total";
/// Recorded sessions, by `result` (`kept`, `lost`).
pub const TRACES: &str = "acsd_session_traces_total";
/// Connection requests that ended, by `verdict`.
pub const CONNECTION_REQUESTS: &str = "acsd_connection_requests_total";
/// Transactions accepted, by `operation`.
pub const TRANSACTIONS_SCHEDULED: &str = "acsd_transactions_scheduled_total";
/// Transactions ended, by `operation` and `status`.
pub const TRANSACTIONS_ENDED: &str = "acsd_transactions_ended_total";
/// Tries to deliver an event to a webhook, by `result` (`delivered`, `status`, `timeout`, `connection`, `tls`).
pub const WEBHOOK_DELIVERIES: &str = "acsd_webhook_deliveries_total";
/// Health checks that the timer has begun.
pub const HEALTH_CHECKS: &str = "acsd_health_checks_total";
/// Sessions whose values were not kept over time because the writer was behind.
pub const HISTORY_DROPPED: &str = "acsd_history_dropped_total";
/// Devices that campaigns have come to an end with, by `result` (`succeeded`, `failed`, `skipped`).
pub const CAMPAIGN_DEVICES: &str = "acsd_campaign_devices_total";
/// Campaigns that are running.
pub const CAMPAIGNS_RUNNING: &str = "acsd_campaigns_running";
/// Clients that read the event stream now.
pub const EVENT_STREAMS: &str = "acsd_event_streams";
/// Sessions open now.
pub const SESSIONS_OPEN: &str = "acsd_sessions_open";
/// Connections of CPEs open now.
pub const CONNECTIONS: &str = "acsd_cwmp_connections";
/// Registered devices.
pub const DEVICES: &str = "acsd_devices";
/// Devices that are Up.
pub const DEVICES_UP: &str = "acsd_devices_up";
/// Transactions that are neither done nor given up.
pub const QUEUE_DEPTH: &str = "acsd_queue_depth";
/// Age of the oldest of these.
pub const QUEUE_OLDEST: &str = "acsd_queue_oldest_seconds";
/// Bytes of the store on disk.
pub const STORE_BYTES: &str = "acsd_store_disk_bytes";
/// Bytes of keys and values in the store.
pub const STORE_LIVE_BYTES: &str = "acsd_store_live_bytes";
/// Time from an Inform to the end of its session.
pub const SESSION_SECONDS: &str = "acsd_session_seconds";

/// Counters and what they say.
pub const COUNTERS: [(&str, &str); 24] = [
    (FILE_TRANSFERS, "File transfers of CPEs that ended, by direction and result"),
    (FILE_BYTES, "Bytes of files sent to and received from CPEs, by direction"),
    (API_REQUESTS, "Requests to the REST API by method, route and status"),
    (SESSIONS, "CWMP sessions that ended, by outcome"),
    (INFORMS, "Events of Informs, by event code"),
    (RPCS, "RPCs sent to CPEs, by RPC and result"),
    (CPE_CALLS, "RPCs that CPEs called besides Inform, by RPC and result"),
    (FAULTS, "Faults answered by CPEs, by code"),
    (REFUSED, "Requests of CPEs refused early, by reason"),
    (DISCOVERIES_PUT_OFF, "Discoveries that had to wait because as many ran as may"),
    (INFORM_RETRIES, "Informs answered with fault 8005 because the store was busy"),
    (MALFORMED, "POSTs of CPEs that were no CWMP, by kind"),
    (IDENTITY_CONFLICTS, "Devices registered under another serial because theirs was taken"),
    (UNORDERED_BOOTSTRAPS, "Factory resets that were not ordered here"),
    (TRACES, "Recorded sessions, by whether they could be kept"),
    (CONNECTION_REQUESTS, "Connection requests by verdict"),
    (TRANSACTIONS_SCHEDULED, "Transactions accepted, by operation"),
    (TRANSACTIONS_ENDED, "Transactions ended, by operation and final status"),
    (FLUSHES, "Flushes of the store"),
    (EVENTS, "Entries of the event log, by kind"),
    (HEALTH_CHECKS, "Health checks begun by the timer"),
    (HISTORY_DROPPED, "Sessions whose values were not kept over time because the writer was behind"),
    (CAMPAIGN_DEVICES, "Devices that campaigns have come to an end with, by result"),
    (WEBHOOK_DELIVERIES, "Tries to deliver an event to a webhook, by result"),
];

/// Gauges and what they say.
pub const GAUGES: [(&str, &str); 13] = [
    (FILE_TRANSFERS_OPEN, "File transfers of CPEs under way now, by direction"),
    (SESSIONS_OPEN, "CWMP sessions open now"),
    (CONNECTIONS, "TCP connections of CPEs open now"),
    (DEVICES, "Registered devices"),
    (DEVICES_UP, "Devices that are Up"),
    (QUEUE_DEPTH, "Transactions that have not ended"),
    (QUEUE_OLDEST, "Age of the oldest transaction that has not ended, in seconds"),
    (STORE_BYTES, "Bytes of the store on disk"),
    (CAMPAIGNS_RUNNING, "Campaigns that are running"),
    (EVENT_STREAMS, "Clients that read the event stream now"),
    (STORE_LIVE_BYTES, "Bytes of keys and values in the store"),
    (ALARMS, "1 while the store's alarm is raised: wasted_space, side_files"),
    (SYNCS, "Syncs to disk since the start"),
];

/// Histograms and what they say.
pub const HISTOGRAMS: [(&str, &str); 3] = [
    (SESSION_SECONDS, "Length of a CWMP session in seconds"),
    (COMMIT_SECONDS, "Time from handing a durable write to the store until it is on disk, in seconds"),
    (BATCH_SIZE, "Writes that shared one flush"),
];
