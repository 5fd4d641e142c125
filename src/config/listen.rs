//! At which addresses there are listeners.

use std::net::{IpAddr, Ipv4Addr};

use super::reader::Reader;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// As the settings say.
pub(super) struct Addresses {
    /// For what authenticates and encrypts by itself.
    pub(super) outside: Vec<IpAddr>,
    /// For everything else.
    pub(super) inside: Vec<IpAddr>,
    /// SECURE_CONNECTION was asked for.
    pub(super) secure: bool,
}

impl Addresses {
    pub(super) fn read(r: &mut Reader) -> Self {
        let given = r.given("BIND_ADDRESS");
        let named = r.or("BIND_ADDRESS", Vec::new(), addresses);
        // Manifests pass on what may be empty.
        let own = r.or("CONTAINER_IP_ADDR", None, |v| match v {
            "" => Some(None),
            address => address.parse().ok().map(Some),
        });
        let secure = r.switch("SECURE_CONNECTION");
        let any = r.switch("DISABLE_REMOTEIP_FILTERING");
        let outside = match own {
            // Loopback is how probes within the container and port forwarding come.
            Some(own) if !given && !any && own != LOOPBACK => vec![own, LOOPBACK],
            _ => named,
        };
        let inside = if secure {
            // The policy holds for every listener, whatever address was given.
            vec![LOOPBACK]
        } else {
            outside.clone()
        };
        Self {
            outside,
            inside,
            secure,
        }
    }
}

fn addresses(value: &str) -> Option<Vec<IpAddr>> {
    let list: Option<Vec<IpAddr>> = value.split(',').map(|a| a.trim().parse().ok()).collect();
    list.filter(|l| !l.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Raw};

    fn listens(settings: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let mut raw = Raw::new();
        raw.env(|name| {
            let found = settings.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let (config, _) = Config::parse(raw).unwrap();
        let text = |list: Vec<std::net::IpAddr>| list.iter().map(ToString::to_string).collect();
        (text(config.bind), text(config.ssh_bind))
    }

    #[test]
    fn secure_connection_means_every_listener_but_the_way_in() {
        let (inside, outside) = listens(&[
            ("SECURE_CONNECTION", "1"),
            ("BIND_ADDRESS", "0.0.0.0"),
            ("POD_IP", "10.1.2.3"),
        ]);
        assert_eq!((&*inside[0], inside.len()), ("127.0.0.1", 1));
        assert_eq!(outside, ["0.0.0.0"]);
    }

    #[test]
    fn a_pod_listens_at_its_own_address() {
        assert_eq!(listens(&[]).0, ["0.0.0.0"]);
        assert_eq!(listens(&[("POD_IP", "")]).0, ["0.0.0.0"]);
        let own = ("POD_IP", "10.1.2.3");
        assert_eq!(listens(&[own]).0, ["10.1.2.3", "127.0.0.1"]);
        assert_eq!(listens(&[own]).1, ["10.1.2.3", "127.0.0.1"]);
        let v6 = ("CONTAINER_IP_ADDR", "fd00::7");
        assert_eq!(listens(&[v6]).0, ["fd00::7", "127.0.0.1"]);
        let open = ("DISABLE_REMOTEIP_FILTERING", "enabled");
        assert_eq!(listens(&[own, open]).0, ["0.0.0.0"]);
        assert_eq!(listens(&[own, ("BIND_ADDRESS", "::1")]).0, ["::1"]);
    }
}
