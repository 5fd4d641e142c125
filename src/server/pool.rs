//! The threads that encode.
//!
//! One private pool, as wide as the container's CPU quota. A job takes its frame only when it has a place in the pool,
//! so encoders never hold more frames than there are places, and the capture always finds a free buffer. It holds the
//! place for what depends on the frame alone, which equal jobs of several clients share (see [`super::share`]):
//!
//! ```text
//!  place ─► claim ─┬ yours: prepare ─► place and frame are free ─┬─► emit, for each client by itself ─► finished
//!                  └ waits, or is there: place and frame are free┘
//! ```
//!
//! A little for the only client is done at once by whoever asks: it takes less than waking a thread and its way back.

use super::share::{Claim, Share};
use crate::encode::{Encoded, Encoder, Memory};
use crate::pixel::Frame;
use crate::rfb::{Job, Picture};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The pool; clones share it.
#[derive(Clone)]
pub struct Pool {
    threads: Arc<rayon::ThreadPool>,
    places: Arc<Semaphore>,
    share: Share<Client>,
    memory: Arc<Memory>,
}

/// Jobs at the same time: with the writer's buffer they make the three that the screen has.
const MAX_JOBS: usize = 2;

/// So many pixels are a little: a line or two of text, a fraction of a millisecond.
const LITTLE: u64 = 32 << 10;

/// The right to run one job.
pub(super) struct Place(OwnedSemaphorePermit);

/// What comes back from a job.
pub(super) struct Finished {
    pub(super) encoder: Box<Encoder>,
    pub(super) job: Job,
    /// None when the frame had another size than the client knows: nothing was done.
    pub(super) encoded: Option<Encoded>,
    pub(super) took: Duration,
}

impl Pool {
    /// Starts the threads.
    pub fn new() -> io::Result<Self> {
        // Honours the affinity mask and the cgroup's quota.
        let width = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(width)
            .thread_name(|n| format!("encode-{n}"))
            // Without a handler a panic of one client's job would abort the server; with it that client is closed.
            .panic_handler(|_| tracing::error!("an encoder failed; its client is disconnected"))
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            threads: Arc::new(threads),
            places: Arc::new(Semaphore::new(MAX_JOBS)),
            share: Share::default(),
            memory: Arc::default(),
        })
    }

    /// A place, if one is free.
    pub(super) fn try_place(&self) -> Option<Place> {
        self.places.clone().try_acquire_owned().ok().map(Place)
    }

    /// Waits for a place.
    pub(super) async fn place(&self) -> Option<Place> {
        // Err only when the semaphore is closed, which nobody does.
        self.places.clone().acquire_owned().await.ok().map(Place)
    }

    /// Encodes a job from `frame`, which is of that generation; the answer is lost only when the encoder panicked.
    /// `alone`: there is no client to share with.
    pub(super) fn encode(
        &self,
        place: Place,
        encoder: Box<Encoder>,
        (generation, frame): (u64, Arc<Frame>),
        job: Job,
        alone: bool,
    ) -> oneshot::Receiver<Finished> {
        let (done, rx) = oneshot::channel();
        let order = job.order.clone();
        let client = Client { encoder, job, done };
        if alone && order.pixels() <= LITTLE {
            let begun = Instant::now();
            let picture = order.prepare(&frame, &self.memory);
            drop((frame, place));
            client.emit(picture.as_ref(), begun);
            return rx;
        }
        match self.share.claim(generation, order, client, alone) {
            Claim::Waits => {}
            Claim::Ready(client, picture) => {
                self.threads
                    .spawn(move || client.emit(Some(&picture), Instant::now()));
            }
            Claim::Yours(client, task) => {
                let memory = self.memory.clone();
                self.threads.spawn(move || {
                    let begun = Instant::now();
                    let picture = task.order().prepare(&frame, &memory).map(Arc::new);
                    drop(frame);
                    drop(place.0);
                    for other in task.done(picture.as_ref()) {
                        let picture = picture.clone();
                        rayon::spawn(move || other.emit(picture.as_deref(), Instant::now()));
                    }
                    client.emit(picture.as_deref(), begun);
                });
            }
        }
        rx
    }
}

/// A client whose job is being done.
struct Client {
    encoder: Box<Encoder>,
    job: Job,
    done: oneshot::Sender<Finished>,
}

impl Client {
    /// Does the rest of its job, which has cost it time since `begun`.
    fn emit(mut self, picture: Option<&Picture>, begun: Instant) {
        let encoded = picture.map(|picture| self.job.emit(&mut self.encoder, picture));
        // The connection may have gone meanwhile.
        let _ = self.done.send(Finished {
            encoder: self.encoder,
            job: self.job,
            encoded,
            took: begun.elapsed(),
        });
    }
}
