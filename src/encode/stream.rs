//! Deflate streams: the only state that is kept for a client.
//!
//! A client decodes each stream with one inflater that lives as long as the connection. What is written here is
//! therefore one endless zlib stream: its two header bytes once, then raw deflate blocks, each write ended by a sync
//! flush, so that the client can decode it at once; the checksum at the end never comes. Raw blocks leave three
//! freedoms that a compressor with header would not:
//!
//! - the compressor may be replaced at any flush (another level): a new one only never refers to what went before;
//! - of a large write, groups of segments are compressed at the same time, each with the end of the segment before it
//!   (at most 32 KiB) as dictionary;
//! - blocks that are only stored (level 0), or in which nothing refers to anything (see [`super::huffman`]), need no
//!   compressor; it begins again, knowing what it has missed.

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress, Status};
use rayon::prelude::*;

use super::huffman;
use super::prepare::threads;

/// How far deflate looks back.
const WINDOW: usize = 32 << 10;

/// A write of at least two groups of this size is compressed in parallel.
const BLOCK: usize = 128 << 10;

/// From this level on a client asks for small rather than quick: matches are looked for everywhere.
const THOROUGH: u8 = 6;

/// Largest stored block (RFC 1951, 3.2.4).
const STORED: usize = 0xffff;

/// The zlib header: deflate, window of 32 KiB, no dictionary (RFC 1950, 2.2).
const HEADER: [u8; 2] = [0x78, 0x01];

/// The streams of a client: the four of Tight, that of Zlib and that of ZRLE.
pub(super) type Streams = [Stream; 6];

/// Which of the [`Streams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// 0–3.
    Tight(u8),
    Zlib,
    Zrle,
}

impl Which {
    /// All, in the order of [`Streams`].
    pub(super) const ALL: [Self; 6] = [
        Self::Tight(0),
        Self::Tight(1),
        Self::Tight(2),
        Self::Tight(3),
        Self::Zlib,
        Self::Zrle,
    ];

    /// Its place among the [`Streams`].
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Tight(n) => (n & 3) as usize,
            Self::Zlib => 4,
            Self::Zrle => 5,
        }
    }
}

/// One deflate stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The header was sent.
    begun: bool,
    compressor: Option<Compressor>,
}

/// A compressor and its level.
#[derive(Debug)]
struct Compressor {
    level: u8,
    deflate: Compress,
    /// The client got something since that this one has not seen.
    behind: bool,
}

thread_local! {
    /// For the blocks that a thread of the pool compresses on behalf of any stream.
    static HELPER: RefCell<Option<Compressor>> = const { RefCell::new(None) };
}

/// The deflate level (0–9) of a stream, given the client's compression level.
///
/// | client | 0 | 1 | 2, 3 | 4 | 5 | 6–9 |
/// |---|---|---|---|---|---|---|
/// | pixels | 0, stored | 1 | 1 | 2 | 3 | the same |
/// | indices of palettes | 0 | 1 | 1 | 5 | 5 | the same |
/// | the same, `thrifty` | 0 | 1 | 5 | 5 | 5 | the same |
///
/// Clients ask for 2 when nobody chose. Indices are few and repeat themselves: where bytes are dear, level 5 takes a fifth
/// off text, for four times the time (a screen of soft text: 1.6 ms and 112 kB, or 6.1 ms and 87 kB). Pixels in full are
/// what resists compression: there every level above 1 costs more than it saves.
pub(super) const fn level(compress: u8, which: Which, thrifty: bool) -> u8 {
    match (compress, which) {
        (0 | 1 | 6..=9, _) => compress,
        (10.., _) => 9,
        (2..=3, Which::Tight(MONO | INDEX)) if thrifty => 5,
        (4..=5, Which::Tight(MONO | INDEX)) => 5,
        (2..=3, _) => 1,
        (4, _) => 2,
        (5, _) => 3,
    }
}

/// The streams of Tight: one for each kind of data, as its history is of its own kind. The fourth is not used.
pub(super) const FULL: u8 = 0;
pub(super) const MONO: u8 = 1;
pub(super) const INDEX: u8 = 2;

impl Stream {
    /// Appends every segment, compressed and flushed, so that a client that has it can decode all of it.
    pub(super) fn write(&mut self, segments: &[&[u8]], level: u8, out: &mut Segments) {
        if !self.begun {
            self.begun = true;
            out.bytes.extend_from_slice(&HEADER);
        }
        if level == 0 {
            self.compressor = None;
            for data in segments {
                store(data, &mut out.bytes);
                out.end();
            }
            return;
        }
        let mut compressor = match self.compressor.take() {
            Some(compressor) if compressor.level == level => compressor,
            _ => Compressor::new(level),
        };
        let total: usize = segments.iter().map(|s| s.len()).sum();
        let blocks = (total / BLOCK).min(2 * threads());
        let sound = if blocks > 1 && threads() > 1 {
            write_blocks(&mut compressor, segments, total.div_ceil(blocks), out)
        } else {
            compressor.write_or_store(segments, out)
        };
        // A compressor that failed has not the history that the client has; the next one begins without any.
        self.compressor = sound.then_some(compressor);
    }
}

/// What segments became.
#[derive(Debug, Default)]
pub(super) struct Segments {
    bytes: Vec<u8>,
    /// Where each ends in `bytes`.
    ends: Vec<usize>,
}

impl Segments {
    fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    fn append(&mut self, other: &Self) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| base + end));
    }

    /// The segments in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(from, &to)| &self.bytes[from..to])
    }
}

/// Compresses groups of segments, of about `size` bytes each, at the same time. False when the compressor cannot go on.
fn write_blocks(
    first: &mut Compressor,
    segments: &[&[u8]],
    size: usize,
    out: &mut Segments,
) -> bool {
    let level = first.level;
    // Where each group begins.
    let (mut starts, mut filled) = (vec![0], 0);
    for (i, segment) in segments.iter().enumerate() {
        if filled >= size {
            starts.push(i);
            filled = 0;
        }
        filled += segment.len();
    }
    let end_of = |g: usize| starts.get(g + 1).copied().unwrap_or(segments.len());
    let (mut sound, others) = rayon::join(
        || first.write_or_store(&segments[..end_of(0)], out),
        || {
            (1..starts.len())
                .into_par_iter()
                .map(|g| {
                    let mut out = Segments::default();
                    with_helper(level, |helper| {
                        helper.remember(segments[starts[g] - 1]);
                        helper.write_or_store(&segments[starts[g]..end_of(g)], &mut out)
                    });
                    out
                })
                .collect::<Vec<_>>()
        },
    );
    if let ([_, ..], Some(last)) = (others.as_slice(), segments.last()) {
        first.deflate.reset();
        first.behind = false;
        sound &= first.remember(last);
    }
    for other in &others {
        out.append(other);
    }
    sound
}

/// Runs `f` with this thread's compressor, fresh. `f` must not enter the pool: another task of this thread may want it.
fn with_helper<R>(level: u8, f: impl FnOnce(&mut Compressor) -> R) -> R {
    HELPER.with_borrow_mut(|slot| {
        let helper = match slot {
            Some(helper) if helper.level == level => {
                helper.deflate.reset();
                helper.behind = false;
                helper
            }
            _ => slot.insert(Compressor::new(level)),
        };
        f(helper)
    })
}

impl Compressor {
    fn new(level: u8) -> Self {
        Self {
            level,
            deflate: Compress::new(Compression::new(u32::from(level)), false),
            behind: false,
        }
    }

    /// Takes the end of what the client has just got as history; only for a compressor that is new or reset. False: it
    /// has none, which makes what follows longer, not wrong.
    fn remember(&mut self, data: &[u8]) -> bool {
        let tail = &data[data.len().saturating_sub(WINDOW)..];
        self.deflate.set_dictionary(tail).is_ok()
    }

    /// Appends segments compressed. From one on where the compressor fails they are only stored; then it is of no more
    /// use, and the result false.
    fn write_or_store(&mut self, segments: &[&[u8]], out: &mut Segments) -> bool {
        let mut sound = true;
        let mut before: &[u8] = &[];
        for &data in segments {
            if self.level < THOROUGH && huffman::resists(data) {
                huffman::write(data, &mut out.bytes);
                self.behind = true;
            } else {
                if std::mem::take(&mut self.behind) {
                    self.deflate.reset();
                    sound = sound && (before.is_empty() || self.remember(before));
                }
                let start = out.bytes.len();
                sound = sound && self.write(data, &mut out.bytes);
                if !sound {
                    out.bytes.truncate(start);
                    store(data, &mut out.bytes);
                }
            }
            before = data;
            out.end();
        }
        sound
    }

    fn write(&mut self, mut data: &[u8], out: &mut Vec<u8>) -> bool {
        loop {
            // A screen shrinks to a fraction; what does not takes another turn.
            let room = (data.len() / 4).max(512);
            out.reserve(room);
            let (before, space) = (self.deflate.total_in(), out.capacity() - out.len());
            let filled = out.len();
            match self.deflate.compress_vec(data, out, FlushCompress::Sync) {
                Ok(Status::Ok | Status::BufError) => {}
                Ok(Status::StreamEnd) | Err(_) => return false,
            }
            data = &data[(self.deflate.total_in() - before) as usize..];
            // Room left over is how deflate says that nothing waits.
            if data.is_empty() && out.len() - filled < space {
                return true;
            }
        }
    }
}

/// Appends `data` as stored blocks (RFC 1951, 3.2.4). The bit stream must be at a byte boundary, as it is after a flush.
pub(super) fn store(data: &[u8], out: &mut Vec<u8>) {
    out.reserve(data.len() + 5 * data.len().div_ceil(STORED));
    for block in data.chunks(STORED) {
        let n = block.len() as u16;
        out.push(0);
        out.extend_from_slice(&n.to_le_bytes());
        out.extend_from_slice(&(!n).to_le_bytes());
        out.extend_from_slice(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress};
    use proptest::prelude::*;

    /// Decodes one write as a client does: it knows how much must come.
    fn inflate(inflater: &mut Decompress, mut data: &[u8], expect: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(expect + 1);
        loop {
            let before = (inflater.total_in(), out.len());
            inflater
                .decompress_vec(data, &mut out, FlushDecompress::Sync)
                .expect("a valid stream");
            data = &data[(inflater.total_in() - before.0) as usize..];
            if data.is_empty() || (inflater.total_in(), out.len()) == before {
                assert!(data.is_empty());
                return out;
            }
        }
    }

    /// Each write is a list of segments and a level.
    fn check(writes: &[(Vec<Vec<u8>>, u8)]) {
        let mut stream = Stream::default();
        let mut inflater = Decompress::new(true);
        for (segments, level) in writes {
            let mut out = Segments::default();
            let slices: Vec<&[u8]> = segments.iter().map(Vec::as_slice).collect();
            stream.write(&slices, *level, &mut out);
            assert_eq!(out.iter().count(), segments.len());
            for (data, got) in segments.iter().zip(out.iter()) {
                assert_eq!(&inflate(&mut inflater, got, data.len()), data);
            }
        }
    }

    /// Bytes that compress in part: noise and repetition by turns.
    fn bytes(len: usize, seed: u32) -> Vec<u8> {
        let mut x = seed | 1;
        (0..len)
            .map(|i| {
                x ^= x << 13;
                x ^= x >> 17;
                x ^= x << 5;
                if i / 1000 % 2 == 0 {
                    x as u8
                } else {
                    (i / 7) as u8
                }
            })
            .collect()
    }

    #[test]
    fn large_and_small_writes_at_changing_levels_are_one_stream() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .expect("threads");
        pool.install(|| {
            let many = |n: u32, len: usize| (0..n).map(|i| bytes(len, i + 5)).collect();
            check(&[
                (vec![bytes(10, 1)], 1),
                (many(20, 70_000), 1),
                (vec![bytes(70_000, 24)], 1),
                (many(3, 300_000), 6),
                (many(3, 90_000), 0),
                (many(2, 300_001), 1),
                (vec![Vec::new(), bytes(3, 3), Vec::new()], 1),
                (many(1, 700_000), 9),
                (many(300, 2_000), 9),
                (many(2, BLOCK), 9),
            ]);
        });
    }

    #[test]
    fn history_spans_writes() {
        let data = bytes(900, 9);
        let mut stream = Stream::default();
        let sizes = [(); 2].map(|()| {
            let mut out = Segments::default();
            stream.write(&[&data], 1, &mut out);
            out.bytes.len()
        });
        assert!(sizes[1] < sizes[0] / 4, "{sizes:?}");
    }

    proptest! {
        #[test]
        fn any_writes_are_one_stream(writes in proptest::collection::vec((0usize..5000, 0u8..=9, any::<u32>()), 1..12)) {
            let writes: Vec<_> = writes.into_iter().map(|(n, level, seed)| (vec![bytes(n, seed)], level)).collect();
            check(&writes);
        }
    }
}
