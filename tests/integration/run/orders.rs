//! `deskinit start`, `stop`, `restart`, `signal`, `logs` and `events` beside a real desktop.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use deskinit::supervisor::link::{Entry, Phase, ServiceState, Status};

use crate::support::desk::{Builder, DESKINIT, Desk, LONG, is_ready, pid};
use crate::support::{TempDir, eventually};

/// Exit code, standard output, standard error.
pub(super) fn ask(desk: &Desk, words: &[&str]) -> (Option<i32>, String, String) {
    let out = Command::new(DESKINIT)
        .args(words)
        .arg("--run-dir")
        .arg(desk.run_dir())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code(), text(&out.stdout), text(&out.stderr))
}

#[test]
fn services_are_stopped_started_and_restarted_one_by_one() {
    let desk = Desk::start(&["xterm"]);
    let before = desk.up();
    assert_eq!(ask(&desk, &["stop", "app"]).0, Some(0));
    let status = desk.status().unwrap();
    assert_eq!(status.services[3].state, ServiceState::Stopped);
    assert_eq!(ask(&desk, &["signal", "TERM", "app"]).0, Some(3));
    assert_eq!(ask(&desk, &["start", "app", "wm"]).0, Some(0));
    let status = desk.up();
    assert_ne!(pid(&before, "app"), pid(&status, "app"));
    assert_eq!(pid(&before, "wm"), pid(&status, "wm"), "it ran already");

    // The application comes back without the window manager that somebody has stopped.
    assert_eq!(ask(&desk, &["stop", "wm"]).0, Some(0));
    assert_eq!(ask(&desk, &["restart", "xserver"]).0, Some(0));
    let status = desk.when("the application is back", LONG, |status| {
        is_ready(status, "app")
    });
    assert_eq!(status.services[2].state, ServiceState::Stopped);

    let (code, _, error) = ask(&desk, &["restart", "nothing"]);
    assert_eq!(code, Some(4));
    assert!(error.contains("xserver, display, wm, app"), "{error}");
    assert_eq!(ask(&desk, &["signal", "NONSENSE", "app"]).0, Some(1));
    assert_eq!(ask(&desk, &["signal", "sigkill", "app"]).0, Some(0));
    assert_eq!(desk.code(), 128 + 9);
}

#[test]
fn a_start_ends_with_what_becomes_of_the_service() {
    let table = "[service.slow]\ncommand = \"sleep 1000\"\nready = \"notify\"\nautostart = false\n\
        [service.job]\ncommand = \"true\"\nrestart = \"never\"\nautostart = false\n";
    let desk = Builder::new(&["sleep", "1000"])
        .env("APP_HEADLESS", "1")
        .services(table)
        .start();
    desk.up();
    // Somebody else stops it meanwhile.
    std::thread::scope(|scope| {
        let start = scope.spawn(|| ask(&desk, &["start", "slow"]));
        desk.when("it is being started", LONG, |status| {
            let slow = status.services.iter().find(|one| one.name == "slow");
            slow.is_some_and(|one| one.pid.is_some())
        });
        assert_eq!(ask(&desk, &["stop", "slow"]).0, Some(0));
        let (code, _, error) = start.join().unwrap();
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains("was stopped before it was ready"), "{error}");
    });
    for _ in 0..10 {
        let (code, _, error) = ask(&desk, &["start", "job"]);
        assert_eq!(code, Some(0), "{error}");
    }
    let (code, _, error) = ask(&desk, &["signal", "USR2", "run"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("only TERM"), "{error}");
    // In which order they are named is no matter: nobody loses the X server before it has ended.
    let (code, text, _) = ask(&desk, &["stop", "xserver", "app"]);
    assert_eq!(code, Some(0));
    assert_eq!(text, "app: stopped\nxserver: stopped\n");
}

#[test]
fn the_status_of_some_has_a_code_and_can_be_followed() {
    let desk = Desk::start(&["xterm"]);
    desk.up();
    let (code, text, _) = ask(&desk, &["status", "app", "wm"]);
    assert_eq!((code, text.lines().count()), (Some(0), 3), "{text}");
    let (code, text, error) = ask(&desk, &["status", "nothing", "wm"]);
    assert_eq!(code, Some(4));
    assert!(
        text.contains("wm ") && error.contains("nothing: there is no"),
        "{text}{error}"
    );
    assert_eq!(ask(&desk, &["status", "--follow", "nothing"]).0, Some(4));

    let mut follow = Command::new(DESKINIT);
    follow.args(["status", "--follow", "app", "--run-dir"]);
    let mut child = follow
        .arg(desk.run_dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = move || lines.next().map(Result::unwrap);
    assert!(line().unwrap().starts_with("SERVICE "));
    assert!(line().unwrap().starts_with("app        ready "));
    let mut objects = Command::new(DESKINIT);
    objects.args(["status", "-f", "--json", "--run-dir"]);
    let objects = objects
        .arg(desk.run_dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();

    let (code, text, _) = ask(&desk, &["stop", "app", "--json"]);
    assert_eq!(code, Some(0));
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({"service": "app", "state": "stopped", "changed": true});
    assert_eq!(told, expected);
    assert!(line().unwrap().starts_with("app: stopping, pid "));
    assert!(line().unwrap().starts_with("app: stopped"));
    assert_eq!(ask(&desk, &["status", "app"]).0, Some(3));
    assert_eq!(ask(&desk, &["status"]).0, Some(0), "nothing was given up");
    let (code, text, _) = ask(&desk, &["signal", "TERM", "app", "--json"]);
    assert_eq!(code, Some(3));
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (told["code"].as_u64(), told["service"].as_str()),
        (Some(3), Some("app"))
    );

    desk.signal(nix::sys::signal::Signal::SIGTERM);
    desk.code();
    assert_eq!(line(), None);
    assert!(child.wait().unwrap().success());
    let out = objects.wait_with_output().unwrap();
    assert!(out.status.success());
    let text = String::from_utf8(out.stdout).unwrap();
    let all: Vec<Status> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        all.iter()
            .any(|status| status.services[3].state == ServiceState::Stopped)
    );
    assert_eq!(all.last().unwrap().phase, Phase::Stopping);
}

/// In a namespace of its own, where root may say which number is the next.
#[test]
fn whoever_has_the_number_of_an_ended_service_is_not_signalled() {
    let dir = TempDir::new();
    let file = dir.path().join("pid").to_str().unwrap().to_owned();
    let table =
        format!("[service.short]\ncommand = ['sh', '-c', 'echo $$ > {file}']\nrestart = 'never'\n");
    // The application's child gets the number.
    let script = format!(
        "until read -r p < {file}; do :; done; while [ -d /proc/$p ]; do :; done; \
         until [ \"$n\" = $p ]; do echo $((p - 1)) > /proc/sys/kernel/ns_last_pid; sleep 1000 & n=$!; done; \
         echo have $p; wait $n; echo lost"
    );
    let desk = Builder::new(&["sh", "-c", &script])
        .env("APP_HEADLESS", "1")
        .services(&table);
    let Some(desk) = desk.into_pid_1() else {
        return;
    };
    let desk = desk.start();
    desk.line("[app] have ");
    assert_eq!(ask(&desk, &["status", "short"]).0, Some(3));
    assert_eq!(ask(&desk, &["signal", "KILL", "short"]).0, Some(3));
    assert_eq!(ask(&desk, &["stop", "short"]).0, Some(0));
    // It ends at once again: whether it was seen running does not matter here.
    ask(&desk, &["restart", "short"]);
    assert_eq!(ask(&desk, &["stop", "app"]).0, Some(0));
    assert!(!desk.lines().iter().any(|line| line.contains("lost")));
}

#[test]
fn nobody_there_has_an_exit_code_of_its_own() {
    for words in [
        &["stop", "app"][..],
        &["signal", "TERM", "app"],
        &["logs"],
        &["events"],
        &["status"],
        &["status", "app"],
        &["status", "--follow"],
    ] {
        let mut command = Command::new(DESKINIT);
        command.args(words).args(["--run-dir", "/nonexistent"]);
        assert_eq!(
            command.output().unwrap().status.code(),
            Some(69),
            "{words:?}"
        );
    }
}

#[test]
fn the_log_and_the_events_can_be_read_and_followed() {
    let script = "for i in 1 2 3; do echo line $i; done; while read -r x; do :; done < /dev/null; sleep 1000";
    let desk = Builder::new(&["sh", "-c", script])
        .env("APP_HEADLESS", "1")
        .start();
    desk.up();
    desk.line("[app] line 3");
    let (code, text, _) = ask(&desk, &["logs", "app", "-n", "2"]);
    assert_eq!(
        (code, text.as_str()),
        (Some(0), "[app] line 2\n[app] line 3\n")
    );
    assert_eq!(ask(&desk, &["logs", "nothing"]).0, Some(4));

    let (_, text, _) = ask(&desk, &["events", "xserver", "--json"]);
    let entries: Vec<Entry> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let states: Vec<_> = entries.iter().map(|entry| entry.state.unwrap()).collect();
    assert_eq!(
        states,
        [
            ServiceState::Waiting,
            ServiceState::Starting,
            ServiceState::Ready
        ]
    );

    let mut follower = Command::new(DESKINIT)
        .args(["events", "wm", "-n", "0", "--follow", "--json", "--run-dir"])
        .arg(desk.run_dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    // It may still be about to ask when the first restart is over.
    let seen = std::thread::spawn(move || {
        lines.any(|line| {
            let entry: Entry = serde_json::from_str(&line.unwrap()).unwrap();
            entry.state == Some(ServiceState::Ready)
        })
    });
    eventually("the follower hears of a restart", LONG, || {
        assert_eq!(ask(&desk, &["restart", "wm"]).0, Some(0));
        seen.is_finished().then_some(())
    });
    assert!(seen.join().unwrap());
    follower.kill().unwrap();
    follower.wait().unwrap();
}
