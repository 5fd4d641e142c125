//! What became of a process, in words for the operator: how it ended, why if that was seen, and what to do about it.

use std::fmt;
use std::time::Duration;

use super::Service;
use super::exit::{Exit, SIGKILL, signal_name};

const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;
/// SIGBUS: memory that was promised is not to be had.
const SIGBUS: i32 = 7;
/// Signals by which the kernel, or the program itself, ends what has gone wrong: SIGILL, SIGTRAP, SIGABRT, SIGBUS,
/// SIGFPE, SIGSEGV, SIGSYS.
const CRASHES: [i32; 7] = [4, 5, SIGABRT, SIGBUS, 8, SIGSEGV, 31];

/// For what a service is killed that is to be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It did not get ready in time.
    Late,
    /// It does not answer.
    Silent,
}

/// What is behind an end that the process itself is not to blame for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// It was killed for this.
    Fault(Fault),
    /// It was not that of the service, but of what must succeed before it; killed for this, if it was.
    BeforeStart(Option<Fault>),
    /// The kernel has killed it for want of memory.
    Memory {
        /// Bytes that the container may use, if there is a limit.
        limit: Option<u64>,
    },
    /// Since it was started, the container had no process left for somebody in it.
    Processes {
        /// So many it may have.
        limit: u64,
    },
    /// It used memory in /dev/shm that was not to be had.
    SharedMemory {
        /// Bytes of /dev/shm.
        size: u64,
        /// It is full now; else it is only small enough to have been.
        full: bool,
    },
    /// It caught this signal, and aborted.
    Caught(i32),
}

/// An end and what is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How it ended.
    pub exit: Exit,
    /// Why, if that was seen.
    pub blame: Option<Blame>,
}

impl Verdict {
    /// Words that follow the name of a service: `crashed with SIGSEGV`.
    pub fn clause(self) -> String {
        match (self.exit, self.blame) {
            (_, Some(Blame::BeforeStart(fault))) => {
                let blame = fault.map(Blame::Fault);
                let exit = self.exit;
                let clause = Self { exit, blame }.clause();
                format!("could not be started: its before_start {clause}")
            }
            (Exit::Signal(SIGKILL), Some(Blame::Memory { .. } | Blame::Fault(_))) => {
                format!("was {self}")
            }
            (Exit::Signal(signal), _) if CRASHES.contains(&signal) => self.to_string(),
            (Exit::Signal(_), _) => format!("was ended by {self}"),
            (Exit::Code(_), _) => format!("has ended, {self}"),
        }
    }

    /// The clause, and what to do where that is known.
    pub fn advice(self) -> String {
        match self.blame.and_then(Blame::remedy) {
            None => self.clause(),
            Some(remedy) => format!("{}: {remedy}", self.clause()),
        }
    }

    /// Is there more to say than the bare number?
    pub fn is_crash(self) -> bool {
        let crashed = matches!(self.exit, Exit::Signal(signal) if CRASHES.contains(&signal));
        crashed || self.blame.is_some()
    }

    /// Did it abort? Then its last words may tell why.
    pub fn aborted(exit: Exit) -> bool {
        exit == Exit::Signal(SIGABRT)
    }

    /// May it have been killed for memory?
    pub fn was_killed(exit: Exit) -> bool {
        exit.fatal_signal() == Some(SIGKILL)
    }

    /// Is it an end that nobody wanted?
    pub fn has_failed(exit: Exit) -> bool {
        match exit {
            Exit::Code(code) => code != 0,
            Exit::Signal(signal) => CRASHES.contains(&signal),
        }
    }

    /// May it have found no memory where it was promised some?
    pub fn found_no_memory(exit: Exit) -> bool {
        exit.fatal_signal() == Some(SIGBUS)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.exit, self.blame) {
            (exit, Some(Blame::BeforeStart(fault))) => {
                let blame = fault.map(Blame::Fault);
                write!(f, "before_start: {}", Self { exit, blame })
            }
            // Said by the blame itself.
            (Exit::Signal(SIGKILL), Some(blame @ (Blame::Memory { .. } | Blame::Fault(_)))) => {
                write!(f, "{blame}")
            }
            (Exit::Signal(SIGABRT), Some(blame @ Blame::Caught(_))) => write!(f, "{blame}"),
            (exit, blame) => {
                match exit {
                    Exit::Signal(signal) if CRASHES.contains(&signal) => {
                        write!(
                            f,
                            "crashed with {}",
                            signal_name(signal).unwrap_or_default()
                        )?;
                    }
                    exit => write!(f, "{exit}")?,
                }
                blame.map_or(Ok(()), |blame| write!(f, ", {blame}"))
            }
        }
    }
}

impl Blame {
    fn remedy(self) -> Option<&'static str> {
        Some(match self {
            Self::Fault(_) | Self::Caught(_) | Self::BeforeStart(_) => return None,
            Self::Memory { limit: Some(_) } => "raise the container's memory limit",
            Self::Memory { limit: None } => {
                "give the machine more memory, or the container less to do"
            }
            Self::Processes { .. } => {
                "raise that limit: docker run --pids-limit; in Kubernetes podPidsLimit of the kubelet"
            }
            Self::SharedMemory { .. } => {
                "give it more: docker run --shm-size=1g; in Kubernetes an emptyDir with medium: Memory at /dev/shm"
            }
        })
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Fault(Fault::Late) | Self::BeforeStart(Some(Fault::Late)) => {
                f.write_str("killed, not ready in time")
            }
            Self::Fault(Fault::Silent) | Self::BeforeStart(Some(Fault::Silent)) => {
                f.write_str("killed, it did not answer")
            }
            Self::BeforeStart(None) => f.write_str("before_start"),
            Self::Caught(signal) => {
                write!(
                    f,
                    "crashed with {}",
                    signal_name(signal).unwrap_or_default()
                )
            }
            Self::Memory { limit: Some(limit) } => {
                write!(f, "killed for memory (limit {})", size(limit))
            }
            Self::Memory { limit: None } => f.write_str("killed for memory"),
            Self::Processes { limit } => {
                write!(f, "the container has no process left (limit {limit})")
            }
            Self::SharedMemory {
                size: of,
                full: true,
            } => {
                write!(f, "/dev/shm is full ({})", size(of))
            }
            Self::SharedMemory {
                size: of,
                full: false,
            } => {
                write!(f, "/dev/shm has only {}", size(of))
            }
        }
    }
}

impl Service {
    /// How it ended the last time, if ever.
    pub fn last_exit(&self) -> Option<Exit> {
        self.last.map(|verdict| verdict.exit)
    }

    /// What became of it the last time, if ever it ended.
    pub fn verdict(&self) -> Option<Verdict> {
        self.last
    }

    /// So many starts have failed or come to an end since it was last healthy, and so long since the first of them.
    pub fn failures(&self) -> (u32, Duration) {
        let time = self.since.saturating_duration_since(self.trying_since);
        (self.tries(), time)
    }

    /// This is behind the end that was told last.
    pub fn blame(&mut self, blame: Blame) {
        if let Some(verdict) = &mut self.last
            && !matches!(verdict.blame, Some(Blame::BeforeStart(_)))
        {
            verdict.blame = Some(blame);
        }
    }
}

/// The crash that a process tells of in its last words, before it aborts, as X servers and openbox do:
/// `Caught signal 11 (Segmentation fault)`, `Segmentation fault at address 0x10`, `received signal 11`.
pub fn caught<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<i32> {
    let signal = |line: &str| {
        let line = line.to_ascii_lowercase();
        if line.contains("segmentation fault at address") {
            return Some(SIGSEGV);
        }
        let (_, rest) = line
            .split_once("caught signal ")
            .or_else(|| line.split_once("received signal "))?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        let number = digits.parse().ok()?;
        CRASHES.contains(&number).then_some(number)
    };
    words.into_iter().filter_map(signal).last()
}

/// A size that people read.
pub fn size(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    match bytes {
        0..MIB => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / MIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_with_their_cause() {
        let memory = Some(Blame::Memory {
            limit: Some(512 << 20),
        });
        let small = |full| {
            Some(Blame::SharedMemory {
                size: 1 << 20,
                full,
            })
        };
        let cases = [
            (Exit::Code(3), None, "has ended, code 3", "code 3"),
            (
                Exit::Signal(11),
                None,
                "crashed with SIGSEGV",
                "crashed with SIGSEGV",
            ),
            (
                Exit::Signal(9),
                None,
                "was ended by signal 9 (SIGKILL)",
                "signal 9 (SIGKILL)",
            ),
            (
                Exit::Signal(9),
                memory,
                "was killed for memory (limit 512 MiB)",
                "killed for memory (limit 512 MiB)",
            ),
            (
                Exit::Signal(9),
                Some(Blame::Fault(Fault::Silent)),
                "was killed, it did not answer",
                "killed, it did not answer",
            ),
            (
                Exit::Code(3),
                Some(Blame::BeforeStart(None)),
                "could not be started: its before_start has ended, code 3",
                "before_start: code 3",
            ),
            (
                Exit::Signal(9),
                Some(Blame::BeforeStart(Some(Fault::Late))),
                "could not be started: its before_start was killed, not ready in time",
                "before_start: killed, not ready in time",
            ),
            (
                Exit::Code(137),
                memory,
                "has ended, code 137, killed for memory (limit 512 MiB)",
                "code 137, killed for memory (limit 512 MiB)",
            ),
            (
                Exit::Signal(7),
                small(true),
                "crashed with SIGBUS, /dev/shm is full (1 MiB)",
                "crashed with SIGBUS, /dev/shm is full (1 MiB)",
            ),
            (
                Exit::Signal(6),
                Some(Blame::Caught(11)),
                "crashed with SIGSEGV",
                "crashed with SIGSEGV",
            ),
            (
                Exit::Code(1),
                Some(Blame::Processes { limit: 100 }),
                "has ended, code 1, the container has no process left (limit 100)",
                "code 1, the container has no process left (limit 100)",
            ),
            (
                Exit::Code(135),
                small(false),
                "has ended, code 135, /dev/shm has only 1 MiB",
                "code 135, /dev/shm has only 1 MiB",
            ),
        ];
        for (exit, blame, clause, short) in cases {
            let verdict = Verdict { exit, blame };
            assert_eq!(
                (verdict.clause().as_str(), verdict.to_string().as_str()),
                (clause, short)
            );
            assert_eq!(
                verdict.advice() == clause,
                blame.and_then(Blame::remedy).is_none()
            );
        }
    }

    #[test]
    fn last_words_tell_what_was_caught() {
        let xvfb = [
            "(EE) Segmentation fault at address 0x10",
            "(EE) ",
            "(EE) Caught signal 11 (Segmentation fault). Server aborting",
        ];
        assert_eq!(caught(xvfb), Some(11));
        assert_eq!(
            caught(["(EE) Caught signal 7 (Bus error). Server aborting"]),
            Some(7)
        );
        assert_eq!(caught(["(Openbox received signal 11)"]), Some(11));
        for other in ["Caught signal 15", "caught signal", "signal 11", ""] {
            assert_eq!(caught([other]), None, "{other}");
        }
    }

    #[test]
    fn sizes_are_read_by_people() {
        assert_eq!(size(4096), "4 KiB");
        assert_eq!(size(64 * 1024 * 1024), "64 MiB");
    }
}
