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
use super::{EXTRAS, SOON, Stage};
use crate::support::client::{Client, Event, Login};
use crate::support::decode::number;
use crate::support::draw::{Painter, Random};
use crate::support::pictures::{self, Content};
use crate::support::pseudo::number as pseudo;
use crate::support::serve::PASSWORD;
use crate::support::xvfb;

/// Bytes a second of the link, and of how many at a time.
const RATE: u64 = 200_000;
const PACKET: usize = 1400;

/// How old the newest frame of a viewer behind it may be.
const AGE: Duration = Duration::from_millis(500);

/// A link in front of a port: what comes from there goes on at [`RATE`], with little that waits on the way.
fn link(to: SocketAddr) -> SocketAddr {
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
            free = free.max(Instant::now()) + Duration::from_secs(count as u64) / RATE as u32;
            thread::sleep(free.saturating_duration_since(Instant::now()));
            if near.write_all(&packet[..count]).is_err() {
                break;
            }
        }
        let _ = near.shutdown(Shutdown::Both);
    });
    here
}

/// Where the number of a picture stands on the screen, a square for each bit.
const DIGITS: Rect = Rect::new(64, 64, 32, 32);
const BITS: u16 = 8;

/// A picture with its number in the rows that are drawn first, at once.
fn numbered(number: u8, content: Content) -> Frame {
    let mut picture = Frame::new(560, 400);
    let mut random = Random::new(u64::from(number) + 1);
    // Text in hundreds of colours; a photo is one.
    let (w, h) = match content {
        Content::Photo => (560, 400),
        _ => (56, 40),
    };
    for tile in Rect::sized(560, 400).tiles(w, h) {
        pictures::draw(&mut picture, tile, content, &mut random);
    }
    for y in DIGITS.y - 40..DIGITS.bottom() - 40 {
        for bit in 0..BITS {
            let lit = number >> (BITS - 1 - bit) & 1 == 1;
            let from = usize::from(DIGITS.x - 40 + bit * DIGITS.w);
            let colour = if lit { 0xff_ffff } else { 0 };
            picture.row_mut(y)[from..from + usize::from(DIGITS.w)].fill(colour);
        }
    }
    picture
}

fn number_shown(client: &Client) -> Option<u8> {
    let picture = client.picture();
    let width = usize::from(picture.size().0);
    let mut number = 0;
    for bit in 0..BITS {
        let x = usize::from(DIGITS.x + bit * DIGITS.w + DIGITS.w / 2);
        let y = usize::from(DIGITS.y + DIGITS.h / 2);
        let pixel = *picture.pixels().get(y * width + x)?;
        number = number << 1 | u8::from(pixel >> 8 & 0xff > 127);
    }
    Some(number)
}

/// Pictures of this kind follow each other; what the server tells of the viewer afterwards.
fn newest_frame(fences: bool, content: Content) -> Value {
    let stage = Stage::new((640, 480), &[]);
    let stream = TcpStream::connect(link(stage.serve.vnc())).expect("listens");
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
    let (shown, worst, updates, coarsest) = thread::scope(|scope| {
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
                    shown.extend(number_shown(&client).map(|n| (Instant::now(), n)));
                }
            }
            shown
        });
        let (mut drawn, mut coarsest) = (Vec::new(), u64::MAX);
        for n in 0u8.. {
            stage.put(&numbered(n, content), 40, 40);
            drawn.push(Instant::now());
            if Instant::now() > end || n == u8::MAX {
                break;
            }
            // Of one update; a small one in between is as good as was asked for.
            if n % 16 == 15 {
                let used = stage.serve.api()["clients"][0]["quality_in_use"].as_u64();
                coarsest = coarsest.min(used.unwrap_or(u64::MAX));
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
    let stats = stage.serve.api();
    let viewer = &stats["clients"][0];
    let asked = viewer["quality"].as_u64().expect("asked for");
    assert!(coarsest < asked, "{coarsest}: {viewer}");
    let rate = viewer["link_kilobytes_per_second"].as_f64();
    assert!(rate.is_some_and(|rate| rate < 400.0), "{viewer}");
    viewer.clone()
}

#[test]
fn what_a_slow_viewer_sees_is_new() {
    newest_frame(true, Content::Photo);
}

#[test]
fn what_a_slow_viewer_without_fences_sees_is_new() {
    newest_frame(false, Content::Photo);
}

#[test]
fn drawings_that_follow_each_other_are_new_as_well() {
    // Without loss one is more than the link carries in the time, at whatever level.
    let viewer = newest_frame(true, Content::SmoothText);
    let lossy = viewer["ways"]["jpeg"]["pixels"].as_u64();
    assert!(lossy > Some(560 * 400), "{viewer}");
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
