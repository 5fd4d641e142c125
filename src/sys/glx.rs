//! The driver that an X server of ours finds out by what OpenGL its clients can have: see `glx/driver.rs`.

/// A shared library, to be found as [`FILE`] in a directory of `LIBGL_DRIVERS_PATH`.
pub const DRIVER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swrast_dri.so"));

/// Its name, by which the server asks for it.
pub const FILE: &str = "swrast_dri.so";
