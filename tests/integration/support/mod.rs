//! What several areas of tests share.
//!
//! `client` speaks RFB to a server, `decode` (with `tight`, `inflate` and `pseudo`) turns rectangles back into pixels.
//! All are written from the specifications, not from this program, so that a mistake in one cannot hide a mistake in
//! the other.

pub(crate) mod client;
pub(crate) mod clipboard;
pub(crate) mod decode;
pub(crate) mod inflate;
pub(crate) mod pictures;
pub(crate) mod pseudo;
pub(crate) mod tight;
pub(crate) mod wire;
