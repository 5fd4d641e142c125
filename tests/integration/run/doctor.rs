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
    let mut command = Command::new(DESKINIT);
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
