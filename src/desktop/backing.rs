//! The memory behind the X screen, where it is known: reads the screen there, and gives back what it does not use.
//!
//! Xvfb cannot outgrow its first size, so it is started with the largest one, and has all pixels of that written to once
//! before it is shrunk. With `-fbdir` they lie in a file in the format of xwd, here one in memory. Holes are punched
//! into it beside and below the screen:
//!
//! ```text
//!   header │ row 0: used ......... hole │ row 1: used ......... hole │ … │ hole
//! ```
//!
//! They read as black and come back as they are written to, which is when the screen grows.
//!
//! The server draws into this memory and nowhere else, so pixels need not be asked for: whoever has grabbed the server
//! may read them where they are. Only the pointer must not be in the picture (Xvfb draws it there like anything else),
//! so it is hidden; its shape is asked for and told in any case.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::{FallocateFlags, fallocate};
use x11rb::connection::Connection;
use x11rb::errors::ReplyError;
use x11rb::protocol::xproto::{ConnectionExt as _, Window};

use super::connect::Link;
use super::visual::Layout;
use crate::sys::shm::View;

/// Bytes of the header that are looked at (XWDFile.h: 25 words in network order).
const HEADER: usize = 100;
/// Bytes of a colour of the map that follows the header.
const COLOR: u64 = 12;
/// Holes are made of whole pages.
const PAGE: u64 = 4096;

/// The file that an X server of ours keeps its pixels in.
#[derive(Debug)]
pub(super) struct Backing(File);

/// Where the pixels are in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    /// Of the first pixel.
    start: u64,
    /// From one row to the next.
    stride: u64,
    /// Bytes of a pixel.
    pixel: u64,
    columns: u64,
    rows: u64,
}

/// The pixels of the largest screen, where the X server draws them.
#[derive(Debug)]
pub(super) struct Pixels {
    view: View,
    plan: Plan,
}

impl Pixels {
    /// True for a screen that lies within.
    pub(super) fn hold(&self, width: u16, height: u16) -> bool {
        u64::from(width) <= self.plan.columns && u64::from(height) <= self.plan.rows
    }

    /// The memory, and the byte of it where the pixel of column `x` and row `y` begins. Nobody draws there meanwhile who has
    /// been stopped by a grab of the server.
    pub(super) fn at(&self, x: u16, y: u16) -> (&View, usize) {
        let offset =
            self.plan.start + u64::from(y) * self.plan.stride + u64::from(x) * self.plan.pixel;
        (&self.view, usize::try_from(offset).unwrap_or(usize::MAX))
    }
}

impl Backing {
    /// Opens the file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self(file))
    }

    /// The pixels, if they are laid out as this. To be called when the server is up, which makes the file.
    pub(super) fn pixels(&self, layout: &Layout) -> io::Result<Pixels> {
        let plan = self
            .plan()?
            .filter(|plan| plan.pixel == layout.bytes_per_pixel() as u64)
            .ok_or(io::ErrorKind::InvalidData)?;
        let view = View::of(&self.0)?;
        if (view.len() as u64) < plan.end() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Pixels { view, plan })
    }

    /// Gives back everything beyond the screen as it is now. Nobody else does anything meanwhile: what a screen that grows
    /// in this very moment shows would be lost.
    pub(super) fn trim(&self, link: &Link, root: Window) -> Result<(), ReplyError> {
        link.grab_server()?;
        let geometry = link.get_geometry(root)?.reply();
        if let Ok(geometry) = &geometry
            && let Err(error) = self.release_beyond(geometry.width, geometry.height)
        {
            tracing::debug!(%error, "the X server keeps the memory of its largest size");
        }
        link.ungrab_server()?;
        link.flush()?;
        geometry.map(drop)
    }

    /// Gives back everything beyond a screen of this size.
    fn release_beyond(&self, width: u16, height: u16) -> io::Result<()> {
        let plan = self.plan()?.ok_or(io::ErrorKind::InvalidData)?;
        for hole in plan.unused(width, height) {
            let (from, length) = (hole.start as i64, (hole.end - hole.start) as i64);
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            fallocate(&self.0, flags, from, length)?;
        }
        Ok(())
    }

    /// Where the pixels are; `None` for a file that does not hold what its header says.
    fn plan(&self) -> io::Result<Option<Plan>> {
        let mut header = [0; HEADER];
        self.0.read_exact_at(&mut header, 0)?;
        let length = self.0.metadata()?.len();
        Ok(Plan::parse(&header).filter(|plan| plan.end() == length))
    }
}

impl Plan {
    /// From the header of an xwd file of version 7 that holds whole pixels.
    fn parse(header: &[u8; HEADER]) -> Option<Self> {
        let word = |index: usize| {
            let bytes = header.get(index * 4..)?.first_chunk()?;
            Some(u64::from(u32::from_be_bytes(*bytes)))
        };
        let (version, z_pixmap) = (word(1)?, word(2)?);
        let plan = Self {
            start: word(0)? + word(19)? * COLOR,
            stride: word(12)?,
            pixel: word(11)? / 8,
            columns: word(4)?,
            rows: word(5)?,
        };
        let whole = plan.pixel > 0 && plan.columns * plan.pixel <= plan.stride;
        (version == 7 && z_pixmap == 2 && whole).then_some(plan)
    }

    fn end(&self) -> u64 {
        self.start + self.rows * self.stride
    }

    /// The whole pages that a screen of this size does not touch.
    fn unused(&self, width: u16, height: u16) -> impl Iterator<Item = Range<u64>> + use<> {
        let plan = *self;
        let rows = u64::from(height).min(plan.rows);
        let used = (u64::from(width) * plan.pixel).min(plan.stride);
        let row = move |y: u64| plan.start + y * plan.stride;
        let beside = (0..rows).map(move |y| row(y) + used..row(y + 1));
        let below = row(rows)..plan.end();
        let gaps = beside.chain([below]);
        gaps.map(|gap| gap.start.next_multiple_of(PAGE)..gap.end / PAGE * PAGE)
            .filter(|hole| !hole.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    /// The header that Xvfb writes for 3840x2160x24.
    fn header() -> [u8; HEADER] {
        let words: [u32; 25] = [
            160, 7, 2, 24, 3840, 2160, 0, 0, 32, 0, 32, 32, 15360, 4, 0xff_0000, 0xff00, 0xff, 8,
            256, 256, 3840, 2160, 0, 0, 0,
        ];
        let mut header = [0; HEADER];
        for (bytes, word) in header.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        header
    }

    #[test]
    fn the_header_of_xvfb_is_understood_and_another_is_not() {
        let plan = Plan::parse(&header()).expect("a header");
        assert_eq!(plan.start, 3232);
        assert_eq!(plan.end(), 33_180_832, "the size of Xvfb's file");
        let mut other = header();
        other[7] = 6;
        assert_eq!(Plan::parse(&other), None);
        assert_eq!(Plan::parse(&[0; HEADER]), None);
    }

    #[test]
    fn holes_lie_beyond_the_screen() {
        let plan = Plan::parse(&header()).expect("a header");
        assert_eq!(plan.unused(3840, 2160).count(), 0);
        assert_eq!(plan.unused(u16::MAX, u16::MAX).count(), 0);
        for (width, height) in [(1, 1), (1280, 1024), (1920, 1080), (3840, 100), (100, 2160)] {
            let mut last = plan.start;
            for hole in plan.unused(width, height) {
                assert!(hole.start % PAGE == 0 && hole.end % PAGE == 0 && hole.start >= last);
                last = hole.end;
                let row = (hole.start - plan.start) / plan.stride;
                let column = (hole.start - plan.start) % plan.stride / plan.pixel;
                assert!(row >= u64::from(height) || column >= u64::from(width));
                let same_row = hole.end <= plan.start + (row + 1) * plan.stride;
                assert!(same_row || row >= u64::from(height));
            }
            assert!(last <= plan.end());
        }
    }

    #[test]
    fn what_is_shown_stays_and_the_rest_is_given_back() {
        let path = std::env::temp_dir().join(format!("deskinit-backing-{}", std::process::id()));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .expect("a file");
        let plan = Plan::parse(&header()).expect("a header");
        let mut content = vec![0xab; plan.end() as usize];
        content[..HEADER].copy_from_slice(&header());
        file.write_all_at(&content, 0).expect("written");
        let before = file.metadata().expect("a file").blocks();
        let done = Backing::open(&path).and_then(|backing| backing.release_beyond(1920, 1080));
        std::fs::remove_file(&path).expect("removed");
        if done.is_err_and(|e| e.raw_os_error() == Some(libc::EOPNOTSUPP)) {
            // A file system without holes; the memory that this is for has them.
            return;
        }
        let after = file.metadata().expect("a file").blocks();
        assert!(after < before / 2, "{before} → {after} blocks");
        let mut row = vec![0; 1920 * 4];
        for y in [0, 500, 1079] {
            file.read_exact_at(&mut row, plan.start + y * plan.stride)
                .expect("read");
            assert!(row.iter().all(|byte| *byte == 0xab));
        }
    }

    #[test]
    fn a_file_of_something_else_is_left_alone() {
        let path =
            std::env::temp_dir().join(format!("deskinit-backing-not-{}", std::process::id()));
        std::fs::write(&path, vec![7; 100_000]).expect("a file");
        let done = Backing::open(&path).and_then(|backing| backing.release_beyond(1, 1));
        assert_eq!(done.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(std::fs::read(&path).expect("a file"), vec![7; 100_000]);
        std::fs::remove_file(&path).expect("removed");
    }
}
