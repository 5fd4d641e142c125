//! Decodes the rectangles of FramebufferUpdate messages: every encoding that the server may send, in any pixel format.
//!
//! Written from RFC 6143 and the community specification (rfbproto.rst). It is strict: a rectangle outside the picture,
//! data that is left over or missing in a deflate segment, an index outside its palette, or a colour that does not fit
//! are errors, where viewers would shrug or crash.

use std::collections::BTreeMap;
use std::io::{self, Read};

use deskinit::pixel::{PixelFormat, Rect};

use super::inflate::Inflate;
use super::pseudo::{self, Pseudo};
use super::{jpeg, tight};

/// Numbers of encodings that carry pixels.
pub(crate) mod number {
    pub(crate) const RAW: i32 = 0;
    pub(crate) const COPY_RECT: i32 = 1;
    pub(crate) const RRE: i32 = 2;
    pub(crate) const HEXTILE: i32 = 5;
    pub(crate) const ZLIB: i32 = 6;
    pub(crate) const TIGHT: i32 = 7;
    pub(crate) const ZRLE: i32 = 16;
    pub(crate) const JPEG: i32 = 21;
    pub(crate) const TIGHT_PNG: i32 = -260;
}

/// An error that names what the server did wrong.
pub(crate) fn bad<T>(what: impl Into<String>) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidData, what.into()))
}

/// Reads exactly `n` bytes.
pub(crate) fn bytes(input: &mut impl Read, n: usize) -> io::Result<Vec<u8>> {
    let mut data = vec![0; n];
    input.read_exact(&mut data)?;
    Ok(data)
}

/// Reads a big-endian number of `N` bytes.
fn number_of<const N: usize>(input: &mut impl Read) -> io::Result<u32> {
    let mut data = [0; N];
    input.read_exact(&mut data)?;
    Ok(data.iter().fold(0, |n, &b| n << 8 | u32::from(b)))
}

/// Reads a U8.
pub(crate) fn u8(input: &mut impl Read) -> io::Result<u8> {
    Ok(number_of::<1>(input)? as u8)
}

/// Reads a U16.
pub(crate) fn u16(input: &mut impl Read) -> io::Result<u16> {
    Ok(number_of::<2>(input)? as u16)
}

/// Reads a U32.
pub(crate) fn u32(input: &mut impl Read) -> io::Result<u32> {
    number_of::<4>(input)
}

/// How the bytes of a pixel are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    format: PixelFormat,
    /// Bytes on the wire.
    pub(crate) bytes: usize,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// All bytes of a pixel.
    Whole,
    /// The upper three bytes of its value, or the lower three.
    Upper,
    Lower,
    /// R, G, B.
    Rgb,
}

impl Layout {
    /// PIXEL.
    pub(crate) fn pixel(format: PixelFormat) -> Self {
        Self {
            format,
            bytes: format.bytes_per_pixel(),
            form: Form::Whole,
        }
    }

    /// CPIXEL (RFC 6143, 7.7.5).
    pub(crate) fn cpixel(format: PixelFormat) -> Self {
        let fits = |low: u32, high: u32| {
            format.channels().iter().all(|c| {
                let (from, to) = (u32::from(c.shift), u32::from(c.shift) + bits(c.max));
                from >= low && to <= high
            })
        };
        let form = match () {
            () if format.bytes_per_pixel() != 4 || format.depth() > 24 => Form::Whole,
            () if fits(0, 24) => Form::Lower,
            () if fits(8, 32) => Form::Upper,
            () => Form::Whole,
        };
        let bytes = match form {
            Form::Whole => format.bytes_per_pixel(),
            _ => 3,
        };
        Self {
            format,
            bytes,
            form,
        }
    }

    /// TPIXEL (Tight).
    pub(crate) fn tpixel(format: PixelFormat) -> Self {
        let rgb = format.bytes_per_pixel() == 4
            && format.depth() == 24
            && format.channels().iter().all(|c| c.max == 255);
        if rgb {
            Self {
                format,
                bytes: 3,
                form: Form::Rgb,
            }
        } else {
            Self::pixel(format)
        }
    }

    /// The largest value of each colour, as it stands in a pixel of this layout.
    pub(crate) fn maxima(&self) -> [u32; 3] {
        self.format.channels().map(|c| u32::from(c.max))
    }

    /// The values of red, green and blue.
    pub(crate) fn colours(&self, data: &[u8]) -> [u32; 3] {
        assert_eq!(data.len(), self.bytes);
        if let Form::Rgb = self.form {
            return [data[0], data[1], data[2]].map(u32::from);
        }
        let fold = |n: u32, b: &u8| n << 8 | u32::from(*b);
        let value = if self.format.big_endian() {
            data.iter().fold(0, fold)
        } else {
            data.iter().rev().fold(0, fold)
        };
        let value = match self.form {
            Form::Upper => value << 8,
            _ => value,
        };
        self.format
            .channels()
            .map(|c| value >> c.shift & u32::from(c.max))
    }

    /// `0x00RRGGBB` of colour values, each scaled to 0–255 and rounded.
    pub(crate) fn scale(&self, colours: [u32; 3]) -> u32 {
        let maxima = self.maxima();
        let mut rgb = 0;
        for (v, max) in colours.into_iter().zip(maxima) {
            rgb = (rgb << 8) | ((v * 255 + max / 2) / max);
        }
        rgb
    }

    /// `0x00RRGGBB` of a pixel's bytes.
    pub(crate) fn rgb(&self, data: &[u8]) -> u32 {
        self.scale(self.colours(data))
    }

    /// Reads one pixel.
    pub(crate) fn read(&self, input: &mut impl Read) -> io::Result<u32> {
        Ok(self.rgb(&bytes(input, self.bytes)?))
    }

    /// Reads many.
    pub(crate) fn read_many(&self, input: &mut impl Read, n: usize) -> io::Result<Vec<u32>> {
        let data = bytes(input, n * self.bytes)?;
        Ok(data.chunks(self.bytes).map(|p| self.rgb(p)).collect())
    }
}

fn bits(max: u16) -> u32 {
    16 - max.leading_zeros()
}

/// `rgb` as a client with this format sees it: what a lossless encoding must give back.
pub(crate) fn seen_as(format: PixelFormat, rgb: u32) -> u32 {
    let value = format.encode(rgb);
    let layout = Layout::pixel(format);
    layout.scale(
        format
            .channels()
            .map(|c| value >> c.shift & u32::from(c.max)),
    )
}

/// One rectangle of pixels that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drawn {
    pub(crate) rect: Rect,
    /// Its number on the wire.
    pub(crate) encoding: i32,
    /// How, within the encoding: `fill`, `jpeg`, `palette`, `mono`, `full`, `gradient` for Tight; empty for others.
    pub(crate) how: &'static str,
    /// Bytes with the header.
    pub(crate) bytes: u64,
}

/// One FramebufferUpdate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Update {
    /// Rectangles of pixels, in order.
    pub(crate) drawn: Vec<Drawn>,
    /// Pseudo-rectangles, in order.
    pub(crate) pseudo: Vec<Pseudo>,
    /// Bytes of the whole, without the message's header.
    pub(crate) bytes: u64,
}

/// What a client has on its screen, and the state of its streams.
pub(crate) struct Decoder {
    format: PixelFormat,
    width: u16,
    height: u16,
    pixels: Vec<u32>,
    zlib: Inflate,
    zrle: Inflate,
    tight: [Inflate; 4],
    /// Rectangles decoded of each encoding.
    pub(crate) counts: BTreeMap<i32, u64>,
}

/// Counts what is read.
struct Counted<'a, R> {
    input: &'a mut R,
    read: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        self.read += n as u64;
        Ok(n)
    }
}

impl Decoder {
    /// A black picture.
    pub(crate) fn new(format: PixelFormat, width: u16, height: u16) -> Self {
        Self {
            format,
            width,
            height,
            pixels: vec![0; usize::from(width) * usize::from(height)],
            zlib: Inflate::new(),
            zrle: Inflate::new(),
            tight: [(); 4].map(|()| Inflate::new()),
            counts: BTreeMap::new(),
        }
    }

    /// From now on the server sends pixels like this.
    pub(crate) fn set_format(&mut self, format: PixelFormat) {
        self.format = format;
    }

    /// Width and height.
    pub(crate) fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    /// The picture, `0x00RRGGBB`, row by row.
    pub(crate) fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// One pixel; panics outside the picture.
    pub(crate) fn pixel(&self, x: u16, y: u16) -> u32 {
        assert!(x < self.width && y < self.height, "{x},{y} is outside");
        self.pixels[usize::from(y) * usize::from(self.width) + usize::from(x)]
    }

    /// Takes another size; what both have in common stays, as the specification of DesktopSize leaves open.
    pub(crate) fn resize(&mut self, width: u16, height: u16) {
        let mut pixels = vec![0; usize::from(width) * usize::from(height)];
        if width > 0 && self.width > 0 {
            let common = usize::from(width.min(self.width));
            let old = self.pixels.chunks(usize::from(self.width));
            for (to, from) in pixels.chunks_mut(usize::from(width)).zip(old) {
                to[..common].copy_from_slice(&from[..common]);
            }
        }
        (self.width, self.height, self.pixels) = (width, height, pixels);
    }

    /// Reads the rectangles of an update: `count` of them, or up to LastRect if that is 65535.
    pub(crate) fn update(&mut self, input: &mut impl Read, count: u16) -> io::Result<Update> {
        let mut update = Update::default();
        let mut left = count;
        while left > 0 {
            let mut counted = Counted { input, read: 0 };
            let last = self.rectangle(&mut counted, &mut update)?;
            update.bytes += counted.read;
            if last {
                if count != u16::MAX && left != 1 {
                    return bad(format!("LastRect with {} rectangles announced", left - 1));
                }
                return Ok(update);
            }
            if count != u16::MAX {
                left -= 1;
            }
        }
        Ok(update)
    }

    /// Reads one rectangle; true if it is LastRect.
    fn rectangle<R: Read>(
        &mut self,
        input: &mut Counted<'_, R>,
        update: &mut Update,
    ) -> io::Result<bool> {
        let [x, y, w, h] = [u16(input)?, u16(input)?, u16(input)?, u16(input)?];
        let encoding = u32(input)? as i32;
        let corner = (x, y, w, h);
        if let Some(pseudo) = pseudo::read(input, corner, encoding, &Layout::pixel(self.format))? {
            match pseudo {
                Pseudo::DesktopSize(w, h) => self.resize(w, h),
                // A refusal says nothing about the size.
                Pseudo::ExtendedDesktopSize {
                    status: 0,
                    width,
                    height,
                    ..
                } => self.resize(width, height),
                _ => {}
            }
            let last = pseudo == Pseudo::LastRect;
            update.pseudo.push(pseudo);
            return Ok(last);
        }
        let inside = u32::from(x) + u32::from(w) <= u32::from(self.width)
            && u32::from(y) + u32::from(h) <= u32::from(self.height);
        if !inside {
            return bad(format!(
                "rectangle {corner:?} of encoding {encoding} outside {}×{}",
                self.width, self.height
            ));
        }
        let rect = Rect::new(x, y, w, h);
        let how = self.pixels_of(input, rect, encoding)?;
        *self.counts.entry(encoding).or_default() += 1;
        update.drawn.push(Drawn {
            rect,
            encoding,
            how,
            bytes: input.read,
        });
        Ok(false)
    }

    fn pixels_of(
        &mut self,
        input: &mut impl Read,
        rect: Rect,
        encoding: i32,
    ) -> io::Result<&'static str> {
        let pixel = Layout::pixel(self.format);
        let (w, h) = (usize::from(rect.w), usize::from(rect.h));
        let area = w * h;
        match encoding {
            number::RAW => {
                let pixels = pixel.read_many(input, area)?;
                self.put(rect, &pixels);
            }
            number::COPY_RECT => {
                let (x, y) = (u16(input)?, u16(input)?);
                self.copy(rect, x, y)?;
            }
            number::RRE => {
                let count = u32(input)?;
                let background = bytes(input, pixel.bytes)?;
                self.fill(rect, pixel.rgb(&background));
                for _ in 0..count {
                    let colour = bytes(input, pixel.bytes)?;
                    if colour == background {
                        return bad("RRE: a sub-rectangle of the background's colour");
                    }
                    let colour = pixel.rgb(&colour);
                    let [x, y, w, h] = [u16(input)?, u16(input)?, u16(input)?, u16(input)?];
                    self.fill(within(rect, x, y, w, h)?, colour);
                }
            }
            number::HEXTILE => self.hextile(input, rect, &pixel)?,
            number::ZLIB => {
                let n = u32(input)? as usize;
                let data = bytes(input, n)?;
                let plain = self.zlib.exactly(&data, area * pixel.bytes)?;
                let pixels = pixel.read_many(&mut plain.as_slice(), area)?;
                self.put(rect, &pixels);
            }
            number::ZRLE => {
                let n = u32(input)? as usize;
                let data = bytes(input, n)?;
                // The plain size is not known beforehand; no tile takes more than its raw pixels, or runs of one, do.
                let plain = self.zrle.all(&data, area * 5 + 64 * 1024)?;
                self.zrle_tiles(&plain, rect)?;
            }
            number::TIGHT => {
                let (how, pixels) =
                    tight::read(input, w, h, &Layout::tpixel(self.format), &mut self.tight)?;
                self.put(rect, &pixels);
                return Ok(how);
            }
            number::TIGHT_PNG => {
                let (how, pixels) = tight::read_png(input, w, h, self.format)?;
                self.put(rect, &pixels);
                return Ok(how);
            }
            number::JPEG => {
                self.put(rect, &jpeg::read(input, w, h)?);
                return Ok("jpeg");
            }
            other => return bad(format!("encoding {other} was not asked for")),
        }
        Ok("")
    }

    /// Hextile (RFC 6143, 7.7.4).
    fn hextile(&mut self, input: &mut impl Read, rect: Rect, pixel: &Layout) -> io::Result<()> {
        let (mut background, mut foreground) = (None, None);
        for tile in rect.tiles(16, 16) {
            let flags = u8(input)?;
            if flags & 1 != 0 {
                let pixels = pixel.read_many(input, tile.area() as usize)?;
                self.put(tile, &pixels);
                // What they were before is not to be relied on after a raw tile.
                (background, foreground) = (None, None);
                continue;
            }
            if flags & 2 != 0 {
                background = Some(pixel.read(input)?);
            }
            if flags & 4 != 0 {
                if flags & 16 != 0 {
                    return bad("Hextile: foreground together with coloured sub-rectangles");
                }
                foreground = Some(pixel.read(input)?);
            }
            let Some(ground) = background else {
                return bad("Hextile: no background was given");
            };
            self.fill(tile, ground);
            if flags & 8 == 0 {
                continue;
            }
            for _ in 0..u8(input)? {
                let colour = if flags & 16 != 0 {
                    pixel.read(input)?
                } else if let Some(colour) = foreground {
                    colour
                } else {
                    return bad("Hextile: no foreground was given");
                };
                let (at, size) = (u8(input)?, u8(input)?);
                let high = |b: u8| u16::from(b >> 4);
                let low = |b: u8| u16::from(b & 15);
                let part = within(tile, high(at), low(at), high(size) + 1, low(size) + 1)?;
                self.fill(part, colour);
            }
            if flags & 16 != 0 {
                foreground = None;
            }
        }
        Ok(())
    }

    /// ZRLE (RFC 6143, 7.7.6).
    fn zrle_tiles(&mut self, mut data: &[u8], rect: Rect) -> io::Result<()> {
        let pixel = Layout::cpixel(self.format);
        for tile in rect.tiles(64, 64) {
            let area = tile.area() as usize;
            let input = &mut data;
            let kind = u8(input)?;
            let pixels = match kind {
                0 => pixel.read_many(input, area)?,
                1 => vec![pixel.read(input)?; area],
                2..=16 => {
                    let palette = pixel.read_many(input, kind.into())?;
                    let bits = match kind {
                        2 => 1,
                        3 | 4 => 2,
                        _ => 4,
                    };
                    let mut pixels = Vec::with_capacity(area);
                    for _ in 0..tile.h {
                        let row = bytes(input, (usize::from(tile.w) * bits).div_ceil(8))?;
                        for x in 0..usize::from(tile.w) {
                            let bit = x * bits;
                            let index = row[bit / 8] >> (8 - bits - bit % 8) & ((1 << bits) - 1);
                            pixels.push(colour(&palette, index.into())?);
                        }
                    }
                    pixels
                }
                128 | 130..=255 => {
                    let palette = pixel.read_many(input, usize::from(kind & 127))?;
                    let mut pixels = Vec::with_capacity(area);
                    while pixels.len() < area {
                        let (value, long) = if palette.is_empty() {
                            (pixel.read(input)?, true)
                        } else {
                            let index = u8(input)?;
                            (
                                colour(&palette, usize::from(index & 127))?,
                                index & 128 != 0,
                            )
                        };
                        let mut run = 1;
                        let mut more = if long { 255 } else { 0 };
                        while more == 255 {
                            more = u8(input)?;
                            run += usize::from(more);
                        }
                        if pixels.len() + run > area {
                            return bad("ZRLE: a run goes beyond its tile");
                        }
                        pixels.resize(pixels.len() + run, value);
                    }
                    pixels
                }
                17..=127 | 129 => return bad(format!("ZRLE: sub-encoding {kind} is not used")),
            };
            self.put(tile, &pixels);
        }
        if !data.is_empty() {
            return bad(format!("ZRLE: {} bytes left over", data.len()));
        }
        Ok(())
    }

    fn put(&mut self, rect: Rect, pixels: &[u32]) {
        assert_eq!(pixels.len(), rect.area() as usize);
        if rect.is_empty() {
            return;
        }
        for (y, row) in (rect.y..).zip(pixels.chunks(rect.w.into())) {
            let at = usize::from(y) * usize::from(self.width) + usize::from(rect.x);
            self.pixels[at..at + row.len()].copy_from_slice(row);
        }
    }

    fn fill(&mut self, rect: Rect, colour: u32) {
        self.put(rect, &vec![colour; rect.area() as usize]);
    }

    /// CopyRect (RFC 6143, 7.7.2); source and target may overlap.
    fn copy(&mut self, to: Rect, x: u16, y: u16) -> io::Result<()> {
        let inside = u32::from(x) + u32::from(to.w) <= u32::from(self.width)
            && u32::from(y) + u32::from(to.h) <= u32::from(self.height);
        if !inside {
            return bad(format!("CopyRect to {to:?} from {x},{y}, which is outside"));
        }
        let mut copy = Vec::with_capacity(to.area() as usize);
        for row in y..y + to.h {
            let at = usize::from(row) * usize::from(self.width) + usize::from(x);
            copy.extend_from_slice(&self.pixels[at..at + usize::from(to.w)]);
        }
        self.put(to, &copy);
        Ok(())
    }
}

/// A colour of a palette.
pub(crate) fn colour(palette: &[u32], index: usize) -> io::Result<u32> {
    match palette.get(index) {
        Some(colour) => Ok(*colour),
        None => bad(format!("index {index} in a palette of {}", palette.len())),
    }
}

/// A part of a rectangle, in coordinates of the picture.
fn within(rect: Rect, x: u16, y: u16, w: u16, h: u16) -> io::Result<Rect> {
    let fits = u32::from(x) + u32::from(w) <= u32::from(rect.w)
        && u32::from(y) + u32::from(h) <= u32::from(rect.h);
    if !fits {
        return bad(format!("part {x},{y} {w}×{h} of {rect:?}"));
    }
    Ok(Rect::new(rect.x + x, rect.y + y, w, h))
}
