//! The parts of the way of a frame by themselves, over the kinds of content that screens show:
//!
//!     cargo bench --manifest-path tests/perf/Cargo.toml -- [FILTER]
//!
//! Each works on one picture of 1280 × 720; throughput is in pixels.

#[allow(dead_code, reason = "the workloads use more of it")]
#[path = "../../src/picture.rs"]
mod picture;

mod content;
mod encode;
mod pixel;

fn main() {
    divan::main();
}
