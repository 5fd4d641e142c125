//! Websockets (RFC 6455): the upgrade, and the byte stream behind it.
//!
//! ```text
//!           ┌──────────── ping every heartbeat ────────────┐
//!  open ────┤ binary messages in ► bytes, bytes ► messages ├──► closing ──► closed
//!           └─ text, too long, unmasked, silent too long ──┘  close frame,
//!                                        │                    ≤ 2 s for the answer
//!                                        └──► close frame with the reason, error to the reader
//! ```
//!
//! What is written is kept until it is flushed and goes out as *one* message: an update of the screen is one event in
//! the browser. At most [`limits::MESSAGE_OUT`] bytes are kept, and one more message while the peer does not read;
//! then writing waits, which is how the sender learns that the peer is slow.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Sink, Stream};
use hyper::header::{self, HeaderName};
use hyper::http::request::Parts;
use hyper::upgrade::Upgraded;
use hyper::{HeaderMap, Method, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval_at, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::limits;

/// Longest reason of a close frame: a control frame has 125 bytes, two of them the code (RFC 6455 §5.5.1).
const REASON_BYTES: usize = 123;

/// Does the request want to become a websocket?
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    has_token(headers, &header::UPGRADE, "websocket")
}

/// A request that may become a websocket (RFC 6455 §4.2.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upgrade {
    /// What `Sec-WebSocket-Accept` answers.
    pub(super) accept: String,
    /// The client listed the subprotocol `binary`, which is answered only then.
    pub(super) binary: bool,
}

/// Why a request cannot become a websocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UpgradeError {
    /// Not GET, not HTTP/1.1, or no `Connection: Upgrade`.
    Request,
    /// `Sec-WebSocket-Version` is not 13.
    Version,
    /// `Sec-WebSocket-Key` is not 16 bytes in base64.
    Key,
}

impl UpgradeError {
    /// The HTTP status that says so.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Request | Self::Key => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "a websocket starts with GET, HTTP/1.1 and Connection: Upgrade",
            Self::Version => "only websocket version 13 is spoken",
            Self::Key => "Sec-WebSocket-Key must be 16 bytes in base64",
        })
    }
}

impl Upgrade {
    /// Reads the head of an upgrade request.
    pub(super) fn parse(request: &Parts) -> Result<Self, UpgradeError> {
        let headers = &request.headers;
        let upgrades = has_token(headers, &header::CONNECTION, "upgrade");
        if request.method != Method::GET || request.version != Version::HTTP_11 || !upgrades {
            return Err(UpgradeError::Request);
        }
        if headers
            .get(header::SEC_WEBSOCKET_VERSION)
            .is_none_or(|version| version.as_bytes() != b"13")
        {
            return Err(UpgradeError::Version);
        }
        let key = headers
            .get(header::SEC_WEBSOCKET_KEY)
            .map_or(&[][..], |key| key.as_bytes());
        let base64 = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
        if key.len() != 24 || !key.ends_with(b"==") || !key[..22].iter().all(base64) {
            return Err(UpgradeError::Key);
        }
        Ok(Self {
            accept: derive_accept_key(key),
            binary: has_token(headers, &header::SEC_WEBSOCKET_PROTOCOL, "binary"),
        })
    }
}

/// Does a header that is a list of tokens contain `token`, in any case?
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|list| list.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The bytes inside the binary messages of a websocket, both ways.
///
/// Written bytes go out when flushed. `shutdown` sends a close frame, with what was left in [`Farewell`] if anything,
/// and waits a moment for the answer. Pings are sent and answered while the stream is being read: keep a read pending.
pub struct WsStream {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    /// The rest of the message that is being read.
    incoming: Bytes,
    /// What was written since the last flush.
    outgoing: BytesMut,
    heartbeat: Option<Heartbeat>,
    farewell: Farewell,
    state: State,
}

/// How far the end has come.
enum State {
    Open,
    /// Our close frame is on its way (`said`: the socket has it); the peer's is waited for.
    Closing {
        deadline: Pin<Box<Sleep>>,
        said: bool,
    },
    /// Nothing can be written any more.
    Closed,
}

struct Heartbeat {
    interval: Interval,
    unanswered: u32,
}

/// The last words of a [`WsStream`], from whoever knows why it ends: set them, then shut the stream down.
#[derive(Debug, Clone, Default)]
pub struct Farewell(Arc<Mutex<Option<(u16, String)>>>);

impl Farewell {
    /// Sets code (RFC 6455 §7.4.1; 1001 is "going away", 4000–4999 are free) and reason; the last ones set are sent.
    /// The page shows the reason, of which 123 bytes fit.
    pub fn set(&self, code: u16, reason: &str) {
        let mut end = reason.len().min(REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((code, reason[..end].to_owned()));
    }

    fn frame(&self) -> CloseFrame {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((code, reason)) => CloseFrame {
                code: code.into(),
                reason: reason.into(),
            },
            None => CloseFrame {
                code: CloseCode::Normal,
                reason: String::new().into(),
            },
        }
    }
}

impl WsStream {
    /// The server's side of a websocket, after its 101 was sent.
    pub(super) async fn new(io: Upgraded, heartbeat: Duration) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            // Every message is offered to the socket at once; what it does not take stays, within this bound.
            .write_buffer_size(0)
            .max_write_buffer_size(2 * limits::MESSAGE_OUT)
            .max_message_size(Some(limits::MESSAGE_IN))
            .max_frame_size(Some(limits::MESSAGE_IN));
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, Some(config)).await;
        Self {
            socket,
            incoming: Bytes::new(),
            outgoing: BytesMut::new(),
            heartbeat: Heartbeat::every(heartbeat),
            farewell: Farewell::default(),
            state: State::Open,
        }
    }

    /// Where to leave the reason for the end before the stream is shut down, from wherever it is known.
    #[must_use]
    pub fn farewell(&self) -> Farewell {
        self.farewell.clone()
    }

    /// Sends what is left, then a close frame, and waits up to 2 s for the peer's.
    ///
    /// # Errors
    /// If the connection broke before that.
    pub async fn close(mut self, code: u16, reason: &str) -> io::Result<()> {
        self.farewell.set(code, reason);
        self.shutdown().await
    }

    /// Ends the stream because of what the peer sent: it is told why as far as the socket takes it at once.
    fn fail(&mut self, code: CloseCode, reason: &'static str) -> io::Error {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        // Without a waker: nobody waits for a peer that broke the rules.
        let _ = Pin::new(&mut self.socket).start_send(Message::Close(Some(frame)));
        self.state = State::Closed;
        io::Error::new(io::ErrorKind::InvalidData, reason)
    }

    fn failure(&mut self, error: WsError) -> io::Error {
        match error {
            WsError::Io(error) => error,
            WsError::Capacity(CapacityError::MessageTooLong { .. }) => {
                self.fail(CloseCode::Size, "a websocket message is longer than 1 MiB")
            }
            WsError::Protocol(ProtocolError::UnmaskedFrameFromClient) => {
                self.fail(CloseCode::Protocol, "a websocket frame is not masked")
            }
            WsError::Utf8(_) => self.fail(CloseCode::Invalid, "a websocket text is not UTF-8"),
            _ => self.fail(CloseCode::Protocol, "websocket protocol error"),
        }
    }

    /// Hands what was written to the socket as one message.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outgoing.is_empty() {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(broken)?;
        let message = Message::Binary(self.outgoing.split().freeze());
        Poll::Ready(
            Pin::new(&mut self.socket)
                .start_send(message)
                .map_err(broken),
        )
    }

    /// Sends a ping when it is time.
    fn poll_heartbeat(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(heartbeat) = &mut self.heartbeat else {
            return Ok(());
        };
        while heartbeat.interval.poll_tick(cx).is_ready() {
            if heartbeat.unanswered >= limits::UNANSWERED_PINGS {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the peer does not answer pings",
                ));
            }
            heartbeat.unanswered += 1;
            // Not `poll_ready`: the waker of the task that writes must stay. If the buffer is full the ping is left
            // out, and the peer's silence counts all the same.
            let _ = Pin::new(&mut self.socket).start_send(Message::Ping(Bytes::new()));
        }
        Ok(())
    }

    /// Sends what is left and a close frame, then waits for the peer's, discarding what comes before it.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.state, State::Closing { said: false, .. }) {
            ready!(self.poll_message(cx))?;
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(broken)?;
            let frame = self.farewell.frame();
            Pin::new(&mut self.socket)
                .start_send(Message::Close(Some(frame)))
                .map_err(broken)?;
            if let State::Closing { said, .. } = &mut self.state {
                *said = true;
            }
        }
        ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(broken)?;
        while let Some(Ok(_)) = ready!(Pin::new(&mut self.socket).poll_next(cx)) {}
        Poll::Ready(Ok(()))
    }
}

impl Heartbeat {
    fn every(period: Duration) -> Option<Self> {
        if period.is_zero() {
            return None;
        }
        let mut interval = interval_at(Instant::now() + period, period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Self {
            interval,
            unanswered: 0,
        })
    }
}

fn broken(error: WsError) -> io::Error {
    match error {
        WsError::Io(error) => error,
        error => io::Error::new(io::ErrorKind::BrokenPipe, error.to_string()),
    }
}

impl AsyncRead for WsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.incoming.is_empty() {
                let count = this.incoming.len().min(buf.remaining());
                buf.put_slice(&this.incoming[..count]);
                this.incoming.advance(count);
                return Poll::Ready(Ok(()));
            }
            if matches!(this.state, State::Closed) {
                return Poll::Ready(Ok(()));
            }
            this.poll_heartbeat(cx)?;
            let message = ready!(Pin::new(&mut this.socket).poll_next(cx));
            if let (Some(Ok(_)), Some(heartbeat)) = (&message, &mut this.heartbeat) {
                heartbeat.unanswered = 0;
            }
            match message {
                Some(Ok(Message::Binary(bytes))) => this.incoming = bytes,
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(this.fail(
                        CloseCode::Unsupported,
                        "only binary websocket messages are taken",
                    )));
                }
                // The socket answers pings and close frames itself, while it is read on.
                Some(Ok(_)) => {}
                // A peer that goes without a word is an end like any other.
                Some(Err(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)))
                | None => {
                    this.state = State::Closed;
                }
                Some(Err(error)) => return Poll::Ready(Err(this.failure(error))),
            }
        }
    }
}

impl AsyncWrite for WsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !matches!(self.state, State::Open) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.outgoing.len() >= limits::MESSAGE_OUT {
            ready!(self.poll_message(cx))?;
        }
        let count = buf.len().min(limits::MESSAGE_OUT - self.outgoing.len());
        self.outgoing.extend_from_slice(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.state, State::Closed) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.poll_message(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx).map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if matches!(this.state, State::Closed) {
            return Poll::Ready(Ok(()));
        }
        if matches!(this.state, State::Open) {
            this.state = State::Closing {
                deadline: Box::pin(sleep(limits::CLOSE_TIME)),
                said: false,
            };
        }
        let mut result = this.poll_goodbye(cx);
        let State::Closing { deadline, .. } = &mut this.state else {
            return result;
        };
        if result.is_pending() {
            // A peer that takes or answers nothing gets no more time than that.
            ready!(deadline.as_mut().poll(cx));
            result = Poll::Ready(Ok(()));
        }
        this.state = State::Closed;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn parse(pairs: &[(&str, &str)]) -> Result<Upgrade, UpgradeError> {
        let mut request = Request::builder().uri("/websockify");
        for (name, value) in pairs {
            request = request.header(*name, *value);
        }
        Upgrade::parse(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        let upgrade = parse(&[
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ])
        .unwrap();
        assert_eq!(upgrade.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!upgrade.binary);
    }

    #[test]
    fn what_is_missing_is_refused() {
        let key = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let version = ("Sec-WebSocket-Version", "13");
        let connection = ("Connection", "upgrade");
        assert!(
            parse(&[
                key,
                version,
                connection,
                ("Sec-WebSocket-Protocol", "base64, binary")
            ])
            .unwrap()
            .binary
        );
        assert_eq!(parse(&[key, version]), Err(UpgradeError::Request));
        assert_eq!(parse(&[key, connection]), Err(UpgradeError::Version));
        assert_eq!(
            parse(&[key, connection, ("Sec-WebSocket-Version", "8")]),
            Err(UpgradeError::Version)
        );
        assert_eq!(parse(&[version, connection]), Err(UpgradeError::Key));
        for key in [
            "short",
            "dGhlIHNhbXBsZSBub25jZQ=A",
            "dGhlIHNhbXBsZSBub25j ==AAA",
        ] {
            assert_eq!(
                parse(&[version, connection, ("Sec-WebSocket-Key", key)]),
                Err(UpgradeError::Key)
            );
        }
    }

    #[test]
    fn reasons_are_cut_between_characters() {
        let farewell = Farewell::default();
        farewell.set(1001, &"ü".repeat(100));
        let frame = farewell.frame();
        assert_eq!(frame.reason.as_str(), "ü".repeat(61));
        assert_eq!(u16::from(frame.code), 1001);
        assert_eq!(farewell.frame().code, CloseCode::Normal);
    }
}
