//! What the capture thread and the desktop's handles share.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::types::{DesktopEvent, DesktopStatus, ResizeError, Sink};
use crate::pixel::Point;

/// Called once with the outcome of a resize.
pub(super) type Reply = Box<dyn FnOnce(Result<(), ResizeError>) + Send>;

/// A size that somebody wants.
pub(super) struct Resize {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) reply: Reply,
}

/// Shared by [`Arc`].
pub(super) struct Shared {
    /// Becomes readable when there is something new below.
    wake: EventFd,
    demand: AtomicBool,
    /// The thread waits for a demand, and is to be called for one; else it finds it when it comes to it.
    waiting: AtomicBool,
    /// Looks that were asked for.
    looks: AtomicU64,
    close: AtomicBool,
    stopping: AtomicBool,
    resizes: Mutex<Vec<Resize>>,
    injected: Mutex<Option<(Point, Instant)>>,
    status: Mutex<DesktopStatus>,
    pub(super) sink: Arc<dyn Sink>,
}

impl Shared {
    pub(super) fn new(sink: Arc<dyn Sink>, status: DesktopStatus) -> io::Result<Self> {
        Ok(Self {
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            demand: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            looks: AtomicU64::new(0),
            close: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            resizes: Mutex::default(),
            injected: Mutex::default(),
            status: Mutex::new(status),
            sink,
        })
    }

    /// To poll for reading.
    pub(super) fn wake(&self) -> &EventFd {
        &self.wake
    }

    /// Makes the wake descriptor quiet again. To be called before the state is looked at, not after.
    pub(super) fn awake(&self) {
        // Would block only if nobody had called, which is just as well.
        let _ = self.wake.read();
    }

    fn call(&self) {
        // Fails only when the counter is full: then the thread is being called already.
        let _ = self.wake.write(1);
    }

    /// Somebody can take a frame.
    pub(super) fn set_demand(&self) {
        // In one order with the thread's, which says that it waits before it looks whether there is a demand: either it
        // sees this one, or it is seen to wait.
        if !self.demand.swap(true, Ordering::SeqCst) && self.waiting.load(Ordering::SeqCst) {
            self.call();
        }
    }

    /// The thread is about to wait: also for a demand, or not. False: there is one that it has not seen.
    pub(super) fn await_demand(&self, waiting: bool) -> bool {
        self.waiting.store(waiting, Ordering::SeqCst);
        !(waiting && self.demand.load(Ordering::SeqCst))
    }

    pub(super) fn has_demand(&self) -> bool {
        self.demand.load(Ordering::Acquire)
    }

    /// The demand is met.
    pub(super) fn take_demand(&self) {
        self.demand.store(false, Ordering::Release);
    }

    /// Somebody can take a frame, and wants to hear when there is none newer than what is known. Returns the number of
    /// this look.
    pub(super) fn ask_look(&self) -> u64 {
        self.demand.store(true, Ordering::Release);
        let number = self.looks.fetch_add(1, Ordering::AcqRel) + 1;
        self.call();
        number
    }

    /// The number of the last look that was asked for.
    pub(super) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Acquire)
    }

    /// Windows are to be asked to close.
    pub(super) fn set_close(&self) {
        self.close.store(true, Ordering::Release);
        self.call();
    }

    pub(super) fn take_close(&self) -> bool {
        self.close.swap(false, Ordering::AcqRel)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.call();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Queues a resize. Only the newest is kept: the ones before get their answer at once.
    pub(super) fn push_resize(&self, resize: Resize) {
        let before = {
            let mut queue = lock(&self.resizes);
            let before = std::mem::take(&mut *queue);
            queue.push(resize);
            before
        };
        for old in before {
            (old.reply)(Err(ResizeError::Superseded));
        }
        self.call();
    }

    pub(super) fn take_resize(&self) -> Option<Resize> {
        lock(&self.resizes).pop()
    }

    /// Remembers where our own input puts the pointer.
    pub(super) fn set_injected(&self, at: Point, now: Instant) {
        *lock(&self.injected) = Some((at, now));
    }

    pub(super) fn injected(&self) -> Option<(Point, Instant)> {
        *lock(&self.injected)
    }

    pub(super) fn status(&self) -> DesktopStatus {
        lock(&self.status).clone()
    }

    /// Counts something.
    pub(super) fn count(&self, update: impl FnOnce(&mut DesktopStatus)) {
        update(&mut lock(&self.status));
    }

    /// Changes the state, and tells the sink if it is another one now.
    pub(super) fn change(&self, update: impl FnOnce(&mut DesktopStatus)) {
        let changed = {
            let mut status = lock(&self.status);
            let before = status.clone();
            update(&mut status);
            (!status.same_state(&before)).then(|| status.clone())
        };
        if let Some(status) = changed {
            self.sink.event(DesktopEvent::Status(status));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these is replaced whole, so a panic elsewhere leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Sink for Nobody {
        fn frame(&self, _: u64) {}
        fn event(&self, _: DesktopEvent) {}
    }

    #[test]
    fn a_demand_calls_only_a_thread_that_waits_for_one() {
        let shared = Shared::new(Arc::new(Nobody), DesktopStatus::default()).expect("an eventfd");
        let called = || shared.wake.read().is_ok();
        assert!(shared.await_demand(false));
        shared.set_demand();
        assert!(!called(), "it comes to it by itself");
        assert!(shared.await_demand(false));
        assert!(!shared.await_demand(true), "there is one already");
        shared.take_demand();
        assert!(shared.await_demand(true));
        shared.set_demand();
        assert!(called());
        shared.set_demand();
        assert!(!called(), "once is enough");
    }
}
