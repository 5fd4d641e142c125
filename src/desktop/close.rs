//! Asks windows to close, as a click on their close button does (ICCCM 4.2.8, `WM_DELETE_WINDOW`), and counts who is
//! still there.
//!
//! ```text
//!   Quiet ── begin ──▶ Clocking ── the server's time ──▶ Asking ── each window once ──▶ Following
//!                                                           └── nobody takes part ──▶ Quiet
//! ```
//!
//! Each window is asked once. What appears afterwards is a question ("save before closing?") or a notice, and is waited
//! for, but never asked. Docks and desktops have nothing to save; windows that do not take part cannot be asked.

use std::collections::{HashSet, VecDeque};

use x11rb::cookie::Cookie;
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, EventMask, GetPropertyReply, MapState,
    PropMode, Timestamp, Window,
};
use x11rb::wrapper::ConnectionExt as _;

use super::connect::Link;

x11rb::atom_manager! {
    /// The atoms of this file.
    Atoms: AtomsCookie {
        WM_PROTOCOLS,
        WM_DELETE_WINDOW,
        WM_STATE,
        WM_TRANSIENT_FOR,
        _NET_WM_NAME,
        _NET_WM_WINDOW_TYPE,
        _NET_WM_WINDOW_TYPE_DESKTOP,
        _NET_WM_WINDOW_TYPE_DOCK,
        UTF8_STRING,
    }
}

/// `WM_STATE` of a window that is an icon (ICCCM 4.1.3.1).
const ICONIC: u32 = 3;

/// More windows than these are not looked at.
const LIMIT: usize = 1024;

/// Words of a property that are read: more protocols or types than these nobody has.
const WORDS: u32 = 32;

/// Who has been asked.
pub(super) struct Close {
    atoms: Atoms,
    root: Window,
    /// A window of ours whose changes tell the server's time.
    clock: Window,
    state: State,
}

enum State {
    Quiet,
    Clocking,
    Asking(Timestamp),
    /// Windows that were there before and were not asked.
    Following(HashSet<Window>),
}

impl Close {
    /// `clock` is a window of ours of whose property changes we hear.
    pub(super) fn open(link: &Link, root: Window, clock: Window) -> Result<Self, ReplyOrIdError> {
        Ok(Self {
            atoms: Atoms::new(link)?.reply()?,
            root,
            clock,
            state: State::Quiet,
        })
    }

    /// Everybody is to be asked. The server is asked for its time first: a question that appears because of a message
    /// without one may not get the keyboard.
    pub(super) fn begin(&mut self, link: &Link) -> Result<(), ConnectionError> {
        let (name, text) = (self.atoms._NET_WM_NAME, self.atoms.UTF8_STRING);
        link.change_property8(PropMode::APPEND, self.clock, name, text, &[])?
            .ignore_error();
        self.state = State::Clocking;
        Ok(())
    }

    /// A property has changed; true when that was the time.
    pub(super) fn property_changed(&mut self, window: Window, atom: u32, time: Timestamp) -> bool {
        let told = matches!(self.state, State::Clocking)
            && (window, atom) == (self.clock, self.atoms._NET_WM_NAME);
        if told {
            self.state = State::Asking(time);
        }
        told
    }

    /// Asking, or counting who is left.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.state, State::Asking(_) | State::Following(_))
    }

    /// Asks if that is due. How many that were asked, or have come since, are there; `None` while nobody is to be asked.
    /// `managed` are the windows that a window manager lists, if one does.
    pub(super) fn turn(
        &mut self,
        link: &Link,
        managed: Option<&HashSet<Window>>,
    ) -> Result<Option<u32>, ConnectionError> {
        if !self.is_active() {
            return Ok(None);
        }
        let windows: Vec<Window> = match managed {
            Some(list) => list.iter().copied().collect(),
            None => self.unmanaged(link)?,
        };
        let ignored = match &self.state {
            State::Asking(time) => self.ask(link, &windows, *time)?,
            State::Following(ignored) => ignored.clone(),
            State::Quiet | State::Clocking => return Ok(None),
        };
        let left = windows.iter().filter(|w| !ignored.contains(w)).count();
        self.state = match (&self.state, left) {
            (State::Asking(_), 0) => State::Quiet,
            _ => State::Following(ignored),
        };
        Ok(Some(u32::try_from(left).unwrap_or(u32::MAX)))
    }

    /// Asks each of these; those that were not asked.
    fn ask(
        &self,
        link: &Link,
        windows: &[Window],
        time: Timestamp,
    ) -> Result<HashSet<Window>, ConnectionError> {
        let atoms = &self.atoms;
        let idle = [
            atoms._NET_WM_WINDOW_TYPE_DESKTOP,
            atoms._NET_WM_WINDOW_TYPE_DOCK,
        ];
        let cookies: Vec<_> = windows
            .iter()
            .map(|&window| {
                let ask = |atom| link.get_property(false, window, atom, AtomEnum::ANY, 0, WORDS);
                Ok((
                    window,
                    ask(atoms.WM_PROTOCOLS)?,
                    ask(atoms._NET_WM_WINDOW_TYPE)?,
                    ask(atoms.WM_TRANSIENT_FOR)?,
                ))
            })
            .collect::<Result<_, ConnectionError>>()?;
        let (mut asked, mut ignored) = (Vec::new(), HashSet::new());
        for (window, protocols, types, owner) in cookies {
            let (protocols, types) = (words(protocols)?, words(types)?);
            let owned = words(owner)?.iter().any(|owner| *owner != 0);
            if protocols.contains(&atoms.WM_DELETE_WINDOW)
                && !types.iter().any(|t| idle.contains(t))
            {
                asked.push((!owned, window));
            } else {
                ignored.insert(window);
            }
        }
        // Dialogs first: many programs do not close a window while one of its dialogs is open.
        asked.sort_unstable();
        for (_, window) in asked {
            let data = [atoms.WM_DELETE_WINDOW, time, 0, 0, 0];
            let message = ClientMessageEvent::new(32, window, atoms.WM_PROTOCOLS, data);
            // One that went meanwhile needs no message.
            link.send_event(false, window, EventMask::NO_EVENT, message)?
                .ignore_error();
        }
        Ok(ignored)
    }

    /// Without a manager that lists them: the first windows below the root that take part and are visible, or icons.
    fn unmanaged(&self, link: &Link) -> Result<Vec<Window>, ConnectionError> {
        let atoms = &self.atoms;
        let mut found = Vec::new();
        let mut seen = 0;
        let mut parents = VecDeque::from([self.root]);
        while let Some(parent) = parents.pop_front().filter(|_| seen < LIMIT) {
            let children = match link.query_tree(parent)?.reply() {
                Ok(tree) => tree.children,
                Err(ReplyError::ConnectionError(e)) => return Err(e),
                Err(ReplyError::X11Error(_)) => continue,
            };
            let cookies: Vec<_> = children
                .into_iter()
                .take(LIMIT - seen)
                .map(|window| {
                    let ask =
                        |atom| link.get_property(false, window, atom, AtomEnum::ANY, 0, WORDS);
                    let attributes = link.get_window_attributes(window)?;
                    let properties = (ask(atoms.WM_PROTOCOLS)?, ask(atoms.WM_STATE)?);
                    Ok((window, attributes, properties))
                })
                .collect::<Result<_, ConnectionError>>()?;
            seen += cookies.len();
            for (window, attributes, (protocols, state)) in cookies {
                let viewable = match attributes.reply() {
                    Ok(a) => a.map_state == MapState::VIEWABLE && !a.override_redirect,
                    Err(ReplyError::ConnectionError(e)) => return Err(e),
                    Err(ReplyError::X11Error(_)) => false,
                };
                let protocols = words(protocols)?;
                let icon = words(state)?.first() == Some(&ICONIC);
                if !protocols.contains(&atoms.WM_DELETE_WINDOW) {
                    parents.push_back(window);
                } else if viewable || icon {
                    found.push(window);
                }
            }
        }
        Ok(found)
    }
}

/// The words of a property; none when it or its window does not exist.
fn words(cookie: Cookie<'_, Link, GetPropertyReply>) -> Result<Vec<u32>, ConnectionError> {
    match cookie.reply() {
        Ok(property) => Ok(property.value32().into_iter().flatten().collect()),
        Err(ReplyError::ConnectionError(e)) => Err(e),
        Err(ReplyError::X11Error(_)) => Ok(Vec::new()),
    }
}
