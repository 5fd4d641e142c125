//! The faults that an init has to survive, injected into a real `deskinit run`: the second table of the reliability
//! bar, as far as it concerns processes.
//!
//! Bounds of time here tell life from a hang, on a machine that others use as well; what was measured is printed. The
//! promises themselves are measured by `scripts/bench --kills`.

// clippy.toml excuses the test functions only, not their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod codes;
mod groups;
mod limits;
mod recovery;
mod storage;
mod syscalls;
mod verdicts;
mod xserver;
mod zombies;
// The same helpers as those of tests/integration, where all of them are in use.
#[allow(dead_code, unreachable_pub)]
#[path = "../integration/support/mod.rs"]
mod support;
mod tools;
