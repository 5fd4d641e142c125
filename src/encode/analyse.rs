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
    /// Text or interface: few colours, or sharp edges on flat ground.
    Sharp,
    /// Many colours that flow into each other, or noise.
    Photo,
    /// Could be either; what lies around it decides.
    Unsure,
}

/// A cell of at most so many colours is never a photo: a palette is small and exact.
const FEW_COLOURS: usize = 16;

/// Two neighbours whose brightness (0–1020: red + 2 green + blue) differs by more are an edge.
const EDGE: i32 = 240;

/// Looks at a cell. Photos are told from text only when `photos` is set: without JPEG it makes no difference.
pub(super) fn classify(frame: &Frame, cell: Rect, photos: bool, palette: &mut Palette) -> Class {
    let Some(&first) = frame.rows(cell).next().and_then(|r| r.first()) else {
        return Class::Solid(0);
    };
    let Some(second) = frame.rows(cell).find_map(|row| differing(row, first)) else {
        return Class::Solid(first);
    };
    if frame.rows(cell).all(|row| only(row, first, second)) {
        return Class::Mono(first.min(second), first.max(second));
    }
    if !photos {
        return Class::Sharp;
    }
    let look = Look::of(frame, cell);
    if look.flat * 10 >= look.pairs * 6 || !many_colours(frame, cell, palette) {
        Class::Sharp
    } else if look.edges * 50 <= look.pairs || look.flat * 8 <= look.pairs {
        // Smooth, or hardly two equal pixels side by side.
        Class::Photo
    } else {
        Class::Unsure
    }
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

/// What neighbours have in common.
struct Look {
    /// Pairs looked at, side by side and one above the other.
    pairs: u32,
    /// Equal ones.
    flat: u32,
    /// Side by side and very different.
    edges: u32,
}

impl Look {
    fn of(frame: &Frame, cell: Rect) -> Self {
        let mut look = Self {
            pairs: 0,
            flat: 0,
            edges: 0,
        };
        let mut above: Option<&[u32]> = None;
        for row in frame.rows(cell) {
            let next = &row[1..];
            look.pairs += next.len() as u32;
            for (&a, &b) in row.iter().zip(next) {
                look.flat += u32::from(a == b);
                look.edges += u32::from((brightness(a) - brightness(b)).abs() > EDGE);
            }
            if let Some(above) = above {
                look.pairs += row.len() as u32;
                for (a, b) in row.iter().zip(above) {
                    look.flat += u32::from(a == b);
                }
            }
            above = Some(row);
        }
        look
    }
}

#[inline(always)]
fn brightness(p: u32) -> i32 {
    ((p >> 16 & 0xff) + 2 * (p >> 8 & 0xff) + (p & 0xff)) as i32
}

fn many_colours(frame: &Frame, cell: Rect, palette: &mut Palette) -> bool {
    palette.restart(FEW_COLOURS);
    let mut last = None;
    frame.rows(cell).flatten().any(|&p| {
        let new = last != Some(p);
        last = Some(p);
        new && palette.insert(p).is_none()
    })
}
