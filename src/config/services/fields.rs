//! The keys of one `[service.NAME]` table, each taken once; what is left over at the end is a mistake.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::{Again, Change, Extra, Ready};
use crate::config::reader;
use crate::config::source::{Mistake, nearest};

/// Keys of every service.
pub(super) const COMMON: &[&str] = &["environment", "stop_signal", "stop_timeout"];
/// Keys of the operator's own.
pub(super) const ALL: &[&str] = &[
    "command",
    "environment",
    "after",
    "bound_to",
    "ready",
    "start_timeout",
    "stop_signal",
    "stop_timeout",
    "restart",
    "restart_limit",
    "on_end",
    "enabled",
];

/// Signals that programs take for a request to end.
const SIGNALS: [(&str, i32); 8] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", 15),
    ("WINCH", 28),
];

pub(super) struct Fields<'a> {
    name: &'a str,
    keys: BTreeMap<String, (PathBuf, Value)>,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(
        name: &'a str,
        keys: BTreeMap<String, (PathBuf, Value)>,
        mistakes: &'a mut Vec<Mistake>,
    ) -> Self {
        Self {
            name,
            keys,
            mistakes,
        }
    }

    /// Is it to be started at all?
    pub(super) fn enabled(&mut self) -> bool {
        self.take("enabled", "true or false", Value::as_bool)
            .unwrap_or(true)
    }

    pub(super) fn change(&mut self) -> Change {
        Change {
            environment: self
                .take(
                    "environment",
                    "a table of variables, { NAME = \"value\" }",
                    variables,
                )
                .unwrap_or_default(),
            stop_signal: self.take(
                "stop_signal",
                "HUP, INT, QUIT, KILL, USR1, USR2, TERM or WINCH",
                signal,
            ),
            stop_timeout: self.take("stop_timeout", "seconds, 0 to 3600", seconds),
        }
    }

    /// One whose command is missing or wrong has none, which is then a mistake.
    pub(super) fn extra(&mut self) -> Extra {
        if !self.keys.contains_key("command") {
            let text = "has no command; give one, as a line or as an array of words";
            self.mistake(None, text);
        }
        let command = self.take(
            "command",
            "a command line, or an array of words",
            command_line,
        );
        let list = "an array of names of services";
        let restart = "never, on-failure or always";
        Extra {
            name: self.name.to_owned(),
            command: command.unwrap_or_default(),
            after: self.take("after", list, strings),
            bound_to: self.take("bound_to", "the name of a service", |value| {
                value.as_str().map(str::to_owned)
            }),
            ready: self
                .take("ready", "started or notify", |value| {
                    match value.as_str()? {
                        "started" => Some(Ready::Started),
                        "notify" => Some(Ready::Notify),
                        _ => None,
                    }
                })
                .unwrap_or(Ready::Started),
            start_timeout: self.take("start_timeout", "seconds, 1 to 3600", |value| {
                seconds(value).filter(|time| *time >= Duration::from_secs(1))
            }),
            restart: self
                .take("restart", restart, |value| match value.as_str()? {
                    "never" => Some(Again::Never),
                    "on-failure" => Some(Again::OnFailure),
                    "always" => Some(Again::Always),
                    _ => None,
                })
                .unwrap_or(Again::Always),
            restart_limit: self.take("restart_limit", "a number, 1 to 1000", |value| {
                let limit = u32::try_from(value.as_integer()?).ok()?;
                (1..=1000).contains(&limit).then_some(limit)
            }),
            ends_all: self
                .take("on_end", "ignore or end", |value| match value.as_str()? {
                    "ignore" => Some(false),
                    "end" => Some(true),
                    _ => None,
                })
                .unwrap_or(false),
            common: self.change(),
        }
    }

    /// What nobody has taken is a mistake.
    pub(super) fn finish(mut self, known: &[&str], what: &str) {
        for (key, (path, _)) in std::mem::take(&mut self.keys) {
            let near = nearest(&key, known.iter().copied());
            let all = known.join(", ");
            self.mistake(
                Some(&path),
                &format!("{key} {what}{near} (there are {all})"),
            );
        }
    }

    fn take<T>(
        &mut self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let (path, value) = self.keys.remove(key)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            // Not the whole of it: a list may hold much, and an environment a secret.
            let found = match &value {
                Value::String(text) => format!("{text:?}"),
                Value::Integer(number) => number.to_string(),
                Value::Float(number) => number.to_string(),
                Value::Boolean(answer) => answer.to_string(),
                other => format!("({})", other.type_str()),
            };
            let text = format!("{key} = {found}: expected {allowed}");
            self.mistake(Some(&path), &text);
        }
        parsed
    }

    fn mistake(&mut self, path: Option<&PathBuf>, text: &str) {
        let place = path.or_else(|| self.keys.values().next().map(|(path, _)| path));
        let place = place.map_or_else(String::new, |path| format!("{}: ", path.display()));
        let text = format!("{place}[service.{}]: {text}", self.name);
        self.mistakes.push(Mistake(text));
    }
}

fn strings(value: &Value) -> Option<Vec<String>> {
    let list = value.as_array()?.iter();
    list.map(|one| one.as_str().map(str::to_owned)).collect()
}

fn command_line(value: &Value) -> Option<Vec<String>> {
    let words = match value {
        Value::String(line) => reader::words(line)?,
        other => strings(other)?,
    };
    let fine = words.first().is_some_and(|program| !program.is_empty());
    (fine && !words.iter().any(|word| word.contains('\0'))).then_some(words)
}

fn variables(value: &Value) -> Option<Vec<(String, String)>> {
    let table = value.as_table()?.iter();
    table
        .map(|(name, value)| {
            let value = value.as_str()?;
            let fine = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
            fine.then(|| (name.clone(), value.to_owned()))
        })
        .collect()
}

fn signal(value: &Value) -> Option<i32> {
    let name = value.as_str()?.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let found = SIGNALS.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number)
}

fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Integer(whole) => f64::from(i32::try_from(*whole).ok()?),
        Value::Float(seconds) => *seconds,
        _ => return None,
    };
    (0.0..=3600.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}
