//! Takes a grabbed rectangle into the next frame, and finds what of it differs from the frame before, and what of that only
//! moved by a guess that was made.
//!
//! All in one pass: each row is compared while it is in the cache. Whole rows first, at the speed of memcmp; only a row
//! that differs is looked at tile by tile. Tiles that changed and stand side by side become one rectangle, cut to what
//! really changed.

use std::ops::Range;

use crate::pixel::{Frame, Point, Rect};
use crate::screen::{Difference, Move};

/// Side of the squares in which changes are gathered. Smaller ones find less overdraw and make more rectangles than an
/// encoder likes (a JPEG header alone is 600 bytes).
const TILE: u16 = 64;

/// With more separate changes than this in a band of tiles, all of them get the band's common top and bottom: ragged
/// edges would multiply the rectangles of a region.
const RAGGED: usize = 4;

/// Fewer pixels than this are sent faster than they are copied.
const MIN_MOVE: u32 = 1024;

/// What changed within a tile: half-open columns and rows.
#[derive(Clone, Copy)]
struct Extent {
    left: u16,
    right: u16,
    top: u16,
    bottom: u16,
}

impl Extent {
    fn merged(a: Option<Self>, b: Self) -> Self {
        a.map_or(b, |a| Self {
            left: a.left.min(b.left),
            right: a.right.max(b.right),
            top: a.top.min(b.top),
            bottom: a.bottom.max(b.bottom),
        })
    }
}

/// Rows of a rectangle that came from elsewhere, one below the other.
struct Run {
    guess: Move,
    /// The first one, which differs from what was there before.
    top: Option<u16>,
}

impl Run {
    /// Row `y` did not come from elsewhere, or is the first below. Rows at the end that are what they were are not copied.
    fn end(&mut self, y: u16, old: &Frame, new: &Frame, out: &mut Difference) {
        let Some(top) = self.top.take() else {
            return;
        };
        let Move { to: area, from } = self.guess;
        let columns = usize::from(area.x)..usize::from(area.right());
        let differs = |y: &u16| old.row(*y)[columns.clone()] != new.row(*y)[columns.clone()];
        let bottom = (top..y).rev().find(differs).map_or(top, |last| last + 1);
        let to = Rect::from_edges(area.x, top, area.right(), bottom);
        if to.area() < MIN_MOVE {
            out.changed.push(to);
            return;
        }
        let from = Point {
            x: from.x,
            y: from.y + (top - area.y),
        };
        out.moved.push(Move { to, from });
    }
}

/// The rows of a rectangle in bands that lie on the grid of the screen, so that the same change gives the same rectangles.
fn bands(rect: Rect) -> impl Iterator<Item = Range<u16>> {
    let mut top = rect.y;
    std::iter::from_fn(move || {
        let bottom = (top / TILE)
            .saturating_add(1)
            .saturating_mul(TILE)
            .min(rect.bottom());
        let band = top..bottom;
        top = bottom;
        (!band.is_empty()).then_some(band)
    })
}

/// Scratch memory of [`Differ::take`], kept from frame to frame.
#[derive(Default)]
pub(super) struct Differ {
    tiles: Vec<Option<Extent>>,
    runs: Vec<Extent>,
}

impl Differ {
    /// Fills `rect` of `new` and notes, in disjoint rectangles, everything in it that differs from `old`, a frame of the
    /// same size.
    ///
    /// `read(y, out)` fills `out` with the pixels of the rectangle's part of the screen row `y`. `rect` lies within the
    /// frame.
    pub(super) fn take(
        &mut self,
        old: &Frame,
        new: &mut Frame,
        rect: Rect,
        mut read: impl FnMut(u16, &mut [u32]),
        out: &mut Difference,
    ) {
        let columns = usize::from(rect.x)..usize::from(rect.right());
        for band in bands(rect) {
            self.tiles.clear();
            for y in band {
                let row = &mut new.row_mut(y)[columns.clone()];
                read(y, row);
                let before = &old.row(y)[columns.clone()];
                if row != before {
                    self.note(rect.x, y, before, row);
                }
            }
            self.collect(&mut out.changed);
        }
    }

    /// As [`Differ::take`], for a rectangle that may have come from elsewhere in `old`: whole rows that have are moved,
    /// the rest is looked at as usual. The source lies within the frame, too.
    pub(super) fn take_moved(
        &mut self,
        old: &Frame,
        new: &mut Frame,
        guess: Move,
        mut read: impl FnMut(u16, &mut [u32]),
        out: &mut Difference,
    ) {
        let rect = guess.to;
        let columns = usize::from(rect.x)..usize::from(rect.right());
        let from = usize::from(guess.from.x)..usize::from(guess.source().right());
        let mut run = Run { guess, top: None };
        for band in bands(rect) {
            self.tiles.clear();
            for y in band {
                let row = &mut new.row_mut(y)[columns.clone()];
                read(y, row);
                let before = &old.row(y)[columns.clone()];
                let source = &old.row(guess.from.y + (y - rect.y))[from.clone()];
                if row == source {
                    if run.top.is_none() && row != before {
                        run.top = Some(y);
                    }
                } else {
                    if row != before {
                        self.note(rect.x, y, before, row);
                    }
                    run.end(y, old, new, out);
                }
            }
            self.collect(&mut out.changed);
        }
        run.end(rect.bottom(), old, new, out);
    }

    /// Notes where one row differs.
    fn note(&mut self, x: u16, y: u16, old: &[u32], new: &[u32]) {
        let side = usize::from(TILE);
        self.tiles.resize(old.len().div_ceil(side), None);
        let pairs = new.chunks(side).zip(old.chunks(side));
        for ((index, (new, old)), tile) in pairs.enumerate().zip(&mut self.tiles) {
            if new == old {
                continue;
            }
            let start = x + (index * side) as u16;
            let end = start + new.len() as u16;
            if let Some(extent) = tile
                && (extent.left, extent.right) == (start, end)
            {
                extent.bottom = y + 1;
                continue;
            }
            let differs = |(a, b): (&u32, &u32)| a != b;
            let first = new.iter().zip(old).position(differs).unwrap_or(0);
            let last = new.iter().zip(old).rposition(differs).unwrap_or(0);
            let here = Extent {
                left: start + first as u16,
                right: start + last as u16 + 1,
                top: y,
                bottom: y + 1,
            };
            *tile = Some(Extent::merged(*tile, here));
        }
    }

    /// Turns the tiles of a band into rectangles.
    fn collect(&mut self, out: &mut Vec<Rect>) {
        self.runs.clear();
        let mut run: Option<Extent> = None;
        for tile in &self.tiles {
            match tile {
                Some(extent) => run = Some(Extent::merged(run, *extent)),
                None => self.runs.extend(run.take()),
            }
        }
        self.runs.extend(run);
        if self.runs.len() > RAGGED {
            let top = self.runs.iter().map(|r| r.top).min();
            let bottom = self.runs.iter().map(|r| r.bottom).max();
            for run in &mut self.runs {
                run.top = top.unwrap_or(run.top);
                run.bottom = bottom.unwrap_or(run.bottom);
            }
        }
        let rects = self.runs.iter();
        out.extend(rects.map(|r| Rect::from_edges(r.left, r.top, r.right, r.bottom)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::Region;
    use proptest::prelude::*;

    fn diff(old: &Frame, new: &Frame, rect: Rect) -> Vec<Rect> {
        let mut out = Difference::default();
        let columns = usize::from(rect.x)..usize::from(rect.right());
        let read = |y, row: &mut [u32]| row.copy_from_slice(&new.row(y)[columns.clone()]);
        let mut taken = old.clone();
        Differ::default().take(old, &mut taken, rect, read, &mut out);
        let mut expected = old.clone();
        expected.copy_from(new, rect);
        assert!(taken == expected, "the rectangle is not what was read");
        assert_eq!(out.moved, []);
        out.changed
    }

    /// What a guess brings, checked: it leads from the old picture to the new one.
    fn moved(old: &Frame, new: &Frame, guess: Move) -> Difference {
        let mut out = Difference::default();
        let rect = guess.to;
        let columns = usize::from(rect.x)..usize::from(rect.right());
        let read = |y, row: &mut [u32]| row.copy_from_slice(&new.row(y)[columns.clone()]);
        let mut taken = old.clone();
        Differ::default().take_moved(old, &mut taken, guess, read, &mut out);
        let mut patched = old.clone();
        for m in &out.moved {
            for y in 0..m.to.h {
                let from = &old.row(m.from.y + y)[usize::from(m.from.x)..][..usize::from(m.to.w)];
                patched.row_mut(m.to.y + y)[usize::from(m.to.x)..][..from.len()]
                    .copy_from_slice(from);
            }
        }
        for rect in &out.changed {
            patched.copy_from(new, *rect);
        }
        assert!(patched == taken, "the difference is not the difference");
        out
    }

    fn dot(frame: &mut Frame, x: u16, y: u16, colour: u32) {
        frame.row_mut(y)[usize::from(x)] = colour;
    }

    #[test]
    fn a_glyph_is_a_tight_rectangle() {
        let old = Frame::new(300, 200);
        let mut new = old.clone();
        for (x, y) in [(101, 50), (107, 52), (103, 61)] {
            dot(&mut new, x, y, 0xff_ffff);
        }
        assert_eq!(diff(&old, &new, old.bounds()), [Rect::new(101, 50, 7, 12)]);
        assert_eq!(diff(&old, &old, old.bounds()), []);
    }

    #[test]
    fn a_change_across_tiles_is_one_rectangle_a_band() {
        let old = Frame::new(300, 200);
        let mut new = old.clone();
        for y in 60..70 {
            for x in 10..250 {
                dot(&mut new, x, y, 1);
            }
        }
        assert_eq!(
            diff(&old, &new, old.bounds()),
            [Rect::new(10, 60, 240, 4), Rect::new(10, 64, 240, 6)]
        );
    }

    /// Every row of its own.
    fn striped() -> Frame {
        let mut frame = Frame::new(200, 150);
        for y in 0..150 {
            frame.row_mut(y).fill(u32::from(y) * 0x01_0203);
        }
        frame
    }

    #[test]
    fn rows_that_moved_are_moves_and_others_are_not() {
        let old = striped();
        let mut new = old.clone();
        new.copy_within(Rect::new(10, 33, 150, 100), Point { x: 10, y: 20 });
        dot(&mut new, 30, 70, 7);
        let guess = Move {
            to: Rect::new(10, 20, 150, 100),
            from: Point { x: 10, y: 33 },
        };
        let found = moved(&old, &new, guess);
        let to: Vec<_> = found.moved.iter().map(|m| m.to).collect();
        assert_eq!(to, [Rect::new(10, 20, 150, 50), Rect::new(10, 71, 150, 49)]);
        assert_eq!(found.changed, [Rect::new(10, 70, 150, 1)]);
        assert!(moved(&old, &old, guess).is_empty());
    }

    proptest! {
        #[test]
        fn a_guess_is_only_believed_where_pixels_agree(
            dots in proptest::collection::vec((0u16..200, 0u16..150), 0..12),
            x in 0u16..100, y in 0u16..50, w in 1u16..=50, h in 1u16..=50,
            dx in 0u16..50, dy in 0u16..50,
        ) {
            let old = striped();
            let mut new = old.clone();
            new.copy_within(Rect::new(x, y, w, h), Point { x: x + dx, y: y + dy });
            for (x, y) in dots {
                dot(&mut new, x, y, 5);
            }
            moved(&old, &new, Move { to: Rect::new(x + dx, y + dy, w, h), from: Point { x, y } });
            moved(&old, &new, Move { to: Rect::new(x, y, w, h), from: Point { x: x + dx, y: y + dy } });
        }

        #[test]
        fn everything_that_differs_is_covered(
            dots in proptest::collection::vec((0u16..200, 0u16..150), 0..40),
            x in 0u16..100, y in 0u16..100, w in 0u16..=100, h in 0u16..=50,
        ) {
            let old = Frame::new(200, 150);
            let mut new = old.clone();
            for (x, y) in &dots {
                dot(&mut new, *x, *y, 5);
            }
            let rect = Rect::new(x, y, w, h);
            let rects = diff(&old, &new, rect);
            prop_assert!(rects.iter().all(|r| !r.is_empty() && rect.contains(r)));
            let region: Region = rects.iter().copied().collect();
            prop_assert_eq!(region.area(), rects.iter().map(|r| u64::from(r.area())).sum::<u64>());
            let mut patched = old.clone();
            for r in region.rects() {
                patched.copy_from(&new, *r);
            }
            for y in rect.y..rect.bottom() {
                for x in rect.x..rect.right() {
                    prop_assert_eq!(patched.row(y)[usize::from(x)], new.row(y)[usize::from(x)]);
                }
            }
        }
    }
}
