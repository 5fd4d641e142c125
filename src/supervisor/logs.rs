//! What the services print, line by line under their names, on our standard output, or as it is in files.
//!
//! ```text
//!  pipe of a service ─▶ Source: lines (≤ 8 KiB each) ─▶ queue (≤ 256 KiB) ─▶ standard output
//!  our own words     ────────────────────────────────────▲    │
//!                                                             └ full: the line is dropped and counted; the count is
//!                                                               told in the stream as soon as there is room again
//!
//!  pipe of one with a log file ─▶ Source: lines ─▶ file (of one with a copy: both)
//! ```
//!
//! What takes nothing and will not say when it does (a file on a full disk) is tried again every second.
//! Pipes are always drained, so a service never waits for whoever reads our output, and neither do we.

mod file;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use self::file::LogFile;
use super::journal::Journal;
use super::service::Id;
use crate::sys::output::{self, Output};

pub use self::file::FileSpec;

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

/// Between two attempts to write to what takes nothing and does not say why.
const REST: Duration = Duration::from_secs(1);
/// The same at the very end.
const LAST_REST: Duration = Duration::from_millis(10);

/// Form of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `[name] text`.
    Text,
    /// `{"time":…,"service":"name","message":"text"}`.
    Json,
}

/// Where a stream of a service goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Our standard output.
    Stdout,
    /// Nowhere; it can be asked for all the same.
    Nowhere,
    /// A file of its own.
    File(FileSpec),
}

/// Where the output of a service goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sinks {
    /// Standard output.
    pub output: Sink,
    /// Standard error; `None`: the same pipe, so that the order of the lines is kept.
    pub errors: Option<Sink>,
    /// Both go here as well.
    pub copy: Option<FileSpec>,
}

impl Sinks {
    /// Both to our standard output.
    pub const STDOUT: Self = Self {
        output: Sink::Stdout,
        errors: None,
        copy: None,
    };
}

/// The ends of the pipes for a process.
#[derive(Debug)]
pub struct Pipes {
    /// Its standard output.
    pub output: OwnedFd,
    /// Its standard error, if that is another.
    pub errors: Option<OwnedFd>,
}

/// A [`Sink`] that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Stdout,
    Nowhere,
    /// The file at this place.
    File(usize),
}

/// A pipe that a service writes to.
#[derive(Debug)]
struct Source {
    id: Id,
    /// Which of its processes.
    start: u64,
    name: Arc<str>,
    to: To,
    /// The file at this place gets it as well.
    copy: Option<usize>,
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
    /// It takes nothing (a full disk, say) and is not tried again before.
    resting: Option<Instant>,
    /// Lines dropped since the last were told.
    gap: u64,
    /// Lines dropped at all.
    lost: u64,
    sources: Vec<Source>,
    /// One for each path that was ever named: those of the settings.
    files: Vec<LogFile>,
    /// How often pipes were made.
    starts: u64,
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
            resting: None,
            gap: 0,
            lost: 0,
            sources: Vec::new(),
            files: Vec::new(),
            starts: 0,
            tails: BTreeMap::new(),
            seen: Vec::new(),
            journal: Journal::new(JOURNAL),
        }
    }

    /// A service is started: its last words are not those of its next process.
    pub fn begin(&mut self, id: Id) {
        self.tails.remove(&id);
    }

    /// New pipes for a service; the returned ends are for its process.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn pipes(&mut self, id: Id, name: Arc<str>, sinks: &Sinks) -> io::Result<Pipes> {
        self.starts += 1;
        let copy = sinks.copy.as_ref().map(|spec| self.file(spec));
        let to = self.to(&sinks.output);
        let output = self.pipe(id, &name, to, copy)?;
        let errors = match &sinks.errors {
            Some(sink) => {
                let to = self.to(sink);
                Some(self.pipe(id, &name, to, copy)?)
            }
            None => None,
        };
        Ok(Pipes { output, errors })
    }

    fn pipe(
        &mut self,
        id: Id,
        name: &Arc<str>,
        to: To,
        copy: Option<usize>,
    ) -> io::Result<OwnedFd> {
        let (ours, theirs) = output::pipe()?;
        if self.sources.len() >= SOURCES {
            self.close_oldest(id);
        }
        self.sources.push(Source {
            id,
            start: self.starts,
            name: Arc::clone(name),
            to,
            copy,
            fd: ours,
            partial: Vec::new(),
            awaited: None,
        });
        Ok(theirs)
    }

    fn to(&mut self, sink: &Sink) -> To {
        match sink {
            Sink::Stdout => To::Stdout,
            Sink::Nowhere => To::Nowhere,
            Sink::File(spec) => To::File(self.file(spec)),
        }
    }

    fn file(&mut self, spec: &FileSpec) -> usize {
        let mut files = self.files.iter();
        let known = files.position(|file| file.spec.path == spec.path);
        known.unwrap_or_else(|| {
            self.files.push(LogFile::new(spec.clone()));
            self.files.len() - 1
        })
    }

    /// Closes the oldest pipe that only processes hold whose service has been started again (`next` is about to be),
    /// never that of a service's main process.
    fn close_oldest(&mut self, next: Id) {
        let starts = self.starts;
        let left_behind = |index: usize, id: Id, start: u64| {
            id == next && start != starts
                || self
                    .sources
                    .iter()
                    .skip(index + 1)
                    .any(|later| later.id == id && later.start != start)
        };
        let oldest = self
            .sources
            .iter()
            .enumerate()
            .position(|(index, source)| left_behind(index, source.id, source.start));
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
        let own = self.sources.iter_mut().filter(|source| source.id == id);
        for source in own {
            // What is left of earlier ones says nothing about this one.
            source.awaited = (source.start == self.starts).then(|| Arc::clone(text));
        }
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

    /// Standard output, while something waits for it to have room.
    pub fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.out
            .as_ref()
            .filter(|_| !self.queue.is_empty() && self.resting.is_none())
            .map(AsFd::as_fd)
    }

    /// When standard output is to be tried again, though nothing will say that it has room.
    pub fn deadline(&self) -> Option<Instant> {
        self.resting.filter(|_| !self.queue.is_empty())
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
        self.write_files();
        self.flush();
    }

    fn write_files(&mut self) {
        let now = Instant::now();
        for index in 0..self.files.len() {
            let complaint = self.files.get_mut(index).and_then(|file| {
                file.write(now);
                file.complaint(now)
            });
            if let Some(text) = complaint {
                self.say(&text);
            }
        }
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
        if self.resting.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.resting = None;
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
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.out = None;
                    self.queue.clear();
                }
                // A file whose disk is full, a terminal that is gone: neither says when it will be better.
                Err(_) => {
                    self.resting = Some(Instant::now() + REST);
                    return;
                }
            }
            self.report_dropped();
        }
    }

    /// At the very end: gives the reader this many milliseconds to take what waits.
    pub fn finish(&mut self, milliseconds: u16) {
        self.drain_all();
        let now = Instant::now();
        let files = std::mem::take(&mut self.files);
        for text in files
            .into_iter()
            .filter_map(|mut file| file.last_words(now))
        {
            self.say(&text);
        }
        let end = Instant::now() + Duration::from_millis(milliseconds.into());
        loop {
            self.resting = None;
            self.flush();
            let left = end.saturating_duration_since(Instant::now());
            let Some(out) = self
                .out
                .as_ref()
                .filter(|_| !self.queue.is_empty() && !left.is_zero())
            else {
                return;
            };
            match self.resting {
                Some(_) => std::thread::sleep(left.min(LAST_REST)),
                None => {
                    out.room(u16::try_from(left.as_millis()).unwrap_or(u16::MAX));
                }
            }
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
        match source.to {
            To::Stdout => self.enqueue(&source.name, line, QUEUE),
            To::Nowhere => {}
            To::File(index) => self.put_into(index, line),
        }
        if let Some(index) = source.copy {
            self.put_into(index, line);
        }
    }

    fn put_into(&mut self, index: usize, line: &[u8]) {
        let file = self.files.get_mut(index);
        if file.is_some_and(|file| !file.push(line, Instant::now())) {
            self.lost += 1;
        }
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
mod tests;
