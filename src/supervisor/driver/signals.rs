//! Signals that we get, and what the end of a service means.

use std::time::Instant;

use super::watchdog::Watchdog;
use super::{Driver, Readiness, whose};
use crate::supervisor::service::{Blame, Exit, Id, Service, State, Verdict, caught, signal_name};
use crate::sys::signals::{Received, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};

impl Driver {
    pub(super) fn take_signals(&mut self, now: Instant) {
        while let Some(signal) = self.channels.signals.take() {
            let Received { sent, meant } = signal;
            // One that is taken for another still asks for the end: whoever stops containers sends nothing else.
            let asks = |signal| matches!(signal, SIGTERM | SIGINT);
            match meant {
                SIGCHLD => self.reap_at = Some(now),
                _ if asks(sent) || asks(meant) => {
                    self.say_rewritten(signal);
                    self.request_stop(meant, now);
                }
                _ => self.forward(meant, now),
            }
        }
        self.look_at_terminal();
    }

    fn say_rewritten(&mut self, signal: Received) {
        let Received { sent, meant } = signal;
        if sent != meant {
            let name =
                |signal| signal_name(signal).map_or_else(|| signal.to_string(), str::to_owned);
            let text = format!("{} is taken for {}", name(sent), name(meant));
            self.channels.logs.say(&text);
        }
    }

    /// To the application; without one, those that end a program end everything.
    pub(super) fn forward(&mut self, signal: i32, now: Instant) {
        let application = self
            .plan
            .services()
            .find(|(_, service)| service.spec().application && service.runs());
        if application.is_some_and(|(_, service)| service.prepares()) {
            // It is not there yet, and its before_start knows nothing of its signals.
            return;
        }
        match application {
            Some((id, _)) => {
                // One that has just ended needs no signal.
                self.children.signal(id, signal);
            }
            None if matches!(signal, SIGHUP | SIGQUIT) => self.request_stop(signal, now),
            None => {}
        }
    }

    pub(super) fn request_stop(&mut self, signal: i32, now: Instant) {
        self.plan.request_stop(signal, now);
        self.news = true;
    }

    pub(super) fn ended(&mut self, id: Id, exit: Exit, now: Instant) {
        self.terminal_is_free(id);
        // Its last words come before ours about it.
        self.channels.logs.drain_all();
        self.take_lines(now);
        let service = self.plan.service(id);
        let (cleans, prepares, ours) = (
            service.is_some_and(Service::cleans),
            service.is_some_and(Service::prepares),
            service.is_some_and(Service::is_killed),
        );
        self.plan.exited(id, exit, now);
        if cleans || prepares && exit == Exit::Code(0) {
            self.news = true;
            if cleans && exit != Exit::Code(0) {
                let title = self.title(id);
                let text = format!("{title}: its after_stop has failed, {exit}");
                self.channels.logs.say(&text);
            }
            return;
        }
        let blame = match Verdict::aborted(exit) {
            true => {
                let tail = self.channels.logs.tail(id);
                caught(tail.iter().map(AsRef::as_ref)).map(Blame::Caught)
            }
            false => self.witness.blame(exit),
        };
        if let Some(blame) = blame.filter(|_| !ours) {
            self.plan.blame(id, blame);
        }
        self.pipes.remove(&id);
        match self.readiness(id) {
            Some(Readiness::Notify) => {
                self.watchdog = Watchdog::default();
                self.plan.set_viewers(0, now);
                self.facts.display_problem = None;
            }
            Some(Readiness::Displayfd) => {
                self.facts.windows = 0;
            }
            _ => {}
        }
        // What ends everything is told with that. One that was taken along by what it is bound to comes back.
        let final_word = self.plan.service(id).is_some_and(|service| {
            !prepares && service.spec().ends_all(exit) && service.state() != State::Waiting
        });
        if self.plan.stopping().is_none() && !final_word {
            let title = self.title(id);
            let verdict = self.plan.service(id).and_then(Service::verdict);
            let what = verdict.map_or_else(String::new, Verdict::advice);
            self.channels.logs.say(&format!("{title} {what}"));
        }
        self.news = true;
    }

    pub(super) fn count_remnants(&mut self) {
        for (id, count) in self.remnants.count() {
            self.plan.left_behind(id, count);
        }
    }

    pub(super) fn count_strays(&mut self) {
        let (plan, children) = (&self.plan, &self.children);
        self.strays
            .refresh(self.facts.pid, |pid| whose(plan, children, pid));
        self.plan.strays(self.strays.len());
    }
}
