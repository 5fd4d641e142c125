//! `dumb-init [OPTIONS] PROGRAM [ARGUMENTS]`.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write};

use super::Ask;
use crate::supervisor::passthrough::{Event, Options};
use crate::supervisor::service::Exit;
use crate::sys::foreground::Place;
use crate::sys::signals::{SIGTSTP, SIGTTIN, SIGTTOU};

/// Flags are those of this version.
const VERSION: &str = "dumb-init v1.2.5\n";
/// The largest number that may be rewritten.
const LAST: i32 = 31;
const SIGSTOP: i32 = 19;

pub(super) fn ask(name: &str, args: &[OsString]) -> Ask {
    let on = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let mut verbose = on("DUMB_INIT_DEBUG", "1");
    let mut session = !on("DUMB_INIT_SETSID", "0");
    let mut rewrite = Vec::new();
    let mut at = 0;
    let word = |at: usize| args.get(at).map(|word| word.to_string_lossy().into_owned());
    while let Some(option) = word(at).filter(|word| word.starts_with('-') && word.len() > 1) {
        at += 1;
        match option.as_str() {
            "--" => break,
            "-h" | "--help" => return told(usage()),
            "-V" | "--version" => return told(VERSION.to_owned()),
            "-v" | "--verbose" => verbose = true,
            "-c" | "--single-child" => session = false,
            "-r" | "--rewrite" => {
                let pair = word(at).as_deref().and_then(pair);
                at += 1;
                match pair {
                    Some(pair) => rewrite.push(pair),
                    None => return wrong_pair(),
                }
            }
            other => match other
                .strip_prefix("--rewrite=")
                .or_else(|| other.strip_prefix("-r"))
            {
                Some(value) => match pair(value) {
                    Some(pair) => rewrite.push(pair),
                    None => return wrong_pair(),
                },
                None => return Ask::wrong(format!("{name}: unrecognized option '{other}'\n")),
            },
        }
    }
    let command: Vec<OsString> = args.iter().skip(at).cloned().collect();
    if command.is_empty() {
        return Ask::wrong(format!(
            "Usage: {name} [option] program [args]\nTry {name} --help for full usage.\n"
        ));
    }
    if session {
        // A session without a terminal is an orphan to the kernel, which drops these for it.
        for signal in [SIGTSTP, SIGTTIN, SIGTTOU] {
            if !rewrite.iter().any(|(from, _)| *from == signal) {
                rewrite.push((signal, SIGSTOP));
            }
        }
    }
    // The last word about a signal counts.
    rewrite.reverse();
    Ask::Run {
        options: Options {
            place: if session { Place::Session } else { Place::Ours },
            to_group: session,
            end_group: true,
            rewrite,
            suspend: true,
            keep_mask: false,
            subreaper: false,
            parent_death: None,
            successes: BTreeSet::new(),
        },
        command,
        say: Box::new(move |event| {
            if verbose {
                say(event, session);
            }
        }),
    }
}

fn told(text: String) -> Ask {
    Ask::Tell {
        text,
        code: 0,
        error: true,
    }
}

/// `15:2`; a second of 0 drops the signal.
fn pair(text: &str) -> Option<(i32, i32)> {
    let (from, to) = text.split_once(':')?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    ((1..=LAST).contains(&from) && (0..=LAST).contains(&to)).then_some((from, to))
}

fn wrong_pair() -> Ask {
    Ask::wrong(
        "Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.\n\
         This option can be specified multiple times.\n\
         Use --help for full usage.\n",
    )
}

fn say(event: Event, session: bool) {
    let text = match event {
        Event::Spawned(pid) => {
            let done = if session {
                "[dumb-init] setsid complete.\n"
            } else {
                ""
            };
            let _ = write!(io::stderr(), "{done}");
            format!("Child spawned with PID {pid}.")
        }
        Event::Received(signal) => format!("Received signal {signal}."),
        Event::Rewritten(from, to) => format!("Translating signal {from} to {to}."),
        Event::HandOff(signal) => format!("Ignoring tty hand-off signal {signal}."),
        Event::Forwarded(signal) => format!("Forwarded signal {signal} to children."),
        Event::Dropped(signal) => format!("Not forwarding signal {signal} to children (ignored)."),
        Event::Suspending => "Suspending self due to TTY signal.".to_owned(),
        Event::Ended {
            pid,
            exit: Exit::Code(code),
            ..
        } => {
            format!("A child with PID {pid} exited with exit status {code}.")
        }
        Event::Ended {
            pid,
            exit: Exit::Signal(signal),
            ..
        } => {
            format!("A child with PID {pid} was terminated by signal {signal}.")
        }
        Event::Over(code) => format!("Child exited with status {code}. Goodbye."),
        Event::NoOrphans => return,
    };
    let _ = writeln!(io::stderr(), "[dumb-init] {text}");
}

fn usage() -> String {
    format!(
        "{VERSION}Usage: dumb-init [option] program [args]\n\
         \n\
         -c, --single-child  no session of its own; signals go to the program alone\n\
         -r, --rewrite A:B   signal A is sent on as B; 0 drops it\n\
         -v, --verbose       say what happens\n\
         -h, --help          this text\n\
         -V, --version       which version this behaves as\n"
    )
}
