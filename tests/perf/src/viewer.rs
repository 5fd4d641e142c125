//! A viewer that asks as noVNC does, answers at once, and only records while it is measured.
//!
//! ```text
//!  Viewer::connect ── handshake, format, encodings, first request ──► reader thread: bytes + arrival of every update
//!     │ key, pointer, resize (any time)                                  │ fences answered, continuous updates enabled
//!     └──────────────────────── finish ─────────────────────────────────►┴──► Recording
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use deskinit::pixel::{Channel, PixelFormat};

use crate::link::{self, Address, Incoming, Outgoing};
use crate::skim::{Skimmed, Skimmer};
use crate::support::pseudo::number as pseudo;

/// What a viewer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taste {
    /// Tight with JPEG of quality 6, as noVNC by default.
    Quality6,
    /// The same without fences and without updates that it does not ask for.
    Plain6,
    /// Tight without a quality: nothing may be lost.
    LosslessTight,
    /// ZRLE.
    Zrle,
}

impl Taste {
    /// noVNC's order (RFB.md), with the preferred encoding in front of it.
    fn encodings(self) -> Vec<i32> {
        let mut list: Vec<i32> = match self {
            Self::Quality6 | Self::Plain6 | Self::LosslessTight => vec![1, 7, -260, 16, 5, 2, 6, 0],
            Self::Zrle => vec![1, 16, 5, 2, 6, 0],
        };
        if matches!(self, Self::Quality6 | Self::Plain6) {
            list.push(pseudo::quality(6));
        }
        list.extend([
            pseudo::compress(2),
            pseudo::DESKTOP_SIZE,
            pseudo::LAST_RECT,
            pseudo::QEMU_KEY,
            pseudo::QEMU_LED,
            pseudo::EXTENDED_DESKTOP_SIZE,
            pseudo::FENCE,
            pseudo::CONTINUOUS_UPDATES,
            pseudo::DESKTOP_NAME,
            pseudo::EXTENDED_MOUSE_BUTTONS,
            pseudo::VMWARE_CURSOR,
            pseudo::CURSOR,
        ]);
        if self == Self::Plain6 {
            list.retain(|e| ![pseudo::FENCE, pseudo::CONTINUOUS_UPDATES].contains(e));
        }
        list
    }
}

/// How fast a viewer reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Bytes a second.
    pub(crate) bytes: u32,
    /// It catches up with what it could have read in so long, had there been more.
    pub(crate) credit: Duration,
}

impl Rate {
    /// One that catches up with nothing but its own sleeps, which may be so late.
    pub(crate) const fn new(bytes: u32) -> Self {
        Self {
            bytes,
            credit: Duration::from_millis(20),
        }
    }
}

/// How a viewer behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) taste: Taste,
    /// `None`: as fast as it comes.
    pub(crate) rate: Option<Rate>,
    /// Keep what came, to be decoded; without it only updates are counted.
    pub(crate) record: bool,
}

impl Manner {
    pub(crate) fn new(taste: Taste) -> Self {
        Self {
            taste,
            rate: None,
            record: true,
        }
    }
}

/// An update that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When its last byte was read.
    pub(crate) at: Instant,
    /// Where in the recording it ends.
    pub(crate) end: usize,
    /// Rectangles of pixels.
    pub(crate) rects: u32,
}

/// Everything that a server sent, from its greeting on.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub(crate) bytes: Vec<u8>,
    pub(crate) arrivals: Vec<Arrival>,
    /// Why it ended before it was finished.
    pub(crate) broken: Option<String>,
}

/// What noVNC asks for: red in the lowest byte.
pub(crate) fn novnc_format() -> PixelFormat {
    let [red, green, blue] = [0, 8, 16].map(|shift| Channel { max: 255, shift });
    PixelFormat::new(32, 24, false, red, green, blue).expect("a valid format")
}

/// A connected viewer.
pub(crate) struct Viewer {
    out: Arc<Outgoing>,
    updates: Arc<AtomicU64>,
    leaving: Arc<AtomicBool>,
    reader: JoinHandle<Recording>,
}

impl Viewer {
    /// Connects, and asks for the whole picture.
    pub(crate) fn connect(address: Address, manner: Manner) -> io::Result<Self> {
        // As small as the kernel lets it be without stalling: what is in it is not seen yet.
        let buffer = manner.rate.map(|_| 8 * 1024);
        let (incoming, outgoing) = link::open(address, buffer)?;
        let out = Arc::new(outgoing);
        let mut reader = Reader {
            incoming,
            out: Arc::clone(&out),
            recording: Recording::default(),
            at: 0,
            base: 0,
            manner,
            size: (0, 0),
            continuous: false,
            skimmer: Skimmer::default(),
            updates: Arc::default(),
            leaving: Arc::default(),
        };
        reader.handshake()?;
        let (updates, leaving) = (Arc::clone(&reader.updates), Arc::clone(&reader.leaving));
        let reader = thread::Builder::new()
            .name("viewer".into())
            .spawn(move || reader.run())?;
        Ok(Self {
            out,
            updates,
            leaving,
            reader,
        })
    }

    /// Updates so far.
    pub(crate) fn updates(&self) -> u64 {
        self.updates.load(Ordering::Relaxed)
    }

    /// Waits for the first update.
    pub(crate) fn first_update(&self) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(15);
        while self.updates() == 0 {
            if Instant::now() > deadline || self.reader.is_finished() {
                return Err(io::Error::other("no first picture"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// What types and points for this viewer, on another thread too.
    pub(crate) fn hand(&self) -> Hand {
        Hand(Arc::clone(&self.out))
    }

    /// SetDesktopSize.
    pub(crate) fn resize(&self, width: u16, height: u16) -> io::Result<()> {
        let ([w0, w1], [h0, h1]) = (width.to_be_bytes(), height.to_be_bytes());
        let mut message = vec![251, 0, w0, w1, h0, h1, 1, 0];
        message.extend([0, 0, 0, 0, 0, 0, 0, 0, w0, w1, h0, h1, 0, 0, 0, 0]);
        self.out.send(&message)
    }

    /// Leaves, and tells what came.
    pub(crate) fn finish(self) -> Recording {
        self.leaving.store(true, Ordering::Relaxed);
        self.out.shutdown();
        self.reader.join().unwrap_or_default()
    }
}

/// A viewer's keyboard and pointer.
pub(crate) struct Hand(Arc<Outgoing>);

impl Hand {
    /// KeyEvent, down and up.
    pub(crate) fn key(&self, keysym: u32) -> io::Result<()> {
        let mut message = Vec::new();
        for down in [1, 0] {
            message.extend([4, down, 0, 0]);
            message.extend(keysym.to_be_bytes());
        }
        self.0.send(&message)
    }

    /// PointerEvent; bit 0 is button 1, bits 3 and 4 are the wheel.
    pub(crate) fn pointer(&self, x: u16, y: u16, buttons: u8) -> io::Result<()> {
        let ([x0, x1], [y0, y1]) = (x.to_be_bytes(), y.to_be_bytes());
        self.0.send(&[5, buttons, x0, x1, y0, y1])
    }
}

struct Reader {
    incoming: Incoming,
    out: Arc<Outgoing>,
    recording: Recording,
    /// How far the recording was looked at.
    at: usize,
    /// Bytes that were dropped from the front of the recording.
    base: usize,
    manner: Manner,
    size: (u16, u16),
    continuous: bool,
    skimmer: Skimmer,
    updates: Arc<AtomicU64>,
    /// We end the connection ourselves: what fails from now on is no fault of the server.
    leaving: Arc<AtomicBool>,
}

impl Reader {
    /// Protocol 3.8, security None (RFC 6143, 7.1 to 7.3), and what a client says first.
    fn handshake(&mut self) -> io::Result<()> {
        if !self.expect(12)?.starts_with(b"RFB 003.008") {
            return Err(io::Error::other("the server does not speak RFB 3.8"));
        }
        self.out.send(b"RFB 003.008\n")?;
        let count = self.expect(1)?[0];
        if !self.expect(count.into())?.contains(&1) {
            return Err(io::Error::other("the server wants authentication"));
        }
        self.out.send(&[1])?;
        if self.expect(4)? != [0; 4] {
            return Err(io::Error::other("the server refuses"));
        }
        self.out.send(&[1])?;
        let init = self.expect(24)?;
        self.size = (
            u16::from_be_bytes([init[0], init[1]]),
            u16::from_be_bytes([init[2], init[3]]),
        );
        let name = u32::from_be_bytes([init[20], init[21], init[22], init[23]]);
        self.expect(name as usize)?;

        let mut message = vec![0, 0, 0, 0];
        message.extend(novnc_format().to_bytes());
        let encodings = self.manner.taste.encodings();
        message.extend([2, 0]);
        message.extend((encodings.len() as u16).to_be_bytes());
        message.extend(encodings.iter().flat_map(|e| e.to_be_bytes()));
        self.out.send(&message)?;
        self.request(false)
    }

    fn expect(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.recording.bytes.len() < self.at + n {
            // No more than asked: what follows is for the reader's own pace.
            let missing = self.at + n - self.recording.bytes.len();
            self.incoming
                .read(&mut self.recording.bytes, missing, &self.out)?;
        }
        self.at += n;
        Ok(self.recording.bytes[self.at - n..self.at].to_vec())
    }

    fn request(&self, incremental: bool) -> io::Result<()> {
        self.area(&[3, incremental.into()])
    }

    fn area(&self, head: &[u8]) -> io::Result<()> {
        let ([w0, w1], [h0, h1]) = (self.size.0.to_be_bytes(), self.size.1.to_be_bytes());
        self.out
            .send(&[head, &[0, 0, 0, 0, w0, w1, h0, h1]].concat())
    }

    /// Reads until the stream ends.
    fn run(mut self) -> Recording {
        let mut free = Instant::now();
        // A reader with a rate takes little at a time: it is to be slow, not to come in bursts.
        let most = if self.manner.rate.is_some() {
            2048
        } else {
            256 * 1024
        };
        loop {
            let before = self.recording.bytes.len();
            let read = self
                .incoming
                .read(&mut self.recording.bytes, most, &self.out);
            if let Err(e) = read.and_then(|()| self.look()) {
                if !self.leaving.load(Ordering::Relaxed) {
                    self.recording.broken = Some(e.to_string());
                }
                return self.recording;
            }
            if let Some(rate) = self.manner.rate {
                let read = self.recording.bytes.len().saturating_sub(before);
                let took = Duration::from_secs_f64(read as f64 / f64::from(rate.bytes));
                free = free.max(Instant::now() - rate.credit) + took;
                thread::sleep(free.saturating_duration_since(Instant::now()));
            }
            if !self.manner.record {
                self.recording.bytes.drain(..self.at);
                (self.base, self.at) = (self.base + self.at, 0);
            }
        }
    }

    /// Looks at what came, and answers.
    fn look(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let mut skimmer = std::mem::take(&mut self.skimmer);
        while let Some((n, what)) = skimmer.next(&self.recording.bytes[self.at..])? {
            self.at += n;
            match what {
                Skimmed::Update(rects, size) => {
                    let end = self.base + self.at;
                    self.recording.arrivals.push(Arrival {
                        at: now,
                        end,
                        rects,
                    });
                    self.updates.fetch_add(1, Ordering::Relaxed);
                    let resized = size.filter(|size| *size != self.size);
                    self.size = size.unwrap_or(self.size);
                    if resized.is_some() && self.continuous {
                        self.area(&[150, 1])?;
                    }
                    if resized.is_some() || !self.continuous {
                        self.request(resized.is_none())?;
                    }
                }
                Skimmed::Fence(flags, payload) => {
                    let mut message = vec![248, 0, 0, 0];
                    message.extend((flags & 7).to_be_bytes());
                    message.push(payload.len() as u8);
                    message.extend(payload);
                    self.out.send(&message)?;
                }
                Skimmed::EndOfContinuousUpdates if !self.continuous => {
                    self.continuous = true;
                    self.area(&[150, 1])?;
                }
                _ => {}
            }
        }
        self.skimmer = skimmer;
        Ok(())
    }
}
