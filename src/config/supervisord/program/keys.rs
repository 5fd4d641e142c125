//! The keys of one section: each taken once, checked as supervisord checks it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ENVIRONMENT, Reading, Report};
use crate::config::reader::words;
use crate::config::services::{Again, BUILT_IN, LogFile, LogTo, OPTIONAL};
use crate::config::source::nearest;
use crate::config::supervisord::Program;
use crate::config::supervisord::ini::Value;
use crate::config::supervisord::values::{self, Known, Names};

/// Keys of a program that mean something here.
pub(super) const KEYS: [&str; 26] = [
    "autorestart",
    "autostart",
    "command",
    "deskinit",
    "directory",
    "environment",
    "exitcodes",
    "killasgroup",
    "numprocs",
    "numprocs_start",
    "priority",
    "process_name",
    "redirect_stderr",
    "startretries",
    "startsecs",
    "stderr_logfile",
    "stderr_logfile_backups",
    "stderr_logfile_maxbytes",
    "stdout_logfile",
    "stdout_logfile_backups",
    "stdout_logfile_maxbytes",
    "stopasgroup",
    "stopsignal",
    "stopwaitsecs",
    "umask",
    "user",
];
/// Keys that something would have to be done for which is not done here, and what.
const NOT_DONE: [(&str, &str); 7] = [
    ("serverurl", "supervisorctl finds the run by itself"),
    ("stderr_capture_maxbytes", "there are no events here"),
    ("stderr_events_enabled", "there are no events here"),
    (
        "stderr_syslog",
        "what it prints goes to the log of the container",
    ),
    ("stdout_capture_maxbytes", "there are no events here"),
    ("stdout_events_enabled", "there are no events here"),
    (
        "stdout_syslog",
        "what it prints goes to the log of the container",
    ),
];
/// Longer than anybody waits.
const LONGEST: i64 = 365 * 24 * 3600;

const NUMBER: &str = "a whole number";
const BOOLEAN: &str = "true, false, yes, no, on, off, 1 or 0";
const BYTES: &str = "a number of bytes, as 1048576, 512KB, 50MB or 1GB";

/// What all processes of a program have in common.
pub(super) struct Rules {
    priority: i64,
    autostart: bool,
    restart: Again,
    exit_codes: Vec<u8>,
    start_time: Duration,
    start_retries: u32,
    stop_signal: i32,
    stop_time: Duration,
    redirect_stderr: bool,
    user: Option<String>,
    umask: Option<u32>,
}

/// The keys of one section.
pub(super) struct Keys<'a> {
    reading: &'a Reading<'a>,
    section: &'a str,
    pub(super) names: Names,
    report: &'a mut Report,
}

impl<'a> Keys<'a> {
    pub(super) fn new(reading: &'a Reading<'a>, section: &'a str, report: &'a mut Report) -> Self {
        Self {
            reading,
            section,
            names: reading.names.clone(),
            report,
        }
    }

    pub(super) fn raw(&self, key: &str) -> Option<&'a Value> {
        self.reading.ini.get(self.section, key)
    }

    /// A value with its names put in.
    pub(super) fn text(&mut self, key: &str) -> Option<(String, &'a Value)> {
        let value = self.raw(key)?;
        match values::expand(&value.text, &self.names) {
            Ok(text) => Some((text, value)),
            Err(why) => {
                self.report.mistake(self.section, key, value, &why);
                None
            }
        }
    }

    pub(super) fn take<T>(
        &mut self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let (text, value) = self.text(key)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            let text = format!("= {text:?}: expected {allowed}");
            self.report.mistake(self.section, key, value, &text);
        }
        parsed
    }

    pub(super) fn number(&mut self, key: &str, default: i64) -> i64 {
        self.take(key, NUMBER, values::integer).unwrap_or(default)
    }

    fn switch(&mut self, key: &str, default: bool) -> bool {
        self.take(key, BOOLEAN, values::boolean).unwrap_or(default)
    }

    pub(super) fn rules(&mut self) -> Rules {
        let priority = self.number("priority", 999);
        let restart = self.take(
            "autorestart",
            "unexpected, true or false",
            |text| match text.to_lowercase().as_str() {
                "unexpected" => Some(Again::OnFailure),
                text => values::boolean(text).map(|always| match always {
                    true => Again::Always,
                    false => Again::Never,
                }),
            },
        );
        let signals = "a signal, as TERM, SIGINT or 10";
        let stop_signal = self.take("stopsignal", signals, values::signal);
        self.whole_group();
        let codes = "codes from 0 to 255 with commas between them";
        let exit_codes = self.take("exitcodes", codes, values::exit_codes);
        let retries = self.number("startretries", 3);
        Rules {
            priority,
            autostart: self.switch("autostart", true),
            restart: restart.unwrap_or(Again::OnFailure),
            exit_codes: exit_codes.unwrap_or_else(|| vec![0]),
            start_time: seconds(self.number("startsecs", 1)),
            start_retries: u32::try_from(retries.clamp(0, LONGEST)).unwrap_or(u32::MAX),
            stop_signal: stop_signal.unwrap_or(15),
            stop_time: seconds(self.number("stopwaitsecs", 10)),
            redirect_stderr: self.switch("redirect_stderr", false),
            user: self.text("user").map(|(text, _)| text),
            umask: self.take("umask", "octal digits", |text| {
                let umask = u32::try_from(values::octal(text)?).ok()?;
                (umask <= 0o7777).then_some(umask & 0o777)
            }),
        }
    }

    /// Every process of the group is told to end here, always.
    fn whole_group(&mut self) {
        let stop = self.take("stopasgroup", BOOLEAN, values::boolean);
        let kill = self.take("killasgroup", BOOLEAN, values::boolean);
        if stop == Some(true) && kill == Some(false) {
            self.section_mistake(
                "has stopasgroup=true and killasgroup=false, which contradict each other",
            );
        }
        for (key, given) in [("stopasgroup", stop), ("killasgroup", kill)] {
            if given == Some(false)
                && let Some(value) = self.raw(key)
            {
                let text =
                    "is false: here all processes of the program are told to end nevertheless";
                self.report.warn(self.section, key, value, text);
            }
        }
    }

    pub(super) fn process(&mut self, name: &str, group: &str, rules: &Rules) -> Program {
        let inherited = self.reading.names.iter();
        self.names
            .extend(inherited.map(|(name, known)| (name.clone(), known.clone())));
        let own = self.environment();
        for (name, value) in &own {
            let known = Known::Text(value.clone());
            self.names.insert(format!("ENV_{name}"), known);
        }
        let directory = self.text("directory").map(|(text, _)| PathBuf::from(text));
        let stdout = self.log("stdout");
        let stderr = self.log("stderr");
        let command = self.command();
        let name = match values::expand(name, &self.names) {
            Ok(name) => name,
            Err(why) => {
                self.section_mistake(&format!("has a process_name that {why}"));
                String::new()
            }
        };
        let stderr = match rules.redirect_stderr {
            true => {
                if let (LogTo::File(_), Some(value)) = (&stderr, self.raw("stderr_logfile")) {
                    let text = "is not used, for redirect_stderr is true";
                    self.report
                        .warn(self.section, "stderr_logfile", value, text);
                }
                stdout.clone()
            }
            false => stderr,
        };
        let mut environment = self.reading.common.clone();
        environment.extend(own);
        let mine = [
            ("SUPERVISOR_ENABLED", "1"),
            ("SUPERVISOR_PROCESS_NAME", name.as_str()),
            ("SUPERVISOR_GROUP_NAME", group),
        ];
        for (name, value) in mine {
            environment
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        let section = self.reading.ini.sections.get(self.section);
        Program {
            name,
            group: group.to_owned(),
            file: section
                .map(|section| section.file.clone())
                .unwrap_or_default(),
            command,
            environment,
            directory,
            user: rules.user.clone(),
            umask: rules.umask,
            priority: rules.priority,
            autostart: rules.autostart,
            restart: rules.restart,
            exit_codes: rules.exit_codes.clone(),
            start_time: rules.start_time,
            start_retries: rules.start_retries,
            stop_signal: rules.stop_signal,
            stop_time: rules.stop_time,
            stdout,
            stderr,
        }
    }

    fn environment(&mut self) -> BTreeMap<String, String> {
        let Some(value) = self.raw(ENVIRONMENT) else {
            return BTreeMap::new();
        };
        let text = values::expand(&value.text, &self.names);
        self.report.environment(self.section, value, text)
    }

    /// As the environment, it is not said.
    fn command(&mut self) -> Vec<String> {
        let key = "command";
        if self.raw(key).is_none() {
            self.section_mistake("has no command");
        }
        let Some((text, value)) = self.text(key) else {
            return Vec::new();
        };
        let words = words(&text).ok().filter(|words| {
            let program = words.first().is_some_and(|program| !program.is_empty());
            program && !text.contains('\0')
        });
        words.unwrap_or_else(|| {
            let text = "is no command line: it is empty, or a quote is not closed";
            self.report.mistake(self.section, key, value, text);
            Vec::new()
        })
    }

    /// Where a stream goes. Names in its path are put in twice.
    fn log(&mut self, stream: &str) -> LogTo {
        let key = format!("{stream}_logfile");
        let backups = self.number(&format!("{key}_backups"), LogFile::BACKUPS.into());
        let size = self.take(&format!("{key}_maxbytes"), BYTES, values::bytes);
        let Some((text, value)) = self.text(&key) else {
            return LogTo::Stdout;
        };
        let text = match values::expand(&text, &self.names) {
            Ok(text) => text,
            Err(why) => {
                self.report.mistake(self.section, &key, value, &why);
                return LogTo::Stdout;
            }
        };
        match text.to_lowercase().as_str() {
            "none" | "off" | "/dev/null" => return LogTo::Nowhere,
            "auto" => return LogTo::Stdout,
            // The streams of supervisord itself, or of the container's first process.
            "/dev/stdout" | "/dev/stderr" | "/dev/fd/1" | "/dev/fd/2" | "/proc/self/fd/1"
            | "/proc/self/fd/2" | "/proc/1/fd/1" | "/proc/1/fd/2" => return LogTo::Stdout,
            "syslog" => {
                let text = "= syslog is not done here: it goes to the log of the container";
                self.report.warn(self.section, &key, value, text);
                return LogTo::Stdout;
            }
            _ => {}
        }
        let path = match (text.strip_prefix("~/"), &self.reading.around.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.reading.around.log_dir.join(&text),
        };
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        if text.is_empty()
            || text.ends_with('/')
            || text.contains('\0')
            || !parent.is_none_or(Path::is_dir)
        {
            let text = format!(
                "= {text:?}: expected a file in a directory that is there, AUTO, NONE or /dev/stdout"
            );
            self.report.mistake(self.section, &key, value, &text);
        }
        LogTo::File(LogFile {
            path,
            max_bytes: match size {
                Some(size) => u64::try_from(size).ok().filter(|size| *size > 0),
                None => LogFile::MAX_BYTES,
            },
            backups: u32::try_from(backups.clamp(0, 1000)).unwrap_or(0),
        })
    }

    pub(super) fn check_name(&mut self, name: &str) {
        let fine = |c: char| !values::is_space(c) && !c.is_control() && !matches!(c, ':' | '/');
        let part = BUILT_IN.contains(&name) && !OPTIONAL.contains(&name);
        let taken = name == "run" || part;
        if taken || name.is_empty() || name.len() > 64 || !name.chars().all(fine) {
            let own = BUILT_IN.join(", ");
            self.section_mistake(&format!(
                "has a process of the name {name:?}: expected 1 to 64 bytes without blanks, colons and slashes, and none of run, {own}, which are deskinit's own"
            ));
        }
    }

    pub(super) fn section_mistake(&mut self, text: &str) {
        let file = self.reading.file(self.section);
        self.report
            .add(format!("{file}: [{}] {text}", self.section));
    }

    /// Warns of keys that are right and that nothing is done for.
    pub(super) fn not_done(&mut self) {
        for (key, why) in NOT_DONE {
            let asked = match key {
                "serverurl" => self
                    .text(key)
                    .is_some_and(|(text, _)| !text.eq_ignore_ascii_case("auto")),
                key if key.ends_with("maxbytes") => self
                    .take(key, BYTES, values::bytes)
                    .is_some_and(|size| size != 0),
                key => self.switch(key, false),
            };
            if let Some(value) = self.raw(key).filter(|_| asked) {
                let text = format!("is not done here: {why}");
                self.report.warn(self.section, key, value, &text);
            }
        }
    }

    /// Warns of keys that nobody knows; supervisord passes over them in silence.
    pub(super) fn finish(self, known: &[&str]) {
        let Some(section) = self.reading.ini.sections.get(self.section) else {
            return;
        };
        for (key, value) in &section.keys {
            let known = known.iter().copied();
            if known.clone().any(|known| known == key)
                || NOT_DONE.iter().any(|(known, _)| known == key)
            {
                continue;
            }
            let text = format!("is no key that supervisord knows{}", nearest(key, known));
            self.report.warn(self.section, key, value, &text);
        }
    }
}

fn seconds(number: i64) -> Duration {
    Duration::from_secs(u64::try_from(number.clamp(0, LONGEST)).unwrap_or(0))
}
