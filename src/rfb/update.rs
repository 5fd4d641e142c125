//! What goes into one FramebufferUpdate: pixels, and the pseudo-rectangles beside them.

use std::sync::Arc;

use super::cursor;
use super::encodings::ClientCapabilities;
use super::flow::MAX_WINDOW;
use super::quality::{Limit, Sample};
use super::server;
#[cfg(feature = "h264")]
use crate::encode::VideoFrame;
use crate::encode::{
    self, Encoded, Encoder, Encoding, JpegQuality, Memory, Params, Playing, Prepared, Tally,
};
#[cfg(feature = "h264")]
use crate::pixel::Rect;
use crate::pixel::{Frame, PixelFormat, Point, Region};
use crate::screen::{CursorImage, Leds, Move};

/// An update to be encoded: its order first, then [`Job::emit`]. Then it goes back to the session by `finish`, or, when
/// it could not be encoded, by `give_back`. May be sent to another thread meanwhile.
#[derive(Debug)]
pub struct Job {
    /// What the client copies within its picture, first and in this order.
    pub copies: Vec<Move>,
    /// What is to be encoded.
    pub order: Arc<Order>,
    /// What was seen of the order's sample.
    pub(super) seen: Option<Sample>,
    /// How good its JPEGs are: what was ordered, or less, if that had too many bytes.
    pub(super) quality: Option<JpegQuality>,
    /// Bytes are dearer than the time to save them.
    pub thrifty: bool,
    /// How good the picture of a video is.
    #[cfg(feature = "h264")]
    pub video_quality: Option<JpegQuality>,
    /// The update so far: its header and its pseudo-rectangles. Encoders append to it, so nothing is copied.
    pub bytes: Vec<u8>,
    /// Pseudo-rectangles in `bytes`.
    pub(super) pseudo: u32,
    /// Which those are.
    pub(super) beside: Due,
    /// The request that it answers.
    pub(super) requested: Option<Region>,
}

/// What a job asks of a frame.
#[derive(Clone, Debug)]
pub struct Order {
    /// What changed.
    pub damage: Region,
    /// What the client has with loss and gets again without; disjoint from the damage.
    pub refresh: Region,
    /// What changes all the time, and how it is to go.
    pub playing: Playing,
    /// What goes as the next picture of a video; disjoint from both.
    #[cfg(feature = "h264")]
    pub video: Option<Rect>,
    /// How the client wants it.
    pub params: Params,
    /// A part of what goes coarse, to be encoded as if it did not, to see how much that would be.
    pub sample: Region,
    /// What it must not exceed, where the link is known to be slow.
    pub limit: Option<Limit>,
    /// Width that the frame must have.
    pub width: u16,
    /// Height that the frame must have.
    pub height: u16,
}

/// An order carried out, but for what depends on the client.
#[derive(Debug)]
pub struct Picture {
    damage: Prepared,
    /// Of the damage.
    quality: Option<JpegQuality>,
    seen: Option<Sample>,
    refresh: Prepared,
    #[cfg(feature = "h264")]
    video: Option<VideoFrame>,
}

/// How a client wants what it is sent again.
fn lossless(params: Params) -> Params {
    Params {
        quality: None,
        ..params
    }
}

impl Order {
    /// True when both make the same picture of one frame, whoever asks.
    pub fn prepares_as(&self, other: &Self) -> bool {
        let same = self.damage == other.damage
            && self.refresh == other.refresh
            && self.playing == other.playing
            && self.sample == other.sample
            && (self.width, self.height) == (other.width, other.height)
            && self.params.prepares_as(&other.params)
            && self.limit == other.limit;
        #[cfg(feature = "h264")]
        let same = same && self.video == other.video;
        same
    }

    /// How much it is.
    pub fn pixels(&self) -> u64 {
        let pixels = self.damage.area() + self.refresh.area();
        #[cfg(feature = "h264")]
        let pixels = pixels + self.video.map_or(0, |rect| u64::from(rect.area()));
        pixels
    }

    /// Prepares it from a frame that is not older than the damage. `None` when the frame has another size.
    pub fn prepare(&self, frame: &Frame, memory: &Arc<Memory>) -> Option<Picture> {
        if (frame.width(), frame.height()) != (self.width, self.height) {
            return None;
        }
        let of_quality = |quality| {
            let params = Params {
                quality,
                ..self.params
            };
            encode::prepare(frame, &self.damage, &self.playing, &params, memory)
        };
        let mut quality = self.params.quality;
        let mut damage = of_quality(quality);
        if let (Some(limit), Some(had)) = (self.limit, quality)
            && let Some(lower) = limit.lowered(had, damage.jpeg_bytes())
        {
            quality = Some(lower);
            damage = of_quality(quality);
        }
        let seen = (!self.sample.is_empty()).then(|| self.sample(frame, memory));
        Some(Picture {
            damage,
            quality,
            seen,
            refresh: encode::prepare(
                frame,
                &self.refresh,
                &Playing::default(),
                &lossless(self.params),
                memory,
            ),
            #[cfg(feature = "h264")]
            video: self.video.map(|rect| VideoFrame::new(frame, rect)),
        })
    }

    fn sample(&self, frame: &Frame, memory: &Arc<Memory>) -> Sample {
        let playing = Playing {
            coarse: Vec::new(),
            ..self.playing.clone()
        };
        let prepared = encode::prepare(frame, &self.sample, &playing, &self.params, memory);
        let mut bytes = Vec::new();
        let encoded = Encoder::new().emit(&prepared, &self.params, true, usize::MAX, &mut bytes);
        Sample {
            pixels: self.sample.area(),
            lossy: encoded.lossy.area(),
            bytes: bytes.len() as u64 - encoded.stats.jpeg.bytes,
        }
    }
}

impl Picture {
    /// Memory that it takes, bytes.
    pub fn bytes(&self) -> usize {
        let bytes = self.damage.bytes() + self.refresh.bytes();
        #[cfg(feature = "h264")]
        let bytes = bytes + self.video.as_ref().map_or(0, VideoFrame::bytes);
        bytes
    }
}

impl Job {
    /// Appends the picture of its [`Job::order`]. Then the job must go to `finish`: what was encoded has to be sent, for
    /// the client's deflate streams depend on it.
    pub fn emit(&mut self, encoder: &mut Encoder, picture: &Picture) -> Encoded {
        self.quality = picture.quality;
        self.seen = picture.seen;
        let mut encoded = self.emit_copies();
        let exact = lossless(self.order.params);
        let most = self.order.limit.map_or(usize::MAX, Limit::end);
        let mut parts = [
            (&picture.damage, &self.order.params, most),
            (&picture.refresh, &exact, usize::MAX),
        ];
        if self.order.params.jpeg_rects {
            // Photos go last: noVNC 1.7 draws a Raw rectangle from the wrong place while it waits for an image.
            parts.reverse();
        }
        for (prepared, params, most) in parts {
            let part = encoder.emit(prepared, params, self.thrifty, most, &mut self.bytes);
            encoded.rects += part.rects;
            encoded.lossy.union(&part.lossy);
            encoded.left.union(&part.left);
            if std::ptr::eq(prepared, &picture.refresh) {
                encoded.stats.refresh += part.stats.total();
            } else {
                encoded.stats += part.stats;
            }
        }
        #[cfg(feature = "h264")]
        if let (Some(video), Some(quality)) = (&picture.video, self.video_quality)
            && let Some(part) = encoder.emit_video(video, quality, &mut self.bytes)
        {
            encoded.rects += part.rects;
            encoded.lossy.union(&part.lossy);
            encoded.stats += part.stats;
        }
        encoded
    }

    /// The copies come first: what they take must not be overwritten yet.
    fn emit_copies(&mut self) -> Encoded {
        let start = self.bytes.len();
        for copied in &self.copies {
            encode::copy_rect(copied.to, copied.from, &mut self.bytes);
        }
        let pixels = self.copies.iter().map(|m| u64::from(m.to.area()));
        let mut encoded = Encoded {
            rects: self.copies.len() as u32,
            ..Encoded::default()
        };
        encoded.stats.copy = Tally {
            rects: u64::from(encoded.rects),
            pixels: pixels.sum(),
            bytes: (self.bytes.len() - start) as u64,
        };
        encoded
    }

    /// Encodes it from a frame that is not older than the damage, for this client alone. `None`, and nothing done, when
    /// the frame has another size than the client was told.
    pub fn encode(&mut self, encoder: &mut Encoder, frame: &Frame) -> Option<Encoded> {
        let picture = self.order.prepare(frame, &Arc::default())?;
        Some(self.emit(encoder, &picture))
    }
}

/// Pseudo-rectangles that are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    cursor: bool,
    position: bool,
    name: bool,
    leds: bool,
    qemu_key: bool,
    mouse_buttons: bool,
}

/// What a client is shown beside the picture, and which of it it has not been told.
#[derive(Debug, Default)]
pub struct Beside {
    cursor: Option<Arc<CursorImage>>,
    position: Point,
    name: String,
    leds: Option<Leds>,
    due: Due,
}

impl Beside {
    /// ServerInit has told the client this name.
    pub fn new(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// The client's list has changed: what it can be told only now is due.
    pub fn listed(&mut self, before: &ClientCapabilities, after: &ClientCapabilities) {
        self.due.cursor |= after.cursor != before.cursor;
        self.due.leds |= after.leds != before.leds;
        self.due.qemu_key |= after.qemu_key && !before.qemu_key;
        self.due.mouse_buttons |= after.mouse_buttons && !before.mouse_buttons;
    }

    /// The client draws in another pixel format: a cursor in the old one is of no use to it.
    pub fn reformatted(&mut self) {
        self.due.cursor = true;
    }

    /// The pointer has this shape.
    pub fn set_cursor(&mut self, image: Arc<CursorImage>) {
        if self.cursor.as_ref() != Some(&image) {
            self.cursor = Some(image);
            self.due.cursor = true;
        }
    }

    /// Something else moved the pointer.
    pub fn set_position(&mut self, at: Point) {
        self.position = at;
        self.due.position = true;
    }

    /// The keyboard's lights.
    pub fn set_leds(&mut self, leds: Leds) {
        self.due.leds |= self.leds != Some(leds);
        self.leds = Some(leds);
    }

    /// The desktop's name.
    pub fn set_name(&mut self, name: String) {
        self.due.name |= self.name != name;
        self.name = name;
    }

    /// Of what is due, what this client understands.
    fn wanted(&self, caps: &ClientCapabilities) -> Due {
        Due {
            cursor: self.due.cursor && caps.cursor.is_some() && self.cursor.is_some(),
            position: self.due.position && caps.cursor_position,
            name: self.due.name && caps.name,
            leds: self.due.leds && caps.leds.is_some() && self.leds.is_some(),
            qemu_key: self.due.qemu_key && caps.qemu_key,
            mouse_buttons: self.due.mouse_buttons && caps.mouse_buttons,
        }
    }

    /// Is there anything for this client?
    pub fn is_due(&self, caps: &ClientCapabilities) -> bool {
        self.wanted(caps) != Due::default()
    }

    /// Writes what is due; returns the number of rectangles, and which they are.
    pub fn write(
        &mut self,
        out: &mut Vec<u8>,
        caps: &ClientCapabilities,
        format: &PixelFormat,
    ) -> (u32, Due) {
        let wanted = self.wanted(caps);
        let mut count = 0;
        if wanted.qemu_key {
            server::qemu_key(out);
            count += 1;
        }
        if wanted.mouse_buttons {
            server::extended_mouse_buttons(out);
            count += 1;
        }
        if let (true, Some(form), Some(leds)) = (wanted.leds, caps.leds, self.leds) {
            server::leds(out, form, leds);
            count += 1;
        }
        if wanted.name {
            server::desktop_name(out, &self.name);
            count += 1;
        }
        if let (true, Some(form), Some(image)) = (wanted.cursor, caps.cursor, &self.cursor)
            && cursor::write(out, form, image, format)
        {
            count += 1;
        }
        if wanted.position {
            server::cursor_position(out, self.position);
            count += 1;
        }
        // What this client does not understand now stays due: it may list it later.
        self.due = Due {
            cursor: self.due.cursor && !wanted.cursor,
            position: false,
            name: self.due.name && !wanted.name,
            leds: self.due.leds && !wanted.leds,
            qemu_key: false,
            mouse_buttons: false,
        };
        (count, wanted)
    }

    /// What was written did not go out.
    pub fn again(&mut self, written: Due) {
        self.due = Due {
            cursor: self.due.cursor || written.cursor,
            position: self.due.position || written.position,
            name: self.due.name || written.name,
            leds: self.due.leds || written.leds,
            qemu_key: self.due.qemu_key || written.qemu_key,
            mouse_buttons: self.due.mouse_buttons || written.mouse_buttons,
        };
    }
}

/// How many bytes a pixel costs a client, as a guess for the size of the next update.
///
/// An update may hold at most [`MAX_WINDOW`] bytes, or one client's memory would have no bound; but how many bytes
/// pixels will be is known only afterwards.
#[derive(Debug)]
pub struct Density(f64);

impl Default for Density {
    /// Two bytes a pixel: a full HD screen goes in one piece, even one full of noise stays bounded.
    fn default() -> Self {
        Self(2.0)
    }
}

impl Density {
    /// An update of so many pixels had so many bytes.
    pub fn observe(&mut self, pixels: u64, bytes: u64) {
        // Small updates are all overhead and say nothing.
        if pixels >= 16 * 1024 {
            let seen = bytes as f64 / pixels as f64;
            self.0 = seen.max(self.0 * 0.9 + seen * 0.1);
        }
    }

    /// How many pixels an update may have.
    pub fn pixels(&self, params: &Params) -> u64 {
        let raw = params.format.bytes_per_pixel() as f64;
        let guess = match params.encoding {
            Encoding::Raw | Encoding::Rre | Encoding::Hextile => raw,
            _ => self.0.clamp(0.25, raw),
        };
        (MAX_WINDOW as f64 / guess) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_hd_screen_goes_in_one_piece_and_raw_4k_does_not() {
        let mut params = Params::usual(None);
        let mut density = Density::default();
        assert!(density.pixels(&params) >= 1920 * 1080);
        density.observe(1 << 20, 3 << 20);
        assert!(density.pixels(&params) < 1920 * 1080);
        params.encoding = Encoding::Raw;
        assert_eq!(density.pixels(&params), MAX_WINDOW / 4);
    }

    #[test]
    fn each_thing_is_told_once_and_the_cursor_again_after_a_new_format() {
        let caps = ClientCapabilities::new(&[-239, -307, -258, -316, -261]);
        let mut beside = Beside::new("a".to_owned());
        beside.listed(&ClientCapabilities::NONE, &caps);
        beside.set_leds(Leds::default());
        beside.set_cursor(Arc::new(CursorImage {
            width: 1,
            height: 1,
            hot: Point::default(),
            rgba: vec![1, 2, 3, 255],
        }));
        let mut out = Vec::new();
        let (count, written) = beside.write(&mut out, &caps, &PixelFormat::NATIVE);
        assert_eq!(count, 4, "key, buttons, lights, cursor");
        assert!(!beside.is_due(&caps));
        beside.again(written);
        assert_eq!(beside.write(&mut out, &caps, &PixelFormat::NATIVE).0, 4);
        beside.set_name("a".to_owned());
        assert!(!beside.is_due(&caps));
        beside.set_name("b".to_owned());
        beside.reformatted();
        assert_eq!(beside.write(&mut out, &caps, &PixelFormat::NATIVE).0, 2);
    }
}
