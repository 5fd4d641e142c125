//! How a region is cut into rectangles, and how each is to be sent (Tight).
//!
//! The region is cut into blocks that are looked at in parallel; a block is a grid of small cells:
//!
//! ```text
//!  classify every cell ─ settle the unsure by their neighbours
//!    ─ large rectangles of one colour            → Fill
//!    ─ rectangles of photo, not too small        → Jpeg
//!    ─ large rectangles of the same two colours  → Mono
//!    ─ all that is left, in rectangles           → Colours
//! ```
//!
//! Rectangles of cells grow greedily from the upper left, to the right first or downwards first, whichever gets
//! further. Cells that are too few for a rectangle of their own class are left to the last step.

use rayon::prelude::*;

use super::analyse::{Class, classify};
use super::palette::Palette;
use crate::pixel::{Frame, Rect, Region};

/// How a rectangle is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has this colour.
    Fill(u32),
    /// It has only these two.
    Mono(u32, u32),
    /// Losslessly: by palette if it has few enough colours.
    Colours,
    /// As a photo.
    Jpeg,
}

/// Largest block: Tight rectangles are at most 2048 wide, and decoders are used to modest heights.
const BLOCK_W: u16 = 2048;
const BLOCK_H: u16 = 256;

/// Side of a cell: a JPEG block with thinned-out colour.
const CELL: u16 = 16;

/// A smaller area is one cell: its classes would cost more in headers than they save.
const MIN_GRID: u32 = 2048;

/// Fills and rectangles of two colours are worth a header of their own from this many pixels on.
const MIN_OWN: u32 = 4096;

/// JPEG has 600 bytes of header; below this a palette or deflate is no larger, and exact.
const MIN_JPEG: u32 = 1024;

/// Widest JPEG: a screenful then is enough pieces for several cores.
const JPEG_W: u16 = 1024;

/// Most pixels of a rectangle with a palette: more of them have too many colours together.
const MAX_COLOURS: u32 = 65_536;

/// Cuts a region, which must lie within the picture. `photos`: JPEG may be used.
pub(super) fn plan(frame: &Frame, region: &Region, photos: bool) -> Vec<(Rect, Kind)> {
    let blocks: Vec<Rect> = region.rects().iter().flat_map(|&r| blocks(r)).collect();
    let cut = |block: &Rect| {
        let mut out = Vec::new();
        Grid::new(frame, *block, photos).cut(&mut out);
        out
    };
    if region.area() < u64::from(MAX_COLOURS) {
        return blocks.iter().flat_map(cut).collect();
    }
    blocks.par_iter().flat_map_iter(cut).collect()
}

/// The same area without a look at the pixels, in the fewest rectangles.
pub(super) fn coarse(region: &Region) -> Vec<(Rect, Kind)> {
    let rects = region.rects().iter();
    rects
        .flat_map(|&r| blocks(r))
        .map(|r| (r, Kind::Colours))
        .collect()
}

/// Equal blocks rather than full ones and a rest, so that threads get equal shares.
fn blocks(rect: Rect) -> impl Iterator<Item = Rect> {
    let even = |n: u16, most: u16| {
        let parts = u32::from(n).div_ceil(u32::from(most)).max(1);
        let side = u32::from(n).div_ceil(parts);
        // Whole cells; at most `most`, which is a whole number of them.
        side.next_multiple_of(u32::from(CELL)) as u16
    };
    rect.tiles(even(rect.w, BLOCK_W), even(rect.h, BLOCK_H))
}

/// A block as cells.
struct Grid {
    area: Rect,
    cell: (u16, u16),
    cols: usize,
    rows: usize,
    /// `None`: the cell is in a rectangle already.
    cells: Vec<Option<Class>>,
}

/// A rectangle of cells: column, row, columns, rows.
#[derive(Clone, Copy)]
struct Span(usize, usize, usize, usize);

impl Grid {
    fn new(frame: &Frame, area: Rect, photos: bool) -> Self {
        let cell = if area.area() < MIN_GRID {
            (area.w, area.h)
        } else {
            (CELL, CELL)
        };
        let mut palette = Palette::new();
        let cells: Vec<_> = area
            .tiles(cell.0, cell.1)
            .map(|r| Some(classify(frame, r, photos, &mut palette)))
            .collect();
        let mut grid = Self {
            area,
            cell,
            cols: usize::from(area.w.div_ceil(cell.0)),
            rows: usize::from(area.h.div_ceil(cell.1)),
            cells,
        };
        if photos {
            grid.settle();
        }
        grid
    }

    /// Decides the unsure cells by the sure ones around, and closes holes in photos.
    fn settle(&mut self) {
        let before = self.cells.clone();
        for row in 0..self.rows {
            for col in 0..self.cols {
                let here = before[row * self.cols + col];
                if here == Some(Class::Photo) {
                    continue;
                }
                let (mut photo, mut other, mut around) = (0, 0, 0);
                for r in row.saturating_sub(1)..(row + 2).min(self.rows) {
                    for c in col.saturating_sub(1)..(col + 2).min(self.cols) {
                        match before[r * self.cols + c] {
                            _ if (r, c) == (row, col) => continue,
                            Some(Class::Photo) => photo += 1,
                            Some(Class::Unsure) => {}
                            _ => other += 1,
                        }
                        around += 1;
                    }
                }
                let is_photo = if here == Some(Class::Unsure) {
                    photo > other || around == 0
                } else {
                    around > 2 && photo * 8 >= around * 7
                };
                self.cells[row * self.cols + col] = match here {
                    _ if is_photo => Some(Class::Photo),
                    Some(Class::Unsure) => Some(Class::Sharp),
                    _ => here,
                };
            }
        }
    }

    /// Appends the rectangles of the block.
    fn cut(mut self, out: &mut Vec<(Rect, Kind)>) {
        self.take(out, u32::MAX, u16::MAX, MIN_OWN, |class| match class {
            Class::Solid(c) => Some((Kind::Fill(c), Match::Solid(c))),
            _ => None,
        });
        self.take(out, u32::MAX, JPEG_W, MIN_JPEG, |class| {
            (class == Class::Photo).then_some((Kind::Jpeg, Match::Photo))
        });
        self.take(out, u32::MAX, u16::MAX, MIN_OWN, |class| match class {
            Class::Mono(a, b) => Some((Kind::Mono(a, b), Match::Mono(a, b))),
            _ => None,
        });
        self.take(out, MAX_COLOURS, u16::MAX, 0, |_| {
            Some((Kind::Colours, Match::Any))
        });
    }

    /// Moves rectangles of cells to `out`, of at most `most` pixels and `width` columns of pixels, if they have
    /// `least` pixels at least.
    fn take(
        &mut self,
        out: &mut Vec<(Rect, Kind)>,
        most: u32,
        width: u16,
        least: u32,
        start: impl Fn(Class) -> Option<(Kind, Match)>,
    ) {
        for at in 0..self.cells.len() {
            let Some((kind, accept)) = self.cells[at].and_then(&start) else {
                continue;
            };
            let (col, row) = (at % self.cols, at / self.cols);
            let most = (most / (u32::from(self.cell.0) * u32::from(self.cell.1))).max(1) as usize;
            let across = usize::from(width / self.cell.0).max(1);
            let span = self.grow(col, row, most, across, accept);
            let rect = self.rect(span);
            if rect.area() >= least {
                out.push((rect, kind));
                for r in span.1..span.1 + span.3 {
                    let begin = r * self.cols + span.0;
                    self.cells[begin..begin + span.2].fill(None);
                }
            }
        }
    }

    /// The larger of the rectangles that begin at a cell and grow to the right first or downwards first.
    fn grow(&self, col: usize, row: usize, most: usize, across: usize, accept: Match) -> Span {
        let fits = |c: usize, r: usize| {
            self.cells[r * self.cols + c].is_some_and(|class| accept.takes(class))
        };
        let right = self.cols.min(col + across.min(most));
        let wide = (col..right).take_while(|&c| fits(c, row)).count();
        let down = self.rows.min(row + (most / wide.max(1)).max(1));
        let wide_h = (row..down)
            .take_while(|&r| (col..col + wide).all(|c| fits(c, r)))
            .count();

        let down = self.rows.min(row + most);
        let tall = (row..down).take_while(|&r| fits(col, r)).count();
        let right = self.cols.min(col + across.min((most / tall.max(1)).max(1)));
        let tall_w = (col..right)
            .take_while(|&c| (row..row + tall).all(|r| fits(c, r)))
            .count();

        if wide * wide_h >= tall * tall_w {
            Span(col, row, wide, wide_h)
        } else {
            Span(col, row, tall_w, tall)
        }
    }

    /// The pixels of a rectangle of cells; those at the far edges may be cut.
    fn rect(&self, Span(col, row, cols, rows): Span) -> Rect {
        let edge = |from: u16, cells: usize, side: u16| {
            let far = usize::from(from) + cells * usize::from(side);
            far.min(usize::from(u16::MAX)) as u16
        };
        let far = |from: u16, cells: usize, side: u16, end: u16| edge(from, cells, side).min(end);
        Rect::from_edges(
            edge(self.area.x, col, self.cell.0),
            edge(self.area.y, row, self.cell.1),
            far(self.area.x, col + cols, self.cell.0, self.area.right()),
            far(self.area.y, row + rows, self.cell.1, self.area.bottom()),
        )
    }
}

/// Which cells belong together.
#[derive(Clone, Copy)]
enum Match {
    Solid(u32),
    Mono(u32, u32),
    Photo,
    Any,
}

impl Match {
    fn takes(self, class: Class) -> bool {
        match self {
            Self::Solid(colour) => class == Class::Solid(colour),
            Self::Photo => class == Class::Photo,
            Self::Mono(a, b) => match class {
                Class::Solid(c) => c == a || c == b,
                _ => class == Class::Mono(a, b),
            },
            Self::Any => true,
        }
    }
}
