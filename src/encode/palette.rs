//! The colours of a piece, counted until there are too many.
//!
//! A table of fixed size whose slots carry the number of the count they belong to: a new count begins by taking the
//! next number, and nothing has to be cleared. Runs of one colour, which is what screens are made of, are looked up once.

/// Most colours that can be counted.
pub(super) const MAX: usize = 256;

/// Four slots a colour at most, so that probing stays short.
const SLOTS: usize = 1024;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    count: u32,
    colour: u32,
    index: u16,
}

/// Up to [`MAX`] different colours, each with its index in order of appearance.
#[derive(Debug)]
pub(super) struct Palette {
    slots: Box<[Slot; SLOTS]>,
    /// Which slots are of the present count.
    count: u32,
    colours: Vec<u32>,
    limit: usize,
}

impl Palette {
    pub(super) fn new() -> Self {
        Self {
            slots: Box::new([Slot::default(); SLOTS]),
            count: 0,
            colours: Vec::with_capacity(MAX),
            limit: 0,
        }
    }

    /// Forgets all colours; from now on at most `limit` are taken.
    pub(super) fn restart(&mut self, limit: usize) {
        self.colours.clear();
        self.limit = limit.min(MAX);
        self.count = self.count.wrapping_add(1);
        if self.count == 0 {
            self.slots.fill(Slot::default());
            self.count = 1;
        }
    }

    /// The colours, by index.
    pub(super) fn colours(&self) -> &[u32] {
        &self.colours
    }

    /// The colour's index, a new one if it was not seen yet; `None` when that would be one colour too many.
    #[inline]
    pub(super) fn insert(&mut self, colour: u32) -> Option<u16> {
        // The upper bits of the product depend on every bit of the colour (Fibonacci hashing).
        let mut at = (colour.wrapping_mul(0x9e37_79b1) >> 22) as usize;
        loop {
            let slot = &mut self.slots[at];
            if slot.count != self.count {
                if self.colours.len() == self.limit {
                    return None;
                }
                let index = self.colours.len() as u16;
                *slot = Slot {
                    count: self.count,
                    colour,
                    index,
                };
                self.colours.push(colour);
                return Some(index);
            }
            if slot.colour == colour {
                return Some(slot.index);
            }
            at = (at + 1) % SLOTS;
        }
    }

    /// Appends the index of every pixel, row by row, while the colours are within the limit. `None`: there are more,
    /// and what was appended is of no use.
    pub(super) fn index<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a [u32]>,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        for row in rows {
            let mut rest = row;
            while let [first, tail @ ..] = rest {
                let index = self.insert(*first)? as u8;
                let run = tail.iter().position(|p| p != first).unwrap_or(tail.len());
                if run == 0 {
                    out.push(index);
                } else {
                    out.resize(out.len() + run + 1, index);
                }
                rest = &tail[run..];
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn indices_give_the_pixels_back(pixels in proptest::collection::vec(0u32..300, 0..600), limit in 1usize..=256) {
            let mut palette = Palette::new();
            for _ in 0..2 {
                palette.restart(limit);
                let mut out = Vec::new();
                let fits = palette.index(pixels.chunks(7), &mut out).is_some();
                let mut distinct = pixels.clone();
                distinct.sort_unstable();
                distinct.dedup();
                prop_assert_eq!(fits, distinct.len() <= limit);
                if fits {
                    let back: Vec<u32> = out.iter().map(|&i| palette.colours()[usize::from(i)]).collect();
                    prop_assert_eq!(&back, &pixels);
                }
            }
        }
    }

    #[test]
    fn a_count_that_wraps_forgets_the_old_slots() {
        let mut palette = Palette::new();
        palette.restart(4);
        palette.insert(9);
        palette.count = u32::MAX;
        palette.restart(4);
        assert_eq!(palette.insert(3), Some(0));
        assert_eq!(palette.insert(9), Some(1));
    }
}
