//! Does the display worker still turn? One that hangs ends not, and whoever asks it waits: it is missed when it does not
//! say every few seconds that it is there.
//!
//! ```text
//!            WATCHDOG=1                nothing for a span, MISSES times in a row
//!  unknown ────────────▶ watched ──────────────────────────────────────────────▶ silent: killed, started again
//!     ▲                     │
//!     └── its process ends ─┘
//! ```
//!
//! Time that the whole container was frozen counts as one span at most.

use std::time::{Duration, Instant};

/// It says so more often than this.
const SPAN: Duration = Duration::from_secs(8);
/// So many spans in a row without a word are a hang.
const MISSES: u32 = 2;

/// Listens for one service.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    /// The end of this span, once it has said something.
    ends: Option<Instant>,
    missed: u32,
}

impl Watchdog {
    /// It says that it is there.
    pub(super) fn heard(&mut self, now: Instant) {
        self.ends = Some(now + SPAN);
        self.missed = 0;
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ends
    }

    /// Lets time pass; true when it hangs, once.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        if self.ends.is_none_or(|at| now < at) {
            return false;
        }
        self.ends = Some(now + SPAN);
        self.missed += 1;
        let hangs = self.missed >= MISSES;
        if hangs {
            *self = Self::default();
        }
        hangs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_missed_after_two_spans_without_a_word() {
        let start = Instant::now();
        let mut dog = Watchdog::default();
        assert_eq!(dog.deadline(), None);
        assert!(!dog.turn(start + 100 * SPAN), "it has said nothing yet");
        dog.heard(start);
        assert_eq!(dog.deadline(), Some(start + SPAN));
        dog.heard(start + SPAN / 2);
        assert!(!dog.turn(start + SPAN));
        assert!(!dog.turn(start + 2 * SPAN), "once may be chance");
        dog.heard(start + 2 * SPAN);
        assert_eq!(dog.deadline(), Some(start + 3 * SPAN));
        // The container was frozen.
        assert!(!dog.turn(start + 50 * SPAN));
        assert!(!dog.turn(start + 50 * SPAN));
        assert!(dog.turn(start + 51 * SPAN));
        assert_eq!(dog.deadline(), None, "told once");
    }
}
