//! The bytes that a client has sent and nobody has parsed yet.

/// A small, bounded byte queue between a stream and a parser.
///
/// INVARIANT: holds at most [`InputBuffer::LIMIT`] bytes. The longest message that must be whole to be parsed is far
/// shorter, so a parser that was called always leaves room.
#[derive(Debug, Default)]
pub struct InputBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl InputBuffer {
    /// Bytes it holds at most.
    pub const LIMIT: usize = 64 * 1024;

    /// What [`InputBuffer::room`] makes place for at first: clients mostly send messages of 6 to 20 bytes.
    const FIRST: usize = 4 * 1024;

    /// An empty buffer; takes no memory before bytes come.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// Bytes that wait.
    pub const fn len(&self) -> usize {
        self.end - self.start
    }

    /// True when nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The bytes that wait.
    pub fn peek(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The first `N` bytes, if they are there; they stay.
    pub fn peek_array<const N: usize>(&self) -> Option<[u8; N]> {
        self.peek().first_chunk().copied()
    }

    /// Removes the first `count` bytes (or all, when there are fewer).
    pub fn consume(&mut self, count: usize) {
        self.start += count.min(self.len());
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Removes and returns the first `N` bytes, if they are there.
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.peek_array()?;
        self.consume(N);
        Some(bytes)
    }

    /// A place to read more bytes into; empty when the buffer is full. [`InputBuffer::filled`] says how many came.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            // Doubling, so that a client that sends little costs little.
            let size = (self.bytes.len() * 2).clamp(Self::FIRST, Self::LIMIT);
            self.bytes.resize(size, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// `count` bytes were written to the start of [`InputBuffer::room`].
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Appends as many bytes as fit and says how many those were.
    #[must_use = "bytes that did not fit are lost unless they are given again"]
    pub fn push(&mut self, mut bytes: &[u8]) -> usize {
        let total = bytes.len();
        while !bytes.is_empty() {
            let room = self.room();
            let count = room.len().min(bytes.len());
            if count == 0 {
                break;
            }
            room[..count].copy_from_slice(&bytes[..count]);
            self.filled(count);
            bytes = &bytes[count..];
        }
        total - bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_bounded() {
        let mut buffer = InputBuffer::new();
        assert_eq!(buffer.push(&vec![7; 100_000]), InputBuffer::LIMIT);
        assert!(buffer.room().is_empty());
        buffer.consume(10);
        assert_eq!(buffer.room().len(), 10);
        buffer.consume(usize::MAX);
        assert!(buffer.is_empty());
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(pieces in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..5000), 0usize..6000), 0..20)) {
            let mut buffer = InputBuffer::new();
            let mut model = std::collections::VecDeque::<u8>::new();
            for (bytes, count) in pieces {
                let taken = buffer.push(&bytes);
                prop_assert_eq!(taken, bytes.len().min(InputBuffer::LIMIT - model.len()));
                model.extend(&bytes[..taken]);
                prop_assert!(buffer.peek().iter().eq(model.iter()));
                buffer.consume(count);
                model.drain(..count.min(model.len()));
                prop_assert_eq!(buffer.len(), model.len());
            }
        }
    }
}
