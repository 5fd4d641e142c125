//! No descriptor is left: `run` answers all the same, and what it cannot start waits until it can.

use std::cell::Cell;
use std::process::Command;

use deskinit::supervisor::link::{ServiceState, ServiceStatus, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::services::Files;
use crate::support::desk::{Desk, LONG, is_ready, pid};

/// From now on `run` may have descriptors below this number.
fn allow(desk: &Desk, descriptors: usize) {
    let status = Command::new("prlimit")
        .args(["--pid", &desk.pid().to_string()])
        .arg(format!("--nofile={descriptors}:"))
        .status();
    assert!(status.unwrap().success());
}

/// The lowest number that no descriptor of `run`'s has.
fn first_free(desk: &Desk) -> usize {
    let open = |number: &usize| {
        let path = format!("/proc/{}/fd/{number}", desk.pid());
        std::fs::symlink_metadata(path).is_ok()
    };
    (0..).find(|number| !open(number)).unwrap()
}

fn job(status: &Status) -> &ServiceStatus {
    let mut services = status.services.iter();
    services.find(|one| one.name == "job").unwrap()
}

#[test]
fn without_a_descriptor_it_answers_and_starts_what_it_owes_when_it_can() {
    let table = "[service.job]\ncommand = \"sleep 1000\"\nrestart_limit = 2\non_fatal = \"end\"\n";
    let files = Files::new("shortage", &[("a.toml", table)]);
    let desk = files
        .builder(&["sleep", "1000"])
        .env("APP_HEADLESS", "1")
        .start();
    let before = desk.up();
    allow(&desk, first_free(&desk));
    for _ in 0..5 {
        desk.status().expect("it answers on the one in reserve");
    }
    kill(Pid::from_raw(pid(&before, "job")), Signal::SIGKILL).unwrap();
    desk.line("the service job could not be started: sleep: Too many open files (os error 24); it is started when it can be");
    // More often than its limit allows, if these counted: each try begins the pause anew.
    let (tries, last) = (Cell::new(0), Cell::new(u64::MAX));
    desk.when("it was tried again and again", LONG, |status| {
        let job = job(status);
        assert!(matches!(
            job.state,
            ServiceState::Backoff | ServiceState::Waiting
        ));
        if job.since_ms < last.replace(job.since_ms) {
            tries.set(tries.get() + 1);
        }
        tries.get() > 3
    });
    allow(&desk, 1024);
    let after = desk.when("it is back", LONG, |status| is_ready(status, "job"));
    assert_eq!(job(&after).restarts, 1);
    let said = desk.lines();
    let said = said
        .iter()
        .filter(|line| line.contains("Too many open files"));
    assert!(said.count() <= 2, "once in a while");
}
