//! A blocking byte stream with deadlines, counting what comes in.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A connection that can wait for a limited time.
pub(crate) trait Transport: Read + Write + Send {
    /// How long one read or write may wait; never zero.
    fn set_timeout(&self, timeout: Duration) -> io::Result<()>;
}

impl Transport for TcpStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }
}

impl Transport for UnixStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }
}

/// A transport with a read buffer. Every read ends by `deadline`, with an error of kind `TimedOut`.
pub(crate) struct Wire {
    transport: Box<dyn Transport>,
    buffer: Vec<u8>,
    at: usize,
    deadline: Instant,
    received: u64,
    sent: u64,
}

impl Wire {
    pub(crate) fn new(transport: impl Transport + 'static, timeout: Duration) -> Self {
        Self {
            transport: Box::new(transport),
            buffer: Vec::new(),
            at: 0,
            deadline: Instant::now() + timeout,
            received: 0,
            sent: 0,
        }
    }

    /// From now on reads and writes may take so long together.
    pub(crate) fn allow(&mut self, timeout: Duration) {
        self.deadline = Instant::now() + timeout;
    }

    /// Bytes that came in, whether they were looked at yet or not.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Waits until there is a byte to read; false when none came in time. An end of the stream is an error.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        self.allow(timeout);
        match self.fill() {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::TimedOut => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// True when the server has closed its side, and has sent nothing more, within the timeout.
    pub(crate) fn closed(&mut self, timeout: Duration) -> bool {
        self.wait(timeout).is_err()
    }

    /// Sees to it that the buffer holds something; the number of bytes it holds, 0 at the end of the stream.
    fn fill(&mut self) -> io::Result<usize> {
        if self.at == self.buffer.len() {
            self.buffer.resize(64 * 1024, 0);
            self.at = 0;
            let read = self.read_transport();
            let n = *read.as_ref().unwrap_or(&0);
            self.buffer.truncate(n);
            self.received += n as u64;
            read?;
        }
        Ok(self.buffer.len() - self.at)
    }

    fn read_transport(&mut self) -> io::Result<usize> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "nothing came in time",
                ));
            }
            self.transport.set_timeout(left)?;
            match self.transport.read(&mut self.buffer) {
                // A time-out of the socket; the deadline decides.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill()?.min(buf.len());
        buf[..n].copy_from_slice(&self.buffer[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.transport.write(buf)?;
        self.sent += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.transport.flush()
    }
}
