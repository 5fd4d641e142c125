//! Real X servers on private displays.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deskinit::desktop::connect::{Connector, Link};
use deskinit::supervisor::link::FRAME_BUFFER;
use deskinit::sys::memfd;
use deskinit::xserver::display::Display;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, Window};

use super::{TempDir, eventually};

/// Which program, and how.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) program: &'static str,
    pub(crate) size: (u16, u16),
    pub(crate) depth: u8,
    pub(crate) args: &'static [&'static str],
    /// It draws into a memory file, as under `deskinit run`.
    pub(crate) in_memory: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            program: "Xvfb",
            size: (1280, 1024),
            depth: 24,
            args: &[],
            in_memory: false,
        }
    }
}

impl Config {
    /// TigerVNC's server, without its network.
    pub(crate) fn xvnc() -> Self {
        Self {
            program: "Xtigervnc",
            args: &["-rfbport", "-1", "-SecurityTypes", "None"],
            ..Self::default()
        }
    }
}

/// A display number, taken before the server starts: a server that looks for a free number itself takes the socket of
/// one that does not listen in the abstract name space.
///
/// The lock names a process, so within this one the tests have to keep apart what they took.
struct Claim {
    number: u16,
    display: Option<Display>,
}

/// The numbers that this process holds.
static CLAIMED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

fn claimed() -> MutexGuard<'static, BTreeSet<u16>> {
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Claim {
    fn new() -> Self {
        let mut claimed = claimed();
        let (number, display) = (0..1000)
            .filter(|number| !claimed.contains(number))
            .find_map(|number| Some((number, Display::claim(Some(number), None).ok()?)))
            .expect("a free display number");
        claimed.insert(number);
        Self {
            number,
            display: Some(display),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = claimed();
        // Lock and socket go before anybody can take the number again.
        self.display = None;
        claimed.remove(&self.number);
    }
}

/// An X server with a cookie; killed when dropped, then its lock and socket are removed.
pub(crate) struct XServer {
    config: Config,
    child: Child,
    claim: Claim,
    dir: TempDir,
    pixels: Option<OwnedFd>,
}

impl XServer {
    /// Xvfb with 1280×1024 pixels of depth 24.
    pub(crate) fn start() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let dir = TempDir::new();
        let mut cookie = [0; 16];
        getrandom::fill(&mut cookie).expect("random bytes");
        let mut entry = vec![0xff, 0xff, 0, 0, 0, 0];
        for part in [&b"MIT-MAGIC-COOKIE-1"[..], &cookie] {
            entry.extend((part.len() as u16).to_be_bytes());
            entry.extend(part);
        }
        std::fs::write(dir.path().join("Xauthority"), entry).expect("a cookie file");
        let pixels = config.in_memory.then(|| {
            let memory = memfd::blank("frame-buffer").expect("a memfd");
            let link = dir.path().join(FRAME_BUFFER);
            std::os::unix::fs::symlink(path_of(&memory), link).expect("a link");
            memory
        });
        let claim = Claim::new();
        let child = launch(&config, dir.path(), claim.number);
        Self {
            config,
            child,
            claim,
            dir,
            pixels,
        }
    }

    /// Where it draws, if that is known.
    pub(crate) fn frame_buffer(&self) -> Option<PathBuf> {
        self.pixels.as_ref().map(path_of)
    }

    /// Starts a new server on the same number, with the same cookie, after [`XServer::kill`].
    pub(crate) fn restart(&mut self) {
        self.child = launch(&self.config, self.dir.path(), self.claim.number);
    }

    /// `:7`
    pub(crate) fn display(&self) -> String {
        format!(":{}", self.claim.number)
    }

    pub(crate) fn xauthority(&self) -> PathBuf {
        self.dir.path().join("Xauthority")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A command that sees this display.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("DISPLAY", self.display())
            .env("XAUTHORITY", self.xauthority());
        command
    }

    pub(crate) fn connector(&self) -> Connector {
        Connector::new(&self.display(), Some(self.xauthority())).expect("a display name")
    }

    /// A client of its own, and the root window.
    pub(crate) fn connect(&self) -> (Link, Window) {
        let (link, screen) = self.connector().connect().expect("the server answers");
        let root = link.setup().roots[screen].root;
        (link, root)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).expect("the server is there");
    }

    /// Kills the server as a crash would: lock and socket stay.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for XServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A path to a descriptor of this process that every process of ours can open.
fn path_of(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        fd.as_raw_fd()
    ))
}

fn launch(config: &Config, dir: &Path, number: u16) -> Child {
    let mut command = Command::new(config.program);
    command.arg(format!(":{number}"));
    let (width, height) = config.size;
    if config.program == "Xvfb" {
        let geometry = format!("{width}x{height}x{}", config.depth);
        command.args(["-screen", "0", &geometry]);
        if config.in_memory {
            command.arg("-fbdir").arg(dir);
        }
    } else {
        command.args(["-geometry", &format!("{width}x{height}")]);
        command.args(["-depth", &config.depth.to_string()]);
    }
    let mut child = command
        .args(["-displayfd", "1", "-noreset", "-nolisten", "tcp"])
        .args(["-nolisten", "local", "-auth"])
        .arg(dir.join("Xauthority"))
        .args(config.args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the X server is installed");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("readable");
    assert_eq!(line.trim(), number.to_string(), "{}", config.program);
    child
}

/// Something that is killed when dropped.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program is installed"),
        )
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until the server has done all that this client asked for.
pub(crate) fn sync(link: &Link) {
    link.get_input_focus()
        .expect("connected")
        .reply()
        .expect("answered");
}

#[test]
fn servers_start_and_leave_nothing() {
    let server = XServer::start();
    let (pid, socket) = (
        server.pid(),
        format!("/tmp/.X11-unix/X{}", server.claim.number),
    );
    sync(&server.connect().0);
    drop(server);
    assert!(!Path::new(&socket).exists());
    eventually("the server is gone", Duration::from_secs(1), || {
        (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
}
