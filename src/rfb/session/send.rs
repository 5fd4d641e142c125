//! What goes to the client, and when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{INTERACTION, PING, Poll, SPARE, Session};
use crate::encode::{Params, Playing};
#[cfg(feature = "h264")]
use crate::pixel::Rect;
use crate::pixel::Region;
use crate::rfb::flow::Link;
use crate::rfb::pacing::Turn;
use crate::rfb::parts::{joined, sample, upper_part};
#[cfg(feature = "h264")]
use crate::rfb::quality::Fit;
use crate::rfb::quality::Picture;
use crate::rfb::refresh::Pressure;
use crate::rfb::server;
use crate::rfb::update::{Job, Order};

/// Nothing has changed for so long: it is not to be expected that it will at once.
const PAUSE: Duration = Duration::from_millis(500);

/// Bytes of a fence that measures.
const PING_BYTES: u64 = 14;

impl Session {
    /// The client waits for something.
    pub(super) fn is_wanted(&self) -> bool {
        self.demand.requested.is_some() || self.demand.continuous.is_some()
    }

    /// The pixels that it waits for.
    fn wanted_area(&self) -> Region {
        let mut area = self.demand.requested.clone().unwrap_or_default();
        if let Some(rect) = self.demand.continuous {
            area.add(rect);
        }
        area.clip(self.sizes.common());
        area
    }

    /// An update of sizes alone: it may hold no pixels. It does not use up the client's request, or one that always asks
    /// for everything (and so for the size, too) would never see a picture.
    pub(super) fn write_sizes(&mut self, now: Instant) {
        let mut update = self.new_update();
        let rects = self.sizes.write(self.caps.resize, &mut update);
        self.send(update, rects, now);
    }

    /// An update of small things alone.
    pub(super) fn write_beside(&mut self, now: Instant) {
        let mut update = self.new_update();
        let (rects, _) = self.beside.write(&mut update, &self.caps, &self.format);
        if rects > 0 {
            self.demand.requested = None;
            self.send(update, rects, now);
        }
    }

    /// Small things do not wait behind pictures, unless they would use up the client's request.
    pub(super) fn write_small(&mut self, now: Instant) {
        if self.demand.requested.is_none() && self.beside.is_due(&self.caps) {
            self.write_beside(now);
        }
    }

    /// The client may get pixels now: which?
    pub(super) fn next_job(&mut self, now: Instant) -> Poll {
        let mut params = Params {
            encoding: self.caps.encoding,
            format: self.format,
            quality: self.caps.quality,
            jpeg_rects: self.caps.jpeg_rects,
            compress: self.caps.compress,
            last_rect: self.caps.last_rect,
        };
        let area = self.wanted_area();
        if !self.may_copy() || area != Region::from(self.sizes.common()) {
            // A copy may come from where the client is not kept up to date.
            self.pending.flatten();
        }
        let mut damage = self.pending.damage().clone();
        damage.intersect(&area);
        let link = self.flow.link(now);
        let interaction = self.is_interactive(now);
        // Also of what is there after copies: it is another picture next time.
        let watched = match params.has_jpeg() && link.rate.is_some() {
            true => self.activity.watched(now),
            false => Region::new(),
        };
        let film = self.film(&damage, &watched);
        let rest = film.area() < damage.area();
        let awaited = interaction || link.rate.is_some();
        let turn = self.pacing.turn(!film.is_empty(), rest, awaited, now);
        if turn != Turn::All {
            damage.subtract(&film);
        }
        #[cfg(feature = "h264")]
        let video = self.video_of(&mut damage, &area, turn, now);
        let mut plays = damage.clone();
        plays.intersect(&watched);
        let mut coarse = joined(&plays, &watched, &area);
        let what = Picture {
            pixels: damage.area(),
            plays: plays.area(),
            around: coarse.iter().map(|r| u64::from(r.area())).sum::<u64>() - plays.area(),
        };
        let fit = self.quality.fit(self.caps.quality, what, &link);
        // A picture of a video is taken out of what is pending already.
        #[cfg(feature = "h264")]
        let fit = Fit {
            later: fit.later.filter(|_| video.is_none()),
            ..fit
        };
        if let Some(later) = fit.later {
            if !film.is_empty() {
                self.pacing.put_off();
            }
            self.write_small(now);
            return Poll::At(now + later);
        }
        params.quality = fit.quality;
        let sample = match fit.coarse {
            true => sample(&damage, self.counts.updates),
            false => Region::new(),
        };
        if fit.coarse {
            damage.union(&coarse.iter().copied().collect());
        } else {
            coarse.clear();
        }
        let pixels = fit.pixels.min(self.density.pixels(&params));
        let damage = self.quality.part(&damage, pixels);

        let copies = self.pending.take_copies();
        let idle = damage.is_empty() && film.is_empty() && copies.is_empty() && turn == Turn::All;
        let pressure = match (idle, interaction) {
            (true, false) => Pressure::Idle,
            (true, true) => Pressure::Interactive,
            (false, _) => Pressure::Busy,
        };
        let mut refresh = self.again(&damage, &area, pressure, &link);
        refresh.subtract(&damage);
        #[cfg(feature = "h264")]
        let refresh = less(refresh, video);
        let nothing = damage.is_empty() && refresh.is_empty() && copies.is_empty();
        #[cfg(feature = "h264")]
        let nothing = nothing && video.is_none();
        if nothing {
            if self.beside.is_due(&self.caps) {
                self.write_beside(now);
            }
            let film = match turn {
                Turn::Until(at) => Some(at),
                _ => None,
            };
            let next = [film, self.refresh.next(&self.activity, now)];
            return match next.into_iter().flatten().min() {
                Some(at) if self.is_wanted() => Poll::At(at),
                _ => Poll::Nothing,
            };
        }
        self.pending.remove(&damage);
        self.job_is_out = true;
        let mut bytes = self.new_update();
        let (pseudo, beside) = self.beside.write(&mut bytes, &self.caps, &self.format);
        let common = self.sizes.common();
        let (width, height) = self.sizes.actual();
        debug_assert!(damage.rects().iter().all(|r| common.contains(r)));
        let playing = match params.quality {
            Some(_) if !damage.is_empty() => Playing {
                // Where the link is slow the screen is looked at less often.
                region: match link.rate {
                    Some(_) => watched,
                    None => self.activity.playing().clone(),
                },
                coarse,
            },
            _ => Playing::default(),
        };
        if turn == Turn::All && !film.is_empty() {
            self.pacing.begin(now);
        }
        let order = Arc::new(Order {
            damage,
            refresh,
            playing,
            #[cfg(feature = "h264")]
            video,
            params,
            sample,
            limit: fit.limit,
            width,
            height,
        });
        Poll::Update(Job {
            copies,
            order,
            seen: None,
            quality: params.quality,
            thrifty: self.quality.thrifty(&link),
            #[cfg(feature = "h264")]
            video_quality: self
                .caps
                .quality
                .filter(|_| video.is_some())
                .map(|wanted| self.video_quality.choose(wanted, &link, now)),
            bytes,
            pseudo,
            beside,
            requested: self.demand.requested.take(),
        })
    }

    /// What comes again without loss behind this damage.
    fn again(&self, damage: &Region, area: &Region, pressure: Pressure, link: &Link) -> Region {
        let (now, idle) = (self.now, pressure == Pressure::Idle);
        if pressure != Pressure::Busy && !self.flow.is_relaxed(idle, now) {
            return Region::new();
        }
        // What lies outside is never sent, and must not keep what stands beside it waiting.
        let mut pending = self.pending.damage().clone();
        pending.intersect(area);
        let due = self
            .refresh
            .due(&self.activity, &pending, area, pressure, now);
        // Between two pictures of a video nothing has changed, but soon will.
        let still = idle && self.last_change.is_none_or(|at| now - at >= PAUSE);
        upper_part(&due, self.quality.again(damage.area(), still, link))
    }

    /// The part of the damage that plays, or, while it goes coarse, that is watched: what comes with it is no less coarse, and
    /// ahead of it would only keep it waiting. What scrolls does not, however often it does: what it uncovers belongs to it.
    fn film(&self, damage: &Region, watched: &Region) -> Region {
        let mut film = match self.quality.is_coarse() {
            true => watched.clone(),
            false => self.activity.playing().clone(),
        };
        #[cfg(feature = "h264")]
        film.union(&self.video.rect().map(Region::from).unwrap_or_default());
        if self.pending.has_copies() {
            film.clear();
        } else {
            film.intersect(damage);
        }
        film
    }

    /// Somebody has just typed or pointed.
    pub(super) fn is_interactive(&self, now: Instant) -> bool {
        self.last_input.is_some_and(|at| now - at < INTERACTION)
    }

    /// The part of the screen that goes as the next picture of a video, if any of it changed; it is no damage then.
    #[cfg(feature = "h264")]
    fn video_of(
        &mut self,
        damage: &mut Region,
        area: &Region,
        turn: Turn,
        now: Instant,
    ) -> Option<Rect> {
        // Where there is no colour to speak of there are no videos.
        if !self.caps.h264 || self.format.bytes_per_pixel() == 1 {
            return None;
        }
        if turn != Turn::All {
            // Without what plays it says nothing about that.
            return None;
        }
        self.video.changed(damage, now);
        let rect = self.video.rect()?;
        let part = Region::from(rect);
        let mut outside = part.clone();
        outside.subtract(area);
        let mut changed = part.clone();
        changed.intersect(damage);
        if !outside.is_empty() || changed.is_empty() {
            return None;
        }
        damage.subtract(&part);
        self.pending.remove(&part);
        Some(rect)
    }

    /// A buffer that holds the header of an update.
    fn new_update(&mut self) -> Vec<u8> {
        let mut update = std::mem::take(&mut self.spare);
        update.clear();
        server::update_header(&mut update);
        update
    }

    /// Appends a whole update, and the fence that measures it, to the output.
    pub(super) fn send(&mut self, mut update: Vec<u8>, rects: u32, now: Instant) {
        server::set_rects(&mut update, rects);
        if self.flow.begin(now) {
            self.ping(0);
        }
        self.counts.rects += u64::from(rects);
        let bytes = update.len() as u64;
        self.counts.bytes += bytes;
        if self.out.is_empty() {
            // Not copied: an update may be large.
            std::mem::swap(&mut self.out, &mut update);
        } else {
            self.out.extend_from_slice(&update);
        }
        if update.capacity() <= SPARE {
            self.spare = update;
        }
        self.ping(bytes);
    }

    /// So many bytes were written: a fence that tells when the client has dealt with them.
    pub(super) fn ping(&mut self, bytes: u64) {
        if let Some(id) = self.flow.sent(bytes + PING_BYTES, self.now) {
            let [a, b, c, d] = id.to_be_bytes();
            let flags = server::FENCE_REQUEST | server::FENCE_BLOCK_BEFORE;
            server::fence(&mut self.out, flags, &[PING, a, b, c, d]);
        }
    }

    /// What a job had taken is due again.
    pub(super) fn restore(&mut self, job: Job) {
        let copied = job.copies.iter().map(|m| m.to).collect();
        self.pending.add(&job.order.damage);
        self.pending.add(&copied);
        self.beside.again(job.beside);
        if let Some(requested) = job.requested {
            let waiting = self.demand.requested.get_or_insert_default();
            waiting.union(&requested);
        }
    }
}

/// A region without the rectangle.
#[cfg(feature = "h264")]
fn less(mut region: Region, rect: Option<Rect>) -> Region {
    if let Some(rect) = rect {
        region.subtract(&Region::from(rect));
    }
    region
}
