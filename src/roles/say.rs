//! What commands print. Every write may fail, and none panics, as `print!` and its like do.
//!
//! Whoever reads standard output and goes ends a command without a word and with 141, as SIGPIPE would; what cannot be
//! written for another reason (a full disk) is told on standard error and ends it with 74 (`EX_IOERR`). Where nothing can
//! be said on standard error either, the exit code has to be enough.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// 128 + SIGPIPE.
const EXIT_PIPE: u8 = 141;
/// `EX_IOERR`.
const EXIT_UNWRITTEN: u8 = 74;

/// All of it on standard output, or the exit code of a command that could not say it.
pub(super) fn out(text: &str) -> Result<(), ExitCode> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return ExitCode::from(EXIT_PIPE);
        }
        err(format_args!("deskinit: standard output: {error}"));
        ExitCode::from(EXIT_UNWRITTEN)
    })
}

/// A line on standard error.
pub(super) fn err(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The code of a command that is done when it has said this on standard output.
pub(super) fn all(text: &str) -> ExitCode {
    out(text).err().unwrap_or(ExitCode::SUCCESS)
}
