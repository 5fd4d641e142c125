//! How good a picture a link carries: an update must not take longer than [`TIME`] on its way, so on a slow link it
//! gets a lower JPEG quality, and only when the lowest does not do, fewer pixels.
//!
//! ```text
//!   flow: bytes a second ──► bytes that the update may have ─┐
//!   seen: bytes a pixel  ──► bytes that it would have  ──────┴──► the best level that fits
//!            ▲                                                     └─ none does: level 0, the upper part alone
//!            └──────────────── what it had ◄── encoded ◄──────────────┘
//! ```
//!
//! A picture that is whole but coarse is from one moment; one that is cut never is. Coarse pixels are lossy ones, which
//! come again without loss as soon as they stand still (see [`super::refresh`]), however slow the link is.

use std::time::Duration;

use super::update::upper_part;
use crate::encode::JpegQuality;
use crate::pixel::{Rect, Region};

/// How long an update may be on its way: half of what the newest picture may be old (0.5 s), because the next one is as late
/// again.
pub const TIME: Duration = Duration::from_millis(200);

/// How long when it cannot be coarser and has to be cut: as much of it as possible is from one moment.
const CUT: Duration = Duration::from_millis(250);

/// However slow the link, so many bytes may go at once: less would be all headers.
const LEAST: u64 = 16 * 1024;

/// Bytes of a photographic picture at levels 0–9, level 9 being 1; measured on photos and video. Only the ratios of
/// neighbours matter, for what they say is corrected by what was seen.
const SIZES: [f64; 10] = [0.045, 0.07, 0.09, 0.105, 0.145, 0.20, 0.25, 0.32, 0.45, 1.0];

/// Updates of fewer pixels are all overhead and say nothing.
const TELLING: u64 = 16 * 1024;

/// A level is left for a better one when that would need no more than this part of what may be sent.
const ROOM: f64 = 0.8;

/// What an update may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The quality of its JPEGs, at most the client's.
    pub quality: Option<JpegQuality>,
    /// Its pixels.
    pub pixels: u64,
}

/// Chooses the quality of the updates of one client.
#[derive(Debug)]
pub struct Control {
    /// Bytes that a pixel would have at level 9, as far as was seen.
    lossy: f64,
    /// Bytes of a pixel that goes without loss: text, drawings, and all that no JPEG may be made of.
    lossless: f64,
    /// Bytes of a pixel of a photo that comes again without loss.
    again: f64,
    /// What part of the last update's pixels were photos.
    share: f64,
    /// The level that was last chosen.
    level: Option<u8>,
    /// The row where the last part ended, when not all fitted.
    resume: u16,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            lossy: 0.6,
            lossless: 0.25,
            again: 2.0,
            share: 1.0,
            level: None,
            resume: 0,
        }
    }
}

impl Control {
    /// For an update of so many pixels to a client that wants this quality, on a link of `rate` bytes a second (unknown:
    /// as fast as can be) of which `queued` bytes still go before it.
    pub fn fit(
        &mut self,
        wanted: Option<JpegQuality>,
        pixels: u64,
        rate: Option<f64>,
        queued: u64,
    ) -> Fit {
        let whole = Fit {
            quality: wanted,
            pixels,
        };
        let Some(rate) = rate else {
            self.level = wanted.map(JpegQuality::level);
            return whole;
        };
        let bytes = carried(rate, queued, TIME);
        let best = wanted.map_or(0, JpegQuality::level);
        let before = self.level.unwrap_or(best);
        let fits = |level: &u8| {
            let room = if *level > before { ROOM } else { 1.0 };
            pixels as f64 * self.size(wanted.map(|_| *level)) <= bytes * room
        };
        let level = (0..=best).rev().find(fits);
        self.level = wanted.map(|_| level.unwrap_or(0));
        Fit {
            quality: wanted.map(|wanted| wanted.lowered(best - level.unwrap_or(0))),
            pixels: match level {
                Some(_) => pixels,
                None => pixels.min((carried(rate, queued, CUT) / self.size(self.level)) as u64),
            },
        }
    }

    /// How many pixels may be sent again without loss.
    pub fn again(&self, rate: Option<f64>, queued: u64) -> u64 {
        rate.map_or(u64::MAX, |rate| {
            (carried(rate, queued, TIME) / self.again.max(1e-4)) as u64
        })
    }

    /// The part of a region that goes when no more than so many pixels may: each time the next, so that what is above
    /// and never rests does not keep what is below from being seen.
    pub fn part(&mut self, region: &Region, pixels: u64) -> Region {
        if region.area() <= pixels {
            self.resume = 0;
            return region.clone();
        }
        let mut rest = region.clone();
        let all = region.bounds();
        rest.clip(Rect::from_edges(
            all.x,
            self.resume,
            all.right(),
            all.bottom(),
        ));
        let part = upper_part(if rest.is_empty() { region } else { &rest }, pixels);
        self.resume = part.bounds().bottom();
        part
    }

    /// An update had so many bytes for so many pixels, `lossy` of which went as JPEG of this quality.
    pub fn observe(&mut self, quality: Option<JpegQuality>, pixels: u64, lossy: u64, bytes: u64) {
        if pixels < TELLING {
            return;
        }
        let (pixels, bytes) = (pixels as f64, bytes as f64);
        self.share = (lossy as f64 / pixels).min(1.0);
        let photos = self.share * pixels;
        let size = quality.map_or(1.0, |quality| SIZES[usize::from(quality.level())]);
        // What is known of the smaller part tells what the larger one had.
        if self.share >= 0.5 {
            let rest = (pixels - photos) * self.lossless;
            learn(
                &mut self.lossy,
                (bytes - rest).max(bytes / 4.0) / photos / size,
            );
        } else {
            let rest = photos * self.lossy * size;
            let others = pixels - photos;
            learn(&mut self.lossless, (bytes - rest).max(bytes / 4.0) / others);
        }
    }

    /// An update had so many bytes for so many pixels that came again without loss.
    pub fn observe_again(&mut self, pixels: u64, bytes: u64) {
        if pixels >= TELLING {
            learn(&mut self.again, bytes as f64 / pixels as f64);
        }
    }

    /// Bytes that a pixel is expected to have at this level.
    fn size(&self, level: Option<u8>) -> f64 {
        let photo = level.map_or(self.lossless, |level| {
            self.lossy * SIZES[usize::from(level)]
        });
        (self.share * photo + (1.0 - self.share) * self.lossless).clamp(1e-4, 8.0)
    }
}

/// What is too much is noticed at once, what is too little is believed slowly: it costs less.
fn learn(known: &mut f64, seen: f64) {
    *known = seen.max(*known * 0.75 + seen * 0.25);
}

/// Bytes that arrive within this time when so many go before them.
fn carried(rate: f64, queued: u64, time: Duration) -> f64 {
    let bytes = (rate * time.as_secs_f64()) as u64;
    bytes.saturating_sub(queued).max(LEAST) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: u64 = 1280 * 720;

    /// Bytes of a picture that has 136 kB at level 6; real ones are not quite as the table says.
    fn encoded(fit: Fit, error: f64) -> u64 {
        let level = fit.quality.map_or(9, JpegQuality::level);
        (fit.pixels as f64 * 0.148 * SIZES[usize::from(level)] / SIZES[6] * error) as u64
    }

    fn play(control: &mut Control, rate: Option<f64>, pixels: u64, frames: usize) -> (Fit, u64) {
        let wanted = Some(JpegQuality::of_level(6));
        let mut last = (control.fit(wanted, pixels, rate, 0), 0);
        for frame in 0..frames {
            let fit = control.fit(wanted, pixels, rate, 0);
            let bytes = encoded(fit, [0.8, 1.0, 1.2][frame % 3]);
            control.observe(fit.quality, fit.pixels, fit.pixels, bytes);
            last = (fit, bytes);
        }
        last
    }

    #[test]
    fn a_video_gets_coarse_rather_than_cut_and_recovers() {
        let mut control = Control::default();
        let (fit, bytes) = play(&mut control, Some(200e3), VIDEO, 20);
        assert_eq!(fit.pixels, VIDEO, "whole");
        assert!(
            bytes <= 55_000,
            "{bytes} bytes are more than a quarter of a second"
        );
        assert!(bytes >= 15_000, "{bytes} bytes: coarser than need be");
        let (fit, _) = play(&mut control, Some(10e6), VIDEO, 20);
        assert_eq!(fit.quality, Some(JpegQuality::of_level(6)));
        let (fit, _) = play(&mut control, None, VIDEO, 1);
        assert_eq!(fit.quality, Some(JpegQuality::of_level(6)));
    }

    #[test]
    fn what_is_small_stays_sharp_beside_it() {
        let mut control = Control::default();
        play(&mut control, Some(200e3), VIDEO, 20);
        let wanted = Some(JpegQuality::of_level(6));
        assert_eq!(
            control.fit(wanted, 100 * 100, Some(200e3), 0).quality,
            wanted
        );
    }

    #[test]
    fn a_modem_gets_part_of_it_and_something_always_goes() {
        let mut control = Control::default();
        let (fit, bytes) = play(&mut control, Some(20e3), VIDEO, 20);
        assert!(fit.pixels < VIDEO);
        assert_eq!(fit.quality, Some(JpegQuality::of_level(0)));
        assert!(bytes <= 2 * LEAST, "{bytes}");
        for (rate, queued) in [(0.0, 0), (1.0, u64::MAX), (f64::INFINITY, 0)] {
            assert!(control.fit(None, VIDEO, Some(rate), queued).pixels > 0);
        }
    }

    #[test]
    fn a_client_that_wants_no_loss_gets_none() {
        let mut control = Control::default();
        for _ in 0..20 {
            let fit = control.fit(None, VIDEO, Some(200e3), 0);
            assert_eq!(fit.quality, None);
            control.observe(None, fit.pixels, 0, fit.pixels * 3);
        }
        let fit = control.fit(None, VIDEO, Some(200e3), 0);
        assert!(
            (14_000..18_000).contains(&fit.pixels),
            "{} pixels",
            fit.pixels
        );
    }

    #[test]
    fn parts_go_round() {
        let mut control = Control::default();
        let region = Region::from(Rect::sized(100, 100));
        let mut rows = Vec::new();
        for _ in 0..5 {
            let part = control.part(&region, 3000);
            rows.push((part.bounds().y, part.bounds().bottom()));
        }
        assert_eq!(rows, [(0, 30), (30, 60), (60, 90), (90, 100), (0, 30)]);
        assert_eq!(control.part(&region, 10_000), region);
    }

    #[test]
    fn text_is_not_cut_as_if_it_were_a_photo() {
        let mut control = Control::default();
        play(&mut control, Some(200e3), VIDEO, 20);
        let wanted = Some(JpegQuality::of_level(6));
        for _ in 0..20 {
            let fit = control.fit(wanted, 1 << 20, Some(200e3), 0);
            control.observe(fit.quality, fit.pixels, 0, fit.pixels / 50);
        }
        let fit = control.fit(wanted, 1 << 20, Some(200e3), 0);
        assert_eq!((fit.quality, fit.pixels), (wanted, 1 << 20));
    }
}
