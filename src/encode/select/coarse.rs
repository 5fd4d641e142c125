//! What goes coarse: the rectangles that the session has chosen, in as few JPEGs as there are, whatever they show.
//!
//! Plain ground in one costs JPEG next to nothing, and a rectangle for each of its parts a header of its own.

use super::parts::{even, within};
use super::{BLOCK_W, Kind, MIN_JPEG};
use crate::pixel::{Frame, Rect, Region};

/// Highest JPEG: two make a full HD picture, one for each of two cores. With as many as of what does not go coarse, their tables
/// would be a tenth of the bytes.
const HEIGHT: u16 = 544;

/// What of a region lies in these rectangles, and the rest of it.
pub(super) fn cut(frame: &Frame, region: &Region, rects: &[Rect]) -> (Vec<(Rect, Kind)>, Region) {
    let inside = |rect: &Rect| match within(region, rect) {
        // In as many as the region is made of, unless all of it is there.
        parts if parts.iter().map(Rect::area).sum::<u32>() < rect.area() => parts,
        _ => vec![*rect],
    };
    // Less is smaller without loss.
    let parts = rects.iter().flat_map(inside);
    let parts: Vec<Rect> = parts.filter(|r| r.area() >= MIN_JPEG).collect();
    let mut rest = region.clone();
    rest.subtract(&parts.iter().copied().collect());
    let parts = parts.into_iter().flat_map(|r| even(r, BLOCK_W, HEIGHT));
    (parts.map(|r| (r, kind(frame, r))).collect(), rest)
}

fn kind(frame: &Frame, rect: Rect) -> Kind {
    let colour = frame.row(rect.y)[usize::from(rect.x)];
    match frame.rows(rect).flatten().all(|&pixel| pixel == colour) {
        true => Kind::Fill(colour),
        false => Kind::Film,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let mut frame = Frame::new(1920, 1080);
        for y in 0..1080 {
            for (x, pixel) in (0u32..).zip(frame.row_mut(y)) {
                *pixel = if x < 640 { 7 } else { x * u32::from(y) };
            }
        }
        frame
    }

    #[test]
    fn a_screen_is_two_jpegs_and_what_is_plain_none() {
        let frame = frame();
        let whole = Region::from(frame.bounds());
        let (parts, rest) = cut(&frame, &whole, &[frame.bounds()]);
        let halves = [
            (Rect::new(0, 0, 1920, 544), Kind::Film),
            (Rect::new(0, 544, 1920, 536), Kind::Film),
        ];
        assert_eq!((parts.as_slice(), rest.is_empty()), (&halves[..], true));
        let plain = Rect::new(64, 64, 512, 128);
        let (parts, rest) = cut(&frame, &whole, &[plain]);
        assert_eq!(parts, [(plain, Kind::Fill(7))]);
        assert_eq!(rest.area(), whole.area() - u64::from(plain.area()));
    }

    #[test]
    fn a_rectangle_stays_whole_across_those_of_the_region() {
        let frame = frame();
        // Bands of their own, for they are not equally wide.
        let bands = [Rect::new(700, 0, 640, 64), Rect::new(700, 64, 600, 64)];
        let region: Region = bands.into_iter().collect();
        let joined = Rect::new(700, 0, 600, 128);
        let (parts, rest) = cut(&frame, &region, &[joined]);
        assert_eq!(parts, [(joined, Kind::Film)]);
        assert_eq!(rest.rects(), [Rect::new(1300, 0, 40, 64)]);
        // One of which the link carries only the upper part now.
        let mut upper = region.clone();
        upper.clip(Rect::new(0, 0, 1920, 100));
        let (parts, _) = cut(&frame, &upper, &[joined]);
        let parts: Region = parts.into_iter().map(|p| p.0).collect();
        assert_eq!(parts.rects(), [Rect::new(700, 0, 600, 100)]);
        // A sliver goes without loss.
        upper.clip(Rect::new(0, 0, 1920, 1));
        let (parts, rest) = cut(&frame, &upper, &[joined]);
        assert_eq!((parts.len(), rest.area()), (0, 640));
    }
}
