//! What the last publications changed.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::pixel::{Point, Rect, Region};

/// A rectangle whose pixels are those that stood elsewhere in the picture before (RFC 6143, 7.7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Move {
    /// Where the pixels are now.
    pub to: Rect,
    /// Where the upper left one of them was before.
    pub from: Point,
}

impl Move {
    /// Where the pixels were before.
    pub const fn source(&self) -> Rect {
        Rect::new(self.from.x, self.from.y, self.to.w, self.to.h)
    }

    /// Of its target no more than this, which must lie within.
    pub const fn part(&self, to: Rect) -> Self {
        let from = Point {
            x: self.from.x + (to.x - self.to.x),
            y: self.from.y + (to.y - self.to.y),
        };
        Self { to, from }
    }

    /// By how much the pixels moved, right and down.
    pub fn offset(&self) -> (i32, i32) {
        let d = |to: u16, from: u16| i32::from(to) - i32::from(from);
        (d(self.to.x, self.from.x), d(self.to.y, self.from.y))
    }

    /// Of several parts of it, those of a lower rank go first: then few cover the source of a later one.
    pub fn rank(&self, part: &Rect) -> (i32, i32) {
        let (x, y) = (i32::from(part.x), i32::from(part.y));
        let (dx, dy) = self.offset();
        let x = if dx > 0 { -x } else { x };
        match dy {
            0 => (x, y),
            1.. => (-y, x),
            _ => (y, x),
        }
    }

    /// What becomes of a property of pixels when the pixels are copied: it goes with them, and what they cover loses it.
    pub fn carry(&self, region: &mut Region) {
        let mut carried = region.clone();
        carried.clip(self.source());
        let (dx, dy) = (
            i32::from(self.to.x) - i32::from(self.from.x),
            i32::from(self.to.y) - i32::from(self.from.y),
        );
        region.subtract(&Region::from(self.to));
        region.union(&carried.translated(dx, dy, self.to));
    }
}

/// What one publication changed: applied to the picture before it, the moves in their order and then the pixels of the
/// damage make the picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Copies within the picture, exact, one after the other.
    pub moves: Vec<Move>,
    /// Every other pixel that may differ.
    pub damage: Region,
}

impl Step {
    /// Everything is new.
    pub fn whole(bounds: Rect) -> Self {
        Self {
            moves: Vec::new(),
            damage: Region::from(bounds),
        }
    }

    /// Where the picture changed.
    pub fn area(&self) -> Region {
        let mut area: Region = self.moves.iter().map(|m| m.to).collect();
        area.union(&self.damage);
        area
    }
}

/// The last publications, oldest first.
///
/// INVARIANT: none is older than `Log::LENGTH` publications.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Of this generation is the newest one.
    newest: u64,
    steps: VecDeque<Arc<Step>>,
}

impl Log {
    /// How many publications are remembered: about a second of a busy screen. Whoever is further behind gets the whole
    /// screen, which a second of changes covers anyway.
    const LENGTH: usize = 64;

    /// Remembers what `generation`, the one after the last, changed.
    pub(super) fn push(&mut self, generation: u64, step: Step) {
        if self.steps.len() == Self::LENGTH {
            self.steps.pop_front();
        }
        self.newest = generation;
        self.steps.push_back(Arc::new(step));
    }

    /// Forgets everything: nothing before the next publication can be compared with what comes after it.
    pub(super) fn clear(&mut self) {
        self.steps.clear();
    }

    /// What was published after `generation`, in order. `None` when the log does not reach back that far.
    pub(super) fn since(&self, generation: u64) -> Option<impl Iterator<Item = &Arc<Step>>> {
        let behind = usize::try_from(self.newest.checked_sub(generation)?).ok()?;
        let first = self.steps.len().checked_sub(behind)?;
        Some(self.steps.range(first..))
    }

    /// What a buffer of `generation` lacks.
    pub(super) fn missing(&self, generation: u64) -> Option<Region> {
        let mut region = Region::new();
        for step in self.since(generation)? {
            region.union(&step.area());
        }
        Some(region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_takes_its_properties_along() {
        // Three columns of damage, of which the middle one lies in the source; the last one is covered.
        let mut region = Region::from_iter([
            Rect::new(0, 0, 1, 10),
            Rect::new(12, 0, 1, 10),
            Rect::new(22, 0, 1, 10),
        ]);
        let copied = Move {
            to: Rect::new(20, 5, 5, 5),
            from: Point { x: 10, y: 0 },
        };
        copied.carry(&mut region);
        let expected = Region::from_iter([
            Rect::new(0, 0, 1, 10),
            Rect::new(12, 0, 1, 10),
            Rect::new(22, 0, 1, 10),
        ]);
        assert_eq!(
            region, expected,
            "the same column moved to where another was"
        );
        let mut region = Region::from(Rect::new(11, 1, 1, 1));
        copied.carry(&mut region);
        let expected = Region::from_iter([Rect::new(11, 1, 1, 1), Rect::new(21, 6, 1, 1)]);
        assert_eq!(region, expected);
    }

    #[test]
    fn a_copy_onto_its_own_source() {
        let copied = Move {
            to: Rect::new(0, 0, 10, 10),
            from: Point { x: 0, y: 2 },
        };
        let mut region = Region::from(Rect::new(0, 2, 10, 1));
        copied.carry(&mut region);
        assert_eq!(region, Region::from(Rect::new(0, 0, 10, 1)));
    }
}
