//! Who is there, and since when: what the limits of TigerVNC's servers are about. Only authenticated viewers count.
//!
//! ```text
//!            the first comes                      MaxDisconnectionTime runs while nobody is there, from the start on
//!   alone ◀───────────────────▶ in company        MaxConnectionTime runs while somebody is, from the first of them on
//!            the last goes                        MaxIdleTime runs since the last key, motion or arrival
//! ```

use std::time::{Duration, Instant};

use super::Cause;

/// The limits; `None` is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Without a viewer.
    pub disconnection: Option<Duration>,
    /// With viewers.
    pub connection: Option<Duration>,
    /// Without input of a viewer.
    pub idle: Option<Duration>,
}

/// Input is reported once a second at most, so that the last may be so much later than it seems.
const REPORTS: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct Presence {
    viewers: u32,
    /// When the number became zero, or was not any more.
    since: Instant,
    /// The last input, or arrival.
    input: Instant,
}

impl Presence {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            viewers: 0,
            since: now,
            input: now,
        }
    }

    pub(super) fn viewers(&self) -> u32 {
        self.viewers
    }

    /// Since when nobody has been there, if so.
    pub(super) fn alone_since(&self) -> Option<Instant> {
        (self.viewers == 0).then_some(self.since)
    }

    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.input)
    }

    pub(super) fn set_viewers(&mut self, viewers: u32, now: Instant) {
        if (self.viewers == 0) != (viewers == 0) {
            self.since = now;
        }
        if viewers > self.viewers {
            self.input = now;
        }
        self.viewers = viewers;
    }

    pub(super) fn input(&mut self, now: Instant) {
        self.input = now;
    }

    /// The limit that is reached first, and when.
    pub(super) fn end(&self, limits: &Limits) -> Option<(Instant, Cause)> {
        let presence = match self.viewers {
            0 => limits
                .disconnection
                .map(|limit| (self.since + limit, Cause::Disconnected(limit))),
            _ => limits
                .connection
                .map(|limit| (self.since + limit, Cause::Connected(limit))),
        };
        let idle = limits
            .idle
            .map(|limit| (self.input + limit + REPORTS, Cause::Idle(limit)));
        presence.into_iter().chain(idle).min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        disconnection: Some(Duration::from_secs(60)),
        connection: Some(Duration::from_secs(100)),
        idle: Some(Duration::from_secs(80)),
    };

    #[test]
    fn each_limit_counts_from_what_it_is_about() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut presence = Presence::new(start);
        let end = |presence: &Presence| presence.end(&LIMITS).unwrap();
        assert_eq!(
            end(&presence),
            (at(60), Cause::Disconnected(Duration::from_secs(60)))
        );
        presence.set_viewers(1, at(10));
        assert_eq!(
            end(&presence),
            (at(91), Cause::Idle(Duration::from_secs(80)))
        );
        presence.input(at(50));
        assert_eq!(
            end(&presence),
            (at(110), Cause::Connected(Duration::from_secs(100)))
        );
        // Another viewer, and the first going, change nothing: somebody is there all the time.
        presence.set_viewers(2, at(60));
        presence.set_viewers(1, at(70));
        assert_eq!(end(&presence).0, at(110));
        presence.set_viewers(0, at(100));
        assert_eq!(
            end(&presence),
            (at(141), Cause::Idle(Duration::from_secs(80)))
        );
        assert_eq!(presence.idle(at(100)), Duration::from_secs(40));
        assert!(presence.end(&Limits::default()).is_none());
    }
}
