//! The parser of what clients say (RFC 6143, 7.5).
//!
//! ```text
//!            ┌───────────────── a whole message ◄────────────┐
//!   bytes ─► Idle ─► Encodings, Text, Provide: gathers, bounded
//!             │  ▲                                  
//!             └──► Skip: counts down, keeps nothing
//! ```
//!
//! A length is checked before anything is kept for it; what is too long is skipped by counting. The longest message that
//! must be whole in the input is SetDesktopSize with 255 screens, 4 088 bytes.

use super::client::{AudioRequest, ClientMessage, ProtocolError, ScreenArea, ScreenLayout};
use super::clipboard::{self, Message, flag};
use super::input::InputBuffer;
use crate::pixel::{PixelFormat, Rect};

/// Encodings of a SetEncodings message that are kept; real clients list about thirty.
pub const MAX_ENCODINGS: usize = 512;

/// Bytes of a fence's payload that the specification allows; fences with more are passed over.
const MAX_FENCE: usize = 64;

/// What goes on between two calls.
#[derive(Debug)]
enum State {
    /// At the beginning of a message.
    Idle,
    /// So many bytes mean nothing.
    Skip(u32),
    /// In SetEncodings.
    Encodings { remaining: u16, list: Vec<i32> },
    /// In ClientCutText.
    Text { remaining: u32, bytes: Vec<u8> },
    /// In an extended Provide.
    Provide {
        formats: u32,
        remaining: u32,
        bytes: Vec<u8>,
    },
}

/// What one step of the parser did.
enum Step {
    /// A message.
    Message(ClientMessage),
    /// Something that is not worth a message.
    Nothing,
    /// Nothing: there are too few bytes.
    NeedMore,
}

/// Turns bytes into messages; remembers what it is in the middle of.
#[derive(Debug)]
pub struct Parser {
    /// Texts of the client's are wanted.
    accept_text: bool,
    /// The client listed ExtendedMouseButtons, so bit 7 of the buttons means a longer message.
    mouse_buttons: bool,
    /// The client listed the extended clipboard, so lengths are signed.
    extended_clipboard: bool,
    state: State,
}

impl Parser {
    /// A parser at the beginning of the client's messages. Without `accept_text` texts are skipped, not kept.
    pub fn new(accept_text: bool) -> Self {
        Self {
            accept_text,
            mouse_buttons: false,
            extended_clipboard: false,
            state: State::Idle,
        }
    }

    /// What the client has listed changes what its bytes mean.
    pub fn set_extensions(&mut self, mouse_buttons: bool, extended_clipboard: bool) {
        self.mouse_buttons = mouse_buttons;
        self.extended_clipboard = extended_clipboard;
    }

    /// The next whole message, or `None` when there are too few bytes.
    pub fn next(
        &mut self,
        input: &mut InputBuffer,
    ) -> Result<Option<ClientMessage>, ProtocolError> {
        loop {
            match self.step(input)? {
                Step::Message(message) => return Ok(Some(message)),
                Step::Nothing => {}
                Step::NeedMore => return Ok(None),
            }
        }
    }

    fn step(&mut self, input: &mut InputBuffer) -> Result<Step, ProtocolError> {
        let message = match &mut self.state {
            State::Idle => return self.begin(input),
            State::Skip(remaining) => {
                let count = input.len().min(*remaining as usize);
                input.consume(count);
                *remaining -= count as u32;
                if *remaining > 0 {
                    return Ok(Step::NeedMore);
                }
                None
            }
            State::Encodings { remaining, list } => {
                while *remaining > 0 {
                    let Some(bytes) = input.take::<4>() else {
                        return Ok(Step::NeedMore);
                    };
                    *remaining -= 1;
                    if list.len() < MAX_ENCODINGS {
                        list.push(i32::from_be_bytes(bytes));
                    }
                }
                Some(ClientMessage::SetEncodings(std::mem::take(list)))
            }
            State::Text { remaining, bytes } => {
                if !gather(input, remaining, bytes) {
                    return Ok(Step::NeedMore);
                }
                Some(ClientMessage::Text(clipboard::from_latin1(bytes)))
            }
            State::Provide {
                formats,
                remaining,
                bytes,
            } => {
                if !gather(input, remaining, bytes) {
                    return Ok(Step::NeedMore);
                }
                Some(ClientMessage::Clipboard(Message::Provide {
                    formats: *formats,
                    data: std::mem::take(bytes),
                }))
            }
        };
        self.state = State::Idle;
        Ok(message.map_or(Step::Nothing, Step::Message))
    }

    /// At the first byte of a message.
    fn begin(&mut self, input: &mut InputBuffer) -> Result<Step, ProtocolError> {
        let Some([kind]) = input.peek_array() else {
            return Ok(Step::NeedMore);
        };
        Ok(match kind {
            0 => fixed(input, |b: [u8; 20]| {
                let mut format = [0; 16];
                format.copy_from_slice(&b[4..]);
                PixelFormat::parse(&format)
                    .map(ClientMessage::SetPixelFormat)
                    .map_err(ProtocolError::PixelFormat)
            })?,
            // FixColourMapEntries: once meant for the client's colours, ignored by every server.
            1 => match input.take::<6>() {
                Some(b) => self.skip(u32::from(u16_at(&b, 4)) * 6),
                None => Step::NeedMore,
            },
            2 => match input.take::<4>() {
                Some(b) => {
                    let remaining = u16_at(&b, 2);
                    self.state = State::Encodings {
                        remaining,
                        list: Vec::with_capacity(usize::from(remaining).min(MAX_ENCODINGS)),
                    };
                    Step::Nothing
                }
                None => Step::NeedMore,
            },
            3 => fixed(input, |b: [u8; 10]| {
                Ok(ClientMessage::UpdateRequest {
                    incremental: b[1] != 0,
                    area: rect_at(&b, 2),
                })
            })?,
            4 => fixed(input, |b: [u8; 8]| {
                Ok(ClientMessage::Key {
                    keysym: u32_at(&b, 4),
                    scancode: None,
                    down: b[1] != 0,
                })
            })?,
            5 => self.pointer(input)?,
            6 => self.cut_text(input)?,
            150 => fixed(input, |b: [u8; 10]| {
                Ok(ClientMessage::ContinuousUpdates {
                    enable: b[1] != 0,
                    area: rect_at(&b, 2),
                })
            })?,
            248 => self.fence(input),
            250 => fixed(input, |b: [u8; 4]| {
                Ok(ClientMessage::Xvp {
                    version: b[2],
                    code: b[3],
                })
            })?,
            251 => desktop_size(input),
            255 => qemu(input)?,
            unknown => return Err(ProtocolError::UnknownMessage(unknown)),
        })
    }

    fn skip(&mut self, count: u32) -> Step {
        self.state = State::Skip(count);
        Step::Nothing
    }

    fn pointer(&mut self, input: &mut InputBuffer) -> Result<Step, ProtocolError> {
        let long = match input.peek_array() {
            Some([_, buttons]) => self.mouse_buttons && buttons & 0x80 != 0,
            None => return Ok(Step::NeedMore),
        };
        let event = |b: &[u8], buttons: u16| {
            Ok(ClientMessage::Pointer {
                x: u16_at(b, 2),
                y: u16_at(b, 4),
                buttons,
            })
        };
        if long {
            // The marker bit is no button; button 8 and up are in the last byte.
            fixed(input, |b: [u8; 7]| {
                event(&b, u16::from(b[1] & 0x7f) | u16::from(b[6]) << 7)
            })
        } else {
            fixed(input, |b: [u8; 6]| event(&b, u16::from(b[1])))
        }
    }

    fn cut_text(&mut self, input: &mut InputBuffer) -> Result<Step, ProtocolError> {
        let Some(header) = input.peek_array::<8>() else {
            return Ok(Step::NeedMore);
        };
        let length = u32_at(&header, 4);
        if self.extended_clipboard && (length as i32) < 0 {
            return self.extended_cut_text(input, length.wrapping_neg());
        }
        input.consume(8);
        Ok(if !self.accept_text {
            self.skip(length)
        } else if length as usize > clipboard::LIMIT {
            self.skip(length);
            Step::Message(ClientMessage::TextTooLarge { bytes: length })
        } else {
            self.state = State::Text {
                remaining: length,
                bytes: Vec::new(),
            };
            Step::Nothing
        })
    }

    /// The header has 8 bytes; `length` bytes follow it, flags first.
    fn extended_cut_text(
        &mut self,
        input: &mut InputBuffer,
        length: u32,
    ) -> Result<Step, ProtocolError> {
        if length < 4 {
            return Err(ProtocolError::ShortClipboardMessage(length));
        }
        let Some(head) = input.peek_array::<12>() else {
            return Ok(Step::NeedMore);
        };
        let (flags, rest) = (u32_at(&head, 8), length - 4);
        let formats = flags & flag::FORMATS;
        if flags & flag::CAPS != 0 {
            return Ok(self.caps(input, flags, rest));
        }
        input.consume(12);
        if flags & flag::PROVIDE != 0 && self.accept_text && formats & flag::TEXT != 0 {
            if rest as usize > clipboard::LIMIT {
                self.skip(rest);
                return Ok(Step::Message(ClientMessage::TextTooLarge { bytes: rest }));
            }
            self.state = State::Provide {
                formats,
                remaining: rest,
                bytes: Vec::new(),
            };
            return Ok(Step::Nothing);
        }
        self.skip(rest);
        let message = if flags & flag::REQUEST != 0 {
            Message::Request(formats)
        } else if flags & flag::PEEK != 0 {
            Message::Peek
        } else if flags & flag::NOTIFY != 0 {
            Message::Notify(formats)
        } else {
            // An action from the future, or data that nobody wants.
            return Ok(Step::Nothing);
        };
        Ok(Step::Message(ClientMessage::Clipboard(message)))
    }

    /// Caps: a size for every format, lowest first; only that of text matters.
    fn caps(&mut self, input: &mut InputBuffer, flags: u32, rest: u32) -> Step {
        let mut text = 0;
        let mut taken = 0;
        if flags & flag::TEXT != 0 && rest >= 4 {
            let Some(head) = input.peek_array::<16>() else {
                return Step::NeedMore;
            };
            text = u32_at(&head, 12);
            taken = 4;
        }
        input.consume(12 + taken);
        self.skip(rest - taken as u32);
        Step::Message(ClientMessage::Clipboard(Message::Caps { flags, text }))
    }

    fn fence(&mut self, input: &mut InputBuffer) -> Step {
        let Some(head) = input.peek_array::<9>() else {
            return Step::NeedMore;
        };
        let length = usize::from(head[8]);
        if length > MAX_FENCE {
            input.consume(9);
            return self.skip(length as u32);
        }
        let Some(payload) = input.peek().get(9..9 + length) else {
            return Step::NeedMore;
        };
        let message = ClientMessage::Fence {
            flags: u32_at(&head, 4),
            payload: payload.to_vec(),
        };
        input.consume(9 + length);
        Step::Message(message)
    }
}

/// Moves up to `remaining` bytes; true when that was all.
fn gather(input: &mut InputBuffer, remaining: &mut u32, bytes: &mut Vec<u8>) -> bool {
    let count = input.len().min(*remaining as usize);
    bytes.extend(&input.peek()[..count]);
    input.consume(count);
    *remaining -= count as u32;
    *remaining == 0
}

/// A message of `N` bytes.
fn fixed<const N: usize>(
    input: &mut InputBuffer,
    parse: impl FnOnce([u8; N]) -> Result<ClientMessage, ProtocolError>,
) -> Result<Step, ProtocolError> {
    match input.take::<N>() {
        Some(bytes) => parse(bytes).map(Step::Message),
        None => Ok(Step::NeedMore),
    }
}

fn desktop_size(input: &mut InputBuffer) -> Step {
    let Some(head) = input.peek_array::<8>() else {
        return Step::NeedMore;
    };
    let end = 8 + usize::from(head[6]) * 16;
    let Some(screens) = input.peek().get(8..end) else {
        return Step::NeedMore;
    };
    let layout = ScreenLayout {
        width: u16_at(&head, 2),
        height: u16_at(&head, 4),
        screens: screens
            .as_chunks::<16>()
            .0
            .iter()
            .map(|s| ScreenArea {
                id: u32_at(s, 0),
                rect: rect_at(s, 4),
                flags: u32_at(s, 12),
            })
            .collect(),
    };
    input.consume(end);
    Step::Message(ClientMessage::SetDesktopSize(layout))
}

fn qemu(input: &mut InputBuffer) -> Result<Step, ProtocolError> {
    let Some([_, kind]) = input.peek_array() else {
        return Ok(Step::NeedMore);
    };
    match kind {
        0 => fixed(input, |b: [u8; 12]| {
            Ok(ClientMessage::Key {
                keysym: u32_at(&b, 4),
                scancode: Some(u32_at(&b, 8)).filter(|code| *code != 0),
                down: u16_at(&b, 2) != 0,
            })
        }),
        1 => match input.peek_array().map(|b: [u8; 4]| u16_at(&b, 2)) {
            None => Ok(Step::NeedMore),
            Some(0) => fixed(input, |_: [u8; 4]| {
                Ok(ClientMessage::Audio(AudioRequest::Enable))
            }),
            Some(1) => fixed(input, |_: [u8; 4]| {
                Ok(ClientMessage::Audio(AudioRequest::Disable))
            }),
            Some(2) => fixed(input, |b: [u8; 10]| {
                Ok(ClientMessage::Audio(AudioRequest::Format {
                    sample: b[4],
                    channels: b[5],
                    frequency: u32_at(&b, 6),
                }))
            }),
            Some(unknown) => Err(ProtocolError::UnknownAudioOperation(unknown)),
        },
        unknown => Err(ProtocolError::UnknownQemuMessage(unknown)),
    }
}

fn u16_at(b: &[u8], i: usize) -> u16 {
    u16::from_be_bytes([b[i], b[i + 1]])
}

fn u32_at(b: &[u8], i: usize) -> u32 {
    u32::from_be_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]])
}

fn rect_at(b: &[u8], i: usize) -> Rect {
    Rect::new(
        u16_at(b, i),
        u16_at(b, i + 2),
        u16_at(b, i + 4),
        u16_at(b, i + 6),
    )
}

#[cfg(test)]
mod tests;
