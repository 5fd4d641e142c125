//! The faults that an init has to survive, injected into a real `deskinit run`: the second table of the reliability
//! bar, as far as it concerns processes.
//!
//! Bounds of time are those that the bar names, or tell life from a hang; what was measured is printed. `scripts/kills`
//! measures recovery over many more kills than a test has time for.

// clippy.toml excuses the test functions only, not their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod churn;
mod clock;
mod codes;
mod groups;
mod kills;
mod limits;
mod loops;
mod recovery;
mod storage;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the helpers of tests/integration, where all of them are in use"
)]
#[path = "../integration/support/mod.rs"]
mod support;
mod syscalls;
mod tools;
mod verdicts;
mod xserver;
mod zombies;
