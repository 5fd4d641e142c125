//! The environment of the children: ours, without secrets and without what is meant for us alone.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;

use crate::config;
use crate::supervisor::link::FRAME_BUFFER_VARIABLE;

/// Variables that say where something of ours is, or of whoever started us; set anew for those who need them. With a
/// Wayland display in sight, a toolkit would open its windows there.
const OURS: [&str; 7] = [
    "DISPLAY",
    "XAUTHORITY",
    "NOTIFY_SOCKET",
    "RUN_DIR",
    FRAME_BUFFER_VARIABLE,
    "WAYLAND_DISPLAY",
    "WAYLAND_SOCKET",
];

/// Our environment as it was at the start, but for what it says about the user.
pub(super) struct Environment {
    all: Vec<(OsString, OsString)>,
    /// Who that is, in the usual variables.
    user: Vec<(OsString, OsString)>,
}

impl Environment {
    /// Takes it from the process, for this user.
    pub(super) fn take(uid: u32, user: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        // Sockets of a session: somebody else's would be refused, or not be there.
        let is_theirs = |path: &OsString| std::fs::metadata(path).is_ok_and(|is| is.uid() == uid);
        Self {
            all: std::env::vars_os()
                .filter(|(name, value)| name != "XDG_RUNTIME_DIR" || is_theirs(value))
                .collect(),
            user: user.into_iter().collect(),
        }
    }

    /// Without secrets and without [`OURS`].
    pub(super) fn plain(&self) -> Vec<(OsString, OsString)> {
        let mut env = self.without(config::secret_names());
        env.extend(self.user.iter().cloned());
        env
    }

    /// What the display server gets: no setting but those in force.
    pub(super) fn for_display_server(
        &self,
        settings: &[(String, String)],
    ) -> Vec<(OsString, OsString)> {
        let mut env = self.without(config::all_names());
        let given = settings
            .iter()
            .filter(|(name, _)| !OURS.contains(&name.as_str()));
        env.extend(given.map(|(name, value)| (OsString::from(name), OsString::from(value))));
        env.retain(|(name, _)| !self.user.iter().any(|(known, _)| known == name));
        env.extend(self.user.iter().cloned());
        env
    }

    fn without(&self, names: Vec<String>) -> Vec<(OsString, OsString)> {
        let hidden: BTreeSet<OsString> = names
            .into_iter()
            .map(OsString::from)
            .chain(OURS.map(OsString::from))
            .chain(self.user.iter().map(|(name, _)| name.clone()))
            .collect();
        self.all
            .iter()
            .filter(|(name, _)| !hidden.contains(name))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_child_inherits_a_secret_or_its_path() {
        let all = [
            ("PATH", "/bin"),
            ("HOME", "/root"),
            ("VNC_PASSWORD", "canary"),
            ("VNC_PW", "canary"),
            ("VNC_PASSWORD_FILE", "/canary"),
            ("X11_SIZE_WIDTH", "800"),
            ("NOTIFY_SOCKET", "/systemd"),
            ("XDG_RUNTIME_DIR", "/run/user/0"),
        ];
        let environment = Environment {
            all: all
                .map(|(name, value)| (name.into(), value.into()))
                .to_vec(),
            user: vec![("HOME".into(), "/home/ann".into())],
        };
        let names = |env: Vec<(OsString, OsString)>| -> Vec<String> {
            assert!(
                env.iter()
                    .all(|(_, value)| !value.to_string_lossy().contains("canary"))
            );
            env.into_iter()
                .map(|(name, _)| name.into_string().unwrap())
                .collect()
        };
        assert_eq!(
            names(environment.plain()),
            ["PATH", "X11_SIZE_WIDTH", "XDG_RUNTIME_DIR", "HOME"]
        );
        let settings = [
            ("DISPLAY_WIDTH".to_owned(), "800".to_owned()),
            ("DISPLAY".to_owned(), ":1".to_owned()),
        ];
        assert_eq!(
            names(environment.for_display_server(&settings)),
            ["PATH", "XDG_RUNTIME_DIR", "DISPLAY_WIDTH", "HOME"]
        );
    }
}
