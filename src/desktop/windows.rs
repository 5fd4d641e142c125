//! Who manages the windows, and how many there are (EWMH 1.5, "Root Window Properties").
//!
//! The property `_NET_SUPPORTING_WM_CHECK` outlives a window manager that was killed; the window it names does not. So a
//! manager runs when that window exists and carries the same property. It is ready when it has written its list of
//! windows too: openbox announces itself long before it looks after anybody, and a program that maps a window in between
//! waits five seconds for an answer.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, EventMask, GetPropertyReply,
    GetWindowAttributesReply, MapState, PropertyNotifyEvent, Window, WindowClass,
};

use super::close::Close;
use super::connect::Link;
use super::greeting::Greeting;
use super::shared::Shared;

x11rb::atom_manager! {
    /// The atoms of this file.
    pub(super) Atoms: AtomsCookie {
        _NET_SUPPORTING_WM_CHECK,
        _NET_SUPPORTED,
        _NET_CLIENT_LIST,
        _NET_REQUEST_FRAME_EXTENTS,
        _NET_FRAME_EXTENTS,
        _NET_WM_NAME,
        UTF8_STRING,
    }
}

/// Changes closer together than this are looked at once.
const PAUSE: Duration = Duration::from_millis(20);

/// More windows than these are not counted (and not watched).
const LIMIT: u32 = 1024;

/// What is known of the windows.
pub(super) struct Windows {
    atoms: Atoms,
    root: Window,
    /// By which the manager is known that was told of last.
    check: Option<Window>,
    /// Client windows whose mapping is watched.
    watched: HashSet<Window>,
    /// One of these has gone since they were counted.
    lost: bool,
    greeting: Greeting,
    close: Close,
    dirty: bool,
    last: Option<Instant>,
}

impl Windows {
    /// Asks for notice of what happens on the root window.
    pub(super) fn open(link: &Link, root: Window) -> Result<Self, ReplyOrIdError> {
        let mask = EventMask::PROPERTY_CHANGE
            | EventMask::STRUCTURE_NOTIFY
            | EventMask::SUBSTRUCTURE_NOTIFY;
        let attributes = ChangeWindowAttributesAux::new().event_mask(mask);
        link.change_window_attributes(root, &attributes)?.check()?;
        let greeting = Greeting::open(link, root)?;
        Ok(Self {
            atoms: Atoms::new(link)?.reply()?,
            root,
            check: None,
            watched: HashSet::new(),
            lost: false,
            close: Close::open(link, root, greeting.subject())?,
            greeting,
            dirty: true,
            last: None,
        })
    }

    /// A window was mapped, unmapped or destroyed.
    pub(super) fn changed(&mut self) {
        self.dirty = true;
        if self.close.is_active() {
            // The end waits for the last window.
            self.last = None;
        }
    }

    /// A window was destroyed. That of a manager is the end of it, which is told although another of the same name may be
    /// there before anybody looks again: `run` waits to hear of that one.
    pub(super) fn destroyed(&mut self, window: Window, shared: &Shared) {
        if self.check == Some(window) {
            self.check = None;
            self.greeting.forget();
            shared.change(|status| status.window_manager = None);
        }
        // Another client may get its number.
        self.lost |= self.watched.remove(&window);
        self.changed();
    }

    /// Asks all windows to close; how many are left is told when it changes.
    pub(super) fn close(&mut self, link: &Link) -> Result<(), ConnectionError> {
        self.close.begin(link)
    }

    /// A property of the root window, or of one of our own, changed.
    pub(super) fn property_changed(&mut self, event: &PropertyNotifyEvent) {
        let (window, atom) = (event.window, event.atom);
        let answer = atom == self.atoms._NET_FRAME_EXTENTS && self.greeting.heard(window);
        if answer || self.close.property_changed(window, atom, event.time) {
            self.dirty = true;
            // The application waits for this.
            self.last = None;
        }
        let atoms = &self.atoms;
        let of_manager = [
            atoms._NET_CLIENT_LIST,
            atoms._NET_SUPPORTED,
            atoms._NET_SUPPORTING_WM_CHECK,
        ];
        if of_manager.contains(&atom) {
            self.changed();
        }
    }

    /// When [`Windows::refresh`] has something to do.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let changed = self.dirty.then(|| self.last.map_or(now, |at| at + PAUSE));
        changed.into_iter().chain(self.greeting.deadline()).min()
    }

    /// Looks again, if something changed.
    pub(super) fn refresh(
        &mut self,
        link: &Link,
        shared: &Shared,
        now: Instant,
    ) -> Result<(), ConnectionError> {
        if self.deadline(now).is_none_or(|at| now < at) {
            return Ok(());
        }
        self.dirty = false;
        self.last = Some(now);
        let found = self.manager(link, now)?;
        let check = found.as_ref().map(|(window, _)| *window);
        let before = std::mem::replace(&mut self.check, check);
        if before.is_some() && before != check {
            shared.change(|status| status.window_manager = None);
        }
        let manager = found.map(|(_, name)| name);
        let clients = match &manager {
            Some(_) => self.managed(link)?,
            None => self.top_level(link)?,
        };
        // One has gone and another has come, which `run` waits to hear of, too.
        if std::mem::take(&mut self.lost) && clients > 0 {
            shared.change(|status| {
                if status.windows == clients {
                    status.windows -= 1;
                }
            });
        }
        // Not every manager lists them.
        let listed = (!self.watched.is_empty()).then_some(&self.watched);
        let closing = self.close.turn(link, listed)?;
        shared.change(|status| {
            status.window_manager = manager;
            status.windows = clients;
            status.closing = closing.or(status.closing);
        });
        Ok(())
    }

    /// The window manager that runs and is ready: the window by which it is known, and its name.
    fn manager(
        &mut self,
        link: &Link,
        now: Instant,
    ) -> Result<Option<(Window, String)>, ConnectionError> {
        let atoms = self.atoms;
        let check = |window| -> Result<Option<Window>, ConnectionError> {
            let property = self.property(link, window, atoms._NET_SUPPORTING_WM_CHECK, 1)?;
            Ok(property.and_then(|p| p.value32()?.next()))
        };
        let window = match check(self.root)? {
            Some(window) if check(window)? == Some(window) => window,
            _ => {
                self.greeting.forget();
                return Ok(None);
            }
        };
        let supported = self.property(link, self.root, atoms._NET_SUPPORTED, LIMIT)?;
        let supported: HashSet<u32> = supported
            .iter()
            .filter_map(|p| p.value32())
            .flatten()
            .collect();
        let list = self.property(link, self.root, atoms._NET_CLIENT_LIST, 0)?;
        if supported.contains(&atoms._NET_CLIENT_LIST) && list.is_none() {
            self.greeting.forget();
            return Ok(None);
        }
        let question = atoms._NET_REQUEST_FRAME_EXTENTS;
        if !supported.contains(&question) {
            self.greeting.forget();
        } else if !self.greeting.answers(link, window, question, now)? {
            return Ok(None);
        }
        let mut name = String::new();
        for atom in [atoms._NET_WM_NAME, AtomEnum::WM_NAME.into()] {
            if let Some(property) = self.property(link, window, atom, 64)? {
                name = String::from_utf8_lossy(&property.value)
                    .chars()
                    .filter(|c| !c.is_control())
                    .collect();
            }
            if !name.is_empty() {
                return Ok(Some((window, name)));
            }
        }
        Ok(Some((window, "unnamed".to_owned())))
    }

    /// Counts the viewable windows that the manager lists.
    fn managed(&mut self, link: &Link) -> Result<u32, ConnectionError> {
        let list = self.property(link, self.root, self.atoms._NET_CLIENT_LIST, LIMIT)?;
        let list: HashSet<Window> = list.iter().filter_map(|p| p.value32()).flatten().collect();
        // A client may be mapped within its frame after the frame, which the root window does not hear of.
        let attributes = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        for window in list.difference(&self.watched) {
            link.change_window_attributes(*window, &attributes)?
                .ignore_error();
        }
        let viewable = self.count(link, list.iter().copied(), |a| {
            a.map_state == MapState::VIEWABLE
        })?;
        self.lost |= !self.watched.is_subset(&list);
        self.watched = list;
        Ok(viewable)
    }

    /// Counts the windows that look like those of applications, for want of a manager that lists them.
    fn top_level(&mut self, link: &Link) -> Result<u32, ConnectionError> {
        let tree = match link.query_tree(self.root)?.reply() {
            Ok(tree) => tree,
            Err(ReplyError::ConnectionError(e)) => return Err(e),
            Err(ReplyError::X11Error(_)) => return Ok(0),
        };
        self.watched.clear();
        let windows = tree.children.into_iter().take(LIMIT as usize);
        self.count(link, windows, |a| {
            a.map_state == MapState::VIEWABLE
                && !a.override_redirect
                && a.class == WindowClass::INPUT_OUTPUT
        })
    }

    fn count(
        &self,
        link: &Link,
        windows: impl Iterator<Item = Window>,
        test: impl Fn(&GetWindowAttributesReply) -> bool,
    ) -> Result<u32, ConnectionError> {
        let cookies: Vec<_> = windows
            .map(|w| link.get_window_attributes(w))
            .collect::<Result<_, _>>()?;
        let mut number = 0;
        for cookie in cookies {
            match cookie.reply() {
                Ok(attributes) => number += u32::from(test(&attributes)),
                Err(ReplyError::ConnectionError(e)) => return Err(e),
                // Destroyed meanwhile.
                Err(ReplyError::X11Error(_)) => {}
            }
        }
        Ok(number)
    }

    /// A property of any type; `None` when it or the window does not exist.
    fn property(
        &self,
        link: &Link,
        window: Window,
        atom: u32,
        words: u32,
    ) -> Result<Option<GetPropertyReply>, ConnectionError> {
        match link
            .get_property(false, window, atom, AtomEnum::ANY, 0, words)?
            .reply()
        {
            Ok(property) => Ok((property.type_ != 0).then_some(property)),
            Err(ReplyError::ConnectionError(e)) => Err(e),
            Err(ReplyError::X11Error(_)) => Ok(None),
        }
    }
}
