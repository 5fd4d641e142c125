//! Pictures that look like photos, and a video of them; all from a seed.

#[path = "../../integration/support/random.rs"]
mod random;
pub(crate) use random::Random;

impl Random {
    /// 0 to 1.
    fn part(&mut self) -> f32 {
        self.below(65_536) as f32 / 65_536.0
    }
}

/// A photo: light that falls off, cloudy textures of several scales, objects with edges, and the grain of a sensor.
pub(crate) fn photo(width: u16, height: u16, seed: u64) -> Vec<u32> {
    let (w, h) = (usize::from(width), usize::from(height));
    let mut random = Random::new(seed);
    let mut planes = [(); 3].map(|()| vec![0f32; w * h]);
    let base: [[f32; 2]; 3] =
        std::array::from_fn(|_| [60.0 + 120.0 * random.part(), random.part()]);
    for (plane, [level, slope]) in planes.iter_mut().zip(base) {
        for (y, row) in plane.chunks_mut(w).enumerate() {
            row.fill(level + (slope - 0.5) * 120.0 * y as f32 / h as f32);
        }
    }
    // Clouds: a lattice of random values for each scale, most of it common to the three colours.
    for (cell, strength) in [(240, 46.0), (96, 30.0), (36, 18.0), (12, 9.0), (4, 5.0)] {
        let (cols, rows) = (w / cell + 2, h / cell + 2);
        let lattice: Vec<f32> = (0..cols * rows).map(|_| random.part() - 0.5).collect();
        let tint: [f32; 3] = std::array::from_fn(|_| strength * (0.7 + 0.6 * random.part()));
        for y in 0..h {
            let (row, fy) = (y / cell, smooth((y % cell) as f32 / cell as f32));
            for x in 0..w {
                let (col, fx) = (x / cell, smooth((x % cell) as f32 / cell as f32));
                let at = |r: usize, c: usize| lattice[r * cols + c];
                let upper = at(row, col) + (at(row, col + 1) - at(row, col)) * fx;
                let lower = at(row + 1, col) + (at(row + 1, col + 1) - at(row + 1, col)) * fx;
                let value = upper + (lower - upper) * fy;
                for (plane, tint) in planes.iter_mut().zip(tint) {
                    plane[y * w + x] += value * tint * 2.0;
                }
            }
        }
    }
    for _ in 0..14 {
        let (cx, cy) = (random.part() * w as f32, random.part() * h as f32);
        let (rx, ry) = (30.0 + random.part() * 220.0, 30.0 + random.part() * 160.0);
        let add: [f32; 3] = std::array::from_fn(|_| random.part() * 140.0 - 70.0);
        let (top, bottom) = ((cy - ry).max(0.0) as usize, ((cy + ry) as usize).min(h));
        let (left, right) = ((cx - rx).max(0.0) as usize, ((cx + rx) as usize).min(w));
        for y in top..bottom {
            for x in left..right {
                let (dx, dy) = ((x as f32 - cx) / rx, (y as f32 - cy) / ry);
                let depth = 1.0 - dx * dx - dy * dy;
                if depth > 0.0 {
                    for (plane, add) in planes.iter_mut().zip(add) {
                        plane[y * w + x] += add * (0.5 + 0.5 * depth);
                    }
                }
            }
        }
    }
    let mut pixels = vec![0; w * h];
    for (i, pixel) in pixels.iter_mut().enumerate() {
        let grain = (random.below(9) + random.below(9)) as f32 - 8.0;
        for plane in &planes {
            let value = (plane[i] + grain * 0.5).clamp(0.0, 255.0) as u32;
            *pixel = *pixel << 8 | value;
        }
    }
    pixels
}

fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// Pictures of a video that moves everywhere: a slow pan over a photo, things that cross it, and fresh grain in each.
pub(crate) fn video(width: u16, height: u16, count: usize, seed: u64) -> Vec<Vec<u32>> {
    let (w, h) = (usize::from(width), usize::from(height));
    let (wide, high) = (width + 2 * count as u16, height + count as u16);
    let ground = photo(wide, high, seed);
    let sprite = photo(width / 3, height / 3, seed + 1);
    let (sw, sh) = (w / 3, h / 3);
    (0..count)
        .map(|n| {
            let mut random = Random::new(seed + 100 + n as u64);
            // There and back, so that it goes on without a cut.
            let way = if n < count / 2 {
                2 * n
            } else {
                2 * (count - n)
            };
            let turn = n as f32 / count as f32 * std::f32::consts::TAU;
            let sx = ((turn.sin() + 1.0) / 2.0 * (w - sw) as f32) as usize;
            let sy = ((turn.cos() + 1.0) / 2.0 * (h - sh) as f32) as usize;
            let mut picture = Vec::with_capacity(w * h);
            for y in 0..h {
                let row = &ground[(y + way / 2) * usize::from(wide) + way..][..w];
                picture.extend_from_slice(row);
            }
            for y in 0..sh {
                let to = (sy + y) * w + sx;
                picture[to..to + sw].copy_from_slice(&sprite[y * sw..(y + 1) * sw]);
            }
            for pixel in &mut picture {
                let grain = random.below(5) as i32 - 2;
                *pixel = [16, 8, 0].iter().fold(0, |rgb, shift| {
                    let value = (*pixel >> shift & 0xff) as i32 + grain;
                    rgb << 8 | value.clamp(0, 255) as u32
                });
            }
            picture
        })
        .collect()
}

/// Pictures of a cartoon: flat or hatched colours with dark outlines, over stripes that pass. All of it moves, and goes round.
pub(crate) fn cartoon(width: u16, height: u16, count: usize, seed: u64) -> Vec<Vec<u32>> {
    const STRIPE: usize = 48;
    const OUTLINE: f32 = 3.0;
    let (w, h) = (usize::from(width), usize::from(height));
    let mut random = Random::new(seed);
    let balls: Vec<Ball> = (0..220).map(|_| Ball::new(&mut random)).collect();
    let grounds = [0x9c_d0e8, 0xa8_d8ee];
    let draw = |n: usize| {
        let turn = n as f32 / count as f32;
        let pass = (turn * 2.0 * STRIPE as f32) as usize;
        let mut picture = Vec::with_capacity(w * h);
        for y in 0..h {
            picture.extend((0..w).map(|x| grounds[(x + y + pass) / STRIPE % 2]));
        }
        for ball in &balls {
            let angle = (ball.phase + turn * ball.turns) * std::f32::consts::TAU;
            let cx = (ball.centre[0] + 0.08 * angle.cos()) * w as f32;
            let cy = (ball.centre[1] + 0.08 * angle.sin()) * h as f32;
            let r = ball.radius * h as f32;
            let (top, bottom) = ((cy - r).max(0.0) as usize, ((cy + r) as usize + 1).min(h));
            let (left, right) = ((cx - r).max(0.0) as usize, ((cx + r) as usize + 1).min(w));
            for y in top..bottom {
                for x in left..right {
                    let (dx, dy) = (x as f32 - cx, y as f32 - cy);
                    let inside = r - dx.hypot(dy);
                    let lit = match ball.hatched && (x + 2 * y) / 7 % 2 == 0 {
                        true => inside - OUTLINE,
                        false => 0.6 * r - (dx + 0.3 * r).hypot(dy + 0.3 * r),
                    };
                    let pixel = &mut picture[y * w + x];
                    *pixel = mix(*pixel, 0x20_1c28, inside);
                    *pixel = mix(*pixel, ball.colour, inside - OUTLINE);
                    *pixel = mix(*pixel, ball.light, lit);
                }
            }
        }
        picture
    };
    (0..count).map(draw).collect()
}

/// A disc of a cartoon; lengths in parts of the picture.
struct Ball {
    centre: [f32; 2],
    radius: f32,
    /// Where on its round it begins, and how often it goes round.
    phase: f32,
    turns: f32,
    colour: u32,
    light: u32,
    hatched: bool,
}

impl Ball {
    fn new(random: &mut Random) -> Self {
        let colour = 0x30_3030 + (random.next() & 0x7f_7f7f);
        Self {
            centre: [random.part(), random.part()],
            radius: 0.02 + 0.08 * random.part(),
            phase: random.part(),
            turns: 1.0 + random.below(2) as f32,
            colour,
            light: colour + 0x38_3838,
            hatched: random.below(2) == 0,
        }
    }
}

/// A pixel of which so much is another colour.
fn mix(ground: u32, colour: u32, part: f32) -> u32 {
    let part = (part.clamp(0.0, 1.0) * 256.0) as u32;
    [16, 8, 0].iter().fold(0, |rgb, shift| {
        let channel = |pixel: u32| pixel >> shift & 0xff;
        rgb << 8 | (channel(ground) * (256 - part) + channel(colour) * part) >> 8
    })
}

/// A document: dark glyphs of two colours in lines on white, as a window's content.
pub(crate) fn document(width: u16, height: u16, seed: u64) -> Vec<u32> {
    let (w, h) = (usize::from(width), usize::from(height));
    let mut random = Random::new(seed);
    let glyphs: Vec<u32> = (0..96).map(|_| random.next() & random.next()).collect();
    let mut pixels = vec![0xff_ffff; w * h];
    for line in 0..h / 16 {
        let ink = if line % 7 == 0 { 0x20_40a0 } else { 0x20_2020 };
        let length = (w / 8) * (40 + random.below(55) as usize) / 100;
        for column in 1..length {
            if random.below(6) == 0 {
                continue;
            }
            let glyph = glyphs[random.below(96) as usize];
            for bit in 0..30usize {
                let (x, y) = (column * 8 + bit % 5, line * 16 + 3 + bit / 5 * 2);
                if glyph >> bit & 1 == 1 {
                    pixels[y * w + x] = ink;
                    pixels[(y + 1) * w + x] = ink;
                }
            }
        }
    }
    pixels
}

/// A desktop's ground: a soft slope from one colour to another.
pub(crate) fn slope(width: u16, height: u16) -> Vec<u32> {
    let ends = [[0x18, 0x30, 0x58], [0x50, 0x70, 0x88]];
    let row = |y: u32| {
        (0..3).fold(0, |rgb, c| {
            let mixed = ends[0][c] * (u32::from(height) - y) + ends[1][c] * y;
            rgb << 8 | (mixed / u32::from(height))
        })
    };
    (0..u32::from(height))
        .flat_map(|y| std::iter::repeat_n(row(y), width.into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_pictures_that_move() {
        assert_eq!(photo(64, 48, 7), photo(64, 48, 7));
        assert_ne!(photo(64, 48, 7), photo(64, 48, 8));
        for (film, still) in [(video(96, 60, 4, 1), 2), (cartoon(96, 60, 4, 1), 1)] {
            assert_eq!(film.len(), 4);
            for pair in film.windows(2) {
                let same = pair[0].iter().zip(&pair[1]).filter(|(a, b)| a == b).count();
                assert!(same < 96 * 60 / still, "{same} of {} stand still", 96 * 60);
            }
        }
    }
}
