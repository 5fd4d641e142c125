//! What each cell of a block holds: looked at where it must be, and settled by the cells around it.

use super::super::analyse::{Class, classify, many_colours};
use super::super::palette::Palette;
use super::{Grid, Span};
use crate::pixel::{Frame, Rect};

/// Where a video plays, one cell in so many is looked at each way before those between; a power of two.
const SPARSE: usize = 4;

/// A photo reaches into a cell that has so many cells of photo around it.
const REACHED: usize = 3;

/// Fewer cells than this within a photo that plays go with it,
const HOLE: usize = 64;

/// if fewer than this are more than one colour (others are a label that is to be read),
const LABEL: usize = 16;

/// and if there is so many times as much of the photo: a picture beside text makes no film of it.
const WITHIN: usize = 4;

/// Fewer cells of photo than this have to stand beside something else than text.
const PATCH: usize = 16;

impl Grid {
    /// Looks at every cell; with photos in an order from coarse to fine: what has photo on all sides is photo without a
    /// look. On all four sides of it, as on a chessboard; where a video plays also further away, and with what else JPEG
    /// does no harm: the next picture comes soon, and what stands still is sent again without loss.
    pub(super) fn classify(
        &mut self,
        frame: &Frame,
        photos: Option<&[Rect]>,
        palette: &mut Palette,
    ) {
        self.cells = vec![None; self.cols * self.rows];
        let mut look = |grid: &mut Self, at: usize, guess: Option<Class>| {
            let rect = grid.cell(at);
            let looked = || classify(frame, rect, photos.is_some(), palette);
            grid.cells[at] = Some(guess.unwrap_or_else(looked));
        };
        for row in (0..self.rows).step_by(SPARSE) {
            for col in (0..self.cols).step_by(SPARSE) {
                look(self, row * self.cols + col, None);
            }
        }
        let mut half = SPARSE / 2;
        while half > 0 {
            // In the middle of four, then between those and the four.
            for middle in [true, false] {
                for row in (0..self.rows).step_by(half) {
                    let odd = row / half % 2 == 1;
                    let first = match (middle, odd) {
                        (true, false) => continue,
                        (true, true) | (false, false) => half,
                        (false, true) => 0,
                    };
                    for col in (first..self.cols).step_by(2 * half) {
                        let at = row * self.cols + col;
                        let sides = self.sides(col, row, half, middle);
                        let sides = sides.into_iter().flatten().map(|n| self.cells[n]);
                        let guess = photos.and_then(|playing| {
                            let plays = plays(self.cell(at), playing);
                            let beside = half == 1 && !middle;
                            (plays || beside).then(|| between(sides, plays)).flatten()
                        });
                        look(self, at, guess);
                    }
                }
            }
            half /= 2;
        }
    }

    /// The four cells so far from one: diagonally, or beside, above and below.
    fn sides(&self, col: usize, row: usize, far: usize, diagonal: bool) -> [Option<usize>; 4] {
        let left = col.checked_sub(far);
        let right = Some(col + far).filter(|c| *c < self.cols);
        let above = row.checked_sub(far);
        let below = Some(row + far).filter(|r| *r < self.rows);
        let at = |col: Option<usize>, row: Option<usize>| Some(row? * self.cols + col?);
        if diagonal {
            [
                at(left, above),
                at(right, above),
                at(left, below),
                at(right, below),
            ]
        } else {
            let (col, row) = (Some(col), Some(row));
            [
                at(left, row),
                at(right, row),
                at(col, above),
                at(col, below),
            ]
        }
    }

    /// Decides the unsure cells by the sure ones around, lets photos spread into shades, and closes holes in photos.
    ///
    /// Letters on a picture are to be sharp, unless all of it plays (text that scrolls over a gradient that does not): it is
    /// another picture next time, and without loss this would be the most bytes of all. What stands still is sent again.
    pub(super) fn settle(&mut self, playing: &[Rect]) {
        let before = self.cells.clone();
        let open = |class| matches!(class, Some(Class::Unsure | Class::Lettered));
        for at in (0..before.len()).filter(|&at| open(before[at])) {
            let (mut photo, mut other) = (0, 0);
            for near in self.around(at) {
                match before[near] {
                    Some(Class::Photo) => photo += 1,
                    Some(Class::Unsure | Class::Lettered | Class::Shade | Class::Tint) => {}
                    _ => other += 1,
                }
            }
            let lettered = before[at] == Some(Class::Lettered);
            let is_photo = photo > other || lettered && plays(self.cell(at), playing);
            self.cells[at] = Some(if is_photo { Class::Photo } else { Class::Sharp });
        }
        self.sharpen();

        self.spread(Class::Photo, |class| {
            matches!(class, Class::Shade | Class::Tint)
        });
        self.spread(Class::Tint, |class| class == Class::Shade);

        let is_photo = |cell: &Option<Class>| *cell == Some(Class::Photo);
        let before = self.cells.clone();
        for at in (0..before.len()).filter(|&at| !is_photo(&before[at])) {
            let around = self.around(at).count();
            let photos = self.around(at).filter(|&n| is_photo(&before[n])).count();
            if around > 2 && photos * 8 >= around * 7 {
                self.cells[at] = Some(Class::Photo);
            }
        }
    }

    /// Makes all of it photo if it is photo and what that spreads into, as most of a video is: it would come to the same
    /// by [`Self::settle`].
    pub(super) fn settled_as_film(&mut self, playing: &[Rect]) -> bool {
        let film = |(at, class): (usize, &Option<Class>)| match class {
            Some(Class::Photo | Class::Shade | Class::Tint) => true,
            Some(Class::Lettered) => plays(self.cell(at), playing),
            _ => false,
        };
        let all =
            self.cells.contains(&Some(Class::Photo)) && self.cells.iter().enumerate().all(film);
        if all {
            self.cells.fill(Some(Class::Photo));
        }
        all
    }

    /// A few cells of photo in the middle of text are text that is set densely: a column of digits, say.
    fn sharpen(&mut self) {
        let is_photo = |class| class == Class::Photo;
        self.patches(is_photo, Class::Sharp, |_, patch, beside| {
            let sharp = beside.iter().filter(|&&c| c == Class::Sharp).count();
            patch.len() < PATCH && 2 * sharp > beside.len()
        });
    }

    /// Makes patches of like cells another class, if they and the classes of the cells beside them are such.
    fn patches(
        &mut self,
        like: impl Fn(Class) -> bool,
        class: Class,
        such: impl Fn(&Self, &[usize], &[Class]) -> bool,
    ) {
        let mut seen = vec![false; self.cells.len()];
        for at in 0..seen.len() {
            if seen[at] || !self.cells[at].is_some_and(&like) {
                continue;
            }
            seen[at] = true;
            let (mut patch, mut next) = (vec![at], 0);
            let mut beside = Vec::new();
            while let Some(&at) = patch.get(next) {
                next += 1;
                for near in self.around(at) {
                    match self.cells[near] {
                        Some(class) if !like(class) => beside.push(class),
                        Some(_) if !seen[near] => {
                            seen[near] = true;
                            patch.push(near);
                        }
                        _ => {}
                    }
                }
            }
            if such(self, &patch, &beside) {
                for at in patch {
                    self.cells[at] = Some(class);
                }
            }
        }
    }

    /// A cell that a photo reaches into goes with it where a video plays: the edge of a subtitle or of a window over it.
    /// So do plain ground and small things within it. Next time it is another picture; without loss it would be the most
    /// expensive part of each, or cut it into many; and once it stands still it is sent again without loss.
    pub(super) fn play(&mut self, frame: &Frame, playing: &[Rect], palette: &mut Palette) {
        if playing.is_empty() {
            return;
        }
        self.reach(frame, playing, palette);
        let photo = |class: &&Option<Class>| **class == Some(Class::Photo);
        let most = HOLE.min(self.cells.iter().filter(photo).count() / WITHIN);
        if most == 0 {
            return;
        }
        let other = |class| class != Class::Photo;
        self.patches(other, Class::Photo, |grid, patch, _| {
            let drawn = |at: &&usize| !matches!(grid.cells[**at], Some(Class::Solid(_)));
            patch.len() < most
                && patch.iter().filter(drawn).count() < LABEL
                && patch.iter().all(|&at| plays(grid.cell(at), playing))
        });
    }

    /// Photos where they reach into other cells.
    fn reach(&mut self, frame: &Frame, playing: &[Rect], palette: &mut Palette) {
        let before = self.cells.clone();
        let sharp = |&at: &usize| before[at] == Some(Class::Sharp);
        for at in (0..before.len()).filter(sharp) {
            let rect = self.cell(at);
            let photos = self.around(at).filter(|&n| before[n] == Some(Class::Photo));
            if photos.count() >= REACHED
                && plays(rect, playing)
                && many_colours(frame, rect, palette)
            {
                self.cells[at] = Some(Class::Photo);
            }
        }
    }

    /// Makes cells beside cells of a class the same class, and those beside them, while they can be.
    fn spread(&mut self, class: Class, can: impl Fn(Class) -> bool) {
        if !self.cells.iter().flatten().any(|&class| can(class)) {
            return;
        }
        let mut edge: Vec<usize> = (0..self.cells.len())
            .filter(|&at| self.cells[at] == Some(class))
            .collect();
        while let Some(at) = edge.pop() {
            for near in self.around(at) {
                if self.cells[near].is_some_and(&can) {
                    self.cells[near] = Some(class);
                    edge.push(near);
                }
            }
        }
    }

    /// The pixels of a cell.
    fn cell(&self, at: usize) -> Rect {
        self.rect(Span(at % self.cols, at / self.cols, 1, 1))
    }

    /// The up to eight cells around one.
    fn around(&self, at: usize) -> impl Iterator<Item = usize> + use<> {
        let (col, row) = (at % self.cols, at / self.cols);
        let (left, right) = (col > 0, col + 1 < self.cols);
        let (up, down) = (row > 0, row + 1 < self.rows);
        // Those that are not there are nowhere.
        let (above, below) = (at.wrapping_sub(self.cols), at + self.cols);
        [
            (up && left, above.wrapping_sub(1)),
            (up, above),
            (up && right, above.wrapping_add(1)),
            (left, at.wrapping_sub(1)),
            (right, at + 1),
            (down && left, below - 1),
            (down, below),
            (down && right, below + 1),
        ]
        .into_iter()
        .filter_map(|(there, near)| there.then_some(near))
    }
}

/// All of it is another picture next time.
fn plays(rect: Rect, playing: &[Rect]) -> bool {
    playing.iter().any(|r| r.contains(&rect))
}

/// What is between cells of photo, or, where a video plays, of anything that JPEG does no harm.
fn between(cells: impl Iterator<Item = Option<Class>>, plays: bool) -> Option<Class> {
    let mut seen = Class::Shade;
    for cell in cells {
        seen = match (cell?, seen) {
            (Class::Photo, _) => Class::Photo,
            (Class::Tint | Class::Shade, Class::Photo) if plays => Class::Photo,
            (Class::Tint, _) if plays => Class::Tint,
            (Class::Shade, _) if plays => seen,
            _ => return None,
        };
    }
    Some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(cols: u16, rows: u16, cells: &[Class]) -> Grid {
        let side = super::super::CELL;
        Grid {
            area: Rect::sized(cols * side, rows * side),
            cell: (side, side),
            cols: cols.into(),
            rows: rows.into(),
            cells: cells.iter().copied().map(Some).collect(),
        }
    }

    fn class() -> impl Strategy<Value = Class> {
        prop_oneof![
            5 => Just(Class::Photo),
            20 => Just(Class::Tint),
            5 => Just(Class::Shade),
            5 => Just(Class::Lettered),
            1 => prop_oneof![Just(Class::Solid(7)), Just(Class::Mono(7, 9)), Just(Class::Sharp), Just(Class::Unsure)],
        ]
    }

    proptest! {
        #[test]
        fn a_film_settles_the_short_way_as_the_long_way(
            (cols, rows, cells) in (1u16..9, 1u16..9)
                .prop_flat_map(|(c, r)| (Just(c), Just(r), prop::collection::vec(class(), usize::from(c * r)))),
            plays in any::<bool>(),
        ) {
            let (mut short, mut long) = (grid(cols, rows, &cells), grid(cols, rows, &cells));
            let playing: Vec<Rect> = plays.then_some(long.area).into_iter().collect();
            let is_film = short.settled_as_film(&playing);
            let surely = cells.iter().all(|c| matches!(c, Class::Photo | Class::Tint));
            prop_assert!(is_film || !surely || !cells.contains(&Class::Photo));
            if is_film {
                long.settle(&playing);
                prop_assert_eq!(short.cells, long.cells);
            }
        }
    }
}
