//! The machine's own address, as `hostname -i` says it, without asking anybody on the network.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// A network that nobody has (RFC 5737): which way it lies says with which address we leave.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// What /etc/hosts has for our name, else the address with which we would go elsewhere; never a loopback address, nor one
/// that is not ours.
pub fn own() -> Option<IpAddr> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let named = of_name(name.trim(), &hosts).filter(is_ours);
    named.or_else(outgoing).filter(|own| !own.is_loopback())
}

/// The first address of that name that is no loopback address.
fn of_name(name: &str, hosts: &str) -> Option<IpAddr> {
    hosts.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        (!address.is_loopback() && words.any(|word| word == name)).then_some(address)
    })
}

fn is_ours(address: &IpAddr) -> bool {
    UdpSocket::bind((*address, 0)).is_ok()
}

/// Nothing is sent: a datagram socket that is connected only has its addresses chosen.
fn outgoing() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(ELSEWHERE).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_the_system_does() {
        let hosts = "127.0.0.1 localhost\n::1 desk\n# 10.0.0.9 desk\n10.1.2.3\tother desk # mine\n10.1.2.4 desk\n";
        assert_eq!(of_name("desk", hosts), Some("10.1.2.3".parse().unwrap()));
        assert_eq!(of_name("mine", hosts), None);
        assert_eq!(of_name("", hosts), None);
    }

    #[test]
    fn our_own_is_one_that_can_be_bound() {
        // A machine without any network but loopback has none.
        if let Some(own) = own() {
            assert!(is_ours(&own) && !own.is_loopback());
        }
    }
}
