//! JPEG of a rectangle, by libjpeg-turbo.

use turbojpeg::{Compressor, Image, PixelFormat, Subsamp, compressed_buf_len};

use super::quality::{JpegQuality, Subsampling};
use super::ycc::Planes;
use crate::pixel::{Frame, Rect};
use crate::sys::simd::Avx2;

/// Pixels of a frame as they lie in memory.
const PIXELS: PixelFormat = if cfg!(target_endian = "little") {
    PixelFormat::BGRX
} else {
    PixelFormat::XRGB
};

/// Up to this percentage each file gets Huffman tables of its own: the common ones are made for better pictures, where a
/// block is not just its mean. That saves an eighth of the bytes here and up to 45 % at level 0, for half as much time again;
/// whoever wants or gets so little has few bytes to spare.
const DENSE: u8 = 70;

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
    planes: Planes,
    file: Vec<u8>,
}

impl Jpeg {
    /// The rectangle as a JFIF file, or `None` if it is empty, or libjpeg-turbo refuses (out of memory): then it has to go
    /// another way.
    pub(super) fn compress(
        &mut self,
        frame: &Frame,
        rect: Rect,
        quality: JpegQuality,
    ) -> Option<&[u8]> {
        if rect.is_empty() {
            return None;
        }
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            slot => slot.insert(Compressor::new().ok()?),
        };
        let subsamp = subsamp(quality.subsampling());
        compressor.set_quality(quality.percent().into()).ok()?;
        compressor.set_subsamp(subsamp).ok()?;
        let dense = quality.percent() <= DENSE;
        compressor.set_optimize(dense).ok()?;
        let (w, h) = (usize::from(rect.w), usize::from(rect.h));
        // Grows to the largest rectangle and stays: room for the worst case is many times what a file needs.
        let most = compressed_buf_len(w, h, subsamp).ok()?;
        if self.file.len() < most {
            // Anew: of what comes zeroed from the system only what is written to takes memory.
            self.file = vec![0; most];
        }
        let length = match (subsamp, Avx2::detect()) {
            (Subsamp::Sub2x2, Some(wide)) => {
                let planes = self.planes.of(wide, frame, rect);
                compressor.compress_yuv_planes_to_slice(&planes, &mut self.file)
            }
            _ => compressor.compress_to_slice(pixels(frame, rect), &mut self.file),
        };
        let length = length.ok()?;
        Some(&self.file[..length])
    }
}

/// The rectangle, which is not empty, where it is in the frame: row by row of the frame's width.
fn pixels(frame: &Frame, rect: Rect) -> Image<&[u8]> {
    let (w, h) = (usize::from(rect.w), usize::from(rect.h));
    let pitch = usize::from(frame.width());
    let start = usize::from(rect.y) * pitch + usize::from(rect.x);
    let end = start + (h - 1) * pitch + w;
    Image {
        pixels: bytemuck::cast_slice::<u32, u8>(&frame.pixels()[start..end]),
        width: w,
        pitch: pitch * 4,
        height: h,
        format: PIXELS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_coarse_and_plain_is_next_to_nothing() {
        let mut frame = Frame::new(512, 256);
        for y in 0..256 {
            for (x, pixel) in (0u32..).zip(frame.row_mut(y)) {
                *pixel = 0x20_4060 + (x / 32 + u32::from(y) / 32) * 0x1_0101;
            }
        }
        let mut jpeg = Jpeg::default();
        let mut size = |quality| {
            let file = jpeg.compress(&frame, frame.bounds(), quality);
            file.expect("memory").len()
        };
        let blocks = 512 * 256 / 256;
        // Common tables cannot say in less than 4 bytes that six blocks are plain.
        let (coarse, fine) = (JpegQuality::of_level(0), JpegQuality::of_level(6));
        assert!(size(coarse) < 700 + 2 * blocks, "{}", size(coarse));
        // And back again.
        assert!(size(fine) > 4 * blocks);
        assert!(size(coarse) < 700 + 2 * blocks);
    }
}
