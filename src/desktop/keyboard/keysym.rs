//! Keysyms as values: when two of them mean the same, and what kind of key one is.

use xkeysym::Keysym;
use xkeysym::key;

/// The one number for all keysyms of the same character.
///
/// The older character sets (Cyrillic_a, Aogonek …) and the Unicode keysyms overlap; layouts use the former and clients
/// either. Keys that are not characters keep their number, so that `Return` never equals a control character.
pub(crate) fn canonical(keysym: u32) -> u32 {
    match character(keysym) {
        Some(c) => of_character(c),
        None => keysym,
    }
}

/// The number that most applications know: Latin-1 as itself, all others as the client says.
pub(crate) fn plainest(keysym: u32) -> u32 {
    Some(canonical(keysym))
        .filter(|&code| code < 0x100)
        .unwrap_or(keysym)
}

/// The character that a key types; `None` for functions, the keypad and dead keys.
pub(crate) fn character(keysym: u32) -> Option<char> {
    if (0xfd00..=0xffff).contains(&keysym) {
        return None;
    }
    Keysym::new(keysym).key_char().filter(|c| !c.is_control())
}

fn of_character(c: char) -> u32 {
    let code = u32::from(c);
    if code < 0x100 {
        code
    } else {
        0x0100_0000 | code
    }
}

/// The canonical keysym of the capital letter; the same keysym if there is none (also for `ß`, whose capital is two).
pub(crate) fn upper(keysym: u32) -> u32 {
    case(keysym, |c| single(c.to_uppercase()))
}

/// The canonical keysym of the small letter.
pub(crate) fn lower(keysym: u32) -> u32 {
    case(keysym, |c| single(c.to_lowercase()))
}

fn case(keysym: u32, change: impl Fn(char) -> Option<char>) -> u32 {
    match character(keysym) {
        Some(c) => of_character(change(c).unwrap_or(c)),
        None => keysym,
    }
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next();
    if chars.next().is_some() { None } else { first }
}

/// A letter of the Latin alphabet without accent: what shortcuts are made of.
pub(crate) fn is_ascii_letter(keysym: u32) -> bool {
    character(keysym).is_some_and(|c| c.is_ascii_alphabetic())
}

/// A letter of any alphabet.
pub(crate) fn is_letter(keysym: u32) -> bool {
    character(keysym).is_some_and(char::is_alphabetic)
}

/// Keysyms that must arrive exactly as the client said, whatever the modifiers: characters, dead keys, and the keys of
/// the keypad that mean a digit or a motion depending on Num Lock.
pub(crate) fn is_exact(keysym: u32) -> bool {
    character(keysym).is_some()
        || (key::dead_grave..=0xfea0).contains(&keysym)
        || (key::KP_Home..=key::KP_Delete).contains(&keysym)
        || matches!(
            keysym,
            key::KP_Separator | key::KP_Decimal | key::KP_0..=key::KP_9
        )
}

/// Keys that change what other keys mean, and never repeat.
pub(crate) fn is_modifier(keysym: u32) -> bool {
    matches!(keysym, key::Shift_L..=key::Hyper_R | key::ISO_Lock..=key::ISO_Last_Group_Lock | key::ISO_Level5_Shift..=key::ISO_Level5_Lock
        | key::Mode_switch | key::Num_Lock | key::Scroll_Lock)
}

/// Whether a spare key may be given this symbol: a real one that X accepts.
pub(crate) fn is_mappable(keysym: u32) -> bool {
    keysym != 0 && keysym < 0x1fff_ffff && keysym != key::VoidSymbol && !is_modifier(keysym)
}

/// What to press instead of a modifier that the layout does not have, best first.
pub(crate) fn equivalents(keysym: u32) -> &'static [u32] {
    match keysym {
        key::Shift_R => &[key::Shift_L],
        key::Control_R => &[key::Control_L],
        key::Alt_R => &[key::Alt_L, key::Meta_L],
        key::Alt_L => &[key::Alt_R, key::Meta_L],
        key::Meta_L | key::Meta_R => &[key::Alt_L, key::Alt_R],
        key::Super_R => &[key::Super_L],
        key::Super_L => &[key::Super_R],
        key::Hyper_L | key::Hyper_R => &[key::Super_L, key::Super_R],
        key::ISO_Level3_Shift => &[key::Mode_switch],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keysyms_of_one_character_are_equal() {
        assert_eq!(canonical(key::Cyrillic_a), canonical(0x0100_0430));
        assert_eq!(canonical(key::EuroSign), canonical(0x0100_20ac));
        assert_eq!(canonical(0x0100_00e9), u32::from('é'));
        assert_eq!(canonical(key::Return), key::Return);
        assert_eq!(canonical(key::KP_7), key::KP_7);
        assert_ne!(canonical(key::KP_7), canonical(u32::from('7')));
    }

    #[test]
    fn cases() {
        assert_eq!(upper(u32::from('a')), u32::from('A'));
        assert_eq!(upper(key::Cyrillic_a), canonical(key::Cyrillic_A));
        assert_eq!(lower(key::Cyrillic_A), canonical(key::Cyrillic_a));
        assert_eq!(upper(u32::from('ß')), u32::from('ß'));
        assert_eq!(upper(key::F1), key::F1);
    }

    #[test]
    fn kinds() {
        for exact in [
            u32::from('a'),
            0x0101_f642,
            key::dead_acute,
            key::KP_7,
            key::KP_Home,
            key::EuroSign,
        ] {
            assert!(is_exact(exact), "{exact:#x}");
        }
        for other in [
            key::Tab,
            key::Return,
            key::F1,
            key::KP_Enter,
            key::Left,
            key::Print,
            key::Shift_L,
        ] {
            assert!(!is_exact(other), "{other:#x}");
        }
        for modifier in [
            key::Shift_L,
            key::Caps_Lock,
            key::ISO_Level3_Shift,
            key::Mode_switch,
            key::Num_Lock,
            key::Scroll_Lock,
            key::Super_R,
        ] {
            assert!(is_modifier(modifier), "{modifier:#x}");
        }
        assert!(!is_modifier(key::ISO_Left_Tab) && !is_modifier(key::Tab));
        assert!(
            !is_mappable(0)
                && !is_mappable(key::VoidSymbol)
                && !is_mappable(key::Shift_L)
                && !is_mappable(u32::MAX)
        );
    }
}
