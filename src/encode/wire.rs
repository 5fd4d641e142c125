//! Small things that every encoding writes.

use crate::pixel::{Point, Rect};

/// The number of CopyRect (RFC 6143, 7.7.2).
const COPY_RECT: i32 = 1;

/// Appends the header of a rectangle (RFC 6143, 7.6.1).
pub(super) fn header(out: &mut Vec<u8>, rect: Rect, encoding: i32) {
    for v in [rect.x, rect.y, rect.w, rect.h] {
        out.extend_from_slice(&v.to_be_bytes());
    }
    out.extend_from_slice(&encoding.to_be_bytes());
}

/// Appends a whole CopyRect rectangle (RFC 6143, 7.7.2): the client copies `to`'s size from `from` to `to`.
pub fn copy_rect(to: Rect, from: Point, out: &mut Vec<u8>) {
    header(out, to, COPY_RECT);
    out.extend_from_slice(&from.x.to_be_bytes());
    out.extend_from_slice(&from.y.to_be_bytes());
}

/// Largest number that [`compact_length`] can write.
pub(super) const MAX_COMPACT: usize = (1 << 22) - 1;

/// Appends a length in one to three bytes, seven bits each and eight in the third, lowest first (Tight).
///
/// `n` must be at most [`MAX_COMPACT`].
pub(super) fn compact_length(out: &mut Vec<u8>, n: usize) {
    debug_assert!(n <= MAX_COMPACT);
    let low = |shift: u32| (n >> shift & 0x7f) as u8;
    match n {
        0..0x80 => out.push(low(0)),
        0x80..0x4000 => out.extend_from_slice(&[low(0) | 0x80, low(7)]),
        _ => out.extend_from_slice(&[low(0) | 0x80, low(7) | 0x80, (n >> 14) as u8]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_lengths_are_those_of_the_specification() {
        let of = |n| {
            let mut out = Vec::new();
            compact_length(&mut out, n);
            out
        };
        assert_eq!(of(0), [0]);
        assert_eq!(of(127), [127]);
        // The example of the specification: 10000 is 0x90, 0x4E.
        assert_eq!(of(10_000), [0x90, 0x4e]);
        assert_eq!(of(16_383), [0xff, 0x7f]);
        assert_eq!(of(16_384), [0x80, 0x80, 1]);
        assert_eq!(of(MAX_COMPACT), [0xff, 0xff, 0xff]);
    }

    #[test]
    fn a_copy_is_sixteen_bytes() {
        let mut out = Vec::new();
        copy_rect(Rect::new(1, 2, 3, 4), Point { x: 5, y: 6 }, &mut out);
        assert_eq!(out, [0, 1, 0, 2, 0, 3, 0, 4, 0, 0, 0, 1, 0, 5, 0, 6]);
    }
}
