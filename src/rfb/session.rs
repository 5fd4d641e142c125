//! One client after its handshake: what it may do, what it has seen, what it gets next.
//!
//! ```text
//!             receive() ─► parse ─► apply ─► Effect ─► the server acts
//!                                     │
//!   stepped(), resized(), cursor() …  ▼
//!   ───────────────────────────► what the client has not seen
//!                                     │  poll(): demand? room in the window? anything to say?
//!                       Nothing, At ◄─┴─► Update(Job) ─► the server encodes ─► finish() ─► output()
//! ```
//!
//! At most one job is out at a time. While one is, messages that would change the meaning of what is being encoded (a
//! pixel format, a fence that asks for exact order) and those after them wait in `deferred` until `finish`.
//!
//! After any call: drain [`Session::next_effect`], call [`Session::poll`] (which also writes small messages), send
//! [`Session::output`]. Do not poll while much of the output waits to be sent: that is what bounds it.

mod apply;
mod figures;
mod send;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use figures::Counts;

use super::auth::Permission;
use super::client::{ClientMessage, ProtocolError};
use super::clipboard::{InflateError, LIMIT};
use super::encodings::ClientCapabilities;
use super::flow::{Flow, Ready};
use super::input::InputBuffer;
use super::pacing::Pacing;
use super::parse::Parser;
use super::paste::Conversation;
use super::pending::Pending;
use super::quality::Control;
use super::refresh::Refresh;
use super::resize::Sizes;
use super::server::{self, ResizeReason, ResizeStatus};
use super::update::{Beside, Density, Job};
use super::version::Version;
#[cfg(feature = "h264")]
use super::video::{VideoQuality, VideoWatch};
use crate::encode::{Encoded, JpegQuality};
use crate::pixel::{PixelFormat, Point, Rect, Region};
use crate::screen::{Activity, CursorImage, Leds, Step};

/// Bytes of answers that may wait for a client that does not read.
const MAX_ANSWERS: usize = 256 * 1024;

/// Messages that may wait for a job.
const MAX_DEFERRED: usize = 1024;

/// Somebody typed or pointed so recently: refreshing must not get into the way.
const INTERACTION: Duration = Duration::from_millis(200);

/// A buffer is kept for the next update when it is not larger.
const SPARE: usize = 1024 * 1024;

/// First byte of the fences that measure; anything else in an answer is not ours.
const PING: u8 = b'p';

/// What a session begins with.
#[derive(Debug)]
pub struct Start {
    /// From the handshake.
    pub version: Version,
    /// From the handshake.
    pub permission: Permission,
    /// Width of the desktop in pixels.
    pub width: u16,
    /// Height of the desktop in pixels.
    pub height: u16,
    /// Name of the desktop; control characters are dropped.
    pub name: String,
    /// What the operator allows.
    pub features: Features,
    /// The time.
    pub now: Instant,
}

/// What the operator allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// The desktop's clipboard goes to clients.
    pub clipboard_send: bool,
    /// Clients' clipboards go to the desktop.
    pub clipboard_accept: bool,
    /// Clients may change the size of the desktop.
    pub resize: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            clipboard_send: true,
            clipboard_accept: true,
            resize: true,
        }
    }
}

/// What the server has to do for a client. Clients that only watch cause none but notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A key.
    Key {
        /// X11's number of the symbol; 0 when only the scancode is known.
        keysym: u32,
        /// XT set 1 with the prefix 0xe0 as bit 7.
        scancode: Option<u32>,
        /// Pressed.
        down: bool,
    },
    /// The pointer.
    Pointer {
        /// Column, within the desktop.
        x: u16,
        /// Row, within the desktop.
        y: u16,
        /// Bit 0 is button 1, … bit 8 button 9.
        buttons: u16,
    },
    /// Text for the desktop's clipboard.
    ClipboardText(Arc<str>),
    /// Make the desktop this large, then call [`Session::resized`] with [`ResizeCause::Client`], whatever came of it.
    /// Of several, the last one counts, and one call answers them all.
    Resize {
        /// Width in pixels, at least 1.
        width: u16,
        /// Height in pixels, at least 1.
        height: u16,
    },
    /// Something that belongs in the log.
    Notice(Notice),
    /// The connection has to end.
    Closed(ProtocolError),
}

/// Something that happened and ends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The client's clipboard was not taken.
    ClipboardFromClient(InflateError),
    /// The desktop's clipboard was not sent.
    ClipboardToClient {
        /// Its size in bytes.
        bytes: usize,
    },
    /// It asked for shutdown, reboot or reset (xvp's code).
    Power(u8),
    /// Its first message told how it wants to be served.
    Listed,
    /// It has not confirmed a picture of a video for seconds, and gets none any more.
    #[cfg(feature = "h264")]
    VideoStalled,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClipboardFromClient(e) => write!(f, "not taken from the client: {e}"),
            Self::ClipboardToClient { bytes } => write!(
                f,
                "not sent to the client: a clipboard of {bytes} bytes (at most {LIMIT} are sent)"
            ),
            Self::Power(code) => write!(f, "refused: xvp operation {code}"),
            Self::Listed => f.write_str("the client has said what it can do"),
            #[cfg(feature = "h264")]
            Self::VideoStalled => f.write_str("H.264 is not shown by the client: no more of it"),
        }
    }
}

/// Why the desktop has the size it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeCause {
    /// Something on the desktop's side.
    Server,
    /// The answer to this client's [`Effect::Resize`]; the size is what the desktop has now.
    Client(ResizeStatus),
    /// Another client's wish.
    OtherClient,
}

/// What the server should do next for a client's picture.
#[derive(Debug)]
pub enum Poll {
    /// Nothing, until something happens.
    Nothing,
    /// Poll again at this time, if nothing happens before.
    At(Instant),
    /// Encode this.
    Update(Job),
}

/// What the client has asked to be sent.
#[derive(Debug, Default)]
struct Demand {
    /// It waits for an update of this.
    requested: Option<Region>,
    /// It wants updates of this as they come.
    continuous: Option<Rect>,
}

/// The state of one client.
#[derive(Debug)]
pub struct Session {
    version: Version,
    permission: Permission,
    features: Features,
    parser: Parser,
    caps: ClientCapabilities,
    listed: bool,
    format: PixelFormat,
    now: Instant,

    out: Vec<u8>,
    /// Bytes of answers that may still wait to be sent.
    answers: usize,
    /// Bytes that were taken out of `out` and wait elsewhere.
    unsent: usize,
    spare: Vec<u8>,
    effects: VecDeque<Effect>,
    deferred: VecDeque<ClientMessage>,
    /// A fence that is answered when the next message is applied: flags and payload.
    sync: Option<(u32, Vec<u8>)>,
    job_is_out: bool,
    fence_announced: bool,
    continuous_announced: bool,
    power_refused: bool,

    demand: Demand,
    pending: Pending,
    sizes: Sizes,
    beside: Beside,
    paste: Conversation,
    bell: bool,
    flow: Flow,
    refresh: Refresh,
    activity: Arc<Activity>,
    density: Density,
    #[cfg(feature = "h264")]
    video: VideoWatch,
    #[cfg(feature = "h264")]
    video_quality: VideoQuality,
    quality: Control,
    pacing: Pacing,
    /// The quality of the last update.
    fitted: Option<JpegQuality>,
    last_input: Option<Instant>,
    /// When something that had changed was last encoded.
    last_change: Option<Instant>,
    /// A key or a motion has come.
    touched: bool,
    counts: Counts,
}

impl Session {
    /// Begins a session; its output holds ServerInit.
    pub fn new(start: Start) -> Self {
        let Start { width, height, .. } = start;
        let name = server::clean_name(&start.name);
        let mut out = Vec::new();
        server::init(&mut out, width, height, &PixelFormat::NATIVE, &name);
        let full = start.permission == Permission::Full;
        let accept = start.features.clipboard_accept && full;
        let sizes = Sizes::new(width, height);
        let mut refresh = Refresh::default();
        refresh.resize(width, height);
        #[cfg(feature = "h264")]
        let mut video = VideoWatch::default();
        #[cfg(feature = "h264")]
        video.resize(width, height);
        Self {
            version: start.version,
            permission: start.permission,
            features: start.features,
            parser: Parser::new(accept),
            caps: ClientCapabilities::NONE,
            listed: false,
            format: PixelFormat::NATIVE,
            now: start.now,
            out,
            answers: 0,
            unsent: 0,
            spare: Vec::new(),
            effects: VecDeque::new(),
            deferred: VecDeque::new(),
            sync: None,
            job_is_out: false,
            fence_announced: false,
            continuous_announced: false,
            power_refused: false,
            demand: Demand::default(),
            pending: Pending::everything(Rect::sized(width, height)),
            sizes,
            beside: Beside::new(name),
            paste: Conversation::new(start.features.clipboard_send, accept),
            bell: false,
            flow: Flow::default(),
            refresh,
            activity: Arc::default(),
            density: Density::default(),
            #[cfg(feature = "h264")]
            video,
            #[cfg(feature = "h264")]
            video_quality: VideoQuality::default(),
            quality: Control::default(),
            pacing: Pacing::default(),
            fitted: None,
            last_input: None,
            last_change: None,
            touched: false,
            counts: Counts::default(),
        }
    }

    /// The version that the client speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What the client may do.
    pub fn permission(&self) -> Permission {
        self.permission
    }

    /// What the client can do.
    pub fn capabilities(&self) -> &ClientCapabilities {
        &self.caps
    }

    /// Parses and applies all whole messages; what remains in `input` is the beginning of one.
    pub fn receive(&mut self, input: &mut InputBuffer, now: Instant) -> Result<(), ProtocolError> {
        self.now = now;
        // No more of them can wait than bytes do: a client that reads is never taken for one that does not.
        self.answers = self.answers.min(self.out.len() + self.unsent);
        while let Some(message) = self.parser.next(input)? {
            if let ClientMessage::SetEncodings(list) = &message {
                // The parser needs to know before the next message, even if the rest has to wait.
                let caps = ClientCapabilities::new(list);
                self.parser
                    .set_extensions(caps.mouse_buttons, caps.extended_clipboard);
            }
            self.take(message)?;
        }
        self.note_waiting();
        Ok(())
    }

    /// Tells the flow control what has not even gone into the client's socket.
    fn note_waiting(&mut self) {
        let waiting = (self.out.len() + self.unsent) as u64;
        let unasked = self.demand.continuous.is_some();
        self.flow.waiting(waiting, unasked, self.now);
    }

    /// Has a person typed or pointed since this was last asked? Also one who may only watch: somebody is there.
    pub fn touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// The next thing to do for this client.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The picture changed so.
    pub fn stepped(&mut self, step: &Step) {
        if self.job_is_out || !self.may_copy() {
            // What the job will have sent is not known yet, so neither is what a copy of it would be.
            self.pending.add_step(step);
            return;
        }
        self.pending.follow(step);
        for copied in &step.moves {
            self.refresh.moved(copied, self.now);
        }
    }

    /// Can the client be told to copy? Only when it shows all of the desktop: elsewhere it may not have the source.
    fn may_copy(&self) -> bool {
        let (width, height) = self.sizes.actual();
        self.caps.copy_rect && self.sizes.common() == Rect::sized(width, height)
    }

    /// Frames have this size from now on, or a wish of this client's was answered.
    pub fn resized(&mut self, width: u16, height: u16, cause: ResizeCause) {
        let changed = match cause {
            ResizeCause::Server => self.sizes.changed(width, height, ResizeReason::Server),
            ResizeCause::OtherClient => {
                self.sizes.changed(width, height, ResizeReason::OtherClient)
            }
            ResizeCause::Client(status) => self.sizes.answered(width, height, status),
        };
        if changed {
            self.pending = Pending::everything(Rect::sized(width, height));
            self.refresh.resize(width, height);
            #[cfg(feature = "h264")]
            self.video.resize(width, height);
        }
    }

    /// Where the screen changes how often.
    pub fn activity(&mut self, activity: Arc<Activity>) {
        self.activity = activity;
    }

    /// The pointer has another shape.
    pub fn cursor(&mut self, image: Arc<CursorImage>) {
        self.beside.set_cursor(image);
    }

    /// Something other than this client moved the pointer.
    pub fn cursor_moved(&mut self, at: Point) {
        self.beside.set_position(at);
    }

    /// The desktop's clipboard holds this text.
    pub fn clipboard(&mut self, text: &Arc<str>) {
        if !self.paste.offer(text) {
            let bytes = text.len();
            self.notice(Notice::ClipboardToClient { bytes });
        }
    }

    /// The desktop rang its bell.
    pub fn bell(&mut self) {
        self.bell = true;
    }

    /// The keyboard's lights.
    pub fn leds(&mut self, leds: Leds) {
        self.beside.set_leds(leds);
    }

    /// The desktop has another name.
    pub fn name(&mut self, name: &str) {
        self.beside.set_name(server::clean_name(name));
    }

    /// Decides what to send next, and writes what needs no encoding. Not to be called while much of the output waits.
    pub fn poll(&mut self, now: Instant) -> Poll {
        self.now = now;
        self.note_waiting();
        // A client that has neither listed anything nor asked for a picture may be anything: say nothing yet.
        if self.listed || self.demand.requested.is_some() {
            self.paste.write(&mut self.out);
            if std::mem::take(&mut self.bell) {
                server::bell(&mut self.out);
            }
        }
        #[cfg(feature = "h264")]
        if self.video.check(self.flow.waiting_since(), now) {
            self.notice(Notice::VideoStalled);
        }
        if self.job_is_out || !self.is_wanted() {
            return Poll::Nothing;
        }
        if self.sizes.is_due(self.caps.resize) {
            self.write_sizes(now);
        }
        let ready = self.flow.ready(now);
        if ready != Ready::Now {
            self.write_small(now);
            return match ready {
                Ready::At(at) => Poll::At(at),
                _ => Poll::Nothing,
            };
        }
        self.next_job(now)
    }

    /// A job was encoded; `encoded` is what [`Job::encode`] returned.
    pub fn finish(&mut self, job: Job, encoded: Encoded, now: Instant) {
        self.now = now;
        self.job_is_out = false;
        let order = &job.order;
        let mut sent = order.damage.clone();
        sent.subtract(&encoded.left);
        self.pending.add_before_copies(&encoded.left);
        #[cfg(feature = "h264")]
        if let Some(rect) = order.video {
            if encoded.stats.h264.rects > 0 {
                sent.add(rect);
                self.video.sent(now);
            } else {
                self.video.refused();
                self.pending.add_before_copies(&Region::from(rect));
            }
        }
        let (changed, refreshed) = (sent.area(), order.refresh.area());
        sent.union(&order.refresh);
        self.refresh.sent(&sent, &encoded.lossy, now);
        self.density
            .observe(changed + refreshed, job.bytes.len() as u64);
        let bytes = job.bytes.len() as u64;
        let awaited = self.is_interactive(now);
        let link = self.flow.link(now);
        let before = if link.guessed { 0 } else { link.queued };
        self.pacing.sent(before + bytes, link.rate, awaited, now);
        let lossy = encoded.lossy.area();
        // What went as video says nothing about photos.
        #[cfg(feature = "h264")]
        let (changed, lossy, bytes, video) = {
            let video = encoded.stats.h264;
            if video.rects > 0 {
                self.video_quality.observe(video.bytes);
            }
            (
                changed.saturating_sub(video.pixels),
                lossy.saturating_sub(video.pixels),
                bytes.saturating_sub(video.bytes),
                video.pixels,
            )
        };
        let again = encoded.stats.refresh.bytes;
        self.quality.observe_again(refreshed, again);
        if changed > 0 {
            self.fitted = job.quality;
        }
        if let Some(seen) = job.seen {
            self.quality.sampled(seen);
        }
        let (bytes, coarse) = (
            bytes.saturating_sub(again),
            !order.playing.coarse.is_empty(),
        );
        self.quality
            .observe(job.quality, coarse, changed, lossy, bytes);
        #[cfg(feature = "h264")]
        let changed = changed + video;
        if changed > 0 {
            self.last_change = Some(now);
        }
        self.counts.updates += 1;
        self.counts.pixels += changed;
        self.counts.refreshed_pixels += refreshed;
        self.counts.ways += encoded.stats;
        self.send(job.bytes, job.pseudo + encoded.rects, now);
        self.apply_deferred();
    }

    /// A job was not encoded (the frame has another size): all of it is due again.
    pub fn give_back(&mut self, job: Job) {
        self.job_is_out = false;
        self.pacing.give_back();
        #[cfg(feature = "h264")]
        self.pending
            .add(&job.order.video.map(Region::from).unwrap_or_default());
        self.restore(job);
        self.apply_deferred();
    }

    fn apply_deferred(&mut self) {
        while let Some(message) = self.deferred.pop_front() {
            if let Err(error) = self.apply(message) {
                self.deferred.clear();
                self.effects.push_back(Effect::Closed(error));
            }
        }
    }

    /// A server that moves the output to a buffer of its own says here, before [`Session::receive`], how much waits
    /// there: without it a client that asks without end and reads nothing would not be noticed.
    pub fn unsent(&mut self, bytes: usize) {
        self.unsent = bytes;
    }

    /// Bytes for the client, to be taken from the front.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Does the link take longer for an update than it takes to make one?
    pub fn is_slow(&self) -> bool {
        self.quality.is_thrifty()
    }

    /// Could the client take an update now, and is there something that it has not got?
    pub fn has_more(&self) -> bool {
        self.wants_frames() && !self.pending.damage().is_empty()
    }

    /// Could the client take an update now, if there were a change? While a job is out: when that is done.
    pub fn wants_frames(&self) -> bool {
        self.is_wanted() && self.flow.ready(self.now) == Ready::Now
    }
}

#[cfg(test)]
mod tests;
