//! The faults that an init has to survive, injected into a real `deskinit run`: the second table of the reliability
//! bar, as far as it concerns processes.
//!
//! Bounds of time here tell life from a hang, on a machine that others use as well; what was measured is printed.

// clippy.toml excuses the test functions only, not their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod groups;
mod recovery;
mod verdicts;
mod xserver;
// The same helpers as those of tests/integration, where all of them are in use.
#[allow(dead_code, unreachable_pub)]
#[path = "../integration/support/mod.rs"]
mod support;
