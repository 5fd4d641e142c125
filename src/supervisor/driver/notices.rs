//! What the services say of themselves and of each other, and what it means for the plan.

use std::os::fd::AsFd;
use std::time::Instant;

use super::{Driver, Readiness};
use crate::supervisor::notify::Notice;
use crate::supervisor::plan::plural;
use crate::supervisor::service::Id;
use crate::sys::output;

impl Driver {
    pub(super) fn take_notices(&mut self, now: Instant) {
        while let Some((pid, notices)) = self.channels.notify.receive() {
            // Only services themselves are heard, not whoever else finds the socket.
            let Some(id) = self.children.service(pid) else {
                continue;
            };
            match self.readiness(id) {
                Some(Readiness::Notify) => {
                    for notice in notices {
                        self.notice(id, notice, now);
                    }
                }
                Some(Readiness::Says) if notices.contains(&Notice::Ready) => {
                    self.plan.ready(id, now);
                    self.news = true;
                }
                _ => {}
            }
        }
    }

    pub(super) fn notice(&mut self, id: Id, notice: Notice, now: Instant) {
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
            Notice::Alive => return self.watchdog.heard(now),
            Notice::Hung => self.silent_by(&Readiness::Displayfd, now),
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
            Notice::Closing(count) => {
                if self.plan.windows_left(count, now) {
                    let why = self.plan.reason().unwrap_or_default();
                    let text = format!("{why}: asked {count} window{} to close", plural(count));
                    self.channels.logs.say(&text);
                }
            }
            Notice::Input => return self.plan.input(now),
            Notice::Viewers(count) => self.plan.set_viewers(count, now),
            Notice::Web(address) => self.facts.web = Some(address),
            Notice::Vnc(address) => self.facts.vnc = Some(address),
        }
        self.news = true;
    }

    /// Replaces a display worker that hangs.
    pub(super) fn watch(&mut self, now: Instant) {
        if self.watchdog.turn(now) {
            self.silent_by(&Readiness::Notify, now);
        }
    }

    pub(super) fn take_lines(&mut self, now: Instant) {
        for id in self.channels.logs.take_seen() {
            self.news |= self.plan.ready(id, now);
        }
    }

    pub(super) fn ready_by(&mut self, readiness: Readiness, now: Instant) {
        for (index, launch) in self.launches.iter().enumerate() {
            if launch.readiness == readiness {
                self.plan.ready(Id(index), now);
            }
        }
    }

    fn silent_by(&mut self, readiness: &Readiness, now: Instant) {
        for (index, launch) in self.launches.iter().enumerate() {
            if launch.readiness == *readiness {
                self.plan.silent(Id(index), now);
            }
        }
    }

    pub(super) fn take_pipes(&mut self, now: Instant) {
        let mut ready = Vec::new();
        self.pipes.retain(|id, fd| {
            let mut text = [0; 64];
            match output::read(fd.as_fd(), &mut text) {
                Ok(count) if text.get(..count).is_some_and(|text| text.contains(&b'\n')) => {
                    ready.push(*id);
                    false
                }
                // Its end without a line: the exit will say why.
                Ok(0) => false,
                _ => true,
            }
        });
        for id in ready {
            self.news |= self.plan.ready(id, now);
        }
    }
}
