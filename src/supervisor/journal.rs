//! What happened lately, for those who ask: the last lines of the log, the last events. Bounded; the oldest go first.
//!
//! Readers hold a position, not a copy: one that reads slowly costs nothing, and is told how much it has missed.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::link::{Entry, ServiceState};

/// Bytes that an entry costs besides its words, roughly.
const OVERHEAD: usize = 96;

/// The latest entries, each with a number that grows by one.
#[derive(Debug)]
pub struct Journal {
    entries: VecDeque<Entry>,
    /// Number of the first entry that is still there.
    first: u64,
    bytes: usize,
    limit: usize,
}

impl Journal {
    /// Keeps about so many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            limit,
        }
    }

    /// Adds an entry with the time of now.
    pub fn push(&mut self, service: &str, state: Option<ServiceState>, message: String) {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let entry = Entry {
            time: time.map_or(0.0, |time| time.as_secs_f64()),
            service: service.to_owned(),
            state,
            message,
            missed: 0,
        };
        self.bytes += cost(&entry);
        self.entries.push_back(entry);
        while self.bytes > self.limit
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= cost(&oldest);
            self.first += 1;
        }
    }

    /// Where to begin to get the last `count` entries of this service, or of all.
    pub fn tail(&self, service: Option<&str>, count: usize) -> u64 {
        let mut at = self.first + self.entries.len() as u64;
        let mut left = count;
        for entry in self.entries.iter().rev() {
            if left == 0 {
                break;
            }
            at -= 1;
            if concerns(entry, service) {
                left -= 1;
            }
        }
        at
    }

    /// Writes entries from number `at` on, one JSON object a line, until `budget` bytes are there; returns the number to
    /// go on from.
    pub fn read(&self, at: u64, service: Option<&str>, budget: usize, out: &mut Vec<u8>) -> u64 {
        let mut missed = self.first.saturating_sub(at);
        let mut at = at.max(self.first);
        let skip = usize::try_from(at - self.first).unwrap_or(usize::MAX);
        for entry in self.entries.iter().skip(skip) {
            if out.len() >= budget {
                break;
            }
            at += 1;
            if concerns(entry, service) {
                let entry = Entry {
                    missed: std::mem::take(&mut missed),
                    ..entry.clone()
                };
                if serde_json::to_writer(&mut *out, &entry).is_ok() {
                    out.push(b'\n');
                }
            }
        }
        at
    }
}

fn cost(entry: &Entry) -> usize {
    entry.message.len() + entry.service.len() + OVERHEAD
}

fn concerns(entry: &Entry, service: Option<&str>) -> bool {
    service.is_none_or(|service| service == entry.service)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(journal: &Journal, at: u64, service: Option<&str>) -> (Vec<Entry>, u64) {
        let mut out = Vec::new();
        let next = journal.read(at, service, usize::MAX, &mut out);
        let entries = String::from_utf8(out).unwrap();
        let entries = entries
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        (entries.collect(), next)
    }

    #[test]
    fn readers_go_on_where_they_were_and_are_told_what_they_missed() {
        let mut journal = Journal::new(10 * (OVERHEAD + 4));
        for n in 0..8 {
            journal.push(if n % 2 == 0 { "a" } else { "b" }, None, format!("{n:03}"));
        }
        let messages = |entries: &[Entry]| -> Vec<String> {
            entries.iter().map(|entry| entry.message.clone()).collect()
        };
        let at = journal.tail(Some("a"), 2);
        let (entries, next) = read(&journal, at, Some("a"));
        assert_eq!(messages(&entries), ["004", "006"]);
        assert_eq!(next, 8);
        for n in 8..28 {
            journal.push("c", None, format!("{n:03}"));
        }
        let (entries, next) = read(&journal, next, None);
        assert_eq!(entries.len(), 10);
        assert_eq!(entries[0].missed, 10);
        assert_eq!((entries[1].missed, next), (0, 28));
        assert_eq!(read(&journal, next, None).0.len(), 0);
        assert_eq!(journal.tail(None, 1000), 18);
    }

    #[test]
    fn a_budget_ends_a_turn_and_not_the_reading() {
        let mut journal = Journal::new(1 << 20);
        for n in 0..100 {
            journal.push("a", Some(ServiceState::Ready), format!("{n}"));
        }
        let (mut at, mut lines) = (0, 0);
        while lines < 100 {
            let mut out = Vec::new();
            let next = journal.read(at, None, 300, &mut out);
            assert!(next > at && out.len() < 500);
            lines += out.iter().filter(|byte| **byte == b'\n').count();
            at = next;
        }
        assert_eq!(at, 100);
    }
}
