//! All services together: what is started in which order, what is stopped in reverse, when all of it ends and with
//! which exit code. Pure: events go in (with `now`), actions come out.
//!
//! ```text
//!  Running ── the application ended · SIGTERM, SIGINT · no viewer for too long · something vital failed ──▶ Stopping
//!                                                                                                              │
//!  windows close → applications and processes nobody owns → the others, last started first → whatever is left  │
//!                                                                                                              ▼
//!                                                                                                          Finished
//! ```
//!
//! Each stage of a stop has its share of the grace period; what is not gone by then is killed, and the next stage
//! begins as soon as the one before is done.

mod cause;
mod closing;
mod freeze;
mod orders;
mod presence;
mod stop;

use std::time::{Duration, Instant};

use self::presence::Presence;
use self::stop::{Stop, Strays};
use super::service::{
    After, Blame, Exit, Id, NotStarted, Obstacle, OnEnd, OnFatal, Patience, Push, SIGKILL, Service,
    Spec, State, Verdict, signal_name,
};

pub use cause::{Cause, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, EXIT_UNAVAILABLE, Outcome};
pub use freeze::Alone;
pub use orders::Order;
pub use presence::Limits;

/// Something the driver must do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start it, then say [`Plan::started`] or [`Plan::not_started`], and [`Plan::exited`] when it has ended.
    Start(Id),
    /// The same with a command of the service's.
    Hook(Id, Hook),
    /// Signal its process group.
    Push(Id, Push),
    /// Signal what its last process has left behind in its process group, and say [`Plan::left_behind`] when that changes.
    PushRemnants(Id, Push),
    /// Let the display worker ask windows to close, say [`Plan::windows_left`] when that changes, and [`Plan::strays`].
    CloseWindows,
    /// Signal every descendant that no service has to end, and say [`Plan::strays`] when their number changes.
    PushStrays(Push),
    /// Hold the application and all that belongs to it still, or let it go on.
    Freeze(bool),
}

/// A command around the process of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Must succeed before a start.
    BeforeStart,
    /// Follows an end.
    AfterStop,
}

/// Settings of the plan as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// From the request to stop until everything has been killed.
    pub grace: Duration,
    /// How long without viewers, with them, and without input.
    pub limits: Limits,
    /// What the application does without viewers.
    pub alone: Alone,
}

/// The services and what is to become of them.
#[derive(Clone, Debug)]
pub struct Plan {
    services: Vec<Service>,
    policy: Policy,
    presence: Presence,
    /// Descendants that no service has to end, as last counted.
    strays: usize,
    stop: Option<Stop>,
    /// The application is held still.
    frozen: bool,
    /// A viewer has been here.
    woken: bool,
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
            presence: Presence::new(now),
            strays: 0,
            stop: None,
            frozen: false,
            woken: false,
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
        self.presence.viewers()
    }

    /// How long no viewer has typed, pointed or come.
    pub fn idle(&self, now: Instant) -> Duration {
        self.presence.idle(now)
    }

    /// The process of a service runs, or that of its hook.
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
        let cleans = service.cleans();
        service.not_started(why, now);
        if cleans {
            return;
        }
        if service.state() == State::Fatal && service.spec().on_fatal == OnFatal::End {
            let code = match why.obstacle {
                Obstacle::Hopeless(code) if service.spec().application => Some(code),
                _ => None,
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

    /// A service is there and does not answer, for so long that it never will: it is replaced.
    pub fn silent(&mut self, id: Id, now: Instant) {
        if let Some(service) = self.services.get_mut(id.0) {
            service.silent(now);
        }
    }

    /// The process of a service has ended, or that of its hook.
    pub fn exited(&mut self, id: Id, exit: Exit, now: Instant) {
        let footing = self.has_footing(id);
        let stop_signal = self.stop_signal(id);
        let Some(service) = self.services.get_mut(id.0) else {
            return;
        };
        if service.cleans() {
            return service.exited(exit, footing, now);
        }
        let answer = service.spec().application && service.runs() && !service.prepares();
        service.exited(exit, footing, now);
        for other in &mut self.services {
            if other.spec().bound_to == Some(id) {
                other.lost_footing(now);
            }
        }
        if let Some(stop) = &mut self.stop {
            // An application that answers the request to stop with a code of its own is heard.
            let obeyed =
                matches!(exit, Exit::Signal(signal) if signal == stop_signal || signal == SIGKILL);
            if let (true, Cause::Signal(signal)) = (answer && !obeyed, &stop.cause) {
                let asked = Some(*signal);
                stop.cause = Cause::Ended { id, exit, asked };
            }
        }
    }

    /// This is behind the end of a service that was told last.
    pub fn blame(&mut self, id: Id, blame: Blame) {
        if let Some(service) = self.services.get_mut(id.0) {
            service.blame(blame);
        }
    }

    /// So many members of the process group of a service have outlived its process.
    pub fn left_behind(&mut self, id: Id, count: usize) {
        if let Some(service) = self.services.get_mut(id.0) {
            service.left_behind(count);
        }
    }

    /// So many authenticated viewers are there now.
    pub fn set_viewers(&mut self, viewers: u32, now: Instant) {
        self.presence.set_viewers(viewers, now);
        if viewers > 0 {
            self.wake(now);
        }
    }

    /// A viewer has typed or pointed.
    pub fn input(&mut self, now: Instant) {
        self.presence.input(now);
    }

    /// So many descendants are there that no service has to end: the user's work, and what was left behind.
    pub fn strays(&mut self, count: usize) {
        self.strays = count;
    }

    /// What to do now; call until it returns `None`, then wait until [`Plan::deadline`].
    pub fn next(&mut self, now: Instant) -> Option<Action> {
        for service in &mut self.services {
            service.tick(now);
        }
        if self.stop.is_none() {
            self.look_for_an_end(now);
        }
        // Before it is told to end: held still, it could not hear.
        if let Some(freeze) = self.freeze(now) {
            return Some(Action::Freeze(freeze));
        }
        if self.stop.is_some() {
            return self.next_of_stop(now);
        }
        for index in 0..self.services.len() {
            let id = Id(index);
            let Some(service) = self.services.get_mut(index) else {
                continue;
            };
            if let Some(push) = service.push(now) {
                return Some(Action::Push(id, push));
            }
            if let Some(push) = service.push_remnants(now) {
                return Some(Action::PushRemnants(id, push));
            }
            let Some(service) = self.services.get(index) else {
                continue;
            };
            if service.wants_cleanup() {
                return Some(Action::Hook(id, Hook::AfterStop));
            }
            if self.may_start(id, now) {
                return Some(match service.wants_preparation() {
                    true => Action::Hook(id, Hook::BeforeStart),
                    false => Action::Start(id),
                });
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
            None => self.presence.end(&self.policy.limits).map(|(at, _)| at),
            Some(stop) if stop.closing_ends().is_some() => stop.closing_ends(),
            Some(stop) if stop.strays == Strays::Asked && self.strays > 0 => Some(stop.work_ends()),
            Some(stop) if now < stop.deadline => Some(stop.deadline).filter(|_| !self.all_gone()),
            Some(stop) => Some(stop.end()).filter(|_| !self.all_gone()),
        };
        let freeze = self.freezes_at().filter(|_| !self.frozen);
        services.chain(own).chain(freeze).min()
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
        self.stopping().map_or(0, Cause::code)
    }

    /// One line that says why everything stops.
    pub fn reason(&self) -> Option<String> {
        Some(match self.stopping()? {
            Cause::Ended { id, exit, asked } => {
                let service = self.service(*id);
                let title = service.map_or("", |service| &service.spec().title);
                let blame = service.and_then(Service::verdict).and_then(|v| v.blame);
                let verdict = Verdict { exit: *exit, blame };
                let ended = format!("{title} {}", verdict.advice());
                match asked {
                    Some(signal) => format!("{}; {ended}", stopped_by(*signal)),
                    None => ended,
                }
            }
            Cause::Signal(signal) => stopped_by(*signal),
            Cause::Disconnected(limit) => format!("no viewer for {} s", limit.as_secs()),
            Cause::Connected(limit) => format!("viewers for {} s", limit.as_secs()),
            Cause::Idle(limit) => format!("no input of a viewer for {} s", limit.as_secs()),
            Cause::Failure { reason, .. } => reason.clone(),
        })
    }

    /// The first service that keeps the whole from being complete; see [`Plan::missing`].
    pub fn waits_for(&self) -> Option<&Service> {
        self.missing().into_iter().next()
    }

    /// The services that keep the whole from being complete. One that has done its work does not, nor one that somebody
    /// stopped or that nobody has started, nor one without which the others can do and that comes after those. Of one that
    /// was given up and of those that wait for it, that one alone is named.
    pub fn missing(&self) -> Vec<&Service> {
        // Each stands behind those it comes after.
        let mut absent = vec![None; self.services.len()];
        let mut missing = Vec::new();
        for (index, service) in self.services.iter().enumerate() {
            let known = match service.state() {
                State::Ready => None,
                State::Stopped => Some(Absent::Idle),
                State::Ended(exit) if !service.spec().ends_all(exit) => Some(Absent::Idle),
                State::Fatal => {
                    missing.push(service);
                    Some(Absent::Lost)
                }
                State::Waiting => {
                    let absence = self.waits_in_vain(service.spec(), &absent);
                    if absence.is_none() {
                        missing.push(service);
                    }
                    absence
                }
                _ => {
                    missing.push(service);
                    None
                }
            };
            if let Some(absent) = absent.get_mut(index) {
                *absent = known;
            }
        }
        missing
    }

    /// What keeps one that waits from ever being started, among those before it that will not come by themselves.
    fn waits_in_vain(&self, spec: &Spec, absent: &[Option<Absent>]) -> Option<Absent> {
        spec.after.iter().find_map(|after| {
            let (other, held_up) = match *after {
                After::Ready(other) => (other, true),
                After::Once(other) => {
                    let once = self.service(other).is_some_and(Service::ever_ready);
                    (other, !once)
                }
            };
            let patience = self.service(other).map(|other| other.spec().patience);
            let goes_on =
                matches!(patience, Some(Patience::GoOn(_))) && spec.bound_to != Some(other);
            absent
                .get(other.0)
                .copied()
                .flatten()
                .filter(|absence| match absence {
                    Absent::Idle => {
                        held_up && (spec.on_end == OnEnd::Ignore || spec.bound_to == Some(other))
                    }
                    Absent::Lost => held_up && !goes_on,
                })
        })
    }

    /// The first service whose failure means that the whole is to be replaced.
    pub fn not_live(&self) -> Option<&Service> {
        self.services.iter().find(|service| {
            service.state() == State::Fatal && service.spec().on_fatal == OnFatal::NotLive
        })
    }

    fn may_start(&self, id: Id, now: Instant) -> bool {
        let Some(service) = self.services.get(id.0) else {
            return false;
        };
        service.state() == State::Waiting
            && service.has_room(now)
            && self.held_up_by(id, now).is_none()
    }

    /// The service that keeps this one from being started, if one does: what it is bound to, or comes after.
    pub fn held_up_by(&self, id: Id, now: Instant) -> Option<Id> {
        let spec = self.services.get(id.0)?.spec();
        let base = spec.bound_to.filter(|_| !self.has_footing(id));
        let before = || {
            spec.after.iter().find_map(|after| match *after {
                After::Ready(other) => {
                    let before = self.services.get(other.0);
                    (!before.is_some_and(|s| s.lets_others_go_on(now))).then_some(other)
                }
                After::Once(other) => {
                    let before = self.services.get(other.0);
                    (!before.is_some_and(Service::ever_ready)).then_some(other)
                }
            })
        };
        base.or_else(before)
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
                State::Ended(exit) if spec.on_end == OnEnd::End => Some(Cause::Ended {
                    id,
                    exit,
                    asked: None,
                }),
                State::Fatal if spec.on_fatal == OnFatal::End => Some(Cause::Failure {
                    id,
                    code: EXIT_UNAVAILABLE,
                    reason: given_up(service),
                }),
                _ => None,
            }
        });
        let limit = self.presence.end(&self.policy.limits);
        let reached = limit.filter(|(at, _)| now >= *at).map(|(_, cause)| cause);
        if let Some(cause) = cause.or(reached) {
            self.begin_stop(cause, now);
        }
    }
}

/// Why a service will not come by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absent {
    /// It has done its work, or nobody wants it.
    Idle,
    /// It was given up.
    Lost,
}

/// Why a service is not tried any more, in words.
pub fn given_up(service: &Service) -> String {
    let title = &service.spec().title;
    let last = match (service.refusal(), service.verdict()) {
        (Some(why), _) => {
            let text = format!("could not be started: {}", why.reason);
            if matches!(why.obstacle, Obstacle::Hopeless(_)) {
                return format!("{title} {text}");
            }
            text
        }
        (None, Some(last)) => last.advice(),
        (None, None) => return format!("{title} could not be started"),
    };
    let what = match service.ever_ready() {
        true => "is in a crash loop",
        false => "did not become ready",
    };
    let (starts, time) = service.failures();
    let time = time.as_secs_f64();
    format!(
        "{title} {what}, given up after {starts} start{} in {time:.0} s; the last time it {last}",
        plural(starts)
    )
}

fn stopped_by(signal: i32) -> String {
    match signal_name(signal) {
        Some(name) => format!("stopped by {name}"),
        None => format!("stopped by signal {signal}"),
    }
}

/// The ending of a word for so many.
pub fn plural(count: u32) -> &'static str {
    match count {
        1 => "",
        _ => "s",
    }
}

#[cfg(test)]
mod tests;
