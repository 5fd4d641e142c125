//! Every part is killed again and again, and the time until it is there again is measured.
//!
//! A part that crashes more than once within a minute is started after pauses that grow, which is a promise of its own
//! (`loops`). What is measured here is recovery: between two kills somebody orders a restart, which makes the service one
//! that has not crashed. `scripts/kills` runs this with as many kills as are wanted.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use deskinit::supervisor::link::Status;
use nix::sys::signal::Signal;

use crate::support::client::{Client, Login};
use crate::support::desk::{Builder, Desk, LONG, is_ready, pid};
use crate::tools::{quiet, restart, send};

const PASSWORD: &str = "k7Zq2xPv";
/// So many of each where nobody says.
const KILLS: usize = 20;
/// So many desktops at the same time.
const AT_ONCE: usize = 2;

/// Each part, its name for people, and what ninety-nine of a hundred recoveries stay below (nine of ten, where there are
/// fewer).
const PARTS: [(&str, &str, Duration); 4] = [
    ("display", "display worker", Duration::from_secs(1)),
    ("wm", "window manager", Duration::from_secs(1)),
    ("app", "application", Duration::from_secs(1)),
    ("xserver", "Xvfb", Duration::from_secs(3)),
];

/// Another process of it runs, and so does all that belongs to it.
fn back(desk: &Desk, before: &Status, name: &str) -> Status {
    let old = pid(before, name);
    let all = ["xserver", "display", "wm", "app"];
    desk.when(&format!("{name} is back"), LONG, |status| {
        all.iter().all(|part| is_ready(status, part)) && pid(status, name) != old
    })
}

fn restarted(desk: &Desk, before: &Status, name: &str) -> Status {
    restart(desk, name);
    back(desk, before, name)
}

/// Kills it so many times.
fn kills(name: &str, count: usize) -> Vec<Duration> {
    let desk = Builder::new(&["xterm"])
        .env("KEEP_APP_RUNNING", "1")
        .env("VNC_PASSWORD", PASSWORD)
        .start();
    let mut status = desk.up();
    let address = status.vnc.clone().unwrap();
    let mut viewer = Client::connect(&address, &Login::password(PASSWORD)).expect("logs in");
    viewer.set_encodings(&[0]).unwrap();
    let mut times = Vec::new();
    for turn in 0..count {
        if turn > 0 {
            status = restarted(&desk, &status, name);
        }
        let worker = pid(&status, "display");
        let since = Instant::now();
        send(pid(&status, name), Signal::SIGKILL);
        status = back(&desk, &status, name);
        times.push(since.elapsed());
        if name != "display" {
            assert_eq!(pid(&status, "display"), worker);
            assert_eq!(status.viewers, 1, "who watches, stays");
        }
    }
    if name != "display" {
        viewer.request_all(false).expect("connected");
        viewer.update(LONG).expect("a picture");
    }
    times
}

/// The time that this share of them stays below: by nearest rank.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted[rank.max(1) - 1]
}

#[test]
fn every_part_is_back_in_time_however_often_it_is_killed() {
    let _machine = quiet();
    let count = std::env::var("KILLS").map_or(KILLS, |text| text.parse().expect("a number"));
    let left = Mutex::new(PARTS.to_vec());
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().pop();
                    let Some((name, title, bound)) = next else {
                        return;
                    };
                    let mut times = kills(name, count);
                    times.sort();
                    rows.lock().unwrap().push((title, bound, times));
                }
            });
        }
    });
    println!("\n| killed | times | p50 | p99 | longest |\n|---|---|---|---|---|");
    let rows = rows.into_inner().unwrap();
    for (title, _, times) in &rows {
        let [half, most, all] = [50, 99, 100].map(|percent| percentile(times, percent).as_millis());
        println!(
            "| {title} | {} | {half} ms | {most} ms | {all} ms |",
            times.len()
        );
    }
    // Of few kills the slowest says more about whoever else uses the machine.
    let most = if count < 100 { 90 } else { 99 };
    for (title, bound, times) in rows {
        let most = percentile(&times, most);
        assert!(most < bound, "{title}: {most:?}");
    }
}
