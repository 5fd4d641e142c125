//! What people ask on the control socket, and the record of what happened.

use std::time::Instant;

use super::Driver;
use crate::supervisor::control::Asker;
use crate::supervisor::link::{Answer, Record, Request, ServiceState};
use crate::supervisor::plan::{Order, given_up};
use crate::supervisor::report;
use crate::supervisor::service::{Id, OnFatal, Service};

impl Driver {
    pub(super) fn take_questions(&mut self, now: Instant) {
        for (asker, request) in self.channels.control.questions() {
            match request {
                Request::Order { order, service } => {
                    let answer =
                        self.on_service(&service, |driver, id| driver.obey(id, order, now));
                    self.channels.control.answer(asker, &answer);
                }
                Request::Signal { signal, service } => {
                    let answer = self.on_service(&service, |driver, id| {
                        let runs = driver.plan.service(id).is_some_and(Service::runs);
                        match runs && driver.children.signal(id, signal) {
                            true => Answer::Done,
                            false => Answer::Stopped,
                        }
                    });
                    self.channels.control.answer(asker, &answer);
                }
                Request::Read {
                    record,
                    service,
                    lines,
                    follow,
                } => self.begin_reading(asker, record, service, lines, follow),
                // Answered by the socket itself.
                Request::Status { .. } => {}
            }
        }
    }

    fn begin_reading(
        &mut self,
        asker: Asker,
        record: Record,
        service: Option<String>,
        lines: usize,
        follow: bool,
    ) {
        let journal = match record {
            Record::Log => self.channels.logs.journal(),
            Record::Events => &self.events,
        };
        let at = journal.tail(service.as_deref(), lines);
        self.channels
            .control
            .follow(asker, record, service, at, follow);
    }

    fn obey(&mut self, id: Id, order: Order, now: Instant) -> Answer {
        if let Some(why) = self.plan.reason() {
            return Answer::Refused {
                why: format!("everything is stopping: {why}"),
            };
        }
        self.news = true;
        match self.plan.order(id, order, now) {
            true => Answer::Done,
            false => Answer::Unchanged,
        }
    }

    fn on_service(&mut self, name: &str, act: impl FnOnce(&mut Self, Id) -> Answer) -> Answer {
        let mut services = self.plan.services();
        match services.find(|(_, service)| *service.spec().name == *name) {
            Some((id, _)) => {
                drop(services);
                act(self, id)
            }
            None => Answer::Unknown {
                services: self
                    .plan
                    .services()
                    .map(|(_, service)| service.spec().name.to_string())
                    .collect(),
            },
        }
    }

    /// Compares what the services do with what was last recorded of them. True when one does something else.
    pub(super) fn record_events(&mut self) -> bool {
        let (mut any, mut given) = (false, Vec::new());
        self.recorded.resize(self.launches.len(), None);
        for ((id, service), recorded) in self.plan.services().zip(&mut self.recorded) {
            let state = report::word(service);
            if recorded.replace(state) == Some(state) {
                continue;
            }
            any = true;
            // What ends everything has a line of its own.
            if state == ServiceState::Fatal && service.spec().on_fatal != OnFatal::End {
                given.push(given_up(service));
            }
            let mut message = state.word().to_owned();
            if let Some(pid) = self.children.pid(id).filter(|_| service.runs()) {
                message += &format!(", process {pid}");
            } else if let Some(verdict) = service.verdict() {
                message += &format!(", ended with {verdict}");
            }
            self.events.push(&service.spec().name, Some(state), message);
        }
        for text in given {
            self.channels.logs.say(&text);
        }
        any
    }
}
