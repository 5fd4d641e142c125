//! No descriptor left, no process left.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::desk::{DESKINIT, Desk, LONG, is_ready, pid};
use crate::support::{TempDir, eventually};
use crate::tools::{count, crowded, descriptors, does_not_spin, has, init, quick, send};

/// Sets the soft limit of a running process.
fn limit_descriptors(pid: i32, limit: &str) {
    let done = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--nofile={limit}:")])
        .status()
        .unwrap();
    assert!(done.success());
}

#[test]
fn an_init_without_a_descriptor_left_waits_and_goes_on_when_there_are() {
    if !has("prlimit") {
        return;
    }
    let desk = quick(&["sleep", "1000"])
        .services("[service.extra]\ncommand = \"sleep 1000\"\n")
        .start();
    let status = desk.when("the service runs", LONG, |status| is_ready(status, "extra"));
    let init = init(&desk);
    // Nobody's connection is left, so that these are all it has.
    eventually("it is quiet", LONG, || {
        let now = descriptors(init);
        std::thread::sleep(Duration::from_millis(50));
        (descriptors(init) == now).then_some(())
    });
    limit_descriptors(init, &descriptors(init).to_string());
    let lines = desk.lines().len();
    // Somebody asks and waits; a service and an orphan end.
    let answer = crate::tools::question(&desk);
    let old = pid(&status, "extra");
    send(old, Signal::SIGKILL);
    does_not_spin(init, || std::thread::sleep(Duration::from_secs(4)));
    let said = desk.lines().len() - lines;
    println!("{said} lines");
    assert!(said <= 5, "{:#?}", desk.lines());
    limit_descriptors(init, "20000");
    assert_eq!(answer().pid, init);
    desk.when("the service is back", LONG, |status| {
        is_ready(status, "extra") && pid(status, "extra") != old
    });
    let (_, dead) = crate::tools::children(init);
    assert_eq!(dead, 0);
}

/// An application of a user who may have so many processes, all that there are included, and wants more.
fn bomb(dir: &TempDir) -> Option<Desk> {
    if !has("prlimit") || !has("setpriv") {
        return None;
    }
    // So that this limit hits nobody else.
    let user = 70_000 + std::process::id() % 10_000;
    let run = dir.path().join("run");
    fs::create_dir_all(&run).unwrap();
    let script = "import os, time\n\
                  failed = 0\n\
                  while True:\n\
                  \x20   try:\n\
                  \x20       if os.fork() == 0: failed = 0\n\
                  \x20   except OSError as error:\n\
                  \x20       if not failed: print('full', flush=True)\n\
                  \x20       failed += 1\n\
                  \x20       time.sleep(0.01)";
    let builder = quick(&["python3", "-c", script])
        .env("GRACE_PERIOD", "6")
        .env("HOME", dir.path().to_str().unwrap());
    let enter = format!(
        "chown -R {user}:{user} {} && exec setpriv --reuid={user} --regid={user} --clear-groups prlimit --nproc=200 \"$@\"",
        dir.path().display()
    );
    let Some(builder) = builder.within(&["env"], &enter) else {
        eprintln!("skipped: no other user can be had here");
        return None;
    };
    Some(builder.env("RUN_DIR", run.to_str().unwrap()).start())
}

#[test]
fn a_fork_bomb_takes_neither_the_init_nor_the_probe() {
    let _machine = crowded();
    let dir = TempDir::new();
    let Some(desk) = bomb(&dir) else { return };
    desk.line("[app] full");
    let run = dir.path().join("run");
    let ask = |what: &str| {
        let output = Command::new(DESKINIT)
            .args([what, "--run-dir", run.to_str().unwrap()])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    };
    let init = init(&desk);
    does_not_spin(init, || {
        let (code, text) = ask("status");
        // It says the truth: no window manager.
        assert_eq!(code, Some(3), "{text}");
        assert!(text.contains("app"), "{text}");
        assert_eq!(ask("health").0, Some(1));
    });
    let status = deskinit::supervisor::link::status(&run, LONG).unwrap();
    send(pid(&status, "display"), Signal::SIGKILL);
    let refused = "could not be started: ";
    desk.line(refused);
    std::thread::sleep(Duration::from_secs(2));
    let told = count(&desk.lines(), refused);
    assert!(told < 6, "{:#?}", desk.lines());
    let since = Instant::now();
    send(init, Signal::SIGTERM);
    let (status, lines) = desk.end();
    println!("stopped in {:?}", since.elapsed());
    assert_eq!(status.code(), Some(143), "{lines:#?}");
    assert!(since.elapsed() < Duration::from_secs(7));
    assert!(
        lines.iter().any(|line| line.contains("no process is left")),
        "{lines:#?}"
    );
}
