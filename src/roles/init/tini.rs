//! `tini [OPTIONS] PROGRAM -- [ARGUMENTS]`.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write};

use super::Ask;
use crate::supervisor::passthrough::{Event, Options};
use crate::supervisor::service::signal_number;
use crate::sys::foreground::Place;
use crate::sys::signals::{SIGTTIN, SIGTTOU};

/// Flags are those of this version.
const VERSION: &str = "tini version 0.19.0 - deskinit";

pub(super) fn ask(name: &str, args: &[OsString]) -> Ask {
    let text: Vec<String> = args
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if text == ["--version"] {
        return Ask::answer(format!("{VERSION}\n"));
    }
    let mut options = Options {
        place: Place::Group,
        to_group: env::var_os("TINI_KILL_PROCESS_GROUP").is_some(),
        end_group: false,
        // A terminal's word to background jobs is for us alone.
        rewrite: vec![(SIGTTIN, 0), (SIGTTOU, 0)],
        suspend: false,
        keep_mask: true,
        subreaper: env::var_os("TINI_SUBREAPER").is_some(),
        parent_death: None,
        successes: BTreeSet::new(),
    };
    let mut verbosity = env::var("TINI_VERBOSITY").map_or(1, |text| text.parse().unwrap_or(0));
    let mut warn = false;
    let mut at = 0;
    while let Some(word) = text
        .get(at)
        .filter(|word| word.starts_with('-') && word.len() > 1)
    {
        at += 1;
        if word == "--" {
            break;
        }
        let mut letters = word.char_indices().skip(1);
        while let Some((place, letter)) = letters.next() {
            // The value stands behind the letter, or is the next word.
            let mut value = || -> Option<&str> {
                let rest = word.get(place + 1..).filter(|rest| !rest.is_empty());
                letters.by_ref().last();
                rest.or_else(|| {
                    at += 1;
                    text.get(at - 1).map(String::as_str)
                })
            };
            match letter {
                'h' => return Ask::answer(usage(name)),
                'l' => return Ask::answer(concat!(env!("CARGO_PKG_LICENSE"), "\n")),
                's' => options.subreaper = true,
                'g' => options.to_group = true,
                'v' => verbosity += 1,
                'w' => warn = true,
                'p' => match value().and_then(signal_number) {
                    Some(signal) => options.parent_death = Some(signal),
                    None => return Ask::wrong("Not a valid option for -p\n"),
                },
                'e' => match value().and_then(|text| text.parse::<u8>().ok()) {
                    Some(code) => drop(options.successes.insert(code)),
                    None => return Ask::wrong("Not a valid option for -e\n"),
                },
                _ => {
                    return Ask::wrong(format!(
                        "{name}: invalid option -- '{letter}'\n{}",
                        usage(name)
                    ));
                }
            }
        }
    }
    let command: Vec<OsString> = args.iter().skip(at).cloned().collect();
    if command.is_empty() {
        return Ask::wrong(usage(name));
    }
    Ask::Run {
        options,
        command,
        say: Box::new(move |event| say(event, verbosity, warn)),
    }
}

fn say(event: Event, verbosity: i32, warn: bool) {
    let (level, word, text) = match event {
        Event::NoOrphans => (
            1,
            "WARN",
            "this is neither process 1 nor a subreaper: zombie reaping won't work; -s makes it one"
                .to_owned(),
        ),
        Event::Ended {
            pid,
            command: false,
            ..
        } => (
            if warn { 1 } else { 3 },
            if warn { "WARN" } else { "DEBUG" },
            format!("Reaped zombie process with pid={pid}"),
        ),
        Event::Ended {
            exit,
            command: true,
            ..
        } => (2, "INFO", format!("Main child ended with {exit}")),
        Event::Spawned(pid) => (2, "INFO", format!("Spawned child process with pid '{pid}'")),
        Event::Forwarded(signal) => (3, "DEBUG", format!("Passing signal: {signal}")),
        _ => return,
    };
    if level <= verbosity {
        let pid = std::process::id();
        let _ = writeln!(io::stderr(), "[{word:<5} tini ({pid})] {text}");
    }
}

fn usage(name: &str) -> String {
    format!(
        "usage: {name} [-s] [-p SIGNAL] [-v]… [-w] [-g] [-e CODE]… [--] PROGRAM [ARGUMENT]… | -h | -l | --version\n\
         \n\
         -s         take over orphans (TINI_SUBREAPER)\n\
         -p SIGNAL  sent to this process when its parent ends\n\
         -v         say more, each time (TINI_VERBOSITY)\n\
         -w         warn of each orphan that is reaped\n\
         -g         signals go to the program's process group (TINI_KILL_PROCESS_GROUP)\n\
         -e CODE    this exit code of the program counts as 0\n\
         -l         the licence\n"
    )
}
