//! Blocks in which there was nothing but a video's picture: the next few pictures are taken to be the same, at a glance.
//!
//! ```text
//!   looked at ── all of it film ──► a few cells of it are film, TRUST times ──► looked at again
//!            └── anything else ───► forgotten: looked at every time
//! ```
//!
//! Only where a video plays. What appears in the middle of it (a title, a menu) is sharp a few pictures later then, which is
//! sooner than anybody can read it, and a page of text that takes its place is seen at once; a look at all of every picture
//! is a tenth of what the picture costs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::analyse::{Class, classify};
use super::parts::within;
use super::{CELL, Kind, PALETTE, Playing};
use crate::pixel::{Frame, Rect};

/// Pictures that are only glanced at after one that was looked at.
const TRUST: u8 = 3;

/// Blocks that are remembered: several videos, cut differently for several clients.
const MOST: usize = 64;

/// Of a block in so many rows and columns one cell of each row is glanced at, so many columns further than that of the row
/// above: one in each column, too, for the two have no divisor in common.
const GLANCES: u16 = 12;
const STRIDE: u16 = 5;

/// What is remembered of the blocks of a screen.
#[derive(Debug, Default)]
pub(in super::super) struct Films(Mutex<Vec<Film>>);

/// A block that was film when it was last looked at.
#[derive(Debug)]
struct Film {
    block: Rect,
    plan: Vec<(Rect, Kind)>,
    /// How often it is only glanced at any more.
    trust: u8,
}

impl Films {
    /// The rectangles of a block that was film just now and plays. `None`: it has to be looked at. `photos`: JPEG may be
    /// used, and what plays.
    pub(super) fn known(
        &self,
        frame: &Frame,
        block: Rect,
        photos: Option<&Playing>,
    ) -> Option<Vec<(Rect, Kind)>> {
        if !plays(block, photos?) {
            return None;
        }
        let plan = {
            let mut films = self.films();
            let film = films.iter_mut().find(|film| film.block == block)?;
            film.trust = film.trust.checked_sub(1)?;
            film.plan.clone()
        };
        seems_film(frame, block).then_some(plan)
    }

    /// A block was looked at, and these are its rectangles.
    pub(super) fn looked(&self, block: Rect, photos: Option<&Playing>, plan: &[(Rect, Kind)]) {
        if !photos.is_some_and(|playing| plays(block, playing)) {
            return;
        }
        let mut films = self.films();
        films.retain(|film| film.block != block);
        if plan.iter().all(|(_, kind)| *kind == Kind::Film) {
            if films.len() == MOST {
                films.remove(0);
            }
            films.push(Film {
                block,
                plan: plan.to_vec(),
                trust: TRUST,
            });
        }
    }

    fn films(&self) -> MutexGuard<'_, Vec<Film>> {
        // A list of plain values is whole after every statement, whatever panicked in between.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True when all of it plays.
fn plays(block: Rect, playing: &Playing) -> bool {
    let parts = within(&playing.region, &block);
    parts.iter().map(Rect::area).sum::<u32>() == block.area()
}

/// True when there is nothing in some cells of a block that would not go with a film.
fn seems_film(frame: &Frame, block: Rect) -> bool {
    let at = |from: u16, length: u16, n: u16| {
        let cells = u32::from(length / CELL);
        from + (cells * u32::from(n) / u32::from(GLANCES)) as u16 * CELL
    };
    PALETTE.with_borrow_mut(|palette| {
        (0..GLANCES).all(|n| {
            let x = at(block.x, block.w, n * STRIDE % GLANCES);
            let y = at(block.y, block.h, n);
            let cell = Rect::new(x, y, CELL, CELL).intersect(&block);
            let class = classify(frame, cell, true, palette);
            !matches!(class, Class::Solid(_) | Class::Mono(..) | Class::Sharp)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::Region;

    const BLOCK: Rect = Rect::new(64, 64, 640, 240);

    fn playing(region: Region) -> Playing {
        Playing {
            region,
            coarse: Vec::new(),
        }
    }

    /// Waves, and a page of text over half of them.
    fn picture(page: bool) -> Frame {
        let mut frame = Frame::new(1920, 1080);
        for y in 0..1080 {
            for (x, pixel) in (0u32..).zip(frame.row_mut(y)) {
                let y = u32::from(y);
                let wave = 96 + (x * 7 / 9 + y * 5 / 8) % 64 + (x * y) % 5;
                *pixel = match page && x > 400 {
                    true if y % 20 < 12 && x % 9 < 2 => 0,
                    true => 0xff_ffff,
                    false => wave << 16 | (wave + 20) << 8 | (255 - wave),
                };
            }
        }
        frame
    }

    /// How often it looks at a block that has this plan, so many times.
    fn looks(films: &Films, playing: Option<&Playing>, kind: Kind, times: usize) -> usize {
        let film = picture(false);
        let mut looks = 0;
        for _ in 0..times {
            let plan = films.known(&film, BLOCK, playing).unwrap_or_else(|| {
                looks += 1;
                films.looked(BLOCK, playing, &[(BLOCK, kind)]);
                vec![(BLOCK, kind)]
            });
            assert_eq!(plan, [(BLOCK, kind)]);
        }
        looks
    }

    #[test]
    fn only_what_plays_and_was_film_is_not_looked_at_every_time() {
        let films = Films::default();
        // Two rectangles that hold it together.
        let region = [Rect::new(0, 0, 1280, 128), Rect::new(0, 128, 1920, 256)];
        let playing = playing(region.into_iter().collect());
        let mut beside = playing.clone();
        beside
            .region
            .subtract(&Region::from(Rect::new(600, 200, 64, 64)));
        assert_eq!(looks(&films, None, Kind::Film, 8), 8);
        assert_eq!(looks(&films, Some(&beside), Kind::Film, 8), 8);
        assert_eq!(looks(&films, Some(&playing), Kind::Colours, 8), 8);
        assert_eq!(looks(&films, Some(&playing), Kind::Film, 8), 2);
    }

    #[test]
    fn a_page_in_the_place_of_a_film_is_seen_at_once() {
        let films = Films::default();
        let playing = playing(BLOCK.into());
        films.looked(BLOCK, Some(&playing), &[(BLOCK, Kind::Film)]);
        assert!(
            films
                .known(&picture(false), BLOCK, Some(&playing))
                .is_some()
        );
        assert!(films.known(&picture(true), BLOCK, Some(&playing)).is_none());
    }

    #[test]
    fn what_was_no_film_at_the_last_look_is_forgotten() {
        let films = Films::default();
        let playing = playing(BLOCK.into());
        let trusted = usize::from(TRUST);
        assert_eq!(looks(&films, Some(&playing), Kind::Film, 1 + trusted), 1);
        assert_eq!(looks(&films, Some(&playing), Kind::Colours, 2), 2);
        assert_eq!(looks(&films, Some(&playing), Kind::Film, 1 + trusted), 1);
        for n in 0..MOST as u16 {
            let block = Rect::new(64 + n, 64, 64, 64);
            films.looked(block, Some(&playing), &[(block, Kind::Film)]);
        }
        assert_eq!(films.films().len(), MOST);
        assert_eq!(looks(&films, Some(&playing), Kind::Film, 1), 1);
    }
}
