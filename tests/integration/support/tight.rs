//! The Tight encoding (7 in rfbproto.rst) and TightPNG (−260): the body of one rectangle.

use std::io::{self, Read};

use deskinit::pixel::PixelFormat;

use super::decode::{Layout, bad, bytes, colour, seen_as, u8};
use super::inflate::Inflate;
use super::{jpeg, png};

/// Data shorter than this is not deflated.
const MIN_DEFLATE: usize = 12;

/// Reads a body of TightPNG, whose PNG files hold true colours; how it was encoded, and its pixels.
pub(crate) fn read_png(
    input: &mut impl Read,
    w: usize,
    h: usize,
    format: PixelFormat,
) -> io::Result<(&'static str, Vec<u32>)> {
    match u8(input)? {
        0x80 => {
            let colour = Layout::tpixel(format).read(input)?;
            Ok(("fill", vec![colour; w * h]))
        }
        0x90 => Ok(("jpeg", jpeg(input, w, h)?)),
        0xa0 => {
            let n = compact_length(input)?;
            let picture = png::read(&bytes(input, n)?, w, h)?;
            // A client with fewer colours shows the nearest it has.
            let seen = picture.pixels.into_iter().map(|p| seen_as(format, p));
            Ok((picture.how, seen.collect()))
        }
        other => bad(format!("TightPNG: compression {other:#x}")),
    }
}

/// Reads a body; how it was encoded, and its pixels.
pub(crate) fn read(
    input: &mut impl Read,
    w: usize,
    h: usize,
    pixel: &Layout,
    streams: &mut [Inflate; 4],
) -> io::Result<(&'static str, Vec<u32>)> {
    if w > 2048 {
        return bad(format!("Tight: a rectangle {w} wide (2048 is the most)"));
    }
    let control = u8(input)?;
    for (n, stream) in streams.iter_mut().enumerate() {
        if control >> n & 1 != 0 {
            *stream = Inflate::new();
        }
    }
    match control >> 4 {
        8 => Ok(("fill", vec![pixel.read(input)?; w * h])),
        9 => Ok(("jpeg", jpeg(input, w, h)?)),
        method @ 0..=7 => {
            let filter = if method & 4 != 0 { u8(input)? } else { 0 };
            let stream = &mut streams[usize::from(method & 3)];
            match filter {
                0 => {
                    let data = basic(input, w * h * pixel.bytes, stream)?;
                    Ok(("full", pixel.read_many(&mut data.as_slice(), w * h)?))
                }
                1 => {
                    let count = usize::from(u8(input)?) + 1;
                    let palette = pixel.read_many(input, count)?;
                    indexed(input, w, h, &palette, stream)
                }
                2 => {
                    let data = basic(input, w * h * pixel.bytes, stream)?;
                    Ok(("gradient", gradient(&data, w, pixel)))
                }
                other => bad(format!("Tight: filter {other}")),
            }
        }
        other => bad(format!("Tight: compression {other}")),
    }
}

/// Seven bits a byte, lowest first; the third has eight.
fn compact_length(input: &mut impl Read) -> io::Result<usize> {
    let mut n = 0;
    for shift in [0, 7, 14] {
        let b = usize::from(u8(input)?);
        n |= if shift == 14 { b } else { b & 0x7f } << shift;
        if shift == 14 || b & 0x80 == 0 {
            break;
        }
    }
    Ok(n)
}

/// Data of a known size, deflated if it is worth it.
fn basic(input: &mut impl Read, size: usize, stream: &mut Inflate) -> io::Result<Vec<u8>> {
    if size < MIN_DEFLATE {
        return bytes(input, size);
    }
    let n = compact_length(input)?;
    stream.exactly(&bytes(input, n)?, size)
}

fn indexed(
    input: &mut impl Read,
    w: usize,
    h: usize,
    palette: &[u32],
    stream: &mut Inflate,
) -> io::Result<(&'static str, Vec<u32>)> {
    let mut pixels = Vec::with_capacity(w * h);
    if palette.len() == 2 {
        let row = w.div_ceil(8);
        let data = basic(input, row * h, stream)?;
        for bits in data.chunks(row) {
            pixels.extend((0..w).map(|x| palette[usize::from(bits[x / 8] >> (7 - x % 8) & 1)]));
        }
        return Ok(("mono", pixels));
    }
    if palette.len() < 2 {
        return bad("Tight: a palette of one colour");
    }
    for index in basic(input, w * h, stream)? {
        pixels.push(colour(palette, index.into())?);
    }
    Ok(("palette", pixels))
}

/// Each colour is the difference from what its neighbours (left + above − above left) foretell.
fn gradient(data: &[u8], w: usize, pixel: &Layout) -> Vec<u32> {
    let maxima = pixel.maxima();
    let mut above = vec![[0; 3]; w + 1];
    let mut out = Vec::new();
    for row in data.chunks(w * pixel.bytes) {
        let mut line = vec![[0; 3]; w + 1];
        for (x, p) in row.chunks(pixel.bytes).enumerate() {
            let given = pixel.colours(p);
            for c in 0..3 {
                let (left, up, corner) = (line[x][c], above[x + 1][c], above[x][c]);
                let foretold = (left as i64 + up as i64 - corner as i64).clamp(0, maxima[c].into());
                line[x + 1][c] = (foretold as u32 + given[c]) & maxima[c];
            }
            out.push(pixel.scale(line[x + 1]));
        }
        above = line;
    }
    out
}

fn jpeg(input: &mut impl Read, w: usize, h: usize) -> io::Result<Vec<u32>> {
    let n = compact_length(input)?;
    jpeg::pixels(&bytes(input, n)?, w, h)
}
