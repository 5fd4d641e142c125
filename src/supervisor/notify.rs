//! Notifications of the services, in the syntax of sd_notify(3): datagrams of `NAME=value` lines.
//!
//! Whom a datagram is from is what the kernel says (`SCM_CREDENTIALS`), not what it says itself.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixAddr, UnixCredentials, recvmsg, setsockopt, sockopt,
};

/// A datagram longer than this is ignored.
const LONGEST: usize = 4096;

/// What a service may say; unknown names are skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `READY=1`: it does its work.
    Ready,
    /// `STOPPING=1`: it is about to end.
    Stopping,
    /// `X=up`, or `X=down why`.
    Display(Result<(), String>),
    /// `HUNG=1`: the X server is there and does not answer, for so long that it never will.
    Hung,
    /// `WATCHDOG=1`: it is there, and turns.
    Alive,
    /// `WM=name`: a window manager is there; `WM=`: none is.
    WindowManager(Option<String>),
    /// `WINDOWS=n`: windows that a person can see.
    Windows(u32),
    /// `CLOSING=n`: windows that were asked to close, or have come since, and are there.
    Closing(u32),
    /// `VIEWERS=n`: authenticated viewers.
    Viewers(u32),
    /// `INPUT=1`: a viewer types or points.
    Input,
    /// `WEB=host:port`: where browsers connect.
    Web(String),
    /// `VNC=host:port`: where viewers connect.
    Vnc(String),
}

/// All notices of one datagram, in their order.
pub fn parse(datagram: &[u8]) -> Vec<Notice> {
    String::from_utf8_lossy(datagram)
        .lines()
        .filter_map(line)
        .collect()
}

fn line(line: &str) -> Option<Notice> {
    let (name, value) = line.split_once('=')?;
    let text = |value: &str| {
        value
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect::<String>()
    };
    Some(match (name, value) {
        ("READY", "1") => Notice::Ready,
        ("STOPPING", "1") => Notice::Stopping,
        ("X", "up") => Notice::Display(Ok(())),
        ("X", value) => Notice::Display(Err(text(value.strip_prefix("down")?.trim_start()))),
        ("HUNG", "1") => Notice::Hung,
        ("WATCHDOG", "1") => Notice::Alive,
        ("WM", value) => Notice::WindowManager(Some(text(value)).filter(|name| !name.is_empty())),
        ("WINDOWS", value) => Notice::Windows(value.parse().ok()?),
        ("CLOSING", value) => Notice::Closing(value.parse().ok()?),
        ("VIEWERS", value) => Notice::Viewers(value.parse().ok()?),
        ("INPUT", "1") => Notice::Input,
        ("WEB", value) => Notice::Web(text(value)),
        ("VNC", value) => Notice::Vnc(text(value)),
        _ => return None,
    })
}

/// The socket that services write to.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
}

impl NotifySocket {
    /// Binds it; the directory is ours alone.
    ///
    /// # Errors
    /// The path is taken or longer than 107 bytes.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::PassCred, &true)?;
        Ok(Self { socket })
    }

    /// The next datagram: the sender's process id and what it said. `None` when none waits.
    pub fn receive(&self) -> Option<(i32, Vec<Notice>)> {
        let mut buffer = [0; LONGEST];
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let mut space = cmsg_space!(UnixCredentials);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<UnixAddr>(
            self.socket.as_raw_fd(),
            &mut slices,
            Some(&mut space),
            flags,
        )
        .ok()?;
        let pid = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|one| match one {
                ControlMessageOwned::ScmCredentials(sender) => Some(sender.pid()),
                _ => None,
            })
        });
        let whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
        let length = message.bytes;
        let notices = if whole {
            parse(buffer.get(..length).unwrap_or_default())
        } else {
            Vec::new()
        };
        Some((pid.unwrap_or(0), notices))
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_serve_writes_are_understood() {
        let all = parse(b"READY=1\nX=down no such display\nX=up\nHUNG=1\nWATCHDOG=1\nWM=Openbox\nWM=\nWINDOWS=3\nCLOSING=2\nVIEWERS=0\nSTATUS=x\njunk");
        assert_eq!(
            all,
            [
                Notice::Ready,
                Notice::Display(Err("no such display".to_owned())),
                Notice::Display(Ok(())),
                Notice::Hung,
                Notice::Alive,
                Notice::WindowManager(Some("Openbox".to_owned())),
                Notice::WindowManager(None),
                Notice::Windows(3),
                Notice::Closing(2),
                Notice::Viewers(0),
            ]
        );
        assert_eq!(
            parse(b"WM=a\x1b[31mb\xff"),
            [Notice::WindowManager(Some("a[31mb\u{fffd}".to_owned()))]
        );
    }

    #[test]
    fn the_kernel_tells_who_sent_it() {
        let path = std::env::temp_dir().join(format!("deskinit-notify-{}", std::process::id()));
        let socket = NotifySocket::bind(&path).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.send_to(b"READY=1\nVIEWERS=2", &path).unwrap();
        client.send_to(&[b'x'; LONGEST + 1], &path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let me = nix::unistd::getpid().as_raw();
        assert_eq!(
            socket.receive(),
            Some((me, vec![Notice::Ready, Notice::Viewers(2)]))
        );
        assert_eq!(socket.receive(), Some((me, Vec::new())));
        assert_eq!(socket.receive(), None);
    }
}
