//! The loop of PID 1: waits for events, tells them to the plan, does what the plan says. One thread; the only place
//! that blocks is `poll`, and only until the plan's next deadline.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::control::Control;
use super::logs::Logs;
use super::notify::{Notice, NotifySocket};
use super::plan::{
    Action, Cause, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, NotStarted, Outcome, Plan, Policy,
};
use super::reaper::Children;
use super::report::{self, Facts};
use super::service::{Exit, Id, Push, Spec};
use super::strays::Strays;
use crate::sys::output;
use crate::sys::process::{Command, SpawnError, SpawnErrorKind};
use crate::sys::signals::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
    Signals,
};

/// How a service says that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It writes a line to the descriptor named by `-displayfd`, which is added to its arguments.
    Displayfd,
    /// It sends `READY=1` itself; it is also the one who reports about the display.
    Notify,
    /// The reporter sees a window manager.
    WindowManager,
    /// The reporter sees a window.
    Windows,
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
    /// A symbolic link that is made anew before each start: its place, and what it points to.
    pub link: Option<(PathBuf, PathBuf)>,
    /// How its readiness is known.
    pub readiness: Readiness,
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

/// What is said when viewers can connect for the first time, given where browsers and viewers do.
pub type Greeting = Box<dyn Fn(Option<&str>, Option<&str>) -> String>;

/// Everything that runs.
pub struct Driver {
    plan: Plan,
    launches: Vec<Launch>,
    channels: Channels,
    children: Children,
    strays: Strays,
    /// The pipe on which the X server will say that it is ready.
    displayfd: Option<(Id, OwnedFd)>,
    facts: Facts,
    greeting: Option<Greeting>,
    /// The status has changed since it was last sent.
    news: bool,
    /// Everything was ready once, and that was said.
    complete: bool,
}

/// What `poll` found.
#[derive(Default)]
struct Ready {
    signals: bool,
    notify: bool,
    display: bool,
    control: bool,
    strays: bool,
    logs: Vec<bool>,
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
            strays: Strays::default(),
            displayfd: None,
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
            }
            if let Some(outcome) = self.plan.outcome(now) {
                return self.finish(outcome);
            }
            self.say_when_complete(now);
            self.publish(now);
            let ready = self.wait(now);
            let now = Instant::now();
            if ready.signals {
                self.take_signals(now);
            }
            if ready.notify {
                self.take_notices(now);
            }
            if ready.display {
                self.take_display(now);
            }
            if ready.strays {
                self.count_strays();
            }
            let rested = self.channels.control.deadline();
            if ready.control || rested.is_some_and(|until| now >= until) {
                self.channels.control.turn(now);
            }
            self.channels
                .logs
                .drain(|index| ready.logs.get(index).copied().unwrap_or(false));
        }
    }

    fn act(&mut self, action: Action, now: Instant) {
        match action {
            Action::Start(id) => self.start(id, now),
            Action::Push(id, Push::Term) => {
                self.children.signal_group(id, SIGTERM);
                // One that was stopped could not obey.
                self.children.signal_group(id, SIGCONT);
            }
            Action::Push(id, Push::Kill) => {
                let title = self.title(id);
                self.channels
                    .logs
                    .say(&format!("{title} does not end in time, killing it"));
                self.children.signal_group(id, SIGKILL);
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
                    |pid| children.service(pid).is_some(),
                    told,
                );
                self.plan.strays(self.strays.len());
            }
        }
    }

    fn start(&mut self, id: Id, now: Instant) {
        match self.spawn(id) {
            Ok(_) => self.plan.started(id, now),
            Err(error) => {
                let hopeless = match error.kind {
                    SpawnErrorKind::NotFound => Some(EXIT_NOT_FOUND),
                    SpawnErrorKind::NotExecutable => Some(EXIT_NOT_EXECUTABLE),
                    SpawnErrorKind::Temporary => None,
                };
                let program = self
                    .launches
                    .get(id.0)
                    .map(|launch| launch.command.program.to_string_lossy());
                let reason = format!("{}: {error}", program.unwrap_or_default());
                let title = self.title(id);
                self.channels
                    .logs
                    .say(&format!("{title} could not be started: {reason}"));
                self.plan
                    .not_started(id, &NotStarted { hopeless, reason }, now);
            }
        }
    }

    fn spawn(&mut self, id: Id) -> Result<i32, SpawnError> {
        let name = self
            .plan
            .service(id)
            .map_or("", |service| service.spec().name);
        let Some(launch) = self.launches.get(id.0) else {
            return Err(std::io::Error::from(std::io::ErrorKind::NotFound).into());
        };
        if let Some((place, target)) = &launch.link {
            // The last one may have removed it, or not.
            let _ = std::fs::remove_file(place);
            std::os::unix::fs::symlink(target, place).map_err(|source| SpawnError {
                kind: SpawnErrorKind::Temporary,
                source,
            })?;
        }
        let output = self.channels.logs.pipe(id, name)?;
        let mut inherit: Vec<BorrowedFd<'_>> = launch.inherit.iter().map(AsFd::as_fd).collect();
        if launch.readiness != Readiness::Displayfd {
            return self.children.spawn(id, &launch.command, output, &inherit);
        }
        let (ours, theirs) = output::pipe()?;
        let mut command = launch.command.clone();
        command
            .args
            .extend(["-displayfd".into(), theirs.as_raw_fd().to_string().into()]);
        inherit.push(theirs.as_fd());
        let pid = self.children.spawn(id, &command, output, &inherit)?;
        self.displayfd = Some((id, ours));
        Ok(pid)
    }

    fn wait(&self, now: Instant) -> Ready {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(32);
        let channels = &self.channels;
        fds.push(PollFd::new(channels.signals.as_fd(), PollFlags::POLLIN));
        fds.push(PollFd::new(channels.notify.as_fd(), PollFlags::POLLIN));
        let control_at = fds.len();
        fds.extend(
            channels
                .control
                .fds()
                .map(|(fd, events)| PollFd::new(fd, events)),
        );
        let logs_at = fds.len();
        fds.extend(
            channels
                .logs
                .fds()
                .map(|fd| PollFd::new(fd, PollFlags::POLLIN)),
        );
        let strays_at = fds.len();
        fds.extend(
            self.strays
                .fds()
                .map(|fd| PollFd::new(fd, PollFlags::POLLIN)),
        );
        let display_at = fds.len();
        fds.extend(
            self.displayfd
                .iter()
                .map(|(_, fd)| PollFd::new(fd.as_fd(), PollFlags::POLLIN)),
        );
        let end = fds.len();
        // Only waited for; the log is flushed in every turn.
        fds.extend(
            channels
                .logs
                .blocked()
                .map(|fd| PollFd::new(fd, PollFlags::POLLOUT)),
        );

        let deadlines = [self.plan.deadline(now), channels.control.deadline()];
        let timeout = deadlines
            .into_iter()
            .flatten()
            .min()
            .map_or(PollTimeout::NONE, |at| timeout(at, now));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            // No memory for the kernel's own list: the turn is taken as if everything were ready, which costs a little
            // and loses nothing, after a pause so that it does not spin.
            Err(_) => {
                let _ = poll(&mut [], PollTimeout::from(50_u8));
                let count = strays_at - logs_at;
                return Ready {
                    signals: true,
                    notify: true,
                    display: end > display_at,
                    control: true,
                    strays: display_at > strays_at,
                    logs: vec![true; count],
                };
            }
        }
        let hit = |index: usize| fds.get(index).and_then(PollFd::any).unwrap_or(false);
        Ready {
            signals: hit(0),
            notify: hit(1),
            control: (control_at..logs_at).any(hit),
            logs: (logs_at..strays_at).map(hit).collect(),
            strays: (strays_at..display_at).any(hit),
            display: (display_at..end).any(hit),
        }
    }

    fn take_signals(&mut self, now: Instant) {
        let mut children_changed = false;
        while let Some(signal) = self.channels.signals.take() {
            match signal {
                SIGCHLD => children_changed = true,
                SIGTERM | SIGINT => self.request_stop(signal, now),
                SIGHUP | SIGQUIT | SIGUSR1 | SIGUSR2 | SIGWINCH => {
                    self.forward(signal, now);
                }
                _ => {}
            }
        }
        if children_changed {
            while let Some(reaped) = self.children.reap() {
                if let Some(id) = reaped.id {
                    self.ended(id, reaped.exit, now);
                }
            }
            self.count_strays();
        }
    }

    /// To the application; without one, those that end a program end everything.
    fn forward(&mut self, signal: i32, now: Instant) {
        let application = self
            .plan
            .services()
            .find(|(_, service)| service.spec().application && service.runs());
        match application {
            Some((id, _)) => self.children.signal(id, signal),
            None if matches!(signal, SIGHUP | SIGQUIT) => self.request_stop(signal, now),
            None => {}
        }
    }

    fn request_stop(&mut self, signal: i32, now: Instant) {
        self.plan.request_stop(signal, now);
        self.news = true;
    }

    fn ended(&mut self, id: Id, exit: Exit, now: Instant) {
        // Its last words come before ours about it.
        self.channels.logs.drain_all();
        self.plan.exited(id, exit, now);
        match self.readiness(id) {
            Some(Readiness::Notify) => {
                self.plan.set_viewers(0, now);
                self.facts.display_problem = None;
            }
            Some(Readiness::Displayfd) => {
                self.facts.windows = 0;
                self.displayfd = None;
            }
            _ => {}
        }
        let final_word = self
            .plan
            .service(id)
            .is_some_and(|service| service.spec().vital && !service.spec().restart);
        if self.plan.stopping().is_none() && !final_word {
            let title = self.title(id);
            self.channels
                .logs
                .say(&format!("{title} has ended, {exit}"));
        }
        self.news = true;
    }

    fn take_notices(&mut self, now: Instant) {
        while let Some((pid, notices)) = self.channels.notify.receive() {
            // Only the reporter itself is heard, not whoever else finds the socket.
            let Some(id) = self
                .children
                .service(pid)
                .filter(|id| self.readiness(*id) == Some(Readiness::Notify))
            else {
                continue;
            };
            for notice in notices {
                self.notice(id, notice, now);
            }
        }
    }

    fn notice(&mut self, id: Id, notice: Notice, now: Instant) {
        match notice {
            Notice::Ready => {
                if self.plan.ready(id, now)
                    && let Some(greeting) = self.greeting.take()
                {
                    let text = greeting(self.facts.web.as_deref(), self.facts.vnc.as_deref());
                    self.channels.logs.say(&text);
                }
            }
            Notice::Stopping => {}
            Notice::Display(state) => self.facts.display_problem = state.err(),
            Notice::WindowManager(name) => {
                if name.is_some() {
                    self.ready_by(Readiness::WindowManager, now);
                }
            }
            Notice::Windows(count) => {
                self.facts.windows = count;
                if count > 0 {
                    self.ready_by(Readiness::Windows, now);
                }
            }
            Notice::Viewers(count) => self.plan.set_viewers(count, now),
            Notice::Web(address) => self.facts.web = Some(address),
            Notice::Vnc(address) => self.facts.vnc = Some(address),
        }
        self.news = true;
    }

    fn ready_by(&mut self, readiness: Readiness, now: Instant) {
        for (index, launch) in self.launches.iter().enumerate() {
            if launch.readiness == readiness {
                self.plan.ready(Id(index), now);
            }
        }
    }

    fn take_display(&mut self, now: Instant) {
        let Some((id, fd)) = &self.displayfd else {
            return;
        };
        let mut text = [0; 64];
        match output::read(fd.as_fd(), &mut text) {
            Ok(count) if text.get(..count).is_some_and(|text| text.contains(&b'\n')) => {
                self.plan.ready(*id, now);
                self.displayfd = None;
                self.news = true;
            }
            // Its end without a line: the exit will say why.
            Ok(0) => self.displayfd = None,
            _ => {}
        }
    }

    fn count_strays(&mut self) {
        let children = &self.children;
        self.strays
            .refresh(self.facts.pid, |pid| children.service(pid).is_some());
        self.plan.strays(self.strays.len());
    }

    fn publish(&mut self, now: Instant) {
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

    fn readiness(&self, id: Id) -> Option<Readiness> {
        self.launches.get(id.0).map(|launch| launch.readiness)
    }

    fn title(&self, id: Id) -> &'static str {
        self.plan
            .service(id)
            .map_or("", |service| service.spec().title)
    }
}

/// Rounded up, so that the deadline has passed when `poll` returns.
fn timeout(at: Instant, now: Instant) -> PollTimeout {
    let left = at.saturating_duration_since(now) + Duration::from_micros(999);
    PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX)
}
