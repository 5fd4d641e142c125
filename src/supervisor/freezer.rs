//! Holds the application still, and all that it started: SIGSTOP for each of its processes, SIGCONT for the same later.
//!
//! What somebody else had stopped before is left so. Processes that come into being meanwhile are looked for until a look
//! finds none: one that is stopped cannot start another.

use super::lineage::{Lineage, Whose};
use crate::sys::pidfd::Handle;
use crate::sys::procfs::{self, Process};
use crate::sys::signals::{SIGCONT, SIGSTOP};

/// Looks for new processes; a bomb that is faster than we are goes on.
const LOOKS: usize = 16;
/// More processes are held by their number alone, as descriptors are few.
const HANDLES: usize = 256;

/// What is held still.
#[derive(Debug, Default)]
pub struct Freezer {
    held: Vec<Held>,
}

#[derive(Debug)]
enum Held {
    Handle(Handle),
    /// Where the number has another owner by then, that one is not stopped in the same group, but by chance.
    Number(Process),
}

impl Held {
    fn pid(&self) -> i32 {
        match self {
            Self::Handle(handle) => handle.pid(),
            Self::Number(process) => process.pid,
        }
    }
}

impl Freezer {
    /// Stops every descendant of `ancestor` that belongs to the application, or to nobody. `main` knows the main processes
    /// of services. Returns how many are held still.
    pub fn freeze(&mut self, ancestor: i32, main: impl Fn(i32) -> Option<Whose>) -> usize {
        for _ in 0..LOOKS {
            let all = procfs::descendants(ancestor);
            let mut news = false;
            let lineage = Lineage::of(&all);
            let works = |one: &&Process| lineage.owner(one, &main) != Some(Whose::Service);
            for process in all.iter().filter(works) {
                // A signal takes its time to be seen.
                let held = self.held.iter().any(|held| held.pid() == process.pid);
                if !process.stopped && !held && self.stop(process) {
                    news = true;
                }
            }
            if !news {
                break;
            }
        }
        self.held.len()
    }

    /// Lets all that was stopped go on, the youngest first: whom an elder stops as soon as it goes on stays so.
    pub fn thaw(&mut self) {
        for held in self.held.drain(..).rev() {
            // Whoever is gone needs nothing.
            match held {
                Held::Handle(handle) => drop(handle.signal(SIGCONT)),
                Held::Number(process) => {
                    let again = procfs::look(process.pid);
                    if again.is_some_and(|again| again.stopped && again.group == process.group)
                        && let Ok(handle) = Handle::of_any(process.pid)
                    {
                        let _ = handle.signal(SIGCONT);
                    }
                }
            }
        }
    }

    fn stop(&mut self, process: &Process) -> bool {
        let Ok(handle) = Handle::of_any(process.pid) else {
            return false;
        };
        // Opened between two looks that agree: it is the process that was found.
        if procfs::look(process.pid).is_none_or(|again| again.parent != process.parent) {
            return false;
        }
        if handle.signal(SIGSTOP).is_err() {
            return false;
        }
        self.held.push(if self.held.len() < HANDLES {
            Held::Handle(handle)
        } else {
            Held::Number(*process)
        });
        true
    }
}
