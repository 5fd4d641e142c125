//! The threads that encode.
//!
//! One private pool, as wide as the container's CPU quota. A job takes its frame only when it has a place in the pool,
//! so encoders never hold more frames than there are places, and the capture always finds a free buffer.

use crate::encode::{Encoded, Encoder};
use crate::pixel::Frame;
use crate::rfb::Job;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The pool; clones share it.
#[derive(Clone)]
pub struct Pool {
    threads: Arc<rayon::ThreadPool>,
    places: Arc<Semaphore>,
}

/// Jobs at the same time: with the writer's buffer they make the three that the screen has.
const MAX_JOBS: usize = 2;

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

    /// Encodes a job from `frame`; the answer is lost only when the encoder panicked.
    pub(super) fn encode(
        &self,
        place: Place,
        mut encoder: Box<Encoder>,
        frame: Arc<Frame>,
        mut job: Job,
    ) -> oneshot::Receiver<Finished> {
        let (tx, rx) = oneshot::channel();
        self.threads.spawn(move || {
            let begun = Instant::now();
            let encoded = job.encode(&mut encoder, &frame);
            drop(frame);
            drop(place.0);
            // The connection may have gone meanwhile.
            let _ = tx.send(Finished {
                encoder,
                job,
                encoded,
                took: begun.elapsed(),
            });
        });
        rx
    }
}
