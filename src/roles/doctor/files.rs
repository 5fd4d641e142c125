//! Directories that must be writable, and what earlier X servers have left in them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::Report;
use crate::config::Config;
use crate::xserver::leftovers::{Leftover, leftovers};

pub(super) fn check(report: &mut Report, config: &Config) {
    report.check("directories", |report| {
        directories(report, config);
        home(report);
    });
    report.check("X locks", |report| {
        let me = nix::unistd::geteuid().as_raw();
        locks(report, config, &leftovers(), me);
    });
}

fn directories(report: &mut Report, config: &Config) {
    if let Err(why) = writable(Path::new("/tmp")) {
        report.finding(
            "/tmp",
            why,
            "mount one that every user may write to (mode 1777); on a read-only root: --tmpfs /tmp",
        );
        return;
    }
    let sockets = Path::new("/tmp/.X11-unix");
    if sockets.exists()
        && let Err(why) = writable(sockets)
    {
        report.finding(
            "/tmp/.X11-unix",
            why,
            "give it mode 1777, or remove it: it is made at the start",
        );
    }
    if let Some(dir) = &config.run_dir {
        let place = if dir.exists() {
            Some(dir.as_path())
        } else {
            dir.parent()
        };
        if let Some(Err(why)) = place.map(writable) {
            report.finding(
                "RUN_DIR",
                format!("{}: {why}", dir.display()),
                "name a directory that is ours, or leave it out: then it lies in /tmp",
            );
        }
    }
}

fn home(report: &mut Report) {
    let home = env::var_os("HOME").map(PathBuf::from);
    let why = match &home {
        Some(home) => writable(home).err(),
        None => Some("is not set".to_owned()),
    };
    if let Some(why) = why {
        let home = home.unwrap_or_default();
        report.note(
            "HOME",
            format!("{} {why}", home.display()).trim_start().to_owned(),
            "applications keep their settings there: mount a volume, or set HOME to a directory in /tmp",
        );
    }
}

/// Whether we could make a file there; if not, why.
fn writable(path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(is) if !is.is_dir() => return Err("is no directory".to_owned()),
        Ok(_) => {}
        Err(error) => return Err(format!("cannot be used: {error}")),
    }
    access(path, AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|error| format!("cannot be written to: {}", error.desc()))
}

/// A dead lock is removed by whoever takes its number, which is told when that was asked for. One that belongs to another
/// user stays: then the number is lost, which matters only when it was asked for.
fn locks(report: &mut Report, config: &Config, found: &[Leftover], me: u32) {
    let wanted = config.display.as_ref().map(|display| display.number);
    for lock in found {
        let path = lock.path.display();
        if me == 0 || lock.uid == me {
            if wanted == Some(lock.number) {
                let advice = "nothing: it is removed when the number is taken";
                report.note(
                    "X locks",
                    format!("{path} is a lock of a dead X server"),
                    advice,
                );
            }
            continue;
        }
        let text = format!(
            "{path} is a lock of a dead X server that belongs to user {}",
            lock.uid
        );
        if wanted == Some(lock.number) {
            report.finding("X locks", text, "remove it, or choose another DISPLAY");
        } else {
            report.note(
                "X locks",
                text,
                "remove it: the display number cannot be used again",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Raw;

    #[test]
    fn what_cannot_be_written_to_is_told() {
        assert_eq!(writable(&env::temp_dir()), Ok(()));
        assert!(
            writable(Path::new("/etc/passwd"))
                .unwrap_err()
                .contains("no directory")
        );
        assert!(writable(Path::new("/nonexistent")).is_err());
        assert!(writable(Path::new("/proc/sys")).is_err());
    }

    #[test]
    fn a_lock_of_somebody_else_matters_when_its_number_is_wanted() {
        let mut raw = Raw::new();
        raw.env(|name| (name == "DISPLAY").then(|| ":7".to_owned()));
        let (config, _) = Config::parse(raw).unwrap();
        let lock = |number, uid| Leftover {
            path: PathBuf::from(format!("/tmp/.X{number}-lock")),
            number,
            uid,
        };
        let told = |locks: &[Leftover], me| {
            let mut report = Report::default();
            super::locks(&mut report, &config, locks, me);
            (report.remarks.len(), report.findings().count())
        };
        assert_eq!(
            told(&[lock(7, 5)], 5),
            (1, 0),
            "ours: removed when it is taken"
        );
        assert_eq!(told(&[lock(8, 5)], 5), (0, 0), "ours, and not wanted");
        assert_eq!(told(&[lock(7, 6), lock(8, 6)], 5), (2, 1));
        assert_eq!(told(&[lock(7, 6)], 0), (1, 0), "root removes anybody's");
    }
}
