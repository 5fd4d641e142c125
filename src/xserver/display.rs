//! A display number of our own: `/tmp/.XN-lock` and `/tmp/.X11-unix/XN`.
//!
//! With `-displayfd` the X server writes no lock, so we hold the lock in its stead, in the usual format (the process id
//! in ten columns). It outlives restarts of the X server, and every other program that starts X servers respects it.
//!
//! Containers that share `/tmp` do not know each other's process ids: what one reads in the lock of another may be nobody
//! here. So the lock's file is locked as well (`flock`), which the kernel ends with the process that holds it.
//!
//! A left-over is removed only when its owner is certainly dead: nobody accepts on the socket, nobody holds the lock's
//! file, and it names no living process. Nothing is ever followed: a link, directory, FIFO or file in the place of either
//! is refused.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown,
};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::sys::{pidfd, procfs};

/// Numbers that are tried when none was asked for.
const TRIED: u16 = 1000;

/// A display number that is ours until it is dropped.
#[derive(Debug)]
pub struct Display {
    number: u16,
    places: Places,
    /// The lock's file, itself locked as long as it is open.
    lock: File,
}

/// Why a display number cannot be had.
#[derive(Debug)]
pub enum DisplayError {
    /// A living X server has it.
    Taken {
        /// The display number.
        number: u16,
        /// What shows that it lives.
        sign: String,
    },
    /// Something is in its place that is no left-over of an X server.
    Strange {
        /// What.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The file system refused.
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No number was asked for and none is free.
    NoneFree,
}

impl fmt::Display for DisplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { number, sign } => {
                write!(
                    f,
                    "DISPLAY=:{number}: another X server has it ({sign}); choose another, or unset DISPLAY"
                )
            }
            Self::Strange { path, what } => {
                write!(
                    f,
                    "{}: is {what}, not what an X server leaves there; remove it",
                    path.display()
                )
            }
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::NoneFree => write!(f, "no display number below {TRIED} is free"),
        }
    }
}

impl std::error::Error for DisplayError {}

/// Where locks and sockets are: `/tmp`, but in tests.
#[derive(Clone, Debug)]
struct Places {
    root: PathBuf,
    /// Sockets in the abstract name space have no root: tests with a root of their own do not look there.
    abstract_too: bool,
    /// User and group of new locks, when it is not ourselves.
    owner: Option<(u32, u32)>,
}

impl Display {
    /// Takes this number, or the first free one. The lock belongs to `owner`, user and group, whom root will have become
    /// when it is removed.
    ///
    /// # Errors
    /// See [`DisplayError`].
    pub fn claim(wanted: Option<u16>, owner: Option<(u32, u32)>) -> Result<Self, DisplayError> {
        Self::claim_in(
            Places {
                root: PathBuf::from("/tmp"),
                abstract_too: true,
                owner,
            },
            wanted,
        )
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// As programs read it from `DISPLAY`.
    pub fn name(&self) -> String {
        format!(":{}", self.number)
    }

    fn claim_in(places: Places, wanted: Option<u16>) -> Result<Self, DisplayError> {
        places.prepare()?;
        let (number, lock) = match wanted {
            Some(number) => (number, places.take(number)?),
            None => places.first_free()?,
        };
        Ok(Self {
            number,
            places,
            lock,
        })
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let path = self.places.lock(self.number);
        // Unless somebody took it from us by force.
        if same(&self.lock, &path) {
            // A server that was killed could not remove its socket.
            let _ = fs::remove_file(self.places.socket(self.number));
            let _ = fs::remove_file(&path);
        }
    }
}

impl Places {
    fn lock(&self, number: u16) -> PathBuf {
        self.root.join(format!(".X{number}-lock"))
    }

    fn socket(&self, number: u16) -> PathBuf {
        self.directory().join(format!("X{number}"))
    }

    fn directory(&self) -> PathBuf {
        self.root.join(".X11-unix")
    }

    /// The sockets' directory: an X server that is not root refuses to make it.
    fn prepare(&self) -> Result<(), DisplayError> {
        let path = self.directory();
        match fs::DirBuilder::new().mode(0o1777).create(&path) {
            // The umask has taken bits away.
            Ok(()) => fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
        .map_err(|source| DisplayError::Io {
            path: path.clone(),
            source,
        })?;
        match kind(&path)? {
            Some(Kind::Directory) => Ok(()),
            Some(other) => Err(DisplayError::Strange {
                path,
                what: other.name(),
            }),
            None => Err(DisplayError::Io {
                path,
                source: io::ErrorKind::NotFound.into(),
            }),
        }
    }

    fn first_free(&self) -> Result<(u16, File), DisplayError> {
        for number in 0..TRIED {
            match self.take(number) {
                Ok(lock) => return Ok((number, lock)),
                // Somebody else's, in whatever way: the next.
                Err(DisplayError::Taken { .. } | DisplayError::Strange { .. }) => {}
                Err(DisplayError::Io { source, .. })
                    if source.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(error),
            }
        }
        Err(DisplayError::NoneFree)
    }

    /// Takes the lock, then removes what a dead server has left.
    fn take(&self, number: u16) -> Result<File, DisplayError> {
        self.check_socket(number)?;
        let lock = self.take_lock(number)?;
        // Again, now that nobody who keeps to the lock can come between.
        let cleared = self
            .check_socket(number)
            .and_then(|()| self.remove_socket(number));
        if let Err(error) = cleared {
            let _ = fs::remove_file(self.lock(number));
            return Err(error);
        }
        Ok(lock)
    }

    fn take_lock(&self, number: u16) -> Result<File, DisplayError> {
        let path = self.lock(number);
        let error = |source| DisplayError::Io {
            path: path.clone(),
            source,
        };
        let me = std::process::id();
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(|none| error(io::Error::other(none)))?;
        let draft = format!(".tX{number}-lock-{:016x}", u64::from_ne_bytes(salt));
        let draft = self.root.join(draft);
        for _ in 0..3 {
            // Written whole under another name and then linked, so that nobody ever finds half a lock.
            let made = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o444)
                .open(&draft)
                .and_then(|mut file| {
                    if let Some((uid, gid)) = self.owner {
                        // Root without the right to do so leaves one that root removes at the next start.
                        let _ = fchown(&file, Some(uid), Some(gid));
                    }
                    writeln!(file, "{me:>10}")?;
                    // Where the file system has no such locks, the number in it must do.
                    let _ = file.try_lock();
                    fs::hard_link(&draft, &path).map(|()| file)
                });
            let _ = fs::remove_file(&draft);
            match made {
                Ok(file) => return Ok(file),
                Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                    self.remove_dead_lock(number)?
                }
                Err(source) => return Err(error(source)),
            }
        }
        Err(DisplayError::Taken {
            number,
            sign: format!("{} comes back", path.display()),
        })
    }

    fn remove_dead_lock(&self, number: u16) -> Result<(), DisplayError> {
        let path = self.lock(number);
        match kind(&path)? {
            None => return Ok(()),
            Some(Kind::File) => {}
            Some(other) => {
                return Err(DisplayError::Strange {
                    path,
                    what: other.name(),
                });
            }
        }
        let error = |source| DisplayError::Io {
            path: path.clone(),
            source,
        };
        let taken = |sign| Err(DisplayError::Taken { number, sign });
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(open_flags())
            .open(&path);
        let mut file = match file {
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(error)?,
        };
        // Of several who find the same dead lock only one removes it, and none the living one that takes its place.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return taken(format!("{} is held by a living process", path.display()));
        }
        // Our own process id in it is of an earlier life: a container keeps its /tmp when it is started again.
        let me = i32::try_from(std::process::id()).ok();
        match owner(&mut file) {
            Some(pid) if Some(pid) != me && lives_on(pid) => {
                taken(format!("{} names the living process {pid}", path.display()))
            }
            // Still the file that was read?
            _ if same(&file, &path) => fs::remove_file(&path).map_err(error),
            _ => Ok(()),
        }
    }

    fn check_socket(&self, number: u16) -> Result<(), DisplayError> {
        let path = self.socket(number);
        let taken = |sign: String| Err(DisplayError::Taken { number, sign });
        match kind(&path)? {
            None => {}
            Some(Kind::Socket) => {
                let address = UnixAddr::new(&path);
                if address.is_ok_and(|address| lives(&address)) {
                    return taken(format!("{} is answered", path.display()));
                }
            }
            Some(other) => {
                return Err(DisplayError::Strange {
                    path,
                    what: other.name(),
                });
            }
        }
        if self.abstract_too
            && let Ok(address) = UnixAddr::new_abstract(path.as_os_str().as_encoded_bytes())
            && lives(&address)
        {
            return taken(format!(
                "the abstract socket @{} is answered",
                path.display()
            ));
        }
        Ok(())
    }

    fn remove_socket(&self, number: u16) -> Result<(), DisplayError> {
        let path = self.socket(number);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(DisplayError::Io { path, source })
            }
            _ => Ok(()),
        }
    }
}

/// A zombie holds nothing any more.
pub(super) fn lives_on(pid: i32) -> bool {
    pidfd::exists(pid) && !procfs::is_zombie(pid)
}

/// Is anybody behind the socket? Refusal and absence mean no; everything else, a full queue too, means yes. Does not
/// wait: whoever is behind it may be stopped, or mean to hold us up.
fn lives(address: &UnixAddr) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let answer = socket(AddressFamily::Unix, SockType::Stream, flags, None)
        .and_then(|socket| connect(socket.as_raw_fd(), address));
    !matches!(answer, Err(Errno::ECONNREFUSED | Errno::ENOENT))
}

/// The process id in a lock; `None` when there is none, which no living server leaves.
pub(super) fn owner(file: &mut File) -> Option<i32> {
    let mut text = [0; 32];
    let count = file.read(&mut text).ok()?;
    std::str::from_utf8(text.get(..count)?)
        .ok()?
        .trim()
        .parse()
        .ok()
        .filter(|pid| *pid > 0)
}

fn same(file: &File, path: &Path) -> bool {
    let (Ok(a), Ok(b)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

pub(super) fn open_flags() -> i32 {
    (nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Socket,
    Link,
    Other,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Socket => "a socket",
            Self::Link => "a symbolic link",
            Self::Other => "a FIFO or device",
        }
    }
}

/// What is there, without following; `None` when nothing is.
fn kind(path: &Path) -> Result<Option<Kind>, DisplayError> {
    let what = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(DisplayError::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    Ok(Some(match () {
        () if what.is_symlink() => Kind::Link,
        () if what.is_dir() => Kind::Directory,
        () if what.is_socket() => Kind::Socket,
        () if what.is_file() => Kind::File,
        () => Kind::Other,
    }))
}

#[cfg(test)]
mod tests;
