//! How often the screen may be read.
//!
//! Not more often than the interval over any length of time, but the reading that was saved by waiting may be had at
//! once: what somebody types beside a video is read when it is drawn, not when the video's turn is over. (The generic
//! cell rate algorithm, with a burst of two.)

use std::time::{Duration, Instant};

/// Spends readings.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// When all readings will have been saved up again.
    full: Option<Instant>,
}

impl Pace {
    pub(super) const fn new(interval: Duration) -> Self {
        Self {
            interval,
            full: None,
        }
    }

    /// When the next reading may be; `None`: now.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let due = self.full?.checked_sub(self.interval)?;
        (due > now).then_some(due)
    }

    /// The screen is read.
    pub(super) fn spend(&mut self, now: Instant) {
        let from = self.full.map_or(now, |full| full.max(now));
        self.full = Some(from + self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(20);

    #[test]
    fn two_at_once_and_then_at_intervals() {
        let mut pace = Pace::new(INTERVAL);
        let start = Instant::now();
        let mut now = start;
        for i in 0..50 {
            if let Some(due) = pace.due(now) {
                now = due;
            }
            pace.spend(now);
            assert_eq!(now, start + INTERVAL * u32::max(i, 1) - INTERVAL, "{i}");
        }
        // After a pause, two again.
        now += 5 * INTERVAL;
        pace.spend(now);
        assert_eq!(pace.due(now), None);
        pace.spend(now);
        assert_eq!(pace.due(now), Some(now + INTERVAL));
    }

    #[test]
    fn beside_what_comes_at_half_the_rate_there_is_always_one_left() {
        let mut pace = Pace::new(INTERVAL);
        let mut now = Instant::now();
        for _ in 0..20 {
            pace.spend(now);
            let typed = now + INTERVAL / 10;
            assert_eq!(pace.due(typed), None);
            pace.spend(typed);
            now += 2 * INTERVAL;
            assert_eq!(pace.due(now), None);
        }
    }
}
