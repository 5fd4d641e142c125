//! What is encoded.

use std::fmt;

use deskinit::pixel::Frame;

use crate::picture::{self, Random};

/// Size of every picture.
pub(crate) const SIZE: (u16, u16) = (1280, 720);
/// Its pixels.
pub(crate) const PIXELS: u64 = 1280 * 720;

/// A kind of content.
#[derive(Clone, Copy)]
pub(crate) enum Content {
    /// Glyphs of few colours on black.
    Terminal,
    /// Glyphs with soft edges on white.
    SmoothText,
    Photo,
    Gradient,
    Solid,
}

/// All of them.
pub(crate) const CONTENTS: [Content; 5] = [
    Content::Terminal,
    Content::SmoothText,
    Content::Photo,
    Content::Gradient,
    Content::Solid,
];

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminal => "terminal",
            Self::SmoothText => "smooth text",
            Self::Photo => "photo",
            Self::Gradient => "gradient",
            Self::Solid => "solid",
        })
    }
}

/// Draws it.
pub(crate) fn frame(content: Content) -> Frame {
    let (w, h) = SIZE;
    let pixels = match content {
        Content::Terminal => terminal(picture::document(w, h, 1)),
        Content::SmoothText => smooth(&picture::document(w, h, 1)),
        Content::Photo => picture::photo(w, h, 1),
        Content::Gradient => picture::slope(w, h),
        Content::Solid => vec![0x33_6699; usize::from(w) * usize::from(h)],
    };
    let mut frame = Frame::new(w, h);
    for (y, row) in (0..h).zip(pixels.chunks(w.into())) {
        frame.row_mut(y).copy_from_slice(row);
    }
    frame
}

/// Light on black, each line in a colour of its own.
fn terminal(mut pixels: Vec<u32>) -> Vec<u32> {
    let mut random = Random::new(4);
    let colours = [0xd0_d0d0, 0xcd_3131, 0x0d_bc79, 0xe5_e510];
    for line in pixels.chunks_mut(16 * usize::from(SIZE.0)) {
        let ink = colours[random.below(4) as usize];
        for pixel in line {
            *pixel = if *pixel == 0xff_ffff { 0 } else { ink };
        }
    }
    pixels
}

/// Each pixel mixed with its right and lower neighbours.
fn smooth(pixels: &[u32]) -> Vec<u32> {
    let w = usize::from(SIZE.0);
    let near = |i: usize, shift: u32| {
        let at = |i: usize| pixels.get(i).copied().unwrap_or(0xff_ffff) >> shift & 0xff;
        (at(i) + at(i + 1) + at(i + w) + at(i + w + 1)) / 4
    };
    let mixed = |i| [16, 8, 0].iter().fold(0, |rgb, s| rgb << 8 | near(i, *s));
    (0..pixels.len()).map(mixed).collect()
}
