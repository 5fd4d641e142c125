//! Whether words in the memory of another process are those that are here: a line of the cache at a time, on both sides.
//!
//! Waiting for memory is most of what it costs, so what is likely to be asked about next is brought near meanwhile: rows of
//! a screen are too far apart for the processor to foresee.

use super::super::simd::Avx2;

/// Words in a line of the cache.
const LINE: usize = 16;

/// Memory of another process, and words that it may hold.
#[derive(Clone, Copy)]
pub(super) struct Compared<'a> {
    /// Where theirs begin, which need not be aligned.
    pub theirs: *const u8,
    /// Where ours are.
    pub words: &'a [u32],
    /// The bits of theirs that count; ours have no others.
    pub mask: u32,
    /// Where theirs begin that are likely to be next: only a hint.
    pub next: *const u8,
    /// And what they will be compared with.
    pub ahead: &'a [u32],
}

/// True when they are the same.
///
/// # Safety
/// From `theirs` on as many words as `words` can be read. They may change meanwhile.
pub(super) unsafe fn same(both: Compared<'_>, wide: Option<Avx2>) -> bool {
    let (lines, rest) = both.words.as_chunks::<LINE>();
    let differs = match wide {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as many words as these lines have can be read, and an `Avx2` says that this CPU has it.
        Some(_) => unsafe { wide_lines(both, lines) },
        // SAFETY: as many words as these lines have can be read.
        _ => unsafe { lines_differ(both, lines) },
    };
    // SAFETY: what is left of as many words as `words`.
    !differs && !unsafe { differs_from(both.theirs.add(size_of_val(lines)), both.mask, rest) }
}

/// Asks for what comes after the line `n`, in the lines of what is next.
fn bring(both: &Compared<'_>, n: usize) {
    prefetch(both.next.wrapping_add(n * size_of::<[u32; LINE]>()));
    if let Some(word) = both.ahead.get(n * LINE) {
        prefetch(std::ptr::from_ref(word).cast());
    }
}

/// Asks for a line of memory to be brought into the second level of the cache: the first one has room for few requests at
/// a time, and the work itself needs it.
#[cfg(target_arch = "x86_64")]
fn prefetch(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    // SAFETY: a hint: nothing is read that could be seen, and an address that is none is left alone (SSE is part of
    // every x86-64).
    unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: *const u8) {}

/// # Safety
/// As many words as `lines` have can be read from `theirs` on.
unsafe fn lines_differ(both: Compared<'_>, lines: &[[u32; LINE]]) -> bool {
    let mut theirs = both.theirs;
    let mut differs = false;
    for (n, line) in lines.iter().enumerate() {
        bring(&both, n);
        // SAFETY: the words of this line, which whoever calls says can be read.
        differs |= unsafe { differs_from(theirs, both.mask, line) };
        theirs = theirs.wrapping_add(size_of_val(line));
    }
    differs
}

/// # Safety
/// As many words as `words` can be read from `theirs` on.
unsafe fn differs_from(theirs: *const u8, mask: u32, words: &[u32]) -> bool {
    let mut differs = 0;
    for (n, word) in words.iter().enumerate() {
        // SAFETY: a word of those that whoever calls says can be read; alignment does not matter to this read, and every
        // bit pattern is a valid `u32`.
        let theirs = unsafe { theirs.cast::<u32>().add(n).read_unaligned() };
        differs |= (theirs & mask) ^ word;
    }
    differs != 0
}

/// The same as [`lines_differ`], in vectors of 256 bits.
///
/// # Safety
/// The same, and this CPU has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn wide_lines(both: Compared<'_>, lines: &[[u32; LINE]]) -> bool {
    use std::arch::x86_64::*;
    let mask = _mm256_set1_epi32(both.mask.cast_signed());
    let mut theirs = both.theirs.cast::<__m256i>();
    let [mut left, mut right] = [_mm256_setzero_si256(); 2];
    for (n, line) in lines.iter().enumerate() {
        bring(&both, n);
        let [a, b]: [__m256i; 2] = bytemuck::cast(*line);
        // SAFETY: the words of this line, which whoever calls says can be read; alignment does not matter to this read.
        let [c, d] = unsafe {
            [
                _mm256_loadu_si256(theirs),
                _mm256_loadu_si256(theirs.add(1)),
            ]
        };
        left = _mm256_or_si256(left, _mm256_xor_si256(_mm256_and_si256(c, mask), a));
        right = _mm256_or_si256(right, _mm256_xor_si256(_mm256_and_si256(d, mask), b));
        theirs = theirs.wrapping_add(2);
    }
    let all = _mm256_or_si256(left, right);
    _mm256_testz_si256(all, all) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RGB: u32 = 0x00ff_ffff;

    /// Theirs at an odd address, ours, and whether they are the same, in every way that this CPU has.
    fn compared(theirs: &[u32], ours: &[u32]) -> Vec<bool> {
        let words = theirs.iter().flat_map(|word| word.to_ne_bytes());
        let bytes: Vec<u8> = std::iter::once(0).chain(words).collect();
        assert!(bytes.len() > size_of_val(ours));
        let both = Compared {
            theirs: bytes[1..].as_ptr(),
            words: ours,
            mask: RGB,
            next: std::ptr::null(),
            ahead: ours,
        };
        let ways = [None, Avx2::detect()];
        // SAFETY: behind the first byte there are as many words as `ours` has.
        ways.map(|way| unsafe { same(both, way) }).to_vec()
    }

    proptest! {
        #[test]
        fn every_word_counts_in_its_colours_alone(
            ours in proptest::collection::vec(0..=RGB, 1..200),
            above in any::<u8>(),
            changed in proptest::option::of((any::<prop::sample::Index>(), 0..32u32)),
        ) {
            let mut theirs: Vec<u32> = ours.iter().map(|w| w | u32::from(above) << 24).collect();
            let mut wanted = true;
            if let Some((at, bit)) = changed {
                theirs[at.index(ours.len())] ^= 1 << bit;
                wanted = bit >= 24;
            }
            for found in compared(&theirs, &ours) {
                prop_assert_eq!(found, wanted);
            }
        }
    }
}
