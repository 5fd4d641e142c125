//! The pointer: its shape, and where others put it.
//!
//! XFixes tells when the shape changes; the image is fetched only while somebody watches. Nothing tells when a program
//! warps the pointer, so its position comes along with every grab and every new shape, for no round trip of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use x11rb::errors::ReplyError;
use x11rb::protocol::xfixes::{ConnectionExt as _, CursorNotifyMask};
use x11rb::protocol::xproto::Window;

use super::connect::Link;
use super::shared::Shared;
use super::types::DesktopEvent;
use crate::pixel::Point;
use crate::screen::CursorImage;

/// So long after our own input the pointer may still be on its way to where we sent it.
const SETTLE: Duration = Duration::from_millis(200);

/// What is known of the pointer.
#[derive(Debug)]
pub(super) struct Pointer {
    /// The server may have another shape than the one told last.
    dirty: bool,
    /// The last position told to be somebody else's.
    told: Option<Point>,
    /// When to look where the pointer is, because our own input was too recent to judge.
    look_at: Option<Instant>,
}

impl Pointer {
    /// Asks for notice of new shapes.
    pub(super) fn open(link: &Link, root: Window) -> Result<Self, ReplyError> {
        link.xfixes_select_cursor_input(root, CursorNotifyMask::DISPLAY_CURSOR)?
            .check()?;
        Ok(Self {
            dirty: true,
            told: None,
            look_at: None,
        })
    }

    /// The server says that the shape changed.
    pub(super) fn shape_changed(&mut self) {
        self.dirty = true;
    }

    /// When [`Pointer::refresh`] is to be called without an event.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// Tells the sink of a new shape, if there is one. To be called while somebody watches.
    pub(super) fn refresh(
        &mut self,
        link: &Link,
        shared: &Shared,
        now: Instant,
    ) -> Result<(), ReplyError> {
        if !self.dirty && self.look_at.is_none_or(|at| now < at) {
            return Ok(());
        }
        let shape_too = std::mem::take(&mut self.dirty);
        // The answer holds the position as well.
        let cursor = link.xfixes_get_cursor_image()?.reply()?;
        if shape_too {
            let hot = point(
                i16::try_from(cursor.xhot).unwrap_or(i16::MAX),
                i16::try_from(cursor.yhot).unwrap_or(i16::MAX),
            );
            let image = CursorImage::from_premultiplied(
                cursor.width,
                cursor.height,
                hot,
                &cursor.cursor_image,
            );
            shared.sink.event(DesktopEvent::Cursor(Arc::new(image)));
        }
        self.seen(point(cursor.x, cursor.y), shared, now);
        Ok(())
    }

    /// The pointer was seen there: tells the sink when it is not our clients who put it there.
    pub(super) fn seen(&mut self, at: Point, shared: &Shared, now: Instant) {
        let injected = shared.injected();
        self.look_at = None;
        match injected {
            Some((ours, _)) if ours == at => self.told = None,
            _ if self.told == Some(at) => {}
            Some((_, when)) if now.saturating_duration_since(when) < SETTLE => {
                self.look_at = Some(when + SETTLE);
            }
            _ => {
                self.told = Some(at);
                shared.sink.event(DesktopEvent::CursorMoved(at));
            }
        }
    }
}

/// X has signed coordinates; the pointer is always on the screen.
pub(super) fn point(x: i16, y: i16) -> Point {
    Point {
        x: u16::try_from(x).unwrap_or(0),
        y: u16::try_from(y).unwrap_or(0),
    }
}
