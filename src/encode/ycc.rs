//! Pixels as planes of luma and colour differences, with a sample of colour for four pixels (4:2:0): what JPEG encodes.
//!
//! libjpeg-turbo makes them, too, in three times the time: it makes a sample of colour of each pixel before it thins them
//! out. Only with vectors of 256 bits, though; without, it is the faster one.

use turbojpeg::{Subsamp, YuvPlanesImage};

use crate::pixel::{Frame, Rect};
use crate::sys::simd::{Avx2, Chroma, Luma, Pixels, Rows};

/// Pixels that are converted at once; a row of samples is a multiple of them.
const CHUNK: usize = size_of::<Luma>();

/// The planes of the rectangle that was converted last, with the room for the largest one so far.
#[derive(Debug, Default)]
pub(super) struct Planes {
    luma: Vec<Luma>,
    blue: Vec<Chroma>,
    red: Vec<Chroma>,
}

impl Planes {
    /// Converts a rectangle, which lies within the frame and is not empty.
    pub(super) fn of(&mut self, wide: Avx2, frame: &Frame, rect: Rect) -> YuvPlanesImage<&[u8]> {
        let (w, h) = (usize::from(rect.w), usize::from(rect.h));
        let (chunks, pairs) = (w.div_ceil(CHUNK), h.div_ceil(2));
        grow(&mut self.luma, [0; CHUNK], 2 * pairs * chunks);
        grow(&mut self.blue, Chroma::default(), pairs * chunks);
        grow(&mut self.red, Chroma::default(), pairs * chunks);
        let luma = self.luma.chunks_exact_mut(2 * chunks);
        let blue = self.blue.chunks_exact_mut(chunks);
        let chroma = blue.zip(self.red.chunks_exact_mut(chunks));
        let mut rows = frame.rows(rect);
        for (luma, (blue, red)) in luma.zip(chroma) {
            let Some(top) = rows.next() else { break };
            // The last row of an odd number is its own neighbour, and so is the last pixel.
            let bottom = rows.next().unwrap_or(top);
            let (above, below) = luma.split_at_mut(chunks);
            let ((top, right_top), (bottom, right_bottom)) = (top.as_chunks(), bottom.as_chunks());
            wide.to_ycc(Rows {
                pixels: [top, bottom],
                luma: [above, below],
                chroma: [blue, red],
            });
            if !right_top.is_empty() {
                let last = chunks - 1;
                wide.to_ycc(Rows {
                    pixels: [&[filled(right_top)], &[filled(right_bottom)]],
                    luma: [&mut above[last..], &mut below[last..]],
                    chroma: [&mut blue[last..], &mut red[last..]],
                });
            }
        }
        YuvPlanesImage {
            y_plane: self.luma.as_flattened(),
            u_plane: self.blue.as_flattened(),
            v_plane: self.red.as_flattened(),
            width: w,
            height: h,
            y_stride: chunks * CHUNK,
            u_stride: chunks * CHUNK / 2,
            v_stride: chunks * CHUNK / 2,
            subsamp: Subsamp::Sub2x2,
        }
    }
}

/// Makes room for so many. What is there already stays, whatever it is: it is written to next.
fn grow<T: Copy>(plane: &mut Vec<T>, empty: T, length: usize) {
    if plane.len() < length {
        plane.resize(length, empty);
    }
}

/// The last pixels of a row, and the very last one again to fill up.
fn filled(pixels: &[u32]) -> Pixels {
    let mut chunk = [pixels.last().copied().unwrap_or_default(); CHUNK];
    chunk[..pixels.len()].copy_from_slice(pixels);
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simd::jfif;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rectangles_of_any_size_have_all_their_samples(
            (x, y) in (0u16..9, 0u16..9),
            (w, h) in (1u16..100, 1u16..12),
            colours in proptest::collection::vec(0u32..0x0100_0000, 8),
        ) {
            let Some(wide) = Avx2::detect() else { return Ok(()) };
            let mut frame = Frame::new(120, 24);
            for y in 0..24 {
                for (x, pixel) in frame.row_mut(y).iter_mut().enumerate() {
                    let odd = x as u32 & 1;
                    *pixel = colours[(x / 2 + usize::from(y / 2) * 3) % 8] ^ (odd * 0x0f);
                }
            }
            let rect = Rect::new(x, y, w, h);
            let mut planes = Planes::default();
            // Larger before: what is left of it must not be seen.
            planes.of(wide, &frame, frame.bounds());
            let image = planes.of(wide, &frame, rect);
            // What is beyond the edge is like it.
            let pixel = |x: usize, y: usize| {
                let (right, bottom) = (usize::from(rect.right() - 1), rect.bottom() - 1);
                let y = (rect.y + y as u16).min(bottom);
                frame.row(y)[(usize::from(rect.x) + x).min(right)]
            };
            let near = |sample: u8, wanted: f64| (f64::from(sample) - wanted).abs() < 0.51;
            for y in 0..usize::from(h) {
                for x in 0..usize::from(w) {
                    let sample = image.y_plane[y * image.y_stride + x];
                    prop_assert!(near(sample, jfif(&[pixel(x, y)])[0]), "{x}, {y}");
                }
            }
            for y in 0..usize::from(h.div_ceil(2)) {
                for x in 0..usize::from(w.div_ceil(2)) {
                    let four = [(0, 0), (1, 0), (0, 1), (1, 1)];
                    let [_, cb, cr] = jfif(&four.map(|(i, j)| pixel(2 * x + i, 2 * y + j)));
                    let blue = image.u_plane[y * image.u_stride + x];
                    let red = image.v_plane[y * image.v_stride + x];
                    prop_assert!(near(blue, cb) && near(red, cr), "{x}, {y}: {blue}, {red}");
                }
            }
        }
    }
}
