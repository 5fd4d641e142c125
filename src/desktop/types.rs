//! What goes in and out of the desktop.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::pixel::Point;
use crate::screen::{CursorImage, Leds};

/// How to show a display.
#[derive(Clone, Debug)]
pub struct Options {
    /// As in `$DISPLAY`: `:7`, `host:0`.
    pub display: String,
    /// Where the cookie is; `None` leaves it to `$XAUTHORITY` and `~/.Xauthority`.
    pub xauthority: Option<PathBuf>,
    /// The size to give the screen when the connection is made; `None` leaves it as it is. Later resizes replace it, so
    /// that an X server that was restarted gets the size back that the last one had.
    pub size: Option<(u16, u16)>,
    /// The colour behind all windows; `None` leaves it as it is.
    pub background: Option<(u8, u8, u8)>,
    /// No client may make the screen larger.
    pub max_size: (u16, u16),
    /// The file in which an X server of ours keeps its pixels (Xvfb's `-fbdir`); what it does not use of it is given back.
    pub frame_buffer: Option<PathBuf>,
    /// Between the beginnings of two grabs.
    pub min_interval: Duration,
    /// Keys by scancode where a client sends them, whatever keysym it names.
    pub raw_keyboard: bool,
    /// Clipboard between clients and the X selections.
    pub clipboard: bool,
    /// Text that is merely selected with the mouse (PRIMARY) goes to clients too.
    pub send_primary: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            display: ":0".to_owned(),
            xauthority: None,
            size: None,
            background: None,
            max_size: (u16::MAX, u16::MAX),
            frame_buffer: None,
            min_interval: Duration::from_micros(16_667),
            raw_keyboard: false,
            clipboard: true,
            send_primary: true,
        }
    }
}

/// Who is told what happens on the screen. Called from the desktop's own threads: must return soon and not call back
/// into anything that waits for them.
pub trait Sink: Send + Sync {
    /// The screen has a new latest frame. Also called, with the generation that is already known, when all was read and
    /// the latest frame still is the truth.
    fn frame(&self, generation: u64);
    /// Anything else.
    fn event(&self, event: DesktopEvent);
}

/// What happens on the screen beside its pixels.
#[derive(Clone, Debug)]
pub enum DesktopEvent {
    /// The latest frame is of after this look, or an earlier one, was asked for.
    Looked(u64),
    /// The pointer has another shape.
    Cursor(Arc<CursorImage>),
    /// Somebody else than our clients moved the pointer.
    CursorMoved(Point),
    /// An application offers text.
    Clipboard(Arc<str>),
    /// An application rang the bell.
    Bell,
    /// The lights of the keyboard changed.
    Leds(Leds),
    /// The display has another name.
    Name(Arc<str>),
    /// The status changed (its counters do not count as a change).
    Status(DesktopStatus),
}

/// How the display is. Counters run from the start of the desktop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesktopStatus {
    /// The X server answers and is set up for capture.
    pub connected: bool,
    /// Why there is no display, for people.
    pub problem: Option<String>,
    /// Width of the screen in pixels; the last known while there is no connection.
    pub width: u16,
    /// Height of the screen in pixels.
    pub height: u16,
    /// Depth of the root window in bits.
    pub depth: u8,
    /// Name of the window manager, if one runs.
    pub window_manager: Option<String>,
    /// Client windows that are mapped and viewable.
    pub windows: u32,
    /// After [`Desktop::close_windows`](super::Desktop::close_windows): windows that were asked, or have come since, and
    /// are there.
    pub closing: Option<u32>,
    /// Damage is followed: whoever asks for frames gets them.
    pub capturing: bool,
    /// Pixels come through shared memory (else over the connection, which costs 35 times the CPU).
    pub shared_memory: bool,
    /// They are read where the X server draws them.
    pub in_place: bool,
    /// How often the connection to the X server was made.
    pub connections: u64,
    /// How often the screen was read.
    pub grabs: u64,
    /// Grabs that brought a new generation.
    pub frames: u64,
    /// Pixels that were read.
    pub grabbed_pixels: u64,
    /// Pixels that were read and had changed (with what their rectangles hold beside).
    pub changed_pixels: u64,
    /// Microseconds the last grab took, from the first request to the last reply.
    pub last_grab_us: u64,
    /// Microseconds the last comparison and copy took.
    pub last_diff_us: u64,
    /// Microseconds all grabs took.
    pub grab_us: u64,
    /// Microseconds all comparisons and copies took.
    pub diff_us: u64,
    /// Changes of the screen's size.
    pub resizes: u64,
}

impl DesktopStatus {
    /// True when both say the same but for their counters.
    pub(super) fn same_state(&self, other: &Self) -> bool {
        let state = |s: &Self| {
            (
                s.connected,
                (s.width, s.height, s.depth),
                (s.windows, s.closing),
                s.capturing,
            )
        };
        state(self) == state(other)
            && self.problem == other.problem
            && self.window_manager == other.window_manager
    }
}

/// Something a client did, and which one, so that what it holds can be released when it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// A number that no other client has.
    pub client: u64,
    /// What it did.
    pub event: InputEvent,
}

/// Something a client did with its keyboard or pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputEvent {
    /// A key went down or up.
    Key {
        /// What it means (X11 keysym).
        keysym: u32,
        /// Which key it is, if the client says so (QEMU extended key event: XT set 1, 0xe0 as bit 7).
        scancode: Option<u32>,
        /// Down or up.
        down: bool,
    },
    /// The pointer is there, with these buttons held.
    Pointer {
        /// Column.
        x: u16,
        /// Row.
        y: u16,
        /// Bit 0 is button 1, bit 8 button 9.
        buttons: u16,
    },
    /// The client no longer has the keyboard's attention: release what it holds.
    ReleaseAll,
    /// The client is gone: release what it holds.
    Gone,
}

/// Why the screen keeps its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResizeError {
    /// There is no X server now; the size will be tried when it is back.
    Disconnected,
    /// The X server cannot change its size at all.
    Unsupported(&'static str),
    /// Beyond what the X server or the settings allow.
    OutOfRange {
        /// The smallest size possible.
        min: (u16, u16),
        /// The largest size possible.
        max: (u16, u16),
    },
    /// Another request came before this one was tried.
    Superseded,
    /// The X server said no.
    Refused(String),
}

impl fmt::Display for ResizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => write!(f, "there is no X server at the moment"),
            Self::Unsupported(why) => write!(f, "this X server cannot be resized: {why}"),
            Self::OutOfRange { min, max } => write!(
                f,
                "sizes from {}x{} to {}x{} are possible",
                min.0, min.1, max.0, max.1
            ),
            Self::Superseded => write!(f, "another size was asked for meanwhile"),
            Self::Refused(why) => write!(f, "the X server refused: {why}"),
        }
    }
}

impl std::error::Error for ResizeError {}
