//! An init in front of one command: forwards signals, reaps, ends as the command ends. What `tini`, `dumb-init` and
//! `catatonit` do; which of them it is shows in [`Options`] and in what is said.
//!
//! ```text
//!   spawn ──▶ wait for a signal ──┬── SIGCHLD: reap; the command has ended ──▶ its code (or 0, if that was asked)
//!                  ▲              └── any other: rewritten, forwarded
//!                  └──────────────────────┘
//! ```

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;

use super::service::{Exit, SIGTERM};
use crate::sys::foreground::{self, Place};
use crate::sys::pidfd::Handle;
use crate::sys::process::SpawnError;
use crate::sys::reap;
use crate::sys::signals::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGTSTP, SIGTTIN, SIGTTOU, Signals};

/// So often a kernel is asked that does not tell which child has ended, with so many milliseconds in between.
const ATTEMPTS: u32 = 100;
const REST: u8 = 10;

/// How to go about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the command stands.
    pub place: Place,
    /// Signals go to its whole process group.
    pub to_group: bool,
    /// What is left of the group gets SIGTERM when the command has ended.
    pub end_group: bool,
    /// Signals that become others; 0 is none.
    pub rewrite: Vec<(i32, i32)>,
    /// Signals of a terminal's jobs stop us, too, after they were forwarded.
    pub suspend: bool,
    /// The command finds the signals blocked that we found blocked, not none.
    pub keep_mask: bool,
    /// Orphans of our descendants are to be handed to us.
    pub subreaper: bool,
    /// The kernel tells us by this signal when our parent ends.
    pub parent_death: Option<i32>,
    /// Codes of the command that count as success.
    pub successes: BTreeSet<u8>,
}

/// What happens, for those who want to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nobody will hand us orphans.
    NoOrphans,
    /// The command runs.
    Spawned(i32),
    /// A signal has come.
    Received(i32),
    /// It is taken for another.
    Rewritten(i32, i32),
    /// It is what the kernel sends when a terminal is given up.
    HandOff(i32),
    /// It went on.
    Forwarded(i32),
    /// It does not go on.
    Dropped(i32),
    /// We stop.
    Suspending,
    /// A child has ended; the command, or an orphan.
    Ended {
        /// Which.
        pid: i32,
        /// How.
        exit: Exit,
        /// It is the command.
        command: bool,
    },
    /// We end with this code.
    Over(u8),
}

/// Why the command was not run.
#[derive(Debug)]
pub enum Failure {
    /// The system refused something that any init may have.
    System(&'static str, io::Error),
    /// The command cannot be run.
    Command(SpawnError),
}

/// Runs the command; returns the exit code.
///
/// # Errors
/// See [`Failure`].
pub fn run(
    options: &Options,
    program: &OsString,
    args: &[OsString],
    mut tell: impl FnMut(Event),
) -> Result<u8, Failure> {
    let system = |what| move |error| Failure::System(what, error);
    let mut signals = Signals::collect().map_err(system("signals"))?;
    if options.subreaper {
        crate::sys::process::become_subreaper().map_err(system("subreaper"))?;
    }
    if let Some(signal) = options.parent_death {
        foreground::on_parent_death(signal).map_err(system("parent death signal"))?;
    }
    if !foreground::gets_orphans() {
        tell(Event::NoOrphans);
    }
    let mut hand_off = Vec::new();
    if options.place == Place::Session && foreground::give_terminal_up() {
        hand_off = vec![SIGHUP, SIGCONT];
    }
    let mask = match options.keep_mask {
        true => signals.before(),
        false => SigSet::empty(),
    };
    let child = foreground::spawn(program, args, options.place, mask).map_err(Failure::Command)?;
    tell(Event::Spawned(child.pid()));
    // The directory we were started in can be unmounted.
    let _ = std::env::set_current_dir("/");
    loop {
        wait(&signals);
        while let Some(signal) = signals.any() {
            tell(Event::Received(signal));
            if signal == SIGCHLD {
                if let Some(exit) = reap_all(options, &child, &mut tell) {
                    let code = exit.status();
                    let code = if options.successes.contains(&code) {
                        0
                    } else {
                        code
                    };
                    tell(Event::Over(code));
                    return Ok(code);
                }
            } else if let Some(at) = hand_off.iter().position(|known| *known == signal) {
                hand_off.swap_remove(at);
                tell(Event::HandOff(signal));
            } else {
                forward(options, &child, signal, &mut tell);
            }
        }
    }
}

/// Nothing but zombies to care for, until SIGTERM or SIGINT: what keeps a pod's namespaces alive.
///
/// # Errors
/// See [`Failure`].
pub fn pause() -> Result<u8, Failure> {
    let mut signals = Signals::collect().map_err(|error| Failure::System("signals", error))?;
    loop {
        wait(&signals);
        while let Some(signal) = signals.any() {
            match signal {
                SIGCHLD => while next_ended().is_some() {},
                SIGTERM | SIGINT => return Ok(0),
                _ => {}
            }
        }
    }
}

fn wait(signals: &Signals) {
    let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    // Interrupted or out of memory, it is asked again.
    if poll(&mut fds, PollTimeout::NONE).is_err() {
        rest();
    }
}

/// The next child that has ended, if there is one. A kernel that does not tell is asked again: nobody would say a second
/// time that the command is over.
fn next_ended() -> Option<reap::Ended> {
    for _ in 0..ATTEMPTS {
        match reap::next() {
            Ok(ended) => return ended,
            Err(_) => rest(),
        }
    }
    None
}

fn rest() {
    let _ = poll(&mut [], PollTimeout::from(REST));
}

/// The end of the command, if that is among those that have ended.
fn reap_all(options: &Options, child: &Handle, tell: &mut impl FnMut(Event)) -> Option<Exit> {
    // While it has not been reaped, its number, and that of its group, belong to nobody else.
    let told = options.end_group && reap::has_ended(child.pid());
    if told {
        let _ = match options.to_group {
            true => child.signal_group(SIGTERM),
            false => child.signal(SIGTERM),
        };
    }
    let mut over = None;
    while let Some(ended) = next_ended() {
        let exit = match ended.how {
            reap::How::Code(code) => Exit::Code(code),
            reap::How::Signal(signal) => Exit::Signal(signal),
        };
        let command = ended.pid == child.pid();
        tell(Event::Ended {
            pid: ended.pid,
            exit,
            command,
        });
        if command {
            over = Some(exit);
        }
    }
    if told && over.is_some() {
        tell(Event::Forwarded(SIGTERM));
    }
    over
}

fn forward(options: &Options, child: &Handle, signal: i32, tell: &mut impl FnMut(Event)) {
    let meant = options.rewrite.iter().find(|(from, _)| *from == signal);
    let sent = meant.map_or(signal, |(_, to)| *to);
    if sent != signal {
        tell(Event::Rewritten(signal, sent));
    }
    if sent == 0 {
        tell(Event::Dropped(signal));
    } else {
        // It may have ended, and its SIGCHLD be next.
        let _ = match options.to_group {
            true => child.signal_group(sent),
            false => child.signal(sent),
        };
        tell(Event::Forwarded(sent));
    }
    if options.suspend && matches!(signal, SIGTSTP | SIGTTIN | SIGTTOU) {
        tell(Event::Suspending);
        foreground::suspend();
    }
}
