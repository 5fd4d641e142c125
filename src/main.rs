//! The `deskinit` program: picks the role and hands it its settings.

use std::process::ExitCode;

fn main() -> ExitCode {
    deskinit::roles::main(std::env::args_os())
}
