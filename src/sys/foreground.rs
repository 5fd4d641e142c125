//! The terminal that we may have been started at, and who has its foreground; starting the one program that an init in
//! front of a command has, with our streams and environment, and with that terminal.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process;

use nix::sys::signal::SigSet;

use crate::sys::pidfd::Handle;
use crate::sys::process::SpawnError;

/// Where the program stands among processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where we stand.
    Ours,
    /// Leader of a process group, in the foreground of the terminal.
    Group,
    /// Leader of a session, whose terminal ours becomes.
    Session,
}

/// Starts it, found by `PATH`. Its signals have their default actions but for those that we were started with as
/// ignored; `mask` is what it finds blocked.
///
/// # Errors
/// See [`SpawnError`].
pub fn spawn(
    program: &OsString,
    args: &[OsString],
    place: Place,
    mask: SigSet,
) -> Result<Handle, SpawnError> {
    let mut builder = process::Command::new(program);
    builder.args(args);
    // SAFETY: the closure runs between fork and exec, makes only async-signal-safe system calls and allocates nothing.
    unsafe {
        builder.pre_exec(move || prepare(place, mask));
    }
    let child = builder.spawn()?;
    let pid = i32::try_from(child.id()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Handle::of_child(pid))
}

/// In the child, before exec; the standard library has unblocked all signals.
fn prepare(place: Place, mask: SigSet) -> io::Result<()> {
    // SAFETY: plain system calls on integers; those on the terminal may fail when there is none, which is no harm.
    unsafe {
        match place {
            Place::Ours => {}
            Place::Group => {
                if libc::setpgid(0, 0) != 0 {
                    return Err(io::Error::last_os_error());
                }
                // A background process that takes the terminal would be stopped by it.
                let before = libc::signal(libc::SIGTTOU, libc::SIG_IGN);
                libc::tcsetpgrp(0, libc::getpid());
                libc::signal(libc::SIGTTOU, before);
            }
            Place::Session => {
                if libc::setsid() < 0 {
                    return Err(io::Error::last_os_error());
                }
                libc::ioctl(0, libc::TIOCSCTTY, 0);
            }
        }
    }
    mask.thread_set_mask()?;
    Ok(())
}

/// Gives the terminal up, so that a session of its own can have it. True when we led the session that had it: the kernel
/// then sends SIGHUP and SIGCONT to us, which are not meant for anybody.
pub fn give_terminal_up() -> bool {
    // SAFETY: plain system calls on integers.
    unsafe { libc::ioctl(0, libc::TIOCNOTTY) == 0 && libc::getsid(0) == libc::getpid() }
}

/// Were we started at a terminal, in its foreground?
pub fn is_ours() -> bool {
    // SAFETY: plain system calls on integers.
    unsafe { libc::isatty(0) == 1 && libc::isatty(1) == 1 && libc::tcgetpgrp(0) == libc::getpgrp() }
}

/// Gives the foreground to this process group. Call with SIGTTOU blocked; nothing happens where there is no terminal of
/// ours.
pub fn give(group: i32) {
    // SAFETY: plain system call on integers.
    unsafe { libc::tcsetpgrp(0, group) };
}

/// Takes the foreground back, under the same condition.
pub fn take_back() {
    // SAFETY: plain system call.
    give(unsafe { libc::getpgrp() });
}

/// Is there a shell that has put us into a group of our own, and continues what was stopped?
pub fn is_a_job() -> bool {
    use nix::unistd::{Pid, getpgid, getpgrp, getpid, getppid, getsid};
    let (me, parent) = (Pid::from_raw(0), Some(getppid()));
    getpid().as_raw() != 1
        && getsid(parent).is_ok_and(|session| Ok(session) == getsid(Some(me)))
        && getpgid(parent).is_ok_and(|group| group != getpgrp())
}

/// Asks the kernel to send us this signal when our parent ends.
///
/// # Errors
/// There is no such signal.
pub fn on_parent_death(signal: i32) -> io::Result<()> {
    // SAFETY: plain system call on an integer.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Are the orphans of our descendants handed to us?
pub fn gets_orphans() -> bool {
    nix::unistd::getpid().as_raw() == 1 || nix::sys::prctl::get_child_subreaper().unwrap_or(false)
}

/// Stops ourselves, as a terminal's job does, until somebody continues us.
pub fn suspend() {
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
}
