//! `deskinit serve` by itself: without a display, with ports turned off, with settings that have to arrive.

use super::{SOON, Stage};
use crate::support::client::{Client, Login};
use crate::support::decode::number;
use crate::support::eventually;
use crate::support::pictures::picture;
use crate::support::serve::{PASSWORD, Serve};
use crate::support::xvfb::{Config, XServer};

#[test]
fn it_waits_for_a_display_and_says_so() {
    let mut server = XServer::with(Config {
        size: (640, 480),
        ..Config::default()
    });
    server.kill();
    let serve = Serve::start(&server, &[]);
    assert_eq!(serve.api()["display"]["connected"], false);
    let problem = eventually("a reason", SOON, || {
        let status = serve.api();
        let problem = status["display"]["problem"].as_str()?.to_owned();
        problem.contains(&server.display()).then_some(problem)
    });
    let answer = serve.get("/readyz");
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.contains("xserver"),
        "{problem}: {}",
        answer.body
    );
    assert_eq!(serve.get("/livez").status, 200);
    let page = serve.get("/");
    assert!(
        page.status == 200 && page.body.contains("<html"),
        "{page:?}"
    );
    let mut client = serve.viewer();
    client
        .set_encodings(&[number::ZRLE, crate::support::pseudo::number::DESKTOP_SIZE])
        .expect("connected");
    client.request_all(false).expect("connected");
    client.update(SOON).expect("a black picture");
    server.restart();
    let (link, root) = server.connect();
    super::put(&link, root, &picture(300, 200, 1, 9), 10, 10);
    let screen = crate::support::draw::screenshot(&link, root);
    client
        .until(SOON, |c| super::shows(c, &screen))
        .expect("the display is there");
    assert_eq!(serve.get("/readyz").status, 200);
}

#[test]
fn ports_can_be_turned_off() {
    let server = XServer::start();
    let serve = Serve::start(&server, &[("VNC_PORT", "off")]).connected();
    assert_eq!(serve.api()["listening"]["vnc"], serde_json::json!([]));
    assert_eq!(serve.get("/readyz").status, 200);
    drop(serve);
    let serve = Serve::start(&server, &[("NO_VNC_PORT", "off")]).connected();
    assert_eq!(serve.api()["listening"]["web"], serde_json::json!([]));
    serve.viewer();
}

#[test]
fn a_name_and_a_port_that_is_taken() {
    let stage = Stage::new((320, 200), &[("DESKTOP_NAME", "the desk of Zoë")]);
    let client = stage.serve.viewer();
    assert_eq!(client.name(), "the desk of Zoë");
    let port = stage.serve.vnc().port().to_string();
    let output = std::process::Command::new(crate::support::desk::DESKINIT)
        .args(["serve", "--display", &stage.server.display()])
        .args(["--bind-address", "127.0.0.1", "--vnc-port", &port])
        .args(["--no-vnc-port", "off"])
        .env("VNC_PASSWORD", PASSWORD)
        .output()
        .expect("deskinit starts");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(69), "{log}");
    assert!(
        log.contains("VNC_PORT: cannot listen") && log.contains(&port),
        "{log}"
    );
}

#[test]
fn settings_reach_where_they_work() {
    let stage = Stage::new(
        (640, 480),
        &[("MAX_FPS", "5"), ("BIND_ADDRESS", "127.0.0.1,::1")],
    );
    let status = stage.serve.api();
    assert_eq!(status["listening"]["vnc"].as_array().map(Vec::len), Some(2));
    let both = status["listening"]["vnc"][1]
        .as_str()
        .expect("an address")
        .to_owned();
    Client::connect(both, &Login::password(PASSWORD)).expect("listens there, too");
    // Five pictures a second at most, whatever is drawn.
    let mut client = super::resize::viewer(&stage);
    let all = deskinit::pixel::Rect::sized(640, 480);
    client.continuous_updates(true, all).expect("connected");
    stage.follow(&mut client);
    let before = stage.serve.api()["display"]["grabs"]
        .as_u64()
        .expect("a figure");
    let begun = std::time::Instant::now();
    for seed in 0..40 {
        stage.put(&picture(50, 50, seed, 5), 10, 10);
        super::idle(&mut client, std::time::Duration::from_millis(25));
    }
    let allowed = begun.elapsed().as_millis() / 200 + 2;
    let grabs = stage.serve.api()["display"]["grabs"]
        .as_u64()
        .expect("a figure")
        - before;
    assert!(
        u128::from(grabs) <= allowed,
        "{grabs} grabs, {allowed} allowed"
    );
    assert!(grabs >= 2);
}
