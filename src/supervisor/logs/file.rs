//! A log file of a service: lines go in whole, a full one is put aside.
//!
//! ```text
//!  line ─▶ waiting (≤ 64 KiB) ─▶ path ── full ──▶ path.1 ─▶ path.2 ─▶ … ─▶ gone
//!            └ full, the disk takes nothing: the line is dropped and counted; that is told once a minute
//! ```
//!
//! Lines that could not be written stay and are tried again with the next ones.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::sys::output;

/// Bytes that wait for a disk that takes nothing.
const WAITING: usize = 64 * 1024;
/// Between two attempts to open it, or to put it aside.
const RETRY: Duration = Duration::from_secs(1);
/// Between two words about what is lost.
const TELL: Duration = Duration::from_secs(60);

/// Which file, and when it is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// Where.
    pub path: PathBuf,
    /// How large it may get; `None`: without end.
    pub max_bytes: Option<u64>,
    /// How many full ones are kept.
    pub backups: u32,
}

#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) spec: FileSpec,
    file: Option<File>,
    /// Of what is in the file.
    size: u64,
    waiting: Vec<u8>,
    /// Lines that were dropped since that was told.
    lost: u64,
    /// What is wrong with it.
    trouble: Option<String>,
    /// When something was told last.
    told: Option<Instant>,
    /// Not before: the next attempt.
    retry: Option<Instant>,
}

impl LogFile {
    pub(super) fn new(spec: FileSpec) -> Self {
        Self {
            spec,
            file: None,
            size: 0,
            waiting: Vec::new(),
            lost: 0,
            trouble: None,
            told: None,
            retry: None,
        }
    }

    /// Takes a line; false when it is lost.
    pub(super) fn push(&mut self, line: &[u8], now: Instant) -> bool {
        let more = line.len() + 1;
        if self.waiting.len() + more > WAITING {
            self.write(now);
        }
        let full = |size: u64| self.spec.max_bytes.is_some_and(|limit| size > limit);
        let after = self.size + (self.waiting.len() + more) as u64;
        if (self.file.is_none() || full(after)) && self.write(now) {
            let after = self.size + more as u64;
            if self.size > 0 && self.spec.max_bytes.is_some_and(|limit| after > limit) {
                self.put_aside(now);
            }
        }
        if self.waiting.len() + more > WAITING {
            self.lost += 1;
            return false;
        }
        self.waiting.extend_from_slice(line);
        self.waiting.push(b'\n');
        true
    }

    /// Writes what waits; true when nothing does any more.
    pub(super) fn write(&mut self, now: Instant) -> bool {
        if self.file.is_none() {
            if self.retry.is_some_and(|at| now < at) {
                return false;
            }
            match open(&self.spec) {
                Ok((file, size)) => {
                    self.file = Some(file);
                    self.size = size;
                }
                Err(error) => {
                    self.retry = Some(now + RETRY);
                    self.trouble = Some(format!("cannot be opened: {error}"));
                    return false;
                }
            }
        }
        while let Some(file) = self.file.as_mut().filter(|_| !self.waiting.is_empty()) {
            match file.write(&self.waiting) {
                Ok(0) => return false,
                Ok(count) => {
                    self.size += count as u64;
                    self.waiting.drain(..count.min(self.waiting.len()));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.trouble = Some(format!("cannot be written to: {error}"));
                    return false;
                }
            }
        }
        if self.retry.is_none_or(|at| now >= at) {
            self.trouble = None;
            self.retry = None;
        }
        true
    }

    /// What has to be told about it now.
    pub(super) fn complaint(&mut self, now: Instant) -> Option<String> {
        let due = self.told.is_none_or(|at| now >= at + TELL);
        // That it is over is told at once, with the rest of what was lost.
        let over = self.trouble.is_none() && self.lost > 0;
        let broken = due && self.trouble.is_some();
        if !(over || broken) {
            return None;
        }
        self.told = (!over).then_some(now);
        let path = self.spec.path.display();
        let lost = match std::mem::take(&mut self.lost) {
            0 => String::new(),
            1 => "1 line was lost".to_owned(),
            count => format!("{count} lines were lost"),
        };
        Some(match &self.trouble {
            Some(trouble) if lost.is_empty() => format!("the log file {path} {trouble}"),
            Some(trouble) => format!("the log file {path} {trouble}; {lost}"),
            None => format!("the log file {path} can be written to again; {lost}"),
        })
    }

    /// Lets the next complaint be told, however soon: it is the last.
    pub(super) fn last_words(&mut self, now: Instant) -> Option<String> {
        self.write(now);
        let left = self.waiting.iter().filter(|byte| **byte == b'\n').count();
        self.waiting.clear();
        self.lost += left as u64;
        if self.lost > 0 {
            self.told = None;
        }
        self.complaint(now)
    }

    /// Where it cannot be put aside it goes on growing, which is told.
    fn put_aside(&mut self, now: Instant) {
        if self.retry.is_some_and(|at| now < at) {
            return;
        }
        match self.shift() {
            Ok(()) => {
                self.file = None;
                self.retry = None;
            }
            Err(error) => {
                self.retry = Some(now + RETRY);
                self.trouble = Some(format!("is full and cannot be put aside: {error}"));
            }
        }
        self.write(now);
    }

    fn shift(&self) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = self.spec.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        if self.spec.backups == 0 {
            return std::fs::remove_file(&self.spec.path);
        }
        // Up to the first gap, or onto the last.
        let end = (1..self.spec.backups)
            .find(|number| std::fs::symlink_metadata(numbered(*number)).is_err())
            .unwrap_or(self.spec.backups);
        for number in (1..end).rev() {
            std::fs::rename(numbered(number), numbered(number + 1))?;
        }
        std::fs::rename(&self.spec.path, numbered(1))
    }
}

/// Opens it to write at its end, and says how large it is. What others may have put there, a link or a pipe, is not taken.
fn open(spec: &FileSpec) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(output::LOG_FILE_FLAGS)
        .open(&spec.path)?;
    let is = file.metadata()?;
    if !is.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok((file, is.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let name = format!("deskinit-log-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn log(&self, max_bytes: u64, backups: u32) -> LogFile {
            LogFile::new(FileSpec {
                path: self.0.join("x.log"),
                max_bytes: Some(max_bytes),
                backups,
            })
        }

        fn read(&self, name: &str) -> Option<String> {
            std::fs::read_to_string(self.0.join(name)).ok()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let dir = Dir::new("full");
        let now = Instant::now();
        let mut log = dir.log(10, 2);
        for line in [
            "one1",
            "two2",
            "three",
            "four4",
            "five5",
            "a line that is longer than all",
        ] {
            assert!(log.push(line.as_bytes(), now));
        }
        assert!(log.write(now));
        assert_eq!(log.complaint(now), None);
        assert_eq!(
            dir.read("x.log").as_deref(),
            Some("a line that is longer than all\n")
        );
        assert_eq!(dir.read("x.log.1").as_deref(), Some("five5\n"));
        assert_eq!(dir.read("x.log.2").as_deref(), Some("four4\n"));
        assert_eq!(dir.read("x.log.3"), None);
        let mut none_kept = dir.log(10, 0);
        assert!(none_kept.push(b"new", now) && none_kept.write(now));
        assert_eq!(dir.read("x.log").as_deref(), Some("new\n"));
        assert_eq!(dir.read("x.log.1").as_deref(), Some("five5\n"));
    }

    #[test]
    fn what_cannot_be_written_is_kept_then_counted_and_told_once_a_minute() {
        let dir = Dir::new("gone");
        let mut now = Instant::now();
        let mut log = dir.log(1 << 20, 1);
        log.spec.path = dir.0.join("no/such/x.log");
        let line = [b'x'; 1023];
        let taken = (0..100).filter(|_| log.push(&line, now)).count();
        assert_eq!(taken, WAITING / 1024);
        let told = log.complaint(now).unwrap();
        assert!(
            told.contains("cannot be opened") && told.contains("36 lines were lost"),
            "{told}"
        );
        assert!(!log.push(&line, now));
        assert_eq!(log.complaint(now), None);
        std::fs::create_dir_all(dir.0.join("no/such")).unwrap();
        assert!(!log.write(now), "not so soon");
        now += RETRY;
        assert!(log.write(now));
        let told = log.complaint(now).unwrap();
        assert!(
            told.ends_with("can be written to again; 1 line was lost"),
            "{told}"
        );
        assert_eq!(dir.read("no/such/x.log").unwrap().len(), WAITING);
    }

    #[test]
    fn a_full_disk_loses_counted_lines() {
        let now = Instant::now();
        let mut log = LogFile::new(FileSpec {
            path: "/dev/full".into(),
            max_bytes: None,
            backups: 0,
        });
        assert!(log.push(b"x", now), "it waits");
        let told = log.complaint(now).unwrap();
        assert!(told.contains("it is no regular file"), "{told}");
        // What a full disk answers.
        log.file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
        assert!(!log.write(now));
        log.told = None;
        assert!(log.complaint(now).unwrap().contains("No space left"));
        assert!(log.last_words(now).unwrap().contains("1 line was lost"));
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = Dir::new("link");
        let now = Instant::now();
        let mut log = dir.log(100, 1);
        std::os::unix::fs::symlink(dir.0.join("target"), dir.0.join("x.log")).unwrap();
        log.push(b"x", now);
        assert!(!log.write(now));
        assert_eq!(dir.read("target"), None);
    }
}
