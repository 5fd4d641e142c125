//! Finds what only moved: scrolled text and pages, dragged windows. Nothing is told that was not compared pixel by pixel.
//!
//! ```text
//!   hints: windows that were moved ───────┐
//!                                         ▼
//!   guess   damage as X tells it ─► areas ─► rows' hashes, old and new ─► offsets
//!                                                                            │
//!   (the writer takes the pixels, and compares each row with where it may have come from)
//!                                                                            ▼
//!   search  what was changed and not explained ─► areas ─► offsets ─► verify ─► moves ─► the rest is damage
//! ```
//!
//! Guessing comes first because a row is compared for next to nothing while it is in the cache: an ordinary scroll needs no
//! other look at the picture. What a guess does not explain row by row is searched as finely as it takes.
//!
//! A vertical scroll shows in rows that stand elsewhere: some strips of the area are hashed row by row, and every
//! row that is unique in both pictures votes for its offset. A horizontal one shows in pieces of rows in the same way. So
//! a scroll bar or a head that stands still takes away a strip's votes, not the others'.

mod vain;
mod verify;
mod vote;

use crate::pixel::{Frame, Rect, Region};
use vain::Vain;
use verify::Verified;
use vote::CLEAR;

use super::draft::Rows;
use super::log::{Move, Step};

/// Areas smaller than this on a side, or of fewer pixels, are sent faster than they are searched.
const MIN_SIDE: u16 = 32;
const MIN_AREA: u32 = 64 * 64;

/// Damage that lies so near to other damage belongs to the same area, in pixels.
const NEAR: u16 = 24;

/// At least one part in so many of an area is damaged: the frame that a dragged window leaves has nothing to search in.
const DENSE: u64 = 8;

/// How many areas are searched, the largest first, and how often each: two parts of a page may scroll differently.
const AREAS: usize = 3;
const ROUNDS: usize = 2;

/// A move that was voted for has to explain one part in so many of the area's damage: less is chance.
const SHARE: u32 = 8;

/// An area of which no more than this part is left has been explained.
const SMALL: u32 = 4;

/// Damage that is less than this part of what has moved was uncovered by it, or stands still in it.
const LITTLE: u64 = 8;

/// Guesses of which at least one part in so many proved true were good: what is beside them is worth a search again. Of text
/// that changes altogether the gaps between some lines prove true.
const GUESSED: u64 = 4;

/// Searches pictures; keeps its memory, and what the last searches were good for.
#[derive(Debug, Default)]
pub struct Motion {
    votes: vote::Votes,
    vain: Vain,
}

/// A picture whose parts are there when they are asked for.
pub trait Picture {
    /// Replaces what is in `out` by the pixels of a rectangle, row by row.
    fn read(&mut self, rect: Rect, out: &mut Vec<u32>);
}

impl Picture for &Frame {
    fn read(&mut self, rect: Rect, out: &mut Vec<u32>) {
        out.clear();
        self.rows(rect).for_each(|row| out.extend_from_slice(row));
    }
}

/// What is known of a new picture: where it differs from the one before.
#[derive(Debug, Default)]
pub struct Difference {
    /// Rectangles that are what stood elsewhere in the old picture, compared pixel by pixel; each after those before it.
    pub moved: Vec<Move>,
    /// Rectangles that hold every other pixel that differs.
    pub changed: Vec<Rect>,
}

impl Difference {
    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        self.moved.is_empty() && self.changed.is_empty()
    }

    /// Adds a move behind the others. One that goes on where the last one ended, into the direction it goes itself, becomes
    /// part of it.
    pub fn push_move(&mut self, next: Move) {
        if let Some(last) = self.moved.last_mut()
            && (last.to.x, last.to.w) == (next.to.x, next.to.w)
            && last.offset() == next.offset()
        {
            let above = last.to.bottom() == next.to.y && last.offset().1 <= 0;
            let below = next.to.bottom() == last.to.y && last.offset().1 >= 0;
            if above || below {
                last.from.y = last.from.y.min(next.from.y);
                last.to = last.to.bounding(&next.to);
                return;
            }
        }
        self.moved.push(next);
    }

    /// Forgets everything, and keeps the memory.
    pub fn clear(&mut self) {
        self.moved.clear();
        self.changed.clear();
    }
}

impl Motion {
    /// Which moves may have made `new` of `old`, of the same size, that differ nowhere but in `damage`: the hints, and what
    /// is voted for by a few columns. To be believed only where pixels agree; all of them lie within the picture.
    pub fn guess(
        &mut self,
        old: &Frame,
        new: &mut impl Picture,
        damage: &Region,
        hints: &[Move],
    ) -> Vec<Move> {
        let bounds = old.bounds();
        let hinted = hints.iter().filter_map(|hint| match hint.offset() {
            (0, 0) => None,
            (dx, dy) => verify::moved_within(hint.to, dx, dy, bounds),
        });
        let mut guesses: Vec<Move> = hinted.collect();
        let mut rest = self.vain.promising(damage);
        for guess in &guesses {
            rest.subtract(&Region::from(guess.to));
        }
        if rest.area() * LITTLE <= area_of(&guesses) {
            return guesses;
        }
        for area in areas(&rest) {
            let votes = &mut self.votes;
            let again = votes.again(old, new, area);
            let down = again.or_else(|| votes.vertical(old, new, area, None, CLEAR));
            if let Some(dy) = down {
                guesses.extend(verify::moved_within(area, 0, dy, bounds));
            }
        }
        guesses
    }

    /// True when a search may need the picture as it was before damage was taken over: `rest` is what no guess explained, and
    /// `moved` what was.
    pub fn looks_back(&self, rest: &Region, moved: &[Move], guesses: &[Move]) -> bool {
        let mut rest = rest.clone();
        rest.subtract(&uncovered(moved));
        let within = |guess: &Move| {
            rest.rects()
                .iter()
                .any(|r| !r.intersect(&guess.to).is_empty())
        };
        let area = self.vain.promising(&rest).area();
        let large = area >= u64::from(MIN_AREA) && area * LITTLE > area_of(moved);
        large || guesses.iter().any(within)
    }

    /// How `new` came to be, given where it differs from the picture before. `guesses` are moves that may have happened,
    /// whatever covers them now. `old` is that picture, of the same size; in it the moves that are known may have been carried
    /// out. `None`, when [`Motion::looks_back`] said no.
    pub fn search<O: Rows>(
        &mut self,
        old: Option<&O>,
        new: &Frame,
        difference: &Difference,
        guesses: &[Move],
    ) -> Step {
        let damage: Region = difference.changed.iter().copied().collect();
        let moved = &difference.moved;
        if !moved.is_empty() && area_of(moved) * GUESSED >= area_of(guesses) {
            self.vain.moved(moved);
        }
        for dy in moved.iter().map(|m| m.offset().1) {
            self.votes.remember(dy);
        }
        let promising = self.vain.promising(&damage);
        self.vain.passed(&damage);
        let Some(old) = old else {
            return Step {
                moves: moved.clone(),
                damage,
            };
        };
        let mut found = Verified::new(old, new, moved.clone(), damage);
        for guess in guesses {
            let (dx, dy) = guess.offset();
            found.verify(guess.to, dx, dy, u64::MAX);
        }
        let mut rest = promising;
        rest.intersect(found.damage());
        for area in unexplained(&rest, moved) {
            let before = found.damage_in(area);
            self.search_area(&mut found, area);
            if found.damage_in(area) * 2 <= before {
                self.vain.found(area);
            } else {
                self.vain.failed(area);
            }
        }
        found.step()
    }

    fn search_area<O: Rows>(&mut self, found: &mut Verified<'_, O>, area: Rect) {
        let (old, new) = found.frames();
        let mut known = None;
        for _ in 0..ROUNDS {
            let down = self.votes.vertical(old, &mut &*new, area, known, SHARE);
            let Some(dy) = down.filter(|dy| found.verify(area, 0, *dy, SHARE.into())) else {
                break;
            };
            known = Some(dy);
            let mut rest = found.damage().clone();
            rest.clip(area);
            if rest.area() < u64::from(area.area() / SMALL) {
                return;
            }
        }
        if known.is_none()
            && let Some(dx) = self.votes.horizontal(old, new, area)
        {
            found.verify(area, dx, 0, SHARE.into());
        }
    }
}

fn area_of(moves: &[Move]) -> u64 {
    moves.iter().map(|m| u64::from(m.to.area())).sum()
}

/// What lies bare when all of this has moved: the last line of a terminal, the ground behind a window. Nothing moves there
/// that has not just been found. Moves by the same offset are one that something stood in the way of.
fn uncovered(moved: &[Move]) -> Region {
    let mut wholes: Vec<Move> = Vec::new();
    for m in moved {
        match wholes.iter_mut().find(|w| w.offset() == m.offset()) {
            Some(whole) => {
                whole.to = whole.to.bounding(&m.to);
                whole.from.x = whole.from.x.min(m.from.x);
                whole.from.y = whole.from.y.min(m.from.y);
            }
            None => wholes.push(*m),
        }
    }
    let mut bare = Region::new();
    for whole in wholes {
        let mut left = Region::from(whole.source());
        left.subtract(&Region::from(whole.to));
        bare.union(&left);
    }
    bare
}

/// Where moves that are known leave something to be searched.
fn unexplained(damage: &Region, moved: &[Move]) -> Vec<Rect> {
    let mut rest = damage.clone();
    rest.subtract(&uncovered(moved));
    if rest.area() * LITTLE <= area_of(moved) {
        return Vec::new();
    }
    areas(&rest)
}

/// Where damage lies together, the largest areas first.
fn areas(damage: &Region) -> Vec<Rect> {
    let mut areas: Vec<(Rect, u64)> = Vec::new();
    for rect in damage.rects() {
        let (mut area, mut damaged) = (*rect, u64::from(rect.area()));
        // Whatever it now touches joins it, until nothing does.
        while let Some(i) = areas.iter().position(|(a, _)| are_near(a, &area)) {
            let (other, more) = areas.swap_remove(i);
            area = area.bounding(&other);
            damaged += more;
        }
        areas.push((area, damaged));
    }
    areas.retain(|(a, damaged)| {
        let large = a.w >= MIN_SIDE && a.h >= MIN_SIDE && a.area() >= MIN_AREA;
        large && damaged * DENSE >= u64::from(a.area())
    });
    areas.sort_by_key(|(a, _)| std::cmp::Reverse(a.area()));
    areas.truncate(AREAS);
    areas.into_iter().map(|(area, _)| area).collect()
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
