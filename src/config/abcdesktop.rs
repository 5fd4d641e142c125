//! What goes without saying in abcdesktop's containers: its images have it in scripts, not in variables.
//!
//! A layer right above the defaults: whatever anybody says wins over it. It is there only where abcdesktop's own variables
//! are; the password of the pod's secret is one wherever it is.

use std::net::IpAddr;
use std::path::Path;

use super::source::{Origin, Raw};

/// Where the secrets of pods are mounted.
const SECRETS: &str = "/var/secrets";
/// Variables that only abcdesktop has.
const SIGNS: [&str; 2] = ["ABCDESKTOP_RUN_DIR", "ABCDESKTOP_LOG_DIR"];

/// What its entry point and its supervisord files say.
const HABITS: [(&str, &str); 4] = [
    ("NO_VNC_PORT", "6081"),
    ("RFB_UNIX_SOCKET", "/tmp/.x11vnc"),
    ("HOME_XAUTHORITY", "1"),
    ("BACKGROUND_COLOR", "#6ec6f0"),
];

impl Raw {
    /// Call behind the other layers. `own_address` is asked for where it is needed.
    pub fn abcdesktop(
        &mut self,
        lookup: impl Fn(&str) -> Option<String>,
        own_address: impl FnOnce() -> Option<IpAddr>,
    ) {
        self.pods_secret(Path::new(SECRETS), lookup("POD_NAMESPACE"));
        let is_there = |name: &&str| lookup(name).is_some_and(|value| !value.is_empty());
        if !SIGNS.iter().any(is_there) {
            return;
        }
        for (name, value) in HABITS {
            self.suppose(name, value.to_owned(), false);
        }
        if self.lacks("CONTAINER_IP_ADDR")
            && let Some(address) = own_address()
        {
            self.suppose("CONTAINER_IP_ADDR", address.to_string(), false);
        }
    }

    /// `vnc/password` of the pod's secrets, where nobody says how viewers are let in.
    fn pods_secret(&mut self, secrets: &Path, namespace: Option<String>) {
        let Some(namespace) = namespace.filter(|name| is_label(name)) else {
            return;
        };
        let said = ["VNC_PASSWORD", "ALLOW_NO_AUTH"].map(|name| !self.lacks(name));
        let path = secrets.join(namespace).join("vnc/password");
        if said == [false; 2] && path.exists() {
            self.suppose("VNC_PASSWORD", path.display().to_string(), true);
        }
    }

    fn suppose(&mut self, name: &str, value: String, in_file: bool) {
        if let Some(setting) = super::table::setting(name).filter(|_| self.lacks(name)) {
            self.put(setting, value, Origin::Abcdesktop, in_file);
        }
    }
}

/// A name as Kubernetes has them: nothing that leads elsewhere as a part of a path.
fn is_label(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !name.is_empty() && name.chars().all(fine)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::net::Ipv4Addr;

    fn parsed(variables: &[(&str, &str)]) -> Config {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let mut raw = Raw::new();
        raw.env(lookup);
        raw.abcdesktop(lookup, || Some(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3))));
        Config::parse(raw).unwrap().0
    }

    #[test]
    fn its_habits_hold_where_its_variables_are() {
        let config = parsed(&[("ABCDESKTOP_RUN_DIR", "/var/run/desktop")]);
        assert_eq!(config.web_port, Some(6081));
        assert_eq!(
            config.rfb_unix_socket.unwrap().to_str(),
            Some("/tmp/.x11vnc")
        );
        assert_eq!(config.background, Some((0x6e, 0xc6, 0xf0)));
        assert!(config.home_xauthority);
        let listens: Vec<String> = config.bind.iter().map(ToString::to_string).collect();
        assert_eq!(listens, ["10.1.2.3", "127.0.0.1"]);
    }

    #[test]
    fn what_anybody_says_wins_and_elsewhere_nothing_changes() {
        let config = parsed(&[
            ("ABCDESKTOP_LOG_DIR", "/var/log/desktop"),
            ("NO_VNC_PORT", "1"),
            ("RFB_UNIX_SOCKET", "off"),
            ("HOME_XAUTHORITY", "0"),
            ("ABCDESKTOP_BG_COLOR", "#18974c"),
            ("POD_IP", "10.9.9.9"),
        ]);
        assert_eq!(config.web_port, Some(1));
        assert_eq!(config.rfb_unix_socket, None);
        assert_eq!(config.background, Some((0x18, 0x97, 0x4c)));
        assert!(!config.home_xauthority);
        assert_eq!(config.bind[0].to_string(), "10.9.9.9");
        let open = [
            ("ABCDESKTOP_RUN_DIR", "/x"),
            ("DISABLE_REMOTEIP_FILTERING", "enabled"),
        ];
        assert_eq!(parsed(&open).bind[0].to_string(), "0.0.0.0");
        let closed = [
            ("ABCDESKTOP_RUN_DIR", "/x"),
            ("DISABLE_REMOTEIP_FILTERING", "disabled"),
        ];
        assert_eq!(parsed(&closed).bind[0].to_string(), "10.1.2.3");
        let config = parsed(&[]);
        assert_eq!(config.web_port, Some(5800));
        assert_eq!((config.rfb_unix_socket, config.background), (None, None));
        assert_eq!(config.bind[0].to_string(), "0.0.0.0");
        let key = ("XAUTH_KEY", "00ff");
        assert!(!config.home_xauthority && parsed(&[key]).home_xauthority);
    }

    #[test]
    fn the_pods_password_is_taken_unless_something_is_said() {
        let secrets = std::env::temp_dir().join(format!("deskinit-secrets-{}", std::process::id()));
        std::fs::create_dir_all(secrets.join("desk/vnc")).unwrap();
        std::fs::write(secrets.join("desk/vnc/password"), "from the pod\n").unwrap();
        let password = |name: &str, given: &[(&str, &str)]| {
            let mut raw = Raw::new();
            raw.env(|name| {
                let found = given.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            });
            raw.pods_secret(&secrets, Some(name.to_owned()));
            let config = Config::parse(raw).unwrap().0;
            config.password.map(|secret| secret.expose().to_owned())
        };
        assert_eq!(password("desk", &[]).as_deref(), Some("from the pod"));
        assert_eq!(password("other", &[]), None);
        assert_eq!(password("../desk", &[]), None);
        assert_eq!(
            password("desk", &[("VNC_PW", "own")]).as_deref(),
            Some("own")
        );
        assert_eq!(password("desk", &[("ALLOW_NO_AUTH", "1")]), None);
        std::fs::remove_dir_all(&secrets).unwrap();
    }
}
