//! A number that a picture carries, readable by machine also after JPEG: 24 bits and a check of 8, as black and white
//! cells in two rows of 16.
//!
//! Stamps in several corners of one picture tell whether it arrived whole: they agree, or it is torn.

/// Side of a cell in pixels.
pub(crate) const CELL: u16 = 8;
/// Width of a stamp.
pub(crate) const WIDTH: u16 = 16 * CELL;
/// Height of a stamp.
pub(crate) const HEIGHT: u16 = 2 * CELL;

/// Numbers are counted modulo this.
pub(crate) const LIMIT: u32 = 1 << 24;

/// All 32 bits; never all alike, so that a blank area is no stamp. The web page's script computes the same.
fn word(number: u32) -> u32 {
    let number = number % LIMIT;
    let check = number.wrapping_mul(0x9e37_79b1) >> 24 ^ 0xa5;
    number << 8 | check
}

/// The pixels of row `y` (0 to [`HEIGHT`] − 1) of a stamp.
pub(crate) fn row(number: u32, y: u16) -> [u32; WIDTH as usize] {
    let half = word(number) >> if y < CELL { 16 } else { 0 };
    std::array::from_fn(|x| {
        let bit = 15 - x / usize::from(CELL);
        if half >> bit & 1 == 1 { 0xff_ffff } else { 0 }
    })
}

/// The number at a place of a picture; `None` when there is no stamp, or only a part of one.
pub(crate) fn read(picture: &[u32], width: usize, x: usize, y: usize) -> Option<u32> {
    let cell = usize::from(CELL);
    let mut bits = 0u32;
    for at in 0..32 {
        let (left, top) = (x + at % 16 * cell, y + at / 16 * cell);
        let mut sum = 0;
        // The middle of the cell: JPEG blurs its edges.
        for dy in 2..6 {
            let row = picture.get((top + dy) * width + left..)?.get(2..6)?;
            sum += row.iter().map(|p| p >> 8 & 0xff).sum::<u32>();
        }
        bits = bits << 1 | u32::from(sum > 16 * 128);
    }
    (word(bits >> 8) == bits).then_some(bits >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(number: u32) -> Vec<u32> {
        (0..HEIGHT).flat_map(|y| row(number, y)).collect()
    }

    #[test]
    fn what_is_drawn_is_read() {
        for number in [0, 1, 2, 77, 65_536, 1_234_567, LIMIT - 1] {
            assert_eq!(read(&drawn(number), WIDTH.into(), 0, 0), Some(number));
        }
    }

    #[test]
    fn half_of_one_and_half_of_the_next_is_none() {
        for number in 0..2000 {
            let (mut torn, next) = (drawn(number), drawn(number + 1));
            let half = torn.len() / 2;
            torn[half..].copy_from_slice(&next[half..]);
            let read = read(&torn, WIDTH.into(), 0, 0);
            assert!(read != Some(number), "{number}");
        }
    }

    #[test]
    fn an_even_area_is_none() {
        for colour in [0, 0xff_ffff, 0x80_8080] {
            let area = [colour; WIDTH as usize * HEIGHT as usize];
            assert_eq!(read(&area, WIDTH.into(), 0, 0), None);
        }
    }

    #[test]
    fn it_survives_jpeg() {
        let rgb: Vec<u8> = drawn(987_654)
            .iter()
            .flat_map(|p| [(p >> 16) as u8, (p >> 8) as u8, *p as u8])
            .collect();
        let image = turbojpeg::Image {
            pixels: rgb.as_slice(),
            width: WIDTH.into(),
            pitch: usize::from(WIDTH) * 3,
            height: HEIGHT.into(),
            format: turbojpeg::PixelFormat::RGB,
        };
        let file = turbojpeg::compress(image, 20, turbojpeg::Subsamp::Sub2x2).expect("compresses");
        let back = turbojpeg::decompress(&file, turbojpeg::PixelFormat::RGB).expect("a picture");
        let rgb = |p: &[u8]| u32::from(p[0]) << 16 | u32::from(p[1]) << 8 | u32::from(p[2]);
        let pixels: Vec<u32> = back.pixels.chunks(3).map(rgb).collect();
        assert_eq!(read(&pixels, back.pitch / 3, 0, 0), Some(987_654));
    }
}
