//! What the container gives: memory, shared memory, descriptors, processes, a user.

use nix::sys::resource::{Resource, getrlimit};

use super::Report;
use crate::supervisor::service::size;
use crate::sys::{cgroup, space};

const MIB: u64 = 1024 * 1024;
/// X server, window manager, display server and the smallest of applications together.
const LEAST_MEMORY: u64 = 192 * MIB;
/// Below this browsers crash in the middle of a page.
const LEAST_SHARED: u64 = 64 * MIB;
/// With this they do not.
const GOOD_SHARED: u64 = 256 * MIB;
/// Less than this left counts as full.
const LEAST_FREE: u64 = MIB;
/// A viewer is a descriptor or two, a page some; the display server alone keeps some forty.
const LEAST_FILES: u64 = 256;
/// A desktop of its own has about ten processes and thirty threads; browsers have hundreds.
const LEAST_PIDS: u64 = 64;

/// `drops`: `run` becomes another user before anything else.
pub(super) fn check(report: &mut Report, drops: bool) {
    report.check("/dev/shm", shared_memory);
    report.check("/tmp", scratch);
    report.check("limits", limits);
    report.check("memory", memory);
    report.check("user", |report| user(report, drops));
}

fn shared_memory(report: &mut Report) {
    let more = "give it more: docker run --shm-size=1g; in Kubernetes an emptyDir with medium: Memory at /dev/shm";
    let Some((total, free)) = space::of("/dev/shm") else {
        report.finding(
            "/dev/shm",
            "is not there: browsers and many toolkits do not start without it",
            "mount a tmpfs there",
        );
        return;
    };
    if free < LEAST_FREE {
        report.finding(
            "/dev/shm",
            format!("is full ({} of {} left)", size(free), size(total)),
            more,
        );
    } else if total < LEAST_SHARED {
        report.finding(
            "/dev/shm",
            format!(
                "has only {}: browsers crash in the middle of a page",
                size(total)
            ),
            more,
        );
    } else if total < GOOD_SHARED {
        report.note(
            "/dev/shm",
            format!("has {}, which is little for a browser", size(total)),
            more,
        );
    }
}

fn scratch(report: &mut Report) {
    if let Some((total, free)) = space::of("/tmp").filter(|(_, free)| *free < LEAST_FREE) {
        report.finding(
            "/tmp",
            format!("is full ({} of {} left)", size(free), size(total)),
            "make room there, or mount a larger one",
        );
    }
}

fn limits(report: &mut Report) {
    if let Ok((files, _)) = getrlimit(Resource::RLIMIT_NOFILE)
        && files < LEAST_FILES
    {
        report.finding(
            "open files",
            format!("no more than {files} a process"),
            format!("allow {LEAST_FILES} and more: docker run --ulimit nofile=8192"),
        );
    }
    // It counts what the user has elsewhere on the machine, too.
    if let Ok((mine, _)) = getrlimit(Resource::RLIMIT_NPROC)
        && mine < LEAST_PIDS
    {
        report.finding(
            "processes",
            format!("no more than {mine} for this user"),
            format!("allow {LEAST_PIDS} and more: docker run --ulimit nproc=4096"),
        );
    }
    if let Some(pids) = cgroup::limits().pids.filter(|pids| *pids < LEAST_PIDS) {
        report.finding(
            "processes",
            format!("no more than {pids} in this container"),
            format!("allow {LEAST_PIDS} and more, for a browser 1024: docker run --pids-limit"),
        );
    }
}

fn memory(report: &mut Report) {
    if let Some(memory) = cgroup::limits()
        .memory
        .filter(|bytes| *bytes < LEAST_MEMORY)
    {
        report.finding(
            "memory",
            format!("no more than {} for the whole container", size(memory)),
            format!("allow {} and more", size(LEAST_MEMORY)),
        );
    }
    if let Some(count) = cgroup::killed_for_memory().filter(|count| *count > 0) {
        report.finding(
            "memory",
            format!("the kernel has killed {count} processes of this container for want of it"),
            "raise the container's memory limit",
        );
    }
}

fn user(report: &mut Report, drops: bool) {
    if nix::unistd::geteuid().is_root() && !drops {
        report.note(
            "user",
            "root: what runs as root here has every right in the container",
            "name another one in USER or USER_ID, or start the container as one: USER in the Dockerfile, docker run --user, runAsNonRoot in Kubernetes",
        );
    }
}
