//! What the main processes of services leave behind in their process groups; it is ended before its service is started
//! again. When that is due the plan decides.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use super::service::Id;
use crate::sys::pidfd::Handle;
use crate::sys::procfs;
use crate::sys::signals::SIGCONT;

/// More are left to the end of everything.
const AT_ONCE: usize = 512;

/// The remnants that are known.
#[derive(Debug, Default)]
pub struct Remnants {
    by_service: BTreeMap<Id, Group>,
}

#[derive(Debug)]
struct Group {
    number: i32,
    members: Vec<Handle>,
}

impl Remnants {
    /// Finds those of a main process that has ended and has not been reaped: the number of its group is still its own.
    pub fn find(&mut self, id: Id, leader: i32) {
        let mut group = Group {
            number: leader,
            members: Vec::new(),
        };
        group.find();
        self.by_service.insert(id, group);
    }

    /// Signals all of a service's.
    pub fn signal(&mut self, id: Id, signal: i32) {
        let Some(group) = self.by_service.get_mut(&id) else {
            return;
        };
        // Nobody else can have got the number while one of them lives.
        if group.refresh() > 0 {
            group.find();
        }
        for member in &group.members {
            let _ = member.signal(signal);
            // One that was stopped could not obey.
            let _ = member.signal(SIGCONT);
        }
    }

    /// How many of each service there are now. Those without any are mentioned once more, and forgotten.
    pub fn count(&mut self) -> Vec<(Id, usize)> {
        let groups = self.by_service.iter_mut();
        let counts = groups.map(|(id, group)| (*id, group.refresh())).collect();
        self.by_service.retain(|_, group| !group.members.is_empty());
        counts
    }

    /// Its next process is about to be started: whatever is left now is left for good.
    pub fn forget(&mut self, id: Id) {
        self.by_service.remove(&id);
    }

    /// Descriptors that become readable when one of them ends.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let members = self.by_service.values().flat_map(|group| &group.members);
        members.filter_map(Handle::fd)
    }
}

impl Group {
    fn find(&mut self) {
        for process in procfs::group(self.number) {
            let known = self.members.iter().any(|known| known.pid() == process.pid);
            if known || self.members.len() >= AT_ONCE {
                continue;
            }
            // Opened between two looks that agree: it is the process that was found.
            if let Ok(handle) = Handle::of_any(process.pid)
                && procfs::look(process.pid).is_some_and(|again| again.group == self.number)
            {
                self.members.push(handle);
            }
        }
    }

    fn refresh(&mut self) -> usize {
        let number = self.number;
        self.members.retain(|member| {
            member.signal(0).is_ok()
                && procfs::look(member.pid()).is_some_and(|process| process.group == number)
        });
        self.members.len()
    }
}
