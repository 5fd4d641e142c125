//! Does the X server answer?

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::protocol::xtest::ConnectionExt as _;

use super::connect::{ConnectError, Connector, Link};

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does a round trip.
    Yes,
    /// It is there, and does not answer in time.
    Silent,
    /// It is not there, or wants nothing of us.
    Gone,
}

/// A connection of its own, so that a server that hangs holds up nobody but who asks.
#[derive(Debug, Default)]
pub(super) struct Probe {
    link: Mutex<Option<Link>>,
}

impl Probe {
    /// Asks for a round trip within the time. Waits as long; several callers wait for each other.
    pub(super) fn ask(&self, connector: &Connector, timeout: Duration) -> Answer {
        let deadline = Instant::now() + timeout;
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        // A connection from before may have died with its server: then a new one is tried once.
        if let Some(old) = link.take().filter(|l| round_trip(l, deadline)) {
            *link = Some(old);
            return Answer::Yes;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Answer::Silent;
        }
        match connector.connect_within(left) {
            Ok((new, _)) if first_round_trip(&new, deadline) => {
                *link = Some(new);
                Answer::Yes
            }
            Ok(_) if Instant::now() >= deadline => Answer::Silent,
            Err(ConnectError::Silent(_)) => Answer::Silent,
            // Its queue of connections is full.
            Err(ConnectError::Unreachable(_, e)) if e.kind() == io::ErrorKind::WouldBlock => {
                Answer::Silent
            }
            _ => Answer::Gone,
        }
    }
}

fn first_round_trip(link: &Link, deadline: Instant) -> bool {
    link.stream().set_deadline(Some(deadline));
    // A client that has grabbed the server makes everybody else wait; that is no hang. Without the extension it looks
    // like one.
    let _ = link.xtest_grab_control(true);
    round_trip(link, deadline)
}

fn round_trip(link: &Link, deadline: Instant) -> bool {
    link.stream().set_deadline(Some(deadline));
    link.get_input_focus()
        .is_ok_and(|cookie| cookie.reply().is_ok())
}
