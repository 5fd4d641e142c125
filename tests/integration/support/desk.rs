//! A whole `deskinit run`, outside a container, on a free display, with free ports and a run directory of its own.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deskinit::supervisor::link::{self, Phase, ServiceState, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{TempDir, eventually, serve};

/// The program under test.
pub(crate) const DESKINIT: &str = env!("CARGO_BIN_EXE_deskinit");
/// Far longer than anything here takes on an idle machine; tests share theirs.
pub(crate) const LONG: Duration = Duration::from_secs(40);

/// How it is started.
pub(crate) struct Builder {
    command: Command,
    application: Vec<String>,
    dir: TempDir,
    read: bool,
}

/// A running one; killed, with all its descendants, when dropped.
pub(crate) struct Desk {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<std::thread::JoinHandle<()>>,
    dir: TempDir,
}

impl Builder {
    /// `deskinit run -- COMMAND…`, or without a command when that is empty.
    pub(crate) fn new(application: &[&str]) -> Self {
        let dir = TempDir::new();
        let mut command = Command::new(DESKINIT);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if deskinit::config::all_names().contains(&name) || name == "NOTIFY_SOCKET" {
                command.env_remove(name);
            }
        }
        command
            .env("VNC_PORT", "0")
            .env("NO_VNC_PORT", "0")
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("MAX_SIZE", "1280x1024")
            .env("RUN_DIR", dir.path().join("run"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .arg("run");
        Self {
            command,
            application: application.iter().map(|word| (*word).to_owned()).collect(),
            dir,
            read: true,
        }
    }

    /// As PID 1 of a namespace with a `/proc` of its own; `None` where we may not make one.
    pub(crate) fn into_pid_1(self) -> Option<Self> {
        const UNSHARE: [&str; 6] = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ];
        self.within(&UNSHARE, "exec \"$@\"")
    }

    /// By `wrapper`, in a shell that runs `script` with the command as its arguments; `None` where the wrapper does not
    /// work.
    pub(crate) fn within(mut self, wrapper: &[&str], script: &str) -> Option<Self> {
        let words = wrapper.iter().copied().chain(["sh", "-c"]);
        let shell = |script: &str| {
            let mut words = words.clone();
            let mut command = Command::new(words.next().unwrap_or("sh"));
            command.args(words).args([script, "sh"]);
            command
        };
        if !shell("true").status().is_ok_and(|status| status.success()) {
            return None;
        }
        let mut command = shell(script);
        self.name_application();
        command.arg(DESKINIT).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped());
        self.command = command;
        Some(self)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// With services of the operator's own, from a file with this text.
    pub(crate) fn services(mut self, table: &str) -> Self {
        let files = self.dir.path().join("services");
        std::fs::create_dir(&files).expect("a directory");
        std::fs::write(files.join("services.toml"), table).expect("a file");
        self.command.env("SERVICES_DIR", files);
        self
    }

    /// Flags of `run`.
    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.command.args(flags);
        self
    }

    /// Behind the flags; once.
    fn name_application(&mut self) {
        let words = std::mem::take(&mut self.application);
        if !words.is_empty() {
            self.command.arg("--").args(words);
        }
    }

    /// Instead of a pipe each; to be combined with [`Builder::unread`].
    pub(crate) fn streams(mut self, stdout: Stdio, stderr: Stdio) -> Self {
        self.command.stdout(stdout).stderr(stderr);
        self
    }

    /// Nobody reads its standard output until [`Desk::read`].
    pub(crate) fn unread(mut self) -> Self {
        self.read = false;
        self
    }

    pub(crate) fn start(mut self) -> Desk {
        self.name_application();
        let child = self.command.spawn().expect("deskinit starts");
        let mut desk = Desk {
            child,
            lines: Arc::default(),
            reader: None,
            dir: self.dir,
        };
        if self.read {
            desk.read();
        }
        desk
    }
}

impl Desk {
    pub(crate) fn start(application: &[&str]) -> Self {
        Builder::new(application).start()
    }

    /// Begins to read standard output.
    pub(crate) fn read(&mut self) {
        let Some(out) = self.child.stdout.take() else {
            return;
        };
        let lines = self.lines.clone();
        self.reader = Some(std::thread::spawn(move || {
            let mut out = BufReader::new(out);
            let mut line = Vec::new();
            while out.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lines.lock().unwrap().push(text);
                line.clear();
            }
        }));
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The first line in which `text` stands, once it is there.
    pub(crate) fn line(&self, text: &str) -> String {
        self.until(&format!("a line with {text:?}"), LONG, || {
            self.lines().into_iter().find(|line| line.contains(text))
        })
    }

    /// Looks until it finds something; at the deadline it tells how the desktop is, and what it has said.
    fn until<T>(&self, what: &str, within: Duration, look: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = look() {
                return found;
            }
            if Instant::now() > deadline {
                let (status, lines) = (self.status(), self.lines().join("\n"));
                panic!("not within {within:?}: {what}; {status:#?}\n{lines}");
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    pub(crate) fn status(&self) -> Option<Status> {
        link::status(&self.run_dir(), Duration::from_secs(5)).ok()
    }

    /// What a GET of the web port is answered, once it is known where that is.
    pub(crate) fn get(&self, path: &str) -> serve::Answer {
        eventually("the web port answers", LONG, || {
            let stream = TcpStream::connect(self.status()?.web?).ok()?;
            serve::get(stream, path).ok()
        })
    }

    /// The status once `condition` holds for it.
    pub(crate) fn when(
        &self,
        what: &str,
        within: Duration,
        condition: impl Fn(&Status) -> bool,
    ) -> Status {
        self.until(what, within, || self.status().filter(&condition))
    }

    /// Everything is ready.
    pub(crate) fn up(&self) -> Status {
        self.when("everything is ready", LONG, |status| {
            status.phase == Phase::Running
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it runs");
    }

    /// Its end, with everything it has printed.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        let status = eventually("its end", LONG, || self.child.try_wait().unwrap());
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status, self.lines())
    }

    /// Its exit code.
    pub(crate) fn code(self) -> i32 {
        let (status, lines) = self.end();
        status
            .code()
            .unwrap_or_else(|| panic!("no exit code: {status}\n{}", lines.join("\n")))
    }

    pub(crate) fn descendants(&self) -> Vec<i32> {
        deskinit::sys::procfs::descendants(self.pid())
            .into_iter()
            .map(|process| process.pid)
            .collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        let descendants = self.descendants();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in descendants {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The process of a service.
pub(crate) fn pid(status: &Status, name: &str) -> i32 {
    let service = status.services.iter().find(|service| service.name == name);
    service
        .and_then(|service| service.pid)
        .unwrap_or_else(|| panic!("{name} does not run: {status:#?}"))
}

pub(crate) fn is_ready(status: &Status, name: &str) -> bool {
    status
        .services
        .iter()
        .any(|service| service.name == name && service.state == ServiceState::Ready)
}

/// What deskinit and X servers leave in `/tmp`, if they do.
pub(crate) fn traces() -> BTreeSet<String> {
    let names = |dir: &str| {
        std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().display().to_string())
            .collect::<Vec<_>>()
    };
    names("/tmp")
        .into_iter()
        .filter(|name| {
            name.starts_with("/tmp/.deskinit-")
                || name.starts_with("/tmp/.X")
                || name.starts_with("/tmp/.tX")
        })
        .chain(names("/tmp/.X11-unix"))
        .collect()
}
