//! JPEG of a rectangle, by libjpeg-turbo.

use turbojpeg::{Compressor, Image, PixelFormat, Subsamp, compressed_buf_len};

use super::quality::{JpegQuality, Subsampling};
use crate::pixel::{Frame, Rect};

/// Pixels of a frame as they lie in memory.
const PIXELS: PixelFormat = if cfg!(target_endian = "little") {
    PixelFormat::BGRX
} else {
    PixelFormat::XRGB
};

const fn subsamp(subsampling: Subsampling) -> Subsamp {
    match subsampling {
        Subsampling::None => Subsamp::None,
        Subsampling::Half => Subsamp::Sub2x1,
        Subsampling::Quarter => Subsamp::Sub2x2,
        Subsampling::Grey => Subsamp::Gray,
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
        quality: JpegQuality,
    ) -> Option<&[u8]> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            slot => slot.insert(Compressor::new().ok()?),
        };
        let subsamp = subsamp(quality.subsampling());
        compressor.set_quality(quality.percent().into()).ok()?;
        compressor.set_subsamp(subsamp).ok()?;
        let (w, h) = (usize::from(rect.w), usize::from(rect.h));
        // Grows to the largest rectangle and stays: room for the worst case is many times what a file needs.
        let most = compressed_buf_len(w, h, subsamp).ok()?;
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
