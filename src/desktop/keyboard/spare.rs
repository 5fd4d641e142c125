//! Keycodes that the layout leaves unused, lent to symbols that it lacks.
//!
//! ```text
//!   unused ──lend──► lent(symbol, last used) ──lend, when it is the longest unused──► lent(other symbol, …)
//!                            │ the map was replaced (setxkbmap): forgotten
//! ```
//!
//! An application translates a key event with the map it asks for when it gets to the event, so a keycode must keep its
//! symbol for some time after its last use. X tells nobody when an application has caught up; `REST` is far above what a
//! busy one needs, and when none has rested the next new symbol waits instead.
//!
//! Changes of the map keep a distance too: Xlib forgets a change that it reads while it asks for the one before, and the
//! application would not know the symbol until the map changes again.

use std::time::{Duration, Instant};

use super::keysym::canonical;
use super::scancode;
use crate::desktop::keymap::Keymap;

/// How long a keycode keeps its symbol after its last use.
const REST: Duration = Duration::from_millis(400);

/// The shortest time between two changes of the map, whoever makes them.
const DISTANCE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
struct Lent {
    keycode: u8,
    keysym: u32,
    used: Instant,
}

/// The keycodes that are lent.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    lent: Vec<Lent>,
}

/// Where a new symbol may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// To this keycode, now.
    Take(u8),
    /// Every spare key was used a moment ago: ask again then.
    Wait(Instant),
    /// The layout has no spare key, or all are held.
    None,
}

impl Spares {
    /// Forgets the keycodes whose symbol somebody else changed.
    pub(crate) fn reconcile(&mut self, map: &Keymap) {
        self.lent
            .retain(|lent| map.carries(lent.keycode, lent.keysym));
    }

    /// A keycode was pressed or released: it rests from now on.
    pub(crate) fn touch(&mut self, keycode: u8, now: Instant) {
        if let Some(lent) = self.lent.iter_mut().find(|lent| lent.keycode == keycode) {
            lent.used = now;
        }
    }

    /// Finds a keycode for a new symbol. `changed` is when the map changed last, `busy` tells which keys are pressed.
    pub(crate) fn choose(
        &self,
        map: &Keymap,
        changed: Option<Instant>,
        busy: impl Fn(u8) -> bool,
        now: Instant,
    ) -> Choice {
        if let Some(settled) = changed.map(|at| at + DISTANCE).filter(|&at| at > now) {
            return Choice::Wait(settled);
        }
        let free = |code: &u8| !busy(*code) && !self.is_lent(*code);
        // Keys that some keyboard has come last: pressed by scan code, they should not type a stranger's symbol.
        let fresh = map
            .unused()
            .filter(free)
            .min_by_key(|&code| scancode::is_physical(code));
        if let Some(keycode) = fresh {
            return Choice::Take(keycode);
        }
        match self
            .lent
            .iter()
            .filter(|lent| !busy(lent.keycode))
            .min_by_key(|lent| lent.used)
        {
            Some(lent) if lent.used + REST <= now => Choice::Take(lent.keycode),
            Some(lent) => Choice::Wait(lent.used + REST),
            None => Choice::None,
        }
    }

    /// Records that a keycode has a symbol now.
    pub(crate) fn lend(&mut self, keycode: u8, keysym: u32, now: Instant) {
        self.lent.retain(|lent| lent.keycode != keycode);
        self.lent.push(Lent {
            keycode,
            keysym: canonical(keysym),
            used: now,
        });
    }

    /// Every keycode that is lent.
    pub(crate) fn keycodes(&self) -> Vec<u8> {
        self.lent.iter().map(|lent| lent.keycode).collect()
    }

    fn is_lent(&self, keycode: u8) -> bool {
        self.lent.iter().any(|lent| lent.keycode == keycode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desktop::keymap::samples;

    #[test]
    fn unused_codes_first_then_the_longest_unused_after_its_rest() {
        let map = samples::us();
        let mut spares = Spares::default();
        let start = Instant::now();
        let mut now = start;
        let mut taken = Vec::new();
        while let Choice::Take(code) = spares.choose(&map, None, |_| false, now) {
            assert!(!taken.contains(&code));
            spares.lend(code, 0x0100_4f60 + u32::from(code), now);
            taken.push(code);
            now += Duration::from_millis(1);
        }
        assert!(taken.len() > 10);
        assert_eq!(
            spares.choose(&map, None, |_| false, now),
            Choice::Wait(start + REST)
        );
        assert_eq!(
            spares.choose(&map, None, |code| code == taken[0], now),
            Choice::Wait(start + Duration::from_millis(1) + REST)
        );
        assert_eq!(spares.choose(&map, None, |_| true, now), Choice::None);
        assert_eq!(
            spares.choose(&map, Some(now), |_| false, now),
            Choice::Wait(now + DISTANCE)
        );
        spares.touch(taken[0], now);
        assert_eq!(
            spares.choose(
                &map,
                None,
                |_| false,
                start + REST + Duration::from_millis(1)
            ),
            Choice::Take(taken[1])
        );
    }

    #[test]
    fn codes_of_real_keys_come_last() {
        let map = samples::us();
        assert!(
            matches!(Spares::default().choose(&map, None, |_| false, Instant::now()), Choice::Take(code) if !scancode::is_physical(code))
        );
    }

    #[test]
    fn a_replaced_map_takes_the_codes_back() {
        let map = samples::us();
        let mut spares = Spares::default();
        spares.lend(8, 0x0100_4f60, Instant::now());
        spares.lend(38, 'a'.into(), Instant::now());
        spares.reconcile(&map);
        assert_eq!(spares.keycodes(), vec![38]);
    }
}
