//! Children that have ended: so many a turn, and looked for again while there may be more.
//!
//! ```text
//!            SIGCHLD            none is left
//!   nobody ──────────▶ a turn ───────────────▶ nobody
//!                      ▲  │  more are left: at once, after whatever else is ready
//!                      └──┘  it cannot be told: after a pause
//! ```

use std::time::{Duration, Instant};

use super::Driver;
use crate::supervisor::service::Service;

/// Reaped in one turn. All that a fork bomb leaves behind may end at once, and meanwhile somebody asks, or stops us.
const TURN: usize = 256;
/// Between two attempts when the kernel does not tell.
const PAUSE: Duration = Duration::from_millis(100);

impl Driver {
    pub(super) fn reap(&mut self, now: Instant) {
        self.reap_at = None;
        for _ in 0..TURN {
            let (plan, remnants) = (&self.plan, &mut self.remnants);
            let reaped = self.children.reap(|id, pid| {
                // What its main process has left is known already.
                if !plan.service(id).is_some_and(Service::cleans) {
                    remnants.find(id, pid);
                }
            });
            match reaped {
                Ok(Some(reaped)) => match reaped.id {
                    Some(id) => self.ended(id, reaped.exit, now),
                    None => self.probe_ended(reaped.pid, reaped.exit, now),
                },
                Ok(None) => {
                    self.count_remnants();
                    self.count_strays();
                    return;
                }
                // Nobody would tell us a second time about whoever has ended.
                Err(_) => {
                    self.reap_at = Some(now + PAUSE);
                    self.count_remnants();
                    return;
                }
            }
        }
        self.reap_at = Some(now);
        // A service that is among them is not started beside its helpers.
        self.count_remnants();
    }
}
