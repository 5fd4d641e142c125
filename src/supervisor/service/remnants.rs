//! What a service's process leaves behind in its process group: helpers that hold its port, its lock, its display. They
//! end before the service is started again. What made itself a session of its own is not among them.
//!
//! ```text
//!  Gone ── some are found ──▶ Found ── the service is to come back ──▶ Told ── its grace is over ──▶ Killed
//!    ▲                          │                                       │                              │
//!    └──────────────────────────┴──────── the last has ended ───────────┴──── or STUCK is over ────────┘
//! ```

use std::time::{Duration, Instant};

use super::{Push, RESTART_GRACE, Service, State};

/// How long one that does not even go by SIGKILL (it hangs in the kernel) keeps its service from being started.
const STUCK: Duration = Duration::from_millis(500);

impl Service {
    /// So many members of its process group have outlived its process.
    pub fn left_behind(&mut self, count: usize) {
        self.remnants.set(count);
    }

    /// Can it be started, as far as what its last process left behind is concerned, and what follows its end?
    pub fn has_room(&self, now: Instant) -> bool {
        self.remnants.are_gone(now) && !self.cleans()
    }

    /// The signal that is due now for what its last process left behind, once. Nothing is due for a service that is not
    /// to be started again.
    pub fn push_remnants(&mut self, now: Instant) -> Option<Push> {
        match self.state {
            State::Waiting | State::Backoff { .. } => {
                let grace = self.spec.stop_timeout.unwrap_or(RESTART_GRACE);
                self.remnants.push(grace, now)
            }
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Remnants {
    #[default]
    Gone,
    Found,
    Told {
        kill_at: Instant,
    },
    Killed {
        at: Instant,
    },
}

impl Remnants {
    /// So many are there now.
    pub(super) fn set(&mut self, count: usize) {
        *self = match (count, *self) {
            (0, _) => Self::Gone,
            (_, Self::Gone) => Self::Found,
            (_, known) => known,
        };
    }

    pub(super) fn are_gone(self, now: Instant) -> bool {
        match self {
            Self::Gone => true,
            Self::Found | Self::Told { .. } => false,
            Self::Killed { at } => now >= at + STUCK,
        }
    }

    /// The signal that is due now, once.
    pub(super) fn push(&mut self, grace: Duration, now: Instant) -> Option<Push> {
        let (next, push) = match *self {
            Self::Found => {
                let kill_at = now + grace;
                (Self::Told { kill_at }, Push::Term)
            }
            Self::Told { kill_at } if now >= kill_at => (Self::Killed { at: now }, Push::Kill),
            _ => return None,
        };
        *self = next;
        Some(push)
    }

    /// When there will be something to do if none of them ends.
    pub(super) fn deadline(self, now: Instant) -> Option<Instant> {
        match self {
            Self::Gone | Self::Found => None,
            Self::Told { kill_at } => Some(kill_at),
            Self::Killed { at } => Some(at + STUCK).filter(|at| *at > now),
        }
    }
}
