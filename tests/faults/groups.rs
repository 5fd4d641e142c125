//! Helpers that outlive the service that started them, in its process group and outside of it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::TempDir;
use crate::support::desk::{Builder, Desk, LONG, pid};
use crate::support::eventually;

/// Living processes with exactly this command line.
fn processes(words: &[&str]) -> Vec<i32> {
    let wanted: Vec<u8> = words
        .iter()
        .flat_map(|word| word.bytes().chain([0]))
        .collect();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|is| is == wanted))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// An application that takes a lock, and shares it with a helper in its process group.
fn locker(dir: &TempDir, helper: &str) -> Desk {
    let script = format!(
        "exec 9>{}/lock; flock --nonblock 9 || {{ echo held; exit 1; }}; {helper} wait",
        dir.path().display()
    );
    Builder::new(&["sh", "-c", &script])
        .env("APP_HEADLESS", "1")
        .env("KEEP_APP_RUNNING", "1")
        .start()
}

fn started(desk: &Desk, count: usize) {
    eventually(&format!("{count} starts"), LONG, || {
        let lines = desk.lines();
        let starts = lines.iter().filter(|line| *line == "[app] started").count();
        (starts == count).then_some(())
    });
}

/// Kills the main process, again and again; each next one must find the lock free.
fn crash(desk: &Desk) {
    for turn in 1..4 {
        started(desk, turn);
        let app = pid(&desk.up(), "app");
        kill(Pid::from_raw(app), Signal::SIGKILL).unwrap();
    }
    started(desk, 4);
    let lines = desk.lines();
    assert!(!lines.iter().any(|line| line == "[app] held"), "{lines:#?}");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("has left processes behind")),
        "{lines:#?}"
    );
}

#[test]
fn a_helper_that_holds_a_lock_is_gone_before_its_service_comes_back() {
    let dir = TempDir::new();
    let (helper, daemon) = (
        format!("71{}", std::process::id()),
        format!("72{}", std::process::id()),
    );
    let desk = locker(
        &dir,
        &format!("sleep {helper} & setsid sh -c 'echo started; exec sleep {daemon}' 9>&- &"),
    );
    crash(&desk);
    // The last ones may only be about to become what they are looked for as.
    eventually("one helper", LONG, || {
        (processes(&["sleep", &helper]).len() == 1).then_some(())
    });
    eventually("who made a session of its own is let be", LONG, || {
        (processes(&["sleep", &daemon]).len() == 4).then_some(())
    });
    desk.signal(Signal::SIGTERM);
    assert_eq!(desk.code(), 143);
    assert_eq!(processes(&["sleep", &daemon]).len(), 0, "until the end");
}

#[test]
fn a_helper_that_ignores_signals_or_was_stopped_is_gone_as_well() {
    for helper in [
        "(trap '' TERM HUP; while :; do sleep 1000; done) & echo started;",
        "(kill -STOP $(sh -c 'echo $PPID'); sleep 1000) & echo started;",
    ] {
        let dir = TempDir::new();
        crash(&locker(&dir, helper));
    }
}
