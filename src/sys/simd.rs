//! Vectors of 256 bits (AVX2), for CPUs that have them: every x86-64 has 128, and that is what the program is built for.
//!
//! Only what gains by them and what the compiler does not find by itself is here; what looks into the memory of another
//! process is in `shm::compare`. The instructions are safe; to run them where there are none is not.

/// Pixels, `0x00RRGGBB`, that go together.
pub type Pixels = [u32; 32];
/// Samples of luma: one for each pixel.
pub type Luma = [u8; 32];
/// Samples of a colour difference: one for two pixels and the two below them.
pub type Chroma = [u8; 16];

/// Proof that this CPU has AVX2.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

/// Other CPUs have none.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy, Debug)]
pub enum Avx2 {}

/// Two rows of pixels as luma and colour differences, all of the same length.
#[derive(Debug)]
pub struct Rows<'a> {
    /// The pixels, row by row.
    pub pixels: [&'a [Pixels]; 2],
    /// Where their luma goes, row by row.
    pub luma: [&'a mut [Luma]; 2],
    /// Where the differences go: blue, red.
    pub chroma: [&'a mut [Chroma]; 2],
}

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    /// Looks for it.
    pub fn detect() -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// Makes JFIF's YCbCr (ITU-R BT.601, all of the range) of pixels. A difference is that of the four pixels' mean.
    pub fn to_ycc(self, rows: Rows<'_>) {
        // SAFETY: whoever has an `Avx2` has it from `detect`, which found what `ycc::convert` needs.
        unsafe { ycc::convert(rows) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Avx2 {
    /// Looks for it.
    pub const fn detect() -> Option<Self> {
        None
    }

    /// Makes JFIF's YCbCr of pixels.
    pub fn to_ycc(self, _rows: Rows<'_>) {
        match self {}
    }
}

#[cfg(target_arch = "x86_64")]
mod ycc {
    use std::arch::x86_64::*;

    use super::{Chroma, Luma, Pixels, Rows};

    /// Eight pixels, or what becomes of them.
    type Vector = __m256i;

    /// Bits behind the point of a weight.
    const POINT: i32 = 15;

    /// What each colour counts for luma, or for one of the differences, laid out as the colours are in a [`Split`].
    struct Weights {
        blue_red: i32,
        green: i32,
    }

    /// Of blue, green and red, in 2^-15: the fractions of JFIF, rounded so that they add up to 1, or to 0.
    const fn weights(blue: i32, green: i32, red: i32) -> Weights {
        Weights {
            blue_red: red << 16 | blue & 0xffff,
            green: green & 0xffff,
        }
    }

    const Y: Weights = weights(3736, 19234, 9798);
    const CB: Weights = weights(16384, -10855, -5529);
    const CR: Weights = weights(-2664, -13720, 16384);

    // No closure may go from here into a function from elsewhere, `map` for one: that has not these instructions, and so
    // would have to call it for each vector.

    #[target_feature(enable = "avx2")]
    pub(super) fn convert(rows: Rows<'_>) {
        let ([top, bottom], [above, below], [blue, red]) = (rows.pixels, rows.luma, rows.chroma);
        let pixels = top.iter().zip(bottom);
        let luma = above.iter_mut().zip(below);
        let chroma = blue.iter_mut().zip(red);
        for (((top, bottom), (above, below)), (blue, red)) in pixels.zip(luma).zip(chroma) {
            let (top, bottom) = (split(top), split(bottom));
            *above = luma_of(&top);
            *below = luma_of(&bottom);
            (*blue, *red) = chroma_of(&top, &bottom);
        }
    }

    /// The colours of eight pixels, each a word of 16 bits: blue and red, and green beside nothing.
    #[derive(Clone, Copy)]
    struct Split {
        blue_red: Vector,
        green: Vector,
    }

    #[target_feature(enable = "avx2")]
    fn split(pixels: &Pixels) -> [Split; 4] {
        let low = _mm256_set1_epi32(0x00ff_00ff);
        let split = |pixels| Split {
            blue_red: _mm256_and_si256(pixels, low),
            green: _mm256_and_si256(_mm256_srli_epi32::<8>(pixels), low),
        };
        let [a, b, c, d] = bytemuck::cast(*pixels);
        [split(a), split(b), split(c), split(d)]
    }

    /// Of each of eight pixels the weighted sum of its colours and `more`, less the lowest bits.
    #[target_feature(enable = "avx2")]
    fn weigh<const BITS: i32>(colours: &Split, weights: &Weights, more: i32) -> Vector {
        let of = |colours, weights| _mm256_madd_epi16(colours, _mm256_set1_epi32(weights));
        let blue_red = of(colours.blue_red, weights.blue_red);
        let sum = _mm256_add_epi32(blue_red, of(colours.green, weights.green));
        _mm256_srli_epi32::<BITS>(_mm256_add_epi32(sum, _mm256_set1_epi32(more)))
    }

    #[target_feature(enable = "avx2")]
    fn luma_of([a, b, c, d]: &[Split; 4]) -> Luma {
        let luma = |pixels| weigh::<POINT>(pixels, &Y, 1 << (POINT - 1));
        // Packing goes on by itself in each half of a vector.
        let ab = _mm256_packs_epi32(luma(a), luma(b));
        let cd = _mm256_packs_epi32(luma(c), luma(d));
        let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        bytemuck::cast(_mm256_permutevar8x32_epi32(
            _mm256_packus_epi16(ab, cd),
            order,
        ))
    }

    #[target_feature(enable = "avx2")]
    fn chroma_of([a, b, c, d]: &[Split; 4], [e, f, g, h]: &[Split; 4]) -> (Chroma, Chroma) {
        let below = |top: &Split, bottom: &Split| Split {
            blue_red: _mm256_add_epi16(top.blue_red, bottom.blue_red),
            green: _mm256_add_epi16(top.green, bottom.green),
        };
        let beside = |left: Split, right: Split| Split {
            blue_red: add_neighbours(left.blue_red, right.blue_red),
            green: add_neighbours(left.green, right.green),
        };
        let left = beside(below(a, e), below(b, f));
        let right = beside(below(c, g), below(d, h));
        // Four pixels: two bits more. Just below the half: the whole of blue or red is 127.5, and must stay a byte.
        let more = (128 << (POINT + 2)) + (1 << (POINT + 1)) - 1;
        let pack = |weights| {
            let left = weigh::<{ POINT + 2 }>(&left, weights, more);
            _mm256_packs_epi32(left, weigh::<{ POINT + 2 }>(&right, weights, more))
        };
        // In each half of the vector: four pairs of blue, four of red; what is here and there alternates.
        let pairs = _mm256_packus_epi16(pack(&CB), pack(&CR));
        let (here, there) = (
            _mm256_castsi256_si128(pairs),
            _mm256_extracti128_si256::<1>(pairs),
        );
        (
            bytemuck::cast(_mm_unpacklo_epi16(here, there)),
            bytemuck::cast(_mm_unpackhi_epi16(here, there)),
        )
    }

    /// Sums of neighbours (32 bits): in each half of the vector two of `a`, then two of `b`.
    #[target_feature(enable = "avx2")]
    fn add_neighbours(a: Vector, b: Vector) -> Vector {
        let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
        let even = _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(a, b));
        let odd = _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(a, b));
        _mm256_add_epi16(even, odd)
    }
}

/// The formula of JFIF 1.02, of the mean of these pixels: luma, blue, red.
#[cfg(test)]
pub(crate) fn jfif(pixels: &[u32]) -> [f64; 3] {
    let mean = |shift: u32| {
        let sum: f64 = pixels.iter().map(|p| f64::from(p >> shift & 255)).sum();
        sum / pixels.len() as f64
    };
    let (r, g, b) = (mean(16), mean(8), mean(0));
    [
        0.299 * r + 0.587 * g + 0.114 * b,
        128.0 - 0.168_736 * r - 0.331_264 * g + 0.5 * b,
        128.0 + 0.5 * r - 0.418_688 * g - 0.081_312 * b,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extreme() -> impl Strategy<Value = u32> {
        let byte = || prop_oneof![Just(0u32), Just(255), 0u32..256];
        (byte(), byte(), byte()).prop_map(|(r, g, b)| r << 16 | g << 8 | b)
    }

    proptest! {
        #[test]
        fn samples_are_those_of_the_formula(pixels in proptest::collection::vec(extreme(), 128)) {
            let Some(wide) = Avx2::detect() else { return Ok(()) };
            let (chunks, _) = pixels.as_chunks::<32>();
            let (top, bottom) = chunks.split_at(2);
            let (mut above, mut below) = ([[0; 32]; 2], [[0; 32]; 2]);
            let (mut blue, mut red) = ([[0; 16]; 2], [[0; 16]; 2]);
            wide.to_ycc(Rows {
                pixels: [top, bottom],
                luma: [&mut above, &mut below],
                chroma: [&mut blue, &mut red],
            });
            let near = |sample: u8, wanted: f64| (f64::from(sample) - wanted).abs() < 0.51;
            let flat = |samples: &[[u8; 32]; 2]| samples.concat();
            for (pixel, luma) in pixels.iter().zip([flat(&above), flat(&below)].concat()) {
                prop_assert!(near(luma, jfif(&[*pixel])[0]), "{luma} of {pixel:06x}");
            }
            let (top, bottom) = pixels.split_at(64);
            for (i, (blue, red)) in blue.concat().into_iter().zip(red.concat()).enumerate() {
                let four = [&top[2 * i..2 * i + 2], &bottom[2 * i..2 * i + 2]].concat();
                let [_, cb, cr] = jfif(&four);
                prop_assert!(near(blue, cb) && near(red, cr), "{blue}, {red} of {four:06x?}");
            }
        }
    }
}
