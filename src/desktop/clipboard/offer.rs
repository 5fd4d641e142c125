//! Giving a client's text to the programs that ask for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use x11rb::errors::ReplyError;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, EventMask, PropMode,
    PropertyNotifyEvent, SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, SelectionRequestEvent,
    Timestamp, Window,
};
use x11rb::wrapper::ConnectionExt as _;

use super::Atoms;
use crate::desktop::connect::Link;

/// Longer texts go in pieces, as the ICCCM wants it (section 2.7.2).
const WHOLE: usize = 128 * 1024;
const PIECE: usize = 64 * 1024;
/// How long a program may leave a piece lying.
const PATIENCE: Duration = Duration::from_secs(10);
/// Transfers in pieces at a time.
const MOST: usize = 16;
/// Conversions in one MULTIPLE request.
const MOST_PAIRS: usize = 16;

/// A text on its way in pieces.
struct Transfer {
    requestor: Window,
    property: Atom,
    kind: Atom,
    data: Arc<[u8]>,
    sent: usize,
    deadline: Instant,
}

/// The text that is offered, and its transfers.
#[derive(Default)]
pub(super) struct Offer {
    text: Option<Arc<str>>,
    /// Selections that are ours, and since when.
    owned: Vec<(Atom, Timestamp)>,
    transfers: Vec<Transfer>,
}

impl Offer {
    pub(super) fn set_text(&mut self, text: Arc<str>) {
        self.text = Some(text);
    }

    pub(super) fn owned_since(&mut self, selection: Atom, time: Timestamp) {
        self.owned.retain(|(s, _)| *s != selection);
        self.owned.push((selection, time));
    }

    pub(super) fn lost(&mut self, selection: Atom) {
        self.owned.retain(|(s, _)| *s != selection);
    }

    /// Answers a request, with a refusal if need be: whoever asks waits for it.
    pub(super) fn request(
        &mut self,
        conn: &Link,
        atoms: &Atoms,
        request: &SelectionRequestEvent,
        now: Instant,
    ) -> Result<(), ReplyError> {
        // Clients of the oldest convention leave the property to us.
        let property = if request.property == x11rb::NONE {
            request.target
        } else {
            request.property
        };
        let done = if request.target == atoms.MULTIPLE {
            request.property != x11rb::NONE && self.multiple(conn, atoms, request, now)?
        } else {
            self.convert(conn, atoms, request, request.target, property, now)?
        };
        let event = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: request.time,
            requestor: request.requestor,
            selection: request.selection,
            target: request.target,
            property: if done { property } else { x11rb::NONE },
        };
        conn.send_event(false, request.requestor, EventMask::NO_EVENT, event)?;
        Ok(())
    }

    /// A program deleted a property: it wants the next piece, if there was one in it.
    pub(super) fn piece_taken(
        &mut self,
        conn: &Link,
        event: &PropertyNotifyEvent,
        now: Instant,
    ) -> Result<(), ReplyError> {
        let Some(index) = self
            .transfers
            .iter()
            .position(|t| t.requestor == event.window && t.property == event.atom)
        else {
            return Ok(());
        };
        let Some(transfer) = self.transfers.get_mut(index) else {
            return Ok(());
        };
        let rest = transfer.data.get(transfer.sent..).unwrap_or_default();
        let piece = rest.get(..PIECE.min(rest.len())).unwrap_or_default();
        conn.change_property8(
            PropMode::REPLACE,
            transfer.requestor,
            transfer.property,
            transfer.kind,
            piece,
        )?;
        transfer.sent += piece.len();
        transfer.deadline = now + PATIENCE;
        // The empty piece is the end.
        if piece.is_empty() {
            self.end(conn, index)?;
        }
        Ok(())
    }

    pub(super) fn expire(&mut self, conn: &Link, now: Instant) -> Result<(), ReplyError> {
        while let Some(index) = self.transfers.iter().position(|t| t.deadline <= now) {
            self.end(conn, index)?;
        }
        Ok(())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.transfers.iter().map(|t| t.deadline).min()
    }

    fn end(&mut self, conn: &Link, index: usize) -> Result<(), ReplyError> {
        let ended = self.transfers.remove(index);
        if !self
            .transfers
            .iter()
            .any(|t| t.requestor == ended.requestor)
        {
            conn.change_window_attributes(
                ended.requestor,
                &ChangeWindowAttributesAux::new().event_mask(EventMask::NO_EVENT),
            )?;
        }
        Ok(())
    }

    fn multiple(
        &mut self,
        conn: &Link,
        atoms: &Atoms,
        request: &SelectionRequestEvent,
        now: Instant,
    ) -> Result<bool, ReplyError> {
        let length = u32::try_from(2 * MOST_PAIRS).unwrap_or(u32::MAX);
        let reply = match conn
            .get_property(
                false,
                request.requestor,
                request.property,
                atoms.ATOM_PAIR,
                0,
                length,
            )?
            .reply()
        {
            Ok(reply) => reply,
            // The window is gone already.
            Err(ReplyError::X11Error(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut pairs: Vec<Atom> = reply.value32().into_iter().flatten().collect();
        for pair in pairs.chunks_exact_mut(2) {
            if let [target, property] = pair
                && (*target == atoms.MULTIPLE
                    || *property == x11rb::NONE
                    || !self.convert(conn, atoms, request, *target, *property, now)?)
            {
                *property = x11rb::NONE;
            }
        }
        conn.change_property32(
            PropMode::REPLACE,
            request.requestor,
            request.property,
            atoms.ATOM_PAIR,
            &pairs,
        )?;
        Ok(true)
    }

    fn convert(
        &mut self,
        conn: &Link,
        atoms: &Atoms,
        request: &SelectionRequestEvent,
        target: Atom,
        property: Atom,
        now: Instant,
    ) -> Result<bool, ReplyError> {
        let Some(text) = &self.text else {
            return Ok(false);
        };
        let requestor = request.requestor;
        if target == atoms.TARGETS {
            let targets = [
                atoms.TARGETS,
                atoms.MULTIPLE,
                atoms.TIMESTAMP,
                atoms.UTF8_STRING,
                atoms.PLAIN,
                atoms.TEXT,
                atoms.STRING,
            ];
            conn.change_property32(
                PropMode::REPLACE,
                requestor,
                property,
                AtomEnum::ATOM,
                &targets,
            )?;
            return Ok(true);
        }
        if target == atoms.TIMESTAMP {
            let Some((_, time)) = self.owned.iter().find(|(s, _)| *s == request.selection) else {
                return Ok(false);
            };
            conn.change_property32(
                PropMode::REPLACE,
                requestor,
                property,
                AtomEnum::INTEGER,
                &[*time],
            )?;
            return Ok(true);
        }
        let (kind, data): (Atom, Arc<[u8]>) = if target == atoms.STRING {
            (atoms.STRING, latin1(text).into())
        } else if target == atoms.PLAIN {
            (atoms.PLAIN, text.as_bytes().into())
        } else if target == atoms.UTF8_STRING || target == atoms.TEXT {
            (atoms.UTF8_STRING, text.as_bytes().into())
        } else {
            return Ok(false);
        };
        if data.len() <= WHOLE {
            conn.change_property8(PropMode::REPLACE, requestor, property, kind, &data)?;
            return Ok(true);
        }
        if self.transfers.len() >= MOST {
            return Ok(false);
        }
        // Select first: the deletion of the announcement asks for the first piece.
        conn.change_window_attributes(
            requestor,
            &ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE),
        )?;
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        conn.change_property32(
            PropMode::REPLACE,
            requestor,
            property,
            atoms.INCR,
            &[length],
        )?;
        self.transfers
            .retain(|t| t.requestor != requestor || t.property != property);
        self.transfers.push(Transfer {
            requestor,
            property,
            kind,
            data,
            sent: 0,
            deadline: now + PATIENCE,
        });
        Ok(true)
    }
}

/// STRING is Latin-1: what does not fit becomes a question mark.
fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn latin1_replaces_what_does_not_fit() {
        assert_eq!(super::latin1("Grüße €"), b"Gr\xfc\xdfe ?");
    }
}
