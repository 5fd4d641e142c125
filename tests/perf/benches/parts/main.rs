//! The parts of the way of a frame by themselves, over the kinds of content that screens show:
//!
//!     scripts/bench --parts [FILTER]
//!
//! Each works on one picture of 1280 × 720; throughput is in pixels.

#[allow(dead_code, reason = "the workloads use more of it")]
#[path = "../../src/picture.rs"]
mod picture;
// Rooms of the program that are private to it are benchmarked from their source, so that nothing is opened for it.
#[path = "../../../../src/desktop/diff.rs"]
mod diff;
#[path = "../../../../src/encode/palette.rs"]
mod palette;
#[allow(dead_code, reason = "only the rows are of interest")]
#[path = "../../../../src/screen/motion/vote.rs"]
mod vote;
/// What those rooms import.
mod pixel {
    pub(crate) use deskinit::pixel::{Frame, Point, Rect, Region};
}
mod screen {
    pub(crate) use deskinit::screen::{Difference, Move, Past};
}
use deskinit::screen::{Picture, Rows};

mod content;
mod encode;
mod frames;

fn main() {
    divan::main();
}
