//! From damage to a new picture.
//!
//! ```text
//!   DamageSubtract → FetchRegion ─► rectangles ─► GetImage ×n, one round trip ─► into the draft, compared with the
//!        │ (or everything, when stale)                                            latest frame on the way
//!        └ from here on the server notes new damage                                └ nothing new: the draft goes back
//! ```
//!
//! Damage is subtracted before the pixels are read, so what is drawn meanwhile is read now or reported again, never
//! lost. While nobody wants frames nothing is subtracted: the server then has told once that there is damage, collects,
//! and stays silent.

use std::time::{Duration, Instant};

use x11rb::NONE;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::damage::{self, ConnectionExt as _, ReportLevel};
use x11rb::protocol::xfixes::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ConnectionExt as _, Rectangle, Window};

use super::connect::Link;
use super::diff::Differ;
use super::transfer::{Transfer, TransferError};
use super::visual::Layout;
use crate::pixel::{Frame, Point, Rect, Region};
use crate::screen::{Draft, Screen};

/// Damage in more rectangles than this is read in larger ones: comparing a little more is cheaper than many requests.
const RECTANGLES: usize = 32;

/// Reads the screen.
pub(super) struct Grabber {
    root: Window,
    layout: Layout,
    local: bool,
    damage: damage::Damage,
    region: xfixes::Region,
    /// Made at the first grab, for the screen's size then.
    transfer: Option<Transfer>,
    differ: Differ,
    changed: Vec<Rect>,
    damaged: bool,
    stale: bool,
}

/// What a grab did.
#[derive(Debug)]
pub(super) struct Grab {
    /// The new picture and what changed in it, to be published; `None` when nothing had changed.
    pub(super) picture: Option<(Draft, Region)>,
    /// Pixels that were read; 0 when there was no damage after all.
    pub(super) pixels: u64,
    /// Time until the pixels were there.
    pub(super) grab: Duration,
    /// Time to compare and copy them.
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
    ) -> Result<Self, ReplyOrIdError> {
        let damage = link.generate_id()?;
        let region = link.generate_id()?;
        link.damage_create(damage, root, ReportLevel::NON_EMPTY)?
            .check()?;
        link.xfixes_create_region(region, &[])?.check()?;
        Ok(Self {
            root,
            layout,
            local,
            damage,
            region,
            transfer: None,
            differ: Differ::default(),
            changed: Vec::new(),
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

    /// Reads what was damaged. What changed is in the answer's picture, and is lost if that is not published.
    pub(super) fn grab(&mut self, link: &Link, screen: &Screen) -> Result<Grab, TransferError> {
        let start = Instant::now();
        let (_, latest) = screen.latest();
        let bounds = latest.bounds();
        let pointer = link.query_pointer(self.root)?;
        let rects = if self.stale {
            link.damage_subtract(self.damage, NONE, NONE)?;
            vec![bounds]
        } else {
            self.fetch_damage(link, bounds)?
        };
        self.damaged = false;
        let pointer = pointer.reply()?;
        let mut done = Grab {
            picture: None,
            pixels: 0,
            grab: Duration::ZERO,
            diff: Duration::ZERO,
            pointer: super::cursor::point(pointer.root_x, pointer.root_y),
        };
        let mut transfer = self.transfer(link, bounds)?;
        let Some(mut draft) = screen.draft(&rects.iter().copied().collect()) else {
            // Cannot be: the caller saw that there is a free buffer. Read it all again then.
            self.transfer = Some(transfer);
            self.stale = true;
            return Ok(done);
        };
        self.changed.clear();
        let mut at = start;
        let mut rest = rects.as_slice();
        let outcome = loop {
            if rest.is_empty() {
                break Ok(());
            }
            let batch = match transfer.fetch(link, self.root, rest) {
                Ok(n) => &rest[..n],
                Err(e) => break Err(e),
            };
            rest = &rest[batch.len()..];
            let fetched = Instant::now();
            done.grab += fetched - at;
            for (index, rect) in batch.iter().enumerate() {
                done.pixels += u64::from(rect.area());
                let read = |y, row: &mut [u32]| transfer.read(index, rect.x, y, row);
                let (differ, changed) = (&mut self.differ, &mut self.changed);
                differ.take(&latest, draft.frame(), *rect, read, changed);
            }
            at = Instant::now();
            done.diff += at - fetched;
        };
        self.transfer = Some(transfer);
        if let Err(e) = outcome {
            // The damage is subtracted already: only everything is sure to hold it.
            self.stale = true;
            return Err(e);
        }
        self.stale = false;
        if self.changed.is_empty() {
            screen.give_back(draft);
        } else {
            done.picture = Some((draft, self.changed.drain(..).collect()));
        }
        Ok(done)
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
        link.damage_subtract(self.damage, NONE, NONE)?;
        self.damaged = false;
        // Until it has been read; the screen may have another size again by then.
        self.stale = true;
        let mut transfer = self.transfer(link, bounds)?;
        let outcome = transfer.fetch(link, self.root, &[bounds]);
        if outcome.is_ok() {
            copy(&mut transfer, 0, bounds, &mut frame);
        }
        self.transfer = Some(transfer);
        outcome?;
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
