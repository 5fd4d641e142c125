//! All services together: what is started in which order, what is stopped in reverse, when all of it ends and with
//! which exit code. Pure: events go in (with `now`), actions come out.
//!
//! ```text
//!  Running ── the application ended · SIGTERM, SIGINT · no viewer for too long · something vital failed ──▶ Stopping
//!                                                                                                              │
//!            applications and processes nobody owns → the others, last started first → whatever is left        │
//!                                                                                                              ▼
//!                                                                                                          Finished
//! ```
//!
//! Each stage of a stop has its share of the grace period; what is not gone by then is killed, and the next stage
//! begins as soon as the one before is done.

use std::time::{Duration, Instant};

use super::service::{After, Exit, Id, Push, Service, Spec, State, signal_name};

/// Exit code when a part that nothing works without could not be started or kept up (`EX_UNAVAILABLE`).
pub const EXIT_UNAVAILABLE: u8 = 69;
/// Exit code of a command that is there but cannot be run, as of a shell.
pub const EXIT_NOT_EXECUTABLE: u8 = 126;
/// Exit code of a command that is not there, as of a shell.
pub const EXIT_NOT_FOUND: u8 = 127;

/// How long after the last SIGKILL a process that still does not go (it hangs in the kernel) is waited for.
const AFTER_KILL: Duration = Duration::from_millis(500);
/// What a second request to stop leaves of the grace period.
const HURRY: Duration = Duration::from_secs(1);

/// Something the driver must do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start it, then say [`Plan::started`] or [`Plan::not_started`].
    Start(Id),
    /// Signal its process group.
    Push(Id, Push),
    /// Signal every descendant that is no service's main process, and say [`Plan::strays`] when that changes.
    PushStrays(Push),
}

/// Why everything stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The application ended.
    Application(Exit),
    /// Somebody sent this signal.
    Signal(i32),
    /// No authenticated viewer for that long.
    Disconnected(Duration),
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

/// Settings of the plan as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// From the request to stop until everything has been killed.
    pub grace: Duration,
    /// End after this long without a viewer.
    pub max_disconnection: Option<Duration>,
}

/// Why a service could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStarted {
    /// What the whole ends with if the service is vital and trying again is hopeless; `None`: try again.
    pub hopeless: Option<u8>,
    /// What went wrong.
    pub reason: String,
}

#[derive(Clone, Debug)]
struct Stop {
    cause: Cause,
    since: Instant,
    deadline: Instant,
    requests: u32,
    strays: Strays,
    /// The last look for strays has been taken.
    swept: bool,
    /// When the last SIGKILL was sent.
    last_kill: Option<Instant>,
}

impl Stop {
    /// Nobody is waited for any longer.
    fn end(&self) -> Instant {
        self.last_kill.unwrap_or(self.deadline).max(self.deadline) + AFTER_KILL
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strays {
    Unasked,
    Asked,
    Killed,
}

/// The services and what is to become of them.
#[derive(Clone, Debug)]
pub struct Plan {
    services: Vec<Service>,
    policy: Policy,
    viewers: u32,
    lonely_since: Instant,
    /// Descendants that are no service's main process, as last counted.
    strays: usize,
    stop: Option<Stop>,
}

impl Plan {
    /// A plan of these services, in the order in which they are started.
    pub fn new(specs: Vec<Spec>, policy: Policy, now: Instant) -> Self {
        let services = specs
            .into_iter()
            .map(|spec| Service::new(spec, now))
            .collect();
        Self {
            services,
            policy,
            viewers: 0,
            lonely_since: now,
            strays: 0,
            stop: None,
        }
    }

    /// Every service with its id, in the order in which they are started.
    pub fn services(&self) -> impl DoubleEndedIterator<Item = (Id, &Service)> {
        self.services
            .iter()
            .enumerate()
            .map(|(index, service)| (Id(index), service))
    }

    /// One service.
    pub fn service(&self, id: Id) -> Option<&Service> {
        self.services.get(id.0)
    }

    /// Why everything is being stopped, if it is.
    pub fn stopping(&self) -> Option<&Cause> {
        self.stop.as_ref().map(|stop| &stop.cause)
    }

    /// Authenticated viewers.
    pub fn viewers(&self) -> u32 {
        self.viewers
    }

    /// The process of a service runs.
    pub fn started(&mut self, id: Id, now: Instant) {
        if let Some(service) = self.services.get_mut(id.0) {
            service.started(now);
        }
    }

    /// A service could not be started.
    pub fn not_started(&mut self, id: Id, why: &NotStarted, now: Instant) {
        let Some(service) = self.services.get_mut(id.0) else {
            return;
        };
        service.not_started(why.hopeless.is_some(), now);
        if service.state() == State::Failed && service.spec().vital {
            let code = if service.spec().application {
                why.hopeless
            } else {
                None
            };
            let reason = format!(
                "{} could not be started: {}",
                service.spec().title,
                why.reason
            );
            self.begin_stop(
                Cause::Failure {
                    id,
                    code: code.unwrap_or(EXIT_UNAVAILABLE),
                    reason,
                },
                now,
            );
        }
    }

    /// A service is ready; true when that is news.
    pub fn ready(&mut self, id: Id, now: Instant) -> bool {
        self.services
            .get_mut(id.0)
            .is_some_and(|service| service.ready(now))
    }

    /// The process of a service has ended.
    pub fn exited(&mut self, id: Id, exit: Exit, now: Instant) {
        let footing = self.has_footing(id);
        let Some(service) = self.services.get_mut(id.0) else {
            return;
        };
        let answer = service.spec().application && service.runs();
        service.exited(exit, footing, now);
        for other in &mut self.services {
            if other.spec().bound_to == Some(id) {
                other.lost_footing(now);
            }
        }
        if let Some(stop) = &mut self.stop {
            // An application that answers the request to stop with a code of its own is heard.
            let obeyed = matches!(exit, Exit::Signal(SIGTERM | SIGKILL));
            if answer && !obeyed && matches!(stop.cause, Cause::Signal(_)) {
                stop.cause = Cause::Application(exit);
            }
        }
    }

    /// So many authenticated viewers are there now.
    pub fn set_viewers(&mut self, viewers: u32, now: Instant) {
        if self.viewers > 0 && viewers == 0 {
            self.lonely_since = now;
        }
        self.viewers = viewers;
    }

    /// So many descendants are no service's main process.
    pub fn strays(&mut self, count: usize) {
        self.strays = count;
    }

    /// Somebody asks for the end: SIGTERM or SIGINT. Asking again shortens the rest of the grace period, asking a third
    /// time ends it.
    pub fn request_stop(&mut self, signal: i32, now: Instant) {
        match &mut self.stop {
            None => {
                let ended = self
                    .services
                    .iter()
                    .find_map(|service| match service.state() {
                        State::Held { exit, .. }
                            if service.spec().vital && !service.spec().restart =>
                        {
                            Some(exit)
                        }
                        _ => None,
                    });
                self.begin_stop(ended.map_or(Cause::Signal(signal), Cause::Application), now);
            }
            Some(stop) => {
                stop.requests += 1;
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

    /// What to do now; call until it returns `None`, then wait until [`Plan::deadline`].
    pub fn next(&mut self, now: Instant) -> Option<Action> {
        for service in &mut self.services {
            service.tick(now);
        }
        if self.stop.is_none() {
            self.look_for_an_end(now);
        }
        if self.stop.is_some() {
            return self.next_of_stop(now);
        }
        for index in 0..self.services.len() {
            let id = Id(index);
            if let Some(push) = self
                .services
                .get_mut(index)
                .and_then(|service| service.push(now))
            {
                return Some(Action::Push(id, push));
            }
            if self.may_start(id, now) {
                return Some(Action::Start(id));
            }
        }
        None
    }

    /// When [`Plan::next`] will have something new if nothing happens before.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let services = self
            .services
            .iter()
            .filter_map(|service| service.deadline(now));
        let own = match &self.stop {
            None => self
                .policy
                .max_disconnection
                .filter(|_| self.viewers == 0)
                .map(|limit| self.lonely_since + limit),
            Some(stop) if stop.strays == Strays::Asked && self.strays > 0 => Some(share(stop, 3)),
            Some(stop) if now < stop.deadline => Some(stop.deadline).filter(|_| !self.all_gone()),
            Some(stop) => Some(stop.end()).filter(|_| !self.all_gone()),
        };
        services.chain(own).min()
    }

    /// How it ended, when nothing is left to do.
    pub fn outcome(&self, now: Instant) -> Option<Outcome> {
        let stop = self.stop.as_ref()?;
        if !self.all_gone() && now < stop.end() {
            return None;
        }
        Some(Outcome {
            code: self.exit_code(),
            reason: self.reason()?,
        })
    }

    /// The exit code that is coming; 0 while nothing has been decided.
    pub fn exit_code(&self) -> u8 {
        match self.stopping() {
            None | Some(Cause::Disconnected(_)) => 0,
            Some(Cause::Application(exit)) => exit.status(),
            Some(Cause::Signal(signal)) => Exit::Signal(*signal).status(),
            Some(Cause::Failure { code, .. }) => *code,
        }
    }

    /// One line that says why everything stops.
    pub fn reason(&self) -> Option<String> {
        Some(match self.stopping()? {
            Cause::Application(Exit::Code(code)) => {
                format!("the application has ended, code {code}")
            }
            Cause::Application(exit) => format!("the application was ended by {exit}"),
            Cause::Signal(signal) => match signal_name(*signal) {
                Some(name) => format!("stopped by {name}"),
                None => format!("stopped by signal {signal}"),
            },
            Cause::Disconnected(limit) => format!("no viewer for {} s", limit.as_secs()),
            Cause::Failure { reason, .. } => reason.clone(),
        })
    }

    /// The first service that keeps the whole from being complete.
    pub fn waits_for(&self) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.state() != State::Ready)
    }

    fn may_start(&self, id: Id, now: Instant) -> bool {
        let Some(service) = self.services.get(id.0) else {
            return false;
        };
        service.state() == State::Waiting
            && service.spec().after.iter().all(|after| match *after {
                After::Ready(other) => self
                    .services
                    .get(other.0)
                    .is_some_and(|s| s.lets_others_go_on(now)),
                After::Once(other) => self.services.get(other.0).is_some_and(Service::ever_ready),
            })
    }

    fn has_footing(&self, id: Id) -> bool {
        let base = self
            .services
            .get(id.0)
            .and_then(|service| service.spec().bound_to);
        base.is_none_or(|base| {
            self.services
                .get(base.0)
                .is_some_and(|service| service.state() == State::Ready)
        })
    }

    fn look_for_an_end(&mut self, now: Instant) {
        let cause = self.services().find_map(|(id, service)| {
            let spec = service.spec();
            match service.state() {
                State::Ended(exit) if spec.vital => Some(Cause::Application(exit)),
                State::Failed if spec.vital => {
                    let last = match service.last_exit() {
                        Some(exit) => format!("; the last time it ended with {exit}"),
                        None => String::new(),
                    };
                    let reason = format!("{} did not become ready, given up{last}", spec.title);
                    Some(Cause::Failure {
                        id,
                        code: EXIT_UNAVAILABLE,
                        reason,
                    })
                }
                _ => None,
            }
        });
        let lonely = self
            .policy
            .max_disconnection
            .filter(|limit| self.viewers == 0 && now >= self.lonely_since + *limit)
            .map(Cause::Disconnected);
        if let Some(cause) = cause.or(lonely) {
            self.begin_stop(cause, now);
        }
    }

    fn begin_stop(&mut self, cause: Cause, now: Instant) {
        if self.stop.is_none() {
            let deadline = now + self.policy.grace;
            self.stop = Some(Stop {
                cause,
                since: now,
                deadline,
                requests: 1,
                strays: Strays::Unasked,
                swept: false,
                last_kill: None,
            });
        }
    }

    fn next_of_stop(&mut self, now: Instant) -> Option<Action> {
        // Nothing that waits is started any more.
        for service in &mut self.services {
            if !service.runs() {
                service.stop(now, now);
            }
        }
        let stop = self.stop.as_ref()?;
        let work_ends = share(stop, 3);
        let (deadline, since, strays, swept) = (stop.deadline, stop.since, stop.strays, stop.swept);
        // First what belongs to the user's work. Whoever was told before, for whatever reason, is not forgotten.
        for (index, service) in self.services.iter_mut().enumerate().rev() {
            if now >= deadline {
                // No more turns.
                service.stop(deadline, now);
            } else if service.spec().application {
                service.stop(work_ends, now);
            }
            if let Some(push) = service.push(now) {
                if let Some(stop) = self.stop.as_mut().filter(|_| push == Push::Kill) {
                    stop.last_kill = Some(now);
                }
                return Some(Action::Push(Id(index), push));
            }
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
            .any(|service| service.spec().application && service.runs());
        if busy || (self.strays > 0 && strays == Strays::Asked) {
            return None;
        }
        // Then the others, last started first.
        for (index, service) in self.services.iter_mut().enumerate().rev() {
            if service.runs() {
                service.stop(share_of(since, deadline, index), now);
                return service.push(now).map(|push| Action::Push(Id(index), push));
            }
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

    fn push_strays(&mut self, strays: Strays, push: Push) -> Option<Action> {
        self.stop.as_mut()?.strays = strays;
        Some(Action::PushStrays(push))
    }

    fn all_gone(&self) -> bool {
        let swept = self.stop.as_ref().is_some_and(|stop| stop.swept);
        swept && self.strays == 0 && !self.services.iter().any(Service::runs)
    }
}

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// When a stage is killed that leaves a tenth of the grace period to each of `below` stages after it.
fn share(stop: &Stop, below: usize) -> Instant {
    share_of(stop.since, stop.deadline, below)
}

fn share_of(since: Instant, deadline: Instant, below: usize) -> Instant {
    let below = u32::try_from(below).unwrap_or(u32::MAX).min(9);
    deadline - deadline.saturating_duration_since(since) * below / 10
}

#[cfg(test)]
mod tests;
