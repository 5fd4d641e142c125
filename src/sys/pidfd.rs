//! Handles of processes that a reused process id cannot redirect.
//!
//! A pidfd names one process for ever: a signal through it reaches that process or nobody. Kernels (and seccomp
//! profiles) without `pidfd_open` are served by [`Handle`]'s fall-back for our own children, whose ids cannot be
//! reused before we reap them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One process, by pidfd where the kernel has them.
#[derive(Debug)]
pub struct Handle {
    pid: i32,
    fd: Option<OwnedFd>,
}

impl Handle {
    /// A handle of a child of ours that has not been reaped yet.
    pub fn of_child(pid: i32) -> Self {
        Self {
            pid,
            fd: open(pid).ok(),
        }
    }

    /// A handle of any process; the caller looks again, after this, whether it is the process that was meant.
    ///
    /// Where pidfds are not to be had, or no descriptor is left, it is a bare process id: a very small chance to hit
    /// another process is better than the certainty of leaving this one behind.
    ///
    /// # Errors
    /// The process is gone.
    pub fn of_any(pid: i32) -> io::Result<Self> {
        match open(pid) {
            Ok(fd) => Ok(Self { pid, fd: Some(fd) }),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EINVAL)) => {
                Err(error)
            }
            Err(_) => Ok(Self { pid, fd: None }),
        }
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Becomes readable when the process has ended.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Sends `signal`.
    ///
    /// # Errors
    /// `ESRCH` when the process has ended, `EPERM` when it belongs to somebody else.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        match &self.fd {
            Some(fd) => {
                // SAFETY: plain system call on a descriptor we own; a null siginfo means "as kill would fill it".
                let result = unsafe {
                    libc::syscall(
                        libc::SYS_pidfd_send_signal,
                        fd.as_raw_fd(),
                        signal,
                        std::ptr::null::<libc::siginfo_t>(),
                        0,
                    )
                };
                checked(result)
            }
            None => kill(self.pid, signal),
        }
    }

    /// Sends `signal` to the process group that this process leads. Only safe while the leader has not been reaped:
    /// until then the kernel keeps the number from being given to anybody else.
    ///
    /// # Errors
    /// As [`Handle::signal`].
    pub fn signal_group(&self, signal: i32) -> io::Result<()> {
        // Never 0 or 1: those would mean our own group, or everybody.
        if self.pid <= 1 {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        kill(-self.pid, signal)
    }
}

/// Does a process of this id exist (in our pid namespace)? A process that we may not signal exists too.
pub fn exists(pid: i32) -> bool {
    pid > 0
        && kill(pid, 0).map_or_else(|error| error.raw_os_error() == Some(libc::EPERM), |()| true)
}

fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain system call with two integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).unwrap_or(-1);
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just given us this descriptor, and nobody else knows it. It is close-on-exec by definition.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: plain system call with two integers.
    checked(unsafe { libc::kill(pid, signal) }.into())
}

fn checked(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_reach_the_process_and_nobody_after_it() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let handle = Handle::of_child(pid);
        assert!(exists(pid));
        handle.signal(libc::SIGKILL).unwrap();
        child.wait().unwrap();
        assert_eq!(
            handle.signal(0).unwrap_err().raw_os_error(),
            Some(libc::ESRCH)
        );
        assert!(!exists(pid));
    }

    #[test]
    fn groups_0_and_1_are_never_signalled() {
        assert!(Handle { pid: 1, fd: None }.signal_group(0).is_err());
        assert!(Handle { pid: 0, fd: None }.signal_group(0).is_err());
    }
}
