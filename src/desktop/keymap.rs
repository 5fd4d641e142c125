//! The keyboard map of the X server: what each key means under which modifiers, and how a keysym can be produced.
//!
//! A value without a connection: `fetch` fills it from XKB (or from the core protocol, where there is no XKB). A key has
//! up to four *groups* (layouts), a group has *levels* (plain, Shift, AltGr …) and a *type* that says which modifiers
//! select which level. (The X Keyboard Extension: Protocol Specification, sections 2.2, 14 and 15.)

pub(crate) mod fetch;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use xkeysym::key;

use super::keyboard::keysym::{canonical, upper};

/// Real modifiers as the core protocol numbers them.
pub(crate) const SHIFT: u8 = 1;
/// Caps Lock.
pub(crate) const LOCK: u8 = 2;
/// Control.
pub(crate) const CONTROL: u8 = 4;

/// Which modifiers select which level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyType {
    /// The modifiers that this type looks at.
    pub(crate) mask: u8,
    /// Exactly these modifiers of the mask → that level; anything else is level 0.
    pub(crate) entries: Vec<(u8, u8)>,
}

impl KeyType {
    /// The level under these modifiers.
    fn level(&self, mods: u8) -> usize {
        let relevant = mods & self.mask;
        self.entries
            .iter()
            .find(|(mods, _)| *mods == relevant)
            .map_or(0, |(_, level)| usize::from(*level))
    }

    /// Every combination of the mask's modifiers that selects `level` and differs from `now` only in `changeable` ones.
    fn combinations(&self, level: usize, now: u8, changeable: u8) -> impl Iterator<Item = u8> {
        let (fixed, vary) = (now & self.mask & !changeable, self.mask & changeable);
        (0..=u8::MAX)
            .filter(move |subset| subset & !vary == 0)
            .map(move |subset| fixed | subset)
            .filter(move |&mods| self.level(mods) == level)
    }
}

/// One symbol of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    /// The symbol; 0 for none.
    pub(crate) keysym: u32,
    /// The modifiers that are set while this key is held.
    pub(crate) sets: u8,
}

/// One layout of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) key_type: Arc<KeyType>,
    pub(crate) levels: Vec<Level>,
}

/// What a key does in a group that it does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OutOfRange {
    #[default]
    Wrap,
    Clamp,
    Redirect(u8),
}

/// One key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) groups: Vec<Group>,
    pub(crate) out_of_range: OutOfRange,
    /// The core modifiers that it belongs to.
    pub(crate) modmap: u8,
}

impl Key {
    fn group(&self, group: u8) -> Option<(u8, &Group)> {
        let count = u8::try_from(self.groups.len()).unwrap_or(u8::MAX);
        if count == 0 {
            return None;
        }
        let index = if group < count {
            group
        } else {
            match self.out_of_range {
                OutOfRange::Wrap => group % count,
                OutOfRange::Clamp => count - 1,
                OutOfRange::Redirect(to) => {
                    if to < count {
                        to
                    } else {
                        0
                    }
                }
            }
        };
        self.groups.get(usize::from(index)).map(|g| (index, g))
    }

    fn symbols(&self) -> impl Iterator<Item = u32> {
        self.groups
            .iter()
            .flat_map(|g| g.levels.iter().map(|l| l.keysym))
            .filter(|&k| k != 0)
    }
}

/// The modifiers and the layout in force, and the keys that are down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Modifiers of held keys.
    pub(crate) base: u8,
    /// Modifiers that wait for one key.
    pub(crate) latched: u8,
    /// Modifiers that stay, such as Caps Lock.
    pub(crate) locked: u8,
    /// The layout in force.
    pub(crate) group: u8,
    /// The part of `group` that stays; differs from it while a group key is held.
    pub(crate) locked_group: u8,
    /// Keys that are down: bit `keycode % 8` of byte `keycode / 8`, as XQueryKeymap tells.
    pub(crate) down: [u8; 32],
}

impl State {
    /// All modifiers in force.
    pub(crate) fn mods(&self) -> u8 {
        self.base | self.latched | self.locked
    }

    /// Whether a key is down.
    pub(crate) fn is_down(&self, keycode: u8) -> bool {
        self.down
            .get(usize::from(keycode / 8))
            .is_some_and(|byte| byte >> (keycode % 8) & 1 == 1)
    }
}

/// How to produce a keysym: all in this order, and back again after the key went down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stroke {
    /// The key that has the symbol.
    pub(crate) keycode: u8,
    /// Held modifier keys that must be up meanwhile.
    pub(crate) release: Vec<u8>,
    /// Modifier keys that must be down meanwhile.
    pub(crate) press: Vec<u8>,
    /// The layout that must be in force meanwhile.
    pub(crate) group: Option<u8>,
}

impl Stroke {
    /// The key alone.
    pub(crate) fn plain(keycode: u8) -> Stroke {
        Stroke {
            keycode,
            ..Stroke::default()
        }
    }
}

/// The whole map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keymap {
    keys: Vec<Key>,
    min: u8,
    max: u8,
    /// Modifiers of ISO_Level3_Shift and ISO_Level5_Shift keys (and Shift): those that may be faked.
    fakeable: u8,
    /// Control, Alt, Super and the like: with one of them, a key is a command and no text.
    commands: u8,
    /// Alt alone.
    alt: u8,
}

impl Keymap {
    /// `keys[n]` is the key with keycode n.
    pub(crate) fn new(keys: Vec<Key>, min: u8, max: u8) -> Keymap {
        let (mut levels, mut alt, mut others) = (0, 0, CONTROL);
        for level in keys
            .iter()
            .flat_map(|key| &key.groups)
            .flat_map(|g| &g.levels)
        {
            match level.keysym {
                key::ISO_Level3_Shift | key::ISO_Level5_Shift => levels |= level.sets,
                key::Alt_L | key::Alt_R | key::Meta_L | key::Meta_R => alt |= level.sets,
                key::Super_L..=key::Hyper_R => others |= level.sets,
                _ => {}
            }
        }
        let commands = (alt | others) & !(SHIFT | LOCK | levels);
        Keymap {
            keys,
            min,
            max,
            fakeable: (SHIFT | levels) & !(LOCK | commands),
            commands,
            alt,
        }
    }

    fn all(&self) -> impl Iterator<Item = (u8, &Key)> {
        (self.min..=self.max).filter_map(|code| self.key(code).map(|key| (code, key)))
    }

    fn key(&self, keycode: u8) -> Option<&Key> {
        if keycode < self.min || keycode > self.max {
            None
        } else {
            self.keys.get(usize::from(keycode))
        }
    }

    /// Whether the X server accepts this keycode at all.
    pub(crate) fn has(&self, keycode: u8) -> bool {
        self.key(keycode).is_some()
    }

    /// Whether the modifiers make the next key a command (Ctrl+C), not text.
    pub(crate) fn is_command(&self, mods: u8) -> bool {
        mods & self.commands != 0
    }

    /// As `is_command`, but Alt alone is not enough: terminals tell Alt+a from Alt+A.
    pub(crate) fn is_caseless_command(&self, mods: u8) -> bool {
        mods & self.commands & !self.alt != 0
    }

    /// What an application reads from this key; `None` if nothing, or if applications disagree: some make capitals
    /// themselves while Caps Lock is on, on keys whose type ignores it.
    pub(crate) fn symbol(&self, keycode: u8, mods: u8, group: u8) -> Option<u32> {
        let (_, group) = self.key(keycode)?.group(group)?;
        let keysym = group.levels.get(group.key_type.level(mods))?.keysym;
        let unsure = mods & LOCK != 0
            && group.key_type.mask & LOCK == 0
            && upper(keysym) != canonical(keysym);
        (keysym != 0 && !unsure).then_some(keysym)
    }

    /// Whether the key has this symbol on any level of any layout.
    pub(crate) fn carries(&self, keycode: u8, keysym: u32) -> bool {
        let wanted = canonical(keysym);
        self.key(keycode)
            .is_some_and(|key| key.symbols().any(|k| canonical(k) == wanted))
    }

    /// Whether the key sets, locks or belongs to modifiers: it must never be pressed twice.
    pub(crate) fn is_modifier_key(&self, keycode: u8) -> bool {
        self.key(keycode).is_some_and(|key| {
            key.modmap != 0
                || key
                    .groups
                    .iter()
                    .flat_map(|g| &g.levels)
                    .any(|l| l.sets != 0)
                || key.symbols().any(super::keyboard::keysym::is_modifier)
        })
    }

    /// The symbol of a key that has one and no other (or its capital beside it).
    pub(crate) fn only_symbol(&self, keycode: u8) -> Option<u32> {
        let key = self.key(keycode).filter(|key| key.modmap == 0)?;
        let first = key.symbols().next()?;
        key.symbols()
            .all(|k| canonical(k) == canonical(first) || canonical(k) == upper(first))
            .then_some(first)
    }

    /// Keycodes without any symbol.
    pub(crate) fn unused(&self) -> impl Iterator<Item = u8> {
        self.all()
            .filter(|(_, key)| key.modmap == 0 && key.symbols().next().is_none())
            .map(|(code, _)| code)
    }

    /// The key that has this symbol on its first level in the layout in force; `prefer` if that one does too.
    pub(crate) fn plain_key(&self, keysym: u32, state: &State, prefer: Option<u8>) -> Option<u8> {
        let wanted = canonical(keysym);
        let has = |key: &Key| {
            key.group(state.group)
                .and_then(|(_, g)| g.levels.first())
                .is_some_and(|l| canonical(l.keysym) == wanted)
        };
        let found = |code: u8| self.key(code).is_some_and(has).then_some(code);
        prefer
            .and_then(found)
            .or_else(|| self.all().find(|(_, key)| has(key)).map(|(code, _)| code))
    }

    /// The cheapest way to produce exactly `keysym` now: fewest modifiers and layouts to change, `prefer` if it is as
    /// good as another. `accept` compares a symbol of the map with the wanted one.
    pub(crate) fn stroke(
        &self,
        state: &State,
        prefer: Option<u8>,
        touch_mods: bool,
        accept: impl Fn(u32) -> bool,
    ) -> Option<Stroke> {
        let mut best: Option<((usize, bool, bool, usize), Stroke)> = None;
        for (keycode, group, switch, level) in self.places(state, &accept) {
            let combinations = group
                .key_type
                .combinations(level, state.mods(), self.fakeable);
            for mods in combinations {
                let Some((release, press)) = self.fakes(state, group.key_type.mask, mods) else {
                    continue;
                };
                let changes = press.len() + 2 * release.len();
                let after = (state.mods() & !group.key_type.mask) | mods;
                let symbol = self.symbol(keycode, after, switch.unwrap_or(state.group));
                if changes > 0 && !touch_mods || !symbol.is_some_and(&accept) {
                    continue;
                }
                let switching = if switch.is_some() { 4 } else { 0 };
                let elsewhere = prefer != Some(keycode);
                let cost = (
                    changes + switching,
                    elsewhere,
                    state.is_down(keycode),
                    level,
                );
                if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                    let stroke = Stroke {
                        keycode,
                        release,
                        press,
                        group: switch,
                    };
                    best = Some((cost, stroke));
                }
            }
        }
        best.map(|(_, stroke)| stroke)
    }

    /// Where accepted symbols are: the key, its layout (and whether that must be put in force), the level.
    fn places(
        &self,
        state: &State,
        accept: impl Fn(u32) -> bool,
    ) -> impl Iterator<Item = (u8, &Group, Option<u8>, usize)> {
        // Another layout can be put in force only if no held key shifts it.
        let may_switch = state.group == state.locked_group;
        let groups = self.all().flat_map(move |(keycode, key)| {
            let in_force = key.group(state.group).map(|(index, _)| index);
            (0u8..).zip(&key.groups).map(move |(index, group)| {
                (keycode, group, (in_force != Some(index)).then_some(index))
            })
        });
        groups
            .filter(move |(_, _, switch)| switch.is_none() || may_switch)
            .flat_map(move |(keycode, group, switch)| {
                let matching: Vec<usize> = (0..)
                    .zip(&group.levels)
                    .filter(|(_, level)| level.keysym != 0 && accept(level.keysym))
                    .map(|(number, _)| number)
                    .collect();
                matching
                    .into_iter()
                    .map(move |number| (keycode, group, switch, number))
            })
    }

    /// The modifier keys to release and to press so that, of the modifiers in `mask`, exactly `wanted` are in force.
    fn fakes(&self, state: &State, mask: u8, wanted: u8) -> Option<(Vec<u8>, Vec<u8>)> {
        let now = state.mods() & mask;
        let (clear, set) = (now & !wanted, wanted & !now);
        // What is locked stays when its key goes up.
        if clear & (state.locked | state.latched) != 0 {
            return None;
        }
        let mut release = Vec::new();
        let mut left = clear;
        if clear != 0 {
            for (keycode, _) in self.all().filter(|(code, _)| state.is_down(*code)) {
                let sets = self.sets(keycode, state);
                if sets & clear != 0 {
                    if sets & !clear != 0 {
                        return None;
                    }
                    left &= !sets;
                    release.push(keycode);
                }
            }
        }
        if left != 0 {
            return None;
        }
        let mut press = Vec::new();
        for bit in (0..8).map(|n| 1u8 << n).filter(|bit| set & bit != 0) {
            press.push(self.setter(bit, state)?);
        }
        Some((release, press))
    }

    /// The modifiers that a held key keeps set.
    fn sets(&self, keycode: u8, state: &State) -> u8 {
        self.key(keycode)
            .and_then(|key| key.group(state.group))
            .and_then(|(_, g)| g.levels.first())
            .map_or(0, |l| l.sets)
    }

    /// A key that sets exactly this modifier while it is held.
    fn setter(&self, bit: u8, state: &State) -> Option<u8> {
        self.all().map(|(code, _)| code).find(|&code| {
            // The level pressed is the one in force now, which may do something else (Shift+Shift → next layout).
            let level = self
                .key(code)
                .and_then(|key| key.group(state.group))
                .and_then(|(_, g)| g.levels.get(g.key_type.level(state.mods())));
            self.sets(code, state) == bit
                && level.is_some_and(|l| l.sets == bit)
                && !state.is_down(code)
        })
    }
}
