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

/// What is in more rectangles is not joined one by one: it would take too long.
const MOST: usize = 100;

/// The rectangles in which a part goes as coarse JPEG, with as much around it of what plays as makes it cheaper: what moves
/// leaves ragged edges and holes, and each rectangle that they cut it into is a file of its own. They do not overlap and lie
/// within `plays` and `area`, as the part has to.
pub fn joined(part: &Region, plays: &Region, area: &Region) -> Vec<Rect> {
    if part.rects().len() < 2 {
        return part.rects().to_vec();
    }
    let mut all = plays.clone();
    all.intersect(area);
    all.clip(part.bounds());
    let size = area.bounds();
    let grid = Grid::new(size.right(), size.bottom());
    let touched = part.rects().iter().flat_map(|r| grid.touched(*r));
    let touched: BTreeSet<usize> = touched.collect();
    let mut tiles: Region = touched.into_iter().map(|index| grid.tile(index)).collect();
    tiles.intersect(&all);
    let cost = |rects: &Vec<Rect>| {
        let pixels = rects.iter().map(|r| u64::from(r.area()));
        pixels.sum::<u64>() + RECT * rects.len() as u64
    };
    let forms = [part, &tiles, &all].map(|form| match form.rects() {
        few if few.len() <= MOST => join(few.to_vec(), &all),
        many => many.to_vec(),
    });
    forms.into_iter().min_by_key(cost).unwrap_or_default()
}

/// Rectangles that do not overlap, joined while that makes them cheaper; the cheapest first.
fn join(mut rects: Vec<Rect>, within: &Region) -> Vec<Rect> {
    for most in [0, RECT / 4, RECT] {
        let mut at = 0;
        while at < rects.len() {
            let others = at + 1..rects.len();
            let mut unions = others.filter_map(|other| union(&rects, [at, other], most));
            let Some(union) = unions.find(|union| contains(within, *union)) else {
                at += 1;
                continue;
            };
            at -= rects[..at].iter().filter(|r| union.contains(r)).count();
            rects.retain(|r| !union.contains(r));
            rects.insert(at, union);
        }
    }
    rects
}

/// Two around which there is a larger rectangle than so many times theirs, and the cost of one, are not looked at.
const NEAR: u64 = 2;

/// The rectangle around two of them and all that it touches, if for each that it saves it has at most so many pixels more.
fn union(rects: &[Rect], pair: [usize; 2], most: u64) -> Option<Rect> {
    let [one, other] = pair.map(|at| rects[at]);
    let mut union = one.bounding(&other);
    // Far apart: what lies between joins them, if anything does.
    let both = u64::from(one.area()) + u64::from(other.area());
    if u64::from(union.area()) > NEAR * (both + RECT) {
        return None;
    }
    let touched = |union: Rect| {
        let touches = move |r: &&Rect| !r.intersect(&union).is_empty();
        rects.iter().filter(touches)
    };
    loop {
        let grown = touched(union).fold(union, |all, r| all.bounding(r));
        if grown == union {
            break;
        }
        union = grown;
    }
    let pixels: u64 = touched(union).map(|r| u64::from(r.area())).sum();
    let saved = touched(union).count() as u64 - 1;
    (u64::from(union.area()) - pixels <= most * saved).then_some(union)
}

fn contains(region: &Region, rect: Rect) -> bool {
    let inside = region.rects().iter().map(|r| r.intersect(&rect).area());
    inside.sum::<u32>() == rect.area()
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
        assert_eq!(joined(&part, &film, &screen), film.rects());
        // Little of it: the tiles that it touches, or less.
        let apart = [Rect::new(70, 70, 50, 50), Rect::new(600, 400, 50, 40)];
        let part: Region = apart.into_iter().collect();
        assert_eq!(joined(&part, &film, &screen), apart);
        // Many small ones in few tiles.
        let dots = (0..8).map(|n| Rect::new(130 + n * 16, 130 + n * 8, 4, 4));
        let part: Region = dots.collect();
        assert_eq!(joined(&part, &film, &screen).len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_joined_covers_it_within_what_plays(
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
            let rects = joined(&part, &plays, &area);
            let joined: Region = rects.iter().copied().collect();
            let pixels: u64 = rects.iter().map(|r| u64::from(r.area())).sum();
            prop_assert_eq!(joined.area(), pixels, "they do not overlap");
            let mut more = part.clone();
            more.subtract(&joined);
            prop_assert!(more.is_empty());
            more = joined;
            more.subtract(&all);
            prop_assert!(more.is_empty());
            let count = |n: usize| RECT * n as u64;
            prop_assert!(pixels + count(rects.len()) <= part.area() + count(part.rects().len()));
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
