//! Writing to standard output without ever being held up by whoever reads it.
//!
//! Setting `O_NONBLOCK` on the descriptor itself would change it for every process that shares it (a shell, our
//! parent). So a pipe or terminal is opened anew, which gives a description of our own; a socket is written with
//! `MSG_DONTWAIT`; a regular file does not block.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How a log file is opened: no link is followed, and what is no file does not hold us up.
pub const LOG_FILE_FLAGS: i32 =
    libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;

/// Standard output.
#[derive(Debug)]
pub struct Output {
    file: File,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Never blocks: our own non-blocking description, or a regular file.
    Direct,
    /// A socket.
    Socket,
    /// Could not be opened anew: written in small pieces, only when there is room.
    Careful,
}

impl Output {
    /// Takes standard output.
    ///
    /// # Errors
    /// No descriptor is left, or standard output is closed.
    pub fn stdout() -> io::Result<Self> {
        Self::of(io::stdout().as_fd())
    }

    /// Takes what `fd` refers to.
    ///
    /// # Errors
    /// As [`Output::stdout`].
    pub fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let file = File::from(fd.try_clone_to_owned()?);
        let what = file.metadata()?.file_type();
        if what.is_file() {
            return Ok(Self {
                file,
                kind: Kind::Direct,
            });
        }
        if what.is_socket() {
            return Ok(Self {
                file,
                kind: Kind::Socket,
            });
        }
        let again = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
            .open(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        Ok(match again {
            Ok(file) => Self {
                file,
                kind: Kind::Direct,
            },
            Err(_) => Self {
                file,
                kind: Kind::Careful,
            },
        })
    }

    /// Writes some of `bytes`: as many as there is room for, never waiting.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; anything else means that nobody will ever read it.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.kind {
            Kind::Direct => self.file.write(bytes),
            Kind::Socket => {
                let flags = nix::sys::socket::MsgFlags::MSG_DONTWAIT
                    | nix::sys::socket::MsgFlags::MSG_NOSIGNAL;
                Ok(nix::sys::socket::send(self.file.as_raw_fd(), bytes, flags)?)
            }
            Kind::Careful => {
                if !self.room(0) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                // A pipe with room at all takes one page whole.
                let piece = bytes.get(..4096).unwrap_or(bytes);
                self.file.write(piece)
            }
        }
    }

    /// Waits until there is room, at most this many milliseconds; says whether there is.
    pub fn room(&self, milliseconds: u16) -> bool {
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::from(milliseconds)).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Reads what is there of a pipe that was made with [`pipe`]; `Ok(0)` is its end.
///
/// # Errors
/// `WouldBlock` when nothing is there now.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(nix::unistd::read(fd, buffer)?)
}

/// A pipe to a child: our end does not block, the child's does, as programs expect of their output. Both ends are
/// close-on-exec.
///
/// # Errors
/// No descriptor is left.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    nix::fcntl::fcntl(
        &ours,
        nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
    )?;
    Ok((ours, theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pipe_does_not_block_and_keeps_its_flags() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let mut output = Output::of(writer.as_fd()).unwrap();
        assert_eq!(output.kind, Kind::Direct);
        let mut written = 0;
        loop {
            match output.write(&[b'x'; 5000]) {
                Ok(count) => written += count,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        assert!(written >= 4096 && !output.room(0));
        let flags = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_GETFL).unwrap();
        assert_eq!(
            flags & libc::O_NONBLOCK,
            0,
            "the shared description is as it was"
        );
        drop(reader);
        assert_eq!(
            output.write(b"x").unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }

    #[test]
    fn the_careful_way_does_not_block_either() {
        let (_reader, writer) = nix::unistd::pipe().unwrap();
        let mut output = Output {
            file: File::from(writer),
            kind: Kind::Careful,
        };
        while output.write(&[b'x'; 5000]).is_ok() {}
        assert_eq!(
            output.write(b"x").unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }
}
