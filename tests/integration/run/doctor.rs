//! `deskinit doctor` in front of real desktops, in order and not.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use deskinit::desktop::connect::Connector;
use serde_json::Value;
use x11rb::protocol::xproto::{AccessControl, ConnectionExt as _};

use crate::support::desk::{Builder, DESKINIT};
use crate::support::xvfb::sync;

/// Its exit code, and what it said.
fn doctor(settings: &[(&str, &str)]) -> (Option<i32>, Value) {
    said_by(Command::new(DESKINIT), settings)
}

/// The same after a shell has run `script` in a mount namespace; `None` where we may not make one.
fn doctor_after(script: &str, settings: &[(&str, &str)]) -> Option<(Option<i32>, Value)> {
    let mut alone = Command::new("unshare");
    if !alone
        .args(["--mount", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", &format!("{script}; exec \"$@\"")]);
    command.args(["sh", DESKINIT]);
    Some(said_by(command, settings))
}

fn said_by(mut command: Command, settings: &[(&str, &str)]) -> (Option<i32>, Value) {
    for name in deskinit::config::all_names() {
        command.env_remove(name);
    }
    let out = command
        .args(["doctor", "--json"])
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    (out.status.code(), serde_json::from_str(&text).expect(&text))
}

/// What its findings are about.
fn findings(said: &Value) -> Vec<&str> {
    let remarks = said["remarks"].as_array().unwrap();
    remarks
        .iter()
        .filter(|remark| remark["level"] == "finding")
        .map(|remark| remark["about"].as_str().unwrap())
        .collect()
}

#[test]
fn wrong_settings_are_found_before_anything_runs() {
    let (code, said) = doctor(&[("VNC_PORT", "many"), ("DISPLAY_WIDTH", "1")]);
    assert_eq!(code, Some(1));
    assert_eq!(findings(&said), ["settings", "settings"]);
    let (code, said) = doctor(&[
        ("XSERVER", "no-such-server"),
        ("VNC_PASSWORD", "changeme"),
        ("RUN_DIR", "/nonexistent/run"),
    ]);
    assert_eq!(code, Some(1));
    assert_eq!(findings(&said), ["XSERVER", "VNC_PASSWORD", "RUN_DIR"]);
    assert!(!said.to_string().contains("changeme"));
}

/// What was said about this.
fn about<'a>(said: &'a Value, about: &str) -> Vec<&'a str> {
    let remarks = said["remarks"].as_array().unwrap().iter();
    let all = remarks.filter(|remark| remark["about"] == about);
    all.map(|remark| remark["found"].as_str().unwrap())
        .collect()
}

#[test]
fn what_the_container_lacks_is_found() {
    for (script, place, found) in [
        (
            "mount -t tmpfs -o size=1m none /dev/shm",
            "/dev/shm",
            "has only 1 MiB",
        ),
        (
            "mount -t tmpfs -o size=1m none /dev/shm; head -c 1m /dev/zero > /dev/shm/x",
            "/dev/shm",
            "is full (0 KiB of 1 MiB",
        ),
        (
            "mount -t tmpfs -o size=64k none /tmp",
            "/tmp",
            "is full (64 KiB of 64 KiB",
        ),
        (
            "mount -t tmpfs -o ro none /tmp",
            "/tmp",
            "cannot be written to: Read-only",
        ),
        ("ulimit -n 100", "open files", "no more than 100 a process"),
    ] {
        let Some((code, said)) = doctor_after(script, &[]) else {
            return;
        };
        assert_eq!(code, Some(1), "{script}");
        assert!(findings(&said).contains(&place), "{script}: {said}");
        let told = about(&said, place);
        assert!(
            told.iter().any(|text| text.contains(found)),
            "{script}: {told:?}"
        );
    }
}

#[test]
fn a_dead_lock_of_a_wanted_number_is_told() {
    // A number that no process has: those end at 4194304.
    let script = "mount -t tmpfs none /tmp; printf '%10d\\n' 4194305 > /tmp/.X77-lock";
    let Some((_, said)) = doctor_after(script, &[("DISPLAY", ":77")]) else {
        return;
    };
    assert_eq!(
        about(&said, "X locks"),
        ["/tmp/.X77-lock is a lock of a dead X server"]
    );
    assert!(!findings(&said).contains(&"X locks"), "{said}");
    let (_, said) = doctor_after(script, &[("DISPLAY", ":78")]).unwrap();
    assert!(about(&said, "X locks").is_empty(), "{said}");
}

#[test]
fn a_run_warns_of_what_the_doctor_would_find() {
    let desk = Builder::new(&["xterm"])
        .env("VNC_PASSWORD", "password")
        .start();
    desk.up();
    let warned = |line: &String| line.starts_with("[run] VNC_PASSWORD: is one of the passwords");
    assert_eq!(desk.lines().iter().filter(|line| warned(line)).count(), 1);
}

#[test]
fn a_living_desktop_is_looked_into() {
    let desk = Builder::new(&["xterm"]).start();
    let status = desk.up();
    let dir = desk.run_dir();
    let here = ("RUN_DIR", dir.to_str().unwrap());
    let (code, said) = doctor(&[here, ("BIND_ADDRESS", "127.0.0.1")]);
    assert_eq!(code, Some(0), "{said}");
    let fine = said["fine"].as_array().unwrap();
    for about in ["services", "readiness", "listeners", "X access"] {
        assert!(fine.contains(&about.into()), "{about}: {said}");
    }

    // Both of its ports are elsewhere than these settings say.
    let (code, said) = doctor(&[here, ("BIND_ADDRESS", "127.0.0.2")]);
    assert_eq!(code, Some(1));
    assert_eq!(findings(&said), ["listeners", "listeners"]);

    // What `xhost +` does.
    let cookies = PathBuf::from(&dir).join("Xauthority");
    let connector = Connector::new(&status.display, Some(cookies)).unwrap();
    let (link, _) = connector.connect_within(Duration::from_secs(10)).unwrap();
    link.set_access_control(AccessControl::DISABLE).unwrap();
    sync(&link);
    let (code, said) = doctor(&[here, ("BIND_ADDRESS", "127.0.0.1")]);
    assert_eq!(code, Some(1));
    assert_eq!(findings(&said), ["X access"]);
}
