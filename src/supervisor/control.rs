//! The control socket: who may ask, what waits for whom. Everything is bounded, nothing blocks.
//!
//! A watcher that does not read keeps at most one status waiting; when it reads again it gets the latest, not history.
//! Readers of a record hold their place in it, and get more when they have taken what they had.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{getsockopt, sockopt};

use super::journal::Journal;
use super::link::{Answer, Record, Request};
use super::logs::OWN_NAME;
use crate::sys::pidfd::Handle;
use crate::sys::signals::SIGTERM;

/// Connections at the same time. One more takes the place of the first that has asked nothing, or is closed at once.
const CONNECTIONS: usize = 16;
/// How long nobody is accepted after that has failed, for want of memory or of descriptors in spite of the one that is kept
/// in reserve: whoever waits keeps the socket readable, and the loop would spin.
const REST: Duration = Duration::from_secs(1);
/// Longest request.
const REQUEST: usize = 4096;
/// Bytes of a record that wait for one reader.
const PIECE: usize = 16 * 1024;

/// Which client asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker(u64);

/// The listening socket and its clients.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    clients: Vec<Client>,
    /// Given up for a client when there is no other descriptor left, and had back when one has gone.
    reserve: Option<OwnedFd>,
    /// Nobody is accepted before.
    resting: Option<Instant>,
    /// The number of the next client.
    next: u64,
}

/// How far somebody has read a record.
#[derive(Debug)]
struct Reading {
    record: Record,
    service: Option<String>,
    at: u64,
    follow: bool,
}

#[derive(Debug)]
struct Client {
    number: u64,
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Asked for every change.
    watch: bool,
    /// A status newer than what it has is due.
    due: bool,
    /// Close when all has been written.
    last: bool,
    /// It will ask no more (`nc` says so as soon as it has asked), but still waits for its answer.
    asked_all: bool,
    /// What the plan must answer.
    questions: Vec<Request>,
    reading: Option<Reading>,
}

impl Control {
    /// Listens at `path`, for our own user (and root) only.
    ///
    /// # Errors
    /// The path is taken or longer than 107 bytes.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        // The run directory is private, so nobody came in between. The umask would be the whole process's.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            reserve: listener.as_fd().try_clone_to_owned().ok(),
            listener,
            clients: Vec::new(),
            resting: None,
            next: 0,
        })
    }

    /// When the listener is to be waited for again, if it is not now.
    pub fn deadline(&self) -> Option<Instant> {
        self.resting
    }

    /// Descriptors to wait for: the listener, then each client.
    pub fn fds(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let clients = self.clients.iter().map(|client| {
            let mut events = PollFlags::empty();
            if !client.asked_all {
                events |= PollFlags::POLLIN;
            }
            if !client.output.is_empty() {
                events |= PollFlags::POLLOUT;
            }
            (client.stream.as_fd(), events)
        });
        let listener = match self.resting {
            Some(_) => PollFlags::empty(),
            None => PollFlags::POLLIN,
        };
        std::iter::once((self.listener.as_fd(), listener)).chain(clients)
    }

    /// Marks a new status as due for all who watch.
    pub fn changed(&mut self) {
        for client in &mut self.clients {
            client.due |= client.watch;
        }
    }

    /// Does anybody wait for a status?
    pub fn wants_status(&self) -> bool {
        self.clients
            .iter()
            .any(|client| client.due && client.output.is_empty())
    }

    /// Gives everybody who waits this status line (without its end).
    pub fn send(&mut self, line: &[u8]) {
        for client in self
            .clients
            .iter_mut()
            .filter(|client| client.due && client.output.is_empty())
        {
            client.output.extend_from_slice(line);
            client.output.push(b'\n');
            client.due = false;
        }
        self.keep(Client::flush);
    }

    /// What clients ask that only the plan can answer; each is owed one [`Control::answer`] or [`Control::follow`].
    pub fn questions(&mut self) -> Vec<(Asker, Request)> {
        self.clients
            .iter_mut()
            .flat_map(|client| {
                let asker = Asker(client.number);
                std::mem::take(&mut client.questions)
                    .into_iter()
                    .map(move |request| (asker, request))
            })
            .collect()
    }

    /// Answers a question; the connection ends with it.
    pub fn answer(&mut self, asker: Asker, answer: &Answer) {
        if let Ok(line) = serde_json::to_vec(answer)
            && let Some(client) = self.client(asker)
        {
            client.output.extend_from_slice(&line);
            client.output.push(b'\n');
            client.last = true;
        }
        self.keep(Client::flush);
    }

    /// From now on the client gets this record, from entry `at` on.
    pub fn follow(
        &mut self,
        asker: Asker,
        record: Record,
        service: Option<String>,
        at: u64,
        follow: bool,
    ) {
        if let Some(client) = self.client(asker) {
            // One that has said its last word cannot be heard to go.
            let follow = follow && !client.asked_all;
            client.reading = Some(Reading {
                record,
                service,
                at,
                follow,
            });
        }
    }

    /// Gives everybody who reads a record what there is, as fast as it is taken.
    pub fn feed(&mut self, log: &Journal, events: &Journal) {
        self.keep(|client| client.feed(log, events));
    }

    fn client(&mut self, asker: Asker) -> Option<&mut Client> {
        self.clients
            .iter_mut()
            .find(|client| client.number == asker.0)
    }

    /// Reads, writes and accepts whatever can be without waiting.
    pub fn turn(&mut self, now: Instant) {
        self.resting = self.resting.filter(|until| now < *until);
        while self.resting.is_none() {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_full(&error) && self.reserve.take().is_some() => continue,
                Err(_) => {
                    self.resting = Some(now + REST);
                    break;
                }
            };
            if self.clients.len() >= CONNECTIONS {
                self.keep(|client| client.flush() && client.read());
                // Who has something to say says it at once.
                if let Some(silent) = self.clients.iter().position(Client::is_silent) {
                    self.clients.remove(silent);
                }
            }
            if self.clients.len() < CONNECTIONS
                && allowed(&stream)
                && stream.set_nonblocking(true).is_ok()
            {
                self.next += 1;
                self.clients.push(Client {
                    number: self.next,
                    stream,
                    input: Vec::new(),
                    output: Vec::new(),
                    watch: false,
                    due: false,
                    last: false,
                    asked_all: false,
                    questions: Vec::new(),
                    reading: None,
                });
            }
        }
        self.keep(|client| client.flush() && client.read());
    }

    /// Forgets those for which this does not hold.
    fn keep(&mut self, holds: impl FnMut(&mut Client) -> bool) {
        self.clients.retain_mut(holds);
        if self.reserve.is_none() {
            self.reserve = self.listener.as_fd().try_clone_to_owned().ok();
            // Whoever has waited meanwhile can be heard.
            self.resting = self.resting.filter(|_| self.reserve.is_none());
        }
    }
}

/// Is there no descriptor left, of ours or of anybody's?
fn is_full(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw);
    matches!(number, Some(Errno::EMFILE | Errno::ENFILE))
}

/// The mode of a socket is enough on Linux; the peer's identity is a second lock.
fn allowed(stream: &UnixStream) -> bool {
    let me = nix::unistd::geteuid().as_raw();
    getsockopt(stream, sockopt::PeerCredentials)
        .is_ok_and(|peer| peer.uid() == me || peer.uid() == 0)
}

impl Client {
    /// False when it is to be forgotten.
    fn read(&mut self) -> bool {
        let mut buffer = [0; REQUEST];
        while !self.asked_all {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.asked_all = true;
                    // A watcher, or one that reads on and on, is gone; anybody else is owed an answer.
                    let follows = self.watch || self.reading.as_ref().is_some_and(|on| on.follow);
                    return !follows && self.is_owed();
                }
                Ok(count) => {
                    self.input
                        .extend_from_slice(buffer.get(..count).unwrap_or_default());
                    if !self.parse() {
                        return false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    /// Has it asked nothing?
    fn is_silent(&self) -> bool {
        !self.watch && !self.is_owed()
    }

    fn is_owed(&self) -> bool {
        self.due || !self.output.is_empty() || !self.questions.is_empty() || self.reading.is_some()
    }

    fn parse(&mut self) -> bool {
        while let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let Ok(request) = serde_json::from_slice::<Request>(&line) else {
                return false;
            };
            match request {
                Request::Status { watch } => {
                    self.watch |= watch;
                    self.last = !self.watch;
                    self.due = true;
                }
                Request::Signal { signal, service } if signal == SIGTERM && service == OWN_NAME => {
                    if !self.end_everything() {
                        return false;
                    }
                }
                other if self.questions.is_empty() => self.questions.push(other),
                // One question a connection, or a client could fill our memory with them.
                _ => return false,
            }
        }
        self.input.len() <= REQUEST
    }

    /// Has the signal come to us as if it were from outside, so that it is taken for what the settings say. Whoever asks
    /// may see another number for us, or somebody else's process under ours.
    fn end_everything(&mut self) -> bool {
        let sent = Handle::of_any(nix::unistd::getpid().as_raw()).and_then(|us| us.signal(SIGTERM));
        let answer = match sent {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Refused {
                why: error.to_string(),
            },
        };
        let Ok(line) = serde_json::to_vec(&answer) else {
            return false;
        };
        self.output.extend_from_slice(&line);
        self.output.push(b'\n');
        self.last = true;
        self.flush()
    }

    /// False when it is to be forgotten.
    fn feed(&mut self, log: &Journal, events: &Journal) -> bool {
        while self.output.is_empty()
            && let Some(reading) = &mut self.reading
        {
            let journal = match reading.record {
                Record::Log => log,
                Record::Events => events,
            };
            let service = reading.service.as_deref();
            reading.at = journal.read(reading.at, service, PIECE, &mut self.output);
            if self.output.is_empty() {
                return reading.follow;
            }
            if !self.flush() {
                return false;
            }
        }
        true
    }

    /// False when it is to be forgotten.
    fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return false,
                Ok(count) => drop(self.output.drain(..count.min(self.output.len()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
            if self.output.is_empty() && self.last {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::PermissionsExt;

    fn fixture(name: &str) -> (Control, std::path::PathBuf) {
        let path =
            std::env::temp_dir().join(format!("deskinit-control-{name}-{}", std::process::id()));
        (Control::bind(&path).unwrap(), path)
    }

    #[test]
    fn one_answer_for_a_question_and_many_for_a_watcher() {
        let (mut control, path) = fixture("ask");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let mut asker = UnixStream::connect(&path).unwrap();
        let mut watcher = UnixStream::connect(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let ask = |stream: &mut UnixStream, request| {
            let mut line = serde_json::to_vec(&request).unwrap();
            line.push(b'\n');
            stream.write_all(&line).unwrap();
        };
        ask(&mut asker, Request::Status { watch: false });
        // As `nc` does.
        asker.shutdown(std::net::Shutdown::Write).unwrap();
        ask(&mut watcher, Request::Status { watch: true });
        control.turn(Instant::now());
        assert!(control.wants_status());
        control.send(b"one");
        let mut text = String::new();
        asker.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\n");
        assert!(!control.wants_status());
        control.changed();
        control.changed();
        control.send(b"two");
        let mut watcher = BufReader::new(watcher);
        for expected in ["one\n", "two\n"] {
            let mut line = String::new();
            watcher.read_line(&mut line).unwrap();
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn readers_get_a_record_piece_by_piece_and_cost_nothing_while_they_sleep() {
        let (mut control, path) = fixture("read");
        let mut log = Journal::new(1 << 20);
        for n in 0..5000 {
            log.push("app", None, format!("line {n} {}", "x".repeat(100)));
        }
        let request = Request::Read {
            record: Record::Log,
            service: None,
            lines: 5000,
            follow: false,
        };
        let mut reader = UnixStream::connect(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        writeln!(reader, "{}", serde_json::to_string(&request).unwrap()).unwrap();
        control.turn(Instant::now());
        let [(asker, asked)] = control.questions().try_into().unwrap();
        assert_eq!(asked, request);
        control.follow(asker, Record::Log, None, log.tail(None, 5000), false);
        let events = Journal::new(0);
        // It sleeps: its pipe fills, and then nothing more is kept for it.
        for _ in 0..200 {
            control.feed(&log, &events);
            assert!(control.clients[0].output.len() < 2 * PIECE);
        }
        let reading = std::thread::spawn(move || {
            let lines = BufReader::new(reader).lines();
            lines.count()
        });
        while !control.clients.is_empty() {
            control.turn(Instant::now());
            control.feed(&log, &events);
        }
        assert_eq!(reading.join().unwrap(), log_length(&log));
    }

    fn log_length(log: &Journal) -> usize {
        let mut out = Vec::new();
        log.read(log.tail(None, 5000), None, usize::MAX, &mut out);
        out.iter().filter(|byte| **byte == b'\n').count()
    }

    #[test]
    fn nonsense_ends_a_connection_and_a_crowd_is_kept_out() {
        let (mut control, path) = fixture("crowd");
        let mut bad = UnixStream::connect(&path).unwrap();
        bad.write_all(b"hello\n").unwrap();
        let mut long = UnixStream::connect(&path).unwrap();
        long.write_all(&[b'x'; REQUEST + 1]).unwrap();
        control.turn(Instant::now());
        assert_eq!(control.clients.len(), 0);
        let _crowd: Vec<UnixStream> = (0..40)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        std::fs::remove_file(&path).unwrap();
        control.turn(Instant::now());
        assert_eq!(control.clients.len(), CONNECTIONS);
    }

    #[test]
    fn who_says_nothing_keeps_nobody_out() {
        let (mut control, path) = fixture("silent");
        let mut silent: Vec<UnixStream> = (0..CONNECTIONS)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        control.turn(Instant::now());
        let mut asker = UnixStream::connect(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let request = Request::Status { watch: false };
        writeln!(asker, "{}", serde_json::to_string(&request).unwrap()).unwrap();
        control.turn(Instant::now());
        control.send(b"status");
        let mut text = String::new();
        asker.read_to_string(&mut text).unwrap();
        assert_eq!(text, "status\n");
        assert_eq!(silent[0].read(&mut [0]).unwrap(), 0, "the first had to go");
    }
}
