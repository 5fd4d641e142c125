//! The capture thread: one connection, one loop, woken by events only.
//!
//! ```text
//!                    ┌──────────── the X server is gone: the picture stays, the problem is told
//!                    ▼                                                          │
//!   ┌─────────► disconnected ── socket appears, or back-off ──► set up ──► connected ──┐
//!   │                                                                         ▲        │ poll(X, wake, deadline)
//!   └── stop                                                                  └────────┘
//!
//!   connected:   demand  damage   pace          then
//!                no      any      any           wait: nothing is subtracted, so nothing more is reported
//!                yes     no       any           wait
//!                yes     yes      not yet       wait until it allows another grab
//!                yes     yes      allows it     grab; a grab that publishes consumes the demand
//! ```

use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    ConnectionExt as _, DestroyNotifyEvent, ReparentNotifyEvent, UnmapNotifyEvent, Window,
};

use super::backdrop;
use super::backing::Backing;
use super::connect::{ConnectError, Connector, Link};
use super::cursor::Pointer;
use super::drags::Drags;
use super::grab::{self, Grabber};
use super::pace::Pace;
use super::reconnect::Patience;
use super::resize::{self, Failure};
use super::shared::Shared;
use super::transfer::TransferError;
use super::types::{DesktopEvent, ResizeError};
use super::visual::{Layout, LayoutError};
use super::windows::Windows;
use crate::screen::{Motion, Screen};

/// Nobody watches any more when nobody asked for a frame for so long. The first frame after that reads everything.
const PAUSE: Duration = Duration::from_secs(1);

/// Readers tell nobody when they release a buffer; when all are held, the writer looks again after this. Rare: it takes
/// two readers that each encode an old frame while a third one encodes the latest.
const ROOM: Duration = Duration::from_millis(2);

/// How often a screen whose size is changing is asked for its pixels before giving up until the next event.
const ATTEMPTS: u32 = 8;

/// What the thread works with.
pub(super) struct Capture {
    pub(super) connector: Connector,
    pub(super) shared: Arc<Shared>,
    pub(super) screen: Arc<Screen>,
    /// The size that the screen gets when the connection is made.
    pub(super) wanted: Option<(u16, u16)>,
    /// The colour behind all windows.
    pub(super) background: Option<(u8, u8, u8)>,
    pub(super) max_size: (u16, u16),
    pub(super) min_interval: Duration,
    /// What the X server keeps its pixels in, where that is known.
    pub(super) backing: Option<Backing>,
}

/// Why the display cannot be shown (any more).
#[derive(Debug)]
enum Problem {
    Connect(ConnectError),
    Lost(ConnectionError),
    Setup(ReplyOrIdError),
    Extension(&'static str),
    Layout(LayoutError),
    Poll(Errno),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(e) => write!(f, "{e}"),
            Self::Lost(ConnectionError::IoError(e)) => {
                write!(f, "the X server closed the connection ({e})")
            }
            Self::Lost(e) => write!(f, "the X server closed the connection ({e})"),
            Self::Setup(e) => write!(f, "the X server refused to be captured: {e}"),
            Self::Extension(name) => write!(f, "the X server lacks the extension {name}"),
            Self::Layout(e) => write!(f, "{e}"),
            Self::Poll(e) => write!(f, "cannot wait for the X server: {e}"),
        }
    }
}

impl From<ConnectionError> for Problem {
    fn from(e: ConnectionError) -> Self {
        Self::Lost(e)
    }
}

impl From<ReplyError> for Problem {
    fn from(e: ReplyError) -> Self {
        match e {
            ReplyError::ConnectionError(e) => Self::Lost(e),
            ReplyError::X11Error(e) => Self::Setup(ReplyOrIdError::X11Error(e)),
        }
    }
}

impl From<ReplyOrIdError> for Problem {
    fn from(e: ReplyOrIdError) -> Self {
        match e {
            ReplyOrIdError::ConnectionError(e) => Self::Lost(e),
            e => Self::Setup(e),
        }
    }
}

impl Capture {
    /// The thread.
    pub(super) fn run(mut self) {
        let mut patience = Patience::new();
        while !self.shared.is_stopping() {
            let outcome = Session::open(&mut self).and_then(|mut session| {
                patience.reset();
                session.run()
            });
            let Err(problem) = outcome else {
                return;
            };
            if self.shared.is_stopping() {
                return;
            }
            let asked = self.shared.take_close();
            self.shared.change(|status| {
                status.connected = false;
                status.capturing = false;
                status.problem = Some(problem.to_string());
                status.window_manager = None;
                status.windows = 0;
                // They went with their X server.
                status.closing = (asked || status.closing.is_some()).then_some(0);
            });
            if let Some(resize) = self.shared.take_resize() {
                self.wanted = Some((resize.width, resize.height));
                (resize.reply)(Err(ResizeError::Disconnected));
            }
            patience.wait(&self.connector, &self.shared);
        }
    }
}

/// One connection, set up.
struct Session<'a> {
    capture: &'a mut Capture,
    link: Link,
    root: Window,
    resizable: bool,
    grabber: Grabber,
    pointer: Pointer,
    windows: Windows,
    drags: Drags,
    motion: Motion,
    pace: Pace,
    /// Somebody wants a frame, and has not got it yet.
    awaited: bool,
    /// Somebody wants to be told of this look even when nothing has changed.
    look: Option<u64>,
    /// The last look that was taken up.
    looks: u64,
    /// When somebody last got a frame that was wanted.
    served: Option<Instant>,
    size_dirty: bool,
}

impl<'a> Session<'a> {
    fn open(capture: &'a mut Capture) -> Result<Self, Problem> {
        let (link, number) = capture.connector.connect().map_err(Problem::Connect)?;
        let screen = &link.setup().roots[number];
        let root = screen.root;
        let layout = Layout::of_root(link.setup(), screen).map_err(Problem::Layout)?;
        if let Some(name) = grab::missing_extension(&link)? {
            return Err(Problem::Extension(name));
        }
        if let Some(color) = capture.background
            && let Err(error) = backdrop::fill(&link, root, screen.default_colormap, color)
        {
            tracing::debug!(%error, "the background keeps its colour");
        }
        // Notices are asked for before anything is looked at, so that no change falls in between.
        let windows = Windows::open(&link, root)?;
        let resizable = resize::watch(&link, root)?;
        let pointer = Pointer::open(&link, root)?;
        let depth = layout.depth();
        let local = capture.connector.is_local();
        let backing = capture.backing.as_ref();
        let pixels = backing.and_then(|backing| {
            let seen = backing.pixels(&layout);
            seen.inspect_err(
                |error| tracing::debug!(%error, "the X server's memory cannot be read"),
            )
            .ok()
        });
        let grabber = Grabber::open(&link, root, layout, local, pixels)?;
        let pace = Pace::new(capture.min_interval);
        let mut session = Self {
            capture,
            link,
            root,
            resizable,
            grabber,
            pointer,
            windows,
            drags: Drags::default(),
            motion: Motion::default(),
            pace,
            awaited: false,
            look: None,
            looks: 0,
            served: None,
            size_dirty: true,
        };
        if let Some(wanted) = session.capture.wanted {
            // A size that this server refuses is no reason to show nothing.
            let _ = session.resize(wanted)?;
        }
        session.follow_size()?;
        session
            .windows
            .refresh(&session.link, &session.capture.shared, Instant::now())?;
        session.capture.shared.change(|status| {
            status.connected = true;
            status.capturing = true;
            status.problem = None;
            status.depth = depth;
            status.connections += 1;
        });
        session.trim()?;
        Ok(session)
    }

    /// Until the connection is lost, or the desktop stops.
    fn run(&mut self) -> Result<(), Problem> {
        loop {
            self.capture.shared.awake();
            if self.capture.shared.is_stopping() {
                return Ok(());
            }
            let looks = self.capture.shared.looks();
            if looks > self.looks {
                self.looks = looks;
                self.look = Some(looks);
                // X tells about damage when it has time; behind an answer it has told about everything before.
                self.link.get_input_focus()?.reply()?;
            }
            if self.capture.shared.take_close() {
                self.windows.close(&self.link)?;
            }
            while let Some(event) = self.link.poll_for_event()? {
                self.on_event(&event);
            }
            if let Some(resize) = self.capture.shared.take_resize() {
                let size = (resize.width, resize.height);
                let outcome = match self.resize(size) {
                    Ok(outcome) => outcome,
                    Err(problem) => {
                        self.capture.wanted = Some(size);
                        (resize.reply)(Err(ResizeError::Disconnected));
                        return Err(problem);
                    }
                };
                if outcome.is_ok() {
                    self.capture.wanted = Some(size);
                }
                (resize.reply)(outcome);
            }
            self.follow_size()?;
            let now = Instant::now();
            self.windows
                .refresh(&self.link, &self.capture.shared, now)?;
            let grab_at = self.advance(now)?;
            self.link.flush()?;
            // Events may have come along with replies: they are in the connection's memory, where poll sees nothing.
            if let Some(event) = self.link.poll_for_event()? {
                self.on_event(&event);
                continue;
            }
            if !self.capture.shared.await_demand(self.waits_for_demand(now)) {
                continue;
            }
            let deadlines = [
                grab_at,
                self.windows.deadline(now),
                self.pointer_deadline(now),
                self.demand_deadline(now),
            ];
            self.wait(deadlines.into_iter().flatten().min())?;
        }
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::DamageNotify(_) => self.grabber.damaged(),
            Event::XfixesCursorNotify(_) => self.pointer.shape_changed(),
            Event::RandrScreenChangeNotify(_) => self.size_dirty = true,
            Event::ConfigureNotify(e) if e.window == self.root => self.size_dirty = true,
            Event::ConfigureNotify(e) => self.drags.configured(e),
            Event::PropertyNotify(e) => self.windows.property_changed(e),
            Event::DestroyNotify(DestroyNotifyEvent { window, .. }) => {
                self.drags.gone(*window);
                self.windows.destroyed(*window, &self.capture.shared);
            }
            Event::UnmapNotify(UnmapNotifyEvent { window, .. })
            | Event::ReparentNotify(ReparentNotifyEvent { window, .. }) => {
                self.drags.gone(*window);
                self.windows.changed();
            }
            Event::MapNotify(_) => self.windows.changed(),
            _ => {}
        }
    }

    /// Grabs if it is time, and says when to come again without an event.
    fn advance(&mut self, now: Instant) -> Result<Option<Instant>, Problem> {
        // A look is a demand too: the one it made may have been met by a frame that was read before it.
        if self.capture.shared.has_demand() || self.look.is_some() {
            if !self.is_watched(now) {
                self.grabber.invalidate();
            }
            self.awaited = true;
        }
        let again = if self.awaited && self.grabber.has_work() {
            match self.pace.due(now) {
                Some(due) => Some(due),
                None if !self.capture.screen.has_room() => Some(now + ROOM),
                None => {
                    self.pace.spend(now);
                    self.grab(now)?;
                    let more = self.awaited && self.grabber.has_work();
                    more.then(|| self.pace.due(now).unwrap_or(now))
                }
            }
        } else {
            None
        };
        if !self.grabber.has_work() {
            self.looked();
        }
        if self.is_watched(now) {
            self.pointer
                .refresh(&self.link, &self.capture.shared, now)?;
        }
        Ok(again)
    }

    fn grab(&mut self, now: Instant) -> Result<(), Problem> {
        let stale = self.grabber.is_stale();
        let bounds = self.capture.screen.bounds();
        let reading = match self.grabber.fetch(&self.link, bounds) {
            Ok(reading) => reading,
            Err(TransferError::Again) => {
                self.size_dirty = true;
                return Ok(());
            }
            Err(TransferError::Lost(e)) => return Err(e.into()),
        };
        // What was told before the pixels came: where windows were when they were read.
        while let Some(event) = self.link.poll_for_event()? {
            self.on_event(&event);
        }
        if self.size_dirty {
            // The pixels may be those of another size.
            return Ok(self.grabber.give_up(&self.link)?);
        }
        let hints = self.drags.take(bounds);
        let screen = Arc::clone(&self.capture.screen);
        let shared = &self.capture.shared;
        let (link, motion) = (&self.link, &mut self.motion);
        let done = match self.grabber.take(link, &screen, reading, motion, &hints) {
            Ok(done) => done,
            Err(TransferError::Again) => {
                self.size_dirty = true;
                return Ok(());
            }
            Err(TransferError::Lost(e)) => return Err(e.into()),
        };
        if done.pixels > 0 {
            let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
            let shared_memory = self.grabber.is_shared();
            let in_place = self.grabber.is_direct();
            shared.count(|s| {
                (s.shared_memory, s.in_place) = (shared_memory, in_place);
                s.grabs += 1;
                s.frames += u64::from(done.picture.is_some());
                s.grabbed_pixels += done.pixels;
                s.changed_pixels += done.changed;
                (s.last_grab_us, s.last_diff_us) = (micros(done.grab), micros(done.diff));
                s.grab_us += s.last_grab_us;
                s.diff_us += s.last_diff_us;
            });
        }
        let told = done.picture.is_some() || stale;
        if let Some((draft, step)) = done.picture {
            // Before the publication: who asks after it wants the next one.
            shared.take_demand();
            self.awaited = false;
            self.served = Some(now);
            shared.sink.frame(screen.publish(draft, step));
        } else if stale || done.missed {
            shared.sink.frame(screen.generation());
        }
        self.pointer.seen(done.pointer, shared, now);
        if told {
            self.looked();
        }
        Ok(())
    }

    /// The latest frame is of after what was asked for.
    fn looked(&mut self) {
        if let Some(look) = self.look.take() {
            self.capture.shared.sink.event(DesktopEvent::Looked(look));
        }
    }

    /// Takes over a size that the screen has got, with its picture.
    fn follow_size(&mut self) -> Result<(), Problem> {
        if !std::mem::take(&mut self.size_dirty) {
            return Ok(());
        }
        let screen = Arc::clone(&self.capture.screen);
        for _ in 0..ATTEMPTS {
            let geometry = self.link.get_geometry(self.root)?.reply()?;
            let size = (geometry.width, geometry.height);
            let bounds = screen.bounds();
            if (bounds.w, bounds.h) != size {
                let frame = match self.grabber.whole(&self.link, size.0, size.1) {
                    Ok(frame) => frame,
                    Err(TransferError::Again) => continue,
                    Err(TransferError::Lost(e)) => return Err(e.into()),
                };
                let generation = screen.resize(frame);
                self.report_size(size, true);
                self.capture.shared.sink.frame(generation);
                self.trim()?;
            } else {
                self.report_size(size, false);
            }
            return Ok(());
        }
        // It changes faster than it can be read; there will be an event when it ends.
        self.grabber.invalidate();
        Ok(())
    }

    fn trim(&self) -> Result<(), Problem> {
        if let Some(backing) = &self.capture.backing {
            backing.trim(&self.link, self.root)?;
        }
        Ok(())
    }

    fn report_size(&self, size: (u16, u16), new: bool) {
        self.capture.shared.change(|status| {
            (status.width, status.height) = size;
            status.shared_memory = self.grabber.is_shared();
            status.in_place = self.grabber.is_direct();
            status.resizes += u64::from(new);
        });
    }

    fn resize(&mut self, wanted: (u16, u16)) -> Result<Result<(), ResizeError>, Problem> {
        if !self.resizable {
            return Ok(Err(ResizeError::Unsupported("it has no RANDR 1.3")));
        }
        let geometry = self.link.get_geometry(self.root)?.reply()?;
        let current = (geometry.width, geometry.height);
        let limit = self.capture.max_size;
        let outcome = resize::resize(&self.link, self.root, current, wanted, limit);
        self.size_dirty = true;
        match outcome {
            Ok(()) => {
                // The answer means that the new size is there for everybody to see.
                self.follow_size()?;
                Ok(Ok(()))
            }
            Err(Failure::Refused(e)) => Ok(Err(e)),
            Err(Failure::Lost(e)) => Err(e.into()),
        }
    }

    /// True while somebody wants frames, or did a moment ago.
    fn is_watched(&self, now: Instant) -> bool {
        let recently = |at| now.saturating_duration_since(at) < PAUSE;
        self.awaited || self.served.is_some_and(recently)
    }

    /// True when a demand has to call. Most come just after a frame, when there is nothing new yet: these are found when
    /// there is, or after a while, and being woken by each would cost as much as some grabs.
    fn waits_for_demand(&self, now: Instant) -> bool {
        !self.awaited && (self.grabber.has_work() || self.demand_deadline(now).is_none())
    }

    /// When it is looked whether there is a demand that did not call: in time for whoever made it not to be taken for one
    /// that comes after nobody watched.
    fn demand_deadline(&self, now: Instant) -> Option<Instant> {
        let at = self.served.map(|at| at + PAUSE / 2);
        at.filter(|at| !self.awaited && *at > now)
    }

    fn pointer_deadline(&self, now: Instant) -> Option<Instant> {
        self.pointer.deadline().filter(|_| self.is_watched(now))
    }

    /// Waits for the server, for a call, or for the deadline.
    fn wait(&self, deadline: Option<Instant>) -> Result<(), Problem> {
        let longest = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let wake = self.capture.shared.wake().as_fd();
        let waited = self.link.stream().wait(wake, longest);
        waited.map_err(Problem::Poll)
    }
}
