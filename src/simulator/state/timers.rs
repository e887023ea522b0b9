//! When a CPE does something by itself: periodic Informs, retries, reboots, and what sessions leave behind.

use std::time::Duration;

use tokio::time::Instant;

use super::{Firmware, State};
use crate::simulator::config::Autonomy;
use crate::simulator::report::Event;
use crate::simulator::transfer::Transfer;
use crate::types::event::EventCode;
use crate::types::value::parse_boolean;

/// What a timer that went off asks for.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::simulator) enum Due {
    /// Nothing yet.
    Nothing,
    /// Open a session.
    Session,
}

impl State {
    pub(in crate::simulator) const fn is_away(&self) -> bool {
        self.away_until.is_some()
    }

    pub(in crate::simulator) fn want_session(&mut self, at: Instant) {
        self.wanted_at = Some(self.wanted_at.map_or(at, |already| already.min(at)));
    }

    /// A connection request was accepted: event 6, and a session at once, also in the middle of a retry wait.
    pub(in crate::simulator) fn connection_requested(&mut self, now: Instant) {
        self.push_event(Event::plain(EventCode::ConnectionRequest));
        self.want_session(now);
    }

    /// When something is due, if ever.
    pub(in crate::simulator) fn next_due(&self) -> Option<Instant> {
        if self.away_until.is_some() {
            return self.away_until;
        }
        let transfers = self.next_transfer_due();
        let informs = self.scheduled.iter().map(|inform| inform.due);
        let timers = informs.chain(transfers).chain(self.next_periodic);
        let session = self.wanted_at.into_iter().chain(self.retry_at);
        if self.config.autonomy == Autonomy::OnDemand { timers.min() } else { timers.chain(session).min() }
    }

    /// Moves what is due by `now` into events, and says what to do.
    pub(in crate::simulator) fn fire(&mut self, now: Instant) -> Due {
        if let Some(back) = self.away_until {
            if back > now {
                return Due::Nothing;
            }
            self.away_until = None;
            self.want_session(now);
        }
        if self.next_periodic.is_some_and(|due| due <= now) {
            self.push_event(Event::plain(EventCode::Periodic));
            self.reschedule_periodic(now);
            self.want_session(now);
        }
        let (due, later) = std::mem::take(&mut self.scheduled).into_iter().partition(|inform| inform.due <= now);
        self.scheduled = later;
        for inform in due {
            self.push_event(Event::plain(EventCode::Scheduled));
            self.push_event(Event::keyed(EventCode::MScheduleInform, inform.command_key));
            self.want_session(now);
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if self.config.autonomy != Autonomy::OnDemand && (is_due(self.wanted_at) || is_due(self.retry_at)) {
            return Due::Session;
        }
        Due::Nothing
    }

    /// Follows `PeriodicInformEnable` and `PeriodicInformInterval` from `now` on.
    pub(in crate::simulator) fn reschedule_periodic(&mut self, now: Instant) {
        let is_enabled = parse_boolean(&self.management("PeriodicInformEnable")) == Some(true);
        let interval = u64::from(self.management_number("PeriodicInformInterval", 0));
        self.next_periodic =
            (is_enabled && interval > 0).then(|| now + self.config.scaled(Duration::from_secs(interval)));
    }

    /// A session begins: whatever wanted one is served. `false` when the CPE is away, and holds none.
    pub(in crate::simulator) fn session_begins(&mut self) -> bool {
        if self.is_away() {
            return false;
        }
        self.wanted_at = None;
        self.retry_at = None;
        self.in_session = true;
        self.has_fresh_result = false;
        true
    }

    /// A session failed: the retry policy of TR-069 §3.2.1.1.
    pub(in crate::simulator) fn session_failed(&mut self, now: Instant) {
        self.last_session_end = Some(now);
        self.in_session = false;
        // Not delivered again (TR-069 §3.2.2).
        self.events.retain(|event| event.code != EventCode::ConnectionRequest);
        self.retry_count = self.retry_count.saturating_add(1);
        let wait = self.retry_wait(self.retry_count);
        self.retry_at = Some(now + self.config.scaled(wait));
        // These wait for the session's end, not for its success.
        if let Some(firmware) = self.after_session.install.take() {
            self.install_firmware(firmware, now);
        } else if std::mem::take(&mut self.after_session.crash) {
            self.reboot(&[], now);
        }
    }

    /// A random time from `m (k/1000)^(n-1)` to `m (k/1000)^n` seconds; `n` stops growing at 10.
    pub(in crate::simulator) fn retry_wait(&self, retry: u32) -> Duration {
        let m = f64::from(self.management_number("CWMPRetryMinimumWaitInterval", 5));
        let k = f64::from(self.management_number("CWMPRetryIntervalMultiplier", 2000)) / 1000.0;
        let n = i32::try_from(retry.clamp(1, 10)).unwrap_or(10);
        let (low, high) = (m * k.powi(n - 1), m * k.powi(n));
        Duration::try_from_secs_f64(low + fastrand::f64() * (high - low)).unwrap_or(Duration::from_secs(5120))
    }

    /// A session ended well: reboots and resets that it asked for begin; anything undelivered asks for the next.
    pub(in crate::simulator) fn session_completed(&mut self, now: Instant) {
        self.last_session_end = Some(now);
        self.in_session = false;
        let after = std::mem::take(&mut self.after_session);
        if after.factory_reset {
            self.factory_reset();
            self.reboot(&[], now);
        } else if after.crash || !after.reboot.is_empty() {
            self.reboot(&after.reboot, now);
        }
        if let Some(firmware) = after.install.filter(|_| !after.factory_reset) {
            self.install_firmware(firmware, now);
        }
        let has_more = !self.events.is_empty() || !self.calls.is_empty() || !self.deployments.is_empty();
        if has_more || self.transfers.iter().any(Transfer::is_done) {
            self.want_session(now);
        }
    }

    /// Goes away; comes back with `1 BOOT`, and with `M Reboot` for each key (TR-069 A.3.2.9).
    pub(in crate::simulator) fn reboot(&mut self, command_keys: &[String], now: Instant) {
        self.events.retain(|event| event.code != EventCode::ConnectionRequest);
        self.drop_tests();
        self.push_event(Event::plain(EventCode::Boot));
        for key in command_keys {
            self.push_event(Event::keyed(EventCode::MReboot, key.as_str()));
        }
        let back = now + self.config.scaled(self.config.reboot_delay);
        self.retry_count = 0;
        self.retry_at = None;
        self.wanted_at = None;
        self.booted_at = back;
        self.away_until = Some(back);
        self.reschedule_periodic(back);
        self.interrupt_transfers(back);
    }

    /// Everything as it left the factory (TR-069 A.4.1.6); the firmware stays.
    fn factory_reset(&mut self) {
        self.tree.reset();
        self.attributes.clear();
        self.scheduled.clear();
        self.configuration_file = None;
        if self.config.periodic_interval_secs == 0 {
            self.set_management("PeriodicInformEnable", "false");
        }
        self.bootstrap();
    }

    /// Reboots by itself, as soon as no session is open.
    pub(in crate::simulator) fn crash(&mut self, now: Instant) {
        if self.in_session {
            self.after_session.crash = true;
        } else {
            self.reboot(&[], now);
        }
    }

    /// A new firmware runs after the reboot that this begins, once no session is open.
    pub(in crate::simulator) fn install_firmware(&mut self, firmware: Firmware, now: Instant) {
        if self.in_session {
            self.after_session.install = Some(firmware);
            return;
        }
        if let Firmware::New(version) = firmware
            && version != self.software_version
        {
            self.software_version = version;
            let path = format!("{}DeviceInfo.SoftwareVersion", self.tree.root());
            self.changed.insert(path.into());
            self.push_event(Event::plain(EventCode::ValueChange));
        }
        self.reboot(&[], now);
    }
}
