//! What the application does while nobody watches: nothing, if that is wished.
//!
//! ```text
//!            a viewer comes (the first one starts it, under start_on_connect)
//!   frozen ─────────────────────────────────────────────────────────────────▶ running
//!      ▲        it is to end, or has ended: thawed before it is told             │
//!      └──────────── nobody for that long, and it is ready ──────────────────────┘
//! ```

use std::time::{Duration, Instant};

use super::Plan;
use crate::supervisor::service::State;

/// What becomes of the application without viewers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone {
    /// It is frozen after this long.
    pub freeze: Option<Duration>,
    /// It is started when the first viewer comes.
    pub start_on_connect: bool,
}

impl Plan {
    /// Is the application held still?
    pub fn frozen(&self) -> bool {
        self.frozen
    }

    /// Whether it is to be, where that is news.
    pub(super) fn freeze(&mut self, now: Instant) -> Option<bool> {
        let wanted = self.freezes_at().is_some_and(|at| now >= at);
        let news = wanted != self.frozen;
        self.frozen = wanted;
        news.then_some(wanted)
    }

    /// When it is, if nothing happens before. One that is not ready yet (again) may still get there.
    pub(super) fn freezes_at(&self) -> Option<Instant> {
        let alone = self.presence.alone_since()?;
        let ready = self
            .services
            .iter()
            .any(|service| service.spec().application && service.state() == State::Ready);
        let limit = self.policy.alone.freeze.filter(|_| ready)?;
        self.stop.is_none().then_some(alone + limit)
    }

    /// The first viewer has come: starts what waited for one.
    pub(super) fn wake(&mut self, now: Instant) {
        if std::mem::replace(&mut self.woken, true) || !self.policy.alone.start_on_connect {
            return;
        }
        let sleeping = self
            .services()
            .find(|(_, service)| service.spec().application && service.state() == State::Stopped);
        if let Some((id, _)) = sleeping {
            self.start_with_needs(id, now);
        }
    }
}
