//! The lamps of the keyboard.

use x11rb::errors::ReplyError;
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{Atom, ConnectionExt as _};

use super::connect::Link;
use super::keymap::fetch::CORE_KEYBOARD;
use crate::screen::Leds;

/// The names of the lamps that RFB knows, as atoms.
pub(crate) struct Lamps {
    scroll: Atom,
    num: Atom,
    caps: Atom,
}

impl Lamps {
    /// Learns the names.
    pub(crate) fn new(conn: &Link) -> Result<Lamps, ReplyError> {
        let names: [&[u8]; 3] = [b"Scroll Lock", b"Num Lock", b"Caps Lock"];
        let [scroll, num, caps] = names.map(|name| conn.intern_atom(false, name));
        Ok(Lamps {
            scroll: scroll?.reply()?.atom,
            num: num?.reply()?.atom,
            caps: caps?.reply()?.atom,
        })
    }

    /// Which lamps are on now; one round trip.
    pub(crate) fn read(&self, conn: &Link) -> Result<Leds, ReplyError> {
        let [scroll, num, caps] = [self.scroll, self.num, self.caps].map(|name| {
            conn.xkb_get_named_indicator(
                CORE_KEYBOARD,
                xkb::LedClass::DFLT_XI_CLASS,
                xkb::ID::DFLT_XI_ID,
                name,
            )
        });
        Ok(Leds {
            scroll: scroll?.reply()?.on,
            num: num?.reply()?.on,
            caps: caps?.reply()?.on,
        })
    }
}
