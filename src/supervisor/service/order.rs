//! What people want of one service: to end and stay so, to run, to be replaced.

use std::time::{Duration, Instant};

use super::{Service, State};

impl Service {
    /// Somebody wants it to end and to stay so; `grace` is its time where it has none of its own. False when it is not
    /// running and would not.
    pub fn halt(&mut self, grace: Duration, now: Instant) -> bool {
        let moves = !self.is_over() && !matches!(self.state, State::Stopping { again: false, .. });
        if moves {
            self.stop(now + grace, now);
        }
        moves
    }

    /// Somebody wants it to run, whatever became of it. False when it runs, or is about to.
    pub fn revive(&mut self, now: Instant) -> bool {
        match self.state {
            State::Waiting
            | State::Preparing
            | State::Starting
            | State::Ready
            | State::Stopping { again: true, .. } => false,
            State::Stopping {
                kill_at,
                sent,
                again: false,
            } => {
                self.state = State::Stopping {
                    kill_at,
                    sent,
                    again: true,
                };
                true
            }
            State::Held { .. }
            | State::Backoff { .. }
            | State::Stopped
            | State::Ended(_)
            | State::Fatal => {
                self.forgive();
                self.wait_again(now);
                true
            }
        }
    }

    /// Somebody wants its process replaced. False when there is none to be ended.
    pub fn renew(&mut self, grace: Duration, now: Instant) -> bool {
        let runs = self.runs() && !matches!(self.state, State::Stopping { .. });
        if runs {
            self.forgive();
            self.series = None;
            self.tell(self.no_later(now + grace, now), true, now);
        }
        runs
    }
}
