//! The latest picture of the screen, what changed since any earlier one, and the shape of the pointer.
//!
//! ```text
//!   capture thread                                  sessions (any number, any thread)
//!   draft() ── write what changed ── publish() ──►  latest(), changes_since(generation)
//!      ▲                                │                     │
//!      └────── a buffer nobody holds ◄──┴── Arc<Frame> is dropped when it was encoded
//! ```
//!
//! Pure: no socket, no X, no clock. [`Screen`] is a swap chain of at most three buffers and a bounded log of what each
//! publication changed; nobody waits for anybody: readers hold a buffer as long as they encode it, and the writer takes
//! another one.

mod activity;
mod cursor;
mod log;
mod motion;
mod swap;

pub use activity::Activity;
pub use cursor::{CursorImage, Leds};
pub use log::{Move, Step};
pub use motion::{Difference, Motion, Picture};
pub use swap::{Changes, Draft, Screen};
