//! PID 1: services, readiness, restarts, signals, zombies, the exit code.
//!
//! ```text
//!   signalfd   notify.sock   control.sock   displayfd   pipes of the services
//!      └───────────┴──────┬──────┴──────────────┴──────────────┘
//!                    driver (poll)          the only loop, the only thread; blocks nowhere else
//!                  events │ ▲ actions
//!                         ▼ │
//!                       plan ── service     pure: what is started, stopped, judged, and when
//!                         │
//!        reaper (who is whose child) · remnants (of its group) · strays (nobody's) · freezer
//!                     logs (what they print) · witness (why) · report → link (who asks)
//! ```
//!
//! journal keeps what happened lately for those who ask. passthrough is another, smaller init: in front of one command.
//!
//! No network, no X, one thread, bounded memory.

pub mod control;
pub mod driver;
pub mod freezer;
pub mod journal;
pub mod lineage;
pub mod link;
pub mod logs;
pub mod notify;
pub mod passthrough;
pub mod plan;
pub mod reaper;
pub mod remnants;
pub mod report;
pub mod rundir;
pub mod service;
pub mod strays;
pub mod witness;
