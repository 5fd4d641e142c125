//! What a link carries: bytes a second, as far as they are not lent.
//!
//! Many links let through at once what they could have carried while nothing went (token buckets, as of traffic shaping):
//! for a moment they seem much faster than they are, and what was made for that comes late as soon as nothing is left.
//!
//! ```text
//!   late ──► something quick ──► late again, and all between no more than the late ones say ──► bucket
//!    ▲                                                                                            │
//!    └─────────── it carried more than a bucket of that rate can have held: it is faster ◄────────┘
//! ```
//!
//! Between two moments at which it was empty a bucket lets through exactly its rate. A link that only stood still for a
//! moment is told from one by the same: it has carried much more in between.

use std::time::{Duration, Instant};

/// Whatever was delivered faster than this says nothing about the link but that it is not slow: clients answer when they
/// have drawn.
const DRAWN: Duration = Duration::from_millis(30);
/// Fewer bytes are all overhead.
pub(super) const TELLING: u64 = 4 * 1024;

/// An update that took longer was late, with some allowance: it should have been made smaller (see `quality::TIME`).
const LATE: Duration = Duration::from_millis(225);
/// So many bytes at once tell a link that lends.
const LARGE: u64 = 16 * 1024;
/// They were quick if they came so many times as fast as the late ones.
const QUICK: f64 = 2.0;
/// Two late updates belong together, if no more time is between them.
const TOGETHER: Duration = Duration::from_secs(20);
/// And so many times as much has come between them, at most, as the second one says.
const ALIKE: f64 = 1.5;
/// It may have lent a part of that update, too, so what came between says more, as far as there was always something to send.
const LENT: f64 = 1.25;
/// No bucket holds more than a link carries in so many seconds.
const DEEPEST: f64 = 2.0;
/// So many times its rate is asked of a bucket: a little more, or it could not show that it carries more by now,
const MORE: f64 = 1.1;
/// and so many times as much for each time of probation that it is not late after the first.
const TRUST: f64 = 1.5;
const PROBATION: Duration = Duration::from_secs(5);

/// What the link has carried lately, in bytes and seconds; kept over pauses, for a link is rarely another one.
#[derive(Debug, Default)]
pub(super) struct Carried {
    bytes: f64,
    seconds: f64,
    late: Option<Late>,
    bucket: Option<Bucket>,
}

/// The last update that was late.
#[derive(Debug)]
struct Late {
    at: Instant,
    /// Bytes a second.
    rate: f64,
    /// Bytes that have come since.
    since: u64,
    /// Much of that at once.
    quick: bool,
}

/// A link that lends; kept, for it remains one, even when it asks for no more care.
#[derive(Debug)]
struct Bucket {
    /// Bytes a second.
    rate: f64,
    /// It has not been late since.
    since: Instant,
    /// Bytes that it has carried beyond this rate until then; fewer than none: what it may lend.
    beyond: f64,
    at: Instant,
}

impl Carried {
    /// Bytes a second; `None` while nothing has taken any time.
    pub(super) fn rate(&self) -> Option<f64> {
        let seen = self.seen()?;
        Some(self.bucket.as_ref().map_or(seen, |b| seen.min(b.most())))
    }

    fn seen(&self) -> Option<f64> {
        (self.bytes > 0.0).then(|| self.bytes / self.seconds)
    }

    /// So many bytes were delivered by `now`, and had the link for themselves for so long.
    pub(super) fn observe(&mut self, bytes: u64, took: Duration, now: Instant) {
        let seconds = took.as_secs_f64().max(1e-4);
        let rate = bytes as f64 / seconds;
        if bytes >= TELLING && (took >= DRAWN || self.seen().is_some_and(|seen| rate > seen)) {
            self.bytes = self.bytes * 0.75 + bytes as f64;
            self.seconds = self.seconds * 0.75 + seconds;
        }
        if let Some(bucket) = &mut self.bucket
            && bucket.overflows(bytes, now)
        {
            self.bucket = None;
        }
        if let Some(late) = &mut self.late {
            late.since += bytes;
            late.quick |= bytes >= LARGE && rate >= QUICK * late.rate;
        }
        if bytes >= LARGE && took >= LATE {
            self.was_late(rate, now);
        }
    }

    /// An update came at this rate, and too late.
    fn was_late(&mut self, rate: f64, now: Instant) {
        let before = self.late.replace(Late {
            at: now,
            rate,
            since: 0,
            quick: false,
        });
        let Some(before) = before else { return };
        let time = now.saturating_duration_since(before.at);
        let carried = before.since as f64 / time.as_secs_f64().max(1e-4);
        let lends = before.quick || self.bucket.is_some();
        if lends && time <= TOGETHER && carried <= ALIKE * rate {
            self.bucket = Some(Bucket {
                rate: carried.clamp(rate / LENT, rate),
                since: now,
                beyond: 0.0,
                at: now,
            });
        }
    }
}

impl Bucket {
    /// Bytes a second that may be asked of it.
    fn most(&self) -> f64 {
        let time = self.at.saturating_duration_since(self.since);
        let trusted = time.saturating_sub(PROBATION);
        self.rate * MORE * TRUST.powf(trusted.as_secs_f64() / PROBATION.as_secs_f64())
    }

    /// So many bytes more; true when no bucket can have held them.
    fn overflows(&mut self, bytes: u64, now: Instant) -> bool {
        let time = now.saturating_duration_since(self.at).as_secs_f64();
        let deepest = DEEPEST * self.rate;
        self.at = now;
        self.beyond = (self.beyond - self.rate * time).max(-deepest) + bytes as f64;
        self.beyond > deepest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A link that lends as many bytes as it carries in `credit`, and five pictures a second, each of the best quality that
    /// may take 0.2 s.
    struct Lending {
        carried: Carried,
        rate: f64,
        credit: Duration,
        /// What it lends is used up until then, and the bytes of before.
        free: Instant,
        now: Instant,
    }

    impl Lending {
        fn new(rate: f64, credit: Duration) -> Self {
            let now = Instant::now();
            Self {
                carried: Carried::default(),
                rate,
                credit,
                free: now,
                now,
            }
        }

        /// Sends a picture; returns how long it took.
        fn picture(&mut self) -> Duration {
            let rate = self.carried.rate().unwrap_or(f64::MAX);
            let qualities = (0..20).map(|step| 200e3 * 0.7f64.powi(step));
            let bytes = qualities.into_iter().find(|bytes| *bytes <= rate * 0.2);
            let bytes = bytes.unwrap_or(1e3) as u64;
            let least = self.now.checked_sub(self.credit).unwrap_or(self.now);
            self.free = self.free.max(least) + Duration::from_secs_f64(bytes as f64 / self.rate);
            let took = self.free.saturating_duration_since(self.now).max(MS);
            self.carried.observe(bytes, took, self.now + took);
            self.now += took.max(200 * MS);
            took
        }

        /// Sends pictures for so many seconds, and nothing for two in between; returns the longest that one of them took.
        fn pictures(&mut self, seconds: u32) -> Duration {
            let end = self.now + seconds * 1000 * MS;
            let mut longest = Duration::ZERO;
            while self.now < end {
                for _ in 0..20 {
                    longest = longest.max(self.picture());
                }
                self.now += 2000 * MS;
            }
            longest
        }
    }

    #[test]
    fn what_a_link_lends_is_not_believed_twice() {
        for rate in [100e3, 200e3, 500e3] {
            for credit in [0, 20, 200, 500, 1000, 1500] {
                let mut link = Lending::new(rate, credit * MS);
                link.pictures(15);
                let longest = link.pictures(60);
                assert!(longest < 450 * MS, "{rate}, {credit} ms: {longest:?}");
                let seen = link.carried.rate().expect("a rate");
                assert!(seen > 0.8 * rate, "{rate}, {credit} ms: {seen}");
            }
        }
    }

    #[test]
    fn a_link_that_lent_and_gets_faster_is_believed() {
        let mut link = Lending::new(200e3, 1000 * MS);
        link.pictures(30);
        assert!(link.carried.bucket.is_some());
        link.rate = 5e6;
        link.pictures(20);
        let seen = link.carried.rate().expect("a rate");
        assert!(seen > 1e6, "{seen}");
    }

    #[test]
    fn a_link_that_stands_still_for_a_moment_does_not_lend() {
        let mut link = Lending::new(5e6, Duration::ZERO);
        link.pictures(5);
        for _ in 0..5 {
            // Something is in its way.
            link.free = link.now + 700 * MS;
            link.pictures(3);
            assert!(link.carried.bucket.is_none());
        }
    }
}
