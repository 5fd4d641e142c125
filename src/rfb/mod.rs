//! The remote framebuffer protocol, server side: bytes in, typed effects out, and the other way round.
//!
//! Pure: no socket, no clock (`now` is an argument), no X. The server moves bytes between a stream and the two buffers
//! of a connection and does what the effects say; everything that the protocol decides is decided here.
//!
//! ```text
//!   stream ──► InputBuffer ──► Handshake ── Done(Authenticated) ──► Session ──► Effect (keys, pointer, clipboard …)
//!                                  │                                  │  ▲
//!   stream ◄── Vec<u8> ◄───────────┴──────────── output() ◄───────────┘  └── damaged, resized, cursor, clipboard …
//! ```
//!
//! - [`Handshake`] (RFC 6143, 7.1–7.3.1) yields an [`Authenticated`] value in its last state and nowhere else, and a
//!   [`Session`] cannot be made without what that value holds.
//! - [`client`] parses what clients say, [`server`] writes what servers say; each message once, in one place.
//! - [`Session`] keeps what its client has not seen as a *region*, never as a queue, and decides when how much of it may
//!   go ([`flow`]), what goes beside it (cursor, size, name, lights) and what goes a second time without loss
//!   ([`refresh`]).

pub mod auth;
pub mod client;
pub mod clipboard;
pub mod cursor;
pub mod encodings;
pub mod flow;
pub mod handshake;
pub mod input;
pub mod offer;
pub mod pacing;
pub mod parse;
pub mod parts;
pub mod paste;
pub mod pending;
pub mod quality;
pub mod refresh;
pub mod resize;
pub mod server;
pub mod session;
pub mod stats;
pub mod update;
pub mod version;
#[cfg(feature = "h264")]
pub mod video;

pub use auth::{AuthPolicy, Permission, Secret, SecretError, obfuscated};
pub use client::ProtocolError;
pub use handshake::{Authenticated, Handshake, HandshakeError, Progress};
pub use input::InputBuffer;
pub use server::ResizeStatus;
pub use session::{Effect, Features, Notice, Poll, ResizeCause, Session, Start};
pub use stats::Stats;
pub use update::{Job, Order, Picture};
pub use version::Version;
