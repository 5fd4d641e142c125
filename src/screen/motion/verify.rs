//! Which pixels did move by an offset, compared one by one, and the copies that say so.

use std::mem;

use super::Move;
use crate::pixel::{Frame, Rect, Region};
use crate::screen::Step;
use crate::screen::draft::Rows;

/// Columns are compared in groups of so many.
const GROUP: usize = 16;

/// A copy has to spare at least so many changed pixels, or it is not worth its header and the client's work.
const MIN_GAIN: u64 = 1024;

/// More copies than this of one move are a picture that happens to resemble itself.
const MAX_COPIES: usize = 96;

/// A step in the making.
pub(super) struct Verified<'a, O> {
    old: &'a O,
    new: &'a Frame,
    /// What the moves so far do not explain.
    damage: Region,
    /// What they have overwritten: no longer there to be copied from.
    covered: Region,
    moves: Vec<Move>,
}

/// Columns that moved, half-open, from the left of the candidate on.
type Span = (u16, u16);

impl<'a, O: Rows> Verified<'a, O> {
    /// After `moves`, which have been carried out in `old`, it differs in `damage`.
    pub(super) fn new(old: &'a O, new: &'a Frame, moves: Vec<Move>, damage: Region) -> Self {
        Self {
            old,
            new,
            damage,
            covered: moves.iter().map(|m| m.to).collect(),
            moves,
        }
    }

    pub(super) fn frames(&self) -> (&'a O, &'a Frame) {
        (self.old, self.new)
    }

    pub(super) fn damage(&self) -> &Region {
        &self.damage
    }

    /// Pixels of an area that are not explained.
    pub(super) fn damage_in(&self, area: Rect) -> u64 {
        let parts = self.damage.rects().iter().map(|r| r.intersect(&area));
        parts.map(|r| u64::from(r.area())).sum()
    }

    pub(super) fn step(self) -> Step {
        Step {
            moves: self.moves,
            damage: self.damage,
        }
    }

    /// Takes over one move, unless what it copies is covered.
    fn take(&mut self, to: Rect, dx: i32, dy: i32) -> bool {
        let Some(m) = moved(to, dx, dy) else {
            return false;
        };
        let source = m.source();
        let covers = |r: &Rect| !r.intersect(&source).is_empty();
        if self.covered.rects().iter().any(covers) {
            return false;
        }
        self.covered.add(m.to);
        self.damage.subtract(&Region::from(m.to));
        self.moves.push(m);
        true
    }

    /// Takes over what of `candidate` came from `dx` to its left and `dy` above it, if that is at least one part in
    /// `share` of the candidate's damage. True when it was.
    pub(super) fn verify(&mut self, candidate: Rect, dx: i32, dy: i32, share: u64) -> bool {
        let Some(candidate) = self.within(candidate, dx, dy) else {
            return false;
        };
        let mut gained = 0;
        let mut rects = self.matching(candidate, dx, dy);
        rects.retain_mut(|rect| {
            if u64::from(rect.area()) < MIN_GAIN {
                return false;
            }
            let mut gain = self.damage.clone();
            gain.clip(*rect);
            // What was right before need not be copied.
            *rect = gain.bounds();
            let keep = gain.area() >= MIN_GAIN;
            gained += if keep { gain.area() } else { 0 };
            keep
        });
        let mut damage = self.damage.clone();
        damage.clip(candidate);
        if gained == 0 || gained.saturating_mul(share) < damage.area() {
            return false;
        }
        rects.sort_by_key(|r| std::cmp::Reverse(r.area()));
        rects.truncate(MAX_COPIES);
        if let Some(whole) = moved(candidate, dx, dy) {
            rects.sort_by_key(|r| whole.rank(r));
        }
        let before = self.moves.len();
        for to in rects {
            self.take(to, dx, dy);
        }
        self.moves.len() > before
    }

    /// The part of a candidate that lies on the screen with its source, and around the damage.
    fn within(&self, candidate: Rect, dx: i32, dy: i32) -> Option<Rect> {
        let bounds = Region::from(self.new.bounds());
        let source = bounds.translated(dx, dy, self.new.bounds());
        let mut damage = self.damage.clone();
        damage.clip(candidate);
        damage.intersect(&source);
        Some(damage.bounds()).filter(|r| !r.is_empty())
    }

    /// Where the new picture is the old one, moved.
    fn matching(&self, area: Rect, dx: i32, dy: i32) -> Vec<Rect> {
        let columns = usize::from(area.x)..usize::from(area.right());
        let left = (i32::from(area.x) - dx) as usize;
        let (mut out, mut spans) = (Vec::new(), Vec::new());
        let mut open = Open::default();
        for y in area.y..area.bottom() {
            let now = &self.new.row(y)[columns.clone()];
            let before = &self.old.row((i32::from(y) - dy) as u16)[left..left + now.len()];
            spans.clear();
            compare(before, now, &mut spans);
            open.row(area.x, y, &spans, &mut out);
        }
        open.row(area.x, area.bottom(), &[], &mut out);
        out
    }
}

/// Rectangles that grow downwards, row by row. One goes on as long as the row's spans hold all of its columns: what else
/// of the row matches by chance beside it does not end it.
#[derive(Default)]
struct Open {
    /// Columns, and the row where they began; in order, disjoint.
    rects: Vec<(Span, u16)>,
    next: Vec<(Span, u16)>,
}

impl Open {
    fn row(&mut self, x: u16, y: u16, spans: &[Span], out: &mut Vec<Rect>) {
        self.next.clear();
        let mut old = self.rects.iter().peekable();
        let mut close = |((left, right), top): (Span, u16)| {
            out.push(Rect::from_edges(x + left, top, x + right, y));
        };
        for &(left, right) in spans {
            let mut at = left;
            while let Some(rect) = old.next_if(|((l, _), _)| *l < right) {
                let ((l, r), _) = *rect;
                if l < at || r > right {
                    close(*rect);
                    continue;
                }
                if at < l {
                    self.next.push(((at, l), y));
                }
                self.next.push(*rect);
                at = r;
            }
            if at < right {
                self.next.push(((at, right), y));
            }
        }
        old.copied().for_each(close);
        mem::swap(&mut self.rects, &mut self.next);
    }
}

/// The groups of columns that are equal, neighbours taken together.
fn compare(before: &[u32], now: &[u32], out: &mut Vec<Span>) {
    if before == now {
        out.push((0, now.len() as u16));
        return;
    }
    let pairs = before.chunks(GROUP).zip(now.chunks(GROUP));
    for (n, (a, b)) in pairs.enumerate() {
        if a != b {
            continue;
        }
        let (start, end) = ((n * GROUP) as u16, (n * GROUP + b.len()) as u16);
        match out.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => out.push((start, end)),
        }
    }
}

/// What of an area may have moved by so much and come from within the picture.
pub(super) fn moved_within(area: Rect, dx: i32, dy: i32, bounds: Rect) -> Option<Move> {
    let source = Region::from(bounds).translated(dx, dy, bounds);
    moved(area.intersect(&source.bounds()), dx, dy).filter(|m| !m.to.is_empty())
}

fn moved(to: Rect, dx: i32, dy: i32) -> Option<Move> {
    let coordinate = |v: u16, d: i32| u16::try_from(i32::from(v) - d).ok();
    let from = crate::pixel::Point {
        x: coordinate(to.x, dx)?,
        y: coordinate(to.y, dy)?,
    };
    Some(Move { to, from })
}
