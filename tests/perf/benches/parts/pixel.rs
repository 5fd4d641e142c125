//! Comparing frames, and converting pixels (as Raw, which does nothing else).

use deskinit::encode::{Encoder, Encoding, Params};
use deskinit::pixel::{Channel, PixelFormat, Region};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

use crate::content::{Content, PIXELS, frame};

/// Name, bits per pixel, depth, and maximum and shift of red, green and blue.
const FORMATS: [(&str, u8, u8, [(u16, u8); 3]); 4] = [
    ("native", 32, 24, [(255, 16), (255, 8), (255, 0)]),
    ("noVNC", 32, 24, [(255, 0), (255, 8), (255, 16)]),
    ("RGB565", 16, 16, [(31, 11), (63, 5), (31, 0)]),
    ("BGR233", 8, 8, [(7, 0), (7, 3), (3, 6)]),
];

#[divan::bench(args = FORMATS.map(|format| format.0))]
fn convert(bencher: Bencher<'_, '_>, name: &str) {
    let found = FORMATS.iter().find(|format| format.0 == name);
    let (_, bits, depth, channels) = found.expect("one of them");
    let [red, green, blue] = channels.map(|(max, shift)| Channel { max, shift });
    let format = PixelFormat::new(*bits, *depth, false, red, green, blue).expect("valid");
    let frame = frame(Content::Photo);
    let mut region = Region::default();
    region.add(frame.bounds());
    let params = Params {
        encoding: Encoding::Raw,
        format,
        quality: None,
        compress: 0,
        last_rect: true,
    };
    let (mut encoder, mut out) = (Encoder::new(), Vec::new());
    bencher
        .counter(ItemsCount::new(PIXELS))
        .bench_local(move || {
            out.clear();
            encoder.encode(black_box(&frame), &region, &params, &mut out)
        });
}

/// The bound of every diff: equal rows of two frames, compared as slices.
#[divan::bench]
fn compare_equal_frames(bencher: Bencher<'_, '_>) {
    let (a, b) = (frame(Content::Photo), frame(Content::Photo));
    bencher.counter(ItemsCount::new(PIXELS)).bench_local(|| {
        let rows = 0..a.height();
        rows.filter(|y| black_box(&a).row(*y) != black_box(&b).row(*y))
            .count()
    });
}
