//! Who descends from us, from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;

/// A living process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Its process group's.
    pub group: i32,
    /// Somebody has stopped it.
    pub stopped: bool,
    /// It waits for something to happen.
    pub waits: bool,
}

/// All living processes that descend from `ancestor`, without itself and without zombies, in ascending order of ids.
/// A picture of one moment: whoever acts on it opens a pidfd and looks again with [`look`].
pub fn descendants(ancestor: i32) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<(Process, bool)>> = BTreeMap::new();
    for (process, alive) in all() {
        let siblings = children.entry(process.parent).or_default();
        siblings.push((process, alive));
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([ancestor]);
    let mut open = vec![ancestor];
    while let Some(pid) = open.pop() {
        for &(child, alive) in children.get(&pid).into_iter().flatten() {
            if seen.insert(child.pid) {
                open.push(child.pid);
                if alive {
                    found.push(child);
                }
            }
        }
    }
    found.sort_by_key(|process| process.pid);
    found
}

/// All living processes of this process group.
pub fn group(group: i32) -> Vec<Process> {
    all()
        .filter(|(process, alive)| *alive && process.group == group)
        .map(|(process, _)| process)
        .collect()
}

/// Every process there is, and whether it is alive.
fn all() -> impl Iterator<Item = (Process, bool)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?))
}

/// This process as it is now; `None` when it has ended.
pub fn look(pid: i32) -> Option<Process> {
    Watched::new(pid).ok()?.look()
}

/// A process that is looked at more than once.
#[derive(Debug)]
pub struct Watched {
    pid: i32,
    file: File,
}

impl Watched {
    /// The process that has this id now, and no later one.
    ///
    /// # Errors
    /// When there is none, or it is hidden.
    pub fn new(pid: i32) -> io::Result<Self> {
        let file = File::open(format!("/proc/{pid}/stat"))?;
        Ok(Self { pid, file })
    }

    /// As it is now; `None` when it has ended.
    pub fn look(&self) -> Option<Process> {
        self.stat()
            .filter(|(_, alive)| *alive)
            .map(|(process, _)| process)
    }

    fn stat(&self) -> Option<(Process, bool)> {
        let mut text = [0; BEGINNING];
        let length = loop {
            match self.file.read_at(&mut text, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                length => break length.ok()?,
            }
        };
        parse(self.pid, text.get(..length)?)
    }
}

/// Has it ended, with nobody having asked how? False when that cannot be told.
pub fn is_zombie(pid: i32) -> bool {
    stat(pid).is_some_and(|(_, alive)| !alive)
}

/// Of a line in `/proc/PID/stat`, for what is asked here. There may be thousands, so each is read in one piece.
const BEGINNING: usize = 256;

fn stat(pid: i32) -> Option<(Process, bool)> {
    Watched::new(pid).ok()?.stat()
}

/// proc(5): `pid (name) state ppid pgrp …`; the name may hold anything, also parentheses and line ends.
fn parse(pid: i32, text: &[u8]) -> Option<(Process, bool)> {
    let after = text.iter().rposition(|&byte| byte == b')')? + 1;
    let rest = String::from_utf8_lossy(text.get(after..)?);
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some((
        Process {
            pid,
            parent,
            group,
            stopped: state == "T",
            waits: state == "S",
        },
        !matches!(state, "Z" | "X" | "x"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_children() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let me = nix::unistd::getpid().as_raw();
        assert!(descendants(me).iter().any(|process| process.pid == pid));
        assert_eq!(look(pid).map(|process| process.parent), Some(me));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants(me).iter().any(|process| process.pid == pid));
        assert_eq!(look(pid), None);
    }
}
