//! Locks that dead X servers have left behind: what stands in the way of a display number.

use std::fs::{self, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::display::{lives_on, open_flags, owner};

/// A lock whose owner is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The file.
    pub path: PathBuf,
    /// The display number that it holds.
    pub number: u16,
    /// The user it belongs to: in a directory like `/tmp` only that one, and root, can remove it.
    pub uid: u32,
}

/// All of them in `/tmp`, by number.
pub fn leftovers() -> Vec<Leftover> {
    leftovers_in(Path::new("/tmp"))
}

fn leftovers_in(root: &Path) -> Vec<Leftover> {
    let mut found: Vec<Leftover> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let number = number(entry.file_name().to_str()?)?;
            dead(entry.path(), number)
        })
        .collect();
    found.sort_by_key(|leftover| leftover.number);
    found
}

/// `.X7-lock`.
fn number(name: &str) -> Option<u16> {
    name.strip_prefix(".X")?.strip_suffix("-lock")?.parse().ok()
}

fn dead(path: PathBuf, number: u16) -> Option<Leftover> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(open_flags())
        .open(&path)
        .ok()?;
    let is = file.metadata().ok().filter(fs::Metadata::is_file)?;
    // Of another container, maybe: see `display`.
    if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
        return None;
    }
    match owner(&mut file) {
        Some(pid) if lives_on(pid) => None,
        _ => Some(Leftover {
            path,
            number,
            uid: is.uid(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_locks_of_the_dead_are_left_over() {
        let root = std::env::temp_dir().join(format!("deskinit-leftovers-{}", std::process::id()));
        fs::create_dir(&root).unwrap();
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        let dead = gone.id();
        gone.wait().unwrap();
        let lock = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
        lock(".X7-lock", &format!("{:>10}\n", std::process::id()));
        lock(".X8-lock", &format!("{dead:>10}\n"));
        lock(".X3-lock", "nobody\n");
        lock(".X-lock", "1\n");
        fs::create_dir(root.join(".X9-lock")).unwrap();
        lock(".X6-lock", &format!("{dead:>10}\n"));
        let held = fs::File::open(root.join(".X6-lock")).unwrap();
        held.lock().unwrap();
        std::os::unix::fs::symlink(root.join(".X8-lock"), root.join(".X4-lock")).unwrap();
        let found: Vec<u16> = leftovers_in(&root).iter().map(|one| one.number).collect();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, [3, 8]);
    }
}
