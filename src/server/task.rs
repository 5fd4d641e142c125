//! A session at work: one task owns it and everything that belongs to it, so nothing here is locked.
//!
//! ```text
//!        ┌─► receive ─► effects ─► catch up ─► plan ─► send ─► wait ─┐
//!        │   what wakes it: bytes in, room for bytes out, an encoded │
//!        └── job, news from the desktop, a timer of the session, ◄───┘
//!            or the end
//! ```

use super::Stats;
use super::connection::End;
use super::hub::{Hub, Membership, Shared};
use super::link::{Link, Transport};
use super::pool::{Finished, Place};
use crate::encode::Encoder;
use crate::pixel::{Frame, Rect};
use crate::rfb::{
    Authenticated, Effect, InputBuffer, Poll, ResizeCause, ResizeStatus, Session, Start,
};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// No new update while so many bytes wait for the socket: what waits is a region, not bytes.
const HIGH_WATER: usize = 64 * 1024;
/// The viewer list is brought up to date this often at most.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// The first picture waits so long for a look at the screen, which takes some milliseconds when X answers at all.
const FIRST_LOOK: Duration = Duration::from_millis(250);
/// What goes over a slow link is looked at again before, if it was seen longer ago than this,
const STALE: Duration = Duration::from_millis(40);
/// unless the look takes longer.
const NEXT_LOOK: Duration = Duration::from_millis(60);

/// A session and all that belongs to it.
pub(super) struct Task<S> {
    link: Link<S>,
    input: InputBuffer,
    session: Running,
    hub: Arc<Hub>,
    news: watch::Receiver<Shared>,
    seen: Shared,
    work: Work,
    /// The last resize that this client asked for, until it is done.
    resize: Option<oneshot::Receiver<bool>>,
    first: First,
    next: Next,
    /// When its figures were noted last, and whether anything has moved since.
    noted: Option<Instant>,
    moved: bool,
    /// How old the frame of the last update was when that was ready.
    frame_age: Option<Duration>,
    /// A place in the pool that was waited for.
    granted: Option<Place>,
    /// When its viewer typed or pointed last, or came.
    touched: Instant,
}

/// What the first picture waits for: nobody may have watched for a while, and what was published then is not what is
/// on the screen now.
enum First {
    /// The client has not asked for a picture.
    Unasked,
    /// This look was asked for; no longer than until then.
    Looking { look: u64, until: Instant },
    /// From now on the picture follows the screen by itself.
    Shown,
}

/// What the next update waits for, if the link is slow. The one before it was on its way for longer than the frame lasts:
/// what was left of it then is not what is there now; and what is never looked at does not play.
#[derive(Clone, Copy)]
enum Next {
    /// This look was asked for; no longer than until then.
    Looking { look: u64, until: Instant },
    /// It waits for something else until then, and follows the screen meanwhile.
    Waits(Instant),
    /// It can go.
    Ready,
}

/// The protocol's side and the place among the others.
struct Running {
    rfb: Session,
    member: Membership,
}

/// What the encoders are doing for this client.
enum Work {
    Idle(Box<Encoder>),
    /// Waits for a place in the pool.
    Queued(
        Box<Encoder>,
        Pin<Box<dyn Future<Output = Option<Place>> + Send>>,
    ),
    Busy(oneshot::Receiver<Finished>),
    /// Between two states, and after a job that never came back.
    Gone,
}

impl<S: Transport> Task<S> {
    pub(super) fn new(
        mut link: Link<S>,
        member: Membership,
        hub: Arc<Hub>,
        entered: &Authenticated,
    ) -> Self {
        let mut news = hub.subscribe();
        let seen = news.borrow_and_update().clone();
        let bounds = hub.screen.bounds();
        let now = Instant::now();
        let mut rfb = Session::new(Start {
            version: entered.version,
            permission: entered.permission,
            width: bounds.w,
            height: bounds.h,
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
            work: Work::Idle(Box::new(Encoder::new())),
            resize: None,
            first: First::Unasked,
            next: Next::Ready,
            noted: None,
            moved: true,
            frame_age: None,
            granted: None,
            touched: now,
        }
    }

    /// Runs until the connection has to end; says why.
    pub(super) async fn run(&mut self) -> Result<Infallible, End> {
        loop {
            let now = Instant::now();
            self.session.rfb.unsent(self.link.waiting());
            self.session
                .rfb
                .receive(&mut self.input, now)
                .map_err(End::Protocol)?;
            if self.session.rfb.touched() {
                self.touched = now;
                self.hub.touch(now);
            }
            while let Some(effect) = self.session.rfb.next_effect() {
                self.apply(effect)?;
            }
            let idle = self.patience(now)?;
            self.catch_up();
            let timer = self.plan(now);
            self.take_output();
            let note = self.account(now);
            let timer = [timer, note, idle].into_iter().flatten().min();
            self.wait(timer).await?;
        }
    }

    /// Leaves the hub, which releases the keys, and gives the stream back for a farewell that may take a while.
    pub(super) fn leave(self) -> Link<S> {
        self.link
    }

    /// When a viewer that does nothing has to go; an error when it has to go now.
    fn patience(&self, now: Instant) -> Result<Option<Instant>, End> {
        let Some(limit) = self.hub.options.idle_timeout else {
            return Ok(None);
        };
        let end = self.touched + limit;
        if now >= end {
            let reason = format!("no key and no motion for {} s", limit.as_secs());
            return Err(End::Server(reason.into()));
        }
        Ok(Some(end))
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
                self.session.member.wishes((width, height));
                self.hub.seat.resize(
                    width,
                    height,
                    Box::new(move |done| {
                        // The client may have gone meanwhile.
                        let _ = tx.send(done);
                    }),
                );
                // The last one wins; its answer settles the earlier ones, too.
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
        rfb.activity(news.activity.clone());
        let generation = self.seen.generation;
        let frame_at = self.seen.frame_at;
        self.seen = Shared {
            generation,
            frame_at,
            ..news
        };
    }

    /// Takes over what changed on the screen; the frame that it returns is the one the session now knows. None while the next
    /// one is being made of it: there will be news of that.
    fn screen_changed(&mut self) -> (Rect, Option<Arc<Frame>>) {
        let changes = self.hub.screen.changes_since(self.seen.generation);
        if changes.generation != self.seen.generation {
            self.seen.generation = changes.generation;
            self.seen.frame_at = self.news.borrow().frame_at;
        }
        let rfb = &mut self.session.rfb;
        if changes.resized {
            let Rect {
                w: width,
                h: height,
                ..
            } = changes.bounds;
            let cause = if self.session.member.was_wished_by_another((width, height)) {
                ResizeCause::OtherClient
            } else {
                ResizeCause::Server
            };
            rfb.resized(width, height, cause);
        }
        for step in &changes.steps {
            rfb.stepped(step);
        }
        (changes.bounds, changes.frame)
    }

    /// Starts an update when the client may have one. Returns when to look again.
    fn plan(&mut self, now: Instant) -> Option<Instant> {
        // Never kept while waiting.
        let granted = self.granted.take();
        if self.link.waiting() >= HIGH_WATER {
            return None;
        }
        if let Some(until) = self.await_look(now).or_else(|| self.await_next(now)) {
            return Some(until);
        }
        let mut timer = None;
        if matches!(self.work, Work::Idle(_))
            && let Work::Idle(encoder) = std::mem::replace(&mut self.work, Work::Gone)
        {
            self.work = match granted.or_else(|| self.hub.pool.try_place()) {
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
        // While one frame is encoded the next one is read, but not the one after that, which would be old when its turn
        // comes; nor the next one, where the link has to carry this one first.
        let ahead = !matches!(self.work, Work::Idle(_))
            && (self.session.rfb.is_slow() || self.hub.screen.generation() > self.seen.generation);
        if self.session.rfb.wants_frames() && !ahead {
            self.hub.seat.request_frame();
        }
        timer
    }

    /// Until when the first picture has to wait, if it has to.
    fn await_look(&mut self, now: Instant) -> Option<Instant> {
        match self.first {
            First::Unasked if self.session.rfb.wants_frames() => {
                let until = now + FIRST_LOOK;
                let look = self.hub.seat.request_look();
                self.first = First::Looking { look, until };
                Some(until)
            }
            First::Looking { look, until } if self.seen.looks < look && now < until => Some(until),
            First::Looking { .. } => {
                self.first = First::Shown;
                None
            }
            First::Unasked | First::Shown => None,
        }
    }

    /// Until when the next update has to wait for a look, if it has to.
    fn await_next(&mut self, now: Instant) -> Option<Instant> {
        match self.next {
            Next::Looking { look, until } if self.seen.looks < look && now < until => {
                return Some(until);
            }
            Next::Waits(until) if now < until => return None,
            Next::Looking { .. } => {
                self.next = Next::Ready;
                return None;
            }
            Next::Waits(_) | Next::Ready => {}
        }
        let idle = matches!(self.work, Work::Idle(_));
        let seen = self.news.borrow().frame_at;
        let stale = seen.is_none_or(|at| now.saturating_duration_since(at) > STALE);
        if !(idle && stale && self.session.rfb.is_slow() && self.session.rfb.has_more()) {
            return None;
        }
        let until = now + NEXT_LOOK;
        let look = self.hub.seat.request_look();
        self.next = Next::Looking { look, until };
        Some(until)
    }

    /// With a place in the pool: encodes what the client may have of the newest frame.
    fn start(
        &mut self,
        encoder: Box<Encoder>,
        place: Place,
        now: Instant,
    ) -> (Work, Option<Instant>) {
        let (_, Some(frame)) = self.screen_changed() else {
            return (Work::Idle(encoder), None);
        };
        match self.session.rfb.poll(now) {
            Poll::Nothing => (Work::Idle(encoder), None),
            Poll::At(at) => {
                self.next = Next::Waits(at);
                (Work::Idle(encoder), Some(at))
            }
            Poll::Update(job) => {
                self.next = Next::Ready;
                // Nothing had changed that was looked at: without another look, what stands still by this alone would be
                // refined for ever on a slow link.
                if job.order.damage.is_empty() {
                    self.hub.seat.request_frame();
                }
                let frame = (self.seen.generation, frame);
                let alone = self.hub.is_alone();
                let done = self.hub.pool.encode(place, encoder, frame, job, alone);
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

    /// Counts, and says when to come again so that the figures shown are not those of long ago.
    fn account(&mut self, now: Instant) -> Option<Instant> {
        let received = std::mem::take(&mut self.link.bytes_in);
        let sent = std::mem::take(&mut self.link.bytes_out);
        Stats::add(&self.hub.stats.bytes_in, received);
        Stats::add(&self.hub.stats.bytes_out, sent);
        self.moved |= received + sent > 0;
        if !self.moved {
            return None;
        }
        let due = self.noted.map_or(now, |at| at + NOTE_EVERY);
        if now < due {
            return Some(due);
        }
        self.noted = Some(now);
        self.moved = false;
        let stats = self.session.rfb.stats();
        self.session.member.note(stats, self.frame_age, now);
        None
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
                // Used in the next turn, once: whoever has nothing to do with it leaves it to the others.
                Step::Place(encoder, place) => {
                    self.work = Work::Idle(encoder);
                    self.granted = Some(place);
                }
                Step::Finished(finished) => self.finished(*finished),
                Step::Lost => return Err(End::Server("the encoder failed".into())),
            },
            done = answered(&mut self.resize) => {
                self.resize = None;
                // The frame of the new size is published before the answer: it must not overtake it.
                let (bounds, _) = self.screen_changed();
                let status = if done {
                    ResizeStatus::Done
                } else {
                    ResizeStatus::OutOfResources
                };
                let cause = ResizeCause::Client(status);
                self.session.rfb.resized(bounds.w, bounds.h, cause);
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
        if let Some(at) = self.seen.frame_at.take() {
            let age = at.elapsed();
            stats.frame_age.observe(age);
            self.frame_age = Some(age);
        }
        Stats::add(&stats.encode_us, done.took.as_micros() as u64);
        self.session.rfb.finish(done.job, encoded, Instant::now());
    }
}

enum Step {
    Place(Box<Encoder>, Place),
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
