//! How a region is cut into rectangles, and how each is to be sent (Tight).
//!
//! What goes coarse goes as it is ([`coarse`]). The rest is cut into blocks ([`mod@parts`]), of which each is looked at by
//! itself, unless it was nothing but a video's picture just now ([`mod@films`]); a block is a grid of small cells:
//!
//! ```text
//!  classify every cell ─ settle the unsure by their neighbours ─ take what is within a film with it
//!    ─ large rectangles of one colour            → Fill
//!    ─ rectangles of photo, not too small        → Jpeg
//!    ─ large rectangles of the same two colours  → Mono
//!    ─ all that is left, in rectangles           → Colours
//! ```
//!
//! Each step takes the largest rectangle of such cells, then the next largest. Cells that are too few for a rectangle
//! of their own class are left to the last step.

mod cells;
mod coarse;
mod films;
mod parts;

use std::cell::RefCell;

use super::analyse::Class;
use super::palette::Palette;
use crate::pixel::{Frame, Rect, Region};
pub(super) use films::Films;
use parts::within;
pub(super) use parts::{parts, plan, unseen};

/// How a rectangle is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has this colour.
    Fill(u32),
    /// It has only these two.
    Mono(u32, u32),
    /// Losslessly: by palette if it has few enough colours.
    Colours,
    /// By palette as well; as a film if it has too many colours for one, and no ground.
    Drawing,
    /// As a photo.
    Jpeg,
    /// As a photo that another one is about to follow.
    Film,
}

/// Largest block: Tight rectangles are at most 2048 wide, and decoders are used to modest heights.
const BLOCK_W: u16 = 2048;
const BLOCK_H: u16 = 256;

/// Side of a cell: a JPEG block with thinned-out colour.
const CELL: u16 = 16;

/// A smaller area is one cell, and no photo: its classes would cost more in headers than they save. A larger one is not:
/// a slice of a line of text looks like anything as a whole.
const MIN_GRID: u32 = MIN_JPEG;

/// Fills, rectangles of two colours and drawings as films are worth a header of their own from this many pixels on.
const MIN_OWN: u32 = 4096;

/// JPEG has 600 bytes of header; below this a palette or deflate is no larger, and exact.
const MIN_JPEG: u32 = 1024;

/// Widest JPEG: a screenful then is enough pieces for several cores.
const JPEG_W: u16 = 1024;

/// Most pixels of a rectangle with a palette: more of them have too many colours together.
const MAX_COLOURS: u32 = 65_536;

/// What plays like a video: another picture of it is about to follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Playing {
    /// Where.
    pub region: Region,
    /// Rectangles of it, not overlapping, in which text and drawings go as photos, too: without loss they would be more
    /// than the client's link carries.
    pub coarse: Vec<Rect>,
}

/// The rectangles of a block. `photos`: JPEG may be used, and what plays.
fn cut(frame: &Frame, block: &Rect, photos: Option<&Playing>) -> Vec<(Rect, Kind)> {
    let playing = photos.map(|playing| within(&playing.region, block));
    let mut out = Vec::new();
    Grid::new(frame, *block, playing.as_deref()).cut(&mut out);
    for (rect, kind) in &mut out {
        let plays = |rects: &Vec<Rect>| rects.iter().any(|r| r.contains(rect));
        if playing.as_ref().is_some_and(plays) {
            *kind = match *kind {
                Kind::Jpeg => Kind::Film,
                Kind::Colours if rect.area() >= MIN_OWN => Kind::Drawing,
                other => other,
            };
        }
    }
    out
}

thread_local! {
    /// To count colours with.
    static PALETTE: RefCell<Palette> = RefCell::new(Palette::new());
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
    fn new(frame: &Frame, area: Rect, photos: Option<&[Rect]>) -> Self {
        let (cell, photos) = if area.area() < MIN_GRID {
            ((area.w, area.h), None)
        } else {
            ((CELL, CELL), photos)
        };
        let mut grid = Self {
            area,
            cell,
            cols: usize::from(area.w.div_ceil(cell.0)),
            rows: usize::from(area.h.div_ceil(cell.1)),
            cells: Vec::new(),
        };
        PALETTE.with_borrow_mut(|palette| {
            grid.classify(frame, photos, palette);
            if let Some(playing) = photos
                && !grid.settled_as_film(playing)
            {
                grid.settle(playing);
                grid.play(frame, playing, palette);
            }
        });
        grid
    }

    /// Appends the rectangles of the block.
    fn cut(mut self, out: &mut Vec<(Rect, Kind)>) {
        for colour in self.common(|class| match class {
            Class::Solid(colour) => Some(colour),
            _ => None,
        }) {
            let kind = Kind::Fill(colour);
            self.take(out, MIN_OWN, u16::MAX, kind, |c| c == Class::Solid(colour));
        }
        self.take(out, MIN_JPEG, JPEG_W, Kind::Jpeg, |c| c == Class::Photo);
        self.take(out, MIN_OWN, JPEG_W, Kind::Jpeg, |c| c == Class::Tint);
        for (a, b) in self.common(|class| match class {
            Class::Mono(a, b) => Some((a, b)),
            _ => None,
        }) {
            self.take(
                out,
                MIN_OWN,
                u16::MAX,
                Kind::Mono(a, b),
                |class| match class {
                    Class::Solid(c) => c == a || c == b,
                    _ => class == Class::Mono(a, b),
                },
            );
        }
        self.take_rest(out);
    }

    /// What cells have in common, the most frequent first, if it is enough for a rectangle worth its header.
    fn common<T: Copy + Ord>(&self, of: impl Fn(Class) -> Option<T>) -> Vec<T> {
        let mut all: Vec<T> = self.cells.iter().flatten().filter_map(|c| of(*c)).collect();
        all.sort_unstable();
        let mut counted: Vec<(usize, T)> = all
            .chunk_by(|a, b| a == b)
            .map(|run| (run.len(), run[0]))
            .filter(|(n, _)| *n as u32 * self.cell_area() >= MIN_OWN / 2)
            .collect();
        counted.sort_unstable_by(|a, b| b.cmp(a));
        counted.into_iter().map(|(_, value)| value).collect()
    }

    fn cell_area(&self) -> u32 {
        u32::from(self.cell.0) * u32::from(self.cell.1)
    }

    /// Moves the largest rectangles of accepted cells to `out`, down to `least` pixels; none is wider than `width`.
    fn take(
        &mut self,
        out: &mut Vec<(Rect, Kind)>,
        least: u32,
        width: u16,
        kind: Kind,
        accept: impl Fn(Class) -> bool,
    ) {
        let across = usize::from(width / self.cell.0).max(1);
        while self.cells.iter().flatten().any(|&class| accept(class)) {
            let mut span = self.largest(&accept);
            if span.2 > across {
                // In equal parts rather than full ones and a rest.
                span.2 = span.2.div_ceil(span.2.div_ceil(across));
            }
            let rect = self.rect(span);
            if rect.is_empty() || (rect.area() < least && rect != self.area) {
                return;
            }
            out.push((rect, kind));
            self.clear(span);
        }
    }

    fn clear(&mut self, Span(col, row, cols, rows): Span) {
        for r in row..row + rows {
            let begin = r * self.cols + col;
            self.cells[begin..begin + cols].fill(None);
        }
    }

    /// The largest rectangle of accepted cells: for every row, how far each column reaches up, and the largest
    /// rectangle under that skyline.
    fn largest(&self, accept: impl Fn(Class) -> bool) -> Span {
        let mut best = Span(0, 0, 0, 0);
        let mut heights = vec![0; self.cols];
        // Columns where the skyline rises, with the height from there on.
        let mut rises: Vec<(usize, usize)> = Vec::with_capacity(self.cols);
        for (row, cells) in self.cells.chunks(self.cols).enumerate() {
            for (height, cell) in heights.iter_mut().zip(cells) {
                *height = if cell.is_some_and(&accept) {
                    *height + 1
                } else {
                    0
                };
            }
            rises.clear();
            for col in 0..=self.cols {
                let height = heights.get(col).copied().unwrap_or(0);
                let mut from = col;
                while let Some(&(start, high)) = rises.last() {
                    if high < height {
                        break;
                    }
                    if high * (col - start) > best.2 * best.3 {
                        best = Span(start, row + 1 - high, col - start, high);
                    }
                    from = start;
                    rises.pop();
                }
                rises.push((from, height));
            }
        }
        best
    }

    /// Moves all cells that are left to `out`. They grow to the right first or downwards first, whichever gets further.
    fn take_rest(&mut self, out: &mut Vec<(Rect, Kind)>) {
        let most = (MAX_COLOURS / self.cell_area()).max(1) as usize;
        for at in 0..self.cells.len() {
            if self.cells[at].is_some() {
                let span = self.grow(at % self.cols, at / self.cols, most);
                out.push((self.rect(span), Kind::Colours));
                self.clear(span);
            }
        }
    }

    fn grow(&self, col: usize, row: usize, most: usize) -> Span {
        let free = |c: usize, r: usize| self.cells[r * self.cols + c].is_some();
        let right = self.cols.min(col + most);
        let wide = (col..right).take_while(|&c| free(c, row)).count();
        let down = self.rows.min(row + (most / wide.max(1)).max(1));
        let wide_h = (row..down)
            .take_while(|&r| (col..col + wide).all(|c| free(c, r)))
            .count();

        let down = self.rows.min(row + most);
        let tall = (row..down).take_while(|&r| free(col, r)).count();
        let right = self.cols.min(col + (most / tall.max(1)).max(1));
        let tall_w = (col..right)
            .take_while(|&c| (row..row + tall).all(|r| free(c, r)))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture from a function of column and row.
    fn frame(w: u16, h: u16, f: impl Fn(u32, u32) -> u32) -> Frame {
        let mut frame = Frame::new(w, h);
        for y in 0..h {
            for (x, p) in (0..).zip(frame.row_mut(y)) {
                *p = f(x, y.into());
            }
        }
        frame
    }

    fn playing(region: &Region) -> Playing {
        Playing {
            region: region.clone(),
            coarse: Vec::new(),
        }
    }

    /// A number that looks random, for a place.
    fn hash(x: u32, y: u32) -> u32 {
        let n =
            (x.wrapping_mul(0x85eb_ca6b) ^ y.wrapping_mul(0xc2b2_ae35)).wrapping_mul(0x27d4_eb2f);
        n ^ n >> 15
    }

    /// Blue that becomes lighter downwards, with grain, as browsers draw gradients.
    fn gradient(x: u32, y: u32) -> u32 {
        let level = 60 + y / 2 + hash(x, y) % 2;
        (level - 30) << 16 | (level + (hash(x, y) >> 3) % 2) << 8 | (level + 60)
    }

    /// Strokes two wide, of letters twelve high.
    fn stroke(x: u32, y: u32) -> bool {
        y % 16 < 12 && x % 9 < 7 && hash(x / 2, y / 3) % 5 < 2
    }

    /// A terminal: soft-edged letters of several colours on black.
    fn terminal(x: u32, y: u32) -> u32 {
        const INKS: [u32; 6] = [0xcd0000, 0x00cd00, 0xcdcd00, 0x5c5cff, 0xcd00cd, 0xe5e5e5];
        let ink = INKS[hash(x / 63, y / 10) as usize % INKS.len()];
        let on = |x, y| y % 16 < 13 && x % 9 < 8 && hash(x / 2, y / 3) & 1 == 0;
        let parts = (0..16).filter(|n| on((8 * x + 2 * (n % 4)) / 5, (8 * y + 2 * (n / 4)) / 5));
        let covered = parts.count() as u32;
        [16, 8, 0].iter().fold(0, |rgb, shift| {
            (rgb << 8) | (((ink >> shift) & 0xff) * covered / 16)
        })
    }

    /// By a look at it.
    fn seen(frame: &Frame, region: &Region, photos: Option<&Playing>) -> Vec<(Rect, Kind)> {
        super::plan(frame, region, photos, &Films::default())
    }

    fn plan_all(frame: &Frame, photos: bool) -> Vec<(Rect, Kind)> {
        let still = Playing::default();
        let plan = seen(
            frame,
            &Region::from(frame.bounds()),
            photos.then_some(&still),
        );
        let all: Region = plan.iter().map(|p| p.0).collect();
        assert_eq!(all, Region::from(frame.bounds()), "all is covered");
        let area: u32 = plan.iter().map(|p| p.0.area()).sum();
        assert_eq!(area, frame.bounds().area(), "nothing twice");
        plan
    }

    fn area(plan: &[(Rect, Kind)], kind: Kind) -> u32 {
        plan.iter()
            .filter(|p| p.1 == kind)
            .map(|p| p.0.area())
            .sum()
    }

    #[test]
    fn a_window_is_one_fill_and_its_text_two_colours() {
        let picture = frame(640, 240, |x, y| match () {
            () if x < 160 => 0x0033_5577,
            () if x < 480 && stroke(x, y) => 0,
            () => 0x00ff_ffff,
        });
        for photos in [false, true] {
            let plan = plan_all(&picture, photos);
            assert_eq!(plan.len(), 3, "{plan:?}");
            assert_eq!(area(&plan, Kind::Fill(0x0033_5577)), 160 * 240);
            assert_eq!(area(&plan, Kind::Fill(0x00ff_ffff)), 160 * 240);
            assert_eq!(area(&plan, Kind::Mono(0, 0x00ff_ffff)), 320 * 240);
        }
    }

    #[test]
    fn letters_on_a_gradient_stay_sharp() {
        let text = Rect::new(64, 48, 256, 64);
        let picture = frame(640, 160, |x, y| {
            let inside = text.x as u32 <= x && x < text.right() as u32;
            let inside = inside && (text.y as u32..text.bottom() as u32).contains(&y);
            if inside && stroke(x, y) {
                0x00ff_ffff
            } else {
                gradient(x, y)
            }
        });
        let plan = plan_all(&picture, true);
        for (rect, kind) in &plan {
            let letters = frame_has(&picture, rect.intersect(&text), 0x00ff_ffff);
            assert!(*kind != Kind::Jpeg || !letters, "{rect:?}");
        }
        assert!(area(&plan, Kind::Jpeg) > 640 * 160 / 2, "{plan:?}");
        assert_eq!(area(&plan_all(&picture, false), Kind::Jpeg), 0);
        // Unless all of it is another picture next time.
        let whole = Region::from(picture.bounds());
        let plan = seen(&picture, &whole, Some(&playing(&whole)));
        assert!(area(&plan, Kind::Film) > 640 * 160 * 9 / 10, "{plan:?}");
        // On plain ground text stays sharp even then.
        let plain = frame(640, 160, terminal);
        let plan = seen(&plain, &whole, Some(&playing(&whole)));
        assert_eq!(area(&plan, Kind::Film) + area(&plan, Kind::Jpeg), 0);
    }

    #[test]
    fn what_plays_goes_as_a_photo_where_the_link_carries_no_more() {
        let text = frame(640, 256, terminal);
        let left = Region::from(Rect::sized(320, 256));
        let coarse = Playing {
            coarse: left.rects().to_vec(),
            ..playing(&left)
        };
        let plan = seen(&text, &Region::from(text.bounds()), Some(&coarse));
        let film = |part: &(Rect, Kind)| (part.1 == Kind::Film).then_some(part.0);
        assert_eq!(plan.iter().filter_map(film).collect::<Region>(), left);
        assert_eq!(area(&plan, Kind::Jpeg), 0, "what is read stays sharp");
    }

    #[test]
    fn what_lies_over_a_video_goes_with_it_at_its_edge() {
        let label = Rect::new(72, 56, 112, 56);
        let picture = frame(640, 256, |x, y| {
            if (label.x as u32..label.right() as u32).contains(&x)
                && (label.y as u32..label.bottom() as u32).contains(&y)
            {
                return if stroke(x, y) { 0 } else { 0x00ff_ffff };
            }
            let light = (x * y / 90 + hash(x / 2, y / 2) % 60) & 0xff;
            light << 16 | (light / 2 + 40) << 8 | (255 - light)
        });
        let whole = Region::from(picture.bounds());
        let lossy = |playing: &Region| -> Region {
            let plan = seen(&picture, &whole, Some(&self::playing(playing))).into_iter();
            plan.filter(|p| matches!(p.1, Kind::Jpeg | Kind::Film))
                .map(|p| p.0)
                .collect()
        };
        let (still, plays) = (lossy(&Region::new()), lossy(&whole));
        assert!(
            !still.intersects(&Region::from(label)),
            "nothing of it is blurred"
        );
        assert!(plays.area() > still.area() + 112 * 16, "{plays:?}");
        let inner = Rect::new(96, 80, 64, 16);
        assert!(
            !plays.intersects(&Region::from(inner)),
            "what is text all around stays so"
        );
    }

    #[test]
    fn what_is_plain_or_small_within_a_video_does_not_cut_it() {
        let (plain, small) = (Rect::new(200, 70, 100, 90), Rect::new(400, 100, 40, 40));
        let has = |rect: Rect, x, y| {
            let columns = u32::from(rect.x)..u32::from(rect.right());
            columns.contains(&x) && (u32::from(rect.y)..u32::from(rect.bottom())).contains(&y)
        };
        let picture = frame(640, 256, |x, y| match () {
            () if has(plain, x, y) => 0x00e0_1020,
            () if has(small, x, y) && stroke(x, y) => 0,
            () if has(small, x, y) => 0x00ff_ffff,
            () => hash(x, y) & 0x00ff_ffff,
        });
        let whole = Region::from(picture.bounds());
        let plan = seen(&picture, &whole, Some(&playing(&whole)));
        assert_eq!(plan, [(picture.bounds(), Kind::Film)]);
        // Where it stands still it stays as it is.
        assert!(area(&plan_all(&picture, true), Kind::Fill(0x00e0_1020)) > plain.area() / 2);
    }

    #[test]
    fn a_little_text_that_changes_all_the_time_is_no_video() {
        let clock = frame(400, 200, |x, y| match () {
            // A few letters, and an icon.
            () if (40..70).contains(&y) && x < 64 => terminal(x, y),
            () if (100..124).contains(&y) && (300..324).contains(&x) => hash(x, y) & 0x00ff_ffff,
            () => 0,
        });
        for (w, h) in [(96, 64), (160, 64), (200, 160), (400, 200)] {
            let part = Region::from(Rect::new(0, 16, w, h.min(184)));
            let plan = seen(&clock, &part, Some(&playing(&part)));
            let text = Rect::new(0, 32, 64, 48);
            for (rect, kind) in plan {
                let lossy = matches!(kind, Kind::Film | Kind::Jpeg);
                assert!(
                    !lossy || rect.intersect(&text).is_empty(),
                    "{rect:?} of {w} x {h}"
                );
            }
        }
    }

    fn frame_has(frame: &Frame, rect: Rect, colour: u32) -> bool {
        !rect.is_empty() && frame.rows(rect).flatten().any(|&p| p == colour)
    }

    #[test]
    fn shadows_drawn_in_lines_are_no_photos() {
        let picture = frame(640, 160, |_, y| (255 - y) * 0x0001_0101);
        assert_eq!(area(&plan_all(&picture, true), Kind::Jpeg), 0);
    }

    #[test]
    fn no_slice_of_text_is_a_photo() {
        let picture = frame(800, 200, terminal);
        let still = Playing::default();
        for y in 0..12 {
            for (w, h) in [(484, 1), (717, 1), (208, 6), (288, 7), (136, 10), (144, 13)]
                .into_iter()
                .chain((1..40).map(|n| (20 * n, 41 - n)))
            {
                let slice = Rect::new(40 - 3 * y % 16, 50 + y, w.min(750), h);
                let plan = seen(&picture, &Region::from(slice), Some(&still));
                assert_eq!(area(&plan, Kind::Jpeg), 0, "{slice:?}: {plan:?}");
            }
        }
    }

    #[test]
    fn a_patch_in_text_is_text_and_on_plain_ground_a_photo() {
        let patch = Rect::new(320, 96, 48, 48);
        let within = |x, y| {
            let column = u32::from(patch.x)..u32::from(patch.right());
            column.contains(&x) && (u32::from(patch.y)..u32::from(patch.bottom())).contains(&y)
        };
        let noisy = |x, y| hash(x, y) & 0x00ff_ffff;
        let text = frame(640, 256, |x, y| match within(x, y) {
            true => noisy(x, y),
            false => terminal(x, y),
        });
        assert_eq!(area(&plan_all(&text, true), Kind::Jpeg), 0);
        let plain = frame(640, 256, |x, y| match within(x, y) {
            true => noisy(x, y),
            false => 0x0030_5070,
        });
        assert_eq!(area(&plan_all(&plain, true), Kind::Jpeg), patch.area());
    }

    #[test]
    fn noise_is_a_photo_even_in_the_smallest_piece() {
        let picture = frame(40, 40, |x, y| hash(x, y) & 0x00ff_ffff);
        assert_eq!(plan_all(&picture, true), [(picture.bounds(), Kind::Jpeg)]);
        assert_eq!(
            plan_all(&picture, false),
            [(picture.bounds(), Kind::Colours)]
        );
    }

    #[test]
    fn a_photo_is_film_where_it_plays() {
        let picture = frame(640, 256, |x, y| hash(x, y) & 0x00ff_ffff);
        let whole = Region::from(picture.bounds());
        let kinds = |playing: &Region| -> Vec<Kind> {
            let plan = seen(&picture, &whole, Some(&self::playing(playing))).into_iter();
            plan.map(|p| p.1).collect()
        };
        assert_eq!(kinds(&whole), [Kind::Film]);
        assert_eq!(kinds(&Region::from(Rect::sized(320, 256))), [Kind::Jpeg]);
    }
}
