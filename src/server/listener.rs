//! Ports: binding them with errors an operator understands, and accepting without ever spinning.

use super::Peer;
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// A dead peer is noticed after about this long without an acknowledgement.
const USER_TIMEOUT_MS: u32 = 45_000;
/// First and longest pause after accept() fails for want of descriptors or memory.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Listens on a port (0: any free one) at each address.
pub async fn bind(variable: &str, addresses: &[IpAddr], port: u16) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    let mut port = port;
    for ip in addresses {
        let address = SocketAddr::new(*ip, port);
        let listener = TcpListener::bind(address).await.map_err(|e| {
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
}
