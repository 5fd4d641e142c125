//! What people ask of single services, as against what the plan wants by itself.
//!
//! A service that somebody stopped stays so, and its end means nothing to the others but for those bound to it, which
//! wait until it is back. What was given up, or has ended, can be started again.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Plan;
use crate::supervisor::service::Id;

/// An order of a person, for one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Run; what it needs is started with it.
    Start,
    /// End, and stay so.
    Stop,
    /// End if it runs, and start.
    Restart,
}

impl Plan {
    /// Does what is asked; true when that changes anything. Nothing is changed any more once everything is stopping.
    pub fn order(&mut self, id: Id, order: Order, now: Instant) -> bool {
        if self.stopping().is_some() {
            return false;
        }
        let grace: Duration = self.policy.grace;
        let Some(service) = self.services.get_mut(id.0) else {
            return false;
        };
        match order {
            Order::Stop => service.halt(grace, now),
            Order::Start => self.start_with_needs(id, now),
            Order::Restart => service.renew(grace, now) || self.start_with_needs(id, now),
        }
    }

    /// Predecessors stand before it in the plan, so this comes to an end.
    pub(super) fn start_with_needs(&mut self, id: Id, now: Instant) -> bool {
        let Some(service) = self.services.get_mut(id.0) else {
            return false;
        };
        let changed = service.revive(now);
        let needs = service.spec().needs().filter(|other| other.0 < id.0);
        let needs: Vec<Id> = needs.collect();
        for other in needs {
            if self.service(other).is_some_and(|service| service.is_over()) {
                self.start_with_needs(other, now);
            }
        }
        changed
    }
}
