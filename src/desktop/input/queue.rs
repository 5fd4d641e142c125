//! What waits for the X server: in order, and bounded.
//!
//! Motion of one client replaces motion of the same client that still waits at the end of the queue; an edge of a key or a
//! button is never merged, and stays where it was: a button goes down where it was pressed. When a client is so far ahead of
//! the X server that the queue is full, its further keys become one `ReleaseAll`: some are lost, and counted, but nothing
//! stays pressed.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::desktop::{Input, InputEvent};

/// Waiting events: some seconds of the fastest typist or pasting tool, and 100 kB.
const CAPACITY: usize = 4096;
/// Waiting texts, each up to the clipboard's limit.
const TEXTS: usize = 2;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    /// A client's key or pointer.
    Input(Input),
    /// A client's clipboard.
    Text(Arc<str>),
}

impl Item {
    /// True for a pointer of the same client with the same buttons.
    fn is_alike(&self, input: &Input) -> bool {
        let (Self::Input(this), InputEvent::Pointer { buttons, .. }) = (self, input.event) else {
            return false;
        };
        let held = |event| matches!(event, InputEvent::Pointer { buttons: b, .. } if b == buttons);
        this.client == input.client && held(this.event)
    }
}

/// What waits, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: VecDeque<Item>,
    texts: usize,
    dropped: u64,
}

impl Queue {
    /// Adds an event.
    pub(crate) fn input(&mut self, input: Input) {
        // The first of those with the same buttons may be the edge.
        let mut ends_with = self.items.iter().rev().take(2).map(|i| i.is_alike(&input));
        if ends_with.len() == 2
            && ends_with.all(|alike| alike)
            && let Some(last) = self.items.back_mut()
        {
            *last = Item::Input(input);
            return;
        }
        if self.items.len() < CAPACITY || matches!(input.event, InputEvent::Gone) {
            self.items.push_back(Item::Input(input));
            return;
        }
        self.dropped += 1;
        match input.event {
            InputEvent::Key { .. } | InputEvent::ReleaseAll => {
                let release = Item::Input(Input {
                    client: input.client,
                    event: InputEvent::ReleaseAll,
                });
                self.replace_beyond_capacity(release, |event| {
                    matches!(event, InputEvent::ReleaseAll)
                });
            }
            // The last state of the pointer counts.
            InputEvent::Pointer { .. } => {
                self.replace_beyond_capacity(Item::Input(input), |event| {
                    matches!(event, InputEvent::Pointer { .. })
                });
            }
            InputEvent::Gone => {}
        }
    }

    /// Adds a clipboard text; of several waiting ones only the last counts.
    pub(crate) fn text(&mut self, text: Arc<str>) {
        if self.texts >= TEXTS
            && let Some(waiting) = self
                .items
                .iter_mut()
                .rev()
                .find(|item| matches!(item, Item::Text(_)))
        {
            *waiting = Item::Text(text);
            return;
        }
        self.texts += 1;
        self.items.push_back(Item::Text(text));
    }

    /// True when nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes the oldest.
    pub(crate) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        if matches!(item, Item::Text(_)) {
            self.texts -= 1;
        }
        Some(item)
    }

    /// Forgets all keys and pointers, keeps the last text: there is no X server for them.
    pub(crate) fn clear_input(&mut self) {
        let last = self
            .items
            .drain(..)
            .rev()
            .find(|item| matches!(item, Item::Text(_)));
        self.texts = usize::from(last.is_some());
        self.items.extend(last);
    }

    /// How many events were lost since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// At most one item of a kind per client lies beyond the capacity.
    fn replace_beyond_capacity(&mut self, item: Item, same: impl Fn(&InputEvent) -> bool) {
        let Item::Input(input) = &item else { return };
        let beyond = self.items.range(CAPACITY..);
        let found = beyond.clone().any(
            |other| matches!(other, Item::Input(o) if o.client == input.client && same(&o.event)),
        );
        if found {
            for other in self.items.range_mut(CAPACITY..) {
                if matches!(other, Item::Input(o) if o.client == input.client && same(&o.event)) {
                    *other = item;
                    return;
                }
            }
        } else {
            self.items.push_back(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn motion(client: u64, x: u16, buttons: u16) -> Input {
        Input {
            client,
            event: InputEvent::Pointer { x, y: 0, buttons },
        }
    }

    fn key(client: u64, keysym: u32, down: bool) -> Input {
        Input {
            client,
            event: InputEvent::Key {
                keysym,
                scancode: None,
                down,
            },
        }
    }

    fn drain(queue: &mut Queue) -> Vec<Item> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn motion_coalesces_but_no_edge_does() {
        let mut queue = Queue::default();
        let kept = [
            motion(1, 1, 0),
            motion(1, 3, 0),
            // Pressed here, wherever it goes then.
            motion(1, 4, 1),
            motion(1, 6, 1),
            motion(1, 7, 0),
            motion(2, 8, 0),
            key(1, 9, true),
            motion(1, 10, 0),
            motion(1, 12, 0),
        ];
        for input in kept {
            queue.input(input);
            if let InputEvent::Pointer { x: 3 | 6 | 12, .. } = input.event {
                for _ in 0..3 {
                    queue.input(input);
                }
            }
        }
        assert_eq!(drain(&mut queue), kept.map(Item::Input));
        queue.input(motion(1, 1, 0));
        queue.input(motion(1, 2, 0));
        queue.input(motion(1, 3, 0));
        let ends = [motion(1, 1, 0), motion(1, 3, 0)];
        assert_eq!(drain(&mut queue), ends.map(Item::Input));
    }

    #[test]
    fn a_flood_is_bounded_and_ends_released() {
        let mut queue = Queue::default();
        for n in 0..100_000 {
            queue.input(key(1, n, n % 2 == 0));
            queue.input(motion(2, (n % 999) as u16, (n % 2) as u16));
        }
        queue.input(Input {
            client: 3,
            event: InputEvent::Gone,
        });
        let dropped = queue.take_dropped();
        let items = drain(&mut queue);
        assert_eq!(items.len(), CAPACITY + 3);
        assert_eq!(
            items[CAPACITY..]
                .iter()
                .filter(|i| **i
                    == Item::Input(Input {
                        client: 1,
                        event: InputEvent::ReleaseAll
                    }))
                .count(),
            1
        );
        assert_eq!(dropped, 200_000 - CAPACITY as u64);
    }

    #[test]
    fn the_last_text_counts() {
        let mut queue = Queue::default();
        for text in ["a", "b", "c"] {
            queue.text(text.into());
        }
        assert_eq!(
            drain(&mut queue),
            [Item::Text("a".into()), Item::Text("c".into())]
        );
        queue.text("d".into());
        queue.input(key(1, 9, true));
        queue.clear_input();
        assert_eq!(drain(&mut queue), [Item::Text("d".into())]);
        queue.text("e".into());
        assert_eq!(drain(&mut queue), [Item::Text("e".into())]);
    }
}
