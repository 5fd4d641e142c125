//! RRE (RFC 6143, 7.7.3): a background with sub-rectangles; Raw wherever those would be longer.
//!
//! A rectangle is cut into tiles, so that one busy place costs only its own tile.

use super::convert::Converter;
use super::hextile::{commonest, grow};
use super::memory::Buffers;
use super::prepare::{Body, How, Piece};
use super::{Encoding, MAX_RECTS, raw};
use crate::pixel::{Frame, Rect, Region};

/// Height of a tile, and its least width. Raw of one is 32 kB, so its header does not count.
const TILE_H: u16 = 64;
const TILE_W: u16 = 128;

/// Bytes of a sub-rectangle beside its colour.
const PLACE: usize = 8;

/// Cuts a region into tiles; wider ones if there would be too many to count.
pub(super) fn tiles(region: &Region) -> Vec<Rect> {
    let cut = |width: u16| {
        let rects = region.rects().iter();
        rects.flat_map(move |r| r.tiles(width, TILE_H))
    };
    let mut width = TILE_W;
    while width < u16::MAX / 2 && cut(width).count() > MAX_RECTS / 2 {
        width *= 2;
    }
    cut(width).collect()
}

/// The piece that a tile becomes.
pub(super) fn prepare(
    frame: &Frame,
    tile: Rect,
    converter: &Converter,
    buffers: &Buffers,
) -> Piece {
    let mut bytes = buffers.get();
    if encode(frame, tile, converter, &mut bytes) {
        return Piece::new(tile, How::Full, Body::whole(bytes));
    }
    bytes.clear();
    raw::encode(frame, tile, converter, &mut bytes);
    Piece::new(tile, How::Full, Body::whole(bytes)).numbered(Encoding::Raw.number())
}

/// Appends the body of a rectangle; false, and of no use, when Raw is no longer.
fn encode(frame: &Frame, rect: Rect, converter: &Converter, out: &mut Vec<u8>) -> bool {
    let mut pixels: Vec<u32> = Vec::with_capacity(rect.area() as usize);
    for row in frame.rows(rect) {
        pixels.extend_from_slice(row);
    }
    let (width, most) = (usize::from(rect.w), pixels.len() * converter.bytes());
    let background = commonest(&pixels);
    out.extend_from_slice(&[0; 4]);
    converter.pixel(background, out);
    let ground = 4..out.len();
    let mut count = 0u32;
    for at in 0..pixels.len() {
        let colour = pixels[at];
        if colour == background {
            continue;
        }
        let (w, h) = grow(&mut pixels, width, at, background);
        let start = out.len();
        converter.pixel(colour, out);
        // Two colours may be one to this client, and a sub-rectangle must differ from the background.
        if out[start..] == out[ground.clone()] {
            out.truncate(start);
            continue;
        }
        for n in [at % width, at / width, w, h] {
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        count += 1;
        if out.len() >= most {
            return false;
        }
    }
    debug_assert_eq!(
        out.len(),
        ground.end + count as usize * (PLACE + converter.bytes())
    );
    out[..4].copy_from_slice(&count.to_be_bytes());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::convert::Layout;
    use crate::pixel::PixelFormat;

    fn body(frame: &Frame) -> Option<Vec<u8>> {
        let converter = Converter::new(&PixelFormat::NATIVE, Layout::Pixel);
        let mut out = Vec::new();
        encode(frame, frame.bounds(), &converter, &mut out).then_some(out)
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let mut frame = Frame::new(6, 5);
        for y in 0..5 {
            frame.row_mut(y).fill(0x0010_2030);
        }
        for y in 1..3 {
            frame.row_mut(y)[2..5].fill(0x00aa_bbcc);
        }
        frame.row_mut(4)[0] = 0x0001_0203;
        let expected = [
            [0, 0, 0, 2].as_slice(),
            &[0x30, 0x20, 0x10, 0],
            &[0xcc, 0xbb, 0xaa, 0],
            &[0, 2, 0, 1, 0, 3, 0, 2],
            &[3, 2, 1, 0],
            &[0, 0, 0, 4, 0, 1, 0, 1],
        ];
        assert_eq!(body(&frame), Some(expected.concat()));
    }

    #[test]
    fn what_is_longer_than_raw_is_not_used() {
        let mut frame = Frame::new(16, 16);
        for y in 0..16 {
            for (x, p) in (0..).zip(frame.row_mut(y)) {
                *p = x * 7919 + u32::from(y) * 104_729;
            }
        }
        assert_eq!(body(&frame), None);
    }

    #[test]
    fn tiles_stay_countable() {
        let comb: Region = (0..2000u16)
            .map(|y| Rect::new(0, y * 8, 16_384, 4))
            .collect();
        assert!(tiles(&comb).len() <= MAX_RECTS / 2);
    }
}
