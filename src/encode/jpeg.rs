//! JPEG of a rectangle, by libjpeg-turbo.

use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use super::quality::{JpegQuality, Subsampling};
use crate::pixel::{Frame, Rect};

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
    pixels: Vec<u8>,
}

impl Jpeg {
    /// The rectangle as a JFIF file, or `None` if libjpeg-turbo refuses (out of memory): then it has to go another way.
    pub(super) fn compress(
        &mut self,
        frame: &Frame,
        rect: Rect,
        quality: JpegQuality,
    ) -> Option<Vec<u8>> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            slot => slot.insert(Compressor::new().ok()?),
        };
        compressor.set_quality(quality.percent().into()).ok()?;
        compressor
            .set_subsamp(subsamp(quality.subsampling()))
            .ok()?;
        self.pixels.clear();
        for row in frame.rows(rect) {
            self.pixels.extend(row.iter().flat_map(|p| p.to_le_bytes()));
        }
        let image = Image {
            pixels: self.pixels.as_slice(),
            width: usize::from(rect.w),
            pitch: usize::from(rect.w) * 4,
            height: usize::from(rect.h),
            format: PixelFormat::BGRX,
        };
        compressor.compress_to_vec(image).ok()
    }
}
