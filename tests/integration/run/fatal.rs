//! A service that is given up: what the probes and the status say of it, and what it means to the others.

use deskinit::supervisor::link::{Phase, ServiceState, Status};

use super::orders::ask;
use super::services::Files;
use crate::support::desk::{Desk, LONG, is_ready};
use crate::support::eventually;

/// The desktop with a service of these keys, once that has been given up.
fn given_up(files: &Files, keys: &str) -> (Desk, Status) {
    let table = format!("[service.batch]\n{keys}\n");
    std::fs::write(files.0.join("a.toml"), table).unwrap();
    let desk = files.builder(&["xterm"]).start();
    let status = desk.when("it was given up, all else is ready", LONG, |status| {
        let batch = status.services.iter().find(|one| one.name == "batch");
        batch.is_some_and(|batch| batch.state == ServiceState::Fatal)
            && ["xserver", "display", "wm", "app"]
                .iter()
                .all(|name| is_ready(status, name))
            && status.web.is_some()
    });
    (desk, status)
}

#[test]
fn one_that_was_given_up_fails_the_liveness_probe_and_nothing_else() {
    let files = Files::new("fatal", &[]);
    let keys = "command = [\"sh\", \"-c\", \"sleep 1.3; exit 1\"]\nrestart_limit = 3";
    let (desk, status) = given_up(&files, keys);
    assert_eq!(status.phase, Phase::Degraded, "{status:#?}");
    let why = "the service batch is in a crash loop, given up after 3 starts in ";
    assert!(status.message.starts_with(why), "{status:#?}");
    assert_eq!(status.not_live.as_ref(), Some(&status.message));
    let answer = eventually("the display server has heard of it", LONG, || {
        Some(desk.get("/livez")).filter(|answer| answer.status != 200)
    });
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains(why), "{}", answer.body);
    desk.line(&format!("[run] {why}"));
    assert_eq!(desk.get("/readyz").status, 200, "the application is there");
    let (code, out, _) = ask(&desk, &["health", "--live"]);
    assert_eq!(code, Some(1));
    assert!(out.starts_with(&format!("not live: {why}")), "{out}");
    assert_eq!(ask(&desk, &["health"]).0, Some(0));
    let (_, table, _) = ask(&desk, &["status"]);
    assert!(table.starts_with("degraded on "), "{table}");
    assert!(table.contains("batch      fatal "), "{table}");

    // Somebody starts it again: it lives until it is given up anew.
    assert_eq!(ask(&desk, &["start", "batch"]).0, Some(0));
    eventually("the probe is content", LONG, || {
        Some(()).filter(|()| desk.get("/livez").status == 200)
    });
    eventually("and is not again", LONG, || {
        Some(()).filter(|()| desk.get("/livez").status == 503)
    });
}

/// It becomes so when a moment has passed in which its X server might have been to blame: no event tells of that.
#[test]
fn an_application_that_was_given_up_is_told_by_the_probes_and_in_the_log() {
    let files = Files::new("fatal-app", &[]);
    let table = "[service.app]\nrestart = \"on-failure\"\nrestart_limit = 2\non_end = \"ignore\"\n";
    std::fs::write(files.0.join("a.toml"), table).unwrap();
    let desk = files.builder(&["sh", "-c", "exit 3"]).start();
    desk.line("given up after 2 starts in ");
    eventually("the probe says so", LONG, || {
        Some(()).filter(|()| desk.get("/livez").status == 503)
    });
    let (code, out, _) = ask(&desk, &["health", "--live"]);
    assert_eq!(code, Some(1), "{out}");
}

/// What cannot be prepared says so, whatever its end would mean.
#[test]
fn an_application_whose_before_start_fails_says_so() {
    let files = Files::new("fatal-before", &[]);
    let table = "[service.app]\nbefore_start = \"false\"\non_fatal = \"ignore\"\n";
    std::fs::write(files.0.join("a.toml"), table).unwrap();
    let desk = files.builder(&["xterm"]).start();
    desk.line("[run] the application could not be started: its before_start has ended, code 1");
}

#[test]
fn one_that_says_ready_and_dies_is_given_up_and_may_mean_nothing() {
    let files = Files::new("fatal-ready", &[]);
    let program = files.0.join("batch.py");
    let script = "import os, socket\nsocket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])\n";
    std::fs::write(&program, script).unwrap();
    let keys = format!(
        "command = [\"python3\", {program:?}]\nready = \"notify\"\nrestart_limit = 3\non_fatal = \"ignore\""
    );
    let (desk, status) = given_up(&files, &keys);
    assert_eq!((status.phase, status.not_live), (Phase::Degraded, None));
    assert_eq!(desk.get("/livez").status, 200);
    let (code, out, _) = ask(&desk, &["health", "--live"]);
    assert_eq!((code, out.as_str()), (Some(0), "live\n"));
}

#[test]
fn it_may_be_the_end() {
    let files = Files::new("fatal-end", &[]);
    let keys = "command = \"/nonexistent/batch\"\non_fatal = \"end\"";
    std::fs::write(files.0.join("a.toml"), format!("[service.batch]\n{keys}\n")).unwrap();
    let (status, lines) = files.builder(&["xterm"]).start().end();
    assert_eq!(status.code(), Some(69));
    let last = lines.last().unwrap();
    assert!(
        last.contains("the service batch could not be started: /nonexistent/batch: not found"),
        "{last}"
    );
}
