//! Raw (RFC 6143, 7.7.1): the pixels as they are.

use super::convert::Converter;
use crate::pixel::{Frame, Rect};

/// Appends the pixels of a rectangle.
pub(super) fn encode(frame: &Frame, rect: Rect, converter: &Converter, out: &mut Vec<u8>) {
    out.reserve(rect.area() as usize * converter.bytes());
    for row in frame.rows(rect) {
        converter.row(row, out);
    }
}
