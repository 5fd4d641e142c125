//! The link to `deskinit run`: tells it what only the display worker sees, learns from it what viewers should know.
//!
//! ```text
//!   serve ──notify.sock, datagrams──► run     READY, X, HUNG, WATCHDOG, WM, WINDOWS, CLOSING, VIEWERS, INPUT
//!   serve ◄──control.sock, lines───── run     Status, at every change
//! ```

use crate::desktop::{Desktop, DesktopStatus};
use crate::server::Hub;
use crate::supervisor::link::{
    CONTROL_SOCKET, Phase, Request, ServiceState, ServiceStatus, Status,
};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Notify;

/// How long a message to `run` may wait.
const PATIENCE: Duration = Duration::from_millis(200);
/// `run` counts idle seconds, no more exactly than this.
const INPUT_EVERY: Duration = Duration::from_secs(1);
/// Between two attempts to reach a socket that is gone, or that takes nothing.
const RETRY: Duration = Duration::from_millis(500);

/// Both directions of the link.
pub(super) struct Uplink {
    notify: Option<UnixDatagram>,
    control: Option<PathBuf>,
    /// What was told last, so that only changes go out.
    told: Mutex<Told>,
    /// When input was told of last.
    input: Mutex<Option<Instant>>,
    status: Mutex<Option<Status>>,
    /// Something could not be said.
    unsaid: Notify,
}

#[derive(Default)]
struct Told {
    ready: bool,
    connected: Option<(bool, Option<String>)>,
    manager: Option<Option<String>>,
    windows: Option<u32>,
    closing: Option<u32>,
}

impl Uplink {
    /// The link that the environment names; none when this worker runs alone.
    pub(super) fn from_environment(run_dir: Option<&Path>) -> Option<Arc<Self>> {
        let notify = std::env::var_os("NOTIFY_SOCKET").and_then(|path| {
            let socket = UnixDatagram::unbound().ok()?;
            socket.connect(path).ok()?;
            // The queue is short, and `run` reads it at once; should it hang, this worker does not.
            socket.set_write_timeout(Some(PATIENCE)).ok()?;
            Some(socket)
        });
        let control = run_dir
            .map(|dir| dir.join(CONTROL_SOCKET))
            .filter(|path| path.exists());
        if notify.is_none() && control.is_none() {
            return None;
        }
        Some(Arc::new(Self {
            notify,
            control,
            told: Mutex::default(),
            input: Mutex::default(),
            status: Mutex::default(),
            unsaid: Notify::new(),
        }))
    }

    /// Follows viewers and `run`'s status until the process ends.
    pub(super) fn start(self: &Arc<Self>, hub: Arc<Hub>, desktop: &Desktop) {
        let link = self.clone();
        let mut viewers = hub.viewers();
        tokio::spawn(async move {
            loop {
                let n = *viewers.borrow_and_update();
                if !link.send(&format!("VIEWERS={n}\n")) {
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
                if viewers.changed().await.is_err() {
                    return;
                }
            }
        });
        let (link, known) = (self.clone(), desktop.clone());
        tokio::spawn(async move {
            loop {
                link.unsaid.notified().await;
                tokio::time::sleep(RETRY).await;
                link.tell(|| known.status());
            }
        });
        if let Some(path) = self.control.clone() {
            let (link, desktop) = (self.clone(), desktop.clone());
            tokio::spawn(async move {
                loop {
                    if let Err(e) = link.follow(&path, &hub, &desktop).await {
                        tracing::debug!(error = %e, "control socket");
                    }
                    tokio::time::sleep(RETRY).await;
                }
            });
        }
        self.tell(|| desktop.status());
    }

    /// Tells where browsers and viewers connect.
    pub(super) fn listening(&self, web: Option<&str>, vnc: Option<&str>) {
        let line = |key: &str, at: Option<&str>| at.map(|at| format!("{key}={at}\n"));
        let lines = [line("WEB", web), line("VNC", vnc)];
        let _ = self.send(&lines.into_iter().flatten().collect::<String>());
    }

    /// This worker turns.
    pub(super) fn alive(&self) {
        let _ = self.send("WATCHDOG=1\n");
    }

    /// The X server does not answer, and will not.
    pub(super) fn hung(&self) {
        let _ = self.send("HUNG=1\n");
    }

    /// A viewer types or points: told once a second at most.
    pub(super) fn input(&self) {
        let now = Instant::now();
        let mut told = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| now.saturating_duration_since(at) >= INPUT_EVERY)
            && self.send("INPUT=1\n")
        {
            *told = Some(now);
        }
    }

    /// Reads status lines until the other side closes.
    async fn follow(&self, path: &Path, hub: &Hub, desktop: &Desktop) -> std::io::Result<()> {
        let mut stream = UnixStream::connect(path).await?;
        let mut request = serde_json::to_vec(&Request::Status { watch: true })?;
        request.push(b'\n');
        stream.write_all(&request).await?;
        let mut lines = BufReader::new(stream).lines();
        while let Some(line) = lines.next_line().await? {
            match serde_json::from_str::<Status>(&line) {
                Ok(status) => self.learn(status, hub, desktop),
                Err(e) => tracing::debug!(error = %e, "a status that is not understood"),
            }
        }
        Ok(())
    }

    fn learn(&self, status: Status, hub: &Hub, desktop: &Desktop) {
        let reason = match status.message.as_str() {
            "" => "the desktop is stopping",
            message => message,
        };
        if status.close_windows {
            // Viewers stay: whoever is asked what becomes of unsaved work must be able to answer.
            if !self.with_status(|s| s.close_windows).unwrap_or(false) {
                hub.tell(|s| {
                    s.name = format!("{}: save your work now ({reason})", s.name).into();
                    s.bells += 1;
                });
                desktop.close_windows();
            }
        } else if status.phase == Phase::Stopping {
            // Viewers are told now: the worker itself is stopped last.
            hub.close_all(reason);
        }
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }

    fn with_status<T>(&self, f: impl FnOnce(&Status) -> T) -> Option<T> {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.as_ref().map(f)
    }

    /// What `run` says to people now.
    pub(super) fn message(&self) -> Option<String> {
        self.with_status(|s| s.message.clone())
            .filter(|m| !m.is_empty())
    }

    /// Is a window manager among the services? As long as that is not known, it is taken for granted.
    pub(super) fn has_window_manager(&self) -> bool {
        self.with_status(|s| s.services.iter().any(|one| one.name == "wm"))
            .unwrap_or(true)
    }

    /// Is an application there, or to be there soon? Not before the first viewer under START_ON_CONNECT, nor while somebody
    /// has stopped it. As long as that is not known, it is taken for granted.
    pub(super) fn has_application(&self) -> bool {
        let idle = |one: &ServiceStatus| {
            one.name == "app" && matches!(one.state, ServiceState::Stopped | ServiceState::Ended)
        };
        self.with_status(|s| !s.services.iter().any(idle))
            .unwrap_or(true)
    }

    /// Why the whole should be replaced, if it should.
    pub(super) fn not_live(&self) -> Option<String> {
        self.with_status(|s| s.not_live.clone()).flatten()
    }

    /// True from the moment when everything stops.
    pub(super) fn ending(&self) -> bool {
        self.with_status(|s| s.phase == Phase::Stopping)
            .unwrap_or(false)
    }

    /// The desktop changed.
    pub(super) fn desktop(&self, status: &DesktopStatus) {
        self.tell(|| status.clone());
    }

    /// Tells `run` what is new to it. What could not be said is said with the next change, or in a moment.
    fn tell(&self, status: impl FnOnce() -> DesktopStatus) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked for under the lock: one from before a change must not be told after it.
        let status = status();
        let now = Told {
            ready: told.ready || status.connected,
            connected: Some((
                status.connected && status.problem.is_none(),
                status.problem.clone(),
            )),
            manager: Some(status.window_manager.clone()),
            windows: Some(status.windows),
            closing: status.closing,
        };
        let text = told.news(&now);
        if self.send(&text) {
            *told = now;
        } else {
            // What it knows is not what was last told: all of it is said again, were it the same by then.
            *told = Told {
                ready: told.ready,
                closing: told.closing,
                ..Told::default()
            };
            self.unsaid.notify_one();
        }
    }

    /// True when the message is on its way, or there was nothing to say or nobody to say it to.
    fn send(&self, text: &str) -> bool {
        let Some(socket) = self.notify.as_ref().filter(|_| !text.is_empty()) else {
            return true;
        };
        match socket.send(text.as_bytes()) {
            Ok(_) => true,
            Err(e) => {
                tracing::debug!(error = %e, "run was not notified");
                false
            }
        }
    }
}

impl Told {
    /// The lines that lead from this to `now`.
    fn news(&self, now: &Self) -> String {
        let one_line = |text: &str| text.replace('\n', " ");
        let mut text = String::new();
        if now.connected != self.connected {
            text.push_str(&match &now.connected {
                Some((true, _)) => "X=up\n".to_owned(),
                Some((false, Some(why))) => format!("X=down {}\n", one_line(why)),
                _ => "X=down\n".to_owned(),
            });
        }
        if now.ready && !self.ready {
            text.push_str("READY=1\n");
        }
        if now.manager != self.manager {
            let name = now.manager.iter().flatten().next();
            text.push_str(&format!(
                "WM={}\n",
                name.map(|n| one_line(n)).unwrap_or_default()
            ));
        }
        if let Some(windows) = now.windows.filter(|_| now.windows != self.windows) {
            text.push_str(&format!("WINDOWS={windows}\n"));
        }
        if let Some(closing) = now.closing.filter(|_| now.closing != self.closing) {
            text.push_str(&format!("CLOSING={closing}\n"));
        }
        text
    }
}
