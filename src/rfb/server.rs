//! Writers of what a server says (RFC 6143, 7.3.2, 7.6 and 7.8, and the community's specification): each appends one
//! message or one pseudo-rectangle.
//!
//! Deliberately missing: SetColourMapEntries (only true colour is served, and noVNC dies of it) and the announcement of
//! xvp (a viewer must not switch off a container).

use super::client::ScreenLayout;
use super::encodings::{LedForm, number};
use crate::pixel::{PixelFormat, Point, Rect};
use crate::screen::Leds;

/// The most rectangles that an update can announce; the next number means "until LastRect".
pub const MAX_RECTS: u32 = 65_534;

/// Bytes of a FramebufferUpdate's header.
pub const UPDATE_HEADER: usize = 4;

/// Flag of a fence: answer once everything before it was processed.
pub const FENCE_BLOCK_BEFORE: u32 = 1;
/// Flag of a fence: process nothing after it before it was answered.
pub const FENCE_BLOCK_AFTER: u32 = 1 << 1;
/// Flag of a fence: the next message takes effect exactly at the answer.
pub const FENCE_SYNC_NEXT: u32 = 1 << 2;
/// Flag of a fence: a question; without it, an answer.
pub const FENCE_REQUEST: u32 = 1 << 31;

/// Why a size is told (x of ExtendedDesktopSize).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResizeReason {
    /// The server's side changed it, or the client asked what it is.
    Server = 0,
    /// This client asked for the change.
    Client = 1,
    /// Another client did.
    OtherClient = 2,
}

/// What became of a client's wish for another size (y of ExtendedDesktopSize).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResizeStatus {
    /// Done.
    Done = 0,
    /// Not allowed.
    Prohibited = 1,
    /// Not possible for want of memory or because of a limit.
    OutOfResources = 2,
    /// Not a layout that can be made.
    Invalid = 3,
}

/// ServerInit (7.3.2). The name must be free of control characters ([`clean_name`]).
pub fn init(out: &mut Vec<u8>, width: u16, height: u16, format: &PixelFormat, name: &str) {
    out.extend(width.to_be_bytes());
    out.extend(height.to_be_bytes());
    out.extend(format.to_bytes());
    string(out, name);
}

/// A FramebufferUpdate's header (7.6.1) with its number of rectangles still open; see [`set_rects`].
pub fn update_header(out: &mut Vec<u8>) {
    out.extend([0; UPDATE_HEADER]);
}

/// Fills in the number of rectangles of an update that begins at the start of `update`; appends LastRect when the number
/// cannot be written.
pub fn set_rects(update: &mut Vec<u8>, rects: u32) {
    let count = if rects > MAX_RECTS {
        rect(update, Rect::default(), number::LAST_RECT);
        u16::MAX
    } else {
        rects as u16
    };
    if let Some(field) = update.get_mut(2..UPDATE_HEADER) {
        field.copy_from_slice(&count.to_be_bytes());
    }
}

/// Bell (7.6.3).
pub fn bell(out: &mut Vec<u8>) {
    out.push(2);
}

/// ServerCutText (7.6.4): Latin-1.
pub fn cut_text(out: &mut Vec<u8>, latin1: &[u8]) {
    out.extend([3, 0, 0, 0]);
    out.extend((latin1.len() as u32).to_be_bytes());
    out.extend(latin1);
}

/// ServerCutText in its extended form: a negative length, then flags and data.
pub fn extended_cut_text(out: &mut Vec<u8>, flags: u32, data: &[u8]) {
    out.extend([3, 0, 0, 0]);
    out.extend((4 + data.len() as u32).wrapping_neg().to_be_bytes());
    out.extend(flags.to_be_bytes());
    out.extend(data);
}

/// EndOfContinuousUpdates (150).
pub fn end_of_continuous_updates(out: &mut Vec<u8>) {
    out.push(150);
}

/// ServerFence (248); the payload is cut at the 64 bytes that are allowed.
pub fn fence(out: &mut Vec<u8>, flags: u32, payload: &[u8]) {
    let payload = &payload[..payload.len().min(64)];
    out.extend([248, 0, 0, 0]);
    out.extend(flags.to_be_bytes());
    out.push(payload.len() as u8);
    out.extend(payload);
}

/// xvp (250) with code 0: what was asked for is not done.
pub fn xvp_fail(out: &mut Vec<u8>, version: u8) {
    out.extend([250, 0, version, 0]);
}

/// The header of a rectangle (7.6.1).
pub fn rect(out: &mut Vec<u8>, rect: Rect, encoding: i32) {
    for field in [rect.x, rect.y, rect.w, rect.h] {
        out.extend(field.to_be_bytes());
    }
    out.extend(encoding.to_be_bytes());
}

/// DesktopSize (7.8.2).
pub fn desktop_size(out: &mut Vec<u8>, width: u16, height: u16) {
    rect(out, Rect::sized(width, height), number::DESKTOP_SIZE);
}

/// ExtendedDesktopSize.
pub fn extended_desktop_size(
    out: &mut Vec<u8>,
    reason: ResizeReason,
    status: ResizeStatus,
    layout: &ScreenLayout,
) {
    let header = Rect {
        x: reason as u16,
        y: status as u16,
        w: layout.width,
        h: layout.height,
    };
    rect(out, header, number::EXTENDED_DESKTOP_SIZE);
    out.extend([layout.screens.len() as u8, 0, 0, 0]);
    for screen in &layout.screens {
        out.extend(screen.id.to_be_bytes());
        for field in [screen.rect.x, screen.rect.y, screen.rect.w, screen.rect.h] {
            out.extend(field.to_be_bytes());
        }
        out.extend(screen.flags.to_be_bytes());
    }
}

/// DesktopName. The name must be free of control characters ([`clean_name`]).
pub fn desktop_name(out: &mut Vec<u8>, name: &str) {
    rect(out, Rect::default(), number::DESKTOP_NAME);
    string(out, name);
}

/// The state of the keyboard's lights, in either form.
pub fn leds(out: &mut Vec<u8>, form: LedForm, leds: Leds) {
    let bits = u8::from(leds.scroll) | u8::from(leds.num) << 1 | u8::from(leds.caps) << 2;
    match form {
        LedForm::Qemu => {
            rect(out, Rect::default(), number::QEMU_LED);
            out.push(bits);
        }
        LedForm::Vmware => {
            rect(out, Rect::default(), number::VMWARE_LED);
            out.extend(u32::from(bits).to_be_bytes());
        }
    }
}

/// "QEMU's key events are understood."
pub fn qemu_key(out: &mut Vec<u8>) {
    rect(out, Rect::default(), number::QEMU_KEY);
}

/// "The long form of PointerEvent is understood."
pub fn extended_mouse_buttons(out: &mut Vec<u8>) {
    rect(out, Rect::default(), number::EXTENDED_MOUSE_BUTTONS);
}

/// Where the pointer went when the client did not move it (VMware's cursor position).
pub fn cursor_position(out: &mut Vec<u8>, at: Point) {
    let rectangle = Rect {
        x: at.x,
        y: at.y,
        w: 0,
        h: 0,
    };
    rect(out, rectangle, number::VMWARE_CURSOR_POSITION);
}

/// A desktop's name as it may go out: one line, no control characters, at most 255 bytes.
pub fn clean_name(name: &str) -> String {
    let mut clean = String::new();
    for c in name.chars().filter(|c| !c.is_control()) {
        if clean.len() + c.len_utf8() > 255 {
            break;
        }
        clean.push(c);
    }
    clean
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_be_bytes());
    out.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfb::client::ScreenArea;

    fn written(f: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        f(&mut out);
        out
    }

    #[test]
    fn init_bytes() {
        let out = written(|o| init(o, 1280, 1024, &PixelFormat::NATIVE, "é"));
        let mut expected = vec![5, 0, 4, 0];
        expected.extend([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]);
        expected.extend([0, 0, 0, 2, 0xc3, 0xa9]);
        assert_eq!(out, expected);
    }

    #[test]
    fn plain_messages() {
        assert_eq!(written(bell), [2]);
        assert_eq!(
            written(|o| cut_text(o, b"hi")),
            [3, 0, 0, 0, 0, 0, 0, 2, b'h', b'i']
        );
        assert_eq!(
            written(|o| extended_cut_text(o, 0x0800_0001, b"")),
            [3, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc, 8, 0, 0, 1]
        );
        assert_eq!(written(end_of_continuous_updates), [150]);
        assert_eq!(
            written(|o| fence(o, FENCE_REQUEST | FENCE_BLOCK_BEFORE, b"ab")),
            [248, 0, 0, 0, 0x80, 0, 0, 1, 2, b'a', b'b']
        );
        assert_eq!(written(|o| fence(o, 0, &[1; 100])).len(), 9 + 64);
        assert_eq!(written(|o| xvp_fail(o, 1)), [250, 0, 1, 0]);
    }

    #[test]
    fn sizes() {
        assert_eq!(
            written(|o| desktop_size(o, 640, 480)),
            [0, 0, 0, 0, 2, 128, 1, 224, 0xff, 0xff, 0xff, 0x21]
        );
        let layout = ScreenLayout {
            width: 640,
            height: 480,
            screens: vec![ScreenArea {
                id: 7,
                rect: Rect::sized(640, 480),
                flags: 9,
            }],
        };
        let out = written(|o| {
            extended_desktop_size(o, ResizeReason::Client, ResizeStatus::Prohibited, &layout);
        });
        let mut expected = vec![0, 1, 0, 1, 2, 128, 1, 224, 0xff, 0xff, 0xfe, 0xcc];
        expected.extend([1, 0, 0, 0]);
        expected.extend([0, 0, 0, 7, 0, 0, 0, 0, 2, 128, 1, 224, 0, 0, 0, 9]);
        assert_eq!(out, expected);
    }

    #[test]
    fn small_pseudo_rectangles() {
        let lights = Leds {
            scroll: true,
            num: false,
            caps: true,
        };
        let at_origin = |number: [u8; 4], data: &[u8]| {
            let mut bytes = vec![0; 8];
            bytes.extend(number);
            bytes.extend(data);
            bytes
        };
        assert_eq!(
            written(|o| leds(o, LedForm::Qemu, lights)),
            at_origin([0xff, 0xff, 0xfe, 0xfb], &[5])
        );
        assert_eq!(
            written(|o| leds(o, LedForm::Vmware, lights)),
            at_origin(*b"WMVh", &[0, 0, 0, 5])
        );
        assert_eq!(written(qemu_key), at_origin([0xff, 0xff, 0xfe, 0xfe], &[]));
        assert_eq!(
            written(extended_mouse_buttons),
            at_origin([0xff, 0xff, 0xfe, 0xc4], &[])
        );
        assert_eq!(
            written(|o| desktop_name(o, "x")),
            at_origin([0xff, 0xff, 0xfe, 0xcd], &[0, 0, 0, 1, b'x'])
        );
        assert_eq!(
            written(|o| cursor_position(o, Point { x: 1, y: 2 })),
            [0, 1, 0, 2, 0, 0, 0, 0, b'W', b'M', b'V', b'f']
        );
    }

    #[test]
    fn number_of_rectangles() {
        let mut out = written(update_header);
        set_rects(&mut out, 3);
        assert_eq!(out, [0, 0, 0, 3]);
        set_rects(&mut out, MAX_RECTS + 1);
        assert_eq!(out[..4], [0, 0, 255, 255]);
        assert_eq!(out[12..], [0xff, 0xff, 0xff, 0x20]);
    }

    #[test]
    fn names_are_one_clean_line() {
        assert_eq!(clean_name("a\nb\u{1b}[31m\u{7f}"), "ab[31m");
        assert!(clean_name(&"é".repeat(300)).len() <= 255);
    }
}
