//! The only X client of the display worker: what happens on an X screen, and what viewers do to it.
//!
//! ```text
//!                     ┌────────────── capture thread ───────────────┐
//!   X server ◄───────►│ damage → grab → diff → publish              │──► Screen (frames)
//!     ▲               │ cursor, windows, window manager, resize     │──► Sink   (events)
//!     │               └─────────────────────────────────────────────┘
//!     ├── input thread: keys, pointer, clipboard, bell, LEDs         ──► Sink   (events)
//!     └── one more connection that only asks whether the server answers
//! ```
//!
//! [`Desktop`] is the handle: cheap to clone, none of its calls waits for the X server but [`Desktop::probe`]. The threads
//! connect by themselves, and again when the server comes back; nothing here panics because of a server.

mod backdrop;
mod backing;
mod capture;
mod clipboard;
mod close;
pub mod connect;
mod cursor;
mod diff;
mod drags;
mod grab;
mod greeting;
pub mod hosts;
pub mod input;
mod keyboard;
mod keymap;
mod leds;
mod line;
mod pace;
mod pointer;
mod probe;
mod reconnect;
mod resize;
mod rest;
mod shared;
mod transfer;
mod types;
pub mod upstream;
mod visual;
mod vital;
mod windows;
mod xauth;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use probe::Answer;
pub use rest::Rest;
pub use types::{DesktopEvent, DesktopStatus, Input, InputEvent, Options, ResizeError, Sink};

use crate::pixel::Point;
use crate::screen::Screen;
use backing::Backing;
use capture::Capture;
use connect::Connector;
use input::InputThread;
use probe::Probe;
use shared::{Resize, Shared};

/// The problem of a server that is there and says nothing.
const SILENT: &str = "the X server does not answer";

/// A display that is being shown. Clones are handles of the same one; it stops when the last is dropped.
#[derive(Clone)]
pub struct Desktop {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    connector: Connector,
    probe: Probe,
    input: InputThread,
    capture: Mutex<Option<JoinHandle<()>>>,
}

impl Desktop {
    /// Starts its threads. They connect to the X server, and again whenever it went. Fails for a name that is no display,
    /// and when the system has no thread or descriptor left.
    pub fn start(options: Options, screen: Arc<Screen>, sink: Arc<dyn Sink>) -> io::Result<Self> {
        let connector = Connector::new(&options.display, options.xauthority.clone())
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        // Its own connector: the others are severed before keys are released.
        let input_connector = Connector::new(&options.display, options.xauthority.clone())
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let input = InputThread::start(input_connector, options.clone(), Arc::clone(&sink))?;
        let bounds = screen.bounds();
        let status = DesktopStatus {
            problem: Some("not connected to the X server yet".to_owned()),
            width: bounds.w,
            height: bounds.h,
            ..DesktopStatus::default()
        };
        let shared = Arc::new(Shared::new(Arc::clone(&sink), status)?);
        // Without it the X server keeps more memory than it needs, and that is all.
        let backing = options.frame_buffer.as_deref().and_then(|path| {
            let opened = Backing::open(path);
            opened
                .inspect_err(|error| tracing::debug!(%error, "{}", path.display()))
                .ok()
        });
        let capture = Capture {
            connector: connector.clone(),
            shared: Arc::clone(&shared),
            screen,
            wanted: options.size,
            background: options.background,
            max_size: options.max_size,
            min_interval: options.min_interval,
            backing,
        };
        let thread = vital::spawn("capture", move || capture.run())?;
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                connector,
                probe: Probe::default(),
                input,
                capture: Mutex::new(Some(thread)),
            }),
        })
    }

    /// Somebody can take a new frame now: the next damage is captured at once, but at most once in the interval of the
    /// options. One publication consumes it. Cheap, idempotent, from any thread.
    pub fn request_frame(&self) {
        self.inner.shared.set_demand();
    }

    /// As [`Desktop::request_frame`], and [`DesktopEvent::Looked`] tells this number or a later one in any case, if the X
    /// server answers: the latest frame is then not older than this call. For a viewer that comes after nobody watched.
    pub fn request_look(&self) -> u64 {
        self.inner.shared.ask_look()
    }

    /// A client did something. Never waits; positions of the pointer may be taken together.
    pub fn input(&self, input: Input) {
        if let InputEvent::Pointer { x, y, .. } = input.event {
            self.inner
                .shared
                .set_injected(Point { x, y }, Instant::now());
        }
        self.inner.input.send(input);
    }

    /// A client copied this text: it becomes the content of the X clipboard, before any later [`Desktop::input`].
    pub fn set_clipboard(&self, text: Arc<str>) {
        self.inner.input.set_clipboard(text);
    }

    /// Gives the screen another size. `reply` is called once, from another thread as a rule; after `Ok` the new size has
    /// been published.
    pub fn resize(
        &self,
        width: u16,
        height: u16,
        reply: Box<dyn FnOnce(Result<(), ResizeError>) + Send>,
    ) {
        self.inner.shared.push_resize(Resize {
            width,
            height,
            reply,
        });
    }

    /// Asks every window to close, once; [`DesktopStatus::closing`] tells what becomes of them.
    pub fn close_windows(&self) {
        self.inner.shared.set_close();
    }

    /// The last known status.
    pub fn status(&self) -> DesktopStatus {
        self.inner.shared.status()
    }

    /// Does the X server answer a round trip within this time? Waits for it, so not for async threads.
    pub fn probe(&self, timeout: Duration) -> bool {
        self.ask(timeout) == Answer::Yes
    }

    /// As [`Desktop::probe`], and says what is wrong if not.
    pub fn ask(&self, timeout: Duration) -> Answer {
        self.inner.probe.ask(&self.inner.connector, timeout)
    }

    /// What the server does from now on, for whoever has just had an answer and given it a moment; `None` when its process
    /// cannot be seen.
    pub fn rest(&self) -> Option<Rest> {
        self.inner.connector.server().and_then(Rest::begin)
    }

    /// Notes whether a server that we are connected to has fallen silent: the problem is then part of the status.
    pub fn set_silent(&self, silent: bool) {
        self.inner.shared.change(|status| {
            if silent && status.connected {
                status.problem = Some(SILENT.to_owned());
            } else if status.problem.as_deref() == Some(SILENT) {
                status.problem = None;
            }
        });
    }

    /// Ends the threads and the connections. Nothing is captured or typed afterwards.
    pub fn stop(&self) {
        self.inner.stop();
    }
}

impl Inner {
    fn stop(&self) {
        self.shared.stop();
        self.input.stop();
        // A thread that waits for a server that hangs is freed by this.
        self.connector.sever();
        let thread = self
            .capture
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // The last handle may be dropped by the thread itself, within a call of the sink.
        if let Some(thread) = thread.filter(|t| t.thread().id() != thread::current().id()) {
            // It does not panic: the process would have ended.
            let _ = thread.join();
        }
        while let Some(resize) = self.shared.take_resize() {
            (resize.reply)(Err(ResizeError::Disconnected));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
