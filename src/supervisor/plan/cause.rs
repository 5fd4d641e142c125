//! Why everything ends, and with which exit code.

use std::time::Duration;

use crate::supervisor::service::{Exit, Id};

/// Exit code when a part that nothing works without could not be started or kept up (`EX_UNAVAILABLE`).
pub const EXIT_UNAVAILABLE: u8 = 69;
/// Exit code of a command that is there but cannot be run, as of a shell.
pub const EXIT_NOT_EXECUTABLE: u8 = 126;
/// Exit code of a command that is not there, as of a shell.
pub const EXIT_NOT_FOUND: u8 = 127;

/// Why everything stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A service ended by itself, and its end is the end of everything: as a rule the application.
    Ended {
        /// What.
        id: Id,
        /// How.
        exit: Exit,
        /// It answered this signal, by which somebody had asked for the end of everything.
        asked: Option<i32>,
    },
    /// Somebody sent this signal.
    Signal(i32),
    /// No authenticated viewer for that long.
    Disconnected(Duration),
    /// Authenticated viewers for that long.
    Connected(Duration),
    /// No input of a viewer for that long.
    Idle(Duration),
    /// Something vital cannot be had.
    Failure {
        /// What.
        id: Id,
        /// Exit code.
        code: u8,
        /// Why, for people.
        reason: String,
    },
}

/// How everything ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code of the whole.
    pub code: u8,
    /// One line for people.
    pub reason: String,
}

impl Cause {
    /// The exit code of the whole.
    pub fn code(&self) -> u8 {
        match self {
            Self::Ended { exit, .. } => exit.status(),
            Self::Signal(signal) => Exit::Signal(*signal).status(),
            Self::Disconnected(_) | Self::Connected(_) | Self::Idle(_) => 0,
            Self::Failure { code, .. } => *code,
        }
    }
}
