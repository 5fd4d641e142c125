//! What went out with loss and has to come again without.
//!
//! Exactly *which* pixels are lossy is a region; *since when* they stand still is kept for tiles of 64 × 64, and roughly for
//! what stands still beside a video in the same tile.
//!
//! ```text
//!   sent lossy ──► waits for STILL ──► due ──► sent again without loss
//!        ▲               │
//!        └─ sent again ──┘
//! ```
//!
//! What changes in a rhythm (photos, a slow video) stands still only when its usual pause is over: until then another
//! change is on its way, and sending the present picture again would be in vain.

use std::time::{Duration, Instant};

use super::parts::upper_part;
use crate::pixel::{Grid, Rect, Region};
use crate::screen::{Activity, Move, Rhythms};

/// A tile that was not sent for so long stands still.
pub const STILL: Duration = Duration::from_millis(300);

/// However slow its rhythm, a tile stands still after this, so that all converges within 2 s.
const LONGEST: Duration = Duration::from_millis(1200);

/// A tile that has stood still for so long goes whatever else there is, so that all converges within 2 s.
const URGENT: Duration = Duration::from_millis(800);

/// Above so many rectangles a region is rounded up: sending a little too much without loss is harmless.
const MAX_RECTS: usize = 512;

/// How much else goes on, for the size of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// Nothing.
    Idle,
    /// Somebody types or points: pieces that take a few milliseconds.
    Interactive,
    /// Other changes go in the same update, or the link is busy: only what is urgent.
    Busy,
}

impl Pressure {
    /// Pixels of a piece. A change that comes while it is encoded waits for it: some 10 ms of deflating.
    pub const fn budget(self) -> u64 {
        match self {
            Self::Idle | Self::Busy => 96 * 1024,
            Self::Interactive => 48 * 1024,
        }
    }
}

/// The lossy part of a client's picture.
#[derive(Debug, Default)]
pub struct Refresh {
    lossy: Region,
    grid: Grid,
    /// When each tile was last sent; `None`: nothing lossy in it.
    tiles: Vec<Option<Instant>>,
    /// What was sent with loss since `since`; for [`LONGEST`], then it begins anew.
    recent: Region,
    since: Option<Instant>,
    /// What was not sent in the last such span: it stands still beside a video that plays on in its tile.
    beside: Region,
}

impl Refresh {
    /// Forgets all, for a desktop of another size.
    pub fn resize(&mut self, width: u16, height: u16) {
        self.lossy.clear();
        self.recent.clear();
        self.beside.clear();
        self.grid = Grid::new(width, height);
        self.tiles.clear();
        self.tiles.resize(self.grid.tiles(), None);
    }

    /// The lossy pixels.
    pub fn lossy(&self) -> &Region {
        &self.lossy
    }

    /// `all` was sent, of which `lossy` was changed by its encoding.
    pub fn sent(&mut self, all: &Region, lossy: &Region, now: Instant) {
        if self.lossy.is_empty() && lossy.is_empty() {
            return;
        }
        self.lossy.subtract(all);
        self.beside.subtract(all);
        self.lossy.union(lossy);
        self.settle(lossy, now);
    }

    /// The client copied a part of its picture, with what is lossy in it.
    pub fn moved(&mut self, copied: &Move, now: Instant) {
        if self.lossy.is_empty() {
            return;
        }
        copied.carry(&mut self.lossy);
        self.beside.clear();
        let mut arrived = self.lossy.clone();
        arrived.clip(copied.to);
        self.settle(&arrived, now);
    }

    /// Brings the tiles in line with the region; `fresh` has just been sent.
    fn settle(&mut self, fresh: &Region, now: Instant) {
        if self.lossy.rects().len() > MAX_RECTS {
            self.lossy = self.lossy.simplified(MAX_RECTS / 2);
        }
        self.lossy.clip(self.grid.bounds());
        let mut holds = vec![false; self.tiles.len()];
        for rect in self.lossy.rects() {
            for index in self.grid.touched(*rect) {
                holds[index] = true;
            }
        }
        for (tile, holds) in self.tiles.iter_mut().zip(holds) {
            if !holds {
                *tile = None;
            } else if tile.is_none() {
                *tile = Some(now);
            }
        }
        for rect in fresh.rects() {
            for index in self.grid.touched(*rect) {
                self.tiles[index] = Some(now);
            }
        }
        if self.since.is_none_or(|since| now - since >= LONGEST) {
            self.since = Some(now);
            self.beside = self.lossy.clone();
            self.beside.subtract(&self.recent);
            self.beside.subtract(fresh);
            self.recent.clear();
        }
        self.recent.union(fresh);
        if self.recent.rects().len() > MAX_RECTS {
            self.recent = self.recent.simplified(MAX_RECTS / 2);
        }
    }

    /// The next piece that may go: tiles that stand still, have no change waiting (`pending`) and lie in `area`.
    pub fn due(
        &self,
        activity: &Activity,
        pending: &Region,
        area: &Region,
        pressure: Pressure,
        now: Instant,
    ) -> Region {
        if self.lossy.is_empty() {
            return Region::new();
        }
        let least = match pressure {
            Pressure::Idle | Pressure::Interactive => STILL,
            Pressure::Busy => URGENT,
        };
        let rhythms = activity.rhythms(now);
        let mut piece = Vec::new();
        let mut taken = 0u64;
        for (index, sent) in self.tiles.iter().enumerate() {
            // Most were sent a moment ago.
            let Some(sent) = sent.filter(|sent| *sent + least <= now) else {
                continue;
            };
            let tile = self.grid.tile(index);
            let waits = |r: &Rect| !r.intersect(&tile).is_empty();
            if pending.rects().iter().any(waits)
                || !area.rects().iter().any(waits)
                || sent + still(rhythms, tile) > now
            {
                continue;
            }
            piece.push(tile);
            taken += u64::from(tile.area());
            if taken >= pressure.budget() {
                break;
            }
        }
        if piece.is_empty() && self.beside.is_empty() {
            return Region::new();
        }
        let mut piece = Region::from_iter(piece);
        piece.intersect(&self.lossy);
        if !self.beside.is_empty() {
            let mut beside = self.beside.clone();
            beside.subtract(pending);
            piece.union(&upper_part(&beside, pressure.budget()));
        }
        piece.intersect(area);
        piece
    }

    /// When the next tile that is not due yet will be.
    pub fn next(&self, activity: &Activity, now: Instant) -> Option<Instant> {
        let rhythms = activity.rhythms(now);
        let mut next: Option<Instant> = None;
        for (index, sent) in self.tiles.iter().enumerate() {
            let Some(sent) = *sent else { continue };
            // Most are no sooner than the soonest so far, whatever their rhythm.
            if next.is_some_and(|next| sent + STILL >= next) {
                continue;
            }
            let due = sent + still(rhythms, self.grid.tile(index));
            if due > now && next.is_none_or(|next| due < next) {
                next = Some(due);
            }
        }
        next
    }
}

/// After how long without a change this tile stands still.
fn still(rhythms: Rhythms<'_>, tile: Rect) -> Duration {
    let pause = rhythms.pause(tile).unwrap_or_default();
    (pause + pause / 4).clamp(STILL, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(
        refresh: &Refresh,
        pending: &Region,
        area: &Region,
        pressure: Pressure,
        now: Instant,
    ) -> Region {
        refresh.due(&Activity::default(), pending, area, pressure, now)
    }

    fn next(refresh: &Refresh, now: Instant) -> Option<Instant> {
        refresh.next(&Activity::default(), now)
    }

    fn whole() -> Region {
        Region::from(Rect::sized(200, 200))
    }

    fn lossy(rect: Rect, now: Instant) -> Refresh {
        let mut refresh = Refresh::default();
        refresh.resize(200, 200);
        refresh.sent(&Region::from(rect), &Region::from(rect), now);
        refresh
    }

    #[test]
    fn it_waits_until_the_tile_is_still() {
        let now = Instant::now();
        let rect = Rect::new(10, 10, 100, 20);
        let mut refresh = lossy(rect, now);
        let none = Region::new();
        assert!(due(&refresh, &none, &whole(), Pressure::Idle, now).is_empty());
        assert_eq!(next(&refresh, now), Some(now + STILL));
        let later = now + STILL;
        assert_eq!(
            due(&refresh, &none, &whole(), Pressure::Idle, later),
            Region::from(rect)
        );
        assert!(due(&refresh, &none, &whole(), Pressure::Busy, later).is_empty());
        // The second tile changes again: only the first one is due.
        let change = Region::from(Rect::new(70, 10, 5, 5));
        refresh.sent(&change, &change, later);
        let due = due(&refresh, &none, &whole(), Pressure::Idle, later);
        assert_eq!(due, Region::from(Rect::new(10, 10, 54, 20)));
        refresh.sent(&due, &none, later);
        assert_eq!(next(&refresh, later), Some(later + STILL));
        refresh.sent(&whole(), &none, later);
        assert!(refresh.lossy().is_empty());
        assert_eq!(next(&refresh, later), None);
    }

    /// A video ends within a tile; what was sent with loss beside it once is seen as long as it plays.
    #[test]
    fn what_stands_still_beside_a_video_is_due() {
        let begin = Instant::now();
        let all = Region::from(Rect::sized(128, 128));
        let video = Region::from(Rect::sized(128, 100));
        let mut beside = all.clone();
        beside.subtract(&video);
        let mut refresh = lossy(all.bounds(), begin);
        let mut first = None;
        for frame in 1..100u32 {
            let now = begin + frame * Duration::from_millis(33);
            refresh.sent(&video, &video, now);
            let due = due(&refresh, &Region::new(), &whole(), Pressure::Busy, now);
            if !due.is_empty() {
                assert_eq!(due, beside);
                refresh.sent(&due, &Region::new(), now);
                assert!(first.replace(now - begin).is_none(), "once");
            }
        }
        assert!(
            first > Some(LONGEST) && first < Some(3 * LONGEST),
            "{first:?}"
        );
        assert_eq!(*refresh.lossy(), video);
    }

    #[test]
    fn what_is_about_to_change_is_not_refreshed() {
        let now = Instant::now();
        let refresh = lossy(Rect::sized(100, 10), now);
        let pending = Region::from(Rect::new(0, 30, 5, 5));
        let due = due(&refresh, &pending, &whole(), Pressure::Idle, now + STILL);
        assert_eq!(due, Region::from(Rect::new(64, 0, 36, 10)));
    }

    #[test]
    fn beyond_the_screen_there_is_nothing() {
        let now = Instant::now();
        let refresh = lossy(Rect::new(190, 190, 5000, 5000), now);
        let all = Region::from(Rect::sized(u16::MAX, u16::MAX));
        let due = due(&refresh, &Region::new(), &all, Pressure::Idle, now + STILL);
        assert_eq!(due.bounds(), Rect::from_edges(190, 190, 256, 256));
    }

    #[test]
    fn photos_are_not_refined_between_each_other() {
        let ms = Duration::from_millis(1);
        for interval in [200, 500, 1000] {
            let mut now = Instant::now();
            let (mut refresh, mut activity) = (Refresh::default(), Activity::new(200, 200));
            refresh.resize(200, 200);
            for photo in 0..20 {
                activity.changed(&whole(), now);
                refresh.sent(&whole(), &whole(), now);
                // Seldom on time.
                let jitter = [0, 40, 15][photo % 3];
                for _ in 0..(interval + jitter) / 5 {
                    now += 5 * ms;
                    let due = refresh.due(&activity, &Region::new(), &whole(), Pressure::Idle, now);
                    assert!(photo < 3 || due.is_empty(), "photo {photo}, {interval} ms");
                }
            }
            for pressure in [Pressure::Idle, Pressure::Busy] {
                let due = refresh.due(&activity, &Region::new(), &whole(), pressure, now + LONGEST);
                assert!(!due.is_empty(), "{interval} ms: it stands still now");
            }
            let next = refresh.next(&activity, now).expect("a time");
            assert!(next <= now + LONGEST);
        }
    }
}
