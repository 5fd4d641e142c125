//! Where values come from, before anybody looks into them.

use super::table::{SETTINGS, SIZE_NAMES, Setting, setting};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag,
    /// In this environment variable.
    Env(String),
    /// In this file.
    File(PathBuf),
    /// Nowhere, but abcdesktop's images are so.
    Abcdesktop,
    /// Nowhere.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("command line"),
            Self::Env(name) => write!(f, "environment ({name})"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Abcdesktop => f.write_str("default of abcdesktop"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong with the settings, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake(pub String);

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) value: String,
    pub(super) origin: Origin,
    /// The value is the path of a file that holds the secret.
    pub(super) in_file: bool,
}

impl Given {
    /// What is wrong with the file that holds the secret.
    fn unreadable(&self) -> Option<String> {
        let Origin::Env(name) = &self.origin else {
            return None;
        };
        let path = self.in_file.then_some(&self.value)?;
        let why = super::reader::read_secret(path).err()?;
        Some(format!("{name}={path}: {why}"))
    }
}

/// All sources, one above the other.
#[derive(Debug, Default)]
pub struct Raw {
    given: BTreeMap<&'static str, Given>,
    /// The tables of services, for whoever starts these.
    services: Option<(PathBuf, toml::Value)>,
    /// The settings file beside which there may be more of these.
    beside: Option<PathBuf>,
    mistakes: Vec<Mistake>,
}

impl Raw {
    /// No value from anywhere.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Given> {
        self.given.get(name)
    }

    /// Where a setting was given, and the file that holds it when it is a secret in one; `None` when nobody gave it.
    pub fn origin(&self, name: &str) -> Option<(&Origin, Option<&Path>)> {
        let given = self.get(name)?;
        let file = given.in_file.then(|| Path::new(&given.value));
        Some((&given.origin, file))
    }

    pub(super) fn take_mistakes(&mut self) -> Vec<Mistake> {
        std::mem::take(&mut self.mistakes)
    }

    /// The lowest layer: a TOML file whose keys are the settings' names in lower case.
    pub fn file(&mut self, path: &Path, text: &str) {
        let table = match table(path, text) {
            Ok(table) => table,
            Err(mistake) => return self.mistakes.push(mistake),
        };
        for (key, value) in table {
            if key == "service" {
                self.services = Some((path.to_owned(), value));
                continue;
            }
            let wanted = key.to_ascii_uppercase();
            let (name, in_file) = match wanted.strip_suffix("_FILE") {
                Some(stem) if is_secret(stem) => (stem.to_owned(), true),
                _ => (wanted, false),
            };
            let Some(setting) = SETTINGS.iter().find(|s| s.name == name) else {
                self.mistake(format!(
                    "{}: {key} is not a setting{}",
                    path.display(),
                    suggestion(&key)
                ));
                continue;
            };
            let value = match value {
                toml::Value::String(s) => s,
                toml::Value::Integer(n) => n.to_string(),
                toml::Value::Boolean(b) => b.to_string(),
                other => {
                    self.mistake(format!(
                        "{}: {key} is a {}, expected {}",
                        path.display(),
                        other.type_str(),
                        setting.allowed
                    ));
                    continue;
                }
            };
            self.put(setting, value, Origin::File(path.to_owned()), in_file);
        }
    }

    /// What the settings file says about services.
    pub(super) fn services(&self) -> Option<(&Path, &toml::Value)> {
        let (path, value) = self.services.as_ref()?;
        Some((path, value))
    }

    /// The other files in the directory of this settings file may hold tables of services.
    pub fn look_beside(&mut self, settings: &Path) {
        self.beside = Some(settings.to_owned());
    }

    /// The settings file beside which there may be tables of services.
    pub(super) fn beside(&self) -> Option<&Path> {
        self.beside.as_deref()
    }

    /// What relative paths of log files begin at.
    pub(super) fn log_dir(&self) -> Option<PathBuf> {
        let given = self.get("LOG_DIR")?;
        Some(PathBuf::from(&given.value))
    }

    /// The directory that a setting names, and whether somebody gave it.
    pub(super) fn directory(&self, name: &str) -> (PathBuf, bool) {
        let default = setting(name).and_then(|row| row.default);
        match self.get(name) {
            Some(given) => (PathBuf::from(&given.value), true),
            None => (PathBuf::from(default.unwrap_or_default()), false),
        }
    }

    /// The file that was named cannot be read.
    pub fn unreadable(&mut self, path: &Path, why: &std::io::Error) {
        self.mistake(format!("{}: cannot be read: {why}", path.display()));
    }

    /// The middle layer: environment variables, under all their names.
    pub fn env(&mut self, lookup: impl Fn(&str) -> Option<String>) {
        for setting in SETTINGS {
            let mut found: Vec<Given> = Vec::new();
            for name in setting.names() {
                if let Some(value) = lookup(name) {
                    found.push(Given {
                        value,
                        origin: Origin::Env(name.to_owned()),
                        in_file: false,
                    });
                }
                let file = format!("{name}_FILE");
                if let Some(value) = lookup(&file).filter(|_| setting.secret) {
                    found.push(Given {
                        value,
                        origin: Origin::Env(file),
                        in_file: true,
                    });
                }
            }
            if let Some(side) = ["DISPLAY_WIDTH", "DISPLAY_HEIGHT"]
                .iter()
                .position(|n| *n == setting.name)
            {
                self.sizes(side, &lookup, &mut found);
            }
            self.agree(setting, found);
        }
    }

    /// The highest layer: a flag.
    pub fn flag(&mut self, setting: &'static Setting, value: String) {
        self.put(setting, value, Origin::Flag, setting.secret);
    }

    /// Nobody says anything about it.
    pub(super) fn lacks(&self, name: &str) -> bool {
        self.get(name).is_none_or(|given| given.value.is_empty())
    }

    pub(super) fn put(
        &mut self,
        setting: &'static Setting,
        value: String,
        origin: Origin,
        in_file: bool,
    ) {
        self.given.insert(
            setting.name,
            Given {
                value,
                origin,
                in_file,
            },
        );
    }

    /// Width or height out of the variables that give both.
    fn sizes(
        &mut self,
        side: usize,
        lookup: &impl Fn(&str) -> Option<String>,
        found: &mut Vec<Given>,
    ) {
        for name in SIZE_NAMES {
            let Some(value) = lookup(name).filter(|v| !v.is_empty()) else {
                continue;
            };
            match super::reader::size_parts(&value) {
                Some(parts) => found.push(Given {
                    value: parts[side].to_owned(),
                    origin: Origin::Env((*name).to_owned()),
                    in_file: false,
                }),
                // Both sides pass here: one report is enough.
                None if side == 0 => self.mistake(format!(
                    "{name}={value}: expected a size as 1920x1080, from 16x16 to 16384x16384"
                )),
                None => {}
            }
        }
    }

    /// Several names of one setting may be given as long as they say the same.
    fn agree(&mut self, setting: &'static Setting, found: Vec<Given>) {
        let Some(first) = found.first() else { return };
        // A variable set to nothing means "not set", as in most images' Dockerfiles; not so for secrets.
        if first.value.is_empty() && !setting.secret {
            return self.agree(setting, found[1..].to_vec());
        }
        for other in &found[1..] {
            let same = other.value.trim() == first.value.trim() && other.in_file == first.in_file;
            if !same && (!other.value.is_empty() || setting.secret) {
                let show = |g: &Given| match (&g.origin, setting.secret) {
                    (Origin::Env(name), true) => name.clone(),
                    (Origin::Env(name), false) => format!("{name} ({})", g.value),
                    (origin, _) => origin.to_string(),
                };
                self.mistake(format!(
                    "{} and {} mean the same and disagree: set one of them",
                    show(first),
                    show(other)
                ));
                // Of the first it is said when it is read.
                if let Some(why) = other.unreadable() {
                    self.mistake(why);
                }
            }
        }
        let Given {
            value,
            origin,
            in_file,
        } = first.clone();
        self.put(setting, value, origin, in_file);
    }

    fn mistake(&mut self, text: String) {
        self.mistakes.push(Mistake(text));
    }
}

fn is_secret(name: &str) -> bool {
    SETTINGS.iter().any(|s| s.secret && s.name == name)
}

/// A file as TOML.
pub(super) fn table(path: &Path, text: &str) -> Result<toml::Table, Mistake> {
    text.parse().map_err(|e: toml::de::Error| {
        // Not as it prints itself: that shows the line, which may hold a secret.
        let before = e.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let why = e.message().replace('\n', " ");
        let path = path.display();
        Mistake(format!("{path}: not valid TOML: line {line}: {why}"))
    })
}

/// "; did you mean …?" for the setting whose name is nearest, when one is near.
fn suggestion(key: &str) -> String {
    let names: Vec<String> = SETTINGS
        .iter()
        .map(|s| s.name.to_ascii_lowercase())
        .collect();
    nearest(&key.to_ascii_lowercase(), names.iter().map(String::as_str))
}

/// "; did you mean …?" for the known word that is nearest, when one is near.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        // A word that is no word costs time, and is near to none.
        .filter(|_| word.len() <= 64)
        .map(|name| (distance(word, name), name))
        .min()
        .filter(|(d, _)| *d <= 3)
        .map(|(_, name)| format!("; did you mean {name}?"))
        .unwrap_or_default()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
