//! Where the screen changes how often: what plays like a video, and what stands still in between.
//!
//! Time is cut into slots of a tenth of a second, the screen into tiles of 64 × 64 pixels. Every tile remembers in
//! which of the last 32 slots it changed, one bit each:
//!
//! ```text
//!   now                         … 6.4 s ago
//!    1111111111 1111111111111111111111    a video: changed in (nearly) every slot of the last second
//!    0101010101 0101010101010101010101    photos, 5 a second: the longest pause is a slot
//!    0000000000 0000010000000000000000    a click: one change says nothing about the next
//! ```

use std::time::{Duration, Instant};

use crate::pixel::{Grid, Rect, Region};

/// Length of a slot.
const SLOT: Duration = Duration::from_millis(100);

/// Slots of the last second.
const SECOND: u64 = 0b11_1111_1111;

/// What changed in so many slots of the last second plays.
const PLAYS: u32 = 8;

/// What changed in so many is watched rather than read. Less than what plays: for a viewer whose link is slow, the screen is
/// looked at no more often than its pictures go.
const WATCHED: u32 = 3;

/// So many slots with changes make a rhythm.
const RHYTHM: u32 = 3;

/// How often each part of the screen changes.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    grid: Grid,
    /// When slot 0 began.
    origin: Option<Instant>,
    tiles: Vec<Tile>,
    /// The tiles that played when it was last told of a change.
    playing: Region,
}

/// The changes of one tile.
#[derive(Clone, Copy, Debug, Default)]
struct Tile {
    /// The slot of its last change.
    slot: u64,
    /// In which slots it changed: bit 0 is `slot`, bit 1 the one before.
    history: u64,
}

impl Tile {
    /// The history as seen from a slot that is not before its last change.
    fn at(self, slot: u64) -> u64 {
        let since = slot.saturating_sub(self.slot);
        u32::try_from(since).map_or(0, |since| self.history.checked_shl(since).unwrap_or(0))
    }
}

impl Activity {
    /// A screen of this size, of which nothing is known.
    pub fn new(width: u16, height: u16) -> Self {
        let grid = Grid::new(width, height);
        Self {
            grid,
            origin: None,
            tiles: vec![Tile::default(); grid.tiles()],
            playing: Region::new(),
        }
    }

    /// This part of the screen changed, and nothing else since it was last called. Parts beyond the screen are ignored.
    pub fn changed(&mut self, region: &Region, now: Instant) {
        let slot = self.slot(now);
        self.origin.get_or_insert(now);
        for rect in region.rects() {
            for index in self.grid.touched(*rect) {
                let tile = &mut self.tiles[index];
                *tile = Tile {
                    slot,
                    history: tile.at(slot) | 1,
                };
            }
        }
        self.playing = self.changed_in(PLAYS, slot);
    }

    /// The tiles that play: they changed most of the time during the second before the last change. The same for all who
    /// look at the same picture.
    pub fn playing(&self) -> &Region {
        &self.playing
    }

    /// The tiles that changed several times during the last second: whoever sees them next sees something else again.
    pub fn watched(&self, now: Instant) -> Region {
        self.changed_in(WATCHED, self.slot(now))
    }

    /// Which tiles changed in so many slots of the last second, in one rectangle for those side by side.
    fn changed_in(&self, slots: u32, slot: u64) -> Region {
        let plays = |tile: &Tile| (tile.at(slot) & SECOND).count_ones() >= slots;
        let mut rows = Vec::new();
        let mut run = Rect::default();
        for (index, _) in self.tiles.iter().enumerate().filter(|(_, t)| plays(t)) {
            let tile = self.grid.tile(index);
            if (run.right(), run.y) == (tile.x, tile.y) && !run.is_empty() {
                run.w += tile.w;
            } else {
                rows.extend(Some(run).filter(|run| !run.is_empty()));
                run = tile;
            }
        }
        rows.extend(Some(run).filter(|run| !run.is_empty()));
        rows.into_iter().collect()
    }

    /// The rhythms of what is seen at this time.
    pub fn rhythms(&self, now: Instant) -> Rhythms<'_> {
        Rhythms {
            activity: self,
            slot: self.slot(now),
        }
    }

    fn slot(&self, now: Instant) -> u64 {
        let since = self
            .origin
            .map(|origin| now.saturating_duration_since(origin));
        since.map_or(0, |since| (since.as_millis() / SLOT.as_millis()) as u64)
    }
}

/// How often the parts of the screen change, as seen at one time.
#[derive(Clone, Copy, Debug)]
pub struct Rhythms<'a> {
    activity: &'a Activity,
    slot: u64,
}

impl Rhythms<'_> {
    /// The longest pause between two changes of any tile under `rect`, for those that change in a rhythm: whoever waits
    /// longer than this may take it that they stand still. `None` for what changed once or twice.
    pub fn pause(self, rect: Rect) -> Option<Duration> {
        let longest = self.activity.grid.touched(rect).filter_map(|index| {
            let history = self.activity.tiles[index].at(self.slot);
            (history.count_ones() >= RHYTHM).then(|| longest_gap(history))
        });
        longest.max().map(|gap| SLOT * (gap + 1))
    }
}

/// The longest run of zeros between two ones.
fn longest_gap(history: u64) -> u32 {
    let mut left = history;
    let mut longest = 0;
    while left != 0 {
        left >>= left.trailing_zeros();
        // All 64 may be ones.
        left = left.checked_shr(left.trailing_ones()).unwrap_or(0);
        if left != 0 {
            longest = longest.max(left.trailing_zeros());
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    /// A part that changes every `interval` for 5 s, and when that ended.
    fn rhythm(rect: Rect, interval: Duration) -> (Activity, Instant) {
        let start = Instant::now();
        let mut activity = Activity::new(1920, 1080);
        let mut now = start;
        while now < start + 10_000 * MS {
            now += interval;
            activity.changed(&Region::from(rect), now);
        }
        (activity, now)
    }

    #[test]
    fn a_video_plays_and_a_terminal_beside_it_does_not() {
        let video = Rect::new(128, 128, 1280, 720);
        let (mut activity, mut now) = rhythm(video, 33 * MS);
        let tiles = Region::from(Rect::new(128, 128, 1280, 768));
        assert_eq!(*activity.playing(), tiles);
        let click = Region::from(Rect::sized(10, 10));
        activity.changed(&click, now);
        assert_eq!(*activity.playing(), tiles);
        // A hiccup is no end, a second is.
        now += 200 * MS;
        activity.changed(&click, now);
        assert_eq!(*activity.playing(), tiles);
        now += 1000 * MS;
        activity.changed(&click, now);
        assert!(activity.playing().is_empty());
    }

    #[test]
    fn pauses_are_known_of_what_has_a_rhythm() {
        let place = Rect::sized(1920, 1080);
        for (interval, pause) in [
            (33, 100..=100),
            (200, 200..=200),
            (500, 500..=500),
            (1000, 1000..=1000),
        ] {
            let (activity, now) = rhythm(place, interval * MS);
            let seen = activity
                .rhythms(now)
                .pause(Rect::new(500, 500, 64, 64))
                .unwrap()
                .as_millis();
            assert!(pause.contains(&seen), "{interval}: {seen}");
            assert_eq!(activity.rhythms(now + 10_000 * MS).pause(place), None);
        }
        let mut activity = Activity::new(100, 100);
        let now = Instant::now();
        activity.changed(&Region::from(place), now);
        activity.changed(&Region::from(place), now + 1000 * MS);
        assert_eq!(
            activity.rhythms(now + 1000 * MS).pause(place),
            None,
            "twice is no rhythm"
        );
    }

    #[test]
    fn photos_do_not_play() {
        let (activity, _) = rhythm(Rect::sized(1920, 1080), 200 * MS);
        assert!(activity.playing().is_empty());
    }

    #[test]
    fn a_video_without_end_has_no_gap() {
        assert_eq!(longest_gap(u64::MAX), 0);
        let (activity, now) = rhythm(Rect::sized(64, 64), 7 * MS);
        let later = now + 10_000 * MS;
        for at in [now, later] {
            let _ = activity.rhythms(at).pause(Rect::sized(64, 64));
        }
    }

    proptest! {
        #[test]
        fn any_rectangle_and_any_time_will_do(
            rects in proptest::collection::vec((any::<u16>(), any::<u16>(), any::<u16>(), any::<u16>()), 1..20),
            steps in proptest::collection::vec(0u64..5000, 20),
        ) {
            let mut activity = Activity::new(1000, 700);
            let mut now = Instant::now();
            for ((x, y, w, h), step) in rects.into_iter().zip(steps) {
                now += Duration::from_millis(step);
                let rect = Rect::new(x, y, w.min(u16::MAX - x), h.min(u16::MAX - y));
                activity.changed(&Region::from(rect), now);
                let _ = activity.rhythms(now).pause(rect);
                let screen = Rect::new(0, 0, 1024, 704);
                prop_assert!(activity.playing().rects().iter().all(|r| screen.contains(r)));
            }
        }

        #[test]
        fn gaps_are_counted(history in any::<u64>()) {
            let digits = format!("{history:b}");
            let inner = digits.trim_matches('0').split('1').map(str::len).max().unwrap_or(0);
            prop_assert_eq!(longest_gap(history) as usize, inner);
        }
    }
}
