//! Encodings: how a region of a picture becomes rectangles on the wire (RFC 6143, 7.6 and 7.7).
//!
//! Pure: no socket, no X, no clock. Everything that costs time and needs no history is done first and in parallel on
//! the rayon pool that the caller is in, if it is in one; only the deflate streams, which a client decodes with the history of the whole
//! connection, are written in order.
//!
//! ```text
//!            prepare: stateless, parallel                          emit: per client
//!  frame ┐                                                   ┌ streams: deflate in wire order,
//!  region├─ select ── pieces ── raw rre hextile zlib zrle … ─┤   different streams and large        ── rectangles
//!  params┘  what goes   │         │ bodies: finished bytes, ─┘   blocks of one in parallel
//!           how         │         └ or bytes to deflate
//!              analyse, palette, convert, chroma, jpeg (ycc)
//! ```
//!
//! A client may change encoding, pixel format, quality and compression between any two updates: the streams live as
//! long as the connection and stay consistent (see [`stream`]).

mod analyse;
mod chroma;
mod convert;
#[cfg(feature = "h264")]
mod h264;
mod hextile;
mod huffman;
mod jpeg;
mod memory;
mod palette;
mod photos;
mod png;
mod prepare;
mod quality;
mod raw;
mod rre;
mod select;
mod stream;
mod tight;
mod wire;
mod ycc;
mod zrle;

use std::ops::AddAssign;
use std::sync::Arc;

use crate::pixel::{Frame, PixelFormat, Region};

#[cfg(feature = "h264")]
pub use h264::{VideoFrame, video_rect};
pub use memory::Memory;
pub use prepare::{Prepared, prepare};
pub use quality::{JpegQuality, Subsampling};
pub use select::Playing;
pub use wire::copy_rect;

/// The encodings that carry pixels of any kind. (JPEG carries photos only: see [`Params::jpeg_rects`]; CopyRect carries
/// none: see [`copy_rect`].)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Pixels as they are (RFC 6143, 7.7.1).
    Raw,
    /// A background with sub-rectangles (RFC 6143, 7.7.3), or Raw where that is shorter.
    Rre,
    /// Tiles of 16 × 16 with background and sub-rectangles (RFC 6143, 7.7.4).
    Hextile,
    /// Raw pixels through one deflate stream (encoding 6 of the community specification).
    Zlib,
    /// Tiles of 64 × 64, palettes and runs through one deflate stream (RFC 6143, 7.7.6).
    Zrle,
    /// Fills, palettes, four deflate streams, JPEG (encoding 7 of the community specification).
    Tight,
    /// Fills, JPEG, and PNG for all else (encoding −260 of the community specification).
    TightPng,
}

impl Encoding {
    /// The number on the wire.
    pub const fn number(self) -> i32 {
        match self {
            Self::Raw => 0,
            Self::Rre => 2,
            Self::Hextile => 5,
            Self::Zlib => 6,
            Self::Tight => 7,
            Self::Zrle => 16,
            Self::TightPng => -260,
        }
    }

    /// The encoding of a number that a client listed, if it is one of these.
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            0 => Some(Self::Raw),
            2 => Some(Self::Rre),
            5 => Some(Self::Hextile),
            6 => Some(Self::Zlib),
            7 => Some(Self::Tight),
            16 => Some(Self::Zrle),
            -260 => Some(Self::TightPng),
            _ => None,
        }
    }

    /// The name that people know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "Raw",
            Self::Rre => "RRE",
            Self::Hextile => "Hextile",
            Self::Zlib => "Zlib",
            Self::Zrle => "ZRLE",
            Self::Tight => "Tight",
            Self::TightPng => "TightPNG",
        }
    }
}

/// What the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Params {
    /// The encoding that it prefers.
    pub encoding: Encoding,
    /// How it wants its pixels.
    pub format: PixelFormat,
    /// How good JPEGs are; `None`: every pixel arrives exactly as it is.
    pub quality: Option<JpegQuality>,
    /// Photos go as rectangles of their own encoding, JPEG (21 of the community specification), if there is a quality
    /// and a pixel has more than a byte.
    pub jpeg_rects: bool,
    /// Compression level, 0–9 (more is taken as 9); 2 is what clients ask for when nobody chose.
    pub compress: u8,
    /// The client knows the LastRect pseudo-encoding. The encoder always tells the number of rectangles, so only the
    /// session looks at this.
    pub last_rect: bool,
}

impl Params {
    /// Photos go as JPEG.
    pub fn has_jpeg(&self) -> bool {
        let encoding = matches!(self.encoding, Encoding::Tight | Encoding::TightPng);
        let form = encoding || self.jpeg_rects;
        form && self.quality.is_some() && tight::jpeg_allowed(&self.format)
    }

    /// True when what is prepared for one does for the other, too: the rest is a matter of each client's streams.
    pub fn prepares_as(&self, other: &Self) -> bool {
        let tight = self.encoding == Encoding::Tight;
        let format = match tight && self.format.is_888() && other.format.is_888() {
            // Red, green, blue, wherever a client has them.
            true => self.format,
            false => other.format,
        };
        let compress = match self.encoding {
            Encoding::TightPng => other.compress,
            _ => self.compress,
        };
        let last_rect = self.last_rect;
        *self
            == Self {
                format,
                compress,
                last_rect,
                ..*other
            }
    }
}

/// What one call of [`Encoder::encode`] appended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Number of rectangles; at most [`MAX_RECTS`].
    pub rects: u32,
    /// Exactly the pixels that went out as JPEG.
    pub lossy: Region,
    /// What did not go, because there was no room for it.
    pub left: Region,
    /// Where pixels and bytes went.
    pub stats: Stats,
}

/// Rectangles, pixels and bytes of one way of encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rectangles.
    pub rects: u64,
    /// Pixels they cover.
    pub pixels: u64,
    /// Bytes on the wire, headers included.
    pub bytes: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.rects += other.rects;
        self.pixels += other.pixels;
        self.bytes += other.bytes;
    }
}

/// Where pixels and bytes went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// One colour each.
    pub fill: Tally,
    /// Two colours, one bit a pixel.
    pub mono: Tally,
    /// Up to 256 colours, one byte a pixel.
    pub indexed: Tally,
    /// Every pixel in full; also whole rectangles of Raw, Hextile, Zlib and ZRLE.
    pub full: Tally,
    /// JPEG.
    pub jpeg: Tally,
    /// Copies of what the client has elsewhere.
    pub copy: Tally,
    /// H.264.
    #[cfg(feature = "h264")]
    pub h264: Tally,
    /// In whatever way without loss, for the second time: what had gone out with loss.
    pub refresh: Tally,
}

impl Stats {
    /// All ways together.
    pub fn total(&self) -> Tally {
        let mut sum = Tally::default();
        for (_, part) in self.ways() {
            sum += part;
        }
        sum
    }

    /// Each way with its name.
    pub fn ways(&self) -> Vec<(&'static str, Tally)> {
        vec![
            ("fill", self.fill),
            ("mono", self.mono),
            ("indexed", self.indexed),
            ("full", self.full),
            ("jpeg", self.jpeg),
            ("copy", self.copy),
            #[cfg(feature = "h264")]
            ("h264", self.h264),
            ("refresh", self.refresh),
        ]
    }
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.fill += other.fill;
        self.mono += other.mono;
        self.indexed += other.indexed;
        self.full += other.full;
        self.jpeg += other.jpeg;
        self.copy += other.copy;
        #[cfg(feature = "h264")]
        {
            self.h264 += other.h264;
        }
        self.refresh += other.refresh;
    }
}

/// Most rectangles that one call makes: an update counts them in 16 bits, its largest count means "until LastRect",
/// and the session has pseudo-rectangles and copies to add.
pub const MAX_RECTS: usize = 60_000;

/// Encodes for one client: it holds the state of that client's deflate streams.
#[derive(Debug, Default)]
pub struct Encoder {
    streams: stream::Streams,
    #[cfg(feature = "h264")]
    video: h264::Video,
    /// For who prepares for this client alone.
    spare: Arc<Memory>,
}

impl Encoder {
    /// An encoder for a client that was sent nothing yet. It takes memory for streams when they are first used: about
    /// 0.3 MiB each, six at most.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends whole rectangles (a header of 12 bytes and a body, RFC 6143, 7.6.1) for `region` of `frame`. What lies
    /// outside the picture is left out; of a region of very many rectangles a little more than asked is sent.
    ///
    /// Runs on the rayon pool it is called in, if any. The caller must send all that was appended, in order: the client's
    /// deflate streams depend on it.
    pub fn encode(
        &mut self,
        frame: &Frame,
        region: &Region,
        params: &Params,
        out: &mut Vec<u8>,
    ) -> Encoded {
        let prepared = prepare(frame, region, &Playing::default(), params, &self.spare);
        self.emit(&prepared, params, false, usize::MAX, out)
    }

    /// The second half of [`Encoder::encode`], for what was prepared once for several clients with these `params`.
    /// `thrifty`: to this client bytes are dearer than time. Going to and fro costs it the history of its streams. `most`:
    /// when there are so many bytes, what has not gone is left.
    pub fn emit(
        &mut self,
        prepared: &Prepared,
        params: &Params,
        thrifty: bool,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Encoded {
        prepared.emit(&mut self.streams, params, thrifty, most, out)
    }

    /// Appends a picture of a video as one rectangle of H.264. `None`, and nothing appended, when the encoder fails: what
    /// it shows has to go another way.
    #[cfg(feature = "h264")]
    pub fn emit_video(
        &mut self,
        picture: &VideoFrame,
        quality: JpegQuality,
        out: &mut Vec<u8>,
    ) -> Option<Encoded> {
        self.video.encode(picture, quality, out)
    }
}

#[cfg(test)]
impl Params {
    /// What most viewers ask for, in this quality.
    pub(crate) fn usual(quality: Option<JpegQuality>) -> Self {
        Self {
            encoding: Encoding::Tight,
            format: PixelFormat::NATIVE,
            quality,
            jpeg_rects: false,
            compress: 2,
            last_rect: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::Channel;

    #[test]
    fn who_has_no_form_for_them_gets_no_photos() {
        let params = |encoding, jpeg_rects, format| Params {
            encoding,
            format,
            jpeg_rects,
            ..Params::usual(Some(JpegQuality::of_level(6)))
        };
        let native = PixelFormat::NATIVE;
        let channel = |max, shift| Channel { max, shift };
        let (red, green, blue) = (channel(7, 5), channel(7, 2), channel(3, 0));
        let byte = PixelFormat::new(8, 8, false, red, green, blue).expect("332");
        assert!(params(Encoding::Tight, false, native).has_jpeg());
        assert!(params(Encoding::Zrle, true, native).has_jpeg());
        assert!(!params(Encoding::Zrle, false, native).has_jpeg());
        assert!(!params(Encoding::Tight, true, byte).has_jpeg());
        let exact = Params {
            quality: None,
            ..params(Encoding::Tight, true, native)
        };
        assert!(!exact.has_jpeg());
    }

    #[test]
    fn what_has_no_room_is_left() {
        let params = Params::usual(None);
        let mut frame = Frame::new(1200, 700);
        let mut n = 1u32;
        for y in 0..700 {
            for p in frame.row_mut(y) {
                n = n.wrapping_mul(0x9e37_79b1).wrapping_add(1);
                *p = n >> 8 & 0x3f_3f3f;
            }
        }
        let whole = Region::from(frame.bounds());
        let (mut left, mut encoder) = (whole.clone(), Encoder::new());
        let (mut sent, mut updates) = (0, 0);
        while !left.is_empty() {
            let prepared = prepare(&frame, &left, &Playing::default(), &params, &Arc::default());
            let mut out = Vec::new();
            let encoded = encoder.emit(&prepared, &params, false, 400_000, &mut out);
            let before = left.area();
            left = encoded.left;
            sent += before - left.area();
            updates += 1;
            assert!(encoded.rects > 0);
            assert_eq!(encoded.stats.total().pixels, before - left.area());
            assert!(out.len() < 700_000, "{}", out.len());
            assert!(left.is_empty() || out.len() >= 400_000, "{}", out.len());
        }
        assert_eq!(sent, whole.area());
        assert!(updates > 2, "{updates}");
    }

    #[test]
    fn work_for_one_does_for_others_who_differ_in_what_comes_later() {
        let channel = |shift| Channel { max: 255, shift };
        let format = |shifts: [u8; 3], big| {
            let [red, green, blue] = shifts.map(channel);
            PixelFormat::new(32, 24, big, red, green, blue).expect("888")
        };
        let ours = Params::usual(Some(JpegQuality::of_level(6)));
        let theirs = Params {
            format: format([0, 8, 16], true),
            compress: 6,
            last_rect: false,
            ..ours
        };
        let mut frame = Frame::new(300, 200);
        for y in 0..200 {
            for (x, p) in (0u32..).zip(frame.row_mut(y)) {
                *p = if y < 90 {
                    x * u32::from(y)
                } else {
                    x / 3 % 5 * 0x12_3456
                };
            }
        }
        let region = Region::from(frame.bounds());
        let encode = |for_whom: &Params, as_whom: &Params| {
            let prepared = prepare(
                &frame,
                &region,
                &Playing::default(),
                for_whom,
                &Arc::default(),
            );
            let mut out = Vec::new();
            Encoder::new().emit(&prepared, as_whom, false, usize::MAX, &mut out);
            out
        };
        assert!(ours.prepares_as(&theirs));
        assert!(encode(&ours, &theirs) == encode(&theirs, &theirs));
        // What the pixels are made of, or the file in the rectangle.
        let raw = |params: Params| Params {
            encoding: Encoding::Raw,
            ..params
        };
        assert!(!raw(ours).prepares_as(&raw(theirs)));
        let png = |compress| Params {
            encoding: Encoding::TightPng,
            compress,
            ..ours
        };
        assert!(!png(2).prepares_as(&png(3)));
        let coarse = Params {
            quality: Some(JpegQuality::of_level(3)),
            ..ours
        };
        assert!(!ours.prepares_as(&coarse));
    }
}
