//! The pointer: its shape, and where others put it.

use std::sync::Arc;

use deskinit::desktop::DesktopEvent;
use deskinit::pixel::Point;
use deskinit::screen::CursorImage;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux};

use super::Viewer;
use super::in_place::in_memory;
use crate::support::draw::Painter;
use crate::support::xvfb::{XServer, sync};

#[test]
fn the_cursor_is_told_with_straight_alpha() {
    cursor_is_told(&XServer::start());
    // Hidden, it is told none the less.
    cursor_is_told(&XServer::with(in_memory()));
}

fn cursor_is_told(server: &XServer) {
    let viewer = Viewer::of(server);
    viewer.desktop.request_frame();
    let (link, root) = server.connect();
    let (source, gc, cursor) = (
        link.generate_id().expect("an id"),
        link.generate_id().expect("an id"),
        link.generate_id().expect("an id"),
    );
    link.create_pixmap(1, source, root, 8, 8).expect("sent");
    link.create_gc(gc, source, &CreateGCAux::new().foreground(1))
        .expect("sent");
    let all = x11rb::protocol::xproto::Rectangle {
        x: 0,
        y: 0,
        width: 8,
        height: 8,
    };
    link.poly_fill_rectangle(source, gc, &[all]).expect("sent");
    link.create_cursor(cursor, source, source, 0xffff, 0x8080, 0, 0, 0, 0, 3, 5)
        .expect("sent");
    link.change_window_attributes(root, &ChangeWindowAttributesAux::new().cursor(cursor))
        .expect("sent");
    sync(&link);
    let image = viewer.told.wait("the shape", |event| match event {
        DesktopEvent::Cursor(image) if (image.width, image.height) == (8, 8) => {
            Some(Arc::<CursorImage>::clone(image))
        }
        _ => None,
    });
    assert_eq!(image.hot, Point { x: 3, y: 5 });
    assert!(image.rgba.chunks(4).all(|p| p == [255, 128, 0, 255]));
    // Somebody else moves the pointer.
    link.warp_pointer(x11rb::NONE, root, 0, 0, 0, 0, 123, 45)
        .expect("sent");
    Painter::on(&link, root).fill(7, 0, 0, 9, 9);
    sync(&link);
    viewer.told.wait("the position", |event| match event {
        DesktopEvent::CursorMoved(at) if *at == (Point { x: 123, y: 45 }) => Some(()),
        _ => None,
    });
}
