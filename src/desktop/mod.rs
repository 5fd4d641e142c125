//! The only X client of the display worker.
//!
//! ```text
//!   clients' events ──► input ──► XTEST, spare keys, selections ──► X server
//!                         ▲                                           │
//!                         └── keymap, LEDs, bell, selection owners ◄──┘
//! ```

pub mod connect;
pub mod input;

mod clipboard;
mod keyboard;
mod keymap;
mod leds;
mod pointer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the desktop needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// The display, as in `:7`.
    pub display: String,
    /// The file with the cookie; `None` uses the environment's.
    pub xauthority: Option<PathBuf>,
    /// The largest screen that a client may ask for.
    pub max_size: (u16, u16),
    /// The shortest time between two captured frames.
    pub min_interval: Duration,
    /// Trust scan codes alone: the layout of the X server decides what a key means.
    pub raw_keyboard: bool,
    /// Exchange the clipboard with clients.
    pub clipboard: bool,
    /// Text selected with the mouse (PRIMARY) goes to clients too.
    pub send_primary: bool,
}

/// An input event with the client it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Unique for the life of the process; what it holds is released when it goes.
    pub client: u64,
    /// What happened.
    pub event: InputEvent,
}

/// What a client did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputEvent {
    /// A key went down or up.
    Key {
        /// X keysym; 0 when only the scan code is known.
        keysym: u32,
        /// QEMU extended key event: XT set 1 make code, the 0xe0 prefix as bit 7.
        scancode: Option<u32>,
        /// Down (also repeated), or up.
        down: bool,
    },
    /// The pointer's position and all its buttons.
    Pointer {
        /// Pixels from the left.
        x: u16,
        /// Pixels from the top.
        y: u16,
        /// Bit n is button n+1, nine buttons.
        buttons: u16,
    },
    /// The client lost the focus: nothing of it is held any more.
    ReleaseAll,
    /// The client is gone: as `ReleaseAll`, and its record is forgotten.
    Gone,
}

/// The lamps of the keyboard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leds {
    /// Scroll Lock.
    pub scroll: bool,
    /// Num Lock.
    pub num: bool,
    /// Caps Lock.
    pub caps: bool,
}

/// What the desktop tells.
#[derive(Clone, Debug)]
pub enum DesktopEvent {
    /// The text of the selection that changed last.
    Clipboard(Arc<str>),
    /// An application rang the bell.
    Bell,
    /// A lamp of the keyboard changed.
    Leds(Leds),
}

/// Who listens to the desktop.
pub trait Sink: Send + Sync {
    /// A new frame is there.
    fn frame(&self, generation: u64);
    /// Something else happened.
    fn event(&self, event: DesktopEvent);
}
