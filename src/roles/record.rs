//! `deskinit logs` and `deskinit events`: what the services of a run printed lately, and what became of them.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::find;
use super::orders::{EXIT_NOBODY, EXIT_UNKNOWN};
use super::say;
use crate::supervisor::link::{self, Entry, Record, Request, Talk};

/// How long the first answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the command line said.
#[derive(Debug)]
pub(super) struct Args {
    /// Only of this one.
    pub(super) service: Option<String>,
    /// The last so many.
    pub(super) lines: usize,
    /// Go on until interrupted.
    pub(super) follow: bool,
    /// For programs: one object a line.
    pub(super) json: bool,
    /// The run directory, when it was named.
    pub(super) run_dir: Option<PathBuf>,
}

/// Prints the record.
pub(super) fn run(record: Record, args: Args) -> ExitCode {
    match print(record, args) {
        Ok(code) => code,
        Err(error) => {
            say::err(format_args!("deskinit: no run answers: {error}"));
            ExitCode::from(EXIT_NOBODY)
        }
    }
}

fn print(record: Record, args: Args) -> io::Result<ExitCode> {
    let dir = find::run_dir(args.run_dir).map_err(|error| io::Error::other(error.to_string()))?;
    if let Some(name) = &args.service {
        let services = link::status(&dir, PATIENCE)?.services;
        let known = services.iter().any(|service| service.name == *name);
        if !known && name != "run" {
            let names: Vec<&str> = services.iter().map(|one| one.name.as_str()).collect();
            let names = names.join(", ");
            say::err(format_args!(
                "deskinit: there is no service {name}; there are run, {names}"
            ));
            return Ok(ExitCode::from(EXIT_UNKNOWN));
        }
    }
    let request = Request::Read {
        record,
        service: args.service,
        lines: args.lines,
        follow: args.follow,
    };
    let timeout = (!args.follow).then_some(PATIENCE);
    let mut talk = Talk::begin(&dir, &request, timeout)?;
    while let Some(entry) = talk.answer::<Entry>()? {
        let text = match args.json {
            true => serde_json::to_string(&entry)?,
            false => line(record, &entry),
        };
        if let Err(unwritten) = say::out(&(text + "\n")) {
            return Ok(unwritten);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(record: Record, entry: &Entry) -> String {
    let mut text = String::new();
    if entry.missed > 0 {
        let _ = writeln!(text, "… {} more were forgotten", entry.missed);
    }
    let _ = match record {
        Record::Log => write!(text, "[{}] {}", entry.service, entry.message),
        Record::Events => write!(
            text,
            "{}  {:<12} {}",
            clock(entry.time),
            entry.service,
            entry.message
        ),
    };
    text
}

/// The time of day in UTC, `13:05:09.250`.
fn clock(time: f64) -> String {
    let milliseconds = Duration::from_secs_f64(time.max(0.0)).as_millis();
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!(
        "{hours:02}:{minutes:02}:{:02}.{milliseconds:03}Z",
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::link::ServiceState;

    #[test]
    fn lines_are_as_in_the_log_and_events_have_a_time() {
        let entry = Entry {
            time: 1_700_000_000.25,
            service: "wm".to_owned(),
            state: Some(ServiceState::Ready),
            message: "ready, process 7".to_owned(),
            missed: 0,
        };
        assert_eq!(line(Record::Log, &entry), "[wm] ready, process 7");
        assert_eq!(
            line(Record::Events, &entry),
            "22:13:20.250Z  wm           ready, process 7"
        );
    }
}
