//! Programs as supervisord's INI files describe them, for images that were made for it.
//!
//! ```text
//!  SUPERVISOR_CONF_DIR/  ──▶ ini: sections of keys ──▶ program: each [program:x],      ──▶ Programs, in the order in
//!  *.conf, sorted              (later files win)        its [group:y], [supervisord]       which they are started
//!                                                       environment                    ├─▶ warnings: what is not done
//!                                                  ours: what deskinit does itself ────┘
//!                                                                                      └─▶ every mistake
//! ```
//!
//! What supervisord refuses is a mistake; what it would do and we do not is a warning with file, section and key.
//! `tests/integration/supervisord.rs` compares both on the same files.

mod ini;
mod ours;
mod program;
mod values;

pub(super) use self::values::bytes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::ini::Ini;
use self::values::{Known, Names};
use super::services::{Again, Change, Extra, Fatal, LogTo, Owner, Process, Ready};
use super::source::Mistake;

/// A file that is larger is something else.
const LARGEST: u64 = 1 << 20;

/// One process of a `[program:x]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name among all others.
    pub name: String,
    /// The name of its group: its program's own, or that of a `[group:x]`.
    pub group: String,
    /// The file that describes it.
    pub file: PathBuf,
    /// Program and arguments; at least one word.
    pub command: Vec<String>,
    /// Variables besides those that every child gets.
    pub environment: BTreeMap<String, String>,
    /// Where it runs.
    pub directory: Option<PathBuf>,
    /// Whose it is, by name or number.
    pub user: Option<String>,
    /// Its umask.
    pub umask: Option<u32>,
    /// Lower comes first.
    pub priority: i64,
    /// Is it started without being asked for?
    pub autostart: bool,
    /// When it is started again, once it has run for `start_time`.
    pub restart: Again,
    /// Codes that are expected of it, for [`Again::OnFailure`].
    pub exit_codes: Vec<u8>,
    /// It has been started when it has run for so long.
    pub start_time: Duration,
    /// How often a start that failed is tried again.
    pub start_retries: u32,
    /// The signal that asks it to end.
    pub stop_signal: i32,
    /// From that signal to SIGKILL.
    pub stop_time: Duration,
    /// Where its standard output goes.
    pub stdout: LogTo,
    /// Where its standard error goes.
    pub stderr: LogTo,
}

impl From<Program> for Extra {
    fn from(program: Program) -> Self {
        Self {
            ready: Ready::Lasts(program.start_time),
            autostart: program.autostart,
            owner: program.user.map(|user| Owner {
                user: Some(user),
                ..Owner::default()
            }),
            group: Some(program.group),
            common: Change {
                environment: program.environment.into_iter().collect(),
                stop_signal: Some(program.stop_signal),
                stop_timeout: Some(program.stop_time),
                restart: Some(program.restart),
                exit_codes: Some(program.exit_codes),
                restart_limit: Some(program.start_retries.saturating_add(1)),
                // Images that were made for supervisord ask it about the programs that matter to them.
                on_fatal: Some(Fatal::Ignore),
                process: Process {
                    directory: program.directory,
                    umask: program.umask,
                    ..Process::default()
                },
                log: Some(program.stdout),
                error_log: Some(program.stderr),
                ..Change::default()
            },
            ..Self::new(&program.name, program.command)
        }
    }
}

/// Everything that the files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// In the order in which they are started.
    pub all: Vec<Program>,
    /// What is not done as it stands there, for the operator.
    pub warnings: Vec<String>,
}

/// What values may name.
#[derive(Clone, Debug)]
pub struct Surroundings {
    names: Names,
    home: Option<PathBuf>,
    /// What paths of log files are relative to.
    log_dir: PathBuf,
}

impl Surroundings {
    /// Of these variables; those of `secret` are not for programs.
    pub fn new(
        environment: impl IntoIterator<Item = (String, String)>,
        secret: &[String],
        log_dir: PathBuf,
    ) -> Self {
        let mut names = Names::new();
        let mut home = None;
        for (name, value) in environment {
            if name == "HOME" {
                home = Some(PathBuf::from(&value));
            }
            let known = match secret.contains(&name) {
                true => Known::Secret,
                false => Known::Text(value),
            };
            names.insert(format!("ENV_{name}"), known);
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = Known::Text(host.trim_end().to_owned());
        names.insert("host_node_name".to_owned(), host);
        Self {
            names,
            home,
            log_dir,
        }
    }
}

impl Programs {
    /// Reads the `*.conf` files of a directory, as an `[include]` of supervisord's does; one that is not there has none.
    ///
    /// # Errors
    /// Every mistake of all files, a directory that cannot be read among them.
    pub fn read(directory: &Path, around: &Surroundings) -> Result<Self, Vec<Mistake>> {
        let mut files = Vec::new();
        let (mut warnings, mut mistakes) = (Vec::new(), Vec::new());
        match paths(directory) {
            Ok(paths) => {
                for path in paths {
                    match text(&path) {
                        Ok(text) => files.push((path, text)),
                        // supervisord goes on without it and does not say so.
                        Err(Unread::Missing(why)) => {
                            warnings.push(format!("{}: is not read: {why}", path.display()));
                        }
                        Err(Unread::Wrong(why)) => {
                            mistakes.push(Mistake(format!("{}: {why}", path.display())));
                        }
                    }
                }
            }
            Err(error) => mistakes.push(Mistake(format!(
                "SUPERVISOR_CONF_DIR={}: cannot be read: {error}",
                directory.display()
            ))),
        }
        let parsed = Self::parse(directory, &files, around);
        match parsed {
            Ok(mut programs) if mistakes.is_empty() => {
                warnings.append(&mut programs.warnings);
                programs.warnings = warnings;
                Ok(programs)
            }
            Ok(_) => Err(mistakes),
            Err(more) => {
                mistakes.extend(more);
                Err(mistakes)
            }
        }
    }

    /// What these files say together, the later above the earlier.
    ///
    /// # Errors
    /// Every mistake of all files.
    pub fn parse(
        directory: &Path,
        files: &[(PathBuf, String)],
        around: &Surroundings,
    ) -> Result<Self, Vec<Mistake>> {
        let mut ini = Ini::new();
        let mut mistakes = Vec::new();
        for (path, text) in files {
            let wrong = ini.add(path, text).err().unwrap_or_default();
            mistakes.extend(wrong.into_iter().map(|wrong| {
                let (path, line, why) = (path.display(), wrong.line, wrong.why);
                Mistake(format!("{path}:{line}: {why}"))
            }));
        }
        // Half a file would only make for mistakes that are none.
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        program::all(&ini, directory, around)
    }
}

fn paths(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".conf") && !name.starts_with('.')
    });
    paths.sort();
    Ok(paths)
}

/// Why the text of a file is not there.
enum Unread {
    Missing(String),
    Wrong(String),
}

fn text(path: &Path) -> Result<String, Unread> {
    use std::io::Read as _;
    let missing = |error: std::io::Error| Unread::Missing(error.to_string());
    let is = std::fs::metadata(path).map_err(missing)?;
    if !is.is_file() {
        return Err(Unread::Missing("is no file".to_owned()));
    }
    let file = std::fs::File::open(path).map_err(missing)?;
    let mut bytes = Vec::new();
    let count = file.take(LARGEST + 1).read_to_end(&mut bytes);
    if count.map_err(missing)? as u64 > LARGEST {
        return Err(Unread::Wrong(format!("has more than {LARGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Unread::Wrong("is not UTF-8".to_owned()))
}
