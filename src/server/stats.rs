//! Counters of the whole server, for metrics and status.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper ends of the classes of ages, in milliseconds; above the last there is one more.
pub const AGES: [u64; 11] = [2, 5, 10, 20, 33, 50, 100, 200, 500, 1000, 2000];

/// How many times were how long.
#[derive(Debug, Default)]
pub struct Times {
    classes: [AtomicU64; AGES.len() + 1],
    total_us: AtomicU64,
}

impl Times {
    /// Counts one.
    pub fn observe(&self, time: Duration) {
        let class = AGES.partition_point(|end| Duration::from_millis(*end) < time);
        self.classes[class].fetch_add(1, Relaxed);
        self.total_us.fetch_add(time.as_micros() as u64, Relaxed);
    }

    /// All together, and how many were in each class, the longest ones last.
    pub fn snapshot(&self) -> (Duration, [u64; AGES.len() + 1]) {
        let total = Duration::from_micros(self.total_us.load(Relaxed));
        (
            total,
            self.classes.each_ref().map(|class| class.load(Relaxed)),
        )
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Monotonic counters; cheap to bump from any task.
        #[derive(Debug, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: AtomicU64,)*
            /// From the publication of a frame until its update was ready to be sent.
            pub frame_age: Times,
        }

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
}

impl Stats {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_their_classes() {
        let times = Times::default();
        for ms in [0, 2, 3, 33, 34, 5000] {
            times.observe(Duration::from_millis(ms));
        }
        let (total, classes) = times.snapshot();
        assert_eq!(total, Duration::from_millis(5072));
        assert_eq!(classes, [2, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1]);
    }
}
