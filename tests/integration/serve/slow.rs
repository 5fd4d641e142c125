//! A viewer behind a slow link: what it sees is coarse and new. And nobody sees half of one picture and half of another.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use deskinit::pixel::{Frame, Rect};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::Value;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{ChangeGCAux, ConnectionExt as _, CreateGCAux, Rectangle};

use super::convergence::patient;
use super::{EXTRAS, SOON, Stage, put};
use crate::support::client::{Client, Event, Login};
use crate::support::decode::number;
use crate::support::draw::{Painter, Random};
use crate::support::pictures::{self, Content};
use crate::support::pseudo::number as pseudo;
use crate::support::serve::PASSWORD;
use crate::support::xvfb;

/// Bytes a second of a slow link, and of how many at a time.
const RATE: u64 = 200_000;
const PACKET: usize = 1400;

/// How old the newest frame of a viewer behind it may be.
const AGE: Duration = Duration::from_millis(500);

/// A link in front of a port: what comes from there goes on at so many bytes a second, with little that waits on the way.
fn link(to: SocketAddr, rate: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let here = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let (near, _) = listener.accept().expect("the viewer");
        let far = TcpStream::connect(to).expect("listens");
        setsockopt(&far, sockopt::RcvBuf, &16_384).expect("a socket");
        setsockopt(&near, sockopt::SndBuf, &16_384).expect("a socket");
        near.set_nodelay(true).expect("a socket");
        far.set_nodelay(true).expect("a socket");
        let (mut up, mut out) = (
            near.try_clone().expect("a handle"),
            far.try_clone().expect("a handle"),
        );
        thread::spawn(move || {
            let _ = std::io::copy(&mut up, &mut out);
            let _ = out.shutdown(Shutdown::Both);
        });
        let (mut far, mut near) = (far, near);
        let mut packet = [0; PACKET];
        let mut free = Instant::now();
        while let Ok(count @ 1..) = far.read(&mut packet) {
            free = free.max(Instant::now()) + Duration::from_secs(count as u64) / rate as u32;
            thread::sleep(free.saturating_duration_since(Instant::now()));
            if near.write_all(&packet[..count]).is_err() {
                break;
            }
        }
        let _ = near.shutdown(Shutdown::Both);
    });
    here
}

/// Where the number of a picture stands on the screen, above and below, and the squares of which one is for each bit.
const NUMBERS: [(u16, u16); 2] = [(64, 64), (64, 390)];
const SQUARE: u16 = 32;
const BITS: u16 = 8;

/// What follows each other.
#[derive(Clone, Copy)]
enum Film {
    Photos,
    /// Text in hundreds of colours.
    Texts,
    /// Shapes with outlines that cross a plain ground: of what is between them nothing changes.
    Cartoon,
}

/// A picture with its number.
fn numbered(number: u8, film: Film) -> Frame {
    let mut picture = Frame::new(560, 400);
    let all = picture.bounds();
    let mut random = Random::new(u64::from(number) + 1);
    match film {
        Film::Photos => pictures::draw(&mut picture, all, Content::Photo, &mut random),
        Film::Texts => {
            for tile in all.tiles(56, 40) {
                pictures::draw(&mut picture, tile, Content::SmoothText, &mut random);
            }
        }
        Film::Cartoon => cartoon(&mut picture, number.into()),
    }
    // Beside each number something is new each time, as everywhere in the other two.
    let strip = (u32::from(number) * 0x3b_2d1f) & 0xff_ffff;
    for (x, top) in NUMBERS.map(|(x, y)| (usize::from(x - 40), y - 40)) {
        for y in top - 8..top + SQUARE {
            for (bit, at) in (0..BITS).rev().zip((x..).step_by(SQUARE.into())) {
                let square = &mut picture.row_mut(y)[at..at + usize::from(SQUARE)];
                let lit = number >> bit & 1 == 1;
                square.fill(match (y < top, lit) {
                    (true, _) => strip,
                    (_, true) => 0xff_ffff,
                    _ => 0,
                });
            }
        }
    }
    picture
}

/// Two hundred shapes, each on its way, with soft edges.
fn cartoon(picture: &mut Frame, number: u16) {
    let (width, height) = (picture.width(), picture.height());
    let mut random = Random::new(5);
    for _ in 0..200 {
        let (x, y) = (random.below_u16(width), random.below_u16(height));
        let (dx, dy) = (3 + random.below_u16(6), 1 + random.below_u16(3));
        let radius = 6 + random.below_u16(12);
        let colour = random.next();
        let (x, y) = ((x + number * dx) % width, (y + number * dy) % height);
        for row in y.saturating_sub(radius)..(y + radius).min(height) {
            for column in x.saturating_sub(radius)..(x + radius).min(width) {
                let square = |n: u16| f32::from(n).powi(2);
                let far = (square(row.abs_diff(y)) + square(column.abs_diff(x))).sqrt();
                let within = |edge: f32| (edge - far).clamp(0.0, 1.0);
                let (shape, inner) = (within(radius.into()), within(f32::from(radius) - 3.0));
                let pixel = &mut picture.row_mut(row)[usize::from(column)];
                *pixel = [16, 8, 0].into_iter().fold(0, |rgb, shift| {
                    let part = |from: u32| (from >> shift & 0xff) as f32;
                    let mixed = part(*pixel) * (1.0 - shape) + part(colour) * inner;
                    rgb << 8 | mixed as u32
                });
            }
        }
    }
}

/// The number that is seen there.
fn number_shown(client: &Client, (x, y): (u16, u16)) -> Option<u8> {
    let picture = client.picture();
    let width = usize::from(picture.size().0);
    let y = usize::from(y + SQUARE / 2);
    (0..BITS).try_fold(0, |number, bit| {
        let x = usize::from(x + bit * SQUARE + SQUARE / 2);
        let pixel = *picture.pixels().get(y * width + x)?;
        Some(number << 1 | u8::from(pixel >> 8 & 0xff > 127))
    })
}

/// The number of what is seen: of the picture that has come first, or, of a cartoon, only if all of it is from one.
fn newest(client: &Client, film: Film) -> Option<u8> {
    let [above, below] = NUMBERS.map(|at| number_shown(client, at));
    above.filter(|_| above == below || !matches!(film, Film::Cartoon))
}

/// Pictures of this kind follow each other; what the server tells of the viewer afterwards.
fn newest_frame(fences: bool, film: Film, rate: u64) -> Value {
    let stage = Stage::new((640, 480), &[]);
    let stream = TcpStream::connect(link(stage.serve.vnc(), rate)).expect("listens");
    let mut client = Client::login(stream, &Login::password(PASSWORD)).expect("logs in");
    let flow = [pseudo::FENCE, pseudo::CONTINUOUS_UPDATES];
    let extras = EXTRAS.iter().filter(|e| fences || !flow.contains(e));
    let mut list = vec![number::TIGHT, pseudo::quality(9), pseudo::compress(2)];
    list.extend(extras);
    client.set_encodings(&list).expect("connected");
    client.request_all(false).expect("connected");
    if fences {
        let all = Rect::sized(640, 480);
        client.continuous_updates(true, all).expect("connected");
    }

    let begin = Instant::now();
    let (warm, end) = (
        begin + Duration::from_secs(4),
        begin + Duration::from_secs(10),
    );
    let (shown, worst, updates, coarsest, freshest) = thread::scope(|scope| {
        let viewer = scope.spawn(|| {
            let mut shown: Vec<(Instant, u8)> = Vec::new();
            while Instant::now() < end {
                let event = client
                    .event(Duration::from_millis(50))
                    .expect("a sound stream");
                if let Some(Event::Update(_)) = event {
                    if !fences {
                        client.request_all(true).expect("connected");
                    }
                    shown.extend(newest(&client, film).map(|n| (Instant::now(), n)));
                }
            }
            shown
        });
        let (mut drawn, mut coarsest, mut freshest) = (Vec::new(), u64::MAX, f64::INFINITY);
        for n in 0u8.. {
            at_once(&stage, &numbered(n, film), (40, 40));
            drawn.push(Instant::now());
            if Instant::now() > end || n == u8::MAX {
                break;
            }
            // Of one update; a small one in between is as good as was asked for.
            if n % 16 == 15 {
                let viewer = &stage.serve.api()["clients"][0];
                let used = viewer["quality_in_use"].as_u64();
                coarsest = coarsest.min(used.unwrap_or(u64::MAX));
                let age = viewer["frame_age_ms"].as_f64();
                freshest = freshest.min(
                    age.filter(|_| Instant::now() > warm)
                        .unwrap_or(f64::INFINITY),
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
        let shown = viewer.join().expect("no panic");
        // Just before an update came the newest was that of the one before.
        let ages = shown.windows(2).filter_map(|pair| {
            let [(_, before), (at, _)] = pair else {
                return None;
            };
            let taken = drawn.get(usize::from(*before) + 1)?;
            (*at > warm).then(|| at.saturating_duration_since(*taken))
        });
        (
            shown.len(),
            ages.max(),
            shown.iter().filter(|s| s.0 > warm).count(),
            coarsest,
            freshest,
        )
    });
    let worst = worst.expect("updates after the first seconds");
    println!(
        "fences {fences}: {updates} of {shown} updates after 4 s, the newest frame at most {worst:?} old"
    );
    assert!(updates >= 6, "{updates} updates in 6 s");
    // Where the link is guessed the rate is now and then taken for that at which buffers on the way fill.
    let most = if fences { AGE } else { AGE * 3 / 2 };
    assert!(worst < patient(most), "{worst:?}");
    // What goes next is looked at when it can go, and not while the one before it is on its way.
    assert!(freshest < 100.0, "{freshest} ms");
    let stats = stage.serve.api();
    let viewer = &stats["clients"][0];
    let asked = viewer["quality"].as_u64().expect("asked for");
    assert!(coarsest < asked, "{coarsest}: {viewer}");
    let known = viewer["link_kilobytes_per_second"].as_f64();
    assert!(known.is_some_and(|n| n < rate as f64 / 500.0), "{viewer}");
    viewer.clone()
}

#[test]
fn what_a_slow_viewer_sees_is_new() {
    newest_frame(true, Film::Photos, RATE);
}

#[test]
fn what_a_slow_viewer_without_fences_sees_is_new() {
    newest_frame(false, Film::Photos, RATE);
}

#[test]
fn drawings_that_follow_each_other_are_new_as_well() {
    // Without loss one is more than the link carries in the time, at whatever level.
    let viewer = newest_frame(true, Film::Texts, RATE);
    let lossy = viewer["ways"]["jpeg"]["pixels"].as_u64();
    assert!(lossy > Some(560 * 400), "{viewer}");
}

#[test]
fn a_cartoon_is_new_and_whole() {
    let viewer = newest_frame(true, Film::Cartoon, RATE / 2);
    // A file for each shape and gap would be half as much again.
    let jpeg = |key: &str| viewer["ways"]["jpeg"][key].as_u64().unwrap_or(0);
    let (files, pixels) = (jpeg("rectangles"), jpeg("pixels"));
    assert!(files > 0 && pixels / files > 60_000, "{viewer}");
}

/// Draws a picture in one moment: half a picture is none.
fn at_once(stage: &Stage, picture: &Frame, (x, y): (i16, i16)) {
    let (link, root) = (&stage.link, stage.root);
    let [aside, gc] = [(); 2].map(|()| link.generate_id().expect("an id"));
    let (width, height) = (picture.width(), picture.height());
    link.create_pixmap(24, aside, root, width, height)
        .expect("sent");
    link.create_gc(gc, root, &CreateGCAux::new()).expect("sent");
    put(link, aside, picture, 0, 0);
    link.copy_area(aside, root, gc, 0, 0, x, y, width, height)
        .expect("sent");
    link.free_gc(gc).expect("sent");
    link.free_pixmap(aside).expect("sent");
    xvfb::sync(link);
}

/// A viewer behind a slow link.
fn behind_slow_link() -> (Stage, Client) {
    let stage = Stage::new((1280, 720), &[]);
    let stream = TcpStream::connect(link(stage.serve.vnc(), RATE)).expect("listens");
    let mut client = Client::login(stream, &Login::password(PASSWORD)).expect("logs in");
    let list = [&[number::TIGHT, pseudo::quality(6)][..], &EXTRAS].concat();
    client.set_encodings(&list).expect("connected");
    client.request_all(false).expect("connected");
    client
        .continuous_updates(true, Rect::sized(1280, 720))
        .expect("connected");
    (stage, client)
}

/// Draws a page of text, which is many bytes, at once; no more of it may come at once than the link carries in the time.
fn assert_in_pieces(stage: &Stage, client: &mut Client) {
    let mut picture = Frame::new(1280, 720);
    let mut random = Random::new(4);
    for tile in picture.bounds().tiles(56, 40) {
        pictures::draw(&mut picture, tile, Content::SmoothText, &mut random);
    }
    let before = client.counts().bytes;
    at_once(stage, &picture, (0, 0));
    let (mut last, mut most) = (before, 0);
    while !super::shows(client, &picture) {
        let event = client.event(SOON).expect("a sound stream");
        assert!(
            event.is_some(),
            "nothing more comes: {}",
            super::differences(client, &picture)
        );
        let bytes = client.counts().bytes;
        most = most.max(bytes - last);
        last = bytes;
    }
    let all = last - before;
    assert!(all > RATE, "{all} bytes are nothing much");
    // Half a second of the link, and the piece that did not fit.
    assert!(most < RATE / 2 + 30_000, "{most} of {all} bytes at once");
}

/// Nobody knows how many bytes a picture has that is quite another than what was there before: as many as the link carries in
/// the time go, and the rest after them.
#[test]
fn what_is_large_at_once_holds_nothing_up() {
    let (stage, mut client) = behind_slow_link();
    // Then the link is known, and that what has no photos is few bytes.
    let mut picture = Frame::new(1280, 720);
    let mut random = Random::new(3);
    pictures::draw(
        &mut picture,
        Rect::new(0, 0, 640, 360),
        Content::Photo,
        &mut random,
    );
    at_once(&stage, &picture, (0, 0));
    stage.follow(&mut client);
    for _ in 0..20 {
        let mut plain = Frame::new(1280, 720);
        let all = plain.bounds();
        pictures::draw(&mut plain, all, Content::Fill, &mut random);
        at_once(&stage, &plain, (0, 0));
        stage.follow(&mut client);
    }
    assert_in_pieces(&stage, &mut client);
}

/// What comes first tells how fast the link is, whatever it was expected to be.
#[test]
fn the_first_picture_holds_nothing_up() {
    let (stage, mut client) = behind_slow_link();
    // Plain, so that it says nothing.
    stage.follow(&mut client);
    assert_in_pieces(&stage, &mut client);
}

/// Stamps in four corners, drawn by one request while something small changes over and beside them, are of one time in
/// every update.
#[test]
fn no_update_is_torn() {
    let stage = Stage::new((640, 480), &[]);
    let mut client = stage.serve.viewer();
    let list = [&[number::ZRLE][..], &EXTRAS].concat();
    client.set_encodings(&list).expect("connected");
    client.request_all(false).expect("connected");
    let all = Rect::sized(640, 480);
    client.continuous_updates(true, all).expect("connected");
    // The first picture may come in parts, until the link is known.
    stage.follow(&mut client);
    let corners = [(0, 0), (600, 0), (0, 440), (600, 440)];
    let stamps = corners.map(|(x, y)| Rectangle {
        x,
        y,
        width: 40,
        height: 40,
    });
    let end = Instant::now() + Duration::from_secs(4);
    thread::scope(|scope| {
        scope.spawn(|| {
            let gc = stage.link.generate_id().expect("an id");
            stage
                .link
                .create_gc(gc, stage.root, &CreateGCAux::new())
                .expect("sent");
            let painter = Painter::on(&stage.link, stage.root);
            let mut random = Random::new(7);
            for n in 1.. {
                let colour = ChangeGCAux::new().foreground((n * 0x01_0305) & 0xff_ffff);
                stage.link.change_gc(gc, &colour).expect("sent");
                stage
                    .link
                    .poly_fill_rectangle(stage.root, gc, &stamps)
                    .expect("sent");
                for _ in 0..3 {
                    // Over the inner edge of a stamp, and beside it.
                    let x = 30 + random.below_u16(560);
                    painter.fill(random.next(), x, 30 + random.below_u16(400), 8, 14);
                }
                xvfb::sync(&stage.link);
                if Instant::now() > end {
                    return;
                }
                thread::sleep(Duration::from_millis(u64::from(random.below_u16(12))));
            }
        });
        let mut updates = 0;
        while Instant::now() < end {
            let event = client.event(SOON).expect("a sound stream");
            if !matches!(event, Some(Event::Update(_))) {
                continue;
            }
            updates += 1;
            let picture = client.picture();
            let at = |(x, y): (i16, i16)| {
                // The outer corner, where nothing else is drawn.
                let x = if x == 0 { 2 } else { 637 };
                let y = if y == 0 { 2 } else { 477 };
                picture.pixels()[y * 640 + x]
            };
            let seen = corners.map(at);
            assert!(
                seen.iter().all(|p| *p == seen[0]),
                "update {updates}: {seen:x?}"
            );
        }
        assert!(updates > 20, "{updates}");
    });
}
