//! The keys of one `[service.NAME]` table, each taken once; those that it cannot have are mistakes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value;

use super::values::{
    READY, bounds, command_line, exit_codes, path, ready, seconds, size, strings, umask, variables,
    within, word,
};
use super::{
    Again, Change, Extra, Fatal, Limit, LogFile, LogTo, Owner, Process, Vocabulary, Words,
};
use crate::config::source::{Mistake, nearest};

/// Of every service.
const COMMON: &[&str] = &[
    "environment",
    "stop_signal",
    "stop_timeout",
    "start_timeout",
    "restart_limit",
    "on_fatal",
    "before_start",
    "after_stop",
    "hook_timeout",
    "directory",
    "umask",
    "nice",
    "limits",
    "oom_score_adj",
    "capabilities",
    "no_new_privileges",
    "log",
    "log_max_bytes",
    "log_backups",
];
/// Of what may come to an end: the application, and the operator's own.
const ENDING: &[&str] = &["restart", "exit_codes", "on_end"];
/// Of what the others can do without.
const OPTIONAL: &[&str] = &["enabled"];
/// Of the operator's own alone.
const OWN: &[&str] = &[
    "command",
    "after",
    "bound_to",
    "ready",
    "autostart",
    "user",
    "group",
];

/// What a built-in service may be told; the rest is what it is, or a setting.
fn known_of_built_in(name: &str) -> Vec<&'static str> {
    let more: &[&[&str]] = match name {
        "app" => &[COMMON, ENDING],
        "wm" => &[COMMON, OPTIONAL],
        _ => &[COMMON],
    };
    more.concat()
}

pub(super) struct Fields<'a> {
    name: &'a str,
    keys: BTreeMap<String, (PathBuf, Value)>,
    vocabulary: &'a Vocabulary,
    /// Where relative paths of log files begin.
    log_dir: &'a Path,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(
        name: &'a str,
        keys: BTreeMap<String, (PathBuf, Value)>,
        vocabulary: &'a Vocabulary,
        log_dir: &'a Path,
        mistakes: &'a mut Vec<Mistake>,
    ) -> Self {
        Self {
            name,
            keys,
            vocabulary,
            log_dir,
            mistakes,
        }
    }

    /// What is changed of a built-in service.
    pub(super) fn built_in(mut self) -> Change {
        let known = known_of_built_in(self.name);
        self.only(&known, "cannot be changed of a built-in service");
        self.change()
    }

    /// A service of the operator's, unless it is not enabled. One whose command is missing or wrong has none, which is
    /// then a mistake.
    pub(super) fn extra(mut self) -> Option<Extra> {
        let known = [OWN, COMMON, ENDING, OPTIONAL].concat();
        self.only(&known, "is not a key of a service");
        if !self.keys.contains_key("command") {
            let text = "has no command; give one, as a line or as an array of words";
            self.mistake(None, text);
        }
        let command = self.command("command");
        let mut extra = Extra::new(self.name, command.unwrap_or_default());
        extra.after = self.take("after", "an array of names of services", strings);
        extra.bound_to = self.take("bound_to", "the name of a service", |value| {
            value.as_str().map(str::to_owned)
        });
        let ready = self.take("ready", READY, ready);
        extra.ready = ready.unwrap_or(extra.ready);
        extra.autostart = self.switch("autostart").unwrap_or(extra.autostart);
        extra.owner = self.owner();
        extra.common = self.change();
        (!extra.common.disabled).then_some(extra)
    }

    fn owner(&mut self) -> Option<Owner> {
        let owner = Owner {
            user: self.take("user", "the name or number of a user", word),
            group: self.take("group", "the name or number of a group", word),
            insists: true,
        };
        (owner.user.is_some() || owner.group.is_some()).then_some(owner)
    }

    fn change(&mut self) -> Change {
        let environment = self.take(
            "environment",
            "a table of variables, { NAME = \"value\" }",
            variables,
        );
        let signal = self.vocabulary.signal;
        let (restart, exit_codes) = self.restart();
        Change {
            environment: environment.unwrap_or_default(),
            stop_signal: self.take(
                "stop_signal",
                "a signal by name or number, as INT, SIGUSR1, RTMIN+3 or 10",
                |value| signal(&word(value)?),
            ),
            stop_timeout: self.take("stop_timeout", "seconds, 0 to 3600", seconds),
            start_timeout: self.take("start_timeout", "seconds, 1 to 3600", |value| {
                seconds(value).filter(|time| *time >= Duration::from_secs(1))
            }),
            restart_limit: self.take("restart_limit", "a number, 1 to 1000", |value| {
                within(value, 1, 1000)?.try_into().ok()
            }),
            restart,
            exit_codes,
            ends_all: self.take("on_end", "ignore or end", |value| match value.as_str()? {
                "ignore" => Some(false),
                "end" => Some(true),
                _ => None,
            }),
            before_start: self.command("before_start"),
            after_stop: self.command("after_stop"),
            hook_timeout: self.take("hook_timeout", "seconds, above 0 to 3600", |value| {
                seconds(value).filter(|time| !time.is_zero())
            }),
            disabled: self.switch("enabled") == Some(false),
            on_fatal: self.take("on_fatal", "not-live, ignore or end", |value| {
                match value.as_str()? {
                    "not-live" => Some(Fatal::NotLive),
                    "ignore" => Some(Fatal::Ignore),
                    "end" => Some(Fatal::End),
                    _ => None,
                }
            }),
            process: self.process(),
            log: self.log(),
            error_log: None,
        }
    }

    fn restart(&mut self) -> (Option<Again>, Option<Vec<u8>>) {
        let restart = self.take(
            "restart",
            "never, on-failure or always",
            |value| match value.as_str()? {
                "never" => Some(Again::Never),
                "on-failure" => Some(Again::OnFailure),
                "always" => Some(Again::Always),
                _ => None,
            },
        );
        let place = self.place("exit_codes");
        let codes = self.take("exit_codes", "an array of codes, 0 to 255", exit_codes);
        if codes.is_some() && restart != Some(Again::OnFailure) {
            let text = "exit_codes says what is no failure; it needs restart = \"on-failure\"";
            self.mistake(place.as_ref(), text);
        }
        (restart, codes)
    }

    fn log(&mut self) -> Option<LogTo> {
        let bytes = "bytes, as 1048576 or \"50MB\"; 0 for no limit";
        let size = self.take("log_max_bytes", bytes, size);
        let backups = self.take("log_backups", "a number, 0 to 1000", |value| {
            within(value, 0, 1000)?.try_into().ok()
        });
        let place = self.place("log");
        let log = self.take("log", "the path of a file, stdout or none", |value| {
            let path = value.as_str()?;
            let fine = !path.is_empty() && !path.ends_with('/') && !path.contains('\0');
            fine.then(|| path.to_owned())
        });
        match log.as_deref() {
            None if place.is_none() && (size.is_some() || backups.is_some()) => {
                let text = "log_max_bytes and log_backups are about a log file; name it as log";
                self.mistake(None, text);
                None
            }
            None => None,
            Some("stdout") => Some(LogTo::Stdout),
            Some("none") => Some(LogTo::Nowhere),
            Some(path) => Some(LogTo::File(LogFile {
                path: self.log_dir.join(path),
                max_bytes: size.unwrap_or(LogFile::MAX_BYTES),
                backups: backups.unwrap_or(LogFile::BACKUPS),
            })),
        }
    }

    fn process(&mut self) -> Process {
        Process {
            directory: self.take("directory", "a path that begins with /", path),
            umask: self.take("umask", "octal digits in quotes, \"027\"", umask),
            nice: self.take("nice", "a number, -20 to 19", |value| {
                within(value, -20, 19)
            }),
            limits: self.limits(),
            oom_score_adj: self.take("oom_score_adj", "a number, -1000 to 1000", |value| {
                within(value, -1000, 1000)
            }),
            capabilities: self.capabilities(),
            no_new_privileges: self.switch("no_new_privileges"),
        }
    }

    fn limits(&mut self) -> Vec<Limit> {
        let place = self.place("limits");
        let form = "a table as { nofile = 1024, core = \"unlimited\", nproc = [100, 200] }, numbers or \"unlimited\", one or soft and hard";
        let limits = self.take("limits", form, |value| {
            let limits = value.as_table()?.iter().map(|(resource, value)| {
                let (soft, hard) = bounds(value)?;
                let resource = resource.clone();
                Some(Limit {
                    resource,
                    soft,
                    hard,
                })
            });
            limits.collect::<Option<Vec<Limit>>>()
        });
        let limits = limits.unwrap_or_default();
        let named = limits.iter().map(|limit| limit.resource.as_str());
        self.look_up(place, "limits", named, &self.vocabulary.resources);
        limits
    }

    fn capabilities(&mut self) -> Option<Vec<String>> {
        let place = self.place("capabilities");
        let form = "an array of names, [] for none";
        let names = self.take("capabilities", form, strings)?;
        let named = names.iter().map(String::as_str);
        self.look_up(place, "capabilities", named, &self.vocabulary.capabilities);
        Some(names)
    }

    fn look_up<'n>(
        &mut self,
        place: Option<PathBuf>,
        key: &str,
        names: impl Iterator<Item = &'n str>,
        words: &Words,
    ) {
        for name in names.filter(|name| !(words.known)(name)) {
            let near = nearest(name, words.all.iter().copied());
            let all = words.all.join(", ");
            let text = format!("{key}: {name:?} is none{near} (there are {all})");
            self.mistake(place.as_ref(), &text);
        }
    }

    /// Any other key is a mistake.
    fn only(&mut self, known: &[&str], what: &str) {
        let (fine, strange) = std::mem::take(&mut self.keys)
            .into_iter()
            .partition(|(key, _)| known.contains(&key.as_str()));
        self.keys = fine;
        let strange: BTreeMap<String, (PathBuf, Value)> = strange;
        for (key, (path, _)) in strange {
            let near = nearest(&key, known.iter().copied());
            let all = known.join(", ");
            let text = format!("{key} {what}{near} (there are {all})");
            self.mistake(Some(&path), &text);
        }
    }

    /// The file that a key was given in last.
    fn place(&self, key: &str) -> Option<PathBuf> {
        self.keys.get(key).map(|(path, _)| path.clone())
    }

    fn switch(&mut self, key: &str) -> Option<bool> {
        self.take(key, "true or false", Value::as_bool)
    }

    fn command(&mut self, key: &str) -> Option<Vec<String>> {
        let (path, value) = self.keys.remove(key)?;
        let words = command_line(&value);
        words
            .map_err(|why| self.mistake(Some(&path), &format!("{key}: {why}")))
            .ok()
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
                Value::String(_) if key == "environment" => "(string)".to_owned(),
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
