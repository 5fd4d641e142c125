//! Figures of one session, for the status page and the metrics.

use std::time::Duration;

use crate::encode::{self, Encoding, JpegQuality};
use crate::pixel::PixelFormat;

/// What a session has done so far and how it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// FramebufferUpdates that held pixels.
    pub updates: u64,
    /// Rectangles in them, pseudo-rectangles included.
    pub rects: u64,
    /// Bytes of updates.
    pub bytes: u64,
    /// Pixels sent because they changed.
    pub pixels: u64,
    /// Pixels sent again without loss.
    pub refreshed_pixels: u64,
    /// How they were encoded.
    pub ways: encode::Stats,
    /// Update requests of the client.
    pub requests: u64,
    /// Keys and pointer events of the client.
    pub inputs: u64,
    /// Changed pixels that the client has not been sent.
    pub pending_pixels: u64,
    /// Pixels that the client has with loss.
    pub lossy_pixels: u64,
    /// Smoothed time until the client confirms an update, by a fence or by asking for the next.
    pub round_trip: Option<Duration>,
    /// The shortest that was seen: the link without a queue.
    pub base_round_trip: Option<Duration>,
    /// Bytes a second that the link carries; `None` while it has taken everything at once.
    pub rate: Option<f64>,
    /// Congestion window in bytes.
    pub window: u64,
    /// Bytes that the client has not confirmed.
    pub in_flight: u64,
    /// The encoding in use.
    pub encoding: Encoding,
    /// Photos go as rectangles of JPEG beside it.
    pub jpeg_rects: bool,
    /// JPEG quality that the client asked for.
    pub quality: Option<JpegQuality>,
    /// JPEG quality of its last update, which is lower where the link carries no better.
    pub fitted: Option<JpegQuality>,
    /// Pixels of the screen that play like a video.
    pub playing_pixels: u64,
    /// The layout of the client's pixels.
    pub format: PixelFormat,
    /// Updates come without requests.
    pub continuous: bool,
}
