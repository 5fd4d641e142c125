//! `supervisorctl`: what health checks and scripts ask of supervisord, answered about our services in its columns, words
//! and exit codes.
//!
//! Parts that other images start under other names answer to those too: `openbox` is the window manager, `novnc`,
//! `websockify` and `x11vnc` are the display server.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::roles::find;
use crate::roles::orders::{self, EXIT_UNKNOWN, Failure};
use crate::supervisor::link::{
    self, Entry, Record, Request, ServiceState, ServiceStatus, Status, Talk,
};
use crate::supervisor::plan::Order;

/// Something did not work (`LSBInitExitStatuses.GENERIC`).
const GENERIC: u8 = 1;
/// `LSBInitExitStatuses.INVALID_ARGS`.
const INVALID: u8 = 2;
/// A program was started and does not run, or nobody is there to order anything from (`LSBInitExitStatuses.NOT_RUNNING`).
const NOT_STARTED: u8 = 7;
/// A program is not running (`LSBStatusExitStatuses.NOT_RUNNING`).
const NOT_RUNNING: u8 = 3;
/// Nobody to ask for a status, or no such program (`LSBStatusExitStatuses.UNKNOWN`).
const UNKNOWN: u8 = 4;

const PATIENCE: Duration = Duration::from_secs(5);
/// supervisorctl waits for a start as long as the program's startsecs; ours are ready when they say so.
const ORDERED: Duration = Duration::from_secs(60);
/// `tail` shows the end of a log.
const TAIL: usize = 30;

/// What others call our parts.
const ALIASES: [(&str, &str); 8] = [
    ("openbox", "wm"),
    ("windowmanager", "wm"),
    ("novnc", "display"),
    ("websockify", "display"),
    ("x11vnc", "display"),
    ("Xvnc", "xserver"),
    ("xvfb", "xserver"),
    ("xorg", "xserver"),
];

pub(super) fn run(args: &[String]) -> ExitCode {
    let mut out = String::new();
    let code = match words(args) {
        Ok(words) => act(&words, &mut out),
        Err(option) => {
            out = format!("Error: option {option} not recognized\n");
            INVALID
        }
    };
    // Nowhere to report a closed standard output.
    let _ = io::stdout().write_all(out.as_bytes());
    ExitCode::from(code)
}

/// The words of the command, without the options that say where supervisord is.
fn words(args: &[String]) -> Result<Vec<&str>, &str> {
    let mut args = args.iter().map(String::as_str).peekable();
    while let Some(option) = args.next_if(|word| word.starts_with('-')) {
        let (name, attached) = match option.split_once('=') {
            Some((name, _)) => (name, true),
            None => (option, false),
        };
        match name {
            "-c" | "-s" | "-u" | "-p" | "-r" | "--configuration" | "--serverurl" | "--username"
            | "--password" | "--history-file" => {
                if !attached {
                    args.next();
                }
            }
            "-i" | "--interactive" => {}
            _ => return Err(option),
        }
    }
    Ok(args.collect())
}

fn act(words: &[&str], out: &mut String) -> u8 {
    let Some((command, names)) = words.split_first() else {
        // Without a command supervisorctl begins with the status; there is no prompt here.
        return act(&["status"], out);
    };
    let found = find::run_dir(None).map_err(|error| error.to_string());
    let found = found.and_then(|dir| {
        let status = link::status(&dir, PATIENCE).map_err(|error| error.to_string())?;
        Ok((dir, status))
    });
    let (dir, status) = match found {
        Ok(found) => found,
        Err(why) => {
            *out += &format!("deskinit refused connection: {why}\n");
            return if *command == "status" {
                UNKNOWN
            } else {
                NOT_STARTED
            };
        }
    };
    let desk = Desk { dir, status };
    match *command {
        "status" => desk.status(names, out),
        "version" => {
            *out += concat!(env!("CARGO_PKG_VERSION"), "\n");
            0
        }
        "start" => desk.order(names, &[Order::Start], out),
        "stop" => desk.order(names, &[Order::Stop], out),
        "restart" => desk.order(names, &[Order::Stop, Order::Start], out),
        "signal" => desk.signal(names, out),
        "pid" => desk.pid(names, out),
        "tail" => desk.tail(names, out),
        "avail" => {
            for service in &desk.status.services {
                *out += &format!("{:<32} in use    auto      999:999\n", service.name);
            }
            0
        }
        "reread" => {
            *out += "No config updates to processes\n";
            0
        }
        "update" => 0,
        "shutdown" => desk.shutdown(out),
        other => {
            *out += &format!("*** Unknown syntax: {other}\n");
            GENERIC
        }
    }
}

/// A run, as it was when it was asked.
struct Desk {
    dir: PathBuf,
    status: Status,
}

impl Desk {
    /// The service that somebody means.
    fn find(&self, name: &str) -> Option<&ServiceStatus> {
        let called = |wanted: &str| self.status.services.iter().find(|one| one.name == wanted);
        // A group's programs are `group:program`; ours are in none.
        let name = name.rsplit_once(':').map_or(name, |(_, name)| name);
        called(name).or_else(|| {
            let (_, own) = ALIASES.iter().find(|(alias, _)| *alias == name)?;
            called(own)
        })
    }

    /// The names that are meant: those given, or all.
    fn meant<'a>(&'a self, names: &[&'a str]) -> Vec<&'a str> {
        match names {
            [] | ["all"] => {
                let all = self.status.services.iter();
                all.map(|service| service.name.as_str()).collect()
            }
            names => names.to_vec(),
        }
    }

    fn status(&self, names: &[&str], out: &mut String) -> u8 {
        let mut code = 0;
        let names = self.meant(names);
        for name in names.iter().filter(|name| self.find(name).is_none()) {
            *out += &format!("{name}: ERROR (no such process)\n");
            code = UNKNOWN;
        }
        let known = names
            .iter()
            .filter_map(|name| Some((name, self.find(name)?)));
        for (name, service) in known {
            let (word, text) = describe(service);
            *out += format!("{name:<33}{word:<10}{text}").trim_end();
            out.push('\n');
            if matches!(word, "STOPPED" | "EXITED" | "FATAL") {
                code = NOT_RUNNING;
            }
        }
        code
    }

    fn order(&self, names: &[&str], steps: &[Order], out: &mut String) -> u8 {
        if names.is_empty() {
            *out += "Error: a name is wanted, or all\n";
            return if steps == [Order::Stop] {
                GENERIC
            } else {
                INVALID
            };
        }
        let mut code = 0;
        for name in self.meant(names) {
            let Some(service) = self.find(name) else {
                *out += &format!("{name}: ERROR (no such process)\n");
                code = GENERIC;
                continue;
            };
            for step in steps {
                let done = orders::obey(&self.dir, *step, &service.name, ORDERED);
                match &done {
                    Ok(_) => {}
                    // It was started, and ended.
                    Err(failure) if failure.code == orders::EXIT_FAILURE => code = NOT_STARTED,
                    Err(_) => code = GENERIC,
                }
                *out += &format!("{name}: {}\n", verdict(*step, done));
            }
        }
        code
    }

    fn signal(&self, words: &[&str], out: &mut String) -> u8 {
        let Some((signal, names)) = words.split_first().filter(|(_, names)| !names.is_empty())
        else {
            *out += "Error: a signal and a name are wanted\n";
            return INVALID;
        };
        let mut code = 0;
        for name in self.meant(names) {
            let sent = match self.find(name) {
                Some(service) => orders::send(&self.dir, signal, &service.name),
                None => Err(Failure::unknown()),
            };
            let text = match sent {
                Ok(()) => "signalled".to_owned(),
                Err(failure) => {
                    code = GENERIC;
                    error(&failure)
                }
            };
            *out += &format!("{name}: {text}\n");
        }
        code
    }

    fn pid(&self, names: &[&str], out: &mut String) -> u8 {
        if names.is_empty() {
            *out += &format!("{}\n", self.status.pid);
            return 0;
        }
        let mut code = 0;
        for name in self.meant(names) {
            match self.find(name) {
                Some(service) => {
                    if service.pid.is_none() {
                        code = NOT_RUNNING;
                    }
                    *out += &format!("{}\n", service.pid.unwrap_or(0));
                }
                None => {
                    *out += &format!("No such process {name}\n");
                    code = GENERIC;
                }
            }
        }
        code
    }

    /// `tail [-f] [-BYTES] NAME [stdout|stderr]`: both streams are one here.
    fn tail(&self, words: &[&str], out: &mut String) -> u8 {
        let follow = words.contains(&"-f");
        let name = words.iter().find(|word| !word.starts_with('-'));
        let Some(service) = name.and_then(|name| self.find(name)) else {
            *out += &format!("{}: ERROR (no such process name)\n", name.unwrap_or(&""));
            return GENERIC;
        };
        match print(&self.dir, &service.name, follow) {
            Ok(()) => 0,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Err(error) => {
                *out += &format!("{}: ERROR ({error})\n", service.name);
                GENERIC
            }
        }
    }

    fn shutdown(&self, out: &mut String) -> u8 {
        use nix::sys::signal::{Signal, kill};
        match kill(nix::unistd::Pid::from_raw(self.status.pid), Signal::SIGTERM) {
            Ok(()) => {
                *out += "Shut down\n";
                0
            }
            Err(error) => {
                *out += &format!("ERROR ({})\n", error.desc());
                GENERIC
            }
        }
    }
}

fn print(dir: &Path, service: &str, follow: bool) -> io::Result<()> {
    let request = Request::Read {
        record: Record::Log,
        service: Some(service.to_owned()),
        lines: TAIL,
        follow,
    };
    let mut talk = Talk::begin(dir, &request, (!follow).then_some(PATIENCE))?;
    let mut out = io::stdout().lock();
    while let Some(entry) = talk.answer::<Entry>()? {
        writeln!(out, "{}", entry.message)?;
        out.flush()?;
    }
    Ok(())
}

/// supervisord's word for a state, and what it says beside it.
fn describe(service: &ServiceStatus) -> (&'static str, String) {
    let ended = || match service.end() {
        Some(exit) => format!("ended with {exit}"),
        None => "Not started".to_owned(),
    };
    match service.state {
        ServiceState::Waiting | ServiceState::Starting => ("STARTING", String::new()),
        ServiceState::Ready => {
            let seconds = service.since_ms / 1000;
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let pid = service.pid.unwrap_or(0);
            let text = format!("pid {pid}, uptime {hours}:{minutes:02}:{:02}", seconds % 60);
            ("RUNNING", text)
        }
        ServiceState::Backoff => ("BACKOFF", ended()),
        ServiceState::Stopping => ("STOPPING", String::new()),
        ServiceState::Stopped => ("STOPPED", ended()),
        ServiceState::Ended => ("EXITED", ended()),
        ServiceState::Fatal => ("FATAL", ended()),
    }
}

/// What is said of an order. That it was so already is called an error, but is none to the exit code.
fn verdict(order: Order, done: Result<(bool, ServiceState), Failure>) -> String {
    match (order, done) {
        (Order::Stop, Ok((false, _))) => "ERROR (not running)".to_owned(),
        (_, Ok((false, _))) => "ERROR (already started)".to_owned(),
        (Order::Stop, Ok(_)) => "stopped".to_owned(),
        (_, Ok(_)) => "started".to_owned(),
        (_, Err(failure)) => error(&failure),
    }
}

fn error(failure: &Failure) -> String {
    match failure.code {
        EXIT_UNKNOWN => "ERROR (no such process)".to_owned(),
        orders::EXIT_NOT_RUNNING => "ERROR (not running)".to_owned(),
        _ => format!("ERROR ({})", failure.why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, state: ServiceState) -> ServiceStatus {
        ServiceStatus {
            name: name.to_owned(),
            state,
            pid: Some(42),
            restarts: 0,
            since_ms: 3_725_000,
            last_exit: Some("code 1".to_owned()),
            verdict: None,
        }
    }

    #[test]
    fn columns_words_and_codes_are_supervisords() {
        let status = Status {
            phase: link::Phase::Running,
            message: String::new(),
            not_live: None,
            exit_code: None,
            close_windows: false,
            display: ":0".to_owned(),
            pid: 1,
            uptime_ms: 0,
            viewers: 0,
            idle_ms: 0,
            frozen: false,
            windows: 0,
            web: None,
            vnc: None,
            dropped_lines: 0,
            services: vec![
                service("wm", ServiceState::Ready),
                service("app", ServiceState::Fatal),
            ],
        };
        let desk = Desk {
            dir: PathBuf::new(),
            status,
        };
        let said = |names: &[&str]| {
            let mut out = String::new();
            let code = desk.status(names, &mut out);
            (out, code)
        };
        let running = "openbox                          RUNNING   pid 42, uptime 1:02:05\n";
        assert_eq!(said(&["openbox"]), (running.to_owned(), 0));
        let fatal = "desk:app                         FATAL     ended with code 1\n";
        assert_eq!(said(&["desk:app"]), (fatal.to_owned(), 3));
        assert_eq!(
            said(&["nothing"]),
            ("nothing: ERROR (no such process)\n".to_owned(), 4)
        );
        let (text, code) = said(&["app", "nothing"]);
        assert!(text.starts_with("nothing: ERROR"), "the unknown come first");
        assert_eq!(code, 3);
        assert_eq!(said(&[]).1, 3);
        assert_eq!(said(&["all"]).0.lines().count(), 2);
    }

    #[test]
    fn options_that_name_a_server_are_skipped() {
        let words_of = |text: &str| -> Result<Vec<String>, String> {
            let args: Vec<String> = text.split(' ').map(str::to_owned).collect();
            let found = words(&args).map_err(str::to_owned)?;
            Ok(found.into_iter().map(str::to_owned).collect())
        };
        let found = words_of("-c /etc/x.conf --serverurl=unix:///x status app").unwrap();
        assert_eq!(found, ["status", "app"]);
        assert_eq!(words_of("tail -f app").unwrap(), ["tail", "-f", "app"]);
        assert_eq!(words_of("--nope status"), Err("--nope".to_owned()));
    }
}
