//! The two directions of a connection to a server: plain TCP, or a websocket (RFC 6455) as browsers use it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};

/// Where a server listens, and what it speaks there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub(crate) port: u16,
    pub(crate) web: bool,
}

/// From the server.
pub(crate) struct Incoming {
    stream: TcpStream,
    web: Option<Frames>,
}

/// To the server; whole messages, from any thread.
pub(crate) struct Outgoing {
    stream: Mutex<TcpStream>,
    web: bool,
}

/// What of the websocket's framing has come so far.
#[derive(Default)]
struct Frames {
    raw: Vec<u8>,
    /// Bytes of the current frame that are still to come.
    left: usize,
}

/// Connects. `buffer` limits the socket's receive buffer, so that a slow reader is felt by the server.
pub(crate) fn open(address: Address, buffer: Option<usize>) -> io::Result<(Incoming, Outgoing)> {
    let to = SocketAddr::from(([127, 0, 0, 1], address.port));
    let mut stream = match buffer {
        None => TcpStream::connect(to)?,
        Some(size) => {
            let kind = (AddressFamily::Inet, SockType::Stream);
            let fd: OwnedFd = socket(kind.0, kind.1, SockFlag::SOCK_CLOEXEC, None)?;
            setsockopt(&fd, sockopt::RcvBuf, &size)?;
            connect(
                std::os::fd::AsRawFd::as_raw_fd(&fd),
                &SockaddrStorage::from(to),
            )?;
            TcpStream::from(fd)
        }
    };
    stream.set_nodelay(true)?;
    if address.web {
        upgrade(&mut stream, address.port)?;
    }
    let incoming = Incoming {
        stream: stream.try_clone()?,
        web: address.web.then(Frames::default),
    };
    let outgoing = Outgoing {
        stream: Mutex::new(stream),
        web: address.web,
    };
    Ok((incoming, outgoing))
}

fn upgrade(stream: &mut TcpStream, port: u16) -> io::Result<()> {
    let request = format!(
        "GET /websockify HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the head is already RFB.
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    if !answer.starts_with(b"HTTP/1.1 101") {
        let answer = String::from_utf8_lossy(&answer).into_owned();
        return Err(io::Error::other(format!("no websocket: {answer}")));
    }
    Ok(())
}

impl Incoming {
    /// Appends at most `most` bytes of what came, waiting for the first. An end of the stream is an error.
    pub(crate) fn read(
        &mut self,
        out: &mut Vec<u8>,
        most: usize,
        back: &Outgoing,
    ) -> io::Result<()> {
        let Some(frames) = &mut self.web else {
            return append(&mut self.stream, out, most);
        };
        let before = out.len();
        while out.len() == before {
            append(&mut self.stream, &mut frames.raw, most)?;
            frames.unwrap(out, back)?;
        }
        Ok(())
    }
}

fn append(stream: &mut TcpStream, out: &mut Vec<u8>, most: usize) -> io::Result<()> {
    let at = out.len();
    out.resize(at + most, 0);
    let read = stream.read(&mut out[at..]);
    out.truncate(at + *read.as_ref().unwrap_or(&0));
    match read? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

impl Frames {
    /// Moves the payload of all that came to `out`. Servers do not mask.
    fn unwrap(&mut self, out: &mut Vec<u8>, back: &Outgoing) -> io::Result<()> {
        let mut at = 0;
        loop {
            let have = &self.raw[at..];
            if self.left > 0 {
                let n = self.left.min(have.len());
                out.extend_from_slice(&have[..n]);
                (at, self.left) = (at + n, self.left - n);
                if n == have.len() {
                    break;
                }
                continue;
            }
            let &[first, short, ..] = have else { break };
            let (head, length) = match short {
                126 if have.len() >= 4 => (4, u64::from(u16::from_be_bytes([have[2], have[3]]))),
                127 if have.len() >= 10 => {
                    let mut bytes = [0; 8];
                    bytes.copy_from_slice(&have[2..10]);
                    (10, u64::from_be_bytes(bytes))
                }
                126 | 127 => break,
                n => (2, n.into()),
            };
            match first & 15 {
                0..=2 => (at, self.left) = (at + head, length as usize),
                opcode => {
                    let Some(payload) = have.get(head..head + length as usize) else {
                        break;
                    };
                    match opcode {
                        8 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        9 => back.frame(10, payload)?,
                        _ => {}
                    }
                    at += head + payload.len();
                }
            }
        }
        self.raw.drain(..at);
        Ok(())
    }
}

impl Outgoing {
    /// Sends a message of RFB.
    pub(crate) fn send(&self, message: &[u8]) -> io::Result<()> {
        if self.web {
            return self.frame(2, message);
        }
        self.stream().write_all(message)
    }

    /// A masked frame, with the mask 0: it hides nothing here.
    fn frame(&self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            n @ 0..=125 => frame.push(0x80 | n as u8),
            n => {
                frame.push(0x80 | 126);
                frame.extend((n as u16).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.stream().write_all(&frame)
    }

    /// Ends both directions: whoever reads gets an end of the stream.
    pub(crate) fn shutdown(&self) {
        // Fails only when the server was faster.
        let _ = self.stream().shutdown(Shutdown::Both);
    }

    fn stream(&self) -> std::sync::MutexGuard<'_, TcpStream> {
        self.stream
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
