//! What a small piece of a picture looks like: flat, two colours, interface, photo.

use super::palette::Palette;
use crate::pixel::{Frame, Rect};

/// What a cell of the picture holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// One colour.
    Solid(u32),
    /// Two colours, the smaller first.
    Mono(u32, u32),
    /// Text or interface: few colours, or steep edges on flat ground.
    Sharp,
    /// Few colours that hardly differ: a shade of the interface, or the dark corner of a photo that it lies in.
    Shade,
    /// Many colours that hardly differ: a dithered gradient, or the sky of a photo. JPEG does it no harm, but that text
    /// lies around proves nothing, nor does that a photo does.
    Tint,
    /// Many colours that flow into each other, or texture.
    Photo,
    /// Text or photo; what lies around it decides.
    Unsure,
}

/// A cell of at most so many colours does not make a photo by itself: a palette is small and exact.
const FEW_COLOURS: usize = 16;

/// Brightness is red + 2 green + blue: 0–1020. Neighbours that differ by more are an edge.
const EDGE: i16 = 240;

/// Neighbours that differ by no more are alike but for grain.
const CALM: i16 = 16;

/// A cell whose neighbours differ by no more has nothing that JPEG could blur.
const FAINT: i16 = 64;

/// Less than this, either way, tells nothing.
const MIN_INNER: u16 = 3;

/// Looks at a cell. Photos are told from text only when `photos` is set: without JPEG it makes no difference.
pub(super) fn classify(frame: &Frame, cell: Rect, photos: bool, palette: &mut Palette) -> Class {
    let Some(&first) = frame.rows(cell).next().and_then(|r| r.first()) else {
        return Class::Solid(0);
    };
    let Some(second) = frame.rows(cell).find_map(|row| differing(row, first)) else {
        return Class::Solid(first);
    };
    let mono = frame.rows(cell).all(|row| only(row, first, second));
    let faint = |difference: i16| photos && difference <= FAINT;
    if mono && !faint((brightness(first) - brightness(second)).abs()) {
        return Class::Mono(first.min(second), first.max(second));
    }
    if !photos {
        return Class::Sharp;
    }
    let look = Look::of(frame, cell);
    // Stripes, as of shadows and gradients drawn line by line, cost deflate nothing however many colours they have.
    let many = !mono && !look.striped() && many_colours(frame, cell, palette);
    match (faint(look.steepest), many) {
        (true, false) => Class::Shade,
        (true, true) => Class::Tint,
        (false, false) => Class::Sharp,
        (false, true) => match look.text_or_photo() {
            Class::Unsure => beside_ground(frame, cell, palette),
            class => class,
        },
    }
}

/// An unsure cell may hold the edge of a photo, with plain ground beside it: what is left without the ground decides.
fn beside_ground(frame: &Frame, cell: Rect, palette: &mut Palette) -> Class {
    let inner = without_ground(frame, cell);
    if inner == cell || inner.w < MIN_INNER || inner.h < MIN_INNER {
        return Class::Unsure;
    }
    match classify(frame, inner, true, palette) {
        class @ (Class::Photo | Class::Tint) => class,
        _ => Class::Unsure,
    }
}

/// The cell less the rows and columns of one colour at its sides.
fn without_ground(frame: &Frame, cell: Rect) -> Rect {
    let plain_row = |y: &u16| {
        let row = &frame.row(*y)[usize::from(cell.x)..usize::from(cell.right())];
        row.iter().all(|p| *p == row[0])
    };
    let top = (cell.y..cell.bottom()).take_while(plain_row).count() as u16;
    let below = (cell.y + top..cell.bottom()).rev();
    let bottom = cell.bottom() - below.take_while(plain_row).count() as u16;
    let rows = Rect::from_edges(cell.x, cell.y + top, cell.right(), bottom);
    let plain_column = |x: &u16| {
        let at = usize::from(*x - cell.x);
        let mut column = frame.rows(rows).map(|row| row[at]);
        column.next().is_none_or(|first| column.all(|p| p == first))
    };
    let left = (cell.x..cell.right()).take_while(plain_column).count() as u16;
    let beyond = (cell.x + left..cell.right()).rev();
    let right = cell.right() - beyond.take_while(plain_column).count() as u16;
    Rect::from_edges(cell.x + left, rows.y, right, bottom)
}

/// The first colour of the row that is not `colour`. The whole row is compared at once, which most rows pass.
fn differing(row: &[u32], colour: u32) -> Option<u32> {
    if row.iter().fold(0, |acc, p| acc | (p ^ colour)) == 0 {
        return None;
    }
    row.iter().copied().find(|&p| p != colour)
}

/// True when the row has no third colour.
fn only(row: &[u32], a: u32, b: u32) -> bool {
    row.iter().fold(0, |n, &p| n + u32::from(p != a && p != b)) == 0
}

/// Pixels of a row that are looked at together.
const STRIP: usize = 16;

/// Part of a row, and its brightness.
struct Line {
    pixels: [u32; STRIP],
    light: [i16; STRIP],
}

/// What neighbours have in common.
#[derive(Default)]
struct Look {
    /// Pairs side by side, and one above the other.
    beside: u32,
    above: u32,
    /// Equal ones of each.
    flat_beside: u32,
    flat_above: u32,
    /// Side by side and alike but for grain.
    calm: u32,
    /// Very different ones, either way.
    edges: u32,
    /// The largest difference in brightness of a pair.
    steepest: i16,
}

impl Look {
    fn of(frame: &Frame, cell: Rect) -> Self {
        let mut look = Self::default();
        for strip in cell.tiles(STRIP as u16, cell.h) {
            let mut above = None;
            for row in frame.rows(strip) {
                let mut pixels = [0; STRIP];
                pixels[..row.len()].copy_from_slice(row);
                let line = Line {
                    pixels,
                    light: pixels.map(brightness),
                };
                // Of a width that the compiler knows, it makes vector code of this.
                match row.len() {
                    STRIP => look.add(&line, above.as_ref(), STRIP),
                    width => look.add(&line, above.as_ref(), width),
                }
                above = Some(line);
            }
        }
        look
    }

    /// Adds the pairs within a line and with the line above.
    #[inline(always)]
    fn add(&mut self, line: &Line, above: Option<&Line>, width: usize) {
        let (mut flat, mut calm, mut edges, mut steepest) = (0i32, 0i16, 0i16, 0i16);
        for x in 1..width {
            flat += i32::from(line.pixels[x] == line.pixels[x - 1]);
        }
        for x in 1..width {
            let difference = (line.light[x] - line.light[x - 1]).abs();
            calm += i16::from(difference <= CALM);
            edges += i16::from(difference > EDGE);
            steepest = steepest.max(difference);
        }
        self.beside += width as u32 - 1;
        self.flat_beside += flat as u32;
        self.calm += calm as u32;
        if let Some(above) = above {
            flat = 0;
            for x in 0..width {
                flat += i32::from(line.pixels[x] == above.pixels[x]);
            }
            for x in 0..width {
                let difference = (line.light[x] - above.light[x]).abs();
                edges += i16::from(difference > EDGE);
                steepest = steepest.max(difference);
            }
            self.above += width as u32;
            self.flat_above += flat as u32;
        }
        self.edges += edges as u32;
        self.steepest = self.steepest.max(steepest);
    }

    /// Lines of one colour each, across or down.
    fn striped(&self) -> bool {
        percent(self.flat_beside, self.beside) >= 75 || percent(self.flat_above, self.above) >= 75
    }

    /// Of a cell with many colours and some contrast: text has flat ground between its edges, however densely it is
    /// set; a photo has hardly two equal pixels; a gradient with a bit of a letter is calm but for that.
    fn text_or_photo(&self) -> Class {
        let flat = percent(self.flat_beside + self.flat_above, self.beside + self.above);
        let calm = percent(self.calm, self.beside);
        if flat >= 60 {
            Class::Sharp
        } else if self.edges == 0 && flat <= 25 && calm <= 90 || flat <= 8 && calm <= 50 {
            Class::Photo
        } else {
            Class::Unsure
        }
    }
}

const fn percent(n: u32, of: u32) -> u32 {
    n * 100 / if of == 0 { 1 } else { of }
}

#[inline(always)]
fn brightness(p: u32) -> i16 {
    ((p >> 16 & 0xff) + 2 * (p >> 8 & 0xff) + (p & 0xff)) as i16
}

/// True when the cell has more than [`FEW_COLOURS`]; every second row is looked at, which tells as much.
fn many_colours(frame: &Frame, cell: Rect, palette: &mut Palette) -> bool {
    palette.restart(FEW_COLOURS);
    for row in frame.rows(cell).step_by(2) {
        let mut last = !row[0];
        for &p in row {
            if p != last && palette.insert(p).is_none() {
                return true;
            }
            last = p;
        }
    }
    false
}
