//! Which offset the pixels of an area may have moved by.

use std::cmp::Reverse;
use std::ops::Range;

use super::{Picture, Rows};
use crate::pixel::{Frame, Rect};

/// Rows vote by a strip of so many columns; of further strips, at most so many in all and evenly spread, when those of the
/// first did not agree. What a strip costs is that it comes from memory: it is as wide as a few lines of the cache.
const STRIP: u16 = 48;
const STRIPS: u16 = 6;

/// An offset needs so many votes; with one part in `CLEAR` of all rows that have moved it needs no further strip.
const MIN_VOTES: u32 = 6;
pub(super) const CLEAR: u32 = 4;

/// Pixels are hashed in groups of so many.
const PIECE: usize = 16;

/// Rows that are looked at for a horizontal move; their groups of pixels vote.
const PROBES: u16 = 12;

/// A multiplier with bits everywhere.
const K: u64 = 0x9e37_79b9_7f4a_7c15;

/// What moved before moves so again: offsets that are tried before anything is voted for (a terminal scrolls by a few
/// lines, now more and now less), and the rows that have to say so.
const RECENT: usize = 8;
const WITNESSES: u16 = 8;

/// Of the rows that speak of an offset one in so many may deny it: a cursor stands in the way, a line was drawn since.
const DENIALS: u32 = 4;

/// A table of hashes with the place of each, and what was voted for.
#[derive(Debug, Default)]
pub(super) struct Votes {
    slots: Vec<Slot>,
    /// Slots of other rounds are empty.
    round: u32,
    rows: Vec<u64>,
    counts: Vec<u32>,
    /// The last offsets that proved true, the latest first.
    recent: Vec<i32>,
    /// What was asked for of the new picture.
    part: Vec<u32>,
    /// Strips of single rows that were not what stood there, and their pixels.
    witnesses: Vec<Rect>,
    seen: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u64,
    round: u32,
    place: u16,
    /// How often the hash is there in the old picture, 2 standing for more.
    times: u8,
}

impl Votes {
    /// An offset down proved true.
    pub(super) fn remember(&mut self, dy: i32) {
        self.recent.retain(|known| *known != dy);
        self.recent.insert(0, dy);
        self.recent.truncate(RECENT);
    }

    /// An offset that proved true lately, if some rows of the area say that it is true again.
    pub(super) fn again(&mut self, old: &Frame, new: &mut impl Picture, area: Rect) -> Option<i32> {
        self.call_witnesses(old, new, area);
        let width = usize::from(area.w.min(STRIP));
        self.recent.iter().copied().find(|dy| {
            let (mut moved, mut denied) = (0u32, 0);
            for (row, now) in self.witnesses.iter().zip(self.seen.chunks(width)) {
                let source = i32::from(row.y) - dy;
                let source = u16::try_from(source).ok().filter(|y| *y < old.height());
                let Some(source) = source else {
                    continue;
                };
                if *now == old.row(source)[columns(row)] {
                    moved += 1;
                } else if area.contains(&Rect { y: source, ..*row }) {
                    denied += 1;
                    if denied * DENIALS > u32::from(WITNESSES) {
                        return false;
                    }
                }
            }
            moved * 2 >= u32::from(WITNESSES) && denied * DENIALS <= moved
        })
    }

    /// Of some rows of an area the first strip each that is not what stood there, and not of one colour. What is the same
    /// in all lines (a column of a table, an indent) says nothing about where they were.
    fn call_witnesses(&mut self, old: &Frame, new: &mut impl Picture, area: Rect) {
        self.witnesses.clear();
        self.seen.clear();
        for n in 0..2 * WITNESSES {
            let y = area.y + n * (area.h / (2 * WITNESSES));
            for strip in strips(area) {
                let row = Rect { y, h: 1, ..strip };
                new.read(row, &mut self.part);
                if self.part != old.row(y)[columns(&row)] && hash_row(&self.part).is_some() {
                    self.witnesses.push(row);
                    self.seen.extend_from_slice(&self.part);
                    break;
                }
            }
        }
    }

    /// The offset down that most rows vote for, other than one that is known, and at least one part in `share` of those
    /// that have moved: of a picture that changed altogether some rows are always the same as others.
    pub(super) fn vertical(
        &mut self,
        old: &impl Rows,
        new: &mut impl Picture,
        area: Rect,
        known: Option<i32>,
        share: u32,
    ) -> Option<i32> {
        let height = usize::from(area.h);
        self.counts.clear();
        self.counts.resize(2 * height, 0);
        let mut strips: Vec<Rect> = strips(area).collect();
        // Those first in which the last witnesses stood.
        let stood = |strip: &Rect| self.witnesses.iter().filter(|w| strip.contains(w)).count();
        strips.sort_by_key(|strip| Reverse(stood(strip)));
        let mut moved = 0;
        for strip in strips {
            new.read(strip, &mut self.part);
            moved += self.strip(old, strip);
            let winner = self.winner(height, known);
            if let Some((dy, _)) = winner.filter(|(_, votes)| votes * CLEAR >= moved) {
                return Some(dy);
            }
        }
        let winner = self.winner(height, known)?;
        (winner.1 * share >= moved).then_some(winner.0)
    }

    /// Lets the rows of a strip vote; the number of those that have moved, or are new.
    fn strip(&mut self, old: &impl Rows, strip: Rect) -> u32 {
        let (height, width) = (usize::from(strip.h), usize::from(strip.w));
        let columns = columns(&strip);
        self.begin(height);
        self.rows.clear();
        for y in 0..strip.h {
            let hash = hash_row(&old.row(strip.y + y)[columns.clone()]);
            self.rows.push(hash.unwrap_or(0));
            if let Some(hash) = hash {
                self.note(hash, y);
            }
        }
        let mut moved = 0;
        let part = std::mem::take(&mut self.part);
        for (y, row) in (0u16..).zip(part.chunks(width)) {
            // A row that stands where it stood has not moved.
            let Some(hash) = hash_row(row).filter(|hash| self.rows[usize::from(y)] != *hash) else {
                continue;
            };
            moved += 1;
            if let Some(from) = self.unique(hash) {
                self.counts[usize::from(y) + height - usize::from(from)] += 1;
            }
        }
        self.part = part;
        moved
    }

    /// The offset to the right that most pieces of some rows vote for.
    pub(super) fn horizontal(&mut self, old: &impl Rows, new: &Frame, area: Rect) -> Option<i32> {
        let width = usize::from(area.w);
        self.counts.clear();
        self.counts.resize(2 * width, 0);
        let columns = columns(&area);
        let step = (area.h / PROBES).max(1);
        for y in (area.y..area.bottom()).step_by(usize::from(step)) {
            let (before, now) = (&old.row(y)[columns.clone()], &new.row(y)[columns.clone()]);
            if before == now {
                continue;
            }
            self.begin(width);
            for (x, piece) in (0u16..).zip(before.windows(PIECE)) {
                if let Some(hash) = hash_row(piece) {
                    self.note(hash, x);
                }
            }
            for (n, piece) in now.chunks_exact(PIECE).enumerate() {
                let x = n * PIECE;
                let Some(hash) = hash_row(piece).filter(|_| before[x..x + PIECE] != *piece) else {
                    continue;
                };
                if let Some(from) = self.unique(hash) {
                    self.counts[x + width - usize::from(from)] += 1;
                }
            }
        }
        self.winner(width, None).map(|(dx, _)| dx)
    }

    /// An empty table for so many hashes.
    fn begin(&mut self, hashes: usize) {
        let size = (2 * hashes).next_power_of_two();
        if self.slots.len() < size {
            self.slots.clear();
            self.slots.resize(size, Slot::default());
            self.round = 0;
        }
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.slots.fill(Slot::default());
            self.round = 1;
        }
    }

    /// The slot of a hash, or the free one where it belongs.
    fn slot(&mut self, hash: u64) -> &mut Slot {
        let mask = self.slots.len() - 1;
        let mut i = (hash >> 32) as usize & mask;
        // There are twice as many slots as hashes.
        while self.slots[i].round == self.round && self.slots[i].hash != hash {
            i = (i + 1) & mask;
        }
        &mut self.slots[i]
    }

    fn note(&mut self, hash: u64, place: u16) {
        let round = self.round;
        let slot = self.slot(hash);
        if slot.round == round {
            slot.times = 2;
        } else {
            *slot = Slot {
                hash,
                round,
                place,
                times: 1,
            };
        }
    }

    /// Where the hash was, if it was in one place only.
    fn unique(&mut self, hash: u64) -> Option<u16> {
        let round = self.round;
        let slot = self.slot(hash);
        (slot.round == round && slot.times == 1).then_some(slot.place)
    }

    fn winner(&self, zero: usize, known: Option<i32>) -> Option<(i32, u32)> {
        let offset = |index: usize| index as i32 - zero as i32;
        let others = self.counts.iter().enumerate();
        let others = others.filter(|(i, _)| *i != zero && Some(offset(*i)) != known);
        let (index, votes) = others.max_by_key(|(_, n)| **n)?;
        (*votes >= MIN_VOTES).then_some((offset(index), *votes))
    }
}

/// The strips of an area.
fn strips(area: Rect) -> impl Iterator<Item = Rect> {
    let strips = (area.w / STRIP).clamp(1, STRIPS);
    (0..strips).map(move |n| Rect {
        x: area.x + n * (area.w / strips),
        w: area.w.min(STRIP),
        ..area
    })
}

fn columns(rect: &Rect) -> Range<usize> {
    usize::from(rect.x)..usize::from(rect.right())
}

/// A hash of whole groups of pixels; `None` when they all are of one colour, which is found anywhere.
fn hash_row(row: &[u32]) -> Option<u64> {
    let (groups, _) = row.as_chunks::<PIECE>();
    let first = groups.first()?;
    let (mut sums, mut differs) = ([K, !K, K >> 7, K << 9], 0);
    for group in groups {
        differs |= mix(group, first[0], &mut sums);
    }
    let [a, b, c, d] = sums;
    let hash = (a ^ b.rotate_left(17) ^ c.rotate_left(29) ^ d.rotate_left(43)).wrapping_mul(K);
    (differs != 0).then_some(hash)
}

/// Adds a group of pixels to four sums, which do not wait for each other; the bits in which any differs from `first`.
fn mix(group: &[u32; PIECE], first: u32, sums: &mut [u64; 4]) -> u32 {
    let (pairs, _) = group.as_chunks::<2>();
    for half in pairs.chunks_exact(sums.len()) {
        for (sum, [a, b]) in sums.iter_mut().zip(half) {
            *sum = (sum.rotate_left(29) ^ (u64::from(*a) | u64::from(*b) << 32)).wrapping_mul(K);
        }
    }
    group.iter().fold(0, |bits, pixel| bits | (pixel ^ first))
}
