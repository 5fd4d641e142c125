//! Keyboard maps as literals, for tests: the parts of us, de, fr and ru that matter.

use super::*;
use crate::desktop::keyboard::keysym::lower;

/// Mod2, where Num Lock lives.
pub(crate) const NUM: u8 = 0x10;
/// Mod5, where ISO_Level3_Shift lives.
pub(crate) const ALTGR: u8 = 0x80;
const ALT: u8 = 0x08;
const SUPER: u8 = 0x40;

fn one_level() -> Arc<KeyType> {
    Arc::new(KeyType {
        mask: 0,
        entries: vec![],
    })
}
fn two_level() -> Arc<KeyType> {
    Arc::new(KeyType {
        mask: SHIFT,
        entries: vec![(SHIFT, 1)],
    })
}
fn alphabetic() -> Arc<KeyType> {
    Arc::new(KeyType {
        mask: SHIFT | LOCK,
        entries: vec![(SHIFT, 1), (LOCK, 1)],
    })
}
fn keypad() -> Arc<KeyType> {
    Arc::new(KeyType {
        mask: SHIFT | NUM,
        entries: vec![(NUM, 1), (SHIFT, 1)],
    })
}
fn four_level() -> Arc<KeyType> {
    Arc::new(KeyType {
        mask: SHIFT | ALTGR,
        entries: vec![(SHIFT, 1), (ALTGR, 2), (SHIFT | ALTGR, 3)],
    })
}
fn four_level_semialphabetic() -> Arc<KeyType> {
    Arc::new(KeyType {
        mask: SHIFT | LOCK | ALTGR,
        entries: vec![
            (SHIFT, 1),
            (LOCK, 1),
            (ALTGR, 2),
            (SHIFT | ALTGR, 3),
            (LOCK | ALTGR, 2),
            (LOCK | SHIFT | ALTGR, 3),
        ],
    })
}
fn ctrl_alt() -> Arc<KeyType> {
    Arc::new(KeyType {
        mask: SHIFT | CONTROL | ALT | ALTGR,
        entries: vec![
            (SHIFT, 1),
            (ALTGR, 2),
            (SHIFT | ALTGR, 3),
            (CONTROL | ALT, 4),
        ],
    })
}

fn group(key_type: Arc<KeyType>, symbols: &[u32]) -> Group {
    Group {
        key_type,
        levels: symbols
            .iter()
            .map(|&keysym| Level { keysym, sets: 0 })
            .collect(),
    }
}

fn plain(symbols: &str) -> Group {
    let symbols: Vec<u32> = symbols
        .chars()
        .map(|c| xkeysym::Keysym::from_char(c).raw())
        .collect();
    let letter = symbols.len() >= 2
        && canonical(symbols[0]) != upper(symbols[0])
        && upper(symbols[0]) == canonical(symbols[1]);
    let key_type = match (symbols.len(), letter) {
        (1, _) => one_level(),
        (2, true) => alphabetic(),
        (2, false) => two_level(),
        (_, true) => four_level_semialphabetic(),
        (_, false) => four_level(),
    };
    group(key_type, &symbols)
}

fn modifier(keysym: u32, sets: u8, modmap: u8) -> Key {
    let group = Group {
        key_type: one_level(),
        levels: vec![Level { keysym, sets }],
    };
    Key {
        groups: vec![group],
        modmap,
        ..Key::default()
    }
}

/// Rows of a layout: the first keycode and the symbols of each key from there on.
fn build(layouts: &[&[(u8, &[&str])]], altgr: bool) -> Keymap {
    let mut keys = vec![Key::default(); 256];
    for rows in layouts {
        for (first, row) in *rows {
            for (keycode, symbols) in (*first..).zip(*row) {
                keys[usize::from(keycode)].groups.push(plain(symbols));
            }
        }
    }
    keys[50] = modifier(key::Shift_L, SHIFT, SHIFT);
    keys[62] = modifier(key::Shift_R, SHIFT, SHIFT);
    keys[66] = modifier(key::Caps_Lock, 0, LOCK);
    keys[37] = modifier(key::Control_L, CONTROL, CONTROL);
    keys[64] = modifier(key::Alt_L, ALT, ALT);
    keys[77] = modifier(key::Num_Lock, 0, NUM);
    keys[92] = modifier(key::ISO_Level3_Shift, ALTGR, ALTGR);
    keys[108] = if altgr {
        modifier(key::ISO_Level3_Shift, ALTGR, 0)
    } else {
        modifier(key::Alt_R, ALT, ALT)
    };
    keys[133] = modifier(key::Super_L, SUPER, SUPER);
    keys[23].groups = vec![group(two_level(), &[key::Tab, key::ISO_Left_Tab])];
    keys[36].groups = vec![group(one_level(), &[key::Return])];
    keys[67].groups = vec![group(
        ctrl_alt(),
        &[key::F1, key::F1, key::F1, key::F1, key::XF86_Switch_VT_1],
    )];
    let pad = [
        (79, key::KP_Home, key::KP_7),
        (80, key::KP_Up, key::KP_8),
        (81, key::KP_Prior, key::KP_9),
        (83, key::KP_Left, key::KP_4),
        (91, key::KP_Delete, key::KP_Decimal),
    ];
    for (keycode, motion, digit) in pad {
        keys[keycode].groups = vec![group(keypad(), &[motion, digit])];
    }
    Keymap::new(keys, 8, 255)
}

const US: &[(u8, &[&str])] = &[
    (
        10,
        &[
            "1!", "2@", "3#", "4$", "5%", "6^", "7&", "8*", "9(", "0)", "-_", "=+",
        ],
    ),
    (
        24,
        &[
            "qQ", "wW", "eE", "rR", "tT", "yY", "uU", "iI", "oO", "pP", "[{", "]}",
        ],
    ),
    (
        38,
        &[
            "aA", "sS", "dD", "fF", "gG", "hH", "jJ", "kK", "lL", ";:", "'\"", "`~",
        ],
    ),
    (
        51,
        &[
            "\\|", "zZ", "xX", "cC", "vV", "bB", "nN", "mM", ",<", ".>", "/?",
        ],
    ),
    (65, &[" "]),
    (94, &["<>"]),
];

const RU: &[(u8, &[&str])] = &[
    (
        10,
        &[
            "1!", "2\"", "3№", "4;", "5%", "6:", "7?", "8*", "9(", "0)", "-_", "=+",
        ],
    ),
    (
        24,
        &[
            "йЙ", "цЦ", "уУ", "кК", "еЕ", "нН", "гГ", "шШ", "щЩ", "зЗ", "хХ", "ъЪ",
        ],
    ),
    (
        38,
        &[
            "фФ", "ыЫ", "вВ", "аА", "пП", "рР", "оО", "лЛ", "дД", "жЖ", "эЭ", "ёЁ",
        ],
    ),
    (
        51,
        &[
            "\\/", "яЯ", "чЧ", "сС", "мМ", "иИ", "тТ", "ьЬ", "бБ", "юЮ", ".,",
        ],
    ),
    (65, &[" "]),
    (94, &["/|"]),
];

/// United States: two levels, no AltGr.
pub(crate) fn us() -> Keymap {
    build(&[US], false)
}

/// United States and Russian.
pub(crate) fn us_ru() -> Keymap {
    build(&[US, RU], false)
}

/// Russian alone: no Latin letter anywhere.
pub(crate) fn ru() -> Keymap {
    build(&[RU], false)
}

/// German, with AltGr.
pub(crate) fn de() -> Keymap {
    build(
        &[&[
            (
                10,
                &[
                    "1!¹¡", "2\"²⅛", "3§³£", "4$¼¤", "5%½⅜", "6&¬⅝", "7/{⅞", "8([™", "9)]±",
                    "0=}°", "ß?\\¿",
                ],
            ),
            (
                24,
                &[
                    "qQ@Ω", "wWłŁ", "eE€€", "rR¶®", "tTŧŦ", "zZ←¥", "uU↓↑", "iI→ı", "oOøØ", "pPþÞ",
                    "üÜ", "+*~¯",
                ],
            ),
            (
                38,
                &[
                    "aAæÆ", "sSſẞ", "dDðÐ", "fFđª", "gGŋŊ", "hHħĦ", "jJ", "kKĸ&", "lLłŁ", "öÖ",
                    "äÄ",
                ],
            ),
            (
                51,
                &[
                    "#'’˘", "yY»›", "xX«‹", "cC¢©", "vV„‚", "bB“‘", "nN”’", "mMµº", ",;·×", ".:…÷",
                    "-_–—",
                ],
            ),
            (65, &[" "]),
            (94, &["<>|̣"]),
        ]],
        true,
    )
}

/// French: digits are shifted, é is on a key that ignores Caps Lock.
pub(crate) fn fr() -> Keymap {
    build(
        &[&[
            (
                10,
                &[
                    "&1¹¡", "é2~⅛", "\"3#£", "'4{$", "(5[⅜", "-6|⅝", "è7`⅞", "_8\\™", "ç9^±",
                    "à0@°", ")°]¿", "=+}̨",
                ],
            ),
            (
                24,
                &[
                    "aAæÆ", "zZ«<", "eE€¢", "rR¶®", "tTŧŦ", "yY←¥", "uU↓↑", "iI→ı", "oOøØ", "pPþÞ",
                ],
            ),
            (
                38,
                &[
                    "qQ@Ω", "sSß§", "dDðÐ", "fFđª", "gGŋŊ", "hHħĦ", "jJ", "kKĸ&", "lLłŁ", "mMµº",
                    "ù%^̌",
                ],
            ),
            (
                51,
                &[
                    "*µ`˘", "wWłŁ", "xX»>", "cC¢©", "vV“‘", "bB”’", "nN", ",?´̋", ";.·×", ":/·÷",
                    "!§",
                ],
            ),
            (65, &[" "]),
            (94, &["<>|"]),
        ]],
        true,
    )
}

/// What ChangeKeyboardMapping with one symbol does: a letter gets its capital beside it.
pub(crate) fn change(map: &mut Keymap, keycode: u8, keysym: u32) {
    let (small, capital) = (lower(keysym), upper(keysym));
    let new = if small == capital {
        group(one_level(), &[keysym])
    } else {
        group(alphabetic(), &[small, capital])
    };
    map.keys[usize::from(keycode)].groups = vec![new];
}

/// The modifiers of a key that is held.
pub(crate) fn held_modifiers(map: &Keymap, keycode: u8) -> u8 {
    map.sets(keycode, &State::default())
}
