//! Who everything runs as, and what programs are told about it.
//!
//! ```text
//!  root, and USER or USER_ID names somebody else ──▶ [prepare: as root, what only root can make]
//!                                                      └──▶ [become: groups, user, no rights] ──▶ as that user
//!  root otherwise                                ──▶ root
//!  anybody else                                  ──▶ as it is: it cannot become another
//! ```
//!
//! PID 1 itself changes, not only its children: whatever it makes from then on (sockets, pipes, files in memory) belongs
//! to the user, and nothing that reads from a network ever was root.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::config::{Config, Mistake};
use crate::sys::accounts::{Account, Accounts};
use crate::sys::process::{self, Identity, Keep, SpawnError};

/// What we were started as.
#[derive(Clone, Debug)]
pub(super) struct Started {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Groups besides.
    pub(super) groups: Vec<u32>,
    /// `HOME`, `USER`, `SHELL`, where they are given.
    pub(super) home: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) shell: Option<PathBuf>,
}

impl Started {
    /// Looks.
    pub(super) fn look() -> Self {
        let groups = nix::unistd::getgroups().unwrap_or_default();
        let given = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
            home: given("HOME").map(PathBuf::from),
            user: given("USER").and_then(|name| name.into_string().ok()),
            shell: given("SHELL").map(PathBuf::from),
        }
    }
}

/// Whose desktop it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) uid: u32,
    /// The group we were started with.
    gid: u32,
    /// Whom to become, if that is somebody else.
    pub(super) other: Option<Identity>,
    name: String,
    home: PathBuf,
    shell: PathBuf,
    /// What the operator should know.
    pub(super) warnings: Vec<String>,
}

impl Who {
    /// From the settings.
    ///
    /// # Errors
    /// Root is to become somebody who is not known.
    pub(super) fn new(
        config: &Config,
        accounts: &Accounts,
        started: &Started,
    ) -> Result<Self, Mistake> {
        let (named, number) = match &config.user {
            Some(name) => (accounts.named(name), name.parse().ok()),
            None => (None, None),
        };
        let wanted = config
            .user_id
            .or(named.as_ref().map(|account| account.uid))
            .or(number);
        if started.uid != 0 {
            return Ok(Self::as_started(config, wanted, accounts, started));
        }
        let Some(uid) = wanted else {
            return match &config.user {
                Some(name) => Err(Mistake(format!(
                    "USER={name}: /etc/passwd has no such account; add it to the image, or give its number as USER_ID"
                ))),
                None => Ok(Self::as_started(config, None, accounts, started)),
            };
        };
        // A number that differs from the account's goes with its name, as in images that give their one user the number of
        // whoever owns the files.
        let account = named.or_else(|| accounts.of_uid(uid));
        let gid = match (&account, config.group_id) {
            (_, Some(gid)) => gid,
            (Some(account), None) => account.gid,
            (None, None) => uid,
        };
        if (uid, gid) == (started.uid, started.gid) {
            return Ok(Self::as_started(config, Some(uid), accounts, started));
        }
        let mut groups = match &account {
            Some(account) => accounts.groups_of(&account.name, gid),
            None => vec![gid],
        };
        // Those that were given to the container (fsGroup, --group-add) and not to root by its account.
        let roots = accounts.groups_of("root", 0);
        let given = started.groups.iter().filter(|gid| !roots.contains(gid));
        groups.extend(given);
        groups.sort_unstable();
        groups.dedup();
        // What root's environment says of a home is root's.
        let home = started.home.clone().filter(|home| !is_roots(home));
        Ok(Self {
            uid,
            gid: started.gid,
            name: name(&account, config.user.as_deref(), uid),
            home: home
                .or(account.as_ref().map(|account| account.home.clone()))
                .unwrap_or_default(),
            shell: shell(&account, None),
            other: Some(Identity { uid, gid, groups }),
            warnings: Vec::new(),
        })
    }

    fn as_started(
        config: &Config,
        wanted: Option<u32>,
        accounts: &Accounts,
        started: &Started,
    ) -> Self {
        let uid = started.uid;
        let account = accounts.of_uid(uid);
        let mut warnings = Vec::new();
        if let Some(wanted) = wanted.filter(|wanted| *wanted != uid) {
            let asked = match (&config.user_id, &config.user) {
                (Some(id), _) => format!("USER_ID={id}"),
                (None, Some(name)) => format!("USER={name}"),
                (None, None) => String::new(),
            };
            warnings.push(format!(
                "{asked} is user {wanted}, but this was started as user {uid}, who cannot become another: start the container as that user (docker run --user, runAsUser in Kubernetes)"
            ));
        }
        let home = started
            .home
            .clone()
            .or(account.as_ref().map(|account| account.home.clone()));
        Self {
            uid,
            gid: started.gid,
            name: name(&account, started.user.as_deref(), uid),
            home: home.unwrap_or_default(),
            shell: shell(&account, started.shell.clone()),
            other: None,
            warnings,
        }
    }

    /// As root: the home of an account that was made without one. Not right below `/`: Debian's accounts that are to have
    /// none say `/nonexistent`.
    pub(super) fn prepare(&self) {
        let above = self.home.parent().filter(|above| above.parent().is_some());
        if let Some(who) = &self.other
            && above.is_some_and(Path::is_dir)
            && self.home.is_absolute()
            && !self.home.exists()
        {
            // Where even root may not (a read-only root), another home is found later.
            let _ = process::directory_for(&self.home, who);
        }
    }

    /// Becomes that user, if it is another.
    ///
    /// # Errors
    /// The container's root was not left the right to.
    pub(super) fn become_it(&self, keep: Keep) -> Result<(), SpawnError> {
        match &self.other {
            Some(who) => process::assume(who, keep),
            None => Ok(()),
        }
    }

    /// As the user: a home that can be written to.
    ///
    /// # Errors
    /// There is none, not even in `/tmp`.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        // Root without its rights of passing everything is held up like anybody.
        if self.home.is_absolute() && may_write(&self.home) {
            return Ok(());
        }
        let other = PathBuf::from(format!("/tmp/home-{}", self.uid));
        match std::fs::DirBuilder::new().mode(0o700).create(&other) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let is = std::fs::symlink_metadata(&other)?;
        if !is.is_dir() || is.uid() != self.uid || is.mode() & 0o022 != 0 {
            return Err(io::Error::other(format!(
                "{} is in the way: not a directory of user {}'s alone",
                other.display(),
                self.uid
            )));
        }
        if self.home.is_absolute() && self.home != Path::new("/") {
            self.warnings.push(format!(
                "HOME={}: user {} cannot write there, so HOME is {}, which is gone with the container; mount a volume that this user may write to",
                self.home.display(), self.uid, other.display()
            ));
        }
        self.home = other;
        Ok(())
    }

    /// The group of what everything makes.
    pub(super) fn gid(&self) -> u32 {
        self.other.as_ref().map_or(self.gid, |other| other.gid)
    }

    /// After [`Who::settle`] a directory that can be written to.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// What every program is told.
    pub(super) fn variables(&self) -> [(OsString, OsString); 4] {
        [
            ("HOME".into(), self.home.clone().into()),
            ("USER".into(), self.name.clone().into()),
            ("LOGNAME".into(), self.name.clone().into()),
            ("SHELL".into(), self.shell.clone().into()),
        ]
    }

    /// One line about it, when it is another.
    pub(super) fn say(&self) -> Option<String> {
        let who = self.other.as_ref()?;
        let groups: Vec<String> = who.groups.iter().map(u32::to_string).collect();
        Some(format!(
            "runs as {} (user {}, group {}, groups {})",
            self.name,
            who.uid,
            who.gid,
            groups.join(" ")
        ))
    }
}

fn is_roots(home: &Path) -> bool {
    home == Path::new("/") || home == Path::new("/root")
}

pub(super) fn may_write(directory: &Path) -> bool {
    directory.is_dir() && access(directory, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// The name of the account; without one what was given as such, or the number: something must stand there.
fn name(account: &Option<Account>, given: Option<&str>, uid: u32) -> String {
    match (account, given) {
        (Some(account), _) => account.name.clone(),
        (None, Some(name)) if uid == 0 || name != "root" => name.to_owned(),
        (None, _) => uid.to_string(),
    }
}

/// A shell that lets people in: that of the account, unless it is one that turns them away.
fn shell(account: &Option<Account>, given: Option<PathBuf>) -> PathBuf {
    let account = account.as_ref().map(|account| account.shell.clone());
    given
        .or(account)
        .filter(|shell| {
            let name = shell.file_name();
            name.is_some_and(|name| name != "nologin" && name != "false")
        })
        .unwrap_or_else(|| PathBuf::from("/bin/sh"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Raw;

    fn accounts() -> Accounts {
        Accounts::of(
            "root:x:0:0::/root:/bin/bash\nann:x:1000:100::/home/ann:/bin/zsh\nsys:x:9:9::/nonexistent:/usr/sbin/nologin\n",
            "root:x:0:\nusers:x:100:ann\nvideo:x:44:ann,root\n",
        )
    }

    fn who(settings: &[(&str, &str)], uid: u32, groups: &[u32]) -> Result<Who, Mistake> {
        let mut raw = Raw::new();
        raw.env(|name| {
            let found = settings.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let (config, _) = Config::parse(raw).unwrap();
        let started = Started {
            uid,
            gid: uid,
            groups: groups.to_vec(),
            home: Some(PathBuf::from(if uid == 0 { "/root" } else { "/" })),
            user: config.user.clone(),
            shell: None,
        };
        Who::new(&config, &accounts(), &started)
    }

    #[test]
    fn root_becomes_whom_it_is_told() {
        let ann = who(&[("USER", "ann")], 0, &[0, 44, 2000]).unwrap();
        let other = ann.other.clone().unwrap();
        assert_eq!((other.uid, other.gid), (1000, 100));
        assert_eq!(
            other.groups,
            [44, 100, 2000],
            "ann's, and what the container was given; not root's"
        );
        assert_eq!(ann.home, Path::new("/home/ann"));
        assert_eq!(ann.shell, Path::new("/bin/zsh"));
        let number = who(&[("PUID", "4242"), ("PGID", "7")], 0, &[]).unwrap();
        let other = number.other.unwrap();
        assert_eq!((other.uid, other.gid, other.groups), (4242, 7, vec![7]));
        assert_eq!(
            (number.name.as_str(), number.home),
            ("4242", PathBuf::new())
        );
        let both = who(&[("USER", "ann"), ("USER_ID", "1001")], 0, &[]).unwrap();
        let other = both.other.unwrap();
        assert_eq!((other.uid, other.gid), (1001, 100));
        assert_eq!(both.name, "ann");
        assert_eq!(
            who(&[("USER", "4242")], 0, &[]).unwrap().other.unwrap().gid,
            4242
        );
        assert_eq!(
            who(&[("USER", "sys")], 0, &[]).unwrap().shell,
            Path::new("/bin/sh")
        );
    }

    #[test]
    fn root_stays_root_when_nobody_else_is_named() {
        for settings in [&[][..], &[("USER", "root")], &[("USER_ID", "0")]] {
            let root = who(settings, 0, &[0]).unwrap();
            assert_eq!((root.other, root.warnings.len()), (None, 0));
        }
        let unknown = who(&[("USER", "ghost")], 0, &[]).unwrap_err();
        assert!(unknown.to_string().contains("USER=ghost"), "{unknown}");
    }

    #[test]
    fn anybody_else_stays_and_is_told() {
        let stays = who(&[("USER", "ann")], 4096, &[]).unwrap();
        assert_eq!(stays.other, None);
        assert_eq!(stays.name, "ann", "no account says otherwise");
        assert!(stays.warnings[0].contains("USER=ann is user 1000"));
        assert_eq!(
            who(&[("USER", "ann")], 1000, &[]).unwrap().warnings.len(),
            0
        );
    }
}
