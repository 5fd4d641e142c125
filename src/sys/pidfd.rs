//! Handles of processes that a reused process id cannot redirect.
//!
//! A pidfd names one process for ever, and the process group of its number: a signal through it reaches these or nobody.
//! Kernels (and seccomp profiles) without `pidfd_open`, or before 6.9 without signals for groups, are served by
//! [`Handle`]'s fall-back for our own children, whose ids cannot be reused before we reap them. Nothing else in this
//! program sends a signal.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::reap;

/// `PIDFD_SIGNAL_PROCESS_GROUP` of linux/pidfd.h.
const GROUP: libc::c_uint = 1 << 2;

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
            Some(fd) => send(fd, signal, 0),
            None => kill(self.pid, signal),
        }
    }

    /// Sends `signal` to the process group that this process, a child of ours, leads.
    ///
    /// # Errors
    /// As [`Handle::signal`]; `ESRCH` also where the kernel knows groups by number only, and the leader has been reaped.
    pub fn signal_group(&self, signal: i32) -> io::Result<()> {
        match &self.fd {
            Some(fd) => match send(fd, signal, GROUP) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.signal_group_by_number(signal)
                }
                result => result,
            },
            None => self.signal_group_by_number(signal),
        }
    }

    /// Until we reap the leader the kernel gives its number to nobody else.
    fn signal_group_by_number(&self, signal: i32) -> io::Result<()> {
        // Never 0 or 1: those would mean our own group, or everybody.
        if self.pid <= 1 || !reap::is_child(self.pid) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        kill(-self.pid, signal)
    }
}

fn send(fd: &OwnedFd, signal: i32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: plain system call on a descriptor we own; a null siginfo means "as kill would fill it".
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            flags,
        )
    };
    checked(result)
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
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

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

    /// Leads a group of its own; `script` begins when a line is there to be read.
    fn leader(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().unwrap()
    }

    fn id(child: &Child) -> i32 {
        i32::try_from(child.id()).unwrap()
    }

    #[test]
    fn groups_are_reached_as_a_whole_with_and_without_pidfd() {
        for by_number in [false, true] {
            // The leader has ended, and is not reaped; its child is the rest of the group.
            let mut child = leader("sleep 60 & echo $!");
            let mut rest = String::new();
            let mut out = BufReader::new(child.stdout.take().unwrap());
            out.read_line(&mut rest).unwrap();
            while !reap::has_ended(id(&child)) {
                std::thread::yield_now();
            }
            let handle = Handle::of_child(id(&child));
            let rest = Handle::of_any(rest.trim().parse().unwrap()).unwrap();
            assert!(rest.signal(0).is_ok());
            match by_number {
                false => handle.signal_group(libc::SIGKILL).unwrap(),
                true => handle.signal_group_by_number(libc::SIGKILL).unwrap(),
            }
            // Its end closes the pipe.
            out.read_to_string(&mut String::new()).unwrap();
            child.wait().unwrap();
            let gone = handle.signal_group_by_number(0).unwrap_err();
            assert_eq!(gone.raw_os_error(), Some(libc::ESRCH));
        }
    }

    /// In a namespace of its own, where nobody else takes numbers, and as root, who may say which is the next.
    #[test]
    fn whoever_has_a_number_later_is_never_hit() {
        let itself = std::env::current_exe().unwrap();
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        if !command.arg("true").status().is_ok_and(|s| s.success()) {
            return;
        }
        let mut command = Command::new("unshare");
        let output = command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
            .arg(itself)
            .args(["--exact", "--ignored", "--nocapture"])
            .arg("sys::pidfd::tests::a_number_is_used_again")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}"
        );
    }

    #[test]
    #[ignore = "takes part in whoever_has_a_number_later_is_never_hit"]
    fn a_number_is_used_again() {
        let mut first = leader("read line");
        let number = id(&first);
        let handles = [Handle::of_child(number), Handle::of_any(number).unwrap()];
        drop(first.stdin.take());
        first.wait().unwrap();
        std::fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).unwrap();
        let mut second = leader("read line; exit 7");
        assert_eq!(id(&second), number, "the number is not used again");
        for handle in handles {
            for result in [
                handle.signal(libc::SIGKILL),
                handle.signal_group(libc::SIGKILL),
            ] {
                assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ESRCH));
            }
        }
        drop(second.stdin.take());
        assert_eq!(second.wait().unwrap().code(), Some(7));
    }
}
