//! Every part is killed in turn; the others must hardly notice.

use std::process::Command;
use std::time::{Duration, Instant};

use deskinit::desktop::connect::{Connector, Link};
use deskinit::supervisor::link::{Phase, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, MapState, Window};

use crate::support::desk::{Builder, DESKINIT, Desk, LONG, is_ready, pid};
use crate::support::eventually;
use crate::tools::quiet;

fn kill_service(status: &Status, name: &str) -> (i32, Instant) {
    let old = pid(status, name);
    kill(Pid::from_raw(old), Signal::SIGKILL).unwrap();
    (old, Instant::now())
}

/// Back, as another process, and ready; with the time it took.
fn back(desk: &Desk, name: &str, old: i32, since: Instant) -> (Status, Duration) {
    let status = desk.when(&format!("{name} is back"), LONG, |status| {
        status.phase == Phase::Running && pid(status, name) != old && is_ready(status, name)
    });
    (status, since.elapsed())
}

#[test]
fn the_display_server_is_back_at_once_and_nobody_else_is_touched() {
    let _machine = quiet();
    let desk = Desk::start(&["xterm"]);
    let before = desk.up();
    let (old, since) = kill_service(&before, "display");
    let (after, took) = back(&desk, "display", old, since);
    assert!(took < Duration::from_secs(1), "{took:?}");
    for name in ["xserver", "wm", "app"] {
        assert_eq!(pid(&before, name), pid(&after, name));
    }
    let greetings = desk
        .lines()
        .iter()
        .filter(|line| line.contains("password is"))
        .count();
    assert_eq!(greetings, 1, "the token is shown once and stays");
}

#[test]
fn the_window_manager_is_back_at_once() {
    let _machine = quiet();
    let desk = Desk::start(&["xterm"]);
    let before = desk.up();
    let (old, since) = kill_service(&before, "wm");
    let (after, took) = back(&desk, "wm", old, since);
    assert!(took < Duration::from_secs(1), "{took:?}");
    for name in ["xserver", "display", "app"] {
        assert_eq!(pid(&before, name), pid(&after, name));
    }
}

/// Does a window manager run, as the X server sees it?
fn is_managed(link: &Link, root: Window) -> bool {
    let name = b"_NET_SUPPORTING_WM_CHECK";
    let atom = link.intern_atom(false, name).unwrap().reply().unwrap().atom;
    let check = |window| {
        let cookie = link.get_property(false, window, atom, AtomEnum::WINDOW, 0, 1);
        let property = cookie.unwrap().reply().ok()?;
        property.value32()?.next()
    };
    check(root).is_some_and(|window| check(window) == Some(window))
}

/// The display worker sleeps while one part is killed and comes back.
fn back_unseen(name: &str, is_there: impl Fn(&Link, Window) -> bool) {
    let desk = Builder::new(&["xterm"])
        .env("KEEP_APP_RUNNING", "1")
        .start();
    let before = desk.up();
    let cookies = desk.run_dir().join("Xauthority");
    let connector = Connector::new(&before.display, Some(cookies)).unwrap();
    let (link, screen) = connector.connect().unwrap();
    let root = link.setup().roots[screen].root;
    let worker = Pid::from_raw(pid(&before, "display"));
    kill(worker, Signal::SIGSTOP).unwrap();
    let (old, since) = kill_service(&before, name);
    eventually("another one", LONG, || {
        let status = desk.status()?;
        let part = status.services.iter().find(|service| service.name == name);
        let other = part?.pid.is_some_and(|pid| pid != old);
        (other && is_there(&link, root)).then_some(())
    });
    kill(worker, Signal::SIGCONT).unwrap();
    back(&desk, name, old, since);
}

#[test]
fn a_window_manager_that_is_back_before_anybody_looked_is_ready_all_the_same() {
    back_unseen("wm", is_managed);
}

#[test]
fn an_application_that_is_back_before_anybody_looked_is_ready_all_the_same() {
    back_unseen("app", |link, root| {
        let name = b"_NET_CLIENT_LIST";
        let atom = link.intern_atom(false, name).unwrap().reply().unwrap().atom;
        let cookie = link.get_property(false, root, atom, AtomEnum::WINDOW, 0, 64);
        let windows = cookie.unwrap().reply().unwrap();
        let windows: Vec<Window> = windows.value32().into_iter().flatten().collect();
        let viewable = |window: &Window| {
            let attributes = link.get_window_attributes(*window).unwrap().reply();
            attributes.is_ok_and(|is| is.map_state == MapState::VIEWABLE)
        };
        windows.iter().any(viewable)
    });
}

#[test]
fn the_x_server_comes_back_with_all_that_depend_on_it() {
    let _machine = quiet();
    for signal in [Signal::SIGKILL, Signal::SIGSEGV, Signal::SIGTERM] {
        let desk = Desk::start(&["xterm"]);
        let before = desk.up();
        let since = Instant::now();
        let old = pid(&before, "xserver");
        kill(Pid::from_raw(old), signal).unwrap();
        let (after, took) = back(&desk, "xserver", old, since);
        assert!(took < Duration::from_secs(3), "{signal}: {took:?}");
        assert_eq!(before.display, after.display);
        assert_eq!(
            pid(&before, "display"),
            pid(&after, "display"),
            "it reconnects by itself"
        );
        for name in ["wm", "app"] {
            assert_ne!(pid(&before, name), pid(&after, name));
        }
        desk.signal(Signal::SIGTERM);
        // xterm's own, after its window was closed.
        assert_eq!(desk.code(), 0);
    }
}

#[test]
fn an_application_that_is_kept_comes_back() {
    let _machine = quiet();
    let desk = Builder::new(&["xterm"])
        .env("KEEP_APP_RUNNING", "1")
        .start();
    let before = desk.up();
    let (old, since) = kill_service(&before, "app");
    let (after, took) = back(&desk, "app", old, since);
    assert!(took < Duration::from_secs(1), "{took:?}");
    let app = after
        .services
        .iter()
        .find(|service| service.name == "app")
        .unwrap();
    assert_eq!(app.restarts, 1);
    assert_eq!(app.last_exit.as_deref(), Some("signal 9 (SIGKILL)"));
}

#[test]
fn the_gate_is_back_at_once() {
    let _machine = quiet();
    let desk = Builder::new(&["xterm"]).env("X11LISTEN", "tcp").start();
    let before = desk.up();
    let (old, since) = kill_service(&before, "gate");
    let (after, took) = back(&desk, "gate", old, since);
    assert!(took < Duration::from_secs(1), "{took:?}");
    for name in ["xserver", "display", "wm", "app"] {
        assert_eq!(pid(&before, name), pid(&after, name));
    }
}

#[test]
fn a_desktop_lives_without_an_application() {
    let desk = Builder::new(&[]).env("DESKTOP_MODE", "1").start();
    let status = desk.up();
    assert_eq!(status.services.len(), 3);
    desk.signal(Signal::SIGTERM);
    assert_eq!(desk.code(), 143);
}

#[test]
fn without_a_window_manager_the_application_comes_all_the_same() {
    let desk = Builder::new(&["xterm"])
        .env("WINDOW_MANAGER", "/nonexistent/wm")
        .start();
    desk.when("the application runs", LONG, |status| {
        status
            .services
            .iter()
            .any(|service| service.name == "app" && service.pid.is_some())
    });
    let status = desk.status().unwrap();
    let why = "the window manager could not be started: /nonexistent/wm: not found";
    assert!(status.message.starts_with(why), "{}", status.message);
}

#[test]
fn status_and_health_answer_people_and_probes() {
    let desk = Desk::start(&["xterm"]);
    desk.up();
    let run_dir = desk.run_dir();
    let ask = |args: &[&str]| {
        let output = Command::new(DESKINIT)
            .args(args)
            .arg("--run-dir")
            .arg(&run_dir)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    assert_eq!(ask(&["health"]), (Some(0), "ready\n".to_owned()));
    let (code, table) = ask(&["status"]);
    assert_eq!(code, Some(0));
    assert!(table.starts_with("running on display"), "{table}");
    for name in ["xserver", "display", "wm", "app"] {
        assert!(
            table
                .lines()
                .any(|line| line.starts_with(name) && line.contains(" ready ")),
            "{table}"
        );
    }
    let (_, json) = ask(&["status", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["phase"], "running");
    assert!(value["clients"].is_array(), "{json}");

    desk.signal(Signal::SIGTERM);
    desk.code();
    assert_eq!(ask(&["health"]).0, Some(1));
    assert_eq!(ask(&["status"]).0, Some(69));
}

/// It ends not, and whoever asks it waits.
#[test]
fn a_display_server_that_hangs_is_replaced_and_nobody_else_is_touched() {
    let desk = Builder::new(&["xterm"]).start();
    let before = desk.up();
    let worker = pid(&before, "display");
    kill(Pid::from_raw(worker), Signal::SIGSTOP).unwrap();
    desk.line("[run] the display server does not answer, killing it");
    let after = desk.when("another display server", LONG, |status| {
        ["display", "xserver", "wm", "app"]
            .iter()
            .all(|name| is_ready(status, name))
            && pid(status, "display") != worker
    });
    for name in ["xserver", "wm", "app"] {
        assert_eq!(pid(&before, name), pid(&after, name));
    }
    eventually("the probe is content", LONG, || {
        Some(()).filter(|()| desk.get("/readyz").status == 200)
    });
}
