//! `deskinit doctor`: looks at the container before and during a run, and says what is wrong and what to do.
//!
//! ```text
//!  settings · machine · files      what can be seen before anything runs; `run` looks too, and warns
//!  start                           what `run` would refuse or say itself; where one has started, it has not refused
//!  running                         what only a living desktop shows: services, listeners, who gets past the X server
//!        └──▶ Report: findings (exit 1), notes, and what was found in order
//! ```
//!
//! A *finding* is something that breaks, or opens, the desktop. A *note* is advice: nothing is wrong without it.

mod files;
mod machine;
mod running;
mod settings;
mod start;

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::say;
use crate::config::{Config, Mistake, Raw, Services};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Finding,
    Note,
}

/// Something to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Remark {
    level: Level,
    /// What was looked at: `/dev/shm`, `VNC_PASSWORD`.
    about: &'static str,
    /// What was found.
    found: String,
    /// What to do.
    advice: String,
}

/// Everything that was looked at.
#[derive(Debug, Default, Serialize)]
struct Report {
    remarks: Vec<Remark>,
    /// What was looked at and is in order.
    fine: Vec<&'static str>,
}

impl Report {
    fn finding(
        &mut self,
        about: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(Level::Finding, about, found.into(), advice.into());
    }

    fn note(&mut self, about: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Note, about, found.into(), advice.into());
    }

    fn add(&mut self, level: Level, about: &'static str, found: String, advice: String) {
        self.remarks.push(Remark {
            level,
            about,
            found,
            advice,
        });
    }

    /// Runs one check; what it says nothing about is in order.
    fn check(&mut self, about: &'static str, look: impl FnOnce(&mut Self)) {
        let before = self.remarks.len();
        look(self);
        if self.remarks.len() == before {
            self.fine.push(about);
        }
    }

    fn findings(&self) -> impl Iterator<Item = &Remark> {
        let found = self.remarks.iter();
        found.filter(|remark| remark.level == Level::Finding)
    }
}

/// Looks, and answers on standard output, for people or as JSON: exit 0 without a finding, else 1.
pub(super) fn run(
    json: bool,
    parsed: Result<(Config, Raw), Vec<Mistake>>,
    services: Result<Services, Vec<Mistake>>,
) -> ExitCode {
    let mut report = Report::default();
    report.check("services", |report| self::services(report, &services));
    let services = services.unwrap_or_default();
    match &parsed {
        Ok((config, raw)) => {
            before(&mut report, config, raw, &services);
            start::check(&mut report, config, &services);
            if !running::check(&mut report, config) {
                start::refusals(&mut report, config, &services);
            }
        }
        Err(mistakes) => {
            for mistake in mistakes {
                report.finding(
                    "settings",
                    mistake.to_string(),
                    "nothing starts before this is right; `deskinit help run` lists the settings",
                );
            }
            machine::check(&mut report, false);
        }
    }
    let text = if json {
        serde_json::to_string_pretty(&report).map(|text| text + "\n")
    } else {
        Ok(table(&report))
    };
    match text.map(|text| say::out(&text)) {
        Ok(Err(unwritten)) => unwritten,
        Ok(Ok(())) if report.findings().next().is_none() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// The findings of the same checks, a line each, for the log of a run that begins.
pub(super) fn warnings(config: &Config, raw: &Raw, services: &Services) -> Vec<String> {
    let mut report = Report::default();
    before(&mut report, config, raw, services);
    report
        .findings()
        .map(|one| format!("{}: {}; {}", one.about, one.found, one.advice))
        .collect()
}

fn services(report: &mut Report, services: &Result<Services, Vec<Mistake>>) {
    match services {
        Ok(services) => {
            for warning in services.warnings.iter().cloned() {
                let advice = "change the file, or say the same in a [service.NAME] table";
                report.note("programs of supervisord", warning, advice);
            }
        }
        Err(mistakes) => {
            for mistake in mistakes {
                let advice = "nothing starts before this is right";
                report.finding("services", mistake.to_string(), advice);
            }
        }
    }
}

fn before(report: &mut Report, config: &Config, raw: &Raw, services: &Services) {
    settings::check(report, config, raw, services);
    machine::check(report, config.names_another_user());
    files::check(report, config);
}

fn table(report: &Report) -> String {
    let mut text = String::new();
    for level in [Level::Finding, Level::Note] {
        for one in report.remarks.iter().filter(|one| one.level == level) {
            let word = match level {
                Level::Finding => "WRONG",
                Level::Note => "note ",
            };
            let _ = writeln!(
                text,
                "{word}  {}: {}\n       {}",
                one.about, one.found, one.advice
            );
        }
    }
    let _ = writeln!(text, "fine   {}", report.fine.join(", "));
    let count = report.findings().count();
    let _ = match count {
        0 => writeln!(text, "nothing is wrong"),
        1 => writeln!(text, "1 finding"),
        n => writeln!(text, "{n} findings"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_come_first_and_say_what_to_do() {
        let mut report = Report::default();
        report.check("a", |_| {});
        report.check("b", |report| report.note("b", "small", "make it large"));
        report.check("c", |report| report.finding("c", "broken", "mend it"));
        let text = table(&report);
        assert_eq!(
            text,
            "WRONG  c: broken\n       mend it\nnote   b: small\n       make it large\nfine   a\n1 finding\n"
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["remarks"][0]["level"], "note");
        assert_eq!(json["fine"][0], "a");
    }
}
