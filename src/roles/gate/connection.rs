//! One client, from its first byte to its last.
//!
//! ```text
//!  setup ──► network? ──► cookie? ──► room? ──► connect to the X server ──► requests  ═════► until either side
//!    │ slow     │ other      │ wrong    │ none      │ not there             ◄════ answers      has ended
//!    └─► cut    └────────────┴──────────┴───────────┴─► told why, as an X server does
//! ```

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::MAX_CLIENTS;
use crate::config::Network;
use crate::server::{Limits, Peer};
use crate::xserver::gate::{
    Answers, LONGEST_SETUP, NotX11, Opcodes, Requests, Setup, Shown, Violation, failed,
};

/// A program says who it is within this; it needs no person for it.
const SETUP: Duration = Duration::from_secs(10);
/// A client that was told why it is refused may take this long to read it.
const FAREWELL: Duration = Duration::from_secs(1);
/// An X server whose client has said its last word answers what is left within this.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// What is under way in one direction, at most: a side that does not read stops the other.
const BUFFER: usize = 64 * 1024;

/// What all connections share.
pub(super) struct Gate {
    /// The X server's socket …
    pub(super) socket: PathBuf,
    /// … and what it wants to be shown.
    pub(super) authorization: (Vec<u8>, Vec<u8>),
    pub(super) opcodes: Opcodes,
    /// Cookies that open.
    pub(super) keys: Vec<Vec<u8>>,
    /// From where clients may come; empty for anywhere.
    pub(super) networks: Vec<Network>,
    /// Strangers from these networks.
    pub(super) welcome: Arc<Limits>,
    /// Strangers from others: they are only told so, and must not crowd out the former.
    pub(super) unwelcome: Arc<Limits>,
    pub(super) room: Arc<Semaphore>,
}

/// Why a client is not let in.
enum Refusal {
    Network,
    NoCookie,
    WrongCookie,
    Full,
    Server(io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network => f.write_str("no programs are let in from this address (X11_ALLOW)"),
            Self::NoCookie => f.write_str(
                "no MIT-MAGIC-COOKIE-1 was shown; xauth must know XAUTH_KEY for this display",
            ),
            Self::WrongCookie => f.write_str("the cookie shown is not XAUTH_KEY"),
            Self::Full => write!(
                f,
                "{MAX_CLIENTS} programs from other machines are there already"
            ),
            Self::Server(e) => write!(f, "the X server cannot be reached: {e}"),
        }
    }
}

/// Why a connection ended that was let in.
enum End {
    Io(io::Error),
    Violation(Violation),
}

impl From<io::Error> for End {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// A client that has said who it is.
struct Client {
    stream: TcpStream,
    peer: Peer,
    setup: Setup,
    /// What came behind the setup.
    early: Vec<u8>,
}

impl Gate {
    pub(super) async fn receive(self: Arc<Self>, stream: TcpStream, peer: Peer) {
        let near = peer.ip.is_some_and(|ip| {
            self.networks.is_empty() || self.networks.iter().any(|network| network.contains(ip))
        });
        let limits = if near { &self.welcome } else { &self.unwelcome };
        let ticket = match limits.admit(peer.ip, Instant::now()) {
            Ok(ticket) => ticket,
            Err(refusal) => return tracing::debug!(%peer, %refusal, "connection refused"),
        };
        let Some(client) = greet(stream, peer).await else {
            return;
        };
        if !near {
            return client.refuse(&Refusal::Network).await;
        }
        let refusal = match client.setup.shows(&self.keys) {
            Shown::Right => {
                drop(ticket);
                return self.admit(client).await;
            }
            Shown::Wrong => Refusal::WrongCookie,
            Shown::Nothing => Refusal::NoCookie,
        };
        sleep(limits.failed(client.peer.ip, Instant::now())).await;
        client.refuse(&refusal).await;
    }

    async fn admit(&self, client: Client) {
        let Ok(_room) = self.room.try_acquire() else {
            return client.refuse(&Refusal::Full).await;
        };
        let server = match UnixStream::connect(&self.socket).await {
            Ok(server) => server,
            Err(e) => return client.refuse(&Refusal::Server(e)).await,
        };
        let peer = client.peer.clone();
        tracing::debug!(%peer, "program connected");
        match self.relay(client, server).await {
            Ok(()) => tracing::debug!(%peer, "program gone"),
            Err(End::Io(e)) => tracing::debug!(%peer, "program gone: {e}"),
            Err(End::Violation(violation)) => {
                tracing::warn!(%peer, "program cut off: {violation}");
            }
        }
    }

    async fn relay(&self, mut client: Client, mut server: UnixStream) -> Result<(), End> {
        let order = client.setup.order;
        let (method, data) = &self.authorization;
        server.write_all(&client.setup.with(method, data)).await?;
        let mut requests = Requests::new(order, self.opcodes.clone());
        let mut answers = Answers::new(order);
        let (from_client, to_client) = client.stream.split();
        let (from_server, to_server) = server.split();
        let answers = pump(from_server, to_client, &[], |bytes| Ok(answers.pass(bytes)));
        let requests = pump(from_client, to_server, &client.early, |bytes| {
            requests.pass(bytes)
        });
        tokio::pin!(answers);
        tokio::select! {
            end = &mut answers => end,
            end = requests => match end {
                Ok(()) => timeout(LAST_ANSWERS, answers).await.unwrap_or(Ok(())),
                Err(end) => Err(end),
            },
        }
    }
}

/// Waits for the setup; `None` for one that sends none: a probe, a port scan, or something that is no X client.
async fn greet(mut stream: TcpStream, peer: Peer) -> Option<Client> {
    let read = async {
        let mut bytes = vec![0; LONGEST_SETUP];
        let mut filled = 0;
        loop {
            // One that is not whole leaves room for more.
            filled += match stream.read(&mut bytes[filled..]).await? {
                0 => return Ok(None),
                read => read,
            };
            match Setup::parse(&bytes[..filled]) {
                Ok(Some((setup, length))) => {
                    return Ok(Some((setup, bytes[length..filled].to_vec())));
                }
                Ok(None) => {}
                Err(NotX11) => return Err(io::Error::other(NotX11.to_string())),
            }
        }
    };
    match timeout(SETUP, read).await {
        Ok(Ok(Some((setup, early)))) => Some(Client {
            stream,
            peer,
            setup,
            early,
        }),
        Ok(Ok(None)) | Err(_) => {
            tracing::debug!(%peer, "nothing was said");
            None
        }
        Ok(Err(e)) => {
            tracing::debug!(%peer, "{e}");
            None
        }
    }
}

impl Client {
    /// Says why, as an X server does, and lets it be read: closing at once would take it back.
    async fn refuse(mut self, refusal: &Refusal) {
        let peer = &self.peer;
        tracing::warn!(%peer, "a program was refused: {refusal}");
        let answer = failed(self.setup.order, &format!("deskinit: {refusal}"));
        let farewell = async {
            self.stream.write_all(&answer).await?;
            self.stream.shutdown().await?;
            let mut rest = [0; 512];
            while self.stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // It was told, or did not care.
        let _ = timeout(FAREWELL, farewell).await;
    }
}

/// Passes one direction on until its sender has ended, and says so to the other side.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    early: &[u8],
    mut pass: impl FnMut(&mut [u8]) -> Result<usize, Violation>,
) -> Result<(), End> {
    let mut buffer = vec![0; BUFFER];
    buffer[..early.len()].copy_from_slice(early);
    let mut filled = early.len();
    loop {
        let ready = pass(&mut buffer[..filled]).map_err(End::Violation)?;
        to.write_all(&buffer[..ready]).await?;
        // The head of a message, which is short.
        buffer.copy_within(ready..filled, 0);
        filled -= ready;
        match from.read(&mut buffer[filled..]).await? {
            0 => break,
            read => filled += read,
        }
    }
    to.shutdown().await?;
    Ok(())
}
