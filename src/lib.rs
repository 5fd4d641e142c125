//! deskinit: the PID 1 of graphical containers.
//!
//! The map of the house; imports run downwards only, and `tests/integration/layering.rs` reads the `use` lines and fails on any
//! other edge.
//!
//! ```text
//!  main → roles        run, serve, gate, status, doctor, orders, other programs' names: what the command line asks for
//!          │
//!          ├─ supervisor   PID 1: services, reaping, signals, exit code        (→ sys)
//!          ├─ xserver      how an X server is started: display number, cookie;
//!          │               what a gate in front of it lets through             (→ sys)
//!          ├─ server       listeners, connections, hub of sessions, encode pool
//!          ├─ http         page, websocket, probes, metrics
//!          ├─ desktop      the only X client: capture, input, clipboard …      (→ sys)
//!          │
//!          ├─ rfb  encode  screen     the protocol, the encodings, the latest picture: pure
//!          │                                                       (encode → sys::simd)
//!          └─ pixel                   rectangles, regions, formats, frames: pure
//!
//!  config, telemetry: for roles.   sys: all unsafe code and raw system calls; the X server's GLX driver.
//! ```

// What they print may fail; `roles::say` is for that.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod config;
pub mod desktop;
pub mod encode;
pub mod http;
pub mod pixel;
pub mod rfb;
pub mod roles;
pub mod screen;
pub mod server;
// Nothing in PID 1 may panic.
#[deny(clippy::expect_used, clippy::indexing_slicing)]
pub mod supervisor;
#[allow(unsafe_code)]
#[deny(clippy::expect_used, clippy::indexing_slicing)]
pub mod sys;
pub mod telemetry;
pub mod xserver;
