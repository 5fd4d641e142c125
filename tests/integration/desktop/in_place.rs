//! Pixels are read where the X server draws them.

use x11rb::protocol::xproto::ConnectionExt as _;

use super::{Viewer, random_drawing_converges};
use crate::support::draw::Painter;
use crate::support::xvfb::{Config, XServer, sync};

/// As `deskinit run` starts it.
pub(super) fn in_memory() -> Config {
    Config {
        in_memory: true,
        ..Config::default()
    }
}

#[test]
fn drawing_is_read_where_it_is_drawn() {
    let server = XServer::with(in_memory());
    let viewer = random_drawing_converges(&server, 4);
    assert!(viewer.desktop.status().in_place);
}

#[test]
fn the_pointer_is_in_no_picture() {
    let server = XServer::with(in_memory());
    let mut viewer = Viewer::of(&server);
    let (link, root) = server.connect();
    let painter = Painter::on(&link, root);
    for (n, x) in (0..40).zip((40..).step_by(7)) {
        link.warp_pointer(x11rb::NONE, root, 0, 0, 0, 0, x, 50)
            .expect("sent");
        painter.fill(0x10_2030 + n, 40, 40, 400, 40);
        sync(&link);
        viewer.converge(&server);
    }
}

#[test]
fn a_server_is_never_left_stopped() {
    let server = XServer::with(in_memory());
    let viewer = Viewer::of(&server);
    viewer.desktop.request_frame();
    let (link, root) = server.connect();
    let painter = Painter::on(&link, root);
    for round in 0..200 {
        viewer.desktop.request_frame();
        painter.fill(round, 0, 0, 1280, 1024);
        sync(&link);
    }
    // Whoever reads the screen may go at any time.
    drop(viewer);
    sync(&link);
}
