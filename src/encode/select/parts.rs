//! A region as parts of which each is looked at by itself, in parallel.

use super::super::prepare::flat_map;
use super::{BLOCK_H, BLOCK_W, CELL, Films, Kind, Playing, coarse, cut};
use crate::pixel::{Frame, Rect, Region};

/// A part of a region.
pub(in super::super) enum Part {
    /// It goes so, without a look at it.
    Known(Rect, Kind),
    /// A block that has to be looked at.
    Block(Rect),
}

impl Part {
    const fn known((rect, kind): (Rect, Kind)) -> Self {
        Self::Known(rect, kind)
    }

    pub(in super::super) const fn rect(&self) -> Rect {
        match self {
            Self::Known(rect, _) | Self::Block(rect) => *rect,
        }
    }

    /// Its rectangles. `photos`: JPEG may be used, and what plays.
    pub(in super::super) fn plan(
        &self,
        frame: &Frame,
        photos: Option<&Playing>,
        films: &Films,
    ) -> Vec<(Rect, Kind)> {
        match self {
            Self::Known(rect, kind) => vec![(*rect, *kind)],
            Self::Block(block) => {
                let plan = cut(frame, block, photos);
                films.looked(*block, photos, &plan);
                plan
            }
        }
    }
}

/// Cuts a region, which must lie within the picture, into parts as large as a decoder and the pool like them.
pub(in super::super) fn parts(
    frame: &Frame,
    region: &Region,
    photos: Option<&Playing>,
    films: &Films,
) -> Vec<Part> {
    let coarse = photos.map_or(&[][..], |playing| &playing.coarse);
    let (known, rest) = coarse::cut(frame, region, coarse);
    let mut parts: Vec<Part> = known.into_iter().map(Part::known).collect();
    for block in rest.rects().iter().flat_map(|&r| blocks(r)) {
        match films.known(frame, block, photos) {
            Some(plan) => parts.extend(plan.into_iter().map(Part::known)),
            None => parts.push(Part::Block(block)),
        }
    }
    parts
}

/// How all of a region is to be sent: the rectangles of its parts.
pub(in super::super) fn plan(
    frame: &Frame,
    region: &Region,
    photos: Option<&Playing>,
    films: &Films,
) -> Vec<(Rect, Kind)> {
    let parts = parts(frame, region, photos, films);
    flat_map(&parts, region.area(), |part| {
        part.plan(frame, photos, films)
    })
}

/// What of a region lies in a block.
pub(super) fn within(region: &Region, block: &Rect) -> Vec<Rect> {
    let parts = region.rects().iter().map(|r| r.intersect(block));
    parts.filter(|r| !r.is_empty()).collect()
}

/// The same area without a look at the pixels, in the fewest rectangles.
pub(in super::super) fn unseen(region: &Region) -> Vec<(Rect, Kind)> {
    let blocks = region.rects().iter().flat_map(|&r| blocks(r));
    blocks.map(|r| (r, Kind::Colours)).collect()
}

/// Equal blocks rather than full ones and a rest, so that threads get equal shares.
fn blocks(rect: Rect) -> impl Iterator<Item = Rect> {
    even(rect, BLOCK_W, BLOCK_H)
}

/// Equal parts of at most this width and height.
pub(super) fn even(rect: Rect, width: u16, height: u16) -> impl Iterator<Item = Rect> {
    let even = |n: u16, most: u16| {
        let parts = u32::from(n).div_ceil(u32::from(most)).max(1);
        let side = u32::from(n).div_ceil(parts);
        // Whole cells; at most `most`, which is a whole number of them.
        side.next_multiple_of(u32::from(CELL)) as u16
    };
    rect.tiles(even(rect.w, width), even(rect.h, height))
}
