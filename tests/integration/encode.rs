//! Whatever is encoded decodes to what was on the screen.

use deskinit::encode::{Encoded, Encoder, Encoding, JpegQuality, MAX_RECTS, Params, Subsampling};
use deskinit::pixel::{Channel, Frame, PixelFormat, Rect, Region};
use proptest::prelude::*;

use crate::support::decode::{Decoder, Drawn, Update, number, seen_as};
use crate::support::pictures::{CONTENTS, Content, Random, draw, picture};

const ENCODINGS: [Encoding; 7] = [
    Encoding::Raw,
    Encoding::Rre,
    Encoding::Hextile,
    Encoding::Zlib,
    Encoding::Zrle,
    Encoding::Tight,
    Encoding::TightPng,
];

/// What viewers ask for, and what they might.
fn formats() -> Vec<PixelFormat> {
    let layouts = [
        // Ours; noVNC's; each with its colours in the upper three bytes.
        (32, 24, [(255, 16), (255, 8), (255, 0)]),
        (32, 24, [(255, 0), (255, 8), (255, 16)]),
        (32, 24, [(255, 24), (255, 16), (255, 8)]),
        // Three bytes that are not at the edges of bytes; ones that touch all four.
        (32, 24, [(255, 3), (255, 11), (255, 19)]),
        (32, 32, [(255, 16), (255, 8), (255, 0)]),
        (32, 24, [(255, 24), (255, 12), (255, 0)]),
        (32, 30, [(1023, 20), (1023, 10), (1023, 0)]),
        (32, 15, [(31, 26), (31, 18), (31, 10)]),
        (16, 16, [(31, 11), (63, 5), (31, 0)]),
        (16, 15, [(31, 10), (31, 5), (31, 0)]),
        (16, 12, [(15, 0), (15, 4), (15, 8)]),
        (8, 8, [(7, 0), (7, 3), (3, 6)]),
        (8, 8, [(7, 5), (7, 2), (3, 0)]),
        (8, 6, [(3, 4), (3, 2), (3, 0)]),
        (8, 3, [(1, 2), (1, 1), (1, 0)]),
        // A maximum that is no power of two less one.
        (16, 16, [(9, 12), (99, 4), (9, 0)]),
    ];
    let mut formats = Vec::new();
    for (bpp, depth, channels) in layouts {
        let [r, g, b] = channels.map(|(max, shift)| Channel { max, shift });
        for big in [false, true] {
            formats.push(PixelFormat::new(bpp, depth, big, r, g, b).expect("a valid format"));
        }
    }
    formats
}

fn level(level: u8) -> Option<JpegQuality> {
    Some(JpegQuality::of_level(level))
}

fn params(encoding: Encoding) -> Params {
    Params {
        encoding,
        format: PixelFormat::NATIVE,
        quality: None,
        jpeg_rects: false,
        compress: 2,
        last_rect: false,
    }
}

/// A server's encoder with the client at its other end, and the picture that the client ought to have.
struct Pair {
    encoder: Encoder,
    decoder: Decoder,
    expected: Vec<u32>,
    /// As long as nothing is left over, what was encoded last.
    wire: Vec<u8>,
}

impl Pair {
    fn new(width: u16, height: u16) -> Self {
        Self {
            encoder: Encoder::new(),
            decoder: Decoder::new(PixelFormat::NATIVE, width, height),
            expected: vec![0; usize::from(width) * usize::from(height)],
            wire: Vec::new(),
        }
    }

    /// Sends a region and checks everything that can be checked.
    fn send(&mut self, frame: &Frame, region: &Region, params: &Params) -> (Encoded, Update) {
        self.wire.clear();
        self.decoder.set_format(params.format);
        let encoded = self.encoder.encode(frame, region, params, &mut self.wire);
        let mut input = self.wire.as_slice();
        let update = self.decoder.update(&mut input, encoded.rects as u16);
        assert!(update.is_ok(), "{params:?}: {update:?}");
        let update = update.expect("just checked");
        assert_eq!(input.len(), 0, "bytes after the last rectangle");
        assert_eq!(update.drawn.len() as u32, encoded.rects);

        let mut covered = Region::new();
        let mut lossy = Region::new();
        let mut area = 0;
        for drawn in &update.drawn {
            match (drawn.encoding, params.encoding) {
                (number::JPEG, _) => assert!(params.jpeg_rects && drawn.how == "jpeg"),
                (number::RAW, Encoding::Rre) => {}
                (number, encoding) => assert_eq!(number, encoding.number()),
            }
            area += u64::from(drawn.rect.area());
            covered.add(drawn.rect);
            if drawn.how == "jpeg" {
                lossy.add(drawn.rect);
            }
        }
        let mut wanted = region.clone();
        wanted.clip(frame.bounds());
        assert_eq!(covered, wanted, "what was sent is what was asked");
        assert_eq!(area, wanted.area(), "nothing is sent twice");
        assert_eq!(encoded.lossy, lossy);
        assert!(params.quality.is_some() || lossy.is_empty());
        let total = encoded.stats.total();
        assert_eq!(total.bytes, self.wire.len() as u64);
        assert_eq!((total.pixels, total.rects), (area, encoded.rects.into()));
        assert_eq!(encoded.stats.jpeg.pixels, lossy.area());

        let width = usize::from(frame.width());
        for r in wanted.rects() {
            for (y, row) in (r.y..).zip(frame.rows(*r)) {
                for (x, &p) in (r.x..).zip(row) {
                    let at = usize::from(y) * width + usize::from(x);
                    self.expected[at] = seen_as(params.format, p);
                }
            }
        }
        for r in lossy.rects() {
            for y in r.y..r.bottom() {
                for x in r.x..r.right() {
                    self.expected[usize::from(y) * width + usize::from(x)] =
                        self.decoder.pixel(x, y);
                }
            }
        }
        let pixels = self.decoder.pixels();
        let wrong = self.expected.iter().zip(pixels).position(|(a, b)| a != b);
        let pixel = wrong.map(|at| (at % width, at / width, self.expected[at], pixels[at]));
        assert_eq!(pixel, None, "{params:?}: column, row, expected, got");
        (encoded, update)
    }
}

/// Peak signal to noise over a region, in dB.
fn psnr(decoder: &Decoder, frame: &Frame, region: &Region) -> f64 {
    let mut sum = 0f64;
    for r in region.rects() {
        for (y, row) in (r.y..).zip(frame.rows(*r)) {
            for (x, p) in (r.x..).zip(row) {
                let (a, b) = (p.to_be_bytes(), decoder.pixel(x, y).to_be_bytes());
                sum += (1..4)
                    .map(|c| f64::from(a[c].abs_diff(b[c])).powi(2))
                    .sum::<f64>();
            }
        }
    }
    10.0 * (255.0 * 255.0 * 3.0 * region.area() as f64 / sum.max(1e-9)).log10()
}

fn whole(frame: &Frame) -> Region {
    Region::from(frame.bounds())
}

/// A step of a connection: something is drawn, and a region is sent in some way.
#[derive(Clone, Debug)]
struct Step {
    seed: u64,
    things: u32,
    rects: u32,
    encoding: usize,
    format: usize,
    quality: Option<JpegQuality>,
    jpeg_rects: bool,
    compress: u8,
}

fn step() -> impl Strategy<Value = Step> {
    let subsampling = prop_oneof![
        Just(Subsampling::None),
        Just(Subsampling::Half),
        Just(Subsampling::Quarter),
        Just(Subsampling::Grey),
    ];
    let quality = (1u8..=100, subsampling).prop_map(|(percent, s)| JpegQuality::new(percent, s));
    let quality = prop_oneof![Just(None), quality.prop_map(Some)];
    (
        any::<u64>(),
        0u32..4,
        0u32..6,
        0usize..ENCODINGS.len(),
        0usize..32,
        quality,
        any::<bool>(),
        0u8..=10,
    )
        .prop_map(
            |(seed, things, rects, encoding, format, quality, jpeg_rects, compress)| Step {
                seed,
                things,
                rects,
                encoding,
                format,
                quality,
                jpeg_rects,
                compress,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_updates_arrives(width in 1u16..400, height in 1u16..300, steps in proptest::collection::vec(step(), 1..7)) {
        let formats = formats();
        let mut frame = Frame::new(width, height);
        let mut pair = Pair::new(width, height);
        for s in steps {
            let mut random = Random::new(s.seed);
            for _ in 0..s.things {
                let rect = random.rect(frame.bounds());
                let content = CONTENTS[random.below(CONTENTS.len() as u32) as usize];
                draw(&mut frame, rect, content, &mut random);
            }
            // Also beyond the picture, as happens when it has just become smaller.
            let beyond = Rect::sized(width + 20, height + 20);
            let region: Region = (0..s.rects).map(|_| random.rect(beyond)).collect();
            pair.send(&frame, &region, &Params {
                encoding: ENCODINGS[s.encoding],
                format: formats[s.format],
                quality: s.quality,
                jpeg_rects: s.jpeg_rects,
                compress: s.compress,
                last_rect: false,
            });
        }
    }
}

#[test]
fn every_encoding_arrives_in_every_format_at_every_level() {
    let frame = picture(233, 117, 7, 12);
    for format in formats() {
        let mut pair = Pair::new(233, 117);
        for encoding in ENCODINGS {
            for compress in [0, 2, 4, 9] {
                for (quality, jpeg_rects) in [(None, true), (level(6), false), (level(6), true)] {
                    let params = Params {
                        encoding,
                        format,
                        quality,
                        jpeg_rects,
                        compress,
                        last_rect: true,
                    };
                    pair.send(&frame, &whole(&frame), &params);
                }
            }
        }
    }
}

#[test]
fn every_size_up_to_a_few_cells_arrives() {
    let mut random = Random::new(3);
    let frame = picture(90, 90, 11, 20);
    let mut pair = Pair::new(90, 90);
    for w in 1..=68 {
        for h in [1, 2, 7, 15, 16, 17, 33, 64, 65] {
            let (x, y) = (random.below(90 - w), random.below(90 - h));
            let region = Region::from(Rect::new(x as u16, y as u16, w as u16, h as u16));
            for encoding in ENCODINGS {
                let quality = (w % 2 == 0).then_some(JpegQuality::of_level(9));
                pair.send(
                    &frame,
                    &region,
                    &Params {
                        quality,
                        ..params(encoding)
                    },
                );
            }
        }
    }
}

#[test]
fn large_pictures_arrive_with_several_threads() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(4)
        .build()
        .expect("threads");
    pool.install(|| {
        let mut frame = picture(2300, 700, 5, 40);
        let mut pair = Pair::new(2300, 700);
        let mut random = Random::new(1);
        for round in 0..2 {
            for encoding in ENCODINGS {
                for quality in [None, level(5)] {
                    let rect = random.rect(frame.bounds());
                    draw(&mut frame, rect, CONTENTS[round + 2], &mut random);
                    let params = Params {
                        quality,
                        ..params(encoding)
                    };
                    pair.send(&frame, &whole(&frame), &params);
                }
            }
        }
    });
}

#[test]
fn nothing_comes_of_nothing() {
    let frame = picture(50, 50, 1, 3);
    let mut out = Vec::new();
    for encoding in ENCODINGS {
        let outside = Region::from(Rect::new(50, 0, 9, 9));
        for region in [Region::new(), outside] {
            let encoded = Encoder::new().encode(&frame, &region, &params(encoding), &mut out);
            assert_eq!(encoded, Encoded::default());
            assert!(out.is_empty());
        }
    }
}

#[test]
fn one_colour_is_a_fill_however_large() {
    let mut frame = Frame::new(1920, 1080);
    draw(
        &mut frame,
        Rect::sized(1920, 1080),
        Content::Fill,
        &mut Random::new(4),
    );
    let mut pair = Pair::new(1920, 1080);
    for quality in [None, level(6)] {
        let params = Params {
            quality,
            ..params(Encoding::Tight)
        };
        let (encoded, update) = pair.send(&frame, &whole(&frame), &params);
        assert!(update.drawn.iter().all(|d| d.how == "fill"));
        assert!(encoded.rects <= 8, "{} rectangles", encoded.rects);
        // Also when it is hardly anything.
        let (_, update) = pair.send(&frame, &Region::from(Rect::new(5, 5, 1, 3)), &params);
        assert_eq!(update.drawn[0].how, "fill");
    }
}

#[test]
fn a_window_on_a_desktop_is_mostly_fills() {
    let mut frame = Frame::new(1280, 1024);
    let mut random = Random::new(8);
    draw(
        &mut frame,
        Rect::sized(1280, 1024),
        Content::Fill,
        &mut random,
    );
    draw(
        &mut frame,
        Rect::new(301, 203, 600, 400),
        Content::Fill,
        &mut random,
    );
    draw(
        &mut frame,
        Rect::new(301, 203, 600, 20),
        Content::SmoothText,
        &mut random,
    );
    let mut pair = Pair::new(1280, 1024);
    let (encoded, _) = pair.send(&frame, &whole(&frame), &params(Encoding::Tight));
    assert!(encoded.stats.fill.pixels > 1_100_000, "{:?}", encoded.stats);
    assert!(pair.wire.len() < 12_000, "{} bytes", pair.wire.len());
}

#[test]
fn text_is_small_and_never_jpeg() {
    let mut frame = Frame::new(724, 650);
    draw(
        &mut frame,
        Rect::sized(724, 650),
        Content::Text,
        &mut Random::new(6),
    );
    let raw = 724 * 650 * 4;
    for (encoding, most) in [
        (Encoding::Rre, raw),
        (Encoding::Hextile, raw / 2),
        (Encoding::Zlib, raw / 6),
        (Encoding::Zrle, raw / 40),
        (Encoding::Tight, raw / 40),
        (Encoding::TightPng, raw / 40),
    ] {
        for quality in [None, level(6)] {
            let params = Params {
                quality,
                ..params(encoding)
            };
            let mut pair = Pair::new(724, 650);
            let (encoded, _) = pair.send(&frame, &whole(&frame), &params);
            assert!(encoded.lossy.is_empty(), "{encoding:?}");
            assert!(
                pair.wire.len() < most,
                "{encoding:?}: {} bytes",
                pair.wire.len()
            );
        }
    }
    // With soft edges and a picture beside it, too.
    draw(
        &mut frame,
        Rect::sized(360, 650),
        Content::SmoothText,
        &mut Random::new(9),
    );
    draw(
        &mut frame,
        Rect::new(400, 100, 256, 256),
        Content::Photo,
        &mut Random::new(9),
    );
    let params = Params {
        quality: level(6),
        ..params(Encoding::Tight)
    };
    let (encoded, _) = Pair::new(724, 650).send(&frame, &whole(&frame), &params);
    let photo = Rect::new(384, 84, 288, 288);
    assert!(
        photo.contains(&encoded.lossy.bounds()),
        "{:?}",
        encoded.lossy
    );
    assert!(encoded.lossy.area() > 200 * 200, "{:?}", encoded.lossy);
}

#[test]
fn photos_are_jpeg_and_look_it() {
    let mut frame = Frame::new(800, 600);
    draw(
        &mut frame,
        Rect::sized(800, 600),
        Content::Photo,
        &mut Random::new(2),
    );
    let mut last = 0;
    for (quality, least) in [(0, 25.0), (3, 29.0), (6, 33.0), (8, 36.0), (9, 40.0)] {
        let mut pair = Pair::new(800, 600);
        let params = Params {
            quality: level(quality),
            ..params(Encoding::Tight)
        };
        let (encoded, update) = pair.send(&frame, &whole(&frame), &params);
        assert_eq!(encoded.lossy, whole(&frame));
        assert!(update.drawn.len() <= 6, "{} rectangles", update.drawn.len());
        let got = psnr(&pair.decoder, &frame, &encoded.lossy);
        assert!(got > least, "quality {quality}: {got} dB");
        assert!(pair.wire.len() > last, "quality {quality} is larger");
        last = pair.wire.len();
    }
    // The same photo as rectangles of JPEG, with a line of text in another encoding.
    let text = Rect::new(0, 0, 800, 48);
    draw(&mut frame, text, Content::Text, &mut Random::new(5));
    for encoding in ENCODINGS {
        let params = Params {
            quality: level(6),
            jpeg_rects: true,
            ..params(encoding)
        };
        let (encoded, update) = Pair::new(800, 600).send(&frame, &whole(&frame), &params);
        assert!(
            encoded.lossy.bounds().intersect(&text).is_empty(),
            "{encoding:?}"
        );
        assert!(encoded.lossy.area() > 800 * 500, "{encoding:?}");
        let jpeg = |d: &&Drawn| d.encoding == number::JPEG;
        let area: u32 = update
            .drawn
            .iter()
            .filter(jpeg)
            .map(|d| d.rect.area())
            .sum();
        assert_eq!(u64::from(area), encoded.lossy.area());
    }
    // One byte a pixel has no JPEG.
    let format = formats()
        .into_iter()
        .find(|f| f.bytes_per_pixel() == 1)
        .expect("one");
    let params = Params {
        quality: level(6),
        format,
        ..params(Encoding::Tight)
    };
    let (encoded, _) = Pair::new(800, 600).send(&frame, &whole(&frame), &params);
    assert!(encoded.lossy.is_empty());
}

#[test]
fn a_region_of_dust_stays_within_the_count() {
    // 65,536 rectangles of one pixel.
    let frame = picture(1024, 1024, 3, 9);
    let dust: Region = (0..512u16)
        .flat_map(|y| (0..128u16).map(move |x| Rect::new(x * 8, y * 2, 1, 1)))
        .collect();
    for encoding in ENCODINGS {
        let mut out = Vec::new();
        let encoded = Encoder::new().encode(&frame, &dust, &params(encoding), &mut out);
        assert!(encoded.rects as usize <= MAX_RECTS);
        let mut decoder = Decoder::new(PixelFormat::NATIVE, 1024, 1024);
        decoder
            .update(&mut out.as_slice(), encoded.rects as u16)
            .expect("decodes");
        for r in dust.rects() {
            assert_eq!(decoder.pixel(r.x, r.y), frame.row(r.y)[usize::from(r.x)]);
        }
    }
}
