//! Collecting children that have ended: the one place that calls `waitpid`.
//!
//! Nothing else in the `run` process may wait for a child: a `waitpid(-1)` beside another waiter loses exit codes to
//! whoever comes first.

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
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(nix::unistd::Pid::from_raw(pid)), look)
        .is_ok_and(|status| status != WaitStatus::StillAlive)
}

/// Is this a child of ours that has not been reaped?
pub fn is_child(pid: i32) -> bool {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(nix::unistd::Pid::from_raw(pid)), look).is_ok()
}

/// The signal that has stopped this child since it was last asked, if one has.
pub fn has_stopped(pid: i32) -> Option<i32> {
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    let look = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG;
    match waitid(Id::Pid(nix::unistd::Pid::from_raw(pid)), look) {
        Ok(WaitStatus::Stopped(_, signal)) => Some(signal as i32),
        _ => None,
    }
}

/// A child that has ended and waits to be reaped, if there is one. Leaves it as it is: its number, and that of the
/// process group it leads, still belong to nobody else.
pub fn peek() -> Option<i32> {
    use nix::errno::Errno;
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    loop {
        match waitid(Id::All, look) {
            Err(Errno::EINTR) => {}
            status => return Some(status.ok()?.pid()?.as_raw()),
        }
    }
}

/// The next child that has ended, or `None` when all that remain still run (or there are none). Never blocks.
pub fn next() -> Option<Ended> {
    wait(-1)
}

/// This child, if it has ended. Never blocks.
pub fn collect(pid: i32) -> Option<Ended> {
    wait(pid)
}

fn wait(which: i32) -> Option<Ended> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the kernel to write to.
        let pid = unsafe { libc::waitpid(which, &raw mut status, libc::WNOHANG) };
        if pid < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) {
            continue;
        }
        if pid <= 0 {
            return None;
        }
        if libc::WIFEXITED(status) {
            let code = u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX);
            return Some(Ended {
                pid,
                how: How::Code(code),
            });
        }
        if libc::WIFSIGNALED(status) {
            return Some(Ended {
                pid,
                how: How::Signal(libc::WTERMSIG(status)),
            });
        }
        // Stopped and continued children are only reported when asked for, which we do not.
    }
}
