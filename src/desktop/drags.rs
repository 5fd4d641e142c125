//! Where windows were moved since the screen was last read: what the search for moves tries first.
//!
//! Windows that a window manager frames move with their frames, which are children of the root window, and the server
//! tells of every change of these (X11, ConfigureNotify). A hint costs one comparison and is never believed.

use std::collections::HashMap;

use x11rb::protocol::xproto::{ConfigureNotifyEvent, Window};

use crate::pixel::{Point, Rect};
use crate::screen::Move;

/// More windows than this are not followed.
const LIMIT: usize = 512;

/// Where a window is on the screen, borders included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    x: i32,
    y: i32,
    w: i32,
    h: i32,
}

/// The windows that were moved at some time.
#[derive(Debug, Default)]
pub(super) struct Drags {
    /// Where each was when the screen was last read, and where it is.
    windows: HashMap<Window, (Place, Place)>,
}

impl Drags {
    /// A child of the root window was moved, sized or restacked.
    pub(super) fn configured(&mut self, e: &ConfigureNotifyEvent) {
        let borders = 2 * i32::from(e.border_width);
        let place = Place {
            x: i32::from(e.x),
            y: i32::from(e.y),
            w: i32::from(e.width) + borders,
            h: i32::from(e.height) + borders,
        };
        if let Some((_, now)) = self.windows.get_mut(&e.window) {
            *now = place;
        } else if self.windows.len() < LIMIT {
            self.windows.insert(e.window, (place, place));
        }
    }

    /// It is not on the screen any more.
    pub(super) fn gone(&mut self, window: Window) {
        self.windows.remove(&window);
    }

    /// The screen was read: what moved since the last time, as far as it lies on a screen of this size.
    pub(super) fn take(&mut self, bounds: Rect) -> Vec<Move> {
        let mut moves = Vec::new();
        for (before, now) in self.windows.values_mut() {
            if (before.x, before.y) != (now.x, now.y) {
                moves.extend(clipped(*before, *now, bounds));
            }
            *before = *now;
        }
        moves
    }
}

/// The part that lies on the screen before and after.
fn clipped(before: Place, now: Place, bounds: Rect) -> Option<Move> {
    // How much of the left and of the top is missing in either place.
    let left = (-before.x).max(-now.x).max(0);
    let top = (-before.y).max(-now.y).max(0);
    let (width, height) = (i32::from(bounds.w), i32::from(bounds.h));
    let right = before.w.min(now.w).min(width - before.x).min(width - now.x);
    let bottom = before
        .h
        .min(now.h)
        .min(height - before.y)
        .min(height - now.y);
    let coordinate = |v: i32| u16::try_from(v).ok();
    let to = Rect::new(
        coordinate(now.x + left)?,
        coordinate(now.y + top)?,
        coordinate(right - left)?,
        coordinate(bottom - top)?,
    );
    let from = Point {
        x: coordinate(before.x + left)?,
        y: coordinate(before.y + top)?,
    };
    (!to.is_empty()).then_some(Move { to, from })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCREEN: Rect = Rect::sized(1000, 800);

    fn event(window: Window, x: i16, y: i16, width: u16, height: u16) -> ConfigureNotifyEvent {
        ConfigureNotifyEvent {
            window,
            x,
            y,
            width,
            height,
            border_width: 1,
            ..ConfigureNotifyEvent::default()
        }
    }

    #[test]
    fn moves_since_the_last_look() {
        let mut drags = Drags::default();
        drags.configured(&event(1, 10, 20, 98, 48));
        assert_eq!(drags.take(SCREEN), [], "where it came from is not known");
        drags.configured(&event(1, 15, 20, 98, 48));
        drags.configured(&event(1, 30, 25, 98, 48));
        let moved = Move {
            to: Rect::new(30, 25, 100, 50),
            from: Point { x: 10, y: 20 },
        };
        assert_eq!(drags.take(SCREEN), [moved]);
        assert_eq!(drags.take(SCREEN), []);
        drags.configured(&event(1, -10, 790, 98, 48));
        let clipped = Move {
            to: Rect::new(0, 790, 90, 10),
            from: Point { x: 40, y: 25 },
        };
        assert_eq!(drags.take(SCREEN), [clipped]);
        drags.gone(1);
        drags.configured(&event(1, 5, 5, 98, 48));
        assert_eq!(drags.take(SCREEN), []);
        drags.configured(&event(1, -300, 5, 98, 48));
        assert_eq!(drags.take(SCREEN), [], "off the screen");
    }
}
