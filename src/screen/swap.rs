//! The swap chain: one latest frame, up to two others that wait to be written or are still being read.
//!
//! ```text
//!            draft()                 publish()                 nobody reads it
//!   spare ───────────► Draft ───────────────────► latest ───┐
//!     ▲  ▲  (brought up to date, written)                   │ the next publish()
//!     │  └──────────┘ give_back(): nothing was new          │
//!     └─────────────────────────────────────────────────────┘
//! ```
//!
//! A buffer is free when the chain holds the only reference to it: readers can only clone `latest`, under the lock, so
//! a spare that is free stays free.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::log::{Log, Step};
use crate::pixel::{Frame, Region};

/// Buffers in the chain: one to show, one to write, one that a slow reader may keep.
const BUFFERS: usize = 3;

/// After so many drafts in a row that left a free buffer unused, that buffer is given back to the system.
const IDLE_DRAFTS: u32 = 120;

/// The latest picture and what changed on the way to it. Shared by [`Arc`]; every call is short.
#[derive(Debug)]
pub struct Screen {
    chain: Mutex<Chain>,
}

/// What a reader has to do to be up to date.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The generation of `frame`: hand it in the next time.
    pub generation: u64,
    /// The latest picture.
    pub frame: Arc<Frame>,
    /// What was published since, to be applied in order to the picture of the generation asked for. The pixels of an
    /// earlier step's damage are gone; where later steps do not take them elsewhere, those of `frame` do.
    pub steps: Vec<Arc<Step>>,
    /// The size may differ from the one the reader knows; true also for generation 0. Everything is new then.
    pub resized: bool,
}

/// A private buffer, equal to the latest frame until it is written to.
#[derive(Debug)]
pub struct Draft {
    frame: Frame,
    base: u64,
}

#[derive(Debug)]
struct Chain {
    latest: Arc<Frame>,
    /// Of `latest`; the first one is 1, so that 0 can mean "nothing".
    generation: u64,
    /// INVARIANT: all of the size of `latest`; at most `BUFFERS - 1`.
    spares: Vec<Spare>,
    log: Log,
    /// The generation that brought the present size.
    resized_at: u64,
    idle_drafts: u32,
}

#[derive(Debug)]
struct Spare {
    frame: Arc<Frame>,
    generation: u64,
}

impl Spare {
    /// Nobody can take another reference to a spare, so what is free stays free.
    fn is_free(&self) -> bool {
        Arc::strong_count(&self.frame) == 1
    }
}

impl Draft {
    /// The pixels to write.
    pub fn frame(&mut self) -> &mut Frame {
        &mut self.frame
    }
}

impl Screen {
    /// A black screen of generation 1.
    pub fn new(width: u16, height: u16) -> Self {
        Self {
            chain: Mutex::new(Chain {
                latest: Arc::new(Frame::new(width, height)),
                generation: 1,
                spares: Vec::new(),
                log: Log::default(),
                resized_at: 1,
                idle_drafts: 0,
            }),
        }
    }

    /// The latest frame and its generation.
    pub fn latest(&self) -> (u64, Arc<Frame>) {
        let chain = self.lock();
        (chain.generation, Arc::clone(&chain.latest))
    }

    /// What changed since `generation`, as an earlier call returned it; 0 means "I have nothing".
    pub fn changes_since(&self, generation: u64) -> Changes {
        let chain = self.lock();
        let frame = Arc::clone(&chain.latest);
        let resized = generation < chain.resized_at;
        let steps = if generation == chain.generation {
            Vec::new()
        } else {
            let known = (!resized).then(|| chain.log.since(generation)).flatten();
            match known {
                Some(steps) => steps.cloned().collect(),
                None => vec![Arc::new(Step::whole(frame.bounds()))],
            }
        };
        Changes {
            generation: chain.generation,
            frame,
            steps,
            resized,
        }
    }

    /// A buffer to write the next frame into, equal to the latest one. `None` when readers hold every buffer: then the
    /// writer has to leave the screen alone until one of them is done, which also paces it to what readers can take.
    ///
    /// Pixels of `except` are anything: the writer is about to write all of them, so bringing them up to date would be for
    /// nothing.
    ///
    /// One thread writes; a second writer would only make the first one's publication cover the whole screen.
    pub fn draft(&self, except: &Region) -> Option<Draft> {
        let (spare, latest, generation, missing) = {
            let mut chain = self.lock();
            let spare = chain.take_free();
            if spare.is_none() && 1 + chain.spares.len() >= BUFFERS {
                return None;
            }
            let missing = spare.as_ref().and_then(|(_, g)| match *g {
                g if g == chain.generation => Some(Region::new()),
                g => chain.log.missing(g),
            });
            (
                spare.map(|(frame, _)| frame),
                Arc::clone(&chain.latest),
                chain.generation,
                missing,
            )
        };
        // Copied without the lock: readers go on meanwhile.
        let frame = match (spare, missing) {
            (Some(mut frame), Some(mut missing)) => {
                missing.subtract(except);
                for rect in missing.rects() {
                    frame.copy_from(&latest, *rect);
                }
                frame
            }
            (Some(mut frame), None) => {
                frame.copy_from(&latest, latest.bounds());
                frame
            }
            (None, _) => Frame::clone(&latest),
        };
        Some(Draft {
            frame,
            base: generation,
        })
    }

    /// Takes a draft back that turned out equal to the frame it was made from; what else it may be is not looked at.
    pub fn give_back(&self, draft: Draft) {
        let mut chain = self.lock();
        if draft.frame.bounds() == chain.latest.bounds() && 1 + chain.spares.len() < BUFFERS {
            chain.spares.push(Spare {
                frame: Arc::new(draft.frame),
                generation: draft.base,
            });
        }
    }

    /// True when [`Screen::draft`] has a buffer. For the writer it stays true until it publishes.
    pub fn has_room(&self) -> bool {
        let chain = self.lock();
        1 + chain.spares.len() < BUFFERS || chain.spares.iter().any(Spare::is_free)
    }

    /// Makes a draft the latest frame and returns its generation. `step` leads from the frame before to this one.
    pub fn publish(&self, draft: Draft, step: Step) -> u64 {
        let mut chain = self.lock();
        if draft.frame.bounds() != chain.latest.bounds() {
            return chain.replace(draft.frame);
        }
        let overtaken = draft.base != chain.generation;
        let old = std::mem::replace(&mut chain.latest, Arc::new(draft.frame));
        let spare = Spare {
            frame: old,
            generation: chain.generation,
        };
        chain.spares.push(spare);
        chain.generation += 1;
        let generation = chain.generation;
        let step = if overtaken {
            Step::whole(chain.latest.bounds())
        } else {
            step
        };
        chain.log.push(generation, step);
        generation
    }

    /// Shows a frame of another size: every reader has to begin anew. Returns its generation.
    pub fn resize(&self, frame: Frame) -> u64 {
        self.lock().replace(frame)
    }

    fn lock(&self) -> MutexGuard<'_, Chain> {
        // Nothing panics while the lock is held; if something did, the chain would still be whole.
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chain {
    /// Takes a buffer that nobody reads out of the chain, the most recent one, because it lacks the least.
    fn take_free(&mut self) -> Option<(Frame, u64)> {
        let index = self.spares.iter().rposition(Spare::is_free)?;
        let spare = self.spares.remove(index);
        match self.spares.iter().position(Spare::is_free) {
            Some(unused) => {
                self.idle_drafts += 1;
                if self.idle_drafts >= IDLE_DRAFTS {
                    self.spares.remove(unused);
                    self.idle_drafts = 0;
                }
            }
            None => self.idle_drafts = 0,
        }
        let frame = Arc::try_unwrap(spare.frame).ok()?;
        Some((frame, spare.generation))
    }

    fn replace(&mut self, frame: Frame) -> u64 {
        self.latest = Arc::new(frame);
        self.spares.clear();
        self.log.clear();
        self.generation += 1;
        self.resized_at = self.generation;
        self.generation
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::{Move, Step as Change};
    use super::*;
    use crate::pixel::{Point, Rect};
    use proptest::prelude::*;

    fn damaged(damage: Region) -> Change {
        Change {
            moves: Vec::new(),
            damage,
        }
    }

    /// What a random run does.
    #[derive(Clone, Debug)]
    enum Step {
        Write(Vec<(Rect, u32)>),
        Copy(Move),
        Resize(u16, u16),
        Follow(usize),
        Hold(usize),
        Release(usize),
        Abandon,
        GiveBack(Vec<Rect>),
    }

    /// A viewer: knows the screen only from `changes_since`.
    #[derive(Default)]
    struct Reader {
        generation: u64,
        picture: Option<Frame>,
        held: Option<(Arc<Frame>, Frame)>,
    }

    impl Reader {
        fn follow(&mut self, screen: &Screen) {
            let changes = screen.changes_since(self.generation);
            let bounds = changes.frame.bounds();
            let picture = match self.picture.take() {
                Some(mut picture) if !changes.resized => {
                    let mut wrong = Region::new();
                    for step in &changes.steps {
                        for m in &step.moves {
                            picture.copy_within(m.source(), m.to.origin());
                            m.carry(&mut wrong);
                        }
                        wrong.union(&step.damage);
                    }
                    for r in wrong.rects() {
                        picture.copy_from(&changes.frame, *r);
                    }
                    picture
                }
                _ => {
                    assert!(changes.resized, "the first answer says so");
                    assert_eq!(changes.steps, [Arc::new(Change::whole(bounds))]);
                    Frame::clone(&changes.frame)
                }
            };
            assert!(picture == *changes.frame, "the reconstruction differs");
            self.picture = Some(picture);
            self.generation = changes.generation;
        }
    }

    fn paint(frame: &mut Frame, rect: Rect, colour: u32) -> Rect {
        let rect = rect.intersect(&frame.bounds());
        if rect.is_empty() {
            return Rect::default();
        }
        for y in rect.y..rect.bottom() {
            frame.row_mut(y)[usize::from(rect.x)..usize::from(rect.right())].fill(colour);
        }
        rect
    }

    prop_compose! {
        fn rect()(x in 0u16..20, y in 0u16..20, w in 1u16..12, h in 1u16..12) -> Rect {
            Rect::new(x, y, w, h)
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => proptest::collection::vec((rect(), 0u32..0x0100_0000), 0..4).prop_map(Step::Write),
            4 => (0u16..8, 0u16..8, 0u16..8, 0u16..8, 1u16..8, 1u16..8).prop_map(|(x, y, tx, ty, w, h)| {
                Step::Copy(Move { to: Rect::new(tx, ty, w, h), from: Point { x, y } })
            }),
            1 => (1u16..24, 1u16..24).prop_map(|(w, h)| Step::Resize(w, h)),
            4 => (0usize..3).prop_map(Step::Follow),
            2 => (0usize..3).prop_map(Step::Hold),
            2 => (0usize..3).prop_map(Step::Release),
            1 => Just(Step::Abandon),
            2 => proptest::collection::vec(rect(), 0..4).prop_map(Step::GiveBack),
        ]
    }

    proptest! {
        #[test]
        fn following_reconstructs_the_latest_frame(steps in proptest::collection::vec(step(), 0..160)) {
            let screen = Screen::new(16, 16);
            let mut model = Frame::new(16, 16);
            let mut readers: [Reader; 3] = Default::default();
            for step in steps {
                match step {
                    Step::Write(rects) => {
                        let room = screen.has_room();
                        let mut except: Region = rects.iter().map(|(r, _)| *r).collect();
                        except.clip(model.bounds());
                        if let Some(mut draft) = screen.draft(&except) {
                            prop_assert!(room);
                            let mut damage = Region::new();
                            for r in except.rects() {
                                draft.frame().copy_from(&model, *r);
                            }
                            prop_assert!(*draft.frame() == model);
                            for (rect, colour) in rects {
                                damage.add(paint(draft.frame(), rect, colour));
                                paint(&mut model, rect, colour);
                            }
                            let before = screen.latest().0;
                            prop_assert_eq!(screen.publish(draft, damaged(damage)), before + 1);
                        } else {
                            let held = readers.iter().filter(|r| r.held.is_some()).count();
                            prop_assert!(!room);
                            prop_assert!(held >= 2, "nobody holds the buffers");
                        }
                    }
                    Step::Copy(m) => {
                        let fits = |r| model.bounds().contains(&r);
                        if !fits(m.to) || !fits(m.source()) {
                            continue;
                        }
                        if let Some(mut draft) = screen.draft(&Region::new()) {
                            draft.frame().copy_within(m.source(), m.to.origin());
                            model.copy_within(m.source(), m.to.origin());
                            let step = Change { moves: vec![m], damage: Region::new() };
                            screen.publish(draft, step);
                        }
                    }
                    Step::Resize(w, h) => {
                        model = Frame::new(w, h);
                        paint(&mut model, Rect::sized(w, h), u32::from(w) << 8 | u32::from(h));
                        screen.resize(model.clone());
                    }
                    Step::Follow(i) => readers[i].follow(&screen),
                    Step::Hold(i) => {
                        let (_, frame) = screen.latest();
                        let copy = Frame::clone(&frame);
                        readers[i].held = Some((frame, copy));
                    }
                    Step::Release(i) => readers[i].held = None,
                    Step::Abandon => drop(screen.draft(&Region::new())),
                    Step::GiveBack(rects) => {
                        let mut except: Region = rects.into_iter().collect();
                        except.clip(model.bounds());
                        if let Some(mut draft) = screen.draft(&except) {
                            for r in except.rects() {
                                draft.frame().copy_from(&model, *r);
                            }
                            screen.give_back(draft);
                            prop_assert!(screen.has_room());
                        }
                    }
                }
                prop_assert!(*screen.latest().1 == model);
                for (held, copy) in readers.iter().filter_map(|r| r.held.as_ref()) {
                    prop_assert!(**held == *copy, "a frame changed under its reader");
                }
                prop_assert!(screen.lock().spares.len() < BUFFERS);
            }
            for reader in &mut readers {
                reader.follow(&screen);
            }
        }
    }

    #[test]
    fn an_old_generation_gets_the_whole_screen() {
        let screen = Screen::new(8, 8);
        let (old, _) = screen.latest();
        let mut damage_of_last = Region::new();
        for i in 0..100u16 {
            let mut draft = screen.draft(&Region::new()).expect("nobody reads");
            damage_of_last = Region::from(paint(draft.frame(), Rect::new(i % 8, 0, 1, 1), 7));
            screen.publish(draft, damaged(damage_of_last.clone()));
        }
        let changes = screen.changes_since(old);
        assert!(!changes.resized);
        let whole = [Arc::new(Change::whole(Rect::sized(8, 8)))];
        assert_eq!(changes.steps, whole);
        let last = [Arc::new(damaged(damage_of_last))];
        let latest = changes.generation;
        assert_eq!(screen.changes_since(latest - 1).steps, last);
        assert_eq!(screen.changes_since(latest).steps, []);
        // A generation of the future (of another screen) is no reason to believe anything.
        assert_eq!(screen.changes_since(latest + 5).steps, whole);
    }

    #[test]
    fn the_third_buffer_lives_only_as_long_as_it_is_needed() {
        let screen = Screen::new(4, 4);
        let publish = || {
            let draft = screen.draft(&Region::new()).expect("a buffer is free");
            screen.publish(draft, Change::default());
        };
        publish();
        publish();
        assert_eq!(screen.lock().spares.len(), 1);
        let held = screen.latest().1;
        publish();
        publish();
        assert_eq!(screen.lock().spares.len(), 2);
        drop(held);
        for _ in 0..=IDLE_DRAFTS {
            publish();
        }
        assert_eq!(screen.lock().spares.len(), 1);
    }
}
