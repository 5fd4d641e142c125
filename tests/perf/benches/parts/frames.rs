//! Finding what differs between frames and what only moved, and converting pixels (as Raw, which does nothing else).

use deskinit::encode::{Encoding, Params};
use deskinit::pixel::{Channel, Frame, PixelFormat, Point, Rect, Region};
use deskinit::screen::{Difference, Motion, Move};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

use crate::content::{CONTENTS, Content, PIXELS, SIZE, frame};
use crate::diff::{Differ, Source};
use crate::encode;
use crate::palette::{self, Palette};
use crate::vote::Votes;

/// Name, bits per pixel, depth, and maximum and shift of red, green and blue.
type Format = (&'static str, u8, u8, [(u16, u8); 3]);

const FORMATS: [Format; 4] = [
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
    let params = Params {
        encoding: Encoding::Raw,
        format,
        quality: None,
        jpeg_rects: false,
        compress: 0,
        last_rect: true,
    };
    encode::run(bencher, Content::Photo, params);
}

/// A grab that changed nothing.
#[divan::bench]
fn diff_nothing(bencher: Bencher<'_, '_>) {
    diff(bencher, &frame(Content::Photo), &frame(Content::Photo));
}

/// A grab in which everything went 40 rows up.
#[divan::bench(args = CONTENTS)]
fn diff_scrolled(bencher: Bencher<'_, '_>, content: &Content) {
    diff(bencher, &frame(*content), &scrolled(*content));
}

/// The same, to find out that it did.
#[divan::bench(args = CONTENTS)]
fn motion_scrolled(bencher: Bencher<'_, '_>, content: &Content) {
    let (old, new) = (frame(*content), scrolled(*content));
    let difference = Difference {
        moved: Vec::new(),
        changed: vec![old.bounds()],
    };
    bencher
        .counter(ItemsCount::new(PIXELS))
        .bench_local(|| Motion::default().search(Some(black_box(&old)), &new, &difference, &[]));
}

/// Hashes of rows alone, and their votes for how far it went.
#[divan::bench(args = CONTENTS)]
fn row_hashes(bencher: Bencher<'_, '_>, content: &Content) {
    let (old, new) = (frame(*content), scrolled(*content));
    let mut votes = Votes::default();
    bencher
        .counter(ItemsCount::new(PIXELS))
        .bench_local(|| votes.vertical(black_box(&old), &mut &new, old.bounds(), None, 4));
}

/// Indices of all colours, in pieces of the size that Tight makes, until there are too many.
#[divan::bench(args = CONTENTS)]
fn palette(bencher: Bencher<'_, '_>, content: &Content) {
    let frame = frame(*content);
    let pieces: Vec<Rect> = frame.bounds().tiles(256, 256).collect();
    let (mut palette, mut indices) = (Palette::new(), Vec::new());
    bencher.counter(ItemsCount::new(PIXELS)).bench_local(|| {
        let mut fit = 0;
        for piece in &pieces {
            indices.clear();
            palette.restart(palette::MAX);
            let rows = black_box(&frame).rows(*piece);
            fit += usize::from(palette.index(rows, &mut indices).is_some());
        }
        (fit, palette.colours().len())
    });
}

fn scrolled(content: Content) -> Frame {
    let mut new = frame(content);
    new.copy_within(Rect::new(0, 40, SIZE.0, SIZE.1 - 40), Point::default());
    new
}

/// A grab in which a small square has changed.
#[divan::bench]
fn diff_small(bencher: Bencher<'_, '_>) {
    let (old, mut new) = (frame(Content::Photo), frame(Content::Photo));
    for y in 300..320 {
        new.row_mut(y)[400..420].fill(0);
    }
    diff(bencher, &old, &new);
}

/// The same as [`diff_scrolled`], guessed: up by 40 rows, and down again.
#[divan::bench(args = CONTENTS)]
fn diff_moved(bencher: Bencher<'_, '_>, content: &Content) {
    let (old, new) = (frame(*content), scrolled(*content));
    let (from, to) = (Point { x: 0, y: 40 }, Rect::new(0, 0, SIZE.0, SIZE.1 - 40));
    let up = Move { to, from };
    let down = Move {
        to: up.source(),
        from: to.origin(),
    };
    let mut taken = old.clone();
    // Where they come from: only what moves is looked at.
    let mut shown = [(Shown(&new), up), (Shown(&old), down)].into_iter().cycle();
    bencher.counter(ItemsCount::new(PIXELS)).bench_local(|| {
        let Some((mut screen, guess)) = shown.next() else {
            return 0;
        };
        let (mut found, mut settled) = (Difference::default(), Region::new());
        Differ::settle(&mut taken, guess, &mut screen, &mut found, &mut settled);
        found.moved.len()
    });
}

/// A screen that is a picture.
#[derive(Clone, Copy)]
struct Shown<'a>(&'a Frame);

impl Source for Shown<'_> {
    fn holds(&mut self, (x, y): (u16, u16), pixels: &[u32], _: Option<(u16, &[u32])>) -> bool {
        black_box(self.0).row(y)[usize::from(x)..][..pixels.len()] == *pixels
    }

    fn read(&mut self, (x, y): (u16, u16), out: &mut [u32]) {
        let from = &black_box(self.0).row(y)[usize::from(x)..];
        out.copy_from_slice(&from[..out.len()]);
    }
}

/// From the one to the other, and back.
fn diff(bencher: Bencher<'_, '_>, old: &Frame, new: &Frame) {
    let (mut differ, mut found, mut taken) =
        (Differ::default(), Difference::default(), old.clone());
    let whole = Rect::sized(SIZE.0, SIZE.1);
    let mut shown = [Shown(new), Shown(old)].into_iter().cycle();
    bencher.counter(ItemsCount::new(PIXELS)).bench_local(|| {
        found.clear();
        if let Some(mut screen) = shown.next() {
            differ.take(&mut taken, whole, &mut screen, None, &mut found);
        }
        found.changed.len()
    });
}
