//! X servers that die and hang under a viewer who stays.

use std::process::Command;
use std::time::{Duration, Instant};

use deskinit::desktop::connect::Connector;
use deskinit::supervisor::link::Status;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use x11rb::protocol::xproto::ConnectionExt as _;

use crate::support::client::{Client, Login};
use crate::support::desk::{Builder, DESKINIT, Desk, LONG, is_ready, pid};
use crate::support::eventually;
use crate::support::xvfb::sync;
use crate::tools::quiet;

const PASSWORD: &str = "k7Zq2xPv";

fn desk() -> (Desk, Status) {
    let desk = Builder::new(&["xterm"])
        .env("VNC_PASSWORD", PASSWORD)
        .start();
    let status = desk.up();
    (desk, status)
}

/// Somebody who watches.
fn viewer(status: &Status) -> Client {
    let address = status.vnc.as_deref().expect("it says where it listens");
    let mut client = Client::connect(address, &Login::password(PASSWORD)).expect("logs in");
    client.set_encodings(&[0]).expect("connected");
    sees(&mut client);
    client
}

fn sees(client: &mut Client) {
    client.request_all(false).expect("connected");
    client.update(LONG).expect("a picture");
}

/// Another X server runs, with everything that belongs to it.
fn replaced(desk: &Desk, before: &Status) -> Status {
    let old = pid(before, "xserver");
    desk.when("another X server", LONG, |status| {
        let server = status.services.iter().find(|s| s.name == "xserver");
        let other = server
            .and_then(|server| server.pid)
            .is_some_and(|pid| pid != old);
        other
            && ["xserver", "wm", "app"]
                .iter()
                .all(|name| is_ready(status, name))
    })
}

fn health(desk: &Desk) -> (Option<i32>, String) {
    let output = Command::new(DESKINIT)
        .args(["health", "--run-dir"])
        .arg(desk.run_dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

#[test]
fn a_viewer_survives_the_crash_of_the_x_server() {
    let _machine = quiet();
    for signal in [Signal::SIGKILL, Signal::SIGSEGV] {
        let (desk, before) = desk();
        let mut client = viewer(&before);
        let killed = Instant::now();
        kill(Pid::from_raw(pid(&before, "xserver")), signal).unwrap();
        let after = replaced(&desk, &before);
        let took = killed.elapsed();
        println!("{signal}: back after {took:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert_eq!(pid(&before, "display"), pid(&after, "display"));
        assert_eq!(after.viewers, 1);
        sees(&mut client);
    }
}

#[test]
fn an_x_server_that_hangs_is_noticed_told_and_replaced() {
    let _machine = quiet();
    let (desk, before) = desk();
    let mut client = viewer(&before);
    let stopped = Instant::now();
    kill(Pid::from_raw(pid(&before, "xserver")), Signal::SIGSTOP).unwrap();
    let told = desk.when("the hang is noticed", LONG, |status| {
        status.message.contains("the X server does not answer")
    });
    let took = stopped.elapsed();
    println!("noticed after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(told.viewers, 1);
    assert_eq!(pid(&before, "xserver"), pid(&told, "xserver"));
    eventually("the probe tells", LONG, || {
        let (code, text) = health(&desk);
        assert_eq!(code, Some(1), "{text}");
        text.contains("does not answer").then_some(())
    });
    let after = replaced(&desk, &before);
    println!("replaced after {:?}", stopped.elapsed());
    desk.line("[run] the X server does not answer, killing it");
    let mut services = after.services.iter();
    let server = services.find(|service| service.name == "xserver").unwrap();
    assert_eq!(server.verdict.as_deref(), Some("killed, it did not answer"));
    assert_eq!(pid(&before, "display"), pid(&after, "display"));
    assert_eq!(after.viewers, 1);
    sees(&mut client);
    desk.when("all is well", LONG, |status| status.message.is_empty());
    assert_eq!(health(&desk).0, Some(0));
}

#[test]
fn a_server_that_answers_again_is_let_be() {
    let (desk, before) = desk();
    let server = Pid::from_raw(pid(&before, "xserver"));
    kill(server, Signal::SIGSTOP).unwrap();
    desk.when("the hang is noticed", LONG, |status| {
        status.message.contains("does not answer")
    });
    kill(server, Signal::SIGCONT).unwrap();
    let after = desk.when("all is well", LONG, |status| status.message.is_empty());
    for name in ["xserver", "wm", "app"] {
        assert_eq!(pid(&before, name), pid(&after, name));
    }
}

/// A program may keep everybody else waiting for as long as it likes: a menu, a screen locker.
#[test]
fn a_server_that_somebody_has_grabbed_does_not_hang() {
    let (desk, status) = desk();
    assert_eq!(health(&desk).0, Some(0));
    let cookies = desk.run_dir().join("Xauthority");
    let (link, _) = Connector::new(&status.display, Some(cookies))
        .unwrap()
        .connect()
        .unwrap();
    link.grab_server().unwrap();
    sync(&link);
    assert_eq!(health(&desk), (Some(0), "ready\n".to_owned()));
}
