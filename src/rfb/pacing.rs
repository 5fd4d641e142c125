//! Whose turn it is: what plays, or what else has changed.
//!
//! A picture of a video takes long to encode and to arrive, and the next one comes soon; what changes beside it may be
//! what somebody waits for.
//!
//! ```text
//!   the last picture still takes up the link or the encoder ──► the rest alone, or nothing
//!   the rest is awaited, and has not just gone ahead ─────────► the rest alone
//!   else ─────────────────────────────────────────────────────► all together
//! ```

use std::time::{Duration, Instant};

/// A picture takes up a link for this part of the time that its bytes take at the rate that is known, for that may be a
/// little more.
const LINK: f64 = 0.9;

/// While somebody types or points, for so much more than encoding it takes, so that keys find the encoder free.
const ENCODER: f64 = 1.3;

/// Nothing waits for longer, in seconds: updates are made to be on their way for less, so a link that seems to need more
/// is one that was misjudged.
const LONGEST: f64 = 0.25;

/// What an update may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// All that has changed.
    All,
    /// What does not play.
    Rest,
    /// Nothing that plays until then, and nothing else has changed.
    Until(Instant),
}

/// The turns of one client.
#[derive(Debug, Default)]
pub struct Pacing {
    /// The last picture takes up the link or the encoder until then.
    next: Option<Instant>,
    /// The rest went ahead when what plays was due.
    gave_way: bool,
    /// When the picture was begun that is being encoded.
    begun: Option<Instant>,
}

impl Pacing {
    /// Decides on an update of what plays and of the rest, as far as there is either. `awaited`: somebody may be waiting
    /// for the rest.
    pub fn turn(&mut self, plays: bool, rest: bool, awaited: bool, now: Instant) -> Turn {
        match self.next.filter(|next| *next > now) {
            _ if !plays => Turn::All,
            Some(_) if rest => Turn::Rest,
            Some(next) => Turn::Until(next),
            None if rest && awaited && !self.gave_way => {
                self.gave_way = true;
                Turn::Rest
            }
            None => {
                self.gave_way = false;
                Turn::All
            }
        }
    }

    /// All together has to wait for the link: its turn is not over.
    pub fn put_off(&mut self) {
        self.gave_way = true;
    }

    /// A picture of what plays is about to be encoded.
    pub fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
    }

    /// An update was encoded and goes; so many bytes, those before it included, are then on their way, at `rate` bytes a
    /// second if that is known. `awaited`: somebody may be waiting for what changes beside it.
    pub fn sent(&mut self, bytes: u64, rate: Option<f64>, awaited: bool, now: Instant) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        let link = rate.map_or(0.0, |rate| LINK * bytes as f64 / rate.max(1.0));
        let encoder = match awaited {
            true => ENCODER * now.saturating_duration_since(begun).as_secs_f64(),
            false => 0.0,
        };
        self.next = Some(begun + Duration::from_secs_f64(link.max(encoder).min(LONGEST)));
    }

    /// The picture was not encoded after all.
    pub fn give_back(&mut self) {
        self.begun = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_rest_goes_ahead_once() {
        let now = Instant::now();
        let mut pacing = Pacing::default();
        assert_eq!(pacing.turn(true, true, false, now), Turn::All);
        assert_eq!(pacing.turn(true, true, true, now), Turn::Rest);
        assert_eq!(pacing.turn(true, true, true, now), Turn::All);
        assert_eq!(pacing.turn(true, false, true, now), Turn::All);
        assert_eq!(pacing.turn(false, true, true, now), Turn::All);
    }

    #[test]
    fn what_plays_waits_for_the_link_and_for_who_types() {
        let start = Instant::now();
        for (rate, awaited, wait) in [
            (None, false, 0),
            (Some(1e6), false, 90),
            (None, true, 13),
            (Some(1e9), true, 13),
            (Some(0.0), false, 250),
        ] {
            let mut pacing = Pacing::default();
            pacing.begin(start);
            pacing.sent(100_000, rate, awaited, start + 10 * MS);
            // What does not play has no part in it.
            pacing.sent(100_000, rate, awaited, start + 15 * MS);
            let due = start + wait * MS;
            if wait > 0 {
                assert_eq!(pacing.turn(true, false, false, due - MS), Turn::Until(due));
                assert_eq!(pacing.turn(true, true, false, due - MS), Turn::Rest);
                assert_eq!(pacing.turn(false, true, false, due - MS), Turn::All);
            }
            assert_eq!(pacing.turn(true, true, false, due), Turn::All);
        }
    }
}
