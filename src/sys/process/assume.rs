//! Becoming somebody else, for good: what a process that was started as root does before it has to do with anybody.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, fchown};
use std::path::Path;

use super::SpawnError;
use super::attributes::{self, Attributes, Capabilities, Identity, Prepared};

/// What is kept of root's rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing, and nothing can be gained again.
    Nothing,
    /// What it takes to start children as somebody else, with some of root's rights or with more than the usual share of
    /// the machine, and to signal them. Children do not inherit it. Nothing can be gained by a set-user-ID program.
    ForChildren,
}

impl Keep {
    const FOR_CHILDREN: [&str; 6] = [
        "kill",
        "setgid",
        "setuid",
        "setpcap",
        "sys_nice",
        "sys_resource",
    ];
}

/// Takes on this identity. Call while the process has one thread.
///
/// # Errors
/// We are not root, or a container engine has taken root's right to do so. The process may have changed in part: it
/// should end.
pub fn assume(identity: &Identity, keep: Keep) -> Result<(), SpawnError> {
    let capabilities = (keep == Keep::Nothing).then_some(Capabilities::NONE);
    let prepared = Prepared::new(&Attributes {
        identity: Some(identity.clone()),
        capabilities,
        no_new_privileges: true,
        ..Attributes::default()
    })?;
    Ok(match keep {
        Keep::Nothing => prepared.apply(),
        Keep::ForChildren => prepared.apply_and_keep(
            Keep::FOR_CHILDREN
                .iter()
                .filter_map(|name| Capabilities::named(name))
                .fold(Capabilities::NONE, Capabilities::and),
        ),
    }?)
}

/// May we take on another identity? Root may, unless a container engine has taken its rights.
pub fn may_assume() -> bool {
    let held = attributes::held();
    ["setuid", "setgid"]
        .iter()
        .all(|name| Capabilities::named(name).is_some_and(|one| held.includes(one)))
}

/// Makes a directory that only this user may enter, and opens it; one that is there already is opened as it is. Nothing
/// is followed in its last place.
///
/// # Errors
/// It is no directory, or the file system refuses.
pub fn directory_for(path: &Path, identity: &Identity) -> io::Result<OwnedFd> {
    let made = std::fs::DirBuilder::new().mode(0o700).create(path);
    let fresh = match made {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    let directory: OwnedFd = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
        .open(path)?
        .into();
    if fresh {
        fchown(&directory, Some(identity.uid), Some(identity.gid))?;
    }
    Ok(directory)
}
