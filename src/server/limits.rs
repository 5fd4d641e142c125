//! How many strangers may knock at once, and how long a wrong password takes.
//!
//! Nobody is ever locked out: a blacklist punishes everybody behind the same proxy, and probes. Only the answer to
//! *wrong* credentials is delayed, doubling for each source up to [`MAX_DELAY`] and forgotten after [`FORGET`]; the
//! right password is never delayed.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Connections without authentication, all sources together.
const MAX_STRANGERS: usize = 100;
/// The same from one source.
const MAX_STRANGERS_EACH: usize = 8;
/// Delay of the first wrong password.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Delay that it doubles up to.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// A source without a failure for so long starts anew.
const FORGET: Duration = Duration::from_secs(60);
/// Sources remembered; past that those that may be forgotten go. The delay of a failure bounds how fast others come.
const MAX_SOURCES: usize = 65_536;

/// Counts strangers and failures.
#[derive(Debug, Default)]
pub struct Limits {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    strangers: usize,
    sources: HashMap<IpAddr, Source>,
}

#[derive(Debug, Default)]
struct Source {
    strangers: usize,
    failures: u32,
    last_failure: Option<Instant>,
}

impl Source {
    fn is_fresh(&self, now: Instant) -> bool {
        self.strangers > 0
            || self
                .last_failure
                .is_some_and(|at| now.saturating_duration_since(at) < FORGET)
    }
}

/// Why a connection is not even greeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many unauthenticated connections in all.
    Busy,
    /// Too many from this source.
    BusySource,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => write!(
                f,
                "more than {MAX_STRANGERS} connections wait for a password; try again"
            ),
            Self::BusySource => write!(
                f,
                "more than {MAX_STRANGERS_EACH} connections from here wait for a password; try again"
            ),
        }
    }
}

/// A place among the strangers; given back when dropped.
#[derive(Debug)]
pub struct Ticket {
    limits: Arc<Limits>,
    ip: Option<IpAddr>,
}

impl Limits {
    /// Nobody there.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Counters stay meaningful whatever panicked while it held them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a new connection.
    pub fn admit(self: &Arc<Self>, ip: Option<IpAddr>, now: Instant) -> Result<Ticket, Refusal> {
        let mut state = self.state();
        if state.strangers >= MAX_STRANGERS {
            return Err(Refusal::Busy);
        }
        if let Some(ip) = ip {
            if state.sources.len() >= MAX_SOURCES {
                state.sources.retain(|_, s| s.is_fresh(now));
            }
            let source = state.sources.entry(ip).or_default();
            if source.strangers >= MAX_STRANGERS_EACH {
                return Err(Refusal::BusySource);
            }
            source.strangers += 1;
        }
        state.strangers += 1;
        Ok(Ticket {
            limits: self.clone(),
            ip,
        })
    }

    /// Notes wrong credentials; how long to wait before saying so.
    pub fn failed(&self, ip: Option<IpAddr>, now: Instant) -> Duration {
        let Some(ip) = ip else { return FIRST_DELAY };
        let mut state = self.state();
        let source = state.sources.entry(ip).or_default();
        if source
            .last_failure
            .is_none_or(|at| now.saturating_duration_since(at) >= FORGET)
        {
            source.failures = 0;
        }
        source.failures = source.failures.saturating_add(1);
        source.last_failure = Some(now);
        FIRST_DELAY
            .saturating_mul(1 << (source.failures - 1).min(16))
            .min(MAX_DELAY)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.limits.state();
        state.strangers -= 1;
        if let Some(ip) = self.ip {
            let now = Instant::now();
            if let Some(source) = state.sources.get_mut(&ip) {
                source.strangers -= 1;
                if !source.is_fresh(now) {
                    state.sources.remove(&ip);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn ip(n: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::from(n)))
    }

    #[test]
    fn strangers_are_bounded_in_all_and_each() {
        let (limits, now) = (Limits::new(), Instant::now());
        let mut tickets: Vec<_> = (0..8).map(|_| limits.admit(ip(1), now).unwrap()).collect();
        assert_eq!(limits.admit(ip(1), now).unwrap_err(), Refusal::BusySource);
        tickets.extend((0..92).map(|n| limits.admit(ip(100 + n), now).unwrap()));
        assert_eq!(limits.admit(ip(2), now).unwrap_err(), Refusal::Busy);
        drop(tickets);
        assert!(limits.admit(ip(1), now).is_ok());
        assert!(limits.state().sources.is_empty(), "sources are forgotten");
    }

    #[test]
    fn failures_cost_time_and_are_forgotten() {
        let (limits, now) = (Limits::new(), Instant::now());
        let delays: Vec<_> = (0..8)
            .map(|_| limits.failed(ip(1), now).as_millis())
            .collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(limits.failed(ip(1), now + FORGET).as_millis(), 100);
        assert_eq!(
            limits.failed(ip(2), now).as_millis(),
            100,
            "others pay nothing"
        );
    }
}
