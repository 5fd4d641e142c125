//! `vncpasswd`: the password files of TigerVNC and its relatives: eight bytes for each password, and eight more for one
//! that only watches.
//!
//! ```text
//!   vncpasswd -f       a line or two from standard input → 8 or 16 bytes on standard output
//!   vncpasswd [FILE]   asks, and writes FILE (~/.vnc/passwd), mode 0600
//! ```
//!
//! Exit code 1 when there is nothing to write, or it cannot be written.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::termios::{self, LocalFlags, SetArg};

use crate::rfb::obfuscated;

/// Longer passwords are not typed.
const LONGEST: u64 = 1024;
/// Only so much counts for VNC authentication.
const COUNTS: usize = 8;
/// Shorter ones are refused to people, who should know better; programs may use them.
const SHORTEST: usize = 6;

pub(super) fn run(args: &[String]) -> ExitCode {
    let done = match args {
        [flag] if flag == "-f" => filter(io::stdin().lock(), io::stdout()),
        [flag, ..] if flag.starts_with('-') => {
            Err("usage: vncpasswd [FILE]\n       vncpasswd -f".to_owned())
        }
        [] => home_file().and_then(|path| ask_and_write(&path)),
        [path] => ask_and_write(Path::new(path)),
        _ => Err("one file is enough".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(io::stderr(), "vncpasswd: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Obfuscates the first two lines.
fn filter(input: impl BufRead, mut out: impl Write) -> Result<(), String> {
    let mut input = input.take(2 * LONGEST);
    let mut bytes = Vec::new();
    for _ in 0..2 {
        match line(&mut input).map_err(|error| error.to_string())? {
            Some(password) => bytes.extend(obfuscated(&password)),
            None => break,
        }
    }
    if bytes.is_empty() {
        return Err("no password on standard input".to_owned());
    }
    out.write_all(&bytes)
        .and_then(|()| out.flush())
        .map_err(|error| error.to_string())
}

/// A line without its end; `None` when there is none, or an empty one, which would be no password (CVE-2011-0011).
fn line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    input.take(LONGEST).read_until(b'\n', &mut line)?;
    while line
        .last()
        .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
    {
        line.pop();
    }
    Ok(Some(line).filter(|line| !line.is_empty()))
}

fn home_file() -> Result<PathBuf, String> {
    let home = std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .ok_or("HOME is not set: name the file")?;
    let dir = PathBuf::from(home).join(".vnc");
    match DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(format!("{}: {error}", dir.display()))
        }
        _ => Ok(dir.join("passwd")),
    }
}

fn ask_and_write(path: &Path) -> Result<(), String> {
    let password = ask_twice()?.ok_or("the password is not changed")?;
    let mut bytes = obfuscated(&password).to_vec();
    if wants_second()? {
        match ask_twice()? {
            Some(second) => bytes.extend(obfuscated(&second)),
            None => return Err("the password is not changed".to_owned()),
        }
    } else {
        prompt("A view-only password is not used\n");
    }
    write(path, &bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// Whole or not at all, and readable for nobody else at any time.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn prompt(text: &str) {
    let mut out = io::stderr();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn wants_second() -> Result<bool, String> {
    prompt("Would you like to enter a view-only password (y/n)? ");
    let answer = line(&mut io::stdin().lock()).map_err(|error| error.to_string())?;
    Ok(answer.is_some_and(|answer| matches!(answer.first(), Some(b'y' | b'Y'))))
}

/// A password that was typed the same way twice; `None` when none was typed.
fn ask_twice() -> Result<Option<Vec<u8>>, String> {
    loop {
        let Some(first) = ask("Password:")? else {
            return Ok(None);
        };
        if first.len() < SHORTEST {
            prompt(&format!(
                "Password must be at least {SHORTEST} characters - try again\n"
            ));
            continue;
        }
        if first.len() > COUNTS {
            prompt(&format!(
                "Only the first {COUNTS} characters count for VNC authentication\n"
            ));
        }
        if ask("Verify:")?.as_ref() == Some(&first) {
            return Ok(Some(first));
        }
        prompt("Passwords do not match - try again\n");
    }
}

/// What is typed, without showing it.
fn ask(text: &str) -> Result<Option<Vec<u8>>, String> {
    prompt(text);
    let stdin = io::stdin();
    let before = stdin
        .is_terminal()
        .then(|| termios::tcgetattr(&stdin).ok())
        .flatten();
    if let Some(shown) = &before {
        let mut hidden = shown.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        let _ = termios::tcsetattr(&stdin, SetArg::TCSAFLUSH, &hidden);
    }
    let typed = line(&mut stdin.lock());
    if let Some(shown) = &before {
        let _ = termios::tcsetattr(&stdin, SetArg::TCSAFLUSH, shown);
        prompt("\n");
    }
    typed.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn filtered(text: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        filter(text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn two_lines_are_two_passwords() {
        let first = filtered("password\n").unwrap();
        // What TigerVNC's writes for it.
        assert_eq!(first, [0xdb, 0xd8, 0x3c, 0xfd, 0x72, 0x7a, 0x14, 0x58]);
        assert_eq!(filtered("password").unwrap(), first);
        let both = filtered("password\r\nsecondpw99\nthird\n").unwrap();
        assert_eq!(
            both,
            [
                0xdb, 0xd8, 0x3c, 0xfd, 0x72, 0x7a, 0x14, 0x58, 0x15, 0x87, 0xad, 0xaf, 0x04, 0x99,
                0xa0, 0x62
            ]
        );
        assert!(filtered("").is_err());
        assert!(filtered("\nsecond\n").is_err());
    }

    #[test]
    fn a_file_is_replaced_whole_and_for_nobody_else() {
        let dir = std::env::temp_dir().join(format!("deskinit-vncpasswd-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let path = dir.join("passwd");
        fs::write(&path, "old").unwrap();
        write(&path, b"12345678").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"12345678");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        assert!(write(&dir.join("no/passwd"), b"x").is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
