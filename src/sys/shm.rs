//! Memory that another process writes into: a sealed memfd, mapped here for reading.
//!
//! ```text
//!   Segment::new ── memfd, sized, sealed, mapped ──► duplicate() ──► the X server maps it, read-write
//!                                                                      │ ShmGetImage writes, then replies
//!   same_words compares, read_words / read_bytes copy out ◄────────────┤
//!   View::of ── a memfd that is there already, sealed, mapped ◄────────┘ or it draws there all the time
//! ```
//!
//! The seals keep the size as it is, so that neither side can make the other fault. No SysV segment: those are
//! addressed by a number that anybody may guess, and outlive their makers.

mod compare;

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use self::compare::Compared;
use super::simd::Avx2;

/// A piece of memory shared with one other process.
#[derive(Debug)]
pub struct Segment {
    fd: OwnedFd,
    view: View,
}

/// Memory of another process as it is seen from here.
///
/// Its bytes are only ever looked at and copied out through raw pointers: no reference to them exists on this side, because the other
/// process may write at any time. In practice it writes between a request and its reply, or while nobody has stopped it;
/// if it writes out of turn, the bytes read are a mixture of old and new, and nothing worse.
#[derive(Debug)]
pub struct View {
    /// INVARIANT: start of a readable mapping of `len` bytes that lives as long as this value, of a file that cannot
    /// become shorter.
    base: NonNull<c_void>,
    len: usize,
    wide: Option<Avx2>,
}

/// What is likely to be compared next, on both sides.
#[derive(Clone, Copy, Debug)]
pub struct Ahead<'a> {
    /// In bytes; need not lie within.
    pub offset: usize,
    /// What it will be compared with.
    pub words: &'a [u32],
}

// SAFETY: the mapping belongs to the process, not to the thread that made it; only copies are made from it.
unsafe impl Send for View {}

impl Segment {
    /// Memory of `len` bytes (at least one), all zero; physical pages come as they are written.
    pub fn new(len: usize) -> io::Result<Self> {
        let size = i64::try_from(len)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a segment beyond 2^63"))?;
        let fd = memfd_create(
            c"deskinit-frame",
            MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
        )?;
        nix::unistd::ftruncate(&fd, size)?;
        let seals = SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))?;
        let view = View::of(&fd)?;
        Ok(Self { fd, view })
    }

    /// What is in it.
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Another descriptor of the memory, to hand to the other process.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

impl View {
    /// Looks into a memory file, as long as it is now, which it keeps at least from here on.
    ///
    /// # Errors
    /// The file is empty, no memory file, or one that may not be sealed; or no address space is left.
    pub fn of(fd: &impl AsFd) -> io::Result<Self> {
        let seals = SealFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GET_SEALS)?);
        if !seals.contains(SealFlag::F_SEAL_SHRINK) {
            fcntl(fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
        }
        let size = nix::sys::stat::fstat(fd)?.st_size;
        let length = usize::try_from(size).ok().and_then(NonZeroUsize::new);
        let length = length.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "an empty piece of memory")
        })?;
        // SAFETY: a fresh shared mapping at an address of the kernel's choice; the file has this length and, being
        // sealed, never a shorter one, so no access within it can fault.
        let base = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ,
                MapFlags::MAP_SHARED,
                fd.as_fd(),
                0,
            )?
        };
        Ok(Self {
            base,
            len: length.get(),
            wide: Avx2::detect(),
        })
    }

    /// Size in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Never true; here because a length asks for it.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies bytes out, from `offset`. False, and nothing copied, when they do not all lie within.
    #[must_use]
    pub fn read_bytes(&self, offset: usize, out: &mut [u8]) -> bool {
        if !self.holds(offset, out.len()) {
            return false;
        }
        // SAFETY: `holds` checked that the source lies within the mapping; `out` is another allocation. Concurrent writes
        // by the other process can only change which bytes are copied, and every bit pattern is a valid `u8`.
        unsafe {
            let from = self.base.as_ptr().cast::<u8>().cast_const().add(offset);
            std::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len());
        }
        true
    }

    /// Copies words of the machine's byte order out, from the byte `offset`, which need not be aligned, and keeps the
    /// bits of `mask`: both in one pass over memory that another process has just written. False, and nothing copied,
    /// when they do not all lie within.
    #[must_use]
    pub fn read_words(&self, offset: usize, mask: u32, out: &mut [u32]) -> bool {
        let bytes = size_of_val(out);
        if !self.holds(offset, bytes) {
            return false;
        }
        // SAFETY: as in `read_bytes`: all of it lies within the mapping.
        let from = unsafe { self.base.as_ptr().cast::<u8>().cast_const().add(offset) };
        for (n, word) in out.iter_mut().enumerate() {
            // SAFETY: word `n` of those that were found to lie within; alignment does not matter to this read, and every
            // bit pattern is a valid `u32`.
            *word = unsafe { from.cast::<u32>().add(n).read_unaligned() } & mask;
        }
        true
    }

    /// True when the words from the byte `offset` on, which need not be aligned, are `words` in the bits of `mask`, which
    /// `words` has no others of. False when they do not all lie within.
    ///
    /// What is `ahead` is brought near meanwhile.
    #[must_use]
    pub fn same_words(&self, offset: usize, mask: u32, words: &[u32], ahead: Ahead<'_>) -> bool {
        if !self.holds(offset, size_of_val(words)) {
            return false;
        }
        let base = self.base.as_ptr().cast::<u8>().cast_const();
        let both = Compared {
            // SAFETY: as in `read_bytes`: all of it lies within the mapping.
            theirs: unsafe { base.add(offset) },
            words,
            mask,
            next: base.wrapping_add(ahead.offset),
            ahead: ahead.words,
        };
        // SAFETY: as many words as `words` were found to lie within.
        unsafe { compare::same(both, self.wide) }
    }

    fn holds(&self, offset: usize, len: usize) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.len)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `of`, with its length; nothing refers to it any more. A failure would leak it.
        let _ = unsafe { munmap(self.base, self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn what_the_other_side_writes_is_read() {
        let segment = Segment::new(16).expect("a memfd");
        let other = std::fs::File::from(segment.duplicate().expect("a descriptor"));
        other
            .write_all_at(&[1, 2, 3, 4, 5, 6, 7, 8], 4)
            .expect("written");
        let mut words = [0; 2];
        assert!(segment.view().read_words(4, !0, &mut words));
        assert_eq!(
            words,
            [
                u32::from_ne_bytes([1, 2, 3, 4]),
                u32::from_ne_bytes([5, 6, 7, 8])
            ]
        );
        let mut bytes = [0; 3];
        assert!(segment.view().read_bytes(5, &mut bytes));
        assert_eq!(bytes, [2, 3, 4]);
    }

    #[test]
    fn words_are_compared_where_they_lie() {
        let segment = Segment::new(400).expect("a memfd");
        let other = std::fs::File::from(segment.duplicate().expect("a descriptor"));
        let bytes: Vec<u8> = (0..99u32).flat_map(u32::to_ne_bytes).collect();
        other.write_all_at(&bytes, 1).expect("written");
        let words: Vec<u32> = (0..99).collect();
        let same = |offset, words: &[u32]| {
            let ahead = Ahead { offset: !0, words };
            segment.view().same_words(offset, !0, words, ahead)
        };
        assert!(same(1, &words));
        assert!(same(1 + 4 * 20, &words[20..70]));
        assert!(!same(5, &words), "not all of it lies within");
        assert!(!same(5, &words[..98]));
    }

    #[test]
    fn nothing_is_read_beyond_the_end() {
        let segment = Segment::new(8).expect("a memfd");
        let mut words = [7; 2];
        assert!(!segment.view().read_words(1, !0, &mut words));
        assert!(!segment.view().read_bytes(usize::MAX, &mut [0; 2]));
        assert_eq!(words, [7; 2]);
        assert!(Segment::new(0).is_err());
    }

    #[test]
    fn the_size_is_sealed() {
        let segment = Segment::new(4096).expect("a memfd");
        let other = std::fs::File::from(segment.duplicate().expect("a descriptor"));
        assert!(other.set_len(0).is_err());
        assert!(other.set_len(8192).is_err());
    }

    #[test]
    fn a_file_of_others_is_seen_and_cannot_be_cut_from_then_on() {
        let fd = crate::sys::memfd::blank("test").expect("a memfd");
        assert!(View::of(&fd).is_err(), "it is empty");
        let other = std::fs::File::from(fd.try_clone().expect("a descriptor"));
        other.write_all_at(&[1, 2, 3], 0).expect("written");
        let view = View::of(&fd).expect("a view");
        let mut bytes = [0; 2];
        assert!(view.read_bytes(1, &mut bytes));
        assert_eq!(bytes, [2, 3]);
        assert!(!view.read_bytes(2, &mut bytes));
        assert!(other.set_len(2).is_err());
        other.write_all_at(&[7], 5).expect("it may grow");
        assert!(View::of(&fd).is_ok(), "a second time, too");
        assert!(View::of(&std::fs::File::open("/proc/self/stat").expect("a file")).is_err());
    }
}
