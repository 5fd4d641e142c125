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

/// Most pictures that an area is left out for.
pub(super) const MAX_PAUSE: u32 = 31;

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
        let failures = known.as_ref().map_or(1, |area| area.failures + 1).min(8);
        self.0.push(Area {
            rect: known.map_or(rect, |area| match area.rect.area() > rect.area() {
                true => area.rect,
                false => rect,
            }),
            failures,
            pause: ((1 << failures) / 4).min(MAX_PAUSE),
        });
    }
}
