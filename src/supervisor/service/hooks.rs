//! Commands around the process of a service: one that must succeed before each start, one that follows each end.
//!
//! ```text
//!             before_start                   its program
//!  Waiting ───────────────▶ Preparing ─────▶ Waiting, prepared ─────▶ Starting …
//!                               │ it fails: a start that failed          │
//!                               ▼                                        ▼ its process ends, or cannot be started
//!  Nothing ───────────────────────────▶ Due ────▶ Running ────▶ Nothing          (beside whatever it does then)
//!                                        after_stop        │ its time is over: killed
//! ```
//!
//! `after_stop` follows whatever has been begun, a `before_start` that failed among it, and the service is not started
//! again before it has ended.

use std::time::Instant;

use super::{Push, Service, State};

/// How far `after_stop` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cleanup {
    #[default]
    Nothing,
    Due,
    /// There was no room for it.
    Waiting {
        until: Instant,
    },
    Running {
        kill_at: Instant,
        killed: bool,
    },
}

impl Cleanup {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Running {
                kill_at,
                killed: false,
            } => Some(kill_at),
            Self::Waiting { until } => Some(until),
            _ => None,
        }
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, now: Instant) {
        if let Self::Waiting { until } = self
            && now >= *until
        {
            *self = Self::Due;
        }
    }

    /// SIGKILL, once its time is over.
    pub(super) fn push(&mut self, now: Instant) -> Option<Push> {
        match self {
            Self::Running { kill_at, killed } if now >= *kill_at && !*killed => {
                *killed = true;
                Some(Push::Kill)
            }
            _ => None,
        }
    }
}

impl Service {
    /// Is `before_start` what is to be started next?
    pub fn wants_preparation(&self) -> bool {
        self.spec.before_start && !self.prepared
    }

    /// Is its process that of `before_start`?
    pub fn prepares(&self) -> bool {
        self.preparing && self.runs()
    }

    /// Is `after_stop` to be started now?
    pub fn wants_cleanup(&self) -> bool {
        self.cleanup == Cleanup::Due
    }

    /// Is `after_stop` due, or does it wait for room, or run?
    pub fn cleans(&self) -> bool {
        self.cleanup != Cleanup::Nothing
    }

    /// `after_stop` is killed at that time if it still runs, unless it is before; what is due is not begun any more once
    /// it has come.
    pub fn end_cleanup(&mut self, at: Instant, now: Instant) {
        match &mut self.cleanup {
            Cleanup::Running { kill_at, .. } => *kill_at = at.min(*kill_at),
            Cleanup::Due | Cleanup::Waiting { .. } if now >= at => self.cleanup = Cleanup::Nothing,
            Cleanup::Waiting { until } => *until = at.min(*until),
            Cleanup::Due | Cleanup::Nothing => {}
        }
    }

    /// The process of `after_stop` has been started, if it was due.
    pub(super) fn began_cleanup(&mut self, now: Instant) -> bool {
        let due = self.wants_cleanup();
        if due {
            self.refusals = 0;
            self.cleanup = Cleanup::Running {
                kill_at: now + self.spec.hook_timeout,
                killed: false,
            };
        }
        due
    }

    /// `after_stop` could not be started for now, if it was due.
    pub(super) fn put_off_cleanup(&mut self, now: Instant) -> bool {
        let due = self.wants_cleanup();
        if due {
            let until = now + self.refused();
            self.cleanup = Cleanup::Waiting { until };
        }
        due
    }

    /// `after_stop` has ended, or cannot be started, if it was that.
    pub(super) fn ended_cleanup(&mut self) -> bool {
        std::mem::take(&mut self.cleanup) != Cleanup::Nothing
    }

    /// Whatever was begun has come to its end.
    pub(super) fn release(&mut self) {
        self.prepared = false;
        if std::mem::take(&mut self.begun) && self.spec.after_stop {
            self.cleanup = Cleanup::Due;
        }
    }

    /// `before_start` has done its work.
    pub(super) fn was_prepared(&mut self, now: Instant) {
        self.prepared = true;
        self.enter(State::Waiting, now);
    }
}
