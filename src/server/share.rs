//! Equal work of different clients, done once.
//!
//! What is prepared of a frame depends on the frame and on what was asked for, not on the client (see
//! [`crate::encode`]), nor on how that is sent on. Clients that watch the same thing ask for the same at the same time:
//!
//! ```text
//!   first to ask ──► busy: the others wait ──► ready: whoever comes is served at once ──► a newer frame: forgotten
//! ```
//!
//! Nobody is blocked: who waits is kept here and handed to whoever did the work. Nothing is kept for a client alone.

use crate::rfb::{Order, Picture};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most bytes of pictures that are kept for those who come later.
const MOST_BYTES: usize = 8 << 20;

/// The work on the newest frame; clones share it. `W` is who waits.
pub(super) struct Share<W>(Arc<Mutex<Table<W>>>);

impl<W> Clone for Share<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

type Table<W> = Vec<Entry<W>>;

struct Entry<W> {
    /// Which frame.
    generation: u64,
    order: Arc<Order>,
    state: State<W>,
}

enum State<W> {
    Busy(Vec<W>),
    Ready(Arc<Picture>),
}

/// What becomes of an order.
pub(super) enum Claim<W> {
    /// Somebody is at it and will take care of this one, too.
    Waits,
    /// It is there.
    Ready(W, Arc<Picture>),
    /// Nobody has begun: the caller does it.
    Yours(W, Task<W>),
}

/// The duty to do the work; dropped without [`Task::done`] it drops those who wait.
pub(super) struct Task<W> {
    generation: u64,
    order: Arc<Order>,
    /// None when there is nobody to share with.
    share: Option<Share<W>>,
}

impl<W> Default for Share<W> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<W> Share<W> {
    fn table(&self) -> MutexGuard<'_, Table<W>> {
        // A list of plain values is whole after every statement, whatever panicked in between.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `who` wants `order` of the frame of that generation. `alone`: there is no other client.
    pub(super) fn claim(
        &self,
        generation: u64,
        order: Arc<Order>,
        who: W,
        alone: bool,
    ) -> Claim<W> {
        let mut table = self.table();
        table.retain(|e| match e.state {
            State::Busy(_) => true,
            State::Ready(_) => e.generation >= generation && !alone,
        });
        let known = table
            .iter_mut()
            .find(|e| e.generation == generation && e.order.prepares_as(&order));
        match known.map(|e| &mut e.state) {
            Some(State::Ready(picture)) => return Claim::Ready(who, picture.clone()),
            Some(State::Busy(others)) => {
                others.push(who);
                return Claim::Waits;
            }
            None => {}
        }
        let share = (!alone).then(|| self.clone());
        if share.is_some() {
            table.push(Entry {
                generation,
                order: order.clone(),
                state: State::Busy(Vec::new()),
            });
        }
        Claim::Yours(
            who,
            Task {
                generation,
                order,
                share,
            },
        )
    }
}

impl<W> Task<W> {
    /// What to do.
    pub(super) fn order(&self) -> &Order {
        &self.order
    }

    /// It is done (`None`: it cannot be): keeps it for those who come later and returns those who waited.
    pub(super) fn done(mut self, picture: Option<&Arc<Picture>>) -> Vec<W> {
        let Some(share) = self.share.take() else {
            return Vec::new();
        };
        let mut table = share.table();
        let Some(at) = self.find(&table) else {
            return Vec::new();
        };
        let kept: usize = table.iter().map(Entry::bytes).sum();
        let is_newest = table.iter().all(|e| e.generation <= self.generation);
        let before = match picture {
            Some(picture) if is_newest && kept + picture.bytes() <= MOST_BYTES => {
                std::mem::replace(&mut table[at].state, State::Ready(picture.clone()))
            }
            _ => table.swap_remove(at).state,
        };
        match before {
            State::Busy(others) => others,
            State::Ready(_) => Vec::new(),
        }
    }

    fn find(&self, table: &Table<W>) -> Option<usize> {
        table.iter().position(|e| {
            e.generation == self.generation
                && Arc::ptr_eq(&e.order, &self.order)
                && matches!(e.state, State::Busy(_))
        })
    }
}

impl<W> Drop for Task<W> {
    fn drop(&mut self) {
        if let Some(share) = self.share.take() {
            let mut table = share.table();
            if let Some(at) = self.find(&table) {
                table.swap_remove(at);
            }
        }
    }
}

impl<W> Entry<W> {
    fn bytes(&self) -> usize {
        match &self.state {
            State::Busy(_) => 0,
            State::Ready(picture) => picture.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Encoding, Params, Playing};
    use crate::pixel::{Frame, PixelFormat, Rect, Region};

    fn order(width: u16) -> Order {
        Order {
            limit: None,
            sample: Region::new(),
            playing: Playing::default(),
            damage: Region::from(Rect::sized(width, 8)),
            refresh: Region::new(),
            #[cfg(feature = "h264")]
            video: None,
            params: Params {
                encoding: Encoding::Raw,
                format: PixelFormat::NATIVE,
                quality: None,
                jpeg_rects: false,
                compress: 2,
                last_rect: false,
            },
            width: 64,
            height: 64,
        }
    }

    fn picture(order: &Order) -> Arc<Picture> {
        let frame = Frame::new(64, 64);
        Arc::new(order.prepare(&frame, &Arc::default()).expect("of its size"))
    }

    /// Claims; the task if it is the caller's, and who is served at once.
    fn claim(share: &Share<u8>, generation: u64, width: u16, who: u8) -> (Option<Task<u8>>, bool) {
        match share.claim(generation, Arc::new(order(width)), who, false) {
            Claim::Yours(_, task) => (Some(task), false),
            Claim::Ready(..) => (None, true),
            Claim::Waits => (None, false),
        }
    }

    #[test]
    fn equal_orders_are_done_once_and_others_for_themselves() {
        let share = Share::default();
        let (task, _) = claim(&share, 5, 8, 1);
        assert!(claim(&share, 5, 8, 2).0.is_none());
        assert!(claim(&share, 5, 8, 3).0.is_none());
        // Another region, another frame.
        assert!(claim(&share, 5, 9, 4).0.is_some());
        let (newer, _) = claim(&share, 6, 8, 5);
        let task = task.expect("the first");
        let done = picture(task.order());
        assert_eq!(task.done(Some(&done)), [2, 3]);
        // The older frame is not kept beside the newer.
        assert!(claim(&share, 5, 8, 6).0.is_some());
        let newer = newer.expect("another frame");
        let done = picture(newer.order());
        assert!(newer.done(Some(&done)).is_empty());
        assert!(claim(&share, 6, 8, 7).1);
        let (newest, ready) = claim(&share, 7, 8, 8);
        assert!(newest.is_some() && !ready);
    }

    #[test]
    fn work_that_failed_is_given_to_the_next() {
        let share = Share::default();
        let (task, _) = claim(&share, 1, 8, 1);
        assert!(claim(&share, 1, 8, 2).0.is_none());
        drop(task);
        let (task, _) = claim(&share, 1, 8, 3);
        assert!(task.expect("nobody else").done(None).is_empty());
        assert!(claim(&share, 1, 8, 4).0.is_some());
    }

    #[test]
    fn nothing_is_kept_for_one_client() {
        let share = Share::default();
        for _ in 0..2 {
            let Claim::Yours(_, task) = share.claim(1, Arc::new(order(8)), 1u8, true) else {
                panic!("it is not shared");
            };
            let done = picture(task.order());
            assert!(task.done(Some(&done)).is_empty());
            assert_eq!(Arc::strong_count(&done), 1);
        }
    }
}
