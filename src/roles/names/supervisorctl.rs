//! `supervisorctl`: what health checks and scripts ask of supervisord, answered about our services in its columns, words
//! and exit codes.
//!
//! Parts that other images start under other names answer to those too: `openbox` is the window manager, `novnc`,
//! `websockify` and `x11vnc` are the display server.

mod help;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::roles::find;
use crate::roles::orders::{self, EXIT_UNKNOWN, Failure};
use crate::supervisor::link::{
    self, Entry, Record, Refusal, Request, ServiceState, ServiceStatus, Status, Talk,
};
use crate::supervisor::logs::OWN_NAME;
use crate::supervisor::plan::{EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, Order};

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

const NO_GROUP: &str = "no such group";

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
    // Nobody needs to answer for these.
    match *command {
        "help" | "?" => {
            let known = help::help(names.first().copied(), out);
            return if known { 0 } else { GENERIC };
        }
        "quit" | "exit" => return 0,
        _ => {}
    }
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
        "maintail" => desk.main_tail(names, out),
        "clear" => desk.clear(names, out),
        "add" => desk.add(names, out),
        "remove" => desk.remove(names, out),
        "fg" => refuse(
            "services have no standard input; `supervisorctl tail -f` shows what they print",
            out,
        ),
        "open" => refuse("there is one run to talk to; RUN_DIR names another", out),
        "reload" => refuse(
            "settings are read at the start only; `supervisorctl shutdown` ends everything, and the container engine starts it again",
            out,
        ),
        "avail" => {
            for service in &desk.status.services {
                *out += &format!("{:<32} in use    auto      999:999\n", namespec(service));
            }
            0
        }
        "reread" => {
            *out += "No config updates to processes\n";
            0
        }
        "update" => desk.update(names, out),
        "shutdown" => desk.shutdown(out),
        other => {
            *out += &format!("*** Unknown syntax: {other}\n");
            GENERIC
        }
    }
}

fn refuse(why: &str, out: &mut String) -> u8 {
    *out += &format!("ERROR: {why}\n");
    GENERIC
}

/// A name, and the service that it means, or why there is none.
type Meant<'a> = (String, Result<&'a ServiceStatus, &'static str>);

/// As supervisord writes it: with the group, unless that has the same name.
fn namespec(service: &ServiceStatus) -> String {
    match &service.group {
        Some(group) if *group != service.name => format!("{group}:{}", service.name),
        _ => service.name.clone(),
    }
}

/// The group, if this names one: `group:*` or `group:`.
fn group(name: &str) -> Option<&str> {
    name.strip_suffix(":*").or_else(|| name.strip_suffix(':'))
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
        // What is in no group is also called as if it were in some.
        let name = name.rsplit_once(':').map_or(name, |(_, name)| name);
        called(name).or_else(|| {
            let (_, own) = ALIASES.iter().find(|(alias, _)| *alias == name)?;
            called(own)
        })
    }

    /// What is meant: by names as they were given, by all, or by `group:*`, one after the other.
    fn meant(&self, names: &[&str]) -> Vec<Meant<'_>> {
        if names.is_empty() || names.contains(&"all") {
            let all = self.status.services.iter();
            return all.map(|one| (namespec(one), Ok(one))).collect();
        }
        let each = names.iter().flat_map(|name| match group(name) {
            None => {
                let found = self.find(name).ok_or("no such process");
                vec![((*name).to_owned(), found)]
            }
            Some(group) => {
                let all = self.status.services.iter();
                let members = all.filter(|one| one.group.as_deref() == Some(group));
                let members: Vec<_> = members.map(|one| (namespec(one), Ok(one))).collect();
                // What is in no group is a group of its own.
                match (members.is_empty(), self.find(group)) {
                    (false, _) => members,
                    (true, Some(one)) if one.group.is_none() => vec![(group.to_owned(), Ok(one))],
                    (true, _) => vec![(group.to_owned(), Err(NO_GROUP))],
                }
            }
        });
        each.collect()
    }

    fn status(&self, names: &[&str], out: &mut String) -> u8 {
        let mut code = 0;
        let meant = self.meant(names);
        for (name, found) in &meant {
            if let Err(why) = found {
                *out += &format!("{name}: ERROR ({why})\n");
                code = UNKNOWN;
            }
        }
        let known = meant
            .iter()
            .filter_map(|(name, found)| Some((name, found.ok()?)));
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
        let mut known = Vec::new();
        for (name, found) in self.meant(names) {
            match found {
                Ok(service) => known.push((name, service)),
                Err(why) => {
                    *out += &format!("{name}: ERROR ({why})\n");
                    let group = why == NO_GROUP && steps != [Order::Stop];
                    code = if group { INVALID } else { GENERIC };
                }
            }
        }
        // Nobody loses what it needs before it has ended itself.
        let all = &self.status.services;
        let place = |one: &ServiceStatus| all.iter().position(|other| other.name == one.name);
        known.sort_by_key(|(_, service)| place(service));
        for step in steps {
            let turns: Vec<_> = match step {
                Order::Stop => known.iter().rev().collect(),
                Order::Start | Order::Restart => known.iter().collect(),
            };
            for (name, service) in turns {
                let done = orders::obey(&self.dir, *step, &service.name, ORDERED);
                match &done {
                    Ok(_) => {}
                    // There is nothing to be started.
                    Err(failure) if hopeless(failure) => code = GENERIC,
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
        for (name, found) in self.meant(names) {
            let sent = found.map(|service| orders::send(&self.dir, signal, &service.name));
            let text = match sent {
                Ok(Ok(())) => "signalled".to_owned(),
                Ok(Err(failure)) => {
                    code = GENERIC;
                    error(&failure)
                }
                Err(why) => {
                    code = GENERIC;
                    format!("ERROR ({why})")
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
        for (name, found) in self.meant(names) {
            match found {
                Ok(service) => {
                    if service.pid.is_none() {
                        code = NOT_RUNNING;
                    }
                    *out += &format!("{}\n", service.pid.unwrap_or(0));
                }
                Err(_) => {
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
        self.print(&service.name, follow, out)
    }

    /// `maintail [-f] [-BYTES]`: what supervisord writes to its log is said by `run` here.
    fn main_tail(&self, words: &[&str], out: &mut String) -> u8 {
        match words.iter().find(|word| !word.starts_with('-')) {
            Some(word) => {
                *out += &format!("Error: bad argument {word}\n");
                GENERIC
            }
            None => self.print(OWN_NAME, words.contains(&"-f"), out),
        }
    }

    fn print(&self, service: &str, follow: bool, out: &mut String) -> u8 {
        match print(&self.dir, service, follow) {
            Ok(()) => 0,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Err(error) => {
                *out += &format!("{service}: ERROR ({error})\n");
                GENERIC
            }
        }
    }

    fn clear(&self, names: &[&str], out: &mut String) -> u8 {
        if names.is_empty() {
            *out += "Error: clear requires a process name\n";
            return GENERIC;
        }
        for (name, found) in self.meant(names) {
            let why = found
                .err()
                .unwrap_or("logs are not cleared; files are put aside when they are full");
            *out += &format!("{name}: ERROR ({why})\n");
        }
        GENERIC
    }

    fn add(&self, names: &[&str], out: &mut String) -> u8 {
        self.each_group(names, out, |_, out| {
            *out += "ERROR: process group already active\n";
            0
        })
    }

    fn remove(&self, names: &[&str], out: &mut String) -> u8 {
        self.each_group(names, out, |service, out| {
            let name = namespec(service);
            *out += &match service.pid {
                Some(_) => format!("ERROR: process/group still running: {name}\n"),
                None => format!(
                    "ERROR: {name} stays, stopped; nothing is removed while deskinit runs\n"
                ),
            };
            GENERIC
        })
    }

    /// Settings are read at the start, so nothing has changed; only a name may be wrong.
    fn update(&self, names: &[&str], out: &mut String) -> u8 {
        let mut code = 0;
        for name in names.iter().filter(|name| **name != "all") {
            if self.find(name).is_none() && !self.is_group(name) {
                *out += &format!("ERROR: no such group: {name}\n");
                code = GENERIC;
            }
        }
        code
    }

    fn is_group(&self, name: &str) -> bool {
        let mut all = self.status.services.iter();
        all.any(|one| one.group.as_deref() == Some(name))
    }

    fn each_group(
        &self,
        names: &[&str],
        out: &mut String,
        act: impl Fn(&ServiceStatus, &mut String) -> u8,
    ) -> u8 {
        let mut code = 0;
        for name in names {
            let mut all = self.status.services.iter();
            let member = all.find(|one| one.group.as_deref() == Some(*name));
            code = match member.or_else(|| self.find(name)) {
                Some(service) => act(service, out).max(code),
                None => {
                    *out += &format!("ERROR: no such process/group: {name}\n");
                    GENERIC
                }
            };
        }
        code
    }

    /// Asks `run` itself: its number may be another process's where this one looks from.
    fn shutdown(&self, out: &mut String) -> u8 {
        match orders::send(&self.dir, "TERM", OWN_NAME) {
            Ok(()) => {
                *out += "Shut down\n";
                0
            }
            Err(failure) => {
                *out += &format!("{}\n", error(&failure));
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
    let ended = || match (&service.refusal, service.end()) {
        (Some(refusal), _) => refused(refusal),
        (None, Some(exit)) => format!("ended with {exit}"),
        (None, None) => "Not started".to_owned(),
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

/// Of a program that could not be started.
fn refused(refusal: &Refusal) -> String {
    let program = &refusal.program;
    match refusal.code {
        Some(EXIT_NOT_FOUND) => format!("can't find command '{program}'"),
        Some(EXIT_NOT_EXECUTABLE) => format!("command at '{program}' is not executable"),
        _ => refusal.reason.clone(),
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

fn hopeless(failure: &Failure) -> bool {
    let code = failure.refusal.as_ref().and_then(|refusal| refusal.code);
    code.is_some()
}

fn error(failure: &Failure) -> String {
    match failure.code {
        EXIT_UNKNOWN => "ERROR (no such process)".to_owned(),
        orders::EXIT_NOT_RUNNING => "ERROR (not running)".to_owned(),
        _ => match failure.refusal.as_ref().map(|refusal| refusal.code) {
            Some(Some(EXIT_NOT_FOUND)) => "ERROR (no such file)".to_owned(),
            Some(Some(EXIT_NOT_EXECUTABLE)) => "ERROR (file is not executable)".to_owned(),
            Some(_) => "ERROR (spawn error)".to_owned(),
            None => format!("ERROR ({})", failure.why),
        },
    }
}

#[cfg(test)]
mod tests;
