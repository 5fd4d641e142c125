//! The latest picture of the screen, what changed since any earlier one, and the shape of the pointer.
//!
//! ```text
//!   capture thread                                  sessions (any number, any thread)
//!   draft() ── write what changed ── publish() ──►  latest(), changes_since(generation)
//!      ▲                                │                     │
//!      └──── the one that nobody holds ◄┴── Arc<Frame> is dropped when it was encoded
//! ```
//!
//! Pure: no socket, no X, no clock. [`Screen`] is a swap chain of at most three buffers and a bounded log of what each
//! publication changed. Nobody waits for anybody: readers hold a buffer as long as they encode it, and the writer takes
//! another one; who comes while the only one is written is told when it is done.

mod activity;
mod cursor;
mod draft;
mod log;
mod motion;
mod swap;

pub use activity::{Activity, Rhythms};
pub use cursor::{CursorImage, Leds};
pub use draft::{Before, Draft, Past, Rows};
pub use log::{Move, Step};
pub use motion::{Difference, Motion, Picture};
pub use swap::{Changes, Screen};
