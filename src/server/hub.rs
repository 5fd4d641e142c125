//! Who is there, who may do what, and what all of them should know.
//!
//! What changes on the desktop is kept as the latest value of each kind ([`Shared`]), not as a queue of events: a slow
//! session skips what it missed, and memory is bounded by construction.

use super::pool::Pool;
use super::{Limits, Peer, Stats};
use crate::pixel::{Point, Region};
use crate::rfb::{AuthPolicy, Features, Permission};
use crate::screen::{Activity, CursorImage, Leds, Screen};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Rates that were noted before this are of the past. Longer than the time between two notes of a busy client.
const STALE: Duration = Duration::from_secs(3);

/// The desktop as a viewer uses it. None of these block.
pub trait Seat: Send + Sync {
    /// Somebody can take a new frame now.
    fn request_frame(&self);
    /// The same, and [`Shared::looks`] reaches the number that this returns even when the screen is as it was.
    fn request_look(&self) -> u64;
    /// A key of client `client`; see [`crate::rfb::Effect::Key`].
    fn key(&self, client: u64, keysym: u32, scancode: Option<u32>, down: bool);
    /// Pointer position and all nine buttons, bit 0 the first.
    fn pointer(&self, client: u64, x: u16, y: u16, buttons: u16);
    /// The client went: whatever it holds down is released.
    fn gone(&self, client: u64);
    /// A client's clipboard becomes the desktop's.
    fn set_clipboard(&self, text: Arc<str>);
    /// Changes the size of the screen; `done` tells whether it did.
    fn resize(&self, width: u16, height: u16, done: Box<dyn FnOnce(bool) + Send>);
}

/// What happens to those who are there when another comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// What the new one asks for.
    Client,
    /// They stay.
    Always,
    /// They go.
    Never,
}

/// The operator's rules for sessions.
#[derive(Clone, Debug)]
pub struct Options {
    /// Several viewers at once.
    pub sharing: Sharing,
    /// Sessions at the same time.
    pub max_clients: usize,
    /// Those who neither type nor point for so long have to go.
    pub idle_timeout: Option<Duration>,
    /// What viewers may do beside looking, typing and pointing.
    pub features: Features,
}

/// The latest of everything that sessions tell their clients.
#[derive(Clone, Default)]
pub struct Shared {
    /// Generation of the screen.
    pub generation: u64,
    /// When it was published.
    pub frame_at: Option<Instant>,
    /// The latest frame is of after this look was asked for.
    pub looks: u64,
    /// Where it changes how often.
    pub activity: Arc<Activity>,
    /// Shape of the pointer.
    pub cursor: Option<Arc<CursorImage>>,
    /// Where somebody else than a viewer put the pointer; counted, so that the same place twice is news.
    pub cursor_at: (u64, Point),
    /// Clipboard text, counted, and which client it came from.
    pub clipboard: (u64, Option<u64>, Arc<str>),
    /// Keyboard lights.
    pub leds: Leds,
    /// The desktop's name.
    pub name: Arc<str>,
    /// Bells rung so far.
    pub bells: u64,
    /// The end, with the reason to show.
    pub closing: Option<Arc<str>>,
}

/// A session as others see it.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// Number for the life of the server.
    pub id: u64,
    /// Where it comes from.
    pub peer: Peer,
    /// What it may do.
    pub permission: Permission,
    /// When it was let in.
    pub since: Instant,
    /// The protocol's figures, as last noted.
    pub stats: Option<crate::rfb::Stats>,
    /// How much goes to it.
    pub rates: Rates,
    /// How old the frame of its last update was when that was ready.
    pub frame_age: Option<Duration>,
}

/// What goes to a client, over about the last second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Updates with pixels, a second.
    pub updates: f64,
    /// Bytes of updates, a second.
    pub bytes: f64,
}

struct Entry {
    info: ClientInfo,
    /// When the figures were noted.
    noted: Instant,
    /// Tells the session to end, and why.
    close: watch::Sender<Option<Arc<str>>>,
}

/// Shared by all connections.
pub struct Hub {
    /// The desktop.
    pub seat: Arc<dyn Seat>,
    /// The picture.
    pub screen: Arc<Screen>,
    /// The encoders.
    pub pool: Pool,
    /// Who may come in.
    pub policy: Arc<AuthPolicy>,
    /// How many may knock.
    pub limits: Arc<Limits>,
    /// Counters.
    pub stats: Stats,
    /// The operator's rules.
    pub options: Options,
    shared: watch::Sender<Shared>,
    clients: Mutex<BTreeMap<u64, Entry>>,
    viewers: watch::Sender<usize>,
    /// The size that a client asked for last, and which one.
    wish: Mutex<Option<(u64, (u16, u16))>>,
    /// The last key or motion of a viewer, or arrival.
    touched: Mutex<Instant>,
    next: AtomicU64,
}

/// A place among the clients; leaving is dropping it.
pub(super) struct Membership {
    hub: Arc<Hub>,
    pub(super) id: u64,
    pub(super) close: watch::Receiver<Option<Arc<str>>>,
}

impl Hub {
    /// An empty room.
    pub fn new(
        seat: Arc<dyn Seat>,
        screen: Arc<Screen>,
        pool: Pool,
        policy: AuthPolicy,
        options: Options,
        name: Arc<str>,
    ) -> Arc<Self> {
        Arc::new(Self {
            seat,
            screen,
            pool,
            policy: Arc::new(policy),
            limits: Limits::new(),
            stats: Stats::default(),
            options,
            shared: watch::Sender::new(Shared {
                name,
                ..Shared::default()
            }),
            clients: Mutex::default(),
            viewers: watch::Sender::new(0),
            wish: Mutex::default(),
            touched: Mutex::new(Instant::now()),
            next: AtomicU64::new(1),
        })
    }

    /// Changes what all sessions know; wakes them.
    pub fn tell(&self, change: impl FnOnce(&mut Shared)) {
        self.shared.send_modify(change);
    }

    /// The clipboard came from the desktop itself.
    pub fn clipboard_from_desktop(&self, text: Arc<str>) {
        self.tell(|s| s.clipboard = (s.clipboard.0 + 1, None, text));
    }

    /// Follows what all sessions know.
    pub fn subscribe(&self) -> watch::Receiver<Shared> {
        self.shared.subscribe()
    }

    /// Follows the number of authenticated viewers.
    pub fn viewers(&self) -> watch::Receiver<usize> {
        self.viewers.subscribe()
    }

    /// There is one viewer at most.
    pub(super) fn is_alone(&self) -> bool {
        *self.viewers.borrow() < 2
    }

    /// Everybody who is there.
    pub fn list(&self) -> Vec<ClientInfo> {
        let now = Instant::now();
        let info = |e: &Entry| {
            let mut info = e.info.clone();
            if now.saturating_duration_since(e.noted) > STALE {
                info.rates = Rates::default();
            }
            info
        };
        self.clients().values().map(info).collect()
    }

    /// The screen was published, or found to be as it was.
    pub fn published(&self, generation: u64) {
        let now = Instant::now();
        self.tell(|s| {
            let changes = self.screen.changes_since(s.generation);
            if changes.resized {
                s.activity = Arc::new(Activity::new(changes.bounds.w, changes.bounds.h));
            } else if !changes.steps.is_empty() {
                let mut area = Region::new();
                for step in &changes.steps {
                    area.union(&step.area());
                }
                Arc::make_mut(&mut s.activity).changed(&area, now);
            }
            if s.generation != generation {
                s.generation = generation;
                s.frame_at = Some(now);
            }
        });
    }

    /// How long no viewer has typed, pointed or come.
    pub fn idle(&self) -> Duration {
        self.touched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    /// A viewer types, points or comes.
    pub(super) fn touch(&self, now: Instant) {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn wish(&self) -> MutexGuard<'_, Option<(u64, (u16, u16))>> {
        // Replaced whole.
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end: every session tells its client why.
    pub fn close_all(&self, reason: &str) {
        self.tell(|s| s.closing = Some(reason.into()));
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        // A map of plain values is whole after every statement, whatever panicked in between.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an authenticated client in; `Err` is the reason to give when it may not.
    pub(super) fn join(
        self: &Arc<Self>,
        peer: &Peer,
        permission: Permission,
        asks_shared: bool,
    ) -> Result<Membership, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (close, receiver) = watch::channel(None);
        let mut clients = self.clients();
        let stay = match self.options.sharing {
            Sharing::Always => true,
            Sharing::Never => false,
            // One who only watches must not be able to end the others.
            Sharing::Client => asks_shared || permission == Permission::ViewOnly,
        };
        if !stay {
            let reason: Arc<str> = format!("{peer} took the desktop for itself").into();
            for entry in clients.values() {
                entry.close.send_replace(Some(reason.clone()));
            }
        } else if clients.len() >= self.options.max_clients {
            return Err(format!(
                "{} viewers are connected already (MAX_CLIENTS)",
                clients.len()
            ));
        }
        clients.insert(
            id,
            Entry {
                info: ClientInfo {
                    id,
                    peer: peer.clone(),
                    permission,
                    since: Instant::now(),
                    stats: None,
                    rates: Rates::default(),
                    frame_age: None,
                },
                noted: Instant::now(),
                close,
            },
        );
        self.viewers.send_replace(clients.len());
        self.touch(Instant::now());
        Ok(Membership {
            hub: self.clone(),
            id,
            close: receiver,
        })
    }
}

impl Membership {
    /// Text from this client: the desktop gets it, and all other clients.
    pub(super) fn set_clipboard(&self, text: Arc<str>) {
        self.hub.seat.set_clipboard(text.clone());
        self.hub
            .tell(|s| s.clipboard = (s.clipboard.0 + 1, Some(self.id), text));
    }

    /// Keeps the figures for whoever asks.
    pub(super) fn note(&self, stats: crate::rfb::Stats, frame_age: Option<Duration>, now: Instant) {
        if let Some(entry) = self.hub.clients().get_mut(&self.id) {
            if let Some(before) = &entry.info.stats {
                let seconds = now
                    .saturating_duration_since(entry.noted)
                    .as_secs_f64()
                    .max(0.1);
                let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
                entry.info.rates = Rates {
                    updates: rate(stats.updates, before.updates),
                    bytes: rate(stats.bytes, before.bytes),
                };
            }
            entry.info.stats = Some(stats);
            entry.info.frame_age = frame_age;
            entry.noted = now;
        }
    }

    /// This client asks for a size; the others will be told that it was a client.
    pub(super) fn wishes(&self, size: (u16, u16)) {
        *self.hub.wish() = Some((self.id, size));
    }

    /// Did another client ask for this size?
    pub(super) fn was_wished_by_another(&self, size: (u16, u16)) -> bool {
        self.hub
            .wish()
            .is_some_and(|(client, wished)| client != self.id && wished == size)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let left = {
            let mut clients = self.hub.clients();
            clients.remove(&self.id);
            clients.len()
        };
        self.hub.seat.gone(self.id);
        self.hub.viewers.send_replace(left);
    }
}
