//! How much may be on its way to a client: enough to keep the link busy, too little to fill the queues along it.
//!
//! After every update the session sends a fence; the client answers it when it has processed what came before. So the
//! bytes in flight are known, and the time that a fence takes is transmission *and* the client's own work:
//!
//! ```text
//!   Starting ──delay above `HIGH`──► Steady ──idle for a while──► Starting
//!   (the window doubles each round)   delay below `LOW`: grows by an eighth a round; above `HIGH`: shrinks to fit
//! ```
//!
//! *Delay* is the shortest time of a round (about one round trip) less the shortest time ever seen, which is the link
//! without a queue. A large update queues behind itself, through no fault of the link: the time that this takes at the
//! rate that was seen is taken off first. The idea, delay instead of loss as the sign of a full queue, is that of TCP
//! Vegas.
//!
//! Bytes are not all that takes time: some clients need longer to show an update than it takes to get there, however small
//! it is, and a window full of small ones would be seconds of that. So the updates in flight are counted, too.
//!
//! A client without fences is paced by its requests: whoever asks has dealt with what it was sent, or at least with what
//! went before that, and it has left our socket. How long that takes is also the client's own leisure, of which no more
//! is known than what small updates took; so it is a guess, and on the safe side.

mod carried;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use carried::{Carried, TELLING};

/// Bytes that may be in flight before anything is known of a client.
pub const INITIAL_WINDOW: u64 = 64 * 1024;
/// Never fewer than this, or small updates would wait for each other.
pub const MIN_WINDOW: u64 = 16 * 1024;
/// Never more than this, whatever a client makes believe.
pub const MAX_WINDOW: u64 = 4 * 1024 * 1024;

/// Updates that may be in flight whatever each takes.
const UPDATES: u32 = 2;
/// More may be, if the last of them is not so late.
const LATE: Duration = Duration::from_millis(60);

/// A delay below this is no queue but the noise of schedulers, and the window may grow.
const LOW: Duration = Duration::from_millis(5);
/// A delay above this is a queue.
const HIGH: Duration = Duration::from_millis(20);
/// After so long a silence the path may be another one.
const IDLE: Duration = Duration::from_secs(10);
/// Fences that may be unanswered; further updates go without one.
const MAX_PINGS: usize = 64;
/// A client that listed fences and leaves its first one unanswered for so long has none.
const MUTE: Duration = Duration::from_secs(5);

/// So many bytes tell a slow link from a fast one.
const TRIAL: u64 = 16 * 1024;
/// So many by requests alone: a client may ask for more when it has taken what came out of the way, and then be slow.
const GUESSED_TRIAL: u64 = 128 * 1024;

/// May an update go now?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Yes.
    Now,
    /// When a fence is answered, or a request comes.
    Later,
    /// At this time, if nothing happens before.
    At(Instant),
}

/// A fence on its way.
#[derive(Debug)]
struct Ping {
    id: u32,
    /// Bytes sent before it.
    position: u64,
    at: Instant,
    /// Bytes of its update, or how many more than the window were in flight with it: what queues behind itself.
    own: u64,
    /// The window was what held the next update back.
    limited: bool,
}

/// What was seen in one round.
#[derive(Debug, Default)]
struct Round {
    shortest: Option<Duration>,
    limited: bool,
    /// It ends when this position is acknowledged.
    end: u64,
}

/// What is known of the link to a client.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// Bytes a second; `None` while it has taken everything at once.
    pub rate: Option<f64>,
    /// Bytes that go before whatever comes next.
    pub queued: u64,
    /// It has carried nothing yet that would tell whether it is slow.
    pub untried: bool,
    /// All that is by the client's requests, which may come late for another reason.
    pub guessed: bool,
    /// Guessed, and not even known how late requests come when next to nothing was sent: it may be the client's leisure
    /// alone.
    pub blind: bool,
}

/// The flow control of one client.
#[derive(Debug)]
pub struct Flow {
    fences: bool,
    /// A fence was answered once, so the client means it.
    answers: bool,
    window: u64,
    starting: bool,
    sent: u64,
    acknowledged: u64,
    next_id: u32,
    pings: VecDeque<Ping>,
    shortest: Option<Duration>,
    smoothed: Option<Duration>,
    /// Bytes a second that a busy link has delivered.
    rate: Option<f64>,
    carried: Carried,
    /// What each update takes while there is a queue of them.
    each: Option<Duration>,
    /// Position that the client has asked behind.
    asked: u64,
    /// Enough was delivered to tell a slow link from a fast one; so much was until then, and how long it took.
    tried: bool,
    trial: (u64, Duration),
    /// Position and time of the last answer.
    answer: Option<(u64, Instant)>,
    round: Round,
    last: Option<Instant>,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            fences: false,
            answers: false,
            window: INITIAL_WINDOW,
            starting: true,
            sent: 0,
            acknowledged: 0,
            next_id: 0,
            pings: VecDeque::new(),
            shortest: None,
            smoothed: None,
            rate: None,
            carried: Carried::default(),
            each: None,
            asked: 0,
            tried: false,
            trial: (0, Duration::ZERO),
            answer: None,
            round: Round::default(),
            last: None,
        }
    }
}

impl Flow {
    /// The client understands fences from now on.
    pub fn enable_fences(&mut self) {
        if !std::mem::replace(&mut self.fences, true) {
            // What was sent without one is never answered for.
            self.pings.clear();
            self.acknowledged = self.sent;
        }
    }

    /// Bytes that the client has not confirmed.
    pub fn in_flight(&self) -> u64 {
        self.sent - self.acknowledged
    }

    /// Bytes that may be in flight.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Smoothed time from sending to the client's confirmation.
    pub fn round_trip(&self) -> Option<Duration> {
        self.smoothed
    }

    /// When the oldest fence that is not answered was sent.
    #[cfg(feature = "h264")]
    pub fn waiting_since(&self) -> Option<Instant> {
        self.pings.front().map(|p| p.at)
    }

    /// The link without a queue, as far as it was seen.
    pub fn base_round_trip(&self) -> Option<Duration> {
        self.shortest
    }

    /// What is known of the way to the client.
    pub fn link(&self, now: Instant) -> Link {
        Link {
            rate: self.rate(),
            queued: self.queued(now),
            untried: !self.tried,
            guessed: !self.fences,
            blind: !self.fences && self.shortest.is_none(),
        }
    }

    /// Bytes a second that the client takes; `None` while it has taken everything at once.
    pub fn rate(&self) -> Option<f64> {
        self.carried.rate()
    }

    /// Bytes in flight beyond those that are on the road, or have arrived by now, at this rate: they are in a queue, and go
    /// before what comes.
    fn queued(&self, now: Instant) -> u64 {
        let Some(oldest) = self.pings.front() else {
            return 0;
        };
        let (Some(rate), Some(base)) = (self.rate(), self.shortest) else {
            return self.in_flight();
        };
        let leaving = match self.answer {
            // Who asks for an update has not always got the one before: nobody knows when that left.
            _ if !self.fences => base,
            // The last answer is that of a round trip before it: then, or later, the oldest began to leave.
            Some((_, at)) => (base + now.saturating_duration_since(at))
                .min(now.saturating_duration_since(oldest.at)),
            None => now.saturating_duration_since(oldest.at),
        };
        self.in_flight()
            .saturating_sub((leaving.as_secs_f64() * rate) as u64)
    }

    /// Decides on the next update. The first one of an idle link always may go, however large.
    pub fn ready(&self, now: Instant) -> Ready {
        // Until it is known how the first of it got there no more follows.
        let window = if self.tried { self.window } else { TRIAL };
        if !self.fences || self.in_flight() < window && !self.is_late() {
            return Ready::Now;
        }
        match self.pings.front() {
            Some(oldest) if !self.answers => match oldest.at + MUTE {
                mute if mute <= now => Ready::Now,
                mute => Ready::At(mute),
            },
            // Without a fence in flight nothing would ever be answered; that is a matter of a full list of pings only.
            Some(_) => Ready::Later,
            None => Ready::Now,
        }
    }

    /// So many updates are in flight that another one would be late, however few bytes they are.
    fn is_late(&self) -> bool {
        let updates = self.pings.len() as u32;
        let (Some(base), Some(each)) = (self.shortest, self.each) else {
            return false;
        };
        updates >= UPDATES && updates * each > base + LATE
    }

    /// True when little enough is in flight that less urgent data may go. `idle`: nothing more urgent is expected, so a
    /// long way may be filled with it, as far as that is no queue.
    pub fn is_relaxed(&self, idle: bool, now: Instant) -> bool {
        // Bytes that went without a fence, because the list was full, are confirmed by the next one.
        !self.fences
            || self.pings.is_empty()
            || self.in_flight() <= self.window / 2
            || idle
                && self.in_flight() < self.window
                && (self.rate().is_none() || self.queued(now) == 0)
    }

    /// An update is about to go: after a pause what was known is forgotten. True when a fence should go *before* the
    /// update, to measure the link as it is now.
    pub fn begin(&mut self, now: Instant) -> bool {
        let idle = self.in_flight() == 0 && self.last.is_none_or(|last| now - last >= IDLE);
        if idle {
            self.shortest = None;
            self.rate = None;
            self.each = None;
            self.starting = true;
            self.window = self.window.min(INITIAL_WINDOW);
            self.round = Round {
                end: self.sent,
                ..Round::default()
            };
        }
        idle && self.fences
    }

    /// So many bytes were sent. The number that comes back belongs into the fence that follows them.
    pub fn sent(&mut self, bytes: u64, now: Instant) -> Option<u32> {
        self.sent += bytes;
        self.last = Some(now);
        if self.pings.len() >= MAX_PINGS {
            return None;
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let in_flight = self.in_flight();
        self.pings.push_back(Ping {
            id,
            position: self.sent,
            at: now,
            own: in_flight.saturating_sub(self.window).max(bytes),
            limited: in_flight >= self.window,
        });
        self.fences.then_some(id)
    }

    /// The client asked for an update: without fences that says that it has processed all before.
    pub fn requested(&mut self, now: Instant) {
        let mute = self.pings.front().is_some_and(|p| p.at + MUTE <= now);
        if self.fences && !self.answers && mute {
            self.fences = false;
            self.pings.clear();
            self.acknowledged = self.sent;
        }
        self.asked = self.sent;
    }

    /// So many bytes still wait here, and have not gone into the client's socket. `unasked`: it gets updates without
    /// asking for each.
    pub fn waiting(&mut self, bytes: u64, unasked: bool, now: Instant) {
        let left = self.sent.saturating_sub(bytes);
        let position = if unasked { left } else { left.min(self.asked) };
        if self.fences || position <= self.acknowledged {
            return;
        }
        self.acknowledged = position;
        let arrived = self.pings.iter().take_while(|p| p.position <= position);
        let arrived: Vec<Ping> = self.pings.drain(..arrived.count()).collect();
        let [first, ..] = arrived.as_slice() else {
            return;
        };
        let last = arrived.last().map_or(first.position, |p| p.position);
        // Some ask for the next update when one has only begun to come: it was on its own from when the one before it
        // had been asked behind.
        let before = self.answer.replace((last, now));
        let (from, free) = before.map_or((0, first.at), |(position, at)| (position, at));
        let bytes = last.saturating_sub(from);
        let time = now.saturating_duration_since(first.at);
        self.smoothed = Some(self.smoothed.map_or(time, |s| (s * 7 + time) / 8));
        if bytes < TELLING {
            self.shortest = Some(self.shortest.map_or(time, |s| s.min(time)));
        }
        let begun = free.max(first.at + self.shortest.unwrap_or_default());
        self.delivered(bytes, now.saturating_duration_since(begun), now);
    }

    fn delivered(&mut self, bytes: u64, took: Duration, now: Instant) {
        self.carried.observe(bytes, took, now);
        if bytes >= TELLING && !self.tried {
            self.trial.0 += bytes;
            self.trial.1 += took;
            let (bytes, took) = self.trial;
            self.tried = bytes >= self.trial_size() || self.carried.rate().is_some();
            if self.tried && self.carried.rate().is_none() {
                // Each for itself too short to tell.
                self.carried.observe(bytes, took, now);
            }
        }
        // Many that are too small to tell are a link that carries many.
        self.tried |= self.acknowledged >= INITIAL_WINDOW.max(self.trial_size());
    }

    fn trial_size(&self) -> u64 {
        match self.fences {
            true => TRIAL,
            false => GUESSED_TRIAL,
        }
    }

    /// A fence came back. Unknown numbers are ignored: a client can at most deceive itself.
    pub fn answered(&mut self, id: u32, now: Instant) {
        let Some(index) = self.pings.iter().position(|p| p.id == id) else {
            return;
        };
        self.answers = true;
        let updates = index as u32 + 1;
        let Some(ping) = self.pings.drain(..=index).next_back() else {
            return;
        };
        self.acknowledged = self.acknowledged.max(ping.position);
        self.last = Some(now);
        let time = now
            .saturating_duration_since(ping.at)
            .max(Duration::from_micros(1));
        let smoothed = self.smoothed.map_or(time, |s| (s * 7 + time) / 8);
        self.smoothed = Some(smoothed);
        let base = self.shortest.map_or(time, |s| s.min(time));
        self.shortest = Some(base);

        let answer = self.answer.replace((ping.position, now));
        // It was on its own from when the one before had been delivered.
        let (before, free) = answer.map_or((0, ping.at), |(position, at)| (position, at));
        let begun = free.max(ping.at + base);
        let bytes = ping.position.saturating_sub(before);
        self.delivered(bytes, now.saturating_duration_since(begun), now);
        if time <= base + HIGH {
            self.each = None;
        } else if let Some((_, at)) = answer
            && ping.at < at
        {
            let each = now.saturating_duration_since(at) / updates;
            self.each = Some(self.each.map_or(each, |e| (3 * e + each) / 4));
        }
        if let Some((position, at)) = answer
            && ping.at < at
            && at < now
        {
            // The link was busy from one answer to the next.
            let rate = (ping.position - position) as f64 / (now - at).as_secs_f64();
            self.rate = Some(self.rate.map_or(rate, |r| rate.max(r * 0.95 + rate * 0.05)));
        }
        // Nothing is known of the rate yet: at best the link carries one window in one base time.
        let rate = self.rate.unwrap_or(self.window as f64 / base.as_secs_f64());
        let own = Duration::from_secs_f64(ping.own as f64 / rate.max(1.0));
        let time = time.saturating_sub(own).max(base);
        self.round.shortest = Some(self.round.shortest.map_or(time, |s| s.min(time)));
        self.round.limited |= ping.limited;
        if self.acknowledged >= self.round.end {
            self.adapt(base);
            self.round = Round {
                end: self.sent,
                ..Round::default()
            };
        }
    }

    /// A round is over.
    fn adapt(&mut self, base: Duration) {
        let Some(shortest) = self.round.shortest else {
            return;
        };
        let delay = shortest - base;
        let low = LOW.max(base / 8);
        let high = HIGH.max(base / 4);
        if delay > high {
            self.starting = false;
            // What the link carries in the time that it should take.
            let fit = (base + low).as_secs_f64() / shortest.as_secs_f64();
            self.window = (self.window as f64 * fit.max(0.5)) as u64;
        } else if delay > low {
            self.starting = false;
        } else if self.round.limited {
            // A window that was not full says nothing about a larger one.
            self.window += if self.starting {
                self.window
            } else {
                (self.window / 8).max(MIN_WINDOW / 4)
            };
        }
        self.window = self.window.clamp(MIN_WINDOW, MAX_WINDOW);
    }
}

#[cfg(test)]
mod tests;
