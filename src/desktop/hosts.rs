//! Who may connect to the X server without its cookie.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{AccessControl, ConnectionExt as _, Family, Host};

use super::connect::{ConnectError, Connector};

/// The list that `xhost` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Nobody is asked for anything: the state after `xhost +`.
    pub everybody: bool,
    /// Those who are let in without a cookie, as `xhost` writes them; without those of whom the cookie file tells the
    /// same, the server's own user.
    pub hosts: Vec<String>,
}

/// Why the list is not known.
#[derive(Debug)]
pub enum HostsError {
    /// The X server cannot be reached.
    Connect(ConnectError),
    /// It went away in the middle.
    Lost(String),
}

impl fmt::Display for HostsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "{error}"),
            Self::Lost(why) => write!(f, "the X server did not answer: {why}"),
        }
    }
}

impl std::error::Error for HostsError {}

/// Asks the server of `display` (X11 protocol, ListHosts).
///
/// # Errors
/// See [`HostsError`].
pub fn admitted(
    display: &str,
    xauthority: Option<PathBuf>,
    patience: Duration,
) -> Result<Admitted, HostsError> {
    let connector = Connector::new(display, xauthority).map_err(HostsError::Connect)?;
    let (link, _) = connector
        .connect_within(patience)
        .map_err(HostsError::Connect)?;
    let lost = |error: String| HostsError::Lost(error);
    let reply = link
        .list_hosts()
        .map_err(|error| lost(error.to_string()))?
        .reply()
        .map_err(|error| lost(error.to_string()))?;
    let me = format!("localuser:#{}", nix::unistd::geteuid());
    let hosts = reply.hosts.iter().map(name).filter(|host| *host != me);
    let answer = Admitted {
        everybody: reply.mode == AccessControl::DISABLE,
        hosts: hosts.collect(),
    };
    let _ = link.flush();
    Ok(answer)
}

fn name(host: &Host) -> String {
    let octets = <[u8; 4]>::try_from(host.address.as_slice());
    match (host.family, octets) {
        (Family::INTERNET, Ok(octets)) => format!("inet:{}", Ipv4Addr::from(octets)),
        (Family::INTERNET6, _) => match <[u8; 16]>::try_from(host.address.as_slice()) {
            Ok(octets) => format!("inet6:{}", Ipv6Addr::from(octets)),
            Err(_) => "inet6:".to_owned(),
        },
        // Two strings, each ended by a zero byte: what it is, and which.
        (Family::SERVER_INTERPRETED, _) => {
            let text = String::from_utf8_lossy(&host.address);
            let mut parts = text.split('\0');
            let (kind, value) = (parts.next(), parts.next());
            format!("{}:{}", kind.unwrap_or_default(), value.unwrap_or_default())
        }
        _ => format!("family {}", u8::from(host.family)),
    }
}
