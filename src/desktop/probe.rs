//! Does the X server answer?

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use x11rb::protocol::xproto::ConnectionExt as _;

use super::connect::{Connector, Link};

/// A connection of its own, so that a server that hangs holds up nobody but who asks.
#[derive(Debug, Default)]
pub(super) struct Probe {
    link: Mutex<Option<Link>>,
}

impl Probe {
    /// True when the server does a round trip within the time. Waits as long; several callers wait for each other.
    pub(super) fn ask(&self, connector: &Connector, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        // A connection from before may have died with its server: then a new one is tried once.
        if let Some(old) = link.take().filter(|l| round_trip(l, deadline)) {
            *link = Some(old);
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        *link = connector
            .connect_within(left)
            .ok()
            .map(|(l, _)| l)
            .filter(|l| round_trip(l, deadline));
        link.is_some()
    }
}

fn round_trip(link: &Link, deadline: Instant) -> bool {
    link.stream().set_deadline(Some(deadline));
    link.get_input_focus()
        .is_ok_and(|cookie| cookie.reply().is_ok())
}
