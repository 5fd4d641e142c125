//! Getting pixels out of the X server: where it draws them if that is known, through shared memory where it can, over the
//! connection where it must.
//!
//! Requests for several rectangles are sent together and their replies awaited after, because a round trip costs more
//! than most rectangles (32 of them in 206 µs, against 90 µs each).

use std::fmt;
use std::io;

use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat, Window};

use super::backing::Pixels;
use super::connect::Link;
use super::visual::{Layout, RGB};
use crate::pixel::Rect;
use crate::sys::shm::{Ahead, Segment, View};

/// Without shared memory no more than so many bytes are asked for at once (but one rectangle always).
const PLAIN_BATCH: usize = 4 << 20;

/// Requests in flight; more would only fill buffers.
const PIPELINE: usize = 64;

/// Why there are no pixels.
#[derive(Debug)]
pub(super) enum TransferError {
    /// The rectangle was not wholly on the screen any more: the size is changing. Ask again.
    Again,
    /// The connection is gone.
    Lost(ConnectionError),
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again => write!(f, "the screen changed its size meanwhile"),
            Self::Lost(e) => write!(f, "{e}"),
        }
    }
}

impl From<ConnectionError> for TransferError {
    fn from(e: ConnectionError) -> Self {
        Self::Lost(e)
    }
}

impl From<ReplyError> for TransferError {
    fn from(e: ReplyError) -> Self {
        match e {
            ReplyError::ConnectionError(e) => Self::Lost(e),
            ReplyError::X11Error(_) => Self::Again,
        }
    }
}

/// The way pixels take, and those of the last [`Transfer::fetch`].
pub(super) struct Transfer {
    layout: Layout,
    way: Way,
    /// The rectangles fetched last, with the bytes at which each begins.
    fetched: Vec<(Rect, usize)>,
    /// A row as the server has it, and as we do.
    scratch: Vec<u8>,
    row: Vec<u32>,
}

enum Way {
    /// Nothing is fetched; the server must be grabbed while rows are read.
    Direct(Pixels),
    Shared {
        segment: Segment,
        id: shm::Seg,
    },
    Plain {
        bytes: Vec<u8>,
    },
}

impl Transfer {
    /// Prepares to read the server's own memory.
    pub(super) const fn direct(layout: Layout, pixels: Pixels) -> Self {
        Self {
            layout,
            way: Way::Direct(pixels),
            fetched: Vec::new(),
            scratch: Vec::new(),
            row: Vec::new(),
        }
    }

    /// Prepares for a screen of this size. Servers that cannot map our memory (another machine, a proxy, an old one)
    /// are asked over the connection.
    pub(super) fn new(
        link: &Link,
        layout: Layout,
        local: bool,
        width: u16,
        height: u16,
    ) -> Result<Self, ConnectionError> {
        let size = layout.stride(width) * usize::from(height);
        let shared = if local { share(link, size)? } else { None };
        Ok(Self {
            layout,
            way: shared.unwrap_or(Way::Plain { bytes: Vec::new() }),
            fetched: Vec::new(),
            scratch: Vec::new(),
            row: Vec::new(),
        })
    }

    /// True when pixels come through shared memory.
    pub(super) const fn is_shared(&self) -> bool {
        !matches!(self.way, Way::Plain { .. })
    }

    /// True when the server has to be grabbed while pixels are read.
    pub(super) const fn is_direct(&self) -> bool {
        matches!(self.way, Way::Direct(_))
    }

    /// True when it is of a good size for this screen: large enough, and not wastefully so.
    pub(super) fn suits(&self, width: u16, height: u16) -> bool {
        let size = self.layout.stride(width) * usize::from(height);
        match &self.way {
            Way::Direct(pixels) => pixels.hold(width, height),
            Way::Shared { segment, .. } => {
                (size..=size.saturating_mul(2)).contains(&segment.view().len())
            }
            Way::Plain { .. } => true,
        }
    }

    /// Gives the server's side of the memory back.
    pub(super) fn close(self, link: &Link) -> Result<(), ConnectionError> {
        if let Way::Shared { id, .. } = self.way {
            link.shm_detach(id)?.ignore_error();
        }
        Ok(())
    }

    /// Fetches as many of the first rectangles as go at once, at least one, and returns how many. All must lie within
    /// the screen.
    pub(super) fn fetch(
        &mut self,
        link: &Link,
        window: Window,
        rects: &[Rect],
    ) -> Result<usize, TransferError> {
        self.fetched.clear();
        let room = match &self.way {
            Way::Direct(_) => {
                self.fetched.extend(rects.iter().map(|rect| (*rect, 0)));
                return Ok(rects.len());
            }
            Way::Shared { segment, .. } => segment.view().len(),
            Way::Plain { .. } => PLAIN_BATCH,
        };
        let mut end = 0;
        for rect in rects.iter().take(PIPELINE) {
            let size = self.layout.stride(rect.w) * usize::from(rect.h);
            if end + size > room && end > 0 {
                break;
            }
            self.fetched.push((*rect, end));
            end += size;
        }
        match &mut self.way {
            Way::Direct(_) => {}
            Way::Shared { id, .. } => fetch_shared(link, window, *id, &self.fetched)?,
            Way::Plain { bytes } => {
                bytes.clear();
                fetch_plain(link, window, &self.fetched, bytes)?;
                if bytes.len() < end {
                    return Err(TransferError::Again);
                }
            }
        }
        Ok(self.fetched.len())
    }

    /// Copies pixels of the `index`-th rectangle fetched, from column `x` of screen row `y` on, as `0x00RRGGBB`.
    pub(super) fn read(&mut self, index: usize, x: u16, y: u16, out: &mut [u32]) {
        let length = out.len() * self.layout.bytes_per_pixel();
        let mut scratch = std::mem::take(&mut self.scratch);
        // All of it lies within, as `fetch` laid it out; were it not, the row would keep what it held, and be sent again.
        match self.at(index, x, y) {
            Some(At::Memory(view, offset)) if self.layout.is_native() => {
                let _ = view.read_words(offset, RGB, out);
            }
            Some(At::Memory(view, offset)) => {
                scratch.resize(length, 0);
                if view.read_bytes(offset, &mut scratch) {
                    self.layout.convert(&scratch, out);
                }
            }
            Some(At::Reply(bytes)) => {
                if let Some(bytes) = bytes.get(..length) {
                    self.layout.convert(bytes, out);
                }
            }
            None => {}
        }
        self.scratch = scratch;
    }

    /// True when those pixels are `pixels`. `ahead` is a row that is likely to be asked about next, and what it will be
    /// compared with.
    pub(super) fn holds(
        &mut self,
        index: usize,
        (x, y): (u16, u16),
        pixels: &[u32],
        ahead: Option<(u16, &[u32])>,
    ) -> bool {
        if self.layout.is_native()
            && let Some(At::Memory(view, offset)) = self.at(index, x, y)
        {
            let next = ahead.and_then(|(y, words)| match self.at(index, x, y)? {
                At::Memory(_, offset) => Some(Ahead { offset, words }),
                At::Reply(_) => None,
            });
            let here = Ahead {
                offset,
                words: pixels,
            };
            return view.same_words(offset, RGB, pixels, next.unwrap_or(here));
        }
        let mut row = std::mem::take(&mut self.row);
        row.resize(pixels.len(), 0);
        self.read(index, x, y, &mut row);
        let same = row == pixels;
        self.row = row;
        same
    }

    /// Where the pixels of the `index`-th rectangle fetched are, from column `x` of screen row `y` on.
    fn at(&self, index: usize, x: u16, y: u16) -> Option<At<'_>> {
        let (rect, start) = self.fetched.get(index)?;
        let (dx, dy) = (x.saturating_sub(rect.x), y.saturating_sub(rect.y));
        let offset = start
            + usize::from(dy) * self.layout.stride(rect.w)
            + usize::from(dx) * self.layout.bytes_per_pixel();
        match &self.way {
            Way::Direct(pixels) => {
                let (view, offset) = pixels.at(x, y);
                Some(At::Memory(view, offset))
            }
            Way::Shared { segment, .. } => Some(At::Memory(segment.view(), offset)),
            Way::Plain { bytes } => bytes.get(offset..).map(At::Reply),
        }
    }
}

/// Where pixels are.
enum At<'a> {
    /// From this byte on.
    Memory(&'a View, usize),
    /// At the beginning.
    Reply(&'a [u8]),
}

/// Shares new memory with the server; `None` when the server does not want to.
fn share(link: &Link, size: usize) -> Result<Option<Way>, ConnectionError> {
    if link
        .extension_information(shm::X11_EXTENSION_NAME)?
        .is_none()
    {
        return Ok(None);
    }
    let version = match link.shm_query_version()?.reply() {
        Ok(v) => (v.major_version, v.minor_version),
        Err(ReplyError::ConnectionError(e)) => return Err(e),
        Err(ReplyError::X11Error(_)) => return Ok(None),
    };
    // Descriptors came with version 1.2.
    if version < (1, 2) {
        return Ok(None);
    }
    let Ok(segment) = Segment::new(size.max(1)) else {
        return Ok(None);
    };
    let Ok(duplicate) = segment.duplicate() else {
        return Ok(None);
    };
    let id = match link.generate_id() {
        Ok(id) => id,
        Err(ReplyOrIdError::ConnectionError(e)) => return Err(e),
        Err(_) => return Ok(None),
    };
    match link.shm_attach_fd(id, duplicate, false)?.check() {
        Ok(()) => Ok(Some(Way::Shared { segment, id })),
        Err(ReplyError::ConnectionError(e)) => Err(e),
        Err(ReplyError::X11Error(_)) => Ok(None),
    }
}

fn fetch_shared(
    link: &Link,
    window: Window,
    id: shm::Seg,
    rects: &[(Rect, usize)],
) -> Result<(), TransferError> {
    let mut cookies = Vec::with_capacity(rects.len());
    for (r, offset) in rects {
        let offset = u32::try_from(*offset).map_err(too_large)?;
        let (x, y) = origin(r);
        cookies.push(link.shm_get_image(
            window,
            x,
            y,
            r.w,
            r.h,
            !0,
            ImageFormat::Z_PIXMAP.into(),
            id,
            offset,
        )?);
    }
    // All replies are taken even after an error, or they would wait in the connection for ever.
    let results: Vec<_> = cookies.into_iter().map(|c| c.reply()).collect();
    for result in results {
        result?;
    }
    Ok(())
}

fn fetch_plain(
    link: &Link,
    window: Window,
    rects: &[(Rect, usize)],
    bytes: &mut Vec<u8>,
) -> Result<(), TransferError> {
    let mut cookies = Vec::with_capacity(rects.len());
    for (r, _) in rects {
        let (x, y) = origin(r);
        cookies.push(link.get_image(ImageFormat::Z_PIXMAP, window, x, y, r.w, r.h, !0)?);
    }
    let results: Vec<_> = cookies.into_iter().map(|c| c.reply()).collect();
    for (result, (_, offset)) in results.into_iter().zip(rects) {
        bytes.resize(*offset, 0);
        bytes.extend_from_slice(&result?.data);
    }
    Ok(())
}

/// X counts positions in 16 bits with sign; screens are no larger than that.
fn origin(rect: &Rect) -> (i16, i16) {
    (
        i16::try_from(rect.x).unwrap_or(i16::MAX),
        i16::try_from(rect.y).unwrap_or(i16::MAX),
    )
}

fn too_large(_: std::num::TryFromIntError) -> TransferError {
    TransferError::Lost(ConnectionError::IoError(io::Error::other(
        "a screen beyond 4 GiB",
    )))
}
