//! The one place that blocks: `poll` over everything that may have news, until the plan's next deadline.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Driver;

/// What `poll` found.
#[derive(Default)]
pub(super) struct Ready {
    pub(super) signals: bool,
    pub(super) notify: bool,
    pub(super) pipes: bool,
    pub(super) control: bool,
    pub(super) strays: bool,
    pub(super) logs: Vec<bool>,
}

impl Driver {
    pub(super) fn wait(&self, now: Instant) -> Ready {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(32);
        let channels = &self.channels;
        fds.push(PollFd::new(channels.signals.as_fd(), PollFlags::POLLIN));
        fds.push(PollFd::new(channels.notify.as_fd(), PollFlags::POLLIN));
        let control_at = fds.len();
        fds.extend(
            channels
                .control
                .fds()
                .map(|(fd, events)| PollFd::new(fd, events)),
        );
        let logs_at = fds.len();
        fds.extend(
            channels
                .logs
                .fds()
                .map(|fd| PollFd::new(fd, PollFlags::POLLIN)),
        );
        let strays_at = fds.len();
        fds.extend(
            self.strays
                .fds()
                .chain(self.remnants.fds())
                .map(|fd| PollFd::new(fd, PollFlags::POLLIN)),
        );
        let pipes_at = fds.len();
        fds.extend(
            self.pipes
                .values()
                .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)),
        );
        let end = fds.len();
        // Only waited for; the log is flushed in every turn.
        fds.extend(
            channels
                .logs
                .blocked()
                .map(|fd| PollFd::new(fd, PollFlags::POLLOUT)),
        );

        let deadlines = [
            self.plan.deadline(now),
            channels.control.deadline(),
            self.probes.deadline(),
            self.reap_at,
            self.watchdog.deadline(),
            channels.logs.deadline(),
        ];
        let timeout = deadlines
            .into_iter()
            .flatten()
            .min()
            .map_or(PollTimeout::NONE, |at| timeout(at, now));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            // No memory for the kernel's own list: the turn is taken as if everything were ready, which costs a little
            // and loses nothing, after a pause so that it does not spin.
            Err(_) => {
                let _ = poll(&mut [], PollTimeout::from(50_u8));
                let count = strays_at - logs_at;
                return Ready {
                    signals: true,
                    notify: true,
                    pipes: end > pipes_at,
                    control: true,
                    strays: pipes_at > strays_at,
                    logs: vec![true; count],
                };
            }
        }
        let hit = |index: usize| fds.get(index).and_then(PollFd::any).unwrap_or(false);
        Ready {
            signals: hit(0),
            notify: hit(1),
            control: (control_at..logs_at).any(hit),
            logs: (logs_at..strays_at).map(hit).collect(),
            strays: (strays_at..pipes_at).any(hit),
            pipes: (pipes_at..end).any(hit),
        }
    }
}

/// A millisecond for the others.
pub(super) fn rest() {
    let _ = poll(&mut [], PollTimeout::from(1_u8));
}

/// Rounded up, so that the deadline has passed when `poll` returns.
fn timeout(at: Instant, now: Instant) -> PollTimeout {
    let left = at.saturating_duration_since(now) + Duration::from_micros(999);
    PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX)
}
