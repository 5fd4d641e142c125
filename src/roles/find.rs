//! Which run directory is meant by `health` and `status`.

use std::env;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use crate::config::DisplayName;
use crate::supervisor::rundir;

/// Why no run directory is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotFound {
    None,
    Several(Vec<String>),
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str(
                "no deskinit runs here (no run directory in /tmp; --run-dir names one elsewhere)",
            ),
            Self::Several(names) => write!(
                f,
                "several run here: {}; choose one with --run-dir",
                names.join(", ")
            ),
        }
    }
}

/// The directory that was named, that of `RUN_DIR`, that of `DISPLAY`, or the only one there is.
pub(super) fn run_dir(named: Option<PathBuf>) -> Result<PathBuf, NotFound> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    let given = named
        .or_else(|| variable("RUN_DIR").map(PathBuf::from))
        .or_else(|| variable("ABCDESKTOP_RUN_DIR").map(PathBuf::from));
    if let Some(path) = given {
        return Ok(path);
    }
    let display = env::var("DISPLAY")
        .ok()
        .and_then(|name| DisplayName::parse(&name));
    if let Some(path) = display
        .map(|display| rundir::default_path(display.number))
        .filter(|path| path.is_dir())
    {
        return Ok(path);
    }
    let mut all: Vec<String> = fs::read_dir("/tmp")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_ours(name))
        .map(|name| format!("/tmp/{name}"))
        .collect();
    all.sort();
    match all.as_slice() {
        [] => Err(NotFound::None),
        [one] => Ok(PathBuf::from(one)),
        _ => Err(NotFound::Several(all)),
    }
}

/// `.deskinit-UID-NUMBER`.
fn is_ours(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.strip_prefix(".deskinit-")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(user, number)| digits(user) && digits(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_run_directories_are_taken_for_such() {
        assert!(is_ours(".deskinit-0-7"));
        for name in [
            ".deskinit-0-",
            ".deskinit-x-1",
            ".deskinit-1",
            "deskinit-0-7",
            ".deskinit-0-7-8",
        ] {
            assert!(!is_ours(name), "{name}");
        }
    }

    #[test]
    fn a_named_one_wins() {
        assert_eq!(run_dir(Some(PathBuf::from("/x"))), Ok(PathBuf::from("/x")));
    }
}
