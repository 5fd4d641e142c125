//! The screen in tiles, for what is known only roughly of each part of it.

use super::Rect;

/// Side of a tile in pixels.
const TILE: u16 = 64;

/// Tiles of 64 × 64 pixels, numbered row by row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    columns: u16,
    rows: u16,
}

impl Grid {
    /// The tiles that cover a screen of this size.
    pub const fn new(width: u16, height: u16) -> Self {
        Self {
            columns: width.div_ceil(TILE),
            rows: height.div_ceil(TILE),
        }
    }

    /// How many there are.
    pub fn tiles(self) -> usize {
        usize::from(self.columns) * usize::from(self.rows)
    }

    /// All that the tiles cover: the screen, and a little beyond.
    pub const fn bounds(self) -> Rect {
        Rect::sized(
            self.columns.saturating_mul(TILE),
            self.rows.saturating_mul(TILE),
        )
    }

    /// One tile; it may reach beyond the screen.
    pub fn tile(self, index: usize) -> Rect {
        let columns = usize::from(self.columns.max(1));
        let (x, y) = ((index % columns) as u16, (index / columns) as u16);
        Rect::new(x * TILE, y * TILE, TILE, TILE)
    }

    /// The numbers of the tiles that a rectangle touches; of its parts beyond the grid there are none.
    pub fn touched(self, rect: Rect) -> impl Iterator<Item = usize> {
        let columns = usize::from(self.columns);
        // An empty rectangle may lie anywhere.
        let right = if rect.is_empty() { 0 } else { rect.right() };
        let across =
            usize::from(rect.x / TILE)..usize::from(right.div_ceil(TILE).min(self.columns));
        let down =
            usize::from(rect.y / TILE)..usize::from(rect.bottom().div_ceil(TILE).min(self.rows));
        down.flat_map(move |y| across.clone().map(move |x| y * columns + x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_that_a_rectangle_touches() {
        let grid = Grid::new(200, 100);
        assert_eq!(grid.tiles(), 8);
        assert_eq!(grid.bounds(), Rect::sized(256, 128));
        let touched = |rect| grid.touched(rect).collect::<Vec<_>>();
        assert_eq!(touched(Rect::new(60, 60, 10, 4)), [0, 1]);
        assert_eq!(touched(Rect::new(60, 60, 4, 5)), [0, 4]);
        assert_eq!(touched(Rect::new(190, 60, 1000, 1000)), [2, 3, 6, 7]);
        assert!(touched(Rect::new(500, 500, 9, 9)).is_empty());
        assert!(touched(Rect::new(70, 70, 0, 5)).is_empty());
        for index in 0..grid.tiles() {
            assert_eq!(touched(grid.tile(index)), [index]);
        }
    }
}
