//! Signals as bytes to read: blocked for the process, collected by a signalfd.
//!
//! So no code ever runs in a signal handler, and no signal interrupts the loop half-way.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

pub use libc::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN,
    SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH,
};

/// A signal that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// As it was sent.
    pub sent: i32,
    /// What it is taken for: the same, unless it is rewritten.
    pub meant: i32,
}

/// All signals of this process.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    before: SigSet,
    rewrite: Vec<(i32, i32)>,
    /// The terminal's key for stopping a job was pressed.
    job_stop: bool,
}

impl Signals {
    /// Blocks every signal and starts to collect them. Call before the first child is started, in the only thread;
    /// `sys::process` gives the children an empty mask again.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn collect() -> io::Result<Self> {
        // Faults of our own among them: one that happens while it is blocked ends the process all the same, and one that
        // somebody sent is a signal like any other.
        let set = SigSet::all();
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        // SAFETY: the default action runs no code of ours.
        //
        // Ignored, as whoever started us may have left it, the kernel would reap children itself and tell nobody how
        // they ended. Any other signal that is ignored is collected all the same, because it is blocked.
        unsafe { nix::sys::signal::signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self {
            fd,
            before,
            rewrite: Vec::new(),
            job_stop: false,
        })
    }

    /// What was blocked when we were started.
    pub fn before(&self) -> SigSet {
        self.before
    }

    /// The next signal's number, whoever sent it and whatever is rewritten.
    pub fn any(&mut self) -> Option<i32> {
        let info = self.fd.read_signal().ok()??;
        i32::try_from(info.ssi_signo).ok()
    }

    /// From now on each first of a pair is taken for its second; for nothing at all if that is 0.
    pub fn rewrite(&mut self, pairs: &[(i32, i32)]) {
        self.rewrite = pairs.to_vec();
    }

    /// Was the terminal's key for stopping a job pressed since this was last asked? [`Signals::take`] passes it over.
    pub fn job_stop(&mut self) -> bool {
        std::mem::take(&mut self.job_stop)
    }

    /// The next signal, if one waits. Several of one kind may have become one: after SIGCHLD reap all.
    pub fn take(&mut self) -> Option<Received> {
        loop {
            let info = self.fd.read_signal().ok()??;
            let signal = i32::try_from(info.ssi_signo).ok()?;
            let taken_for = |meant| Received {
                sent: signal,
                meant,
            };
            // What a write to a closed pipe, or beyond a limit, raises is our own affair; what a terminal tells its
            // jobs does not stop an init by itself.
            let own = u32::try_from(nix::unistd::getpid().as_raw()) == Ok(info.ssi_pid)
                && matches!(signal, libc::SIGPIPE | libc::SIGXFSZ);
            let job = info.ssi_code > 0
                && matches!(signal, libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU);
            if signal == SIGCHLD {
                return Some(taken_for(signal));
            }
            self.job_stop |= job && signal == libc::SIGTSTP;
            if own || job {
                continue;
            }
            let meant = self.rewrite.iter().find(|(from, _)| *from == signal);
            match meant.map_or(signal, |(_, to)| *to) {
                0 => {}
                meant => return Some(taken_for(meant)),
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
