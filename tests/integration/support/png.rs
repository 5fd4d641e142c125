//! Reads PNG files (ISO/IEC 15948) as strictly as the specification allows: every checksum, every padding bit.

use std::io::{self, Read};

use flate2::{Crc, read::ZlibDecoder};

use super::decode::{bad, bytes, colour, u32};

/// What was decoded.
pub(crate) struct Picture {
    /// `mono` or `palette` for indexed colours, `full` for RGB.
    pub(crate) how: &'static str,
    pub(crate) pixels: Vec<u32>,
}

/// Reads a file that must be `w` × `h` and be over at the end of `data`.
pub(crate) fn read(mut data: &[u8], w: usize, h: usize) -> io::Result<Picture> {
    let input = &mut data;
    if bytes(input, 8)? != b"\x89PNG\r\n\x1a\n" {
        return bad("PNG: the signature is wrong");
    }
    let head = chunk(input, b"IHDR")?;
    let size = [&(w as u32).to_be_bytes()[..], &(h as u32).to_be_bytes()].concat();
    if head.len() != 13 || head[..8] != size || head[10..] != [0, 0, 0] {
        return bad(format!("PNG: header {head:?} of a rectangle of {w}×{h}"));
    }
    let (how, bits, palette) = match (head[8], head[9]) {
        (8, 2) => ("full", 24, Vec::new()),
        (bits @ (1 | 2 | 4 | 8), 3) => {
            let colours = chunk(input, b"PLTE")?;
            let (colours, rest) = colours.as_chunks::<3>();
            if colours.is_empty() || !rest.is_empty() || colours.len() > 1 << bits {
                return bad(format!("PNG: {} colours of {bits} bits", colours.len()));
            }
            let rgb = |c: &[u8; 3]| u32::from_be_bytes([0, c[0], c[1], c[2]]);
            let how = if colours.len() == 2 {
                "mono"
            } else {
                "palette"
            };
            (how, usize::from(bits), colours.iter().map(rgb).collect())
        }
        other => return bad(format!("PNG: bits and colour type {other:?}")),
    };
    let packed = chunk(input, b"IDAT")?;
    if !chunk(input, b"IEND")?.is_empty() || !input.is_empty() {
        return bad("PNG: something after the end");
    }
    let mut inflater = ZlibDecoder::new(packed.as_slice());
    let mut rows = Vec::new();
    inflater.read_to_end(&mut rows)?;
    if inflater.total_in() != packed.len() as u64 {
        return bad("PNG: something after the stream");
    }
    let length = (w * bits).div_ceil(8);
    if rows.len() != h * (length + 1) {
        return bad(format!("PNG: {} bytes of {w}×{h}", rows.len()));
    }
    let step = bits.div_ceil(8);
    let mut above = vec![0; length];
    let mut pixels = Vec::with_capacity(w * h);
    for row in rows.chunks(length + 1) {
        let line = unfiltered(row[0], &row[1..], &above, step)?;
        if bits == 24 {
            let (all, _) = line.as_chunks::<3>();
            pixels.extend(
                all.iter()
                    .map(|p| u32::from_be_bytes([0, p[0], p[1], p[2]])),
            );
        } else {
            let part = |x: usize| {
                let bit = x * bits;
                line[bit / 8] as usize >> (8 - bits - bit % 8) & ((1 << bits) - 1)
            };
            for x in 0..w {
                pixels.push(colour(&palette, part(x))?);
            }
            if (w..length * 8 / bits).any(|x| part(x) != 0) {
                return bad("PNG: bits beyond the row");
            }
        }
        above = line;
    }
    Ok(Picture { how, pixels })
}

/// The content of the next chunk, which must have this name.
fn chunk(input: &mut &[u8], name: &[u8; 4]) -> io::Result<Vec<u8>> {
    let length = u32(input)? as usize;
    if length > input.len() {
        return bad(format!("PNG: a chunk of {length} bytes"));
    }
    let named = bytes(input, 4 + length)?;
    let mut crc = Crc::new();
    crc.update(&named);
    if u32(input)? != crc.sum() {
        return bad("PNG: a checksum is wrong");
    }
    match named.split_at(4) {
        (found, content) if found == name => Ok(content.to_vec()),
        (found, _) => bad(format!("PNG: {found:?} where {name:?} must be")),
    }
}

fn unfiltered(filter: u8, row: &[u8], above: &[u8], step: usize) -> io::Result<Vec<u8>> {
    let mut line: Vec<u8> = Vec::with_capacity(row.len());
    for (at, &byte) in row.iter().enumerate() {
        let left = if at < step { 0 } else { line[at - step] };
        let corner = if at < step { 0 } else { above[at - step] };
        let up = above[at];
        let foretold = match filter {
            0 => 0,
            1 => left,
            2 => up,
            3 => ((u16::from(left) + u16::from(up)) / 2) as u8,
            4 => {
                let [a, b, c] = [left, up, corner].map(i32::from);
                let p = a + b - c;
                // The first of equally near ones counts.
                let near = [(left, a), (up, b), (corner, c)];
                near.into_iter()
                    .min_by_key(|(_, n)| (p - n).abs())
                    .map_or(0, |n| n.0)
            }
            other => return bad(format!("PNG: filter {other}")),
        };
        line.push(byte.wrapping_add(foretold));
    }
    Ok(line)
}
