//! How long a desktop goes on with viewers, and with viewers who do nothing.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::client::{Client, Login};
use crate::support::desk::{Builder, Desk, LONG};
use crate::support::eventually;

const PASSWORD: &str = "k7Zq2xPv";

fn desk(limits: &[(&str, &str)]) -> Desk {
    let mut builder = Builder::new(&["sleep", "1000"])
        .env("APP_HEADLESS", "1")
        .env("VNC_PASSWORD", PASSWORD);
    for (name, value) in limits {
        builder = builder.env(name, value);
    }
    builder.start()
}

fn viewer(desk: &Desk) -> Client {
    let address = desk.up().vnc.expect("it says where it listens");
    Client::connect(address, &Login::password(PASSWORD)).expect("logs in")
}

#[test]
fn idle_seconds_are_a_metric() {
    let desk = desk(&[]);
    let mut viewer = viewer(&desk);
    let idle = || {
        let metrics = desk.get("/metrics").body;
        let mut lines = metrics.lines();
        let line = lines.find_map(|line| line.strip_prefix("deskinit_idle_seconds "))?;
        line.parse::<u64>().ok()
    };
    eventually("nobody did anything for 3 s", LONG, || {
        idle().filter(|seconds| *seconds >= 3)
    });
    viewer.pointer(5, 5, 0).unwrap();
    eventually("somebody did something", LONG, || {
        idle().filter(|seconds| *seconds < 2)
    });
}

#[test]
fn neither_probes_nor_failed_logins_are_viewers() {
    let desk = desk(&[("MAX_DISCONNECTION_TIME", "4")]);
    let status = desk.up();
    let (web, vnc) = (status.web.unwrap(), status.vnc.unwrap());
    let begun = Instant::now();
    // Without an end of theirs, the desktop has none.
    while desk
        .status()
        .is_some_and(|status| status.exit_code.is_none())
    {
        assert!(
            begun.elapsed() < LONG,
            "something of this counts as a viewer"
        );
        for path in ["/livez", "/readyz", "/metrics", "/"] {
            let _ = desk.get(path);
        }
        for address in [&web, &vnc] {
            drop(TcpStream::connect(address.as_str()));
        }
        assert!(Client::connect(vnc.as_str(), &Login::password("wrong")).is_err());
    }
    ends(desk, "no viewer for 4 s");
}

/// The end, by itself, with code 0 and this reason.
fn ends(desk: Desk, reason: &str) {
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(0), "{lines:#?}");
    assert!(lines.last().unwrap().contains(reason), "{lines:#?}");
}

#[test]
fn somebody_was_there_for_too_long() {
    let desk = desk(&[("MAX_CONNECTION_TIME", "2")]);
    let mut viewer = viewer(&desk);
    let since = Instant::now();
    eventually("the connection ends", LONG, || {
        viewer.pointer(5, 5, 0).is_err().then_some(())
    });
    assert!(
        since.elapsed() >= Duration::from_secs(1),
        "input does not matter, time does"
    );
    ends(desk, "viewers for 2 s");
}

#[test]
fn nobody_did_anything() {
    let desk = desk(&[("MAX_IDLE_TIME", "2")]);
    let mut viewer = viewer(&desk);
    let since = Instant::now();
    // Whoever moves the pointer keeps it alive, however long.
    let mut x = 0;
    while since.elapsed() < Duration::from_secs(5) {
        x += 1;
        viewer.pointer(x % 100, 5, 0).expect("connected");
        let heard = desk.status().expect("it runs");
        assert!(heard.idle_ms < 2500, "{}", heard.idle_ms);
        let _ = viewer.event(Duration::from_millis(100));
    }
    ends(desk, "no input of a viewer for 2 s");
}

#[test]
fn a_viewer_that_does_nothing_has_to_go_and_the_others_stay() {
    let watching = "w4tchEr2";
    let desk = desk(&[("IDLE_TIMEOUT", "2"), ("VNC_VIEW_ONLY_PASSWORD", watching)]);
    let mut idle = viewer(&desk);
    // Who may only watch is there, too, and shows it.
    let address = desk.up().vnc.expect("it says where it listens");
    let mut busy = Client::connect(address, &Login::password(watching)).expect("logs in");
    let mut x = 0;
    eventually("one is left", LONG, || {
        x += 1;
        busy.pointer(x % 100, 5, 0).expect("connected");
        let _ = busy.event(Duration::from_millis(50));
        (desk.status()?.viewers == 1).then_some(())
    });
    eventually("the idle one is told", LONG, || {
        idle.event(Duration::from_millis(100))
            .is_err()
            .then_some(())
    });
    busy.pointer(1, 1, 0).expect("connected");
}
