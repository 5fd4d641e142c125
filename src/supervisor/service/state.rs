//! What a service may be doing, and what can be done to it.

use std::time::Instant;

use super::Exit;

/// What a service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// For those it comes after, or for its turn.
    Waiting,
    /// The command that must succeed before its start runs.
    Preparing,
    /// Its process runs and is not ready yet.
    Starting,
    /// Its process runs and is ready.
    Ready,
    /// Its process has ended; the verdict waits until then.
    Held {
        /// How it ended.
        exit: Exit,
        /// When it is judged.
        until: Instant,
        /// It was ready before it ended.
        was_ready: bool,
    },
    /// It will be started again at that time.
    Backoff {
        /// When.
        until: Instant,
    },
    /// Its process has been told to end.
    Stopping {
        /// When it is killed.
        kill_at: Instant,
        /// What has been sent so far.
        sent: Sent,
        /// To be started again afterwards.
        again: bool,
    },
    /// It was stopped, or never started, and will not be started any more.
    Stopped,
    /// It ended by itself, and that was that.
    Ended(Exit),
    /// Given up, and not started again unless somebody orders it.
    Fatal,
}

/// Why a process could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Trying again would change nothing. What the whole ends with if it is vital.
    Hopeless(u8),
    /// Something that may be better the next time: a start that failed.
    Failure,
    /// The system has no process, no descriptor or no memory left: through no fault of the service's.
    Shortage,
}

/// A start that there was no process for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStarted {
    /// What to make of it.
    pub obstacle: Obstacle,
    /// What was to be run.
    pub program: String,
    /// What went wrong, with the name of the program.
    pub reason: String,
}

/// How far the signals of a stop have got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing yet.
    Nothing,
    /// Its stop signal.
    Term,
    /// SIGKILL.
    Kill,
}

/// A signal for a service's process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// Please end.
    Term,
    /// End.
    Kill,
}
