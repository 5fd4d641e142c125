//! The stream under a connection to the X server: waits no longer than its deadline, can be cut by whoever made it, and asks
//! the kernel only what it does not know.
//!
//! x11rb asks before each request whether it can be written, and after each packet whether there is another one: two calls
//! of the kernel for each request, of which nearly all say the same.
//!
//! ```text
//!   read    there may be more ── none, or less than asked for ──► drained ── a wait says there is ──► there may be more
//!   write   there is room ── it would have to wait ──► full ── a wait says there is room ──► there is room
//! ```
//!
//! Whoever waits for the server otherwise than here would not learn of what comes: so reads are spared from the first
//! [`Line::wait`] on only.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use x11rb::rust_connection::{DefaultStream, PollMode, Stream};
use x11rb::utils::RawFdContainer;

/// The stream under a [`Link`](super::connect::Link).
#[derive(Debug)]
pub struct Line {
    stream: Arc<DefaultStream>,
    deadline: Mutex<Option<Instant>>,
    /// Its user waits here.
    waited: AtomicBool,
    drained: AtomicBool,
    full: AtomicBool,
}

impl Line {
    /// On a connected stream that does not block.
    pub(super) fn new(stream: Arc<DefaultStream>, deadline: Option<Instant>) -> Self {
        Self {
            stream,
            deadline: Mutex::new(deadline),
            waited: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            full: AtomicBool::new(false),
        }
    }

    /// After this instant every wait for the server fails with [`io::ErrorKind::TimedOut`]; `None` waits for ever.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    /// Waits until the server says something, `wake` becomes readable, or this long. May return early.
    pub(super) fn wait(
        &self,
        wake: BorrowedFd<'_>,
        longest: Option<Duration>,
    ) -> Result<(), Errno> {
        let mut fds = [
            PollFd::new(self.stream.as_fd(), PollFlags::POLLIN),
            PollFd::new(wake, PollFlags::POLLIN),
        ];
        wait(&mut fds, longest)?;
        self.seen(&fds[0]);
        self.waited.store(true, Relaxed);
        Ok(())
    }

    /// True when some hundred bytes are taken without a wait.
    pub(super) fn has_room(&self) -> bool {
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
        let ready = poll(&mut fds, PollTimeout::ZERO).is_ok();
        self.seen(&fds[0]);
        ready && fds[0].revents() == Some(PollFlags::POLLOUT)
    }

    /// Remembers what a wait said. Also an error is there to be read.
    fn seen(&self, fd: &PollFd<'_>) {
        let events = fd.revents().unwrap_or(PollFlags::empty());
        if events.intersects(!PollFlags::POLLOUT) {
            self.drained.store(false, Relaxed);
        }
        if events.intersects(!PollFlags::POLLIN) {
            self.full.store(false, Relaxed);
        }
    }

    fn written(&self, outcome: io::Result<usize>) -> io::Result<usize> {
        let full = matches!(&outcome, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        self.full.store(full, Relaxed);
        outcome
    }
}

/// Waits for one of the descriptors, at most this long. May return early.
pub(super) fn wait(fds: &mut [PollFd<'_>], longest: Option<Duration>) -> Result<(), Errno> {
    // Rounded up, or the last fraction of a millisecond would be spent spinning.
    let longest = longest.map(|d| d + Duration::from_micros(999));
    let timeout = longest.map_or(PollTimeout::NONE, |d| {
        PollTimeout::try_from(d).unwrap_or(PollTimeout::MAX)
    });
    match poll(fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Stream for Line {
    fn poll(&self, mode: PollMode) -> io::Result<()> {
        if matches!(mode, PollMode::ReadAndWritable) && !self.full.load(Relaxed) {
            return Ok(());
        }
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, mode.readable());
        flags.set(PollFlags::POLLOUT, mode.writable());
        let deadline = *self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let mut fds = [PollFd::new(self.stream.as_fd(), flags)];
            wait(&mut fds, left)?;
            if fds[0].any() == Some(true) {
                self.seen(&fds[0]);
                return Ok(());
            }
            if deadline.is_some_and(|at| Instant::now() >= at) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    fn read(&self, buf: &mut [u8], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        if self.waited.load(Relaxed) && self.drained.load(Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let outcome = self.stream.read(buf, fds);
        let drained = match &outcome {
            Ok(length) => *length < buf.len(),
            Err(e) => e.kind() == io::ErrorKind::WouldBlock,
        };
        self.drained.store(drained, Relaxed);
        outcome
    }

    fn write(&self, buf: &[u8], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        self.written(self.stream.write(buf, fds))
    }

    fn write_vectored(
        &self,
        bufs: &[IoSlice<'_>],
        fds: &mut Vec<RawFdContainer>,
    ) -> io::Result<usize> {
        self.written(self.stream.write_vectored(bufs, fds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn pair() -> (Line, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (stream, _) = DefaultStream::from_unix_stream(ours).expect("a stream");
        (Line::new(Arc::new(stream), None), theirs)
    }

    fn read(line: &Line) -> Result<usize, io::ErrorKind> {
        line.read(&mut [0; 8], &mut Vec::new())
            .map_err(|e| e.kind())
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let (line, _theirs) = pair();
        line.set_deadline(Some(Instant::now() + Duration::from_millis(20)));
        let error = line.poll(PollMode::Readable).expect_err("nobody writes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn what_comes_is_read_after_the_wait_that_tells_of_it() {
        let (line, mut theirs) = pair();
        let (wake, _other) = UnixStream::pair().expect("a pair");
        theirs.write_all(&[1; 4]).expect("written");
        assert_eq!(read(&line), Ok(4));
        theirs.write_all(&[1; 12]).expect("written");
        assert_eq!(read(&line), Ok(8), "nobody has waited yet");
        line.wait(wake.as_fd(), None).expect("a wait");
        assert_eq!(read(&line), Ok(4));
        theirs.write_all(&[1; 3]).expect("written");
        assert_eq!(read(&line), Err(io::ErrorKind::WouldBlock));
        line.wait(wake.as_fd(), None).expect("a wait");
        assert_eq!(read(&line), Ok(3));
        theirs.write_all(&[1; 8]).expect("written");
        line.poll(PollMode::Readable).expect("a wait");
        assert_eq!(read(&line), Ok(8));
        assert_eq!(read(&line), Err(io::ErrorKind::WouldBlock));
        drop(theirs);
        line.poll(PollMode::Readable).expect("a wait");
        assert_eq!(read(&line), Ok(0), "the end");
    }

    #[test]
    fn there_is_room_until_nobody_reads() {
        let (line, mut theirs) = pair();
        let mut sent = 0;
        while line.has_room() {
            sent += line.write(&[0; 36], &mut Vec::new()).expect("room");
        }
        assert!(sent > 36);
        theirs.read_exact(&mut vec![0; sent]).expect("read");
        assert!(line.has_room());
        drop(theirs);
        assert!(!line.has_room(), "nobody is there");
    }

    #[test]
    fn a_full_line_is_waited_for_and_what_comes_meanwhile_is_told() {
        let (line, mut theirs) = pair();
        let write = || line.write(&[0; 4096], &mut Vec::new());
        line.poll(PollMode::ReadAndWritable).expect("there is room");
        let mut sent = 0;
        let full = loop {
            match write() {
                Ok(length) => sent += length,
                Err(e) => break e.kind(),
            }
        };
        assert_eq!(full, io::ErrorKind::WouldBlock);
        line.set_deadline(Some(Instant::now()));
        let error = line.poll(PollMode::ReadAndWritable).expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        line.set_deadline(None);
        assert_eq!(read(&line), Err(io::ErrorKind::WouldBlock));
        theirs.write_all(&[1; 5]).expect("written");
        line.poll(PollMode::ReadAndWritable)
            .expect("it can be read");
        assert_eq!(read(&line), Ok(5));
        theirs.read_exact(&mut vec![0; sent]).expect("read");
        line.poll(PollMode::ReadAndWritable).expect("there is room");
        assert_eq!(write().map_err(|e| e.kind()), Ok(4096));
    }
}
