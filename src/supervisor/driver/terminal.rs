//! The terminal that `run` was started at: who has its foreground, and what its stop key does.
//!
//! An application that shows no window talks to the terminal, as a shell does, and has its foreground. Stopped by the key
//! (Ctrl-Z), whoever had it, everything is stopped, we last, and goes on when the shell that started us says so. PID 1 and
//! others whom nobody would continue let the application go on at once.

use super::Driver;
use crate::supervisor::freezer::Freezer;
use crate::supervisor::lineage::Whose;
use crate::supervisor::service::Id;
use crate::sys::signals::{SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU};
use crate::sys::{foreground, reap};

impl Driver {
    /// Looks whether the stop key was pressed, after signals were taken.
    pub(super) fn look_at_terminal(&mut self) {
        let pressed = self.channels.signals.job_stop();
        let holder = self.terminal_holder();
        let stopped = holder
            .and_then(|id| self.children.pid(id))
            .and_then(reap::has_stopped)
            .is_some_and(|signal| matches!(signal, SIGTSTP | SIGTTIN | SIGTTOU));
        if !pressed && !stopped {
            return;
        }
        if foreground::is_a_job() {
            foreground::take_back();
            let mut all = Freezer::default();
            all.freeze(self.facts.pid, |pid| {
                self.children.service(pid).map(|_| Whose::Work)
            });
            foreground::suspend();
            all.thaw();
        }
        if let Some(id) = holder {
            self.give_terminal(id);
            self.children.signal_group(id, SIGCONT);
        }
    }

    /// The service whose process has ended may have had the terminal.
    pub(super) fn terminal_is_free(&self, id: Id) {
        if self.talks(id) {
            foreground::take_back();
        }
    }

    /// Where a shell has continued us in the background, the foreground is not ours to give.
    fn give_terminal(&self, id: Id) {
        if foreground::is_ours()
            && let Some(pid) = self.children.pid(id)
        {
            foreground::give(pid);
        }
    }

    fn terminal_holder(&self) -> Option<Id> {
        let mut ids = (0..self.launches.len()).map(Id);
        ids.find(|id| self.talks(*id) && self.children.pid(*id).is_some())
    }

    fn talks(&self, id: Id) -> bool {
        let launch = self.launches.get(id.0);
        launch.is_some_and(|launch| launch.command.terminal)
    }
}
