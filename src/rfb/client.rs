//! What clients say (RFC 6143, 7.5, and the community's specification), as values.

use std::fmt;

use super::clipboard;
use crate::pixel::{PixelFormat, PixelFormatError, Rect};

/// One message of a client, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// SetPixelFormat (7.5.1).
    SetPixelFormat(PixelFormat),
    /// SetEncodings (7.5.2), the first [`super::parse::MAX_ENCODINGS`] of them.
    SetEncodings(Vec<i32>),
    /// FramebufferUpdateRequest (7.5.3).
    UpdateRequest {
        /// The client still has what it was sent.
        incremental: bool,
        /// What it wants.
        area: Rect,
    },
    /// KeyEvent (7.5.4), and QEMU's with a scancode (255/0).
    Key {
        /// X11's number of the symbol; 0 when only the scancode is known.
        keysym: u32,
        /// XT set 1 with the prefix 0xe0 as bit 7.
        scancode: Option<u32>,
        /// Pressed.
        down: bool,
    },
    /// PointerEvent (7.5.5), in its short and its long form.
    Pointer {
        /// Column.
        x: u16,
        /// Row.
        y: u16,
        /// Bit 0 is button 1, … bit 8 button 9.
        buttons: u16,
    },
    /// ClientCutText (7.5.6): UTF-8 with LF by now.
    Text(String),
    /// A clipboard too large to be taken; its bytes are skipped.
    TextTooLarge {
        /// Its length in bytes (compressed, in the extended form).
        bytes: u32,
    },
    /// ClientCutText in its extended form.
    Clipboard(clipboard::Message),
    /// EnableContinuousUpdates (150).
    ContinuousUpdates {
        /// On, or off.
        enable: bool,
        /// Where.
        area: Rect,
    },
    /// ClientFence (248).
    Fence {
        /// See [`super::server`].
        flags: u32,
        /// At most 64 bytes.
        payload: Vec<u8>,
    },
    /// SetDesktopSize (251).
    SetDesktopSize(ScreenLayout),
    /// xvp (250): shutdown, reboot or reset.
    Xvp {
        /// Version of the extension.
        version: u8,
        /// 2, 3 or 4.
        code: u8,
    },
    /// QEMU audio (255/1).
    Audio(AudioRequest),
}

/// What a client wants of the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioRequest {
    /// Send it.
    Enable,
    /// Stop.
    Disable,
    /// In this form.
    Format {
        /// 0 to 5: U8, S8, U16, S16, U32, S32.
        sample: u8,
        /// 1 or 2.
        channels: u8,
        /// Samples a second.
        frequency: u32,
    },
}

/// The size of a desktop and the screens on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScreenLayout {
    /// Width of the whole in pixels.
    pub width: u16,
    /// Height of the whole in pixels.
    pub height: u16,
    /// At most 255.
    pub screens: Vec<ScreenArea>,
}

/// One screen of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScreenArea {
    /// Stays the same while the screen exists.
    pub id: u32,
    /// Where it is on the desktop.
    pub rect: Rect,
    /// Without meaning so far; kept.
    pub flags: u32,
}

impl ScreenLayout {
    /// One screen that fills the desktop.
    pub fn single(width: u16, height: u16) -> Self {
        Self {
            width,
            height,
            screens: vec![ScreenArea {
                id: 0,
                rect: Rect::sized(width, height),
                flags: 0,
            }],
        }
    }

    /// True when it can be made: pixels, at least one screen, and every screen on the desktop.
    pub fn is_valid(&self) -> bool {
        let desktop = Rect::sized(self.width, self.height);
        let on_it = |s: &ScreenArea| !s.rect.is_empty() && desktop.contains(&s.rect);
        !self.screens.is_empty() && self.screens.iter().all(on_it)
    }
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// A message type that does not exist, so where the next message begins is unknown.
    UnknownMessage(u8),
    /// A sub-type of QEMU's messages that does not exist.
    UnknownQemuMessage(u8),
    /// An operation of QEMU's audio that does not exist.
    UnknownAudioOperation(u16),
    /// Pixels that this server does not draw.
    PixelFormat(PixelFormatError),
    /// An extended clipboard message shorter than its own header.
    ShortClipboardMessage(u32),
    /// It asks and asks, and does not read the answers.
    NotReading,
    /// It sends more than can be kept while a picture is on its way.
    Flood,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMessage(n) => write!(f, "the client sent a message of unknown type {n}"),
            Self::UnknownQemuMessage(n) => {
                write!(f, "the client sent a QEMU message of unknown type {n}")
            }
            Self::UnknownAudioOperation(n) => {
                write!(f, "the client sent an unknown audio operation, {n}")
            }
            Self::PixelFormat(e) => write!(f, "the client asked for {e}"),
            Self::ShortClipboardMessage(n) => {
                write!(
                    f,
                    "the client sent an extended clipboard message of {n} bytes"
                )
            }
            Self::NotReading => f.write_str("the client asks for answers and does not read them"),
            Self::Flood => f.write_str("the client sends faster than it can be served"),
        }
    }
}

impl std::error::Error for ProtocolError {}
