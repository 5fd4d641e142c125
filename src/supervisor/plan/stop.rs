//! The stop: windows are asked to close; then signals, to applications and processes nobody owns first, then to the
//! others, each when nobody needs it any more, then to whatever is left.
//!
//! ```text
//!   since          5/10                  7/10                                     deadline
//!     │ windows close │ applications, strays │ all others, killed last started first: equal shares │
//! ```
//!
//! Whoever comes after a service needs it; and the parts of the desktop stand under all that was started later. What is
//! left over of the shares of others is everybody's, so one that does not end takes nothing from those beside it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::cause::Cause;
use super::closing::Closing;
use super::{Action, Hook, Plan};
use crate::supervisor::service::{Id, Push, SIGTERM, Service, State};

/// How long after the last SIGKILL a process that still does not go (it hangs in the kernel) is waited for.
pub(super) const AFTER_KILL: Duration = Duration::from_millis(500);
/// What a second request to stop leaves of the grace period.
pub(super) const HURRY: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub(super) cause: Cause,
    pub(super) since: Instant,
    pub(super) deadline: Instant,
    requests: u32,
    pub(super) closing: Closing,
    pub(super) strays: Strays,
    /// The last look for strays has been taken.
    swept: bool,
    /// When the last SIGKILL was sent.
    last_kill: Option<Instant>,
}

impl Stop {
    /// When windows have had their time: a person may have to read a question, and another two tenths are left to the
    /// user's work.
    pub(super) fn close_ends(&self) -> Instant {
        self.deadline - self.deadline.saturating_duration_since(self.since) / 2
    }

    /// When the user's work is killed: three tenths of the grace period are left to the others.
    pub(super) fn work_ends(&self) -> Instant {
        self.share(1, 1)
    }

    /// When one of the `all` others is killed that leaves their equal shares to `below` of them.
    pub(super) fn share(&self, below: usize, all: usize) -> Instant {
        let part = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let rest = self.deadline.saturating_duration_since(self.since) * 3 / 10;
        self.deadline - rest / part(all).max(1) * part(below.min(all))
    }

    /// When a process is killed whose service has its turn from `begin` to `end`: a command that follows it has half of that.
    fn kills(begin: Instant, end: Instant, service: &Service) -> Instant {
        match service.spec().after_stop {
            true => end - end.saturating_duration_since(begin) / 2,
            false => end,
        }
    }

    /// Nobody is waited for any longer.
    pub(super) fn end(&self) -> Instant {
        self.last_kill.unwrap_or(self.deadline).max(self.deadline) + AFTER_KILL
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strays {
    Unasked,
    Asked,
    Killed,
}

impl Plan {
    /// Somebody asks for the end: SIGTERM or SIGINT, or what it is taken for. Asking again shortens the rest of the grace
    /// period, asking a third time ends it.
    pub fn request_stop(&mut self, signal: i32, now: Instant) {
        match &mut self.stop {
            None => {
                let ended = self
                    .services()
                    .find_map(|(id, service)| match service.state() {
                        State::Held { exit, .. } if service.spec().ends_all(exit) => {
                            let asked = None;
                            Some(Cause::Ended { id, exit, asked })
                        }
                        _ => None,
                    });
                self.begin_stop(ended.unwrap_or(Cause::Signal(signal)), now);
            }
            Some(stop) => {
                stop.requests += 1;
                stop.closing = Closing::Over;
                let left = if stop.requests > 2 {
                    Duration::ZERO
                } else {
                    HURRY
                };
                stop.since = now;
                stop.deadline = stop.deadline.min(now + left);
            }
        }
    }

    /// The signal that asks a service to end: its own, or the one that asked for the end of everything.
    pub fn stop_signal(&self, id: Id) -> i32 {
        let Some(service) = self.service(id) else {
            return SIGTERM;
        };
        match self.stopping() {
            Some(Cause::Signal(signal)) if service.spec().hears_what_came => *signal,
            _ => service.spec().stop_signal,
        }
    }

    pub(super) fn begin_stop(&mut self, cause: Cause, now: Instant) {
        if self.stop.is_none() {
            let deadline = now + self.policy.grace;
            self.stop = Some(Stop {
                cause,
                since: now,
                deadline,
                requests: 1,
                closing: Closing::Unasked,
                strays: Strays::Unasked,
                swept: false,
                last_kill: None,
            });
        }
    }

    pub(super) fn next_of_stop(&mut self, now: Instant) -> Option<Action> {
        // Nothing that waits is started any more.
        for service in &mut self.services {
            if !service.runs() {
                service.stop(now, now);
            }
        }
        if let Some(action) = self.next_of_closing(now) {
            return Some(action);
        }
        let stop = self.stop.clone()?;
        let closing = stop.closing_ends().is_some();
        let (deadline, strays, swept) = (stop.deadline, stop.strays, stop.swept);
        let work_ends = stop.work_ends();
        // First what belongs to the user's work. Whoever was told before, for whatever reason, is not forgotten.
        for (index, service) in self.services.iter_mut().enumerate().rev() {
            if now >= deadline {
                // No more turns.
                service.stop(deadline, now);
                service.end_cleanup(deadline, now);
            } else if service.spec().application && !closing {
                service.stop(Stop::kills(stop.close_ends(), work_ends, service), now);
                service.end_cleanup(work_ends, now);
            }
            if let Some(push) = service.push(now) {
                if let Some(stop) = self.stop.as_mut().filter(|_| push == Push::Kill) {
                    stop.last_kill = Some(now);
                }
                return Some(Action::Push(Id(index), push));
            }
            if service.wants_cleanup() {
                return Some(Action::Hook(Id(index), Hook::AfterStop));
            }
        }
        if closing {
            return None;
        }
        match strays {
            Strays::Unasked => return self.push_strays(Strays::Asked, Push::Term),
            Strays::Asked if self.strays > 0 && now >= work_ends => {
                return self.push_strays(Strays::Killed, Push::Kill);
            }
            Strays::Asked | Strays::Killed => {}
        }
        let busy = self
            .services
            .iter()
            .any(|service| service.spec().application && (service.runs() || service.cleans()));
        if busy || (self.strays > 0 && strays == Strays::Asked) {
            return None;
        }
        // Then the others, each when nobody needs it any more.
        let needed: Vec<bool> = (0..self.services.len())
            .map(|index| self.is_needed(Id(index)))
            .collect();
        let others = |service: &&Service| !service.spec().application;
        let all = self.services.iter().filter(others).count();
        let mut below = all;
        let mut left = false;
        let each = self.services.iter_mut().zip(needed);
        for (index, (service, needed)) in each.enumerate().rev() {
            below = below.saturating_sub(usize::from(!service.spec().application));
            if service.runs() || service.cleans() {
                left = true;
                if needed {
                    continue;
                }
                let (begin, end) = (stop.share(below + 1, all), stop.share(below, all));
                service.stop(Stop::kills(begin, end, service), now);
                service.end_cleanup(end, now);
                if let Some(push) = service.push(now) {
                    return Some(Action::Push(Id(index), push));
                }
            }
        }
        if left {
            return None;
        }
        // Last, whoever has come into being meanwhile.
        if !swept {
            if let Some(stop) = &mut self.stop {
                stop.swept = true;
            }
            return self.push_strays(Strays::Killed, Push::Kill);
        }
        None
    }

    /// Does one that is not gone yet need this service?
    fn is_needed(&self, id: Id) -> bool {
        let busy = |id: &Id| {
            self.service(*id)
                .is_some_and(|service| service.runs() || service.cleans())
        };
        self.dependents(id).iter().any(busy)
    }

    /// Those that need this service, by themselves or by what they need. Whatever a service needs stands before it in the
    /// plan, so one pass finds all, however many ways there are.
    pub(super) fn dependents(&self, id: Id) -> BTreeSet<Id> {
        let part = self.service(id).is_some_and(|service| service.spec().part);
        let mut found = BTreeSet::new();
        for (other, service) in self.services().skip(id.0 + 1) {
            let mut needs = service.spec().needs();
            if part || needs.any(|one| one == id || found.contains(&one)) {
                found.insert(other);
            }
        }
        found
    }

    fn push_strays(&mut self, strays: Strays, push: Push) -> Option<Action> {
        self.stop.as_mut()?.strays = strays;
        Some(Action::PushStrays(push))
    }

    pub(super) fn all_gone(&self) -> bool {
        let swept = self.stop.as_ref().is_some_and(|stop| stop.swept);
        let busy = |service: &Service| service.runs() || service.cleans();
        swept && self.strays == 0 && !self.services.iter().any(busy)
    }
}
