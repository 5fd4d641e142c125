//! Waiting for an X server that is not there.
//!
//! The socket's appearance is an event (inotify on its directory); where there is none (TCP, a directory that does not
//! exist yet, a socket that is there but refuses), a delay that grows from 50 ms to a second.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::connect::Connector;
use super::shared::Shared;

const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(1);

/// A server makes its socket a moment before it listens on it.
const SOON: Duration = Duration::from_millis(5);

/// Waits between attempts to connect.
pub(super) struct Patience {
    delay: Duration,
    /// The directory of the socket, and the socket's name; from the first wait on.
    socket: Option<(Inotify, String)>,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self {
            delay: FIRST,
            socket: None,
        }
    }

    /// The connection was made: the next wait begins anew.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    /// Waits until an attempt makes sense, or somebody calls.
    pub(super) fn wait(&mut self, connector: &Connector, shared: &Shared) {
        if self.socket.is_none() {
            self.socket = watch(connector);
        }
        let wake = PollFd::new(shared.wake().as_fd(), PollFlags::POLLIN);
        let timeout = PollTimeout::try_from(self.delay).unwrap_or(PollTimeout::MAX);
        let mut fds = vec![wake];
        if let Some((inotify, _)) = &self.socket {
            fds.push(PollFd::new(inotify.as_fd(), PollFlags::POLLIN));
        }
        // An interrupted wait is only a short one.
        let ready = poll(&mut fds, timeout).unwrap_or(0);
        if ready == 0 {
            self.delay = (self.delay * 2).min(LAST);
        } else if self.appeared() {
            self.delay = SOON;
        }
        shared.awake();
    }

    /// True when the socket was made since the last look.
    fn appeared(&self) -> bool {
        let Some((inotify, socket)) = &self.socket else {
            return false;
        };
        let mut seen = false;
        while let Ok(events) = inotify.read_events() {
            seen |= events
                .iter()
                .any(|e| e.name.as_ref().is_some_and(|n| n == socket.as_str()));
        }
        seen
    }
}

fn watch(connector: &Connector) -> Option<(Inotify, String)> {
    let (directory, socket) = connector.socket()?;
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
    let flags = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ATTRIB;
    inotify.add_watch(directory, flags).ok()?;
    Some((inotify, socket))
}
