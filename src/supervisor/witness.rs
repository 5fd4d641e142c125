//! What the kernel shows of the cause of an end: its counts of processes killed for memory and of those refused, and the
//! room in /dev/shm.

use super::service::{Blame, Exit, Verdict};
use crate::sys::{cgroup, space};

/// Docker's own size of /dev/shm: a browser fills it, and what it used is free again once it has ended.
const SMALL: u64 = 64 << 20;
/// Less room than this is none.
const NO_ROOM: u64 = 64 << 10;

/// Looks at each end.
#[derive(Debug)]
pub struct Witness {
    /// Processes of the container that the kernel had killed for memory when we last looked.
    killed: u64,
    /// Of these, the ones whose end has not been seen.
    unseen: u64,
    /// Processes that had been refused when the last one was started.
    refused: u64,
}

impl Witness {
    /// What was killed before now was not ours.
    pub fn from_now_on() -> Self {
        Self {
            killed: cgroup::killed_for_memory().unwrap_or_default(),
            unseen: 0,
            refused: cgroup::refused_processes().unwrap_or_default(),
        }
    }

    /// A process is about to be started; what was killed until now was somebody else.
    pub fn begin(&mut self) {
        self.look();
        self.unseen = 0;
        self.refused = cgroup::refused_processes().unwrap_or_default();
    }

    /// What is behind this end of a process that we did not kill.
    pub fn blame(&mut self, exit: Exit) -> Option<Blame> {
        if Verdict::was_killed(exit) {
            self.look();
            self.unseen = self.unseen.checked_sub(1)?;
            let limit = cgroup::limits().memory;
            return Some(Blame::Memory { limit });
        }
        if Verdict::found_no_memory(exit) {
            let (size, free) = space::of("/dev/shm")?;
            let full = free < NO_ROOM;
            return (full || size <= SMALL).then_some(Blame::SharedMemory { size, full });
        }
        if Verdict::has_failed(exit) {
            let refused = cgroup::refused_processes()?;
            let limit = cgroup::limits().pids?;
            return (refused > self.refused).then_some(Blame::Processes { limit });
        }
        None
    }

    fn look(&mut self) {
        if let Some(killed) = cgroup::killed_for_memory() {
            self.unseen += killed.saturating_sub(self.killed);
            self.killed = killed;
        }
    }
}
