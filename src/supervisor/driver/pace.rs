//! Keeps the loop from spinning, whatever goes wrong: a descriptor that is ready for ever and cannot be read, a kernel that
//! refuses what it has just offered.
//!
//! Each cause that is known has a remedy of its own, where it arises. This is for the others.

use std::time::{Duration, Instant};

/// Over so long the turns are counted.
const SPAN: Duration = Duration::from_millis(250);
/// So many of them are work. Much output is taken in pieces of 64 KiB; more turns are needed for small ones only, of which
/// a turn that comes a little later takes many.
const TURNS: u32 = 500;

/// The turns of the loop.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When counting began.
    since: Option<Instant>,
    turns: u32,
}

impl Pace {
    /// Counts a turn; is this one to be put off for a moment?
    pub(super) fn is_too_fast(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now >= since + SPAN) {
            self.since = Some(now);
            self.turns = 0;
        }
        self.turns += 1;
        self.turns > TURNS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_not_held_up_and_a_spin_is() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        let at = |micros: u64| start + Duration::from_micros(micros);
        assert!((0..10_000).all(|turn| !pace.is_too_fast(at(turn * 1000))));
        let mut pace = Pace::default();
        let slowed = (0..10_000).filter(|turn| pace.is_too_fast(at(turn * 10)));
        assert_eq!(slowed.count(), 10_000 - TURNS as usize);
        assert!(!pace.is_too_fast(at(250_000)), "and then no more");
    }
}
