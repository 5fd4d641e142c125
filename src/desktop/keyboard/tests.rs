//! The keyboard in front of a model of the X server, that knows held keys, locks and layouts as XKB does.

use std::convert::Infallible;
use std::time::Duration;

use proptest::prelude::*;
use xkeysym::key;

use super::*;
use crate::desktop::keymap::{CONTROL, LOCK, samples};

struct Model {
    map: Keymap,
    down: [u8; 32],
    locked: u8,
    group: u8,
    /// What an application with the focus reads.
    read: Vec<u32>,
}

impl Model {
    fn new(map: Keymap) -> Model {
        Model {
            map,
            down: [0; 32],
            locked: 0,
            group: 0,
            read: Vec::new(),
        }
    }

    fn state(&self) -> State {
        let mut state = State {
            locked: self.locked,
            group: self.group,
            locked_group: self.group,
            down: self.down,
            ..State::default()
        };
        state.base = self.held().into_iter().fold(0, |mods, code| {
            mods | samples::held_modifiers(&self.map, code)
        });
        state
    }

    fn held(&self) -> Vec<u8> {
        (0..=255)
            .filter(|code| self.down[usize::from(code / 8)] >> (code % 8) & 1 == 1)
            .collect()
    }

    /// The last symbol read that is no modifier.
    fn last(&self) -> Option<u32> {
        self.read
            .iter()
            .rev()
            .copied()
            .find(|&k| !keysym::is_modifier(k))
            .map(canonical)
    }
}

impl KeyServer for Model {
    type Error = Infallible;

    fn observe(&mut self) -> Result<State, Infallible> {
        Ok(self.state())
    }

    fn keymap(&self) -> &Keymap {
        &self.map
    }

    fn map_changed(&self) -> Option<Instant> {
        None
    }

    fn key(&mut self, keycode: u8, down: bool) -> Result<(), Infallible> {
        let bit = 1 << (keycode % 8);
        let byte = &mut self.down[usize::from(keycode / 8)];
        // As XTEST does: a press of what is down and a release of what is up are nothing.
        if (*byte & bit != 0) == down {
            return Ok(());
        }
        if down {
            *byte |= bit;
            let state = self.state();
            let mods = state.mods() & !samples::held_modifiers(&self.map, keycode);
            match self.map.symbol(keycode, mods, self.group) {
                Some(key::Caps_Lock) => self.locked ^= LOCK,
                Some(key::Num_Lock) => self.locked ^= samples::NUM,
                Some(symbol) => self.read.push(symbol),
                None => self.read.push(0),
            }
        } else {
            *byte &= !bit;
        }
        Ok(())
    }

    fn lock_group(&mut self, group: u8) -> Result<(), Infallible> {
        self.group = group;
        Ok(())
    }

    fn lend(&mut self, keycode: u8, keysym: u32, lent: &[u8]) -> Result<(), Infallible> {
        assert!(lent.contains(&keycode) && !self.state().is_down(keycode));
        samples::change(&mut self.map, keycode, keysym);
        Ok(())
    }
}

fn name(keysym: u32, scancode: Option<u32>) -> Name {
    Name { keysym, scancode }
}

fn maps() -> [Keymap; 5] {
    [
        samples::us(),
        samples::de(),
        samples::fr(),
        samples::us_ru(),
        samples::ru(),
    ]
}

/// Symbols that must arrive exactly: in the layouts, on several levels, and nowhere.
const EXACT: &[u32] = &[
    0x61,
    0x41,
    0x71,
    0x7a,
    0x31,
    0x21,
    0x40,
    0x7b,
    0x7c,
    0x7e,
    0x20,
    0xe9,
    0xc9,
    0xdf,
    0xfc,
    0xf1,
    0x20ac,
    0x6c6,
    0x6e6,
    0x0100_0444,
    0x0100_2603,
    0x0100_4f60,
    0x0101_f642,
    0xfe51,
    key::KP_7,
    key::KP_Home,
    key::KP_Decimal,
    key::KP_Delete,
];

/// (keysym, scan code) of modifiers that change levels.
const LEVELS: &[(u32, u32)] = &[
    (key::Shift_L, 0x2a),
    (key::Shift_R, 0x36),
    (key::ISO_Level3_Shift, 0xb8),
];

proptest! {
    /// Whatever is held or locked, in whatever layout, by whomever: what a client types is what is read.
    #[test]
    fn every_symbol_arrives(
        layout in 0usize..5, group in 0u8..2, caps: bool, num: bool,
        held in prop::sample::subsequence(LEVELS, 0..=3), mine: bool,
        typed in prop::collection::vec((prop::sample::select(EXACT), prop::option::of((1u32..0x60).prop_filter("a modifier", |&s| s != 0x2a && s != 0x36))), 1..12),
    ) {
        let mut model = Model::new(maps()[layout].clone());
        let mut keyboard = Keyboard::new(false);
        let mut now = Instant::now();
        model.group = if layout == 3 { group } else { 0 };
        model.locked = if caps { LOCK } else { 0 } | if num { samples::NUM } else { 0 };
        let (locked, group) = (model.locked, model.group);
        for &(keysym, scancode) in &held {
            keyboard.down(&mut model, if mine { 1 } else { 2 }, name(keysym, Some(scancode)), now).unwrap();
        }
        let modifiers = model.held();
        prop_assert_eq!(modifiers.len(), held.len());
        for (symbol, scancode) in typed {
            model.read.clear();
            let key = name(symbol, scancode);
            while let Outcome::Wait(until) = keyboard.down(&mut model, 1, key, now).unwrap() {
                prop_assert!(until > now);
                now = until;
            }
            prop_assert_eq!(model.last(), Some(canonical(symbol)), "{:x?} reads {:x?}", key, model.read);
            keyboard.up(&mut model, 1, key, now).unwrap();
            prop_assert_eq!(model.held(), modifiers.clone(), "modifiers are as they were");
            prop_assert_eq!((model.locked, model.group), (locked, group));
            now += Duration::from_millis(1);
        }
        keyboard.release_everything(&mut model).unwrap();
        prop_assert!(model.held().is_empty());
    }

    /// Anything at all, by several clients: what is down is what somebody holds, and in the end nothing is.
    #[test]
    fn nothing_sticks(
        layout in 0usize..5, raw: bool,
        steps in prop::collection::vec((0u64..3, any::<prop::sample::Index>(), prop::option::of(0u32..0x100), 0u8..9), 0..80),
    ) {
        let symbols: Vec<u32> = EXACT.iter().copied().chain(LEVELS.iter().map(|l| l.0)).chain([
            key::Control_L, key::Alt_L, key::Alt_R, key::Super_L, key::Meta_L, key::Tab, key::F1, key::Return, 0, u32::MAX, key::VoidSymbol,
        ]).collect();
        let mut model = Model::new(maps()[layout].clone());
        let mut keyboard = Keyboard::new(raw);
        let mut now = Instant::now();
        for (client, symbol, scancode, what) in steps {
            let key = name(*symbol.get(&symbols), scancode);
            match what {
                0 => keyboard.release_all(&mut model, client).unwrap(),
                1..=3 => keyboard.up(&mut model, client, key, now).unwrap(),
                _ => while let Outcome::Wait(until) = keyboard.down(&mut model, client, key, now).unwrap() { now = until },
            }
            for code in model.held() {
                prop_assert!(keyboard.held.holds(code), "{} is down and nobody's", code);
            }
        }
        for client in 0..3 {
            keyboard.release_all(&mut model, client).unwrap();
        }
        prop_assert_eq!(model.held(), Vec::<u8>::new());
    }
}

#[test]
fn shift_in_force_from_us_goes_up_with_its_key() {
    let mut model = Model::new(samples::us());
    let mut keyboard = Keyboard::new(false);
    let now = Instant::now();
    keyboard
        .down(&mut model, 1, name(key::Shift_L, Some(0x2a)), now)
        .unwrap();
    keyboard
        .down(&mut model, 1, name('A'.into(), Some(0x1e)), now)
        .unwrap();
    // The client names the same keys differently when they go up.
    keyboard
        .up(&mut model, 1, name(key::Shift_L, None), now)
        .unwrap();
    keyboard
        .up(&mut model, 1, name('a'.into(), None), now)
        .unwrap();
    assert!(model.held().is_empty());
}

#[test]
fn a_name_that_changes_its_key_leaves_nothing_behind() {
    let mut model = Model::new(samples::us());
    let mut keyboard = Keyboard::new(false);
    let now = Instant::now();
    keyboard
        .down(&mut model, 1, name(key::Shift_L, Some(0x2a)), now)
        .unwrap();
    keyboard
        .down(&mut model, 1, name('a'.into(), Some(0x2a)), now)
        .unwrap();
    assert_eq!((model.held(), model.last()), (vec![38], Some('a'.into())));
    keyboard
        .up(&mut model, 1, name('a'.into(), Some(0x2a)), now)
        .unwrap();
    assert!(model.held().is_empty());
}

#[test]
fn what_a_killed_process_held_goes_up() {
    let mut model = Model::new(samples::us());
    model.key(50, true).unwrap();
    Keyboard::release_strays(&mut model).unwrap();
    assert!(model.held().is_empty());
}

#[test]
fn caps_lock_at_the_client_alone_makes_no_other_command() {
    let mut model = Model::new(samples::us());
    let mut keyboard = Keyboard::new(false);
    let now = Instant::now();
    keyboard
        .down(&mut model, 1, name(key::Control_L, None), now)
        .unwrap();
    keyboard
        .down(&mut model, 1, name('C'.into(), None), now)
        .unwrap();
    assert_eq!(
        (model.last(), model.state().mods()),
        (Some('c'.into()), CONTROL)
    );
}

#[test]
fn a_modifier_that_the_layout_lacks_is_its_neighbour() {
    let mut model = Model::new(samples::de());
    let mut keyboard = Keyboard::new(false);
    // A US client's right Alt is Alt, though the key at that place is AltGr here.
    keyboard
        .down(&mut model, 1, name(key::Alt_R, Some(0xb8)), Instant::now())
        .unwrap();
    assert_eq!(model.held(), [64]);
}

#[test]
fn the_place_counts_for_a_client_without_latin_letters() {
    let mut model = Model::new(samples::us());
    let mut keyboard = Keyboard::new(false);
    let now = Instant::now();
    keyboard
        .down(&mut model, 1, name(key::Control_L, Some(0x1d)), now)
        .unwrap();
    keyboard
        .down(&mut model, 1, name(key::Cyrillic_es, Some(0x2e)), now)
        .unwrap();
    assert_eq!(model.last(), Some('c'.into()));
}
