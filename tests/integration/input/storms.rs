//! Random input of several clients: whatever they did, nothing stays pressed.

use deskinit::desktop::InputEvent;
use x11rb::protocol::xproto::ConnectionExt as _;

use super::{Desk, SOON};
use crate::support::eventually;

/// A small generator (SplitMix64), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % bound
    }

    fn event(&mut self) -> InputEvent {
        // Letters, digits, modifiers, function keys, the keypad, dead keys, and what no layout has. No lock keys: they stay
        // on by design.
        const SYMBOLS: &[u32] = &[
            0x61,
            0x41,
            0x7a,
            0x31,
            0x21,
            0x40,
            0x7b,
            0xe9,
            0xdf,
            0x20ac,
            0x6c6,
            0x0100_4f60,
            0x0101_f642,
            0xfe51,
            0xff0d,
            0xff09,
            0xfe20,
            0xffbe,
            0xffb7,
            0xff95,
            0xffe1,
            0xffe2,
            0xffe3,
            0xffe9,
            0xffea,
            0xffeb,
            0xfe03,
            0xff7e,
            0xffe7,
            0,
            0xffff_ffff,
            0x00ff_ffff,
        ];
        const PLACES: &[u32] = &[
            0x1e, 0x10, 0x2a, 0x36, 0x1d, 0x38, 0xb8, 0x9d, 0x47, 0x1c, 0x56, 0xdb, 0, 0xff, 0x1234,
        ];
        let mut pick = |from: &[u32]| from[self.below(from.len() as u64) as usize];
        let (keysym, place) = (pick(SYMBOLS), pick(PLACES));
        match self.below(8) {
            0 => InputEvent::Pointer {
                x: self.below(700) as u16,
                y: self.below(700) as u16,
                buttons: self.below(512) as u16,
            },
            1 => InputEvent::Pointer {
                x: 5,
                y: 5,
                buttons: 0,
            },
            2 if self.below(10) == 0 => InputEvent::ReleaseAll,
            n => InputEvent::Key {
                keysym,
                scancode: (n % 2 == 0).then_some(place),
                down: self.below(2) == 0,
            },
        }
    }
}

fn storm(layout: &str, seed: u64) {
    let desk = Desk::new(layout);
    let mut random = Random(seed);
    for _ in 0..1500 {
        let client = random.below(4);
        let event = random.event();
        desk.send(client, event);
    }
    for client in 0..4 {
        desk.send(client, InputEvent::Gone);
    }
    desk.all_up();
    let (link, root) = desk.server.connect();
    eventually("no button and no modifier is down", SOON, || {
        (u16::from(link.query_pointer(root).unwrap().reply().unwrap().mask) == 0).then_some(())
    });
}

#[test]
fn storm_us() {
    storm("us", 1);
}

#[test]
fn storm_de() {
    storm("de", 2);
}

#[test]
fn storm_two_layouts() {
    storm("ru,us", 3);
}
