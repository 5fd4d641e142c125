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
    /// Edges on a ground of many colours that flow into each other: letters on a gradient or a photo.
    Lettered,
    /// Text or photo; what lies around it decides.
    Unsure,
}

/// A cell of at most so many colours does not make a photo by itself: a palette is small and exact.
const FEW_COLOURS: usize = 16;

/// Brightness is red + 2 green + blue: 0–1020. Neighbours that differ by more are an edge.
const EDGE: i16 = 240;

/// Neighbours that differ by no more are alike but for grain.
const CALM: i16 = 16;

/// Of neighbours on one row, so many percent are alike and not equal: more than in any text on plain ground (of soft-edged
/// text in colours, 3 cells in 1000 have as many), and what all text on a gradient or a photo has.
const SOME_GRAIN: u32 = 10;
const MUCH_GRAIN: u32 = 20;

/// A cell whose neighbours differ by no more has nothing that JPEG could blur.
const FAINT: i16 = 64;

/// Less than this, either way, tells nothing.
const MIN_INNER: u16 = 3;

/// So many pixels tell whether a piece has a ground: a colour that one in so many has, or more.
const SAMPLES: usize = 256;
const GROUND: usize = 3;

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
    // Counting stops early where there is much to count, and decides alone where there is text in few colours.
    let many = !mono && many_colours(frame, cell, palette);
    if !many && !mono && !faint(spread(palette.colours())) {
        return Class::Sharp;
    }
    let look = Look::of(frame, cell);
    // Stripes, as of shadows and gradients drawn line by line, cost deflate nothing however many colours they have.
    match (faint(look.steepest), many && !look.striped()) {
        (true, false) => Class::Shade,
        (true, true) => Class::Tint,
        (false, false) => Class::Sharp,
        (false, true) => match look.text_or_photo() {
            class @ (Class::Unsure | Class::Lettered) => {
                beside_ground(frame, cell, palette).unwrap_or(class)
            }
            class => class,
        },
    }
}

/// True when much of a piece has the same colour, as in text: that is to be read, and costs less without loss than a drawing.
pub(super) fn has_ground(frame: &Frame, rect: Rect) -> bool {
    let width = usize::from(rect.w);
    // Steps of the golden ratio go everywhere, in step with no pattern.
    let step = (f64::from(rect.area()) * 0.618) as usize | 1;
    let mut pixels: [u32; SAMPLES] = std::array::from_fn(|n| {
        let at = n * step % rect.area() as usize;
        frame.row(rect.y + (at / width) as u16)[usize::from(rect.x) + at % width]
    });
    pixels.sort_unstable();
    let alike = pixels.chunk_by(|a, b| a == b).map(<[u32]>::len);
    alike.max() >= Some(SAMPLES / GROUND)
}

/// How much the darkest and the brightest of some colours differ.
fn spread(colours: &[u32]) -> i16 {
    let light = colours.iter().map(|&p| brightness(p));
    let (least, most) = light.fold((i16::MAX, 0), |(least, most), b| {
        (least.min(b), most.max(b))
    });
    most.saturating_sub(least)
}

/// The edge of a photo with plain ground beside it looks like letters: what is left without the ground decides.
fn beside_ground(frame: &Frame, cell: Rect, palette: &mut Palette) -> Option<Class> {
    let inner = without_ground(frame, cell);
    if inner == cell || inner.w < MIN_INNER || inner.h < MIN_INNER {
        return None;
    }
    let class = classify(frame, inner, true, palette);
    matches!(class, Class::Photo | Class::Tint).then_some(class)
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

/// Part of a row and its brightness, each with the last pixel once more at the end.
#[derive(Clone, Copy)]
struct Line {
    pixels: [u32; STRIP + 1],
    light: [i16; STRIP + 1],
}

impl Line {
    const EMPTY: Self = Self {
        pixels: [0; STRIP + 1],
        light: [0; STRIP + 1],
    };

    /// Takes the next row, of up to [`STRIP`] pixels; what is missing is like the last.
    #[inline(always)]
    fn take(&mut self, row: &[u32]) {
        match row.as_array::<STRIP>() {
            // Of a length that the compiler knows, it makes vector code of this.
            Some(row) => self.pixels[..STRIP].copy_from_slice(row),
            None => self.pixels[..row.len()].copy_from_slice(row),
        }
        self.pixels[row.len()..].fill(row[row.len() - 1]);
        for (light, &p) in self.light.iter_mut().zip(&self.pixels) {
            *light = brightness(p);
        }
    }
}

/// Counts of a strip, column by column: adding up is left to the end, which the compiler makes vector code of.
#[derive(Default)]
struct Lanes {
    flat_beside: [u32; STRIP],
    flat_above: [u32; STRIP],
    calm: [i16; STRIP],
    steepest: [i16; STRIP],
}

impl Lanes {
    /// Adds the pairs side by side.
    #[inline(always)]
    fn beside(&mut self, line: &Line) {
        for x in 0..STRIP {
            self.flat_beside[x] += u32::from(line.pixels[x] == line.pixels[x + 1]);
        }
        for x in 0..STRIP {
            let difference = (line.light[x] - line.light[x + 1]).abs();
            self.calm[x] += i16::from(difference <= CALM);
            self.steepest[x] = self.steepest[x].max(difference);
        }
    }

    /// Adds the pairs one above the other.
    #[inline(always)]
    fn above(&mut self, line: &Line, above: &Line) {
        for x in 0..STRIP {
            self.flat_above[x] += u32::from(line.pixels[x] == above.pixels[x]);
        }
        for x in 0..STRIP {
            let difference = (line.light[x] - above.light[x]).abs();
            self.steepest[x] = self.steepest[x].max(difference);
        }
    }
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
    /// The largest difference in brightness of a pair.
    steepest: i16,
}

impl Look {
    fn of(frame: &Frame, cell: Rect) -> Self {
        let mut look = Self::default();
        for strip in cell.tiles(STRIP as u16, cell.h) {
            let mut lanes = Lanes::default();
            let (mut line, mut above) = (Line::EMPTY, Line::EMPTY);
            for (y, row) in frame.rows(strip).enumerate() {
                line.take(row);
                lanes.beside(&line);
                if y > 0 {
                    lanes.above(&line, &above);
                }
                above = line;
            }
            look.add(&lanes, strip);
        }
        look
    }

    /// Adds what was counted in a strip, less the pairs that were made up to fill its rows.
    fn add(&mut self, lanes: &Lanes, strip: Rect) {
        let (width, height) = (usize::from(strip.w), u32::from(strip.h));
        let inner = width - 1;
        let sum = |counts: &[i16]| counts.iter().map(|&n| n as u32).sum::<u32>();
        self.beside += (width as u32 - 1) * height;
        self.flat_beside += lanes.flat_beside[..inner].iter().sum::<u32>();
        self.calm += sum(&lanes.calm[..inner]);
        self.above += width as u32 * (height - 1);
        self.flat_above += lanes.flat_above[..width].iter().sum::<u32>();
        self.steepest = lanes.steepest.iter().fold(self.steepest, |a, &b| a.max(b));
    }

    /// Lines of one colour each, across or down.
    fn striped(&self) -> bool {
        percent(self.flat_beside, self.beside) >= 75 || percent(self.flat_above, self.above) >= 75
    }

    /// Of a cell with many colours and some contrast: text has flat ground between its edges, however densely it is
    /// set, and soft as these may be, hardly two neighbours are nearly alike; a photo has hardly two equal pixels; a gradient
    /// with a bit of a letter is calm but for that.
    fn text_or_photo(&self) -> Class {
        let flat = percent(self.flat_beside + self.flat_above, self.beside + self.above);
        let calm = percent(self.calm, self.beside);
        let grain = calm.saturating_sub(percent(self.flat_beside, self.beside));
        let noise = flat <= 8 && calm <= 50;
        let soft = self.steepest <= EDGE && flat <= 25 && calm <= 90;
        if flat >= 60 {
            Class::Sharp
        } else if noise || soft && grain >= SOME_GRAIN {
            Class::Photo
        } else if grain >= MUCH_GRAIN {
            Class::Lettered
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
    // The upper byte of a pixel is 0.
    ((p >> 16) + (p >> 7 & 0x1fe) + (p & 0xff)) as i16
}

/// True when the cell has more than [`FEW_COLOURS`]; every second row is looked at, which tells as much.
pub(super) fn many_colours(frame: &Frame, cell: Rect, palette: &mut Palette) -> bool {
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
