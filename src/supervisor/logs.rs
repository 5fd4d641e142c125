//! What the services print, line by line under their names, on our standard output.
//!
//! ```text
//!  pipe of a service ─▶ Source: lines (≤ 8 KiB each) ─▶ queue (≤ 256 KiB) ─▶ standard output
//!  our own words     ────────────────────────────────────▲    │
//!                                                             └ full: the line is dropped and counted; the count is
//!                                                               told in the stream as soon as there is room again
//! ```
//!
//! Pipes are always drained, so a service never waits for whoever reads our output, and neither do we.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::SystemTime;

use super::journal::Journal;
use super::service::Id;
use crate::sys::output::{self, Output};

/// Longer lines are cut into pieces of this many bytes.
const LINE: usize = 8 * 1024;
/// Bytes that wait for a slow reader, at most.
const QUEUE: usize = 256 * 1024;
/// Room that is kept for our own words, which are few and matter most.
const OWN: usize = 16 * 1024;
/// Bytes taken from one service before the others have their turn.
const TURN: usize = 64 * 1024;
/// Bytes of the latest lines that are kept for those who ask.
const JOURNAL: usize = 256 * 1024;
/// Last lines of each service that are kept to explain its end.
const TAIL: usize = 12;
/// Pipes at the same time, those of processes included that outlive the service that started them; the oldest of those
/// is closed beyond that.
const SOURCES: usize = 64;

/// Form of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `[name] text`.
    Text,
    /// `{"time":…,"service":"name","message":"text"}`.
    Json,
}

/// A pipe that a service writes to.
#[derive(Debug)]
struct Source {
    id: Id,
    name: Arc<str>,
    fd: OwnedFd,
    partial: Vec<u8>,
    /// What somebody waits for in a line of it.
    awaited: Option<Arc<str>>,
}

/// All output.
#[derive(Debug)]
pub struct Logs {
    form: Form,
    out: Option<Output>,
    queue: VecDeque<u8>,
    /// Lines dropped since the last were told.
    gap: u64,
    /// Lines dropped at all.
    lost: u64,
    sources: Vec<Source>,
    tails: BTreeMap<Id, VecDeque<String>>,
    /// Services of which an awaited line has come.
    seen: Vec<Id>,
    journal: Journal,
}

/// Our own name in the stream.
pub const OWN_NAME: &str = "run";

impl Logs {
    /// Lines in this form, to `out`; `None` when there is nobody to write to.
    pub fn new(form: Form, out: Option<Output>) -> Self {
        Self {
            form,
            out,
            queue: VecDeque::new(),
            gap: 0,
            lost: 0,
            sources: Vec::new(),
            tails: BTreeMap::new(),
            seen: Vec::new(),
            journal: Journal::new(JOURNAL),
        }
    }

    /// A new pipe for a service; the returned end is for its process.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn pipe(&mut self, id: Id, name: Arc<str>) -> io::Result<OwnedFd> {
        let (ours, theirs) = output::pipe()?;
        if self.sources.len() >= SOURCES {
            self.close_oldest(id);
        }
        self.sources.push(Source {
            id,
            name,
            fd: ours,
            partial: Vec::new(),
            awaited: None,
        });
        self.tails.remove(&id);
        Ok(theirs)
    }

    /// Closes the oldest pipe that only processes hold whose service has been started again (`next` is about to be),
    /// never that of a service's main process.
    fn close_oldest(&mut self, next: Id) {
        let left_behind = |index: usize, id: Id| {
            id == next
                || self
                    .sources
                    .iter()
                    .skip(index + 1)
                    .any(|later| later.id == id)
        };
        let oldest = self
            .sources
            .iter()
            .enumerate()
            .position(|(index, source)| left_behind(index, source.id));
        let Some(oldest) = oldest else { return };
        let mut source = self.sources.remove(oldest);
        // What it has said already is not lost.
        if self.take(&mut source) && !source.partial.is_empty() {
            let rest = std::mem::take(&mut source.partial);
            self.line(&mut source, &rest);
        }
    }

    /// Looks for a line of a service's latest process in which `text` stands.
    pub fn expect(&mut self, id: Id, text: &Arc<str>) {
        let mut own = self.sources.iter_mut().filter(|source| source.id == id);
        if let Some(latest) = own.next_back() {
            latest.awaited = Some(Arc::clone(text));
        }
        // What is left of earlier ones says nothing about this one.
        own.for_each(|earlier| earlier.awaited = None);
    }

    /// The services of which an expected line has come since this was asked last.
    pub fn take_seen(&mut self) -> Vec<Id> {
        std::mem::take(&mut self.seen)
    }

    /// Says something ourselves.
    pub fn say(&mut self, text: &str) {
        self.journal.push(OWN_NAME, None, text.to_owned());
        self.enqueue(OWN_NAME, text.as_bytes(), QUEUE + OWN);
        self.flush();
    }

    /// The pipes to wait for, in the order that [`Logs::drain`] knows them by.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sources.iter().map(|source| source.fd.as_fd())
    }

    /// Standard output, while something waits for it.
    pub fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.out
            .as_ref()
            .filter(|_| !self.queue.is_empty())
            .map(AsFd::as_fd)
    }

    /// Takes what there is from the pipes for which `readable` holds, and forgets those that are at their end.
    pub fn drain(&mut self, readable: impl Fn(usize) -> bool) {
        let mut sources = std::mem::take(&mut self.sources);
        let mut index = 0;
        sources.retain_mut(|source| {
            let due = readable(index);
            index += 1;
            !due || self.take(source)
        });
        self.sources = sources;
        self.flush();
    }

    /// Takes everything that is there from every pipe: a process has ended, or all of it ends.
    pub fn drain_all(&mut self) {
        self.drain(|_| true);
    }

    /// The last lines of a service's latest process.
    pub fn tail(&self, id: Id) -> Vec<String> {
        self.tails.get(&id).into_iter().flatten().cloned().collect()
    }

    /// The latest lines of all services, our own among them.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Lines that were dropped because nobody read.
    pub fn dropped(&self) -> u64 {
        self.lost
    }

    /// Writes as much as there is room for.
    pub fn flush(&mut self) {
        while !self.queue.is_empty() {
            let (head, _) = self.queue.as_slices();
            let result = match &mut self.out {
                Some(out) => out.write(head),
                None => Ok(head.len()),
            };
            match result {
                Ok(0) => return,
                Ok(written) => drop(self.queue.drain(..written.min(self.queue.len()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody will ever read it.
                Err(_) => {
                    self.out = None;
                    self.queue.clear();
                }
            }
            self.report_dropped();
        }
    }

    /// At the very end: gives the reader this many milliseconds to take what waits.
    pub fn finish(&mut self, milliseconds: u16) {
        self.drain_all();
        let end = std::time::Instant::now() + std::time::Duration::from_millis(milliseconds.into());
        loop {
            self.flush();
            let left = end.saturating_duration_since(std::time::Instant::now());
            let Some(out) = self
                .out
                .as_ref()
                .filter(|_| !self.queue.is_empty() && !left.is_zero())
            else {
                return;
            };
            out.room(u16::try_from(left.as_millis()).unwrap_or(u16::MAX));
        }
    }

    /// True while the pipe is open.
    fn take(&mut self, source: &mut Source) -> bool {
        let mut buffer = [0; 16 * 1024];
        let mut taken = 0;
        while taken < TURN {
            match output::read(source.fd.as_fd(), &mut buffer) {
                Ok(0) => {
                    if !source.partial.is_empty() {
                        let rest = std::mem::take(&mut source.partial);
                        self.line(source, &rest);
                    }
                    return false;
                }
                Ok(count) => {
                    taken += count;
                    self.split(source, buffer.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    fn split(&mut self, source: &mut Source, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, whole) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            for part in text.chunks(LINE) {
                if source.partial.len() + part.len() > LINE {
                    let full = std::mem::take(&mut source.partial);
                    self.line(source, &full);
                }
                source.partial.extend_from_slice(part);
            }
            if whole {
                let line = std::mem::take(&mut source.partial);
                self.line(source, &line);
            }
        }
    }

    fn line(&mut self, source: &mut Source, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(text) = &source.awaited
            && line.windows(text.len()).any(|part| part == text.as_bytes())
        {
            source.awaited = None;
            self.seen.push(source.id);
        }
        let tail = self.tails.entry(source.id).or_default();
        if tail.len() >= TAIL {
            tail.pop_front();
        }
        tail.push_back(String::from_utf8_lossy(line.get(..512).unwrap_or(line)).into_owned());
        let text = String::from_utf8_lossy(line).into_owned();
        self.journal.push(&source.name, None, text);
        self.enqueue(&source.name, line, QUEUE);
    }

    fn enqueue(&mut self, name: &str, line: &[u8], limit: usize) {
        if self.gap > 0 && name != OWN_NAME
            || self.queue.len() + line.len() + name.len() + 128 > limit
        {
            // While a gap is open, what follows belongs into it: order is kept, and the count is told at its end.
            self.gap += 1;
            self.lost += 1;
            return;
        }
        match self.form {
            Form::Text => {
                self.queue.extend(b"[");
                self.queue.extend(name.as_bytes());
                self.queue.extend(b"] ");
                self.queue.extend(line);
            }
            // A service that writes JSON itself is not wrapped again.
            Form::Json if line.first() == Some(&b'{') && line.last() == Some(&b'}') => {
                self.queue.extend(line)
            }
            Form::Json => {
                let object = serde_json::json!({
                    "time": SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64()),
                    "service": name,
                    "message": String::from_utf8_lossy(line),
                });
                self.queue.extend(object.to_string().as_bytes());
            }
        }
        self.queue.extend(b"\n");
    }

    fn report_dropped(&mut self) {
        if self.gap > 0 && self.queue.len() < QUEUE / 2 {
            let count = std::mem::take(&mut self.gap);
            let text = format!("{count} lines were dropped here: nobody read this log fast enough");
            self.enqueue(OWN_NAME, text.as_bytes(), QUEUE + OWN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    fn logs(form: Form) -> (Logs, File) {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let out = Output::of(writer.as_fd()).unwrap();
        (Logs::new(form, Some(out)), File::from(reader))
    }

    fn read_all(logs: Logs, mut reader: File) -> String {
        drop(logs);
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn lines_carry_their_service_whatever_the_pieces() {
        let (mut logs, reader) = logs(Form::Text);
        let mut app = File::from(logs.pipe(Id(3), "app".into()).unwrap());
        app.write_all(b"one\ntw").unwrap();
        logs.drain_all();
        app.write_all(b"o\r\n\nlast").unwrap();
        logs.drain_all();
        logs.say("hello");
        drop(app);
        logs.drain_all();
        assert_eq!(logs.fds().count(), 0, "a closed pipe is forgotten");
        assert_eq!(logs.tail(Id(3)), ["one", "two", "", "last"]);
        assert_eq!(
            read_all(logs, reader),
            "[app] one\n[app] two\n[app] \n[run] hello\n[app] last\n"
        );
    }

    #[test]
    fn an_expected_line_is_seen_once_and_only_of_the_latest_process() {
        let (mut logs, _reader) = logs(Form::Text);
        let mut old = File::from(logs.pipe(Id(1), "hub".into()).unwrap());
        logs.expect(Id(1), &"listening".into());
        let mut new = File::from(logs.pipe(Id(1), "hub".into()).unwrap());
        logs.expect(Id(1), &"listening".into());
        old.write_all(b"listening\n").unwrap();
        new.write_all(b"not yet\nnow list").unwrap();
        logs.drain_all();
        assert_eq!(logs.take_seen(), []);
        new.write_all(b"ening on 80\nlistening\n").unwrap();
        logs.drain_all();
        assert_eq!(logs.take_seen(), [Id(1)]);
        assert_eq!(logs.take_seen(), []);
    }

    #[test]
    fn a_line_without_end_is_cut_and_nothing_is_lost() {
        let (mut logs, reader) = logs(Form::Text);
        let mut app = File::from(logs.pipe(Id(0), "app".into()).unwrap());
        app.write_all(&vec![b'x'; 3 * LINE + 5]).unwrap();
        drop(app);
        logs.drain_all();
        let text = read_all(logs, reader);
        assert_eq!(text.matches('x').count(), 3 * LINE + 5);
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn what_restarts_leave_behind_never_costs_a_living_service_its_pipe() {
        let (mut logs, reader) = logs(Form::Text);
        let mut server = File::from(logs.pipe(Id(0), "xserver".into()).unwrap());
        let mut apps: Vec<File> = (0..SOURCES * 2)
            .map(|_| {
                let mut app = File::from(logs.pipe(Id(3), "app".into()).unwrap());
                app.write_all(b"started").unwrap();
                app
            })
            .collect();
        assert_eq!(logs.fds().count(), SOURCES);
        server.write_all(b"still here\n").unwrap();
        assert!(apps[0].write_all(b"x").is_err(), "the oldest is closed");
        apps.clear();
        logs.drain_all();
        let text = read_all(logs, reader);
        assert!(text.contains("[xserver] still here\n"));
        assert_eq!(text.matches("[app] started\n").count(), SOURCES * 2);
    }

    #[test]
    fn a_reader_that_sleeps_costs_lines_which_are_counted_exactly() {
        let (mut logs, mut reader) = logs(Form::Text);
        let line = [b'y'; 99];
        let total = 20_000;
        let mut app = File::from(logs.pipe(Id(0), "app".into()).unwrap());
        for _ in 0..total {
            app.write_all(&line).unwrap();
            app.write_all(b"\n").unwrap();
            logs.drain_all();
        }
        assert!(logs.dropped() > 0);
        assert!(logs.queue.len() <= QUEUE + OWN);
        assert!(logs.blocked().is_some());
        let mut text = String::new();
        let mut buffer = vec![0; 65536];
        while logs.blocked().is_some() {
            let count = reader.read(&mut buffer).unwrap();
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
            logs.flush();
        }
        let dropped = logs.dropped();
        text.push_str(&read_all(logs, reader));
        let delivered = text
            .lines()
            .filter(|line| line.starts_with("[app] "))
            .count();
        let told: u64 = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix("[run] ")?
                    .split(' ')
                    .next()?
                    .parse::<u64>()
                    .ok()
            })
            .sum();
        assert_eq!(told, dropped);
        assert_eq!(delivered as u64 + dropped, total);
    }

    #[test]
    fn json_lines_parse_whatever_is_in_them() {
        let (mut logs, reader) = logs(Form::Json);
        let mut app = File::from(logs.pipe(Id(0), "app".into()).unwrap());
        app.write_all(b"a \"quote\" and \xff\n{\"own\":1}\n")
            .unwrap();
        logs.drain_all();
        let text = read_all(logs, reader);
        let values: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(values[0]["message"], "a \"quote\" and \u{fffd}");
        assert_eq!(values[0]["service"], "app");
        assert_eq!(values[1]["own"], 1);
    }
}
