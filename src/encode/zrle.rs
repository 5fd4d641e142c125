//! ZRLE (RFC 6143, 7.7.6): tiles of 64 × 64, each a palette, runs or raw pixels, all through one deflate stream.

use super::convert::Converter;
use super::palette::Palette;
use super::raw;
use crate::pixel::{Frame, Rect};

/// Side of a tile.
pub(super) const TILE: u16 = 64;

/// Palettes of runs have at most 127 colours; those of packed pixels 16.
const RUN_COLOURS: usize = 127;
const PACKED_COLOURS: usize = 16;

/// Sub-encoding of plain runs; with a palette, its size is added.
const RUNS: u8 = 128;

/// Scratch of a thread.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<(u32, u16)>);

/// Appends the tiles of a rectangle, before deflate.
pub(super) fn encode(
    frame: &Frame,
    rect: Rect,
    converter: &Converter,
    palette: &mut Palette,
    runs: &mut Runs,
    out: &mut Vec<u8>,
) {
    for tile in rect.tiles(TILE, TILE) {
        encode_tile(frame, tile, converter, palette, &mut runs.0, out);
    }
}

fn encode_tile(
    frame: &Frame,
    tile: Rect,
    converter: &Converter,
    palette: &mut Palette,
    runs: &mut Vec<(u32, u16)>,
    out: &mut Vec<u8>,
) {
    let pixel = converter.bytes();
    if is_photo(frame, tile, pixel, palette) {
        out.push(0);
        raw::encode(frame, tile, converter, out);
        return;
    }
    find_runs(frame, tile, runs);
    if let [(colour, _)] = runs[..] {
        out.push(1);
        converter.pixel(colour, out);
        return;
    }
    palette.restart(RUN_COLOURS);
    let few = runs.iter().all(|&(c, _)| palette.insert(c).is_some());
    let colours = palette.colours().len();

    // The size of each way before deflate; deflate shrinks them alike.
    let raw_size = tile.area() as usize * pixel;
    let lengths: usize = runs.iter().map(|&(_, n)| length_bytes(n)).sum();
    let plain_size = runs.len() * pixel + lengths;
    let singles = runs.iter().filter(|r| r.1 == 1).count();
    let runs_size = colours * pixel + runs.len() + lengths - singles;
    let bits = packed_bits(colours);
    let packed_size =
        colours * pixel + (usize::from(tile.w) * bits).div_ceil(8) * usize::from(tile.h);

    let best_of_runs = if few {
        runs_size.min(plain_size)
    } else {
        plain_size
    };
    if few && colours <= PACKED_COLOURS && packed_size <= best_of_runs {
        out.push(colours as u8);
        write_palette(palette, converter, out);
        write_packed(frame, tile, bits, palette, out);
    } else if raw_size <= best_of_runs {
        out.push(0);
        raw::encode(frame, tile, converter, out);
    } else if few && runs_size <= plain_size {
        out.push(RUNS + colours as u8);
        write_palette(palette, converter, out);
        for &(colour, n) in runs.iter() {
            let index = palette.insert(colour).unwrap_or(0) as u8;
            if n == 1 {
                out.push(index);
            } else {
                out.push(RUNS | index);
                write_length(n, out);
            }
        }
    } else {
        out.push(RUNS);
        for &(colour, n) in runs.iter() {
            converter.pixel(colour, out);
            write_length(n, out);
        }
    }
}

/// True when neither runs nor a palette can make the tile smaller, which shows long before the runs are known.
fn is_photo(frame: &Frame, tile: Rect, pixel: usize, palette: &mut Palette) -> bool {
    let changes = |row: &[u32]| -> u32 {
        let pairs = row.iter().zip(row.iter().skip(1));
        pairs.map(|(a, b)| u32::from(a != b)).sum()
    };
    let changes: u32 = frame.rows(tile).map(changes).sum();
    // A run ends with every change at least, and takes a pixel and its length.
    if (changes as usize + 1) * (pixel + 1) < tile.area() as usize * pixel {
        return false;
    }
    palette.restart(RUN_COLOURS);
    frame
        .rows(tile)
        .flatten()
        .any(|&p| palette.insert(p).is_none())
}

/// The tile's runs in reading order; they go on from row to row.
fn find_runs(frame: &Frame, tile: Rect, runs: &mut Vec<(u32, u16)>) {
    runs.clear();
    for row in frame.rows(tile) {
        let mut rest = row;
        while let [first, tail @ ..] = rest {
            let more = tail.iter().position(|p| p != first).unwrap_or(tail.len());
            match runs.last_mut() {
                Some((colour, n)) if colour == first => *n += more as u16 + 1,
                _ => runs.push((*first, more as u16 + 1)),
            }
            rest = &tail[more..];
        }
    }
}

fn write_palette(palette: &Palette, converter: &Converter, out: &mut Vec<u8>) {
    converter.row(palette.colours(), out);
}

/// Bits of an index in a packed tile.
const fn packed_bits(colours: usize) -> usize {
    match colours {
        0..=2 => 1,
        3..=4 => 2,
        _ => 4,
    }
}

/// Indices packed from the most significant bit on, each row padded to a byte.
fn write_packed(frame: &Frame, tile: Rect, bits: usize, palette: &mut Palette, out: &mut Vec<u8>) {
    for row in frame.rows(tile) {
        for pixels in row.chunks(8 / bits) {
            let mut byte = 0;
            let mut last = (pixels[0], palette.insert(pixels[0]).unwrap_or(0) as u8);
            for (i, &p) in pixels.iter().enumerate() {
                if p != last.0 {
                    last = (p, palette.insert(p).unwrap_or(0) as u8);
                }
                byte |= last.1 << (8 - bits * (i + 1));
            }
            out.push(byte);
        }
    }
}

/// Bytes that a run's length takes.
const fn length_bytes(n: u16) -> usize {
    (n as usize - 1) / 255 + 1
}

/// The length less one, as bytes to be added up; the last is not 255.
fn write_length(n: u16, out: &mut Vec<u8>) {
    let rest = usize::from(n) - 1;
    out.resize(out.len() + rest / 255, 255);
    out.push((rest % 255) as u8);
}
