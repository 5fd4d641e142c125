//! `deskinit status`: what runs, for people as a table and for scripts as JSON.
//!
//! `run` knows the services, the display server the viewers: each is asked on its own socket, and without the second
//! the answer of the first is still one.

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::ask::{ask, object};
use super::orders::{EXIT_NOBODY, EXIT_NOT_RUNNING, EXIT_UNKNOWN};
use super::{find, say};
use crate::supervisor::link::{self, Request, ServiceState, ServiceStatus, Status, Talk};

/// How long each may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the command line said.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// Only these services; all when empty.
    pub services: Vec<String>,
    /// Go on with every change.
    pub follow: bool,
    /// JSON objects instead of the table.
    pub json: bool,
    /// The run directory, when it was named.
    pub run_dir: Option<PathBuf>,
}

/// Prints the status.
///
/// Exit codes: 0 all that were named run, or are about to; 3 one of them does not (without names: one was given up); 4 there
/// is none of that name; 69 no run answers.
pub fn run(args: Args) -> ExitCode {
    let dir = match find::run_dir(args.run_dir.clone()) {
        Ok(dir) => dir,
        Err(error) => return nobody(&error),
    };
    let told = match args.follow {
        true => follow(&dir, &args),
        false => once(&dir, &args),
    };
    told.unwrap_or_else(|error| {
        nobody(&format_args!(
            "nobody answers in {}: {error}",
            dir.display()
        ))
    })
}

fn nobody(why: &dyn fmt::Display) -> ExitCode {
    say::err(format_args!("deskinit status: {why}"));
    ExitCode::from(EXIT_NOBODY)
}

fn once(dir: &Path, args: &Args) -> io::Result<ExitCode> {
    let mut status = link::status(dir, PATIENCE)?;
    let code = code(&status, &args.services);
    say_unknown(&status, &args.services);
    keep_only(&mut status, &args.services);
    let text = match (args.json, args.services.is_empty()) {
        (true, _) => json(&status, viewers(dir)),
        (false, true) => table(&status) + &ways(&viewers(dir)),
        (false, false) => rows(&status),
    };
    let said = say::out(&text);
    Ok(said.err().unwrap_or_else(|| ExitCode::from(code)))
}

/// First how things are, then a line for each change, until the run ends or nobody reads any more.
fn follow(dir: &Path, args: &Args) -> io::Result<ExitCode> {
    let mut talk = Talk::begin(dir, &Request::Status { watch: true }, None)?;
    let mut before: Option<Status> = None;
    while let Some(mut status) = talk.answer::<Status>()? {
        if before.is_none() && code(&status, &args.services) == EXIT_UNKNOWN {
            say_unknown(&status, &args.services);
            return Ok(ExitCode::from(EXIT_UNKNOWN));
        }
        keep_only(&mut status, &args.services);
        let text = match (&before, args.json) {
            (Some(before), _) if timeless(before) == timeless(&status) => String::new(),
            (_, true) => serde_json::to_string(&status)? + "\n",
            (Some(before), false) => changes(before, &status, args.services.is_empty()),
            (None, false) if args.services.is_empty() => table(&status),
            (None, false) => rows(&status),
        };
        if let Err(unwritten) = say::out(&text) {
            return Ok(unwritten);
        }
        before = Some(status);
    }
    Ok(ExitCode::SUCCESS)
}

fn code(status: &Status, names: &[String]) -> u8 {
    let find = |name: &String| status.services.iter().find(|one| one.name == *name);
    let named: Vec<_> = names.iter().map(find).collect();
    let rests = |one: &ServiceStatus| {
        use ServiceState::{Ended, Fatal, Stopped};
        matches!(one.state, Stopped | Ended | Fatal)
    };
    let lost = |one: &ServiceStatus| one.state == ServiceState::Fatal;
    if named.iter().any(Option::is_none) {
        EXIT_UNKNOWN
    } else if named.into_iter().flatten().any(rests)
        || (names.is_empty() && status.services.iter().any(lost))
    {
        EXIT_NOT_RUNNING
    } else {
        0
    }
}

fn say_unknown(status: &Status, names: &[String]) {
    let known: Vec<&str> = status
        .services
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    for name in names.iter().filter(|name| !known.contains(&name.as_str())) {
        let known = known.join(", ");
        say::err(format_args!(
            "deskinit: {name}: there is no such service; there are {known}"
        ));
    }
}

fn keep_only(status: &mut Status, names: &[String]) {
    let services = &mut status.services;
    services.retain(|one| names.is_empty() || names.contains(&one.name));
}

/// Without what changes all the time.
fn timeless(status: &Status) -> Status {
    let mut status = status.clone();
    (status.uptime_ms, status.idle_ms) = (0, 0);
    for service in &mut status.services {
        service.since_ms = 0;
    }
    status
}

/// A line for each thing that is not as it was; with `whole` also of what concerns no single service.
fn changes(before: &Status, now: &Status, whole: bool) -> String {
    let mut text = String::new();
    for service in &now.services {
        let old = before.services.iter().find(|one| one.name == service.name);
        let same = |old: &ServiceStatus| {
            (old.state, old.pid, old.restarts) == (service.state, service.pid, service.restarts)
        };
        if old.is_some_and(same) {
            continue;
        }
        let more = match service.pid {
            Some(pid) => format!(", pid {pid}"),
            None => service
                .end()
                .map(|end| format!(", {end}"))
                .unwrap_or_default(),
        };
        let _ = writeln!(text, "{}: {}{more}", service.name, service.state.word());
    }
    if whole {
        if (before.phase, &before.message) != (now.phase, &now.message) {
            let colon = if now.message.is_empty() { "" } else { ": " };
            let _ = writeln!(text, "{}{colon}{}", now.phase.word(), now.message);
        }
        if before.viewers != now.viewers {
            let _ = writeln!(text, "viewers: {}", now.viewers);
        }
        if before.windows != now.windows {
            let _ = writeln!(text, "windows: {}", now.windows);
        }
        if before.frozen != now.frozen {
            let what = if now.frozen {
                "is held still"
            } else {
                "goes on"
            };
            let _ = writeln!(text, "the application {what}");
        }
    }
    text
}

/// What the display server says of each viewer; nothing while it does not answer.
fn viewers(dir: &Path) -> Vec<Value> {
    let answer = ask(dir, "/api/status", PATIENCE);
    let Ok((200, body)) = answer else {
        return Vec::new();
    };
    let status = object(&body).and_then(|object| serde_json::from_slice::<Value>(object).ok());
    match status.map(|mut status| status["clients"].take()) {
        Some(Value::Array(viewers)) => viewers,
        _ => Vec::new(),
    }
}

fn json(status: &Status, viewers: Vec<Value>) -> String {
    let Ok(mut value) = serde_json::to_value(status) else {
        return String::new();
    };
    value["clients"] = viewers.into();
    serde_json::to_string_pretty(&value)
        .map(|text| text + "\n")
        .unwrap_or_default()
}

/// How the pixels went to each viewer, a line each.
fn ways(viewers: &[Value]) -> String {
    let mut text = String::new();
    for viewer in viewers {
        let (Some(encoding), Some(ways)) =
            (viewer["encoding"].as_str(), viewer["ways"].as_object())
        else {
            continue;
        };
        let used = ways.iter().filter(|(_, tally)| tally["rectangles"] != 0);
        let used = used.map(|(way, tally)| {
            let megapixels = tally["pixels"].as_f64().unwrap_or_default() / 1e6;
            let kilobytes = tally["bytes"].as_f64().unwrap_or_default() / 1e3;
            format!("{way} {megapixels:.1} MPixel in {kilobytes:.0} kB")
        });
        let used: Vec<String> = used.collect();
        let _ = writeln!(
            text,
            "viewer {}, {encoding}{}: {}",
            viewer["id"],
            link(viewer),
            used.join(", ")
        );
    }
    if !text.is_empty() {
        text.insert(0, '\n');
    }
    text
}

/// What its link lets through, as far as there is anything to say.
fn link(viewer: &Value) -> String {
    let mut text = String::new();
    if let Some(asked) = viewer["quality"].as_u64() {
        let used = viewer["quality_in_use"].as_u64().unwrap_or(asked);
        let _ = match used == asked {
            true => write!(text, ", quality {asked} %"),
            false => write!(text, ", quality {used} % of {asked} %"),
        };
    }
    if let Some(rate) = viewer["link_kilobytes_per_second"].as_f64() {
        let _ = write!(text, ", link {rate:.0} kB/s");
    }
    if let Some(age) = viewer["frame_age_ms"].as_f64() {
        let _ = write!(text, ", frame age {age:.0} ms");
    }
    text
}

fn table(status: &Status) -> String {
    let phase = status.phase.word();
    let mut text = format!(
        "{phase} on display {} (pid {}, up for {}), viewers: {}, idle for {}, windows: {}{}\n",
        status.display,
        status.pid,
        duration(status.uptime_ms),
        status.viewers,
        duration(status.idle_ms),
        status.windows,
        if status.frozen {
            ", the application is held still"
        } else {
            ""
        }
    );
    if !status.message.is_empty() {
        let _ = writeln!(text, "{}", status.message);
    }
    text.push('\n');
    text + &rows(status)
}

fn rows(status: &Status) -> String {
    let mut text = format!(
        "{:<10} {:<9} {:>7} {:>9} {:>8}  LAST EXIT\n",
        "SERVICE", "STATE", "PID", "RESTARTS", "SINCE"
    );
    for service in &status.services {
        let waits = service.waits_for.as_ref();
        let last = match waits.map(|other| format!("waits for {other}")) {
            Some(waits) => waits.into(),
            None => service.end().unwrap_or("-".into()),
        };
        let pid = service
            .pid
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let _ = writeln!(
            text,
            "{:<10} {:<9} {:>7} {:>9} {:>8}  {}",
            service.name,
            service.state.word(),
            pid,
            service.restarts,
            duration(service.since_ms),
            last
        );
    }
    text
}

/// The two largest units: `3.2s`, `4m05s`, `2h10m`, `3d07h`.
fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if minutes == 0 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        () if hours == 0 => format!("{minutes}m{:02}s", seconds % 60),
        () if days == 0 => format!("{hours}h{:02}m", minutes % 60),
        () => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::link::Phase;

    #[test]
    fn durations_are_short() {
        let shown: Vec<String> = [0, 3_250, 245_000, 7_800_000, 284_400_000]
            .map(duration)
            .to_vec();
        assert_eq!(shown, ["0.0s", "3.2s", "4m05s", "2h10m", "3d07h"]);
    }

    #[test]
    fn viewers_are_told_by_what_they_were_sent() {
        let tally = |n: u64| serde_json::json!({ "rectangles": n, "pixels": n * 1_500_000, "bytes": n * 2000 });
        let viewer = serde_json::json!({
            "id": 4, "encoding": "Tight", "quality": 79, "quality_in_use": 41,
            "link_kilobytes_per_second": 200.4, "ways": { "fill": tally(1), "jpeg": tally(0), "copy": tally(2) },
        });
        // One that has only just come has no figures yet.
        let text = ways(&[viewer, serde_json::json!({ "id": 5 })]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            lines[1].starts_with("viewer 4, Tight, quality 41 % of 79 %, link 200 kB/s: "),
            "{text}"
        );
        assert!(text.contains("copy 3.0 MPixel in 4 kB"), "{text}");
        assert!(!text.contains("jpeg"), "{text}");
        assert_eq!(ways(&[]), "");
    }

    fn status() -> Status {
        Status {
            phase: Phase::Starting,
            message: "the window manager has ended, code 1, starting it again".to_owned(),
            not_live: None,
            exit_code: None,
            close_windows: false,
            display: ":7".to_owned(),
            pid: 1,
            uptime_ms: 61_000,
            viewers: 2,
            idle_ms: 5000,
            frozen: false,
            windows: 1,
            web: None,
            vnc: None,
            dropped_lines: 0,
            services: vec![ServiceStatus {
                name: "wm".to_owned(),
                state: ServiceState::Backoff,
                pid: None,
                restarts: 3,
                since_ms: 400,
                last_exit: Some("code 1".to_owned()),
                verdict: None,
                refusal: None,
                waits_for: None,
                group: None,
            }],
        }
    }

    #[test]
    fn the_table_says_what_a_person_asks() {
        let text = table(&status());
        assert!(text.starts_with(
            "starting on display :7 (pid 1, up for 1m01s), viewers: 2, idle for 5.0s, windows: 1\nthe window manager"
        ));
        assert!(
            text.contains("\nwm         backoff         -         3     0.4s  code 1\n"),
            "{text}"
        );
    }

    #[test]
    fn codes_are_of_those_that_were_named() {
        let mut status = status();
        let wm = || vec!["wm".to_owned()];
        assert_eq!(code(&status, &wm()), 0, "it will be started again");
        assert_eq!(code(&status, &["x".to_owned()]), 4);
        for (state, named, all) in [
            (ServiceState::Stopped, 3, 0),
            (ServiceState::Ended, 3, 0),
            (ServiceState::Fatal, 3, 3),
            (ServiceState::Ready, 0, 0),
        ] {
            status.services[0].state = state;
            assert_eq!((code(&status, &wm()), code(&status, &[])), (named, all));
        }
    }

    #[test]
    fn a_change_is_a_line() {
        let before = status();
        let mut now = before.clone();
        now.uptime_ms += 1;
        now.services[0].since_ms = 0;
        assert_eq!(timeless(&before), timeless(&now));
        assert_eq!(changes(&before, &now, true), "");
        now.services[0].state = ServiceState::Ready;
        now.services[0].pid = Some(9);
        (now.phase, now.viewers) = (Phase::Running, 3);
        now.message.clear();
        assert_eq!(changes(&before, &now, false), "wm: ready, pid 9\n");
        let text = "wm: ready, pid 9\nrunning\nviewers: 3\n";
        assert_eq!(changes(&before, &now, true), text);
    }
}
