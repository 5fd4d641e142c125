//! Reading the selection of another program.
//!
//! ```text
//!  start ──ConvertSelection──► Asked ──property with text──────────────► Done
//!                               │  ▲ └──refused: next target; none left──► Failed
//!                               │  └──┘
//!                               └──INCR──► Pieces ──piece──► Pieces ──empty piece──► Done (Failed if too long)
//! ```

use std::time::{Duration, Instant};

use tracing::debug;
use x11rb::errors::ReplyError;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, GetPropertyReply, SelectionNotifyEvent, Timestamp, Window,
};

use super::{Atoms, LARGEST};
use crate::desktop::connect::Link;

/// How long an owner may take for its answer, and for each piece of it.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a text in pieces may take as a whole.
const WHOLE: Duration = Duration::from_secs(20);

/// A selection that is being read.
pub(super) struct Fetch {
    selection: Atom,
    property: Atom,
    time: Timestamp,
    /// Index into the targets that are tried in order.
    target: usize,
    pieces: Option<Pieces>,
    deadline: Instant,
    last: Instant,
}

struct Pieces {
    kind: Atom,
    data: Vec<u8>,
    too_long: bool,
}

/// What an event made of a fetch.
pub(super) enum Step {
    Going(Fetch),
    Done(String),
    Failed,
}

fn targets(atoms: &Atoms) -> [Atom; 3] {
    [atoms.UTF8_STRING, atoms.PLAIN, atoms.STRING]
}

impl Fetch {
    pub(super) fn start(
        conn: &Link,
        atoms: &Atoms,
        window: Window,
        selection: Atom,
        property: Atom,
        time: Timestamp,
        now: Instant,
    ) -> Result<Fetch, ReplyError> {
        let fetch = Fetch {
            selection,
            property,
            time,
            target: 0,
            pieces: None,
            deadline: now + PATIENCE,
            last: now + WHOLE,
        };
        conn.delete_property(window, property)?;
        fetch.ask(conn, atoms, window)?;
        Ok(fetch)
    }

    pub(super) fn property(&self) -> Atom {
        self.property
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline.min(self.last)
    }

    /// The owner's answer, if it is to this request.
    pub(super) fn answer(
        mut self,
        conn: &Link,
        atoms: &Atoms,
        window: Window,
        event: &SelectionNotifyEvent,
        now: Instant,
    ) -> Result<Step, ReplyError> {
        let asked = targets(atoms).get(self.target).copied();
        let ours = event.selection == self.selection
            && event.time == self.time
            && Some(event.target) == asked
            && self.pieces.is_none();
        if !ours {
            return Ok(Step::Going(self));
        }
        if event.property == x11rb::NONE {
            self.target += 1;
            if self.target >= targets(atoms).len() {
                return Ok(Step::Failed);
            }
            self.deadline = now + PATIENCE;
            self.ask(conn, atoms, window)?;
            return Ok(Step::Going(self));
        }
        let value = self.take(conn, window)?;
        if value.type_ == atoms.INCR {
            // The property is gone now: this asks for the first piece.
            self.pieces = Some(Pieces {
                kind: x11rb::NONE,
                data: Vec::new(),
                too_long: false,
            });
            self.deadline = now + PATIENCE;
            return Ok(Step::Going(self));
        }
        if value.bytes_after > 0 {
            debug!("a selection is too long");
            conn.delete_property(window, self.property)?;
            return Ok(Step::Failed);
        }
        Ok(text(atoms, value.type_, value.value).map_or(Step::Failed, Step::Done))
    }

    /// The property got a new value: a piece, if the text comes in pieces.
    pub(super) fn piece(
        mut self,
        conn: &Link,
        atoms: &Atoms,
        window: Window,
        now: Instant,
    ) -> Result<Step, ReplyError> {
        if self.pieces.is_none() {
            return Ok(Step::Going(self));
        }
        let value = self.take(conn, window)?;
        let Some(pieces) = &mut self.pieces else {
            return Ok(Step::Going(self));
        };
        if value.type_ == x11rb::NONE {
            return Ok(Step::Going(self));
        }
        self.deadline = now + PATIENCE;
        if value.value.is_empty() {
            let Some(pieces) = self.pieces.filter(|p| !p.too_long) else {
                debug!("a selection is too long");
                return Ok(Step::Failed);
            };
            return Ok(text(atoms, pieces.kind, pieces.data).map_or(Step::Failed, Step::Done));
        }
        pieces.kind = value.type_;
        if value.bytes_after > 0 || pieces.data.len() + value.value.len() > LARGEST {
            // The rest is taken without keeping it, so that the owner comes to its end.
            pieces.too_long = true;
            pieces.data = Vec::new();
            conn.delete_property(window, self.property)?;
        } else if !pieces.too_long {
            pieces.data.extend_from_slice(&value.value);
        }
        Ok(Step::Going(self))
    }

    fn ask(&self, conn: &Link, atoms: &Atoms, window: Window) -> Result<(), ReplyError> {
        if let Some(&target) = targets(atoms).get(self.target) {
            conn.convert_selection(window, self.selection, target, self.property, self.time)?;
        }
        Ok(())
    }

    /// Reads the property and deletes it, if it is short enough to be read whole.
    fn take(&self, conn: &Link, window: Window) -> Result<GetPropertyReply, ReplyError> {
        let length = u32::try_from(LARGEST / 4).unwrap_or(u32::MAX);
        conn.get_property(true, window, self.property, AtomEnum::ANY, 0, length)?
            .reply()
    }
}

/// The text of a property; `None` if it is none.
fn text(atoms: &Atoms, kind: Atom, mut data: Vec<u8>) -> Option<String> {
    while data.last() == Some(&0) {
        data.pop();
    }
    if kind == atoms.STRING {
        let text: String = data.iter().map(|&byte| char::from(byte)).collect();
        return (text.len() <= LARGEST).then_some(text);
    }
    if kind != atoms.UTF8_STRING && kind != atoms.PLAIN {
        return None;
    }
    Some(
        String::from_utf8(data)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}
