//! The files as supervisord's parser takes them: sections of keys, one file above the other.
//!
//! ```text
//!  # or ; begins a comment at the start of a line, and after white space
//!  [section]              named twice: one section; of keys the later wins
//!  key = value            or with a colon, whichever comes first; keys are lower case
//!     more of it          anything indented deeper than its key goes on with the value, a [section] too
//! ```
//!
//! Python's `RawConfigParser` is the model, as supervisord sets it up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::values::{is_space, strip};

/// Its keys are those of every section that does not have them.
const DEFAULTS: &str = "DEFAULT";
/// The directory of the file, which is put in as text before anything else is made of a value.
const HERE: &str = "%(here)s";

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

/// One section, as all files together give it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// Where it stands first.
    pub(super) file: PathBuf,
    pub(super) keys: BTreeMap<String, Value>,
}

/// All sections of all files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ini {
    pub(super) sections: BTreeMap<String, Section>,
    defaults: BTreeMap<String, Value>,
}

/// A line that is none, with its number. Not what stands in it: that may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) why: &'static str,
}

/// Where the lines of a file go as they are read.
#[derive(Default)]
struct Place {
    section: Option<String>,
    key: Option<String>,
    /// Of the line that began the value or the section.
    indent: usize,
}

impl Ini {
    /// What there is without any file: a section of supervisord's own.
    pub(super) fn new() -> Self {
        Self {
            sections: [("supervisord".to_owned(), Section::default())].into(),
            defaults: BTreeMap::new(),
        }
    }

    /// Adds a file above those that are there.
    ///
    /// # Errors
    /// The lines that are neither a section nor a key.
    pub(super) fn add(&mut self, path: &Path, text: &str) -> Result<(), Vec<Wrong>> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut place = Place::default();
        let mut wrong = Vec::new();
        for (index, line) in text.split('\n').enumerate() {
            let number = index + 1;
            if let Err(why) = self.line(path, number, line, &mut place) {
                wrong.push(Wrong { line: number, why });
                if place.section.is_none() {
                    // Every further line would be wrong for the same reason.
                    break;
                }
            }
        }
        let sections = self.sections.values_mut();
        let values = sections.flat_map(|section| section.keys.values_mut());
        for value in values.chain(self.defaults.values_mut()) {
            let length = value.text.trim_end_matches(is_space).len();
            value.text.truncate(length);
        }
        let directory = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
        self.expand_here(&directory);
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// A key of a section, or what holds for all of them.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<&Value> {
        let own = self.sections.get(section)?.keys.get(key);
        own.or_else(|| self.defaults.get(key))
    }

    fn line(
        &mut self,
        path: &Path,
        number: usize,
        line: &str,
        place: &mut Place,
    ) -> Result<(), &'static str> {
        let (text, commented) = without_comment(line);
        let text = strip(text);
        if text.is_empty() {
            // An empty line belongs to a value that goes on after it.
            if !commented && let Some(value) = self.value_at(place) {
                value.text.push('\n');
            }
            return Ok(());
        }
        let indent = line.chars().take_while(|c| is_space(*c)).count();
        if indent > place.indent
            && let Some(value) = self.value_at(place)
        {
            value.text.push('\n');
            value.text.push_str(text);
            return Ok(());
        }
        place.indent = indent;
        if let Some(name) = header(text) {
            place.section = Some(name.to_owned());
            place.key = None;
            if name != DEFAULTS {
                let section = self.sections.entry(name.to_owned()).or_default();
                if section.file.as_os_str().is_empty() {
                    path.clone_into(&mut section.file);
                }
            }
            return Ok(());
        }
        let Some(section) = place.section.as_deref() else {
            return Err("stands before the first [section]");
        };
        let Some((key, value)) = text.split_once(['=', ':']) else {
            return Err("is neither a [section] nor key = value");
        };
        let key = key.trim_end_matches(is_space).to_lowercase();
        if key.is_empty() {
            return Err("has no key before the =");
        }
        let value = Value {
            text: strip(value).to_owned(),
            file: path.to_owned(),
            line: number,
        };
        if let Some(keys) = self.keys_of(section) {
            keys.insert(key.clone(), value);
        }
        place.key = Some(key);
        Ok(())
    }

    fn keys_of(&mut self, section: &str) -> Option<&mut BTreeMap<String, Value>> {
        if section == DEFAULTS {
            return Some(&mut self.defaults);
        }
        Some(&mut self.sections.get_mut(section)?.keys)
    }

    /// The value that a line may go on with.
    fn value_at(&mut self, place: &Place) -> Option<&mut Value> {
        let key = place.key.as_deref()?;
        self.keys_of(place.section.as_deref()?)?.get_mut(key)
    }

    /// After each file, so that the name means the directory of the file in which it stands; what holds for all sections
    /// becomes a value of each.
    fn expand_here(&mut self, directory: &str) {
        for section in self.sections.values_mut() {
            for (key, value) in &self.defaults {
                if value.text.contains(HERE) && !section.keys.contains_key(key) {
                    section.keys.insert(key.clone(), value.clone());
                }
            }
            for value in section.keys.values_mut() {
                if value.text.contains(HERE) {
                    value.text = value.text.replace(HERE, directory);
                }
            }
        }
    }
}

/// The line up to its comment, and whether there is one.
///
/// The parser looks for the n-th `;` and the n-th `#` at the same time and stops at the first n for which one of them
/// begins a comment: a `;` that does is overlooked when a `#` further on does so for a smaller n.
fn without_comment(line: &str) -> (&str, bool) {
    if strip(line).starts_with(['#', ';']) {
        return ("", true);
    }
    let begins = |at: usize| {
        line.get(..at)
            .is_some_and(|before| before.ends_with(is_space))
    };
    let mut semicolons = line.match_indices(';').map(|(at, _)| at);
    let mut hashes = line.match_indices('#').map(|(at, _)| at);
    loop {
        let (semicolon, hash) = (semicolons.next(), hashes.next());
        if semicolon.is_none() && hash.is_none() {
            return (line, false);
        }
        let found = semicolon.into_iter().chain(hash).filter(|at| begins(*at));
        if let Some(at) = found.min() {
            return (line.get(..at).unwrap_or(line), true);
        }
    }
}

/// The name between the first bracket, with which the line begins, and the last.
fn header(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Ini {
        let mut ini = Ini::new();
        ini.add(Path::new("/c/a.conf"), text).unwrap();
        ini
    }

    fn wrong(text: &str) -> Vec<usize> {
        let result = Ini::new().add(Path::new("/c/a.conf"), text);
        result.unwrap_err().iter().map(|wrong| wrong.line).collect()
    }

    #[test]
    fn comments_begin_a_line_or_follow_a_blank() {
        let ini = read(
            "; a\n# b\n[s] ; c\na=1;2 ; d\nb = x#y # z\n  # in between\n c = 3\nd=a;b ;c #d\n",
        );
        let get = |key| ini.get("s", key).map(|value| value.text.as_str());
        assert_eq!(get("a"), Some("1;2"));
        assert_eq!(get("b"), Some("x#y\nc = 3"), "indented deeper: part of b");
        assert_eq!(get("d"), Some("a;b ;c"), "the second ; comes too late");
    }

    #[test]
    fn values_go_on_while_lines_are_indented_deeper() {
        let ini = read("[a]\nenv =\n  A=1,\n\n  B=2\n  [b]\nKey : v = w\n[a]\nkey=later\n");
        let get = |key| ini.get("a", key).map(|value| value.text.as_str());
        assert_eq!(get("env"), Some("\nA=1,\n\nB=2\n[b]"));
        assert_eq!(get("key"), Some("later"));
        assert_eq!(ini.sections.len(), 2);
        assert_eq!(ini.get("a", "key").unwrap().line, 9);
    }

    #[test]
    fn lines_that_are_none_are_all_told() {
        assert_eq!(wrong("[s]\nnonsense\nb=1\n= 2\n[]\n"), [2, 4, 5]);
        assert_eq!(wrong("a=1\nb=2\n[s]\n"), [1], "once is enough");
        assert_eq!(wrong("\u{feff}[s]\na=1\n"), [1]);
    }

    #[test]
    fn here_is_where_the_file_is_and_defaults_are_for_all() {
        let mut ini = read("[DEFAULT]\ndirectory=%(here)s\numask=022\n[a]\nx=1\n");
        ini.add(Path::new("/d/b.conf"), "[a]\nx = %(here)s/%%(here)s\n[b]\n")
            .unwrap();
        let get = |section, key| ini.get(section, key).map(|value| value.text.as_str());
        assert_eq!(get("a", "directory"), Some("/c"));
        assert_eq!(get("b", "directory"), Some("/d"));
        assert_eq!(get("b", "umask"), Some("022"));
        assert_eq!(get("a", "x"), Some("/d/%/d"));
        assert_eq!(get("none", "umask"), None);
    }
}
