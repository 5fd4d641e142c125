//! PNG files (ISO/IEC 15948) for TightPNG: indexed of up to 256 colours, or in full.

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use crate::pixel::{Frame, Rect};

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// Colour types of the header.
const RGB: u8 = 2;
const INDEXED: u8 = 3;

/// Filters of a row.
const NONE: u8 = 0;
const SUB: u8 = 1;
const UP: u8 = 2;
const PAETH: u8 = 4;

/// A writer with the room it works in; one for each thread of the pool.
#[derive(Debug, Default)]
pub(super) struct Png {
    /// The level that it was made with, and its deflate.
    deflate: Option<(u8, Compress)>,
    /// Filtered rows.
    rows: Vec<u8>,
}

impl Png {
    /// Appends a file of colours and a row-wise index into them for every pixel of a picture `width` wide. There must
    /// be 1–256 colours. `None`, and nothing appended, when deflate fails.
    pub(super) fn indexed(
        &mut self,
        width: u16,
        colours: &[u32],
        indices: &[u8],
        level: u8,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let bits = match colours.len() {
            0..=2 => 1,
            3..=4 => 2,
            5..=16 => 4,
            _ => 8,
        };
        self.rows.clear();
        let width = usize::from(width);
        for row in indices.chunks(width) {
            self.rows.push(NONE);
            if bits == 8 {
                self.rows.extend_from_slice(row);
                continue;
            }
            // The leftmost pixel is in the highest bits.
            for byte in row.chunks(8 / bits) {
                let packed = byte.iter().fold(0, |b, i| b << bits | i);
                self.rows.push(packed << (8 - bits * byte.len()));
            }
        }
        let size = (width, indices.len() / width);
        self.file(size, bits as u8, INDEXED, level, out, |out| {
            let rgb = colours
                .iter()
                .flat_map(|c| c.to_be_bytes().into_iter().skip(1));
            chunk(out, *b"PLTE", |out| out.extend(rgb));
            Some(())
        })
    }

    /// Appends a file of a rectangle of a frame in full colour. `None`, and nothing appended, when deflate fails.
    pub(super) fn full(
        &mut self,
        frame: &Frame,
        rect: Rect,
        level: u8,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let length = usize::from(rect.w) * 3;
        let mut above = vec![0; length];
        let mut line = Vec::with_capacity(length);
        let mut best = Vec::with_capacity(length);
        let mut tried = Vec::with_capacity(length);
        self.rows.clear();
        for row in frame.rows(rect) {
            line.clear();
            line.extend(row.iter().flat_map(|p| {
                let [_, r, g, b] = p.to_be_bytes();
                [r, g, b]
            }));
            // The filter that leaves the smallest numbers is nearly always the one that deflates best.
            let (mut name, mut least) = (NONE, weight(&line));
            best.clone_from(&line);
            for filter in [SUB, UP, PAETH] {
                filtered(filter, &line, &above, &mut tried);
                let sum = weight(&tried);
                if sum < least {
                    (name, least) = (filter, sum);
                    std::mem::swap(&mut best, &mut tried);
                }
            }
            self.rows.push(name);
            self.rows.extend_from_slice(&best);
            std::mem::swap(&mut above, &mut line);
        }
        let size = (usize::from(rect.w), usize::from(rect.h));
        self.file(size, 8, RGB, level, out, |_| Some(()))
    }

    /// Appends a file of the rows that were made ready; `palette` appends what comes before them.
    fn file(
        &mut self,
        (width, height): (usize, usize),
        bits: u8,
        colours: u8,
        level: u8,
        out: &mut Vec<u8>,
        palette: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Option<()> {
        let start = out.len();
        out.extend_from_slice(&SIGNATURE);
        chunk(out, *b"IHDR", |out| {
            for n in [width, height] {
                out.extend_from_slice(&(n as u32).to_be_bytes());
            }
            // Deflate, the standard filters, no interlacing.
            out.extend_from_slice(&[bits, colours, 0, 0, 0]);
        });
        palette(out);
        let mut done = None;
        chunk(out, *b"IDAT", |out| done = self.deflate(level, out));
        chunk(out, *b"IEND", |_| ());
        if done.is_none() {
            out.truncate(start);
        }
        done
    }

    /// Appends the rows as a zlib stream.
    fn deflate(&mut self, level: u8, out: &mut Vec<u8>) -> Option<()> {
        let level = level.min(9);
        let deflate = match &mut self.deflate {
            Some((made, deflate)) if *made == level => {
                deflate.reset();
                deflate
            }
            slot => {
                let deflate = Compress::new(Compression::new(level.into()), true);
                &mut slot.insert((level, deflate)).1
            }
        };
        loop {
            // What a screen rarely needs, and room to end the stream with.
            out.reserve(self.rows.len() / 4 + 256);
            let rest = &self.rows[deflate.total_in() as usize..];
            match deflate.compress_vec(rest, out, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => return Some(()),
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => {
                    self.deflate = None;
                    return None;
                }
            }
        }
    }
}

/// How far from nothing the bytes are, as signed numbers.
fn weight(row: &[u8]) -> u32 {
    row.iter()
        .map(|b| u32::from((*b as i8).unsigned_abs()))
        .sum()
}

/// Each byte less what its neighbours foretell; pixels have three bytes.
fn filtered(filter: u8, line: &[u8], above: &[u8], out: &mut Vec<u8>) {
    const PIXEL: usize = 3;
    out.clear();
    match filter {
        SUB => {
            out.extend_from_slice(&line[..PIXEL]);
            out.extend(
                line[PIXEL..]
                    .iter()
                    .zip(line)
                    .map(|(b, left)| b.wrapping_sub(*left)),
            );
        }
        UP => out.extend(line.iter().zip(above).map(|(b, up)| b.wrapping_sub(*up))),
        _ => {
            out.extend(
                line.iter()
                    .zip(above)
                    .take(PIXEL)
                    .map(|(b, up)| b.wrapping_sub(*up)),
            );
            let left = line.iter().zip(&above[PIXEL..]).zip(above);
            out.extend(
                line[PIXEL..]
                    .iter()
                    .zip(left)
                    .map(|(b, ((left, up), corner))| b.wrapping_sub(paeth(*left, *up, *corner))),
            );
        }
    }
}

/// The neighbour nearest to left + up − corner (9.4).
fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let [a, b, c] = [left, up, corner].map(i16::from);
    let (pa, pb, pc) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    if pa <= pb && pa <= pc {
        left
    } else if pb <= pc {
        up
    } else {
        corner
    }
}

/// Appends a chunk: length, name, content, checksum of the last two.
fn chunk(out: &mut Vec<u8>, name: [u8; 4], content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&name);
    content(out);
    let length = (out.len() - start - 8) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    let mut crc = Crc::new();
    crc.update(&out[start + 4..]);
    out.extend_from_slice(&crc.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_that_of_the_specification() {
        let mut out = vec![7];
        // Stored, so that every byte is known.
        let done = Png::default().indexed(
            3,
            &[0x0001_0203, 0x00ff_0000],
            &[0, 1, 1, 1, 0, 0],
            0,
            &mut out,
        );
        assert_eq!(done, Some(()));
        // Signature, header, palette, data (one stored block), end.
        let expected: &[u8] = &[
            0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
            0x44, 0x52, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x02, 0x01, 0x03, 0x00, 0x00,
            0x00, 0xa7, 0xba, 0xf4, 0x59, 0x00, 0x00, 0x00, 0x06, 0x50, 0x4c, 0x54, 0x45, 0x01,
            0x02, 0x03, 0xff, 0x00, 0x00, 0xb8, 0xd6, 0xa2, 0x09, 0x00, 0x00, 0x00, 0x0f, 0x49,
            0x44, 0x41, 0x54, 0x78, 0x01, 0x01, 0x04, 0x00, 0xfb, 0xff, 0x00, 0x60, 0x00, 0x80,
            0x01, 0xa4, 0x00, 0xe1, 0x9e, 0xd7, 0xe7, 0x6a, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45,
            0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
        ];
        assert_eq!(&out[1..], expected);
    }

    #[test]
    fn the_nearest_neighbour_foretells() {
        assert_eq!(paeth(10, 20, 10), 20);
        assert_eq!(paeth(20, 10, 10), 20);
        assert_eq!(paeth(10, 12, 11), 11);
        assert_eq!(paeth(10, 14, 20), 10);
        assert_eq!(paeth(1, 3, 1), 3);
        assert_eq!(paeth(5, 5, 5), 5);
    }
}
