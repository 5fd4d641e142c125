//! The first stage of a stop: windows are asked to close, so that a program with unsaved work can ask what becomes of it.
//! Nobody gets a signal meanwhile.
//!
//! ```text
//!                      the display worker says how many are left
//!   Unasked ──▶ Asked ─────────────────────────────────────▶ Open ◀──────▶ Closed
//!      │          │ none: no window takes part, or it           │ its share   │ the application has ended, or
//!      │ no       │ does not answer                             │ is over     │ does not although nothing of it
//!      │ worker   ▼                                             ▼             ▼ is left to be seen
//!      └───────▶ Over ◀──── somebody asks again, or the worker has gone ──────┘
//! ```

use std::time::{Duration, Instant};

use super::stop::Stop;
use super::{Action, Plan};
use crate::supervisor::service::{Service, State};

/// The display worker answers at once, unless it or the X server hangs.
pub(super) const ANSWER: Duration = Duration::from_secs(1);
/// A program that has closed its last window is about to end by itself; one that lives in the background is not.
pub(super) const LINGER: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// The display worker is about to be told.
    Unasked,
    /// It has been told.
    Asked,
    /// Windows that were asked, or have come since, are still there.
    Open,
    /// None is, since then.
    Closed(Instant),
    /// Signals may follow.
    Over,
}

impl Stop {
    /// When the stage ends if nothing happens; `None` when it is over.
    pub(super) fn closing_ends(&self) -> Option<Instant> {
        let end = match self.closing {
            Closing::Unasked | Closing::Asked => self.since + ANSWER,
            Closing::Open => self.close_ends(),
            Closing::Closed(at) => at + LINGER,
            Closing::Over => return None,
        };
        Some(end.min(self.close_ends()))
    }
}

impl Plan {
    /// Windows are being asked to close, or have been and may take their time.
    pub fn closes_windows(&self) -> bool {
        let stop = self.stop.as_ref();
        stop.is_some_and(|stop| stop.closing_ends().is_some())
    }

    /// So many windows that were asked to close, or have come since, are there. True when they have just been asked.
    pub fn windows_left(&mut self, count: u32, now: Instant) -> bool {
        let Some(stop) = &mut self.stop else {
            return false;
        };
        let before = stop.closing;
        stop.closing = match (before, count) {
            (Closing::Asked, 0) => Closing::Over,
            (Closing::Open, 0) => Closing::Closed(now),
            (Closing::Asked | Closing::Open | Closing::Closed(_), 1..) => Closing::Open,
            (Closing::Unasked | Closing::Closed(_) | Closing::Over, _) => before,
        };
        before == Closing::Asked && count > 0
    }

    /// Ends the stage if its time has come; the action that begins it.
    pub(super) fn next_of_closing(&mut self, now: Instant) -> Option<Action> {
        let can = self.can_ask_windows();
        let nobody_left = self.work_has_ended();
        let stop = self.stop.as_mut()?;
        let late = stop.closing_ends().is_none_or(|end| now >= end);
        match stop.closing {
            _ if !can || late => stop.closing = Closing::Over,
            Closing::Closed(_) if nobody_left => stop.closing = Closing::Over,
            Closing::Unasked => {
                stop.closing = Closing::Asked;
                return Some(Action::CloseWindows);
            }
            Closing::Asked | Closing::Open | Closing::Closed(_) | Closing::Over => {}
        }
        None
    }

    fn can_ask_windows(&self) -> bool {
        let mut services = self.services.iter();
        services.any(|service| service.spec().closes_windows && service.state() == State::Ready)
    }

    /// What applications leave behind does not count, unless there is nothing else.
    fn work_has_ended(&self) -> bool {
        let application = |service: &&Service| service.spec().application;
        let mut applications = self.services.iter().filter(application).peekable();
        match applications.peek() {
            Some(_) => !applications.any(Service::runs),
            None => self.strays == 0,
        }
    }
}
