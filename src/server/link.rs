//! A stream with its buffers: sends what waits, receives what comes, and says goodbye.

use crate::rfb::InputBuffer;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll as Ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Time to get a last message out.
const FAREWELL: Duration = Duration::from_secs(1);

/// A stream that can tell its peer why it ends.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// To be said when the stream is shut down; streams that cannot say anything ignore it.
    fn close_reason(&mut self, _reason: &str) {}
}

impl Transport for tokio::net::TcpStream {}
impl Transport for tokio::net::UnixStream {}

/// The stream with its buffers.
pub(super) struct Link<S> {
    pub(super) stream: S,
    /// Bytes to send, from `sent` on.
    pub(super) output: Vec<u8>,
    pub(super) sent: usize,
    pub(super) flushed: bool,
    /// What came behind the handshake in the same packet.
    pub(super) early: InputBuffer,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl<S: Transport> Link<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            output: Vec::new(),
            sent: 0,
            flushed: true,
            early: InputBuffer::new(),
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Bytes that wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Sends what it can and returns when something was received, or when everything was sent. May be dropped and
    /// called again at any time.
    pub(super) async fn turn(&mut self, input: &mut InputBuffer) -> io::Result<()> {
        poll_fn(|cx| {
            let drained = self.poll_send(cx)?;
            let room = input.room();
            if room.is_empty() {
                // The parser takes everything it can use; a full buffer is the client's mistake.
                return Ready::Ready(Err(io::Error::other("a message without end")));
            }
            let mut buffer = ReadBuf::new(room);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Ready::Ready(Ok(())) if buffer.filled().is_empty() => {
                    Ready::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
                }
                Ready::Ready(Ok(())) => {
                    let count = buffer.filled().len();
                    self.bytes_in += count as u64;
                    input.filled(count);
                    Ready::Ready(Ok(()))
                }
                Ready::Ready(Err(e)) => Ready::Ready(Err(e)),
                Ready::Pending if drained => Ready::Ready(Ok(())),
                Ready::Pending => Ready::Pending,
            }
        })
        .await
    }

    /// True when the last waiting byte left in this call.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while self.waiting() > 0 {
            match Pin::new(&mut self.stream).poll_write(cx, &self.output[self.sent..]) {
                Ready::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Ready::Ready(Ok(n)) => {
                    self.sent += n;
                    self.bytes_out += n as u64;
                    self.flushed = false;
                }
                Ready::Ready(Err(e)) => return Err(e),
                Ready::Pending => return Ok(false),
            }
        }
        if self.flushed {
            return Ok(false);
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Ready::Ready(Ok(())) => {
                self.flushed = true;
                self.output.clear();
                self.sent = 0;
                Ok(true)
            }
            Ready::Ready(Err(e)) => Err(e),
            Ready::Pending => Ok(false),
        }
    }

    /// Sends what is left and closes, within [`FAREWELL`].
    pub(super) async fn farewell(&mut self, reason: &str) {
        if !reason.is_empty() {
            self.stream.close_reason(reason);
        }
        let bye = poll_fn(|cx| {
            match self.poll_send(cx) {
                Err(e) => return Ready::Ready(Err(e)),
                Ok(_) if self.waiting() > 0 || !self.flushed => return Ready::Pending,
                Ok(_) => {}
            }
            Pin::new(&mut self.stream).poll_shutdown(cx)
        });
        // A peer that does not listen any more misses nothing.
        let _ = tokio::time::timeout(FAREWELL, bye).await;
    }
}
