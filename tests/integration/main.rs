//! Tests of whole processes against real X servers, window managers and viewers.
//!
//! One binary, so that the library is linked once; each module is an area.

// clippy.toml excuses the test functions only, not their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod desktop;
mod encode;
mod fuzz_corpus;
mod http;
mod init;
mod input;
mod layering;
mod readme;
mod rfb_client;
mod run;
mod serve;
mod supervisord;
mod support;
