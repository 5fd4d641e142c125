//! More services, from TOML files: what each is, after whom it comes, what its end means.
//!
//! ```text
//!  deskinit.toml ─┐
//!  SERVICES_DIR/  ├─► [service.NAME] tables ──► Services: extra ones, in an order in which they can be started,
//!  *.toml, sorted ┘    (later files win,                  and what is changed of built-in ones
//!                       key by key)               └─► every mistake, with its file, table and key
//! ```

mod fields;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::fields::Fields;
use super::source::{Mistake, Raw};

/// The parts that are there without any file; a table of that name changes what [`Change`] has.
pub const BUILT_IN: [&str; 4] = ["xserver", "display", "wm", "app"];

/// How an extra service says that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// By running.
    Started,
    /// By `READY=1` on `NOTIFY_SOCKET`, as sd_notify(3) does.
    Notify,
}

/// When a service is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Not at all.
    Never,
    /// Unless it ended with code 0.
    OnFailure,
    /// Whatever its end was.
    Always,
}

/// What may be given for any service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Variables besides those that every child gets; they win over these.
    pub environment: Vec<(String, String)>,
    /// The signal that asks it to end.
    pub stop_signal: Option<i32>,
    /// From that signal to SIGKILL.
    pub stop_timeout: Option<Duration>,
}

/// A service of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Its name, in logs and tables.
    pub name: String,
    /// Program and arguments; at least one word.
    pub command: Vec<String>,
    /// Those that must have been ready before; `None`: the display.
    pub after: Option<Vec<String>>,
    /// It ends with this one and comes back with it.
    pub bound_to: Option<String>,
    /// How it says that it is ready.
    pub ready: Ready,
    /// How long it may take to get ready before it is killed and tried again.
    pub start_timeout: Option<Duration>,
    /// When it is started again.
    pub restart: Again,
    /// After so many failed starts in a row it is given up; `None`: never.
    pub restart_limit: Option<u32>,
    /// Its end, when it is not started again, is the end of everything.
    pub ends_all: bool,
    /// What may be given for any service.
    pub common: Change,
}

/// Everything that the files say about services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// The operator's own; each stands behind those it comes after.
    pub extra: Vec<Extra>,
    /// What is changed of the built-in ones, by name.
    pub changes: BTreeMap<String, Change>,
}

impl Services {
    /// Reads the tables of the settings file and the files of `SERVICES_DIR`.
    ///
    /// # Errors
    /// Every mistake of all files, not only the first.
    pub fn read(raw: &Raw) -> Result<Self, Vec<Mistake>> {
        let mut tables = Tables::default();
        if let Some((path, value)) = raw.services() {
            tables.add(path, value.clone());
        }
        let (directory, given) = raw.services_dir();
        tables.directory(&directory, given);
        tables.parse()
    }
}

/// The tables as they stand in the files, one above the other.
#[derive(Debug, Default)]
struct Tables {
    /// By name: each key with the file that gave it last.
    by_name: BTreeMap<String, BTreeMap<String, (PathBuf, toml::Value)>>,
    mistakes: Vec<Mistake>,
}

impl Tables {
    fn directory(&mut self, directory: &Path, given: bool) {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !given => return,
            Err(error) => {
                let path = directory.display();
                return self.mistake(format!("SERVICES_DIR={path}: cannot be read: {error}"));
            }
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
        paths.sort();
        for path in paths {
            match std::fs::read_to_string(&path) {
                Ok(text) => self.file(&path, &text),
                Err(error) => {
                    self.mistake(format!("{}: cannot be read: {error}", path.display()));
                }
            }
        }
    }

    fn file(&mut self, path: &Path, text: &str) {
        let table = match super::source::table(path, text) {
            Ok(table) => table,
            Err(mistake) => return self.mistakes.push(mistake),
        };
        for (key, value) in table {
            if key == "service" {
                self.add(path, value);
            } else {
                self.mistake(format!(
                    "{}: {key} is not a [service.NAME] table; settings belong into the settings file",
                    path.display()
                ));
            }
        }
    }

    fn add(&mut self, path: &Path, value: toml::Value) {
        let toml::Value::Table(services) = value else {
            return self.mistake(format!(
                "{}: service: expected tables [service.NAME]",
                path.display()
            ));
        };
        for (name, value) in services {
            let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if name.is_empty() || name.len() > 32 || name == "run" || !name.chars().all(fine) {
                self.mistake(format!(
                    "{}: [service.{name}]: expected a name of 1 to 32 letters, digits, dashes, dots or underscores, and not run",
                    path.display()
                ));
                continue;
            }
            let toml::Value::Table(keys) = value else {
                self.mistake(format!(
                    "{}: service.{name}: expected a table [service.{name}]",
                    path.display()
                ));
                continue;
            };
            let known = self.by_name.entry(name).or_default();
            for (key, value) in keys {
                known.insert(key, (path.to_owned(), value));
            }
        }
    }

    fn parse(mut self) -> Result<Services, Vec<Mistake>> {
        let mut services = Services::default();
        for (name, keys) in std::mem::take(&mut self.by_name) {
            let built_in = BUILT_IN.contains(&name.as_str());
            let mut fields = Fields::new(&name, keys, &mut self.mistakes);
            if built_in {
                let change = fields.change();
                fields.finish(fields::COMMON, "cannot be changed of a built-in service");
                services.changes.insert(name, change);
            } else {
                let enabled = fields.enabled();
                let extra = fields.extra();
                fields.finish(fields::ALL, "is not a key of a service");
                services.extra.extend(enabled.then_some(extra));
            }
        }
        services.extra = self.in_order(services.extra);
        if self.mistakes.is_empty() {
            Ok(services)
        } else {
            Err(self.mistakes)
        }
    }

    /// Each behind those it comes after; unknown names and circles are mistakes.
    fn in_order(&mut self, mut waiting: Vec<Extra>) -> Vec<Extra> {
        let names: Vec<String> = waiting.iter().map(|extra| extra.name.clone()).collect();
        for extra in &waiting {
            let unknown = extra.predecessors().filter(|name| {
                !BUILT_IN.contains(name) && !names.iter().any(|known| known == name)
            });
            for other in unknown {
                let known = BUILT_IN
                    .iter()
                    .copied()
                    .chain(names.iter().map(String::as_str));
                self.mistakes.push(Mistake(format!(
                    "[service.{}]: after or bound_to names {other}, which is no service{}",
                    extra.name,
                    super::source::nearest(other, known)
                )));
            }
        }
        let mut ordered: Vec<Extra> = Vec::new();
        loop {
            let next = waiting.iter().position(|extra| {
                !extra
                    .predecessors()
                    .any(|name| waiting.iter().any(|other| other.name == name))
            });
            match next {
                Some(index) => ordered.push(waiting.remove(index)),
                None => break,
            }
        }
        if let Some(circle) = circle(&waiting) {
            self.mistake(format!(
                "after: {circle}: each waits for the next, so none could ever be started"
            ));
        }
        ordered
    }

    fn mistake(&mut self, text: String) {
        self.mistakes.push(Mistake(text));
    }
}

/// Some circle among services of which each waits for another of them, as `a → b → a`.
fn circle(waiting: &[Extra]) -> Option<String> {
    let mut way: Vec<&str> = vec![waiting.first()?.name.as_str()];
    loop {
        let last = *way.last()?;
        let next = waiting
            .iter()
            .find(|extra| extra.name == last)?
            .predecessors()
            .find(|name| waiting.iter().any(|extra| extra.name == *name))?;
        if let Some(start) = way.iter().position(|name| *name == next) {
            way.push(next);
            return Some(way.split_off(start).join(" → "));
        }
        way.push(next);
    }
}

impl Extra {
    /// Everybody it waits for.
    pub fn predecessors(&self) -> impl Iterator<Item = &str> {
        let after = self.after.iter().flatten();
        after.chain(&self.bound_to).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
