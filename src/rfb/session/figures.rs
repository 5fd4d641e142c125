//! What a session has done, and how it stands.

use super::Session;
use crate::encode;
use crate::rfb::stats::Stats;

/// What is only counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) updates: u64,
    pub(super) rects: u64,
    pub(super) bytes: u64,
    pub(super) pixels: u64,
    pub(super) refreshed_pixels: u64,
    pub(super) ways: encode::Stats,
    pub(super) requests: u64,
    pub(super) inputs: u64,
}

impl Session {
    /// Figures.
    pub fn stats(&self) -> Stats {
        Stats {
            updates: self.counts.updates,
            rects: self.counts.rects,
            bytes: self.counts.bytes,
            pixels: self.counts.pixels,
            refreshed_pixels: self.counts.refreshed_pixels,
            ways: self.counts.ways,
            requests: self.counts.requests,
            inputs: self.counts.inputs,
            pending_pixels: self.pending.damage().area(),
            lossy_pixels: self.refresh.lossy().area(),
            round_trip: self.flow.round_trip(),
            window: self.flow.window(),
            in_flight: self.flow.in_flight(),
            encoding: self.caps.encoding,
            jpeg_rects: self.caps.jpeg_rects,
            quality: self.caps.quality,
            fitted: self.fitted,
            rate: self.flow.rate(),
            base_round_trip: self.flow.base_round_trip(),
            playing_pixels: self.activity.playing().area(),
            format: self.format,
            continuous: self.demand.continuous.is_some(),
        }
    }
}
