//! To whom a process belongs that is nobody's main process.
//!
//! ```text
//!   us ──► application ──► child ──► grandchild       the user's work: told when that is to end, held still with it
//!      ──► service ──────► worker                     the service's: it ends its own
//!      ──► orphan, in the service's process group     the service's as well
//!      ──► orphan, in no such group                   what an application left behind: the user's work
//! ```

use std::collections::BTreeMap;

use crate::sys::procfs::Process;

/// What the main process of a service, and all that belongs to it, is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// What the user does.
    Work,
    /// A service beside it, or a command before a start or after an end.
    Service,
}

/// Who descends from whom.
#[derive(Debug)]
pub struct Lineage {
    parents: BTreeMap<i32, i32>,
}

impl Lineage {
    /// Of these processes, which are all that there are.
    pub fn of(all: &[Process]) -> Self {
        Self {
            parents: all.iter().map(|one| (one.pid, one.parent)).collect(),
        }
    }

    /// Whose this process is: by its nearest ancestor, itself included, that is a main process, else by its group. `main`
    /// knows the main processes.
    pub fn owner(&self, process: &Process, main: impl Fn(i32) -> Option<Whose>) -> Option<Whose> {
        let mut pid = process.pid;
        loop {
            if let Some(whose) = main(pid) {
                return Some(whose);
            }
            match self.parents.get(&pid) {
                Some(parent) => pid = *parent,
                None => return main(process.group),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_main_process_counts_then_the_group() {
        let process = |pid, parent, group| Process {
            pid,
            parent,
            group,
            stopped: false,
            waits: true,
        };
        // 10 is the application, 20 the window manager; 1 is us.
        let all = [
            process(10, 1, 10),
            process(11, 10, 11),
            process(12, 11, 11),
            process(20, 1, 20),
            process(21, 20, 21),
            process(30, 1, 11),
            process(31, 1, 20),
            process(32, 31, 32),
        ];
        let main = |pid| match pid {
            10 => Some(Whose::Work),
            20 => Some(Whose::Service),
            _ => None,
        };
        let lineage = Lineage::of(&all);
        let found = all.map(|one| (one.pid, lineage.owner(&one, main)));
        let (work, service) = (Some(Whose::Work), Some(Whose::Service));
        let expected = [
            (10, work),
            (11, work),
            (12, work),
            (20, service),
            (21, service),
            (30, None),
            (31, service),
            (32, None),
        ];
        assert_eq!(found, expected);
    }
}
