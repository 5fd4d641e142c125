//! Viewers: who may come in, who is there, and one task for each that moves bytes.
//!
//! ```text
//!            accept                    handshake                    join
//!  listener ───────► limits ──ticket──► connection ──Authenticated──► hub ──► session loop ──► leave
//!     │ EMFILE: back off  │ too many: refused          │ wrong: penalty, delay        │ keys released
//! ```
//!
//! A connection is a byte stream: TCP from a viewer, a Unix socket, or a websocket's inside. The protocol itself lives
//! in [`crate::rfb`], which has neither sockets nor a clock; this room owns both. It knows the desktop only as a
//! [`Seat`], so it runs in front of anything that has a screen.

mod connection;
mod hub;
mod limits;
mod link;
mod listener;
mod pool;
mod share;
mod stats;
mod task;

pub use connection::serve_stream;
pub use hub::{ClientInfo, Hub, Options, Rates, Seat, Shared, Sharing};
pub use limits::{Limits, Refusal, Ticket};
pub use link::Transport;
pub use listener::{bind, bind_unix, listen, listen_unix};
pub use pool::Pool;
pub use stats::{AGES, Snapshot, Stats, Times};

use std::fmt;
use std::net::IpAddr;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// For the log: `10.0.0.7:51234`, or what the transport says.
    pub name: String,
    /// For limits; none for Unix sockets.
    pub ip: Option<IpAddr>,
    /// How it came: `vnc` or `websocket`.
    pub via: &'static str,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.via)
    }
}
