//! The swap chain: one latest frame, which is changed in place, and up to two others while readers hold it.
//!
//! ```text
//!            draft(): nobody reads it                publish(), give_back()
//!   latest ──────────────────────────► Draft ───────────────────────────────► latest
//!
//!            draft(): somebody reads it              publish()
//!   spare ───────────────────────────► Draft ───────────────────────────────► latest ───┐
//!     ▲  ▲  (brought up to date)         │                                              │
//!     │  └───────────────────────────────┘ give_back()                                  │
//!     └─────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A buffer is free when the chain holds the only reference to it: readers can only clone `latest`, under the lock, so
//! a spare that is free stays free. In place, because memory is what everything waits for: a second buffer would be written
//! from end to end where a screen scrolls, and not be in any cache.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::draft::{Draft, Finished, Past, Spare};
use super::log::{Log, Step};
use crate::pixel::{Frame, Rect};

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
    /// The latest generation: hand it in the next time.
    pub generation: u64,
    /// Its size.
    pub bounds: Rect,
    /// Its picture. `None` while the next one is written over it: the reader then is told that the screen was published, or
    /// found to be as it was, and asks again.
    pub frame: Option<Arc<Frame>>,
    /// What was published since, to be applied in order to the picture of the generation asked for. The pixels of an
    /// earlier step's damage are gone; where later steps do not take them elsewhere, those of `frame` do.
    pub steps: Vec<Arc<Step>>,
    /// The size may differ from the one the reader knows; true also for generation 0. Everything is new then.
    pub resized: bool,
}

#[derive(Debug)]
struct Chain {
    /// `None` while it is written in place.
    latest: Option<Arc<Frame>>,
    /// Of `latest`, also while it is written.
    bounds: Rect,
    /// Somebody wanted it meanwhile.
    missed: bool,
    /// Of `latest`; the first one is 1, so that 0 can mean "nothing".
    generation: u64,
    /// INVARIANT: all of the size of `latest`; at most `BUFFERS - 1`.
    spares: Vec<Shelved>,
    log: Log,
    /// The generation that brought the present size.
    resized_at: u64,
    idle_drafts: u32,
}

/// A spare, which readers may still hold.
#[derive(Debug)]
struct Shelved {
    frame: Arc<Frame>,
    /// `None` for anything.
    generation: Option<u64>,
}

impl Shelved {
    /// Nobody can take another reference to a spare, so what is free stays free.
    fn is_free(&self) -> bool {
        Arc::strong_count(&self.frame) == 1
    }
}

impl Screen {
    /// A black screen of generation 1.
    pub fn new(width: u16, height: u16) -> Self {
        Self {
            chain: Mutex::new(Chain {
                latest: Some(Arc::new(Frame::new(width, height))),
                bounds: Rect::sized(width, height),
                missed: false,
                generation: 1,
                spares: Vec::new(),
                log: Log::default(),
                resized_at: 1,
                idle_drafts: 0,
            }),
        }
    }

    /// The latest frame; `None` while the next one is written over it.
    pub fn latest(&self) -> Option<Arc<Frame>> {
        self.lock().latest.clone()
    }

    /// The generation of the latest frame.
    pub fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// The size of the latest frame.
    pub fn bounds(&self) -> Rect {
        self.lock().bounds
    }

    /// What changed since `generation`, as an earlier call returned it; 0 means "I have nothing".
    pub fn changes_since(&self, generation: u64) -> Changes {
        let mut chain = self.lock();
        chain.missed |= chain.latest.is_none();
        let frame = chain.latest.clone();
        let resized = generation < chain.resized_at;
        let steps = if generation == chain.generation {
            Vec::new()
        } else {
            let known = (!resized).then(|| chain.log.since(generation)).flatten();
            match known {
                Some(steps) => steps.cloned().collect(),
                None => vec![Arc::new(Step::whole(chain.bounds))],
            }
        };
        Changes {
            generation: chain.generation,
            bounds: chain.bounds,
            frame,
            steps,
            resized,
        }
    }

    /// A buffer to write the next frame into, equal to the latest one. `None` when readers hold every buffer: then the
    /// writer has to leave the screen alone until one of them is done, which also paces it to what readers can take. `None`
    /// as well while another draft is written in place: one thread writes.
    pub fn draft(&self) -> Option<Draft<'_>> {
        let (spare, latest, generation, missing) = {
            let mut chain = self.lock();
            let generation = chain.generation;
            let latest = match Arc::try_unwrap(chain.latest.take()?) {
                Ok(frame) => {
                    let past = Past::overwritten(chain.take_free());
                    return Some(Draft::new(self, frame, generation, past));
                }
                Err(read) => Arc::clone(chain.latest.insert(read)),
            };
            let spare = chain.take_free();
            if spare.is_some() {
                chain.drop_idle(false);
            }
            if spare.is_none() && 1 + chain.spares.len() >= BUFFERS {
                return None;
            }
            let known = spare.as_ref().and_then(|spare| spare.generation);
            let missing = known.and_then(|generation| chain.log.missing(generation));
            (spare.map(|spare| spare.frame), latest, generation, missing)
        };
        // Copied without the lock: readers go on meanwhile.
        let frame = match (spare, missing) {
            (Some(mut frame), Some(missing)) => {
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
        Some(Draft::new(self, frame, generation, Past::whole(latest)))
    }

    /// Takes a draft back that turned out equal to the frame it was made from. True when somebody wanted that one
    /// meanwhile, and has to be told that it is there.
    pub fn give_back(&self, draft: Draft<'_>) -> bool {
        let draft = draft.finish();
        let mut chain = self.lock();
        if draft.frame.bounds() != chain.bounds {
            return false;
        }
        if chain.latest.is_none() {
            chain.latest = Some(Arc::new(draft.frame));
            chain.take_back(draft.past);
            return std::mem::take(&mut chain.missed);
        }
        chain.push_spare(Arc::new(draft.frame), Some(draft.base));
        false
    }

    /// True when [`Screen::draft`] has a buffer. For the writer it stays true until it publishes.
    pub fn has_room(&self) -> bool {
        let chain = self.lock();
        let mut held = chain.latest.iter().map(Arc::strong_count);
        held.any(|count| count == 1)
            || 1 + chain.spares.len() < BUFFERS
            || chain.spares.iter().any(Shelved::is_free)
    }

    /// Makes a draft the latest frame and returns its generation. `step` leads from the frame before to this one.
    pub fn publish(&self, draft: Draft<'_>, step: Step) -> u64 {
        self.take_over(draft.finish(), step)
    }

    pub(super) fn take_over(&self, draft: Finished, step: Step) -> u64 {
        let mut chain = self.lock();
        if draft.frame.bounds() != chain.bounds {
            return chain.replace(draft.frame);
        }
        let overtaken = draft.base != chain.generation;
        match chain.latest.replace(Arc::new(draft.frame)) {
            Some(old) => {
                let generation = chain.generation;
                chain.push_spare(old, Some(generation));
            }
            None => chain.take_back(draft.past),
        }
        chain.missed = false;
        chain.generation += 1;
        let generation = chain.generation;
        let step = if overtaken {
            Step::whole(chain.bounds)
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
    /// Takes a buffer that nobody reads out of the chain, the most recent one, because it lacks the least; and what it is.
    fn take_free(&mut self) -> Option<Spare> {
        let index = self.spares.iter().rposition(Shelved::is_free)?;
        let Shelved { frame, generation } = self.spares.remove(index);
        let frame = Arc::try_unwrap(frame).ok()?;
        Some(Spare { frame, generation })
    }

    fn push_spare(&mut self, frame: Arc<Frame>, generation: Option<u64>) {
        if 1 + self.spares.len() < BUFFERS {
            self.spares.push(Shelved { frame, generation });
        }
    }

    /// Takes the buffer back that a draft in place may have kept rows in.
    fn take_back(&mut self, past: Past) {
        let Some((Spare { frame, generation }, used)) = past.into_spare() else {
            return;
        };
        self.push_spare(Arc::new(frame), generation);
        self.drop_idle(used);
    }

    /// One more draft left the free buffers that are here now unused, or not: gives one back to the system when none was
    /// needed for long.
    fn drop_idle(&mut self, used: bool) {
        let unused = self.spares.iter().position(Shelved::is_free);
        let Some(unused) = unused.filter(|_| !used) else {
            self.idle_drafts = 0;
            return;
        };
        self.idle_drafts += 1;
        if self.idle_drafts >= IDLE_DRAFTS {
            self.spares.remove(unused);
            self.idle_drafts = 0;
        }
    }

    fn replace(&mut self, frame: Frame) -> u64 {
        self.bounds = frame.bounds();
        self.latest = Some(Arc::new(frame));
        self.missed = false;
        self.spares.clear();
        self.log.clear();
        self.generation += 1;
        self.resized_at = self.generation;
        self.generation
    }
}

#[cfg(test)]
mod tests {
    use super::super::draft::Rows;
    use super::super::log::{Move, Step as Change};
    use super::*;
    use crate::pixel::{Point, Rect, Region};
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
        Write(Vec<(Rect, u32)>, bool),
        Copy(Move),
        Resize(u16, u16),
        Follow(usize),
        Hold(usize),
        Release(usize),
        Abandon(Vec<(Rect, u32)>),
        GiveBack(Option<usize>),
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
            let frame = changes.frame.expect("nobody writes");
            let bounds = frame.bounds();
            assert_eq!(bounds, changes.bounds);
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
                        picture.copy_from(&frame, *r);
                    }
                    picture
                }
                _ => {
                    assert!(changes.resized, "the first answer says so");
                    assert_eq!(changes.steps, [Arc::new(Change::whole(bounds))]);
                    Frame::clone(&frame)
                }
            };
            assert!(picture == *frame, "the reconstruction differs");
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
            6 => (proptest::collection::vec((rect(), 0u32..0x0100_0000), 0..4), any::<bool>())
                .prop_map(|(rects, keeps)| Step::Write(rects, keeps)),
            4 => (0u16..8, 0u16..8, 0u16..8, 0u16..8, 1u16..8, 1u16..8).prop_map(|(x, y, tx, ty, w, h)| {
                Step::Copy(Move { to: Rect::new(tx, ty, w, h), from: Point { x, y } })
            }),
            1 => (1u16..24, 1u16..24).prop_map(|(w, h)| Step::Resize(w, h)),
            4 => (0usize..3).prop_map(Step::Follow),
            2 => (0usize..3).prop_map(Step::Hold),
            2 => (0usize..3).prop_map(Step::Release),
            1 => proptest::collection::vec((rect(), 0u32..0x0100_0000), 0..3).prop_map(Step::Abandon),
            2 => proptest::option::of(0usize..3).prop_map(Step::GiveBack),
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
                    Step::Write(rects, keeps) => {
                        let room = screen.has_room();
                        if let Some(mut draft) = screen.draft() {
                            prop_assert!(room);
                            let mut damage = Region::new();
                            prop_assert!(*draft.frame() == model);
                            let old = model.clone();
                            for (rect, colour) in rects {
                                let (frame, past) = draft.write();
                                if keeps {
                                    (0..frame.height()).for_each(|y| past.keep(frame, y));
                                }
                                damage.add(paint(frame, rect, colour));
                                paint(&mut model, rect, colour);
                            }
                            let before = draft.before();
                            let same = |y| Rows::row(&before, y) == old.row(y);
                            prop_assert!(!keeps || (0..old.height()).all(same));
                            let before = screen.generation();
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
                        if let Some(mut draft) = screen.draft() {
                            draft.write().0.copy_within(m.source(), m.to.origin());
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
                        let frame = screen.latest().expect("nobody writes");
                        let copy = Frame::clone(&frame);
                        readers[i].held = Some((frame, copy));
                    }
                    Step::Release(i) => readers[i].held = None,
                    Step::Abandon(rects) => {
                        let before = screen.generation();
                        if let Some(mut draft) = screen.draft() {
                            for (rect, colour) in rects {
                                paint(draft.write().0, rect, colour);
                                paint(&mut model, rect, colour);
                            }
                            drop(draft);
                            let last = screen.changes_since(before).steps;
                            prop_assert_eq!(last, [Arc::new(Change::whole(model.bounds()))]);
                        }
                    }
                    Step::GiveBack(asks) => {
                        if let Some(draft) = screen.draft() {
                            // In place, or in a buffer of its own: the latest one is there only then.
                            let in_place = screen.latest().is_none();
                            let held = readers.iter().any(|r| r.held.is_some());
                            prop_assert!(held || in_place);
                            prop_assert!(!in_place || screen.draft().is_none());
                            if let Some(i) = asks {
                                let changes = screen.changes_since(readers[i].generation);
                                prop_assert_eq!(changes.frame.is_none(), in_place);
                                prop_assert_eq!(changes.bounds, model.bounds());
                            }
                            prop_assert_eq!(screen.give_back(draft), in_place && asks.is_some());
                            prop_assert!(screen.has_room());
                        }
                    }
                }
                prop_assert!(*screen.latest().expect("nobody writes") == model);
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
        let old = screen.generation();
        let mut damage_of_last = Region::new();
        for i in 0..100u16 {
            let mut draft = screen.draft().expect("nobody reads");
            damage_of_last = Region::from(paint(draft.write().0, Rect::new(i % 8, 0, 1, 1), 7));
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
    fn other_buffers_live_only_as_long_as_they_are_needed() {
        let screen = Screen::new(4, 4);
        let publish = || {
            let draft = screen.draft().expect("a buffer is free");
            screen.publish(draft, Change::default());
        };
        publish();
        publish();
        assert_eq!(screen.lock().spares.len(), 0);
        let held = screen.latest();
        publish();
        publish();
        assert_eq!(screen.lock().spares.len(), 1);
        let other = screen.latest();
        publish();
        assert_eq!(screen.lock().spares.len(), 2);
        drop((held, other));
        for _ in 0..2 * IDLE_DRAFTS {
            publish();
        }
        assert_eq!(screen.lock().spares.len(), 0);
    }
}
