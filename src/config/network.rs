//! Networks, as operators write them.

use std::net::IpAddr;

/// All addresses that begin as this one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

impl Network {
    /// `10.0.0.0/8`, or one address. What stands behind the network's own bits must be zero: another number there is a
    /// mistake about which network is meant.
    pub fn parse(text: &str) -> Option<Self> {
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().ok()?;
        let (_, width) = number(base);
        let network = Self {
            base,
            bits: bits.unwrap_or(width),
        };
        (network.bits <= width && network.prefix(base) == number(base).0).then_some(network)
    }

    /// Is the address in it?
    pub fn contains(&self, address: IpAddr) -> bool {
        // One of IPv4 may come in by a socket of IPv6.
        let address = address.to_canonical();
        address.is_ipv4() == self.base.is_ipv4() && self.prefix(address) == number(self.base).0
    }

    /// The address without what is behind the network's bits.
    fn prefix(&self, address: IpAddr) -> u128 {
        let (number, width) = number(address);
        let behind = width.saturating_sub(self.bits);
        number
            .checked_shr(behind)
            .and_then(|kept| kept.checked_shl(behind))
            .unwrap_or_default()
    }
}

/// The address as a number, and how many bits it has.
fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_their_networks_only() {
        let within = |network: &str, address: &str| {
            let network = Network::parse(network).unwrap();
            network.contains(address.parse().unwrap())
        };
        assert!(within("10.0.0.0/8", "10.255.0.1"));
        assert!(within("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!within("10.0.0.0/8", "11.0.0.1"));
        assert!(within("127.0.0.1", "127.0.0.1"));
        assert!(!within("127.0.0.1", "127.0.0.2"));
        assert!(within("0.0.0.0/0", "203.0.113.9"));
        assert!(!within("0.0.0.0/0", "fd00::1"));
        assert!(within("fd00::/8", "fd12::1"));
        assert!(!within("fd00::/8", "fe80::1"));
        assert!(within("::/0", "fe80::1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10/8",
            "fd00::/129",
            "pods",
            "::1/64",
        ] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
