//! Which client holds which keys: a key goes up exactly when its last holder lets go of it.
//!
//! A client says what it released by scan code or keysym, and the keysym may have changed in between (`A` goes down, Shift
//! goes up, `a` goes up). So the keycode that was pressed is remembered with the press, never looked up again.

use std::collections::BTreeMap;

use super::keysym::canonical;

/// Keys that one client may hold; a keyboard has fewer, and an attacker gets no more memory.
const MOST: usize = 256;

/// What a client calls a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) keysym: u32,
    pub(crate) scancode: Option<u32>,
}

impl Name {
    /// Whether both name the same physical key: by scan code where both have one, else by meaning.
    fn same_key(&self, other: &Name) -> bool {
        match (self.scancode, other.scancode) {
            (Some(a), Some(b)) => a == b,
            _ => canonical(self.keysym) == canonical(other.keysym),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Press {
    name: Name,
    keycode: u8,
}

/// The record of all clients.
#[derive(Debug, Default)]
pub(crate) struct Held {
    clients: BTreeMap<u64, Vec<Press>>,
}

impl Held {
    /// The keycode that this client's press of this key became, if it holds it.
    pub(crate) fn keycode(&self, client: u64, name: &Name) -> Option<u8> {
        self.clients
            .get(&client)?
            .iter()
            .find(|press| press.name.same_key(name))
            .map(|press| press.keycode)
    }

    /// Whether anybody holds this keycode.
    pub(crate) fn holds(&self, keycode: u8) -> bool {
        self.clients
            .values()
            .flatten()
            .any(|press| press.keycode == keycode)
    }

    /// Records a press. `false` if the client holds too many keys: then it must not be pressed.
    pub(crate) fn press(&mut self, client: u64, name: Name, keycode: u8) -> bool {
        let presses = self.clients.entry(client).or_default();
        if presses.len() >= MOST {
            return false;
        }
        presses.push(Press { name, keycode });
        true
    }

    /// Forgets a press and returns its keycode, with `true` if nobody holds that any more.
    ///
    /// `carries` tells whether a keycode has a keysym on any level: what a client without scan codes means when the keysym
    /// of its release is not the one it pressed.
    pub(crate) fn release(
        &mut self,
        client: u64,
        name: &Name,
        carries: impl Fn(u8, u32) -> bool,
    ) -> Option<(u8, bool)> {
        let presses = self.clients.get_mut(&client)?;
        let index = presses
            .iter()
            .position(|press| press.name.same_key(name))
            .or_else(|| {
                presses.iter().position(|press| {
                    (press.name.scancode.is_none() || name.scancode.is_none())
                        && carries(press.keycode, name.keysym)
                })
            })?;
        let press = presses.remove(index);
        if presses.is_empty() {
            self.clients.remove(&client);
        }
        Some((press.keycode, !self.holds(press.keycode)))
    }

    /// Forgets all presses of a client and returns the keycodes that nobody holds any more, the latest press first.
    pub(crate) fn release_all(&mut self, client: u64) -> Vec<u8> {
        let mut free = Vec::new();
        for press in self
            .clients
            .remove(&client)
            .unwrap_or_default()
            .iter()
            .rev()
        {
            if !self.holds(press.keycode) && !free.contains(&press.keycode) {
                free.push(press.keycode);
            }
        }
        free
    }

    /// The clients that hold something.
    pub(crate) fn clients(&self) -> Vec<u64> {
        self.clients.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_keysym(c: char) -> Name {
        Name {
            keysym: c.into(),
            scancode: None,
        }
    }

    fn never(_: u8, _: u32) -> bool {
        false
    }

    #[test]
    fn the_release_finds_the_press_though_the_keysym_changed() {
        let mut held = Held::default();
        held.press(
            1,
            Name {
                keysym: 'A'.into(),
                scancode: Some(0x1e),
            },
            38,
        );
        assert_eq!(
            held.release(
                1,
                &Name {
                    keysym: 'a'.into(),
                    scancode: Some(0x1e)
                },
                never
            ),
            Some((38, true))
        );
        held.press(1, by_keysym('A'), 38);
        assert_eq!(
            held.release(1, &by_keysym('a'), |code, _| code == 38),
            Some((38, true))
        );
        assert_eq!(held.release(1, &by_keysym('a'), |_, _| true), None);
    }

    #[test]
    fn two_keys_with_one_keysym_are_told_apart_by_scan_code() {
        let mut held = Held::default();
        held.press(
            1,
            Name {
                keysym: 0xffe1,
                scancode: Some(0x2a),
            },
            50,
        );
        held.press(
            1,
            Name {
                keysym: 0xffe1,
                scancode: Some(0x36),
            },
            62,
        );
        assert_eq!(
            held.release(
                1,
                &Name {
                    keysym: 0xffe1,
                    scancode: Some(0x36)
                },
                |_, _| true
            ),
            Some((62, true))
        );
        assert!(held.holds(50));
    }

    #[test]
    fn a_key_of_two_clients_goes_up_with_the_second() {
        let mut held = Held::default();
        held.press(1, by_keysym('a'), 38);
        held.press(2, by_keysym('a'), 38);
        assert_eq!(held.release(1, &by_keysym('a'), never), Some((38, false)));
        assert_eq!(held.release_all(2), vec![38]);
        assert!(held.clients().is_empty());
    }

    #[test]
    fn a_client_cannot_hold_without_end() {
        let mut held = Held::default();
        let accepted = (0..10_000u32)
            .filter(|&n| {
                held.press(
                    1,
                    Name {
                        keysym: n,
                        scancode: None,
                    },
                    9,
                )
            })
            .count();
        assert_eq!(accepted, MOST);
    }

    proptest! {
        /// Against the obvious model: a set of (client, key); a keycode is down while some pair has it.
        #[test]
        fn nothing_is_lost_and_nothing_sticks(steps in prop::collection::vec((0u64..3, 0u8..6, 0u8..4), 0..200)) {
            let mut held = Held::default();
            let mut model = std::collections::BTreeSet::new();
            let mut down = std::collections::BTreeSet::new();
            for (client, key, what) in steps {
                let name = Name { keysym: 0x100 + u32::from(key), scancode: None };
                let code = key / 2;
                match what {
                    0 | 1 => if held.keycode(client, &name).is_none() {
                        prop_assert!(held.press(client, name, code));
                        model.insert((client, key));
                        down.insert(code);
                    },
                    2 => match held.release(client, &name, never) {
                        Some((released, last)) => {
                            prop_assert_eq!(released, code);
                            prop_assert!(model.remove(&(client, key)));
                            if last { down.remove(&code); }
                        }
                        None => prop_assert!(!model.contains(&(client, key))),
                    },
                    _ => {
                        for code in held.release_all(client) { down.remove(&code); }
                        model.retain(|(owner, _)| *owner != client);
                    }
                }
                let expected: std::collections::BTreeSet<u8> = model.iter().map(|(_, key)| key / 2).collect();
                prop_assert_eq!(&down, &expected);
            }
        }
    }
}
