//! Pixels of a frame to bytes of a client.
//!
//! Plain loops over whole rows that the compiler turns into vector code: one for 32-bit pixels with 8 bits a colour
//! (every common viewer), one for three-byte pixels, one for RGB565; any other format goes through three tables.

use crate::pixel::PixelFormat;

/// How much of a pixel goes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// PIXEL: all its bytes (RFC 6143, 7.4).
    Pixel,
    /// CPIXEL of ZRLE: three bytes where they hold all of a 32-bit pixel's colours (RFC 6143, 7.7.5).
    Compressed,
    /// TPIXEL of Tight: R, G, B for 32-bit pixels of depth 24 with 8 bits a colour.
    Tight,
}

/// Turns pixels of a frame into bytes on the wire.
#[derive(Debug)]
pub(super) struct Converter {
    kind: Kind,
    bytes: usize,
}

#[derive(Debug)]
enum Kind {
    /// 8 bits a colour, little-endian: where red, green and blue go.
    Words([u32; 3]),
    /// Three bytes: where in the frame's pixel each comes from.
    Triples([u32; 3]),
    /// Two bytes, 5-6-5.
    Half { big_endian: bool },
    /// Anything else.
    Tables(Box<Tables>),
}

/// The part of each colour in the client's pixel, already in place.
#[derive(Debug)]
struct Tables {
    channels: [[u32; 256]; 3],
    /// Bytes of the whole pixel.
    pixel: usize,
    big_endian: bool,
    /// First byte to send, of the pixel's bytes in their order on the wire.
    skip: usize,
}

impl Converter {
    pub(super) fn new(format: &PixelFormat, layout: Layout) -> Self {
        if layout == Layout::Tight && format.is_888() {
            return Self {
                kind: Kind::Triples([16, 8, 0]),
                bytes: 3,
            };
        }
        let shifts = format.channels().map(|c| u32::from(c.shift));
        let whole_bytes = format.bytes_per_pixel() == 4
            && format.channels().iter().all(|c| c.max == 255)
            && shifts.iter().all(|s| s % 8 == 0)
            && shifts[0] != shifts[1]
            && shifts[1] != shifts[2]
            && shifts[0] != shifts[2];
        let skip = match layout {
            Layout::Compressed => compressed_skip(format),
            _ => None,
        };
        if whole_bytes {
            // A byte order is only another place for each colour.
            let places = shifts.map(|s| if format.big_endian() { 24 - s } else { s });
            return match skip {
                None => Self {
                    kind: Kind::Words(places),
                    bytes: 4,
                },
                Some(skip) => {
                    let mut sources = [0; 3];
                    for (place, source) in places.into_iter().zip([16, 8, 0]) {
                        sources[place as usize / 8 - skip] = source;
                    }
                    Self {
                        kind: Kind::Triples(sources),
                        bytes: 3,
                    }
                }
            };
        }
        let maxima = format.channels().map(|c| c.max);
        if format.bytes_per_pixel() == 2 && maxima == [31, 63, 31] && shifts == [11, 5, 0] {
            return Self {
                kind: Kind::Half {
                    big_endian: format.big_endian(),
                },
                bytes: 2,
            };
        }
        let mut channels = [[0; 256]; 3];
        for (table, shift) in channels.iter_mut().zip([16, 8, 0]) {
            for (entry, v) in table.iter_mut().zip(0u32..) {
                *entry = format.encode(v << shift);
            }
        }
        // `encode(0)` is 0 in every channel, so the parts of the three can be joined by OR.
        let pixel = format.bytes_per_pixel();
        Self {
            kind: Kind::Tables(Box::new(Tables {
                channels,
                pixel,
                big_endian: format.big_endian(),
                skip: skip.unwrap_or(0),
            })),
            bytes: if skip.is_some() { 3 } else { pixel },
        }
    }

    /// Bytes of one pixel on the wire: 1 to 4.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends pixels.
    pub(super) fn row(&self, pixels: &[u32], out: &mut Vec<u8>) {
        match &self.kind {
            Kind::Words([16, 8, 0]) => append(pixels, out, u32::to_le_bytes),
            &Kind::Words([r, g, b]) => append(pixels, out, |p| {
                ((p >> 16 & 0xff) << r | (p >> 8 & 0xff) << g | (p & 0xff) << b).to_le_bytes()
            }),
            Kind::Triples(sources) => triples(pixels, out, *sources),
            Kind::Half { big_endian: false } => append(pixels, out, |p| half(p).to_le_bytes()),
            Kind::Half { big_endian: true } => append(pixels, out, |p| half(p).to_be_bytes()),
            Kind::Tables(t) => match (self.bytes, t.big_endian) {
                (1, _) => append(pixels, out, |p| [t.value(p) as u8]),
                (2, false) => append(pixels, out, |p| (t.value(p) as u16).to_le_bytes()),
                (2, true) => append(pixels, out, |p| (t.value(p) as u16).to_be_bytes()),
                (3, _) => append(pixels, out, |p| {
                    let b = t.whole(p);
                    [b[t.skip], b[t.skip + 1], b[t.skip + 2]]
                }),
                _ => append(pixels, out, |p| t.whole(p)),
            },
        }
    }

    /// Appends one pixel.
    pub(super) fn pixel(&self, rgb: u32, out: &mut Vec<u8>) {
        self.row(&[rgb], out);
    }
}

impl Tables {
    fn value(&self, p: u32) -> u32 {
        let [r, g, b] = &self.channels;
        r[(p >> 16 & 0xff) as usize] | g[(p >> 8 & 0xff) as usize] | b[(p & 0xff) as usize]
    }

    /// The four bytes of a 32-bit pixel.
    fn whole(&self, p: u32) -> [u8; 4] {
        debug_assert_eq!(self.pixel, 4);
        let v = self.value(p);
        if self.big_endian {
            v.to_be_bytes()
        } else {
            v.to_le_bytes()
        }
    }
}

/// Where the three bytes of a CPIXEL begin among the four of its PIXEL, if it has only three (RFC 6143, 7.7.5).
fn compressed_skip(format: &PixelFormat) -> Option<usize> {
    if format.bytes_per_pixel() != 4 || format.depth() > 24 {
        return None;
    }
    let mask = format
        .channels()
        .iter()
        .fold(0u64, |m, c| m | u64::from(c.max) << c.shift);
    let least = mask >> 24 == 0;
    let most = mask & 0xff == 0;
    match (least, most, format.big_endian()) {
        (true, _, false) | (false, true, true) => Some(0),
        (true, _, true) | (false, true, false) => Some(1),
        (false, false, _) => None,
    }
}

/// Appends `N` bytes a pixel.
#[inline(always)]
fn append<const N: usize>(pixels: &[u32], out: &mut Vec<u8>, f: impl Fn(u32) -> [u8; N]) {
    let start = out.len();
    out.resize(start + pixels.len() * N, 0);
    for (d, &p) in out[start..].as_chunks_mut::<N>().0.iter_mut().zip(pixels) {
        *d = f(p);
    }
}

/// Appends three bytes a pixel, four pixels at a time as three words.
fn triples(pixels: &[u32], out: &mut Vec<u8>, [a, b, c]: [u32; 3]) {
    let word = |p: u32| p >> a & 0xff | (p >> b & 0xff) << 8 | (p >> c & 0xff) << 16;
    let start = out.len();
    out.resize(start + pixels.len() * 3, 0);
    let (fours, rest) = pixels.as_chunks::<4>();
    let (wide, narrow) = out[start..].split_at_mut(fours.len() * 12);
    for (d, four) in wide.as_chunks_mut::<12>().0.iter_mut().zip(fours) {
        let [p, q, r, s] = four.map(word);
        let words = [p | q << 24, q >> 8 | r << 16, r >> 16 | s << 8];
        for (d, w) in d.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *d = w.to_le_bytes();
        }
    }
    for (d, &p) in narrow.as_chunks_mut::<3>().0.iter_mut().zip(rest) {
        let [x, y, z, _] = word(p).to_le_bytes();
        *d = [x, y, z];
    }
}

/// The RGB565 value, each colour rounded to nearest.
#[inline(always)]
fn half(p: u32) -> u16 {
    // 32897 / 2^23 is 1 / 255 for every dividend that occurs here, and vectorizes where a division does not.
    let scale = |v: u32, max: u32| (((v & 0xff) * max + 127) * 32_897) >> 23;
    (scale(p >> 16, 31) << 11 | scale(p >> 8, 63) << 5 | scale(p, 31)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::Channel;
    use proptest::prelude::*;

    fn c(max: u16, shift: u8) -> Channel {
        Channel { max, shift }
    }

    /// PIXEL, byte by byte from the definition.
    fn expected(format: &PixelFormat, rgb: u32) -> Vec<u8> {
        let n = format.bytes_per_pixel();
        let v = format.encode(rgb).to_be_bytes();
        let mut bytes = v[4 - n..].to_vec();
        if !format.big_endian() {
            bytes.reverse();
        }
        bytes
    }

    fn bytes(format: &PixelFormat, layout: Layout, pixels: &[u32]) -> Vec<u8> {
        let mut out = vec![7];
        Converter::new(format, layout).row(pixels, &mut out);
        out.split_off(1)
    }

    fn any_format() -> impl Strategy<Value = PixelFormat> {
        let common = prop_oneof![
            Just((32u8, 24u8, [c(255, 16), c(255, 8), c(255, 0)])),
            Just((32, 24, [c(255, 0), c(255, 8), c(255, 16)])),
            Just((32, 24, [c(255, 24), c(255, 16), c(255, 8)])),
            Just((32, 32, [c(255, 24), c(255, 12), c(255, 0)])),
            Just((32, 30, [c(1023, 20), c(1023, 10), c(1023, 0)])),
            Just((16, 16, [c(31, 11), c(63, 5), c(31, 0)])),
            Just((16, 15, [c(31, 10), c(31, 5), c(31, 0)])),
            Just((16, 12, [c(15, 0), c(15, 4), c(15, 8)])),
            Just((8, 8, [c(7, 5), c(7, 2), c(3, 0)])),
            Just((8, 6, [c(3, 0), c(3, 2), c(3, 4)])),
            Just((8, 3, [c(1, 0), c(1, 1), c(1, 2)])),
        ];
        (common, any::<bool>()).prop_map(|((bpp, depth, [r, g, b]), big)| {
            PixelFormat::new(bpp, depth, big, r, g, b).expect("a valid format")
        })
    }

    proptest! {
        #[test]
        fn pixels_are_those_of_the_definition(format in any_format(), pixels in proptest::collection::vec(0u32..0x0100_0000, 0..40)) {
            let expected: Vec<u8> = pixels.iter().flat_map(|&p| expected(&format, p)).collect();
            prop_assert_eq!(bytes(&format, Layout::Pixel, &pixels), expected);
        }

        #[test]
        fn compressed_pixels_are_three_bytes_of_the_pixel(format in any_format(), pixels in proptest::collection::vec(0u32..0x0100_0000, 1..40)) {
            let whole = bytes(&format, Layout::Pixel, &pixels);
            let got = bytes(&format, Layout::Compressed, &pixels);
            let per = Converter::new(&format, Layout::Compressed).bytes();
            prop_assert_eq!(got.len(), per * pixels.len());
            if per == format.bytes_per_pixel() {
                prop_assert_eq!(got, whole);
            } else {
                for (part, whole) in got.chunks(3).zip(whole.chunks(4)) {
                    prop_assert!(part == &whole[..3] && whole[3] == 0 || part == &whole[1..] && whole[0] == 0);
                }
            }
        }
    }

    #[test]
    fn every_half_pixel_rounds_as_the_format_says() {
        let format = PixelFormat::new(16, 16, true, c(31, 11), c(63, 5), c(31, 0)).expect("565");
        for v in 0..256u32 {
            let p = v << 16 | v << 8 | v;
            assert_eq!(u32::from(half(p)), format.encode(p));
        }
    }

    #[test]
    fn tight_pixels_are_red_green_blue_whatever_the_shifts() {
        let format =
            PixelFormat::new(32, 24, true, c(255, 3), c(255, 11), c(255, 19)).expect("888");
        assert_eq!(
            bytes(&format, Layout::Tight, &[0x0012_3456, 0x00ab_cdef]),
            [0x12, 0x34, 0x56, 0xab, 0xcd, 0xef]
        );
        let half = PixelFormat::new(16, 16, true, c(31, 11), c(63, 5), c(31, 0)).expect("565");
        assert_eq!(
            bytes(&half, Layout::Tight, &[0x00ff_ffff, 0x0000_00ff]),
            [0xff, 0xff, 0, 0x1f]
        );
    }

    #[test]
    fn depth_decides_whether_a_pixel_may_be_cut() {
        let deep = PixelFormat::new(32, 32, false, c(255, 16), c(255, 8), c(255, 0)).expect("32");
        assert_eq!(Converter::new(&deep, Layout::Compressed).bytes(), 4);
        // Tight looks at depth too: not 24, so no three bytes.
        assert_eq!(Converter::new(&deep, Layout::Tight).bytes(), 4);
    }
}
