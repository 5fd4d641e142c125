//! What several areas of tests share: X servers, drawing, waiting, and an RFB client.
//!
//! `client` speaks RFB to a server, `decode` (with `tight`, `png`, `jpeg`, `inflate` and `pseudo`) turns rectangles back into pixels.
//! Both are written from the specifications, not from this program, so that a mistake in one cannot hide a mistake in
//! the other.

pub(crate) mod client;
pub(crate) mod clipboard;
pub(crate) mod decode;
pub(crate) mod desk;
pub(crate) mod draw;
pub(crate) mod inflate;
pub(crate) mod jpeg;
pub(crate) mod pictures;
pub(crate) mod png;
pub(crate) mod pseudo;
pub(crate) mod random;
pub(crate) mod serve;
pub(crate) mod tight;
pub(crate) mod websocket;
pub(crate) mod wire;
pub(crate) mod xvfb;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A private directory that goes with its value.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("deskinit-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Looks every few milliseconds until `look` finds something; panics with `what` at the deadline. For what has no event.
pub(crate) fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}
