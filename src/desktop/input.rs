//! The thread that does to the X server what clients ask for.
//!
//! ```text
//!   any thread ── send, set_clipboard ──► queue ──┐                      ┌──► keyboard, pointer (XTEST)
//!                                        eventfd ─┴► thread: poll ───────┼──► clipboard (selections)
//!                                      X socket ────►  │                 └──► Sink: clipboard text, bell, LEDs
//!                                                      │ connection lost
//!                                                      ▼
//!                          connect, with back-off; what was pressed is forgotten, it was pressed on a server that is gone
//! ```
//!
//! It has its own connection, so that typing never waits for a capture. Only a few round trips to the X server are ever
//! waited for, none to another program.

mod queue;

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use tracing::{debug, info, warn};
use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::xproto;
use x11rb::protocol::xtest::ConnectionExt as _;

use super::clipboard::Clipboard;
use super::connect::{Connector, Link};
use super::keyboard::held::Name;
use super::keyboard::server::XServer;
use super::keyboard::{KeyServer, Keyboard, Outcome};
use super::leds::Lamps;
use super::pointer::{Action, Pointer};
use super::{DesktopEvent, Input, InputEvent, Options, Sink};
use crate::screen::Leds;
use queue::{Item, Queue};

/// Pauses between attempts to connect: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Items done before X events get their turn.
const BATCH: usize = 64;
/// How long a stopping thread may take before its connection is cut.
const STOP_PATIENCE: Duration = Duration::from_millis(300);
/// Bells closer together are one.
const BELL_PACE: Duration = Duration::from_millis(100);

/// What the thread and its callers share.
struct Shared {
    queue: Mutex<Queue>,
    wake: EventFd,
    stop: AtomicBool,
}

/// The input side of a desktop.
pub struct InputThread {
    connect: Connector,
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

struct Running {
    thread: JoinHandle<()>,
    /// Closed by the end of the thread.
    ended: Receiver<()>,
}

impl InputThread {
    /// Starts the thread; it connects by itself, now and whenever the X server comes back. The connector should be its own,
    /// no clone of another thread's: it is severed in the end, and must not be before keys are released.
    ///
    /// # Errors
    /// When the system gives no thread or no event descriptor.
    pub fn start(
        connect: Connector,
        options: Options,
        sink: Arc<dyn Sink>,
    ) -> io::Result<InputThread> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            stop: AtomicBool::new(false),
        });
        let worker = Worker {
            connect: connect.clone(),
            options,
            sink,
            shared: Arc::clone(&shared),
            owned: None,
        };
        let (end, ended) = mpsc::channel();
        let run = move || {
            let _end: mpsc::Sender<()> = end;
            worker.run();
        };
        let thread = thread::Builder::new().name("input".into()).spawn(run)?;
        Ok(InputThread {
            connect,
            shared,
            running: Mutex::new(Some(Running { thread, ended })),
        })
    }

    /// Does this as soon as what was sent before is done. Never waits.
    pub fn send(&self, input: Input) {
        lock(&self.shared.queue).input(input);
        self.shared.wake();
    }

    /// Makes a client's text the content of the clipboard, before everything that is sent after it. Never waits.
    pub fn set_clipboard(&self, text: Arc<str>) {
        lock(&self.shared.queue).text(text);
        self.shared.wake();
    }

    /// Releases everything that is held and ends the thread, also when the X server hangs.
    pub fn stop(&self) {
        let Some(Running { thread, ended }) = lock(&self.running).take() else {
            return;
        };
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake();
        // The last handle may be dropped by the thread itself, within a call of the sink.
        if thread.thread().id() == thread::current().id() {
            return;
        }
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(STOP_PATIENCE) {
            // A thread that waits for a server that hangs is freed by this.
            self.connect.sever();
        }
        if thread.join().is_err() {
            warn!("the input thread had panicked");
        }
    }
}

impl Drop for InputThread {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn wake(&self) {
        // Fails only when 2⁶⁴−2 wake-ups wait: then the thread is woken anyway.
        let _ = self.wake.write(1);
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Waits for a caller, at most this long.
    fn pause(&self, pause: Duration) -> io::Result<()> {
        let mut fds = [PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        wait(&mut fds, Some(pause))?;
        let _ = self.wake.read();
        Ok(())
    }
}

/// A panic of a caller leaves the queue whole: it is never locked across a call that may panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait(fds: &mut [PollFd<'_>], longest: Option<Duration>) -> io::Result<()> {
    // Rounded up, or the last fraction of a millisecond would be spent spinning.
    let longest = longest.map(|d| d + Duration::from_micros(999));
    let timeout = longest.map_or(PollTimeout::NONE, |d| {
        PollTimeout::try_from(d).unwrap_or(PollTimeout::MAX)
    });
    match poll(fds, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Why a session with the X server ended.
enum End {
    Stopped,
    Lost(String),
}

impl From<ReplyError> for End {
    fn from(error: ReplyError) -> End {
        End::Lost(error.to_string())
    }
}

impl From<ReplyOrIdError> for End {
    fn from(error: ReplyOrIdError) -> End {
        End::Lost(error.to_string())
    }
}

impl From<ConnectionError> for End {
    fn from(error: ConnectionError) -> End {
        End::Lost(error.to_string())
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Lost(error.to_string())
    }
}

struct Worker {
    connect: Connector,
    options: Options,
    sink: Arc<dyn Sink>,
    shared: Arc<Shared>,
    /// The last text of a client: it is there again when the X server is.
    owned: Option<Arc<str>>,
}

impl Worker {
    fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.shared.stopping() {
            let started = Instant::now();
            let end = self.session();
            match end {
                End::Stopped => break,
                End::Lost(reason) => debug!(reason, "no X server for input"),
            }
            if started.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            let until = Instant::now() + pause;
            pause = (pause * 2).min(LONGEST_PAUSE);
            while !self.shared.stopping() {
                lock(&self.shared.queue).clear_input();
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() || self.shared.pause(left).is_err() {
                    break;
                }
            }
        }
    }

    /// One connection, from its first request to its end.
    fn session(&mut self) -> End {
        let (conn, screen) = match self.connect.connect() {
            Ok(connected) => connected,
            Err(error) => return End::Lost(error.to_string()),
        };
        let result = Session::new(self, conn, screen).and_then(|mut session| session.run());
        result.err().unwrap_or(End::Stopped)
    }
}

struct Session<'a> {
    worker: &'a mut Worker,
    link: XServer,
    keyboard: Keyboard,
    pointer: Pointer,
    clipboard: Option<Clipboard>,
    lamps: Option<Lamps>,
    leds: Option<Leds>,
    rung: Option<Instant>,
    /// An item that must be done first, not before that time.
    blocked: Option<(Item, Instant)>,
}

impl<'a> Session<'a> {
    fn new(worker: &'a mut Worker, conn: Link, screen: usize) -> Result<Session<'a>, End> {
        let now = Instant::now();
        let mut link = XServer::new(conn, screen)?;
        Keyboard::release_strays(&mut link)?;
        let mut keyboard = Keyboard::new(worker.options.raw_keyboard);
        keyboard.inherit(link.keymap(), &link.lent_before()?, now);
        let lamps = if link.has_xkb() {
            Some(Lamps::new(link.conn())?)
        } else {
            None
        };
        let mut clipboard = None;
        if worker.options.clipboard {
            let mut new =
                Clipboard::new(link.conn(), link.root(), worker.options.send_primary, now)?;
            if let Some(text) = &worker.owned {
                new.own(link.conn(), Arc::clone(text))?;
            }
            clipboard = Some(new);
        }
        info!(display = worker.options.display, "input is connected");
        let pointer = Pointer::default();
        let mut session = Session {
            worker,
            link,
            keyboard,
            pointer,
            clipboard,
            lamps,
            leds: None,
            rung: None,
            blocked: None,
        };
        session.point(Pointer::release_strays())?;
        session.tell_leds()?;
        Ok(session)
    }

    fn run(&mut self) -> Result<(), End> {
        loop {
            if self.worker.shared.stopping() {
                return Ok(self.finish()?);
            }
            let _ = self.worker.shared.wake.read();
            while let Some(event) = self.link.next_event()? {
                self.x_event(&event)?;
            }
            let more = self.work()?;
            let now = Instant::now();
            if let Some(clipboard) = &mut self.clipboard {
                clipboard.tick(self.link.conn(), now)?;
            }
            self.link.conn().flush()?;
            if more || self.link.has_events() {
                continue;
            }
            let deadlines = [
                self.clipboard.as_ref().and_then(Clipboard::deadline),
                self.blocked.as_ref().map(|(_, until)| *until),
            ];
            let longest = deadlines
                .into_iter()
                .flatten()
                .min()
                .map(|at| at.saturating_duration_since(now));
            let stream = self.link.conn().stream().as_fd();
            let mut fds = [
                PollFd::new(stream, PollFlags::POLLIN),
                PollFd::new(self.worker.shared.wake.as_fd(), PollFlags::POLLIN),
            ];
            wait(&mut fds, longest)?;
        }
    }

    /// Does waiting items; `true` if there may be more.
    fn work(&mut self) -> Result<bool, End> {
        for _ in 0..BATCH {
            let item = match self.blocked.take() {
                Some((item, until)) if until > Instant::now() => {
                    self.blocked = Some((item, until));
                    return Ok(false);
                }
                Some((item, _)) => item,
                None => {
                    let mut queue = lock(&self.worker.shared.queue);
                    let dropped = queue.take_dropped();
                    let item = queue.pop();
                    drop(queue);
                    if dropped > 0 {
                        warn!(
                            dropped,
                            "clients type faster than the X server takes it; keys were dropped"
                        );
                    }
                    let Some(item) = item else { return Ok(false) };
                    item
                }
            };
            match self.item(&item) {
                Ok(Outcome::Done) => {}
                Ok(Outcome::Wait(until)) => {
                    self.blocked = Some((item, until));
                    return Ok(false);
                }
                // A request was refused (a window that is gone, say): the next one need not be.
                Err(ReplyError::X11Error(error)) => {
                    debug!(?error, "the X server refused a request")
                }
                Err(ReplyError::ConnectionError(error)) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    fn item(&mut self, item: &Item) -> Result<Outcome, ReplyError> {
        let now = Instant::now();
        let Input { client, event } = match item {
            Item::Input(input) => *input,
            Item::Text(text) => {
                if let Some(clipboard) = &mut self.clipboard {
                    self.worker.owned = Some(Arc::clone(text));
                    clipboard.own(self.link.conn(), Arc::clone(text))?;
                }
                return Ok(Outcome::Done);
            }
        };
        match event {
            InputEvent::Key {
                keysym,
                scancode,
                down,
            } => {
                let name = Name {
                    keysym,
                    scancode: scancode.filter(|&code| code != 0),
                };
                if down {
                    return self.keyboard.down(&mut self.link, client, name, now);
                }
                self.keyboard.up(&mut self.link, client, name, now)?;
            }
            InputEvent::Pointer { x, y, buttons } => {
                let actions = self.pointer.event(client, x, y, buttons);
                self.point(actions)?;
            }
            InputEvent::ReleaseAll | InputEvent::Gone => {
                self.keyboard.release_all(&mut self.link, client)?;
                let actions = self.pointer.release_all(client);
                self.point(actions)?;
            }
        }
        Ok(Outcome::Done)
    }

    fn point(&self, actions: impl Iterator<Item = Action>) -> Result<(), ConnectionError> {
        let conn = self.link.conn();
        for action in actions {
            match action {
                Action::Move(x, y) => {
                    let [x, y] = [x, y].map(|v| i16::try_from(v).unwrap_or(i16::MAX));
                    conn.xtest_fake_input(
                        xproto::MOTION_NOTIFY_EVENT,
                        0,
                        x11rb::CURRENT_TIME,
                        self.link.root(),
                        x,
                        y,
                        0,
                    )?;
                }
                Action::Button(button, down) => {
                    let kind = if down {
                        xproto::BUTTON_PRESS_EVENT
                    } else {
                        xproto::BUTTON_RELEASE_EVENT
                    };
                    conn.xtest_fake_input(kind, button, x11rb::CURRENT_TIME, x11rb::NONE, 0, 0, 0)?;
                }
            }
        }
        Ok(())
    }

    fn x_event(&mut self, event: &Event) -> Result<(), End> {
        match event {
            Event::Error(error) => debug!(?error, "the X server refused a request"),
            Event::XkbIndicatorStateNotify(_) => self.tell_leds()?,
            Event::XkbBellNotify(_) => {
                let now = Instant::now();
                if self.rung.is_none_or(|before| before + BELL_PACE <= now) {
                    self.rung = Some(now);
                    self.worker.sink.event(DesktopEvent::Bell);
                }
            }
            other => {
                let Some(clipboard) = &mut self.clipboard else {
                    return Ok(());
                };
                match clipboard.event(self.link.conn(), other, Instant::now()) {
                    Ok(Some(text)) => self.worker.sink.event(DesktopEvent::Clipboard(text)),
                    Ok(None) => {}
                    Err(ReplyError::X11Error(error)) => {
                        debug!(?error, "the X server refused a request")
                    }
                    Err(ReplyError::ConnectionError(error)) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn tell_leds(&mut self) -> Result<(), ReplyError> {
        let Some(lamps) = &self.lamps else {
            return Ok(());
        };
        let leds = lamps.read(self.link.conn())?;
        if self.leds.replace(leds) != Some(leds) {
            self.worker.sink.event(DesktopEvent::Leds(leds));
        }
        Ok(())
    }

    /// Leaves the X server as it was found.
    fn finish(&mut self) -> Result<(), ReplyError> {
        self.keyboard.release_everything(&mut self.link)?;
        let actions = self.pointer.release_everything();
        self.point(actions)?;
        self.link.take_back(&self.keyboard.lent())?;
        // A round trip: all of it has arrived before the connection closes.
        self.link.observe()?;
        Ok(())
    }
}
