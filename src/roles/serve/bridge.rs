//! Between the desktop, which knows no viewers, and the hub, which knows no X.

use super::uplink::Uplink;
use crate::desktop::{Desktop, DesktopEvent, Input, InputEvent, Sink};
use crate::server::{Hub, Seat};
use std::sync::{Arc, OnceLock};

/// The hub's [`Seat`] and the desktop's [`Sink`] in one.
pub(super) struct Bridge {
    /// Set before the desktop starts, so that no event is lost.
    hub: OnceLock<Arc<Hub>>,
    /// Set before anybody can connect.
    desktop: OnceLock<Desktop>,
    uplink: Option<Arc<Uplink>>,
    send_clipboard: bool,
}

impl Bridge {
    pub(super) fn new(uplink: Option<Arc<Uplink>>, send_clipboard: bool) -> Self {
        Self {
            hub: OnceLock::new(),
            desktop: OnceLock::new(),
            uplink,
            send_clipboard,
        }
    }

    /// Who hears what happens on the desktop. Only the first call counts.
    pub(super) fn set_hub(&self, hub: Arc<Hub>) {
        let _ = self.hub.set(hub);
    }

    /// Where input goes. Only the first call counts.
    pub(super) fn set_desktop(&self, desktop: Desktop) {
        let _ = self.desktop.set(desktop);
    }

    fn input(&self, client: u64, event: InputEvent) {
        if let Some(uplink) = self.uplink.as_ref().filter(|_| event != InputEvent::Gone) {
            uplink.input();
        }
        if let Some(desktop) = self.desktop.get() {
            desktop.input(Input { client, event });
        }
    }
}

impl Seat for Bridge {
    fn request_frame(&self) {
        if let Some(desktop) = self.desktop.get() {
            desktop.request_frame();
        }
    }

    fn request_look(&self) -> u64 {
        self.desktop.get().map_or(0, Desktop::request_look)
    }

    fn key(&self, client: u64, keysym: u32, scancode: Option<u32>, down: bool) {
        self.input(
            client,
            InputEvent::Key {
                keysym,
                scancode,
                down,
            },
        );
    }

    fn pointer(&self, client: u64, x: u16, y: u16, buttons: u16) {
        self.input(client, InputEvent::Pointer { x, y, buttons });
    }

    fn gone(&self, client: u64) {
        self.input(client, InputEvent::Gone);
    }

    fn set_clipboard(&self, text: Arc<str>) {
        if let Some(desktop) = self.desktop.get() {
            desktop.set_clipboard(text);
        }
    }

    fn resize(&self, width: u16, height: u16, done: Box<dyn FnOnce(bool) + Send>) {
        match self.desktop.get() {
            Some(desktop) => desktop.resize(
                width,
                height,
                Box::new(move |result| {
                    if let Err(e) = &result {
                        tracing::info!(width, height, error = %e, "the screen keeps its size");
                    }
                    done(result.is_ok());
                }),
            ),
            None => done(false),
        }
    }
}

impl Sink for Bridge {
    fn frame(&self, generation: u64) {
        if let Some(hub) = self.hub.get() {
            hub.published(generation);
        }
    }

    fn event(&self, event: DesktopEvent) {
        let Some(hub) = self.hub.get() else { return };
        match event {
            DesktopEvent::Looked(look) => hub.tell(|s| s.looks = look),
            DesktopEvent::Cursor(image) => hub.tell(|s| s.cursor = Some(image)),
            DesktopEvent::CursorMoved(at) => {
                hub.tell(|s| s.cursor_at = (s.cursor_at.0 + 1, at));
            }
            DesktopEvent::Clipboard(text) => {
                if self.send_clipboard {
                    hub.clipboard_from_desktop(text);
                }
            }
            DesktopEvent::Bell => hub.tell(|s| s.bells += 1),
            DesktopEvent::Leds(leds) => hub.tell(|s| s.leds = leds),
            DesktopEvent::Name(name) => hub.tell(|s| s.name = name),
            DesktopEvent::Status(status) => {
                if let Some(uplink) = &self.uplink {
                    uplink.desktop(&status);
                }
            }
        }
    }
}
