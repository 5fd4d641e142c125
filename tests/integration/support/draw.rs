//! Drawing on a screen, and reading it the plain way.

use deskinit::desktop::connect::Link;
use deskinit::pixel::Frame;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ChangeGCAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, Gcontext, ImageFormat,
    Rectangle, Window, WindowClass,
};

pub(crate) use super::random::Random;
use super::xvfb::sync;

impl Random {
    /// The same for coordinates: 0 to `limit` − 1.
    pub(crate) fn below_u16(&mut self, limit: u16) -> u16 {
        self.below(limit.into()) as u16
    }
}

/// Draws into one window.
pub(crate) struct Painter<'a> {
    pub(crate) link: &'a Link,
    pub(crate) window: Window,
    gc: Gcontext,
}

impl<'a> Painter<'a> {
    /// On a new window without decoration, of this size at this place.
    pub(crate) fn window(link: &'a Link, root: Window, x: i16, y: i16, w: u16, h: u16) -> Self {
        let window = link.generate_id().expect("an id");
        let attributes = CreateWindowAux::new()
            .override_redirect(1)
            .background_pixel(0x20_4060);
        link.create_window(
            0,
            window,
            root,
            x,
            y,
            w,
            h,
            0,
            WindowClass::INPUT_OUTPUT,
            0,
            &attributes,
        )
        .expect("sent");
        link.map_window(window).expect("sent");
        Self::on(link, window)
    }

    /// On a window that is there.
    pub(crate) fn on(link: &'a Link, window: Window) -> Self {
        let gc = link.generate_id().expect("an id");
        link.create_gc(gc, window, &CreateGCAux::new().graphics_exposures(0))
            .expect("sent");
        Self { link, window, gc }
    }

    pub(crate) fn fill(&self, colour: u32, x: u16, y: u16, width: u16, height: u16) {
        self.link
            .change_gc(self.gc, &ChangeGCAux::new().foreground(colour))
            .expect("sent");
        let rectangle = Rectangle {
            x: x as i16,
            y: y as i16,
            width,
            height,
        };
        self.link
            .poly_fill_rectangle(self.window, self.gc, &[rectangle])
            .expect("sent");
    }

    /// Moves a part of the window within it, as scrolling does.
    pub(crate) fn copy(&self, from: (u16, u16), to: (u16, u16), width: u16, height: u16) {
        self.link
            .copy_area(
                self.window,
                self.window,
                self.gc,
                from.0 as i16,
                from.1 as i16,
                to.0 as i16,
                to.1 as i16,
                width,
                height,
            )
            .expect("sent");
    }

    /// A few rectangles of any size and colour, and sometimes a copy, within `width` × `height`.
    pub(crate) fn scribble(&self, random: &mut Random, width: u16, height: u16) {
        for _ in 0..1 + random.below_u16(6) {
            let (x, y) = (random.below_u16(width), random.below_u16(height));
            let (w, h) = match random.below_u16(8) {
                0 => (width, height),
                1..=3 => (8, 14),
                _ => (random.below_u16(200), random.below_u16(120)),
            };
            if random.below_u16(4) == 0 {
                let to = (random.below_u16(width), random.below_u16(height));
                self.copy((x, y), to, w, h);
            } else {
                self.fill(random.next(), x, y, w.max(1), h.max(1));
            }
        }
        self.link.flush().expect("connected");
    }
}

/// The screen as it is now, read over the connection; only for depth 24.
pub(crate) fn screenshot(link: &Link, root: Window) -> Frame {
    sync(link);
    let geometry = link.get_geometry(root).expect("sent").reply().expect("it");
    let (width, height) = (geometry.width, geometry.height);
    let image = link
        .get_image(ImageFormat::Z_PIXMAP, root, 0, 0, width, height, !0)
        .expect("sent")
        .reply()
        .expect("an image");
    let mut frame = Frame::new(width, height);
    let mut pixels = image.data.chunks_exact(4);
    for y in 0..height {
        for pixel in frame.row_mut(y) {
            let bytes = pixels.next().expect("enough");
            *pixel = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        }
    }
    frame
}
