//! What the keys of a service make of its process, its start and its end.

use std::fs;

use deskinit::supervisor::link::ServiceState;

use super::orders::ask;
use super::services::Files;
use crate::support::desk::{LONG, is_ready, pid};

/// The numbers behind a name in `/proc/PID/limits` or `/proc/PID/status`.
fn figures(pid: i32, file: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("{name} is not in {text}"));
    line.split_ascii_whitespace().map(str::to_owned).collect()
}

fn nice(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after) = text.rsplit_once(')').unwrap();
    after.split_ascii_whitespace().nth(16).unwrap().to_owned()
}

#[test]
fn a_process_is_what_its_keys_say() {
    let table = r#"
        [service.box]
        command = ["sh", "-c", "pwd; umask; exec sleep 1000"]
        directory = "/usr"
        umask = "027"
        nice = 5
        limits = { nofile = [77, 99], core = 0 }
        oom_score_adj = 321
        no_new_privileges = true
        [service.app]
        umask = "077"
        limits = { nproc = 5000 }
        [service.xserver]
        oom_score_adj = 7
        nice = 1
        [service.display]
        limits = { nofile = 512 }
    "#;
    let files = Files::new("process", &[("a.toml", table)]);
    let desk = files
        .builder(&["sh", "-c", "umask; exec sleep 1000"])
        .env("APP_HEADLESS", "1")
        .env("APP_NICENESS", "9")
        .start();
    let status = desk.up();
    desk.line("[box] /usr");
    desk.line("[box] 0027");
    desk.line("[app] 0077");
    let (own, app) = (pid(&status, "box"), pid(&status, "app"));
    assert_eq!(nice(own), "5");
    assert_eq!(nice(app), "9");
    assert_eq!(figures(own, "limits", "Max open files")[..2], ["77", "99"]);
    assert_eq!(
        figures(own, "limits", "Max core file size")[..2],
        ["0", "0"]
    );
    assert_eq!(
        figures(app, "limits", "Max processes")[..2],
        ["5000", "5000"]
    );
    assert_eq!(figures(own, "status", "NoNewPrivs:"), ["1"]);
    let score = |pid| fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    assert_eq!(score(own).trim(), "321");
    let xserver = pid(&status, "xserver");
    assert_eq!((score(xserver).trim(), nice(xserver).as_str()), ("7", "1"));
    let display = pid(&status, "display");
    assert_eq!(
        figures(display, "limits", "Max open files")[..2],
        ["512", "512"]
    );
}

#[test]
fn rights_are_kept_by_name_and_a_step_that_fails_is_told() {
    let table = r#"
        [service.some]
        command = "sleep 1000"
        capabilities = ["CAP_CHOWN", "kill"]
        [service.app]
        capabilities = []
        [service.nowhere]
        command = "true"
        directory = "/nonexistent"
    "#;
    let files = Files::new("rights", &[("a.toml", table)]);
    let root = nix::unistd::geteuid().is_root();
    let table = if root {
        table.to_owned()
    } else {
        // Nobody but root has any to give.
        table.replace("[\"CAP_CHOWN\", \"kill\"]", "[]\nno_new_privileges = true")
    };
    fs::write(files.0.join("a.toml"), table).unwrap();
    let desk = files
        .builder(&["sleep", "1000"])
        .env("APP_HEADLESS", "1")
        .start();
    let line = desk.line("nowhere could not be started");
    assert!(line.contains("could not enter its directory"), "{line}");
    let status = desk.when("both run", LONG, |status| {
        is_ready(status, "some") && is_ready(status, "app")
    });
    let rights = |name: &str, set| figures(pid(&status, name), "status", set);
    if root {
        assert_eq!(rights("some", "CapEff:"), ["0000000000000021"]);
        assert_eq!(rights("some", "CapBnd:"), ["0000000000000021"]);
        assert_eq!(rights("app", "CapBnd:"), ["0000000000000000"]);
    }
    assert_eq!(rights("app", "CapEff:"), ["0000000000000000"]);
}

#[test]
fn one_that_is_not_started_by_itself_waits_for_an_order_and_keeps_nobody_waiting() {
    let table = r#"
        [service.tool]
        command = "sleep 1000"
        autostart = false
        [service.guest]
        command = "sleep 1000"
        after = ["tool"]
    "#;
    let files = Files::new("autostart", &[("a.toml", table)]);
    let desk = files
        .builder(&["sleep", "1000"])
        .env("APP_HEADLESS", "1")
        .start();
    let status = desk.up();
    let state = |name: &str| {
        status
            .services
            .iter()
            .find(|s| s.name == name)
            .unwrap()
            .state
    };
    assert_eq!(state("tool"), ServiceState::Stopped);
    assert_eq!(state("guest"), ServiceState::Waiting);
    assert_eq!(ask(&desk, &["start", "tool"]).0, Some(0));
    desk.when("its guest comes with it", LONG, |status| {
        is_ready(status, "tool") && is_ready(status, "guest")
    });
}
