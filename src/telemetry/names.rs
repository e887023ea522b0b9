//! Names of all metrics, each with what it says; and the label values, closed sets that grow only here.
//!
//! Counters pair what acsd answered with why. No label is ever a serial number, an address or a path of a device.

/// Requests to the API, by `method`, `route` (the pattern, not the path) and `status`.
pub const API_REQUESTS: &str = "acsd_api_requests_total";
/// CWMP sessions that ended, by [`SessionOutcome`] as `outcome`.
pub const SESSIONS: &str = "acsd_sessions_total";
/// Informs that were accepted, by `event` (the code, `vendor` for vendors' own).
pub const INFORMS: &str = "acsd_informs_total";
/// RPCs sent to CPEs and answered, by `rpc` and [`RpcResult`] as `result`.
pub const RPCS: &str = "acsd_rpcs_total";
/// Faults that CPEs answered, by `code`.
pub const FAULTS: &str = "acsd_cpe_faults_total";
/// What was refused before it cost much, by [`Refusal`] as `reason`.
pub const REFUSED: &str = "acsd_cwmp_refused_total";
/// Connection requests that ended, by `verdict`.
pub const CONNECTION_REQUESTS: &str = "acsd_connection_requests_total";
/// Transactions accepted, by `operation`.
pub const TRANSACTIONS_SCHEDULED: &str = "acsd_transactions_scheduled_total";
/// Transactions ended, by `operation` and `status`.
pub const TRANSACTIONS_ENDED: &str = "acsd_transactions_ended_total";
/// Sessions open now.
pub const SESSIONS_OPEN: &str = "acsd_sessions_open";
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
/// Time of one store call, by `call`.
pub const STORE_SECONDS: &str = "acsd_store_call_seconds";
/// Time from an Inform to the end of its session.
pub const SESSION_SECONDS: &str = "acsd_session_seconds";

/// Counters and what they say.
pub const COUNTERS: [(&str, &str); 9] = [
    (API_REQUESTS, "Requests to the REST API by method, route and status"),
    (SESSIONS, "CWMP sessions that ended, by outcome"),
    (INFORMS, "Informs accepted, by event code"),
    (RPCS, "RPCs sent to CPEs, by RPC and result"),
    (FAULTS, "Faults answered by CPEs, by code"),
    (REFUSED, "Requests of CPEs refused early, by reason"),
    (CONNECTION_REQUESTS, "Connection requests by verdict"),
    (TRANSACTIONS_SCHEDULED, "Transactions accepted, by operation"),
    (TRANSACTIONS_ENDED, "Transactions ended, by operation and final status"),
];

/// Gauges and what they say.
pub const GAUGES: [(&str, &str); 6] = [
    (SESSIONS_OPEN, "CWMP sessions open now"),
    (DEVICES, "Registered devices"),
    (DEVICES_UP, "Devices that are Up"),
    (QUEUE_DEPTH, "Transactions that have not ended"),
    (QUEUE_OLDEST, "Age of the oldest transaction that has not ended, in seconds"),
    (STORE_BYTES, "Bytes of the store on disk"),
];

/// Histograms and what they say.
pub const HISTOGRAMS: [(&str, &str); 2] = [
    (STORE_SECONDS, "Time of a store call in seconds, by call"),
    (SESSION_SECONDS, "Length of a CWMP session in seconds"),
];

/// A closed set of label values.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// The label's value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }
    };
}

label! {
    /// How a session ended.
    SessionOutcome {
        /// As TR-069 has it: nothing was left to do.
        Completed = "completed",
        /// A newer Inform of the same device took its place.
        Superseded = "superseded",
        /// The CPE went silent.
        TimedOut = "timed_out",
        /// The CPE broke the protocol.
        OutOfTurn = "out_of_turn",
        /// acsd stopped.
        Stopped = "stopped",
        /// acsd failed.
        Failed = "failed",
    }
}

label! {
    /// What became of an RPC.
    RpcResult {
        /// Answered.
        Answered = "answered",
        /// Answered with a fault.
        Fault = "fault",
        /// The answer never came.
        Unknown = "unknown",
    }
}

label! {
    /// Why something was refused before it cost much.
    Refusal {
        /// Too many sessions.
        Sessions = "sessions",
        /// Too many sockets in all.
        Sockets = "sockets",
        /// Too many sockets of one address.
        SocketsPerAddress = "sockets_per_address",
        /// Too many failed logins of one address.
        Logins = "logins",
        /// Wrong or missing credentials.
        Unauthorized = "unauthorized",
        /// A body or header over its limit.
        TooLarge = "too_large",
        /// Slower than the limit for a whole request.
        TooSlow = "too_slow",
        /// No CWMP.
        Malformed = "malformed",
        /// Overload: a periodic Inform without work.
        IdlePeriodic = "idle_periodic",
        /// acsd is stopping.
        Draining = "draining",
    }
}
