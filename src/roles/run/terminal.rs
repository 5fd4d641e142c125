//! The terminal that `run` was started at, if any, and who gets it.
//!
//! ```text
//!  the application              the terminal
//!  APP_HEADLESS=1           ──▶ is the application's, as under a shell
//!  an interactive shell     ──▶ the same: at /dev/null it would end at once, which nobody can want
//!  anything else            ──▶ stays ours: a program with windows has no use for it, and Ctrl-C stops everything
//! ```

use std::path::Path;

use crate::config::{Config, Raw, setting};
use crate::sys::foreground;

/// Programs that talk to a terminal when nothing tells them what to run.
const SHELLS: [&str; 11] = [
    "ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "rbash", "sh", "tcsh", "zsh",
];

/// Lets an interactive shell have the terminal, unless somebody says whether the application shows windows.
pub(in crate::roles) fn settle(config: &mut Config, raw: &mut Raw) {
    let words = config.application.as_deref().unwrap_or_default();
    if raw.origin("APP_HEADLESS").is_none() && is_interactive(words) && foreground::is_ours() {
        config.app_headless = true;
        // For the display server, too, which would wait for a window.
        if let Some(row) = setting("APP_HEADLESS") {
            raw.flag(row, "1".to_owned());
        }
    }
}

/// What a person at the terminal should know.
pub(super) fn advice(config: &Config) -> Option<&'static str> {
    (config.application.is_some() && !config.app_headless && foreground::is_ours()).then_some(
        "the application does not get this terminal, where Ctrl-C stops everything; APP_HEADLESS=1 gives it to a program that shows no windows",
    )
}

/// A shell with nothing but options, and no command among them.
fn is_interactive(words: &[String]) -> bool {
    let Some((program, args)) = words.split_first() else {
        return false;
    };
    let name = Path::new(program)
        .file_name()
        .and_then(|name| name.to_str());
    let option = |arg: &String| {
        let short = arg.starts_with('-') && !arg.starts_with("--");
        arg.starts_with('-') && !(short && arg.contains('c'))
    };
    name.is_some_and(|name| SHELLS.contains(&name)) && args.iter().all(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_that_was_told_nothing_to_run_is_interactive() {
        let is = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            is_interactive(&words)
        };
        for line in ["bash", "/bin/sh", "bash -i", "zsh -l", "bash --norc -i"] {
            assert!(is(line), "{line}");
        }
        for line in ["xterm", "bash script", "sh -c true", "bash -lc true", "cat"] {
            assert!(!is(line), "{line}");
        }
        assert!(!is_interactive(&[]));
    }
}
