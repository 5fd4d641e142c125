//! The cookie in the user's own `~/.Xauthority`, where programs look that nobody tells about the one of the run directory:
//! those in other containers that share the home.
//!
//! Entries of other displays stay. The file is locked as libXau does it (`-c` and `-l` beside it), written anew (`-n`)
//! and put in its place in one step, so that a reader finds the old one or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::cookie::{FAMILY_WILD, METHOD, entry};

/// A larger one is no cookie file.
const LARGEST: u64 = 1 << 20;
/// How often and how long a lock is waited for.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);
/// A lock of that age is forgotten; xauth thinks so, too.
const DEAD: Duration = Duration::from_secs(600);

/// The cookie while it stands there; taken out again when dropped.
#[derive(Debug)]
pub struct HomeCookie {
    path: PathBuf,
    display: u16,
}

impl HomeCookie {
    /// Puts the cookie of this display before all others.
    ///
    /// # Errors
    /// Somebody else holds the lock, the file is none of cookies, or it cannot be written.
    pub fn put(path: PathBuf, display: u16, cookie: &[u8]) -> io::Result<Self> {
        rewrite(&path, |old| {
            Some([entry(display, cookie), without(old, display)?].concat())
        })?;
        Ok(Self { path, display })
    }
}

impl Drop for HomeCookie {
    fn drop(&mut self) {
        // Where it cannot be taken out, it is of no use to anybody.
        let _ = rewrite(&self.path, |old| without(old, self.display));
    }
}

/// Without our own entries of an earlier run; `None`: it is no cookie file.
fn without(mut old: &[u8], display: u16) -> Option<Vec<u8>> {
    let number = display.to_string();
    let mut kept = Vec::new();
    while !old.is_empty() {
        let (family, rest) = old.split_first_chunk::<2>()?;
        let mut rest = rest;
        let mut fields = [&[][..]; 4];
        for field in &mut fields {
            let (length, more) = rest.split_first_chunk::<2>()?;
            (*field, rest) = more.split_at_checked(u16::from_be_bytes(*length).into())?;
        }
        let (whole, next) = old.split_at_checked(old.len() - rest.len())?;
        let [_, of, method, _] = fields;
        let ours = u16::from_be_bytes(*family) == FAMILY_WILD
            && of == number.as_bytes()
            && method == METHOD;
        if !ours {
            kept.extend_from_slice(whole);
        }
        old = next;
    }
    Some(kept)
}

fn rewrite(path: &Path, change: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> io::Result<()> {
    let _lock = Lock::take(path)?;
    let old = read(path)?;
    let strange = || io::Error::other("is not as xauth writes it; remove it");
    let new = change(old.as_deref().unwrap_or_default()).ok_or_else(strange)?;
    if new.is_empty() {
        return match old {
            Some(_) => fs::remove_file(path),
            None => Ok(()),
        };
    }
    let beside = with(path, "-n");
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    let written = file
        .write_all(&new)
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(is) if !is.is_file() || is.len() > LARGEST => {
            return Err(io::Error::other("is no cookie file; remove it"));
        }
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Two names of one file; whoever makes the second has it.
struct Lock {
    first: PathBuf,
    second: PathBuf,
}

impl Lock {
    fn take(path: &Path) -> io::Result<Self> {
        let lock = Self {
            first: with(path, "-c"),
            second: with(path, "-l"),
        };
        for name in [&lock.first, &lock.second] {
            let age = fs::symlink_metadata(name).and_then(|is| is.modified());
            let age = age.ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > DEAD) {
                let _ = fs::remove_file(name);
            }
        }
        for _ in 0..TRIES {
            match lock.try_take() {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => thread::sleep(PAUSE),
                Err(error) => {
                    std::mem::forget(lock);
                    return Err(error);
                }
                Ok(()) => return Ok(lock),
            }
        }
        let text = format!("somebody else has locked it ({})", lock.first.display());
        // Not ours to remove.
        std::mem::forget(lock);
        Err(io::Error::other(text))
    }

    fn try_take(&self) -> io::Result<()> {
        let mut create = OpenOptions::new();
        create.write(true).create_new(true).mode(0o600);
        create.open(&self.first)?;
        fs::hard_link(&self.first, &self.second).inspect_err(|_| {
            let _ = fs::remove_file(&self.first);
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        for name in [&self.first, &self.second] {
            let _ = fs::remove_file(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn directory(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("deskinit-home-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        path
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap().flatten();
        let mut names: Vec<_> = entries
            .map(|e| e.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn others_entries_stay_and_ours_goes_with_us() {
        let dir = directory("merge");
        let path = dir.join(".Xauthority");
        let other = [&[1, 0][..], &[0, 1, b'h', 0, 1, b'7'], &entry(7, b"x")[7..]].concat();
        let others = [other, entry(8, &[8; 16])].concat();
        let stale = entry(7, &[1; 16]);
        fs::write(&path, [&others[..], &stale].concat()).unwrap();
        let cookie = HomeCookie::put(path.clone(), 7, &[2; 16]).unwrap();
        let expected = [&entry(7, &[2; 16])[..], &others].concat();
        assert_eq!(fs::read(&path).unwrap(), expected);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(names(&dir), [".Xauthority"], "no lock is left");
        drop(cookie);
        assert_eq!(fs::read(&path).unwrap(), others);
        fs::remove_file(&path).unwrap();
        drop(HomeCookie::put(path.clone(), 7, &[2; 16]).unwrap());
        assert!(
            names(&dir).is_empty(),
            "what was not there before is not there after"
        );
        fs::remove_dir(&dir).unwrap();
    }

    #[test]
    fn what_is_locked_strange_or_a_link_is_left_alone() {
        let dir = directory("strange");
        let path = dir.join(".Xauthority");
        fs::write(&path, "no cookies").unwrap();
        let told = HomeCookie::put(path.clone(), 7, &[2])
            .unwrap_err()
            .to_string();
        assert!(told.contains("xauth"), "{told}");
        assert_eq!(fs::read(&path).unwrap(), b"no cookies");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nonexistent/target", &path).unwrap();
        assert!(HomeCookie::put(path.clone(), 7, &[2]).is_err());
        fs::remove_file(&path).unwrap();
        fs::write(with(&path, "-c"), "").unwrap();
        let told = HomeCookie::put(path.clone(), 7, &[2])
            .unwrap_err()
            .to_string();
        assert!(told.contains("locked"), "{told}");
        assert_eq!(names(&dir), [".Xauthority-c"]);
        fs::remove_dir_all(&dir).unwrap();
    }
}
