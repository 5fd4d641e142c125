//! What `run` would say itself when it starts, asked before it does: settings that it refuses, ports that are not to be
//! had, services that cannot be started.

use std::io;
use std::path::Path;

use super::Report;
use crate::config::{Change, Config, Fatal, Services};
use crate::roles::{program, run};
use crate::server;

/// What is looked at of the operator's services.
const PROGRAMS: &str = "programs of services";

/// What nobody need ask beside a run: it has started.
pub(super) fn refusals(report: &mut Report, config: &Config, services: &Services) {
    report.check("start", |report| {
        for refused in run::refusals(config, services) {
            report.finding(
                "start",
                refused,
                "run starts nothing before this is right; a command behind `--` may stand here, too",
            );
        }
    });
    report.check("ports", |report| {
        for error in unavailable(config) {
            let advice = "without it the display server does not start, and run ends with code 69";
            report.finding("ports", error.to_string(), advice);
        }
    });
}

/// Listens for a moment, as the display server would.
fn unavailable(config: &Config) -> Vec<io::Error> {
    let listen = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let ports = [
            ("VNC_PORT", config.vnc_port),
            ("NO_VNC_PORT", config.web_port),
        ];
        // All at once: two settings may name the same.
        let tried: Vec<_> = runtime.block_on(async {
            let given = ports
                .into_iter()
                .filter_map(|(name, port)| Some((name, port?)));
            given
                .map(|(name, port)| server::bind(name, &config.bind, port))
                .collect()
        });
        Ok(tried.into_iter().filter_map(Result::err).collect())
    };
    listen().unwrap_or_else(|error: io::Error| vec![error])
}

/// Beside a run as well as before one.
pub(super) fn check(report: &mut Report, config: &Config, services: &Services) {
    report.check("log files", |report| {
        let me = nix::unistd::geteuid().as_raw();
        if let Err(why) = run::log_dir(config, me) {
            report.finding(
                "log files",
                why,
                "make the directory in the image, or mount a volume there that the user may write to",
            );
        }
    });
    report.check(PROGRAMS, |report| {
        let own = |name: &str| services.extra.iter().any(|extra| *extra.name == *name);
        for extra in &services.extra {
            // What one of the operator's own may have made by then.
            let behind_own = extra.predecessors().any(own);
            let program = extra.command.first().map(String::as_str);
            let later = behind_own || !extra.autostart;
            let place = match &extra.group {
                Some(_) => format!("the program {}", extra.name),
                None => format!("[service.{}]", extra.name),
            };
            can_start(report, &place, program, &extra.common, later);
        }
        for (name, change) in &services.changes {
            if !change.disabled {
                can_start(report, &format!("[service.{name}]"), None, change, false);
            }
        }
    });
}

/// `later`: it may be there by the time it is wanted, so that it is too early for a finding.
fn can_start(
    report: &mut Report,
    place: &str,
    program: Option<&str>,
    change: &Change,
    later: bool,
) {
    let later = later || change.on_fatal == Some(Fatal::Ignore);
    let mut tell = |what: String, advice: &str, later: bool| {
        let found = format!("{place}: {what}");
        match later {
            true => report.note(PROGRAMS, found, advice),
            false => report.finding(PROGRAMS, found, advice),
        }
    };
    let directory = change.process.directory.as_deref();
    if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        let what = format!(
            "directory = {}: there is no such directory",
            directory.display()
        );
        let advice = "make it in the image, mount a volume there, or name another";
        return tell(what, advice, later);
    }
    let mut environment = change.environment.iter().rev();
    let path = environment.find(|(name, _)| name == "PATH");
    let path = path.map(|(_, path)| path.as_str());
    let hook = change.before_start.as_ref().and_then(|words| words.first());
    // What comes before the start may make what is started.
    let made = later || hook.is_some();
    let programs = [
        ("before_start", hook.map(String::as_str), later),
        ("command", program, made),
    ];
    for (key, program, later) in programs {
        let Some(program) = program else { continue };
        let directory = directory.unwrap_or(Path::new(""));
        if program::find_in(program, path, directory).is_none() {
            let what = format!("{key}: there is no program {program} that can be run");
            let advice =
                "install it in the image, or name another (a path, or a name that is in PATH)";
            tell(what, advice, later);
        }
    }
}
