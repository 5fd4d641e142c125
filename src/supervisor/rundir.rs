//! The run directory: sockets and the cookie, for our user alone.
//!
//! It lies in `/tmp` unless told otherwise, where others may plant things under its name: so it is made by us, or it is
//! a real directory that is ours and that nobody else may write to; anything else is refused.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::link::{
    CONTROL_SOCKET, FRAME_BUFFER, NOTIFY_SOCKET, PID_FILE, PULSE_DIRECTORY, SERVE_SOCKET,
    SSH_DIRECTORY, START_FILE, XAUTHORITY,
};
use crate::sys::glx;
use crate::sys::process::{self, Identity};

/// A socket's path may have 107 bytes; the longest name in the directory takes some of them.
const LONGEST_PATH: usize = 107 - 1 - CONTROL_SOCKET.len();

/// All that we put there.
const NAMES: [&str; 8] = [
    CONTROL_SOCKET,
    NOTIFY_SOCKET,
    SERVE_SOCKET,
    XAUTHORITY,
    FRAME_BUFFER,
    glx::FILE,
    START_FILE,
    PID_FILE,
];
/// Directories of services of ours.
const DIRECTORIES: [&str; 2] = [SSH_DIRECTORY, PULSE_DIRECTORY];

/// The directory while it is ours.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    made: bool,
}

/// Where it lies unless told otherwise.
pub fn default_path(uid: u32, display: u16) -> PathBuf {
    PathBuf::from(format!("/tmp/.deskinit-{uid}-{display}"))
}

/// As root, for somebody whom we are about to become: makes the directory where only root may, and hands over one of
/// root's that holds nothing but what an earlier run has left.
///
/// # Errors
/// The file system refuses. Whether the directory can be used, [`RunDir::open`] says.
pub fn hand_over(path: &Path, to: &Identity) -> io::Result<()> {
    let directory = process::directory_for(path, to)?;
    let file = fs::File::from(directory);
    let is = file.metadata()?;
    let mut entries = fs::read_dir(path)?;
    let empty = entries.all(|entry| entry.is_ok_and(|entry| is_ours(&entry.file_name())));
    if is.uid() == 0 && is.mode() & 0o022 == 0 && empty {
        std::os::unix::fs::fchown(&file, Some(to.uid), Some(to.gid))?;
    }
    Ok(())
}

fn is_ours(name: &OsStr) -> bool {
    NAMES.iter().chain(&DIRECTORIES).any(|ours| name == *ours)
}

impl RunDir {
    /// Makes the directory, or takes over the one that an earlier run has left.
    ///
    /// # Errors
    /// It belongs to somebody else, others may enter it, it is no directory, a living run uses it, or its name is too
    /// long for sockets.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() > LONGEST_PATH {
            return Err(io::Error::other(format!(
                "the name is longer than {LONGEST_PATH} bytes, too long for sockets"
            )));
        }
        let made = match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        let is = fs::symlink_metadata(path)?;
        let me = nix::unistd::geteuid().as_raw();
        if !is.is_dir() {
            return Err(io::Error::other("is there, but is no directory"));
        }
        if is.uid() != me {
            return Err(io::Error::other(format!(
                "belongs to user {}, not to us ({me})",
                is.uid()
            )));
        }
        let mode = is.permissions().mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(io::Error::other(format!(
                "others may write to it (mode {mode:o}); it must be 700"
            )));
        }
        if mode & 0o077 != 0 {
            // Nobody else can have put anything there, or can put a link in its place after we looked.
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
        let dir = Self {
            path: path.to_owned(),
            made,
        };
        if UnixStream::connect(dir.control()).is_ok() {
            // Not ours to clean up when this value goes.
            std::mem::forget(dir);
            return Err(io::Error::other("another run uses it"));
        }
        dir.clear();
        Ok(dir)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the control socket is.
    pub fn control(&self) -> PathBuf {
        self.path.join(CONTROL_SOCKET)
    }

    /// Where the notify socket is.
    pub fn notify(&self) -> PathBuf {
        self.path.join(NOTIFY_SOCKET)
    }

    /// Where the X server finds its pixels.
    pub fn frame_buffer(&self) -> PathBuf {
        self.path.join(FRAME_BUFFER)
    }

    /// Where the X server finds the driver that tells it about OpenGL.
    pub fn glx_driver(&self) -> PathBuf {
        self.path.join(glx::FILE)
    }

    /// Where the cookie file is.
    pub fn xauthority(&self) -> PathBuf {
        self.path.join(XAUTHORITY)
    }

    /// Says since when it is whose.
    ///
    /// # Errors
    /// Nothing can be written there.
    pub fn sign(&self, time: &str) -> io::Result<()> {
        let pid = std::process::id();
        fs::write(self.path.join(START_FILE), format!("{time}\n"))?;
        fs::write(self.path.join(PID_FILE), format!("{pid}\n"))
    }

    fn clear(&self) {
        for name in NAMES {
            let _ = fs::remove_file(self.path.join(name));
        }
        for name in DIRECTORIES {
            let _ = fs::remove_dir_all(self.path.join(name));
        }
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        self.clear();
        // A directory that somebody else made (a mounted volume) stays; so does one of which others have made use.
        let usual = self
            .path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b".deskinit-"));
        if self.made || usual {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("deskinit-rundir-{name}-{}", std::process::id()))
    }

    #[test]
    fn is_private_and_leaves_nothing() {
        let path = path("own");
        let dir = RunDir::open(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        fs::write(dir.xauthority(), "x").unwrap();
        let living = std::os::unix::net::UnixListener::bind(dir.control()).unwrap();
        assert!(
            RunDir::open(&path)
                .unwrap_err()
                .to_string()
                .contains("another run")
        );
        assert!(
            dir.xauthority().exists(),
            "a living run's files are left alone"
        );
        drop(living);
        drop(dir);
        assert!(!path.exists());
    }

    #[test]
    fn one_that_others_may_only_read_is_closed_to_them() {
        let path = path("open");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        drop(RunDir::open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        fs::remove_dir(&path).unwrap();
    }

    #[test]
    fn refuses_what_others_could_have_planted() {
        let path = path("planted");
        std::os::unix::fs::symlink("/tmp", &path).unwrap();
        assert!(RunDir::open(&path).is_err());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o775)).unwrap();
        assert!(RunDir::open(&path).unwrap_err().to_string().contains("775"));
        fs::remove_dir(&path).unwrap();
        assert!(RunDir::open(&std::env::temp_dir().join("x".repeat(120))).is_err());
    }
}
