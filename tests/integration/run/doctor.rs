//! `deskinit doctor` in front of real desktops, in order and not.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use deskinit::desktop::connect::Connector;
use serde_json::Value;
use x11rb::protocol::xproto::{AccessControl, ConnectionExt as _};

use crate::support::TempDir;
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

fn said_by(command: Command, settings: &[(&str, &str)]) -> (Option<i32>, Value) {
    said_by_words(command, &["doctor", "--json"], settings)
}

fn said_by_words(
    mut command: Command,
    words: &[&str],
    settings: &[(&str, &str)],
) -> (Option<i32>, Value) {
    for name in deskinit::config::all_names() {
        command.env_remove(name);
    }
    let out = command
        .args(words)
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
        ("APPLICATION", "xterm"),
        ("VNC_PORT", "0"),
        ("NO_VNC_PORT", "0"),
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
        ("ulimit -p 50", "processes", "no more than 50 for this user"),
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

/// Nothing of these is wrong, and no port of theirs can be taken.
const FINE: [(&str, &str); 4] = [
    ("APPLICATION", "sh"),
    ("VNC_PORT", "0"),
    ("NO_VNC_PORT", "0"),
    ("SUPERVISOR_CONF_DIR", "off"),
];

/// What `about` is said of these settings above [`FINE`], and the exit code.
fn told_of(settings: &[(&str, &str)], about: &str) -> (Option<i32>, Vec<String>) {
    // Of two the later counts.
    let (code, said) = doctor(&[&FINE, settings].concat());
    let told = self::about(&said, about);
    (code, told.into_iter().map(str::to_owned).collect())
}

#[test]
fn what_run_would_refuse_is_found_before_it_does() {
    assert_eq!(told_of(&[], "start"), (Some(0), Vec::new()));
    let dir = TempDir::new();
    let table = "[service.web]\ncommand = \"sh\"\nuser = \"nosuchuser\"\n";
    fs::write(dir.path().join("a.toml"), table).unwrap();
    let dir = dir.path().to_str().unwrap();
    for (setting, told) in [
        (("APPLICATION", ""), "APPLICATION: nothing to run"),
        (("DISPLAY", "host:0"), "DISPLAY=host:0: run starts the X"),
        (("SERVICES_DIR", dir), "[service.web]: user=nosuchuser: "),
        (("USER", "nosuch"), "USER=nosuch: /etc/passwd has no such"),
    ] {
        // Anybody but root stays who it is.
        if setting.0 == "USER" && !nix::unistd::geteuid().is_root() {
            continue;
        }
        let (code, all) = told_of(&[setting], "start");
        assert_eq!((code, all.len()), (Some(1), 1), "{setting:?}: {all:?}");
        assert!(all[0].contains(told), "{setting:?}: {all:?}");
        // With the very words of the run.
        let run = Command::new(DESKINIT)
            .env_clear()
            .envs(FINE)
            .env(setting.0, setting.1)
            .env("PATH", "/usr/bin:/bin")
            .arg("run")
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(64), "{setting:?}");
        let words = String::from_utf8_lossy(&run.stderr);
        assert!(words.contains(&all[0]), "{words}\n{all:?}");
    }
    // All at once, and each is a line of the run's.
    let both = [("APPLICATION", ""), ("DISPLAY", "host:0")];
    let (_, all) = told_of(&both, "start");
    assert_eq!(all.len(), 2, "{all:?}");
    let (code, _) = said_by_words(
        Command::new(DESKINIT),
        &["doctor", "--json", "--", "sh"],
        &[&FINE[1..], &[("BIND_ADDRESS", "127.0.0.1")]].concat(),
    );
    assert_eq!(code, Some(0), "as for run, a command may stand behind --");
}

#[test]
fn a_port_that_somebody_has_is_found() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let here = ("BIND_ADDRESS", "127.0.0.1");
    for name in ["VNC_PORT", "NO_VNC_PORT"] {
        let (code, told) = told_of(&[here, (name, &port)], "ports");
        assert_eq!((code, told.len()), (Some(1), 1), "{told:?}");
        let words = format!("{name}: cannot listen on 127.0.0.1:{port}: ");
        assert!(told[0].starts_with(&words), "{told:?}");
    }
    drop(taken);
    let both = [here, ("VNC_PORT", port.as_str()), ("NO_VNC_PORT", &port)];
    let (code, told) = told_of(&both, "ports");
    assert_eq!((code, told.len()), (Some(1), 1), "one for two: {told:?}");
    assert!(told[0].starts_with("NO_VNC_PORT: "), "{told:?}");
}

#[test]
fn services_that_cannot_start_and_a_log_directory_that_is_not_there_are_found() {
    let dir = TempDir::new();
    let here = dir.path().display();
    fs::write(
        dir.path().join("a.toml"),
        format!(
            "[service.fine]\ncommand = \"./fine\"\ndirectory = \"{here}\"\n\
             [service.path]\ncommand = \"fine\"\nenvironment = {{ PATH = \"{here}\" }}\n\
             [service.missing]\ncommand = \"no-such-program\"\n\
             [service.nowhere]\ncommand = \"sh\"\ndirectory = \"/nonexistent/dir\"\n\
             [service.hook]\ncommand = \"sh\"\nbefore_start = \"no-such-hook\"\n\
             [service.byhand]\ncommand = \"no-such-thing\"\nautostart = false\n\
             [service.app]\ndirectory = \"/nonexistent/app\"\n"
        ),
    )
    .unwrap();
    fs::write(dir.path().join("fine"), "#!/bin/sh\n").unwrap();
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path().join("fine"), executable).unwrap();
    fs::write(
        dir.path().join("a.conf"),
        "[program:talk]\ncommand=no-such-talk\n[program:well]\ncommand=sh\n",
    )
    .unwrap();
    let dir = dir.path().to_str().unwrap();
    let named = [("SERVICES_DIR", dir), ("SUPERVISOR_CONF_DIR", dir)];
    let (code, said) = doctor(&[&FINE[..], &named].concat());
    assert_eq!(code, Some(1));
    // As to supervisord, one of its programs means nothing to the others: a note, as of the one started by hand.
    assert_eq!(findings(&said), ["programs of services"; 4], "{said}");
    let mut told = about(&said, "programs of services");
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "[service.app]: directory = /nonexistent/app: there is no such directory",
            "[service.byhand]: command: there is no program no-such-thing that can be run",
            "[service.hook]: before_start: there is no program no-such-hook that can be run",
            "[service.missing]: command: there is no program no-such-program that can be run",
            "[service.nowhere]: directory = /nonexistent/dir: there is no such directory",
            "the program talk: command: there is no program no-such-talk that can be run",
        ]
    );

    assert_eq!(
        told_of(&[("LOG_DIR", dir)], "log files"),
        (Some(0), Vec::new())
    );
    let (code, told) = told_of(&[("LOG_DIR", "/nonexistent/logs")], "log files");
    assert_eq!((code, told.len()), (Some(1), 1));
    let words = "LOG_DIR=/nonexistent/logs: there is no such directory";
    assert!(told[0].starts_with(words), "{told:?}");
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
fn ways_past_the_gate_and_a_part_that_is_not_wanted() {
    let dir = TempDir::new();
    std::fs::write(dir.path().join("a.toml"), "[service.wm]\nenabled = false\n").unwrap();
    let settings = [
        ("APPLICATION", "xterm"),
        ("NO_VNC_PORT", "0"),
        ("VNC_PORT", "0"),
        ("XSERVER_ARGS", "-listen tcp -ac"),
        ("WINDOW_MANAGER", "no-such-manager"),
    ];
    let (_, said) = doctor(&settings);
    assert!(findings(&said).contains(&"WINDOW_MANAGER"), "{said}");
    let services = [("SERVICES_DIR", dir.path().to_str().unwrap())];
    let (code, said) = doctor(&[&settings[..], &services].concat());
    assert_eq!(code, Some(1));
    assert_eq!(findings(&said), ["XSERVER_ARGS", "XSERVER_ARGS"], "{said}");
}

#[test]
fn who_listens_behind_everybodys_back_is_told() {
    let script = "(setsid python3 -c 'import socket, time
s = socket.socket(); s.bind((\"0.0.0.0\", 0)); s.listen(); print(\"listens\", flush=True); time.sleep(1000)' &); exec xterm";
    let desk = Builder::new(&["sh", "-c", script]).start();
    desk.up();
    desk.line("listens");
    let dir = desk.run_dir();
    let here = ("RUN_DIR", dir.to_str().unwrap());
    let (code, said) = doctor(&[here, ("BIND_ADDRESS", "127.0.0.1")]);
    // Nothing is wrong with it if it is meant.
    assert_eq!(code, Some(0), "{said}");
    let told = about(&said, "listeners");
    assert!(
        told.iter()
            .any(|text| text.starts_with("python3 (pid ") && text.contains("0.0.0.0")),
        "{told:?}"
    );
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

    // What it was started with is no matter any more, and its own ports are taken by itself.
    let web = status.web.as_deref().and_then(|web| web.rsplit(':').next());
    let web = ("NO_VNC_PORT", web.unwrap());
    let here_too = [here, ("BIND_ADDRESS", "127.0.0.1"), web];
    let (code, said) = doctor(&[&here_too[..], &[("DISPLAY", "host:0")]].concat());
    assert_eq!(code, Some(0), "{said}");

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
