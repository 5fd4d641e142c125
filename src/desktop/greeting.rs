//! Does the window manager serve requests yet?
//!
//! A manager announces itself before it reads its first event, and openbox drops what other programs ask of it in that
//! gap: a program that starts there waits for its answer, as long as 5 s, before it shows its window. So we ask first,
//! for something harmless with a visible answer: the frame extents of a window that is never mapped (EWMH 1.5,
//! `_NET_REQUEST_FRAME_EXTENTS`).
//!
//! ```text
//!   new manager ─► asked ─┬─ property appears ─► answers
//!                   ▲ 10 ms│
//!                   └──────┴─ 2 s without an answer: taken as answering
//! ```

use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyOrIdError};
use x11rb::protocol::xproto::{
    ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, Window, WindowClass,
};
use x11rb::{COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT};

use super::connect::Link;

/// A question that was dropped is asked again after this.
const AGAIN: Duration = Duration::from_millis(10);

/// A manager that claims to answer and does not is believed after this.
const PATIENCE: Duration = Duration::from_secs(2);

/// One conversation with each window manager that comes.
pub(super) struct Greeting {
    root: Window,
    /// The window that is asked about.
    subject: Window,
    /// The check window of the manager that is asked.
    manager: Option<Window>,
    since: Option<Instant>,
    asked: Option<Instant>,
    answered: bool,
}

impl Greeting {
    /// Makes the window that managers are asked about.
    pub(super) fn open(link: &Link, root: Window) -> Result<Self, ReplyOrIdError> {
        let subject = link.generate_id()?;
        let watch = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        let (depth, class) = (COPY_DEPTH_FROM_PARENT, WindowClass::INPUT_OUTPUT);
        link.create_window(
            depth,
            subject,
            root,
            0,
            0,
            1,
            1,
            0,
            class,
            COPY_FROM_PARENT,
            &watch,
        )?
        .check()?;
        Ok(Self {
            root,
            subject,
            manager: None,
            since: None,
            asked: None,
            answered: false,
        })
    }

    /// A window of ours that is never mapped, of whose property changes we hear.
    pub(super) fn subject(&self) -> Window {
        self.subject
    }

    /// The property that answers has appeared on a window.
    pub(super) fn heard(&mut self, window: Window) -> bool {
        self.answered |= window == self.subject;
        window == self.subject
    }

    /// Asks, if need be; true when this manager serves requests. `question` is the atom of the request.
    pub(super) fn answers(
        &mut self,
        link: &Link,
        manager: Window,
        question: u32,
        now: Instant,
    ) -> Result<bool, ConnectionError> {
        if self.manager != Some(manager) {
            self.manager = Some(manager);
            self.since = Some(now);
            self.asked = None;
            self.answered = false;
        }
        self.answered |= self.since.is_some_and(|since| now >= since + PATIENCE);
        if !self.answered && self.asked.is_none_or(|at| now >= at + AGAIN) {
            self.asked = Some(now);
            let message = ClientMessageEvent::new(32, self.subject, question, [0; 5]);
            let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
            link.send_event(false, self.root, mask, message)?
                .ignore_error();
        }
        Ok(self.answered)
    }

    /// When to ask again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.asked
            .filter(|_| !self.answered && self.manager.is_some())
            .map(|at| at + AGAIN)
    }

    /// The manager went, or does not take questions (any more).
    pub(super) fn forget(&mut self) {
        self.manager = None;
    }
}
