//! One CPE: a task that owns its timers and sessions, and the handle that others have of it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::{ConnectionRequests, CpeConfig};
use super::job;
use super::listener::{ConnectionRequestListener, Registration};
use super::report::{Event, SessionReport};
use super::session;
use super::state::{AcsCall, Due, State};
use crate::types::event::EventCode;

/// Reports that a slow reader may be behind before it misses some.
const REPORTS_KEPT: usize = 16;
/// Commands waiting for the CPE's task.
const COMMANDS_MAX: usize = 8;

/// The CPE's task is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the simulated CPE was stopped")]
pub struct Stopped;

/// What the task, the handle and the connection-request listener share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Arc<CpeConfig>,
    pub(super) state: Mutex<State>,
    /// Cookies of the last session, for the misbehaviour that returns them.
    pub(super) stale_cookies: Mutex<Vec<(String, String)>>,
    /// Something changed that the task's timers depend on.
    pub(super) wake: Notify,
    /// A test or transfer ended.
    pub(super) job_ended: Notify,
    pub(super) last_connection_request: Mutex<Option<Instant>>,
}

/// A running CPE. Dropping the handle stops it as soon as no session is open.
#[derive(Debug)]
pub struct CpeHandle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    reports: broadcast::Sender<Arc<SessionReport>>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    /// Keeps the listener that this CPE alone uses, and its place on it.
    _registration: Option<Registration>,
}

#[derive(Debug)]
struct Command {
    events: Vec<EventCode>,
    reply: oneshot::Sender<Arc<SessionReport>>,
}

/// Starts a CPE. It begins with `0 BOOTSTRAP` and `1 BOOT`, as one fresh from the factory does.
///
/// # Errors
/// When its own connection-request listener cannot be bound.
pub async fn spawn(config: CpeConfig) -> std::io::Result<CpeHandle> {
    let listener = match &config.connection_requests {
        ConnectionRequests::Off => None,
        ConnectionRequests::Own(address) => Some(ConnectionRequestListener::bind(*address).await?),
        ConnectionRequests::Shared(listener) => Some(Arc::clone(listener)),
    };
    let place = match &listener {
        Some(listener) => Some(listener.place(&config.acs_url).await),
        None => None,
    };
    let url = place.as_ref().map(|place| place.url.clone()).unwrap_or_default();
    let config = Arc::new(config);
    let shared = Arc::new(Shared {
        state: Mutex::new(State::new(Arc::clone(&config), url, Instant::now())),
        config,
        stale_cookies: Mutex::new(Vec::new()),
        wake: Notify::new(),
        job_ended: Notify::new(),
        last_connection_request: Mutex::new(None),
    });
    let registration = listener.zip(place).map(|(listener, place)| listener.register(place, &shared));
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let (reports, _) = broadcast::channel(REPORTS_KEPT);
    let stop = CancellationToken::new();
    let cpe =
        Cpe { shared: Arc::clone(&shared), inbox, reports: reports.clone(), stop: stop.clone(), jobs: JoinSet::new() };
    let task = tokio::spawn(cpe.run());
    Ok(CpeHandle { shared, commands, reports, stop, task: Some(task), _registration: registration })
}

impl CpeHandle {
    /// Holds one session now, with these events besides those that wait, and gives its report. A CPE that is
    /// rebooting comes back first.
    ///
    /// # Errors
    /// [`Stopped`] when the CPE is stopped before the session is over.
    pub async fn session(&self, events: &[EventCode]) -> Result<Arc<SessionReport>, Stopped> {
        let (reply, report) = oneshot::channel();
        self.commands.send(Command { events: events.to_vec(), reply }).await.map_err(|_| Stopped)?;
        report.await.map_err(|_| Stopped)
    }

    /// The reports of all sessions from now on.
    #[must_use]
    pub fn reports(&self) -> broadcast::Receiver<Arc<SessionReport>> {
        self.reports.subscribe()
    }

    /// A parameter's value as it is inside the CPE: hidden ones too.
    #[must_use]
    pub fn value(&self, path: &str) -> Option<String> {
        self.shared.state.lock().value(path)
    }

    /// The instance numbers of a table's rows.
    #[must_use]
    pub fn rows(&self, table: &str) -> Vec<u32> {
        self.shared.state.lock().tree.rows(table)
    }

    /// Changes a parameter by something other than the ACS, read-only ones included; with active notification this
    /// opens a session with `4 VALUE CHANGE`. `false` when there is no such parameter.
    #[must_use]
    pub fn change_locally(&self, path: &str, value: &str) -> bool {
        let is_known = self.shared.state.lock().change_locally(path, value, Instant::now());
        self.shared.wake.notify_one();
        is_known
    }

    /// Has the CPE call the ACS in its next session, which this opens.
    pub fn call(&self, call: AcsCall) {
        {
            let mut state = self.shared.state.lock();
            state.calls.push(call);
            state.want_session(Instant::now());
        }
        self.shared.wake.notify_one();
    }

    /// Waits until no test and no transfer runs or is queued; what they came to may still have to be reported.
    pub async fn idle(&self) {
        loop {
            let ended = self.shared.job_ended.notified();
            let mut ended = std::pin::pin!(ended);
            // From here on no end is missed.
            ended.as_mut().enable();
            if self.shared.state.lock().is_idle() {
                return;
            }
            ended.await;
        }
    }

    /// Pulls the plug: the CPE comes back with `1 BOOT`.
    pub fn power_cycle(&self) {
        self.shared.state.lock().reboot(&[], Instant::now());
        self.shared.wake.notify_one();
    }

    /// Where it can be woken, or nothing.
    #[must_use]
    pub fn connection_request_url(&self) -> String {
        self.shared.state.lock().connection_request_url.clone()
    }

    /// Its serial number.
    #[must_use]
    pub fn serial_number(&self) -> &str {
        &self.shared.config.identity.serial_number
    }

    /// Asks the CPE to stop; an open session ends first.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Stops the CPE and waits until an open session has ended.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the task of a simulated CPE failed");
        }
    }
}

impl Drop for CpeHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The task's side.
struct Cpe {
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Command>,
    reports: broadcast::Sender<Arc<SessionReport>>,
    stop: CancellationToken,
    /// Tests and transfers that run: one of each object, and one transfer. They end with the CPE.
    jobs: JoinSet<()>,
}

impl Cpe {
    async fn run(mut self) {
        loop {
            self.begin_jobs();
            let due = self.shared.state.lock().next_due();
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                command = self.inbox.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                () = self.shared.wake.notified() => {}
                Some(ended) = self.jobs.join_next() => note_end(&ended),
                () = timer => {
                    let due = self.shared.state.lock().fire(Instant::now());
                    match due {
                        Due::Nothing => {}
                        Due::Session => {
                            self.session().await;
                        }
                    }
                }
            }
        }
    }

    /// Starts what is due outside of sessions.
    fn begin_jobs(&mut self) {
        while let Some(ended) = self.jobs.try_join_next() {
            note_end(&ended);
        }
        let due = self.shared.state.lock().jobs_due(Instant::now());
        for job in due {
            self.jobs.spawn(job::run(Arc::clone(&self.shared), job));
        }
        // Some end without having run: cancelled, or their time windows passed.
        self.shared.job_ended.notify_waiters();
    }

    async fn obey(&mut self, command: Command) {
        {
            let mut state = self.shared.state.lock();
            for code in command.events {
                state.push_event(Event::plain(code));
            }
        }
        // More than once when the CPE goes away while it waits for its turn.
        loop {
            let back = {
                let state = self.shared.state.lock();
                if state.is_away() { state.next_due() } else { None }
            };
            if let Some(back) = back {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = tokio::time::sleep_until(back) => {}
                }
            }
            self.shared.state.lock().fire(Instant::now());
            self.begin_jobs();
            if let Some(report) = self.session().await {
                // Whoever asked may have gone.
                let _gone = command.reply.send(report);
                return;
            }
            if self.stop.is_cancelled() {
                return;
            }
        }
    }

    /// Holds a session, boxed so that the thousands of CPEs that hold none stay small. `None` when the CPE is stopped
    /// before its turn comes, or away when it comes.
    async fn session(&self) -> Option<Arc<SessionReport>> {
        let _permit = match &self.shared.config.session_permits {
            Some(permits) => tokio::select! {
                () = self.stop.cancelled() => return None,
                permit = permits.acquire() => permit.ok(),
            },
            None => None,
        };
        let report = Arc::new(Box::pin(session::run(&self.shared)).await?);
        if let Some(counters) = &self.shared.config.counters {
            counters.session(&report);
        }
        tracing::debug!(
            serial_number = self.shared.config.identity.serial_number,
            outcome = ?report.outcome,
            rpcs = report.rpcs.len(),
            "a simulated session ended"
        );
        // Nobody may be listening.
        let _unheard = self.reports.send(Arc::clone(&report));
        Some(report)
    }
}

fn note_end(ended: &Result<(), JoinError>) {
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!(%error, "a test or transfer of a simulated CPE failed");
    }
}
