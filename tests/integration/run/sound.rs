//! A sound server for the programs of the desktop, and the cookie of others.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::TempDir;
use crate::support::desk::{Builder, LONG, is_ready};

const COOKIE: &str = "c0ca1e0123456789abcdef0123456789";

fn installed() -> bool {
    let there = ["/usr/bin/pulseaudio", "/usr/bin/pactl"];
    let all = there.iter().all(|path| fs::exists(path).unwrap());
    if !all {
        eprintln!("skipped: no pulseaudio here");
    }
    all
}

fn with_home(words: &[&str], home: &TempDir) -> Builder {
    Builder::new(words)
        .env("HOME", home.path().to_str().unwrap())
        .env("APP_HEADLESS", "1")
}

#[test]
fn programs_play_into_a_sink_and_need_no_cookie() {
    if !installed() {
        return;
    }
    let home = TempDir::new();
    let script = "pactl list short sinks; head -c 35280 /dev/zero | pacat --playback && echo played; exec sleep 100";
    let desk = with_home(&["sh", "-c", script], &home)
        .env("PULSEAUDIO", "1")
        .start();
    desk.line("played");
    assert!(desk.line("module-null-sink").contains("desktop"));
    assert!(is_ready(&desk.up(), "pulseaudio"));
    assert!(desk.run_dir().join("pulse").exists());
    let run_dir = desk.run_dir();
    desk.signal(Signal::SIGTERM);
    assert_eq!(desk.code(), 143);
    assert!(!run_dir.exists(), "its directory goes with the run");
}

/// A desktop with sound, of which the server is begun by this script.
fn with_server(script: &str, words: &[&str], home: &TempDir) -> Builder {
    let programs = home.path().join("bin");
    fs::create_dir(&programs).unwrap();
    let server = programs.join("pulseaudio");
    fs::write(&server, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&server, Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    with_home(words, home)
        .env("PATH", &format!("{}:{path}", programs.display()))
        .env("PULSEAUDIO", "1")
}

#[test]
fn the_application_finds_the_sound_server_however_late_it_is() {
    if !installed() {
        return;
    }
    let home = TempDir::new();
    let script = r#"until [ -e "$HOME/go" ]; do sleep 0.01; done; exec /usr/bin/pulseaudio "$@""#;
    let asks = ["sh", "-c", "pactl list short sinks; exec sleep 100"];
    let desk = with_server(script, &asks, &home).start();
    desk.when("the application waits for it alone", LONG, |status| {
        is_ready(status, "wm")
            && status.services.iter().any(|service| {
                service.name == "app" && service.waits_for.as_deref() == Some("pulseaudio")
            })
    });
    fs::write(home.path().join("go"), "").unwrap();
    assert!(desk.line("[app] ").contains("module-null-sink"));
}

#[test]
fn a_sound_server_that_does_not_come_keeps_nobody_waiting_for_ever() {
    let home = TempDir::new();
    let says = ["sh", "-c", "echo here; exec sleep 100"];
    let desk = with_server("exec sleep 100", &says, &home).start();
    desk.line("[app] here");
    assert!(!is_ready(&desk.status().unwrap(), "pulseaudio"));
}

#[test]
fn the_cookie_lets_programs_of_other_containers_in() {
    if !installed() {
        return;
    }
    let home = TempDir::new();
    // An address of our own: the port is a fixed one.
    let process = std::process::id();
    let address = format!("127.77.{}.{}", process / 250 % 250, process % 250 + 1);
    let desk = with_home(&["sleep", "100"], &home)
        .env("PULSEAUDIO_COOKIE", COOKIE)
        .env("X11LISTEN", "tcp")
        .env("BIND_ADDRESS", &address)
        .start();
    assert!(is_ready(&desk.up(), "pulseaudio"));
    let file = home.path().join(".config/pulse/cookie");
    assert_eq!(fs::read_to_string(&file).unwrap(), COOKIE.repeat(8));
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    for process in desk.descendants() {
        for part in ["environ", "cmdline"] {
            let text = fs::read(format!("/proc/{process}/{part}")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains(COOKIE), "{part}");
        }
    }

    let elsewhere = TempDir::new();
    let ask = |cookie: &std::path::Path| {
        Command::new("pactl")
            .arg("info")
            .env("HOME", elsewhere.path())
            .env("PULSE_SERVER", format!("tcp:{address}:4713"))
            .env("PULSE_COOKIE", cookie)
            .output()
            .unwrap()
    };
    let right = ask(&file);
    assert!(right.status.success(), "{right:?}");
    let wrong = elsewhere.path().join("cookie");
    fs::write(&wrong, [7; 256]).unwrap();
    let refused = ask(&wrong);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("Access denied"),
        "{said}"
    );
}

#[test]
fn a_server_of_others_keeps_ours_away() {
    let home = TempDir::new();
    let desk = with_home(&["sh", "-c", "env; exec sleep 100"], &home)
        .env("PULSEAUDIO_COOKIE", COOKIE)
        .env("PULSE_SERVER", "tcp:sound.example:4713")
        .start();
    let status = desk.up();
    assert!(
        !status
            .services
            .iter()
            .any(|service| service.name == "pulseaudio")
    );
    desk.line("[app] PULSE_SERVER=tcp:sound.example:4713");
    let file = home.path().join(".config/pulse/cookie");
    assert_eq!(fs::metadata(file).unwrap().len(), 256);
}
