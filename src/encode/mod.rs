//! The encodings: what turns a region of a frame into rectangles (RFC 6143, 7.6.1 and 7.7).

use crate::pixel::{PixelFormat, Region};

/// The encodings that pictures are sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Pixels as they are (0).
    Raw,
    /// A rectangle that the client already has elsewhere (1).
    CopyRect,
    /// Tiles of 16 × 16 (5).
    Hextile,
    /// Pixels through one zlib stream (6).
    Zlib,
    /// Tiles of 64 × 64 through one zlib stream (16).
    Zrle,
    /// Fill, palette, zlib and JPEG (7).
    Tight,
}

/// How a client wants its rectangles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// The encoding that the client prefers.
    pub encoding: Encoding,
    /// The layout of its pixels.
    pub format: PixelFormat,
    /// JPEG quality 0–9; `None` is lossless.
    pub quality: Option<u8>,
    /// Compression level 0–9.
    pub compress: u8,
    /// The client understands LastRect, so the number of rectangles need not be known.
    pub last_rect: bool,
}

/// What became of a region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Rectangles written.
    pub rects: u32,
    /// The pixels that went out changed by the encoding.
    pub lossy: Region,
}
