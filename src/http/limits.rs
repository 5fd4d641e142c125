//! How much, and for how long: everything a peer of the web port may cost.
//!
//! [`Watched`] wraps the byte stream of a connection. It ends one whose peer takes no byte for [`WRITE_STALL`] (a
//! machine that was switched off looks just like that), and remembers the first bytes that came, so that the log can
//! say what was spoken instead of HTTP.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Size of a request head, bytes: request line and headers.
pub const HEAD_BYTES: usize = 8 * 1024;
/// Headers in one request.
pub const HEADERS: usize = 64;
/// Time to send a whole request head; also how long a kept connection may idle between requests.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// A connection that stays plain HTTP takes no further request after this time …
pub const LIFETIME: Duration = Duration::from_secs(240);
/// … and is cut this much later, whatever is still under way.
pub const LAST_ANSWER: Duration = Duration::from_secs(60);
/// A peer that takes not a byte for so long is gone.
pub const WRITE_STALL: Duration = Duration::from_secs(60);
/// How long a probe waits for [`super::Backend::readiness`].
pub const READINESS: Duration = Duration::from_millis(2500);
/// Default time between two pings of a websocket: proxies drop what idles for 60 s.
pub const HEARTBEAT: Duration = Duration::from_secs(20);
/// Pings in a row without any sign of life before the peer is taken for gone.
pub const UNANSWERED_PINGS: u32 = 2;
/// How long the peer may take to answer our websocket close frame.
pub const CLOSE_TIME: Duration = Duration::from_secs(2);
/// Size of a websocket frame, and of a message put together from frames, that is taken in.
pub const MESSAGE_IN: usize = 1024 * 1024;
/// Size of a websocket message that is sent; longer updates are cut.
pub const MESSAGE_OUT: usize = 256 * 1024;

/// How many of the first bytes are remembered.
const GREETING: usize = 8;

/// A byte stream under watch: see the module.
pub struct Watched<IO> {
    io: IO,
    /// What came first, for whoever reports the end; `None` once it is known.
    greeting: Option<Arc<Mutex<Greeting>>>,
    /// Set while a write is waiting for the peer.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// What a peer sent first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Greeting {
    bytes: [u8; GREETING],
    len: usize,
}

impl Greeting {
    fn take(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(GREETING - self.len);
        self.bytes[self.len..self.len + count].copy_from_slice(&bytes[..count]);
        self.len += count;
    }

    /// What the peer seems to speak, if it is something we know and it is not HTTP.
    #[must_use]
    pub fn language(&self) -> Option<&'static str> {
        let bytes = &self.bytes[..self.len];
        match bytes {
            [0x16, 0x03, ..] => Some("TLS, but this port is plain HTTP"),
            _ if bytes.starts_with(b"RFB ") => Some("RFB, but this port is for browsers"),
            _ if bytes.starts_with(b"SSH-") => Some("SSH"),
            _ if bytes.starts_with(b"PRI * HT") => {
                Some("HTTP/2 without TLS; HTTP/1.1 is spoken here")
            }
            _ => None,
        }
    }

    /// True when nothing came at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<IO> Watched<IO> {
    /// Watches `io`, of which nothing was read yet; what comes first is left in `greeting`.
    pub fn new(io: IO, greeting: Arc<Mutex<Greeting>>) -> Self {
        Self {
            io,
            greeting: Some(greeting),
            stalled: None,
        }
    }

    /// Passes a finished write on; lets one that waits fail once it has waited too long.
    fn progress<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + WRITE_STALL)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer takes no data",
        )))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Some(greeting) = &self.greeting {
            let mut heard = greeting.lock().unwrap_or_else(PoisonError::into_inner);
            heard.take(&buf.filled()[before..]);
            if heard.len == GREETING {
                drop(heard);
                self.greeting = None;
            }
        }
        result
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.progress(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.progress(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_flush(cx);
        self.progress(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_shutdown(cx);
        self.progress(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_languages_are_named() {
        let mut greeting = Greeting::default();
        assert!(greeting.is_empty());
        greeting.take(&[0x16]);
        assert_eq!(greeting.language(), None);
        greeting.take(&[0x03, 1, 2, 0, 1, 0, 1, 1, 1, 1, 1]);
        assert!(greeting.language().is_some_and(|l| l.starts_with("TLS")));

        let mut greeting = Greeting::default();
        greeting.take(b"GET / HTTP/1.1");
        assert_eq!(greeting.language(), None);
    }
}
