//! Called as `tini`, `dumb-init` or `catatonit`, or with one of these as first argument: an init in front of one command,
//! with the flags, messages and exit codes of the original. Nothing of the desktop is started.

mod catatonit;
mod dumb_init;
mod tini;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use nix::errno::Errno;

use crate::supervisor::passthrough::{self, Event, Failure, Options};
use crate::sys::process::SpawnErrorKind;

/// What a command line asks for.
enum Ask {
    /// Run this.
    Run {
        options: Options,
        command: Vec<OsString>,
        /// The originals have levels of talkativeness; each of our files knows its own.
        say: Box<dyn FnMut(Event)>,
    },
    /// Only reap.
    Pause,
    /// Print a text and end.
    Tell { text: String, code: u8, error: bool },
}

impl Ask {
    fn answer(text: impl Into<String>) -> Self {
        Self::Tell {
            text: text.into(),
            code: 0,
            error: false,
        }
    }

    fn wrong(text: impl Into<String>) -> Self {
        Self::Tell {
            text: text.into(),
            code: 1,
            error: true,
        }
    }
}

pub(super) fn tini(name: &str, args: &[OsString]) -> ExitCode {
    obey("tini", tini::ask(name, args), 127, 126)
}

pub(super) fn dumb_init(name: &str, args: &[OsString]) -> ExitCode {
    obey("dumb-init", dumb_init::ask(name, args), 2, 2)
}

pub(super) fn catatonit(name: &str, args: &[OsString]) -> ExitCode {
    obey("catatonit", catatonit::ask(name, args), 127, 126)
}

/// `absent` and `refused` are the exit codes for a command that is not there, and for one that cannot be run.
fn obey(name: &str, ask: Ask, absent: u8, refused: u8) -> ExitCode {
    let done = match ask {
        Ask::Tell { text, code, error } => {
            // Nowhere to report a closed stream.
            let _ = match error {
                true => io::stderr().write_all(text.as_bytes()),
                false => io::stdout().write_all(text.as_bytes()),
            };
            return ExitCode::from(code);
        }
        Ask::Pause => passthrough::pause(),
        Ask::Run {
            options,
            command,
            say,
        } => {
            let Some((program, args)) = command.split_first() else {
                return ExitCode::from(1);
            };
            let done = passthrough::run(&options, program, args, say);
            if let Err(Failure::Command(error)) = &done {
                let reason = error.source.raw_os_error().map_or_else(
                    || error.source.to_string(),
                    |number| Errno::from_raw(number).desc().to_owned(),
                );
                let program = program.to_string_lossy();
                let _ = writeln!(io::stderr(), "[{name}] {program}: {reason}");
            }
            done
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(Failure::Command(error)) => ExitCode::from(match error.kind {
            SpawnErrorKind::NotFound => absent,
            SpawnErrorKind::NotExecutable => refused,
            SpawnErrorKind::Temporary | SpawnErrorKind::Shortage => 1,
        }),
        Err(Failure::System(what, error)) => {
            let _ = writeln!(io::stderr(), "[{name}] {what}: {error}");
            ExitCode::from(1)
        }
    }
}
