//! Signals as bytes to read: blocked for the process, collected by a signalfd.
//!
//! So no code ever runs in a signal handler, and no signal interrupts the loop half-way.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigHandler, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

pub use libc::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};

/// All signals of this process (but those that report a fault of its own).
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks every signal and starts to collect them. Call before the first child is started, in the only thread;
    /// `sys::process` gives the children an empty mask again.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn collect() -> io::Result<Self> {
        let mut set = SigSet::all();
        for fault in [
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGFPE,
            Signal::SIGILL,
            Signal::SIGTRAP,
            Signal::SIGABRT,
            Signal::SIGSYS,
        ] {
            set.remove(fault);
        }
        set.thread_block()?;
        // SAFETY: the default action runs no code of ours.
        //
        // Ignored, as whoever started us may have left it, the kernel would reap children itself and tell nobody how
        // they ended. Any other signal that is ignored is collected all the same, because it is blocked.
        unsafe { nix::sys::signal::signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd })
    }

    /// The next signal's number, if one waits. Several of one kind may have become one: after SIGCHLD reap all.
    pub fn take(&mut self) -> Option<i32> {
        let info = self.fd.read_signal().ok()??;
        i32::try_from(info.ssi_signo).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
