//! `deskinit status`: what runs, for people as a table and for scripts as JSON.
//!
//! `run` knows the services, the display server the viewers: each is asked on its own socket, and without the second
//! the answer of the first is still one.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::ask::{ask, object};
use super::find;
use crate::supervisor::link::{self, Status};

/// How long each may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the command line said.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// One JSON object instead of the table.
    pub json: bool,
    /// The run directory, when it was named.
    pub run_dir: Option<PathBuf>,
}

/// Prints the status; exit 1 when nobody answers.
pub fn run(args: Args) -> ExitCode {
    let status = find::run_dir(args.run_dir)
        .map_err(|error| error.to_string())
        .and_then(|dir| {
            link::status(&dir, PATIENCE)
                .map(|status| (status, viewers(&dir)))
                .map_err(|error| format!("nobody answers in {}: {error}", dir.display()))
        });
    let (status, viewers) = match status {
        Ok(both) => both,
        Err(why) => {
            let _ = writeln!(io::stderr(), "deskinit status: {why}");
            return ExitCode::FAILURE;
        }
    };
    let text = if args.json {
        json(&status, viewers)
    } else {
        table(&status) + &ways(&viewers)
    };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
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
            "viewer {}, {encoding}: {}",
            viewer["id"],
            used.join(", ")
        );
    }
    if !text.is_empty() {
        text.insert(0, '\n');
    }
    text
}

fn table(status: &Status) -> String {
    let phase = status.phase.word();
    let mut text = format!(
        "{phase} for {} on display {} (pid {}), viewers: {}, idle for {}, windows: {}{}\n",
        duration(status.uptime_ms),
        status.display,
        status.pid,
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
    let _ = writeln!(
        text,
        "\n{:<10} {:<9} {:>7} {:>9} {:>8}  LAST EXIT",
        "SERVICE", "STATE", "PID", "RESTARTS", "SINCE"
    );
    for service in &status.services {
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
            service.end().unwrap_or("-")
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
    use crate::supervisor::link::{Phase, ServiceState, ServiceStatus};

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
            "id": 4, "encoding": "Tight", "ways": { "fill": tally(1), "jpeg": tally(0), "copy": tally(2) },
        });
        // One that has only just come has no figures yet.
        let text = ways(&[viewer, serde_json::json!({ "id": 5 })]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[1].starts_with("viewer 4, Tight: "), "{text}");
        assert!(text.contains("copy 3.0 MPixel in 4 kB"), "{text}");
        assert!(!text.contains("jpeg"), "{text}");
        assert_eq!(ways(&[]), "");
    }

    #[test]
    fn the_table_says_what_a_person_asks() {
        let status = Status {
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
            }],
        };
        let text = table(&status);
        assert!(text.starts_with(
            "starting for 1m01s on display :7 (pid 1), viewers: 2, idle for 5.0s, windows: 1\nthe window manager"
        ));
        assert!(
            text.contains("\nwm         backoff         -         3     0.4s  code 1\n"),
            "{text}"
        );
    }
}
