//! What processes cost: CPU time and memory.

use std::collections::BTreeMap;
use std::time::Duration;

use deskinit::sys::procfs;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// CPU time of some processes and all that descend from them, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Spent(BTreeMap<i32, Duration>);

/// These processes and their descendants.
pub(crate) fn family(roots: &[i32]) -> Vec<i32> {
    let mut all = roots.to_vec();
    for &root in roots {
        all.extend(procfs::descendants(root).iter().map(|process| process.pid));
    }
    all.sort_unstable();
    all.dedup();
    all
}

impl Spent {
    /// Reads the CPU clock of each process: nanoseconds of user and system, with all threads, also those that ended.
    pub(crate) fn now(roots: &[i32]) -> Self {
        let read = |pid: i32| {
            let clock = clock_getcpuclockid(Pid::from_raw(pid)).ok()?;
            Some((pid, Duration::from(clock.now().ok()?)))
        };
        Self(family(roots).into_iter().filter_map(read).collect())
    }

    /// What was spent from then to `later`.
    pub(crate) fn until(&self, later: &Self) -> Duration {
        let since = |(pid, now): (&i32, &Duration)| {
            now.saturating_sub(self.0.get(pid).copied().unwrap_or_default())
        };
        later.0.iter().map(since).sum()
    }

    /// Everything that was ever spent.
    pub(crate) fn total(&self) -> Duration {
        self.0.values().sum()
    }
}

/// Proportional set size of these processes and their descendants, in bytes: shared pages count as the share of each.
pub(crate) fn pss(roots: &[i32]) -> u64 {
    let family = family(roots);
    family
        .iter()
        .map(|pid| kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:"))
        .sum()
}

/// Memory of one process that it shares with nobody and no file, in bytes: pictures that applications share with an X
/// server do not count.
pub(crate) fn rss(pid: i32) -> u64 {
    kib(&format!("/proc/{pid}/status"), "RssAnon:")
}

/// A field of a file of /proc in bytes; 0 of a process that has gone.
fn kib(path: &str, field: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let figure = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    figure.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_a_child_is_seen() {
        let mut child = std::process::Command::new("sh")
            .args([
                "-c",
                "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; read x",
            ])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let me = [std::process::id() as i32];
        let before = Spent::now(&me);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while before.until(&Spent::now(&me)) < Duration::from_millis(20) {
            assert!(std::time::Instant::now() < deadline, "no CPU time is seen");
        }
        assert!(family(&me).contains(&(child.id() as i32)));
        assert!(pss(&me) > 0 && rss(me[0]) > 0);
        child.kill().expect("it runs");
        child.wait().expect("ours");
    }
}
