//! An RFB client for tests: blocking, with a deadline on everything, and honest: it shows what was decoded.
//!
//! ```text
//!  connect ─ handshake ─► Client ── set_pixel_format, set_encodings, request, key, pointer … ──► server
//!                           │  ▲
//!                 event() ◄─┘  └── update / fence / clipboard / bell … ◄── server
//! ```
//!
//! A typical test:
//!
//! ```ignore
//! let mut client = Client::connect(address, &Login::password("secret"))?;
//! client.set_encodings(&[number::TIGHT, pseudo::number::LAST_RECT])?;
//! client.request_all(false)?;
//! client.update(TIMEOUT)?;
//! client.until(TIMEOUT, |c| c.picture().pixel(3, 4) == 0xff0000)?;
//! ```

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use des::Des;
use des::cipher::{BlockCipherEncrypt, KeyInit};
use deskinit::pixel::{PixelFormat, Rect};

use super::clipboard::{Clipboard, flag};
use super::decode::{Decoder, Update, bad, bytes, u8, u16, u32};
use super::wire::{Transport, Wire};

/// Long enough for a message that has begun, on a busy machine.
const MESSAGE: Duration = Duration::from_secs(20);

/// How to come in.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// Minor version to answer with: 3, 7 or 8.
    pub(crate) minor: u8,
    /// For VNC authentication; without it, security type None is taken.
    pub(crate) password: Option<String>,
    /// Leave the others connected.
    pub(crate) shared: bool,
}

impl Login {
    /// Version 3.8 without authentication.
    pub(crate) fn none() -> Self {
        Self {
            minor: 8,
            password: None,
            shared: true,
        }
    }

    /// Version 3.8 with VNC authentication.
    pub(crate) fn password(password: &str) -> Self {
        Self {
            password: Some(password.to_owned()),
            ..Self::none()
        }
    }
}

/// What the server sent.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Update(Update),
    Bell,
    /// Basic clipboard, Latin-1.
    CutText(String),
    Clipboard(Clipboard),
    /// Flags as sent; a request (bit 31) was answered already unless [`Client::answer_fences`] is off.
    Fence(u32, Vec<u8>),
    EndOfContinuousUpdates,
    /// xvp (250): version and message code.
    Xvp(u8, u8),
}

/// What has come so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) updates: u64,
    /// Rectangles of pixels.
    pub(crate) rects: u64,
    /// Pixels of them.
    pub(crate) pixels: u64,
    /// Bytes of all updates.
    pub(crate) bytes: u64,
    pub(crate) fences: u64,
}

/// A client after the handshake.
pub(crate) struct Client {
    wire: Wire,
    decoder: Decoder,
    format: PixelFormat,
    name: String,
    version: u8,
    counts: Counts,
    /// Events that a wait for something else came upon.
    passed: VecDeque<Event>,
    /// Whether fences are answered as they come; turn it off to play a stalled client.
    pub(crate) answer_fences: bool,
}

impl Client {
    /// Connects by TCP and logs in.
    pub(crate) fn connect(address: impl ToSocketAddrs, login: &Login) -> io::Result<Self> {
        let Some(address) = address.to_socket_addrs()?.next() else {
            return bad("no address");
        };
        let stream = TcpStream::connect_timeout(&address, MESSAGE)?;
        stream.set_nodelay(true)?;
        Self::login(stream, login)
    }

    /// Logs in over any transport. An error of kind `PermissionDenied` carries the server's reason.
    pub(crate) fn login(transport: impl Transport + 'static, login: &Login) -> io::Result<Self> {
        let mut wire = Wire::new(transport, MESSAGE);
        let version = handshake(&mut wire, login)?;
        wire.write_all(&[u8::from(login.shared)])?;
        let (width, height) = (u16(&mut wire)?, u16(&mut wire)?);
        let mut format = [0; 16];
        wire.read_exact(&mut format)?;
        let Ok(format) = PixelFormat::parse(&format) else {
            return bad(format!("ServerInit with the pixel format {format:?}"));
        };
        let n = u32(&mut wire)?;
        if n > 64 * 1024 {
            return bad(format!("a desktop name of {n} bytes"));
        }
        let name = bytes(&mut wire, n as usize)?;
        Ok(Self {
            decoder: Decoder::new(format, width, height),
            format,
            name: String::from_utf8_lossy(&name).into_owned(),
            version,
            counts: Counts::default(),
            passed: VecDeque::new(),
            answer_fences: true,
            wire,
        })
    }

    /// The picture as decoded so far, with its size.
    pub(crate) fn picture(&self) -> &Decoder {
        &self.decoder
    }

    /// The desktop's name from ServerInit.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The format that pixels come in.
    pub(crate) fn format(&self) -> PixelFormat {
        self.format
    }

    /// The minor version that the server announced.
    pub(crate) fn server_version(&self) -> u8 {
        self.version
    }

    /// What has come so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The stream itself: to send what no method sends, or to see it end.
    pub(crate) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    // To the server: RFC 6143, 7.5, and the community specification.

    /// SetPixelFormat. Takes effect for the decoder at once: make no request before it whose answer is still to come.
    pub(crate) fn set_pixel_format(&mut self, format: PixelFormat) -> io::Result<()> {
        let mut message = vec![0; 4];
        message.extend_from_slice(&format.to_bytes());
        self.send(&message)?;
        self.format = format;
        self.decoder.set_format(format);
        Ok(())
    }

    /// SetEncodings.
    pub(crate) fn set_encodings(&mut self, encodings: &[i32]) -> io::Result<()> {
        let mut message = vec![2, 0];
        message.extend_from_slice(&(encodings.len() as u16).to_be_bytes());
        message.extend(encodings.iter().flat_map(|e| e.to_be_bytes()));
        self.send(&message)
    }

    /// FramebufferUpdateRequest.
    pub(crate) fn request(&mut self, incremental: bool, area: Rect) -> io::Result<()> {
        let mut message = vec![3, incremental.into()];
        rect_to(&mut message, area);
        self.send(&message)
    }

    /// FramebufferUpdateRequest of the whole screen.
    pub(crate) fn request_all(&mut self, incremental: bool) -> io::Result<()> {
        let (w, h) = self.decoder.size();
        self.request(incremental, Rect::sized(w, h))
    }

    /// EnableContinuousUpdates.
    pub(crate) fn continuous_updates(&mut self, on: bool, area: Rect) -> io::Result<()> {
        let mut message = vec![150, on.into()];
        rect_to(&mut message, area);
        self.send(&message)
    }

    /// ClientFence.
    pub(crate) fn fence(&mut self, flags: u32, payload: &[u8]) -> io::Result<()> {
        let mut message = vec![248, 0, 0, 0];
        message.extend_from_slice(&flags.to_be_bytes());
        message.push(payload.len() as u8);
        message.extend_from_slice(payload);
        self.send(&message)
    }

    /// KeyEvent.
    pub(crate) fn key(&mut self, keysym: u32, down: bool) -> io::Result<()> {
        let mut message = vec![4, down.into(), 0, 0];
        message.extend_from_slice(&keysym.to_be_bytes());
        self.send(&message)
    }

    /// QEMU extended KeyEvent; `scancode` is XT set 1, with 0x80 set for those after 0xe0.
    pub(crate) fn qemu_key(&mut self, keysym: u32, scancode: u32, down: bool) -> io::Result<()> {
        let mut message = vec![255, 0, 0, down.into()];
        message.extend_from_slice(&keysym.to_be_bytes());
        message.extend_from_slice(&scancode.to_be_bytes());
        self.send(&message)
    }

    /// PointerEvent; bit 0 is button 1.
    pub(crate) fn pointer(&mut self, x: u16, y: u16, buttons: u8) -> io::Result<()> {
        let ([x0, x1], [y0, y1]) = (x.to_be_bytes(), y.to_be_bytes());
        self.send(&[5, buttons, x0, x1, y0, y1])
    }

    /// The seven-byte PointerEvent of ExtendedMouseButtons: bit 7 of the first mask says that a second follows, with
    /// buttons 8 and 9.
    pub(crate) fn pointer_extended(&mut self, x: u16, y: u16, buttons: u16) -> io::Result<()> {
        let ([x0, x1], [y0, y1]) = (x.to_be_bytes(), y.to_be_bytes());
        let (low, high) = ((buttons & 0x7f) as u8, (buttons >> 7) as u8);
        self.send(&[5, low | 0x80, x0, x1, y0, y1, high])
    }

    /// ClientCutText; characters beyond Latin-1 become `?`.
    pub(crate) fn cut_text(&mut self, text: &str) -> io::Result<()> {
        let text: Vec<u8> = text
            .chars()
            .map(|c| u8::try_from(c).unwrap_or(b'?'))
            .collect();
        self.cut_text_message(text.len() as i32, &text)
    }

    /// Extended clipboard: what this client can do. Text up to `unasked` bytes may come without a request.
    pub(crate) fn clipboard_caps(&mut self, unasked: u32) -> io::Result<()> {
        let all = flag::TEXT | flag::REQUEST | flag::PEEK | flag::NOTIFY | flag::PROVIDE;
        self.clipboard_message(&Clipboard::caps(all, &[unasked]))
    }

    /// Extended clipboard: this client has text.
    pub(crate) fn clipboard_notify(&mut self) -> io::Result<()> {
        self.clipboard_message(&Clipboard::plain(flag::NOTIFY | flag::TEXT))
    }

    /// Extended clipboard: send me your text.
    pub(crate) fn clipboard_request(&mut self) -> io::Result<()> {
        self.clipboard_message(&Clipboard::plain(flag::REQUEST | flag::TEXT))
    }

    /// Extended clipboard: tell me what you have.
    pub(crate) fn clipboard_peek(&mut self) -> io::Result<()> {
        self.clipboard_message(&Clipboard::plain(flag::PEEK))
    }

    /// Extended clipboard: here is my text.
    pub(crate) fn clipboard_provide(&mut self, text: &str) -> io::Result<()> {
        self.clipboard_message(&Clipboard::provide(text))
    }

    fn clipboard_message(&mut self, data: &[u8]) -> io::Result<()> {
        self.cut_text_message(-(data.len() as i32), data)
    }

    fn cut_text_message(&mut self, length: i32, data: &[u8]) -> io::Result<()> {
        let mut message = vec![6, 0, 0, 0];
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(data);
        self.send(&message)
    }

    /// SetDesktopSize with one screen.
    pub(crate) fn set_desktop_size(&mut self, width: u16, height: u16) -> io::Result<()> {
        let mut message = vec![251, 0];
        message.extend([width, height].iter().flat_map(|n| n.to_be_bytes()));
        message.extend_from_slice(&[1, 0]);
        message.extend_from_slice(&0u32.to_be_bytes());
        message.extend(
            [0, 0, width, height]
                .iter()
                .flat_map(|n: &u16| n.to_be_bytes()),
        );
        message.extend_from_slice(&0u32.to_be_bytes());
        self.send(&message)
    }

    /// Any bytes.
    pub(crate) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.wire.write_all(message)?;
        self.wire.flush()
    }

    // From the server.

    /// The next message, decoded; `None` when none began in time. A message that began has 20 s to end.
    pub(crate) fn event(&mut self, timeout: Duration) -> io::Result<Option<Event>> {
        match self.passed.pop_front() {
            Some(event) => Ok(Some(event)),
            None => self.receive(timeout),
        }
    }

    /// Waits for the first event that `pick` takes; others stay for [`Client::event`]. An error of kind `TimedOut`
    /// when none comes.
    pub(crate) fn wait<T>(
        &mut self,
        timeout: Duration,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> io::Result<T> {
        for i in 0..self.passed.len() {
            if let Some(found) = pick(&self.passed[i]) {
                self.passed.remove(i);
                return Ok(found);
            }
        }
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(event) = self.receive(left)? else {
                let kind = io::ErrorKind::TimedOut;
                return Err(io::Error::new(kind, "the awaited event did not come"));
            };
            match pick(&event) {
                Some(found) => return Ok(found),
                None => self.passed.push_back(event),
            }
        }
    }

    /// Waits for the next update.
    pub(crate) fn update(&mut self, timeout: Duration) -> io::Result<Update> {
        self.wait(timeout, |event| match event {
            Event::Update(update) => Some(update.clone()),
            _ => None,
        })
    }

    /// Asks for updates, one after the other, until `done` is satisfied with the picture. Events other than updates
    /// stay for [`Client::event`]. An error of kind `TimedOut` when it does not get there.
    pub(crate) fn until(
        &mut self,
        timeout: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) -> io::Result<()> {
        let deadline = Instant::now() + timeout;
        let mut asked = false;
        while !done(self) {
            if !asked {
                self.request_all(true)?;
                asked = true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receive(left)? {
                Some(Event::Update(_)) => asked = false,
                Some(event) => self.passed.push_back(event),
                None => {
                    let kind = io::ErrorKind::TimedOut;
                    return Err(io::Error::new(kind, "the picture never became as awaited"));
                }
            }
        }
        Ok(())
    }

    /// Reads one message off the wire.
    fn receive(&mut self, timeout: Duration) -> io::Result<Option<Event>> {
        if !self.wire.wait(timeout)? {
            return Ok(None);
        }
        self.wire.allow(MESSAGE);
        let wire = &mut self.wire;
        let event = match u8(wire)? {
            0 => {
                u8(wire)?;
                let count = u16(wire)?;
                let update = self.decoder.update(wire, count)?;
                self.counts.updates += 1;
                self.counts.rects += update.drawn.len() as u64;
                self.counts.bytes += update.bytes + 4;
                let areas = update.drawn.iter().map(|d| u64::from(d.rect.area()));
                self.counts.pixels += areas.sum::<u64>();
                Event::Update(update)
            }
            2 => Event::Bell,
            3 => {
                bytes(wire, 3)?;
                let n = u32(wire)? as i32;
                if n.unsigned_abs() > 64 << 20 {
                    return bad(format!("ServerCutText of {n} bytes"));
                }
                let data = bytes(wire, n.unsigned_abs() as usize)?;
                if n < 0 {
                    Event::Clipboard(Clipboard::parse(&data)?)
                } else {
                    Event::CutText(data.into_iter().map(char::from).collect())
                }
            }
            150 => Event::EndOfContinuousUpdates,
            248 => {
                bytes(wire, 3)?;
                let flags = u32(wire)?;
                let n = u8(wire)?;
                if n > 64 {
                    return bad(format!("a fence with {n} bytes"));
                }
                let payload = bytes(wire, n.into())?;
                self.counts.fences += 1;
                if flags >> 31 != 0 && self.answer_fences {
                    // BlockBefore, BlockAfter and SyncNext hold of themselves for a client that does one thing at a
                    // time.
                    self.fence(flags & 7, &payload)?;
                }
                Event::Fence(flags, payload)
            }
            250 => {
                u8(wire)?;
                Event::Xvp(u8(wire)?, u8(wire)?)
            }
            other => return bad(format!("server message {other}")),
        };
        Ok(Some(event))
    }
}

fn rect_to(message: &mut Vec<u8>, r: Rect) {
    message.extend([r.x, r.y, r.w, r.h].iter().flat_map(|n| n.to_be_bytes()));
}

/// ProtocolVersion, security and its result (RFC 6143, 7.1); the minor version of the server.
fn handshake(wire: &mut Wire, login: &Login) -> io::Result<u8> {
    let greeting = bytes(wire, 12)?;
    let version = match &*greeting {
        b"RFB 003.003\n" => 3,
        b"RFB 003.007\n" => 7,
        b"RFB 003.008\n" => 8,
        other => return bad(format!("greeting {:?}", String::from_utf8_lossy(other))),
    };
    let minor = login.minor.min(version);
    wire.write_all(format!("RFB 003.{minor:03}\n").as_bytes())?;

    let wanted = if login.password.is_some() { 2 } else { 1 };
    if minor == 3 {
        match u32(wire)? {
            0 => return refused(wire),
            n if n == wanted => {}
            other => return bad(format!("the server wants security type {other}")),
        }
    } else {
        let count = u8(wire)?;
        if count == 0 {
            return refused(wire);
        }
        let types = bytes(wire, count.into())?;
        if !types.contains(&(wanted as u8)) {
            return bad(format!("security types {types:?} without {wanted}"));
        }
        wire.write_all(&[wanted as u8])?;
    }
    if let Some(password) = &login.password {
        let challenge = bytes(wire, 16)?;
        wire.write_all(&response(password, &challenge))?;
    }
    // Before 3.8 None has no result.
    if (login.password.is_some() || minor == 8) && u32(wire)? != 0 {
        if minor == 8 {
            return refused(wire);
        }
        let kind = io::ErrorKind::PermissionDenied;
        return Err(io::Error::new(kind, "authentication failed"));
    }
    Ok(version)
}

/// The server's reason, as an error.
fn refused<T>(wire: &mut Wire) -> io::Result<T> {
    let n = u32(wire)?.min(64 * 1024);
    let reason = bytes(wire, n as usize)?;
    let reason = String::from_utf8_lossy(&reason).into_owned();
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

/// VNC authentication (RFC 6143, 7.2.2): DES with the bits of each key byte reversed.
pub(crate) fn response(password: &str, challenge: &[u8]) -> Vec<u8> {
    let mut key = [0u8; 8];
    for (k, b) in key.iter_mut().zip(password.bytes()) {
        *k = b.reverse_bits();
    }
    let des = Des::new(&key.into());
    let mut out = Vec::new();
    for half in challenge.chunks_exact(8) {
        let mut block = [0; 8];
        block.copy_from_slice(half);
        let mut block = block.into();
        des.encrypt_block(&mut block);
        out.extend_from_slice(&block);
    }
    out
}
