//! Processes that descend from us and are no service's main process: what applications leave behind, daemonised or not.
//!
//! They are found when everything stops, held by pidfd so that a reused process id is never hit, and their end is an
//! event.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use crate::sys::pidfd::Handle;
use crate::sys::procfs::{self, Process};
use crate::sys::signals::{SIGCONT, SIGKILL};

/// More are asked for again when some of these have gone.
const AT_ONCE: usize = 512;

/// The strays that are known.
#[derive(Debug, Default)]
pub struct Strays {
    known: BTreeMap<i32, Handle>,
    looking: bool,
    kill: bool,
}

impl Strays {
    /// Begins to follow all descendants of `ancestor` for which `service` does not hold.
    pub fn look(&mut self, ancestor: i32, service: impl Fn(&Process) -> bool) {
        self.looking = true;
        self.refresh(ancestor, service);
    }

    /// Finds all descendants of `ancestor` for which `service` does not hold and sends them `signal`, but for those that
    /// got it already, as members of a process group that `told` knows.
    pub fn push(
        &mut self,
        signal: i32,
        ancestor: i32,
        service: impl Fn(&Process) -> bool,
        told: impl Fn(i32) -> bool,
    ) {
        self.looking = true;
        self.kill = signal == SIGKILL;
        // Those that were only looked at get it too.
        self.known.clear();
        self.find(ancestor, &service, |process, handle| {
            if !told(process.group) {
                let _ = handle.signal(signal);
                // One that was stopped could not obey.
                let _ = handle.signal(SIGCONT);
            }
        });
    }

    /// Forgets those that have gone and finds those that have come since the last [`Strays::push`]. New ones are killed
    /// only when all are being killed: until then they are what an application started in order to end well.
    pub fn refresh(&mut self, ancestor: i32, service: impl Fn(&Process) -> bool) {
        if self.looking {
            let kill = self.kill;
            self.find(ancestor, &service, |_, handle| {
                if kill {
                    let _ = handle.signal(SIGKILL);
                }
            });
        }
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Is none known?
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Descriptors that become readable when one of them ends.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.known.values().filter_map(Handle::fd)
    }

    fn find(
        &mut self,
        ancestor: i32,
        service: &impl Fn(&Process) -> bool,
        found: impl Fn(&Process, &Handle),
    ) {
        let now = procfs::descendants(ancestor);
        let there = |pid: &i32| now.binary_search_by_key(pid, |process| process.pid).is_ok();
        self.known
            .retain(|pid, handle| there(pid) && handle.signal(0).is_ok());
        for process in &now {
            if self.known.len() >= AT_ONCE {
                return;
            }
            if service(process) || self.known.contains_key(&process.pid) {
                continue;
            }
            // Opened between two looks that agree: it is the process that was found.
            if let Ok(handle) = Handle::of_any(process.pid)
                && procfs::look(process.pid).is_some_and(|again| again.parent == process.parent)
            {
                found(process, &handle);
                self.known.insert(process.pid, handle);
            }
        }
    }
}
