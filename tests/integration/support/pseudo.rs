//! Pseudo-rectangles: what a server tells in an update besides pixels (rfbproto.rst, "Pseudo-encodings").

use std::io::{self, Read};

use super::decode::{Layout, bad, bytes, u8, u16, u32};

/// Numbers of pseudo-encodings, to list in SetEncodings.
pub(crate) mod number {
    pub(crate) const DESKTOP_SIZE: i32 = -223;
    pub(crate) const LAST_RECT: i32 = -224;
    pub(crate) const CURSOR: i32 = -239;
    pub(crate) const X_CURSOR: i32 = -240;
    pub(crate) const QEMU_KEY: i32 = -258;
    pub(crate) const QEMU_LED: i32 = -261;
    pub(crate) const DESKTOP_NAME: i32 = -307;
    pub(crate) const EXTENDED_DESKTOP_SIZE: i32 = -308;
    pub(crate) const FENCE: i32 = -312;
    pub(crate) const CONTINUOUS_UPDATES: i32 = -313;
    pub(crate) const CURSOR_WITH_ALPHA: i32 = -314;
    pub(crate) const EXTENDED_MOUSE_BUTTONS: i32 = -316;
    pub(crate) const EXTENDED_CLIPBOARD: i32 = 0xC0A1_E5CE_u32 as i32;
    pub(crate) const VMWARE_CURSOR: i32 = 0x574d_5664;
    pub(crate) const VMWARE_CURSOR_POSITION: i32 = 0x574d_5666;
    pub(crate) const VMWARE_LED: i32 = 0x574d_5668;

    /// JPEG quality level 0–9.
    pub(crate) const fn quality(level: i32) -> i32 {
        -32 + level
    }

    /// JPEG quality as TurboVNC's viewer gives it, 0–100.
    pub(crate) const fn fine_quality(percent: i32) -> i32 {
        -512 + percent
    }

    /// How colour is thinned out, as TurboVNC's viewer gives it, 0–5.
    pub(crate) const fn subsampling(number: i32) -> i32 {
        -768 + number
    }

    /// Compression level 0–9.
    pub(crate) const fn compress(level: i32) -> i32 {
        -256 + level
    }
}

/// A screen of ExtendedDesktopSize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    pub(crate) id: u32,
    pub(crate) x: u16,
    pub(crate) y: u16,
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) flags: u32,
}

/// A cursor's picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Which pseudo-encoding it came in.
    pub(crate) encoding: i32,
    pub(crate) hot_x: u16,
    pub(crate) hot_y: u16,
    pub(crate) width: u16,
    pub(crate) height: u16,
    /// R, G, B, A of each pixel. As the encoding means alpha: 0 or 255 in Cursor and XCursor, premultiplied in
    /// CursorWithAlpha.
    pub(crate) rgba: Vec<[u8; 4]>,
}

/// What the server told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pseudo {
    LastRect,
    DesktopSize(u16, u16),
    ExtendedDesktopSize {
        /// 0 the server, 1 this client, 2 another client.
        reason: u16,
        /// 0 done; otherwise why not.
        status: u16,
        width: u16,
        height: u16,
        screens: Vec<Screen>,
    },
    DesktopName(String),
    Cursor(Cursor),
    /// VMware's: where the pointer was moved by somebody else.
    CursorPosition(u16, u16),
    /// Bits: scroll, num, caps.
    Leds(u32),
    /// The server takes QEMU's extended key events.
    QemuKey,
    /// The server takes ExtendedMouseButtons.
    ExtendedMouseButtons,
}

/// Reads the body of a pseudo-rectangle; `None`: the encoding carries pixels.
pub(crate) fn read(
    input: &mut impl Read,
    (x, y, w, h): (u16, u16, u16, u16),
    encoding: i32,
    pixel: &Layout,
) -> io::Result<Option<Pseudo>> {
    let cursor = |rgba| {
        Pseudo::Cursor(Cursor {
            encoding,
            hot_x: x,
            hot_y: y,
            width: w,
            height: h,
            rgba,
        })
    };
    let area = usize::from(w) * usize::from(h);
    let row = usize::from(w).div_ceil(8);
    Ok(Some(match encoding {
        number::LAST_RECT => Pseudo::LastRect,
        number::DESKTOP_SIZE => Pseudo::DesktopSize(w, h),
        number::EXTENDED_DESKTOP_SIZE => {
            let [count, _, _, _] = [u8(input)?, u8(input)?, u8(input)?, u8(input)?];
            let mut screens = Vec::new();
            for _ in 0..count {
                screens.push(Screen {
                    id: u32(input)?,
                    x: u16(input)?,
                    y: u16(input)?,
                    width: u16(input)?,
                    height: u16(input)?,
                    flags: u32(input)?,
                });
            }
            Pseudo::ExtendedDesktopSize {
                reason: x,
                status: y,
                width: w,
                height: h,
                screens,
            }
        }
        number::DESKTOP_NAME => {
            let n = u32(input)?;
            if n > 64 * 1024 {
                return bad(format!("a desktop name of {n} bytes"));
            }
            match String::from_utf8(bytes(input, n as usize)?) {
                Ok(name) => Pseudo::DesktopName(name),
                Err(e) => return bad(format!("a desktop name that is not UTF-8: {e}")),
            }
        }
        number::CURSOR => {
            let pixels = pixel.read_many(input, area)?;
            let mask = bytes(input, row * usize::from(h))?;
            let rgba = pixels.iter().enumerate().map(|(i, p)| {
                let [_, r, g, b] = p.to_be_bytes();
                [r, g, b, bit(&mask, i, w) * 255]
            });
            cursor(rgba.collect())
        }
        number::X_CURSOR if area == 0 => cursor(Vec::new()),
        number::X_CURSOR => {
            let colours = bytes(input, 6)?;
            let picture = bytes(input, row * usize::from(h))?;
            let mask = bytes(input, row * usize::from(h))?;
            let rgba = (0..area).map(|i| {
                // The first colour is that of 1 bits.
                let c = &colours[if bit(&picture, i, w) == 1 { 0 } else { 3 }..];
                [c[0], c[1], c[2], bit(&mask, i, w) * 255]
            });
            cursor(rgba.collect())
        }
        number::CURSOR_WITH_ALPHA => {
            let inner = u32(input)?;
            if inner != 0 {
                return bad(format!(
                    "a cursor in encoding {inner}; only Raw is read here"
                ));
            }
            cursor(rgba_pixels(input, area)?)
        }
        number::VMWARE_CURSOR => {
            let [kind, _] = [u8(input)?, u8(input)?];
            match kind {
                0 => {
                    let and = pixel.read_many(input, area)?;
                    let xor = pixel.read_many(input, area)?;
                    let rgba = and.iter().zip(&xor).map(|(and, xor)| {
                        let [_, r, g, b] = xor.to_be_bytes();
                        [r, g, b, if *and == 0 { 255 } else { 0 }]
                    });
                    cursor(rgba.collect())
                }
                1 => cursor(rgba_pixels(input, area)?),
                other => return bad(format!("a VMware cursor of type {other}")),
            }
        }
        number::VMWARE_CURSOR_POSITION => Pseudo::CursorPosition(x, y),
        number::QEMU_LED => Pseudo::Leds(u8(input)?.into()),
        number::VMWARE_LED => Pseudo::Leds(u32(input)?),
        number::QEMU_KEY => Pseudo::QemuKey,
        number::EXTENDED_MOUSE_BUTTONS => Pseudo::ExtendedMouseButtons,
        _ => return Ok(None),
    }))
}

fn rgba_pixels(input: &mut impl Read, n: usize) -> io::Result<Vec<[u8; 4]>> {
    let data = bytes(input, n * 4)?;
    Ok(data.chunks(4).map(|p| [p[0], p[1], p[2], p[3]]).collect())
}

/// Bit of pixel `i` in a bitmap of rows padded to bytes, the first pixel highest.
fn bit(bitmap: &[u8], i: usize, w: u16) -> u8 {
    let (x, y) = (i % usize::from(w), i / usize::from(w));
    bitmap[y * usize::from(w).div_ceil(8) + x / 8] >> (7 - x % 8) & 1
}
