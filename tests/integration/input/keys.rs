//! Which key events applications see.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deskinit::desktop::{DesktopEvent, InputEvent};
use deskinit::screen::Leds;
use nix::sys::signal::Signal;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateWindowAux, EventMask, WindowClass};

use super::{Desk, SOON, Seen, Xev, keysym, set_layout};
use crate::support::eventually;
use crate::support::xvfb::{XServer, sync};

const SHIFT: u32 = 0xffe1;
const CONTROL: u32 = 0xffe3;
const ALT: u32 = 0xffe9;
const ALTGR: u32 = 0xfe03;
const CAPS: u32 = 0xffe5;
const NUM: u32 = 0xff7f;
const TAB: u32 = 0xff09;
const F1: u32 = 0xffbe;
const KP_HOME: u32 = 0xff95;
const KP_7: u32 = 0xffb7;

fn presses(seen: &[Seen]) -> Vec<(&str, u32, u32)> {
    seen.iter()
        .filter(|s| s.press)
        .map(|s| (&*s.name, s.keycode, s.state))
        .collect()
}

#[test]
fn the_key_at_the_clients_place_is_pressed_if_it_gives_the_symbol() {
    let desk = Desk::new("us");
    let xev = Xev::start(&desk);
    desk.tap('a'.into(), 0x1e);
    desk.tap('<'.into(), 0x56);
    // A client with a German layout: y is where z is.
    desk.tap('y'.into(), 0x2c);
    let seen = xev.until_escape(&desk);
    assert_eq!(
        presses(&seen),
        [("a", 38, 0), ("less", 94, 0), ("y", 29, 0)]
    );
    desk.all_up();
}

#[test]
fn function_keys_keep_their_modifiers() {
    let desk = Desk::new("us");
    let xev = Xev::start(&desk);
    desk.key(SHIFT, 0x2a, true);
    desk.tap(TAB, 0x0f);
    desk.tap(TAB, None);
    desk.key(SHIFT, 0x2a, false);
    desk.key(CONTROL, 0x1d, true);
    desk.tap(F1, 0x3b);
    desk.key(CONTROL, 0x1d, false);
    desk.key(ALT, 0x38, true);
    desk.tap(F1, None);
    desk.key(ALT, 0x38, false);
    let seen = xev.until_escape(&desk);
    let keys: Vec<(u32, u32)> = presses(&seen)
        .into_iter()
        .map(|(_, code, state)| (code, state))
        .collect();
    assert_eq!(
        keys,
        [
            (50, 0),
            (23, 1),
            (23, 1),
            (37, 0),
            (67, 4),
            (64, 0),
            (67, 8)
        ]
    );
    desk.all_up();
}

#[test]
fn the_keypad_is_right_with_and_without_num_lock() {
    let desk = Desk::new("us");
    let xev = Xev::start(&desk);
    for lock in [false, true] {
        for (symbol, name) in [(KP_7, "KP_7"), (KP_HOME, "KP_Home")] {
            for scancode in [None, Some(0x47)] {
                desk.tap(symbol, scancode);
                assert_eq!(
                    xev.names(&desk),
                    [name],
                    "Num Lock {lock}, scan code {scancode:?}"
                );
            }
        }
        // Digits above the letters are other keys.
        desk.tap('7'.into(), 0x08);
        assert_eq!(xev.names(&desk), ["7"]);
        desk.tap(NUM, 0x45);
        xev.until_escape(&desk);
    }
    desk.all_up();
}

#[test]
fn letters_are_right_with_and_without_caps_lock() {
    for layout in ["us", "de", "fr", "ru"] {
        let desk = Desk::new(layout);
        let xev = Xev::start(&desk);
        for lock in [false, true] {
            for c in "aAzZ1!éÉñяЯ".chars() {
                desk.tap(keysym(c), None);
            }
            let names = xev.names(&desk);
            let wanted = [
                "a",
                "A",
                "z",
                "Z",
                "1",
                "exclam",
                "eacute",
                "Eacute",
                "ntilde",
                "Cyrillic_ya",
                "Cyrillic_YA",
            ];
            assert_eq!(names, wanted, "{layout}, Caps Lock {lock}");
            desk.tap(CAPS, 0x3a);
            xev.until_escape(&desk);
        }
        desk.all_up();
    }
}

#[test]
fn altgr_of_the_client_is_lifted_where_it_would_change_the_symbol() {
    let desk = Desk::new("de");
    let xev = Xev::start(&desk);
    desk.key(ALTGR, 0xb8, true);
    desk.tap('@'.into(), 0x10);
    desk.tap('q'.into(), None);
    desk.tap('{'.into(), 0x08);
    desk.key(ALTGR, 0xb8, false);
    desk.tap('q'.into(), 0x10);
    assert_eq!(xev.names(&desk), ["at", "q", "braceleft", "q"]);
    desk.all_up();
}

#[test]
fn dead_keys_are_dead_keys() {
    for (layout, code) in [("de", Some(21)), ("us", None)] {
        let desk = Desk::new(layout);
        let xev = Xev::start(&desk);
        desk.tap(0xfe51, None);
        let seen = xev.until_escape(&desk);
        assert_eq!(presses(&seen)[0].0, "dead_acute");
        assert!(code.is_none_or(|code| code == seen[0].keycode), "{seen:?}");
    }
}

#[test]
fn shortcuts_work_whichever_side_has_no_latin_letters() {
    // The server's layout in force is Russian, the client's Latin: the other layout has the letter.
    let desk = Desk::new("ru,us");
    let xev = Xev::start(&desk);
    desk.key(CONTROL, 0x1d, true);
    desk.tap('c'.into(), 0x2e);
    desk.tap('c'.into(), None);
    assert_eq!(xev.names(&desk), ["c", "c"]);
    // The server has no Latin layout at all.
    set_layout(&desk.server, "ru");
    desk.tap('c'.into(), 0x2e);
    assert_eq!(xev.names(&desk), ["c"]);
    // The client's layout is Russian, the server's Latin: the place counts.
    set_layout(&desk.server, "us");
    desk.tap(keysym('с'), 0x2e);
    assert_eq!(xev.names(&desk), ["c"]);
    // Caps Lock is on at the client alone.
    desk.tap('C'.into(), 0x2e);
    let seen = xev.until_escape(&desk);
    assert_eq!(presses(&seen), [("c", 54, 4)]);
    desk.key(CONTROL, 0x1d, false);
    // Without Control it is text.
    desk.tap(keysym('с'), 0x2e);
    assert_eq!(xev.names(&desk), ["Cyrillic_es"]);
    desk.all_up();
}

#[test]
fn the_layout_in_force_stays_in_force() {
    let desk = Desk::new("ru,us");
    let xev = Xev::start(&desk);
    for c in "aфbи".chars() {
        desk.tap(keysym(c), None);
    }
    let names = xev.names(&desk);
    assert_eq!(names, ["a", "Cyrillic_ef", "b", "Cyrillic_i"]);
    desk.tap(0, 0x1e);
    assert_eq!(xev.names(&desk), ["Cyrillic_ef"], "the key itself");
}

#[test]
fn a_held_key_repeats_once_for_each_repetition_of_the_client() {
    let desk = Desk::new("us");
    let xev = Xev::start(&desk);
    desk.key('@'.into(), 0x03, true);
    // Well beyond the delay of the server's own repetition.
    let quiet = Instant::now() + Duration::from_millis(1200);
    eventually("time passes", SOON, || {
        (Instant::now() > quiet).then_some(())
    });
    for _ in 0..3 {
        desk.key('@'.into(), 0x03, true);
    }
    desk.key(SHIFT, 0x2a, true);
    desk.key(SHIFT, 0x2a, true);
    desk.key(SHIFT, 0x2a, false);
    desk.key('@'.into(), 0x03, false);
    let seen = xev.until_escape(&desk);
    let count = |name: &str, press| {
        seen.iter()
            .filter(|s| s.name == name && s.press == press)
            .count()
    };
    assert_eq!(count("at", true), 4, "{seen:#?}");
    assert_eq!(
        seen.iter().filter(|s| s.keycode == 11 && !s.press).count(),
        4,
        "{seen:#?}"
    );
    desk.all_up();
}

#[test]
fn raw_scan_codes_leave_the_meaning_to_the_server() {
    let server = XServer::start();
    set_layout(&server, "de");
    let desk = Desk::on(server, |options| options.raw_keyboard = true);
    let xev = Xev::start(&desk);
    desk.tap('y'.into(), 0x15);
    desk.tap('y'.into(), None);
    assert_eq!(xev.names(&desk), ["z", "y"]);
}

#[test]
fn the_layout_is_left_as_it_was() {
    let server = XServer::start();
    let map = |server: &XServer| {
        server
            .command("xmodmap")
            .arg("-pke")
            .output()
            .unwrap()
            .stdout
    };
    let before = map(&server);
    let desk = Desk::on(server, |_| {});
    let xev = Xev::start(&desk);
    desk.tap(keysym('你'), None);
    assert_eq!(xev.names(&desk), ["U4F60"]);
    assert_ne!(map(&desk.server), before);
    desk.input.stop();
    assert_eq!(map(&desk.server), before);
}

#[test]
fn all_nine_buttons_and_the_pointer() {
    let desk = Desk::new("us");
    let (link, root) = desk.server.connect();
    let window = link.generate_id().unwrap();
    let aux =
        CreateWindowAux::new().event_mask(EventMask::BUTTON_PRESS | EventMask::BUTTON_RELEASE);
    link.create_window(
        0,
        window,
        root,
        0,
        0,
        400,
        400,
        0,
        WindowClass::INPUT_ONLY,
        0,
        &aux,
    )
    .unwrap();
    link.map_window(window).unwrap();
    sync(&link);
    for n in 0..9 {
        desk.pointer(10 + n, 20 + n, 1 << n);
        desk.pointer(10 + n, 20 + n, 0);
    }
    for n in 0..9u16 {
        for press in [true, false] {
            let (is_press, event) = match link.wait_for_event().unwrap() {
                Event::ButtonPress(e) => (true, e),
                Event::ButtonRelease(e) => (false, e),
                other => panic!("{other:?}"),
            };
            assert_eq!(
                (
                    is_press,
                    u16::from(event.detail),
                    event.root_x,
                    event.root_y
                ),
                (press, n + 1, 10 + n as i16, 20 + n as i16)
            );
        }
    }
    desk.pointer(30, 30, 5);
    desk.send(1, InputEvent::Gone);
    eventually("the buttons are up", SOON, || {
        let at = link.query_pointer(root).unwrap().reply().unwrap();
        (at.root_x == 30 && u16::from(at.mask) == 0).then_some(())
    });
}

#[test]
fn lamps_and_bell() {
    let desk = Desk::new("us");
    let leds = |wanted: Leds| {
        desk.told.wait("LEDs", |e| {
            matches!(e, DesktopEvent::Leds(l) if *l == wanted).then_some(())
        })
    };
    desk.tap(CAPS, 0x3a);
    leds(Leds {
        caps: true,
        ..Leds::default()
    });
    desk.tap(NUM, 0x45);
    leds(Leds {
        caps: true,
        num: true,
        ..Leds::default()
    });
    desk.tap(CAPS, None);
    desk.tap(NUM, None);
    leds(Leds::default());
    let (link, _) = desk.server.connect();
    link.bell(0).unwrap();
    sync(&link);
    desk.told.wait("the bell", |e| {
        matches!(e, DesktopEvent::Bell).then_some(())
    });
}

#[test]
fn it_is_back_when_the_server_is() {
    let mut desk = Desk::new("us");
    desk.input.set_clipboard("kept".into());
    desk.key('x'.into(), 0x2d, true);
    desk.server.kill();
    desk.server.restart();
    desk.told.wait("the LEDs of the new server", |e| {
        matches!(e, DesktopEvent::Leds(_)).then_some(())
    });
    let xev = Xev::start(&desk);
    desk.key('x'.into(), 0x2d, false);
    desk.tap('y'.into(), None);
    assert_eq!(xev.names(&desk), ["y"]);
    let mut xclip: Command = desk.server.command("xclip");
    assert_eq!(
        xclip
            .args(["-o", "-selection", "clipboard"])
            .output()
            .unwrap()
            .stdout,
        b"kept"
    );
}

#[test]
fn what_a_killed_process_left_pressed_goes_up() {
    use x11rb::protocol::xproto::{BUTTON_PRESS_EVENT, KEY_PRESS_EVENT};
    use x11rb::protocol::xtest::ConnectionExt as _;
    let server = XServer::start();
    let (link, root) = server.connect();
    for (kind, code) in [
        (KEY_PRESS_EVENT, 50),
        (KEY_PRESS_EVENT, 38),
        (BUTTON_PRESS_EVENT, 1),
        (BUTTON_PRESS_EVENT, 8),
    ] {
        link.xtest_fake_input(kind, code, 0, 0, 0, 0, 0).unwrap();
    }
    sync(&link);
    let desk = Desk::on(server, |_| {});
    desk.all_up();
    eventually("the buttons are up", SOON, || {
        (u16::from(link.query_pointer(root).unwrap().reply().unwrap().mask) == 0).then_some(())
    });
}

#[test]
fn a_server_that_hangs_delays_nobody() {
    let desk = Desk::new("us");
    let desk = Arc::new(Mutex::new(desk));
    let desk = desk.lock().unwrap();
    desk.server.signal(Signal::SIGSTOP);
    let start = Instant::now();
    for n in 0..100_000u32 {
        desk.key('a'.into(), 0x1e, n % 2 == 0);
    }
    desk.input.stop();
    let took = start.elapsed();
    desk.server.signal(Signal::SIGCONT);
    assert!(took < Duration::from_secs(2), "{took:?}");
}
