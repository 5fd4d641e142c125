//! One service: what it is doing, and what its next step is. Pure: no process, no clock (`now` is an argument).
//!
//! ```text
//!            its turn has come              readiness event, or patience
//!  Waiting ───────────────────▶ Starting ─────────────────────────────▶ Ready
//!   ▲  ▲                          │  │                                   │ │
//!   │  │ back-off is over         │  └────────── it ends ────────────────┤ │ told to end (stop, or what it
//!   │  │                          │ could not be started                 │ │ is bound to has gone)
//!   │ Backoff ◀── judged: again ──┴──◀── Held (does what it is           │ │
//!   │                             │      bound to die as well?) ◀────────┘ │
//!   │                             │                │                       ▼
//!   │                             ▼ judged: over   │ it does            Stopping
//!   │                     Ended, Fatal             │                     │   │
//!   └──────────────────────────────────────────────┴──── to come back ───┘   └─ for good ─▶ Stopped
//! ```
//!
//! *Preparing*, between Waiting and Starting, and what follows an end are in `hooks`.
//!
//! *Held* exists because an application that dies of its X server may be reaped before it: its end is judged only when
//! the X server has had the time to be seen dead.

mod exit;
mod hooks;
mod order;
mod pause;
mod remnants;
mod spec;
mod state;
mod verdict;

use std::time::{Duration, Instant};

pub use exit::{Exit, SIGKILL, SIGTERM, signal_name, signal_number};
use hooks::Cleanup;
pub use pause::{FIRST_BACKOFF, LONGEST_BACKOFF, LONGEST_REFUSAL, backoff};
use remnants::Remnants;
pub use spec::{After, Codes, GiveUp, Id, OnEnd, OnFatal, Patience, Proof, Restart, Spec};
pub use state::{NotStarted, Obstacle, Push, Sent, State};
pub use verdict::{Blame, Fault, Verdict, caught, size};

/// A service that has been ready for this long is forgiven what came before.
pub const HEALTHY: Duration = Duration::from_secs(60);
/// How long the commands before a start and after an end may take, if nobody says.
pub const HOOK: Duration = Duration::from_secs(30);
/// How long an end is held back to see whether the service's foundation is dying as well.
pub const HOLD: Duration = Duration::from_millis(100);
/// From SIGTERM to SIGKILL when a service must go only to be started again.
pub const RESTART_GRACE: Duration = Duration::from_secs(1);

/// One service and where it stands.
#[derive(Clone, Debug)]
pub struct Service {
    spec: Spec,
    state: State,
    since: Instant,
    restarts: u32,
    /// Starts since it was last healthy that have failed or come to an end: the exponent of the back-off, and what its
    /// limit is about.
    attempts: u32,
    /// Of one that must last: starts in a row that did not. Its limit is about these.
    failed_starts: u32,
    /// When the first of these was made.
    trying_since: Instant,
    ever_ready: bool,
    /// How often the system has had no room for it, since it had.
    refusals: u32,
    /// Its process is that of `before_start`.
    preparing: bool,
    /// `before_start` has succeeded for the next start.
    prepared: bool,
    /// `before_start` or its program has been started since `after_stop` was.
    begun: bool,
    cleanup: Cleanup,
    /// When it began not to be ready, in spite of starts; for [`Patience::GoOn`].
    series: Option<Instant>,
    /// What it is being killed for, so that it can be started again.
    fault: Option<Fault>,
    last: Option<Verdict>,
    /// Its last start came to nothing.
    refusal: Option<NotStarted>,
    remnants: Remnants,
}

impl Service {
    /// A service that nobody has started yet.
    pub fn new(spec: Spec, now: Instant) -> Self {
        Self {
            state: match spec.autostart {
                true => State::Waiting,
                false => State::Stopped,
            },
            spec,
            since: now,
            restarts: 0,
            attempts: 0,
            failed_starts: 0,
            trying_since: now,
            ever_ready: false,
            refusals: 0,
            preparing: false,
            prepared: false,
            begun: false,
            cleanup: Cleanup::default(),
            series: None,
            fault: None,
            last: None,
            refusal: None,
            remnants: Remnants::default(),
        }
    }

    /// Its rules.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Has it been ready at any time?
    pub fn ever_ready(&self) -> bool {
        self.ever_ready
    }

    /// Why its last start came to nothing, if it did.
    pub fn refusal(&self) -> Option<&NotStarted> {
        self.refusal.as_ref()
    }

    /// Does its process exist, or that of what comes before it?
    pub fn runs(&self) -> bool {
        matches!(
            self.state,
            State::Preparing | State::Starting | State::Ready | State::Stopping { .. }
        )
    }

    /// Will it never run again?
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Stopped | State::Ended(_) | State::Fatal)
    }

    /// May those who come after it be started, as far as it is concerned?
    pub fn lets_others_go_on(&self, now: Instant) -> bool {
        match (self.state, self.spec.patience, self.series) {
            (State::Ready, _, _) => true,
            // A part that people can do without does not keep the application from starting.
            (State::Fatal | State::Stopped, Patience::GoOn(_), _) => true,
            (_, Patience::GoOn(limit), Some(series)) => now >= series + limit,
            _ => false,
        }
    }

    /// What it is being killed for, if it is to be started again.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Has it been sent SIGKILL?
    pub fn is_killed(&self) -> bool {
        matches!(
            self.state,
            State::Stopping {
                sent: Sent::Kill,
                ..
            }
        )
    }

    /// The process that was due has been started: its own, or that of a hook.
    pub fn started(&mut self, now: Instant) {
        if self.began_cleanup(now) || self.state != State::Waiting {
            return;
        }
        self.refusals = 0;
        self.refusal = None;
        self.begun = true;
        self.preparing = self.wants_preparation();
        if self.preparing {
            self.begin_to_try(now);
            self.series.get_or_insert(now);
            self.fault = None;
            self.remnants = Remnants::default();
            self.enter(State::Preparing, now);
            return;
        }
        if self.last.is_some() || self.ever_ready {
            self.restarts += 1;
        }
        self.series.get_or_insert(now);
        self.begin_to_try(now);
        self.fault = None;
        self.remnants = Remnants::default();
        self.enter(State::Starting, now);
        match self.spec.proof {
            Proof::Runs => {
                self.ready(now);
            }
            Proof::Lasts(_) => self.prove(now),
            Proof::Told => {}
        }
    }

    /// The process that was due could not be started.
    pub fn not_started(&mut self, why: &NotStarted, now: Instant) {
        let obstacle = why.obstacle;
        if obstacle == Obstacle::Shortage && self.put_off_cleanup(now) {
            return;
        }
        if self.ended_cleanup() || self.state != State::Waiting {
            return;
        }
        self.refusal = Some(why.clone());
        self.series.get_or_insert(now);
        self.begin_to_try(now);
        match obstacle {
            Obstacle::Shortage => {
                let until = now + self.refused();
                self.enter(State::Backoff { until }, now);
            }
            Obstacle::Hopeless(_) => {
                self.release();
                self.enter(State::Fatal, now);
            }
            Obstacle::Failure => {
                self.release();
                self.try_again(false, now);
            }
        }
    }

    /// It says that it is ready, or others say it. True when that is news.
    pub fn ready(&mut self, now: Instant) -> bool {
        if self.state != State::Starting || self.fault.is_some() {
            return false;
        }
        self.ever_ready = true;
        self.failed_starts = 0;
        self.series = None;
        self.enter(State::Ready, now);
        true
    }

    /// Its process has ended, or that of a hook. `footing`: is what it is bound to up (or is it bound to nothing)?
    pub fn exited(&mut self, exit: Exit, footing: bool, now: Instant) {
        if self.ended_cleanup() {
            return;
        }
        self.prove(now);
        self.note_health(now);
        if self.state == State::Preparing && footing && exit == Exit::Code(0) {
            return self.was_prepared(now);
        }
        self.release();
        let was_ready = self.state == State::Ready;
        let blame = match self.preparing {
            true => Some(Blame::BeforeStart(self.fault)),
            false => self.fault.map(Blame::Fault),
        };
        self.last = Some(Verdict { exit, blame });
        match self.state {
            State::Preparing | State::Starting | State::Ready if !footing => self.wait_again(now),
            State::Preparing => self.fail_to_start(now),
            State::Starting | State::Ready if self.spec.bound_to.is_some() => {
                self.enter(
                    State::Held {
                        exit,
                        until: now + HOLD,
                        was_ready,
                    },
                    now,
                );
            }
            State::Starting | State::Ready => self.judge(exit, was_ready, now),
            State::Stopping { again: true, .. } if self.fault.is_some() && self.preparing => {
                self.fail_to_start(now);
            }
            State::Stopping { again: true, .. } if self.fault.is_some() => {
                self.judge(exit, false, now)
            }
            State::Stopping { again: true, .. } => self.wait_again(now),
            State::Stopping { again: false, .. } => self.enter(State::Stopped, now),
            // Not ours to have ended: nothing of it was running.
            _ => {}
        }
    }

    /// It does not answer, and is killed to be started again.
    pub fn silent(&mut self, now: Instant) {
        if self.state == State::Ready {
            self.kill(Fault::Silent, now);
        }
    }

    /// What it is bound to has gone.
    pub fn lost_footing(&mut self, now: Instant) {
        match self.state {
            State::Held { .. } | State::Backoff { .. } => self.wait_again(now),
            State::Preparing | State::Starting | State::Ready => {
                self.series = None;
                let grace = self.spec.stop_timeout.unwrap_or(RESTART_GRACE);
                self.tell(now + grace, true, now);
            }
            _ => {}
        }
    }

    /// Stop for good; what still runs at `kill_at` is killed. May be called again with another time.
    pub fn stop(&mut self, kill_at: Instant, now: Instant) {
        match self.state {
            State::Preparing | State::Starting | State::Ready => {
                self.tell(self.no_later(kill_at, now), false, now);
            }
            State::Stopping { sent, .. } => {
                self.state = State::Stopping {
                    kill_at: self.no_later(kill_at, self.since),
                    sent,
                    again: false,
                }
            }
            State::Held { exit, .. } => self.enter(State::Ended(exit), now),
            State::Waiting | State::Backoff { .. } => {
                self.release();
                self.enter(State::Stopped, now);
            }
            State::Stopped | State::Ended(_) | State::Fatal => {}
        }
    }

    /// Lets time pass: verdicts, ends of back-offs, lost patience.
    pub fn tick(&mut self, now: Instant) {
        self.prove(now);
        self.cleanup.tick(now);
        if let State::Held {
            exit,
            until,
            was_ready,
        } = self.state
            && now >= until
        {
            self.judge(exit, was_ready, now);
        }
        // A verdict may be a back-off of no length.
        if let State::Backoff { until } = self.state
            && now >= until
        {
            self.enter(State::Waiting, now);
        }
        if let (State::Starting, Patience::Kill(limit)) = (self.state, self.spec.patience)
            && now >= self.since + limit
        {
            self.kill(Fault::Late, now);
        }
        if self.state == State::Preparing && now >= self.since + self.spec.hook_timeout {
            self.kill(Fault::Late, now);
        }
    }

    /// The signal that is due now, once.
    pub fn push(&mut self, now: Instant) -> Option<Push> {
        if let Some(push) = self.cleanup.push(now) {
            return Some(push);
        }
        let State::Stopping {
            kill_at,
            sent,
            again,
        } = self.state
        else {
            return None;
        };
        let (sent, push) = match sent {
            Sent::Nothing | Sent::Term if now >= kill_at => (Sent::Kill, Push::Kill),
            Sent::Nothing => (Sent::Term, Push::Term),
            Sent::Term | Sent::Kill => return None,
        };
        self.state = State::Stopping {
            kill_at,
            sent,
            again,
        };
        Some(push)
    }

    /// When [`Service::tick`] or [`Service::push`] will have something to do, or others may go on, if nothing happens.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let own = match self.state {
            State::Held { until, .. } => Some(until),
            State::Backoff { until } => Some(
                self.remnants
                    .deadline(now)
                    .map_or(until, |kill_at| kill_at.min(until)),
            ),
            State::Stopping {
                sent: Sent::Kill, ..
            } => None,
            State::Stopping { kill_at, .. } => Some(kill_at),
            State::Preparing => Some(self.since + self.spec.hook_timeout),
            State::Starting => {
                let limit = match self.spec.patience {
                    Patience::Kill(limit) => Some(limit),
                    Patience::Endless | Patience::GoOn(_) => None,
                };
                let proof = match self.spec.proof {
                    Proof::Lasts(time) => Some(time),
                    Proof::Told | Proof::Runs => None,
                };
                let first = limit.into_iter().chain(proof).min();
                first.map(|time| self.since + time)
            }
            State::Waiting => self.remnants.deadline(now),
            _ => None,
        };
        let others = match (self.state, self.spec.patience, self.series) {
            (State::Ready | State::Fatal, ..) => None,
            (_, Patience::GoOn(limit), Some(series)) => Some(series + limit).filter(|&at| at > now),
            _ => None,
        };
        let cleanup = self.cleanup.deadline();
        own.into_iter().chain(others).chain(cleanup).min()
    }

    /// It had its time: no grace.
    fn kill(&mut self, fault: Fault, now: Instant) {
        self.fault = Some(fault);
        self.tell(now, true, now);
    }

    fn judge(&mut self, exit: Exit, was_ready: bool, now: Instant) {
        let started = was_ready || !matches!(self.spec.proof, Proof::Lasts(_));
        let follows = self.spec.restart.follows(exit);
        if self.fault == Some(Fault::Late) {
            // Whatever its code, it has not done its work.
            self.fail_to_start(now);
        } else if !follows && started {
            self.enter(State::Ended(exit), now);
        } else {
            self.try_again(was_ready, now);
        }
    }

    /// Who is not started again is not tried again either.
    fn fail_to_start(&mut self, now: Instant) {
        if self.spec.restart == Restart::Never {
            self.attempts = self.attempts.saturating_add(1);
            self.enter(State::Fatal, now);
        } else {
            self.try_again(false, now);
        }
    }

    /// How many starts its limit is about.
    fn tries(&self) -> u32 {
        match self.spec.proof {
            Proof::Lasts(_) => self.failed_starts,
            Proof::Told | Proof::Runs => self.attempts,
        }
    }

    fn begin_to_try(&mut self, now: Instant) {
        if self.tries() == 0 {
            self.trying_since = now;
        }
    }

    /// Before it is ready no more.
    fn note_health(&mut self, now: Instant) {
        if self.state == State::Ready && now.saturating_duration_since(self.since) >= HEALTHY {
            self.attempts = 0;
        }
    }

    fn forgive(&mut self) {
        self.attempts = 0;
        self.failed_starts = 0;
    }

    fn try_again(&mut self, was_ready: bool, now: Instant) {
        let mut pause = backoff(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        if matches!(self.spec.proof, Proof::Lasts(_)) && !was_ready {
            self.failed_starts = self.failed_starts.saturating_add(1);
            pause = Duration::from_secs(self.failed_starts.into());
        }
        let limit = if self.ever_ready {
            self.spec.give_up.ready_before
        } else {
            self.spec.give_up.never_ready
        };
        if limit.is_some_and(|limit| self.tries() >= limit) {
            self.enter(State::Fatal, now);
        } else {
            self.series.get_or_insert(now);
            self.enter(State::Backoff { until: now + pause }, now);
        }
    }

    /// Ready by having run for long enough, if that is what shows it.
    fn prove(&mut self, now: Instant) {
        if let (State::Starting, Proof::Lasts(time)) = (self.state, self.spec.proof)
            && now >= self.since + time
        {
            self.ready(now);
        }
    }

    /// Through no fault of its own: no back-off, and those after it wait for it anew.
    fn wait_again(&mut self, now: Instant) {
        self.series = None;
        self.enter(State::Waiting, now);
    }

    /// `kill_at`, or when its own time is over, counted from `told`.
    fn no_later(&self, kill_at: Instant, told: Instant) -> Instant {
        match self.spec.stop_timeout {
            Some(limit) => kill_at.min(told + limit),
            None => kill_at,
        }
    }

    fn tell(&mut self, kill_at: Instant, again: bool, now: Instant) {
        self.note_health(now);
        self.enter(
            State::Stopping {
                kill_at,
                sent: Sent::Nothing,
                again,
            },
            now,
        );
    }

    fn enter(&mut self, state: State, now: Instant) {
        self.state = state;
        self.since = now;
    }
}

#[cfg(test)]
mod tests;
