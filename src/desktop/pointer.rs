//! Pointers of clients → the pointer of the X server.
//!
//! There is one pointer and many clients, each with its own idea of the buttons: a button is down while some client holds
//! it. RFB's mask bit n is X button n+1: left, middle, right, the wheel up, down, left, right, back, forward.

use std::collections::BTreeMap;

/// Buttons that RFB has (with the extension of nine buttons).
const BUTTONS: u16 = 0x1ff;

/// Something that the X server's pointer must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Go there.
    Move(u16, u16),
    /// Press (`true`) or release an X button.
    Button(u8, bool),
}

/// The record of all clients' buttons.
#[derive(Debug, Default)]
pub(crate) struct Pointer {
    clients: BTreeMap<u64, u16>,
    pressed: u16,
}

impl Pointer {
    /// A client's pointer is there, with these buttons.
    pub(crate) fn event(
        &mut self,
        client: u64,
        x: u16,
        y: u16,
        buttons: u16,
    ) -> impl Iterator<Item = Action> + use<> {
        let buttons = buttons & BUTTONS;
        if buttons == 0 {
            self.clients.remove(&client);
        } else {
            self.clients.insert(client, buttons);
        }
        std::iter::once(Action::Move(x, y)).chain(self.update())
    }

    /// A client lets go of everything.
    pub(crate) fn release_all(&mut self, client: u64) -> impl Iterator<Item = Action> + use<> {
        self.clients.remove(&client);
        self.update()
    }

    /// All clients let go of everything.
    pub(crate) fn release_everything(&mut self) -> impl Iterator<Item = Action> + use<> {
        self.clients.clear();
        self.update()
    }

    /// Releases what an earlier process left pressed when it was killed.
    pub(crate) fn release_strays() -> impl Iterator<Item = Action> {
        (1..=9).map(|button| Action::Button(button, false))
    }

    fn update(&mut self) -> impl Iterator<Item = Action> + use<> {
        let wanted = self.clients.values().fold(0, |all, mask| all | mask);
        let changed = wanted ^ self.pressed;
        self.pressed = wanted;
        (0u8..9)
            .filter(move |n| changed >> n & 1 == 1)
            .map(move |n| Action::Button(n + 1, wanted >> n & 1 == 1))
    }
}

#[cfg(test)]
mod tests {
    use super::Action::{Button, Move};
    use super::*;

    fn event(pointer: &mut Pointer, client: u64, buttons: u16) -> Vec<Action> {
        pointer.event(client, 3, 4, buttons).collect()
    }

    #[test]
    fn bits_are_buttons() {
        let mut pointer = Pointer::default();
        assert_eq!(event(&mut pointer, 1, 0), [Move(3, 4)]);
        assert_eq!(event(&mut pointer, 1, 1), [Move(3, 4), Button(1, true)]);
        assert_eq!(event(&mut pointer, 1, 1 | 8), [Move(3, 4), Button(4, true)]);
        assert_eq!(event(&mut pointer, 1, 1), [Move(3, 4), Button(4, false)]);
        assert_eq!(
            event(&mut pointer, 1, 0x180),
            [
                Move(3, 4),
                Button(1, false),
                Button(8, true),
                Button(9, true)
            ]
        );
        assert_eq!(
            event(&mut pointer, 1, 0xfe00),
            [Move(3, 4), Button(8, false), Button(9, false)]
        );
    }

    #[test]
    fn a_button_is_down_while_somebody_holds_it() {
        let mut pointer = Pointer::default();
        event(&mut pointer, 1, 1);
        assert_eq!(event(&mut pointer, 2, 1 | 4), [Move(3, 4), Button(3, true)]);
        assert_eq!(event(&mut pointer, 1, 0), [Move(3, 4)]);
        assert_eq!(
            pointer.release_all(2).collect::<Vec<_>>(),
            [Button(1, false), Button(3, false)]
        );
        assert_eq!(pointer.release_all(2).count(), 0);
    }
}
