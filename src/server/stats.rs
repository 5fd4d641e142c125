//! Counters of the whole server, for metrics and status.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Monotonic counters; cheap to bump from any task.
        #[derive(Debug, Default)]
        pub struct Stats { $($(#[$doc])* pub $name: AtomicU64,)* }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Snapshot { $($(#[$doc])* pub $name: u64,)* }

        impl Stats {
            /// Reads them all.
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections,
    /// Connections refused by a limit.
    refused,
    /// Wrong credentials.
    failures,
    /// Sessions begun.
    sessions,
    /// Framebuffer updates sent.
    updates,
    /// Bytes to viewers.
    bytes_out,
    /// Bytes from viewers.
    bytes_in,
    /// Microseconds spent encoding.
    encode_us,
    /// Microseconds from the publication of a frame until its update was ready to be sent, over all updates.
    frame_age_us,
}

impl Stats {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }
}
