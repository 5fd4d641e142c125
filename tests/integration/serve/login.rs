//! Who gets in, and what those may do who only watch.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::resize::{prepare, told};
use super::{SOON, Stage, input};
use crate::support::client::Login;
use crate::support::desk::Builder;
use crate::support::eventually;
use crate::support::serve::PASSWORD;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event as X;

/// Security types that a viewer of version 3.8 is offered.
fn offered(stage: &Stage) -> Vec<u8> {
    let mut stream = TcpStream::connect(stage.serve.vnc()).expect("listens");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    let mut greeting = [0; 12];
    stream.read_exact(&mut greeting).expect("a greeting");
    stream.write_all(b"RFB 003.008\n").expect("connected");
    let mut count = [0];
    stream.read_exact(&mut count).expect("an offer");
    let mut types = vec![0; count[0].into()];
    stream.read_exact(&mut types).expect("an offer");
    types
}

#[test]
fn a_wrong_password_costs_time_and_the_right_one_none() {
    let stage = Stage::new((320, 200), &[]);
    assert_eq!(offered(&stage), [2], "no way around the password");
    let mark = stage.serve.mark();
    let begun = Instant::now();
    for _ in 0..3 {
        let refused = stage.serve.login(&Login::password("wrong")).err();
        let refused = refused.expect("not let in");
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        assert!(refused.to_string().contains("password"), "{refused}");
    }
    // 100, 200 and 400 ms.
    assert!(begun.elapsed() >= Duration::from_millis(700));
    stage.serve.line(mark, &["WARN", "wrong password"]);
    // Were the right one delayed, it would be by 800 ms.
    let fastest = (0..3).map(|_| {
        let begun = Instant::now();
        stage.serve.viewer();
        begun.elapsed()
    });
    let fastest = fastest.min().expect("three");
    assert!(fastest < Duration::from_millis(700), "{fastest:?}");
    for minor in [3, 7] {
        for (password, fine) in [(PASSWORD, true), ("wrong", false)] {
            let login = Login {
                minor,
                ..Login::password(password)
            };
            assert_eq!(stage.serve.login(&login).is_ok(), fine, "3.{minor}");
        }
    }
    let metrics = stage.serve.get("/metrics").body;
    assert!(
        metrics.contains("deskinit_authentication_failures_total 5"),
        "{metrics}"
    );
}

#[test]
fn without_authentication_only_when_told_so() {
    let stage = Stage::new((320, 200), &[("VNC_PASSWORD", ""), ("ALLOW_NO_AUTH", "1")]);
    assert_eq!(offered(&stage), [1]);
    stage.serve.login(&Login::none()).expect("let in");
    stage.serve.line(0, &["WARN", "ALLOW_NO_AUTH"]);
}

#[test]
fn a_token_is_made_and_shown_once() {
    let stage = Stage::new((320, 200), &[("VNC_PASSWORD", "")]);
    assert_eq!(offered(&stage), [2]);
    let line = stage.serve.line(0, &["the password is "]);
    let token = line.rsplit(' ').next().expect("a word");
    assert_eq!(token.len(), 32);
    stage.serve.login(&Login::password(token)).expect("let in");
    let log = stage.serve.log();
    assert_eq!(log.matches("the password is").count(), 1);
    assert!(!log.contains("longer than 8"), "not the operator's doing");
}

#[test]
fn a_long_password_is_warned_of() {
    let stage = Stage::new((320, 200), &[("VNC_PASSWORD", "a long password")]);
    stage.serve.line(0, &["WARN", "longer than 8 characters"]);
    stage
        .serve
        .login(&Login::password("a long p"))
        .expect("cut");
}

/// Under `run`, which makes the token and hands it on like a password.
#[test]
fn only_an_operators_own_password_is_warned_of() {
    for (password, warnings) in [(None, 0), (Some("a long password"), 1)] {
        let mut builder = Builder::new(&[]).env("DESKTOP_MODE", "1");
        if let Some(password) = password {
            builder = builder.env("VNC_PASSWORD", password);
        }
        let desk = builder.start();
        desk.line("in a VNC viewer");
        let lines = desk.lines();
        let warned = lines.iter().filter(|l| l.contains("longer than 8"));
        assert_eq!(warned.count(), warnings, "{lines:#?}");
    }
}

#[test]
fn those_who_watch_only_watch() {
    let stage = Stage::new((640, 480), &[("VNC_VIEW_ONLY_PASSWORD", "watch")]);
    input::listen(&stage);
    let mut watcher = stage
        .serve
        .login(&Login::password("watch"))
        .expect("let in");
    let mut full = stage.serve.viewer();
    for client in [&mut watcher, &mut full] {
        prepare(client);
    }
    watcher.key(0x62, true).expect("connected");
    watcher.pointer(100, 100, 1).expect("connected");
    watcher.cut_text("from the watcher").expect("connected");
    watcher.set_desktop_size(320, 200).expect("connected");
    watcher.request_all(true).expect("connected");
    assert_eq!(told(&mut watcher, 1), (1, (640, 480)), "prohibited");
    // What came before that answer was dealt with: only the other's key arrives.
    full.key(0xff0d, true).expect("connected");
    let first = eventually("a key", SOON, || {
        match stage.link.poll_for_event().expect("connected")? {
            X::KeyPress(e) => Some(e.detail),
            X::ButtonPress(e) => panic!("button {}", e.detail),
            _ => None,
        }
    });
    assert_eq!(first, 36, "Return");
    let log = stage.serve.log();
    assert!(log.contains("ViewOnly") && log.contains("Full"), "{log}");
    stage.follow(&mut watcher);

    // The main password may be for watching, too.
    let stage = Stage::new((320, 200), &[("VNC_VIEW_ONLY", "true")]);
    let mut client = stage.serve.viewer();
    prepare(&mut client);
    client.set_desktop_size(300, 200).expect("connected");
    client.request_all(true).expect("connected");
    assert_eq!(told(&mut client, 1), (1, (320, 200)));
}
