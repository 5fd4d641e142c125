//! Open H.264 (encoding 50 of the community specification): one rectangle as a video.
//!
//! Unlike every other encoding it is a stream of pictures of *one* place: each is told as the difference from the one
//! before, so a client's context belongs to a rectangle, and every picture is of all of it.
//!
//! ```text
//!   another rectangle or quality ──► new encoder ──► IDR with SPS and PPS, "reset all contexts"
//!   the same                     ──► P
//! ```
//!
//! What the stream is made of is what the narrowest decoder takes at once (a browser's, asked for low latency):
//! constrained baseline, one slice a picture, no B pictures, no look-ahead, no picture left out.

use std::fmt;

use openh264::OpenH264API;
use openh264::encoder::{BitRate, SpsPpsStrategy};
use openh264::encoder::{
    Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile, QpRange,
    RateControlMode, UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;

use super::quality::JpegQuality;
use super::wire::header;
use super::{Encoded, Stats, Tally};
use crate::pixel::{Frame, Rect, Region};

/// The number on the wire.
const NUMBER: i32 = 50;

/// Flag: the client forgets all contexts before it decodes.
const RESET_ALL: u32 = 2;

/// The encoder takes no less, and no more in either direction.
const LEAST: u16 = 16;
const LONGEST: u16 = 3840;
const SHORTEST: u16 = 2160;

/// The most that H.264 has a level for: what limits the pictures is the quality.
const BITS_PER_SECOND: u32 = 240_000_000;
const PICTURES_PER_SECOND: f32 = 60.0;

/// The largest rectangle within `rect` that can be a video; colour is thinned out by two, so its sides are even.
pub fn video_rect(rect: Rect) -> Option<Rect> {
    let (w, h) = (rect.w & !1, rect.h & !1);
    let fits = w.min(h) >= LEAST && w.max(h) <= LONGEST && w.min(h) <= SHORTEST;
    fits.then(|| Rect::new(rect.x, rect.y, w, h))
}

/// The video of one client.
#[derive(Default)]
pub(super) struct Video {
    stream: Option<Stream>,
}

/// A picture for a video, the same for every client.
#[derive(Debug)]
pub struct VideoFrame {
    rect: Rect,
    /// Y, Cb and Cr.
    planes: [Vec<u8>; 3],
}

impl VideoFrame {
    /// Takes `rect`, which must be one of [`video_rect`]'s and within the frame.
    pub fn new(frame: &Frame, rect: Rect) -> Self {
        Self {
            rect,
            planes: planes(frame, rect),
        }
    }

    /// Memory that it takes, bytes.
    pub fn bytes(&self) -> usize {
        self.planes.iter().map(Vec::len).sum()
    }
}

struct Stream {
    rect: Rect,
    quality: JpegQuality,
    encoder: Encoder,
}

impl fmt::Debug for Video {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.stream.as_ref().map(|s| (s.rect, s.quality));
        f.debug_tuple("Video").field(&of).finish()
    }
}

impl Video {
    /// Appends a rectangle with the next picture. `None`, and nothing appended, when the encoder fails.
    pub(super) fn encode(
        &mut self,
        picture: &VideoFrame,
        quality: JpegQuality,
        out: &mut Vec<u8>,
    ) -> Option<Encoded> {
        let rect = picture.rect;
        let same = |s: &Stream| s.rect == rect && s.quality == quality;
        let fresh = !self.stream.as_ref().is_some_and(same);
        if fresh {
            self.stream = Some(Stream {
                rect,
                quality,
                encoder: encoder(quality)?,
            });
        }
        let (w, h) = (usize::from(rect.w), usize::from(rect.h));
        let [y, cb, cr] = &picture.planes;
        let slices = YUVSlices::new((y, cb, cr), (w, h), (w, w / 2, w / 2));
        let start = out.len();
        header(out, rect, NUMBER);
        let encoder = &mut self.stream.as_mut()?.encoder;
        let flags = if fresh { RESET_ALL } else { 0 };
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&flags.to_be_bytes());
        let data = out.len();
        let sound = encoder.encode(&slices).is_ok_and(|bits| {
            bits.write_vec(out);
            matches!(
                bits.frame_type(),
                FrameType::IDR | FrameType::I | FrameType::P
            )
        });
        let length = out.len() - data;
        if !sound || length == 0 {
            // A client would wait for this picture for ever; the next one begins anew.
            self.stream = None;
            out.truncate(start);
            return None;
        }
        out[data - 8..data - 4].copy_from_slice(&(length as u32).to_be_bytes());
        Some(Encoded {
            rects: 1,
            lossy: Region::from(rect),
            left: Region::new(),
            stats: Stats {
                h264: Tally {
                    rects: 1,
                    pixels: u64::from(rect.area()),
                    bytes: (out.len() - start) as u64,
                },
                ..Stats::default()
            },
        })
    }
}

fn encoder(quality: JpegQuality) -> Option<Encoder> {
    // 100 % is 16, which is hard to tell from the original; 79 % is 21; the worst is 36.
    let quantiser = 40 - (u16::from(quality.percent()) * 6 / 25) as u8;
    let config = EncoderConfig::new()
        .profile(Profile::Baseline)
        .usage_type(UsageType::CameraVideoRealTime)
        .complexity(Complexity::Low)
        .rate_control_mode(RateControlMode::Quality)
        .bitrate(BitRate::from_bps(BITS_PER_SECOND))
        .max_frame_rate(FrameRate::from_hz(PICTURES_PER_SECOND))
        .qp(QpRange::new(quantiser, quantiser))
        .sps_pps_strategy(SpsPpsStrategy::ConstantId)
        .intra_frame_period(IntraFramePeriod::from_num_frames(0))
        // It says on standard error that it wants this; at this rate it never comes to it.
        .skip_frames(true)
        .scene_change_detect(false)
        .background_detection(false)
        .adaptive_quantization(false)
        .long_term_reference(false)
        .num_threads(1)
        .vui(VuiConfig::srgb().full_range(true));
    Encoder::with_api_config(OpenH264API::from_source(), config).ok()
}

/// Fills the planes: BT.709 in full range, as the stream says, colour as the mean of two by two pixels.
fn planes(frame: &Frame, rect: Rect) -> [Vec<u8>; 3] {
    let area = rect.area() as usize;
    let [mut y, mut cb, mut cr] = [area, area / 4, area / 4].map(Vec::with_capacity);
    let half = usize::from(rect.w) / 2;
    // Red, green and blue of pairs, of the upper row of two.
    let mut sums = vec![[0i32; 3]; half];
    for (number, row) in frame.rows(rect).enumerate() {
        y.extend(row.iter().map(|&p| {
            let [r, g, b] = rgb(p);
            // 0.2126, 0.7152, 0.0722.
            ((54 * r + 183 * g + 19 * b + 128) >> 8) as u8
        }));
        let (pairs, _) = row.as_chunks::<2>();
        let lower = number % 2 == 1;
        for (sum, pair) in sums.iter_mut().zip(pairs) {
            let ([r, g, b], [r2, g2, b2]) = (rgb(pair[0]), rgb(pair[1]));
            let upper = if lower { *sum } else { [0; 3] };
            *sum = [upper[0] + r + r2, upper[1] + g + g2, upper[2] + b + b2];
        }
        if lower {
            // Four pixels and eight bits of fraction; −0.1146 −0.3854 0.5, and 0.5 −0.4542 −0.0458.
            let scaled = |n: i32| (((n + 512) >> 10) + 128).clamp(0, 255) as u8;
            cb.extend(
                sums.iter()
                    .map(|[r, g, b]| scaled(-29 * r - 99 * g + 128 * b)),
            );
            cr.extend(
                sums.iter()
                    .map(|[r, g, b]| scaled(128 * r - 116 * g - 12 * b)),
            );
        }
    }
    [y, cb, cr]
}

fn rgb(p: u32) -> [i32; 3] {
    [16, 8, 0].map(|shift| (p >> shift & 0xff) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openh264::decoder::Decoder;
    use openh264::formats::YUVSource;

    const RECT: Rect = Rect::new(7, 3, 322, 182);

    /// A picture that moves with `t`.
    fn frame(t: u32) -> Frame {
        let mut frame = Frame::new(350, 200);
        for row in 0..200 {
            for (x, p) in (0u32..).zip(frame.row_mut(row)) {
                let (x, y) = (x + 3 * t, u32::from(row) + t);
                let wave = |a: u32, b: u32| {
                    let angle = (x * a + y * b) as f32 / 900.0;
                    (127.0 + 100.0 * angle.sin()) as u32
                };
                *p = wave(9, 14) << 16 | wave(21, 5) << 8 | wave(4, 17);
            }
        }
        frame
    }

    /// Numbers of the NAL units (7.3.1 of H.264).
    fn units(data: &[u8]) -> Vec<u8> {
        let starts = data.windows(4).filter(|w| w[..3] == [0, 0, 1]);
        starts.map(|w| w[3] & 31).collect()
    }

    fn psnr(decoder: &mut Decoder, data: &[u8], frame: &Frame) -> f64 {
        let picture = decoder
            .decode(data)
            .expect("decodes")
            .expect("a picture for each");
        assert_eq!(picture.dimensions(), (RECT.w.into(), RECT.h.into()));
        let (sy, sc, _) = picture.strides();
        let mut sum = 0.0;
        for (y, row) in frame.rows(RECT).enumerate() {
            for (x, p) in row.iter().enumerate() {
                let colour = |plane: &[u8]| f64::from(plane[y / 2 * sc + x / 2]) - 128.0;
                let light = f64::from(picture.y()[y * sy + x]);
                let (cb, cr) = (colour(picture.u()), colour(picture.v()));
                let got = [
                    light + 1.5748 * cr,
                    light - 0.1873 * cb - 0.4681 * cr,
                    light + 1.8556 * cb,
                ];
                let sent = rgb(*p).map(f64::from);
                sum += got
                    .iter()
                    .zip(sent)
                    .map(|(a, b)| (a.clamp(0.0, 255.0) - b).powi(2))
                    .sum::<f64>();
            }
        }
        10.0 * (255.0 * 255.0 * 3.0 * f64::from(RECT.area()) / sum.max(1e-9)).log10()
    }

    #[test]
    fn pictures_arrive_one_for_one() {
        let mut video = Video::default();
        let mut decoder = Decoder::new().expect("a decoder");
        let quality = JpegQuality::of_level(6);
        for t in 0..20 {
            let mut out = Vec::new();
            let encoded = video
                .encode(&VideoFrame::new(&frame(t), RECT), quality, &mut out)
                .expect("encodes");
            assert_eq!(encoded.lossy, Region::from(RECT));
            assert_eq!(encoded.stats.total().bytes, out.len() as u64);
            assert_eq!(out[..12], [0, 7, 0, 3, 1, 66, 0, 182, 0, 0, 0, 50]);
            assert_eq!(out[12..16], (out.len() as u32 - 20).to_be_bytes());
            assert_eq!(out[16..20], if t == 0 { [0, 0, 0, 2] } else { [0; 4] });
            let expected: &[u8] = if t == 0 { &[7, 8, 5] } else { &[1] };
            assert_eq!(
                units(&out[20..]),
                expected,
                "SPS, PPS, one slice; then one slice"
            );
            if t == 0 {
                // Baseline with the constraints that make it what every decoder takes.
                let sps = out[20..]
                    .windows(4)
                    .position(|w| w == [0, 0, 1, 0x67])
                    .expect("an SPS");
                assert_eq!(out[20 + sps + 4], 66);
                assert_eq!(out[20 + sps + 5] & 0x40, 0x40, "constraint_set1");
            }
            let got = psnr(&mut decoder, &out[20..], &frame(t));
            assert!(got > 36.0, "picture {t}: {got} dB");
        }
    }

    #[test]
    fn grain_is_never_skipped() {
        let mut video = Video::default();
        let mut frame = Frame::new(1280, 720);
        let mut seed = 1u32;
        for t in 0..12 {
            for y in 0..720 {
                for (x, p) in (0u32..).zip(frame.row_mut(y)) {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let ground = ((x / 8 + u32::from(y) / 8) * 0x0001_0101) & 0x007f_7f7f;
                    *p = ground | (seed >> 8 & 0x001f_1f1f);
                }
            }
            let mut out = Vec::new();
            let encoded = video.encode(
                &VideoFrame::new(&frame, frame.bounds()),
                JpegQuality::of_level(8),
                &mut out,
            );
            assert!(encoded.is_some(), "picture {t}");
        }
    }

    #[test]
    fn another_rectangle_or_quality_begins_anew() {
        let mut video = Video::default();
        let other = Rect::new(7, 5, 322, 182);
        let better = JpegQuality::of_level(8);
        let flags =
            [(RECT, 6), (RECT, 6), (other, 6), (other, 8), (other, 8)].map(|(rect, level)| {
                let mut out = Vec::new();
                let quality = JpegQuality::of_level(level);
                video
                    .encode(&VideoFrame::new(&frame(1), rect), quality, &mut out)
                    .expect("encodes");
                out[19]
            });
        assert_eq!(flags, [2, 0, 2, 2, 0]);
        assert_eq!(video.stream.map(|s| s.quality), Some(better));
    }

    #[test]
    fn sides_are_even_and_within_what_the_encoder_takes() {
        assert_eq!(
            video_rect(Rect::new(1, 1, 33, 17)),
            Some(Rect::new(1, 1, 32, 16))
        );
        assert_eq!(video_rect(Rect::new(0, 0, 400, 15)), None);
        assert_eq!(video_rect(Rect::new(0, 0, 3842, 100)), None);
        assert_eq!(video_rect(Rect::new(0, 0, 2400, 2200)), None);
        assert!(video_rect(Rect::new(0, 0, 2160, 3840)).is_some());
    }
}
