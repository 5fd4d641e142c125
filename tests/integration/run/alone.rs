//! What the application does while nobody watches.

use std::fs;

use crate::support::client::{Client, Login};
use crate::support::desk::{Builder, Desk, LONG, is_ready, pid};
use crate::support::eventually;

const PASSWORD: &str = "k7Zq2xPv";

fn viewer(desk: &Desk) -> Client {
    let address = desk.up().vnc.expect("it says where it listens");
    Client::connect(address, &Login::password(PASSWORD)).expect("logs in")
}

fn stopped(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| rest.starts_with('T'))
}

#[test]
fn it_is_held_still_with_all_that_it_started_and_goes_on_for_a_viewer() {
    // A child, a session of its own, and one that somebody stopped before.
    let script = "sleep 1001 & setsid sleep 1002 & sleep 1003 & until grep -qx sleep /proc/$!/comm; do :; done; kill -STOP $!; trap 'exit 7' TERM; echo all are there; \
        while :; do sleep 0.1; done";
    let desk = Builder::new(&["sh", "-c", script])
        .env("APP_HEADLESS", "1")
        .env("VNC_PASSWORD", PASSWORD)
        .env("FREEZE_TIMEOUT", "1")
        .start();
    // However early it was held still, a viewer lets it get there.
    let first = viewer(&desk);
    desk.line("[app] all are there");
    drop(first);
    let status = desk.when("it is held still", LONG, |status| status.frozen);
    let app = pid(&status, "app");
    let sleeper = |seconds: &str| {
        eventually(&format!("sleep {seconds}"), LONG, || {
            desk.descendants().into_iter().find(|pid| {
                fs::read_to_string(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|line| line == format!("sleep\0{seconds}\0"))
            })
        })
    };
    let [child, session, resting] = ["1001", "1002", "1003"].map(sleeper);
    for process in [app, child, session, resting] {
        eventually("it is stopped", LONG, || stopped(process).then_some(()));
    }
    for name in ["xserver", "display", "wm"] {
        assert!(!stopped(pid(&status, name)), "{name}");
    }
    let viewer = viewer(&desk);
    desk.when("it goes on", LONG, |status| !status.frozen);
    for process in [app, child, session] {
        eventually("it goes on", LONG, || (!stopped(process)).then_some(()));
    }
    assert!(stopped(resting), "that was not us");
    drop(viewer);
    desk.when("it is held still again", LONG, |status| status.frozen);
    desk.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(desk.code(), 7, "it heard, and answered");
}

#[test]
fn it_is_started_for_the_first_viewer() {
    let desk = Builder::new(&["xterm"])
        .env("VNC_PASSWORD", PASSWORD)
        .env("START_ON_CONNECT", "1")
        .start();
    let status = desk.up();
    assert!(
        status
            .services
            .iter()
            .any(|one| one.name == "app" && one.pid.is_none())
    );
    // Or nobody would be sent here.
    let answer = desk.get("/readyz");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let _viewer = viewer(&desk);
    desk.when("the application is ready", LONG, |status| {
        is_ready(status, "app")
    });
}
