//! System calls that fail: what the kernel may answer any init, by `strace --inject`.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::desk::{Builder, Desk, LONG, is_ready, pid};
use crate::tools::{count, does_not_spin, has, init, quick, send};

/// Under strace, which is a stranger to the init: not its parent, not its child.
fn injected(builder: Builder, faults: &[&str]) -> Option<Desk> {
    if !has("strace") {
        return None;
    }
    let log = std::env::temp_dir().join(format!("deskinit-strace-{}", std::process::id()));
    let mut words = vec!["strace", "-D", "-qq", "-o", log.to_str().unwrap()];
    let faults: Vec<String> = faults
        .iter()
        .map(|fault| format!("--inject={fault}"))
        .collect();
    words.extend(faults.iter().map(String::as_str));
    Some(
        builder
            .within(&words, "exec \"$@\"")
            .expect("it traces")
            .start(),
    )
}

/// All of a life: it starts, an orphan ends, a service is killed and comes back, nothing spins, the code is kept.
fn lives(faults: &[&str]) {
    let table = "[service.extra]\ncommand = \"sleep 1000\"\n";
    let script = "(true & true); trap 'exit 9' USR1; echo there; while :; do sleep 0.05; done";
    let builder = quick(&["sh", "-c", script]).services(table);
    let Some(desk) = injected(builder, faults) else {
        return;
    };
    desk.line("[app] there");
    let status = desk.when("the service runs", LONG, |status| is_ready(status, "extra"));
    let init = init(&desk);
    let old = pid(&status, "extra");
    send(old, Signal::SIGKILL);
    does_not_spin(init, || {
        desk.when("the service is back", LONG, |status| {
            is_ready(status, "extra") && pid(status, "extra") != old
        })
    });
    let (children, dead) = crate::tools::children(init);
    assert!(children >= 4 && dead == 0, "{children} {dead}");
    send(pid(&status, "app"), Signal::SIGUSR1);
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(9), "{faults:?} {lines:#?}");
    assert!(lines.len() < 40, "{faults:?} {lines:#?}");
}

#[test]
fn no_process_for_the_first_starts() {
    for error in ["EAGAIN", "ENOMEM"] {
        let fault = format!("clone,clone3,fork,vfork:error={error}:when=1..3");
        let builder = quick(&["sh", "-c", "exit 9"]);
        let Some(desk) = injected(builder, &[&fault]) else {
            return;
        };
        let (status, lines) = desk.end();
        assert_eq!(status.code(), Some(9), "{lines:#?}");
        // Said once for all that wait for it, beside the window manager that is not there.
        assert_eq!(
            count(&lines, "it is started when it can be"),
            1,
            "{lines:#?}"
        );
    }
}

/// What cannot be started for want of a process is tried until it can, and that is said once.
#[test]
fn no_process_for_a_while() {
    // The five that everything begins with, then none for three attempts.
    let fault = "clone,clone3,fork,vfork:error=EAGAIN:when=6..8";
    let builder = quick(&["sleep", "1000"]).services("[service.extra]\ncommand = \"sleep 1000\"\n");
    let Some(desk) = injected(builder, &[fault]) else {
        return;
    };
    let status = desk.when("the service runs", LONG, |status| is_ready(status, "extra"));
    let old = pid(&status, "extra");
    send(old, Signal::SIGKILL);
    does_not_spin(init(&desk), || {
        desk.when("the service is back", LONG, |status| {
            is_ready(status, "extra") && pid(status, "extra") != old
        })
    });
    let lines = desk.lines();
    let told = "the service extra could not be started: sleep: no process is left";
    assert_eq!(count(&lines, told), 1, "{lines:#?}");
}

#[test]
fn waiting_that_is_interrupted_or_refused() {
    lives(&["poll,ppoll:error=EINTR:when=2+2"]);
    lives(&["poll,ppoll:error=ENOMEM:when=5+3"]);
    lives(&["waitid:error=EINTR:when=1+2", "wait4:error=EINTR:when=2+2"]);
    lives(&["waitid:error=EAGAIN:when=1+2"]);
    lives(&["wait4:error=ENOMEM:when=2+2"]);
}

#[test]
fn reading_that_is_interrupted_or_refused() {
    lives(&["read:error=EINTR:when=60+2"]);
    lives(&["read:error=EAGAIN:when=60+2"]);
    lives(&["recvmsg:error=EINTR:when=1+2"]);
    lives(&["accept,accept4:error=EINTR:when=1+3"]);
}

#[test]
fn no_descriptor_for_what_it_can_do_without() {
    lives(&["pidfd_open:error=EMFILE"]);
    lives(&["pidfd_open:error=ENOSYS"]);
    lives(&["pidfd_send_signal:error=ENOSYS"]);
    lives(&["accept4:error=EMFILE:when=1+2"]);
    lives(&["openat:error=EMFILE:when=60..63"]);
    // Its pixels stay with the X server.
    lives(&["memfd_create:error=EPERM:when=1"]);
}

/// A signal that is announced and cannot be read: nothing can be done about it but not to burn a processor.
#[test]
fn a_descriptor_that_is_ready_for_ever_takes_no_processor() {
    let builder = quick(&["sleep", "1000"]);
    let Some(desk) = injected(builder, &["read:error=EIO:when=400+"]) else {
        return;
    };
    desk.when("the application runs", LONG, |status| {
        is_ready(status, "app")
    });
    let init = init(&desk);
    // Whatever is read now.
    for _ in 0..400 {
        send(init, Signal::SIGWINCH);
    }
    does_not_spin(init, || std::thread::sleep(Duration::from_secs(2)));
    assert!(desk.status().is_some());
}

#[test]
fn without_memory_files_nothing_is_started_and_it_says_why() {
    if !has("strace") {
        return;
    }
    let dir = crate::support::TempDir::new();
    let output = Command::new("strace")
        .args([
            "-D",
            "-qq",
            "-o",
            "/dev/null",
            "--inject=memfd_create:error=EMFILE",
        ])
        .args([crate::support::desk::DESKINIT, "run", "--", "true"])
        .env("RUN_DIR", dir.path().join("run"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(71));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("memory file"), "{text}");
}

/// What cannot be written to the log is as if nobody read it: services are not held up.
#[test]
fn a_log_that_takes_nothing() {
    for error in ["ENOSPC", "EIO", "EAGAIN", "EINTR"] {
        let dir = crate::support::TempDir::new();
        let log = dir.path().join("out.log");
        let script = "i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done; exit 9";
        if !has("strace") {
            return;
        }
        // What is written to this file, and nothing else.
        let path = log.to_str().unwrap();
        let fault = format!("--inject=write:error={error}:when=2+2");
        let words = ["strace", "-D", "-qq", "-o", "/dev/null", "-P", path, &fault];
        let builder = quick(&["sh", "-c", script]);
        let builder = builder.within(&words, &format!("exec \"$@\" >{path}"));
        let desk = builder.expect("it traces").start();
        assert_eq!(desk.code(), 9, "{error}");
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.contains("exit code 9"), "{error}: {text}");
    }
}
