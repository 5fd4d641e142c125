//! Deflate without matches: photos have hardly any, and looking for them is nearly all that deflate spends.
//!
//! A block is a literal for every byte, each in a code of its frequency (RFC 1951, 3.2.7): what little a photo shrinks it
//! shrinks this way, at ten times the speed. [`resists`] tells such data by a look at parts of it.

use super::stream::store;

/// Data of one code table, which takes 140 bytes; no more than a stored block holds.
const BLOCK: usize = 60 << 10;

/// Less than this is left to deflate, which needs no reset then: pieces of text this small may look like noise.
const MIN: usize = 8 << 10;

/// What is looked at at a time: rows of a wide picture above each other, as matches may be with what lies above.
const SAMPLE: usize = 16 << 10;

/// Longest code (RFC 1951, 3.2.7).
const LONGEST: u8 = 15;

/// The symbol that ends a block, after the 256 literals.
const END: usize = 256;

/// Slots for sequences of four bytes; a later one takes the place of an earlier.
const SLOTS: usize = 4096;

/// True when few of the sequences of four bytes, three in ten, come twice: what deflate finds to refer to saves less then
/// than codes of their frequency do for the rest, as its quick levels have none.
pub(super) fn resists(data: &[u8]) -> bool {
    if data.len() < MIN {
        return false;
    }
    let mut slots = [0u32; SLOTS];
    let (mut seen, mut again) = (0, 0);
    // Not what was looked at already: it would come again, as itself.
    let middle = (data.len() / 2).max(SAMPLE).min(data.len());
    for part in [data, &data[middle..]] {
        let part = &part[..part.len().min(SAMPLE)];
        // Every byte is remembered or looked up, by turns: a match of some length is met in any case.
        for four in part.windows(4).step_by(3) {
            let four = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            let slot = &mut slots[(four.wrapping_mul(0x9e37_79b1) >> 20) as usize];
            again += u32::from(*slot == four);
            seen += 1;
            *slot = four;
        }
    }
    again * 10 < seen * 3
}

/// Appends `data` as blocks without matches, then an empty stored block, so that the bit stream, which must be at a byte
/// boundary, ends at one. Of what does not shrink at all, stored blocks.
pub(super) fn write(data: &[u8], out: &mut Vec<u8>) {
    for block in data.chunks(BLOCK) {
        write_block(block, out);
    }
}

fn write_block(data: &[u8], out: &mut Vec<u8>) {
    let mut counts = count(data);
    counts[END] = 1;
    let lengths = lengths(&counts);
    let bits: u64 = counts
        .iter()
        .zip(&lengths)
        .map(|(&n, &l)| u64::from(n) * u64::from(l))
        .sum();
    // The table, and the empty block with its padding.
    let size = (bits as usize + HEADER_BITS).div_ceil(8) + 5;
    if size >= data.len() {
        store(data, out);
        return;
    }
    let mut bits = Bits {
        // Whole words are written: room for one more.
        from: out.len(),
        held: 0,
        count: 0,
    };
    out.resize(bits.from + size + 8, 0);
    // Not the last block, dynamic codes; 257 literals, 2 distances (a code needs two to be complete), 19 lengths of
    // the code of lengths: four bits for each of 0–15, so that these are written as they are, and none for repeats.
    for (value, count) in [(0, 1), (2, 2), (0, 5), (1, 5), (15, 4)] {
        bits.put(value, count, out);
    }
    for symbol in [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ] {
        bits.put(if symbol < 16 { 4 } else { 0 }, 3, out);
    }
    for length in lengths.iter().copied().chain([1, 1]) {
        bits.put(reversed(length.into(), 4), 4, out);
    }
    let codes = codes(&lengths);
    let (threes, rest) = data.as_chunks::<3>();
    for three in threes {
        // Up to 7 bits are held, and 45 more fit.
        for &byte in three {
            bits.hold(codes[usize::from(byte)]);
        }
        bits.flush(out);
    }
    for &byte in rest {
        bits.hold(codes[usize::from(byte)]);
    }
    bits.flush(out);
    bits.hold(codes[END]);
    // An empty stored block: its three bits, the rest of the byte, and its length.
    bits.count += 3;
    bits.count = bits.count.next_multiple_of(8);
    bits.flush(out);
    out.truncate(bits.from);
    out.extend_from_slice(&[0, 0, 0xff, 0xff]);
}

/// Bits before the first literal.
const HEADER_BITS: usize = 3 + 5 + 5 + 4 + 19 * 3 + (END + 1 + 2) * 4;

/// A code: its bits, in the order of the wire, and how many.
#[derive(Clone, Copy, Default)]
struct Code {
    bits: u16,
    length: u8,
}

/// Bits on their way out, the first the lowest.
struct Bits {
    /// Where the next whole byte goes.
    from: usize,
    held: u64,
    count: u32,
}

impl Bits {
    #[inline(always)]
    fn hold(&mut self, code: Code) {
        self.held |= u64::from(code.bits) << self.count;
        self.count += u32::from(code.length);
    }

    /// Writes whole bytes.
    #[inline(always)]
    fn flush(&mut self, out: &mut [u8]) {
        if let Some(word) = out.get_mut(self.from..self.from + 8) {
            word.copy_from_slice(&self.held.to_le_bytes());
        }
        let bytes = self.count / 8;
        self.from += bytes as usize;
        self.held = self.held.checked_shr(bytes * 8).unwrap_or(0);
        self.count %= 8;
    }

    fn put(&mut self, value: u16, count: u8, out: &mut [u8]) {
        self.hold(Code {
            bits: value,
            length: count,
        });
        self.flush(out);
    }
}

/// How often each byte comes.
fn count(data: &[u8]) -> [u32; END + 1] {
    // In turns, so that equal bytes in a row do not wait for each other.
    let mut turns = [[0u32; 256]; 4];
    let (fours, rest) = data.as_chunks::<4>();
    for four in fours {
        for (turn, &byte) in turns.iter_mut().zip(four) {
            turn[usize::from(byte)] += 1;
        }
    }
    let mut counts = [0; END + 1];
    for turn in &turns {
        for (sum, n) in counts.iter_mut().zip(turn) {
            *sum += n;
        }
    }
    for &byte in rest {
        counts[usize::from(byte)] += 1;
    }
    counts
}

/// Code lengths of at most [`LONGEST`], by Huffman's algorithm. At least two symbols must occur.
fn lengths(counts: &[u32; END + 1]) -> [u8; END + 1] {
    let mut counts = *counts;
    loop {
        let lengths = unlimited(&counts);
        if lengths.iter().all(|&l| l <= LONGEST) {
            return lengths;
        }
        // Rare symbols get nearer to the frequent ones until no code is too long.
        for n in counts.iter_mut().filter(|n| **n > 0) {
            *n = *n / 2 + 1;
        }
    }
}

fn unlimited(counts: &[u32; END + 1]) -> [u8; END + 1] {
    let mut leaves: Vec<(u32, usize)> = (0..=END)
        .filter(|&s| counts[s] > 0)
        .map(|s| (counts[s], s))
        .collect();
    leaves.sort_unstable();
    // Nodes, leaves first; those made of two come in order of weight, too, so the two lightest are always at the front
    // of one queue or the other.
    let mut weights: Vec<u32> = leaves.iter().map(|l| l.0).collect();
    let n = weights.len();
    let mut parents = vec![0usize; 2 * n];
    let (mut leaf, mut inner) = (0, n);
    while weights.len() < 2 * n - 1 {
        let mut sum = 0;
        for _ in 0..2 {
            let next = if inner == weights.len() || (leaf < n && weights[leaf] <= weights[inner]) {
                &mut leaf
            } else {
                &mut inner
            };
            sum += weights[*next];
            parents[*next] = weights.len();
            *next += 1;
        }
        weights.push(sum);
    }
    // From the root, which is the last, down.
    let mut depths = vec![0u8; weights.len()];
    for node in (0..weights.len() - 1).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    let mut lengths = [0; END + 1];
    for ((_, symbol), depth) in leaves.iter().zip(depths) {
        lengths[*symbol] = depth;
    }
    lengths
}

/// The codes of given lengths (RFC 1951, 3.2.2).
fn codes(lengths: &[u8; END + 1]) -> [Code; END + 1] {
    let mut codes = [Code::default(); END + 1];
    let mut next = 0;
    for length in 1..=LONGEST {
        next <<= 1;
        for (code, _) in codes.iter_mut().zip(lengths).filter(|(_, l)| **l == length) {
            *code = Code {
                bits: reversed(next, length),
                length,
            };
            next += 1;
        }
    }
    codes
}

/// Codes go out with their highest bit first, everything else with its lowest.
fn reversed(value: u16, count: u8) -> u16 {
    value.reverse_bits() >> (16 - count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress};
    use proptest::prelude::*;

    fn inflate(data: &[u8], expect: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(expect + 1);
        let mut inflater = Decompress::new(false);
        let status = inflater.decompress_vec(data, &mut out, FlushDecompress::Sync);
        assert!(status.is_ok(), "{status:?}");
        assert_eq!(inflater.total_in(), data.len() as u64, "all is read");
        out
    }

    /// Bytes of which some are much more frequent than others.
    fn bytes(len: usize, seed: u32, shift: u32) -> Vec<u8> {
        let mut x = seed | 1;
        let mut next = || {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            x
        };
        (0..len)
            .map(|_| (next() >> (next() % 8) >> shift) as u8)
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(len in 0usize..200_000, seed in any::<u32>(), shift in 0u32..32) {
            let data = bytes(len, seed, shift);
            let mut out = vec![];
            write(&data, &mut out);
            prop_assert!(out.len() <= len + 5 * len.div_ceil(BLOCK));
            prop_assert_eq!(inflate(&out, len), data);
        }
    }

    #[test]
    fn codes_are_never_too_long() {
        // Each as often as the two before it together: the tree is a line.
        let (mut a, mut b) = (1, 1);
        let mut counts = [0; END + 1];
        for n in &mut counts[..40] {
            *n = a;
            (a, b) = (b, a + b);
        }
        let lengths = lengths(&counts);
        let full: u32 = lengths
            .iter()
            .filter(|l| **l > 0)
            .map(|l| 1 << (LONGEST - l))
            .sum();
        assert_eq!(full, 1 << LONGEST, "complete");
    }

    #[test]
    fn rows_that_repeat_do_not_resist_and_noise_does() {
        let noise = bytes(100_000, 1, 24);
        assert!(resists(&noise));
        let row = &noise[..6000];
        assert!(!resists(&row.repeat(20)));
        assert!(!resists(&noise[..100]));
        // Nothing is taken for its own repetition.
        for length in (MIN..noise.len()).step_by(999) {
            assert!(resists(&noise[..length]), "{length}");
        }
    }
}
