//! From damage to a new picture.
//!
//! ```text
//!   fetch   [GrabServer →] DamageSubtract → FetchRegion ─► rectangles [─► GetImage ×n, one more round trip]
//!               │ (or everything, when stale)                  │
//!               └ from here on the server notes new damage     │ hints: windows that were moved since
//!                                                              ▼
//!   take    guess what moved ─► row by row into the draft, compared with the latest frame ─► search the rest
//!                                │                            └ nothing new: the draft goes back
//!                                └► [UngrabServer]
//! ```
//!
//! Damage is subtracted before the pixels are read, so what is drawn meanwhile is read now or reported again, never
//! lost. Where the server's own memory is known nothing is drawn meanwhile: it is grabbed for as long as rows are read,
//! which is about as long as it would take to copy them itself. While nobody wants frames nothing is subtracted: the
//! server then has told once that there is damage, collects, and stays silent.

use std::time::{Duration, Instant};

use x11rb::NONE;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::damage::{self, ConnectionExt as _, ReportLevel};
use x11rb::protocol::xfixes::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ConnectionExt as _, Rectangle, Window};

use super::backing::Pixels;
use super::connect::Link;
use super::diff::Differ;
use super::transfer::{Transfer, TransferError};
use super::visual::Layout;
use crate::pixel::{Frame, Point, Rect, Region};
use crate::screen::{Difference, Draft, Motion, Move, Picture, Screen, Step};

/// Damage in more rectangles than this is read in larger ones: comparing a little more is cheaper than many requests.
const RECTANGLES: usize = 32;

/// Reads the screen.
pub(super) struct Grabber {
    root: Window,
    layout: Layout,
    local: bool,
    damage: damage::Damage,
    region: xfixes::Region,
    /// Made at the first grab, for the screen's size then, unless the server's own memory is known.
    transfer: Option<Transfer>,
    differ: Differ,
    found: Difference,
    damaged: bool,
    stale: bool,
}

/// Damage that was taken over from the server.
#[derive(Debug)]
pub(super) struct Reading {
    /// Of the screen.
    bounds: Rect,
    rects: Vec<Rect>,
    /// So many of the first ones can be read.
    fetched: usize,
    pointer: Point,
    grab: Duration,
}

/// What a grab did.
#[derive(Debug)]
pub(super) struct Grab {
    /// The new picture and how it came from the one before, to be published; `None` when nothing had changed.
    pub(super) picture: Option<(Draft, Step)>,
    /// Pixels that were read; 0 when there was no damage after all.
    pub(super) pixels: u64,
    /// Pixels of areas that were changed, or moved.
    pub(super) changed: u64,
    /// Time until the pixels were there.
    pub(super) grab: Duration,
    /// Time to copy and compare them, and to find what moved.
    pub(super) diff: Duration,
    /// Where the pointer was.
    pub(super) pointer: Point,
}

impl Grabber {
    /// Begins to follow the damage of a screen.
    pub(super) fn open(
        link: &Link,
        root: Window,
        layout: Layout,
        local: bool,
        pixels: Option<Pixels>,
    ) -> Result<Self, ReplyOrIdError> {
        if pixels.is_some() {
            // Or it would be in the picture.
            link.xfixes_hide_cursor(root)?.check()?;
        }
        let damage = link.generate_id()?;
        let region = link.generate_id()?;
        link.damage_create(damage, root, ReportLevel::NON_EMPTY)?
            .check()?;
        link.xfixes_create_region(region, &[])?.check()?;
        Ok(Self {
            root,
            transfer: pixels.map(|pixels| Transfer::direct(layout.clone(), pixels)),
            layout,
            local,
            damage,
            region,
            differ: Differ::default(),
            found: Difference::default(),
            damaged: false,
            stale: true,
        })
    }

    /// The server has damage to report.
    pub(super) fn damaged(&mut self) {
        self.damaged = true;
    }

    /// The latest frame may be wrong anywhere: the next grab reads everything.
    pub(super) fn invalidate(&mut self) {
        self.stale = true;
    }

    /// True when a grab might bring something.
    pub(super) fn has_work(&self) -> bool {
        self.damaged || self.stale
    }

    /// True when the next grab reads everything.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// True when pixels come through shared memory; known after the first grab.
    pub(super) fn is_shared(&self) -> bool {
        self.transfer.as_ref().is_some_and(Transfer::is_shared)
    }

    /// True when pixels are read where the server draws them.
    pub(super) fn is_direct(&self) -> bool {
        self.transfer.as_ref().is_some_and(Transfer::is_direct)
    }

    /// Takes the damage over, and with it the pixels, or the right to read them: until [`Grabber::take`] or
    /// [`Grabber::give_up`] the server may be grabbed.
    pub(super) fn fetch(&mut self, link: &Link, bounds: Rect) -> Result<Reading, TransferError> {
        let start = Instant::now();
        let mut transfer = self.transfer(link, bounds)?;
        if transfer.is_direct() {
            link.grab_server()?;
        }
        let pointer = link.query_pointer(self.root)?;
        let rects = if self.stale {
            link.damage_subtract(self.damage, NONE, NONE)?;
            vec![bounds]
        } else {
            self.fetch_damage(link, bounds)?
        };
        self.damaged = false;
        let pointer = pointer.reply()?;
        let fetched = transfer.fetch(link, self.root, &rects);
        self.transfer = Some(transfer);
        // The damage is subtracted already: after an error only everything is sure to hold it.
        let fetched = fetched.inspect_err(|_| self.stale = true)?;
        Ok(Reading {
            bounds,
            rects,
            fetched,
            pointer: super::cursor::point(pointer.root_x, pointer.root_y),
            grab: start.elapsed(),
        })
    }

    /// Leaves what was fetched where it is: the next grab reads everything.
    pub(super) fn give_up(&mut self, link: &Link) -> Result<(), ConnectionError> {
        self.stale = true;
        self.release(link)
    }

    /// Reads what was fetched into a new picture, and finds out what became of the one before; `hints` are windows that
    /// were moved since. The picture is in the answer, and is lost if it is not published.
    pub(super) fn take(
        &mut self,
        link: &Link,
        screen: &Screen,
        reading: Reading,
        motion: &mut Motion,
        hints: &[Move],
    ) -> Result<Grab, TransferError> {
        let begun = Instant::now();
        let Reading { rects, fetched, .. } = reading;
        let mut done = Grab {
            picture: None,
            pixels: 0,
            changed: 0,
            grab: reading.grab,
            diff: Duration::ZERO,
            pointer: reading.pointer,
        };
        let (_, latest) = screen.latest();
        let region: Region = rects.iter().copied().collect();
        let draft = screen.draft(&region);
        // Else it cannot be: the caller saw that there is a free buffer, and nobody else changes the size.
        let ready = draft.filter(|_| latest.bounds() == reading.bounds);
        let (Some(mut draft), Some(mut transfer)) = (ready, self.transfer.take()) else {
            self.give_up(link)?;
            return Ok(done);
        };
        let guesses = if fetched == rects.len() {
            let mut parts = Parts {
                transfer: &mut transfer,
                rects: &rects,
                frame: draft.frame(),
            };
            motion.guess(&latest, &mut parts, &region, hints)
        } else {
            // Pixels come one part after the other.
            Vec::new()
        };
        self.found.clear();
        let mut batch = &rects[..fetched];
        let mut rest = &rects[fetched..];
        let outcome = loop {
            for (index, rect) in batch.iter().enumerate() {
                done.pixels += u64::from(rect.area());
                for (piece, guess) in pieces(*rect, &guesses) {
                    let read = |y, row: &mut [u32]| transfer.read(index, piece.x, y, row);
                    let (differ, found, frame) = (&mut self.differ, &mut self.found, draft.frame());
                    match guess {
                        Some(guess) => differ.take_moved(&latest, frame, guess, read, found),
                        None => differ.take(&latest, frame, piece, read, found),
                    }
                }
            }
            if rest.is_empty() {
                break Ok(());
            }
            let again = Instant::now();
            match transfer.fetch(link, self.root, rest) {
                Ok(n) => (batch, rest) = rest.split_at(n),
                Err(e) => break Err(e),
            }
            done.grab += again.elapsed();
        };
        self.transfer = Some(transfer);
        self.release(link)?;
        // The damage is subtracted already: only everything is sure to hold it.
        self.stale = outcome.is_err();
        outcome?;
        if self.found.is_empty() {
            screen.give_back(draft);
        } else {
            let found = &self.found;
            let moved = found.moved.iter().map(|m| m.to);
            let areas = found.changed.iter().copied().chain(moved);
            done.changed = areas.map(|r| u64::from(r.area())).sum();
            let step = motion.search(&latest, draft.frame(), found, &guesses);
            done.picture = Some((draft, step));
        }
        done.diff = (reading.grab + begun.elapsed()).saturating_sub(done.grab);
        Ok(done)
    }

    /// Lets the server go on, if it was grabbed.
    fn release(&self, link: &Link) -> Result<(), ConnectionError> {
        if self.is_direct() {
            link.ungrab_server()?;
            link.flush()?;
        }
        Ok(())
    }

    /// Reads a whole screen of this size.
    pub(super) fn whole(
        &mut self,
        link: &Link,
        width: u16,
        height: u16,
    ) -> Result<Frame, TransferError> {
        let mut frame = Frame::new(width, height);
        let bounds = frame.bounds();
        // Until it has been read; the screen may have another size again by then.
        self.stale = true;
        let mut transfer = self.transfer(link, bounds)?;
        if transfer.is_direct() {
            link.grab_server()?;
        }
        link.damage_subtract(self.damage, NONE, NONE)?;
        self.damaged = false;
        let geometry = link.get_geometry(self.root)?;
        let outcome = transfer.fetch(link, self.root, &[bounds]);
        // Behind this answer the damage is subtracted, and nobody draws whom a grab keeps from it.
        let geometry = geometry.reply()?;
        if outcome.is_ok() {
            copy(&mut transfer, 0, bounds, &mut frame);
        }
        self.transfer = Some(transfer);
        self.release(link)?;
        outcome?;
        if (geometry.width, geometry.height) != (width, height) {
            return Err(TransferError::Again);
        }
        self.stale = false;
        Ok(frame)
    }

    /// Takes the damage over from the server.
    fn fetch_damage(&self, link: &Link, bounds: Rect) -> Result<Vec<Rect>, TransferError> {
        link.damage_subtract(self.damage, NONE, self.region)?;
        let fetched = link.xfixes_fetch_region(self.region)?.reply()?;
        let rects = fetched.rectangles.iter().map(|r| clip(r, bounds));
        let region: Region = rects.filter(|r| !r.is_empty()).collect();
        Ok(region.simplified(RECTANGLES).rects().to_vec())
    }

    /// A transfer that suits a screen of this size.
    fn transfer(&mut self, link: &Link, bounds: Rect) -> Result<Transfer, ConnectionError> {
        if let Some(transfer) = self.transfer.take() {
            if transfer.suits(bounds.w, bounds.h) {
                return Ok(transfer);
            }
            transfer.close(link)?;
        }
        Transfer::new(link, self.layout.clone(), self.local, bounds.w, bounds.h)
    }
}

/// The next frame, of which a part is read when it is asked for.
struct Parts<'a> {
    transfer: &'a mut Transfer,
    rects: &'a [Rect],
    frame: &'a mut Frame,
}

impl Picture for Parts<'_> {
    fn part(&mut self, rect: Rect) -> &Frame {
        for (index, damaged) in self.rects.iter().enumerate() {
            let part = damaged.intersect(&rect);
            if !part.is_empty() {
                copy(self.transfer, index, part, self.frame);
            }
        }
        self.frame
    }
}

/// A rectangle in parts, each with the move that may have made it.
fn pieces(rect: Rect, guesses: &[Move]) -> Vec<(Rect, Option<Move>)> {
    let mut rest = Region::from(rect);
    let mut pieces = Vec::new();
    for guess in guesses {
        let mut here = rest.clone();
        here.clip(guess.to);
        rest.subtract(&here);
        pieces.extend(here.rects().iter().map(|to| {
            let from = Point {
                x: guess.from.x + (to.x - guess.to.x),
                y: guess.from.y + (to.y - guess.to.y),
            };
            (*to, Some(Move { to: *to, from }))
        }));
    }
    pieces.extend(rest.rects().iter().map(|rect| (*rect, None)));
    pieces
}

/// Copies a part of the `index`-th rectangle that was fetched into a frame.
fn copy(transfer: &mut Transfer, index: usize, rect: Rect, frame: &mut Frame) {
    let columns = usize::from(rect.x)..usize::from(rect.right());
    for y in rect.y..rect.bottom() {
        transfer.read(index, rect.x, y, &mut frame.row_mut(y)[columns.clone()]);
    }
}

/// X rectangles may begin left of or above the screen.
fn clip(r: &Rectangle, bounds: Rect) -> Rect {
    let edge = |v: i32, max: u16| v.clamp(0, i32::from(max)) as u16;
    let (x, y) = (i32::from(r.x), i32::from(r.y));
    Rect::from_edges(
        edge(x, bounds.w),
        edge(y, bounds.h),
        edge(x + i32::from(r.width), bounds.w),
        edge(y + i32::from(r.height), bounds.h),
    )
}

/// What capture cannot do without: DAMAGE and XFIXES. Returns the name of the one that is missing.
pub(super) fn missing_extension(link: &Link) -> Result<Option<&'static str>, ReplyError> {
    for name in [xfixes::X11_EXTENSION_NAME, damage::X11_EXTENSION_NAME] {
        if link.extension_information(name)?.is_none() {
            return Ok(Some(name));
        }
    }
    // Both refuse other requests of clients that did not tell their version.
    let (fixes, damage) = (
        link.xfixes_query_version(5, 0)?,
        link.damage_query_version(1, 1)?,
    );
    fixes.reply()?;
    damage.reply()?;
    Ok(None)
}
