//! Collecting children that have ended: the one place that calls `waitpid`.
//!
//! Nothing else in the `run` process may wait for a child: a `waitpid(-1)` beside another waiter loses exit codes to
//! whoever comes first.

use std::io;

/// A child that has ended: one of ours, or an orphan that was handed to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its process id, free for reuse from now on.
    pub pid: i32,
    /// How it ended.
    pub how: How,
}

/// The two ways to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It called `exit` with this code.
    Code(u8),
    /// This signal ended it.
    Signal(i32),
}

/// Has this child ended, with nobody having reaped it yet? Leaves it as it is.
pub fn has_ended(pid: i32) -> bool {
    look(Some(pid), libc::WEXITED | libc::WNOWAIT).is_ok_and(|found| found.is_some())
}

/// Is this a child of ours that has not been reaped?
pub fn is_child(pid: i32) -> bool {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(nix::unistd::Pid::from_raw(pid)), look).is_ok()
}

/// The signal that has stopped this child since it was last asked, if one has.
pub fn has_stopped(pid: i32) -> Option<i32> {
    let found = look(Some(pid), libc::WSTOPPED).ok()??;
    (found.code == libc::CLD_STOPPED).then_some(found.status)
}

/// A child that has ended and waits to be reaped, if there is one. Leaves it as it is: its number, and that of the
/// process group it leads, still belong to nobody else.
///
/// # Errors
/// It could not be told; there may be one.
pub fn peek() -> io::Result<Option<i32>> {
    Ok(look(None, libc::WEXITED | libc::WNOWAIT)?.map(|found| found.pid))
}

/// What `waitid` tells of a child.
struct Found {
    pid: i32,
    code: i32,
    /// A code, or a signal; of those, real-time ones, too, which have no name.
    status: i32,
}

/// Asks for this child, or any.
fn look(pid: Option<i32>, what: i32) -> io::Result<Option<Found>> {
    let (kind, number) = match pid {
        Some(pid) => (libc::P_PID, libc::id_t::try_from(pid).unwrap_or(0)),
        None => (libc::P_ALL, 0),
    };
    loop {
        // SAFETY: all zero is a valid `siginfo_t`, and what the kernel leaves when there is nobody.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` is a valid place for the kernel to write to.
        let result = unsafe { libc::waitid(kind, number, &raw mut info, what | libc::WNOHANG) };
        if result == 0 {
            // SAFETY: of a child, or all zero, as above.
            let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
            let code = info.si_code;
            return Ok((pid != 0).then_some(Found { pid, code, status }));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::ECHILD) => return Ok(None),
            _ => return Err(error),
        }
    }
}

/// The next child that has ended, or `None` when all that remain still run (or there are none). Never blocks.
///
/// # Errors
/// As [`peek`].
pub fn next() -> io::Result<Option<Ended>> {
    wait(-1)
}

/// This child, if it has ended. Never blocks.
///
/// # Errors
/// As [`peek`].
pub fn collect(pid: i32) -> io::Result<Option<Ended>> {
    wait(pid)
}

fn wait(which: i32) -> io::Result<Option<Ended>> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the kernel to write to.
        let pid = unsafe { libc::waitpid(which, &raw mut status, libc::WNOHANG) };
        if pid < 0 {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::ECHILD) => return Ok(None),
                _ => return Err(error),
            }
        }
        if pid == 0 {
            return Ok(None);
        }
        if libc::WIFEXITED(status) {
            let code = u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX);
            let how = How::Code(code);
            return Ok(Some(Ended { pid, how }));
        }
        if libc::WIFSIGNALED(status) {
            let how = How::Signal(libc::WTERMSIG(status));
            return Ok(Some(Ended { pid, how }));
        }
        // Stopped and continued children are only reported when asked for, which we do not.
    }
}
