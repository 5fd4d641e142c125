//! Parts of what has changed: the one that goes now when not all of it fits, the one that goes with what is coarse, and one
//! that tells of all.
//!
//! What is coarse is sampled in strips of 16 rows, as high as a block of a JPEG with thinned out colour, of which every eighth
//! costs an eighth of the work and is from everywhere.

use std::collections::BTreeSet;

use crate::pixel::{Grid, Rect, Region};

/// The upper part of a region, of at most about `pixels` pixels: whole rows, at least one.
pub fn upper_part(region: &Region, pixels: u64) -> Region {
    if region.area() <= pixels {
        return region.clone();
    }
    let mut left = pixels;
    let mut bottom = region.bounds().y;
    for band in region.rects().chunk_by(|a, b| a.y == b.y) {
        let (top, height) = (band[0].y, band[0].h);
        let row: u64 = band.iter().map(|r| u64::from(r.w)).sum();
        let rows = (left / row).min(u64::from(height)) as u16;
        bottom = top + rows;
        left -= u64::from(rows) * row;
        if rows < height {
            break;
        }
    }
    let bounds = region.bounds();
    let mut part = region.clone();
    part.clip(Rect::from_edges(
        bounds.x,
        bounds.y,
        bounds.right(),
        bottom.max(bounds.y + 1),
    ));
    part
}

/// Rows of a strip of a sample.
const STRIP: u16 = 16;
/// A sample is one strip of so many.
const STRIPS: u64 = 8;

/// An eighth of a region, from all over it; each time another one.
pub fn sample(region: &Region, turn: u64) -> Region {
    let all = region.bounds();
    let skip = (turn % STRIPS) as u16 * STRIP;
    let tops = (all.y.saturating_add(skip)..all.bottom()).step_by(STRIP as usize * STRIPS as usize);
    let mut strips: Region = tops.map(|y| Rect::new(all.x, y, all.w, STRIP)).collect();
    strips.intersect(region);
    strips
}

/// A JPEG of its own has as many bytes more as so many pixels of a coarse one: tables, and edges that are no whole blocks.
const RECT: u64 = 12_000;

/// A part that goes as coarse JPEG, with as much around it of what plays as makes it cheaper: what moves leaves ragged
/// edges and holes, and each rectangle that they cut it into is a file of its own. It has to lie within `plays` and `area`, as
/// what comes back does.
pub fn rounded(part: &Region, plays: &Region, area: &Region) -> Region {
    if part.rects().len() < 2 {
        return part.clone();
    }
    let size = area.bounds();
    let grid = Grid::new(size.right(), size.bottom());
    let touched = part.rects().iter().flat_map(|r| grid.touched(*r));
    let touched: BTreeSet<usize> = touched.collect();
    let mut tiles: Region = touched.into_iter().map(|index| grid.tile(index)).collect();
    let mut all = plays.clone();
    all.intersect(area);
    all.clip(part.bounds());
    tiles.intersect(&all);
    let cost = |region: &Region| region.area() + RECT * region.rects().len() as u64;
    let forms = [part.clone(), tiles, all];
    forms.into_iter().min_by_key(cost).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn holes_and_ragged_edges_go_with_what_plays() {
        let film = Region::from(Rect::new(64, 64, 640, 384));
        let screen = Region::from(Rect::sized(1024, 768));
        // A hole, and ragged below.
        let mut part = film.clone();
        part.subtract(&Region::from(Rect::new(200, 100, 40, 40)));
        part.subtract(&Region::from(Rect::new(300, 430, 40, 18)));
        assert_eq!(rounded(&part, &film, &screen), film);
        // Little of it: the tiles that it touches, or less.
        let apart = [Rect::new(70, 70, 50, 50), Rect::new(600, 400, 50, 40)];
        let part: Region = apart.into_iter().collect();
        assert_eq!(rounded(&part, &film, &screen), part);
        // Many small ones in few tiles.
        let dots = (0..8).map(|n| Rect::new(130 + n * 16, 130 + n * 8, 4, 4));
        let part: Region = dots.collect();
        assert_eq!(rounded(&part, &film, &screen).rects().len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_rounded_covers_it_within_what_plays(
            rects in proptest::collection::vec((0u16..500, 0u16..400, 1u16..90, 1u16..90), 0..12),
            tiles in proptest::collection::vec((0u16..10, 0u16..10), 0..60),
            area in (0u16..100, 0u16..100, 200u16..500, 200u16..400),
        ) {
            let area = Region::from(Rect::new(area.0, area.1, area.2, area.3));
            let tiles = tiles.into_iter().map(|(x, y)| Rect::new(x * 64, y * 64, 64, 64));
            let plays: Region = tiles.collect();
            let mut part: Region = rects.into_iter().map(|(x, y, w, h)| Rect::new(x, y, w, h)).collect();
            let mut all = plays.clone();
            all.intersect(&area);
            part.intersect(&all);
            let rounded = rounded(&part, &plays, &area);
            let mut more = part.clone();
            more.subtract(&rounded);
            prop_assert!(more.is_empty());
            more = rounded.clone();
            more.subtract(&all);
            prop_assert!(more.is_empty());
            prop_assert!(rounded.rects().len() <= part.rects().len().max(1) || rounded.area() == part.area());
        }

        #[test]
        fn samples_make_the_whole(rects in proptest::collection::vec((0u16..500, 0u16..400, 1u16..90, 1u16..90), 0..12)) {
            let whole = Region::from_iter(rects.into_iter().map(|(x, y, w, h)| Rect::new(x, y, w, h)));
            let samples: Vec<Region> = (0..STRIPS).map(|turn| sample(&whole, turn)).collect();
            prop_assert_eq!(samples.iter().map(Region::area).sum::<u64>(), whole.area());
            let mut rest = whole;
            samples.iter().for_each(|sample| rest.subtract(sample));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn parts_make_the_whole(rects in proptest::collection::vec((0u16..50, 0u16..50, 1u16..50, 1u16..50), 1..6), pixels in 0u64..500) {
            let whole = Region::from_iter(rects.into_iter().map(|(x, y, w, h)| Rect::new(x, y, w, h)));
            let mut rest = whole.clone();
            let mut rounds = 0;
            while !rest.is_empty() {
                let part = upper_part(&rest, pixels);
                prop_assert!(!part.is_empty());
                prop_assert!(part.area() <= pixels.max(100));
                rest.subtract(&part);
                rounds += 1;
                prop_assert!(rounds <= 100);
            }
        }
    }
}
