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
//! A picture that is whole but coarse is from one moment; one that is cut never is: it is cut only where it would not fit
//! if nothing went before it, and else waits until enough of that is away. Coarse pixels are lossy ones, which
//! come again without loss as soon as they stand still (see [`super::refresh`]), however slow the link is.

use std::time::Duration;

use super::flow::Link;
use super::update::upper_part;
use crate::encode::JpegQuality;
use crate::pixel::{Rect, Region};

/// How long an update may be on its way: half of what the newest picture may be old (0.5 s), because the next one is as late
/// again.
pub const TIME: Duration = Duration::from_millis(200);

/// The same where the link is guessed: there may be one more update on its way than is known, for some clients ask for the
/// next when one has only begun to come.
const GUESSED_TIME: Duration = Duration::from_millis(150);

/// How long when it cannot be coarser and has to be cut: as much of it as possible is from one moment.
const CUT: Duration = Duration::from_millis(250);

/// For the queue to be looked at again, in seconds: what was in it is on its way by then.
const MOST: f64 = 0.25;

/// However slow the link, so many bytes may go at once: less would be all headers.
const LEAST: u64 = 16 * 1024;

/// So many bytes are expected of the first update to a link of which nothing is known, which would take 0.3 s at 200 kB/s;
/// four times as many of each further one, until something is known.
const FIRST: f64 = 64.0 * 1024.0;

/// No less goes at once however slow a link is guessed to be: it may be long instead.
const GUESSED_LEAST: f64 = 32.0 * 1024.0;

/// So many pixels come again without loss at once however slow a link is guessed to be, when nothing else does, or a
/// client that asks at leisure would never have them all.
const GUESSED: u64 = 32 * 1024;

/// Where a link carries so little, bytes are dearer than the time to save them; and where it carries more than the second,
/// no more.
const THRIFT: (f64, f64) = (4e6, 8e6);

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
    /// All of them would fit after this time, when enough of what goes before has left.
    pub later: Option<Duration>,
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
    /// Updates that have gone before anything is known of the link.
    trials: u8,
    thrifty: bool,
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
            trials: 0,
            thrifty: false,
        }
    }
}

impl Control {
    /// For an update of so many pixels to a client that wants this quality.
    pub fn fit(&mut self, wanted: Option<JpegQuality>, pixels: u64, link: &Link) -> Fit {
        let best = wanted.map_or(0, JpegQuality::level);
        // What takes no loss and has no fences may be a program that takes the first update for all of the picture.
        let whole = link.guessed && wanted.is_none();
        let Some(rate) = link.rate else {
            self.level = wanted.map(JpegQuality::level);
            let first = FIRST * f64::from(self.trials.min(4)).exp2().powi(2);
            return Fit {
                quality: wanted,
                later: None,
                pixels: match whole || !link.untried {
                    true => pixels,
                    false => pixels.min((first / self.size(self.level)) as u64),
                },
            };
        };
        let time = if link.guessed { GUESSED_TIME } else { TIME };
        let bytes = carried(rate, link.queued, time);
        let before = self.level.unwrap_or(best);
        let fits = |level: &u8| {
            let room = if *level > before { ROOM } else { 1.0 };
            pixels as f64 * self.size(wanted.map(|_| *level)) <= bytes * room
        };
        let level = (0..=best).rev().find(fits);
        self.level = wanted.map(|_| level.unwrap_or(0));
        let quality = wanted.map(|wanted| wanted.lowered(best - level.unwrap_or(0)));
        let mut fit = Fit {
            quality,
            pixels,
            later: None,
        };
        if level.is_none() && !whole {
            let least = if link.guessed { GUESSED_LEAST } else { 0.0 };
            let room = |queued, time| carried(rate, queued, time).max(least);
            let size = self.size(self.level);
            let bytes = pixels as f64 * size;
            let alone = [time, CUT].into_iter().find(|t| bytes <= room(0, *t));
            match alone.filter(|time| bytes > room(link.queued, *time)) {
                Some(time) => {
                    let before = (rate * time.as_secs_f64() - bytes).max(0.0);
                    let early = (link.queued as f64 - before) / rate.max(1.0) + 0.001;
                    fit.later = Some(Duration::from_secs_f64(early.min(MOST)));
                }
                None => fit.pixels = pixels.min((room(link.queued, CUT) / size) as u64),
            }
        }
        fit
    }

    /// Is it worth the time to make updates smaller?
    pub fn thrifty(&mut self, link: &Link) -> bool {
        let (little, enough) = THRIFT;
        let most = if self.thrifty { enough } else { little };
        self.thrifty = link.rate.is_some_and(|rate| rate < most);
        self.thrifty
    }

    /// How many pixels may be sent again without loss, behind so many that have changed. `still`: nothing will wait for
    /// them.
    pub fn again(&self, changed: u64, still: bool, link: &Link) -> u64 {
        let Some(rate) = link.rate else {
            return u64::MAX;
        };
        let before = (changed as f64 * self.size(self.level)) as u64;
        let bytes = carried(rate, link.queued.saturating_add(before), TIME);
        let pixels = |bytes: f64| (bytes / self.again.max(1e-4)) as u64;
        match (link.guessed, still) {
            (false, _) => pixels(bytes),
            (true, false) => pixels(bytes.max(GUESSED_LEAST)),
            (true, true) => pixels(bytes).max(GUESSED),
        }
    }

    /// The part of a region that goes when no more than so many pixels may: each time the next, so that what is above
    /// and never rests does not keep what is below from being seen.
    pub fn part(&mut self, region: &Region, pixels: u64) -> Region {
        if region.area() <= pixels {
            // What was cut may go on later: something small in between changes nothing.
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
        self.trials = self.trials.saturating_add(1);
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
    use crate::rfb::flow::Flow;
    use std::time::Instant;

    const VIDEO: u64 = 1280 * 720;

    /// Bytes of a picture that has 136 kB at level 6; real ones are not quite as the table says.
    fn encoded(fit: Fit, error: f64) -> u64 {
        let level = fit.quality.map_or(9, JpegQuality::level);
        (fit.pixels as f64 * 0.148 * SIZES[usize::from(level)] / SIZES[6] * error) as u64
    }

    fn link(rate: Option<f64>) -> Link {
        Link {
            rate,
            ..Link::default()
        }
    }

    fn play(control: &mut Control, rate: Option<f64>, pixels: u64, frames: usize) -> (Fit, u64) {
        let wanted = Some(JpegQuality::of_level(6));
        let mut last = (control.fit(wanted, pixels, &link(rate)), 0);
        for frame in 0..frames {
            let fit = control.fit(wanted, pixels, &link(rate));
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
            control.fit(wanted, 100 * 100, &link(Some(200e3))).quality,
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
            let link = Link {
                queued,
                ..link(Some(rate))
            };
            assert!(control.fit(None, VIDEO, &link).pixels > 0);
        }
    }

    #[test]
    fn a_picture_waits_for_the_one_before_it_rather_than_being_cut() {
        let mut control = Control::default();
        let (_, bytes) = play(&mut control, Some(200e3), VIDEO, 20);
        let wanted = Some(JpegQuality::of_level(6));
        let behind = |queued| Link {
            queued,
            ..link(Some(200e3))
        };
        let fit = control.fit(wanted, VIDEO, &behind(bytes * 2));
        let later = fit.later.expect("it does not fit behind two");
        let left = bytes * 2 - (later.as_secs_f64() * 200e3) as u64;
        let fit = control.fit(wanted, VIDEO, &behind(left));
        assert_eq!((fit.pixels, fit.later), (VIDEO, None), "{left}");
        // A link that will never carry it at once.
        let fit = control.fit(wanted, VIDEO * 9, &behind(bytes * 2));
        assert!(fit.pixels < VIDEO * 9 && fit.later.is_none(), "{fit:?}");
    }

    #[test]
    fn what_comes_again_leaves_room_for_what_has_changed() {
        let mut control = Control::default();
        play(&mut control, Some(200e3), VIDEO, 20);
        let link = link(Some(200e3));
        let alone = control.again(0, false, &link);
        assert!(control.again(VIDEO / 4, false, &link) < alone);
        assert!(control.again(VIDEO * 100, false, &link) > 0);
        let guessed = Link {
            guessed: true,
            ..link
        };
        assert!(control.again(0, true, &guessed) > control.again(0, false, &guessed));
    }

    #[test]
    fn a_client_that_wants_no_loss_gets_none() {
        let mut control = Control::default();
        for _ in 0..20 {
            let fit = control.fit(None, VIDEO, &link(Some(200e3)));
            assert_eq!(fit.quality, None);
            control.observe(None, fit.pixels, 0, fit.pixels * 3);
        }
        let fit = control.fit(None, VIDEO, &link(Some(200e3)));
        assert!(
            (14_000..18_000).contains(&fit.pixels),
            "{} pixels",
            fit.pixels
        );
    }

    #[test]
    fn what_comes_first_is_small_until_the_link_is_known() {
        let mut control = Control::default();
        let wanted = Some(JpegQuality::of_level(6));
        let untried = Link {
            untried: true,
            ..Link::default()
        };
        let screen = 1920 * 1080;
        let first = control.fit(wanted, screen, &untried).pixels;
        assert!((300_000..600_000).contains(&first), "{first}");
        // Hardly anything on it, so the link is not known any better.
        for _ in 0..2 {
            control.observe(wanted, first, 0, 2000);
        }
        assert_eq!(control.fit(wanted, screen, &untried).pixels, screen);
        // A program that wants the picture as it is.
        let guessed = Link {
            guessed: true,
            ..untried
        };
        assert_eq!(
            Control::default().fit(None, screen, &guessed).pixels,
            screen
        );
        assert_eq!(
            Control::default().fit(wanted, screen, &link(None)).pixels,
            screen
        );
    }

    #[test]
    fn bytes_are_saved_where_they_are_dear() {
        let mut control = Control::default();
        let rates = [None, Some(6e6), Some(2e6), Some(6e6), Some(9e6), Some(6e6)];
        let thrifty = rates.map(|rate| control.thrifty(&link(rate)));
        assert_eq!(thrifty, [false, false, true, true, false, false]);
    }

    /// A video over a link of 200 kB/s to a client without fences, which asks again when it has all of an update, or when
    /// one begins to come. How good the last pictures were, and how old its newest one ever was after two seconds.
    fn video_by_requests(early: bool) -> (u8, f64) {
        let (rate, seconds) = (200e3, 20.0);
        let start = Instant::now();
        let (mut flow, mut control) = (Flow::default(), Control::default());
        let wanted = Some(JpegQuality::of_level(6));
        // When the link is free, when the client asks next, and updates on their way: of when, and when they are there.
        let (mut free, mut asks) = (0.0f64, 0.0);
        let mut coming: Vec<(f64, f64)> = Vec::new();
        let (mut level, mut oldest, mut newest, mut time) = (6, 0.0f64, 0.0, 0.0);
        while time < seconds {
            let now = start + Duration::from_secs_f64(time);
            let waits = ((free - time) * rate - 64.0 * 1024.0).max(0.0);
            if time >= asks {
                flow.requested(now);
            }
            flow.waiting(waits as u64, false, now);
            if time >= asks && waits == 0.0 {
                let fit = control.fit(wanted, VIDEO, &flow.link(now));
                let bytes = encoded(fit, [0.9, 1.0, 1.1][coming.len() % 3]);
                control.observe(fit.quality, fit.pixels, fit.pixels, bytes);
                level = fit.quality.map_or(9, JpegQuality::level);
                flow.sent(bytes, now);
                let begins = free.max(time);
                free = begins + bytes as f64 / rate;
                asks = if early { begins + 0.01 } else { free + 0.01 };
                coming.push((time, free + 0.005));
            }
            while let Some((taken, _)) = coming.iter().find(|(t, at)| *at <= time && *t > newest) {
                newest = *taken;
            }
            if time > 2.0 {
                oldest = oldest.max(time - newest);
            }
            time += 0.001;
        }
        (level, oldest)
    }

    #[test]
    fn a_client_without_fences_gets_coarse_and_new_pictures_on_a_slow_link() {
        for early in [false, true] {
            let (level, oldest) = video_by_requests(early);
            assert!(level < 6, "{early}: as good as on a fast link");
            assert!(oldest <= 0.5, "{early}: {oldest} s");
        }
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
            let fit = control.fit(wanted, 1 << 20, &link(Some(200e3)));
            control.observe(fit.quality, fit.pixels, 0, fit.pixels / 50);
        }
        let fit = control.fit(wanted, 1 << 20, &link(Some(200e3)));
        assert_eq!((fit.quality, fit.pixels), (wanted, 1 << 20));
    }
}
