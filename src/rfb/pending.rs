//! What a client has not seen: copies that it makes within its own picture, then pixels.
//!
//! ```text
//!   the screen:     moves, then damage      moves, then damage    …
//!                          │                       │
//!   a client:       copies ┴───────────────────────┴─► made first, in order
//!                   damage ────── carried along ─────► what differs from the screen then
//! ```
//!
//! Damage that lies in the source of a copy goes along with it: the client copies what it has, right or wrong, and what
//! was wrong there is wrong at the target, too. So any number of scrolls between two updates stays exact.

use crate::pixel::{Rect, Region};
use crate::screen::{Move, Step};

/// Above so many rectangles the damage is rounded up.
const MAX_RECTS: usize = 256;

/// More copies than this are a screen that nobody can follow: its pixels are sent instead.
const MAX_COPIES: usize = 128;

/// What a client lacks.
#[derive(Debug)]
pub struct Pending {
    copies: Vec<Move>,
    damage: Region,
    bounds: Rect,
}

impl Pending {
    /// A client that has nothing of a screen of this size.
    pub fn everything(bounds: Rect) -> Self {
        Self {
            copies: Vec::new(),
            damage: Region::from(bounds),
            bounds,
        }
    }

    /// What differs from the screen when the copies have been made.
    pub fn damage(&self) -> &Region {
        &self.damage
    }

    /// True when there is something for the client to copy.
    pub fn has_copies(&self) -> bool {
        !self.copies.is_empty()
    }

    /// True when the client has all.
    pub fn is_empty(&self) -> bool {
        self.damage.is_empty() && self.copies.is_empty()
    }

    /// The client lacks these pixels.
    pub fn add(&mut self, region: &Region) {
        self.damage.union(region);
        self.damage.clip(self.bounds);
        if self.damage.rects().len() > MAX_RECTS {
            self.damage = self.damage.simplified(MAX_RECTS / 2);
        }
    }

    /// The client lacks these pixels, and lacked them when the first of the copies was found: what it copies from there it
    /// lacks as well.
    pub fn add_before_copies(&mut self, region: &Region) {
        let mut region = region.clone();
        for copied in &self.copies {
            copied.carry(&mut region);
        }
        self.add(&region);
    }

    /// The client has these pixels now.
    pub fn remove(&mut self, region: &Region) {
        self.damage.subtract(region);
    }

    /// The screen made a step, of which the client can make the copies itself.
    pub fn follow(&mut self, step: &Step) {
        for copied in &step.moves {
            copied.carry(&mut self.damage);
            self.copies.push(*copied);
        }
        self.add(&step.damage);
        if self.copies.len() > MAX_COPIES {
            self.drop_useless();
        }
        if self.copies.len() > MAX_COPIES {
            self.flatten();
        }
    }

    /// The screen made a step, and the client has to be sent all of it.
    pub fn add_step(&mut self, step: &Step) {
        self.damage
            .union(&step.moves.iter().map(|m| m.to).collect());
        self.add(&step.damage);
    }

    /// Pixels instead of copies.
    pub fn flatten(&mut self) {
        let targets: Region = self.copies.drain(..).map(|m| m.to).collect();
        self.add(&targets);
    }

    /// The copies, in order; the client is about to be told to make them.
    pub fn take_copies(&mut self) -> Vec<Move> {
        self.drop_useless();
        std::mem::take(&mut self.copies)
    }

    /// Leaves out what would be overwritten: copies whose pixels are sent anyway and that no later copy needs.
    fn drop_useless(&mut self) {
        let mut needed = Region::from(self.bounds);
        needed.subtract(&self.damage);
        let mut keep = Vec::with_capacity(self.copies.len());
        for copied in self.copies.iter().rev() {
            let mut used = needed.clone();
            used.clip(copied.to);
            if used.is_empty() {
                continue;
            }
            needed.subtract(&Region::from(copied.to));
            let source = copied.source();
            let (dx, dy) = (
                i32::from(source.x) - i32::from(copied.to.x),
                i32::from(source.y) - i32::from(copied.to.y),
            );
            needed.union(&used.translated(dx, dy, source));
            keep.push(*copied);
        }
        keep.reverse();
        self.copies = keep;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::{Frame, Point};
    use proptest::prelude::*;

    const BOUNDS: Rect = Rect::sized(40, 30);

    #[derive(Clone, Debug)]
    enum Event {
        Copy(Move),
        Draw(Rect, u32),
        Update,
        /// An update that turns out, after whatever comes next, to have left this out.
        Part(Rect),
        Flatten,
    }

    fn event() -> impl Strategy<Value = Event> {
        let copied = (1u16..30, 1u16..20).prop_flat_map(|(w, h)| {
            let place = (0..=40 - w, 0..=30 - h);
            (Just((w, h)), place.clone(), place)
        });
        prop_oneof![
            4 => copied.prop_map(|((w, h), (x, y), (tx, ty))| Event::Copy(Move {
                to: Rect::new(tx, ty, w, h),
                from: Point { x, y },
            })),
            4 => (0u16..40, 0u16..30, 1u16..10, 1u16..10, any::<u32>())
                .prop_map(|(x, y, w, h, c)| Event::Draw(Rect::new(x, y, w, h).intersect(&BOUNDS), c)),
            2 => Just(Event::Update),
            2 => (0u16..40, 0u16..30, 1u16..40, 1u16..30)
                .prop_map(|(x, y, w, h)| Event::Part(Rect::new(x, y, w, h).intersect(&BOUNDS))),
            1 => Just(Event::Flatten),
        ]
    }

    proptest! {
        #[test]
        fn copies_and_then_damage_make_the_screen(events in proptest::collection::vec(event(), 1..60)) {
            let mut screen = Frame::new(40, 30);
            let mut client = Frame::new(40, 30);
            let mut pending = Pending::everything(BOUNDS);
            let mut left = Region::new();
            for event in events.into_iter().chain([Event::Update]) {
                if matches!(event, Event::Update | Event::Part(_)) {
                    pending.add_before_copies(&std::mem::take(&mut left));
                }
                match event {
                    Event::Copy(m) => {
                        screen.copy_within(m.source(), m.to.origin());
                        pending.follow(&Step { moves: vec![m], damage: Region::new() });
                    }
                    Event::Draw(rect, colour) => {
                        for y in rect.y..rect.bottom() {
                            screen.row_mut(y)[usize::from(rect.x)..usize::from(rect.right())].fill(colour);
                        }
                        pending.add(&Region::from(rect));
                    }
                    Event::Flatten => pending.flatten(),
                    Event::Part(rect) => {
                        for m in pending.take_copies() {
                            client.copy_within(m.source(), m.to.origin());
                        }
                        let mut sent = pending.damage().clone();
                        pending.remove(&sent.clone());
                        left = sent.clone();
                        left.clip(rect);
                        sent.subtract(&left);
                        for rect in sent.rects() {
                            client.copy_from(&screen, *rect);
                        }
                    }
                    Event::Update => {
                        for m in pending.take_copies() {
                            client.copy_within(m.source(), m.to.origin());
                        }
                        for rect in pending.damage().rects() {
                            client.copy_from(&screen, *rect);
                        }
                        pending.remove(&pending.damage().clone());
                        prop_assert!(pending.is_empty());
                        prop_assert!(client == screen);
                    }
                }
            }
        }
    }

    #[test]
    fn a_scroll_that_is_drawn_over_is_not_sent() {
        let mut pending = Pending::everything(BOUNDS);
        let scroll = Move {
            to: Rect::new(0, 0, 40, 20),
            from: Point { x: 0, y: 10 },
        };
        let step = Step {
            moves: vec![scroll],
            damage: Region::new(),
        };
        pending.follow(&step);
        assert_eq!(pending.take_copies(), [], "the client has nothing to copy");
        pending.remove(&Region::from(BOUNDS));
        pending.follow(&step);
        assert_eq!(pending.take_copies(), [scroll]);
        pending.follow(&step);
        pending.add(&Region::from(Rect::sized(40, 20)));
        assert_eq!(pending.take_copies(), []);
    }
}
