//! Commands that find out whether a service is ready: one at a time for each that is starting, again and again until one
//! of them ends with code 0.
//!
//! ```text
//!            due                    code 0
//!   Resting ─────▶ process of it ──────────▶ the service is ready
//!      ▲                 │
//!      └── any other end, or it could not be started
//! ```
//!
//! None outlives the start that it asks about: once the service is ready, has ended or is being stopped, it is killed. We
//! ask nothing ourselves: a file may lie on a server that is gone, and a port is the network, which is not for us.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Driver, Errand, Launch, Readiness};
use crate::supervisor::service::{Exit, Id, State};
use crate::sys::pidfd::Handle;
use crate::sys::process::{self, Command, SpawnError};
use crate::sys::signals::SIGKILL;

/// How it is found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Ends with code 0 when the service is ready. Nobody reads what it prints.
    pub errand: Errand,
    /// From the end of one to the start of the next.
    pub every: Duration,
    /// One that takes longer is killed.
    pub limit: Option<Duration>,
}

/// The question about one start of a service.
#[derive(Debug)]
struct Question {
    /// When that start was.
    start: Instant,
    probe: Arc<Probe>,
    stage: Stage,
    /// That it cannot be asked has been said.
    complained: bool,
}

#[derive(Debug)]
enum Stage {
    Resting {
        until: Instant,
    },
    Asking {
        pid: i32,
        handle: Handle,
        kill_at: Option<Instant>,
    },
}

/// All questions that are open.
#[derive(Debug, Default)]
pub(super) struct Probes {
    open: BTreeMap<Id, Question>,
}

impl Probes {
    /// When something is to be done about one of them.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let times = self
            .open
            .values()
            .filter_map(|question| match question.stage {
                Stage::Resting { until } => Some(until),
                Stage::Asking { kill_at, .. } => kill_at,
            });
        times.min()
    }

    fn open(&mut self, id: Id, probe: &Arc<Probe>, start: Instant) {
        if self.open.get(&id).is_none_or(|known| known.start != start) {
            self.close(id);
            let question = Question {
                start,
                probe: Arc::clone(probe),
                stage: Stage::Resting { until: start },
                complained: false,
            };
            self.open.insert(id, question);
        }
    }

    fn close(&mut self, id: Id) {
        if let Some(question) = self.open.remove(&id)
            && let Stage::Asking { handle, .. } = question.stage
        {
            let _ = handle.signal_group(SIGKILL);
        }
    }

    /// A process has ended that may have been asking; the service that it has found to be ready.
    fn ended(&mut self, pid: i32, exit: Exit, now: Instant) -> Option<Id> {
        let asks = |question: &Question| matches!(question.stage, Stage::Asking { pid: its, .. } if its == pid);
        let (id, question) = self.open.iter_mut().find(|(_, question)| asks(question))?;
        question.stage = Stage::Resting {
            until: now + question.probe.every,
        };
        (exit == Exit::Code(0)).then_some(*id)
    }
}

impl Question {
    fn turn(&mut self, launch: &Launch, now: Instant) -> Result<(), SpawnError> {
        match &mut self.stage {
            Stage::Resting { until } if now >= *until => {
                *until = now + self.probe.every;
                let handle = spawn(&launch.errand(&self.probe.errand))?;
                self.stage = Stage::Asking {
                    pid: handle.pid(),
                    handle,
                    kill_at: self.probe.limit.map(|limit| now + limit),
                };
            }
            Stage::Asking {
                handle, kill_at, ..
            } if kill_at.is_some_and(|at| now >= at) => {
                let _ = handle.signal_group(SIGKILL);
                *kill_at = None;
            }
            _ => {}
        }
        Ok(())
    }
}

fn spawn(command: &Command) -> Result<Handle, SpawnError> {
    let nowhere = File::options()
        .write(true)
        .open("/dev/null")
        .map_err(SpawnError::from)?;
    process::spawn(command, nowhere.into(), None, &[])
}

impl Driver {
    /// Asks whom it is time to ask, and nobody else any more.
    pub(super) fn probe(&mut self, now: Instant) {
        let mut failures: Vec<(Id, String)> = Vec::new();
        for ((id, service), launch) in self.plan.services().zip(&self.launches) {
            let Readiness::Probe(probe) = &launch.readiness else {
                continue;
            };
            if service.state() != State::Starting {
                self.probes.close(id);
                continue;
            }
            self.probes.open(id, probe, service.since());
            if let Some(question) = self.probes.open.get_mut(&id)
                && let Err(error) = question.turn(launch, now)
                && !std::mem::replace(&mut question.complained, true)
            {
                failures.push((id, error.to_string()));
            }
        }
        for (id, error) in failures {
            let text = format!("{}: its readiness cannot be asked: {error}", self.title(id));
            self.channels.logs.say(&text);
        }
    }

    pub(super) fn probe_ended(&mut self, pid: i32, exit: Exit, now: Instant) {
        if let Some(id) = self.probes.ended(pid, exit, now) {
            self.news |= self.plan.ready(id, now);
        }
    }
}
