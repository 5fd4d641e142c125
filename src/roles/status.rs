//! `deskinit status`: what runs, for people as a table and for scripts as JSON.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::find;
use crate::supervisor::link::{self, Phase, Status};

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
            link::status(&dir, Duration::from_secs(3))
                .map_err(|error| format!("nobody answers in {}: {error}", dir.display()))
        });
    let status = match status {
        Ok(status) => status,
        Err(why) => {
            let _ = writeln!(io::stderr(), "deskinit status: {why}");
            return ExitCode::FAILURE;
        }
    };
    let text = if args.json {
        serde_json::to_string_pretty(&status)
            .map(|text| text + "\n")
            .unwrap_or_default()
    } else {
        table(&status)
    };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn table(status: &Status) -> String {
    let phase = match status.phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Stopping => "stopping",
    };
    let mut text = format!(
        "{phase} for {} on display {} (pid {}), viewers: {}, windows: {}\n",
        duration(status.uptime_ms),
        status.display,
        status.pid,
        status.viewers,
        status.windows
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
            service.last_exit.as_deref().unwrap_or("-")
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
    use crate::supervisor::link::{ServiceState, ServiceStatus};

    #[test]
    fn durations_are_short() {
        let shown: Vec<String> = [0, 3_250, 245_000, 7_800_000, 284_400_000]
            .map(duration)
            .to_vec();
        assert_eq!(shown, ["0.0s", "3.2s", "4m05s", "2h10m", "3d07h"]);
    }

    #[test]
    fn the_table_says_what_a_person_asks() {
        let status = Status {
            phase: Phase::Starting,
            message: "the window manager has ended (code 1), starting it again".to_owned(),
            exit_code: None,
            display: ":7".to_owned(),
            pid: 1,
            uptime_ms: 61_000,
            viewers: 2,
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
            }],
        };
        let text = table(&status);
        assert!(text.starts_with(
            "starting for 1m01s on display :7 (pid 1), viewers: 2, windows: 1\nthe window manager"
        ));
        assert!(
            text.contains("\nwm         backoff         -         3     0.4s  code 1\n"),
            "{text}"
        );
    }
}
