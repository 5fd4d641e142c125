//! Takes what the server has drawn into the picture, in place: what of it only moved, by a guess that was made, and what else
//! differs from what was there.
//!
//! ```text
//!   settle   rows that are in the server's memory what stands elsewhere in the picture ─► copied within the picture
//!   take     every other row: compared ─► only where it differs: read, told, and taken over
//! ```
//!
//! Memory bounds all of it, so nothing is fetched twice: there is one picture, which is compared with the server's memory
//! row by row, and what moved is written where its neighbours have just been compared. Numbered that differ are looked at tile
//! by tile. Tiles that changed and stand side by side become one rectangle, cut to what really changed.

use std::ops::Range;

use crate::pixel::{Frame, Point, Rect, Region};
use crate::screen::{Difference, Move, Past};

/// Side of the squares in which changes are gathered. Smaller ones find less overdraw and make more rectangles than an
/// encoder likes (a JPEG header alone is 600 bytes).
const TILE: u16 = 64;

/// With more separate changes than this in a band of tiles, all of them get the band's common top and bottom: ragged
/// edges would multiply the rectangles of a region.
const RAGGED: usize = 4;

/// Fewer pixels than this are sent faster than they are copied.
const MIN_MOVE: usize = 1024;

/// The screen as the server has it.
pub(super) trait Source {
    /// True when row `y` has these pixels from column `x` on. `ahead` is a row that is likely to be asked about next, and
    /// what it will be compared with.
    fn holds(&mut self, at: (u16, u16), pixels: &[u32], ahead: Option<(u16, &[u32])>) -> bool;

    /// Copies pixels of row `y`, from column `x` on.
    fn read(&mut self, at: (u16, u16), out: &mut [u32]);
}

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

/// Numbered of a rectangle that came from elsewhere, one after the other. They are numbered from the one that nothing covers
/// before it is copied: from the upper one if they moved up, from the lower one if they moved down.
struct Run {
    first: u16,
    /// The first one that differs from what was there.
    changed: Option<u16>,
    /// Long enough to be a move: the rows so far are copied.
    copied: bool,
}

impl Run {
    /// The row `end` did not come from elsewhere, or is the first behind the last. Numbered at the beginning that are what they
    /// were are not moved.
    fn end(self, end: u16, rows: Numbered, out: &mut Difference, settled: &mut Region) {
        match self.changed {
            Some(first) if self.copied => out.push_move(rows.moved(first..end)),
            // Too few to be copied: they will be found to differ.
            Some(_) => return,
            None => {}
        }
        settled.add(rows.moved(self.first..end).to);
    }
}

/// A guess, as its rows are numbered.
#[derive(Clone, Copy)]
struct Numbered {
    guess: Move,
    down: bool,
}

impl Numbered {
    fn of(guess: Move) -> Self {
        let down = guess.from.y < guess.to.y;
        Self { guess, down }
    }

    /// Where row `n` is, and where it was.
    fn at(self, n: u16) -> (u16, u16) {
        let Move { to, from } = self.guess;
        let row = if self.down { to.h - 1 - n } else { n };
        (to.y + row, from.y + row)
    }

    /// These rows as a move.
    fn moved(self, rows: Range<u16>) -> Move {
        let Move { to, from } = self.guess;
        let last = rows.end - 1;
        let top = if self.down { last } else { rows.start };
        let (y, source) = self.at(top);
        Move {
            to: Rect::new(to.x, y, to.w, rows.end - rows.start),
            from: Point {
                x: from.x,
                y: source,
            },
        }
    }

    fn is_changed(self, frame: &Frame, n: u16) -> bool {
        let (y, source) = self.at(n);
        let (to, from) = self.columns();
        frame.row(y)[to] != frame.row(source)[from]
    }

    fn copy(self, frame: &mut Frame, rows: Range<u16>) {
        for n in rows {
            let m = self.moved(n..n + 1);
            frame.copy_within(m.source(), m.to.origin());
        }
    }

    /// Where the pixels of a row are, and where they were.
    fn columns(self) -> (Range<usize>, Range<usize>) {
        let (to, from) = (self.guess.to, self.guess.source());
        (
            usize::from(to.x)..usize::from(to.right()),
            usize::from(from.x)..usize::from(from.right()),
        )
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

/// What it needs from frame to frame.
#[derive(Default)]
pub(super) struct Differ {
    tiles: Vec<Option<Extent>>,
    runs: Vec<Extent>,
    /// A row as the server has it.
    row: Vec<u32>,
}

impl Differ {
    /// Copies within the picture whole rows of the guess's target that are on the screen what stands at its source, and
    /// notes them as moves, to be carried out in the order in which they are noted. What is right then, copied or not,
    /// is added to `settled`. Target and source lie within the picture. Of what a move before has covered nothing is copied: it
    /// is not there any more.
    ///
    /// Nothing else may have been changed since the moves before were noted: whoever carries them out has the pixels of the
    /// last picture where no move has put others.
    pub(super) fn settle(
        frame: &mut Frame,
        guess: Move,
        screen: &mut impl Source,
        out: &mut Difference,
        settled: &mut Region,
    ) {
        let source = guess.source();
        let covers = |m: &Move| !m.to.intersect(&source).is_empty();
        if out.moved.iter().any(covers) {
            return;
        }
        let rows = Numbered::of(guess);
        let (_, columns) = rows.columns();
        let width = columns.len();
        let mut run: Option<Run> = None;
        for n in 0..=guess.to.h {
            let came = n < guess.to.h && {
                let (y, source) = rows.at(n);
                let next = (n + 1 < guess.to.h).then(|| rows.at(n + 1));
                let ahead = next.map(|(y, source)| (y, &frame.row(source)[columns.clone()]));
                screen.holds((guess.to.x, y), &frame.row(source)[columns.clone()], ahead)
            };
            if !came {
                if let Some(run) = run.take() {
                    run.end(n, rows, out, settled);
                }
                continue;
            }
            let run = run.get_or_insert(Run {
                first: n,
                changed: None,
                copied: false,
            });
            if run.copied {
                rows.copy(frame, n..n + 1);
                continue;
            }
            let changed = run
                .changed
                .or_else(|| rows.is_changed(frame, n).then_some(n));
            run.changed = changed;
            if let Some(first) = changed
                && usize::from(n - first + 1) * width >= MIN_MOVE
            {
                run.copied = true;
                rows.copy(frame, first..n + 1);
            }
        }
    }

    /// Takes over a rectangle of the screen, and notes in disjoint rectangles everything in it that was not there before.
    /// Numbered are kept in `past` as they were. The rectangle lies within the picture.
    pub(super) fn take(
        &mut self,
        frame: &mut Frame,
        rect: Rect,
        screen: &mut impl Source,
        mut past: Option<&mut Past>,
        out: &mut Difference,
    ) {
        let columns = usize::from(rect.x)..usize::from(rect.right());
        self.row.resize(columns.len(), 0);
        for band in bands(rect) {
            self.tiles.clear();
            for y in band {
                let next = (y + 1 < rect.bottom()).then_some(y + 1);
                let ahead = next.map(|y| (y, &frame.row(y)[columns.clone()]));
                if screen.holds((rect.x, y), &frame.row(y)[columns.clone()], ahead) {
                    continue;
                }
                if let Some(past) = &mut past {
                    past.keep(frame, y);
                }
                screen.read((rect.x, y), &mut self.row);
                self.replace(rect.x, y, &mut frame.row_mut(y)[columns.clone()]);
            }
            self.collect(&mut out.changed);
        }
    }

    /// Takes over the row that was read, and notes where it differs from the old one.
    fn replace(&mut self, x: u16, y: u16, old: &mut [u32]) {
        let side = usize::from(TILE);
        self.tiles.resize(old.len().div_ceil(side), None);
        let pairs = self.row.chunks(side).zip(old.chunks_mut(side));
        for ((index, (new, old)), tile) in pairs.enumerate().zip(&mut self.tiles) {
            if new == old {
                continue;
            }
            let start = x + (index * side) as u16;
            let end = start + new.len() as u16;
            let here = match tile {
                // There is no more to know of it.
                Some(extent) if (extent.left, extent.right) == (start, end) => Extent {
                    bottom: y + 1,
                    ..*extent
                },
                _ => {
                    let differs = |(a, b): (&u32, &u32)| a != b;
                    let first = new.iter().zip(&*old).position(differs).unwrap_or(0);
                    let last = new.iter().zip(&*old).rposition(differs).unwrap_or(0);
                    Extent {
                        left: start + first as u16,
                        right: start + last as u16 + 1,
                        top: y,
                        bottom: y + 1,
                    }
                }
            };
            *tile = Some(Extent::merged(*tile, here));
            old.copy_from_slice(new);
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
    use crate::screen::{Before, Rows};
    use proptest::prelude::*;

    impl Source for Frame {
        fn holds(&mut self, (x, y): (u16, u16), pixels: &[u32], _: Option<(u16, &[u32])>) -> bool {
            self.row(y)[usize::from(x)..][..pixels.len()] == *pixels
        }

        fn read(&mut self, (x, y): (u16, u16), out: &mut [u32]) {
            let from = &self.row(y)[usize::from(x)..];
            out.copy_from_slice(&from[..out.len()]);
        }
    }

    fn diff(old: &Frame, new: &Frame, rect: Rect) -> Vec<Rect> {
        let (mut out, mut past) = (Difference::default(), Past::default());
        let (mut taken, mut screen) = (old.clone(), new.clone());
        Differ::default().take(&mut taken, rect, &mut screen, Some(&mut past), &mut out);
        let mut expected = old.clone();
        expected.copy_from(new, rect);
        assert!(taken == expected, "the rectangle is not what was read");
        assert_eq!(out.moved, []);
        let before = Before {
            now: &taken,
            past: &past,
        };
        for y in 0..old.height() {
            assert_eq!(Rows::row(&before, y), old.row(y), "{y}");
        }
        out.changed
    }

    /// What guesses bring, one after the other, checked: it leads from the old picture to the new one.
    fn moved(old: &Frame, new: &Frame, guesses: &[Move]) -> Difference {
        let mut out = Difference::default();
        let (mut taken, mut screen) = (old.clone(), new.clone());
        let mut settled = Region::new();
        for guess in guesses {
            Differ::settle(&mut taken, *guess, &mut screen, &mut out, &mut settled);
        }
        let mut rest = Region::from(old.bounds());
        rest.subtract(&settled);
        for rect in rest.rects() {
            Differ::default().take(&mut taken, *rect, &mut screen, None, &mut out);
        }
        assert!(taken == *new, "it is not what was read");
        let mut patched = old.clone();
        for m in &out.moved {
            patched.copy_within(m.source(), m.to.origin());
        }
        for rect in &out.changed {
            patched.copy_from(new, *rect);
        }
        assert!(patched == *new, "the difference is not the difference");
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
        let found = moved(&old, &new, &[guess]);
        let to: Vec<_> = found.moved.iter().map(|m| m.to).collect();
        assert_eq!(to, [Rect::new(10, 20, 150, 50), Rect::new(10, 71, 150, 49)]);
        assert_eq!(found.changed, [Rect::new(10, 70, 150, 1)]);
        assert!(moved(&old, &old, &[guess]).is_empty());
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
            let down = Move { to: Rect::new(x + dx, y + dy, w, h), from: Point { x, y } };
            let up = Move { to: Rect::new(x, y, w, h), from: Point { x: x + dx, y: y + dy } };
            moved(&old, &new, &[down]);
            moved(&old, &new, &[up]);
            moved(&new, &old, &[down]);
            moved(&new, &old, &[up]);
        }

        #[test]
        fn guesses_one_after_the_other_are_exact(
            moves in proptest::collection::vec(
                (0u16..150, 0u16..100, 0u16..150, 0u16..100, 20u16..=50, 20u16..=50), 1..6),
            done in 0usize..6,
            dots in proptest::collection::vec((0u16..200, 0u16..150), 0..6),
        ) {
            let old = striped();
            let mut new = old.clone();
            let guesses: Vec<Move> = moves
                .into_iter()
                .map(|(x, y, to_x, to_y, w, h)| Move { to: Rect::new(to_x, to_y, w, h), from: Point { x, y } })
                .collect();
            for m in guesses.iter().take(done) {
                new.copy_within(m.source(), m.to.origin());
            }
            for (x, y) in dots {
                dot(&mut new, x, y, 5);
            }
            moved(&old, &new, &guesses);
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
