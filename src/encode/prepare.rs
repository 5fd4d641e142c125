//! From a region to bodies of rectangles (stateless), and from bodies to bytes (with the client's streams).
//!
//! What is prepared depends only on the picture, the region and the parameters, and where a video plays on what it showed
//! before; not on the client.

use std::cell::RefCell;
use std::sync::Arc;

use rayon::prelude::*;

use super::convert::{Converter, Layout};
use super::jpeg::Jpeg;
use super::memory::{Buffers, Memory};
use super::palette::Palette;
use super::png::Png;
use super::quality::JpegQuality;
use super::select::{Films, Playing};
use super::stream::{Segments, Streams, Which, level};
use super::wire::{compact_length, header};
use super::zrle::Runs;
use super::{Encoded, Encoding, MAX_RECTS, Params, Stats, Tally};
use super::{hextile, photos, raw, rre, select, tight, zrle};
use crate::pixel::{Frame, Rect, Region};

/// A region of more rectangles is sent as fewer, larger ones.
const MAX_REGION: usize = 2048;

/// Rows of a rectangle, other than Tight's: a multiple of all tiles, and enough rectangles of a screen for all cores.
const BAND: u16 = 64;

/// Less work than this (pixels, or bytes to deflate) is done where it is: waking the pool takes longer.
const MIN_PARALLEL: u64 = 48 << 10;

/// How the pixels of a piece are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Fill,
    Mono,
    Indexed,
    Full,
    Jpeg,
}

/// The body of a rectangle: `bytes`, of which those from `head` on are to be deflated if there is a stream.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    head: usize,
    stream: Option<Which>,
}

impl Body {
    /// All as it is.
    pub(super) fn whole(bytes: Vec<u8>) -> Self {
        Self {
            head: bytes.len(),
            bytes,
            stream: None,
        }
    }

    /// The bytes from `head` on through a stream, after their compressed length.
    pub(super) fn deflate(bytes: Vec<u8>, head: usize, stream: Which) -> Self {
        Self {
            bytes,
            head,
            stream: Some(stream),
        }
    }
}

/// One rectangle.
#[derive(Debug)]
pub(super) struct Piece {
    rect: Rect,
    how: How,
    body: Body,
    /// Of its encoding, where that is not the one of the update.
    number: Option<i32>,
}

impl Piece {
    pub(super) const fn new(rect: Rect, how: How, body: Body) -> Self {
        Self {
            rect,
            how,
            body,
            number: None,
        }
    }

    /// The same in an encoding of its own.
    pub(super) fn numbered(self, number: i32) -> Self {
        Self {
            number: Some(number),
            ..self
        }
    }

    pub(super) const fn rect(&self) -> Rect {
        self.rect
    }
}

/// What a thread of the pool works with.
pub(super) struct Scratch {
    pub(super) palette: Palette,
    runs: Runs,
    pub(super) jpeg: Jpeg,
    pub(super) png: Png,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        palette: Palette::new(),
        runs: Runs::default(),
        jpeg: Jpeg::default(),
        png: Png::default(),
    });
}

/// A region made ready for the wire, but for the streams of a client. Its memory goes back to where it came from.
#[derive(Debug)]
pub struct Prepared {
    pieces: Vec<Piece>,
    memory: Arc<Memory>,
}

/// Does all that needs no history, on the rayon pool it is called in: equal for all clients with these `params`.
pub fn prepare(
    frame: &Frame,
    region: &Region,
    playing: &Playing,
    params: &Params,
    memory: &Arc<Memory>,
) -> Prepared {
    let Memory { buffers, films } = &**memory;
    let mut region = region.simplified(MAX_REGION);
    region.clip(frame.bounds());
    let quality = params
        .quality
        .filter(|_| tight::jpeg_allowed(&params.format));
    let (photos, quality) = match quality {
        Some(quality) if params.jpeg_rects => {
            let (photos, rest) =
                photos::prepare(frame, &region, (playing, films), quality, buffers);
            region = rest;
            (photos, None)
        }
        quality => (Vec::new(), quality),
    };
    let mut pieces = match params.encoding {
        Encoding::Tight | Encoding::TightPng => {
            prepare_tight(frame, &region, (playing, films), params, quality, buffers)
        }
        Encoding::Rre => prepare_rre(frame, &region, params, buffers),
        _ => prepare_bands(frame, &region, params, buffers),
    };
    // Last: noVNC 1.7 draws a Raw rectangle from the wrong place while it waits for an image before it.
    pieces.extend(photos);
    Prepared {
        pieces,
        memory: memory.clone(),
    }
}

/// How many threads there are for one job: only the one outside of a pool, where rayon would make another pool.
pub(super) fn threads() -> usize {
    rayon::current_thread_index().map_or(1, |_| rayon::current_num_threads())
}

/// What `f` makes of each, in order; in the pool if there is enough to do.
pub(super) fn flat_map<T: Sync, U: Send>(
    items: &[T],
    pixels: u64,
    f: impl Fn(&T) -> Vec<U> + Sync,
) -> Vec<U> {
    if pixels < MIN_PARALLEL || items.len() < 2 || threads() < 2 {
        items.iter().flat_map(&f).collect()
    } else {
        items.par_iter().flat_map_iter(&f).collect()
    }
}

/// The same with what a thread works with.
pub(super) fn map<T: Sync>(
    items: &[T],
    pixels: u64,
    f: impl Fn(&T, &mut Scratch, &mut Vec<Piece>) + Sync,
) -> Vec<Piece> {
    // `f` runs with the thread's scratch borrowed, so it must not enter the pool itself.
    flat_map(items, pixels, |item| {
        let mut out = Vec::with_capacity(1);
        SCRATCH.with_borrow_mut(|scratch| f(item, scratch, &mut out));
        out
    })
}

fn prepare_tight(
    frame: &Frame,
    region: &Region,
    (playing, films): (&Playing, &Films),
    params: &Params,
    quality: Option<JpegQuality>,
    buffers: &Buffers,
) -> Vec<Piece> {
    let photos = quality.map(|_| playing);
    let context = tight::Context {
        frame,
        converter: &Converter::new(&params.format, Layout::Tight),
        pixel: &Converter::new(&params.format, Layout::Pixel),
        quality,
        png: (params.encoding == Encoding::TightPng).then_some(params.compress),
        buffers,
    };
    let encode = |plan: &[(Rect, select::Kind)], pixels: u64| {
        map(plan, pixels, |&(rect, kind), scratch, out| {
            context.prepare(rect, kind, scratch, out);
        })
    };
    // Each part is encoded as soon as it has been looked at: its pixels are near then, and the pool is entered once.
    let parts = select::parts(frame, region, photos, films);
    let pieces = flat_map(&parts, region.area(), |part| {
        encode(
            &part.plan(frame, photos, films),
            u64::from(part.rect().area()),
        )
    });
    if pieces.len() > MAX_RECTS / 2 {
        return encode(&select::unseen(region), region.area());
    }
    pieces
}

fn prepare_rre(frame: &Frame, region: &Region, params: &Params, buffers: &Buffers) -> Vec<Piece> {
    let converter = Converter::new(&params.format, Layout::Pixel);
    map(&rre::tiles(region), region.area(), |&tile, _, out| {
        out.push(rre::prepare(frame, tile, &converter, buffers));
    })
}

/// Everything but Tight: bands of the region, all alike.
fn prepare_bands(frame: &Frame, region: &Region, params: &Params, buffers: &Buffers) -> Vec<Piece> {
    let bands: Vec<Rect> = region
        .rects()
        .iter()
        .flat_map(|r| r.tiles(r.w, BAND))
        .collect();
    let layout = match params.encoding {
        Encoding::Zrle => Layout::Compressed,
        _ => Layout::Pixel,
    };
    let converter = Converter::new(&params.format, layout);
    map(&bands, region.area(), |&rect, scratch, out| {
        let mut bytes = buffers.get();
        let stream = match params.encoding {
            Encoding::Hextile => {
                hextile::encode(frame, rect, &converter, &mut bytes);
                None
            }
            Encoding::Zrle => {
                let Scratch { palette, runs, .. } = scratch;
                zrle::encode(frame, rect, &converter, palette, runs, &mut bytes);
                Some(Which::Zrle)
            }
            encoding => {
                raw::encode(frame, rect, &converter, &mut bytes);
                (encoding == Encoding::Zlib).then_some(Which::Zlib)
            }
        };
        let body = match stream {
            Some(stream) => Body::deflate(bytes, 0, stream),
            None => Body::whole(bytes),
        };
        out.push(Piece::new(rect, How::Full, body));
    })
}

impl Prepared {
    /// Bytes of its JPEGs.
    pub fn jpeg_bytes(&self) -> u64 {
        let jpegs = self.pieces.iter().filter(|p| p.how == How::Jpeg);
        jpegs.map(|p| p.body.bytes.len() as u64).sum()
    }

    /// Appends the rectangles: all, or, in their order, as many as have about `most` bytes, but one at least.
    pub(super) fn emit(
        &self,
        streams: &mut Streams,
        params: &Params,
        thrifty: bool,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Encoded {
        let mut encoded = Encoded::default();
        let end = out.len().saturating_add(most);
        let mut rest = &self.pieces[..];
        while !rest.is_empty() && (out.len() < end || encoded.rects == 0) {
            // Deflate hardly ever makes more of them; when it has made much less, there is room for others.
            let mut room = end.saturating_sub(out.len());
            let fits = |piece: &&Piece| {
                let fits = room > 0;
                room = room.saturating_sub(piece.body.bytes.len());
                fits
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (pieces, after) = rest.split_at(count);
            rest = after;
            encoded.stats += emit_all(pieces, streams, params, thrifty, out);
            encoded.rects += count as u32;
        }
        let emitted = &self.pieces[..encoded.rects as usize];
        let lossy = emitted.iter().filter(|p| p.how == How::Jpeg);
        Encoded {
            lossy: lossy.map(|p| p.rect).collect(),
            left: rest.iter().map(|p| p.rect).collect(),
            ..encoded
        }
    }

    /// Memory that it takes, bytes.
    pub fn bytes(&self) -> usize {
        self.pieces.iter().map(|p| p.body.bytes.capacity()).sum()
    }
}

/// Appends rectangles.
fn emit_all(
    pieces: &[Piece],
    streams: &mut Streams,
    params: &Params,
    thrifty: bool,
    out: &mut Vec<u8>,
) -> Stats {
    let deflated = deflate(pieces, streams, params.compress, thrifty);
    let mut segments = deflated.each_ref().map(Segments::iter);
    let mut stats = Stats::default();
    for piece in pieces {
        let start = out.len();
        let number = piece.number.unwrap_or(params.encoding.number());
        header(out, piece.rect, number);
        let Body {
            bytes,
            head,
            stream,
        } = &piece.body;
        out.extend_from_slice(&bytes[..*head]);
        if let Some(which) = stream {
            let data = segments[which.index()].next().unwrap_or_default();
            match which {
                Which::Tight(_) => compact_length(out, data.len()),
                Which::Zlib | Which::Zrle => {
                    out.extend_from_slice(&(data.len() as u32).to_be_bytes());
                }
            }
            out.extend_from_slice(data);
        }
        let tally = match piece.how {
            How::Fill => &mut stats.fill,
            How::Mono => &mut stats.mono,
            How::Indexed => &mut stats.indexed,
            How::Full => &mut stats.full,
            How::Jpeg => &mut stats.jpeg,
        };
        *tally += Tally {
            rects: 1,
            pixels: u64::from(piece.rect.area()),
            bytes: (out.len() - start) as u64,
        };
    }
    stats
}

/// Runs every stream over its pieces; streams do not depend on each other.
fn deflate(pieces: &[Piece], streams: &mut Streams, compress: u8, thrifty: bool) -> [Segments; 6] {
    let mut inputs: [Vec<&[u8]>; 6] = Default::default();
    let mut total = 0;
    for Body {
        bytes,
        head,
        stream,
    } in pieces.iter().map(|p| &p.body)
    {
        if let Some(which) = stream {
            inputs[which.index()].push(&bytes[*head..]);
            total += (bytes.len() - head) as u64;
        }
    }
    let mut outputs: [Segments; 6] = Default::default();
    let used = Which::ALL.into_iter().zip(streams).zip(inputs);
    let mut work: Vec<_> = used
        .zip(&mut outputs)
        .filter(|((_, input), _)| !input.is_empty())
        .collect();
    if total < MIN_PARALLEL || work.len() < 2 || threads() < 2 {
        for (((which, stream), input), output) in work {
            stream.write(&input, level(compress, which, thrifty), output);
        }
    } else {
        work.par_iter_mut()
            .for_each(|(((which, stream), input), output)| {
                stream.write(input, level(compress, *which, thrifty), output);
            });
    }
    outputs
}

impl Drop for Prepared {
    fn drop(&mut self) {
        for piece in self.pieces.drain(..) {
            self.memory.buffers.give(piece.body.bytes);
        }
    }
}
