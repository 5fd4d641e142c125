//! What a picture would lose if one sample of colour stood for four pixels (4:2:0).
//!
//! Of most videos nothing that anybody sees: they come with so little colour. Of titles, drawings and neon signs, all that
//! their edges are made of. A few strips tell: of each block of two by two pixels in them, how far the four are from what
//! they would be with their own brightness and the colour of all.

use super::quality::JpegQuality;
use crate::pixel::{Frame, Rect};

/// Mean square error of a block that JPEG would not have kept apart in full colour either: grain.
const GRAIN: i32 = 40;

/// Mean square error of all blocks, grain left out, that the bytes saved do not make up for: of 219 pieces of photos and
/// drawings those above it lose 1.5 dB in the median by [`JpegQuality::moving`], those below 0.3.
const WORTH: f32 = 2.0;

/// Parts of fewer pixels are looked at more closely, in two steps.
const LITTLE: u32 = 16 << 10;
const MUCH: u32 = 64 << 10;

/// The quality of a part of the picture that another one follows at once.
pub(super) fn of_film(frame: &Frame, rect: Rect, quality: JpegQuality) -> JpegQuality {
    let thinned = quality.moving();
    if thinned == quality || loss(frame, rect) <= WORTH {
        thinned
    } else {
        quality
    }
}

/// Mean square error by thinned out colour, grain left out.
fn loss(frame: &Frame, rect: Rect) -> f32 {
    let pitch = usize::from(frame.width());
    let (width, height) = (usize::from(rect.w), usize::from(rect.h));
    let (mut errors, mut blocks) = (0, 0);
    // Of so many rows two are looked at, and of those one strip of so many, each time another: few enough that no line of
    // letters lies between, and in a small part that no edge does.
    let (rows_apart, strips_apart) = match rect.area() {
        0..LITTLE => (2, 1),
        LITTLE..MUCH => (4, 2),
        _ => (8, 4),
    };
    // Blocks begin where JPEG's do.
    for (n, down) in (0..height.saturating_sub(1))
        .step_by(rows_apart)
        .enumerate()
    {
        let start = (usize::from(rect.y) + down) * pitch + usize::from(rect.x);
        let rows = &frame.pixels()[start..start + pitch + width];
        let (upper, _) = rows[..width].as_chunks::<LANES>();
        let (lower, _) = rows[pitch..].as_chunks::<LANES>();
        let strips = upper
            .iter()
            .zip(lower)
            .skip(n % strips_apart)
            .step_by(strips_apart);
        for (upper, lower) in strips {
            errors += i64::from(block_errors(upper, lower));
            blocks += LANES / 2;
        }
    }
    errors as f32 / (UNIT * blocks.max(1) as i64) as f32
}

/// Pixels that are looked at together, on each of two rows.
const LANES: usize = 16;

/// What [`from_mean`] makes of a difference of 1.
const STEP: i32 = 32;

/// The squares of a block's four reds and blues that are a mean square error of 1: of twelve values, the greens of which add a fifth
/// to those of the others.
const SQUARES: i32 = STEP * STEP * 10;

/// What [`block_errors`] makes of a mean square error of 1: each block counts for its left and for its right half.
const UNIT: i64 = 2 * (SQUARES >> SPARE) as i64;

/// Bits of the squares that are not needed in their sum.
const SPARE: u32 = 6;

/// The sum over the blocks of two strips.
fn block_errors(upper: &[u32; LANES], lower: &[u32; LANES]) -> i32 {
    let (upper, lower) = (differences(upper), differences(lower));
    let mut squares = [0; LANES];
    for row in [&upper, &lower] {
        let red = from_mean(&row.0, &upper.0, &lower.0);
        let blue = from_mean(&row.1, &upper.1, &lower.1);
        for i in 0..LANES {
            let (red, blue) = (i32::from(red[i]), i32::from(blue[i]));
            squares[i] += red * red + blue * blue;
        }
    }
    let mut sum = 0;
    for i in 0..LANES {
        let block = squares[i] + squares[i ^ 1];
        sum += if block > GRAIN * SQUARES {
            block >> SPARE
        } else {
            0
        };
    }
    sum
}

/// How far red and blue are above the brightness, in sixteenths.
fn differences(row: &[u32; LANES]) -> ([i16; LANES], [i16; LANES]) {
    let (mut reds, mut blues) = ([0; LANES], [0; LANES]);
    for i in 0..LANES {
        let channel = |shift: u32| (row[i] >> shift & 0xff) as i16;
        let (red, green, blue) = (channel(16), channel(8), channel(0));
        reds[i] = 11 * red - 9 * green - 2 * blue;
        blues[i] = 14 * blue - 9 * green - 5 * red;
    }
    (reds, blues)
}

/// How far the differences of a row are above the mean of their block, in halves.
fn from_mean(row: &[i16; LANES], upper: &[i16; LANES], lower: &[i16; LANES]) -> [i16; LANES] {
    let mut all = [0; LANES];
    for i in 0..LANES {
        let sum = upper[i] + lower[i] + upper[i ^ 1] + lower[i ^ 1];
        all[i] = (4 * row[i] - sum) >> 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::jpeg::Jpeg;
    use crate::encode::quality::Subsampling;
    use proptest::prelude::*;

    fn frame(w: u16, h: u16, f: impl Fn(u32, u32) -> [i32; 3]) -> Frame {
        let mut frame = Frame::new(w, h);
        for y in 0..h {
            for (x, pixel) in (0..).zip(frame.row_mut(y)) {
                let colour = f(x, y.into()).into_iter();
                *pixel = colour.fold(0, |rgb, c| rgb << 8 | c.clamp(0, 255) as u32);
            }
        }
        frame
    }

    /// A number that looks random, for a place.
    fn hash(x: u32, y: u32) -> u32 {
        let n =
            (x.wrapping_mul(0x85eb_ca6b) ^ y.wrapping_mul(0xc2b2_ae35)).wrapping_mul(0x27d4_eb2f);
        n ^ n >> 15
    }

    /// Hills in the evening: soft colours with grain.
    fn hills(x: u32, y: u32) -> [i32; 3] {
        let wave = |x: u32, of: f32| (x as f32 / of).sin() * 40.0;
        let light = (120.0 + wave(x, 37.0) + wave(y, 23.0)) as i32;
        let grain = |n: u32| (hash(x, y) >> n & 7) as i32 - 4;
        [
            light + 30 + grain(0),
            light + (y / 8) as i32 + grain(4),
            light - 20 + grain(8),
        ]
    }

    /// Titles in red and blue over them.
    fn titles(x: u32, y: u32) -> [i32; 3] {
        match (x / 3 % 5, y / 4 % 6) {
            (0, 0..4) if y % 48 < 24 => [230, 10, 20],
            (2, 1..5) if y % 48 < 24 => [20, 30, 220],
            _ => hills(x, y),
        }
    }

    /// Mean square error of the picture that arrives.
    fn arrives_with(frame: &Frame, quality: JpegQuality) -> f64 {
        let mut jpeg = Jpeg::default();
        let file = jpeg.compress(frame, frame.bounds(), quality).expect("room");
        let picture = turbojpeg::decompress(file, turbojpeg::PixelFormat::BGRX).expect("whole");
        let sent = bytemuck::cast_slice::<u32, u8>(frame.pixels()).chunks(4);
        let errors = sent.zip(picture.pixels.chunks(4)).flat_map(|(sent, seen)| {
            (0..3).map(|n| f64::from(i32::from(sent[n]) - i32::from(seen[n])).powi(2))
        });
        errors.sum::<f64>() / (3.0 * f64::from(frame.bounds().area()))
    }

    #[test]
    fn soft_colours_are_thinned_and_titles_are_not() {
        let level = JpegQuality::of_level(6);
        let quality = |frame: &Frame| of_film(frame, frame.bounds(), level);
        let soft = frame(640, 240, hills);
        assert_eq!(quality(&soft), level.moving());
        // It looks no worse for it.
        let (full, thinned) = (
            arrives_with(&soft, level),
            arrives_with(&soft, level.moving()),
        );
        assert!(thinned < full * 1.1, "{full} {thinned}");
        let sharp = frame(640, 240, titles);
        assert_eq!(quality(&sharp), level);
        let (full, thinned) = (
            arrives_with(&sharp, level),
            arrives_with(&sharp, level.moving()),
        );
        assert!(thinned > full * 2.0, "{full} {thinned}");
    }

    #[test]
    fn what_somebody_asked_for_stays() {
        let sharp = frame(64, 64, titles);
        let asked = JpegQuality::of_level(6).with_subsampling(Subsampling::Quarter);
        assert_eq!(of_film(&sharp, sharp.bounds(), asked), asked);
        let coarse = JpegQuality::of_level(1);
        assert_eq!(of_film(&sharp, sharp.bounds(), coarse), coarse);
    }

    proptest! {
        /// That of the definition, without shortcuts.
        #[test]
        fn the_loss_is_the_mean_square_error(seed: u32, strong in any::<bool>()) {
            let picture = frame(64, 32, |x, y| {
                let n = hash(x ^ seed, y);
                let strength = if strong { 255 } else { 31 };
                [n, n >> 8, n >> 16].map(|n| 40 + (n & strength) as i32)
            });
            let mut exact = 0.0;
            for (x, y) in (0..64).step_by(2).flat_map(|x| (0..32).step_by(2).map(move |y| (x, y))) {
                let colours = [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)].map(|(x, y)| {
                    let pixel = picture.row(y)[x];
                    let [r, g, b] = [16, 8, 0].map(|shift| f64::from(pixel >> shift & 0xff));
                    let light = 0.299 * r + 0.587 * g + 0.114 * b;
                    (r - light, b - light)
                });
                let mean = |of: fn(&(f64, f64)) -> f64| colours.iter().map(of).sum::<f64>() / 4.0;
                let (red, blue) = (mean(|c| c.0), mean(|c| c.1));
                let block = colours.iter().map(|c| {
                    let (r, b) = (c.0 - red, c.1 - blue);
                    r * r + b * b + (0.509 * r + 0.194 * b).powi(2)
                });
                let block = block.sum::<f64>() / 12.0;
                if block > f64::from(GRAIN) {
                    exact += block / 512.0;
                }
            }
            let seen = f64::from(loss(&picture, picture.bounds()));
            // Green is counted for a fifth of the others, and at the threshold it matters.
            prop_assert!((seen - exact).abs() <= exact * 0.25 + 2.0, "{seen} {exact}");
        }

        #[test]
        fn any_place_and_size_will_do(x in 0u16..64, y in 0u16..64, w in 1u16..64, h in 1u16..64) {
            let grey = frame(128, 128, |x, y| [(hash(x, y) & 0xff) as i32; 3]);
            prop_assert_eq!(loss(&grey, Rect::new(x, y, w, h)), 0.0);
        }
    }
}
