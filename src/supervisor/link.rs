//! What `run` tells others about itself: the types on its control socket, and a small blocking client.
//!
//! The protocol is one JSON object a line. A client sends a [`Request`] and gets what that names: one [`Status`] (with
//! `watch` one more at every change until either side closes), one [`Answer`], or one [`Entry`] after the other.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::plan::Order;

/// Name of the control socket in the run directory.
pub const CONTROL_SOCKET: &str = "control.sock";
/// Name of the notify socket in the run directory.
pub const NOTIFY_SOCKET: &str = "notify.sock";
/// Name of the display server's own socket in the run directory: the same HTTP as its web port.
pub const SERVE_SOCKET: &str = "serve.sock";
/// Name of the cookie file in the run directory.
pub const XAUTHORITY: &str = "Xauthority";
/// Name of the link to the X server's pixels in the run directory; Xvfb calls the file so under `-fbdir`.
pub const FRAME_BUFFER: &str = "Xvfb_screen0";
/// Name of the file that says when, in a run directory that was named.
pub const START_FILE: &str = "start.txt";
/// Name of the file of our process id there, as supervisord calls it.
pub const PID_FILE: &str = "supervisord.pid";
/// Name of the directory of sshd's files in the run directory.
pub const SSH_DIRECTORY: &str = "ssh";
/// Name of the directory of PulseAudio's files in the run directory.
pub const PULSE_DIRECTORY: &str = "pulse";
/// The variable that tells the display server where these pixels are.
pub const FRAME_BUFFER_VARIABLE: &str = "DESKINIT_FRAME_BUFFER";

/// Longest line that either side accepts.
pub const LONGEST_LINE: usize = 64 * 1024;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase")]
pub enum Request {
    /// One [`Status`]; with `watch` one more at every change.
    Status {
        /// Go on sending.
        #[serde(default)]
        watch: bool,
    },
    /// One [`Answer`].
    Order {
        /// What to do.
        order: Order,
        /// With which service.
        service: String,
    },
    /// A signal for a service's main process; one [`Answer`]. SIGTERM for `run` asks everything to end.
    Signal {
        /// Its number.
        signal: i32,
        /// For which service; `run` is our own.
        service: String,
    },
    /// [`Entry`] after [`Entry`].
    Read {
        /// Of what.
        record: Record,
        /// Only those of this service.
        #[serde(default)]
        service: Option<String>,
        /// Begin with the last so many.
        lines: usize,
        /// Go on with what comes.
        #[serde(default)]
        follow: bool,
    },
}

/// What `run` keeps a record of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// What the services printed.
    Log,
    /// What became of them.
    Events,
}

/// A line of a [`Record`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since 1970.
    pub time: f64,
    /// Of which service; `run` is our own.
    pub service: String,
    /// What it is doing since then; only of an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ServiceState>,
    /// In words.
    pub message: String,
    /// Entries before this one that were forgotten before this reader came to them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What became of an order or a signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Answer {
    /// It is being done.
    Done,
    /// It was so already.
    Unchanged,
    /// There is no process to be signalled.
    Stopped,
    /// There is no such service.
    Unknown {
        /// Those that there are.
        services: Vec<String>,
    },
    /// It is not to be done now.
    Refused {
        /// Why.
        why: String,
    },
}

/// How far everything has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Something is not ready yet, or not ready again.
    Starting,
    /// All services are ready.
    Running,
    /// A service was given up; everything else is ready.
    Degraded,
    /// It is coming to its end; [`Status::message`] says why.
    Stopping,
}

/// What a service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// For its predecessors, or for its turn.
    Waiting,
    /// It runs and is not ready yet.
    Starting,
    /// It runs and is ready.
    Ready,
    /// It has ended and will be started again in a moment.
    Backoff,
    /// It has been told to end.
    Stopping,
    /// It was stopped.
    Stopped,
    /// It ended by itself.
    Ended,
    /// It was given up.
    Fatal,
}

impl Phase {
    /// The word that is also on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
        }
    }
}

impl ServiceState {
    /// The word that is also on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Backoff => "backoff",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Ended => "ended",
            Self::Fatal => "fatal",
        }
    }
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// `xserver`, `display`, `wm` or `app`.
    pub name: String,
    /// What it is doing.
    pub state: ServiceState,
    /// Its main process.
    pub pid: Option<i32>,
    /// How often it was started again.
    pub restarts: u32,
    /// Milliseconds in this state.
    pub since_ms: u64,
    /// How its last process ended: `code 1`, `signal 9 (SIGKILL)`.
    pub last_exit: Option<String>,
    /// What is known of that end besides, if it was a crash: `killed for memory (limit 512 MiB)`.
    #[serde(default)]
    pub verdict: Option<String>,
    /// Why its last start came to nothing, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The service that it waits for, while it waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Its group, where supervisord's files say so; only of their programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Why there was no process at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What was to be run.
    pub program: String,
    /// What went wrong, with the name of the program.
    pub reason: String,
    /// What a shell would have ended with, where trying again is in vain: 127 there is no such program, 126 it cannot be
    /// executed.
    pub code: Option<u8>,
}

impl ServiceStatus {
    /// How its last start came to nothing, or its last process ended, as well as that is known.
    pub fn end(&self) -> Option<Cow<'_, str>> {
        if let Some(refusal) = &self.refusal {
            return Some(format!("could not be started: {}", refusal.reason).into());
        }
        let end = self.verdict.as_deref().or(self.last_exit.as_deref());
        end.map(Cow::from)
    }
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How far it has got.
    pub phase: Phase,
    /// One line for people: what is being waited for, or why it ends. Empty while all is well.
    pub message: String,
    /// Which service was given up without which this should be replaced, and why: what `/livez` says.
    #[serde(default)]
    pub not_live: Option<String>,
    /// The exit code that is coming; only while stopping.
    pub exit_code: Option<u8>,
    /// Windows are to be asked to close; only while stopping, and before signals are sent.
    #[serde(default)]
    pub close_windows: bool,
    /// The X display, as `:7`.
    pub display: String,
    /// Process id of `run`.
    pub pid: i32,
    /// Milliseconds since its start.
    pub uptime_ms: u64,
    /// Authenticated viewers.
    pub viewers: u32,
    /// Milliseconds since a viewer typed, pointed or came, give or take a second.
    #[serde(default)]
    pub idle_ms: u64,
    /// The application is held still, because nobody watches.
    #[serde(default)]
    pub frozen: bool,
    /// Windows that a person can see.
    pub windows: u32,
    /// Where browsers connect, once that is known.
    pub web: Option<String>,
    /// Where viewers connect, once that is known.
    pub vnc: Option<String>,
    /// Log lines that were dropped because nobody read them.
    pub dropped_lines: u64,
    /// In the order in which they are started.
    pub services: Vec<ServiceStatus>,
}

/// A conversation with `run`: one question, and the answers to it.
#[derive(Debug)]
pub struct Talk {
    stream: BufReader<UnixStream>,
}

impl Talk {
    /// Asks; no answer may take longer than `timeout`.
    ///
    /// # Errors
    /// Nobody listens in this run directory.
    pub fn begin(run_dir: &Path, request: &Request, timeout: Option<Duration>) -> io::Result<Self> {
        let mut stream = UnixStream::connect(run_dir.join(CONTROL_SOCKET))?;
        stream.set_read_timeout(timeout)?;
        stream.set_write_timeout(timeout)?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// The next answer; `None` when there will be no more.
    ///
    /// # Errors
    /// It does not come in time, or is not in this protocol.
    pub fn answer<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut line = String::new();
        let limit = LONGEST_LINE as u64;
        self.stream.by_ref().take(limit).read_line(&mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&line)?))
    }
}

/// Asks the `run` of this run directory for its status, once.
///
/// # Errors
/// Nobody answers within `timeout`, or not in this protocol.
pub fn status(run_dir: &Path, timeout: Duration) -> io::Result<Status> {
    let mut talk = Talk::begin(run_dir, &Request::Status { watch: false }, Some(timeout))?;
    talk.answer()?.ok_or(io::ErrorKind::UnexpectedEof.into())
}
