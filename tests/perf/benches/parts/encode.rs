//! Every encoding over every content; analysis, palettes and JPEG are part of Tight's figures.

use deskinit::encode::{Encoder, Encoding, JpegQuality, Params};
use deskinit::pixel::{PixelFormat, Region};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

use crate::content::{CONTENTS, Content, PIXELS, frame};

fn bench(bencher: Bencher<'_, '_>, content: Content, encoding: Encoding, quality: Option<u8>) {
    run(bencher, content, params(encoding, quality));
}

fn params(encoding: Encoding, quality: Option<u8>) -> Params {
    Params {
        encoding,
        format: PixelFormat::NATIVE,
        quality: quality.map(JpegQuality::of_level),
        jpeg_rects: false,
        compress: 2,
        last_rect: true,
    }
}

/// Encodes the whole of a picture.
pub(crate) fn run(bencher: Bencher<'_, '_>, content: Content, params: Params) {
    let frame = frame(content);
    let region = Region::from(frame.bounds());
    let (mut encoder, mut out) = (Encoder::new(), Vec::new());
    bencher
        .counter(ItemsCount::new(PIXELS))
        .bench_local(move || {
            out.clear();
            encoder.encode(black_box(&frame), &region, &params, &mut out)
        });
}

#[divan::bench(args = CONTENTS)]
fn tight_quality_6(bencher: Bencher<'_, '_>, content: &Content) {
    bench(bencher, *content, Encoding::Tight, Some(6));
}

#[divan::bench(args = CONTENTS)]
fn tight_lossless(bencher: Bencher<'_, '_>, content: &Content) {
    bench(bencher, *content, Encoding::Tight, None);
}

/// Photos as rectangles of JPEG (21), all else as ZRLE.
#[divan::bench(args = CONTENTS)]
fn jpeg_quality_6(bencher: Bencher<'_, '_>, content: &Content) {
    let params = Params {
        jpeg_rects: true,
        ..params(Encoding::Zrle, Some(6))
    };
    run(bencher, *content, params);
}

#[divan::bench(args = CONTENTS)]
fn zrle(bencher: Bencher<'_, '_>, content: &Content) {
    bench(bencher, *content, Encoding::Zrle, None);
}

#[divan::bench(args = CONTENTS)]
fn tight_png(bencher: Bencher<'_, '_>, content: &Content) {
    bench(bencher, *content, Encoding::TightPng, None);
}

#[divan::bench(args = CONTENTS)]
fn rre(bencher: Bencher<'_, '_>, content: &Content) {
    bench(bencher, *content, Encoding::Rre, None);
}

#[divan::bench(args = CONTENTS)]
fn zlib(bencher: Bencher<'_, '_>, content: &Content) {
    bench(bencher, *content, Encoding::Zlib, None);
}

#[divan::bench(args = CONTENTS)]
fn hextile(bencher: Bencher<'_, '_>, content: &Content) {
    bench(bencher, *content, Encoding::Hextile, None);
}

#[divan::bench(args = CONTENTS)]
fn raw(bencher: Bencher<'_, '_>, content: &Content) {
    bench(bencher, *content, Encoding::Raw, None);
}
