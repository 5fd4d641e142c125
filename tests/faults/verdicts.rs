//! Every end has a cause, and the cause is said: in the last line, and in the status of a service that came back.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::desk::{Builder, DESKINIT, Desk, LONG, is_ready, pid};

/// A desktop whose application needs no window.
fn headless(words: &[&str]) -> Builder {
    Builder::new(words).env("APP_HEADLESS", "1")
}

/// The last line of one that ends by itself, with this code.
fn last_line(desk: Desk, code: i32) -> String {
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(code), "{lines:#?}");
    lines.last().unwrap().clone()
}

/// The verdict on the last end of a service, once it is back.
fn verdict(desk: &Desk, name: &str) -> String {
    let status = desk.when(&format!("{name} is back"), LONG, |status| {
        let service = status.services.iter().find(|service| service.name == name);
        service.is_some_and(|service| service.restarts > 0) && is_ready(status, name)
    });
    let mut services = status.services.into_iter();
    let service = services.find(|service| service.name == name).unwrap();
    service.verdict.unwrap()
}

#[test]
fn an_application_that_crashes_is_told_by_its_signal() {
    let desk = headless(&["sh", "-c", "ulimit -c 0; kill -SEGV $$"]).start();
    assert_eq!(
        last_line(desk, 139),
        "[run] the application crashed with SIGSEGV; exit code 139"
    );
    let desk = headless(&["sh", "-c", "exit 3"]).start();
    assert_eq!(
        last_line(desk, 3),
        "[run] the application has ended, code 3; exit code 3"
    );
}

#[test]
fn a_part_that_crashed_is_told_while_all_goes_on() {
    let desk = Desk::start(&["xterm"]);
    let before = desk.up();
    for name in ["wm", "xserver"] {
        kill(Pid::from_raw(pid(&before, name)), Signal::SIGSEGV).unwrap();
        // Both catch it, say so, and abort.
        let words = "crashed with SIGSEGV";
        assert_eq!(verdict(&desk, name), words);
        desk.line(words);
        let table = Command::new(DESKINIT)
            .args(["status", "--run-dir"])
            .arg(desk.run_dir())
            .output()
            .unwrap();
        let table = String::from_utf8_lossy(&table.stdout).into_owned();
        let told = table.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(told.ends_with(words), "{table}");
        desk.up();
    }
}

#[test]
fn a_crash_loop_is_given_up_and_told() {
    let desk = headless(&["true"])
        .env("XSERVER", "/bin/sh")
        .env("XSERVER_ARGS", "")
        .start();
    let last = last_line(desk, 69);
    assert!(
        last.contains("the X server did not become ready, given up after 4 starts in "),
        "{last}"
    );
}

/// A directory in a controller's tree, below our own group, with a limit; `None` where we may not.
struct Group(PathBuf);

impl Group {
    fn with_memory(bytes: u64) -> Option<Self> {
        Self::with("memory", "memory.max", "memory.limit_in_bytes", bytes)
    }

    fn with_processes(count: u64) -> Option<Self> {
        Self::with("pids", "pids.max", "pids.max", count)
    }

    /// By the file that has this limit in version 2, and in version 1.
    fn with(controller: &str, new: &str, old: &str, value: u64) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let name = format!("deskinit-test-{}", std::process::id());
        own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
            let root = PathBuf::from("/sys/fs/cgroup");
            let (root, limit) = match controllers {
                "" => (root, new),
                one if one == controller => (root.join(controller), old),
                _ => return None,
            };
            let group = Self(root.join(path).join(&name));
            fs::create_dir(&group.0).ok()?;
            let limited = group.0.join(limit);
            let set = limited.exists() && fs::write(limited, value.to_string()).is_ok();
            set.then_some(group)
        })
    }

    /// Runs in it.
    fn holds(&self, builder: Builder) -> Desk {
        let enter = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", self.0.display());
        builder.within(&[], &enter).unwrap().start()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn an_end_for_want_of_memory_is_named() {
    let Some(group) = Group::with_memory(256 << 20) else {
        eprintln!("skipped: no memory group may be made here");
        return;
    };
    let eat = "all = []\nwhile True: all.append(b'x' * (1 << 20))";
    let desk = group.holds(headless(&["python3", "-c", eat]));
    assert_eq!(
        last_line(desk, 137),
        "[run] the application was killed for memory (limit 256 MiB): raise the container's memory limit; exit code 137"
    );
    // Of a shell's it is the shell that ends.
    let shell = format!("python3 -c \"{eat}\"; exit $?");
    let desk = group.holds(headless(&["sh", "-c", &shell]).env("KEEP_APP_RUNNING", "1"));
    desk.line("the application has ended, code 137, killed for memory (limit 256 MiB): raise");
    let status = desk.status().unwrap();
    let app = status.services.iter().find(|service| service.name == "app");
    let told = app.unwrap().verdict.clone();
    assert_eq!(
        told.as_deref(),
        Some("code 137, killed for memory (limit 256 MiB)")
    );
    drop(desk);
    // Who is killed by a person is not said to have been killed for memory, whatever happened before.
    let desk = group.holds(headless(&["sh", "-c", "kill -KILL $$"]));
    assert_eq!(
        last_line(desk, 137),
        "[run] the application was ended by signal 9 (SIGKILL); exit code 137"
    );
}

#[test]
fn an_end_for_want_of_processes_is_named() {
    let Some(group) = Group::with_processes(100) else {
        eprintln!("skipped: no group of processes may be made here");
        return;
    };
    let bomb = "import os, time\n\
                while True:\n\
                \x20   if os.fork() == 0: time.sleep(1000)";
    let desk = group.holds(headless(&["python3", "-c", bomb]));
    let last = last_line(desk, 1);
    let words = "[run] the application has ended, code 1, the container has no process left (limit 100): raise that limit";
    assert!(last.starts_with(words), "{last}");
}

#[test]
fn a_full_dev_shm_is_named_and_the_display_stays_up() {
    let small = "mount -t tmpfs -o size=1m tmpfs /dev/shm && exec \"$@\"";
    let fill = "import mmap, os\n\
                file = os.open('/dev/shm/big', os.O_RDWR | os.O_CREAT)\n\
                os.ftruncate(file, 4 << 20)\n\
                memory = mmap.mmap(file, 4 << 20)\n\
                for at in range(0, 4 << 20, 4096): memory[at] = 1";
    let desk = headless(&["python3", "-c", fill]).env("KEEP_APP_RUNNING", "1");
    let Some(desk) = desk.within(&["unshare", "--mount"], small) else {
        eprintln!("skipped: no mount namespaces here");
        return;
    };
    let desk = desk.start();
    let before = desk.up();
    desk.line("the application crashed with SIGBUS, /dev/shm is full (1 MiB): give it more:");
    let after = desk.when("it is told", LONG, |status| {
        let mut services = status.services.iter();
        services.any(|service| service.verdict.is_some())
    });
    for name in ["xserver", "display", "wm"] {
        assert_eq!(pid(&before, name), pid(&after, name));
    }
}
