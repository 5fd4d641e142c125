//! What the last publications changed.

use std::collections::VecDeque;

use crate::pixel::{Point, Rect, Region};

/// A rectangle whose pixels are those that stood elsewhere in the previous generation (RFC 6143, 7.7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Move {
    /// Where the pixels are now.
    pub to: Rect,
    /// Where the upper left one of them was in the previous generation.
    pub from: Point,
}

/// One publication.
#[derive(Debug)]
struct Entry {
    generation: u64,
    damage: Region,
    moves: Vec<Move>,
}

impl Entry {
    fn add_to(&self, region: &mut Region) {
        region.union(&self.damage);
        for m in &self.moves {
            region.add(m.to);
        }
    }
}

/// The last publications, oldest first.
///
/// INVARIANT: generations are consecutive, and none is older than `Log::LENGTH` publications.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
}

impl Log {
    /// How many publications are remembered: about a second of a busy screen. Whoever is further behind gets the whole
    /// screen, which a second of changes covers anyway.
    const LENGTH: usize = 64;

    /// Remembers what `generation` changed.
    pub(super) fn push(&mut self, generation: u64, damage: Region, moves: Vec<Move>) {
        if self.entries.len() == Self::LENGTH {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            generation,
            damage,
            moves,
        });
    }

    /// Forgets everything: nothing before the next publication can be compared with what comes after it.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Every pixel that may differ between `generation` and now, as (damage, moves). Moves only when exactly one
    /// publication lies between. `None` when the log does not reach back that far.
    pub(super) fn since(&self, generation: u64) -> Option<(Region, Vec<Move>)> {
        let newest = self.entries.back().map(|e| e.generation)?;
        let behind = usize::try_from(newest.checked_sub(generation)?).ok()?;
        let first = self.entries.len().checked_sub(behind)?;
        if behind == 1 {
            let entry = &self.entries[first];
            return Some((entry.damage.clone(), entry.moves.clone()));
        }
        let mut region = Region::new();
        for entry in self.entries.iter().skip(first) {
            entry.add_to(&mut region);
        }
        Some((region, Vec::new()))
    }

    /// As [`Log::since`], moves included in the region: what a buffer of `generation` lacks.
    pub(super) fn missing(&self, generation: u64) -> Option<Region> {
        let (mut region, moves) = self.since(generation)?;
        for m in moves {
            region.add(m.to);
        }
        Some(region)
    }
}
