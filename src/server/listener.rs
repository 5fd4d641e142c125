//! Ports: binding them with errors an operator understands, and accepting without ever spinning.

use super::Peer;
use nix::sys::socket::{setsockopt, sockopt};
use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

/// A dead peer is noticed after about this long without an acknowledgement.
const USER_TIMEOUT_MS: u32 = 45_000;
/// Bytes that may wait in the kernel for a network that does not take them: what waits should be a region, which is of
/// the newest picture when it goes, not bytes, which get old.
const UNSENT: u32 = 64 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;
/// First and longest pause after accept() fails for want of descriptors or memory.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

sockopt_impl!(
    /// How much may be written to a socket that is not on its way yet (tcp(7)).
    NotsentLowat,
    Both,
    libc::IPPROTO_TCP,
    libc::TCP_NOTSENT_LOWAT,
    u32
);

/// Listens on a port (0: any free one) at each address.
pub fn bind(variable: &str, addresses: &[IpAddr], port: u16) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    let mut port = port;
    for ip in addresses {
        let address = SocketAddr::new(*ip, port);
        let listener = open(address).map_err(|e| {
            let advice = match e.kind() {
                io::ErrorKind::AddrInUse => "another program listens there; choose another port",
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need a capability; choose a higher one"
                }
                io::ErrorKind::AddrNotAvailable => {
                    "this machine has no such address; see BIND_ADDRESS"
                }
                _ => "see BIND_ADDRESS",
            };
            io::Error::new(
                e.kind(),
                format!("{variable}: cannot listen on {address}: {e}; {advice}"),
            )
        })?;
        // All addresses share the port that the kernel chose for the first.
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(listeners)
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() {
        let socket = TcpSocket::new_v6()?;
        // `0.0.0.0,::` names both families: the second must not ask for the first one's port too.
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
        socket
    } else {
        TcpSocket::new_v4()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Listens at a path, for our own user (and root) only. What an earlier listener of ours has left there is removed;
/// anything else is left alone, and nothing is followed.
pub fn bind_unix(variable: &str, path: &Path) -> io::Result<UnixListener> {
    let told = |e: io::Error| {
        let text = format!("{variable}: cannot listen on {}: {e}", path.display());
        io::Error::new(e.kind(), text)
    };
    let is_left = |is: fs::Metadata| {
        is.file_type().is_socket()
            && is.uid() == nix::unistd::geteuid().as_raw()
            && StdUnixStream::connect(path).is_err()
    };
    if fs::symlink_metadata(path).is_ok_and(is_left) {
        fs::remove_file(path).map_err(told)?;
    }
    let listener = UnixListener::bind(path).map_err(told)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(told)?;
    Ok(listener)
}

/// Accepts for ever; `each` starts a task and returns at once.
pub async fn listen(listener: TcpListener, via: &'static str, each: impl Fn(TcpStream, Peer)) {
    let mut rest = Rest::new(via);
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                rest.is_over();
                tune(&stream);
                each(
                    stream,
                    Peer {
                        name: address.to_string(),
                        ip: Some(address.ip().to_canonical()),
                        via,
                    },
                );
            }
            Err(e) => rest.after(&e).await,
        }
    }
}

/// As [`listen`], at a path.
pub async fn listen_unix(
    listener: UnixListener,
    via: &'static str,
    each: impl Fn(UnixStream, Peer),
) {
    let mut rest = Rest::new(via);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                rest.is_over();
                each(
                    stream,
                    Peer {
                        name: "local socket".to_owned(),
                        ip: None,
                        via,
                    },
                );
            }
            Err(e) => rest.after(&e).await,
        }
    }
}

/// Pauses that grow while accept() fails.
struct Rest {
    via: &'static str,
    pause: Duration,
}

impl Rest {
    fn new(via: &'static str) -> Self {
        let (pause, _) = BACK_OFF;
        Self { via, pause }
    }

    fn is_over(&mut self) {
        *self = Self::new(self.via);
    }

    async fn after(&mut self, error: &io::Error) {
        // The peer's own doing: nothing to wait for.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
        ) {
            return;
        }
        let Self { via, pause } = *self;
        tracing::warn!(via, %error, pause_ms = pause.as_millis() as u64, "cannot accept a connection");
        tokio::time::sleep(pause).await;
        self.pause = (pause * 2).min(BACK_OFF.1);
    }
}

/// Small updates leave at once, and a peer whose machine is gone is noticed. A kernel that refuses one of these still
/// gives a working connection.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(stream, sockopt::TcpKeepIdle, &20);
    let _ = setsockopt(stream, sockopt::TcpKeepInterval, &10);
    let _ = setsockopt(stream, sockopt::TcpKeepCount, &3);
    let _ = setsockopt(stream, sockopt::TcpUserTimeout, &USER_TIMEOUT_MS);
    let _ = setsockopt(stream, NotsentLowat, &UNSENT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::getsockopt;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap()
    }

    #[test]
    fn little_waits_in_the_kernel_of_a_client_that_reads_nothing() {
        runtime().block_on(async {
            let listener = bind("VNC_PORT", &["127.0.0.1".parse().unwrap()], 0).unwrap();
            let address = listener[0].local_addr().unwrap();
            let (client, accepted) =
                tokio::join!(TcpStream::connect(address), listener[0].accept());
            let (_client, stream) = (client.unwrap(), accepted.unwrap().0);
            tune(&stream);
            assert_eq!(getsockopt(&stream, NotsentLowat), Ok(UNSENT));
        });
    }

    #[test]
    fn a_socket_is_for_its_user_and_takes_no_others_place() {
        runtime().block_on(async {
            let name = format!("deskinit-rfb-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let listener = bind_unix("RFB_UNIX_SOCKET", &path).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert!(
                bind_unix("RFB_UNIX_SOCKET", &path).is_err(),
                "somebody listens"
            );
            drop(listener);
            bind_unix("RFB_UNIX_SOCKET", &path).expect("nobody listens any more");
            fs::remove_file(&path).unwrap();
            fs::write(&path, "data").unwrap();
            let told = bind_unix("RFB_UNIX_SOCKET", &path).unwrap_err().to_string();
            assert!(
                told.starts_with("RFB_UNIX_SOCKET: cannot listen on /"),
                "{told}"
            );
            fs::remove_file(&path).unwrap();
        });
    }

    #[test]
    fn both_families_share_a_port() {
        runtime().block_on(async {
            let any = ["0.0.0.0", "::"].map(|a| a.parse().unwrap());
            let listeners = bind("VNC_PORT", &any, 0).unwrap();
            let ports: Vec<_> = listeners
                .iter()
                .map(|l| l.local_addr().unwrap().port())
                .collect();
            assert_eq!(ports.len(), 2);
            assert_eq!(ports[0], ports[1]);
            let taken = bind("VNC_PORT", &any[..1], ports[0]).unwrap_err();
            assert!(
                taken.to_string().contains("another program listens there"),
                "{taken}"
            );
        });
    }
}
