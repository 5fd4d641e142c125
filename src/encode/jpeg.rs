//! JPEG of a rectangle, by libjpeg-turbo.

use turbojpeg::{Compressor, Image, PixelFormat, Subsamp, compressed_buf_len};

use crate::pixel::{Frame, Rect};

/// Pixels of a frame as they lie in memory.
const PIXELS: PixelFormat = if cfg!(target_endian = "little") {
    PixelFormat::BGRX
} else {
    PixelFormat::XRGB
};

/// How good a JPEG is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quality {
    /// libjpeg's scale, 1–100.
    pub(super) percent: i32,
    /// How much colour is thinned out.
    pub(super) subsamp: Subsamp,
}

impl Quality {
    /// Of a client's quality level 0–9; more is taken as 9.
    ///
    /// The percentages and subsampling are those that users of TigerVNC know the levels by, so that a level looks the
    /// same whichever server is at the other end.
    pub(super) const fn of_level(level: u8) -> Self {
        let (percent, subsamp) = match level {
            0 => (15, Subsamp::Sub2x2),
            1 => (29, Subsamp::Sub2x2),
            2 => (41, Subsamp::Sub2x2),
            3 => (42, Subsamp::Sub2x1),
            4 => (62, Subsamp::Sub2x1),
            5 => (77, Subsamp::Sub2x1),
            6 => (79, Subsamp::None),
            7 => (86, Subsamp::None),
            8 => (92, Subsamp::None),
            _ => (100, Subsamp::None),
        };
        Self { percent, subsamp }
    }
}

/// A compressor with the room it works in; one for each thread of the pool.
#[derive(Debug, Default)]
pub(super) struct Jpeg {
    compressor: Option<Compressor>,
    file: Vec<u8>,
}

impl Jpeg {
    /// The rectangle as a JFIF file, or `None` if libjpeg-turbo refuses (out of memory): then it has to go another way.
    pub(super) fn compress(
        &mut self,
        frame: &Frame,
        rect: Rect,
        quality: Quality,
    ) -> Option<&[u8]> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            slot => slot.insert(Compressor::new().ok()?),
        };
        compressor.set_quality(quality.percent).ok()?;
        compressor.set_subsamp(quality.subsamp).ok()?;
        let (w, h) = (usize::from(rect.w), usize::from(rect.h));
        // Grows to the largest rectangle and stays: room for the worst case is many times what a file needs.
        let most = compressed_buf_len(w, h, quality.subsamp).ok()?;
        if self.file.len() < most {
            self.file.resize(most, 0);
        }
        // Straight from the frame, row by row of the frame's width.
        let pitch = usize::from(frame.width());
        let start = usize::from(rect.y) * pitch + usize::from(rect.x);
        let end = start + (h.checked_sub(1)? * pitch) + w;
        let image = Image {
            pixels: bytemuck::cast_slice::<u32, u8>(&frame.pixels()[start..end]),
            width: w,
            pitch: pitch * 4,
            height: h,
            format: PIXELS,
        };
        let length = compressor.compress_to_slice(image, &mut self.file).ok()?;
        Some(&self.file[..length])
    }
}
