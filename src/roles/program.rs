//! Where programs are.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where Debian and others keep daemons, which users have not in their PATH.
const DAEMONS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// As execvp(3) looks for it.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    find_in(program, None, Path::new(""))
}

/// The same, for one that starts in `directory` and has a `PATH` of its own.
pub(super) fn find_in(program: &str, path: Option<&str>, directory: &Path) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(directory.join(program)).filter(|path| runs(path));
    }
    let path = path.map(OsString::from).or_else(|| env::var_os("PATH"));
    let path = path.unwrap_or_else(|| "/bin:/usr/bin".into());
    env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|path| runs(path))
}

/// The same, for a daemon.
pub(super) fn daemon(program: &str) -> Option<PathBuf> {
    let usual = DAEMONS.map(|directory| Path::new(directory).join(program));
    find(program).or_else(|| usual.into_iter().find(|path| runs(path)))
}

fn runs(path: &Path) -> bool {
    let is = fs::metadata(path);
    is.is_ok_and(|is| is.is_file() && is.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        assert!(find("sh").is_some());
        assert!(find("/bin/sh").is_some());
        for absent in ["deskinit-no-such-program", "/etc/passwd", "/tmp"] {
            assert_eq!(find(absent), None, "{absent}");
            assert_eq!(daemon(absent), None, "{absent}");
        }
        assert!(find_in("./sh", None, Path::new("/bin")).is_some());
        assert_eq!(find_in("sh", Some("/etc:/tmp"), Path::new("/bin")), None);
    }
}
