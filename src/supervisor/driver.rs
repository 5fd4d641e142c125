//! The loop of PID 1: waits for events, tells them to the plan, does what the plan says. One thread; the only place
//! that blocks is `poll`, and only until the plan's next deadline.

mod asked;
mod notices;
mod pace;
mod probes;
mod reaping;
mod signals;
mod start;
mod terminal;
mod wait;
mod watchdog;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use self::pace::Pace;
use self::probes::Probes;
use self::watchdog::Watchdog;
use super::control::Control;
use super::freezer::Freezer;
use super::journal::Journal;
use super::lineage::Whose;
use super::link::ServiceState;
use super::logs::{Logs, Sinks};
use super::notify::NotifySocket;
use super::plan::{Action, Cause, Outcome, Plan, Policy};
use super::reaper::Children;
use super::remnants::Remnants;
use super::report::{self, Facts};
use super::service::{Fault, Id, Push, Service, Spec};
use super::strays::Strays;
use super::witness::Witness;
use crate::sys::process::Command;
use crate::sys::signals::{SIGCONT, SIGKILL, SIGTERM, Signals};

pub use self::probes::Probe;

/// How it is known that a service is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It writes a line to the descriptor named by `-displayfd`, which is added to its arguments.
    Displayfd,
    /// It writes a line to a descriptor: that of this number, or one whose number stands in place of `{fd}` in its
    /// arguments, or behind `-displayfd` at their end.
    Descriptor(Option<i32>),
    /// It sends `READY=1` itself; it is also the one who reports about the display.
    Notify,
    /// It sends `READY=1` itself, and is heard about nothing else.
    Says,
    /// The reporter sees a window manager.
    WindowManager,
    /// The reporter sees a window.
    Windows,
    /// It prints a line in which this stands.
    Line(Arc<str>),
    /// A command finds out.
    Probe(Arc<Probe>),
    /// Nobody says; the plan takes it as ready once it runs.
    Silent,
}

/// How a service is started.
#[derive(Debug)]
pub struct Launch {
    /// Its program.
    pub command: Command,
    /// What it inherits besides its output, under the numbers these have.
    pub inherit: Vec<OwnedFd>,
    /// Symbolic links that are made anew before each start: their places, and what they point to.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Where its output goes.
    pub sinks: Sinks,
    /// How its readiness is known.
    pub readiness: Readiness,
    /// What must succeed before each start, if its [`Spec`] says so.
    pub before_start: Option<Errand>,
    /// What follows each end, if its [`Spec`] says so.
    pub after_stop: Option<Errand>,
}

/// Another program that a service needs for a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errand {
    /// A path, or a name.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl Launch {
    /// It goes about as its service does: with its environment, as its user, within its limits.
    fn errand(&self, errand: &Errand) -> Command {
        Command {
            program: errand.program.clone(),
            args: errand.args.clone(),
            terminal: false,
            ..self.command.clone()
        }
    }
}

/// The sockets and streams of the loop.
#[derive(Debug)]
pub struct Channels {
    /// Our signals, blocked before anything else was done.
    pub signals: Signals,
    /// Where services report.
    pub notify: NotifySocket,
    /// Where people and the display server ask.
    pub control: Control,
    /// Where everything is printed.
    pub logs: Logs,
}

/// Bytes of the latest events that are kept for those who ask.
const EVENTS: usize = 64 * 1024;

/// What is said when viewers can connect for the first time, given where browsers and viewers do.
pub type Greeting = Box<dyn Fn(Option<&str>, Option<&str>) -> String>;

/// Everything that runs.
pub struct Driver {
    plan: Plan,
    launches: Vec<Launch>,
    channels: Channels,
    children: Children,
    /// When children that have ended are looked for though no signal says so.
    reap_at: Option<Instant>,
    remnants: Remnants,
    probes: Probes,
    strays: Strays,
    witness: Witness,
    freezer: Freezer,
    pace: Pace,
    watchdog: Watchdog,
    /// The pipes on which services will say that they are ready.
    pipes: BTreeMap<Id, OwnedFd>,
    facts: Facts,
    greeting: Option<Greeting>,
    /// The status has changed since it was last sent.
    news: bool,
    /// Everything was ready once, and that was said.
    complete: bool,
    /// When it was last said that the system has no room for another process.
    shortage: Option<Instant>,
    /// What became of the services, lately.
    events: Journal,
    /// What was last said there of each.
    recorded: Vec<Option<ServiceState>>,
}

impl Driver {
    /// Takes the services in the order in which they are started. `display` is only told to others.
    pub fn new(
        services: Vec<(Spec, Launch)>,
        policy: Policy,
        channels: Channels,
        display: String,
    ) -> Self {
        let now = Instant::now();
        let (specs, launches) = services.into_iter().unzip();
        Self {
            plan: Plan::new(specs, policy, now),
            launches,
            channels,
            children: Children::default(),
            reap_at: None,
            remnants: Remnants::default(),
            probes: Probes::default(),
            strays: Strays::default(),
            witness: Witness::from_now_on(),
            freezer: Freezer::default(),
            pace: Pace::default(),
            watchdog: Watchdog::default(),
            pipes: BTreeMap::new(),
            facts: Facts {
                display,
                pid: nix::unistd::getpid().as_raw(),
                started: now,
                windows: 0,
                display_problem: None,
                web: None,
                vnc: None,
                dropped_lines: 0,
            },
            greeting: None,
            news: true,
            complete: false,
            shortage: None,
            events: Journal::new(EVENTS),
            recorded: Vec::new(),
        }
    }

    /// Says this when viewers can connect for the first time.
    #[must_use]
    pub fn greet(mut self, greeting: Greeting) -> Self {
        self.greeting = Some(greeting);
        self
    }

    /// Runs everything until its end.
    pub fn run(mut self) -> Outcome {
        loop {
            let now = Instant::now();
            while let Some(action) = self.plan.next(now) {
                // Whoever is about to be stopped has been told why.
                self.news = true;
                self.publish(now);
                self.act(action, now);
                self.news = true;
            }
            self.probe(now);
            if let Some(outcome) = self.plan.outcome(now) {
                return self.finish(outcome);
            }
            self.say_when_complete(now);
            self.publish(now);
            let ready = self.wait(now);
            let now = Instant::now();
            if self.pace.is_too_fast(now) {
                wait::rest();
            }
            if ready.signals {
                self.take_signals(now);
            }
            if self.reap_at.is_some_and(|at| now >= at) {
                self.reap(now);
            }
            if ready.notify {
                self.take_notices(now);
            }
            if ready.pipes {
                self.take_pipes(now);
            }
            // While more are to be reaped at once they are counted in the end, once.
            if ready.strays && self.reap_at.is_none_or(|at| at > now) {
                self.count_strays();
                self.count_remnants();
            }
            self.watch(now);
            let rested = self.channels.control.deadline();
            if ready.control || rested.is_some_and(|until| now >= until) {
                self.channels.control.turn(now);
                self.take_questions(now);
            }
            self.channels
                .logs
                .drain(|index| ready.logs.get(index).copied().unwrap_or(false));
            self.take_lines(now);
        }
    }

    fn act(&mut self, action: Action, now: Instant) {
        match action {
            Action::Start(id) => self.start(id, None, now),
            Action::Hook(id, hook) => self.start(id, Some(hook), now),
            Action::Push(id, Push::Term) => {
                let hook = self.plan.service(id).is_some_and(Service::prepares);
                // Which signal ends the service is nothing that its before_start knows of.
                let signal = if hook {
                    SIGTERM
                } else {
                    self.plan.stop_signal(id)
                };
                self.children.signal_group(id, signal);
                // One that was stopped could not obey.
                self.children.signal_group(id, SIGCONT);
            }
            Action::Push(id, Push::Kill) => {
                let service = self.plan.service(id);
                let failing = match service.and_then(Service::fault) {
                    _ if service.is_some_and(Service::cleans) => {
                        "does not get done with its after_stop in time"
                    }
                    Some(_) if service.is_some_and(Service::prepares) => {
                        "does not get done with its before_start in time"
                    }
                    Some(Fault::Late) => "is not ready in time",
                    Some(Fault::Silent) => "does not answer",
                    None => "does not end in time",
                };
                let title = self.title(id);
                self.channels
                    .logs
                    .say(&format!("{title} {failing}, killing it"));
                self.children.signal_group(id, SIGKILL);
            }
            Action::PushRemnants(id, push) => {
                let signal = if push == Push::Kill { SIGKILL } else { SIGTERM };
                if push == Push::Term {
                    let title = self.title(id);
                    let text = format!("{title} has left processes behind, ending them");
                    self.channels.logs.say(&text);
                }
                self.remnants.signal(id, signal);
                self.count_remnants();
            }
            Action::Freeze(true) => {
                let (plan, children) = (&self.plan, &self.children);
                let main = |pid| whose(plan, children, pid);
                let count = self.freezer.freeze(self.facts.pid, main);
                self.channels.logs.say(&format!(
                    "nobody watches: the application is held still ({count} processes)"
                ));
            }
            Action::Freeze(false) => {
                self.freezer.thaw();
                self.channels.logs.say("the application goes on");
            }
            Action::CloseWindows => {
                // The display worker reads in the status that it is to ask them. One that was stopped could not answer.
                for (id, service) in self.plan.services() {
                    if service.spec().application {
                        self.children.signal_group(id, SIGCONT);
                    }
                }
                let (plan, children) = (&self.plan, &self.children);
                self.strays
                    .look(self.facts.pid, |pid| whose(plan, children, pid));
                self.plan.strays(self.strays.len());
            }
            Action::PushStrays(push) => {
                let signal = if push == Push::Kill { SIGKILL } else { SIGTERM };
                let (plan, children) = (&self.plan, &self.children);
                let told = |group| {
                    push == Push::Term
                        && children
                            .service(group)
                            .and_then(|id| plan.service(id))
                            .is_some_and(|service| service.spec().application)
                };
                self.strays.push(
                    signal,
                    self.facts.pid,
                    |pid| whose(plan, children, pid),
                    told,
                );
                self.plan.strays(self.strays.len());
            }
        }
    }

    fn publish(&mut self, now: Instant) {
        // A service may be another without an event: its time is over.
        self.news |= self.record_events();
        self.channels
            .control
            .feed(self.channels.logs.journal(), &self.events);
        if std::mem::take(&mut self.news) {
            self.channels.control.changed();
        }
        if !self.channels.control.wants_status() {
            return;
        }
        self.facts.dropped_lines = self.channels.logs.dropped();
        let status = report::status(&self.plan, &self.facts, |id| self.children.pid(id), now);
        if let Ok(line) = serde_json::to_vec(&status) {
            self.channels.control.send(&line);
        }
    }

    fn say_when_complete(&mut self, now: Instant) {
        if !self.complete && self.plan.stopping().is_none() && self.plan.waits_for().is_none() {
            self.complete = true;
            let time = now
                .saturating_duration_since(self.facts.started)
                .as_millis();
            self.channels
                .logs
                .say(&format!("everything is ready after {time} ms"));
        }
    }

    fn finish(mut self, mut outcome: Outcome) -> Outcome {
        self.channels.logs.drain_all();
        if let Some(Cause::Failure { id, .. }) = self.plan.stopping() {
            let tail = self.channels.logs.tail(*id);
            let last: Vec<&str> = tail
                .iter()
                .map(|line| line.trim())
                .filter(|line| !line.is_empty())
                .collect();
            let from = last.len().saturating_sub(4);
            if let Some(words) = last.get(from..).filter(|words| !words.is_empty()) {
                outcome.reason =
                    format!("{}; its last words: {}", outcome.reason, words.join(" / "));
            }
        }
        self.channels
            .logs
            .say(&format!("{}; exit code {}", outcome.reason, outcome.code));
        self.channels.logs.finish(200);
        outcome
    }

    fn readiness(&self, id: Id) -> Option<&Readiness> {
        self.launches.get(id.0).map(|launch| &launch.readiness)
    }

    fn title(&self, id: Id) -> Arc<str> {
        self.plan
            .service(id)
            .map_or_else(|| "".into(), |service| Arc::clone(&service.spec().title))
    }
}

/// What a process is there for, if it is the main process of a service or of a hook.
fn whose(plan: &Plan, children: &Children, pid: i32) -> Option<Whose> {
    let service = plan.service(children.service(pid)?)?;
    let hook = service.cleans() || service.prepares();
    Some(match service.spec().application && !hook {
        true => Whose::Work,
        false => Whose::Service,
    })
}
