//! Points and rectangles in screen coordinates (RFB and X11 both use 16 bits).

/// A position in pixels from the upper left corner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Point {
    /// Column, from 0.
    pub x: u16,
    /// Row, from 0.
    pub y: u16,
}

/// A rectangle of pixels; empty when either side is 0.
///
/// INVARIANT: `x + w` and `y + h` fit in 16 bits; [`Rect::new`] clips what does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rect {
    /// Left column.
    pub x: u16,
    /// Top row.
    pub y: u16,
    /// Width in pixels.
    pub w: u16,
    /// Height in pixels.
    pub h: u16,
}

impl Rect {
    /// A rectangle, clipped so that its far edges stay within 16 bits.
    pub const fn new(x: u16, y: u16, w: u16, h: u16) -> Self {
        let w = if w > u16::MAX - x { u16::MAX - x } else { w };
        let h = if h > u16::MAX - y { u16::MAX - y } else { h };
        Self { x, y, w, h }
    }

    /// The rectangle at the origin.
    pub const fn sized(w: u16, h: u16) -> Self {
        Self::new(0, 0, w, h)
    }

    /// From edges; `right` and `bottom` are exclusive. Empty when they do not lie beyond the others.
    pub const fn from_edges(left: u16, top: u16, right: u16, bottom: u16) -> Self {
        Self {
            x: left,
            y: top,
            w: right.saturating_sub(left),
            h: bottom.saturating_sub(top),
        }
    }

    /// Its upper left corner.
    pub const fn origin(&self) -> Point {
        Point {
            x: self.x,
            y: self.y,
        }
    }

    /// First column to the right of it.
    pub const fn right(&self) -> u16 {
        self.x + self.w
    }

    /// First row below it.
    pub const fn bottom(&self) -> u16 {
        self.y + self.h
    }

    /// True when it holds no pixel.
    pub const fn is_empty(&self) -> bool {
        self.w == 0 || self.h == 0
    }

    /// Number of pixels.
    pub const fn area(&self) -> u32 {
        self.w as u32 * self.h as u32
    }

    /// The common part; empty when there is none.
    pub fn intersect(&self, other: &Self) -> Self {
        Self::from_edges(
            self.x.max(other.x),
            self.y.max(other.y),
            self.right().min(other.right()),
            self.bottom().min(other.bottom()),
        )
    }

    /// The smallest rectangle that holds both.
    pub fn bounding(&self, other: &Self) -> Self {
        if self.is_empty() {
            return *other;
        }
        if other.is_empty() {
            return *self;
        }
        Self::from_edges(
            self.x.min(other.x),
            self.y.min(other.y),
            self.right().max(other.right()),
            self.bottom().max(other.bottom()),
        )
    }

    /// True when every pixel of `other` lies in it.
    pub fn contains(&self, other: &Self) -> bool {
        other.is_empty()
            || (self.x <= other.x
                && self.y <= other.y
                && self.right() >= other.right()
                && self.bottom() >= other.bottom())
    }

    /// Cuts it into pieces of at most `w` × `h`, row by row.
    pub fn tiles(self, w: u16, h: u16) -> impl Iterator<Item = Rect> {
        let (w, h) = (w.max(1), h.max(1));
        let rows = u32::from(self.h).div_ceil(u32::from(h)) as u16;
        let cols = u32::from(self.w).div_ceil(u32::from(w)) as u16;
        (0..rows).flat_map(move |r| {
            (0..cols).map(move |c| {
                let (x, y) = (self.x + c * w, self.y + r * h);
                Rect::from_edges(
                    x,
                    y,
                    x.saturating_add(w).min(self.right()),
                    y.saturating_add(h).min(self.bottom()),
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_instead_of_wrapping() {
        let r = Rect::new(65_000, 10, 1000, 5);
        assert_eq!(r.right(), u16::MAX);
    }

    #[test]
    fn tiles_cover_exactly() {
        let r = Rect::new(3, 5, 130, 70);
        let tiles: Vec<_> = r.tiles(64, 64).collect();
        assert_eq!(tiles.len(), 6);
        assert_eq!(tiles.iter().map(Rect::area).sum::<u32>(), r.area());
        assert_eq!(tiles[5], Rect::new(131, 69, 2, 6));
        assert_eq!(Rect::sized(0, 0).tiles(64, 64).count(), 0);
    }
}
