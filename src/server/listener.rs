//! Ports: binding them with errors an operator understands, and accepting without ever spinning.

use super::Peer;
use nix::sys::socket::{setsockopt, sockopt};
use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

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

/// Accepts for ever; `each` starts a task and returns at once.
pub async fn listen(listener: TcpListener, via: &'static str, each: impl Fn(TcpStream, Peer)) {
    let mut pause = BACK_OFF.0;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                pause = BACK_OFF.0;
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
            // The peer's own doing: nothing to wait for.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                ) => {}
            Err(e) => {
                tracing::warn!(via, error = %e, pause_ms = pause.as_millis() as u64, "cannot accept a connection");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(BACK_OFF.1);
            }
        }
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
