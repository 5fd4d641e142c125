//! The shape of the pointer in the four forms that clients draw (RFC 6143, 7.8.1, and the community's specification).

use super::encodings::{CursorForm, number};
use super::server;
use crate::encode::Encoding;
use crate::pixel::{PixelFormat, Rect};
use crate::screen::CursorImage;

/// From this alpha on a pixel is opaque to clients that know only opaque and transparent.
const OPAQUE: u8 = 128;

/// Larger shapes are not sent: no pointer is, and a client's memory is bounded.
const MAX_SIDE: u16 = 512;

/// Writes the pseudo-rectangle of a shape; `format` is what the client draws with. A shape without pixels hides the
/// pointer. Returns false when the shape cannot be sent.
pub fn write(
    out: &mut Vec<u8>,
    form: CursorForm,
    image: &CursorImage,
    format: &PixelFormat,
) -> bool {
    let (w, h) = (usize::from(image.width), usize::from(image.height));
    if image.width > MAX_SIDE || image.height > MAX_SIDE || image.rgba.len() != w * h * 4 {
        return false;
    }
    // The position of the rectangle is the hot spot; clients want it within the shape.
    let header = Rect {
        x: image.hot.x.min(image.width.saturating_sub(1)),
        y: image.hot.y.min(image.height.saturating_sub(1)),
        w: image.width,
        h: image.height,
    };
    match form {
        CursorForm::WithAlpha => {
            server::rect(out, header, number::CURSOR_WITH_ALPHA);
            // The pixels may be in any encoding of the client's; so few are best as they are.
            out.extend(Encoding::Raw.number().to_be_bytes());
            for [r, g, b, a] in pixels(image) {
                out.extend([premultiply(r, a), premultiply(g, a), premultiply(b, a), a]);
            }
        }
        CursorForm::Vmware => {
            server::rect(out, header, number::VMWARE_CURSOR);
            out.extend([1, 0]);
            out.extend(&image.rgba);
        }
        CursorForm::Pixels => {
            server::rect(out, header, number::CURSOR);
            for [r, g, b, _] in pixels(image) {
                pixel(out, format, format.encode(u32::from_be_bytes([0, r, g, b])));
            }
            bits(out, image, |p| p[3] >= OPAQUE);
        }
        CursorForm::TwoColours => {
            server::rect(out, header, number::X_CURSOR);
            // RFC 6143 leaves out the colours of an empty shape.
            if w > 0 && h > 0 {
                out.extend([0, 0, 0, 255, 255, 255]);
                // A set bit is the first colour: black for the darker half.
                bits(out, image, |p| p[3] >= OPAQUE && luma(p) < 128);
                bits(out, image, |p| p[3] >= OPAQUE);
            }
        }
    }
    true
}

fn pixels(image: &CursorImage) -> impl Iterator<Item = [u8; 4]> {
    image.rgba.as_chunks().0.iter().copied()
}

fn premultiply(c: u8, a: u8) -> u8 {
    ((u32::from(c) * u32::from(a) + 127) / 255) as u8
}

fn luma([r, g, b, _]: [u8; 4]) -> u32 {
    (u32::from(r) * 77 + u32::from(g) * 150 + u32::from(b) * 29) >> 8
}

/// One pixel in the client's byte order.
fn pixel(out: &mut Vec<u8>, format: &PixelFormat, value: u32) {
    let n = format.bytes_per_pixel();
    if format.big_endian() {
        out.extend(&value.to_be_bytes()[4 - n..]);
    } else {
        out.extend(&value.to_le_bytes()[..n]);
    }
}

/// One bit a pixel, most significant first, each row padded to whole bytes.
fn bits(out: &mut Vec<u8>, image: &CursorImage, set: impl Fn([u8; 4]) -> bool) {
    let width = usize::from(image.width).max(1);
    for row in image.rgba.as_chunks::<4>().0.chunks(width) {
        for group in row.chunks(8) {
            let byte = group
                .iter()
                .enumerate()
                .fold(0u8, |byte, (i, p)| byte | u8::from(set(*p)) << (7 - i));
            out.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::{Channel, Point};

    /// 2 × 1: half-transparent red, opaque white.
    fn image() -> CursorImage {
        CursorImage {
            width: 2,
            height: 1,
            hot: Point { x: 1, y: 0 },
            rgba: vec![255, 0, 0, 100, 255, 255, 255, 255],
        }
    }

    fn body(form: CursorForm, format: &PixelFormat) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(write(&mut out, form, &image(), format));
        assert_eq!(out[..8], [0, 1, 0, 0, 0, 2, 0, 1]);
        out.split_off(8)
    }

    #[test]
    fn golden() {
        let native = PixelFormat::NATIVE;
        assert_eq!(
            body(CursorForm::WithAlpha, &native),
            [
                0xff, 0xff, 0xfe, 0xc6, 0, 0, 0, 0, 100, 0, 0, 100, 255, 255, 255, 255
            ]
        );
        assert_eq!(
            body(CursorForm::Vmware, &native),
            [
                b'W', b'M', b'V', b'd', 1, 0, 255, 0, 0, 100, 255, 255, 255, 255
            ]
        );
        assert_eq!(
            body(CursorForm::Pixels, &native),
            [0xff, 0xff, 0xff, 0x11, 0, 0, 255, 0, 255, 255, 255, 0, 0x40]
        );
        assert_eq!(
            body(CursorForm::TwoColours, &native),
            [0xff, 0xff, 0xff, 0x10, 0, 0, 0, 255, 255, 255, 0, 0x40]
        );
        let c = |max, shift| Channel { max, shift };
        let rgb565 = PixelFormat::new(16, 16, true, c(31, 11), c(63, 5), c(31, 0)).unwrap();
        assert_eq!(
            body(CursorForm::Pixels, &rgb565),
            [0xff, 0xff, 0xff, 0x11, 0xf8, 0, 0xff, 0xff, 0x40]
        );
    }

    #[test]
    fn nothing_to_show_and_nothing_to_send() {
        let empty = CursorImage {
            width: 0,
            height: 0,
            hot: Point { x: 3, y: 3 },
            rgba: Vec::new(),
        };
        for form in [
            CursorForm::WithAlpha,
            CursorForm::Vmware,
            CursorForm::Pixels,
            CursorForm::TwoColours,
        ] {
            let mut out = Vec::new();
            assert!(write(&mut out, form, &empty, &PixelFormat::NATIVE));
            assert_eq!(out[..8], [0; 8]);
        }
        let wrong = CursorImage {
            rgba: vec![0; 3],
            ..image()
        };
        let mut out = Vec::new();
        assert!(!write(
            &mut out,
            CursorForm::Vmware,
            &wrong,
            &PixelFormat::NATIVE
        ));
        assert!(out.is_empty());
    }
}
