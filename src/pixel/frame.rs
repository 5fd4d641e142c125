//! One picture of the screen.

use super::{Point, Rect};

/// A picture, one `u32` a pixel, `0x00RRGGBB`, rows without padding.
///
/// INVARIANT: the upper byte of every pixel is 0 (X servers leave anything in it; whoever fills a frame clears it), so
/// pixels can be compared, hashed and looked up as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    width: u16,
    height: u16,
    data: Vec<u32>,
}

impl Frame {
    /// A black picture.
    pub fn new(width: u16, height: u16) -> Self {
        Self {
            width,
            height,
            data: vec![0; usize::from(width) * usize::from(height)],
        }
    }

    /// Width in pixels.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Height in pixels.
    pub const fn height(&self) -> u16 {
        self.height
    }

    /// The whole picture.
    pub const fn bounds(&self) -> Rect {
        Rect::sized(self.width, self.height)
    }

    /// All pixels, row by row.
    pub fn pixels(&self) -> &[u32] {
        &self.data
    }

    /// The pixels of one row.
    pub fn row(&self, y: u16) -> &[u32] {
        let w = usize::from(self.width);
        &self.data[usize::from(y) * w..][..w]
    }

    /// The pixels of one row, to write.
    pub fn row_mut(&mut self, y: u16) -> &mut [u32] {
        let w = usize::from(self.width);
        &mut self.data[usize::from(y) * w..][..w]
    }

    /// The rows of a rectangle, which must lie within the picture.
    pub fn rows(&self, rect: Rect) -> impl ExactSizeIterator<Item = &[u32]> + Clone {
        let (x, w) = (usize::from(rect.x), usize::from(rect.w));
        (rect.y..rect.bottom()).map(move |y| &self.row(y)[x..x + w])
    }

    /// Copies a rectangle of it to where `to` is the upper left corner, as if through a buffer between (RFC 6143, 7.7.2).
    /// Both must lie within the picture.
    pub fn copy_within(&mut self, from: Rect, to: Point) {
        let (x, w) = (usize::from(from.x), usize::from(from.w));
        let width = usize::from(self.width);
        let mut copy = |row: u16| {
            let start = usize::from(from.y + row) * width + x;
            let target = usize::from(to.y + row) * width + usize::from(to.x);
            self.data.copy_within(start..start + w, target);
        };
        if to.y > from.y {
            (0..from.h).rev().for_each(&mut copy);
        } else {
            (0..from.h).for_each(&mut copy);
        }
    }

    /// Copies a rectangle from a picture of the same size.
    pub fn copy_from(&mut self, other: &Frame, rect: Rect) {
        let (x, w) = (usize::from(rect.x), usize::from(rect.w));
        for y in rect.y..rect.bottom() {
            self.row_mut(y)[x..x + w].copy_from_slice(&other.row(y)[x..x + w]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_onto_themselves_are_as_through_a_buffer() {
        let mut frame = Frame::new(9, 9);
        for (n, pixel) in (1..).zip(&mut frame.data) {
            *pixel = n;
        }
        for (x, y) in [(0, 0), (1, 2), (2, 0), (2, 1), (0, 2), (1, 1), (3, 3)] {
            let mut copy = frame.clone();
            copy.copy_within(Rect::new(1, 1, 5, 6), Point { x, y });
            for row in 0..6u16 {
                for column in 0..5u16 {
                    let got = copy.row(y + row)[usize::from(x + column)];
                    assert_eq!(got, frame.row(1 + row)[usize::from(1 + column)]);
                }
            }
        }
    }

    #[test]
    fn rows_are_those_of_the_rectangle() {
        let mut frame = Frame::new(4, 3);
        frame.row_mut(1)[2] = 7;
        let rows: Vec<_> = frame.rows(Rect::new(1, 1, 2, 2)).collect();
        assert_eq!(rows, [&[0, 7][..], &[0, 0][..]]);
        let mut copy = Frame::new(4, 3);
        copy.copy_from(&frame, Rect::new(2, 1, 1, 1));
        assert_eq!(copy, frame);
    }
}
