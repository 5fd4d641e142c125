//! `deskinit serve` as a process, in front of a display of the test's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::client::{Client, Login};
use super::desk::{DESKINIT, LONG};
use super::xvfb::XServer;
use super::{TempDir, eventually};

/// What every test uses unless it is about passwords.
pub(crate) const PASSWORD: &str = "s3cret";

/// A running display server; killed when dropped.
pub(crate) struct Serve {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    dir: TempDir,
    status: Value,
}

/// An answer of the web port.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Serve {
    /// In front of a server, with a password and these variables beside.
    pub(crate) fn start(server: &XServer, variables: &[(&str, &str)]) -> Self {
        let authority = server.xauthority().display().to_string();
        let password = [
            ("XAUTHORITY", authority.as_str()),
            ("VNC_PASSWORD", PASSWORD),
        ];
        Self::on(&server.display(), &[&password, variables].concat())
    }

    /// In front of any display, with these variables and no others. An empty value unsets what was set before.
    pub(crate) fn on(display: &str, variables: &[(&str, &str)]) -> Self {
        let dir = TempDir::new();
        let mut command = Command::new(DESKINIT);
        for name in deskinit::config::all_names() {
            command.env_remove(name);
        }
        command
            .args(["serve", "--display", display])
            .env_remove("NOTIFY_SOCKET")
            .env("VNC_PORT", "0")
            .env("NO_VNC_PORT", "0")
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("LOG_LEVEL", "debug")
            .env("RUN_DIR", dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        for (name, value) in variables {
            match *value {
                "" => command.env_remove(name),
                value => command.env(name, value),
            };
        }
        let mut child = command.spawn().expect("deskinit starts");
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (kept, log) = (
            Arc::clone(&lines),
            BufReader::new(child.stderr.take().expect("piped")),
        );
        std::thread::spawn(move || {
            // Of the web port's log only what is not about being asked.
            let lines = log.lines().map_while(Result::ok);
            for line in lines.filter(|l| !l.contains("request peer=local")) {
                kept.lock().expect("no panic").push(line);
            }
        });
        let mut serve = Self {
            child,
            lines,
            dir,
            status: Value::Null,
        };
        serve.status = eventually("the status of deskinit serve", LONG, || {
            if let Ok(Some(end)) = serve.child.try_wait() {
                panic!("deskinit serve ended: {end}\n{}", serve.log());
            }
            serve.get_locally("/api/status").ok()
        });
        serve
    }

    /// Waits until the display is shown.
    pub(crate) fn connected(self) -> Self {
        eventually("the display is connected", LONG, || {
            (self.api()["display"]["connected"] == true).then_some(())
        });
        self
    }

    fn address(&self, what: &str) -> SocketAddr {
        let text = self.status["listening"][what][0].as_str();
        text.and_then(|t| t.parse().ok())
            .unwrap_or_else(|| panic!("no {what} port: {}", self.status))
    }

    pub(crate) fn vnc(&self) -> SocketAddr {
        self.address("vnc")
    }

    pub(crate) fn web(&self) -> SocketAddr {
        self.address("web")
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    /// A viewer with the password.
    pub(crate) fn viewer(&self) -> Client {
        self.login(&Login::password(PASSWORD)).expect("logs in")
    }

    pub(crate) fn login(&self, login: &Login) -> std::io::Result<Client> {
        Client::connect(self.vnc(), login)
    }

    /// `/api/status` as it is now.
    pub(crate) fn api(&self) -> Value {
        self.get_locally("/api/status").expect("it answers")
    }

    fn get_locally(&self, path: &str) -> std::io::Result<Value> {
        let stream = UnixStream::connect(self.dir.path().join("serve.sock"))?;
        stream.set_read_timeout(Some(LONG))?;
        let answer = get(stream, path)?;
        serde_json::from_str(&answer.body).map_err(std::io::Error::other)
    }

    /// A page of the web port.
    pub(crate) fn get(&self, path: &str) -> Answer {
        let stream = TcpStream::connect(self.web()).expect("the web port listens");
        stream.set_read_timeout(Some(LONG)).expect("a socket");
        get(stream, path).expect("the web port answers")
    }

    pub(crate) fn log(&self) -> String {
        self.lines.lock().expect("no panic").join("\n")
    }

    /// Lines of the log, from now on to be counted.
    pub(crate) fn mark(&self) -> usize {
        self.lines.lock().expect("no panic").len()
    }

    /// Waits for a line after `mark` in which all of these stand.
    pub(crate) fn line(&self, mark: usize, words: &[&str]) -> String {
        eventually(&format!("a log line with {words:?}"), LONG, || {
            let lines = self.lines.lock().expect("no panic");
            let mut new = lines.iter().skip(mark);
            new.find(|l| words.iter().all(|w| l.contains(w))).cloned()
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it runs");
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .expect("it runs")
            .count()
    }

    /// A figure of `/proc/PID/status`, in KiB.
    pub(crate) fn memory(&self, field: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("runs");
        let line = text.lines().find_map(|l| l.strip_prefix(field));
        line.and_then(|l| {
            l.trim_start_matches(':')
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .expect("a figure")
    }

    /// CPU time used so far, of user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("runs");
        let (_, fields) = text.rsplit_once(')').expect("a name");
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|t| t.parse::<u64>().expect("a number"))
            .sum();
        // USER_HZ is 100 on every Linux.
        Duration::from_millis(ticks * 10)
    }

    /// Waits for the number of authenticated viewers.
    pub(crate) fn viewers(&self, count: u64) {
        eventually(&format!("{count} viewers"), LONG, || {
            (self.api()["viewers"] == count).then_some(())
        });
    }

    /// Its exit code, once it has ended.
    pub(crate) fn code(&mut self) -> Option<i32> {
        eventually("its end", LONG, || self.child.try_wait().expect("ours")).code()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of deskinit serve:\n{}", self.log());
        }
    }
}

/// What a GET is answered by whoever is at the other end.
pub(crate) fn get(mut stream: impl Read + Write, path: &str) -> std::io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let bad = || std::io::Error::other(format!("no answer: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(bad)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(bad)?,
        body: body.to_owned(),
    })
}
