//! Keys of clients → keys of the X server.
//!
//! A client names a key by its symbol (keysym) and perhaps by its place (scan code). Best is to press the key at that place:
//! applications then see what a local keyboard would do. But it must give the symbol, or a client with another layout types
//! nonsense. So:
//!
//! ```text
//!  down(keysym, scan code)
//!    │ 1. the key at that place gives the symbol now, or is a function key that has it  ──► press it
//!    │ 2. some key gives it with other modifiers or in another layout                   ──► fake those, press, restore
//!    │ 3. the layout lacks the symbol                              ──► lend it a spare keycode, then as 2
//!    │ 4. nothing to press (a modifier that nobody has)                                 ──► ignored
//!  up ──► whatever that client's press became
//! ```
//!
//! A repeated `down` is release and press again of the same keycode, except for modifiers: XTEST ignores the press of a key
//! that is down, and the X server's own repetition is switched off for XTEST keys (see [`server`]). So a held key repeats
//! once for each repetition of the client, at the client's pace, and a late release over a slow line repeats nothing.
//!
//! With Control, Alt or Super held a key is a command, not text: it is the key at that place that counts when the client's
//! layout has no Latin letters, and Caps Lock on one side only must not turn Ctrl+C into Ctrl+Shift+C.

pub(crate) mod held;
pub(crate) mod keysym;
pub(crate) mod scancode;
pub(crate) mod server;
pub(crate) mod spare;
#[cfg(test)]
mod tests;

use std::time::Instant;

use held::{Held, Name};
use keysym::{canonical, lower};
use spare::{Choice, Spares};
use tracing::debug;

use super::keymap::{Keymap, State, Stroke};

/// The X server, as far as keys are concerned; the tests put a model in its place.
pub(crate) trait KeyServer {
    /// Why the server did not answer.
    type Error;
    /// The state now. Also brings the map up to date; it does not change until the next call.
    fn observe(&mut self) -> Result<State, Self::Error>;
    /// The map at the last `observe`.
    fn keymap(&self) -> &Keymap;
    /// When the map changed last, if it did.
    fn map_changed(&self) -> Option<Instant>;
    /// Presses or releases a key.
    fn key(&mut self, keycode: u8, down: bool) -> Result<(), Self::Error>;
    /// Puts a layout in force.
    fn lock_group(&mut self, group: u8) -> Result<(), Self::Error>;
    /// Gives a keycode a symbol; `lent` are all keycodes that have got one this way.
    fn lend(&mut self, keycode: u8, keysym: u32, lent: &[u8]) -> Result<(), Self::Error>;
}

/// What became of a key event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is done.
    Done,
    /// It must be given again at that time, before any later event.
    Wait(Instant),
}

enum Decision {
    Press(Stroke),
    Lend,
    Nothing,
}

/// All keys that clients hold, and the keycodes lent for them.
#[derive(Debug, Default)]
pub(crate) struct Keyboard {
    raw: bool,
    held: Held,
    spares: Spares,
}

impl Keyboard {
    /// `raw`: a scan code decides alone.
    pub(crate) fn new(raw: bool) -> Keyboard {
        Keyboard {
            raw,
            ..Keyboard::default()
        }
    }

    /// A key of a client went down, or repeats.
    pub(crate) fn down<S: KeyServer>(
        &mut self,
        server: &mut S,
        client: u64,
        name: Name,
        now: Instant,
    ) -> Result<Outcome, S::Error> {
        let mut state = server.observe()?;
        self.spares.reconcile(server.keymap());
        let mut decision = self.decide(server.keymap(), &state, &name);
        if let Decision::Lend = decision {
            let busy = |code| state.is_down(code) || self.held.holds(code);
            match self
                .spares
                .choose(server.keymap(), server.map_changed(), busy, now)
            {
                Choice::Wait(until) => return Ok(Outcome::Wait(until)),
                Choice::None => {
                    debug!(
                        keysym = name.keysym,
                        "no spare key for a symbol that the layout lacks"
                    );
                    return Ok(Outcome::Done);
                }
                Choice::Take(keycode) => {
                    self.spares.lend(keycode, name.keysym, now);
                    server.lend(
                        keycode,
                        keysym::plainest(name.keysym),
                        &self.spares.keycodes(),
                    )?;
                    state = server.observe()?;
                    decision = self.decide(server.keymap(), &state, &name);
                }
            }
        }
        if let Decision::Press(stroke) = decision {
            self.press(server, client, name, &stroke, &state, now)?;
        }
        Ok(Outcome::Done)
    }

    /// A key of a client went up. What it did not press it cannot release.
    pub(crate) fn up<S: KeyServer>(
        &mut self,
        server: &mut S,
        client: u64,
        name: Name,
        now: Instant,
    ) -> Result<(), S::Error> {
        let map = server.keymap();
        if let Some((keycode, last)) = self
            .held
            .release(client, &name, |code, keysym| map.carries(code, keysym))
        {
            self.spares.touch(keycode, now);
            if last {
                server.key(keycode, false)?;
            }
        }
        Ok(())
    }

    /// Releases everything that a client holds: its other keys before its modifiers, so that no key is seen without them.
    pub(crate) fn release_all<S: KeyServer>(
        &mut self,
        server: &mut S,
        client: u64,
    ) -> Result<(), S::Error> {
        let (modifiers, others): (Vec<u8>, Vec<u8>) = self
            .held
            .release_all(client)
            .into_iter()
            .partition(|&code| server.keymap().is_modifier_key(code));
        for keycode in others.into_iter().chain(modifiers) {
            server.key(keycode, false)?;
        }
        Ok(())
    }

    /// Releases everything that anybody holds.
    pub(crate) fn release_everything<S: KeyServer>(
        &mut self,
        server: &mut S,
    ) -> Result<(), S::Error> {
        self.held
            .clients()
            .into_iter()
            .try_for_each(|client| self.release_all(server, client))
    }

    /// The keycodes that are lent to symbols.
    pub(crate) fn lent(&self) -> Vec<u8> {
        self.spares.keycodes()
    }

    /// Releases what an earlier process left pressed when it was killed; keys of real keyboards stay as they are.
    pub(crate) fn release_strays<S: KeyServer>(server: &mut S) -> Result<(), S::Error> {
        let state = server.observe()?;
        (0..=u8::MAX)
            .filter(|&code| state.is_down(code))
            .try_for_each(|code| server.key(code, false))
    }

    /// Takes over the keycodes that an earlier process had lent to symbols on this server.
    pub(crate) fn inherit(&mut self, map: &Keymap, keycodes: &[u8], now: Instant) {
        for &keycode in keycodes {
            if let Some(keysym) = map.only_symbol(keycode) {
                self.spares.lend(keycode, keysym, now);
            }
        }
    }

    fn decide(&self, map: &Keymap, state: &State, name: &Name) -> Decision {
        let wanted = canonical(name.keysym);
        let place = name
            .scancode
            .and_then(scancode::keycode)
            .filter(|&code| map.has(code));
        if let Some(code) = place.filter(|_| self.raw || name.keysym == 0) {
            return Decision::Press(Stroke::plain(code));
        }
        if name.keysym == 0 {
            return Decision::Nothing;
        }
        if !keysym::is_exact(wanted) {
            return decide_function(map, state, wanted, place);
        }
        let mods = state.mods();
        let here = place.and_then(|code| {
            map.symbol(code, mods, state.group)
                .map(|symbol| (code, symbol))
        });
        let accept = |symbol: u32| canonical(symbol) == wanted;
        if let Some((code, symbol)) = here {
            // A layout without Latin letters at the client: Ctrl+С (Cyrillic) is meant as Ctrl+C.
            let foreign = map.is_command(mods)
                && keysym::is_letter(wanted)
                && !keysym::is_ascii_letter(wanted)
                && keysym::is_ascii_letter(symbol);
            if accept(symbol) || foreign {
                return Decision::Press(Stroke::plain(code));
            }
        }
        if map.is_caseless_command(mods) && keysym::is_letter(wanted) {
            let small = lower(wanted);
            let either_case = |symbol: u32| lower(symbol) == small;
            if let Some(stroke) = map.stroke(state, place, false, either_case) {
                return Decision::Press(stroke);
            }
        }
        match map.stroke(state, place, true, accept) {
            Some(stroke) => Decision::Press(stroke),
            None if keysym::is_mappable(wanted) => Decision::Lend,
            None => Decision::Nothing,
        }
    }

    fn press<S: KeyServer>(
        &mut self,
        server: &mut S,
        client: u64,
        name: Name,
        stroke: &Stroke,
        state: &State,
        now: Instant,
    ) -> Result<(), S::Error> {
        let keycode = stroke.keycode;
        let was_held = self.held.holds(keycode);
        match self.held.keycode(client, &name) {
            Some(before) if before == keycode => {}
            before => {
                if before.is_some() {
                    // The same key means another keycode now (the layout changed while it was held).
                    self.up(server, client, name, now)?;
                }
                if !self.held.press(client, name, keycode) {
                    debug!(client, "too many keys held");
                    return Ok(());
                }
            }
        }
        self.spares.touch(keycode, now);
        if was_held && server.keymap().is_modifier_key(keycode) {
            return Ok(());
        }
        for &code in &stroke.release {
            server.key(code, false)?;
        }
        for &code in &stroke.press {
            server.key(code, true)?;
        }
        if let Some(group) = stroke.group {
            server.lock_group(group)?;
        }
        if was_held {
            server.key(keycode, false)?;
        }
        server.key(keycode, true)?;
        if stroke.group.is_some() {
            server.lock_group(state.locked_group)?;
        }
        for &code in stroke.press.iter().rev() {
            server.key(code, false)?;
        }
        // Only what a client holds: anything else that was down would be down for ever.
        for &code in stroke.release.iter().filter(|&&code| self.held.holds(code)) {
            server.key(code, true)?;
        }
        Ok(())
    }
}

/// Keys that are no text: the modifiers that the client holds are meant to go with them (Shift+Tab, Ctrl+Alt+F1), so the
/// key is pressed as it is, whatever symbol the modifiers select on it.
fn decide_function(map: &Keymap, state: &State, wanted: u32, place: Option<u8>) -> Decision {
    if let Some(code) = place.filter(|&code| map.carries(code, wanted)) {
        return Decision::Press(Stroke::plain(code));
    }
    if let Some(code) = map.plain_key(wanted, state, place) {
        return Decision::Press(Stroke::plain(code));
    }
    if !keysym::is_modifier(wanted) {
        if let Some(stroke) = map.stroke(state, place, true, |symbol| canonical(symbol) == wanted) {
            return Decision::Press(stroke);
        }
        return if keysym::is_mappable(wanted) {
            Decision::Lend
        } else {
            Decision::Nothing
        };
    }
    let equivalent = keysym::equivalents(wanted)
        .iter()
        .find_map(|&other| map.plain_key(other, state, place));
    equivalent.map_or(Decision::Nothing, |code| {
        Decision::Press(Stroke::plain(code))
    })
}
