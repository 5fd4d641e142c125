//! Somebody sets the clock, ten years ahead and ten years back: no time-out changes.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::TempDir;
use crate::support::client::{Client, Login};
use crate::support::desk::{Builder, LONG, is_ready, pid};
use crate::tools::{events, send};

const PASSWORD: &str = "k7Zq2xPv";
const YEAR: f64 = 365.0 * 24.0 * 3600.0;

/// Of Debian's package faketime. It takes the place of the C library's clocks in a program that is linked dynamically.
fn library() -> Option<String> {
    let machines = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut libraries = machines.map(|of| of.path().join("faketime/libfaketime.so.1"));
    let found = libraries.find(|library| library.exists())?;
    Some(found.to_str()?.to_owned())
}

#[test]
fn no_limit_is_reached_and_no_pause_changes_when_the_clock_is_set() {
    let Some(library) = library() else {
        eprintln!("skipped: there is no libfaketime here");
        return;
    };
    let dir = TempDir::new();
    let clock = dir.path().join("clock");
    let set = |by: &str| {
        let new = dir.path().join("new");
        fs::write(&new, by).unwrap();
        fs::rename(new, &clock).unwrap();
    };
    set("+0");
    let enter = format!(
        "export LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 \
         DONT_FAKE_MONOTONIC=1; exec \"$@\"",
        clock.display()
    );
    let desk = Builder::new(&["xterm"])
        .env("VNC_PASSWORD", PASSWORD)
        .services("[service.extra]\ncommand = \"sleep 1000\"\n")
        // An hour each, in the middle of which the clock is set.
        .env("MAX_DISCONNECTION_TIME", "3600")
        .env("MAX_CONNECTION_TIME", "3600")
        .env("MAX_IDLE_TIME", "3600")
        .env("IDLE_TIMEOUT", "3600")
        .env("FREEZE_TIMEOUT", "3600")
        .within(&["env"], &enter)
        .unwrap()
        .start();
    let since = Instant::now();
    let before = desk.up();
    let address = before.vnc.clone().unwrap();
    let mut viewer = Client::connect(&address, &Login::password(PASSWORD)).expect("logs in");
    viewer.set_encodings(&[0]).unwrap();
    // A wrong password is remembered for a while.
    assert!(Client::connect(&address, &Login::password("wrong")).is_err());
    let start = events(&desk, "extra").next().unwrap().time;
    let mut crashed = 0;
    for (by, years) in [("+10y", 10.0), ("-10y", -10.0), ("+0", 0.0)] {
        set(by);
        let old = pid(&desk.status().unwrap(), "extra");
        send(old, Signal::SIGKILL);
        let killed = Instant::now();
        let status = desk.when("the service is back", LONG, |status| {
            is_ready(status, "extra") && pid(status, "extra") != old
        });
        // At once the first time; then after half a second, and a whole one.
        let took = killed.elapsed();
        let pause = [0.0, 0.5, 1.0][crashed];
        crashed += 1;
        assert!(
            took >= Duration::from_secs_f64(pause) && took < Duration::from_secs_f64(pause + 1.0),
            "{by}: {took:?}"
        );
        let stamped = events(&desk, "extra")
            .take(1 + crashed * 3)
            .last()
            .unwrap()
            .time;
        let moved = (stamped - start) / YEAR;
        println!("{by}: stamps moved by {moved:.2} years; back after {took:?}");
        assert!((moved - years).abs() < 0.1, "the clock was set: {moved}");
        assert!(status.uptime_ms <= u64::try_from(since.elapsed().as_millis()).unwrap());
        assert_eq!((status.viewers, status.frozen), (1, false));
        viewer.request_all(false).unwrap();
        viewer.update(LONG).expect("a picture");
        let second = Client::connect(&address, &Login::password(PASSWORD));
        drop(second.expect("logs in"));
    }
    let after = desk.status().unwrap();
    for name in ["xserver", "display", "wm", "app"] {
        assert_eq!(pid(&before, name), pid(&after, name));
    }
    let asked = Instant::now();
    desk.signal(Signal::SIGTERM);
    assert_eq!(desk.code(), 0, "xterm's own");
    assert!(
        asked.elapsed() < Duration::from_secs(8),
        "within the grace period"
    );
}
