//! Selections, both ways, with xclip as the other program.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use deskinit::desktop::DesktopEvent;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Desk, SOON, Xev};
use crate::support::xvfb::XServer;

const TEXT: &str = "Grüße, 你好 🙂\nzweite Zeile";

/// An xclip that owns a selection until it is dropped.
struct Owner(Child);

impl Owner {
    fn new(desk: &Desk, selection: &str, text: &str) -> Owner {
        let mut command = desk.server.command("xclip");
        command.args(["-quiet", "-i", "-selection", selection]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        Owner(child)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn paste(server: &XServer, selection: &str, target: &str) -> Vec<u8> {
    let mut command: Command = server.command("timeout");
    command.args([
        "10",
        "xclip",
        "-o",
        "-selection",
        selection,
        "-target",
        target,
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// Waits until the input thread has done all that was sent.
fn settle(desk: &Desk) {
    let xev = Xev::start(desk);
    xev.until_escape(desk);
}

#[test]
fn a_clients_text_is_there_for_programs() {
    let desk = Desk::new("us");
    desk.input.set_clipboard(TEXT.into());
    settle(&desk);
    for selection in ["clipboard", "primary"] {
        for target in ["UTF8_STRING", "TEXT", "text/plain;charset=utf-8"] {
            assert_eq!(
                String::from_utf8(paste(&desk.server, selection, target)).unwrap(),
                TEXT,
                "{selection} {target}"
            );
        }
    }
    assert_eq!(
        paste(&desk.server, "clipboard", "STRING"),
        b"Gr\xfc\xdfe, ?? ?\nzweite Zeile"
    );
    let targets = String::from_utf8(paste(&desk.server, "clipboard", "TARGETS")).unwrap();
    for target in [
        "TARGETS",
        "UTF8_STRING",
        "STRING",
        "TEXT",
        "text/plain;charset=utf-8",
        "TIMESTAMP",
        "MULTIPLE",
    ] {
        assert!(
            targets.lines().any(|line| line == target),
            "{target} in {targets}"
        );
    }
    assert!(!paste(&desk.server, "clipboard", "TIMESTAMP").is_empty());
}

#[test]
fn a_programs_text_is_told_to_clients() {
    let desk = Desk::new("us");
    let _clipboard = Owner::new(&desk, "clipboard", TEXT);
    desk.told.clipboard(TEXT);
    let _primary = Owner::new(&desk, "primary", "mit der Maus");
    desk.told.clipboard("mit der Maus");
}

#[test]
fn primary_stays_here_if_so_set() {
    let server = XServer::start();
    let desk = Desk::on(server, |options| options.send_primary = false);
    let _primary = Owner::new(&desk, "primary", "secret");
    let _clipboard = Owner::new(&desk, "clipboard", "told");
    desk.told.clipboard("told");
    assert_eq!(
        desk.told.count(|e| matches!(e, DesktopEvent::Clipboard(_))),
        0
    );
}

#[test]
fn what_was_copied_before_is_told() {
    let server = XServer::start();
    let mut command = server.command("xclip");
    let mut early = command
        .args(["-quiet", "-i", "-selection", "clipboard"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    early.stdin.take().unwrap().write_all(b"early").unwrap();
    crate::support::eventually("xclip owns it", SOON, || {
        (server
            .command("xclip")
            .args(["-o", "-selection", "clipboard"])
            .output()
            .unwrap()
            .stdout
            == b"early")
            .then_some(())
    });
    let desk = Desk::on(server, |_| {});
    desk.told.clipboard("early");
    let _ = early.kill();
    let _ = early.wait();
}

#[test]
fn long_texts_go_both_ways() {
    let desk = Desk::new("us");
    let long: String = TEXT.chars().cycle().take(400_000).collect();
    assert!(long.len() > 500_000);
    let _owner = Owner::new(&desk, "clipboard", &long);
    desk.told.clipboard(&long);
    let other: String = long.chars().rev().collect();
    desk.input.set_clipboard(other.as_str().into());
    settle(&desk);
    for _ in 0..2 {
        assert!(paste(&desk.server, "clipboard", "UTF8_STRING") == other.as_bytes());
    }
}

#[test]
fn too_long_a_text_is_left_out_and_the_next_is_told() {
    let desk = Desk::new("us");
    let huge = "x".repeat(3 << 20);
    let owner = Owner::new(&desk, "clipboard", &huge);
    let _next = Owner::new(&desk, "primary", "next");
    desk.told.clipboard("next");
    drop(owner);
    let _last = Owner::new(&desk, "clipboard", "last");
    desk.told.wait("last", |e| match e {
        DesktopEvent::Clipboard(text) => {
            assert!(text.len() < 100, "{} bytes", text.len());
            (**text == *"last").then_some(())
        }
        _ => None,
    });
}

#[test]
fn no_text_comes_back_to_its_client() {
    let desk = Desk::new("us");
    desk.input.set_clipboard("echo".into());
    settle(&desk);
    // A clipboard manager takes over what it saw.
    let _manager = Owner::new(&desk, "clipboard", "echo");
    let _other = Owner::new(&desk, "primary", "end");
    desk.told.wait("end", |e| match e {
        DesktopEvent::Clipboard(text) => {
            assert_ne!(**text, *"echo");
            (**text == *"end").then_some(())
        }
        _ => None,
    });
}

#[test]
fn a_dead_owner_holds_nobody_up() {
    let desk = Desk::new("us");
    let owner = Owner::new(&desk, "clipboard", "alive");
    desk.told.clipboard("alive");
    owner.signal(Signal::SIGSTOP);
    // It must answer a new watcher now, and cannot.
    let dead = Owner::new(&desk, "primary", "dead");
    dead.signal(Signal::SIGSTOP);
    let xev = Xev::start(&desk);
    let start = Instant::now();
    desk.tap('a'.into(), None);
    assert_eq!(xev.names(&desk), ["a"]);
    assert!(start.elapsed().as_millis() < 1500, "{:?}", start.elapsed());
    let _next = Owner::new(&desk, "clipboard", "next");
    desk.told.clipboard("next");
    owner.signal(Signal::SIGCONT);
    dead.signal(Signal::SIGCONT);
}
