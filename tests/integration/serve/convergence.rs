//! After any storm every viewer has the screen, byte for byte, within two seconds of the last change: each encoding in
//! each pixel format, with and without flow control, read fast and slowly, by either port, at every level that viewers
//! can ask for, while windows move, terminals scroll and the screen changes its size.

use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use deskinit::pixel::{Frame, PixelFormat, Rect};
use nix::sys::socket::{setsockopt, sockopt};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{ConfigureWindowAux, ConnectionExt as _, CreateGCAux};

use super::{EXTRAS, SOON, Stage, differences, shows};
use crate::support::client::{Client, Event, Login};
use crate::support::decode::number;
use crate::support::draw::{Painter, Random};
use crate::support::pictures::picture;
use crate::support::pseudo::number as pseudo;
use crate::support::serve::PASSWORD;
use crate::support::websocket::WebSocket;
use crate::support::{draw, xvfb};

/// The promise, for a machine that has nothing else to do.
const PROMISE: Duration = Duration::from_secs(2);

/// What a machine that has a lot else to do may take instead.
fn promise() -> Duration {
    patient(PROMISE)
}

/// A time that was promised, and more where a machine has a lot else to do.
pub(super) fn patient(promise: Duration) -> Duration {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = text
        .split(' ')
        .next()
        .and_then(|l| l.parse().ok())
        .unwrap_or(1.0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    promise.mul_f64((load / cores as f64).max(1.0) * 1.5)
}

/// How a viewer wants to be served.
#[derive(Clone, Debug)]
struct Taste {
    encoding: i32,
    /// Levels and the like.
    levels: Vec<i32>,
    format: PixelFormat,
    /// Fences and continuous updates, or one request after the other.
    flow: bool,
    slow: bool,
    /// By a websocket.
    web: bool,
}

fn formats() -> [PixelFormat; 5] {
    let format = |bytes: [u8; 16]| PixelFormat::parse(&bytes).expect("a pixel format");
    [
        PixelFormat::NATIVE,
        // noVNC: red lowest.
        format([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0]),
        // 565, big-endian.
        format([16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0]),
        // 332.
        format([8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0]),
        // Of a workstation of old.
        format([32, 24, 1, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]),
    ]
}

fn tastes(format: PixelFormat) -> Vec<Taste> {
    let encodings = [
        (number::RAW, None),
        (number::RRE, None),
        (number::HEXTILE, None),
        (number::ZLIB, None),
        (number::ZRLE, None),
        (number::TIGHT, None),
        (number::TIGHT, Some(6)),
        (number::TIGHT_PNG, None),
        (number::TIGHT_PNG, Some(6)),
        (number::JPEG, Some(6)),
    ];
    let mut all = Vec::new();
    for (encoding, quality) in encodings {
        for (flow, slow) in [(true, false), (false, false), (true, true), (false, true)] {
            all.push(Taste {
                encoding,
                levels: quality.map(pseudo::quality).into_iter().collect(),
                format,
                flow,
                slow,
                web: false,
            });
        }
    }
    all
}

/// Every level that there is, by both ports.
fn levels() -> Vec<Taste> {
    let mut all = Vec::new();
    let mut add = |encoding, levels: &[i32]| {
        all.push(Taste {
            encoding,
            levels: levels.to_vec(),
            format: formats()[1],
            flow: all.len() % 3 != 0,
            slow: all.len() % 4 == 3,
            web: all.len() % 2 == 1,
        });
    };
    for level in 0..=9 {
        let compress = pseudo::compress(level);
        add(number::TIGHT, &[compress, pseudo::quality(level)]);
        add(number::TIGHT, &[compress]);
        add(number::ZRLE, &[compress]);
        add(number::ZLIB, &[compress]);
        add(number::TIGHT_PNG, &[compress, pseudo::quality(9 - level)]);
    }
    for subsampling in 0..=5 {
        let percent = 100 - 19 * subsampling;
        let fine = [
            pseudo::fine_quality(percent),
            pseudo::subsampling(subsampling),
        ];
        add(number::TIGHT, &fine);
        add(number::JPEG, &[&fine[..], &[pseudo::quality(3)]].concat());
    }
    all
}

struct Viewer {
    client: Client,
    taste: Taste,
    asked: bool,
    continuous: Option<(u16, u16)>,
}

impl Viewer {
    fn new(stage: &Stage, taste: Taste) -> Self {
        let login = Login::password(PASSWORD);
        let mut client = if taste.web {
            let socket = WebSocket::connect(stage.serve.web(), "/websockify", &[]);
            Client::login(socket.expect("upgraded"), &login).expect("logs in")
        } else {
            let stream = TcpStream::connect(stage.serve.vnc()).expect("listens");
            if taste.slow {
                setsockopt(&stream, sockopt::RcvBuf, &32_768).expect("a socket");
            }
            Client::login(stream, &login).expect("logs in")
        };
        client.set_pixel_format(taste.format).expect("connected");
        let mut list = vec![taste.encoding];
        list.extend(&taste.levels);
        let flow = [pseudo::FENCE, pseudo::CONTINUOUS_UPDATES];
        let listed = |extra: &&i32| match **extra {
            // Pixels instead of copies, too.
            number::COPY_RECT => taste.flow || !taste.slow,
            extra => taste.flow || !flow.contains(&extra),
        };
        list.extend(EXTRAS.iter().filter(listed));
        client.set_encodings(&list).expect("connected");
        client.request_all(false).expect("connected");
        Self {
            client,
            taste,
            asked: true,
            continuous: None,
        }
    }

    /// Takes what comes until `done` says so; false when it did not in time.
    fn pump(&mut self, end: Instant, done: impl Fn(&Client) -> bool) -> bool {
        while !done(&self.client) {
            if Instant::now() > end {
                return false;
            }
            let size = self.client.picture().size();
            if self.taste.flow {
                if self.continuous != Some(size) && self.client.counts().updates > 0 {
                    self.continuous = Some(size);
                    let all = Rect::sized(size.0, size.1);
                    self.client
                        .continuous_updates(true, all)
                        .expect("connected");
                }
            } else if !self.asked {
                self.client.request_all(true).expect("connected");
                self.asked = true;
            }
            if self.taste.slow {
                thread::sleep(Duration::from_millis(25));
            }
            // Not longer: what is to be shown may be settled meanwhile.
            let event = self.client.event(Duration::from_millis(20));
            if let Some(Event::Update(_)) = event.expect("a sound stream") {
                self.asked = false;
            }
        }
        true
    }
}

/// What all viewers have to show in the end, and since when.
type Goal = Mutex<Option<(Frame, Instant)>>;

fn storm(stage: &Stage, random: &mut Random, steps: u16) {
    let painter = Painter::on(&stage.link, stage.root);
    let gc = stage.link.generate_id().expect("an id");
    let font = stage.link.generate_id().expect("an id");
    stage.link.open_font(font, b"fixed").expect("sent");
    let look = CreateGCAux::new()
        .font(font)
        .foreground(0xf0f0e0)
        .background(0x102030);
    stage.link.create_gc(gc, stage.root, &look).expect("sent");
    // A window that somebody drags.
    let window = Painter::window(&stage.link, stage.root, 30, 40, 150, 110);
    window.scribble(random, 150, 110);
    for _ in 0..steps {
        match random.below_u16(6) {
            0 => {
                let photo = picture(120, 90, u64::from(random.next()), 8);
                stage.put(
                    &photo,
                    random.below_u16(400) as i16,
                    random.below_u16(300) as i16,
                );
            }
            1 => {
                for line in 0..8 {
                    let text = format!(
                        "{:08x} the quick brown fox {:08x}",
                        random.next(),
                        random.next()
                    );
                    let (x, y) = (
                        10 + random.below_u16(40) as i16,
                        14 * line + random.below_u16(200) as i16,
                    );
                    stage
                        .link
                        .image_text8(stage.root, gc, x, y, text.as_bytes())
                        .expect("sent");
                }
            }
            // A terminal scrolls.
            2 => painter.copy((0, 14), (0, 0), 400, 280),
            3 => {
                let (x, y) = (random.below_u16(250), random.below_u16(150));
                for step in 0..4 {
                    let place = ConfigureWindowAux::new()
                        .x(i32::from(x) + 7 * step)
                        .y(i32::from(y) + 3 * step);
                    stage
                        .link
                        .configure_window(window.window, &place)
                        .expect("sent");
                    xvfb::sync(&stage.link);
                    thread::sleep(Duration::from_millis(10));
                }
            }
            _ => painter.scribble(random, 480, 360),
        }
        xvfb::sync(&stage.link);
        thread::sleep(Duration::from_millis(10));
    }
    stage.link.destroy_window(window.window).expect("sent");
    stage.link.free_gc(gc).expect("sent");
    stage.link.close_font(font).expect("sent");
}

fn converge(tastes: Vec<Taste>, seed: u64) {
    let stage = Stage::new((480, 360), &[("MAX_CLIENTS", "80")]);
    let goal = Goal::default();
    let arrived = AtomicUsize::new(0);
    let count = tastes.len();
    let mut viewers: Vec<Viewer> = tastes.into_iter().map(|t| Viewer::new(&stage, t)).collect();
    let slowest = Mutex::new((Duration::ZERO, None));
    thread::scope(|scope| {
        for viewer in &mut viewers {
            let (goal, arrived, slowest) = (&goal, &arrived, &slowest);
            scope.spawn(move || {
                let shown = |c: &Client| {
                    let goal = goal.lock().expect("no panic");
                    goal.as_ref().is_some_and(|(screen, _)| shows(c, screen))
                };
                let there = viewer.pump(Instant::now() + 6 * SOON, shown);
                let goal = goal.lock().expect("no panic");
                let (screen, since) = goal.as_ref().expect("set long ago");
                let took = since.elapsed();
                assert!(
                    there,
                    "{:?}: {}",
                    viewer.taste,
                    differences(&viewer.client, screen)
                );
                let mut slowest = slowest.lock().expect("no panic");
                if took > slowest.0 {
                    *slowest = (took, Some(viewer.taste.clone()));
                }
                arrived.fetch_add(1, Ordering::Relaxed);
            });
        }
        let mut random = Random::new(seed);
        for (width, height) in [(400, 300), (480, 360), (333, 222), (480, 300)] {
            storm(&stage, &mut random, 6);
            super::resize::xrandr_size(&stage.server, width, height);
            storm(&stage, &mut random, 3);
        }
        let screen = draw::screenshot(&stage.link, stage.root);
        *goal.lock().expect("no panic") = Some((screen, Instant::now()));
    });
    assert_eq!(arrived.into_inner(), count);
    let (took, taste) = slowest.into_inner().expect("no panic");
    println!("the slowest of {count} viewers: {took:?}");
    assert!(took < promise(), "{took:?} for {taste:?}");
}

#[test]
fn viewers_converge_in_the_native_format() {
    converge(tastes(formats()[0]), 1);
}

#[test]
fn viewers_converge_in_the_format_of_novnc() {
    converge(tastes(formats()[1]), 2);
}

#[test]
fn viewers_converge_in_565() {
    converge(tastes(formats()[2]), 3);
}

#[test]
fn viewers_converge_in_332() {
    converge(tastes(formats()[3]), 4);
}

#[test]
fn viewers_converge_in_32_bits_big_endian() {
    converge(tastes(formats()[4]), 5);
}

#[test]
fn viewers_converge_at_every_level() {
    converge(levels(), 6);
}
