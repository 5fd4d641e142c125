//! supervisord's files, read by us and by supervisord itself (Debian's package `supervisor`): both must understand the
//! same, or both refuse.
//!
//! Files that people might write stand in tests/fuzz/corpus/ini; thousands more are put together here from pieces.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use deskinit::config::supervisord::{Program, Programs, Surroundings};
use deskinit::config::{Again, LogTo};
use serde_json::{Value, json};

use crate::support::TempDir;
use crate::support::random::Random;

/// The variables that both know.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("HOME", "/tmp"),
    ("LANG", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
    ("PATH", "/usr/bin:/bin"),
    ("QUOTED", "a \"b\" 'c', d"),
];
const GENERATED: u64 = 1500;

/// Directories with one file each, which an `[include]` beside them names.
struct Cases {
    dir: TempDir,
    count: usize,
}

impl Cases {
    fn new() -> Self {
        let dir = TempDir::new();
        Self { dir, count: 0 }
    }

    fn path(&self, number: usize) -> PathBuf {
        self.dir.path().join(number.to_string())
    }

    fn add(&mut self, text: &[u8]) {
        let path = self.path(self.count);
        self.count += 1;
        fs::create_dir_all(path.join("conf.d")).unwrap();
        fs::write(path.join("conf.d/a.conf"), text).unwrap();
        let main = "[supervisord]\n[include]\nfiles = conf.d/*.conf\n";
        fs::write(path.join("supervisord.conf"), main).unwrap();
    }

    /// What supervisord says of each.
    fn theirs(&self) -> Vec<Value> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/supervisord/read.py");
        let names = self.dir.path().join("names");
        let mut list = fs::File::create(&names).unwrap();
        for number in 0..self.count {
            let main = self.path(number).join("supervisord.conf");
            writeln!(list, "{}", main.display()).unwrap();
        }
        let output = Command::new(script)
            .env_clear()
            .envs(ENVIRONMENT)
            .stdin(fs::File::open(&names).unwrap())
            .stderr(Stdio::inherit())
            .output()
            .expect("/usr/bin/python3 is there");
        assert!(
            output.status.success(),
            "is the package supervisor installed?"
        );
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What we make of one; `None`: it is refused.
    fn ours(&self, number: usize) -> Result<Value, String> {
        let environment = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let around = Surroundings::new(environment, &[], PathBuf::new());
        let programs = Programs::read(&self.path(number).join("conf.d"), &around);
        let programs = programs.map_err(|mistakes| format!("{mistakes:#?}"))?;
        // Whether there is such a user is asked when the programs are made services.
        let mut users = programs
            .all
            .iter()
            .filter_map(|program| program.user.as_deref());
        if let Some(nobody) = users.find(|user| uid(user).is_none()) {
            return Err(format!("no user {nobody}"));
        }
        Ok(programs.all.iter().map(as_json).collect())
    }
}

/// The users that the files name.
fn uid(user: &str) -> Option<u32> {
    matches!(user, "root" | "0").then_some(0)
}

fn as_json(program: &Program) -> Value {
    let stream = |log: &LogTo| match log {
        LogTo::Stdout => json!("stdout"),
        LogTo::Nowhere => json!("nowhere"),
        LogTo::File(file) => json!([file.path, file.max_bytes.unwrap_or(0), file.backups]),
    };
    // These it adds when it starts the program.
    let mut environment = program.environment.clone();
    environment.retain(|name, _| !name.starts_with("SUPERVISOR_"));
    json!({
        "name": program.name,
        "group": program.group,
        "command": program.command,
        "environment": environment,
        "directory": program.directory,
        "uid": program.user.as_deref().and_then(uid),
        "umask": program.umask,
        "priority": program.priority,
        "autostart": program.autostart,
        "restart": match program.restart {
            Again::Never => "never",
            Again::OnFailure => "on-failure",
            Again::Always => "always",
        },
        "exit_codes": program.exit_codes,
        "start_time": program.start_time.as_secs(),
        "start_retries": program.start_retries,
        "stop_signal": program.stop_signal,
        "stop_time": program.stop_time.as_secs(),
        "stdout": stream(&program.stdout),
        "stderr": stream(&program.stderr),
    })
}

/// What supervisord takes although nobody can have meant it, and we refuse.
fn senseless(programs: &Value) -> bool {
    let text = programs.to_string();
    let list = programs.as_array().into_iter().flatten();
    // A % that no name follows stands for the whole environment, passwords and all.
    text.contains("'ENV_HOME'")
        || list.clone().any(|program| {
            let name = program["name"].as_str().unwrap_or_default();
            let environment = program["environment"].as_object();
            // It could not be started with such a variable, nor write to a file without a name.
            name.contains(char::is_whitespace)
                || environment.is_some_and(|all| all.keys().any(|name| name.contains('=')))
                || ["stdout", "stderr"].iter().any(|stream| {
                    let path = program[stream][0].as_str();
                    path.is_some_and(|path| path.is_empty() || path.ends_with('/'))
                })
        })
}

fn compare(cases: &Cases, name: impl Fn(usize) -> String) -> (usize, usize) {
    let (mut agreed, mut refused) = (0, 0);
    let theirs = cases.theirs();
    assert_eq!(theirs.len(), cases.count);
    for (number, theirs) in theirs.iter().enumerate() {
        let ours = cases.ours(number);
        let text = fs::read(cases.path(number).join("conf.d/a.conf")).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        let what = format!(
            "{}:\n{text}\n{text:?}\ntheirs: {theirs:#}\nours: {ours:#?}",
            name(number)
        );
        match (&theirs["programs"], ours) {
            // Of a program without a process we do not ask whose it is.
            (Value::Null, Ok(_)) if what.contains("Invalid user name") => refused += 1,
            (Value::Null, Ok(_)) => panic!("only supervisord refuses {what}"),
            (Value::Null, Err(_)) => refused += 1,
            (theirs, Err(_)) if senseless(theirs) => refused += 1,
            (_, Err(_)) => panic!("only we refuse {what}"),
            (theirs, Ok(ours)) => {
                assert_eq!(theirs, &ours, "{what}");
                agreed += 1;
            }
        }
    }
    (agreed, refused)
}

#[test]
fn files_as_people_write_them_mean_the_same_to_both() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/ini");
    let mut paths: Vec<PathBuf> = fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut cases = Cases::new();
    for path in &paths {
        cases.add(&fs::read(path).unwrap());
    }
    let (agreed, refused) = compare(&cases, |number| paths[number].display().to_string());
    assert!(
        agreed > 8 && refused > 8,
        "{agreed} agreed, {refused} refused"
    );
}

#[test]
fn files_put_together_by_chance_mean_the_same_to_both() {
    let mut cases = Cases::new();
    for seed in 0..GENERATED {
        let mut random = Random::new(seed + 1);
        cases.add(
            Author {
                random: &mut random,
            }
            .file()
            .as_bytes(),
        );
    }
    let (agreed, refused) = compare(&cases, |seed| format!("seed {seed}"));
    // Neither must be rare, or the pieces are not well chosen.
    let least = GENERATED as usize / 5;
    assert!(
        agreed > least && refused > least,
        "{agreed} agreed, {refused} refused"
    );
}

/// Writes files: mostly right ones.
struct Author<'a> {
    random: &'a mut Random,
}

impl Author<'_> {
    fn one<'s>(&mut self, of: &[&'s str]) -> &'s str {
        of[self.random.below(of.len() as u32) as usize]
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.random.below(one_in) == 0
    }

    fn file(&mut self) -> String {
        let mut text = String::new();
        let end = self.one(&["\n", "\n", "\n", "\r\n", "\r"]);
        for _ in 0..=self.random.below(3) {
            let section = self.one(&[
                "program:alpha",
                "program:beta",
                "program:gamma",
                "program: delta",
                "group:g",
                "supervisord",
                "DEFAULT",
                "program:alpha",
            ]);
            let tail = self.one(&["", "", "", " ; x", "]", " x"]);
            let _ = write!(text, "[{section}]{tail}{end}");
            if section.starts_with("program:") && !self.chance(12) {
                let command = self.command();
                let _ = write!(text, "command={command}{end}");
            }
            if section == "group:g" {
                let list = self.one(&[
                    "alpha",
                    "alpha,beta",
                    " beta , alpha",
                    "",
                    "alpha,",
                    "gamma",
                ]);
                let _ = write!(text, "programs={list}{end}");
            }
            for _ in 0..self.random.below(7) {
                let line = self.line(section, end);
                text.push_str(&line);
            }
        }
        text
    }

    fn line(&mut self, section: &str, end: &str) -> String {
        // Of supervisord's own keys the environment is the only one that we read; defaults are its own, too.
        let (key, value) = match (section, self.pair()) {
            ("supervisord", _) | ("DEFAULT", ("umask" | "user" | "directory", _)) => {
                ("environment", self.environment())
            }
            (_, pair) => pair,
        };
        let key = match self.random.below(8) {
            0 => key.to_uppercase(),
            1 => format!("{key} "),
            _ => key.to_owned(),
        };
        let indent = self.one(&["", "", "", "", "", "", "", " ", "\t"]);
        let between = self.one(&["=", "=", " = ", ": ", "=\t", "\u{a0}=\u{a0}"]);
        let comment = self.one(&["", "", "", "", " ; c", ";c", " # c", "#c", " ;a #b", "\t;"]);
        let more = match self.random.below(10) {
            0 => format!("{end}  {}", self.piece()),
            1 => format!("{end}{end}  ; comment{end}    {}", self.piece()),
            2 => format!("{end}# comment"),
            3 => end.to_owned(),
            _ => String::new(),
        };
        format!("{indent}{key}{between}{value}{comment}{more}{end}")
    }

    fn pair(&mut self) -> (&'static str, String) {
        let numbers = [
            "1",
            "0",
            "3",
            "-1",
            "+7",
            "1_0",
            "x",
            "",
            "1.5",
            "%(process_num)d",
            "%(ENV_HOME)s",
            "007",
        ];
        let switches = [
            "true", "false", "Yes", "no", "ON", "off", "1", "0", "maybe", "t", "",
        ];
        let sizes = [
            "50MB", "1kb", "0", "512", "-1", "1 GB", "MB", "1.5MB", "1e3", "2mB",
        ];
        let logs = [
            "AUTO",
            "none",
            "Off",
            "/dev/stdout",
            "/dev/fd/1",
            "/proc/1/fd/1",
            "/tmp/%(program_name)s.log",
            "/nix/x.log",
            "/tmp/a%%%%b",
            "/tmp/a%%b",
            "x.log",
            "~/y.log",
            "syslog",
        ];
        let keys = [
            "priority",
            "startsecs",
            "startretries",
            "stopwaitsecs",
            "numprocs",
            "numprocs_start",
        ];
        let (key, values): (&'static str, &[&str]) = match self.random.below(20) {
            0..3 => {
                let key = keys[self.random.below(keys.len() as u32) as usize];
                (key, &numbers)
            }
            3 => ("autostart", &switches),
            4 => ("redirect_stderr", &switches),
            5 => ("stopasgroup", &switches),
            6 => ("killasgroup", &switches),
            7 => (
                "autorestart",
                &[
                    "unexpected",
                    "UNEXPECTED",
                    "true",
                    "false",
                    "1",
                    "never",
                    "",
                ],
            ),
            8 => (
                "exitcodes",
                &["0", "0,2", " 1, 2 ", "", "0,", "256", "-1", "x", "2,2"],
            ),
            9 => (
                "stopsignal",
                &[
                    "TERM", "sigint", "9", "USR1", "HUP ", "SIGRTMIN", "RTMAX", "CLD", "40", "65",
                    "NOPE", "-1", "",
                ],
            ),
            10 => ("stdout_logfile", &logs),
            11 => ("stderr_logfile", &logs),
            12 => ("stdout_logfile_maxbytes", &sizes),
            13 => ("stderr_logfile_backups", &numbers),
            14 => (
                "umask",
                &["022", "0o27", "7_7", "8", "", "777", "0", "+2", "x"],
            ),
            15 => ("user", &["root", "0", "nobody-at-all"]),
            16 => (
                "process_name",
                &[
                    "%(program_name)s",
                    "%(program_name)s_%(process_num)02d",
                    "x%(process_num)d",
                    "a b",
                    "%(group_name)s_%(process_num)s",
                    "%(nix)s",
                ],
            ),
            17 => (
                "directory",
                &[
                    "/tmp",
                    "%(here)s",
                    "%(here)s/%(program_name)s",
                    "/a b",
                    "%(ENV_HOME)s",
                    "%",
                    "~",
                ],
            ),
            18 => ("unknown", &["x", "%", ""]),
            _ => return ("environment", self.environment()),
        };
        // The right ones stand first.
        let right = values.get(..values.len().div_ceil(2)).unwrap_or(values);
        let values = if self.chance(6) { values } else { right };
        (key, self.one(values).to_owned())
    }

    fn command(&mut self) -> String {
        let mut text = "run".to_owned();
        for _ in 0..self.random.below(5) {
            let piece = self.piece();
            let gap = self.one(&[" ", " ", "  ", "\t", ""]);
            text += &format!("{gap}{piece}");
        }
        text
    }

    fn piece(&mut self) -> String {
        let pieces = [
            "word",
            "-o",
            "'single  x'",
            "\"double \\\" \\\\ \\x\"",
            "a\\ b",
            "''",
            "\"\"",
            "é",
            "\u{3000}",
            "%%",
            "%(program_name)s",
            "%(ENV_QUOTED)s",
            "%(here)s",
            "x;y",
            "; z",
            "#h",
            " # k",
            "$HOME",
            "a=b",
            "%(process_num)03d",
            "%(process_num)-4s|",
            "\u{1c}",
        ];
        let rare = [
            "'open", "\"open", "\\", "%", "%(nix)s", "%(here)d", "%(here", "%5%",
        ];
        match self.random.below(60) {
            0 => self.one(&rare).to_owned(),
            _ => self.one(&pieces).to_owned(),
        }
    }

    fn environment(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.random.below(4) {
            let name = self.one(&["A", "B_2", "HOME", "a.b", "\"Q\"", "N-M"]);
            let value = self.one(&[
                "1",
                "\"x, y\"",
                "'it'",
                "/usr/bin:/bin",
                "a+b(c)",
                "%(ENV_HOME)s",
                "\"%(ENV_HOME)s/%(program_name)s\"",
                "\"%%\"",
                "%(ENV_A)s",
                "é",
                "\"\"",
                "x\"y\"",
                "\"it's\"",
                "#c",
                "a#b",
                "%(process_num)d",
                "\"open",
                "$X",
                "~",
                "a b",
                "",
            ]);
            let comma = self.one(&[",", ",", ", ", ",\n   ", ";", " ", ",,", ""]);
            text += &format!("{name}={value}{comma}");
        }
        text
    }
}
