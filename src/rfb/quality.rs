//! How good a picture a link carries: an update must not take longer than [`TIME`] on its way, so on a slow link it
//! gets a lower JPEG quality; when level 0 does not do, even with nothing before it, what plays goes as JPEG whatever it
//! is; when that does not do, coarser than any level; and only when that does not do either, it gets fewer pixels.
//!
//! ```text
//!   flow: bytes a second ──► bytes that the update may have ─┐
//!   seen: bytes a pixel  ──► bytes that it would have  ──────┴──► the best level that fits
//!            ▲                                                     ├─ none does: that with all that plays as JPEG
//!            │                                                     ├─ none does: a step below level 0
//!            │                                                     └─ none does: the last step, the upper part alone
//!            └──────────────── what it had ◄── encoded ◄──────────────┘
//! ```
//!
//! A picture that is whole but coarse is from one moment; one that is cut never is: it is cut only where it would not fit
//! if nothing went before it, and else waits until enough of that is away. Coarse pixels are lossy ones, which
//! come again without loss as soon as they stand still (see [`super::refresh`]), however slow the link is.

use std::time::Duration;

use super::flow::Link;
use super::parts::upper_part;
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

/// An update may have so many times the bytes that it should: encoding it once more costs more than that saves.
const OVER: f64 = 1.125;

/// For the queue to be looked at again, in seconds: what was in it is on its way by then.
const MOST: f64 = 0.25;

/// However slow the link, so many bytes may go at once when nothing goes before them: less would be all headers.
const LEAST: u64 = 16 * 1024;

/// Whatever goes before it, so little makes nothing late.
const SCRAP: u64 = 2 * 1024;

/// So many bytes are expected of the first update to a link of which nothing is known, which would take 0.3 s at 200 kB/s;
/// four times as many of each further one, until something is known. So many go at most, whatever was expected.
const FIRST: f64 = 64.0 * 1024.0;

/// No less goes at once however slow a link is guessed to be: it may be long instead.
const GUESSED_LEAST: f64 = 32.0 * 1024.0;

/// So many pixels come again without loss at once however slow a link is guessed to be, when nothing else does, or a
/// client that asks at leisure would never have them all.
const GUESSED: u64 = 32 * 1024;

/// Where a link carries so little, bytes are dearer than the time to save them; and where it carries more than the second,
/// no more.
const THRIFT: (f64, f64) = (4e6, 8e6);

/// Bytes of a photographic picture at the steps below level 0 and at levels 0–9, level 9 being 1; measured on photos and
/// video, but for the lowest, measured on drawings: of photos it saves nothing more. Only the ratios of neighbours matter,
/// for what they say is corrected by what was seen.
const SIZES: [f64; 10 + LEVEL_0 as usize] = [
    0.016, 0.020, 0.025, 0.033, 0.042, 0.066, 0.085, 0.097, 0.13, 0.21, 0.25, 0.34, 0.46, 1.0,
];

/// The step that level 0 is.
const LEVEL_0: u8 = JpegQuality::BELOW;

/// Updates of fewer pixels are all overhead and say nothing.
const TELLING: u64 = 16 * 1024;

/// A level is left for a better one when that would need no more than this part of what may be sent.
const ROOM: f64 = 0.8;

/// How much there is to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// All pixels.
    pub pixels: u64,
    /// Those of them that play: others are about to follow. None, where nothing can go as JPEG.
    pub plays: u64,
    /// Others around those, which would go with them if they went as JPEG whatever they are.
    pub around: u64,
}

/// What an update may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The quality of its JPEGs, at most the client's.
    pub quality: Option<JpegQuality>,
    /// What plays goes as JPEG, text and drawings included.
    pub coarse: bool,
    /// What it must not exceed, where that is known.
    pub limit: Option<Limit>,
    /// Its pixels.
    pub pixels: u64,
    /// All of them would fit after this time, when enough of what goes before has left.
    pub later: Option<Duration>,
}

/// A part of the screen, encoded for one who has seen nothing before.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its pixels.
    pub pixels: u64,
    /// Those that would go as JPEG. What those are in bytes its small pieces do not tell.
    pub lossy: u64,
    /// Bytes of the others.
    pub bytes: u64,
}

/// What an update must not exceed: how many bytes a picture has is known only when it is encoded, and one that is quite another
/// than that before it may have several times as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// More is too much,
    most: u64,
    /// and this is what it should have then.
    fair: u64,
    /// No worse than this step.
    lowest: u8,
}

impl Limit {
    /// Of an update to a link of which nothing is known: it goes in the quality that the client wants, and what is left of it
    /// with the next, when the answer to this one has told.
    fn of_first(wanted: Option<JpegQuality>) -> Self {
        let first = FIRST as u64;
        Self {
            most: first,
            fair: first / 2,
            lowest: wanted.map_or(0, JpegQuality::steps),
        }
    }

    /// Bytes at which an update ends whatever it still lacks, because it cannot get coarser; the rest comes with the next.
    pub fn end(self) -> usize {
        (self.fair * 2) as usize
    }

    /// The quality to encode it in once more, if it had so many bytes in this one.
    pub fn lowered(&self, quality: JpegQuality, bytes: u64) -> Option<JpegQuality> {
        let had = quality.steps();
        if bytes <= self.most || had <= self.lowest {
            return None;
        }
        let size = |step: u8| bytes as f64 * SIZES[usize::from(step)] / SIZES[usize::from(had)];
        let steps = (self.lowest..had).rev();
        let fits = steps
            .into_iter()
            .find(|&step| size(step) <= self.fair as f64);
        Some(quality.lowered(had - fits.unwrap_or(self.lowest)))
    }
}

/// A way to send an update.
#[derive(Clone, Copy, Debug, Default)]
struct Form {
    /// The step of its JPEGs, if it may have any.
    step: Option<u8>,
    /// The part of its pixels that plays and goes as JPEG whatever it is, if that does; else 0.
    coarse: f64,
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
    /// What part of the last update's pixels were photos, if it was not coarse.
    share: f64,
    /// What was last chosen.
    form: Form,
    /// What was last chosen for a picture that tells.
    settled: Form,
    /// What part of what was to be coarse was.
    obeyed: f64,
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
            form: Form::default(),
            settled: Form::default(),
            obeyed: 1.0,
            resume: 0,
            trials: 0,
            thrifty: false,
        }
    }
}

impl Control {
    /// For an update to a client that wants this quality.
    pub fn fit(&mut self, wanted: Option<JpegQuality>, what: Picture, link: &Link) -> Fit {
        let best = wanted.map(JpegQuality::steps);
        // What takes no loss and has no fences may be a program that takes the first update for all of the picture.
        let whole = link.guessed && wanted.is_none();
        let Some(rate) = link.rate else {
            self.form = Form {
                step: best,
                coarse: 0.0,
            };
            self.settled = self.form;
            let first = FIRST * f64::from(self.trials.min(4)).exp2().powi(2);
            let unknown = link.untried && !whole;
            return Fit {
                quality: wanted,
                coarse: false,
                limit: unknown.then(|| Limit::of_first(wanted)),
                later: None,
                pixels: match unknown {
                    true => what.pixels.min((first / self.size(self.form)) as u64),
                    false => what.pixels,
                },
            };
        };
        let time = if link.guessed { GUESSED_TIME } else { TIME };
        let bytes = carried(rate, link.queued, time);
        let (form, pixels) = self.choose(best, what, rate, link);
        self.form = form;
        // Small things between two pictures say nothing about those.
        if what.pixels >= TELLING {
            self.settled.step = form.step;
            if what.plays > 0 {
                self.settled.coarse = form.coarse;
            }
        }
        let coarse = form.coarse > 0.0;
        let least = if link.guessed { GUESSED_LEAST } else { 0.0 };
        let lower = |wanted: JpegQuality| wanted.lowered(wanted.steps() - form.step.unwrap_or(0));
        let mut fit = Fit {
            quality: wanted.map(lower),
            coarse,
            // Who has one shares no picture with others.
            limit: (rate < THRIFT.0 && !whole).then(|| Limit {
                most: (bytes.max(least) * OVER) as u64,
                fair: bytes.max(least) as u64,
                // Whoever may only be at leisure gets no worse than a client can ask for.
                lowest: match coarse && !link.blind {
                    true => 0,
                    false => LEVEL_0,
                },
            }),
            pixels,
            later: None,
        };
        let size = self.size(form);
        let needed = pixels as f64 * size;
        if needed > bytes && !whole {
            let room = |queued, time| carried(rate, queued, time).max(least);
            let alone = [time, CUT].into_iter().find(|t| needed <= room(0, *t));
            match alone.filter(|time| needed > room(link.queued, *time)) {
                Some(time) => {
                    let before = (rate * time.as_secs_f64() - needed).max(0.0);
                    let early = (link.queued as f64 - before) / rate.max(1.0) + 0.001;
                    fit.later = Some(Duration::from_secs_f64(early.min(MOST)));
                }
                None => fit.pixels = pixels.min((room(link.queued, CUT) / size) as u64),
            }
        }
        fit
    }

    /// The best form that fits a link of this rate, or the one that comes nearest, and how many pixels go in it. `best`: the
    /// step that the client wants.
    fn choose(&self, best: Option<u8>, what: Picture, rate: f64, link: &Link) -> (Form, u64) {
        let time = if link.guessed { GUESSED_TIME } else { TIME };
        let (now, alone) = (carried(rate, link.queued, time), carried(rate, 0, time));
        let rounded = what.pixels + what.around;
        let plays = (what.plays + what.around) as f64 / rounded.max(1) as f64;
        let form = |step, coarse| Form { step, coarse };
        let fits = |form: Form, bytes: f64| {
            let better = self.settled.step.is_some_and(|step| form.step > Some(step))
                || form.coarse <= 0.0 && self.settled.coarse > 0.0;
            let room = if better { ROOM } else { 1.0 };
            let pixels = if form.coarse > 0.0 {
                rounded
            } else {
                what.pixels
            };
            pixels as f64 * self.size(form) <= bytes * room
        };
        let Some(best) = best else {
            return (form(None, 0.0), what.pixels);
        };
        let best_of = |coarse, lowest, bytes| {
            let forms = (lowest..=best).rev().map(|step| form(Some(step), coarse));
            forms.into_iter().find(|form| fits(*form, bytes))
        };
        // What is looked at for longer than a moment gets no worse than level 0.
        let level_0 = best.min(LEVEL_0);
        let sharp = form(Some(level_0), 0.0);
        if let Some(sharp) = best_of(0.0, level_0, now) {
            return (sharp, what.pixels);
        }
        if plays <= 0.0 || fits(sharp, alone) {
            return (sharp, what.pixels);
        }
        let coarse = best_of(plays, level_0, now).unwrap_or_else(|| {
            let lowest = if link.blind { level_0 } else { 0 };
            let coarser = best_of(plays, lowest, alone).map_or(Some(lowest), |form| form.step);
            form(coarser.min(Some(level_0)), plays)
        });
        (coarse, rounded)
    }

    /// Does what plays go as JPEG whatever it is, as far as was last seen?
    pub fn is_coarse(&self) -> bool {
        self.settled.coarse > 0.0
    }

    /// Was it worth the time to make the last update smaller?
    pub fn is_thrifty(&self) -> bool {
        self.thrifty
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
        let before = (changed as f64 * self.size(self.form)) as u64;
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

    /// An update had so many bytes for so many pixels, `lossy` of which went as JPEG of this quality; `coarse`: whatever
    /// they were.
    pub fn observe(
        &mut self,
        quality: Option<JpegQuality>,
        coarse: bool,
        pixels: u64,
        lossy: u64,
        bytes: u64,
    ) {
        self.trials = self.trials.saturating_add(1);
        if pixels < TELLING {
            return;
        }
        let (pixels, bytes) = (pixels as f64, bytes as f64);
        let share = (lossy as f64 / pixels).min(1.0);
        match coarse {
            true => self.obeyed = (share / self.form.coarse.max(0.01)).min(1.0),
            false => self.share = share,
        }
        let photos = share * pixels;
        let size = quality.map_or(1.0, |quality| SIZES[usize::from(quality.steps())]);
        // What is known of the smaller part tells what the larger one had.
        if share >= 0.5 {
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

    /// A part of what went coarse, as it would be if it did not.
    pub fn sampled(&mut self, seen: Sample) {
        if seen.pixels < TELLING {
            return;
        }
        let plain = seen.pixels.saturating_sub(seen.lossy);
        self.share = 1.0 - plain as f64 / seen.pixels as f64;
        if plain >= seen.pixels / 8 {
            learn(&mut self.lossless, seen.bytes as f64 / plain as f64);
        }
    }

    /// An update had so many bytes for so many pixels that came again without loss.
    pub fn observe_again(&mut self, pixels: u64, bytes: u64) {
        if pixels >= TELLING {
            learn(&mut self.again, bytes as f64 / pixels as f64);
        }
    }

    /// Bytes that a pixel is expected to have in this form.
    fn size(&self, form: Form) -> f64 {
        let jpeg = |step| self.lossy * SIZES[usize::from(step)];
        let photo = form.step.map_or(self.lossless, jpeg);
        let coarse = form.coarse * self.obeyed;
        let share = coarse + (1.0 - coarse) * self.share;
        (share * photo + (1.0 - share) * self.lossless).clamp(1e-4, 8.0)
    }
}

/// What is too much is noticed at once, what is too little is believed slowly: it costs less.
fn learn(known: &mut f64, seen: f64) {
    *known = seen.max(*known * 0.75 + seen * 0.25);
}

/// Bytes that arrive within this time when so many go before them.
fn carried(rate: f64, queued: u64, time: Duration) -> f64 {
    let bytes = ((rate * time.as_secs_f64()) as u64).max(LEAST);
    bytes.saturating_sub(queued).max(SCRAP) as f64
}

#[cfg(test)]
mod tests;
