//! X servers that die and hang, and the end.

use std::time::Duration;

use nix::sys::signal::Signal;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use super::resize::viewer;
use super::{SOON, Stage};
use crate::support::client::{Client, Login};
use crate::support::eventually;
use crate::support::pictures::picture;
use crate::support::serve::PASSWORD;
use crate::support::websocket::WebSocket;

#[test]
fn viewers_survive_the_x_server() {
    let mut stage = Stage::new((640, 480), &[]);
    let mut client = viewer(&stage);
    stage.put(&picture(300, 200, 1, 9), 20, 20);
    stage.follow(&mut client);
    for seed in 2..4 {
        stage.server.kill();
        let down = eventually("not ready", SOON, || {
            let answer = stage.serve.get("/readyz");
            (answer.status == 503).then_some(answer)
        });
        assert!(down.body.contains("xserver"), "{}", down.body);
        assert_eq!(stage.serve.api()["viewers"], 1);
        stage.server.restart();
        (stage.link, stage.root) = stage.server.connect();
        stage.put(&picture(300, 200, seed, 9), 40, 40);
        stage.follow(&mut client);
        assert_eq!(stage.serve.get("/readyz").status, 200);
    }
    client.key(0x61, true).expect("connected");
    client.key(0x61, false).expect("connected");
    stage.put(&picture(100, 100, 9, 9), 0, 0);
    stage.follow(&mut client);
}

#[test]
fn a_hung_x_server_is_noticed_and_holds_nobody_up() {
    let stage = Stage::new((640, 480), &[]);
    let mut client = viewer(&stage);
    assert_eq!(stage.serve.get("/readyz").status, 200);
    stage.server.signal(Signal::SIGSTOP);
    // The probe waits a second for the answer.
    let answer = stage.serve.get("/readyz");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("does not answer"), "{}", answer.body);
    for path in ["/", "/livez", "/metrics", "/api/status"] {
        assert_eq!(stage.serve.get(path).status, 200, "{path}");
    }
    // Another one gets the last picture there is, soon.
    let mut late = stage.serve.viewer();
    late.set_encodings(&[0]).expect("connected");
    late.request_all(false).expect("connected");
    late.update(SOON).expect("a picture");
    client.pointer(5, 5, 1).expect("connected");
    client.pointer(5, 5, 0).expect("connected");
    stage.server.signal(Signal::SIGCONT);
    eventually("ready again", SOON, || {
        (stage.serve.get("/readyz").status == 200).then_some(())
    });
    stage.put(&picture(300, 200, 2, 9), 20, 20);
    stage.follow(&mut client);
    stage.follow(&mut late);
}

/// Asking it would wake it, and us: see `desktop::Rest`.
#[test]
fn a_server_at_rest_is_left_alone() {
    /// Of several looks at it.
    const WHILE: Duration = Duration::from_secs(6);
    let stage = Stage::new((640, 480), &[]);
    let _client = viewer(&stage);
    let pid = Pid::from_raw(i32::try_from(stage.server.pid()).expect("an id"));
    let clock = clock_getcpuclockid(pid).expect("it is there");
    eventually("it does nothing for a while", 10 * WHILE, || {
        let before = clock.now().expect("it is there");
        std::thread::sleep(WHILE);
        (clock.now().expect("it is there") == before).then_some(())
    });
    stage.server.signal(Signal::SIGSTOP);
    eventually("it is missed", SOON, || {
        let status = stage.serve.api();
        status.to_string().contains("does not answer").then_some(())
    });
    stage.server.signal(Signal::SIGCONT);
}

#[test]
fn the_end_is_told() {
    let mut stage = Stage::new((320, 200), &[]);
    let mut tcp = viewer(&stage);
    let socket = WebSocket::connect(stage.serve.web(), "/websockify", &[]).expect("upgraded");
    let closed = socket.closed();
    let mut browser = Client::login(socket, &Login::password(PASSWORD)).expect("logs in");
    stage.serve.viewers(2);
    let unauthenticated = WebSocket::connect(stage.serve.web(), "/", &[]).expect("upgraded");
    stage.serve.signal(Signal::SIGTERM);
    let end = |client: &mut Client| {
        eventually("the end", SOON, || {
            client.event(Duration::from_millis(50)).err().map(|_| ())
        });
    };
    end(&mut browser);
    end(&mut tcp);
    let (code, reason) = closed
        .lock()
        .expect("no panic")
        .clone()
        .expect("a close frame");
    assert_eq!(code, 1001);
    assert!(reason.contains("stopping"), "{reason}");
    drop(unauthenticated);
    assert_eq!(stage.serve.code(), Some(0));
}
