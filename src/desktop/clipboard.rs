//! The clipboard, both ways, in UTF-8.
//!
//! ```text
//!  text of a client ──own──► CLIPBOARD and PRIMARY are ours ──SelectionRequest──► offer: the text, or INCR pieces of it
//!
//!  XFIXES: somebody else owns it ──(PRIMARY: until it is quiet)──► fetch ──text──► DesktopEvent::Clipboard
//! ```
//!
//! Nothing here waits for another program: a request is sent, its answer is an event, and a deadline ends what is never
//! answered. So a dead owner costs a little memory for some seconds, and typing goes on. (ICCCM section 2.)

mod fetch;
mod offer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug;
use x11rb::connection::Connection;
use x11rb::errors::{ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::xfixes::{self, ConnectionExt as _, SelectionEventMask};
use x11rb::protocol::xproto::{
    Atom, ConnectionExt as _, CreateWindowAux, EventMask, Property, PropertyNotifyEvent, Timestamp,
    Window, WindowClass,
};

use super::connect::Link;
use fetch::Fetch;
use offer::Offer;

/// The longest text that is exchanged, in bytes of UTF-8; longer ones are left out whole, never cut.
pub(crate) const LARGEST: usize = 1 << 20;

/// PRIMARY changes with every pixel of a mouse selection in some toolkits: wait until it rests.
const PRIMARY_REST: Duration = Duration::from_millis(60);
/// The shortest time between two fetches of one selection.
const PACE: Duration = Duration::from_millis(20);
/// Applications that own both selections announce the same text twice in this time.
const TWIN: Duration = Duration::from_millis(500);

x11rb::atom_manager! {
    /// The names of the selection protocol.
    pub(crate) Atoms: AtomsCookie {
        CLIPBOARD, PRIMARY, TARGETS, MULTIPLE, ATOM_PAIR, TIMESTAMP, UTF8_STRING, STRING, TEXT, INCR, ATOM, INTEGER,
        PLAIN: b"text/plain;charset=utf-8",
    }
}

/// One selection that is watched.
struct Watched {
    selection: Atom,
    rest: Duration,
    /// When to fetch it, and the time of the change.
    due: Option<(Instant, Timestamp)>,
    started: Option<Instant>,
    fetch: Option<Fetch>,
}

/// Both directions of the clipboard on one connection.
pub(crate) struct Clipboard {
    window: Window,
    atoms: Atoms,
    watched: Vec<Watched>,
    properties: Vec<Atom>,
    fetches: usize,
    offer: Offer,
    from_client: Option<Arc<str>>,
    told: Option<(Arc<str>, Instant)>,
}

impl Clipboard {
    /// Watches CLIPBOARD, and PRIMARY if `primary`.
    pub(crate) fn new(
        conn: &Link,
        root: Window,
        primary: bool,
        now: Instant,
    ) -> Result<Clipboard, ReplyOrIdError> {
        let atoms = Atoms::new(conn)?;
        let version = conn.xfixes_query_version(5, 0)?;
        // A late answer to an abandoned request must not be taken for the next one's: each request has its own property.
        let properties = (0..8u8)
            .map(|n| conn.intern_atom(false, format!("_DESKINIT_SELECTION_{n}").as_bytes()))
            .collect::<Result<Vec<_>, _>>()?;
        let properties = properties
            .into_iter()
            .map(|cookie| cookie.reply().map(|r| r.atom))
            .collect::<Result<Vec<_>, _>>()?;
        let atoms = atoms.reply()?;
        version.reply()?;
        let window = conn.generate_id()?;
        let aux = CreateWindowAux::new()
            .override_redirect(1)
            .event_mask(EventMask::PROPERTY_CHANGE);
        conn.create_window(
            0,
            window,
            root,
            -1,
            -1,
            1,
            1,
            0,
            WindowClass::INPUT_ONLY,
            x11rb::COPY_FROM_PARENT,
            &aux,
        )?;
        let mut watched = vec![Watched::new(atoms.CLIPBOARD, Duration::ZERO)];
        if primary {
            watched.push(Watched::new(atoms.PRIMARY, PRIMARY_REST));
        }
        // Our own ownership of PRIMARY is watched in any case: its time is asked for.
        let mask = SelectionEventMask::SET_SELECTION_OWNER
            | SelectionEventMask::SELECTION_WINDOW_DESTROY
            | SelectionEventMask::SELECTION_CLIENT_CLOSE;
        for selection in [atoms.CLIPBOARD, atoms.PRIMARY] {
            conn.xfixes_select_selection_input(window, selection, mask)?;
        }
        // What was copied before we came.
        if let Some(clipboard) = watched.first_mut() {
            clipboard.due = Some((now, x11rb::CURRENT_TIME));
        }
        Ok(Clipboard {
            window,
            atoms,
            watched,
            properties,
            fetches: 0,
            offer: Offer::default(),
            from_client: None,
            told: None,
        })
    }

    /// A client's text becomes the text of both selections.
    pub(crate) fn own(&mut self, conn: &Link, text: Arc<str>) -> Result<(), ReplyError> {
        if text.len() > LARGEST {
            debug!(bytes = text.len(), "a client's clipboard is too long");
            return Ok(());
        }
        for watched in &mut self.watched {
            watched.due = None;
            watched.fetch = None;
        }
        self.from_client = Some(Arc::clone(&text));
        self.offer.set_text(text);
        for selection in [self.atoms.CLIPBOARD, self.atoms.PRIMARY] {
            conn.set_selection_owner(self.window, selection, x11rb::CURRENT_TIME)?;
        }
        Ok(())
    }

    /// Takes an event if it is about selections. Returns a text that clients should get.
    pub(crate) fn event(
        &mut self,
        conn: &Link,
        event: &Event,
        now: Instant,
    ) -> Result<Option<Arc<str>>, ReplyError> {
        match event {
            Event::XfixesSelectionNotify(event) => self.owner_changed(event, now),
            Event::SelectionRequest(request) => {
                self.offer.request(conn, &self.atoms, request, now)?
            }
            Event::SelectionClear(_) => {}
            Event::PropertyNotify(event) if event.window == self.window => {
                return self.own_property(conn, event, now);
            }
            Event::PropertyNotify(event) if event.state == Property::DELETE => {
                self.offer.piece_taken(conn, event, now)?
            }
            Event::SelectionNotify(event) => {
                for watched in &mut self.watched {
                    if let Some(fetch) = watched.fetch.take() {
                        match fetch.answer(conn, &self.atoms, self.window, event, now)? {
                            fetch::Step::Going(fetch) => watched.fetch = Some(fetch),
                            fetch::Step::Done(text) => return Ok(self.filter(text, now)),
                            fetch::Step::Failed => {}
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// Starts what is due and ends what takes too long.
    pub(crate) fn tick(&mut self, conn: &Link, now: Instant) -> Result<(), ReplyError> {
        self.offer.expire(conn, now)?;
        for watched in &mut self.watched {
            if watched
                .fetch
                .as_ref()
                .is_some_and(|fetch| fetch.deadline() <= now)
            {
                debug!("the owner of a selection does not answer");
                watched.fetch = None;
            }
            if let Some((_, time)) = watched.due.take_if(|(at, _)| *at <= now) {
                let property = self
                    .properties
                    .get(self.fetches % self.properties.len())
                    .copied()
                    .unwrap_or(self.atoms.CLIPBOARD);
                self.fetches += 1;
                watched.started = Some(now);
                watched.fetch = Some(Fetch::start(
                    conn,
                    &self.atoms,
                    self.window,
                    watched.selection,
                    property,
                    time,
                    now,
                )?);
            }
        }
        Ok(())
    }

    /// When `tick` must be called at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = self.watched.iter().filter_map(|w| w.due.map(|(at, _)| at));
        let fetches = self
            .watched
            .iter()
            .filter_map(|w| w.fetch.as_ref().map(Fetch::deadline));
        due.chain(fetches).chain(self.offer.deadline()).min()
    }

    fn owner_changed(&mut self, event: &xfixes::SelectionNotifyEvent, now: Instant) {
        if event.owner == self.window {
            self.offer
                .owned_since(event.selection, event.selection_timestamp);
            return;
        }
        self.offer.lost(event.selection);
        if let Some(watched) = self
            .watched
            .iter_mut()
            .find(|w| w.selection == event.selection)
        {
            watched.fetch = None;
            watched.due = None;
            if event.owner != x11rb::NONE {
                let paced = watched.started.map_or(now, |started| started + PACE);
                watched.due = Some((paced.max(now + watched.rest), event.timestamp));
            }
        }
    }

    fn own_property(
        &mut self,
        conn: &Link,
        event: &PropertyNotifyEvent,
        now: Instant,
    ) -> Result<Option<Arc<str>>, ReplyError> {
        if event.state != Property::NEW_VALUE {
            return Ok(None);
        }
        for watched in &mut self.watched {
            if let Some(fetch) = watched
                .fetch
                .take_if(|fetch| fetch.property() == event.atom)
            {
                match fetch.piece(conn, &self.atoms, self.window, now)? {
                    fetch::Step::Going(fetch) => watched.fetch = Some(fetch),
                    fetch::Step::Done(text) => return Ok(self.filter(text, now)),
                    fetch::Step::Failed => {}
                }
                return Ok(None);
            }
        }
        // A late piece for a request that was given up: taking it lets its owner finish.
        conn.delete_property(self.window, event.atom)?;
        Ok(None)
    }

    /// No text goes back to where it came from, and none twice in a row from two selections of one application.
    fn filter(&mut self, text: String, now: Instant) -> Option<Arc<str>> {
        if text.is_empty() || self.from_client.as_deref() == Some(&*text) {
            return None;
        }
        if self
            .told
            .as_ref()
            .is_some_and(|(told, at)| **told == *text && *at + TWIN > now)
        {
            return None;
        }
        self.from_client = None;
        let text: Arc<str> = text.into();
        self.told = Some((Arc::clone(&text), now));
        Some(text)
    }
}

impl Watched {
    fn new(selection: Atom, rest: Duration) -> Watched {
        Watched {
            selection,
            rest,
            due: None,
            started: None,
            fetch: None,
        }
    }
}
