//! Scan codes of the QEMU extended key event → X keycodes.
//!
//! The message carries the make code of XT set 1; a code with the 0xe0 prefix is told by bit 7 (rfbproto, "QEMU Extended
//! Key Event Message"). The kernel numbers the same keys as its `KEY_*` codes, and X servers with evdev rules (Xvfb,
//! Xvnc, Xorg on Linux) add 8.

/// The X keycode of a key with scan code `xt`, or `None` if there is no such key.
pub(crate) fn keycode(xt: u32) -> Option<u8> {
    let xt = usize::try_from(xt).ok()?;
    let linux = if xt < 0x80 {
        PLAIN.get(xt)?
    } else {
        PREFIXED.get(xt - 0x80)?
    };
    if *linux == 0 { None } else { Some(linux + 8) }
}

/// Whether some scan code leads to this keycode; others are free for symbols that no keyboard has.
pub(crate) fn is_physical(keycode: u8) -> bool {
    keycode
        .checked_sub(8)
        .is_some_and(|linux| linux != 0 && PLAIN.iter().chain(PREFIXED.iter()).any(|&k| k == linux))
}

/// `KEY_*` by make code. The first 0x54 codes are what the kernel's numbers were made from, hence the same.
const PLAIN: [u8; 0x80] = {
    let mut table = [0u8; 0x80];
    let mut code = 1;
    while code <= 0x53 {
        table[code] = code as u8;
        code += 1;
    }
    table[0x54] = 99; // SysRq (Alt+Print)
    table[0x55] = 186; // F16
    table[0x56] = 86; // the key between left Shift and Z
    table[0x57] = 87; // F11
    table[0x58] = 88; // F12
    table[0x59] = 117; // keypad =
    table[0x5a] = 190; // F20
    table[0x5d] = 183; // F13
    table[0x5e] = 184; // F14
    table[0x5f] = 185; // F15
    table[0x64] = 134; // Open
    table[0x65] = 135; // Paste
    table[0x6d] = 193; // F23
    table[0x6f] = 194; // F24
    table[0x70] = 93; // Katakana/Hiragana
    table[0x71] = 123; // Hanja
    table[0x72] = 122; // Hangul
    table[0x73] = 89; // Ro
    table[0x74] = 191; // F21
    table[0x76] = 85; // Zenkaku/Hankaku
    table[0x77] = 91; // Hiragana
    table[0x78] = 90; // Katakana
    table[0x79] = 92; // Henkan
    table[0x7b] = 94; // Muhenkan
    table[0x7d] = 124; // Yen
    table[0x7e] = 121; // keypad ,
    table
};

/// `KEY_*` by make code after the 0xe0 prefix.
const PREFIXED: [u8; 0x80] = {
    let mut table = [0u8; 0x80];
    table[0x03] = 187; // F17
    table[0x04] = 189; // F19
    table[0x05] = 129; // Again
    table[0x06] = 130; // Props
    table[0x07] = 131; // Undo
    table[0x10] = 165; // previous track
    table[0x19] = 163; // next track
    table[0x1c] = 96; // keypad Enter
    table[0x1d] = 97; // right Control
    table[0x20] = 113; // mute
    table[0x21] = 140; // calculator
    table[0x22] = 164; // play, pause
    table[0x24] = 166; // stop
    table[0x25] = 205; // suspend
    table[0x2e] = 114; // volume down
    table[0x30] = 115; // volume up
    table[0x32] = 172; // home page
    table[0x35] = 98; // keypad /
    table[0x37] = 99; // Print
    table[0x38] = 100; // right Alt
    table[0x3c] = 137; // Cut
    table[0x41] = 136; // Find
    table[0x46] = 119; // Pause
    table[0x47] = 102; // Home
    table[0x48] = 103; // Up
    table[0x49] = 104; // Page Up
    table[0x4b] = 105; // Left
    table[0x4d] = 106; // Right
    table[0x4f] = 107; // End
    table[0x50] = 108; // Down
    table[0x51] = 109; // Page Down
    table[0x52] = 110; // Insert
    table[0x53] = 111; // Delete
    table[0x5b] = 125; // left Super
    table[0x5c] = 126; // right Super
    table[0x5d] = 127; // Menu
    table[0x5e] = 116; // Power
    table[0x5f] = 142; // Sleep
    table[0x63] = 143; // Wake up
    table[0x65] = 217; // Search
    table[0x66] = 156; // Bookmarks
    table[0x67] = 173; // Refresh
    table[0x68] = 128; // Stop
    table[0x69] = 159; // Forward
    table[0x6a] = 158; // Back
    table[0x6b] = 157; // Computer
    table[0x6c] = 155; // Mail
    table[0x6d] = 226; // Media
    table[0x75] = 138; // Help
    table[0x76] = 179; // keypad (
    table[0x77] = 188; // F18
    table[0x78] = 133; // Copy
    table[0x79] = 192; // F22
    table[0x7b] = 180; // keypad )
    table[0x7d] = 162; // Eject
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys() {
        for (xt, expected) in [
            (0x01, 9),   // Escape
            (0x10, 24),  // Q
            (0x2a, 50),  // left Shift
            (0x45, 77),  // Num Lock
            (0x47, 79),  // keypad 7
            (0x54, 107), // Print
            (0x56, 94),  // < > |
            (0x9c, 104), // keypad Enter
            (0x9d, 105), // right Control
            (0xb8, 108), // AltGr
            (0xc6, 127), // Pause
            (0xc8, 111), // Up
            (0xd3, 119), // Delete
            (0xdb, 133), // left Super
            (0xdd, 135), // Menu
        ] {
            assert_eq!(keycode(xt), Some(expected), "{xt:#x}");
        }
        for none in [0, 0x5b, 0x80, 0xff, 0x100, 0xe01d, u32::MAX] {
            assert_eq!(keycode(none), None, "{none:#x}");
        }
    }

    #[test]
    fn no_two_plain_codes_share_a_key() {
        let mut seen = std::collections::HashSet::new();
        for xt in (0..0x100).filter(|&xt| xt != 0xb7) {
            if let Some(code) = keycode(xt) {
                assert!(seen.insert(code), "{xt:#x} → {code}");
            }
        }
        assert!(is_physical(24) && !is_physical(8) && !is_physical(0) && !is_physical(255));
    }
}
