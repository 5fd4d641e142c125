//! Which part of the screen is a video, and whether this client still gets it as one.
//!
//! ```text
//!   changes ──► counted by tiles for a second ──► most of it changed most of the time? ──► rectangle
//!                                                                │
//!   a fence unanswered for PATIENCE after a picture went ───► never again
//! ```
//!
//! A decoder that holds back one picture holds up everything behind it (a viewer draws in order), and says nothing; the
//! fence behind the picture is all there is to notice it by.

use std::time::{Duration, Instant};

use super::flow::Link;
use super::quality::TIME;
use crate::encode::{JpegQuality, video_rect};
use crate::pixel::{Rect, Region};

/// Changes are counted for so long.
const LOOK: Duration = Duration::from_secs(1);

/// Fewer changes in that time are no video.
const LEAST_CHANGES: u32 = 8;

/// Side of a tile in pixels.
const TILE: u16 = 64;

/// Fewer tiles are not worth a stream.
const LEAST_TILES: usize = 12;

/// A client that does not confirm a picture for so long cannot decode it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Another quality begins the stream anew, with a large picture: not better again before this.
const KEPT: Duration = Duration::from_secs(3);

/// And only when a picture would then have this part of the bytes that it may have.
const ROOM: f64 = 0.6;

/// How good the pictures of a stream are, so that a link carries them.
#[derive(Debug, Default)]
pub struct VideoQuality {
    level: Option<u8>,
    /// Since when.
    since: Option<Instant>,
    /// Bytes of a picture that tells what is new in it, at this level.
    bytes: Option<f64>,
    /// The next picture begins a stream.
    fresh: bool,
}

impl VideoQuality {
    /// For the next picture to a client that wants this quality.
    pub fn choose(&mut self, wanted: JpegQuality, link: &Link, now: Instant) -> JpegQuality {
        let best = wanted.level();
        let level = self.level.unwrap_or(best).min(best);
        let may = link
            .rate
            .map_or(f64::INFINITY, |rate| rate * TIME.as_secs_f64());
        let kept = self.since.is_none_or(|since| now - since >= KEPT);
        // Bytes grow by about a fifth from level to level.
        let fits = |level: &u8, bytes: f64, from: u8, room: f64| {
            bytes * 1.2f64.powi(i32::from(*level) - i32::from(from)) <= may * room
        };
        let next = match self.bytes {
            Some(bytes) if bytes > may => {
                let lower = (0..level).rev();
                lower
                    .into_iter()
                    .find(|l| fits(l, bytes, level, 1.0))
                    .unwrap_or(0)
            }
            Some(bytes) if kept && level < best && fits(&(level + 1), bytes, level, ROOM) => {
                level + 1
            }
            _ => level,
        };
        if self.level != Some(next) {
            *self = Self {
                level: Some(next),
                since: Some(now),
                bytes: None,
                fresh: true,
            };
        }
        wanted.lowered(best - next)
    }

    /// A picture had so many bytes.
    pub fn observe(&mut self, bytes: u64) {
        if std::mem::take(&mut self.fresh) {
            return;
        }
        let seen = bytes as f64;
        self.bytes = Some(self.bytes.map_or(seen, |known| known * 0.75 + seen * 0.25));
    }
}

/// What is known of one client's videos.
#[derive(Debug, Default)]
pub struct VideoWatch {
    size: (u16, u16),
    columns: usize,
    /// For each tile: changes in this look, and the number of the last one.
    tiles: Vec<(u32, u32)>,
    changes: u32,
    since: Option<Instant>,
    rect: Option<Rect>,
    /// When the first picture went that the client has not confirmed yet.
    unconfirmed: Option<Instant>,
    failed: bool,
}

impl VideoWatch {
    /// The desktop has this size from now on.
    pub fn resize(&mut self, width: u16, height: u16) {
        self.size = (width, height);
        self.columns = usize::from(width.div_ceil(TILE));
        let tiles = self.columns * usize::from(height.div_ceil(TILE));
        self.tiles = vec![(0, 0); tiles];
        self.changes = 0;
        self.since = None;
        self.rect = None;
    }

    /// These pixels are about to be sent because they changed.
    pub fn changed(&mut self, region: &Region, now: Instant) {
        if region.is_empty() || self.columns == 0 {
            return;
        }
        let since = *self.since.get_or_insert(now);
        let looked = now.saturating_duration_since(since);
        if looked >= LOOK {
            self.since = Some(now);
            self.decide();
        }
        if looked >= LOOK * 2 {
            // Long after what was counted.
            self.rect = None;
        }
        self.changes += 1;
        for rect in region.rects() {
            let across = usize::from(rect.x / TILE)..usize::from(rect.right().div_ceil(TILE));
            for row in usize::from(rect.y / TILE)..usize::from(rect.bottom().div_ceil(TILE)) {
                for tile in &mut self.tiles[row * self.columns..][across.clone()] {
                    if tile.1 != self.changes {
                        *tile = (tile.0 + 1, self.changes);
                    }
                }
            }
        }
    }

    /// The rectangle to be sent as video, if there is one.
    pub fn rect(&self) -> Option<Rect> {
        self.rect.filter(|_| !self.failed)
    }

    /// The encoder does not take it: it goes like all else until it is found again.
    pub fn refused(&mut self) {
        self.rect = None;
    }

    /// A picture of it was sent.
    pub fn sent(&mut self, now: Instant) {
        self.unconfirmed.get_or_insert(now);
    }

    /// The oldest fence that the client has not answered was sent at `oldest`; true when that was too long ago.
    pub fn check(&mut self, oldest: Option<Instant>, now: Instant) -> bool {
        let Some(sent) = self.unconfirmed else {
            return false;
        };
        match oldest {
            Some(fence) if fence <= sent => {}
            // What was sent first has been confirmed; something later may wait now.
            later => self.unconfirmed = later,
        }
        let waited = |at: Instant| now.saturating_duration_since(at) >= PATIENCE;
        let fails = !self.failed && oldest.is_some() && self.unconfirmed.is_some_and(waited);
        self.failed |= fails;
        fails
    }

    /// A look is over: the largest busy area, if it is nearly a rectangle; the one before if that is much the same, for
    /// every new one begins a new stream.
    fn decide(&mut self) {
        let (changes, least) = (self.changes, self.changes * 2 / 3);
        let mut busy: Vec<bool> = self.tiles.iter().map(|t| t.0 >= least.max(1)).collect();
        self.tiles.fill((0, 0));
        self.changes = 0;
        let before = self.rect.take();
        if changes < LEAST_CHANGES {
            return;
        }
        let (mut tiles, mut bounds) = (0, Rect::default());
        for at in 0..busy.len() {
            let area = self.area(at, &mut busy);
            if area.0 > tiles {
                (tiles, bounds) = area;
            }
        }
        let across = usize::from(bounds.w.div_ceil(TILE)) * usize::from(bounds.h.div_ceil(TILE));
        if tiles < LEAST_TILES || tiles * 4 < across * 3 {
            return;
        }
        self.rect = match before {
            Some(old) if old.contains(&bounds) && bounds.area() * 2 >= old.area() => Some(old),
            _ => video_rect(bounds.intersect(&Rect::sized(self.size.0, self.size.1))),
        };
    }

    /// Takes the busy tiles that hang together with one: their number, and the rectangle around them.
    fn area(&self, start: usize, busy: &mut [bool]) -> (usize, Rect) {
        let (mut tiles, mut bounds) = (0, Rect::default());
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut busy[at], false) {
                continue;
            }
            let (column, row) = (at % self.columns, at / self.columns);
            let tile = Rect::new(column as u16 * TILE, row as u16 * TILE, TILE, TILE);
            bounds = if tiles == 0 {
                tile
            } else {
                bounds.bounding(&tile)
            };
            tiles += 1;
            open.extend(
                [
                    (column > 0).then(|| at - 1),
                    (column + 1 < self.columns).then_some(at + 1),
                    at.checked_sub(self.columns),
                    Some(at + self.columns).filter(|n| *n < busy.len()),
                ]
                .into_iter()
                .flatten(),
            );
        }
        (tiles, bounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(33);

    /// Two seconds of a video in `rect`, with a cursor that blinks elsewhere.
    fn play(watch: &mut VideoWatch, rect: Rect, mut now: Instant) -> Instant {
        for n in 0..62 {
            let mut region = Region::from(rect);
            if n % 15 == 0 {
                region.add(Rect::new(1200, 700, 8, 16));
            }
            watch.changed(&region, now);
            now += FRAME;
        }
        now
    }

    #[test]
    fn quality_follows_the_link_in_few_steps() {
        let mut quality = VideoQuality::default();
        let wanted = JpegQuality::of_level(6);
        let mut now = Instant::now();
        let mut play = |quality: &mut VideoQuality, rate: Option<f64>, pictures: u32| {
            let link = Link {
                rate,
                ..Link::default()
            };
            let (mut last, mut streams) = (None, 0);
            for n in 0..pictures {
                let chosen = quality.choose(wanted, &link, now);
                streams += u32::from(last != Some(chosen));
                last = Some(chosen);
                let level = i32::from(chosen.level());
                let size = 60e3 * 1.25f64.powi(level - 6) * [0.9, 1.0, 1.1][n as usize % 3];
                quality.observe(size as u64);
                now += FRAME;
            }
            (last.map_or(9, JpegQuality::level), streams)
        };
        assert_eq!(play(&mut quality, None, 60), (6, 1));
        let (level, streams) = play(&mut quality, Some(150e3), 300);
        assert!((1..=4).contains(&level), "{level}");
        assert!(streams <= 4, "{streams} streams in 10 s");
        let (level, streams) = play(&mut quality, None, 900);
        assert_eq!(level, 6);
        assert!(streams <= 6, "{streams}");
    }

    fn watch() -> VideoWatch {
        let mut watch = VideoWatch::default();
        watch.resize(1281, 799);
        watch
    }

    #[test]
    fn a_video_is_found_and_its_end_too() {
        let mut watch = watch();
        let now = play(&mut watch, Rect::new(130, 70, 600, 400), Instant::now());
        // Whole tiles around it.
        let rect = Rect::new(128, 64, 640, 448);
        assert_eq!(watch.rect(), Some(rect));
        // A little less of it moves: not another stream for that.
        let now = play(&mut watch, Rect::new(200, 70, 500, 400), now);
        assert_eq!(watch.rect(), Some(rect));
        watch.changed(&Region::from(Rect::new(200, 100, 9, 9)), now + LOOK * 2);
        assert_eq!(watch.rect(), None);
    }

    #[test]
    fn the_whole_screen_has_even_sides() {
        let mut watch = watch();
        play(&mut watch, Rect::sized(1281, 799), Instant::now());
        assert_eq!(watch.rect(), Some(Rect::sized(1280, 798)));
    }

    #[test]
    fn typing_and_scattered_changes_are_no_video() {
        let mut watch = watch();
        play(&mut watch, Rect::new(100, 100, 200, 20), Instant::now());
        assert_eq!(watch.rect(), None);
        let mut now = Instant::now();
        for n in 0..90u16 {
            let at = n % 5 * 128;
            watch.changed(&Region::from(Rect::new(at, at, 300, 200)), now);
            now += FRAME;
        }
        assert_eq!(watch.rect(), None);
    }

    #[test]
    fn who_does_not_confirm_gets_none() {
        let mut watch = watch();
        let now = play(&mut watch, Rect::sized(640, 480), Instant::now());
        watch.sent(now);
        // Confirmed, and another one sent, again and again: a link that is only slow.
        let mut at = now;
        for _ in 0..10 {
            at += PATIENCE / 2;
            assert!(!watch.check(Some(at - FRAME), at));
            watch.sent(at);
        }
        assert!(watch.rect().is_some());
        assert!(!watch.check(None, at + PATIENCE * 2), "nothing waits");
        watch.sent(at);
        assert!(watch.check(Some(at), at + PATIENCE));
        assert_eq!(watch.rect(), None);
        assert!(!watch.check(Some(at), at + PATIENCE * 2), "said once");
    }
}
