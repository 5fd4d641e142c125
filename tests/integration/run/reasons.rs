//! The reason of an end where Kubernetes looks for it: `/dev/termination-log`.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::TempDir;
use crate::support::desk::Builder;

/// A `/dev` of its own with such a file, as kubelet mounts it.
const PLACE: &str = "mkdir $KEPT/dev && cd $KEPT/dev && mount -t tmpfs none . && cd $KEPT/dev &&
    cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom . && mkdir shm pts &&
    mount --rbind /dev/shm shm && mount --rbind /dev/pts pts && touch termination-log &&
    mount --bind $KEPT/reason termination-log && mount --rbind . /dev && cd / && exec \"$@\"";

/// Runs in front of such a file until its end; its code, its last line, and what stands in the file.
fn reason(
    command: &[&str],
    build: impl FnOnce(Builder) -> Builder,
    signal: Option<Signal>,
) -> Option<(Option<i32>, String, String)> {
    let dir = TempDir::new();
    let file = dir.path().join("reason");
    fs::write(
        &file,
        "of an earlier end, which was longer than any of these is going to be\n",
    )
    .unwrap();
    let builder = Builder::new(command)
        .env("APP_HEADLESS", "1")
        .env("KEPT", dir.path().to_str().unwrap());
    let desk = build(builder)
        .within(&["unshare", "--mount"], PLACE)?
        .start();
    if let Some(signal) = signal {
        desk.up();
        desk.signal(signal);
    }
    let (status, lines) = desk.end();
    let last = lines.last().cloned().unwrap_or_default();
    Some((status.code(), last, fs::read_to_string(&file).unwrap()))
}

#[test]
fn the_reason_stands_in_the_termination_log() {
    let Some((code, last, kept)) = reason(&["sh", "-c", "exit 3"], |builder| builder, None) else {
        return;
    };
    assert_eq!(code, Some(3));
    assert_eq!(kept, "the application has ended, code 3\n");
    assert!(last.contains(kept.trim()), "{last}");

    let stopped = reason(&["sleep", "1000"], |builder| builder, Some(Signal::SIGTERM));
    let (code, _, kept) = stopped.unwrap();
    assert_eq!((code, kept.as_str()), (Some(143), "stopped by SIGTERM\n"));
}

#[test]
fn wrong_settings_stand_there_together() {
    let wrong = |builder: Builder| {
        builder
            .env("VNC_PORT", "many")
            .env("GRACE_PERIOD", "soon")
            .env("VNC_PASSWORD", "")
    };
    let Some((code, _, kept)) = reason(&["true"], wrong, None) else {
        return;
    };
    assert_eq!(code, Some(64));
    assert_eq!(kept.lines().count(), 1, "{kept}");
    for part in [
        "VNC_PORT=many: expected",
        "GRACE_PERIOD=soon",
        "VNC_PASSWORD: is empty",
    ] {
        assert!(kept.contains(part), "{kept}");
    }
    let taken = |builder: Builder| builder.env("XSERVER", "/nonexistent/X");
    let (code, _, kept) = reason(&["true"], taken, None).unwrap();
    assert_eq!(code, Some(69));
    assert!(kept.contains("/nonexistent/X: not found"), "{kept}");
}
