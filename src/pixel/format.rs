//! How a client wants a pixel laid out (RFC 6143, 7.4).

use std::fmt;

/// One colour channel of a true-colour format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Channel {
    /// Largest value: 2^n − 1 in practice, but any value of 1 and above is legal.
    pub max: u16,
    /// Bits to shift left into place.
    pub shift: u8,
}

/// A true-colour pixel format that was checked.
///
/// INVARIANT: 8, 16 or 32 bits per pixel; depth 1–32 and at most the bits; each channel's maximum is not 0 and fits
/// the pixel after its shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PixelFormat {
    bits_per_pixel: u8,
    depth: u8,
    big_endian: bool,
    red: Channel,
    green: Channel,
    blue: Channel,
}

/// Why 16 bytes are not a format that this server draws with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormatError {
    /// Other than 8, 16 or 32.
    BitsPerPixel(u8),
    /// 0, or more than the bits per pixel.
    Depth(u8),
    /// The client asked for a colour map.
    ColourMap,
    /// A channel without values, or that does not fit in the pixel.
    Channel(Channel),
}

impl fmt::Display for PixelFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BitsPerPixel(n) => write!(f, "{n} bits per pixel (8, 16 and 32 are possible)"),
            Self::Depth(n) => write!(f, "a depth of {n} bits"),
            Self::ColourMap => write!(f, "a colour map (only true colour is served)"),
            Self::Channel(c) => {
                write!(f, "a channel with maximum {} and shift {}", c.max, c.shift)
            }
        }
    }
}

impl std::error::Error for PixelFormatError {}

impl PixelFormat {
    /// The format of [`super::Frame`] on the wire: 32 bits, depth 24, little-endian, `0x00RRGGBB`.
    pub const NATIVE: Self = Self {
        bits_per_pixel: 32,
        depth: 24,
        big_endian: false,
        red: Channel {
            max: 255,
            shift: 16,
        },
        green: Channel { max: 255, shift: 8 },
        blue: Channel { max: 255, shift: 0 },
    };

    /// Parses and checks the PIXEL_FORMAT structure (16 bytes, the last three padding).
    pub fn parse(b: &[u8; 16]) -> Result<Self, PixelFormatError> {
        if b[3] == 0 {
            return Err(PixelFormatError::ColourMap);
        }
        let max = |i: usize| u16::from_be_bytes([b[i], b[i + 1]]);
        let channel = |i: usize, s: usize| Channel {
            max: max(i),
            shift: b[s],
        };
        Self::new(
            b[0],
            b[1],
            b[2] != 0,
            channel(4, 10),
            channel(6, 11),
            channel(8, 12),
        )
    }

    /// A format from its parts, checked.
    pub fn new(
        bits_per_pixel: u8,
        depth: u8,
        big_endian: bool,
        red: Channel,
        green: Channel,
        blue: Channel,
    ) -> Result<Self, PixelFormatError> {
        if !matches!(bits_per_pixel, 8 | 16 | 32) {
            return Err(PixelFormatError::BitsPerPixel(bits_per_pixel));
        }
        if depth == 0 || depth > bits_per_pixel {
            return Err(PixelFormatError::Depth(depth));
        }
        for c in [red, green, blue] {
            // 16 + 31 bits cannot overflow 64, so the test itself is safe for every input.
            let fits =
                c.shift < bits_per_pixel && (u64::from(c.max) << c.shift) >> bits_per_pixel == 0;
            if c.max == 0 || !fits {
                return Err(PixelFormatError::Channel(c));
            }
        }
        Ok(Self {
            bits_per_pixel,
            depth,
            big_endian,
            red,
            green,
            blue,
        })
    }

    /// The PIXEL_FORMAT structure.
    pub fn to_bytes(&self) -> [u8; 16] {
        let mut b = [0; 16];
        b[0] = self.bits_per_pixel;
        b[1] = self.depth;
        b[2] = u8::from(self.big_endian);
        b[3] = 1;
        for (i, c) in [self.red, self.green, self.blue].into_iter().enumerate() {
            b[4 + 2 * i..6 + 2 * i].copy_from_slice(&c.max.to_be_bytes());
            b[10 + i] = c.shift;
        }
        b
    }

    /// 1, 2 or 4.
    pub const fn bytes_per_pixel(&self) -> usize {
        self.bits_per_pixel as usize / 8
    }

    /// Useful bits of a pixel.
    pub const fn depth(&self) -> u8 {
        self.depth
    }

    /// True when the most significant byte of a pixel goes first.
    pub const fn big_endian(&self) -> bool {
        self.big_endian
    }

    /// Red, green, blue.
    pub const fn channels(&self) -> [Channel; 3] {
        [self.red, self.green, self.blue]
    }

    /// 32 bits per pixel, depth 24, 8 bits for each colour, whatever their shifts and in either byte order: what lets
    /// Tight send three bytes a pixel.
    pub fn is_888(&self) -> bool {
        self.bits_per_pixel == 32
            && self.depth == 24
            && self.channels().iter().all(|c| c.max == 255)
    }

    /// The pixel's value in this format; `rgb` is `0x00RRGGBB`. Rounds to nearest, as the peers do.
    pub fn encode(&self, rgb: u32) -> u32 {
        let scale = |v: u32, c: Channel| ((v * u32::from(c.max) + 127) / 255) << c.shift;
        scale(rgb >> 16 & 0xff, self.red)
            | scale(rgb >> 8 & 0xff, self.green)
            | scale(rgb & 0xff, self.blue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn native_survives_the_round_trip() {
        let bytes = PixelFormat::NATIVE.to_bytes();
        assert_eq!(
            bytes[..13],
            [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0]
        );
        assert_eq!(PixelFormat::parse(&bytes), Ok(PixelFormat::NATIVE));
        assert_eq!(PixelFormat::NATIVE.encode(0x0012_3456), 0x0012_3456);
    }

    #[test]
    fn a_colour_map_is_refused_by_name() {
        let mut bytes = PixelFormat::NATIVE.to_bytes();
        bytes[3] = 0;
        assert_eq!(PixelFormat::parse(&bytes), Err(PixelFormatError::ColourMap));
    }

    proptest! {
        #[test]
        fn any_sixteen_bytes_are_refused_or_safe(bytes: [u8; 16], rgb in 0u32..0x0100_0000) {
            if let Ok(format) = PixelFormat::parse(&bytes) {
                let value = u64::from(format.encode(rgb));
                prop_assert_eq!(value >> (8 * format.bytes_per_pixel()), 0);
                prop_assert_eq!(PixelFormat::parse(&format.to_bytes()), Ok(format));
            }
        }

        #[test]
        fn plausible_formats_are_safe(bpp in prop_oneof![Just(8u8), Just(16), Just(32)], depth: u8, max: [u16; 3], shift: [u8; 3], rgb in 0u32..0x0100_0000) {
            let c = |i: usize| Channel { max: max[i], shift: shift[i] % 40 };
            if let Ok(format) = PixelFormat::new(bpp, depth % 33, false, c(0), c(1), c(2)) {
                prop_assert_eq!(u64::from(format.encode(rgb)) >> bpp, 0);
            }
        }
    }
}
