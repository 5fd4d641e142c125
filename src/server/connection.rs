//! One client, one task: it owns the session and everything that belongs to it, so nothing here is locked.
//!
//! ```text
//!  greeting ──► handshake ──► session loop ──► bye
//!                 │ wrong        ▲  │ what wakes it: bytes in, room for bytes out, an encoded job,
//!                 └─► delay      │  │ news from the desktop, a timer of the session, the end
//!                     + reason   └──┘
//! ```

use super::hub::{Hub, Membership, Shared};
use super::pool::{Finished, Place};
use super::{Peer, Stats};
use crate::encode::Encoder;
use crate::pixel::Frame;
use crate::rfb::{
    Authenticated, Effect, Handshake, HandshakeError, InputBuffer, Poll, Progress, ProtocolError,
    ResizeCause, ResizeStatus, Session, Start,
};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll as Ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{oneshot, watch};

/// A machine answers each step of the handshake within this.
const STEP: Duration = Duration::from_secs(10);
/// A person types a password within this.
const TYPING: Duration = Duration::from_secs(120);
/// No new update while so many bytes wait for the socket: what waits is a region, not bytes.
const HIGH_WATER: usize = 64 * 1024;
/// Time to get a last message out.
const FAREWELL: Duration = Duration::from_secs(1);
/// The viewer list is brought up to date this often at most.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// A stream that can tell its peer why it ends.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// To be said when the stream is shut down; streams that cannot say anything ignore it.
    fn close_reason(&mut self, _reason: &str) {}
}

impl Transport for tokio::net::TcpStream {}
impl Transport for tokio::net::UnixStream {}

/// Why a connection ended, for the log.
enum End {
    /// The client closed it.
    Closed,
    /// The connection broke.
    Io(io::Error),
    /// It was too slow to say who it is.
    TimedOut,
    /// It could not be let in.
    Handshake(HandshakeError),
    /// It broke the protocol.
    Protocol(ProtocolError),
    /// This server ended it.
    Server(Arc<str>),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the viewer"),
            Self::Io(e) => write!(f, "connection lost: {e}"),
            Self::TimedOut => f.write_str("no complete handshake in time"),
            Self::Handshake(e) => write!(f, "{e}"),
            Self::Protocol(e) => write!(f, "protocol error: {e}"),
            Self::Server(reason) => f.write_str(reason),
        }
    }
}

impl From<io::Error> for End {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io(e),
        }
    }
}

/// Serves one client until it goes.
pub async fn serve_stream<S: Transport>(stream: S, peer: Peer, hub: Arc<Hub>) {
    Stats::add(&hub.stats.connections, 1);
    let mut link = Link::new(stream);
    let ticket = match hub.limits.admit(peer.ip, Instant::now()) {
        Ok(ticket) => ticket,
        Err(refusal) => {
            Stats::add(&hub.stats.refused, 1);
            tracing::debug!(%peer, %refusal, "connection refused");
            turn_away(&mut link, &hub, &refusal.to_string()).await;
            return;
        }
    };
    let entered = match enter(&mut link, &peer, &hub).await {
        Ok(entered) => entered,
        Err(end) => {
            match &end {
                // Probes and port scans: of no interest to anybody.
                End::Closed | End::Io(_) | End::TimedOut => {
                    tracing::debug!(%peer, %end, "no session")
                }
                _ => tracing::warn!(%peer, %end, "no session"),
            }
            return;
        }
    };
    drop(ticket);
    let member = match hub.join(&peer, entered.permission, entered.shared) {
        Ok(member) => member,
        Err(reason) => {
            tracing::warn!(%peer, %reason, "viewer refused");
            link.farewell(&reason).await;
            return;
        }
    };
    Stats::add(&hub.stats.sessions, 1);
    tracing::info!(%peer, client = member.id, permission = ?entered.permission, "viewer connected");
    let id = member.id;
    let mut task = Task::new(link, member, hub.clone(), &entered);
    let end = match task.run().await {
        Err(end) => end,
        Ok(never) => match never {},
    };
    tracing::info!(%peer, client = id, %end, "viewer disconnected");
    let reason = match &end {
        End::Server(reason) => reason.to_string(),
        End::Protocol(e) => e.to_string(),
        _ => String::new(),
    };
    // Its keys are released before the farewell, which may wait for a slow peer.
    let Task {
        mut link, session, ..
    } = task;
    drop(session);
    link.farewell(&reason).await;
}

/// Says no in the protocol's own way, so that viewers show the reason.
async fn turn_away<S: Transport>(link: &mut Link<S>, hub: &Hub, reason: &str) {
    let mut handshake = Handshake::new(hub.policy.clone(), [0; 16]);
    handshake.refuse(reason, &mut link.output);
    link.farewell(reason).await;
}

/// The handshake, with its time limits.
async fn enter<S: Transport>(
    link: &mut Link<S>,
    peer: &Peer,
    hub: &Hub,
) -> Result<Authenticated, End> {
    let mut challenge = [0; 16];
    getrandom::fill(&mut challenge).map_err(|e| End::Io(io::Error::other(e.to_string())))?;
    let mut handshake = Handshake::new(hub.policy.clone(), challenge);
    handshake.greeting(&mut link.output);
    let mut input = InputBuffer::new();
    let begun = Instant::now();
    loop {
        let wait = if handshake.waits_for_a_person() {
            TYPING.saturating_sub(begun.elapsed())
        } else {
            STEP
        };
        let turn = tokio::time::timeout(wait, link.turn(&mut input)).await;
        turn.map_err(|_| End::TimedOut)??;
        match handshake.receive(&mut input, &mut link.output) {
            Progress::More => {}
            Progress::Done(entered) => {
                link.early = input;
                return Ok(entered);
            }
            Progress::Failed(error) => {
                if matches!(error, HandshakeError::WrongPassword) {
                    Stats::add(&hub.stats.failures, 1);
                    tokio::time::sleep(hub.limits.failed(peer.ip, Instant::now())).await;
                }
                link.farewell(&error.to_string()).await;
                return Err(End::Handshake(error));
            }
        }
    }
}

/// The stream with its buffers.
struct Link<S> {
    stream: S,
    /// Bytes to send, from `sent` on.
    output: Vec<u8>,
    sent: usize,
    flushed: bool,
    /// What came behind the handshake in the same packet.
    early: InputBuffer,
    bytes_in: u64,
    bytes_out: u64,
}

impl<S: Transport> Link<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            output: Vec::new(),
            sent: 0,
            flushed: true,
            early: InputBuffer::new(),
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Bytes that wait to be sent.
    fn waiting(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Sends what it can and returns when something was received, or when everything was sent. May be dropped and
    /// called again at any time.
    async fn turn(&mut self, input: &mut InputBuffer) -> io::Result<()> {
        poll_fn(|cx| {
            let drained = self.poll_send(cx)?;
            let room = input.room();
            if room.is_empty() {
                // The parser takes everything it can use; a full buffer is the client's mistake.
                return Ready::Ready(Err(io::Error::other("a message without end")));
            }
            let mut buffer = ReadBuf::new(room);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Ready::Ready(Ok(())) if buffer.filled().is_empty() => {
                    Ready::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
                }
                Ready::Ready(Ok(())) => {
                    let count = buffer.filled().len();
                    self.bytes_in += count as u64;
                    input.filled(count);
                    Ready::Ready(Ok(()))
                }
                Ready::Ready(Err(e)) => Ready::Ready(Err(e)),
                Ready::Pending if drained => Ready::Ready(Ok(())),
                Ready::Pending => Ready::Pending,
            }
        })
        .await
    }

    /// True when the last waiting byte left in this call.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while self.waiting() > 0 {
            match Pin::new(&mut self.stream).poll_write(cx, &self.output[self.sent..]) {
                Ready::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Ready::Ready(Ok(n)) => {
                    self.sent += n;
                    self.bytes_out += n as u64;
                    self.flushed = false;
                }
                Ready::Ready(Err(e)) => return Err(e),
                Ready::Pending => return Ok(false),
            }
        }
        if self.flushed {
            return Ok(false);
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Ready::Ready(Ok(())) => {
                self.flushed = true;
                self.output.clear();
                self.sent = 0;
                Ok(true)
            }
            Ready::Ready(Err(e)) => Err(e),
            Ready::Pending => Ok(false),
        }
    }

    /// Sends what is left and closes, within [`FAREWELL`].
    async fn farewell(&mut self, reason: &str) {
        if !reason.is_empty() {
            self.stream.close_reason(reason);
        }
        let bye = poll_fn(|cx| {
            match self.poll_send(cx) {
                Err(e) => return Ready::Ready(Err(e)),
                Ok(_) if self.waiting() > 0 || !self.flushed => return Ready::Pending,
                Ok(_) => {}
            }
            Pin::new(&mut self.stream).poll_shutdown(cx)
        });
        // A peer that does not listen any more misses nothing.
        let _ = tokio::time::timeout(FAREWELL, bye).await;
    }
}

/// A session and all that belongs to it.
struct Task<S> {
    link: Link<S>,
    input: InputBuffer,
    session: Running,
    hub: Arc<Hub>,
    news: watch::Receiver<Shared>,
    seen: Shared,
    work: Work,
    /// A resize that this client asked for, until it is done.
    resize: Option<oneshot::Receiver<bool>>,
    noted: Instant,
}

/// Dropped first: leaving the hub releases the keys.
struct Running {
    rfb: Session,
    member: Membership,
}

/// What the encoders are doing for this client.
enum Work {
    Idle(Encoder),
    /// Waits for a place in the pool.
    Queued(Encoder, Pin<Box<dyn Future<Output = Option<Place>> + Send>>),
    Busy(oneshot::Receiver<Finished>),
    /// Between two states, and after a job that never came back.
    Gone,
}

impl<S: Transport> Task<S> {
    fn new(mut link: Link<S>, member: Membership, hub: Arc<Hub>, entered: &Authenticated) -> Self {
        let mut news = hub.subscribe();
        let seen = news.borrow_and_update().clone();
        let (_, frame) = hub.screen.latest();
        let now = Instant::now();
        let mut rfb = Session::new(Start {
            version: entered.version,
            permission: entered.permission,
            width: frame.width(),
            height: frame.height(),
            name: seen.name.to_string(),
            features: hub.options.features,
            now,
        });
        if let Some(image) = &seen.cursor {
            rfb.cursor(image.clone());
        }
        rfb.leds(seen.leds);
        if !seen.clipboard.2.is_empty() {
            rfb.clipboard(&seen.clipboard.2);
        }
        Self {
            input: std::mem::take(&mut link.early),
            link,
            session: Running { rfb, member },
            hub,
            news,
            seen: Shared {
                generation: 0,
                ..seen
            },
            work: Work::Idle(Encoder::new()),
            resize: None,
            noted: now,
        }
    }

    async fn run(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            let now = Instant::now();
            self.session
                .rfb
                .receive(&mut self.input, now)
                .map_err(End::Protocol)?;
            while let Some(effect) = self.session.rfb.next_effect() {
                self.apply(effect)?;
            }
            self.catch_up();
            let timer = self.plan(now);
            self.take_output();
            self.account(now);
            self.wait(timer).await?;
        }
    }

    /// Does what the client asked for.
    fn apply(&mut self, effect: Effect) -> Result<(), End> {
        let id = self.session.member.id;
        match effect {
            Effect::Key {
                keysym,
                scancode,
                down,
            } => self.hub.seat.key(id, keysym, scancode, down),
            Effect::Pointer { x, y, buttons } => self.hub.seat.pointer(id, x, y, buttons),
            Effect::ClipboardText(text) => self.session.member.set_clipboard(text),
            Effect::Resize { width, height } => {
                let (tx, rx) = oneshot::channel();
                self.hub.seat.resize(
                    width,
                    height,
                    Box::new(move |done| {
                        // The client may have gone meanwhile.
                        let _ = tx.send(done);
                    }),
                );
                // The last one wins; the answer to an earlier one is given with it.
                self.resize = Some(rx);
            }
            Effect::Notice(notice) => {
                tracing::debug!(client = id, %notice, "viewer");
            }
            Effect::Closed(error) => return Err(End::Protocol(error)),
        }
        Ok(())
    }

    /// Tells the session what happened on the desktop since the last look.
    fn catch_up(&mut self) {
        let news = self.news.borrow_and_update().clone();
        let new_cursor = match (&news.cursor, &self.seen.cursor) {
            (Some(new), Some(old)) => !Arc::ptr_eq(new, old),
            (new, old) => new.is_some() != old.is_some(),
        };
        let rfb = &mut self.session.rfb;
        if let Some(image) = news.cursor.as_ref().filter(|_| new_cursor) {
            rfb.cursor(image.clone());
        }
        if news.cursor_at.0 != self.seen.cursor_at.0 {
            rfb.cursor_moved(news.cursor_at.1);
        }
        if news.clipboard.0 != self.seen.clipboard.0
            && news.clipboard.1 != Some(self.session.member.id)
        {
            rfb.clipboard(&news.clipboard.2);
        }
        if news.leds != self.seen.leds {
            rfb.leds(news.leds);
        }
        if news.name != self.seen.name {
            rfb.name(&news.name);
        }
        for _ in self.seen.bells..news.bells.min(self.seen.bells + 3) {
            rfb.bell();
        }
        let generation = self.seen.generation;
        self.seen = Shared { generation, ..news };
    }

    /// Takes over what changed on the screen; the frame that it returns is the one the session now knows.
    fn screen_changed(&mut self) -> Arc<Frame> {
        let changes = self.hub.screen.changes_since(self.seen.generation);
        self.seen.generation = changes.generation;
        let rfb = &mut self.session.rfb;
        if changes.resized {
            let (width, height) = (changes.frame.width(), changes.frame.height());
            rfb.resized(width, height, ResizeCause::Server);
        }
        rfb.damaged(&changes.damage, &changes.moves);
        changes.frame
    }

    /// Starts an update when the client may have one. Returns when to look again.
    fn plan(&mut self, now: Instant) -> Option<Instant> {
        if self.link.waiting() >= HIGH_WATER {
            return None;
        }
        let mut timer = None;
        if matches!(self.work, Work::Idle(_))
            && let Work::Idle(encoder) = std::mem::replace(&mut self.work, Work::Gone)
        {
            self.work = match self.hub.pool.try_place() {
                Some(place) => {
                    let (work, at) = self.start(encoder, place, now);
                    timer = at;
                    work
                }
                None => {
                    let pool = self.hub.pool.clone();
                    Work::Queued(encoder, Box::pin(async move { pool.place().await }))
                }
            };
        }
        if self.session.rfb.wants_frames() {
            self.hub.seat.request_frame();
        }
        timer
    }

    /// With a place in the pool: encodes what the client may have of the newest frame.
    fn start(&mut self, encoder: Encoder, place: Place, now: Instant) -> (Work, Option<Instant>) {
        let frame = self.screen_changed();
        match self.session.rfb.poll(now) {
            Poll::Nothing => (Work::Idle(encoder), None),
            Poll::At(at) => (Work::Idle(encoder), Some(at)),
            Poll::Update(job) => {
                let done = self.hub.pool.encode(place, encoder, frame, job);
                (Work::Busy(done), None)
            }
        }
    }

    fn take_output(&mut self) {
        let output = self.session.rfb.output();
        if output.is_empty() {
            return;
        }
        if self.link.waiting() == 0 {
            self.link.output.clear();
            self.link.sent = 0;
            std::mem::swap(&mut self.link.output, output);
        } else {
            self.link.output.append(output);
        }
        self.link.flushed = false;
    }

    fn account(&mut self, now: Instant) {
        if now.duration_since(self.noted) >= NOTE_EVERY {
            self.noted = now;
            self.session.member.note(self.session.rfb.stats());
        }
        let stats = &self.hub.stats;
        Stats::add(&stats.bytes_in, std::mem::take(&mut self.link.bytes_in));
        Stats::add(&stats.bytes_out, std::mem::take(&mut self.link.bytes_out));
    }

    /// Sleeps until something happens, and takes it in.
    async fn wait(&mut self, timer: Option<Instant>) -> Result<(), End> {
        let timer = async {
            match timer {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            turn = self.link.turn(&mut self.input) => turn?,
            done = advance(&mut self.work) => match done {
                // The next turn finds a free place again, or not: it decides with what is known then.
                Step::Place(encoder, place) => {
                    let (work, _) = self.start(encoder, place, Instant::now());
                    self.work = work;
                }
                Step::Finished(finished) => self.finished(*finished),
                Step::Lost => return Err(End::Server("the encoder failed".into())),
            },
            done = answered(&mut self.resize) => {
                self.resize = None;
                // The frame of the new size is published before the answer: it must not overtake it.
                let frame = self.screen_changed();
                let status = if done {
                    ResizeStatus::Done
                } else {
                    ResizeStatus::OutOfResources
                };
                let cause = ResizeCause::Client(status);
                self.session.rfb.resized(frame.width(), frame.height(), cause);
            }
            changed = self.news.changed() => if changed.is_err() {
                return Err(End::Server("the server stops".into()));
            },
            () = closed(&mut self.session.member.close) => {
                let reason = self.session.member.close.borrow().clone();
                return Err(End::Server(reason.unwrap_or_default()));
            }
            () = timer => {}
        }
        if let Some(reason) = &self.news.borrow().closing {
            return Err(End::Server(reason.clone()));
        }
        Ok(())
    }

    fn finished(&mut self, done: Finished) {
        self.work = Work::Idle(done.encoder);
        let Some(encoded) = done.encoded else {
            // Resized between two looks: what it is now comes with the next.
            self.session.rfb.give_back(done.job);
            return;
        };
        let stats = &self.hub.stats;
        Stats::add(&stats.updates, 1);
        Stats::add(&stats.encode_us, done.took.as_micros() as u64);
        self.session.rfb.finish(done.job, encoded, Instant::now());
    }
}

enum Step {
    Place(Encoder, Place),
    Finished(Box<Finished>),
    Lost,
}

/// Waits for the encoders; for ever when they have nothing of this client. May be dropped and called again.
async fn advance(work: &mut Work) -> Step {
    match work {
        Work::Idle(_) | Work::Gone => std::future::pending().await,
        Work::Queued(_, place) => {
            let place = place.await;
            match (std::mem::replace(work, Work::Gone), place) {
                (Work::Queued(encoder, _), Some(place)) => Step::Place(encoder, place),
                _ => Step::Lost,
            }
        }
        Work::Busy(done) => {
            let done = done.await;
            match (std::mem::replace(work, Work::Gone), done) {
                (Work::Busy(_), Ok(finished)) => Step::Finished(Box::new(finished)),
                _ => Step::Lost,
            }
        }
    }
}

/// The answer to a resize; for ever when none was asked for.
async fn answered(resize: &mut Option<oneshot::Receiver<bool>>) -> bool {
    match resize {
        Some(rx) => rx.await.unwrap_or(false),
        None => std::future::pending().await,
    }
}

async fn closed(close: &mut watch::Receiver<Option<Arc<str>>>) {
    // An error means that the hub forgot this client, which only its own leaving does.
    if close.wait_for(Option::is_some).await.is_err() {
        std::future::pending().await
    }
}
