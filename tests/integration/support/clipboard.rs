//! The extended clipboard (rfbproto.rst, "Extended Clipboard Pseudo-encoding"): the part of a CutText message after its
//! negative length.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::decode::{bad, bytes, u32};

/// Formats, actions: bits of the flags.
pub(crate) mod flag {
    pub(crate) const TEXT: u32 = 1;
    pub(crate) const CAPS: u32 = 1 << 24;
    pub(crate) const REQUEST: u32 = 1 << 25;
    pub(crate) const PEEK: u32 = 1 << 26;
    pub(crate) const NOTIFY: u32 = 1 << 27;
    pub(crate) const PROVIDE: u32 = 1 << 28;
}

/// Most that a test reads of a text.
const MAX_TEXT: u64 = 64 << 20;

/// A message of either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clipboard {
    /// All bits: formats and actions.
    pub(crate) flags: u32,
    /// Of `CAPS`: for each format, the size up to which it may be sent unasked.
    pub(crate) sizes: Vec<u32>,
    /// Of `PROVIDE`: the text, with line ends as sent (CRLF) and without the closing NUL.
    pub(crate) text: Option<String>,
}

impl Clipboard {
    /// What this side can do.
    pub(crate) fn caps(flags: u32, sizes: &[u32]) -> Vec<u8> {
        let mut data = (flag::CAPS | flags).to_be_bytes().to_vec();
        data.extend(sizes.iter().flat_map(|n| n.to_be_bytes()));
        data
    }

    /// A message of flags alone: notify, request, peek.
    pub(crate) fn plain(flags: u32) -> Vec<u8> {
        flags.to_be_bytes().to_vec()
    }

    /// The text itself; `\n` becomes CRLF.
    pub(crate) fn provide(text: &str) -> Vec<u8> {
        let text = text.replace('\n', "\r\n") + "\0";
        let mut data = (flag::PROVIDE | flag::TEXT).to_be_bytes().to_vec();
        let mut zlib = ZlibEncoder::new(&mut data, Compression::default());
        let plain = [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
        zlib.write_all(&plain).expect("writing to memory");
        zlib.finish().expect("writing to memory");
        data
    }

    /// Parses a message.
    pub(crate) fn parse(mut data: &[u8]) -> io::Result<Self> {
        let flags = u32(&mut data)?;
        let (mut sizes, mut text) = (Vec::new(), None);
        if flags & flag::CAPS != 0 {
            for _ in 0..(flags & 0xffff).count_ones() {
                sizes.push(u32(&mut data)?);
            }
        } else if flags & flag::PROVIDE != 0 && flags & flag::TEXT != 0 {
            let mut plain = ZlibDecoder::new(data).take(MAX_TEXT);
            let n = u32(&mut plain)? as usize;
            let mut raw = bytes(&mut plain, n)?;
            if raw.pop() != Some(0) {
                return bad("clipboard text without its closing NUL");
            }
            match String::from_utf8(raw) {
                Ok(s) => text = Some(s),
                Err(e) => return bad(format!("clipboard text that is not UTF-8: {e}")),
            }
        }
        Ok(Self { flags, sizes, text })
    }
}
