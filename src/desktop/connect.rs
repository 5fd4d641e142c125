//! How to reach the X server: address, cookie, and a line that can be cut.
//!
//! x11rb's own `connect` reads the process environment for its cookie and waits for ever. Here the cookie file is a
//! parameter, the handshake has a deadline, and every line can be severed from outside, so that no thread is stuck with
//! a server that was stopped.

use std::fmt;
use std::fs;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, Shutdown, SockFlag, SockType, UnixAddr, connect, getsockopt, shutdown, socket,
    sockopt::PeerCredentials,
};
use x11rb::errors::ConnectError as XConnectError;
use x11rb::reexports::x11rb_protocol::xauth::Family;
use x11rb::rust_connection::{DefaultStream, RustConnection};

use super::line::Line;
use super::xauth;

/// A connection to the X server.
pub type Link = RustConnection<Line>;

/// A server that accepts but does not answer the first message within this is not alive.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Makes connections to one X server. Clones share the switch of [`Connector::sever`].
#[derive(Clone, Debug)]
pub struct Connector {
    display: Display,
    xauthority: Option<PathBuf>,
    lines: Arc<Mutex<Lines>>,
}

/// What a client shows the server: the name of the method and its data, both empty when there is nothing to show.
pub type Authorization = (Vec<u8>, Vec<u8>);

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// Not `[host]:number[.screen]`.
    Display(String),
    /// The cookie file that was asked for cannot be read.
    Xauthority(PathBuf, io::Error),
    /// Nobody listens there.
    Unreachable(String, io::Error),
    /// It listens, but did not answer in time.
    Silent(String),
    /// It answered, and does not want us.
    Refused(String, String),
    /// The handshake failed otherwise.
    Handshake(String, XConnectError),
    /// [`Connector::sever`] was called.
    Severed,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Display(name) => write!(
                f,
                "{name:?} does not name a display (\":0\", \"host:0\" and \":0.0\" do)"
            ),
            Self::Xauthority(path, e) => {
                write!(f, "cannot read the X cookies in {}: {e}", path.display())
            }
            Self::Unreachable(name, e) => write!(f, "no X server at {name}: {e}"),
            Self::Silent(name) => write!(f, "the X server at {name} does not answer"),
            Self::Refused(name, why) => {
                write!(f, "the X server at {name} refuses the connection: {why}")
            }
            Self::Handshake(name, e) => write!(f, "no X11 connection to {name}: {e}"),
            Self::Severed => write!(f, "stopping"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl Connector {
    /// For a display as in `$DISPLAY`. Without `xauthority` the file is `$XAUTHORITY`, else `~/.Xauthority`, and may be
    /// missing.
    pub fn new(display: &str, xauthority: Option<PathBuf>) -> Result<Self, ConnectError> {
        Ok(Self {
            display: Display::parse(display)
                .ok_or_else(|| ConnectError::Display(display.to_owned()))?,
            xauthority,
            lines: Arc::default(),
        })
    }

    /// Connects; gives up after ten seconds. Returns the connection and the number of the default screen.
    pub fn connect(&self) -> Result<(Link, usize), ConnectError> {
        self.connect_within(HANDSHAKE)
    }

    /// As [`Connector::connect`], with the caller's own patience.
    pub fn connect_within(&self, patience: Duration) -> Result<(Link, usize), ConnectError> {
        let (link, _) = self.connect_showing(patience)?;
        Ok((link, self.display.screen))
    }

    /// As [`Connector::connect_within`]; returns what the server was shown.
    pub fn connect_showing(
        &self,
        patience: Duration,
    ) -> Result<(Link, Authorization), ConnectError> {
        let name = || self.display.to_string();
        let deadline = Instant::now() + patience;
        let (stream, (family, address)) = self
            .dial(patience)
            .map_err(|e| ConnectError::Unreachable(name(), e))?;
        let authorization = self.cookie(family, &address)?;
        let stream = Arc::new(stream);
        self.lines().register(&stream)?;
        let line = Line::new(stream, Some(deadline));
        let screen = self.display.screen;
        let (method, data) = authorization.clone();
        match RustConnection::connect_to_stream_with_auth_info(line, screen, method, data) {
            Ok(link) => {
                link.stream().set_deadline(None);
                Ok((link, authorization))
            }
            Err(e) => Err(match e {
                _ if self.lines().severed => ConnectError::Severed,
                XConnectError::IoError(e) if e.kind() == io::ErrorKind::TimedOut => {
                    ConnectError::Silent(name())
                }
                XConnectError::SetupFailed(f) => ConnectError::Refused(name(), reason(&f.reason)),
                XConnectError::SetupAuthenticate(a) => {
                    ConnectError::Refused(name(), reason(&a.reason))
                }
                e => ConnectError::Handshake(name(), e),
            }),
        }
    }

    /// Cuts every connection made by this connector and its clones, and refuses new ones: whoever waits for the server
    /// gets an error at once.
    pub fn sever(&self) {
        let mut lines = self.lines();
        lines.severed = true;
        for stream in lines.open.drain(..).filter_map(|line| line.upgrade()) {
            // Fails only when the other side was faster.
            let _ = shutdown(stream.as_raw_fd(), Shutdown::Both);
        }
    }

    /// True when the server is on this machine, so that descriptors can be passed to it.
    pub fn is_local(&self) -> bool {
        matches!(self.display.host, Host::Local)
    }

    /// The directory and the name of the socket, for a server on this machine.
    pub fn socket(&self) -> Option<(&'static Path, String)> {
        self.is_local().then(|| {
            (
                Path::new("/tmp/.X11-unix"),
                format!("X{}", self.display.number),
            )
        })
    }

    /// The process that listened for connections when the latest one was made; `None` where that is not known: the server
    /// is on another machine, or in another container that keeps its processes to itself.
    pub(super) fn server(&self) -> Option<i32> {
        self.lines().server
    }

    fn dial(&self, patience: Duration) -> io::Result<(DefaultStream, (Family, Vec<u8>))> {
        match (&self.display.host, self.socket()) {
            (Host::Tcp(host), _) => {
                let port = self.display.port().ok_or(io::ErrorKind::InvalidInput)?;
                let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
                for address in (host.as_str(), port).to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, patience) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            return DefaultStream::from_tcp_stream(stream);
                        }
                        Err(e) => last = e,
                    }
                }
                Err(last)
            }
            (Host::Local, Some((directory, socket))) => {
                let stream = dial_unix(&directory.join(socket))?;
                // 0: not of our pid namespace. Who cannot tell is a server all the same.
                let peer = getsockopt(&stream, PeerCredentials).map(|peer| peer.pid());
                self.lines().server = peer.ok().filter(|pid| *pid > 0);
                DefaultStream::from_unix_stream(stream)
            }
            (Host::Local, None) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn cookie(&self, family: Family, address: &[u8]) -> Result<Authorization, ConnectError> {
        let number = self.display.number;
        let found = match &self.xauthority {
            Some(path) => xauth::lookup(path, family, address, number)
                .map_err(|e| ConnectError::Xauthority(path.clone(), e))?,
            None => {
                let home = || std::env::var_os("HOME").map(|h| Path::new(&h).join(".Xauthority"));
                let path = std::env::var_os("XAUTHORITY")
                    .map(PathBuf::from)
                    .or_else(home);
                // A file that nobody asked for may well be missing: the server may let us in by our user id.
                path.filter(|path| fs::exists(path).unwrap_or(false))
                    .and_then(|path| xauth::lookup(&path, family, address, number).ok())
                    .flatten()
            }
        };
        Ok(found.map_or_else(Default::default, |cookie| {
            (xauth::MIT_MAGIC_COOKIE_1.to_vec(), cookie)
        }))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects without waiting: a stopped server's queue of connections may be full, and `connect` would block for ever.
fn dial_unix(path: &Path) -> io::Result<UnixStream> {
    let fd = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(fd))
}

/// What the server said, as one printable line.
fn reason(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim_matches(|c: char| c == '\0' || c.is_whitespace())
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The connections that are open.
#[derive(Debug, Default)]
struct Lines {
    severed: bool,
    open: Vec<Weak<DefaultStream>>,
    /// Who listened for the latest of them.
    server: Option<i32>,
}

impl Lines {
    fn register(&mut self, stream: &Arc<DefaultStream>) -> Result<(), ConnectError> {
        if self.severed {
            return Err(ConnectError::Severed);
        }
        self.open.retain(|line| line.strong_count() > 0);
        self.open.push(Arc::downgrade(stream));
        Ok(())
    }
}

/// A parsed display name (X(7), "DISPLAY NAMES").
#[derive(Clone, Debug, PartialEq, Eq)]
struct Display {
    host: Host,
    number: u16,
    screen: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Local,
    Tcp(String),
}

impl Display {
    fn parse(name: &str) -> Option<Self> {
        let (host, rest) = name.rsplit_once(':')?;
        let (number, screen) = match rest.split_once('.') {
            Some((number, screen)) => (number, screen.parse().ok()?),
            None => (rest, 0),
        };
        let (protocol, host) = match host.split_once('/') {
            Some((protocol, host)) => (Some(protocol), host),
            None => (None, host),
        };
        let host = match (protocol, host) {
            (Some("unix"), _) | (None, "" | "unix") => Host::Local,
            (Some("tcp" | "inet" | "inet6") | None, host) if !host.is_empty() => {
                Host::Tcp(host.trim_matches(['[', ']']).to_owned())
            }
            _ => return None,
        };
        let number = number.parse().ok()?;
        let display = Self {
            host,
            number,
            screen,
        };
        // Local displays of any number exist; on TCP the number is the distance from port 6000.
        (display.host == Host::Local || display.port().is_some()).then_some(display)
    }

    fn port(&self) -> Option<u16> {
        self.number.checked_add(6000)
    }
}

impl fmt::Display for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Host::Tcp(host) = &self.host {
            f.write_str(host)?;
        }
        write!(f, ":{}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x11rb::rust_connection::{PollMode, Stream};

    #[test]
    fn display_names() {
        let local = |number, screen| {
            Some(Display {
                host: Host::Local,
                number,
                screen,
            })
        };
        let tcp = |host: &str, number| {
            Some(Display {
                host: Host::Tcp(host.to_owned()),
                number,
                screen: 0,
            })
        };
        assert_eq!(Display::parse(":7"), local(7, 0));
        assert_eq!(Display::parse(":0.1"), local(0, 1));
        assert_eq!(Display::parse("unix:3"), local(3, 0));
        assert_eq!(Display::parse("unix/host:3"), local(3, 0));
        assert_eq!(Display::parse("10.0.0.1:2.0"), tcp("10.0.0.1", 2));
        assert_eq!(Display::parse("[::1]:2"), tcp("::1", 2));
        assert_eq!(Display::parse("tcp/box:2"), tcp("box", 2));
        for wrong in [
            "",
            "7",
            ":",
            ":x",
            ":1.x",
            "host:65000",
            "foo/bar:1",
            ":99999",
            "tcp/:1",
        ] {
            assert_eq!(Display::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_missing_server_is_named() {
        let connector = Connector::new(":64999", None).expect("a name");
        let error = connector.connect().expect_err("nobody there").to_string();
        assert!(error.starts_with("no X server at :64999: "), "{error}");
    }

    #[test]
    fn a_missing_cookie_file_is_named_only_when_asked_for() {
        let connector = Connector::new(":1", Some("/nonexistent/cookies".into())).expect("a name");
        let error = connector
            .cookie(Family::LOCAL, b"host")
            .expect_err("missing");
        assert!(
            error.to_string().contains("/nonexistent/cookies"),
            "{error}"
        );
    }

    #[test]
    fn a_severed_line_fails_at_once() {
        let connector = Connector::new(":64998", None).expect("a name");
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let (stream, _) = DefaultStream::from_unix_stream(ours).expect("a stream");
        let stream = Arc::new(stream);
        connector.lines().register(&stream).expect("open");
        let line = Line::new(stream, None);
        let waiter = std::thread::spawn(move || {
            line.poll(PollMode::Readable)?;
            line.read(&mut [0; 4], &mut Vec::new())
        });
        connector.sever();
        assert_eq!(waiter.join().expect("ended").expect("end of file"), 0);
        let (other, _) = UnixStream::pair().expect("a pair");
        let (stream, _) = DefaultStream::from_unix_stream(other).expect("a stream");
        assert!(connector.lines().register(&Arc::new(stream)).is_err());
    }
}
