//! Who is who: `/etc/passwd` and `/etc/group`, read by ourselves. A static binary cannot ask the C library, which would load
//! whatever `nsswitch.conf` names into PID 1.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Larger files are read up to here.
const LARGEST: u64 = 4 << 20;

/// A line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Id of the first group.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell; empty means `/bin/sh`.
    pub shell: PathBuf,
}

/// Both files as they were read.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Reads both; one that is not there is empty.
    pub fn read() -> Self {
        Self::of(
            &text(Path::new("/etc/passwd")),
            &text(Path::new("/etc/group")),
        )
    }

    /// From the texts of both files. Lines that are not in order are passed over.
    pub fn of(passwd: &str, group: &str) -> Self {
        Self {
            passwd: passwd.to_owned(),
            group: group.to_owned(),
        }
    }

    /// The account of this name.
    pub fn named(&self, name: &str) -> Option<Account> {
        self.all().find(|account| account.name == name)
    }

    /// The first account with this id.
    pub fn of_uid(&self, uid: u32) -> Option<Account> {
        self.all().find(|account| account.uid == uid)
    }

    /// The id of the group of this name.
    pub fn group(&self, name: &str) -> Option<u32> {
        self.groups()
            .find(|(group, _, _)| *group == name)
            .map(|(_, gid, _)| gid)
    }

    /// All groups of the user of this name: `gid`, and those that list it; ascending, each once.
    pub fn groups_of(&self, name: &str, gid: u32) -> Vec<u32> {
        let listed = self
            .groups()
            .filter(|(_, _, members)| members.split(',').any(|member| member == name))
            .map(|(_, gid, _)| gid);
        let mut groups: Vec<u32> = std::iter::once(gid).chain(listed).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    fn all(&self) -> impl Iterator<Item = Account> {
        self.passwd.lines().filter_map(account)
    }

    fn groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            let gid = fields.nth(1)?.parse().ok()?;
            Some((name, gid, fields.next().unwrap_or_default()))
        })
    }
}

/// passwd(5): `name:password:uid:gid:comment:home:shell`.
fn account(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1)?;
    let shell = fields.next().unwrap_or_default();
    Some(Account {
        name: name.to_owned(),
        uid,
        gid,
        home: home.into(),
        shell: shell.into(),
    })
}

fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What could be read before an error is as good as a shorter file.
        let _ = file.take(LARGEST).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_nonsense_is_passed_over() {
        let accounts = Accounts::of(
            "root:x:0:0:root:/root:/bin/bash\n\n# no\nbroken:x:1\nhuge:x:99999999999:1::/:\n::5:5::/:\n\
             ann:x:1000:100:Ann,,,:/home/ann:/bin/zsh\nbare:x:7:8::/bare",
            "root:x:0:\naudio:x:29:bob,ann\nvideo:x:44:ann\nbad:x:y:ann\nusers:x:100:ann\nno:x:30:anna\n",
        );
        let ann = accounts.named("ann").unwrap();
        assert_eq!((ann.uid, ann.gid), (1000, 100));
        assert_eq!(ann.home, Path::new("/home/ann"));
        assert_eq!(accounts.of_uid(1000), Some(ann));
        assert_eq!(accounts.named("bare").unwrap().shell, Path::new(""));
        for nobody in ["", "broken", "huge", "# no", "x"] {
            assert_eq!(accounts.named(nobody), None, "{nobody}");
        }
        assert_eq!(accounts.of_uid(5), None);
        assert_eq!(accounts.group("video"), Some(44));
        assert_eq!(accounts.group("bad"), None);
        assert_eq!(accounts.groups_of("ann", 100), [29, 44, 100]);
        assert_eq!(accounts.groups_of("stranger", 5), [5]);
    }
}
