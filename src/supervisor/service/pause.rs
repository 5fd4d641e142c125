//! How long it takes until the next attempt.

use std::time::Duration;

use super::Service;

/// The first restart comes at once, the second after this; it doubles from then on.
pub const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// No pause between two restarts is longer.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// No pause is longer before it is tried again to start what the system had no room for: it may have some at any time.
pub const LONGEST_REFUSAL: Duration = Duration::from_secs(4);

/// The pause before a restart, by the number of restarts that came before it.
pub fn backoff(attempts: u32) -> Duration {
    match attempts {
        0 => Duration::ZERO,
        n => FIRST_BACKOFF
            .saturating_mul(1_u32.checked_shl(n - 1).unwrap_or(u32::MAX))
            .min(LONGEST_BACKOFF),
    }
}

impl Service {
    /// The system had no room once more: the pause before the next attempt.
    pub(super) fn refused(&mut self) -> Duration {
        self.refusals = self.refusals.saturating_add(1);
        backoff(self.refusals).min(LONGEST_REFUSAL)
    }
}
