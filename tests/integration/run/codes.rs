//! The exit code of the whole, and how a stop goes.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::TempDir;
use crate::support::desk::{Builder, DESKINIT, Desk, LONG};

/// A desktop whose application needs no window.
fn headless(script: &str) -> Builder {
    Builder::new(&["sh", "-c", script]).env("APP_HEADLESS", "1")
}

#[test]
fn the_applications_code_is_ours() {
    for code in [0, 1, 3, 64, 255] {
        assert_eq!(headless(&format!("exit {code}")).start().code(), code);
    }
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("SEGV", 139), ("USR1", 138)] {
        let (status, lines) = headless(&format!("kill -{signal} $$")).start().end();
        assert_eq!(status.code(), Some(code));
        let last = lines.last().unwrap();
        assert!(last.contains(&format!("SIG{signal}")), "{last}");
    }
}

/// As somebody leaves it who starts us and does not care for children.
#[test]
fn an_ignored_sigchld_loses_no_code() {
    let dir = TempDir::new();
    let output = Command::new("timeout")
        .args(["30", "env", "--ignore-signal=CHLD", DESKINIT, "run", "--"])
        .args(["sh", "-c", "exit 3"])
        .env("APP_HEADLESS", "1")
        .env("RUN_DIR", dir.path().join("run"))
        .env("VNC_PORT", "0")
        .env("NO_VNC_PORT", "0")
        .env_remove("DISPLAY")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_command_that_cannot_be_run_is_told_as_by_a_shell() {
    assert_eq!(Desk::start(&["/nonexistent/program"]).code(), 127);
    let dir = TempDir::new();
    let path = dir.path().join("data");
    std::fs::write(&path, "data").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (status, lines) = Desk::start(&[path.to_str().unwrap()]).end();
    assert_eq!(status.code(), Some(126));
    let last = lines.last().unwrap();
    assert!(
        last.contains("the application could not be started") && last.contains("not executable"),
        "{last}"
    );
}

#[test]
fn wrong_settings_start_nothing() {
    let (status, _) = Desk::start(&[]).end();
    assert_eq!(status.code(), Some(64), "nothing to run");
    let (status, _) = Builder::new(&["true"])
        .env("DISPLAY", "elsewhere:0")
        .start()
        .end();
    assert_eq!(status.code(), Some(64), "an X server elsewhere");
    let living = Desk::start(&["sleep", "100"]);
    let number = living.when("a display", LONG, |_| true).display;
    let output = Command::new(DESKINIT)
        .args(["run", "--", "true"])
        .env("DISPLAY", &number)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(69));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("another X server has it"), "{text}");
}

#[test]
fn sigterm_and_sigint_before_the_application_answered() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let desk = Desk::start(&["sleep", "100"]);
        desk.when("a control socket", LONG, |_| true);
        desk.signal(signal);
        assert_eq!(desk.code(), code, "while starting");

        let desk = Builder::new(&["sleep", "100"])
            .env("APP_HEADLESS", "1")
            .start();
        desk.up();
        let asked = Instant::now();
        desk.signal(signal);
        assert_eq!(desk.code(), code, "an application that does not handle it");
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "{:?}",
            asked.elapsed()
        );
    }
}

#[test]
fn the_applications_answer_to_sigterm_counts() {
    let desk =
        headless("trap 'echo saving; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
            .start();
    desk.up();
    desk.line("[app] ready");
    desk.signal(Signal::SIGTERM);
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(5));
    assert!(lines.iter().any(|line| line == "[app] saving"));
    assert!(lines.last().unwrap().contains("code 5"), "{lines:#?}");
}

#[test]
fn who_ignores_sigterm_is_killed_and_a_second_one_shortens() {
    let script = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let desk = headless(script).env("GRACE_PERIOD", "2").start();
    desk.line("[app] ready");
    let asked = Instant::now();
    desk.signal(Signal::SIGTERM);
    assert_eq!(desk.code(), 143);
    let took = asked.elapsed();
    assert!(
        took > Duration::from_millis(1300) && took < Duration::from_millis(2800),
        "{took:?}"
    );

    let desk = headless(script).env("GRACE_PERIOD", "60").start();
    desk.line("[app] ready");
    let asked = Instant::now();
    desk.signal(Signal::SIGTERM);
    desk.when("it is stopping", LONG, |status| {
        status.exit_code == Some(143)
    });
    desk.signal(Signal::SIGTERM);
    assert_eq!(desk.code(), 143);
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
}

#[test]
fn a_stopped_application_is_continued_to_obey() {
    let desk = headless("trap 'exit 6' TERM; echo ready; kill -STOP $$; sleep 100").start();
    desk.line("[app] ready");
    desk.signal(Signal::SIGTERM);
    assert_eq!(desk.code(), 6);
}

#[test]
fn nobody_came() {
    let desk = headless("sleep 100")
        .env("MAX_DISCONNECTION_TIME", "2")
        .start();
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(0));
    assert!(
        lines.last().unwrap().contains("no viewer for 2 s"),
        "{lines:#?}"
    );
}

#[test]
fn other_signals_reach_the_application() {
    let desk = headless("trap 'exit 12' USR2; echo ready; while :; do sleep 0.05; done").start();
    desk.line("[app] ready");
    desk.signal(Signal::SIGUSR2);
    assert_eq!(desk.code(), 12);
}

#[test]
fn every_signal_that_can_be_collected_reaches_the_application() {
    // Not: what ends everything, what cannot be caught, what is ours, what the C library keeps for itself.
    let not = [2, 9, 15, 17, 19, 32, 33];
    let signals: Vec<i32> = (1..=64).filter(|signal| !not.contains(signal)).collect();
    let script = "import signal, sys, time\n\
                  def got(number, frame): print('got', number, 'end', flush=True)\n\
                  for number in range(1, 65):\n\
                  \x20   if number not in (9, 19, 32, 33): signal.signal(number, got)\n\
                  print('ready', flush=True)\n\
                  while True: time.sleep(60)\n";
    let desk = Builder::new(&["python3", "-c", script])
        .env("APP_HEADLESS", "1")
        .start();
    desk.line("[app] ready");
    for signal in signals {
        // By the program, because nix knows no real-time signals.
        let sent = Command::new("kill")
            .args([format!("-{signal}"), desk.pid().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        desk.line(&format!("got {signal} end"));
    }
}

/// An application that says by its code which signal reached it.
const TELLTALE: &str = "trap 'exit 41' HUP; trap 'exit 42' INT; trap 'exit 43' QUIT; trap 'exit 52' USR2; \
                        trap 'exit 55' TERM; echo ready; while :; do sleep 0.05; done";

#[test]
fn a_signal_is_taken_for_another_or_for_none() {
    let pairs = [
        ("15:2", Signal::SIGTERM, 42),
        ("15:3", Signal::SIGTERM, 43),
        ("15:12,1:0", Signal::SIGTERM, 52),
        ("1:15", Signal::SIGHUP, 55),
        ("2:1", Signal::SIGINT, 41),
        ("3:12", Signal::SIGQUIT, 52),
    ];
    for (pairs, signal, code) in pairs {
        let mut builder = headless(TELLTALE);
        for pair in pairs.split(',') {
            builder = builder.flags(&["--rewrite", pair]);
        }
        let desk = builder.start();
        desk.line("[app] ready");
        if pairs.contains("1:0") {
            desk.signal(Signal::SIGHUP);
        }
        desk.signal(signal);
        assert_eq!(desk.code(), code, "{pairs}");
    }
}

#[test]
fn a_signal_taken_for_another_still_stops_everything() {
    // Who does not care for the second is killed within the grace period, as by any other stop.
    let script = "trap '' QUIT; echo ready; while :; do sleep 0.05; done";
    let desk = headless(script).flags(&["--rewrite=15:3"]);
    let desk = desk.env("GRACE_PERIOD", "2").start();
    desk.line("[app] ready");
    desk.signal(Signal::SIGTERM);
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(131));
    let told = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(told("SIGTERM is taken for SIGQUIT"), "{lines:#?}");
    assert!(told("stopped by SIGQUIT"), "{lines:#?}");
}

#[test]
fn a_signal_that_is_dropped_does_nothing() {
    let desk = headless(TELLTALE).flags(&["--rewrite=15:0"]).start();
    desk.line("[app] ready");
    desk.signal(Signal::SIGTERM);
    // One that comes later is dealt with later.
    desk.signal(Signal::SIGUSR2);
    assert_eq!(desk.code(), 52);
}

#[test]
fn the_application_is_asked_to_end_as_we_were_unless_it_is_configured() {
    let desk = headless(TELLTALE).start();
    desk.line("[app] ready");
    desk.signal(Signal::SIGINT);
    assert_eq!(desk.code(), 42);
    let table = "[service.app]\nstop_signal = \"QUIT\"\n";
    let desk = headless(TELLTALE).flags(&["--rewrite", "15:2"]);
    let desk = desk.services(table).start();
    desk.line("[app] ready");
    desk.signal(Signal::SIGTERM);
    assert_eq!(desk.code(), 43);
}

#[test]
fn an_x_server_that_does_not_come_up_is_told_with_its_last_words() {
    let (status, lines) = Builder::new(&["true"])
        .env("XSERVER_ARGS", "-nonsense")
        .start()
        .end();
    assert_eq!(status.code(), Some(69));
    let last = lines.last().unwrap();
    assert!(
        last.contains("the X server did not become ready") && last.contains("-nonsense"),
        "{last}"
    );
    let (status, lines) = Builder::new(&["true"])
        .env("XSERVER", "/nonexistent/X")
        .start()
        .end();
    assert_eq!(status.code(), Some(69));
    assert!(
        lines.last().unwrap().contains("/nonexistent/X: not found"),
        "{lines:#?}"
    );
}
