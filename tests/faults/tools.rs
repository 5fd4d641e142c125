//! What the faults are injected with, and how an init is looked at from outside.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use deskinit::supervisor::link::{Answer, Entry, Record, Request, Status, Talk};
use deskinit::supervisor::plan::Order;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::TempDir;
use crate::support::desk::{Builder, DESKINIT, Desk, LONG};
use crate::support::eventually;

/// Held in common by what measures times that are promised, alone by what fills the machine.
static MACHINE: RwLock<()> = RwLock::new(());

/// While this is held nobody fills the machine.
pub(crate) fn quiet() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// While this is held nobody measures.
pub(crate) fn crowded() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// A desktop whose application needs no window, and that is there as soon as can be.
pub(crate) fn quick(words: &[&str]) -> Builder {
    Builder::new(words)
        .env("APP_HEADLESS", "1")
        .env("MAX_SIZE", "64x64")
        .env("DISPLAY_WIDTH", "64")
        .env("DISPLAY_HEIGHT", "64")
        .env("XSERVER_GLX", "0")
        .env("WINDOW_MANAGER", "/nonexistent/wm")
}

/// The process of `deskinit run` itself, behind whatever wraps it.
pub(crate) fn init(desk: &Desk) -> i32 {
    let is_run = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.next() == Some(DESKINIT.as_bytes()) && words.next() == Some(b"run")
    };
    eventually("deskinit run", LONG, || {
        let mut all = std::iter::once(desk.pid()).chain(desk.descendants());
        all.find(is_run)
    })
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("it is there");
}

/// Fields of `/proc/PID/stat` from the state (field 3) on.
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    Some(rest.split_ascii_whitespace().map(str::to_owned).collect())
}

/// CPU time that it has taken.
pub(crate) fn cpu(pid: i32) -> Duration {
    let fields = stat(pid).expect("it runs");
    let ticks: u64 = [11, 12]
        .map(|at| fields[at].parse::<u64>().unwrap())
        .iter()
        .sum();
    Duration::from_millis(ticks * 10)
}

/// Takes less than a tenth of a core, while `meanwhile` goes on and for a second at least.
pub(crate) fn does_not_spin<T>(init: i32, meanwhile: impl FnOnce() -> T) -> T {
    let (before, since) = (cpu(init), Instant::now());
    let result = meanwhile();
    std::thread::sleep(Duration::from_secs(1).saturating_sub(since.elapsed()));
    let (took, time) = (cpu(init) - before, since.elapsed());
    println!("{took:?} of CPU in {time:?}");
    assert!(
        took < time / 10 + Duration::from_millis(50),
        "{took:?} in {time:?}"
    );
    result
}

/// Children of this process: all, and those that nobody has asked how they ended.
pub(crate) fn children(parent: i32) -> (usize, usize) {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let own = pids
        .filter_map(stat)
        .filter(|fields| fields[1] == parent.to_string());
    own.fold((0, 0), |(all, dead), fields| {
        (all + 1, dead + usize::from(fields[0] == "Z"))
    })
}

/// Bytes of its own memory.
pub(crate) fn memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib << 10
}

pub(crate) fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// How often a line with these words was printed.
pub(crate) fn count(lines: &[String], words: &str) -> usize {
    lines.iter().filter(|line| line.contains(words)).count()
}

/// The status as a question that is asked now, and answered when the init gets to it.
pub(crate) fn question(desk: &Desk) -> impl FnOnce() -> Status {
    let request = Request::Status { watch: false };
    let mut talk = Talk::begin(&desk.run_dir(), &request, Some(LONG)).expect("it listens");
    move || talk.answer().unwrap().expect("an answer")
}

/// Processes that wait until a gate is opened, and then go on all at once.
pub(crate) struct Gate {
    dir: TempDir,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new();
        nix::unistd::mkfifo(&dir.path().join("gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        Self { dir }
    }

    /// Words of a shell that wait at it.
    pub(crate) fn wait(&self) -> String {
        format!("read x <{}", self.path().display())
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("gate")
    }

    pub(crate) fn open(&self) {
        let mut gate = fs::File::options().write(true).open(self.path()).unwrap();
        let _ = gate.write_all(b"\n");
    }
}

/// Is this program there? CI has all of them; a test that is left out says so.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).exists());
    if !found {
        eprintln!("skipped: there is no {program} here");
    }
    found
}

/// The record of what became of a service, from the beginning and on.
pub(crate) fn events(desk: &Desk, service: &str) -> impl Iterator<Item = Entry> {
    let request = Request::Read {
        record: Record::Events,
        service: Some(service.to_owned()),
        lines: 1000,
        follow: true,
    };
    let mut talk = eventually("it listens", LONG, || {
        Talk::begin(&desk.run_dir(), &request, Some(LONG)).ok()
    });
    std::iter::from_fn(move || talk.answer().unwrap())
}

/// Orders it, as `deskinit restart` does.
pub(crate) fn restart(desk: &Desk, service: &str) {
    let request = Request::Order {
        order: Order::Restart,
        service: service.to_owned(),
    };
    let mut talk = Talk::begin(&desk.run_dir(), &request, Some(LONG)).expect("it listens");
    assert_eq!(talk.answer().unwrap(), Some(Answer::Done));
}
