//! What the control group of the container allows, and what the kernel did when it was too little.
//!
//! Inside a container the group's files are usually at the root of the mount, because the container sees its own group
//! as the root; on a host they are under the path that `/proc/self/cgroup` names. Both are tried, version 2 before 1.

use std::fs;
use std::path::{Path, PathBuf};

/// Limits; `None` where there is none, or where it cannot be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// Version 1 writes "no limit" as the largest multiple of the page size.
const NO_LIMIT: u64 = 1 << 60;

/// The limits that hold for this process.
pub fn limits() -> Limits {
    let places = Places::of_this_process();
    let number = |text: String| {
        let number = text.trim().parse::<u64>().ok();
        number.filter(|n| *n < NO_LIMIT)
    };
    Limits {
        memory: places
            .read("memory", "memory.max", "memory.limit_in_bytes")
            .and_then(number),
        pids: places.read("pids", "pids.max", "pids.max").and_then(number),
    }
}

/// How many processes of the group the kernel has killed for want of memory; `None` where it does not say.
pub fn killed_for_memory() -> Option<u64> {
    let text = Places::of_this_process().read("memory", "memory.events", "memory.oom_control")?;
    count(&text, "oom_kill")
}

/// How often the kernel has refused the group another process because it had as many as it may; `None` where it does not
/// say.
pub fn refused_processes() -> Option<u64> {
    let text = Places::of_this_process().read("pids", "pids.events", "pids.events")?;
    count(&text, "max")
}

/// The figure in a line `name figure`.
fn count(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.trim().parse().ok())
}

struct Places {
    root: PathBuf,
    /// The lines of `/proc/self/cgroup`: `number:controllers:path`.
    groups: String,
}

impl Places {
    fn of_this_process() -> Self {
        Self {
            root: PathBuf::from("/sys/fs/cgroup"),
            groups: fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
        }
    }

    /// The group's file: `new` of version 2, else `old` of version 1's `controller`.
    fn read(&self, controller: &str, new: &str, old: &str) -> Option<String> {
        let unified = self.group(|names| names.is_empty());
        let legacy = self.group(|names| names.split(',').any(|name| name == controller));
        let under = |base: PathBuf, group: Option<&str>, name: &str| {
            let group = group.unwrap_or_default().trim_start_matches('/');
            fs::read_to_string(base.join(group).join(name))
                .or_else(|_| fs::read_to_string(base.join(name)))
                .ok()
        };
        under(self.root.clone(), unified, new)
            .or_else(|| under(self.root.join(controller), legacy, old))
    }

    fn group(&self, wanted: impl Fn(&str) -> bool) -> Option<&str> {
        self.groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (names, path) = (fields.next()?, fields.next()?);
            // A path that leaves the mount names another container's group.
            (wanted(names) && !Path::new(path).starts_with("/..")).then_some(path)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root =
            std::env::temp_dir().join(format!("deskinit-cgroup-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn finds_the_group_in_both_versions_inside_and_outside_a_container() {
        let cases = [
            ("v2-inside", "0::/\n", [("memory.max", "512\n"), ("x", "")]),
            (
                "v2-host",
                "0::/a/b\n",
                [("memory.max", "9\n"), ("a/b/memory.max", "512\n")],
            ),
            (
                "v1-inside",
                "5:memory:/docker/x\n0::/docker/x\n",
                [("memory/memory.limit_in_bytes", "512\n"), ("x", "")],
            ),
            (
                "v1-host",
                "4:cpu,memory:/x\n",
                [("memory/x/memory.limit_in_bytes", "512\n"), ("x/y", "")],
            ),
        ];
        for (name, groups, files) in cases {
            let root = tree(name, &files);
            let places = Places {
                root: root.clone(),
                groups: groups.to_owned(),
            };
            let found = places.read("memory", "memory.max", "memory.limit_in_bytes");
            assert_eq!(found.as_deref(), Some("512\n"), "{name}");
            fs::remove_dir_all(root).unwrap();
        }
    }

    #[test]
    fn counts_kills() {
        assert_eq!(count("low 0\noom 4\noom_kill 3\n", "oom_kill"), Some(3));
        assert_eq!(count("under_oom 0\n", "oom_kill"), None);
    }
}
