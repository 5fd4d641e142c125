//! The way of a browser: the same protocol inside a websocket.

use std::io;

use super::Stage;
use super::resize::prepare;
use crate::support::client::{Client, Login};
use crate::support::pictures::picture;
use crate::support::serve::PASSWORD;
use crate::support::websocket::WebSocket;

#[test]
fn a_browser_sees_the_desktop() {
    let stage = Stage::new((640, 480), &[]);
    for path in ["/websockify", "/"] {
        let socket = WebSocket::connect(stage.serve.web(), path, &[]).expect("upgraded");
        let subprotocol = socket.response.headers().get("sec-websocket-protocol");
        assert!(subprotocol.is_none(), "{path}: nobody asked for one");
        let mut client = Client::login(socket, &Login::password(PASSWORD)).expect("logs in");
        prepare(&mut client);
        stage.put(&picture(300, 200, 1, 9), 20, 20);
        stage.follow(&mut client);
    }
    let asked = [("sec-websocket-protocol", "binary")];
    let socket = WebSocket::connect(stage.serve.web(), "/websockify", &asked).expect("upgraded");
    let subprotocol = socket.response.headers().get("sec-websocket-protocol");
    assert_eq!(subprotocol.map(|v| v.as_bytes()), Some(&b"binary"[..]));

    // A wrong password is answered inside.
    let socket = WebSocket::connect(stage.serve.web(), "/websockify", &[]).expect("upgraded");
    let refused = Client::login(socket, &Login::password("wrong")).err();
    assert_eq!(
        refused.expect("not let in").kind(),
        io::ErrorKind::PermissionDenied
    );
}

#[test]
fn foreign_pages_are_refused() {
    let foreign = [("origin", "https://evil.example")];
    let strict = Stage::new((320, 200), &[("ALLOWED_ORIGINS", "https://desk.example")]);
    let web = strict.serve.web();
    assert_eq!(
        WebSocket::connect(web, "/websockify", &foreign).err(),
        Some(403)
    );
    assert_eq!(WebSocket::connect(web, "/", &foreign).err(), Some(403));
    for fine in ["https://desk.example".to_owned(), format!("http://{web}")] {
        WebSocket::connect(web, "/", &[("origin", &fine)]).expect("upgraded");
    }
    drop(strict);
    let any = Stage::new((320, 200), &[("ALLOWED_ORIGINS", "*")]);
    let socket = WebSocket::connect(any.serve.web(), "/websockify", &foreign).expect("upgraded");
    Client::login(socket, &Login::password(PASSWORD)).expect("logs in");
}
