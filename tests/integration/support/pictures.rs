//! Pictures that look like what screens show, made from a seed.

use deskinit::pixel::{Frame, Rect};

pub(crate) use super::random::Random;

impl Random {
    pub(crate) fn colour(&mut self) -> u32 {
        self.next() & 0x00ff_ffff
    }

    /// A rectangle within `bounds`, not empty unless `bounds` is.
    pub(crate) fn rect(&mut self, bounds: Rect) -> Rect {
        let (x, y) = (self.below(bounds.w.into()), self.below(bounds.h.into()));
        let w = 1 + self.below(u32::from(bounds.w) - x);
        let h = 1 + self.below(u32::from(bounds.h) - y);
        Rect::new(bounds.x + x as u16, bounds.y + y as u16, w as u16, h as u16)
    }
}

/// What to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    /// One colour.
    Fill,
    /// Glyphs of two colours, as in xterm.
    Text,
    /// Glyphs with soft edges.
    SmoothText,
    /// From one colour to another.
    Gradient,
    /// Waves of colour with a little grain: a photo.
    Photo,
    /// Every pixel another.
    Noise,
}

/// All of them.
pub(crate) const CONTENTS: [Content; 6] = [
    Content::Fill,
    Content::Text,
    Content::SmoothText,
    Content::Gradient,
    Content::Photo,
    Content::Noise,
];

/// Draws into a rectangle of a frame.
pub(crate) fn draw(frame: &mut Frame, rect: Rect, content: Content, random: &mut Random) {
    let (ground, ink) = (random.colour(), random.colour());
    let glyphs: Vec<u32> = (0..128).map(|_| random.next() & random.next()).collect();
    let text: Vec<u32> = (0..97).map(|_| random.below(128)).collect();
    let phases: Vec<f32> = (0..6).map(|_| random.below(628) as f32 / 100.0).collect();
    // A glyph is 6 × 12 with a blank line and column; each row of it takes bits of its number.
    let glyph = |x: u16, y: u16| {
        let (col, line) = (u32::from(x / 6), u32::from(y / 12));
        let g = glyphs[text[((col + line * 31) % 97) as usize] as usize];
        let bit = u32::from(x % 6) + 5 * (u32::from(y % 12) / 2);
        x % 6 != 5 && y % 12 != 11 && g >> (bit % 32) & 1 == 1
    };
    for y in rect.y..rect.bottom() {
        let row = frame.row_mut(y);
        for x in rect.x..rect.right() {
            let (dx, dy) = (x - rect.x, y - rect.y);
            row[usize::from(x)] = match content {
                Content::Fill => ground,
                Content::Text => {
                    if glyph(dx, dy) {
                        ink
                    } else {
                        ground
                    }
                }
                Content::SmoothText => {
                    let near = [(0, 0), (0, 1), (1, 0), (1, 1)];
                    let covered = near.iter().filter(|(a, b)| glyph(dx + a, dy + b)).count();
                    blend(ground, ink, covered as u32, 4)
                }
                Content::Gradient => blend(ground, ink, u32::from(dy), u32::from(rect.h)),
                Content::Photo => {
                    let (fx, fy) = (f32::from(dx) / 60.0, f32::from(dy) / 45.0);
                    let channel = |c: usize| {
                        let wave = (fx * (1.0 + c as f32 / 7.0) + phases[c]).sin()
                            + (fy + fx * 0.3 + phases[c + 3]).cos();
                        (wave * 55.0 + 128.0) as u32
                    };
                    let grain = random.below(7);
                    (0..3).fold(0, |rgb, c| rgb << 8 | (channel(c) + grain).min(255))
                }
                Content::Noise => random.colour(),
            };
        }
    }
}

/// A frame filled with a few things.
pub(crate) fn picture(width: u16, height: u16, seed: u64, things: u32) -> Frame {
    let mut random = Random::new(seed);
    let mut frame = Frame::new(width, height);
    for _ in 0..things {
        let rect = random.rect(frame.bounds());
        let content = CONTENTS[random.below(CONTENTS.len() as u32) as usize];
        draw(&mut frame, rect, content, &mut random);
    }
    frame
}

fn blend(a: u32, b: u32, part: u32, of: u32) -> u32 {
    [16, 8, 0].into_iter().fold(0, |rgb, shift| {
        let (a, b) = (a >> shift & 0xff, b >> shift & 0xff);
        (rgb << 8) | ((a * (of - part) + b * part) / of)
    })
}
