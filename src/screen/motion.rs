//! Finds what only moved: scrolled text and pages, dragged windows. Nothing is told that was not compared pixel by pixel.
//!
//! ```text
//!   hints: windows that were moved ──────────────────────┐
//!                                                        ▼
//!   damage ─► areas ─► rows' hashes, old and new ─► offsets ─► verify ─► moves ─► the rest is damage
//!                 └─► pieces of some rows, old and new ──┘
//! ```
//!
//! A vertical scroll shows in rows that stand elsewhere: some strips of the area are hashed row by row, and every
//! row that is unique in both pictures votes for its offset. A horizontal one shows in pieces of rows in the same way. So
//! a scroll bar or a head that stands still takes away a strip's votes, not the others'.

mod verify;
mod vote;

use crate::pixel::{Frame, Rect, Region};
use verify::Verified;

use super::log::{Move, Step};

/// Areas smaller than this on a side, or of fewer pixels, are sent faster than they are searched.
const MIN_SIDE: u16 = 32;
const MIN_AREA: u32 = 64 * 64;

/// Damage that lies so near to other damage belongs to the same area, in pixels.
const NEAR: u16 = 24;

/// How many areas are searched, the largest first, and how often each: two parts of a page may scroll differently.
const AREAS: usize = 3;
const ROUNDS: usize = 2;

/// A move that was voted for has to explain one part in so many of the area's damage: less is chance.
const SHARE: u64 = 8;

/// An area of which no more than this part is left has been explained.
const SMALL: u32 = 4;

/// After searches without result the next ones are left out, at most so many: a video is not searched for scrolls.
const MAX_PAUSE: u32 = 15;

/// Searches pictures; keeps its memory, and what the last searches were good for.
#[derive(Debug, Default)]
pub struct Motion {
    votes: vote::Votes,
    /// Searches in a row that found nothing.
    failures: u32,
    /// Pictures that are not searched.
    pause: u32,
}

impl Motion {
    /// How `new` came from `old`, of the same size, which differ nowhere but in `damage`. `hints` are moves that may have
    /// happened: of whole windows, whatever covers them now.
    pub fn search(&mut self, old: &Frame, new: &Frame, damage: Region, hints: &[Move]) -> Step {
        let mut found = Verified::new(old, new, damage);
        for hint in hints {
            let (dx, dy) = offset(hint);
            if (dx, dy) != (0, 0) {
                found.verify(hint.to, dx, dy, u64::MAX);
            }
        }
        let areas = areas(found.damage());
        if areas.is_empty() {
            return found.step();
        }
        if self.pause > 0 {
            self.pause -= 1;
            return found.step();
        }
        let mut any = false;
        for area in areas {
            any |= self.search_area(&mut found, area);
        }
        if any {
            self.failures = 0;
        } else {
            self.failures = (self.failures + 1).min(8);
            self.pause = ((1 << self.failures) / 4).min(MAX_PAUSE);
        }
        found.step()
    }

    fn search_area(&mut self, found: &mut Verified<'_>, area: Rect) -> bool {
        let (old, new) = found.frames();
        let mut known = None;
        for _ in 0..ROUNDS {
            let down = self.votes.vertical(old, new, area, known);
            let Some(dy) = down.filter(|dy| found.verify(area, 0, *dy, SHARE)) else {
                break;
            };
            known = Some(dy);
            let mut rest = found.damage().clone();
            rest.clip(area);
            if rest.area() < u64::from(area.area() / SMALL) {
                return true;
            }
        }
        if known.is_some() {
            return true;
        }
        let right = self.votes.horizontal(old, new, area);
        right.is_some_and(|dx| found.verify(area, dx, 0, SHARE))
    }
}

/// By how much the pixels moved, right and down.
fn offset(m: &Move) -> (i32, i32) {
    let d = |to: u16, from: u16| i32::from(to) - i32::from(from);
    (d(m.to.x, m.from.x), d(m.to.y, m.from.y))
}

/// Where damage lies together, the largest areas first.
fn areas(damage: &Region) -> Vec<Rect> {
    let mut areas: Vec<Rect> = Vec::new();
    for rect in damage.rects() {
        let mut area = *rect;
        // Whatever it now touches joins it, until nothing does.
        while let Some(i) = areas.iter().position(|a| are_near(a, &area)) {
            area = area.bounding(&areas.swap_remove(i));
        }
        areas.push(area);
    }
    areas.retain(|a| a.w >= MIN_SIDE && a.h >= MIN_SIDE && a.area() >= MIN_AREA);
    areas.sort_by_key(|a| std::cmp::Reverse(a.area()));
    areas.truncate(AREAS);
    areas
}

fn are_near(a: &Rect, b: &Rect) -> bool {
    let grown = Rect::from_edges(
        a.x.saturating_sub(NEAR),
        a.y.saturating_sub(NEAR),
        a.right().saturating_add(NEAR),
        a.bottom().saturating_add(NEAR),
    );
    !grown.intersect(b).is_empty()
}

#[cfg(test)]
mod tests;
