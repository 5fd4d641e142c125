//! From damage to a new picture.
//!
//! ```text
//!   fetch   [GrabServer →] DamageSubtract → FetchRegion ─► rectangles [─► GetImage ×n, one more round trip]
//!               │ (or everything, when stale)                  │
//!               └ from here on the server notes new damage     │ hints: windows that were moved since
//!                                                              ▼
//!   take    guess what moved ─► move it, in the picture ─► take over what else differs ─► search that
//!                                                              │                        └ nothing new: the draft goes back
//!                                                              └► [UngrabServer]
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
use super::diff::{Differ, Source};
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
pub(super) struct Grab<'a> {
    /// The new picture and how it came from the one before, to be published; `None` when nothing had changed.
    pub(super) picture: Option<(Draft<'a>, Step)>,
    /// The picture that was there was wanted while it could not be had: now it can.
    pub(super) missed: bool,
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

    /// Takes what was fetched into the picture, and finds out what became of the one before; `hints` are windows that were
    /// moved since. The picture is in the answer, to be published.
    pub(super) fn take<'a>(
        &mut self,
        link: &Link,
        screen: &'a Screen,
        reading: Reading,
        motion: &mut Motion,
        hints: &[Move],
    ) -> Result<Grab<'a>, TransferError> {
        let begun = Instant::now();
        let mut done = Grab {
            picture: None,
            missed: false,
            pixels: 0,
            changed: 0,
            grab: reading.grab,
            diff: Duration::ZERO,
            pointer: reading.pointer,
        };
        // Nobody else changes the size.
        let ready = screen.bounds() == reading.bounds;
        // The caller saw that there is a buffer; a reader may have come since.
        let draft = ready.then(|| screen.draft()).flatten();
        let transfer = draft.is_some().then(|| self.transfer.take()).flatten();
        let (Some(mut draft), Some(transfer)) = (draft, transfer) else {
            self.give_up(link)?;
            return Ok(done);
        };
        let mut damage = Damage {
            transfer,
            rects: &reading.rects,
            fetched: reading.fetched,
        };
        let frame = draft.frame();
        let guesses = if damage.is_whole() {
            let region: Region = damage.rects.iter().copied().collect();
            let mut parts = Parts {
                damage: &mut damage,
                frame,
            };
            motion.guess(frame, &mut parts, &region, hints)
        } else {
            // Pixels come one part after the other.
            Vec::new()
        };
        self.found.clear();
        let outcome = self.compare(link, &mut draft, &mut damage, motion, &guesses, &mut done);
        self.transfer = Some(damage.transfer);
        // The damage is subtracted already: only everything is sure to hold it.
        self.stale = outcome.is_err();
        self.release(link)?;
        let looks_back = outcome?;
        if self.found.is_empty() {
            done.missed = screen.give_back(draft);
        } else {
            let found = &self.found;
            let moved = found.moved.iter().map(|m| m.to);
            let areas = found.changed.iter().copied().chain(moved);
            done.changed = areas.map(|r| u64::from(r.area())).sum();
            let old = looks_back.then(|| draft.before());
            let step = motion.search(old.as_ref(), draft.frame(), found, &guesses);
            done.picture = Some((draft, step));
        }
        done.diff = (reading.grab + begun.elapsed()).saturating_sub(done.grab);
        Ok(done)
    }

    /// Takes the damage into the picture: first what moved, from where it was before anything else was changed, then the
    /// rest. True when what the rest has overwritten was kept.
    fn compare(
        &mut self,
        link: &Link,
        draft: &mut Draft<'_>,
        damage: &mut Damage<'_>,
        motion: &Motion,
        guesses: &[Move],
        done: &mut Grab<'_>,
    ) -> Result<bool, TransferError> {
        let Self { differ, found, .. } = self;
        let (frame, past) = draft.write();
        let mut settled = Region::new();
        for guess in guesses {
            for (index, guess) in damage.parts_of(guess, &settled) {
                Differ::settle(frame, guess, &mut damage.of(index), found, &mut settled);
            }
        }
        let mut rest: Region = damage.rects.iter().copied().collect();
        rest.subtract(&settled);
        let looks_back = motion.looks_back(&rest, &found.moved, guesses);
        loop {
            for (index, rect) in damage.fetched().iter().enumerate() {
                done.pixels += u64::from(rect.area());
                let mut rest = Region::from(*rect);
                rest.subtract(&settled);
                for rect in rest.rects() {
                    let past = looks_back.then_some(&mut *past);
                    differ.take(frame, *rect, &mut damage.of(index), past, found);
                }
            }
            let again = Instant::now();
            if !damage.fetch_more(link, self.root)? {
                return Ok(looks_back);
            }
            done.grab += again.elapsed();
        }
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

/// What the server has drawn since, as it comes.
struct Damage<'a> {
    transfer: Transfer,
    /// What has not been dealt with.
    rects: &'a [Rect],
    /// So many of the first ones are there.
    fetched: usize,
}

impl<'a> Damage<'a> {
    fn is_whole(&self) -> bool {
        self.fetched == self.rects.len()
    }

    const fn fetched(&self) -> &'a [Rect] {
        self.rects.split_at(self.fetched).0
    }

    /// One of the rectangles that are there.
    const fn of(&mut self, index: usize) -> Part<'_> {
        Part {
            transfer: &mut self.transfer,
            index,
        }
    }

    /// Goes on with those that are not there yet. False when there are no more.
    fn fetch_more(&mut self, link: &Link, root: Window) -> Result<bool, TransferError> {
        if self.is_whole() {
            return Ok(false);
        }
        self.rects = &self.rects[self.fetched..];
        self.fetched = self.transfer.fetch(link, root, self.rects)?;
        Ok(true)
    }

    /// What a guess says of each rectangle, but for what is settled; in the order in which few cover the source of a later
    /// one.
    fn parts_of(&self, guess: &Move, settled: &Region) -> Vec<(usize, Move)> {
        let mut parts = Vec::new();
        for (index, rect) in self.fetched().iter().enumerate() {
            let mut rest = Region::from(rect.intersect(&guess.to));
            rest.subtract(settled);
            parts.extend(rest.rects().iter().map(|to| (index, guess.part(*to))));
        }
        parts.sort_by_key(|(_, part)| guess.rank(&part.to));
        parts
    }
}

/// A rectangle that was fetched.
struct Part<'a> {
    transfer: &'a mut Transfer,
    index: usize,
}

impl Source for Part<'_> {
    fn holds(&mut self, at: (u16, u16), pixels: &[u32], ahead: Option<(u16, &[u32])>) -> bool {
        self.transfer.holds(self.index, at, pixels, ahead)
    }

    fn read(&mut self, (x, y): (u16, u16), out: &mut [u32]) {
        self.transfer.read(self.index, x, y, out);
    }
}

/// The next picture, of which a part is read when it is asked for; where there is no damage, it is this one.
struct Parts<'a, 'b> {
    damage: &'a mut Damage<'b>,
    frame: &'a Frame,
}

impl Picture for Parts<'_, '_> {
    fn read(&mut self, rect: Rect, out: &mut Vec<u32>) {
        (&mut &*self.frame).read(rect, out);
        let width = usize::from(rect.w);
        for index in 0..self.damage.fetched {
            let part = self.damage.rects[index].intersect(&rect);
            if part.is_empty() {
                continue;
            }
            let columns = usize::from(part.x - rect.x)..usize::from(part.right() - rect.x);
            for y in part.y..part.bottom() {
                let row = &mut out[usize::from(y - rect.y) * width..][..width];
                self.damage
                    .of(index)
                    .read((part.x, y), &mut row[columns.clone()]);
            }
        }
    }
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
