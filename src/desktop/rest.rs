//! Has the X server done anything since it last answered?
//!
//! A server that answered, and has not run for a moment since, does not hang: what it hangs in would have to begin. So it is
//! not asked, which would wake it and three threads of ours, as long as its CPU clock stands and it waits for something to
//! happen. It is asked every [`LONGEST`] all the same.
//!
//! ```text
//!   it answers ── a moment later ──► rests ── its clock goes on, somebody stops it, it ends, or LONGEST ──► it is asked
//! ```

use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use crate::sys::procfs::Watched;

/// What listens may not be what draws, and hide a hang behind it; and one may have begun within that moment.
const LONGEST: Duration = Duration::from_secs(60);

/// A server that has answered and does nothing.
#[derive(Debug)]
pub struct Rest {
    process: Watched,
    clock: ClockId,
    spent: TimeSpec,
    until: Instant,
}

impl Rest {
    /// Of a process that has just answered everything; `None` when it cannot be seen.
    pub(super) fn begin(pid: i32) -> Option<Self> {
        let clock = clock_getcpuclockid(Pid::from_raw(pid)).ok()?;
        Some(Self {
            process: Watched::new(pid).ok()?,
            clock,
            spent: clock.now().ok()?,
            until: Instant::now() + LONGEST,
        })
    }

    /// It has done nothing yet. Never waits.
    #[must_use]
    pub fn lasts(&self) -> bool {
        Instant::now() < self.until
            && self.clock.now() == Ok(self.spent)
            && self.process.look().is_some_and(|process| process.waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    /// Waits for what another process does next.
    fn soon(what: impl Fn() -> bool) -> bool {
        (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            what()
        })
    }

    #[test]
    fn it_ends_with_the_first_work_and_when_somebody_stops_it() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cat");
        let pid = i32::try_from(child.id()).expect("an id");
        let rests = || {
            let rest = Rest::begin(pid);
            std::thread::sleep(Duration::from_millis(10));
            rest.is_some_and(|rest| rest.lasts())
        };
        let (mut to, mut from) = (
            child.stdin.take().expect("a pipe"),
            child.stdout.take().expect("a pipe"),
        );
        let mut say = || {
            to.write_all(b"x").expect("read");
            from.read_exact(&mut [0]).expect("written");
        };
        say();
        assert!(soon(rests), "it waits for more");
        let rest = Rest::begin(pid).expect("it is there");
        say();
        assert!(!rest.lasts(), "it has worked");
        assert!(soon(rests));
        let rest = Rest::begin(pid).expect("it is there");
        kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("it is there");
        assert!(soon(|| !rest.lasts()), "it is stopped");
        child.kill().expect("it is there");
        child.wait().expect("it ends");
        assert!(Rest::begin(pid).is_none_or(|rest| !rest.lasts()));
    }
}
