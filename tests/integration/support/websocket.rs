//! A websocket as a stream of bytes, for a client that speaks RFB.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Error, HandshakeError, Message};

use super::wire::Transport;

/// For the handshake; then its user sets another.
const PATIENCE: Duration = Duration::from_secs(20);

/// Code and reason of a close frame.
pub(crate) type Closed = Arc<Mutex<Option<(u16, String)>>>;

/// The bytes inside the binary messages of a websocket.
pub(crate) struct WebSocket {
    socket: tungstenite::WebSocket<TcpStream>,
    pub(crate) response: Response,
    rest: Vec<u8>,
    closed: Closed,
}

impl WebSocket {
    /// Opens one, with these headers beside the usual ones. `Err` holds the HTTP status.
    pub(crate) fn connect(
        to: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let stream = TcpStream::connect(to).expect("the web port listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut request = format!("ws://{to}{path}")
            .into_client_request()
            .expect("an address");
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a value");
            request.headers_mut().insert(*name, value);
        }
        match tungstenite::client::client(request, stream) {
            Ok((socket, response)) => Ok(Self {
                socket,
                response,
                rest: Vec::new(),
                closed: Closed::default(),
            }),
            Err(HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    /// Where the close frame will be.
    pub(crate) fn closed(&self) -> Closed {
        Arc::clone(&self.closed)
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

impl Read for WebSocket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(data)) => self.rest = data.to_vec(),
                Ok(Message::Close(frame)) => {
                    *self.closed.lock().expect("no panic") =
                        frame.map(|f| (f.code.into(), f.reason.to_string()));
                    let _ = self.socket.flush();
                    return Ok(0);
                }
                Ok(_) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(0),
                Err(e) => return Err(io_error(e)),
            }
        }
        let n = buf.len().min(self.rest.len());
        buf[..n].copy_from_slice(&self.rest[..n]);
        self.rest.drain(..n);
        Ok(n)
    }
}

impl Write for WebSocket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let message = Message::Binary(buf.to_vec().into());
        self.socket.send(message).map_err(io_error)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io_error)
    }
}

impl Transport for WebSocket {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.socket.get_ref().set_read_timeout(Some(timeout))?;
        self.socket.get_ref().set_write_timeout(Some(timeout))
    }
}
