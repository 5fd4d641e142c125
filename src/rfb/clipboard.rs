//! Clipboards: Latin-1 text in the messages of RFC 6143 (7.5.6, 7.6.4), UTF-8 on request in the extended form.
//!
//! ```text
//!   server: Caps ──► client: Caps           once the client has listed the pseudo-encoding
//!   one side: Notify ──► other: Request ──► Provide        a new clipboard; its text goes only to who wants it
//!   one side: Peek ──► other: Notify
//! ```
//!
//! Inside this program text is UTF-8 with LF. On the wire the extended form has CRLF and a final NUL, the basic one LF.

use std::fmt;
use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};

use super::server;

/// Bytes of text that go either way at most; what is longer stays where it is.
pub const LIMIT: usize = 1024 * 1024;

/// Bits of the flags of an extended message.
pub mod flag {
    /// Format: plain text; the one format that is served.
    pub const TEXT: u32 = 1;
    /// All bits that are formats.
    pub const FORMATS: u32 = 0xffff;
    /// "This is what I understand."
    pub const CAPS: u32 = 1 << 24;
    /// "Send me this."
    pub const REQUEST: u32 = 1 << 25;
    /// "Say what you have."
    pub const PEEK: u32 = 1 << 26;
    /// "I have this."
    pub const NOTIFY: u32 = 1 << 27;
    /// "Here it is."
    pub const PROVIDE: u32 = 1 << 28;
}

/// An extended message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// What the client understands: flags of formats and actions, and how many bytes of text it takes unasked.
    Caps {
        /// Formats and actions.
        flags: u32,
        /// Largest unsolicited text in bytes.
        text: u32,
    },
    /// It wants these formats.
    Request(u32),
    /// It wants to know what there is.
    Peek,
    /// It has these formats.
    Notify(u32),
    /// Its data: formats, and the zlib stream that holds them.
    Provide {
        /// The formats in the stream.
        formats: u32,
        /// Still compressed.
        data: Vec<u8>,
    },
}

/// Why the data of a Provide message gave no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// The text is longer than [`LIMIT`].
    TooLarge(u32),
    /// The stream ends early or is none.
    Corrupt,
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(bytes) => {
                write!(
                    f,
                    "a clipboard of {bytes} bytes (at most {LIMIT} are taken)"
                )
            }
            Self::Corrupt => f.write_str("a clipboard whose compressed data is damaged"),
        }
    }
}

impl std::error::Error for InflateError {}

/// The text of a Provide message whose formats include [`flag::TEXT`].
///
/// Never inflates more than the text says it holds, and that is bounded by [`LIMIT`] before anything is allocated.
pub fn inflate_text(data: &[u8]) -> Result<String, InflateError> {
    let mut zlib = Inflater {
        state: Decompress::new(true),
        input: data,
    };
    // Text is the lowest format, so it comes first in the stream.
    let mut size = [0; 4];
    zlib.fill(&mut size)?;
    let size = u32::from_be_bytes(size);
    // One more for the NUL at the end.
    if size as usize > LIMIT + 1 {
        return Err(InflateError::TooLarge(size));
    }
    let mut text = Vec::new();
    while text.len() < size as usize {
        // In steps, so that a false size costs no memory.
        let done = text.len();
        text.resize((size as usize).min(done + 16 * 1024), 0);
        zlib.fill(&mut text[done..])?;
    }
    Ok(from_wire(&String::from_utf8_lossy(&text)))
}

struct Inflater<'a> {
    state: Decompress,
    input: &'a [u8],
}

impl Inflater<'_> {
    /// Fills `out` or fails; a stream that makes no progress is one that has ended too early.
    fn fill(&mut self, mut out: &mut [u8]) -> Result<(), InflateError> {
        while !out.is_empty() {
            let (was_in, was_out) = (self.state.total_in(), self.state.total_out());
            let status = self
                .state
                .decompress(self.input, out, FlushDecompress::None)
                .map_err(|_| InflateError::Corrupt)?;
            let read = (self.state.total_in() - was_in) as usize;
            let written = (self.state.total_out() - was_out) as usize;
            self.input = self.input.get(read..).unwrap_or_default();
            out = out.get_mut(written..).unwrap_or_default();
            let stuck = read == 0 && written == 0;
            if !out.is_empty() && (stuck || status == Status::StreamEnd) {
                return Err(InflateError::Corrupt);
            }
        }
        Ok(())
    }
}

/// Basic text: Latin-1, lines ended by LF (CR and NUL from careless clients are put right).
pub fn from_latin1(bytes: &[u8]) -> String {
    from_wire(&bytes.iter().map(|b| char::from(*b)).collect::<String>())
}

/// Basic text for a client; what Latin-1 lacks becomes a question mark.
pub fn to_latin1(text: &str) -> Vec<u8> {
    from_wire(text)
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
        .collect()
}

/// CRLF and lone CR become LF; NUL goes.
fn from_wire(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\0' => {}
            '\r' => {
                chars.next_if_eq(&'\n');
                clean.push('\n');
            }
            c => clean.push(c),
        }
    }
    clean
}

/// LF becomes CRLF, and a NUL ends it.
fn to_wire(text: &str) -> Vec<u8> {
    let mut wire = from_wire(text).replace('\n', "\r\n").into_bytes();
    wire.push(0);
    wire
}

/// Writes the server's Caps. `send`: texts go to the client; `accept`: its texts are taken. No text may come unasked
/// (the specification's recommendation), so every change is announced by Notify.
pub fn write_caps(out: &mut Vec<u8>, send: bool, accept: bool) {
    let mut flags = flag::CAPS | flag::TEXT;
    if send {
        flags |= flag::REQUEST | flag::PEEK;
    }
    if accept {
        flags |= flag::NOTIFY | flag::PROVIDE;
    }
    server::extended_cut_text(out, flags, &0u32.to_be_bytes());
}

/// Writes "I have text", or "I have nothing".
pub fn write_notify(out: &mut Vec<u8>, text: bool) {
    let formats = if text { flag::TEXT } else { 0 };
    server::extended_cut_text(out, flag::NOTIFY | formats, &[]);
}

/// Writes "send me your text".
pub fn write_request(out: &mut Vec<u8>) {
    server::extended_cut_text(out, flag::REQUEST | flag::TEXT, &[]);
}

/// Writes the text itself.
pub fn write_provide(out: &mut Vec<u8>, text: &str) {
    let text = to_wire(text);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::new(6));
    // Writing to memory does not fail; should it ever, the client gets an empty stream and says so.
    let data = zlib
        .write_all(&(text.len() as u32).to_be_bytes())
        .and_then(|()| zlib.write_all(&text))
        .and_then(|()| zlib.finish())
        .unwrap_or_default();
    server::extended_cut_text(out, flag::PROVIDE | flag::TEXT, &data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(bytes).unwrap();
        zlib.finish().unwrap()
    }

    fn sized(size: u32, text: &[u8]) -> Vec<u8> {
        deflate(&[&size.to_be_bytes()[..], text].concat())
    }

    #[test]
    fn lines_and_nul() {
        assert_eq!(from_wire("a\r\nb\rc\nd\0"), "a\nb\nc\nd");
        assert_eq!(to_wire("a\nb\r\nc"), b"a\r\nb\r\nc\0");
        assert_eq!(to_latin1("Grüße, 你"), b"Gr\xfc\xdfe, ?");
        assert_eq!(from_latin1(b"Gr\xfc\xdfe\r\n"), "Grüße\n");
    }

    #[test]
    fn golden_messages() {
        let mut out = Vec::new();
        write_caps(&mut out, true, true);
        assert_eq!(
            out,
            [3, 0, 0, 0, 255, 255, 255, 248, 0x1f, 0, 0, 1, 0, 0, 0, 0]
        );
        out.clear();
        write_notify(&mut out, true);
        assert_eq!(out[8..], [8, 0, 0, 1]);
        out.clear();
        write_request(&mut out);
        assert_eq!(out[8..], [2, 0, 0, 1]);
        out.clear();
        write_provide(&mut out, "x");
        assert_eq!(out[8..12], [0x10, 0, 0, 1]);
    }

    #[test]
    fn hostile_streams() {
        assert_eq!(inflate_text(&[]), Err(InflateError::Corrupt));
        assert_eq!(inflate_text(b"not zlib"), Err(InflateError::Corrupt));
        assert_eq!(inflate_text(&sized(5, b"abc")), Err(InflateError::Corrupt));
        let whole = sized(5, b"abcd\0");
        assert_eq!(inflate_text(&whole), Ok("abcd".to_owned()));
        assert_eq!(inflate_text(&whole[..4]), Err(InflateError::Corrupt));
        for size in [LIMIT as u32 + 2, i32::MAX as u32, u32::MAX] {
            assert_eq!(
                inflate_text(&sized(size, b"")),
                Err(InflateError::TooLarge(size))
            );
        }
        // A bomb behind a small text is not touched.
        let mut bomb = 2u32.to_be_bytes().to_vec();
        bomb.extend(b"a\0");
        bomb.resize(64 << 20, 0);
        assert_eq!(inflate_text(&deflate(&bomb)), Ok("a".to_owned()));
        let limit = vec![b'z'; LIMIT];
        assert_eq!(
            inflate_text(&sized(LIMIT as u32, &limit)).map(|t| t.len()),
            Ok(LIMIT)
        );
    }

    proptest! {
        #[test]
        fn what_is_provided_arrives(text in "(\\PC|\n){0,200}") {
            let mut out = Vec::new();
            write_provide(&mut out, &text);
            let length = u32::from_be_bytes([out[4], out[5], out[6], out[7]]);
            prop_assert_eq!(length.wrapping_neg() as usize, out.len() - 8);
            prop_assert_eq!(inflate_text(&out[12..]), Ok(text));
        }

        #[test]
        fn no_stream_is_harmful(bytes: Vec<u8>) {
            let _ = inflate_text(&bytes);
            let _ = inflate_text(&deflate(&bytes));
        }

        #[test]
        fn latin1_survives(bytes: Vec<u8>) {
            let clean: Vec<u8> = to_latin1(&from_latin1(&bytes));
            prop_assert!(!clean.contains(&b'\r') && !clean.contains(&0));
            prop_assert_eq!(to_latin1(&from_latin1(&clean)), clean);
        }
    }
}
