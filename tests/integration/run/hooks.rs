//! Commands around the process of a service.

use nix::sys::signal::Signal;

use super::services::Files;
use crate::support::desk::{Desk, LONG, is_ready};
use crate::support::eventually;

/// A desktop without windows, with this table of a service.
fn desk(files: &Files, table: &str) -> Desk {
    std::fs::write(files.0.join("a.toml"), table).unwrap();
    let builder = files.builder(&["sleep", "1000"]);
    builder.env("APP_HEADLESS", "1").start()
}

fn lines(desk: &Desk) -> Vec<String> {
    let own = |line: &String| line.starts_with("[job]");
    desk.lines().into_iter().filter(own).collect()
}

#[test]
fn they_surround_every_process_in_its_surroundings() {
    let files = Files::new("hooks", &[]);
    let table = r#"
        [service.job]
        command = ["python3", "-c", "import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); print('runs', flush=True); signal.pause()"]
        before_start = ["sh", "-c", "echo before in $PWD for $WHO"]
        after_stop = ["sh", "-c", "sleep 0.3; echo after $EXIT_STATUS"]
        directory = "/usr"
        environment = { WHO = "ann" }
    "#;
    let desk = desk(&files, table);
    desk.up();
    desk.line("[job] runs");
    assert_eq!(lines(&desk), ["[job] before in /usr for ann", "[job] runs"]);
    let (code, _, _) = super::orders::ask(&desk, &["signal", "KILL", "job"]);
    assert_eq!(code, Some(0));
    eventually("it is back", LONG, || {
        let said = lines(&desk);
        (said.len() >= 5).then_some(())
    });
    let again = [
        "[job] after 137",
        "[job] before in /usr for ann",
        "[job] runs",
    ];
    assert_eq!(lines(&desk)[2..], again);
    // Who is stopped by somebody has not stopped before that has ended.
    let (code, out, error) = super::orders::ask(&desk, &["stop", "job"]);
    assert_eq!(code, Some(0), "{out}{error}{:#?}", desk.status());
    assert_eq!(lines(&desk)[5..], ["[job] after 7"]);
    assert_eq!(super::orders::ask(&desk, &["start", "job"]).0, Some(0));
    eventually("it listens", LONG, || {
        let said = lines(&desk).into_iter();
        (said.filter(|line| line.ends_with("runs")).count() == 3).then_some(())
    });
    desk.signal(Signal::SIGTERM);
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(143));
    let after = lines.iter().filter(|line| *line == "[job] after 7");
    assert_eq!(
        after.count(),
        2,
        "at the end of everything as well: {lines:#?}"
    );
}

/// The service that does not end is the one that has to be cleaned up after.
#[test]
fn they_follow_an_end_by_force_in_a_stop_as_well() {
    let files = Files::new("hooks-force", &[]);
    let table = r#"
        [service.job]
        command = ["sh", "-c", "trap '' TERM; echo runs; while :; do sleep 1; done"]
        after_stop = ["sh", "-c", "sleep 0.2; echo after $EXIT_STATUS"]
    "#;
    std::fs::write(files.0.join("a.toml"), table).unwrap();
    let builder = files.builder(&["sleep", "1000"]).env("APP_HEADLESS", "1");
    let desk = builder.env("GRACE_PERIOD", "8").start();
    desk.up();
    desk.line("[job] runs");
    desk.signal(Signal::SIGTERM);
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(143));
    assert!(
        lines.iter().any(|line| line == "[job] after 137"),
        "{lines:#?}"
    );
}

#[test]
fn one_that_fails_is_a_start_that_failed() {
    let files = Files::new("hooks-fail", &[]);
    let table = r#"
        [service.job]
        command = "sleep 1000"
        before_start = ["sh", "-c", "echo no; exit 4"]
        restart_limit = 2
        on_fatal = "end"
    "#;
    let (status, lines) = desk(&files, table).end();
    assert_eq!(status.code(), Some(69));
    let said = lines.iter().filter(|line| *line == "[job] no");
    assert_eq!(said.count(), 2, "{lines:#?}");
    let last = lines.last().unwrap();
    assert!(
        last.contains("the service job did not become ready, given up after 2 starts in "),
        "{last}"
    );
    assert!(
        last.contains("the last time it could not be started: its before_start has ended, code 4"),
        "{last}"
    );
}

#[test]
fn one_that_hangs_is_killed_with_what_it_started() {
    let files = Files::new("hooks-hang", &[]);
    let table = r#"
        [service.job]
        command = "sh -c 'exit 1'"
        after_stop = ["sh", "-c", "trap '' TERM; sleep 1000; echo never"]
        hook_timeout = 0.5
        restart_limit = 2
    "#;
    let desk = desk(&files, table);
    desk.line("does not get done with its after_stop in time, killing it");
    desk.when("the others do not care", LONG, |status| {
        is_ready(status, "app")
    });
    desk.signal(Signal::SIGTERM);
    assert_eq!(desk.code(), 143);
}
