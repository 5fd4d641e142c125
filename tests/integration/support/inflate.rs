//! One deflate stream of the server, decoded segment by segment.

use std::io;

use flate2::{Decompress, FlushDecompress};

use super::decode::bad;

/// A stream that lives as long as the connection.
pub(crate) struct Inflate(Decompress);

impl Inflate {
    /// A stream of which nothing was read yet.
    pub(crate) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// Decodes a segment, which must give exactly `n` bytes and leave nothing for later.
    pub(crate) fn exactly(&mut self, data: &[u8], n: usize) -> io::Result<Vec<u8>> {
        let plain = self.all(data, n)?;
        if plain.len() != n {
            return bad(format!(
                "{} bytes inflated to {}, not {n}",
                data.len(),
                plain.len()
            ));
        }
        Ok(plain)
    }

    /// Decodes a segment to at most `most` bytes.
    pub(crate) fn all(&mut self, mut data: &[u8], most: usize) -> io::Result<Vec<u8>> {
        let mut plain = Vec::with_capacity((most + 1).min(1 << 20));
        loop {
            plain.reserve(1);
            let before = (self.0.total_in(), self.0.total_out());
            self.0
                .decompress_vec(data, &mut plain, FlushDecompress::Sync)
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            data = &data[(self.0.total_in() - before.0) as usize..];
            if plain.len() > most {
                return bad(format!("a segment inflated to more than {most} bytes"));
            }
            if plain.len() < plain.capacity() || (self.0.total_in(), self.0.total_out()) == before {
                break;
            }
        }
        if !data.is_empty() {
            return bad(format!(
                "{} bytes of a deflate segment left over",
                data.len()
            ));
        }
        Ok(plain)
    }
}
