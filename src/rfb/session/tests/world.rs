//! A server, a link and a client on a virtual clock.
//!
//! The server keeps a screen and does what the real one does with a session. The link has a rate and a delay. The client
//! understands Raw and the pseudo-rectangles, insists on the protocol's rules as noVNC does, and answers fences when it
//! has processed what came before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::encode::{Encoded, Encoder, Encoding};
use crate::pixel::{Frame, PixelFormat, Point, Rect, Region};
use crate::rfb::auth::Permission;
use crate::rfb::encodings::number;
use crate::rfb::input::InputBuffer;
use crate::rfb::session::{Effect, Features, Poll, ResizeCause, Session, Start};
use crate::rfb::version::Version;
use crate::screen::{Activity, Move, Step};

/// What noVNC 1.7 lists, but Raw.
pub(super) const NOVNC: &[i32] = &[
    0,
    1,
    -26,
    -254,
    -223,
    -224,
    -258,
    -261,
    -308,
    -309,
    -312,
    -313,
    -307,
    -1_063_131_698,
    -316,
    0x574d_5664,
    -239,
];

pub(super) const TICK: Duration = Duration::from_millis(1);

/// Output above which the real server does not poll either.
const ENOUGH: usize = 64 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Update {
        pixels: u32,
    },
    Bell,
    Text(Vec<u8>),
    Clipboard {
        flags: u32,
        data: Vec<u8>,
    },
    EndOfContinuous,
    Fence {
        flags: u32,
        payload: Vec<u8>,
    },
    Size {
        x: u16,
        y: u16,
        w: u16,
        h: u16,
    },
    Pseudo {
        number: i32,
        rect: Rect,
        data: Vec<u8>,
    },
    Xvp,
}

/// The client's side.
pub(super) struct Client {
    pub(super) picture: Frame,
    pub(super) seen: Vec<Seen>,
    pub(super) format: PixelFormat,
    pub(super) format_after_answer: Option<PixelFormat>,
    pub(super) answers_fences: bool,
    pub(super) asks_again: bool,
    /// Pixels that it copied.
    pub(super) copied: u64,
    bytes: Vec<u8>,
    to_server: Vec<u8>,
}

pub(super) struct World {
    pub(super) session: Session,
    pub(super) client: Client,
    pub(super) screen: Frame,
    pub(super) now: Instant,
    pub(super) effects: Vec<Effect>,
    pub(super) lossy: bool,
    pub(super) reads: bool,
    pub(super) most_output: usize,
    activity: Activity,
    rate: f64,
    delay: Duration,
    budget: f64,
    down: VecDeque<(Instant, Vec<u8>)>,
    up: VecDeque<(Instant, Vec<u8>)>,
    input: InputBuffer,
    encoder: Encoder,
}

impl World {
    pub(super) fn new(permission: Permission, rate: f64, delay: Duration) -> Self {
        let now = Instant::now();
        let screen = Frame::new(200, 150);
        let session = Session::new(Start {
            version: Version::V3_8,
            permission,
            width: 200,
            height: 150,
            name: "test\n".to_owned(),
            features: Features::default(),
            now,
        });
        let mut world = Self {
            session,
            client: Client {
                picture: Frame::new(200, 150),
                seen: Vec::new(),
                format: PixelFormat::NATIVE,
                format_after_answer: None,
                answers_fences: true,
                asks_again: true,
                copied: 0,
                bytes: Vec::new(),
                to_server: Vec::new(),
            },
            screen,
            now,
            effects: Vec::new(),
            lossy: false,
            reads: true,
            most_output: 0,
            activity: Activity::new(200, 150),
            rate,
            delay,
            budget: 0.0,
            down: VecDeque::new(),
            up: VecDeque::new(),
            input: InputBuffer::new(),
            encoder: Encoder::new(),
        };
        let init = std::mem::take(world.session.output());
        assert_eq!(init[..4], [0, 200, 0, 150]);
        assert_eq!(init[20..], *b"\0\0\0\x04test");
        world
    }

    /// A full client on a fast link, as far as noVNC's first request.
    pub(super) fn novnc() -> Self {
        let mut world = Self::new(Permission::Full, 100e6, TICK);
        world.hello(NOVNC);
        world
    }

    pub(super) fn hello(&mut self, list: &[i32]) {
        self.encodings(list);
        self.request(false);
        self.run(Duration::from_millis(50));
    }

    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.client.to_server.extend(bytes);
    }

    pub(super) fn encodings(&mut self, list: &[i32]) {
        self.say(&[2, 0]);
        self.say(&(list.len() as u16).to_be_bytes());
        for n in list {
            self.say(&n.to_be_bytes());
        }
    }

    pub(super) fn request(&mut self, incremental: bool) {
        let bytes = self.client.request(incremental);
        self.say(&bytes);
    }

    pub(super) fn continuous(&mut self, enable: bool) {
        self.say(&[150, u8::from(enable), 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    }

    /// The screen changes here.
    pub(super) fn draw(&mut self, rect: Rect, colour: u32) {
        let rect = rect.intersect(&self.screen.bounds());
        for y in rect.y..rect.bottom() {
            for x in rect.x..rect.right() {
                // Never two equal neighbours: a shifted picture would show.
                let shade = (u32::from(x) * 7 + u32::from(y) * 13) & 0xfe;
                self.screen.row_mut(y)[usize::from(x)] = (colour ^ shade) & 0x00ff_fffe;
            }
        }
        self.damage(rect);
    }

    /// Something changed here.
    pub(super) fn damage(&mut self, rect: Rect) {
        self.step(&Step {
            moves: Vec::new(),
            damage: Region::from(rect),
        });
    }

    /// The screen copies a part of itself, as far as it has it.
    pub(super) fn copy(&mut self, from: Rect, to: Point) {
        let bounds = self.screen.bounds();
        let target = Rect::new(to.x, to.y, from.w, from.h);
        if from.is_empty() || !bounds.contains(&from) || !bounds.contains(&target) {
            return;
        }
        self.screen.copy_within(from, to);
        let from = from.origin();
        self.step(&Step {
            moves: vec![Move { to: target, from }],
            damage: Region::new(),
        });
    }

    fn step(&mut self, step: &Step) {
        self.activity.changed(&step.area(), self.now);
        self.session.activity(Arc::new(self.activity.clone()));
        self.session.stepped(step);
    }

    pub(super) fn resize(&mut self, w: u16, h: u16, cause: ResizeCause) {
        self.screen = Frame::new(w, h);
        self.activity = Activity::new(w, h);
        self.session.resized(w, h, cause);
        self.draw(Rect::sized(w, h), 0x0055_aa00);
    }

    /// What the server does whenever something has happened.
    fn serve(&mut self) {
        while let Some(effect) = self.session.next_effect() {
            self.effects.push(effect);
        }
        while self.session.output().len() < ENOUGH {
            let Poll::Update(mut job) = self.session.poll(self.now) else {
                break;
            };
            assert!(!job.order.damage.intersects(&job.order.refresh));
            let encoded = if self.lossy && self.session.capabilities().quality.is_some() {
                self.encode_lossy(&mut job)
            } else {
                job.encode(&mut self.encoder, &self.screen).unwrap()
            };
            self.session.finish(job, encoded, self.now);
        }
        self.most_output = self.most_output.max(self.session.output().len());
    }

    /// Stands in for JPEG: what changed arrives a little wrong, what is refreshed arrives right.
    fn encode_lossy(&mut self, job: &mut crate::rfb::update::Job) -> Encoded {
        let mut wrong = self.screen.clone();
        for rect in job.order.damage.rects() {
            for y in rect.y..rect.bottom() {
                for pixel in &mut wrong.row_mut(y)[usize::from(rect.x)..usize::from(rect.right())] {
                    *pixel ^= 1;
                }
            }
        }
        assert_eq!(job.order.params.encoding, Encoding::Raw);
        let mut encoded = job.encode(&mut self.encoder, &wrong).unwrap();
        encoded.lossy = job.order.damage.clone();
        encoded
    }

    /// One millisecond.
    pub(super) fn tick(&mut self) {
        self.now += TICK;
        self.budget = (self.budget + self.rate * TICK.as_secs_f64()).min(self.rate.max(1e5));
        self.serve();
        let out = self.session.output();
        let count = if self.reads {
            out.len().min(self.budget as usize)
        } else {
            0
        };
        if count > 0 {
            self.budget -= count as f64;
            let rest = out.split_off(count);
            let sent = std::mem::replace(out, rest);
            self.down.push_back((self.now + self.delay, sent));
        }
        while self.down.front().is_some_and(|(at, _)| *at <= self.now) {
            if let Some((_, bytes)) = self.down.pop_front() {
                self.client.receive(&bytes);
            }
        }
        if !self.client.to_server.is_empty() {
            let said = std::mem::take(&mut self.client.to_server);
            self.up.push_back((self.now + self.delay, said));
        }
        while self.up.front().is_some_and(|(at, _)| *at <= self.now) {
            if let Some((_, bytes)) = self.up.pop_front() {
                for piece in bytes.chunks(1000) {
                    assert_eq!(self.input.push(piece), piece.len());
                    self.session.receive(&mut self.input, self.now).unwrap();
                }
            }
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.tick();
        }
    }

    /// Runs until the client's picture is the screen; how long that took.
    pub(super) fn converge(&mut self, limit: Duration) -> Duration {
        let start = self.now;
        while self.client.picture != self.screen {
            assert!(self.now - start < limit, "{:?}", self.session.stats());
            self.tick();
        }
        self.now - start
    }

    pub(super) fn seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.client.seen)
    }
}

impl Client {
    fn request(&self, incremental: bool) -> Vec<u8> {
        let mut bytes = vec![3, u8::from(incremental), 0, 0, 0, 0];
        bytes.extend(self.picture.width().to_be_bytes());
        bytes.extend(self.picture.height().to_be_bytes());
        bytes
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let mut held = std::mem::take(&mut self.bytes);
        let mut at = 0;
        while let Some(used) = self.message(&held[at..]) {
            at += used;
        }
        held.drain(..at);
        self.bytes = held;
    }

    /// Takes one message if it is there in full; its length.
    fn message(&mut self, b: &[u8]) -> Option<usize> {
        let u32_at = |i: usize| Some(u32::from_be_bytes(b.get(i..i + 4)?.try_into().ok()?));
        match *b.first()? {
            0 => self.update(b),
            2 => {
                self.seen.push(Seen::Bell);
                Some(1)
            }
            3 => {
                let length = u32_at(4)? as i32;
                let data = b.get(8..8 + length.unsigned_abs() as usize)?;
                self.seen.push(if length < 0 {
                    Seen::Clipboard {
                        flags: u32_at(8)?,
                        data: data[4..].to_vec(),
                    }
                } else {
                    Seen::Text(data.to_vec())
                });
                Some(8 + data.len())
            }
            150 => {
                self.seen.push(Seen::EndOfContinuous);
                Some(1)
            }
            248 => {
                let (flags, length) = (u32_at(4)?, usize::from(*b.get(8)?));
                let payload = b.get(9..9 + length)?.to_vec();
                if flags >> 31 == 0 {
                    self.seen.push(Seen::Fence { flags, payload });
                    self.format = self.format_after_answer.take().unwrap_or(self.format);
                } else if self.answers_fences {
                    self.to_server.extend([248, 0, 0, 0]);
                    self.to_server.extend((flags & 3).to_be_bytes());
                    self.to_server.push(length as u8);
                    self.to_server.extend(payload);
                }
                Some(9 + length)
            }
            250 => {
                b.get(3)?;
                self.seen.push(Seen::Xvp);
                Some(4)
            }
            other => panic!("noVNC dies of a message of type {other}"),
        }
    }

    fn update(&mut self, b: &[u8]) -> Option<usize> {
        let u16_at = |i: usize| Some(u16::from_be_bytes(b.get(i..i + 2)?.try_into().ok()?));
        let count = u16_at(2)?;
        let mut at = 4;
        // First the length: nothing may be shown of an update that has not come in full.
        let bytes_per_pixel = self.format.bytes_per_pixel();
        let mut rects = Vec::new();
        for _ in 0..count {
            let rect = Rect {
                x: u16_at(at)?,
                y: u16_at(at + 2)?,
                w: u16_at(at + 4)?,
                h: u16_at(at + 6)?,
            };
            let number = i32::from_be_bytes(b.get(at + 8..at + 12)?.try_into().ok()?);
            let area = usize::from(rect.w) * usize::from(rect.h);
            let length = match number {
                0 => area * bytes_per_pixel,
                number::COPY_RECT => 4,
                number::CURSOR => {
                    area * bytes_per_pixel + usize::from(rect.w).div_ceil(8) * usize::from(rect.h)
                }
                number::VMWARE_CURSOR => 2 + area * 4,
                number::EXTENDED_DESKTOP_SIZE => 4 + 16 * usize::from(*b.get(at + 12)?),
                number::QEMU_LED => 1,
                number::DESKTOP_NAME => 4 + usize::from(u16_at(at + 14)?),
                number::DESKTOP_SIZE | number::QEMU_KEY | number::EXTENDED_MOUSE_BUTTONS => 0,
                other => panic!("a rectangle that nobody listed: {other}"),
            };
            let body = b.get(at + 12..at + 12 + length)?;
            rects.push((rect, number, body));
            at += 12 + length;
        }
        let sizes = rects
            .iter()
            .any(|(_, n, _)| matches!(*n, number::EXTENDED_DESKTOP_SIZE | number::DESKTOP_SIZE));
        let mut pixels = 0;
        for (rect, number, body) in rects {
            match number {
                0 => {
                    assert!(!sizes, "pixels beside a size");
                    assert!(self.picture.bounds().contains(&rect), "outside: {rect:?}");
                    pixels += rect.area();
                    self.draw(rect, body);
                }
                number::COPY_RECT => {
                    assert!(!sizes, "pixels beside a size");
                    let at = |i| u16::from_be_bytes([body[i], body[i + 1]]);
                    let source = Rect::new(at(0), at(2), rect.w, rect.h);
                    let bounds = self.picture.bounds();
                    assert!(bounds.contains(&rect) && bounds.contains(&source));
                    self.copied += u64::from(rect.area());
                    self.picture.copy_within(source, rect.origin());
                }
                number::EXTENDED_DESKTOP_SIZE => {
                    let Rect { x, y, w, h } = rect;
                    self.seen.push(Seen::Size { x, y, w, h });
                    if x != 1 || y == 0 {
                        self.follow(w, h);
                    }
                }
                number::DESKTOP_SIZE => self.follow(rect.w, rect.h),
                number => self.seen.push(Seen::Pseudo {
                    number,
                    rect,
                    data: body.to_vec(),
                }),
            }
        }
        self.seen.push(Seen::Update { pixels });
        if self.asks_again {
            let request = self.request(true);
            self.to_server.extend(request);
        }
        Some(at)
    }

    fn follow(&mut self, w: u16, h: u16) {
        if (w, h) != (self.picture.width(), self.picture.height()) {
            self.picture = Frame::new(w, h);
        }
    }

    /// Raw pixels: 32 bits little-endian as in the server's format, or one byte each.
    fn draw(&mut self, rect: Rect, body: &[u8]) {
        let n = self.format.bytes_per_pixel();
        let mut pixels = body.chunks(n).map(|p| match p {
            [b, g, r, _] => u32::from_be_bytes([0, *r, *g, *b]),
            other => u32::from(other[0]),
        });
        for y in rect.y..rect.bottom() {
            let row = self.picture.row_mut(y);
            for pixel in &mut row[usize::from(rect.x)..usize::from(rect.right())] {
                *pixel = pixels.next().unwrap_or_default();
            }
        }
    }
}
