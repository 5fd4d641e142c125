//! Who changes the size of the screen, who is told, and why.

use super::{EXTRAS, SOON, Stage};
use crate::support::client::Client;
use crate::support::decode::number;
use crate::support::pseudo::Pseudo;
use crate::support::xvfb::XServer;
use x11rb::protocol::xproto::ConnectionExt as _;

/// Another program of the desktop changes the size.
pub(super) fn xrandr_size(server: &XServer, width: u16, height: u16) {
    let xrandr = |args: &[&str]| {
        let done = server.command("xrandr").args(args).output();
        done.expect("xrandr is installed").status.success()
    };
    let name = format!("test-{width}x{height}");
    let (w, h) = (width.to_string(), height.to_string());
    // There already, if this size was wanted before.
    let _ = xrandr(&["--newmode", &name, "60", &w, &w, &w, &w, &h, &h, &h, &h]);
    let _ = xrandr(&["--addmode", "screen", &name]);
    assert!(xrandr(&["--output", "screen", "--mode", &name]), "{name}");
}

/// Waits for an update that tells sizes with this reason, and asks again after others; status and size of each.
fn all_told(client: &mut Client, wanted: u16) -> Vec<(u16, (u16, u16))> {
    loop {
        let update = client
            .update(SOON)
            .unwrap_or_else(|e| panic!("a size with reason {wanted}: {e}"));
        let sizes = update.pseudo.iter().filter_map(|p| match p {
            Pseudo::ExtendedDesktopSize {
                reason,
                status,
                width,
                height,
                ..
            } if *reason == wanted => Some((*status, (*width, *height))),
            _ => None,
        });
        let sizes: Vec<_> = sizes.collect();
        if !sizes.is_empty() {
            return sizes;
        }
        client.request_all(true).expect("connected");
    }
}

/// The first of them.
pub(super) fn told(client: &mut Client, wanted: u16) -> (u16, (u16, u16)) {
    all_told(client, wanted)[0]
}

pub(super) fn viewer(stage: &Stage) -> Client {
    let mut client = stage.serve.viewer();
    prepare(&mut client);
    client
}

/// Lists everything, and gets its first picture.
pub(super) fn prepare(client: &mut Client) {
    client
        .set_encodings(&[&[number::TIGHT][..], &EXTRAS].concat())
        .expect("connected");
    client.request_all(false).expect("connected");
    // Sizes come in an update of their own, before the pixels.
    assert_eq!(told(client, 0).0, 0);
    client.request_all(true).expect("connected");
    client.update(SOON).expect("a picture");
}

#[test]
fn clients_resize_and_everybody_is_told_why() {
    let stage = Stage::new(
        (640, 480),
        &[
            ("MAX_SIZE", "640x480"),
            ("DISPLAY_WIDTH", "640"),
            ("DISPLAY_HEIGHT", "480"),
        ],
    );
    let (mut one, mut other) = (viewer(&stage), viewer(&stage));
    for client in [&mut one, &mut other] {
        client.request_all(true).expect("connected");
    }
    one.set_desktop_size(500, 300).expect("connected");
    assert_eq!(told(&mut one, 1), (0, (500, 300)));
    let root = stage
        .link
        .get_geometry(stage.root)
        .expect("sent")
        .reply()
        .expect("a size");
    assert_eq!((root.width, root.height), (500, 300));
    assert_eq!(told(&mut other, 2), (0, (500, 300)));
    stage.follow(&mut one);
    stage.follow(&mut other);

    // Two at once: each is answered, and the screen has the last one.
    one.set_desktop_size(320, 200).expect("connected");
    one.set_desktop_size(400, 240).expect("connected");
    one.request_all(true).expect("connected");
    let mut answers = Vec::new();
    while answers.len() < 2 {
        one.request_all(true).expect("connected");
        answers.extend(all_told(&mut one, 1));
    }
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert_eq!(answers[1], (0, (400, 240)));
    stage.follow(&mut one);

    // Impossible ones are refused, and the next one is not in their way.
    for (width, height) in [(641, 480), (0, 10), (60_000, 60_000)] {
        one.set_desktop_size(width, height).expect("connected");
        one.request_all(true).expect("connected");
        let (status, size) = told(&mut one, 1);
        assert!(status != 0, "{width}x{height}");
        assert_eq!(size, (400, 240));
    }
    one.set_desktop_size(640, 480).expect("connected");
    one.request_all(true).expect("connected");
    assert_eq!(told(&mut one, 1), (0, (640, 480)));
    stage.follow(&mut one);
    stage.follow(&mut other);

    // Nobody's wish but the desktop's.
    other.request_all(true).expect("connected");
    xrandr_size(&stage.server, 555, 333);
    assert_eq!(told(&mut other, 0), (0, (555, 333)));
    stage.follow(&mut other);
    stage.follow(&mut one);
}

#[test]
fn the_operator_may_forbid_it() {
    let stage = Stage::new((640, 480), &[("ALLOW_RESIZE", "0")]);
    let mut client = viewer(&stage);
    client.set_desktop_size(500, 300).expect("connected");
    client.request_all(true).expect("connected");
    assert_eq!(told(&mut client, 1), (1, (640, 480)));
}
