//! Motion without the thread: as long as the thread only waits, callers have its connection.
//!
//! ```text
//!   thread waits: lent ── motion, and nothing else, of whoever pointed last ──► XTEST, at once
//!        ▲   │                 │ anything else, or the X server does not read
//!        │   └─────────────────┴──► queue, thread woken ──┐
//!        └── all done ────────────── thread works: kept ◄─┘
//! ```
//!
//! A pointer moves thirty to sixty times a second, which would wake the thread as often, for 36 bytes. It is the same
//! connection, so all stays in order; and nobody waits, for there is room before anything is written.

use std::sync::Arc;

use x11rb::connection::Connection;
use x11rb::errors::ConnectionError;
use x11rb::protocol::xproto;
use x11rb::protocol::xtest::ConnectionExt as _;

use crate::desktop::connect::Link;
use crate::desktop::{Input, InputEvent};

/// The pointer of an X server.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    conn: Arc<Link>,
    root: xproto::Window,
    /// The client that pointed last, and the buttons that it holds.
    last: Option<(u64, u16)>,
}

impl Hand {
    pub(super) fn new(conn: Arc<Link>, root: xproto::Window) -> Self {
        let last = None;
        Self { conn, root, last }
    }

    /// Remembers what the thread does.
    pub(super) fn note(&mut self, input: &Input) {
        match input.event {
            InputEvent::Pointer { buttons, .. } => self.last = Some((input.client, buttons)),
            InputEvent::ReleaseAll | InputEvent::Gone => self.last = None,
            InputEvent::Key { .. } => {}
        }
    }

    /// Does this at once, if it is nothing but motion, and does not have to wait for it. False: it is not done.
    pub(super) fn moves(&self, input: &Input) -> bool {
        let InputEvent::Pointer { x, y, buttons } = input.event else {
            return false;
        };
        // A connection that is lost is the thread's business: it is woken by what is not done.
        self.last == Some((input.client, buttons))
            && self.conn.stream().has_room()
            && self.go(x, y).is_ok()
            && self.conn.flush().is_ok()
    }

    /// Goes there, with the next flush.
    pub(super) fn go(&self, x: u16, y: u16) -> Result<(), ConnectionError> {
        let [x, y] = [x, y].map(|v| i16::try_from(v).unwrap_or(i16::MAX));
        let kind = xproto::MOTION_NOTIFY_EVENT;
        let (now, root) = (x11rb::CURRENT_TIME, self.root);
        self.conn.xtest_fake_input(kind, 0, now, root, x, y, 0)?;
        Ok(())
    }
}
