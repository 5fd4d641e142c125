//! Starting a child the way an init owes it: own process group, empty signal mask, default dispositions, only the
//! descriptors that it was meant to get, and an end when its supervisor is gone.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{self, Stdio};

pub use self::assume::{Keep, assume, directory_for, may_assume};
use self::attributes::Prepared;
pub use self::attributes::{Attributes, Capabilities, Identity, Limit, Resource};
use crate::sys::foreground;
use crate::sys::pidfd::Handle;

mod assume;
mod attributes;

/// What to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// A path, or a name that is looked for in the `PATH` of `env`.
    pub program: OsString,
    /// Its arguments, without the name.
    pub args: Vec<OsString>,
    /// Its whole environment: nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// What it is besides: whose, where, how much.
    pub attributes: Attributes,
    /// It talks to a person: its standard streams are ours, and it takes the foreground of our terminal.
    pub terminal: bool,
}

/// A descriptor of ours that a child gets.
#[derive(Clone, Copy, Debug)]
pub struct Inherited<'a> {
    /// Which.
    pub fd: BorrowedFd<'a>,
    /// The number that it has there, above 2.
    pub number: RawFd,
}

impl<'a> From<&'a OwnedFd> for Inherited<'a> {
    /// Under the number that it has here.
    fn from(fd: &'a OwnedFd) -> Self {
        Self {
            fd: fd.as_fd(),
            number: fd.as_raw_fd(),
        }
    }
}

impl Inherited<'_> {
    /// Takes the number if nobody has it. The standard library reports a failed exec on a pipe of its own, which would
    /// else get it, and be hit in the child.
    fn reserve(&self) -> Option<OwnedFd> {
        if self.number == self.fd.as_raw_fd() {
            return None;
        }
        // SAFETY: a system call on integers.
        let copy = unsafe { libc::fcntl(self.fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, self.number) };
        // SAFETY: the descriptor is new, and nobody else knows it.
        (copy >= 0).then(|| unsafe { OwnedFd::from_raw_fd(copy) })
    }
}

/// Why nothing was started.
#[derive(Debug)]
pub struct SpawnError {
    /// What to make of it.
    pub kind: SpawnErrorKind,
    /// What could not be done before the program was looked for, in words that follow "could not".
    pub step: Option<&'static str>,
    /// What the kernel said.
    pub source: io::Error,
}

/// Classes of [`SpawnError`] that are handled differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnErrorKind {
    /// There is no such program (a shell's 127).
    NotFound,
    /// It is there but cannot be run (a shell's 126).
    NotExecutable,
    /// Something that may be better later.
    Temporary,
    /// No process, no memory or no descriptor is left.
    Shortage,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = self.step {
            return write!(f, "could not {step} ({})", self.source);
        }
        match self.kind {
            SpawnErrorKind::NotFound => write!(f, "not found ({})", self.source),
            SpawnErrorKind::NotExecutable => write!(f, "not executable ({})", self.source),
            SpawnErrorKind::Temporary | SpawnErrorKind::Shortage
                if self.source.raw_os_error() == Some(libc::EAGAIN) =>
            {
                write!(
                    f,
                    "no process is left: raise the container's limit of them, or the user's ({})",
                    self.source
                )
            }
            SpawnErrorKind::Temporary | SpawnErrorKind::Shortage => write!(f, "{}", self.source),
        }
    }
}

impl std::error::Error for SpawnError {}

impl SpawnError {
    /// With what the step was about, as it was asked for, where there is a name for it.
    fn about(mut self, name: Option<String>) -> Self {
        if let (Some(_), Some(name)) = (self.step, name) {
            let text = format!("{name}: {}", self.source);
            self.source = io::Error::new(self.source.kind(), text);
        }
        self
    }
}

impl From<io::Error> for SpawnError {
    fn from(source: io::Error) -> Self {
        let number = source.raw_os_error();
        let step = number.and_then(attributes::step_of);
        let source = match number {
            Some(number) if step.is_some() => io::Error::from_raw_os_error(number & 0xffff),
            _ => source,
        };
        let kind = match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) if step.is_none() => SpawnErrorKind::NotFound,
            Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => {
                SpawnErrorKind::Shortage
            }
            Some(libc::ETXTBSY | libc::EINTR | libc::EIO) => SpawnErrorKind::Temporary,
            _ => SpawnErrorKind::NotExecutable,
        };
        Self { kind, step, source }
    }
}

/// Starts `command` in a process group of its own. Unless it gets the terminal, its standard input is empty and both its
/// outputs go to `output`, but for what it complains of where there is a descriptor `errors`; it inherits each of `inherit`
/// and no other descriptor of ours.
///
/// The child ends with SIGTERM when we die. Returns when the program has been loaded, so a missing one is an error.
///
/// # Errors
/// See [`SpawnErrorKind`].
pub fn spawn(
    command: &Command,
    output: OwnedFd,
    errors: Option<OwnedFd>,
    inherit: &[Inherited<'_>],
) -> Result<Handle, SpawnError> {
    let errors = match errors {
        Some(errors) => errors,
        None => output.try_clone()?,
    };
    let mut builder = process::Command::new(&command.program);
    builder
        .args(&command.args)
        .env_clear()
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .process_group(0);
    let terminal = command.terminal;
    if !terminal {
        builder.stdin(Stdio::null()).stdout(output).stderr(errors);
    }
    // Where the number is taken, the copy is another one, and of no use.
    let _reserved: Vec<OwnedFd> = inherit.iter().filter_map(Inherited::reserve).collect();
    let inherit: Vec<(RawFd, RawFd)> = inherit
        .iter()
        .map(|one| (one.fd.as_raw_fd(), one.number))
        .collect();
    let parent = nix::unistd::getpid().as_raw();
    let prepared = Prepared::new(&command.attributes)?;
    // SAFETY: the closure runs between fork and exec and makes only async-signal-safe system calls; it allocates
    // nothing, and the descriptors it names stay open in the parent until `spawn` returns.
    unsafe {
        builder.pre_exec(move || {
            if terminal {
                // In our mask, in which everything is blocked: nobody stops it for that. Without success it is a background
                // job, which the terminal stops when it reads.
                foreground::give(nix::unistd::getpid().as_raw());
            }
            prepared.apply()?;
            prepare(parent, &inherit)
        });
    }
    // The standard library never waits for the child here but when exec fails, and then for that very process, before
    // anybody else has heard of it.
    let child = builder.spawn().map_err(|error| {
        let number = error.raw_os_error();
        let name = number.and_then(|number| command.attributes.named_by(number));
        SpawnError::from(error).about(name)
    })?;
    let pid = i32::try_from(child.id()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Handle::of_child(pid))
}

/// In the child, before exec.
fn prepare(parent: i32, inherit: &[(RawFd, RawFd)]) -> io::Result<()> {
    // SAFETY: each is a plain system call on integers or on a set that lives here; see `spawn` for the context.
    unsafe {
        // After the user was changed, which would clear it.
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) != 0 {
            return Err(io::Error::last_os_error());
        }
        // It may have died before we asked to be told.
        if libc::getppid() != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        // The kernel's own call: the C library would leave out the two that it keeps for itself, ignored as whoever
        // started us may have left them. All zero is: default, no flags, nothing masked.
        let default = [0_u64; 8];
        for signal in 1..=libc::SIGRTMAX() {
            // KILL and STOP refuse: as they should.
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null::<u64>(),
                8,
            );
        }
        let mut empty = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut empty);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        // Those that move hit what is ours there, which the child would not get anyway.
        for &(fd, number) in inherit {
            let result = match fd == number {
                true => libc::fcntl(fd, libc::F_SETFD, 0),
                false => libc::dup2(fd, number),
            };
            if result < 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// Marks every descriptor but the standard three as not to be inherited: children get what they are meant to get, and
/// nothing that whoever started us forgot. Failure (a kernel older than 5.11) is harmless and ignored.
pub fn keep_descriptors() {
    // SAFETY: sets a flag on descriptors; closes none.
    let _ = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
}

/// Makes this process the one that orphans of its descendants are handed to, as PID 1 is by nature.
///
/// # Errors
/// The kernel is older than 3.4.
pub fn become_subreaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

#[cfg(test)]
mod tests;
