//! Keys and buttons reach programs, and none stays down when its client is gone.

use std::net::TcpStream;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use x11rb::connection::Connection as _;
use x11rb::protocol::Event as X;
use x11rb::protocol::xproto::{
    ConnectionExt as _, CreateWindowAux, EventMask, InputFocus, KeyButMask, MapState, WindowClass,
};

use super::resize::prepare;
use super::{SOON, Stage};
use crate::support::client::{Client, Login};
use crate::support::serve::PASSWORD;
use crate::support::{eventually, xvfb};

/// A window with the keyboard, under the pointer.
pub(super) fn listen(stage: &Stage) {
    let (link, id) = (&stage.link, stage.link.generate_id().expect("an id"));
    let events = EventMask::KEY_PRESS
        | EventMask::KEY_RELEASE
        | EventMask::BUTTON_PRESS
        | EventMask::BUTTON_RELEASE;
    let look = CreateWindowAux::new()
        .override_redirect(1)
        .event_mask(events);
    link.create_window(
        0,
        id,
        stage.root,
        0,
        0,
        400,
        300,
        0,
        WindowClass::INPUT_OUTPUT,
        0,
        &look,
    )
    .expect("sent");
    link.map_window(id).expect("sent");
    eventually("the window is viewable", SOON, || {
        let about = link.get_window_attributes(id).ok()?.reply().ok()?;
        (about.map_state == MapState::VIEWABLE).then_some(())
    });
    link.set_input_focus(InputFocus::PARENT, id, x11rb::CURRENT_TIME)
        .expect("sent");
    xvfb::sync(link);
}

/// What the window heard next: `+38` for a key that went down, `-b1` for a button that went up.
fn heard(stage: &Stage) -> String {
    eventually("input", SOON, || {
        match stage.link.poll_for_event().expect("connected")? {
            X::KeyPress(e) => Some(format!("+{}", e.detail)),
            X::KeyRelease(e) => Some(format!("-{}", e.detail)),
            X::ButtonPress(e) => Some(format!("+b{}", e.detail)),
            X::ButtonRelease(e) => Some(format!("-b{}", e.detail)),
            _ => None,
        }
    })
}

/// The keycode that has this keysym alone.
fn keycode(stage: &Stage, keysym: u32) -> u8 {
    let setup = stage.link.setup();
    let (low, count) = (setup.min_keycode, setup.max_keycode - setup.min_keycode + 1);
    let map = stage.link.get_keyboard_mapping(low, count).expect("sent");
    let map = map.reply().expect("a map");
    let each = usize::from(map.keysyms_per_keycode);
    let index = map.keysyms.chunks(each).position(|k| k[0] == keysym);
    low + u8::try_from(index.expect("on the keyboard")).expect("small")
}

#[test]
fn keys_and_all_buttons_reach_a_window() {
    let stage = Stage::new((640, 480), &[]);
    listen(&stage);
    let mut client = stage.serve.viewer();
    prepare(&mut client);
    for keysym in [0x61, 0xff0d, 0xffe1] {
        let code = keycode(&stage, keysym);
        client.key(keysym, true).expect("connected");
        assert_eq!(heard(&stage), format!("+{code}"));
        client.key(keysym, false).expect("connected");
        assert_eq!(heard(&stage), format!("-{code}"));
    }
    // XT set 1: the key in the place of A.
    client.qemu_key(0x61, 0x1e, true).expect("connected");
    client.qemu_key(0x61, 0x1e, false).expect("connected");
    let code = keycode(&stage, 0x61);
    assert_eq!(
        [heard(&stage), heard(&stage)],
        [format!("+{code}"), format!("-{code}")]
    );
    for button in 1..=9 {
        client
            .pointer_extended(30, 40, 1 << (button - 1))
            .expect("connected");
        assert_eq!(heard(&stage), format!("+b{button}"));
        client.pointer_extended(31, 41, 0).expect("connected");
        assert_eq!(heard(&stage), format!("-b{button}"));
    }
    // The wheel as three notches.
    for _ in 0..3 {
        client.pointer(50, 60, 8).expect("connected");
        client.pointer(50, 60, 0).expect("connected");
    }
    for expected in ["+b4", "-b4"].repeat(3) {
        assert_eq!(heard(&stage), expected);
    }
    let at = stage
        .link
        .query_pointer(stage.root)
        .expect("sent")
        .reply()
        .expect("it");
    assert_eq!((at.root_x, at.root_y), (50, 60));
}

#[test]
fn the_operator_chooses_between_keys_and_characters() {
    // The key in the place of A, on a viewer's layout that has q there.
    for (raw, expected) in [("0", 0x71), ("1", 0x61)] {
        let stage = Stage::new((640, 480), &[("RAW_KEYBOARD", raw)]);
        listen(&stage);
        let mut client = stage.serve.viewer();
        prepare(&mut client);
        client.qemu_key(0x71, 0x1e, true).expect("connected");
        let code = keycode(&stage, expected);
        assert_eq!(heard(&stage), format!("+{code}"), "RAW_KEYBOARD={raw}");
    }
}

/// True when no key and no button is down.
fn all_up(stage: &Stage) -> bool {
    let keys = stage
        .link
        .query_keymap()
        .expect("sent")
        .reply()
        .expect("keys");
    let pointer = stage
        .link
        .query_pointer(stage.root)
        .expect("sent")
        .reply()
        .expect("it");
    let buttons = [
        KeyButMask::BUTTON1,
        KeyButMask::BUTTON2,
        KeyButMask::BUTTON3,
        KeyButMask::BUTTON4,
        KeyButMask::BUTTON5,
    ];
    keys.keys == [0; 32] && !buttons.iter().any(|b| pointer.mask.contains(*b))
}

#[test]
fn nothing_stays_down_when_a_client_vanishes() {
    let stage = Stage::new((640, 480), &[]);
    listen(&stage);
    for round in 0..4 {
        let stream = TcpStream::connect(stage.serve.vnc()).expect("listens");
        let reset = libc_linger();
        setsockopt(&stream, sockopt::Linger, &reset).expect("a socket");
        let mut client = Client::login(stream, &Login::password(PASSWORD)).expect("logs in");
        if round % 2 == 0 {
            prepare(&mut client);
        }
        for keysym in [0xffe1, 0xffe3, 0x61, 0xff51] {
            client.key(keysym, true).expect("connected");
        }
        client.pointer(20, 20, 0b101).expect("connected");
        // All of it has arrived.
        eventually("keys and buttons are down", SOON, || {
            let keys = stage
                .link
                .query_keymap()
                .expect("sent")
                .reply()
                .expect("keys");
            let down: u32 = keys.keys.iter().map(|k| k.count_ones()).sum();
            let pointer = stage
                .link
                .query_pointer(stage.root)
                .expect("sent")
                .reply()
                .expect("it");
            let both = KeyButMask::BUTTON1 | KeyButMask::BUTTON3;
            (down == 4 && u16::from(pointer.mask) & u16::from(both) == u16::from(both))
                .then_some(())
        });
        drop(client);
        eventually(
            "all keys and buttons are up",
            Duration::from_secs(1),
            || all_up(&stage).then_some(()),
        );
    }
}

/// A close that resets the connection, as a machine that crashed does when it is back.
fn libc_linger() -> nix::libc::linger {
    nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    }
}
