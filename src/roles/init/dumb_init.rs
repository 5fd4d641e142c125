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
/// Long name, letter, and whether a value follows. No name begins another.
const OPTIONS: [(&str, char, bool); 5] = [
    ("help", 'h', false),
    ("single-child", 'c', false),
    ("rewrite", 'r', true),
    ("verbose", 'v', false),
    ("version", 'V', false),
];

pub(super) fn ask(name: &str, args: &[OsString]) -> Ask {
    let on = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let mut verbose = on("DUMB_INIT_DEBUG", "1");
    let mut session = !on("DUMB_INIT_SETSID", "0");
    let mut rewrite = Vec::new();
    let mut words = Words::new(args);
    loop {
        match words.option() {
            Ok(None) => break,
            Ok(Some(('h', _))) => return told(usage()),
            Ok(Some(('V', _))) => return told(VERSION.to_owned()),
            Ok(Some(('v', _))) => verbose = true,
            Ok(Some(('c', _))) => session = false,
            Ok(Some((_, value))) => match pair(&value) {
                Some(pair) => rewrite.push(pair),
                None => return wrong_pair(),
            },
            Err(why) => return Ask::wrong(format!("{name}: {why}\n")),
        }
    }
    let at = words.at;
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

/// The options as getopt_long(3) reads them: short ones may stand together and have their value joined, long ones may be
/// shortened as long as only one is meant; the first other word ends them.
struct Words<'a> {
    args: &'a [OsString],
    /// The next word.
    at: usize,
    /// What is left of a word of short options.
    joined: String,
}

impl<'a> Words<'a> {
    fn new(args: &'a [OsString]) -> Self {
        Self {
            args,
            at: 0,
            joined: String::new(),
        }
    }

    fn word(&mut self) -> Option<String> {
        let word = self.args.get(self.at)?.to_string_lossy().into_owned();
        self.at += 1;
        Some(word)
    }

    /// The next option by its letter, with its value if it has one.
    ///
    /// # Errors
    /// What is wrong, as the original says it.
    fn option(&mut self) -> Result<Option<(char, String)>, String> {
        if self.joined.is_empty() {
            let next = self.args.get(self.at).map(|word| word.to_string_lossy());
            let Some(word) = next.filter(|word| word.starts_with('-') && word.len() > 1) else {
                return Ok(None);
            };
            self.at += 1;
            if let Some(long) = word.strip_prefix("--") {
                return match long {
                    "" => Ok(None),
                    long => self.long(long).map(Some),
                };
            }
            self.joined = word.chars().skip(1).collect();
        }
        let letter = self.joined.remove(0);
        let Some((_, _, takes)) = OPTIONS.iter().find(|(_, known, _)| *known == letter) else {
            return Err(format!("invalid option -- '{letter}'"));
        };
        let value = match (takes, self.joined.is_empty()) {
            (false, _) => String::new(),
            (true, false) => std::mem::take(&mut self.joined),
            (true, true) => {
                let missing = || format!("option requires an argument -- '{letter}'");
                self.word().ok_or_else(missing)?
            }
        };
        Ok(Some((letter, value)))
    }

    fn long(&mut self, word: &str) -> Result<(char, String), String> {
        let (name, joined) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let meant: Vec<_> = OPTIONS
            .iter()
            .filter(|(known, ..)| known.starts_with(name))
            .collect();
        let (known, letter, takes) = match meant.as_slice() {
            [one] => **one,
            [] => return Err(format!("unrecognized option '--{word}'")),
            several => {
                let all = several.iter().map(|(known, ..)| format!(" '--{known}'"));
                let all: String = all.collect();
                return Err(format!(
                    "option '--{word}' is ambiguous; possibilities:{all}"
                ));
            }
        };
        match (takes, joined) {
            (true, Some(value)) => Ok((letter, value.to_owned())),
            (true, None) => {
                let missing = || format!("option '--{known}' requires an argument");
                Ok((letter, self.word().ok_or_else(missing)?))
            }
            (false, Some(_)) => Err(format!("option '--{known}' doesn't allow an argument")),
            (false, None) => Ok((letter, String::new())),
        }
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
