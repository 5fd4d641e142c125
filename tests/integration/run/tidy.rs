//! Zombies, orphans, slow readers, and what is left when all is over.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::desk::{Builder, Desk, LONG, traces};
use crate::support::eventually;

fn headless(script: &str) -> Builder {
    Builder::new(&["sh", "-c", script]).env("APP_HEADLESS", "1")
}

/// Processes that have ended and whom nobody has asked how.
fn zombies(parent: i32) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| {
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            rest.starts_with(&format!(" Z {parent} "))
        })
        .count()
}

#[test]
fn orphans_are_reaped_and_the_code_is_not_lost() {
    let script = "i=0; while [ $i -lt 400 ]; do (true & true) & i=$((i+1)); done; wait; echo done; sleep 1; exit 9";
    let desk = headless(script).start();
    desk.line("[app] done");
    eventually("no zombies", LONG, || {
        (zombies(desk.pid()) == 0).then_some(())
    });
    assert_eq!(desk.code(), 9);
}

#[test]
fn nothing_that_the_application_left_survives() {
    let marker = format!("86{}", std::process::id());
    let script = format!(
        "setsid sleep {marker} & (setsid sh -c 'trap \"\" TERM; while :; do sleep {marker}; done' &) ; sleep 0.3; exit 4"
    );
    let desk = headless(&script).env("GRACE_PERIOD", "2").start();
    let asked = Instant::now();
    assert_eq!(desk.code(), 4);
    assert!(asked.elapsed() < LONG);
    let left: Vec<String> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|text| String::from_utf8_lossy(&text).replace('\0', " "))
        .filter(|text| text.starts_with(&format!("sleep {marker}")))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn helpers_of_an_applications_farewell_are_let_do_their_work() {
    let script = "trap 'sleep 0.3; sh -c \"sleep 0.3; echo saved\"; exit 0' TERM; echo ready; \
                  while :; do sleep 0.05; done";
    let desk = headless(script).start();
    desk.line("[app] ready");
    desk.signal(Signal::SIGTERM);
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(0));
    assert!(lines.iter().any(|line| line == "[app] saved"), "{lines:#?}");
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let script = "i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done; sh -c 'echo over >&2'; sleep 100";
    let mut desk = headless(script).unread().start();
    // The application gets through all of it although nobody reads.
    eventually("lines are dropped", LONG, || {
        desk.status().filter(|status| status.dropped_lines > 1000)
    });
    eventually("the application is done", LONG, || {
        let sleeps = desk.descendants().into_iter().any(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|text| text == b"sleep\x00100\x00")
        });
        sleeps.then_some(())
    });
    desk.read();
    desk.line("lines were dropped here");
    desk.signal(Signal::SIGTERM);
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(143));
    let delivered = lines
        .iter()
        .filter(|line| line.starts_with("[app] line "))
        .count();
    let told: usize = lines
        .iter()
        .filter(|line| line.contains("lines were dropped here"))
        .filter_map(|line| {
            line.strip_prefix("[run] ")?
                .split(' ')
                .next()?
                .parse::<usize>()
                .ok()
        })
        .sum();
    // Two lines besides: "over", and what others said meanwhile.
    assert!(
        (30_000..30_020).contains(&(delivered + told)),
        "{delivered} + {told}"
    );
}

#[test]
fn starts_and_stops_leave_nothing() {
    for turn in 0..8 {
        let desk = Desk::start(&["xterm"]);
        let status = if turn % 2 == 0 {
            desk.up()
        } else {
            desk.when("something", LONG, |_| true)
        };
        let number = status.display.trim_start_matches(':').to_owned();
        let run_dir = desk.run_dir();
        let descendants = desk.descendants();
        desk.signal(Signal::SIGTERM);
        // xterm's own: after its window was closed, or a signal came before that could be.
        assert!([0, 15, 143].contains(&desk.code()));
        assert!(!run_dir.exists());
        for pid in descendants {
            assert!(
                !deskinit::sys::pidfd::exists(pid) || deskinit::sys::procfs::look(pid).is_none()
            );
        }
        for trace in [
            format!("/tmp/.X{number}-lock"),
            format!("/tmp/.X11-unix/X{number}"),
        ] {
            // Another test may have taken the number since; its lock then names a living process.
            if traces().contains(&trace) && trace.ends_with("-lock") {
                let owner: i32 = std::fs::read_to_string(&trace)
                    .unwrap_or_default()
                    .trim()
                    .parse()
                    .unwrap_or(1);
                assert!(deskinit::sys::pidfd::exists(owner), "{trace}");
            }
        }
    }
}

#[test]
fn a_killed_run_takes_its_children_with_it_and_the_next_one_cleans_up() {
    let desk = Desk::start(&["xterm"]);
    let number = desk.up().display;
    let descendants = desk.descendants();
    desk.signal(Signal::SIGKILL);
    eventually("all are gone", LONG, || {
        descendants
            .iter()
            .all(|pid| deskinit::sys::procfs::look(*pid).is_none())
            .then_some(())
    });
    let next = Builder::new(&["true"])
        .env("DISPLAY", &number)
        .env("APP_HEADLESS", "1")
        .start();
    let since = Instant::now();
    assert_eq!(next.code(), 0);
    assert!(since.elapsed() < LONG + Duration::from_secs(1));
}

#[test]
fn pid_1_of_a_container_does_the_same() {
    let script = "echo parent $PPID; (setsid sleep 1000 &); (true & true) & sleep 0.1; exit 21";
    let Some(builder) = headless(script).into_pid_1() else {
        eprintln!("skipped: no namespaces here");
        return;
    };
    let (status, lines) = builder.start().end();
    assert_eq!(status.code(), Some(21));
    assert!(
        lines.iter().any(|line| line == "[app] parent 1"),
        "{lines:#?}"
    );
}
