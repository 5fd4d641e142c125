//! Which strokes give which symbols, on the sample layouts.

use super::*;
use samples::{self, ALTGR, NUM};

fn exact(map: &Keymap, state: &State, keysym: u32) -> Option<Stroke> {
    map.stroke(state, None, true, |k| canonical(k) == canonical(keysym))
}

fn with(base: u8, locked: u8, down: &[u8]) -> State {
    let mut state = State {
        base,
        locked,
        ..State::default()
    };
    for code in down {
        state.down[usize::from(code / 8)] |= 1 << (code % 8);
    }
    state
}

const A: u8 = 38;
const Q: u8 = 24;
const LEFT_SHIFT: u8 = 50;
const LEVEL3: u8 = 92;

#[test]
fn a_plain_symbol_needs_nothing() {
    assert_eq!(
        exact(&samples::us(), &State::default(), 'a'.into()),
        Some(Stroke::plain(A))
    );
}

#[test]
fn shift_is_faked_or_lifted() {
    let us = samples::us();
    let faked = exact(&us, &State::default(), 'A'.into());
    assert_eq!(
        faked,
        Some(Stroke {
            press: vec![LEFT_SHIFT],
            ..Stroke::plain(A)
        })
    );
    let lifted = exact(&us, &with(SHIFT, 0, &[LEFT_SHIFT]), 'a'.into());
    assert_eq!(
        lifted,
        Some(Stroke {
            release: vec![LEFT_SHIFT],
            ..Stroke::plain(A)
        })
    );
}

#[test]
fn letters_are_right_under_caps_lock() {
    let us = samples::us();
    let caps = with(0, LOCK, &[]);
    assert_eq!(exact(&us, &caps, 'A'.into()), Some(Stroke::plain(A)));
    assert_eq!(
        exact(&us, &caps, 'a'.into()),
        Some(Stroke {
            press: vec![LEFT_SHIFT],
            ..Stroke::plain(A)
        })
    );
    assert_eq!(exact(&us, &caps, '2'.into()), Some(Stroke::plain(11)));
}

#[test]
fn a_letter_on_a_key_that_ignores_caps_lock_is_unsure() {
    let fr = samples::fr();
    assert_eq!(
        exact(&fr, &State::default(), 'é'.into()),
        Some(Stroke::plain(11))
    );
    assert_eq!(exact(&fr, &with(0, LOCK, &[]), 'é'.into()), None);
}

#[test]
fn altgr_is_faked() {
    let de = samples::de();
    let stroke = exact(&de, &State::default(), '@'.into()).unwrap();
    assert_eq!((stroke.keycode, stroke.press.len()), (Q, 1));
    assert!(matches!(stroke.press[0], LEVEL3 | 108));
    let held = exact(&de, &with(ALTGR, 0, &[108]), '@'.into());
    assert_eq!(held, Some(Stroke::plain(Q)));
    let plain = exact(&de, &with(ALTGR, 0, &[108]), 'q'.into());
    assert_eq!(
        plain,
        Some(Stroke {
            release: vec![108],
            ..Stroke::plain(Q)
        })
    );
}

#[test]
fn the_keypad_follows_num_lock() {
    let us = samples::us();
    let num = with(0, NUM, &[]);
    assert_eq!(exact(&us, &num, key::KP_7), Some(Stroke::plain(79)));
    assert_eq!(
        exact(&us, &State::default(), key::KP_Home),
        Some(Stroke::plain(79))
    );
    assert_eq!(
        exact(&us, &State::default(), key::KP_7),
        Some(Stroke {
            press: vec![LEFT_SHIFT],
            ..Stroke::plain(79)
        })
    );
    assert_eq!(
        exact(&us, &num, key::KP_Home),
        Some(Stroke {
            press: vec![LEFT_SHIFT],
            ..Stroke::plain(79)
        })
    );
}

#[test]
fn another_layout_is_put_in_force() {
    let map = samples::us_ru();
    assert_eq!(
        exact(&map, &State::default(), key::Cyrillic_ef),
        Some(Stroke {
            group: Some(1),
            ..Stroke::plain(A)
        })
    );
    let russian = State {
        group: 1,
        locked_group: 1,
        ..State::default()
    };
    assert_eq!(
        exact(&map, &russian, key::Cyrillic_ef),
        Some(Stroke::plain(A))
    );
    assert_eq!(
        exact(&map, &russian, 'a'.into()),
        Some(Stroke {
            group: Some(0),
            ..Stroke::plain(A)
        })
    );
    let held = State {
        group: 1,
        locked_group: 0,
        ..State::default()
    };
    assert_eq!(exact(&map, &held, 'a'.into()), None);
}

#[test]
fn control_and_alt_are_never_faked() {
    // F1's fifth level is Ctrl+Alt: switching the virtual terminal.
    assert_eq!(
        exact(&samples::us(), &State::default(), key::XF86_Switch_VT_1),
        None
    );
}

#[test]
fn locked_modifiers_cannot_be_lifted() {
    assert_eq!(
        exact(&samples::us(), &with(0, SHIFT, &[]), 'a'.into()),
        None
    );
}

#[test]
fn the_preferred_key_wins_a_tie() {
    let us = samples::us();
    // `<` is on the comma key (Shift) and on the key between Shift and Z.
    let accept = |k: u32| k == u32::from('<');
    let free = us.stroke(&State::default(), None, true, accept).unwrap();
    let asked = us
        .stroke(&State::default(), Some(59), true, accept)
        .unwrap();
    assert_eq!(
        (free.keycode, asked.keycode),
        (94, 94),
        "no fake is better than the preferred key"
    );
    let two = us.plain_key(key::Alt_L, &State::default(), Some(64));
    assert_eq!(two, Some(64));
}
