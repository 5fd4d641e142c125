//! Small state that goes to viewers beside the picture.

use std::fmt;

use crate::pixel::Point;

/// The shape of the pointer.
#[derive(Clone, PartialEq, Eq)]
pub struct CursorImage {
    /// Width in pixels; 0 when there is no pointer to show.
    pub width: u16,
    /// Height in pixels; 0 when there is no pointer to show.
    pub height: u16,
    /// The pixel of the image that points.
    pub hot: Point,
    /// Straight (not premultiplied) R, G, B, A; `width * height * 4` bytes, row by row.
    pub rgba: Vec<u8>,
}

impl CursorImage {
    /// A shape from premultiplied `0xAARRGGBB` pixels, as XFixes and Xcursor have them. Pixels that `premultiplied`
    /// lacks are transparent, those beyond `width * height` are ignored.
    pub fn from_premultiplied(width: u16, height: u16, hot: Point, premultiplied: &[u32]) -> Self {
        let area = usize::from(width) * usize::from(height);
        let mut rgba = Vec::with_capacity(area * 4);
        let pixels = premultiplied.iter().copied().chain(std::iter::repeat(0));
        for pixel in pixels.take(area) {
            let alpha = pixel >> 24;
            // Rounded, and clamped because a careless program may hand in colours above their alpha.
            let straight = |c: u32| match alpha {
                0 => 0,
                a => ((c * 255 + a / 2) / a).min(255) as u8,
            };
            rgba.extend([
                straight(pixel >> 16 & 0xff),
                straight(pixel >> 8 & 0xff),
                straight(pixel & 0xff),
                alpha as u8,
            ]);
        }
        Self {
            width,
            height,
            hot,
            rgba,
        }
    }
}

impl fmt::Debug for CursorImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CursorImage({}x{}, hot {},{})",
            self.width, self.height, self.hot.x, self.hot.y
        )
    }
}

/// The lights of a keyboard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leds {
    /// Scroll Lock.
    pub scroll: bool,
    /// Num Lock.
    pub num: bool,
    /// Caps Lock.
    pub caps: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_transparent_white_is_white() {
        let image = CursorImage::from_premultiplied(
            2,
            1,
            Point { x: 1, y: 0 },
            &[0x8080_8080, 0x0000_0000],
        );
        assert_eq!(image.rgba, [255, 255, 255, 128, 0, 0, 0, 0]);
    }

    #[test]
    fn too_few_pixels_are_transparent() {
        let image = CursorImage::from_premultiplied(2, 2, Point::default(), &[0xff01_0203]);
        assert_eq!(
            image.rgba,
            [1, 2, 3, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        );
    }

    proptest! {
        #[test]
        fn premultiplied_again_it_is_the_same(alpha in 0u32..256, colour in 0u32..256) {
            let premultiplied = (colour * alpha + 127) / 255;
            let pixel = alpha << 24 | premultiplied << 8;
            let image = CursorImage::from_premultiplied(1, 1, Point::default(), &[pixel]);
            let back = (u32::from(image.rgba[1]) * alpha + 127) / 255;
            prop_assert_eq!(back, premultiplied);
            prop_assert_eq!(u32::from(image.rgba[3]), alpha);
        }
    }
}
