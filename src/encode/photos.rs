//! JPEG rectangles (encoding 21 of the community specification) for what is a photo, beside any other encoding.
//!
//! The encoding knows nothing but JPEG, so it is never enough alone: text, and whatever has to be exact, goes in the
//! encoding that the client listed next. Each rectangle is a whole JFIF file; tables of earlier ones are not relied on.

use super::MAX_RECTS;
use super::chroma;
use super::jpeg::Jpeg;
use super::memory::Buffers;
use super::prepare::{Body, How, Piece, map};
use super::quality::JpegQuality;
use super::select::{self, Films, Kind, Playing};
use crate::pixel::{Frame, Rect, Region};

/// The number on the wire.
const JPEG: i32 = 21;

/// The photos of a region as JPEG, and what is left of it.
pub(super) fn prepare(
    frame: &Frame,
    region: &Region,
    (playing, films): (&Playing, &Films),
    quality: JpegQuality,
    buffers: &Buffers,
) -> (Vec<Piece>, Region) {
    let mut rest = region.clone();
    let plan = select::plan(frame, region, Some(playing), films);
    let photos: Vec<(Rect, bool)> = plan
        .into_iter()
        .filter_map(|(rect, kind)| match kind {
            Kind::Jpeg => Some((rect, false)),
            Kind::Film => Some((rect, true)),
            _ => None,
        })
        .collect();
    let all: Region = photos.iter().map(|(rect, _)| *rect).collect();
    rest.subtract(&all);
    if photos.len().max(rest.rects().len()) > MAX_RECTS / 4 {
        return (Vec::new(), region.clone());
    }
    let pieces = map(&photos, all.area(), |&(rect, plays), scratch, out| {
        let quality = match plays {
            true => chroma::of_film(frame, rect, quality),
            false => quality,
        };
        out.extend(piece(frame, rect, quality, &mut scratch.jpeg, buffers));
    });
    if pieces.len() < photos.len() {
        // libjpeg-turbo refused some.
        rest = region.clone();
        rest.subtract(&pieces.iter().map(Piece::rect).collect());
    }
    (pieces, rest)
}

fn piece(
    frame: &Frame,
    rect: Rect,
    quality: JpegQuality,
    jpeg: &mut Jpeg,
    buffers: &Buffers,
) -> Option<Piece> {
    let file = jpeg.compress(frame, rect, quality)?;
    let mut bytes = buffers.get();
    bytes.extend_from_slice(file);
    Some(Piece::new(rect, How::Jpeg, Body::whole(bytes)).numbered(JPEG))
}
