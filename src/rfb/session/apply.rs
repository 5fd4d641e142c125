//! What the client says, applied.

use std::sync::Arc;

use super::{Effect, MAX_ANSWERS, Notice, PING, Session};
use crate::pixel::{Rect, Region};
use crate::rfb::auth::Permission;
use crate::rfb::client::{ClientMessage, ProtocolError, ScreenLayout};
use crate::rfb::encodings::{ClientCapabilities, ResizeForm};
use crate::rfb::pending::Pending;
use crate::rfb::server;

/// The flags of fences that are understood.
const FENCE_FLAGS: u32 =
    server::FENCE_BLOCK_BEFORE | server::FENCE_BLOCK_AFTER | server::FENCE_SYNC_NEXT;

/// Rectangles that a request may consist of before it is rounded up.
const MAX_REQUESTED: usize = 16;

/// True for messages whose order among themselves and towards updates matters.
fn is_ordered(message: &ClientMessage) -> bool {
    matches!(
        message,
        ClientMessage::SetPixelFormat(_)
            | ClientMessage::SetEncodings(_)
            | ClientMessage::UpdateRequest { .. }
            | ClientMessage::ContinuousUpdates { .. }
            | ClientMessage::Fence { .. }
    )
}

impl Session {
    /// Takes a message, or keeps it until the job that is out has been sent.
    pub(super) fn take(&mut self, message: ClientMessage) -> Result<(), ProtocolError> {
        let ordered = is_ordered(&message);
        let must_wait = self.job_is_out
            && ordered
            && (matches!(message, ClientMessage::SetPixelFormat(_))
                || self.sync.is_some()
                || !self.deferred.is_empty());
        if must_wait {
            if self.deferred.len() >= super::MAX_DEFERRED {
                return Err(ProtocolError::Flood);
            }
            self.deferred.push_back(message);
            Ok(())
        } else if self.deferred.is_empty() {
            self.apply(message)
        } else {
            // Keys and the like overtake what waits, and so must not settle the fence among it.
            self.act(message)
        }
    }

    /// Applies a message, and answers a fence that waited for it.
    pub(super) fn apply(&mut self, message: ClientMessage) -> Result<(), ProtocolError> {
        if let Some((flags, payload)) = self.sync.take() {
            self.answer(|out| server::fence(out, flags, &payload))?;
        }
        self.act(message)
    }

    fn act(&mut self, message: ClientMessage) -> Result<(), ProtocolError> {
        let full = self.permission == Permission::Full;
        match message {
            ClientMessage::SetPixelFormat(format) => {
                if self.format != format {
                    self.format = format;
                    self.beside.reformatted();
                    // What it has may be coarser than what it wants from now on.
                    let (width, height) = self.sizes.actual();
                    self.pending = Pending::everything(Rect::sized(width, height));
                }
            }
            ClientMessage::SetEncodings(list) => self.listed(&list)?,
            ClientMessage::UpdateRequest { incremental, area } => {
                self.counts.requests += 1;
                self.requested(incremental, area);
            }
            ClientMessage::Key {
                keysym,
                scancode,
                down,
            } => {
                self.touched = true;
                if full {
                    self.input(Effect::Key {
                        keysym,
                        scancode,
                        down,
                    });
                }
            }
            ClientMessage::Pointer { x, y, buttons } => {
                self.touched = true;
                if full {
                    let (width, height) = self.sizes.actual();
                    self.input(Effect::Pointer {
                        x: x.min(width.saturating_sub(1)),
                        y: y.min(height.saturating_sub(1)),
                        buttons,
                    });
                }
            }
            // The parser keeps no text of a client whose text is not wanted.
            ClientMessage::Text(text) => {
                let text = self.paste.received(text);
                self.clipboard_text(text);
            }
            ClientMessage::TextTooLarge { bytes } => {
                let error = crate::rfb::clipboard::InflateError::TooLarge(bytes);
                self.notice(Notice::ClipboardFromClient(error));
            }
            ClientMessage::Clipboard(message) => match self.paste.message(message) {
                Ok(Some(text)) => self.clipboard_text(text),
                Ok(None) => {}
                Err(error) => self.notice(Notice::ClipboardFromClient(error)),
            },
            ClientMessage::ContinuousUpdates { enable, area } => {
                self.demand.continuous = enable.then_some(area);
                if !enable {
                    self.answer(server::end_of_continuous_updates)?;
                }
            }
            ClientMessage::Fence { flags, payload } => self.fence(flags, payload)?,
            ClientMessage::SetDesktopSize(layout) => self.wish_for_size(layout)?,
            ClientMessage::Xvp { version, code } => {
                // Once is enough for the log.
                if !std::mem::replace(&mut self.power_refused, true) {
                    self.notice(Notice::Power(code));
                }
                if self.caps.xvp {
                    self.answer(|out| server::xvp_fail(out, version))?;
                }
            }
            // Sound is not announced, so a client that asks for it gets silence.
            ClientMessage::Audio(_) => {}
        }
        Ok(())
    }

    fn listed(&mut self, list: &[i32]) -> Result<(), ProtocolError> {
        let before = std::mem::replace(&mut self.caps, ClientCapabilities::new(list));
        let caps = self.caps;
        if !std::mem::replace(&mut self.listed, true) {
            self.notice(Notice::Listed);
        }
        self.beside.listed(&before, &caps);
        self.paste.listed(caps.extended_clipboard);
        if caps.fence && !std::mem::replace(&mut self.fence_announced, true) {
            // A first fence says that the server knows them, and measures the link while it is empty.
            self.flow.enable_fences();
            self.ping(0);
        }
        if caps.continuous_updates && !std::mem::replace(&mut self.continuous_announced, true) {
            self.answer(server::end_of_continuous_updates)?;
        }
        Ok(())
    }

    fn requested(&mut self, incremental: bool, area: Rect) {
        self.flow.requested(self.now);
        self.paste.acquainted();
        if !incremental {
            let (width, height) = self.sizes.actual();
            self.pending
                .add(&Region::from(area.intersect(&Rect::sized(width, height))));
            if self.caps.resize == Some(ResizeForm::Extended) {
                self.sizes.inquired();
            }
        } else if self.demand.continuous.is_some() {
            return;
        }
        let requested = self.demand.requested.get_or_insert_default();
        requested.add(area);
        if requested.rects().len() > MAX_REQUESTED {
            *requested = Region::from(requested.bounds());
        }
    }

    fn fence(&mut self, flags: u32, payload: Vec<u8>) -> Result<(), ProtocolError> {
        if flags & server::FENCE_REQUEST == 0 {
            if let [PING, id @ ..] = payload.as_slice()
                && let Ok(id) = id.try_into()
            {
                self.flow.answered(u32::from_be_bytes(id), self.now);
            }
            return Ok(());
        }
        if !self.caps.fence {
            // It could not take the answer.
            return Ok(());
        }
        let flags = flags & FENCE_FLAGS;
        if flags & server::FENCE_SYNC_NEXT != 0 {
            // Its answer goes exactly between what the next message does not affect and what it does.
            self.sync = Some((flags, payload));
            return Ok(());
        }
        // Messages are applied in order, one at a time: everything before it has taken effect.
        self.answer(|out| server::fence(out, flags, &payload))
    }

    fn wish_for_size(&mut self, layout: ScreenLayout) -> Result<(), ProtocolError> {
        if self.caps.resize != Some(ResizeForm::Extended) {
            // It could not be answered.
            return Ok(());
        }
        let allowed = self.permission == Permission::Full && self.features.resize;
        let (width, height) = (layout.width, layout.height);
        if self.sizes.ask(layout, allowed) {
            self.effects.push_back(Effect::Resize { width, height });
        }
        if self.sizes.is_flooded() {
            return Err(ProtocolError::Flood);
        }
        Ok(())
    }

    fn input(&mut self, effect: Effect) {
        self.counts.inputs += 1;
        self.last_input = Some(self.now);
        self.effects.push_back(effect);
    }

    /// Of several texts that came at once the first and the last count: a few bytes of each inflate to a megabyte, and
    /// what waits has a bound.
    fn clipboard_text(&mut self, text: Arc<str>) {
        let mut texts = self
            .effects
            .iter_mut()
            .rev()
            .filter_map(|effect| match effect {
                Effect::ClipboardText(text) => Some(text),
                _ => None,
            });
        if let (Some(last), Some(_)) = (texts.next(), texts.next()) {
            *last = text;
        } else {
            self.effects.push_back(Effect::ClipboardText(text));
        }
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.effects.push_back(Effect::Notice(notice));
    }

    /// Writes an answer, unless too many wait already.
    fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), ProtocolError> {
        let before = self.out.len();
        write(&mut self.out);
        self.answers += self.out.len() - before;
        if self.answers > MAX_ANSWERS {
            return Err(ProtocolError::NotReading);
        }
        Ok(())
    }
}
