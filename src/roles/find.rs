//! Which run directory is meant by `health` and `status`.

use std::env;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::config::DisplayName;

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
    let mut all = all();
    // That of the display that is meant, by whichever user: root asks about a run that became somebody else.
    if let Some(display) = display
        && all.iter().any(|(_, number, _)| *number == display.number)
    {
        all.retain(|(_, number, _)| *number == display.number);
    }
    let me = nix::unistd::geteuid().as_raw();
    if all.iter().any(|(uid, _, _)| *uid == me) {
        all.retain(|(uid, _, _)| *uid == me);
    }
    match all.as_slice() {
        [] => Err(NotFound::None),
        [(_, _, one)] => Ok(PathBuf::from(one)),
        _ => Err(NotFound::Several(
            all.into_iter().map(|(_, _, name)| name).collect(),
        )),
    }
}

/// The run directories of `/tmp` that belong to whom their names say: user, display, path.
fn all() -> Vec<(u32, u16, String)> {
    let mut all: Vec<_> = fs::read_dir("/tmp")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (uid, number) = parts(&name)?;
            let owner = entry.metadata().ok()?.uid();
            (owner == uid).then(|| (uid, number, format!("/tmp/{name}")))
        })
        .collect();
    all.sort();
    all
}

/// `.deskinit-UID-NUMBER`.
fn parts(name: &str) -> Option<(u32, u16)> {
    let (user, number) = name.strip_prefix(".deskinit-")?.split_once('-')?;
    Some((user.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_run_directories_are_taken_for_such() {
        assert_eq!(parts(".deskinit-0-7"), Some((0, 7)));
        for name in [
            ".deskinit-0-",
            ".deskinit-x-1",
            ".deskinit-1",
            "deskinit-0-7",
            ".deskinit-0-7-8",
        ] {
            assert_eq!(parts(name), None, "{name}");
        }
    }

    #[test]
    fn a_named_one_wins() {
        assert_eq!(run_dir(Some(PathBuf::from("/x"))), Ok(PathBuf::from("/x")));
    }
}
