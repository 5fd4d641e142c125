//! Who listens, from `/proc`: sockets of our network namespace, and which process holds which.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A TCP socket that accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    /// Number of the socket; see [`held_by`].
    pub inode: u64,
}

/// `TCP_LISTEN` in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Every listening TCP socket, by address.
pub fn listening() -> Vec<Listening> {
    let mut all: Vec<Listening> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| text.lines().filter_map(tcp).collect::<Vec<_>>())
        .collect();
    all.sort_by_key(|socket| socket.address);
    all
}

/// Is a socket of this name bound in the abstract name space, where file permissions count for nothing?
pub fn is_abstract(name: &str) -> bool {
    let wanted = format!("@{name}");
    let text = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    text.lines()
        .any(|line| line.split_ascii_whitespace().nth(7) == Some(wanted.as_str()))
}

/// The numbers of the sockets that a process holds; none when it is gone or may not be looked at.
pub fn held_by(pid: i32) -> BTreeSet<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|target| {
            let text = target.to_str()?;
            let number = text.strip_prefix("socket:[")?.strip_suffix(']')?;
            number.parse().ok()
        })
        .collect()
}

/// proc_pid_net(5): `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …`.
fn tcp(line: &str) -> Option<Listening> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, local, _, state, _, _, _, _, _, inode, ..] = fields.as_slice() else {
        return None;
    };
    if *state != LISTEN {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    Some(Listening {
        address: SocketAddr::new(address(ip)?, u16::from_str_radix(port, 16).ok()?),
        inode: inode.parse().ok()?,
    })
}

/// Words of 32 bits in hexadecimal, each in the byte order of the machine.
fn address(text: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..text.len()).step_by(8) {
        let word = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    if let Ok(four) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(Ipv4Addr::from(four).into());
    }
    let sixteen = <[u8; 16]>::try_from(bytes.as_slice()).ok()?;
    Some(Ipv6Addr::from(sixteen).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn finds_our_own_listeners_and_who_holds_them() {
        let me = i32::try_from(std::process::id()).unwrap();
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else {
                // A machine without IPv6.
                continue;
            };
            let address = listener.local_addr().unwrap();
            let found = listening()
                .into_iter()
                .find(|socket| socket.address == address)
                .unwrap();
            assert!(held_by(me).contains(&found.inode));
            drop(listener);
            assert!(!held_by(me).contains(&found.inode));
        }
    }

    #[test]
    fn finds_abstract_names() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixListener};
        let name = format!("deskinit-abstract-{}", std::process::id());
        assert!(!is_abstract(&name));
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        assert!(is_abstract(&name));
    }

    #[test]
    fn nonsense_is_skipped() {
        for line in ["", "sl local_address", "0: zz:0016 0:0 0A 0 0 0 0 0 7"] {
            assert_eq!(tcp(line), None);
        }
    }
}
