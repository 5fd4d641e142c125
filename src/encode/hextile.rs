//! Hextile (RFC 6143, 7.7.4): tiles of 16 × 16, each a background with sub-rectangles, or raw.

use super::convert::Converter;
use super::raw;
use crate::pixel::{Frame, Rect};

/// Side of a tile.
pub(super) const TILE: u16 = 16;

const RAW: u8 = 1;
const BACKGROUND: u8 = 2;
const FOREGROUND: u8 = 4;
const SUBRECTS: u8 = 8;
const COLOURED: u8 = 16;

/// What the client remembers from tile to tile within a rectangle. `None`: it must be said again.
#[derive(Default)]
struct Carried {
    background: Option<u32>,
    foreground: Option<u32>,
}

/// Appends the body of a rectangle.
pub(super) fn encode(frame: &Frame, rect: Rect, converter: &Converter, out: &mut Vec<u8>) {
    let mut carried = Carried::default();
    for tile in rect.tiles(TILE, TILE) {
        encode_tile(frame, tile, converter, &mut carried, out);
    }
}

fn encode_tile(
    frame: &Frame,
    tile: Rect,
    converter: &Converter,
    carried: &mut Carried,
    out: &mut Vec<u8>,
) {
    let mut pixels = [0u32; (TILE * TILE) as usize];
    let (w, n) = (usize::from(tile.w), tile.area() as usize);
    for (to, from) in pixels.chunks_exact_mut(w).zip(frame.rows(tile)) {
        to.copy_from_slice(from);
    }
    let pixels = &mut pixels[..n];
    let background = commonest(pixels);

    let start = out.len();
    let mut flags = 0;
    out.push(flags);
    if carried.background != Some(background) {
        flags |= BACKGROUND;
        converter.pixel(background, out);
    }
    let other = pixels.iter().copied().find(|&p| p != background);
    let Some(foreground) = other else {
        out[start] = flags;
        carried.background = Some(background);
        return;
    };
    let one = pixels.iter().all(|&p| p == background || p == foreground);
    flags |= SUBRECTS;
    if !one {
        flags |= COLOURED;
    } else if carried.foreground != Some(foreground) {
        flags |= FOREGROUND;
        converter.pixel(foreground, out);
    }
    let count_at = out.len();
    out.push(0);

    let raw_size = 1 + n * converter.bytes();
    let mut count = 0u8;
    for at in 0..n {
        let colour = pixels[at];
        if colour == background {
            continue;
        }
        let (rw, rh) = grow(pixels, w, at, background);
        if !one {
            converter.pixel(colour, out);
        }
        let (x, y) = (at % w, at / w);
        out.push((x << 4 | y) as u8);
        out.push(((rw - 1) << 4 | (rh - 1)) as u8);
        // 255 sub-rectangles are far larger than raw at one byte a pixel, so the count never overflows.
        if out.len() - start >= raw_size || count == u8::MAX {
            out.truncate(start);
            out.push(RAW);
            raw::encode(frame, tile, converter, out);
            // A raw tile leaves both colours undefined.
            *carried = Carried::default();
            return;
        }
        count += 1;
    }
    out[start] = flags;
    out[count_at] = count;
    carried.background = Some(background);
    // Coloured sub-rectangles leave the foreground undefined.
    carried.foreground = one.then_some(foreground);
}

/// The colour of the most pixels; of the first few candidates only, which is exact for all but the busiest tiles.
pub(super) fn commonest(pixels: &[u32]) -> u32 {
    const CANDIDATES: usize = 8;
    let mut candidates = [(0u32, 0u32); CANDIDATES];
    let mut known = 0;
    for &p in pixels {
        match candidates[..known].iter_mut().find(|c| c.0 == p) {
            Some(c) => c.1 += 1,
            None if known < CANDIDATES => {
                candidates[known] = (p, 1);
                known += 1;
            }
            None => {}
        }
    }
    candidates[..known]
        .iter()
        .max_by_key(|c| c.1)
        .map_or(0, |c| c.0)
}

/// The larger of the rectangles that begin at `at` and grow first to the right or first downwards; it is painted with
/// the background, so that it is found once.
pub(super) fn grow(pixels: &mut [u32], w: usize, at: usize, background: u32) -> (usize, usize) {
    let colour = pixels[at];
    let (x, y) = (at % w, at / w);
    let h = pixels.len() / w;
    let across = |row: usize, limit: usize| {
        let cells = &pixels[row * w + x..row * w + x + limit];
        cells.iter().take_while(|&&p| p == colour).count()
    };
    let first = across(y, w - x);
    let wide_h = (y..h).take_while(|&r| across(r, first) == first).count();
    let tall_h = (y..h).take_while(|&r| pixels[r * w + x] == colour).count();
    let tall_w = (y..y + tall_h).map(|r| across(r, first)).min().unwrap_or(1);
    let (rw, rh) = if first * wide_h >= tall_w * tall_h {
        (first, wide_h)
    } else {
        (tall_w, tall_h)
    };
    for r in y..y + rh {
        pixels[r * w + x..r * w + x + rw].fill(background);
    }
    (rw, rh)
}
