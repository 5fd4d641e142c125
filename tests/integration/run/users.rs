//! Whose processes they are: root that becomes somebody else, and users whom nobody knows.
//!
//! Only root can become somebody else; where the tests are run by anybody else, the last one stands for all.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::support::desk::{Builder, Desk, LONG, pid};

/// An account that every Debian has, whose home its user may not write to.
const ACCOUNT: (&str, u32) = ("games", 5);
const NOBODY: u32 = 54_329;

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The fields of a line of `/proc/PID/status`.
fn field(process: i32, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {name} of {process} in {text}"));
    line.split_whitespace().map(str::to_owned).collect()
}

fn powerless(process: i32, uid: u32) {
    let id = uid.to_string();
    assert_eq!(field(process, "Uid"), [&*id, &id, &id, &id]);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(process, set), ["0000000000000000"], "{set}");
    }
    assert_eq!(field(process, "NoNewPrivs"), ["1"]);
}

fn said(desk: &Desk, name: &str) -> String {
    let line = desk.line(&format!("[app] {name}="));
    line.split_once('=').unwrap().1.to_owned()
}

#[test]
fn root_becomes_the_user_of_that_name_before_anything_else() {
    if !root() {
        return;
    }
    let desk = Builder::new(&["sh", "-c", "env; exec xterm"])
        .env("USER", ACCOUNT.0)
        .start();
    let status = desk.up();
    powerless(desk.pid(), ACCOUNT.1);
    for name in ["xserver", "display", "wm", "app"] {
        powerless(pid(&status, name), ACCOUNT.1);
    }
    assert_eq!(said(&desk, "USER"), ACCOUNT.0);
    assert_eq!(said(&desk, "LOGNAME"), ACCOUNT.0);
    let home = said(&desk, "HOME");
    assert_eq!(home, format!("/tmp/home-{}", ACCOUNT.1));
    assert_eq!(fs::metadata(&home).unwrap().uid(), ACCOUNT.1);
    desk.line("user 5 cannot write there");
    let dir = fs::metadata(desk.run_dir()).unwrap();
    assert_eq!(
        (dir.uid(), dir.permissions().mode() & 0o777),
        (ACCOUNT.1, 0o700)
    );
    let lock = format!("/tmp/.X{}-lock", status.display.trim_start_matches(':'));
    assert_eq!(fs::metadata(&lock).unwrap().uid(), ACCOUNT.1);
    desk.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(desk.code(), 0, "xterm's own, after its window was closed");
    assert!(!fs::exists(&lock).unwrap());
}

#[test]
fn a_number_without_an_account_is_enough() {
    if !root() {
        return;
    }
    let desk = Builder::new(&["sh", "-c", "id; env; exec xterm"])
        .env("PUID", &NOBODY.to_string())
        .env("PGID", "54330")
        .start();
    let status = desk.up();
    powerless(pid(&status, "app"), NOBODY);
    desk.line("[app] uid=54329 gid=54330 groups=54330");
    assert_eq!(said(&desk, "USER"), NOBODY.to_string());
    let home = said(&desk, "HOME");
    assert_eq!(fs::metadata(home).unwrap().uid(), NOBODY);
}

#[test]
fn what_a_service_needs_of_roots_rights_it_has_alone() {
    if !root() {
        return;
    }
    let text = "[service.low]\ncommand = \"sleep 1000\"\ncapabilities = [\"net_bind_service\"]\nlimits = { nofile = 777 }\n";
    let desk = Builder::new(&["xterm"])
        .env("USER_ID", &NOBODY.to_string())
        .env("APP_NICENESS", "-3")
        .services(text)
        .start();
    let status = desk.up();
    powerless(pid(&status, "display"), NOBODY);
    let app = pid(&status, "app");
    powerless(app, NOBODY);
    let stat = fs::read_to_string(format!("/proc/{app}/stat")).unwrap();
    let nice = stat.rsplit(')').next().unwrap().split_whitespace().nth(16);
    assert_eq!(nice, Some("-3"), "{stat}");
    let low = pid(&status, "low");
    assert_eq!(field(low, "Uid")[0], NOBODY.to_string());
    for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(low, set), ["0000000000000400"], "{set}");
    }
    let limits = fs::read_to_string(format!("/proc/{low}/limits")).unwrap();
    assert!(limits.contains(" 777 "), "{limits}");
    assert_eq!(field(desk.pid(), "CapInh"), ["0000000000000000"]);
    assert_eq!(field(desk.pid(), "NoNewPrivs"), ["1"]);
}

#[test]
fn somebody_else_without_account_home_or_writable_root_has_a_desktop() {
    if !root() {
        return;
    }
    // A container engine's `--user 54329 --read-only --tmpfs /tmp --cap-drop ALL`, without one.
    let namespace = "mount -t tmpfs -o mode=1777 none /tmp && mount -o remount,bind,ro / \
        && exec setpriv --reuid 54329 --regid 54329 --clear-groups --bounding-set=-all --no-new-privs \"$@\"";
    let Some(desk) = Builder::new(&[
        "sh",
        "-c",
        "touch /var/tmp/x && echo writable; touch $HOME/file && env; exec xterm",
    ])
    .env("HOME", "/")
    .env("RUN_DIR", "/tmp/run")
    .env("BIND_ADDRESS", "127.0.0.1")
    .within(&["unshare", "--mount"], namespace) else {
        return;
    };
    let desk = desk.start();
    desk.line("everything is ready after");
    assert_eq!(said(&desk, "HOME"), "/tmp/home-54329");
    assert_eq!(said(&desk, "LOGNAME"), "54329");
    assert!(!desk.lines().iter().any(|line| line == "[app] writable"));
    let app = *desk.descendants().last().unwrap();
    assert_eq!(field(app, "Uid")[0], NOBODY.to_string());
    desk.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(desk.code(), 0, "xterm's own, after its window was closed");
}

#[test]
fn root_that_may_not_become_another_says_what_to_do() {
    if !root() {
        return;
    }
    let drop = "exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"";
    let desk = Builder::new(&["true"])
        .env("USER_ID", "1000")
        .within(&[], drop)
        .unwrap()
        .start();
    let (status, _) = desk.end();
    assert_eq!(status.code(), Some(71));
}

#[test]
fn a_user_who_is_not_there_is_a_mistake() {
    let desk = Builder::new(&["true"])
        .env("USER", "no-such-account")
        .start();
    // To anybody but root it is only a name.
    let expected = if root() { 64 } else { 0 };
    assert_eq!(desk.code(), expected, "within {LONG:?}");
}

#[test]
fn a_service_may_be_somebody_elses_or_nothing_starts() {
    if !root() {
        return;
    }
    let table = "[service.other]\ncommand = [\"sh\", \"-c\", \"id -un; id -G; echo $HOME; exec sleep 1000\"]\nuser = \"daemon\"\ngroup = \"video\"\n";
    let files = super::services::Files::new("owner", &[("a.toml", table)]);
    // As root, and as somebody who keeps the right to.
    for user in [None, Some(ACCOUNT.0)] {
        let mut builder = files.builder(&["sleep", "1000"]).env("APP_HEADLESS", "1");
        if let Some(user) = user {
            builder = builder.env("USER", user);
        }
        let desk = builder.start();
        let status = desk.up();
        desk.line("[other] daemon");
        desk.line("[other] 44");
        desk.line("[other] /usr/sbin");
        let process = pid(&status, "other");
        assert_eq!(field(process, "Uid"), ["1"; 4]);
        assert_eq!(field(process, "CapEff"), ["0000000000000000"]);
        assert_eq!(super::orders::ask(&desk, &["stop", "other"]).0, Some(0));
        desk.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(desk.code(), 143);
    }
    let no = table.replace("daemon", "nobody-there");
    fs::write(files.0.join("a.toml"), no).unwrap();
    let desk = files.builder(&["true"]).start();
    assert_eq!(desk.code(), 64);
}
