//! The thread that does to the X server what clients ask for.
//!
//! ```text
//!   any thread ── send, set_clipboard ──► inbox ──┐                      ┌──► keyboard, pointer (XTEST)
//!                                        eventfd ─┴► thread: poll ───────┼──► clipboard (selections)
//!                                      X socket ────►  │                 └──► Sink: clipboard text, bell, LEDs
//!                                                      │ connection lost
//!                                                      ▼
//!                          connect, with back-off; what was pressed is forgotten, it was pressed on a server that is gone
//! ```
//!
//! It has its own connection, so that typing never waits for a capture. Only a few round trips to the X server are ever
//! waited for, none to another program. Motion does not need the thread (see [`hand`]).

mod hand;
mod queue;
mod session;

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use tracing::debug;

use super::connect::Connector;
use super::line::wait;
use super::{Input, Options, Sink, vital};
use hand::Hand;
use queue::Queue;
use session::{End, Session};

/// Pauses between attempts to connect: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long a stopping thread may take before its connection is cut.
const STOP_PATIENCE: Duration = Duration::from_millis(300);

/// What the thread and its callers share.
struct Shared {
    inbox: Mutex<Inbox>,
    wake: EventFd,
    stop: AtomicBool,
}

/// Where callers leave what is to be done.
#[derive(Default)]
struct Inbox {
    queue: Queue,
    /// What motion needs, while the thread waits.
    hand: Option<Hand>,
}

impl Inbox {
    /// True when this is done already.
    fn done_at_once(&self, input: &Input) -> bool {
        let hand = self.hand.as_ref().filter(|_| self.queue.is_empty());
        hand.is_some_and(|hand| hand.moves(input))
    }
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
            inbox: Mutex::default(),
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
        let thread = vital::spawn("input", run)?;
        Ok(InputThread {
            connect,
            shared,
            running: Mutex::new(Some(Running { thread, ended })),
        })
    }

    /// Does this as soon as what was sent before is done. Never waits.
    pub fn send(&self, input: Input) {
        let mut inbox = lock(&self.shared.inbox);
        if inbox.done_at_once(&input) {
            return;
        }
        inbox.queue.input(input);
        drop(inbox);
        self.shared.wake();
    }

    /// Makes a client's text the content of the clipboard, before everything that is sent after it. Never waits.
    pub fn set_clipboard(&self, text: Arc<str>) {
        lock(&self.shared.inbox).queue.text(text);
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
        // It does not panic: the process would have ended.
        let _ = thread.join();
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

/// A panic of a caller leaves it whole: nothing of it is half done while it is locked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
                lock(&self.shared.inbox).queue.clear_input();
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
