//! Where searches were in vain: a video is not searched for scrolls, nor a table for figures that are the same as others.
//!
//! ```text
//!   searched ── explained half of it, or something moved there ──► forgotten
//!            └─ did not ──► left out for some pictures that change it: none, 1, 2, 4 … MAX_PAUSE ──► searched again
//! ```
//!
//! Each area by itself: a terminal scrolls beside a video.

use crate::pixel::{Rect, Region};
use crate::screen::Move;

/// Most pictures that an area is left out for, and failures in a row from which on it is.
pub(super) const MAX_PAUSE: u32 = 31;
const MAX_FAILURES: u32 = 7;

/// Most areas that are remembered.
const MOST: usize = 8;

/// Areas in which nothing was found.
#[derive(Debug, Default)]
pub(super) struct Vain(Vec<Area>);

#[derive(Debug)]
struct Area {
    rect: Rect,
    /// Searches in a row that found little or nothing.
    failures: u32,
    /// Pictures that it is left out for.
    pause: u32,
}

impl Vain {
    /// What of a region is worth a search.
    pub(super) fn promising(&self, region: &Region) -> Region {
        let paused = self.0.iter().filter(|area| area.pause > 0);
        let paused: Region = paused.map(|area| area.rect).collect();
        let mut rest = region.clone();
        rest.subtract(&paused);
        rest
    }

    /// Another picture differs here.
    pub(super) fn passed(&mut self, damage: &Region) {
        for area in &mut self.0 {
            if area.pause > 0 && damage.intersects(&area.rect.into()) {
                area.pause -= 1;
            }
        }
    }

    /// These moves happened: what they touch does move.
    pub(super) fn moved(&mut self, moves: &[Move]) {
        for m in moves {
            self.found(m.to);
        }
    }

    /// Something was found here.
    pub(super) fn found(&mut self, rect: Rect) {
        self.0.retain(|area| area.rect.intersect(&rect).is_empty());
    }

    /// Nothing was found here. What lies mostly in an area in which nothing had been found before counts as the same.
    pub(super) fn failed(&mut self, rect: Rect) {
        let is_same = |area: &Area| area.rect.intersect(&rect).area() * 2 >= rect.area();
        let known = self.0.iter().position(is_same).map(|at| self.0.remove(at));
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        let failures = known.as_ref().map_or(1, |area| area.failures + 1);
        let failures = failures.min(MAX_FAILURES);
        // A part of a video in which only that moved is the video still.
        let rect = match known {
            Some(area) if area.rect.area() > rect.area() => area.rect,
            _ => rect,
        };
        self.0.push(Area {
            rect,
            failures,
            pause: ((1 << failures) / 4).min(MAX_PAUSE),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: Rect = Rect::new(100, 100, 640, 360);

    /// Pictures for which an area is left out after its next failure.
    fn pause(vain: &mut Vain, rect: Rect) -> u32 {
        vain.failed(rect);
        let region = Region::from(rect);
        let mut pictures = 0;
        while vain.promising(&region) != region {
            vain.passed(&region);
            pictures += 1;
        }
        pictures
    }

    #[test]
    fn pauses_double_until_something_moves_there() {
        let mut vain = Vain::default();
        let pauses: Vec<u32> = (0..9).map(|_| pause(&mut vain, VIDEO)).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 31, 31, 31]);
        vain.found(Rect::new(0, 0, 100, 100));
        assert_eq!(pause(&mut vain, VIDEO), 31, "that was beside it");
        vain.found(Rect::new(0, 0, 101, 101));
        assert_eq!(pause(&mut vain, VIDEO), 0);
    }

    #[test]
    fn a_part_is_the_video_and_a_page_around_it_is_not() {
        let mut vain = Vain::default();
        (0..9).for_each(|_| vain.failed(VIDEO));
        vain.failed(Rect::new(200, 200, 64, 64));
        assert!(vain.promising(&VIDEO.into()).is_empty());
        let page = Rect::sized(1920, 1080);
        vain.failed(page);
        let mut rest = Region::from(page);
        rest.subtract(&VIDEO.into());
        assert_eq!(vain.promising(&page.into()), rest);
    }

    #[test]
    fn only_so_many_are_remembered_and_the_latest_stay() {
        let mut vain = Vain::default();
        let place = |n: u16| Rect::new(100 * n, 0, 64, 64);
        for n in 0..2 * MOST as u16 {
            (0..3).for_each(|_| vain.failed(place(n)));
        }
        assert_eq!(vain.0.len(), MOST);
        assert_eq!(pause(&mut vain, place(2 * MOST as u16 - 1)), 4);
        assert_eq!(pause(&mut vain, place(0)), 0);
    }
}
