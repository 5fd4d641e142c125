//! One connection to the X server, from its first request to its end.
//!
//! ```text
//!  connected ──► strays released, text owned again ──► loop: X events, items, deadlines, poll ──► stopped: all released
//!                                                        │ connection lost
//!                                                        └──────────────────────────────────► lost: all forgotten
//! ```

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};
use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::xproto;
use x11rb::protocol::xtest::ConnectionExt as _;

use super::hand::Hand;
use super::queue::Item;
use super::{Worker, lock};
use crate::desktop::clipboard::Clipboard;
use crate::desktop::connect::Link;
use crate::desktop::keyboard::held::Name;
use crate::desktop::keyboard::server::XServer;
use crate::desktop::keyboard::{KeyServer, Keyboard, Outcome};
use crate::desktop::leds::Lamps;
use crate::desktop::pointer::{Action, Pointer};
use crate::desktop::{DesktopEvent, Input, InputEvent};
use crate::screen::Leds;

/// Items done before X events get their turn.
const BATCH: usize = 64;
/// Bells closer together are one.
const BELL_PACE: Duration = Duration::from_millis(100);

/// Why a session with the X server ended.
pub(super) enum End {
    Stopped,
    Lost(String),
}

impl From<ReplyError> for End {
    fn from(error: ReplyError) -> End {
        End::Lost(error.to_string())
    }
}

impl From<ReplyOrIdError> for End {
    fn from(error: ReplyOrIdError) -> End {
        End::Lost(error.to_string())
    }
}

impl From<ConnectionError> for End {
    fn from(error: ConnectionError) -> End {
        End::Lost(error.to_string())
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Lost(error.to_string())
    }
}

/// A connection with everything that clients have on it.
pub(super) struct Session<'a> {
    worker: &'a mut Worker,
    link: XServer,
    keyboard: Keyboard,
    pointer: Pointer,
    /// Lent to callers during a wait.
    hand: Hand,
    clipboard: Option<Clipboard>,
    lamps: Option<Lamps>,
    leds: Option<Leds>,
    rung: Option<Instant>,
    /// An item that must be done first, not before that time.
    blocked: Option<(Item, Instant)>,
}

impl<'a> Session<'a> {
    /// Prepares a new connection.
    pub(super) fn new(
        worker: &'a mut Worker,
        conn: Link,
        screen: usize,
    ) -> Result<Session<'a>, End> {
        let now = Instant::now();
        let mut link = XServer::new(conn, screen)?;
        Keyboard::release_strays(&mut link)?;
        let mut keyboard = Keyboard::new(worker.options.raw_keyboard);
        keyboard.inherit(link.keymap(), &link.lent_before()?, now);
        let lamps = if link.has_xkb() {
            Some(Lamps::new(link.conn())?)
        } else {
            None
        };
        let mut clipboard = None;
        if worker.options.clipboard {
            let mut new =
                Clipboard::new(link.conn(), link.root(), worker.options.send_primary, now)?;
            if let Some(text) = &worker.owned {
                new.own(link.conn(), Arc::clone(text))?;
            }
            clipboard = Some(new);
        }
        info!(display = worker.options.display, "input is connected");
        let pointer = Pointer::default();
        let hand = Hand::new(Arc::clone(link.conn()), link.root());
        let mut session = Session {
            worker,
            hand,
            link,
            keyboard,
            pointer,
            clipboard,
            lamps,
            leds: None,
            rung: None,
            blocked: None,
        };
        session.point(Pointer::release_strays())?;
        session.tell_leds()?;
        Ok(session)
    }

    /// Serves until it is stopped.
    pub(super) fn run(&mut self) -> Result<(), End> {
        loop {
            if self.worker.shared.stopping() {
                return Ok(self.finish()?);
            }
            let _ = self.worker.shared.wake.read();
            while let Some(event) = self.link.next_event()? {
                self.x_event(&event)?;
            }
            let more = self.work()?;
            let now = Instant::now();
            if let Some(clipboard) = &mut self.clipboard {
                clipboard.tick(self.link.conn(), now)?;
            }
            self.link.conn().flush()?;
            if more || self.link.has_events()? {
                continue;
            }
            let deadlines = [
                self.clipboard.as_ref().and_then(Clipboard::deadline),
                self.blocked.as_ref().map(|(_, until)| *until),
            ];
            let longest = deadlines
                .into_iter()
                .flatten()
                .min()
                .map(|at| at.saturating_duration_since(now));
            let shared = &self.worker.shared;
            // Motion that comes does not go before an item that waits.
            let hand = self.blocked.is_none().then(|| self.hand.clone());
            lock(&shared.inbox).hand = hand;
            let stream = self.link.conn().stream();
            let waited = stream.wait(shared.wake.as_fd(), longest);
            lock(&shared.inbox).hand = None;
            waited.map_err(io::Error::from)?;
        }
    }

    /// Does waiting items; `true` if there may be more.
    fn work(&mut self) -> Result<bool, End> {
        for _ in 0..BATCH {
            let item = match self.blocked.take() {
                Some((item, until)) if until > Instant::now() => {
                    self.blocked = Some((item, until));
                    return Ok(false);
                }
                Some((item, _)) => item,
                None => {
                    let mut inbox = lock(&self.worker.shared.inbox);
                    let dropped = inbox.queue.take_dropped();
                    let item = inbox.queue.pop();
                    drop(inbox);
                    if dropped > 0 {
                        warn!(
                            dropped,
                            "clients type faster than the X server takes it; keys were dropped"
                        );
                    }
                    let Some(item) = item else { return Ok(false) };
                    item
                }
            };
            match self.item(&item) {
                Ok(Outcome::Done) => {}
                Ok(Outcome::Wait(until)) => {
                    self.blocked = Some((item, until));
                    return Ok(false);
                }
                // A request was refused (a window that is gone, say): the next one need not be.
                Err(ReplyError::X11Error(error)) => {
                    debug!(?error, "the X server refused a request")
                }
                Err(ReplyError::ConnectionError(error)) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    fn item(&mut self, item: &Item) -> Result<Outcome, ReplyError> {
        let now = Instant::now();
        let Input { client, event } = match item {
            Item::Input(input) => {
                self.hand.note(input);
                *input
            }
            Item::Text(text) => {
                if let Some(clipboard) = &mut self.clipboard {
                    self.worker.owned = Some(Arc::clone(text));
                    clipboard.own(self.link.conn(), Arc::clone(text))?;
                }
                return Ok(Outcome::Done);
            }
        };
        match event {
            InputEvent::Key {
                keysym,
                scancode,
                down,
            } => {
                let name = Name {
                    keysym,
                    scancode: scancode.filter(|&code| code != 0),
                };
                if down {
                    return self.keyboard.down(&mut self.link, client, name, now);
                }
                self.keyboard.up(&mut self.link, client, name, now)?;
            }
            InputEvent::Pointer { x, y, buttons } => {
                let actions = self.pointer.event(client, x, y, buttons);
                self.point(actions)?;
            }
            InputEvent::ReleaseAll | InputEvent::Gone => {
                self.keyboard.release_all(&mut self.link, client)?;
                let actions = self.pointer.release_all(client);
                self.point(actions)?;
            }
        }
        Ok(Outcome::Done)
    }

    fn point(&self, actions: impl Iterator<Item = Action>) -> Result<(), ConnectionError> {
        let conn = self.link.conn();
        for action in actions {
            match action {
                Action::Move(x, y) => self.hand.go(x, y)?,
                Action::Button(button, down) => {
                    let kind = if down {
                        xproto::BUTTON_PRESS_EVENT
                    } else {
                        xproto::BUTTON_RELEASE_EVENT
                    };
                    conn.xtest_fake_input(kind, button, x11rb::CURRENT_TIME, x11rb::NONE, 0, 0, 0)?;
                }
            }
        }
        Ok(())
    }

    fn x_event(&mut self, event: &Event) -> Result<(), End> {
        match event {
            Event::Error(error) => debug!(?error, "the X server refused a request"),
            Event::XkbIndicatorStateNotify(_) => self.tell_leds()?,
            Event::XkbBellNotify(_) => {
                let now = Instant::now();
                if self.rung.is_none_or(|before| before + BELL_PACE <= now) {
                    self.rung = Some(now);
                    self.worker.sink.event(DesktopEvent::Bell);
                }
            }
            other => {
                let Some(clipboard) = &mut self.clipboard else {
                    return Ok(());
                };
                match clipboard.event(self.link.conn(), other, Instant::now()) {
                    Ok(Some(text)) => self.worker.sink.event(DesktopEvent::Clipboard(text)),
                    Ok(None) => {}
                    Err(ReplyError::X11Error(error)) => {
                        debug!(?error, "the X server refused a request")
                    }
                    Err(ReplyError::ConnectionError(error)) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn tell_leds(&mut self) -> Result<(), ReplyError> {
        let Some(lamps) = &self.lamps else {
            return Ok(());
        };
        let leds = lamps.read(self.link.conn())?;
        if self.leds.replace(leds) != Some(leds) {
            self.worker.sink.event(DesktopEvent::Leds(leds));
        }
        Ok(())
    }

    /// Leaves the X server as it was found.
    fn finish(&mut self) -> Result<(), ReplyError> {
        self.keyboard.release_everything(&mut self.link)?;
        let actions = self.pointer.release_everything();
        self.point(actions)?;
        self.link.take_back(&self.keyboard.lent())?;
        // A round trip: all of it has arrived before the connection closes.
        self.link.observe()?;
        Ok(())
    }
}
