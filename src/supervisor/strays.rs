//! Processes that descend from us and are no service's: the children of applications, and what those leave behind,
//! daemonised or not.
//!
//! They are found when everything stops, held by pidfd so that a reused process id is never hit, and their end is an
//! event. The children of other services are left to those, who know how to end them; what such a service leaves behind
//! when it has ended is asked to end then.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::BorrowedFd;

use super::lineage::{Lineage, Whose};
use super::service::SIGTERM;
use crate::sys::pidfd::Handle;
use crate::sys::procfs::{self, Process};
use crate::sys::signals::{SIGCONT, SIGKILL};

/// The ends of so many are waited for at the same time. More get their signals as well, and are counted.
const AT_ONCE: usize = 512;

/// The strays that are known.
#[derive(Debug, Default)]
pub struct Strays {
    known: BTreeMap<i32, Handle>,
    /// So many more there were.
    beyond: usize,
    /// Those that were a service's when they were seen last.
    served: BTreeSet<i32>,
    looking: bool,
    kill: bool,
}

impl Strays {
    /// Begins to follow all descendants of `ancestor` that are no service's. `main` knows the main processes.
    pub fn look(&mut self, ancestor: i32, main: impl Fn(i32) -> Option<Whose>) {
        self.looking = true;
        self.refresh(ancestor, main);
    }

    /// Finds all descendants of `ancestor` that are no service's and sends them `signal`, but for those that got it
    /// already, as members of a process group that `told` knows.
    pub fn push(
        &mut self,
        signal: i32,
        ancestor: i32,
        main: impl Fn(i32) -> Option<Whose>,
        told: impl Fn(i32) -> bool,
    ) {
        self.looking = true;
        self.kill = signal == SIGKILL;
        // Those that were only looked at get it too.
        self.known.clear();
        self.find(ancestor, &main, |process| {
            (!told(process.group)).then_some(signal)
        });
    }

    /// Forgets those that have gone and finds those that have come since the last [`Strays::push`]. New ones are killed
    /// only when all are being killed: until then they are what an application started in order to end well, or what a
    /// service has left behind, which is asked to end.
    pub fn refresh(&mut self, ancestor: i32, main: impl Fn(i32) -> Option<Whose>) {
        if self.looking {
            let kill = self.kill;
            self.find(ancestor, &main, |_| kill.then_some(SIGKILL));
        }
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len() + self.beyond
    }

    /// Is none known?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Descriptors that become readable when one of them ends.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.known.values().filter_map(Handle::fd)
    }

    /// `signal`: what one that is new gets.
    fn find(
        &mut self,
        ancestor: i32,
        main: &impl Fn(i32) -> Option<Whose>,
        signal: impl Fn(&Process) -> Option<i32>,
    ) {
        let now = procfs::descendants(ancestor);
        let lineage = Lineage::of(&now);
        let there = |pid: &i32| now.binary_search_by_key(pid, |process| process.pid).is_ok();
        self.known
            .retain(|pid, handle| there(pid) && handle.signal(0).is_ok());
        self.beyond = 0;
        for process in &now {
            if main(process.pid).is_some() || self.known.contains_key(&process.pid) {
                continue;
            }
            if lineage.owner(process, main) == Some(Whose::Service) {
                self.served.insert(process.pid);
                continue;
            }
            let left = self.served.remove(&process.pid).then_some(SIGTERM);
            let signal = signal(process).or(left);
            let room = self.known.len() < AT_ONCE;
            if !room {
                self.beyond += 1;
            }
            // Opened between two looks that agree: it is the process that was found.
            if (room || signal.is_some())
                && let Ok(handle) = Handle::of_any(process.pid)
                && procfs::look(process.pid).is_some_and(|again| again.parent == process.parent)
            {
                if let Some(signal) = signal {
                    let _ = handle.signal(signal);
                    // One that was stopped could not obey.
                    let _ = handle.signal(SIGCONT);
                }
                if room {
                    self.known.insert(process.pid, handle);
                }
            }
        }
    }
}
