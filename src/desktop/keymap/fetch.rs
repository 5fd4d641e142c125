//! The keyboard map as the X server tells it.

use std::sync::Arc;

use x11rb::connection::Connection;
use x11rb::errors::ReplyError;
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::ConnectionExt as _;
use xkeysym::key;

use super::{Group, Key, KeyType, Keymap, LOCK, Level, OutOfRange, SHIFT, State};
use crate::desktop::connect::Link;
use crate::desktop::keyboard::keysym::{canonical, lower, upper};

/// "The core keyboard" in XKB requests.
pub(crate) const CORE_KEYBOARD: u16 = 0x100;

/// `SA_UseModMapMods`: the modifiers of the action are those of the key's modifier map.
const USE_MODMAP: u8 = 1 << 2;

/// Asks for the whole map: by XKB if `xkb`, else as the core protocol knows it.
pub(crate) fn keymap(conn: &Link, xkb: bool) -> Result<Keymap, ReplyError> {
    if xkb {
        let parts = xkb::MapPart::KEY_TYPES
            | xkb::MapPart::KEY_SYMS
            | xkb::MapPart::KEY_ACTIONS
            | xkb::MapPart::MODIFIER_MAP;
        let none = xkb::MapPart::from(0u16);
        let cookie = conn.xkb_get_map(
            CORE_KEYBOARD,
            parts,
            none,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            xkb::VMod::from(0u16),
            0,
            0,
            0,
            0,
            0,
            0,
        )?;
        if let Some(map) = from_xkb(&cookie.reply()?) {
            return Ok(map);
        }
    }
    core(conn)
}

/// Asks for the modifiers, the layout and the keys that are down, in one round trip.
pub(crate) fn state(conn: &Link, root: u32, xkb: bool) -> Result<State, ReplyError> {
    let down = conn.query_keymap()?;
    if xkb {
        let reply = conn.xkb_get_state(CORE_KEYBOARD)?.reply()?;
        return Ok(State {
            base: bits(reply.base_mods),
            latched: bits(reply.latched_mods),
            locked: bits(reply.locked_mods),
            group: u8::from(reply.group),
            locked_group: u8::from(reply.locked_group),
            down: down.reply()?.keys,
        });
    }
    // The core protocol does not tell held from locked: only what cannot be held is taken as locked.
    let mods = bits(conn.query_pointer(root)?.reply()?.mask);
    let down = down.reply()?.keys;
    Ok(State {
        base: mods & !LOCK,
        locked: mods & LOCK,
        down,
        ..State::default()
    })
}

fn bits(mask: impl Into<u16>) -> u8 {
    let [low, _] = mask.into().to_le_bytes();
    low
}

fn from_xkb(reply: &xkb::GetMapReply) -> Option<Keymap> {
    let types: Vec<Arc<KeyType>> = reply
        .map
        .types_rtrn
        .as_ref()?
        .iter()
        .map(|t| Arc::new(key_type(t)))
        .collect();
    let mut keys = vec![Key::default(); 256];
    for (keycode, syms) in (usize::from(reply.first_key_sym)..).zip(reply.map.syms_rtrn.as_ref()?) {
        *keys.get_mut(keycode)? = key_of(syms, &types);
    }
    for entry in reply.map.modmap_rtrn.iter().flatten() {
        keys.get_mut(usize::from(entry.keycode))?.modmap = bits(entry.mods);
    }
    if let Some(actions) = &reply.map.key_actions {
        let mut left = actions.acts_rtrn_acts.iter();
        for (keycode, count) in
            (usize::from(reply.first_key_action)..).zip(&actions.acts_rtrn_count)
        {
            let of_key: Vec<&xkb::Action> = left.by_ref().take(usize::from(*count)).collect();
            let key = keys.get_mut(keycode)?;
            let width = of_key.len().checked_div(key.groups.len()).unwrap_or(0);
            if width == 0 {
                continue;
            }
            let modmap = key.modmap;
            for (group, actions) in key.groups.iter_mut().zip(of_key.chunks(width)) {
                for (level, action) in group.levels.iter_mut().zip(actions) {
                    level.sets = held_modifiers(action, modmap);
                }
            }
        }
    }
    // A server whose compiler of keymaps is missing answers with an empty map.
    let usable = keys.iter().any(|key| !key.groups.is_empty());
    usable.then(|| Keymap::new(keys, reply.min_key_code, reply.max_key_code))
}

fn key_type(t: &xkb::KeyType) -> KeyType {
    let entries = t
        .map
        .iter()
        .filter(|e| e.active)
        .map(|e| (bits(e.mods_mask), e.level))
        .collect();
    KeyType {
        mask: bits(t.mods_mask),
        entries,
    }
}

fn key_of(syms: &xkb::KeySymMap, types: &[Arc<KeyType>]) -> Key {
    let count = usize::from(syms.group_info & 0x0f);
    let width = usize::from(syms.width);
    if count == 0 || width == 0 {
        return Key::default();
    }
    let out_of_range = match syms.group_info & 0xc0 {
        0x40 => OutOfRange::Clamp,
        0x80 => OutOfRange::Redirect(syms.group_info >> 4 & 3),
        _ => OutOfRange::Wrap,
    };
    let groups = syms
        .syms
        .chunks(width)
        .zip(syms.kt_index)
        .take(count)
        .filter_map(|(symbols, index)| {
            let key_type = Arc::clone(types.get(usize::from(index))?);
            Some(Group {
                key_type,
                levels: symbols
                    .iter()
                    .map(|&keysym| Level { keysym, sets: 0 })
                    .collect(),
            })
        })
        .collect();
    Key {
        groups,
        out_of_range,
        modmap: 0,
    }
}

fn held_modifiers(action: &xkb::Action, modmap: u8) -> u8 {
    if action.as_type() != xkb::SAType::SET_MODS {
        return 0;
    }
    let set = action.as_setmods();
    if bits(set.flags) & USE_MODMAP != 0 {
        modmap
    } else {
        bits(set.mask)
    }
}

/// Reads the map by core requests and gives each key the meaning that the core protocol prescribes (section 5).
fn core(conn: &Link) -> Result<Keymap, ReplyError> {
    let (min, max) = (conn.setup().min_keycode, conn.setup().max_keycode);
    let symbols = conn.get_keyboard_mapping(min, max.saturating_sub(min).saturating_add(1))?;
    let modifiers = conn.get_modifier_mapping()?;
    let (symbols, modifiers) = (symbols.reply()?, modifiers.reply()?);
    let mut modmap = [0u8; 256];
    let per_modifier = usize::from(modifiers.keycodes_per_modifier()).max(1);
    for (bit, keycodes) in modifiers.keycodes.chunks(per_modifier).enumerate().take(8) {
        for keycode in keycodes.iter().filter(|&&k| k != 0) {
            modmap[usize::from(*keycode)] |= 1 << bit;
        }
    }
    let width = usize::from(symbols.keysyms_per_keycode).max(1);
    let mut num_lock = 0;
    let rows: Vec<(u8, &[u32])> = (min..=max).zip(symbols.keysyms.chunks(width)).collect();
    for (keycode, row) in &rows {
        if row.contains(&key::Num_Lock) {
            num_lock |= modmap[usize::from(*keycode)];
        }
    }
    let mut keys = vec![Key::default(); 256];
    for (keycode, row) in rows {
        let modmap = modmap[usize::from(keycode)];
        keys[usize::from(keycode)] = core_key(row, modmap, num_lock);
    }
    Ok(Keymap::new(keys, min, max))
}

fn core_key(row: &[u32], modmap: u8, num_lock: u8) -> Key {
    let mut groups = Vec::new();
    for pair in row.chunks(2).take(2) {
        let first = pair.first().copied().unwrap_or(0);
        let mut second = pair.get(1).copied().unwrap_or(0);
        let letter = lower(first) != upper(first);
        if first == 0 && second == 0 {
            continue;
        }
        if second == 0 && letter {
            second = upper(first);
        }
        let (mask, entries) = if (key::KP_Space..=key::KP_9).contains(&second) {
            (SHIFT | num_lock, vec![(SHIFT, 1), (num_lock, 1)])
        } else if letter && canonical(second) == upper(first) {
            (SHIFT | LOCK, vec![(SHIFT, 1), (LOCK, 1), (SHIFT | LOCK, 1)])
        } else if second != 0 {
            (SHIFT, vec![(SHIFT, 1)])
        } else {
            (0, Vec::new())
        };
        let first = if letter && canonical(second) == upper(first) {
            lower(first)
        } else {
            first
        };
        let sets = if matches!(
            first,
            key::Caps_Lock | key::Num_Lock | key::Scroll_Lock | key::Shift_Lock
        ) {
            0
        } else {
            modmap
        };
        let levels = [first, second]
            .into_iter()
            .map(|keysym| Level { keysym, sets })
            .collect();
        groups.push(Group {
            key_type: Arc::new(KeyType { mask, entries }),
            levels,
        });
    }
    if groups.len() == 2 && groups.first() == groups.last() {
        groups.pop();
    }
    Key {
        groups,
        modmap,
        ..Key::default()
    }
}
