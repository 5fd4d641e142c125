//! What the gate knows of the X11 protocol: who a client says it is, and what of its stream the X server must not see.
//!
//! ```text
//!  client ──setup: shows a key──► Setup ──its copy with the server's cookie──► X server's Unix socket
//!         ──requests────────────► Requests ──in place, same length───────────►
//!         ◄──────────────────────────────────── in place, same length ──Answers── errors, replies, events
//! ```
//!
//! To the X server every client of the gate is one of this machine: it would offer shared memory and descriptors, which
//! do not reach another one, and let it change who else may come in. So the name of such an extension is spoiled in the
//! question for it, and the server itself says that there is none; a change of access is made an invalid one, and the
//! server's own error is given the code that a client from elsewhere gets. Nothing changes its length, nothing is added or
//! left out: replies and their sequence numbers stay the server's own, and the gate has to remember none.
//!
//! The request's length decides where the next one begins, and both sides must agree on it, or a request could be
//! smuggled past the gate: what the server might read otherwise ends the connection.
//!
//! Bytes in, bytes out: no socket, no clock. "X Window System Protocol", X.Org, chapters 1, 8 and appendix B.

mod answers;
mod requests;
mod setup;

pub use answers::Answers;
pub use requests::{Opcodes, Requests, Violation};
pub use setup::{LONGEST_SETUP, NotX11, Setup, Shown, failed};

/// Extensions that work on the server's own machine only.
pub const LOCAL_ONLY: [&str; 5] = ["MIT-SHM", "DRI2", "DRI3", "XFree86-DRI", "XFree86-DGA"];
/// The extension that makes requests longer than 256 KiB.
pub const BIG_REQUESTS: &str = "BIG-REQUESTS";

/// Core requests that change who may connect.
const CHANGE_HOSTS: u8 = 109;
const SET_ACCESS_CONTROL: u8 = 111;

/// The order of bytes that a client has chosen for both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Most significant byte first.
    Big,
    /// Least significant byte first.
    Little,
}

impl Order {
    /// The first byte of a connection names it.
    fn of(byte: u8) -> Option<Self> {
        match byte {
            b'B' => Some(Self::Big),
            b'l' => Some(Self::Little),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Big => b'B',
            Self::Little => b'l',
        }
    }

    /// The CARD16 at this place; `None` when it is not there yet.
    fn card16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Big => u16::from_be_bytes(bytes),
            Self::Little => u16::from_le_bytes(bytes),
        })
    }

    /// The CARD32 at this place.
    fn card32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Big => u32::from_be_bytes(bytes),
            Self::Little => u32::from_le_bytes(bytes),
        })
    }

    fn write16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Big => value.to_be_bytes(),
            Self::Little => value.to_le_bytes(),
        }
    }
}

/// Strings fill whole words.
fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Steps over the part of a message that is only passed on: how much of `bytes` that is.
fn step(body: &mut u64, bytes: usize) -> usize {
    let step = usize::try_from(*body).unwrap_or(usize::MAX).min(bytes);
    *body -= step as u64;
    step
}
