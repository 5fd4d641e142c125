//! The real X server behind the keyboard: XTEST for keys, XKB for the map and the state.
//!
//! Events that say that the map changed are noticed here, before each key: `observe` is a round trip, so every change made
//! before it is known after it. All other events wait in `events` for the thread's loop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tracing::{debug, warn};
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::Event;
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{self, AtomEnum, ConnectionExt as _, PropMode};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use super::KeyServer;
use crate::desktop::connect::Link;
use crate::desktop::keymap::fetch::{self, CORE_KEYBOARD};
use crate::desktop::keymap::{Keymap, State};

/// A connection with what keys need of it.
pub(crate) struct XServer {
    conn: Arc<Link>,
    root: xproto::Window,
    has_xkb: bool,
    map: Keymap,
    stale: bool,
    changed: Option<Instant>,
    events: VecDeque<Event>,
    lent_property: xproto::Atom,
}

impl XServer {
    /// Prepares a new connection: XTEST must be there, XKB should.
    pub(crate) fn new(conn: Link, screen: usize) -> Result<XServer, ReplyError> {
        let root = conn
            .setup()
            .roots
            .get(screen)
            .ok_or(ConnectionError::UnknownError)?
            .root;
        conn.xtest_get_version(2, 2)?.reply()?;
        let has_xkb = use_xkb(&conn)?;
        if has_xkb {
            select_events(&conn)?;
            silence_repetition(&conn)?;
        } else {
            warn!("the X server has no XKB: keys are looked up in the core keyboard map");
        }
        let lent_property = conn
            .intern_atom(false, b"_DESKINIT_LENT_KEYCODES")?
            .reply()?
            .atom;
        let map = fetch::keymap(&conn, has_xkb)?;
        Ok(XServer {
            conn: Arc::new(conn),
            root,
            has_xkb,
            map,
            stale: false,
            changed: None,
            events: VecDeque::new(),
            lent_property,
        })
    }

    /// The connection, for everything but keys.
    pub(crate) fn conn(&self) -> &Arc<Link> {
        &self.conn
    }

    /// The root window of the screen.
    pub(crate) fn root(&self) -> xproto::Window {
        self.root
    }

    /// Whether the XKB extension is there.
    pub(crate) fn has_xkb(&self) -> bool {
        self.has_xkb
    }

    /// The next event that is not about the keyboard map. Never waits.
    pub(crate) fn next_event(&mut self) -> Result<Option<Event>, ConnectionError> {
        self.collect_events()?;
        Ok(self.events.pop_front())
    }

    /// Whether events wait that were read with a reply: then the socket says nothing about them.
    pub(crate) fn has_events(&mut self) -> Result<bool, ConnectionError> {
        self.collect_events()?;
        Ok(!self.events.is_empty())
    }

    /// The keycodes that an earlier process lent to symbols and could not take back.
    pub(crate) fn lent_before(&self) -> Result<Vec<u8>, ReplyError> {
        Ok(self
            .conn
            .get_property(
                false,
                self.root,
                self.lent_property,
                AtomEnum::CARDINAL,
                0,
                64,
            )?
            .reply()?
            .value)
    }

    /// Takes all symbols back from the keycodes that were lent.
    pub(crate) fn take_back(&self, lent: &[u8]) -> Result<(), ConnectionError> {
        for &keycode in lent {
            self.conn.change_keyboard_mapping(1, keycode, 1, &[0])?;
        }
        self.conn.delete_property(self.root, self.lent_property)?;
        Ok(())
    }

    fn collect_events(&mut self) -> Result<(), ConnectionError> {
        while let Some(event) = self.conn.poll_for_event()? {
            match event {
                Event::XkbMapNotify(_) | Event::XkbNewKeyboardNotify(_) => self.stale = true,
                Event::MappingNotify(event) if event.request != xproto::Mapping::POINTER => {
                    self.stale = true
                }
                other => self.events.push_back(other),
            }
        }
        Ok(())
    }
}

impl KeyServer for XServer {
    type Error = ReplyError;

    fn observe(&mut self) -> Result<State, ReplyError> {
        let state = fetch::state(&self.conn, self.root, self.has_xkb)?;
        self.collect_events()?;
        if self.stale {
            self.stale = false;
            self.changed = Some(Instant::now());
            self.map = fetch::keymap(&self.conn, self.has_xkb)?;
        }
        Ok(state)
    }

    fn keymap(&self) -> &Keymap {
        &self.map
    }

    fn map_changed(&self) -> Option<Instant> {
        self.changed
    }

    fn key(&mut self, keycode: u8, down: bool) -> Result<(), ReplyError> {
        let kind = if down {
            xproto::KEY_PRESS_EVENT
        } else {
            xproto::KEY_RELEASE_EVENT
        };
        self.conn
            .xtest_fake_input(kind, keycode, x11rb::CURRENT_TIME, x11rb::NONE, 0, 0, 0)?;
        Ok(())
    }

    fn lock_group(&mut self, group: u8) -> Result<(), ReplyError> {
        if self.has_xkb {
            let nothing = xproto::ModMask::from(0u16);
            self.conn.xkb_latch_lock_state(
                CORE_KEYBOARD,
                nothing,
                nothing,
                true,
                group.into(),
                nothing,
                false,
                0,
            )?;
        }
        Ok(())
    }

    fn lend(&mut self, keycode: u8, keysym: u32, lent: &[u8]) -> Result<(), ReplyError> {
        debug!(keycode, keysym, "lending a keycode");
        // First the record, then the deed: after a crash in between nothing is left behind unknown.
        self.conn.change_property8(
            PropMode::REPLACE,
            self.root,
            self.lent_property,
            AtomEnum::CARDINAL,
            lent,
        )?;
        // One symbol: the server itself puts the capital beside a small letter.
        self.conn
            .change_keyboard_mapping(1, keycode, 1, &[keysym])?;
        Ok(())
    }
}

fn use_xkb(conn: &Link) -> Result<bool, ReplyError> {
    if conn
        .extension_information(xkb::X11_EXTENSION_NAME)?
        .is_none()
    {
        return Ok(false);
    }
    Ok(conn.xkb_use_extension(1, 0)?.reply()?.supported)
}

fn select_events(conn: &Link) -> Result<(), ConnectionError> {
    let kinds = xkb::EventType::NEW_KEYBOARD_NOTIFY
        | xkb::EventType::MAP_NOTIFY
        | xkb::EventType::INDICATOR_STATE_NOTIFY
        | xkb::EventType::BELL_NOTIFY;
    let map = xkb::MapPart::KEY_TYPES
        | xkb::MapPart::KEY_SYMS
        | xkb::MapPart::KEY_ACTIONS
        | xkb::MapPart::MODIFIER_MAP
        | xkb::MapPart::VIRTUAL_MODS;
    conn.xkb_select_events(
        CORE_KEYBOARD,
        xkb::EventType::from(0u16),
        kinds,
        map,
        map,
        &xkb::SelectEventsAux::new(),
    )?;
    Ok(())
}

/// Switches the repetition of held keys off for the keyboard that XTEST keys come from, and for no other.
///
/// The client repeats; a repetition of the server beside it would double that, go on through every delay of the network,
/// and repeat `@` as `2` because the faked Shift is up again.
fn silence_repetition(conn: &Link) -> Result<(), ReplyError> {
    for device in 2..32 {
        let wanted = xkb::XIFeature::from(0u16);
        let info = match conn
            .xkb_get_device_info(
                device,
                wanted,
                false,
                0,
                0,
                xkb::LedClass::DFLT_XI_CLASS,
                xkb::ID::DFLT_XI_ID,
            )?
            .reply()
        {
            Ok(info) => info,
            Err(ReplyError::X11Error(_)) => continue,
            Err(error) => return Err(error),
        };
        if !info.name.ends_with(b"XTEST keyboard") {
            continue;
        }
        let (mods, vmods, options) = (
            xproto::ModMask::from(0u16),
            xkb::VMod::from(0u16),
            xkb::AXOption::from(0u16),
        );
        let none = xkb::BoolCtrl::from(0u32);
        conn.xkb_set_controls(
            device,
            mods,
            mods,
            mods,
            mods,
            vmods,
            vmods,
            vmods,
            vmods,
            0,
            0,
            options,
            xkb::BoolCtrl::REPEAT_KEYS,
            none,
            xkb::Control::CONTROLS_ENABLED,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            none,
            none,
            options,
            options,
            &[0; 32],
        )?;
        return Ok(());
    }
    debug!("no XTEST keyboard found: the X server repeats held keys by itself too");
    Ok(())
}
