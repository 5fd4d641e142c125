//! Tests of whole processes against real X servers, window managers and viewers.
//!
//! One binary, so that the library is linked once; each module is an area.

mod desktop;
mod http;
mod layering;
mod readme;
mod support;
