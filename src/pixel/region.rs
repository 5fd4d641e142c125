//! A set of pixels as disjoint rectangles in bands, in the manner of the X server's regions.
//!
//! Rectangles are ordered by row, then by column; those of one band share top and bottom, do not touch each other, and
//! two bands of equal columns that touch are merged. So equal sets have equal representations, and every operation is
//! one sweep over both operands.

use super::Rect;

/// A set of pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// INVARIANT: banded as the module says; no empty rectangle.
    rects: Vec<Rect>,
}

/// A half-open range of columns.
type Span = (u16, u16);

impl Region {
    /// The empty set.
    pub const fn new() -> Self {
        Self { rects: Vec::new() }
    }

    /// True when it holds no pixel.
    pub fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// Forgets every pixel, keeps the memory.
    pub fn clear(&mut self) {
        self.rects.clear();
    }

    /// The disjoint rectangles, top to bottom, left to right.
    pub fn rects(&self) -> &[Rect] {
        &self.rects
    }

    /// Number of pixels.
    pub fn area(&self) -> u64 {
        self.rects.iter().map(|r| u64::from(r.area())).sum()
    }

    /// The smallest rectangle that holds it all.
    pub fn bounds(&self) -> Rect {
        self.rects
            .iter()
            .fold(Rect::default(), |acc, r| acc.bounding(r))
    }

    /// Adds a rectangle.
    pub fn add(&mut self, rect: Rect) {
        if rect.is_empty() || self.rects.iter().any(|r| r.contains(&rect)) {
            return;
        }
        if self.rects.is_empty() {
            self.rects.push(rect);
            return;
        }
        self.rects = combine(&self.rects, &[rect], |a, b| a || b);
    }

    /// Adds every pixel of `other`.
    pub fn union(&mut self, other: &Region) {
        match (self.is_empty(), other.rects.as_slice()) {
            (_, []) => {}
            (true, _) => self.rects.extend_from_slice(&other.rects),
            (false, [one]) => self.add(*one),
            (false, many) => self.rects = combine(&self.rects, many, |a, b| a || b),
        }
    }

    /// Keeps only the pixels that `other` holds too.
    pub fn intersect(&mut self, other: &Region) {
        match other.rects.as_slice() {
            _ if self.is_empty() => {}
            [] => self.clear(),
            [one] => self.clip(*one),
            many => self.rects = combine(&self.rects, many, |a, b| a && b),
        }
    }

    /// Keeps only the pixels within `rect`.
    pub fn clip(&mut self, rect: Rect) {
        if !self.rects.iter().all(|r| rect.contains(r)) {
            self.rects = combine(&self.rects, &[rect], |a, b| a && b);
        }
    }

    /// Takes away every pixel of `other`.
    pub fn subtract(&mut self, other: &Region) {
        if !self.bounds().intersect(&other.bounds()).is_empty() {
            self.rects = combine(&self.rects, &other.rects, |a, b| a && !b);
        }
    }

    /// True when the two share a pixel.
    pub fn intersects(&self, other: &Region) -> bool {
        self.rects
            .iter()
            .any(|a| other.rects.iter().any(|b| !a.intersect(b).is_empty()))
    }

    /// The set moved by `dx`, `dy`; what leaves `bounds` is lost.
    pub fn translated(&self, dx: i32, dy: i32, bounds: Rect) -> Region {
        let clamp = |v: u16, d: i32, lo: u16, hi: u16| {
            (i32::from(v) + d).clamp(i32::from(lo), i32::from(hi)) as u16
        };
        let moved: Vec<Rect> = self
            .rects
            .iter()
            .map(|r| {
                Rect::from_edges(
                    clamp(r.x, dx, bounds.x, bounds.right()),
                    clamp(r.y, dy, bounds.y, bounds.bottom()),
                    clamp(r.right(), dx, bounds.x, bounds.right()),
                    clamp(r.bottom(), dy, bounds.y, bounds.bottom()),
                )
            })
            .filter(|r| !r.is_empty())
            .collect();
        // Clipping can make bands equal that were not: sweep once to restore the invariant.
        Region {
            rects: combine(&moved, &[], |a, _| a),
        }
    }

    /// At most `limit` rectangles that cover it, by taking the bounds of whole bands together. For uses where a little
    /// too much is cheaper than very many rectangles.
    pub fn simplified(&self, limit: usize) -> Region {
        if self.rects.len() <= limit.max(1) {
            return self.clone();
        }
        let per = self.rects.len().div_ceil(limit.max(1));
        let mut out = Region::new();
        for group in self.rects.chunks(per) {
            out.add(group.iter().fold(Rect::default(), |acc, r| acc.bounding(r)));
        }
        if out.rects.len() > limit.max(1) {
            return Region::from(out.bounds());
        }
        out
    }
}

impl From<Rect> for Region {
    fn from(rect: Rect) -> Self {
        let mut region = Region::new();
        region.add(rect);
        region
    }
}

impl FromIterator<Rect> for Region {
    fn from_iter<I: IntoIterator<Item = Rect>>(iter: I) -> Self {
        // Halving keeps the sweeps short: adding n rectangles one by one would be quadratic.
        let mut parts: Vec<Region> = iter.into_iter().map(Region::from).collect();
        while parts.len() > 1 {
            let mut next = Vec::with_capacity(parts.len().div_ceil(2));
            let mut it = parts.into_iter();
            while let Some(mut a) = it.next() {
                if let Some(b) = it.next() {
                    a.union(&b);
                }
                next.push(a);
            }
            parts = next;
        }
        parts.pop().unwrap_or_default()
    }
}

/// One sweep over the rows of both operands; `keep` says whether a pixel in (a?, b?) is in the result.
fn combine(a: &[Rect], b: &[Rect], keep: impl Fn(bool, bool) -> bool + Copy) -> Vec<Rect> {
    let mut out: Vec<Rect> = Vec::with_capacity(a.len() + b.len());
    let (mut ia, mut ib) = (0, 0);
    let mut y = 0u16;
    let (mut spans, mut last): (Vec<Span>, usize) = (Vec::new(), 0);
    loop {
        // Bands that end at or above y are done.
        while ia < a.len() && a[ia].bottom() <= y {
            ia += 1;
        }
        while ib < b.len() && b[ib].bottom() <= y {
            ib += 1;
        }
        let (band_a, top_a, end_a) = band(a, ia);
        let (band_b, top_b, end_b) = band(b, ib);
        if band_a.is_empty() && band_b.is_empty() {
            return out;
        }
        let start = y.max(top_a.min(top_b));
        let in_a = !band_a.is_empty() && top_a <= start;
        let in_b = !band_b.is_empty() && top_b <= start;
        let mut stop = u16::MAX;
        for (inside, top, end, some) in [
            (in_a, top_a, end_a, !band_a.is_empty()),
            (in_b, top_b, end_b, !band_b.is_empty()),
        ] {
            if some {
                stop = stop.min(if inside { end } else { top });
            }
        }
        spans.clear();
        merge_spans(
            if in_a { band_a } else { &[] },
            if in_b { band_b } else { &[] },
            keep,
            &mut spans,
        );
        push_band(&mut out, &mut last, &spans, start, stop);
        y = stop;
    }
}

/// The rectangles of the band that begins at index `i`, its top and bottom (`u16::MAX` when there is none).
fn band(rects: &[Rect], i: usize) -> (&[Rect], u16, u16) {
    let Some(first) = rects.get(i) else {
        return (&[], u16::MAX, u16::MAX);
    };
    let n = rects[i..].iter().take_while(|r| r.y == first.y).count();
    (&rects[i..i + n], first.y, first.bottom())
}

fn merge_spans(a: &[Rect], b: &[Rect], keep: impl Fn(bool, bool) -> bool, out: &mut Vec<Span>) {
    let (mut ia, mut ib, mut x) = (0, 0, 0u16);
    loop {
        while ia < a.len() && a[ia].right() <= x {
            ia += 1;
        }
        while ib < b.len() && b[ib].right() <= x {
            ib += 1;
        }
        let next = |r: Option<&Rect>| match r {
            Some(r) if r.x <= x => (true, r.right()),
            Some(r) => (false, r.x),
            None => (false, u16::MAX),
        };
        if ia == a.len() && ib == b.len() {
            return;
        }
        let ((in_a, to_a), (in_b, to_b)) = (next(a.get(ia)), next(b.get(ib)));
        let to = to_a.min(to_b);
        if keep(in_a, in_b) {
            match out.last_mut() {
                Some(last) if last.1 == x => last.1 = to,
                _ => out.push((x, to)),
            }
        }
        x = to;
    }
}

/// Appends a band, or lengthens the one before when it has the same columns and touches.
fn push_band(out: &mut Vec<Rect>, last: &mut usize, spans: &[Span], top: u16, bottom: u16) {
    if spans.is_empty() || top == bottom {
        return;
    }
    let previous = &mut out[*last..];
    let same = previous.len() == spans.len()
        && previous[0].bottom() == top
        && previous
            .iter()
            .zip(spans)
            .all(|(r, s)| (r.x, r.right()) == *s);
    if same {
        for r in previous {
            r.h = bottom - r.y;
        }
        return;
    }
    *last = out.len();
    out.extend(
        spans
            .iter()
            .map(|&(l, r)| Rect::from_edges(l, top, r, bottom)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIDE: u16 = 24;

    fn bitmap(region: &Region) -> Vec<bool> {
        let mut bits = vec![false; usize::from(SIDE) * usize::from(SIDE)];
        for r in region.rects() {
            for y in r.y..r.bottom() {
                for x in r.x..r.right() {
                    let bit = &mut bits[usize::from(y) * usize::from(SIDE) + usize::from(x)];
                    assert!(!*bit, "rectangles overlap");
                    *bit = true;
                }
            }
        }
        bits
    }

    fn check(region: &Region) {
        for r in region.rects() {
            assert!(!r.is_empty());
        }
        for w in region.rects().windows(2) {
            let (a, b) = (w[0], w[1]);
            assert!(
                a.bottom() <= b.y || (a.y == b.y && a.h == b.h && a.right() < b.x),
                "not banded: {a:?} {b:?}"
            );
        }
    }

    prop_compose! {
        fn rect()(x in 0..SIDE, y in 0..SIDE)(x in Just(x), y in Just(y), w in 0..=SIDE - x, h in 0..=SIDE - y) -> Rect {
            Rect::new(x, y, w, h)
        }
    }

    fn region() -> impl Strategy<Value = Region> {
        proptest::collection::vec(rect(), 0..8).prop_map(Region::from_iter)
    }

    proptest! {
        #[test]
        fn operations_agree_with_bitmaps(a in region(), b in region(), dx in -30i32..30, dy in -30i32..30) {
            check(&a);
            let (bits_a, bits_b) = (bitmap(&a), bitmap(&b));
            let with = |f: fn(bool, bool) -> bool| -> Vec<bool> {
                bits_a.iter().zip(&bits_b).map(|(x, y)| f(*x, *y)).collect()
            };
            let mut r = a.clone();
            r.union(&b);
            check(&r);
            prop_assert_eq!(bitmap(&r), with(|x, y| x || y));
            let mut r = a.clone();
            r.intersect(&b);
            check(&r);
            prop_assert_eq!(a.intersects(&b), !r.is_empty());
            prop_assert_eq!(bitmap(&r), with(|x, y| x && y));
            let mut r = a.clone();
            r.subtract(&b);
            check(&r);
            prop_assert_eq!(bitmap(&r), with(|x, y| x && !y));
            prop_assert_eq!(a.area(), bits_a.iter().filter(|b| **b).count() as u64);

            let moved = a.translated(dx, dy, Rect::sized(SIDE, SIDE));
            check(&moved);
            let mut expected = vec![false; bits_a.len()];
            for (i, _) in bits_a.iter().enumerate().filter(|(_, b)| **b) {
                let (x, y) = (i as i32 % i32::from(SIDE) + dx, i as i32 / i32::from(SIDE) + dy);
                if (0..i32::from(SIDE)).contains(&x) && (0..i32::from(SIDE)).contains(&y) {
                    expected[(y * i32::from(SIDE) + x) as usize] = true;
                }
            }
            prop_assert_eq!(bitmap(&moved), expected);
        }

        #[test]
        fn equal_sets_are_equal_values(a in region(), b in region()) {
            let mut ab = a.clone();
            ab.union(&b);
            let mut ba = b;
            ba.union(&a);
            prop_assert_eq!(ab, ba);
        }

        #[test]
        fn simplified_covers_within_its_limit(a in region(), limit in 1usize..5) {
            let s = a.simplified(limit);
            prop_assert!(s.rects().len() <= limit);
            let mut rest = a;
            rest.subtract(&s);
            prop_assert!(rest.is_empty());
        }
    }
}
