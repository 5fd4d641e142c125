//! deskinit and its peers, each on a display and a port of its own.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use deskinit::supervisor::link::{FRAME_BUFFER, FRAME_BUFFER_VARIABLE};
use deskinit::sys::memfd;

use crate::Outcome;
use crate::link::Address;
use crate::screen::{Process, SIZE, Screen, TempDir, wait_for};
use crate::viewer::{Manner, Viewer};

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// As `run` arranges it: the X server draws where the display server can read.
    Deskinit,
    /// In front of an X server that somebody else started.
    Serve,
    Xvnc,
    X0vncserver,
    X11vnc,
}

/// A server to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) program: Program,
    /// Through a websocket: deskinit's own, or websockify in front of the others.
    web: bool,
}

/// All of them, as they are called on the command line.
pub(crate) const KINDS: [(&str, Kind); 9] = {
    const fn kind(program: Program, web: bool) -> Kind {
        Kind { program, web }
    }
    [
        ("deskinit", kind(Program::Deskinit, false)),
        ("xvnc", kind(Program::Xvnc, false)),
        ("x0vncserver", kind(Program::X0vncserver, false)),
        ("x11vnc", kind(Program::X11vnc, false)),
        ("deskinit+serve", kind(Program::Serve, false)),
        ("deskinit+ws", kind(Program::Deskinit, true)),
        ("xvnc+ws", kind(Program::Xvnc, true)),
        ("x0vncserver+ws", kind(Program::X0vncserver, true)),
        ("x11vnc+ws", kind(Program::X11vnc, true)),
    ]
};

/// Memory that an Xvfb draws in, under the name by which it opens it.
struct Pixels {
    memory: OwnedFd,
    dir: TempDir,
}

impl Pixels {
    fn new() -> Outcome<Self> {
        let memory = memfd::blank("frame-buffer")?;
        let dir = TempDir::new(&format!("pixels{}", memory.as_raw_fd()))?;
        let pixels = Self { memory, dir };
        symlink(pixels.file(), pixels.dir.path().join(FRAME_BUFFER))?;
        Ok(pixels)
    }

    fn directory(&self) -> Outcome<&str> {
        Ok(self.dir.path().to_str().ok_or("a strange directory")?)
    }

    /// A path that any process of ours can open.
    fn file(&self) -> String {
        format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.memory.as_raw_fd()
        )
    }
}

/// One that runs, with openbox on its display.
pub(crate) struct Server {
    // In this order they end.
    _openbox: Process,
    processes: Vec<Process>,
    pub(crate) screen: Screen,
    _pixels: Option<Pixels>,
    pub(crate) address: Address,
    /// The process that speaks RFB.
    pub(crate) pid: i32,
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Outcome<Self> {
        let (vnc, web) = (free_port()?, free_port()?);
        let text = vnc.to_string();
        let (width, height) = SIZE;
        let pixels = match kind.program {
            Program::Deskinit => Some(Pixels::new()?),
            _ => None,
        };
        let screen = if kind.program == Program::Xvnc {
            let geometry = format!("{width}x{height}");
            let args = ["-geometry", &geometry, "-depth", "24", "-rfbport", &text];
            let more = [
                "-SecurityTypes",
                "None",
                "-localhost",
                "-AlwaysShared",
                "-UseBlacklist=0",
            ];
            Screen::start("Xtigervnc", &[&args[..], &more].concat())?
        } else {
            let size = format!("{width}x{height}x24");
            let mut args = vec!["-screen", "0", &size];
            if let Some(pixels) = &pixels {
                args.extend(["-fbdir", pixels.directory()?]);
            }
            Screen::start("Xvfb", &args)?
        };
        let openbox = screen.openbox()?;
        let display = screen.display();
        let run = |program: &str, args: &[&str], env: &[(&str, &str)]| -> Outcome<Process> {
            let log = File::create(screen.dir().join("server.log"))?;
            let mut command = screen.command(program);
            command.args(args).envs(env.iter().copied());
            command.stdout(Stdio::from(log.try_clone()?)).stderr(log);
            Ok(Process(
                command.spawn().map_err(|e| format!("{program}: {e}"))?,
            ))
        };
        let mut processes = Vec::new();
        match kind.program {
            Program::Deskinit | Program::Serve => {
                let web = web.to_string();
                let run_dir = screen.dir().join("run");
                std::fs::create_dir_all(&run_dir)?;
                let mut env = vec![
                    ("VNC_PORT", text.as_str()),
                    ("NO_VNC_PORT", &web),
                    ("BIND_ADDRESS", "127.0.0.1"),
                    ("ALLOW_NO_AUTH", "1"),
                    ("SHARED", "always"),
                    ("RUN_DIR", run_dir.to_str().ok_or("a strange directory")?),
                ];
                let file = pixels.as_ref().map(Pixels::file);
                env.extend(file.as_deref().map(|file| (FRAME_BUFFER_VARIABLE, file)));
                processes.push(run(&deskinit(), &["serve", "--display", &display], &env)?);
            }
            Program::Xvnc => {}
            Program::X0vncserver => {
                let args = [
                    "-display",
                    &display,
                    "-rfbport",
                    &text,
                    "-SecurityTypes",
                    "None",
                ];
                // Debian's x0vncserver is a script that goes away. Its own limit of 35 % of a core would slow it down more than its work does.
                let more = [
                    "-localhost",
                    "-AlwaysShared",
                    "-UseBlacklist=0",
                    "-MaxProcessorUsage=100",
                ];
                processes.push(run("X0tigervnc", &[&args[..], &more].concat(), &[])?);
            }
            Program::X11vnc => {
                let args = [
                    "-display",
                    &display,
                    "-rfbport",
                    &text,
                    "-localhost",
                    "-no6",
                ];
                // It would show a dragged window as an outline.
                let more = ["-forever", "-shared", "-nopw", "-noncache", "-nowireframe"];
                processes.push(run("x11vnc", &[&args[..], &more].concat(), &[])?);
            }
        }
        let pid = processes.first().map_or(screen.pid(), Process::pid);
        let listens = |port: u16| {
            wait_for("the server listens", || Ok(listening(port).then_some(())))
                .map_err(|e| said(&screen, e))
        };
        listens(vnc)?;
        if kind.web && kind.program != Program::Deskinit {
            let ends = [format!("127.0.0.1:{web}"), format!("127.0.0.1:{vnc}")];
            processes.push(run("websockify", &[&ends[0], &ends[1]], &[])?);
        }
        let port = if kind.web { web } else { vnc };
        listens(port)?;
        let address = Address {
            port,
            web: kind.web,
        };
        Ok(Self {
            _openbox: openbox,
            processes,
            screen,
            _pixels: pixels,
            address,
            pid,
        })
    }

    /// A viewer that has seen a first picture.
    pub(crate) fn viewer(&self, manner: Manner) -> Outcome<Viewer> {
        let told = |e| {
            said(
                &self.screen,
                Box::<dyn std::error::Error + Send + Sync>::from(e),
            )
        };
        let viewer = Viewer::connect(self.address, manner).map_err(told)?;
        viewer.first_update().map_err(told)?;
        Ok(viewer)
    }

    /// The processes whose CPU time counts: the server, its proxy, and the X server.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let servers = self.processes.iter().map(Process::pid);
        servers.chain([self.screen.pid()]).collect()
    }
}

/// An error, with the last that the server said.
fn said(
    screen: &Screen,
    e: Box<dyn std::error::Error + Send + Sync>,
) -> Box<dyn std::error::Error + Send + Sync> {
    let log = std::fs::read_to_string(screen.dir().join("server.log")).unwrap_or_default();
    let tail: Vec<&str> = log.lines().rev().take(8).collect();
    format!(
        "{e}; {}",
        tail.into_iter().rev().collect::<Vec<_>>().join(" | ")
    )
    .into()
}

/// The program under test.
pub(crate) fn deskinit() -> String {
    std::env::var("DESKINIT").unwrap_or_else(|_| "target/release/deskinit".to_owned())
}

/// A port of the loopback that nobody has just now, below those that the kernel gives to connections: one of those could
/// be in use again before the program listens.
pub(crate) fn free_port() -> Outcome<u16> {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(41);
    (0..100)
        .map(|_| first.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed)) % 20_000 + 10_000)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .ok_or_else(|| "no port between 10000 and 29999 is free".into())
}

/// Whether anybody listens there, without a connection that a server might count as an attack (proc(5), /proc/net/tcp:
/// local address, remote address, state 0A).
pub(crate) fn listening(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let (end, state) = (format!(":{port:04X}"), "0A");
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().is_some_and(|local| local.ends_with(&end)) && fields.nth(1) == Some(state)
    })
}
