//! How the X server lays out the pixels of its root window, and how they become ours.

use std::fmt;

use x11rb::protocol::xproto::{ImageOrder, Screen, Setup, VisualClass};

/// The upper byte of a native pixel holds anything.
pub(super) const RGB: u32 = 0x00ff_ffff;

/// The layout of a ZPixmap of the root window.
///
/// INVARIANT: true colour; 1 to 4 bytes per pixel; the bits of a scan line's padding are a multiple of 8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    depth: u8,
    bytes_per_pixel: usize,
    /// Rows are padded to a multiple of so many bytes.
    row_multiple: usize,
    big_endian: bool,
    /// Red, green, blue.
    channels: [Channel; 3],
    /// See [`Layout::is_native`]; asked for every row of a picture.
    native: bool,
}

/// A contiguous mask of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channel {
    shift: u32,
    max: u32,
}

/// Why this display cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LayoutError {
    /// The root window's visual is missing from the server's own list.
    NoVisual,
    /// A palette or grey scales.
    NotTrueColour { depth: u8 },
    /// A layout that no server in use has.
    Unknown { depth: u8, bits_per_pixel: u8 },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVisual => write!(f, "the X server does not describe its root window"),
            Self::NotTrueColour { depth } => write!(
                f,
                "the X screen has a palette (depth {depth}): start it with depth 16 or 24"
            ),
            Self::Unknown {
                depth,
                bits_per_pixel,
            } => write!(
                f,
                "the X screen has pixels of {bits_per_pixel} bits with depth {depth}: start it with depth 16 or 24"
            ),
        }
    }
}

impl Channel {
    fn new(mask: u32) -> Option<Self> {
        let shift = mask.checked_ilog2().map(|_| mask.trailing_zeros())?;
        let max = mask >> shift;
        // Contiguous, and narrow enough for the multiplication below.
        (max & max.wrapping_add(1) == 0 && max <= 0xffff).then_some(Self { shift, max })
    }

    /// 0–255, rounded to nearest.
    fn of(self, pixel: u32) -> u32 {
        ((pixel >> self.shift & self.max) * 255 + self.max / 2) / self.max
    }
}

impl Layout {
    /// The layout of a screen's root window.
    pub(super) fn of_root(setup: &Setup, screen: &Screen) -> Result<Self, LayoutError> {
        let depth = screen.root_depth;
        let visual = screen
            .allowed_depths
            .iter()
            .flat_map(|d| &d.visuals)
            .find(|v| v.visual_id == screen.root_visual)
            .ok_or(LayoutError::NoVisual)?;
        if visual.class != VisualClass::TRUE_COLOR && visual.class != VisualClass::DIRECT_COLOR {
            return Err(LayoutError::NotTrueColour { depth });
        }
        let format = setup
            .pixmap_formats
            .iter()
            .find(|f| f.depth == depth)
            .ok_or(LayoutError::NoVisual)?;
        Self::new(
            depth,
            format.bits_per_pixel,
            format.scanline_pad,
            setup.image_byte_order == ImageOrder::MSB_FIRST,
            [visual.red_mask, visual.green_mask, visual.blue_mask],
        )
        .ok_or(LayoutError::Unknown {
            depth,
            bits_per_pixel: format.bits_per_pixel,
        })
    }

    fn new(
        depth: u8,
        bits_per_pixel: u8,
        row_bits: u8,
        big_endian: bool,
        masks: [u32; 3],
    ) -> Option<Self> {
        let [red, green, blue] = masks.map(Channel::new);
        let whole_bytes = matches!(bits_per_pixel, 8 | 16 | 24 | 32)
            && row_bits.is_multiple_of(8)
            && row_bits != 0;
        if !whole_bytes {
            return None;
        }
        let channels = [red?, green?, blue?];
        let ours = [(16, 255), (8, 255), (0, 255)];
        Some(Self {
            depth,
            bytes_per_pixel: usize::from(bits_per_pixel / 8),
            row_multiple: usize::from(row_bits / 8),
            big_endian,
            channels,
            native: bits_per_pixel == 32
                && big_endian == cfg!(target_endian = "big")
                && channels.map(|c| (c.shift, c.max)) == ours,
        })
    }

    /// Bits of colour in a pixel.
    pub(super) const fn depth(&self) -> u8 {
        self.depth
    }

    /// Bytes of one pixel.
    pub(super) const fn bytes_per_pixel(&self) -> usize {
        self.bytes_per_pixel
    }

    /// Bytes of one row of an image.
    pub(super) const fn stride(&self, width: u16) -> usize {
        (width as usize * self.bytes_per_pixel).next_multiple_of(self.row_multiple)
    }

    /// True when a pixel, read as a word of this machine and masked with [`RGB`], is already ours.
    pub(super) const fn is_native(&self) -> bool {
        self.native
    }

    /// Converts pixels as they lie in an image to `0x00RRGGBB`, as many as both slices hold.
    pub(super) fn convert(&self, bytes: &[u8], out: &mut [u32]) {
        if self.is_native() {
            for (pixel, out) in bytes.as_chunks().0.iter().zip(out) {
                *out = u32::from_ne_bytes(*pixel) & RGB;
            }
            return;
        }
        let [red, green, blue] = self.channels;
        for (pixel, out) in bytes.chunks_exact(self.bytes_per_pixel).zip(out) {
            let word = |acc: u32, byte: &u8| acc << 8 | u32::from(*byte);
            let value = if self.big_endian {
                pixel.iter().fold(0, word)
            } else {
                pixel.iter().rev().fold(0, word)
            };
            *out = red.of(value) << 16 | green.of(value) << 8 | blue.of(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_layout_is_native() {
        let masks = [0xff_0000, 0xff00, 0xff];
        let layout = Layout::new(24, 32, 32, false, masks).expect("usual");
        assert!(layout.is_native());
        assert_eq!(layout.stride(3), 12);
        let mut out = [0; 2];
        layout.convert(&[0x33, 0x22, 0x11, 0xff, 6, 5, 4, 0], &mut out);
        assert_eq!(out, [0x11_2233, 0x04_0506]);
        assert!(
            !Layout::new(24, 32, 32, true, masks)
                .expect("swapped")
                .is_native()
        );
    }

    #[test]
    fn sixteen_bits_are_spread_over_the_whole_range() {
        let layout = Layout::new(16, 16, 32, false, [0xf800, 0x07e0, 0x001f]).expect("565");
        assert!(!layout.is_native());
        assert_eq!(layout.stride(3), 8);
        let mut out = [0; 3];
        layout.convert(&[0xff, 0xff, 0x00, 0xf8, 0x1f, 0x00], &mut out);
        assert_eq!(out, [0xff_ffff, 0xff_0000, 0x00_00ff]);
    }

    #[test]
    fn thirty_bits_and_packed_and_swapped_pixels() {
        let deep = Layout::new(30, 32, 32, false, [0x3ff0_0000, 0xf_fc00, 0x3ff]).expect("30");
        let mut out = [0; 1];
        deep.convert(&0x3ff0_0000u32.to_le_bytes(), &mut out);
        assert_eq!(out, [0xff_0000]);
        let packed = Layout::new(24, 24, 32, true, [0xff_0000, 0xff00, 0xff]).expect("packed");
        packed.convert(&[1, 2, 3], &mut out);
        assert_eq!(out, [0x01_0203]);
        assert_eq!(packed.stride(1), 4);
    }

    #[test]
    fn odd_layouts_are_refused() {
        assert_eq!(Layout::new(4, 4, 32, false, [8, 4, 2]), None);
        assert_eq!(Layout::new(24, 32, 32, false, [0, 0xff00, 0xff]), None);
        assert_eq!(
            Layout::new(24, 32, 32, false, [0x5a_0000, 0xff00, 0xff]),
            None
        );
        assert_eq!(
            Layout::new(24, 32, 32, false, [0xffff_ffff, 0xff00, 0xff]),
            None
        );
    }
}
