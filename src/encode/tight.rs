//! Tight (encoding 7 of the community specification) and TightPNG (−260): the body of one rectangle.
//!
//! The first byte says how: 8 a fill, 9 a JPEG, otherwise deflate with the number of the stream in bits 4–5 and, with
//! bit 6, a filter. Bits 0–3 would reset streams; a stream is never reset here (see [`super::stream`]). TightPNG has no
//! deflate, but 10, a PNG file; that holds true colours whatever the client's pixel format is.

use super::Encoding;
use super::analyse;
use super::chroma;
use super::convert::Converter;
use super::jpeg::Jpeg;
use super::memory::Buffers;
use super::palette;
use super::prepare::{Body, How, Piece, Scratch};
use super::quality::JpegQuality;
use super::raw;
use super::select::Kind;
use super::stream::{self, Which};
use super::wire::{MAX_COMPACT, compact_length};
use crate::pixel::{Frame, PixelFormat, Rect};

const FILL: u8 = 0x80;
const JPEG: u8 = 0x90;
const PNG: u8 = 0xa0;
const FILTER: u8 = 0x40;
const PALETTE_FILTER: u8 = 1;

/// Data of fewer bytes goes uncompressed and without length.
const MIN_DEFLATE: usize = 12;

/// A larger rectangle of too many colours is cut in parts, which may have few enough.
const MIN_PARTS: u32 = 8192;

/// Whether a client with this format may get JPEG.
pub(super) const fn jpeg_allowed(format: &PixelFormat) -> bool {
    format.bytes_per_pixel() > 1
}

/// What all rectangles of an update share.
pub(super) struct Context<'a> {
    pub(super) frame: &'a Frame,
    pub(super) converter: &'a Converter,
    /// For Raw.
    pub(super) pixel: &'a Converter,
    pub(super) quality: Option<JpegQuality>,
    /// TightPNG, with this level of compression.
    pub(super) png: Option<u8>,
    pub(super) buffers: &'a Buffers,
}

impl Context<'_> {
    /// Appends the piece, or its parts, that a rectangle becomes.
    pub(super) fn prepare(
        &self,
        rect: Rect,
        kind: Kind,
        scratch: &mut Scratch,
        out: &mut Vec<Piece>,
    ) {
        match (kind, self.quality) {
            (Kind::Fill(colour), _) => out.push(self.fill(rect, colour)),
            (Kind::Mono(a, b), _) if self.png.is_none() => out.push(self.mono(rect, a, b)),
            (Kind::Jpeg, Some(quality)) => {
                let photo = self.jpeg(rect, quality, &mut scratch.jpeg);
                out.push(photo.unwrap_or_else(|| self.full(rect, scratch)));
            }
            (Kind::Film, Some(_)) => out.push(self.film(rect, scratch)),
            (kind, _) => self.colours(rect, kind == Kind::Drawing, scratch, out),
        }
    }

    /// A photo that another one is about to follow.
    fn film(&self, rect: Rect, scratch: &mut Scratch) -> Piece {
        let photo = self.quality.and_then(|quality| {
            let quality = chroma::of_film(self.frame, rect, quality);
            self.jpeg(rect, quality, &mut scratch.jpeg)
        });
        photo.unwrap_or_else(|| self.full(rect, scratch))
    }

    fn fill(&self, rect: Rect, colour: u32) -> Piece {
        let mut bytes = self.buffers.get();
        bytes.push(FILL);
        self.converter.pixel(colour, &mut bytes);
        Piece::new(rect, How::Fill, Body::whole(bytes))
    }

    fn jpeg(&self, rect: Rect, quality: JpegQuality, jpeg: &mut Jpeg) -> Option<Piece> {
        let file = jpeg
            .compress(self.frame, rect, quality)
            .filter(|file| file.len() <= MAX_COMPACT)?;
        let mut bytes = self.buffers.get();
        bytes.push(JPEG);
        compact_length(&mut bytes, file.len());
        bytes.extend_from_slice(file);
        Some(Piece::new(rect, How::Jpeg, Body::whole(bytes)))
    }

    /// A PNG file; Raw, which everybody knows, where none can be made.
    fn png(&self, rect: Rect, how: How, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Piece {
        let mut file = self.buffers.get();
        let mut bytes = self.buffers.get();
        let piece = if write(&mut file).is_some() && file.len() <= MAX_COMPACT {
            bytes.push(PNG);
            compact_length(&mut bytes, file.len());
            bytes.extend_from_slice(&file);
            Piece::new(rect, how, Body::whole(bytes))
        } else {
            raw::encode(self.frame, rect, self.pixel, &mut bytes);
            Piece::new(rect, How::Full, Body::whole(bytes)).numbered(Encoding::Raw.number())
        };
        self.buffers.give(file);
        piece
    }

    /// Two colours: a bit a pixel, rows padded to bytes.
    fn mono(&self, rect: Rect, a: u32, b: u32) -> Piece {
        let mut bytes = self.buffers.get();
        bytes.extend_from_slice(&[stream::MONO << 4 | FILTER, PALETTE_FILTER, 1]);
        self.converter.row(&[a, b], &mut bytes);
        let head = bytes.len();
        for row in self.frame.rows(rect) {
            let (eights, rest) = row.as_chunks::<8>();
            bytes.extend(eights.iter().map(|eight| bits(eight, b)));
            if !rest.is_empty() {
                bytes.push(bits(rest, b) << (8 - rest.len()));
            }
        }
        Piece::new(rect, How::Mono, body(bytes, head, stream::MONO))
    }

    /// Any colours: as palettes with indices as far as there are few enough, then in full, or as a film if it
    /// plays and has no ground.
    fn colours(&self, mut rect: Rect, plays: bool, scratch: &mut Scratch, out: &mut Vec<Piece>) {
        loop {
            // A palette must be smaller than what it saves; and indices are no smaller than pixels of a byte.
            let most = match self.converter.bytes() {
                1 if self.png.is_none() => 2,
                _ => (rect.area() as usize / 2).clamp(2, palette::MAX),
            };
            scratch.palette.restart(most);
            let mut indices = self.buffers.get();
            // Room for the head, which is known when the colours are.
            let head = 3 + most * self.converter.bytes();
            indices.resize(head, 0);
            let rows = self.frame.rows(rect);
            if scratch.palette.index(rows, &mut indices).is_some() {
                out.push(self.indexed(rect, indices, head, scratch));
                return;
            }
            // How far it came tells text, of which a part may have few enough, from a photo. Whole rows that it came
            // through are such a part, and indexed already.
            let rows = (indices.len() - head) / usize::from(rect.w);
            let part = Rect {
                h: rows as u16,
                ..rect
            };
            if most < palette::MAX || rect.area() <= MIN_PARTS || part.area() <= rect.area() / 8 {
                self.buffers.give(indices);
                out.push(match plays && !analyse::has_ground(self.frame, rect) {
                    true => self.film(rect, scratch),
                    false => self.full(rect, scratch),
                });
                return;
            }
            indices.truncate(head + part.area() as usize);
            out.push(self.indexed(part, indices, head, scratch));
            rect = Rect::from_edges(rect.x, part.bottom(), rect.right(), rect.bottom());
        }
    }

    /// The colours that were counted, and from `head` on the index of each pixel.
    fn indexed(
        &self,
        rect: Rect,
        mut indices: Vec<u8>,
        head: usize,
        scratch: &mut Scratch,
    ) -> Piece {
        let Scratch { palette, png, .. } = scratch;
        match (palette.colours(), self.png) {
            (&[colour], _) => {
                self.buffers.give(indices);
                self.fill(rect, colour)
            }
            (&[a, b], None) => {
                self.buffers.give(indices);
                self.mono(rect, a, b)
            }
            (colours, Some(level)) => {
                let how = match colours.len() {
                    2 => How::Mono,
                    _ => How::Indexed,
                };
                let piece = self.png(rect, how, |file| {
                    png.indexed(rect.w, colours, &indices[head..], level, file)
                });
                self.buffers.give(indices);
                piece
            }
            (colours, None) => {
                let mut bytes = self.buffers.get();
                let last = (colours.len() - 1) as u8;
                bytes.extend_from_slice(&[stream::INDEX << 4 | FILTER, PALETTE_FILTER, last]);
                self.converter.row(colours, &mut bytes);
                let size = bytes.len();
                indices.splice(..head, bytes.iter().copied());
                self.buffers.give(bytes);
                let body = body(indices, size, stream::INDEX);
                Piece::new(rect, How::Indexed, body)
            }
        }
    }

    /// Every pixel in full.
    fn full(&self, rect: Rect, scratch: &mut Scratch) -> Piece {
        if let Some(level) = self.png {
            return self.png(rect, How::Full, |file| {
                scratch.png.full(self.frame, rect, level, file)
            });
        }
        let mut bytes = self.buffers.get();
        bytes.push(stream::FULL << 4);
        raw::encode(self.frame, rect, self.converter, &mut bytes);
        Piece::new(rect, How::Full, body(bytes, 1, stream::FULL))
    }
}

/// Small data stays as it is.
fn body(bytes: Vec<u8>, head: usize, stream: u8) -> Body {
    if bytes.len() - head < MIN_DEFLATE {
        Body::whole(bytes)
    } else {
        Body::deflate(bytes, head, Which::Tight(stream))
    }
}

/// A bit for each pixel, the first the highest: whether it is `one`.
#[inline(always)]
fn bits(pixels: &[u32], one: u32) -> u8 {
    pixels
        .iter()
        .fold(0, |byte, &p| byte << 1 | u8::from(p == one))
}

#[cfg(test)]
mod tests {
    use crate::encode::{Encoded, Encoder, JpegQuality, Params, Playing, prepare};
    use crate::pixel::{Frame, Region};

    /// A mosaic of so many colours with hard edges; of two stones one is white, or none.
    fn mosaic(colours: u32, white: bool) -> Frame {
        let mut frame = Frame::new(512, 256);
        for y in 0..256 {
            for (x, pixel) in (0u32..).zip(frame.row_mut(y)) {
                let stone = (x / 5 + u32::from(y / 5) * 103) % colours;
                *pixel = match white && stone.is_multiple_of(2) {
                    true => 0xff_ffff,
                    false => (stone + 1).wrapping_mul(0x9e37_79b1) >> 8,
                };
            }
        }
        frame
    }

    fn encoded(frame: &Frame, plays: bool) -> Encoded {
        let params = Params::usual(Some(JpegQuality::of_level(6)));
        let whole = Region::from(frame.bounds());
        let playing = match plays {
            true => Playing {
                region: whole.clone(),
                coarse: Vec::new(),
            },
            false => Playing::default(),
        };
        let prepared = prepare(frame, &whole, &playing, &params, &Default::default());
        Encoder::new().emit(&prepared, &params, false, usize::MAX, &mut Vec::new())
    }

    #[test]
    fn a_drawing_that_plays_goes_as_a_film_unless_a_palette_holds_it() {
        let (few, many) = (mosaic(200, false), mosaic(4000, false));
        for frame in [&few, &many] {
            assert!(encoded(frame, false).lossy.is_empty(), "it stands still");
        }
        assert!(encoded(&few, true).lossy.is_empty(), "a palette is exact");
        assert_eq!(encoded(&many, true).lossy.area(), 512 * 256);
        let text = mosaic(4000, true);
        assert!(encoded(&text, true).lossy.is_empty(), "it has a ground");
    }
}
