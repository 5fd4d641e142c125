//! Standard output and standard error that cannot be written to: exit codes stay what they are, nothing panics (101).

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::orders::ask;
use crate::support::desk::{Builder, DESKINIT};

fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

/// A pipe that nobody reads any more.
fn broken() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    OwnedFd::from(writer).into()
}

fn code(words: &[&str], stdout: Stdio, stderr: Stdio) -> Option<i32> {
    let mut command = Command::new(DESKINIT);
    command.args(words).stdout(stdout).stderr(stderr);
    command.status().unwrap().code()
}

#[test]
fn wrong_settings_are_64_whoever_hears_of_them() {
    for stderr in [full, broken] {
        for words in [
            &["run", "--vnc-port", "x", "--", "true"][..],
            &["serve", "--vnc-port", "x"],
            &["run", "--nonsense"],
            &["config", "--vnc-port", "x"],
        ] {
            assert_eq!(code(words, full(), stderr()), Some(64), "{words:?}");
        }
        let nobody = ["status", "--run-dir", "/nonexistent"];
        assert_eq!(code(&nobody, full(), stderr()), Some(69));
    }
}

#[test]
fn what_is_printed_for_its_own_sake_must_be_printed() {
    for words in [
        &["config"][..],
        &["--help"],
        &["help", "run"],
        &["--version"],
    ] {
        assert_eq!(
            code(words, Stdio::null(), Stdio::null()),
            Some(0),
            "{words:?}"
        );
        assert_eq!(code(words, broken(), Stdio::null()), Some(141), "{words:?}");
        for stderr in [full(), broken(), Stdio::null()] {
            assert_eq!(code(words, full(), stderr), Some(74), "{words:?}");
        }
    }
    let mut command = Command::new(DESKINIT);
    let output = command.arg("config").stdout(full()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("standard output: No space left"), "{told}");
}

#[test]
fn a_run_that_nobody_can_hear_is_a_run() {
    let desk = Builder::new(&["sh", "-c", "echo ready; sleep 1000"]);
    let mut desk = desk.env("APP_HEADLESS", "1").unread();
    desk = desk.streams(full(), full());
    let desk = desk.start();
    desk.up();
    // What was ordered was done.
    let order = ["stop", "app", "--run-dir"];
    let dir = desk.run_dir();
    let mut command = Command::new(DESKINIT);
    command.args(order).arg(&dir).stdout(full()).stderr(full());
    assert_eq!(command.status().unwrap().code(), Some(0));
    for record in ["logs", "events", "status"] {
        let mut command = Command::new(DESKINIT);
        command.args([record, "--run-dir"]).arg(&dir).stdout(full());
        assert_eq!(command.status().unwrap().code(), Some(74), "{record}");
    }
    assert_eq!(ask(&desk, &["signal", "TERM", "display"]).0, Some(0));
    desk.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(desk.code(), 143);
}

#[test]
fn as_json_all_lines_have_one_shape() {
    let desk = Builder::new(&["sh", "-c", "echo hello; sleep 1000"])
        .env("APP_HEADLESS", "1")
        .env("LOG_FORMAT", "json")
        .env("LOG_LEVEL", "debug")
        .start();
    desk.up();
    desk.line("hello");
    desk.signal(nix::sys::signal::Signal::SIGTERM);
    let (_, lines) = desk.end();
    let lines = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect(line));
    let lines: Vec<Value> = lines.collect();
    for line in &lines {
        let whole = line["time"].is_f64() && line["service"].is_string();
        assert!(whole && line["message"].is_string(), "{line}");
    }
    for (service, message, level) in [
        ("run", "everything is ready", Value::Null),
        ("app", "hello", Value::Null),
        ("display", "input is connected", "INFO".into()),
        ("display", "display server listens", "DEBUG".into()),
    ] {
        let said = |line: &&Value| {
            let text = line["message"].as_str().unwrap_or_default();
            line["service"] == service && text.starts_with(message)
        };
        let line = lines.iter().find(said).expect(message);
        assert_eq!(line["level"], level, "{line}");
    }
}
