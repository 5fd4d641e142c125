//! More services, from TOML files: what each is, after whom it comes, what its end means.
//!
//! ```text
//!  deskinit.toml ──────┐
//!  *.toml beside it    ├─► [service.NAME] tables ──► Services: extra ones, in an order in which they can be started,
//!  SERVICES_DIR/*.toml ┘    (later files win,                  and what is changed of built-in ones
//!                            key by key)               └─► every mistake, with its file, table and key
//! ```

mod fields;
mod model;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::fields::Fields;
pub(super) use self::model::OPTIONAL;
pub use self::model::{
    Again, BUILT_IN, Change, Extra, Fatal, Limit, LogFile, LogTo, Owner, Process, Ready, Services,
    Vocabulary, Words,
};
use super::source::{Mistake, Raw};
use super::supervisord::{Programs, Surroundings};
use super::table::secret_names;

impl Services {
    /// Reads the tables of the settings file, the other files of its directory, those of `SERVICES_DIR`, and supervisord's
    /// of `SUPERVISOR_CONF_DIR`, which may name the variables of `environment`.
    ///
    /// # Errors
    /// Every mistake of all files, not only the first.
    pub fn read(
        raw: &Raw,
        vocabulary: &Vocabulary,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Mistake>> {
        let log_dir = raw.log_dir().unwrap_or_default();
        let mut tables = Tables::new(vocabulary, log_dir.clone());
        let (directory, given) = raw.directory("SUPERVISOR_CONF_DIR");
        if directory != Path::new("off") && (given || directory.exists()) {
            let around = Surroundings::new(environment, &secret_names(), log_dir);
            tables.programs = Programs::read(&directory, &around).unwrap_or_else(|mistakes| {
                tables.mistakes.extend(mistakes);
                Programs::default()
            });
        }
        if let Some((path, value)) = raw.services() {
            tables.add(path, value.clone());
        }
        if let Some(settings) = raw.beside() {
            let directory = settings.parent().unwrap_or(settings);
            tables.directory("", directory, Some(settings));
        }
        let (directory, given) = raw.directory("SERVICES_DIR");
        if given || directory.exists() {
            tables.directory("SERVICES_DIR=", &directory, None);
        }
        tables.parse()
    }
}

/// The tables as they stand in the files, one above the other.
#[derive(Debug)]
struct Tables<'a> {
    vocabulary: &'a Vocabulary,
    /// Where relative paths of log files begin.
    log_dir: PathBuf,
    /// By name: each key with the file that gave it last.
    by_name: BTreeMap<String, BTreeMap<String, (PathBuf, toml::Value)>>,
    /// Those of supervisord's files.
    programs: Programs,
    mistakes: Vec<Mistake>,
}

impl<'a> Tables<'a> {
    fn new(vocabulary: &'a Vocabulary, log_dir: PathBuf) -> Self {
        Self {
            vocabulary,
            log_dir,
            by_name: BTreeMap::new(),
            programs: Programs::default(),
            mistakes: Vec::new(),
        }
    }

    /// All `*.toml` files of a directory but one, in the order of their names; `setting` is what has named the directory.
    fn directory(&mut self, setting: &str, directory: &Path, but: Option<&Path>) {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            // Nobody need have one beside settings that are the default.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && but.is_some() => return,
            Err(error) => {
                let path = directory.display();
                return self.mistake(format!("{setting}{path}: cannot be read: {error}"));
            }
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| {
            let other = but.is_none_or(|but| path != but);
            other && path.extension().is_some_and(|end| end == "toml")
        });
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
        self.take_programs(&mut services);
        for (name, keys) in std::mem::take(&mut self.by_name) {
            let (words, log_dir) = (self.vocabulary, &self.log_dir);
            let fields = Fields::new(&name, keys, words, log_dir, &mut self.mistakes);
            if BUILT_IN.contains(&name.as_str()) {
                let change = fields.built_in();
                services.changes.insert(name, change);
            } else {
                services.extra.extend(fields.extra());
            }
        }
        services.extra = self.in_order(services.extra);
        if self.mistakes.is_empty() {
            Ok(services)
        } else {
            Err(self.mistakes)
        }
    }

    /// Supervisord's programs, but for those that a table of the same name replaces.
    fn take_programs(&mut self, services: &mut Services) {
        let programs = std::mem::take(&mut self.programs);
        services.warnings = programs.warnings;
        for program in programs.all {
            if self.by_name.contains_key(&program.name) {
                services.warnings.push(format!(
                    "{}: the program {} is not started: [service.{}] stands in its place",
                    program.file.display(),
                    program.name,
                    program.name
                ));
            } else {
                services.extra.push(program.into());
            }
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

#[cfg(test)]
mod tests;
