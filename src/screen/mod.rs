//! The latest picture, and the small values beside it.

use crate::pixel::{Point, Rect};

/// The shape of the pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorImage {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// The pixel that points.
    pub hot: Point,
    /// R, G, B and straight alpha; `width * height * 4` bytes.
    pub rgba: Vec<u8>,
}

/// The lights of the keyboard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leds {
    /// Scroll Lock.
    pub scroll: bool,
    /// Num Lock.
    pub num: bool,
    /// Caps Lock.
    pub caps: bool,
}

/// A rectangle that was copied from elsewhere on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where it is now.
    pub to: Rect,
    /// Where its upper left corner was in the previous generation.
    pub from: Point,
}
