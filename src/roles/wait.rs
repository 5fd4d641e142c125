//! Waiting until something is there: a file, or somebody who listens.
//!
//! PID 1 does none of it itself: a name may have to be looked up and a path may lie on a server that is gone. `run` starts
//! `deskinit await KIND WHAT` beside a service of which it wants to know, and ends it with that; `wait-port` is the same
//! for scripts.

use std::fmt;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::config::host_port;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// One attempt, where no answer comes at all.
const ATTEMPT: Duration = Duration::from_secs(2);

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// It exists.
    File(PathBuf),
    /// Somebody listens on this socket.
    Unix(PathBuf),
    /// Somebody listens on this port of this host.
    Tcp(String, u16),
}

impl Target {
    /// The words that [`run`] takes for it.
    pub(super) fn words(&self) -> [String; 2] {
        let kind = match self {
            Self::File(_) => "file",
            Self::Unix(_) => "unix",
            Self::Tcp(..) => "tcp",
        };
        [kind.to_owned(), self.to_string()]
    }

    fn parse(kind: &str, what: &str) -> Option<Self> {
        match kind {
            "file" => Some(Self::File(what.into())),
            "unix" => Some(Self::Unix(what.into())),
            "tcp" => host_port(what).map(|(host, port)| Self::Tcp(host, port)),
            _ => None,
        }
    }

    /// One attempt, for as long as there is time `left`.
    fn is_there(&self, left: impl Fn() -> Duration) -> bool {
        match self {
            Self::File(path) => path.exists(),
            Self::Unix(path) => match UnixStream::connect(path) {
                Ok(_) => true,
                // Somebody does, with datagrams.
                Err(error) => error.raw_os_error() == Some(Errno::EPROTOTYPE as i32),
            },
            Self::Tcp(host, port) => {
                // A name may come to mean something, or something else, while it is waited for.
                let addresses = (host.as_str(), *port).to_socket_addrs();
                addresses.into_iter().flatten().any(|address| {
                    let patience = left().min(ATTEMPT);
                    !patience.is_zero() && TcpStream::connect_timeout(&address, patience).is_ok()
                })
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// `deskinit await KIND WHAT`: exit code 0 as soon as it is there, 2 when nobody knows what that would be.
pub(super) fn run(kind: &str, what: &str) -> ExitCode {
    match Target::parse(kind, what) {
        Some(target) if wait(&target, None) => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
        None => ExitCode::from(2),
    }
}

/// True as soon as it is there; false when it is not in time.
pub(super) fn wait(target: &Target, timeout: Option<Duration>) -> bool {
    let end = timeout.map(|timeout| Instant::now() + timeout);
    let left = || end.map_or(ATTEMPT, |end| end.saturating_duration_since(Instant::now()));
    loop {
        if target.is_there(left) {
            return true;
        }
        if left().is_zero() {
            return false;
        }
        std::thread::sleep(PAUSE.min(left()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    const MOMENT: Option<Duration> = Some(Duration::from_millis(1));

    #[test]
    fn a_listener_is_found_and_none_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Target::Tcp("127.0.0.1".to_owned(), port);
        assert!(wait(&target, None));
        drop(listener);
        assert!(!wait(&target, MOMENT));
    }

    #[test]
    fn a_socket_is_there_while_somebody_listens_and_a_file_while_it_exists() {
        let path = std::env::temp_dir().join(format!("deskinit-wait-{}", std::process::id()));
        let (unix, file) = (Target::Unix(path.clone()), Target::File(path.clone()));
        assert!(!wait(&unix, MOMENT) && !wait(&file, MOMENT));
        let listener = UnixListener::bind(&path).unwrap();
        assert!(wait(&unix, None) && wait(&file, None));
        drop(listener);
        assert!(!wait(&unix, MOMENT) && wait(&file, None));
        std::fs::remove_file(&path).unwrap();
        let datagrams = UnixDatagram::bind(&path).unwrap();
        assert!(wait(&unix, None));
        drop(datagrams);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for target in [
            Target::File("/a b".into()),
            Target::Unix("/run/x.sock".into()),
            Target::Tcp("::1".to_owned(), 80),
            Target::Tcp("localhost".to_owned(), 8080),
        ] {
            let [kind, what] = target.words();
            assert_eq!(Target::parse(&kind, &what), Some(target));
        }
        assert_eq!(Target::parse("tcp", "no port"), None);
    }
}
