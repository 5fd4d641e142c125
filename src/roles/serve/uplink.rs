//! The link to `deskinit run`: tells it what only the display worker sees, learns from it what viewers should know.
//!
//! ```text
//!   serve ──notify.sock, datagrams──► run     READY, X, WM, WINDOWS, VIEWERS
//!   serve ◄──control.sock, lines───── run     Status, at every change
//! ```

use crate::desktop::{Desktop, DesktopStatus};
use crate::server::Hub;
use crate::supervisor::link::{CONTROL_SOCKET, Phase, Status};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Between two attempts to reach a control socket that is gone.
const RETRY: Duration = Duration::from_millis(500);

/// Both directions of the link.
pub(super) struct Uplink {
    notify: Option<UnixDatagram>,
    control: Option<PathBuf>,
    /// What was told last, so that only changes go out.
    told: Mutex<Told>,
    status: Mutex<Option<Status>>,
}

#[derive(Default)]
struct Told {
    ready: bool,
    connected: Option<(bool, Option<String>)>,
    manager: Option<Option<String>>,
    windows: Option<u32>,
}

impl Uplink {
    /// The link that the environment names; none when this worker runs alone.
    pub(super) fn from_environment(run_dir: Option<&Path>) -> Option<Arc<Self>> {
        let notify = std::env::var_os("NOTIFY_SOCKET").and_then(|path| {
            let socket = UnixDatagram::unbound().ok()?;
            socket.connect(path).ok()?;
            // A message that finds the queue full is lost rather than waited for; the state is told again.
            socket.set_nonblocking(true).ok()?;
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
            status: Mutex::default(),
        }))
    }

    /// Follows viewers and `run`'s status until the process ends.
    pub(super) fn start(self: &Arc<Self>, hub: Arc<Hub>, desktop: &Desktop) {
        let link = self.clone();
        let mut viewers = hub.viewers();
        tokio::spawn(async move {
            loop {
                let n = *viewers.borrow_and_update();
                link.send(&format!("VIEWERS={n}\n"));
                if viewers.changed().await.is_err() {
                    return;
                }
            }
        });
        if let Some(path) = self.control.clone() {
            let link = self.clone();
            tokio::spawn(async move {
                loop {
                    if let Err(e) = link.follow(&path, &hub).await {
                        tracing::debug!(error = %e, "control socket");
                    }
                    tokio::time::sleep(RETRY).await;
                }
            });
        }
        self.desktop(&desktop.status());
    }

    /// Tells where browsers and viewers connect.
    pub(super) fn listening(&self, web: Option<&str>, vnc: Option<&str>) {
        let line = |key: &str, at: Option<&str>| at.map(|at| format!("{key}={at}\n"));
        let lines = [line("WEB", web), line("VNC", vnc)];
        self.send(&lines.into_iter().flatten().collect::<String>());
    }

    /// Reads status lines until the other side closes.
    async fn follow(&self, path: &Path, hub: &Hub) -> std::io::Result<()> {
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(b"{\"watch\":true}\n").await?;
        let mut lines = BufReader::new(stream).lines();
        while let Some(line) = lines.next_line().await? {
            match serde_json::from_str::<Status>(&line) {
                Ok(status) => self.learn(status, hub),
                Err(e) => tracing::debug!(error = %e, "a status that is not understood"),
            }
        }
        Ok(())
    }

    fn learn(&self, status: Status, hub: &Hub) {
        if status.phase == Phase::Stopping {
            // Viewers are told now: the worker itself is stopped last.
            let reason = match status.message.as_str() {
                "" => "the desktop is stopping",
                message => message,
            };
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

    /// True from the moment when everything stops.
    pub(super) fn ending(&self) -> bool {
        self.with_status(|s| s.phase == Phase::Stopping)
            .unwrap_or(false)
    }

    /// The desktop changed: tells `run` what it needs to know of it.
    pub(super) fn desktop(&self, status: &DesktopStatus) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        let connected = (status.connected, status.problem.clone());
        if told.connected.as_ref() != Some(&connected) {
            text.push_str(&match &connected {
                (true, _) => "X=up\n".to_owned(),
                (false, Some(why)) => format!("X=down {}\n", why.replace('\n', " ")),
                (false, None) => "X=down\n".to_owned(),
            });
            told.connected = Some(connected);
        }
        if status.connected && !told.ready {
            text.push_str("READY=1\n");
            told.ready = true;
        }
        if told.manager.as_ref() != Some(&status.window_manager) {
            let name = status.window_manager.as_deref().unwrap_or_default();
            text.push_str(&format!("WM={}\n", name.replace('\n', " ")));
            told.manager = Some(status.window_manager.clone());
        }
        if told.windows != Some(status.windows) {
            text.push_str(&format!("WINDOWS={}\n", status.windows));
            told.windows = Some(status.windows);
        }
        self.send(&text);
    }

    fn send(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(socket) = &self.notify
            && let Err(e) = socket.send(text.as_bytes())
        {
            tracing::debug!(error = %e, "run was not notified");
        }
    }
}
