//! Sections as programs: which there are, in which groups and in which order.

mod keys;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::keys::{KEYS, Keys};
use super::ini::{Ini, Value};
use super::values::{self, Known, Names};
use super::{Program, Programs, Surroundings, ours};
use crate::config::source::Mistake;

/// More processes of one program are a slip of the pen.
const MOST: i64 = 100;
const ENVIRONMENT: &str = "environment";

/// All programs, in the order in which they are started.
pub(super) fn all(
    ini: &Ini,
    directory: &Path,
    around: &Surroundings,
) -> Result<Programs, Vec<Mistake>> {
    let mut report = Report::default();
    let mut names = around.names.clone();
    // Of supervisord's own file, which would stand above the directory.
    let here = directory.parent().unwrap_or(directory);
    let here = Known::Text(here.to_string_lossy().into_owned());
    names.insert("here".to_owned(), here);
    let common = common(ini, &names, &mut report);
    for (name, value) in &common {
        let value = Known::Text(value.clone());
        names.insert(format!("ENV_{name}"), value);
    }
    let reading = Reading {
        ini,
        around,
        names,
        common,
    };
    let mut groups = reading.groups(&mut report);
    report.sections(ini);
    groups.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    let mut programs: Vec<Program> = Vec::new();
    for mut group in groups {
        group.programs.sort_by_key(|program| program.priority);
        for program in group.programs {
            let taken = programs.iter().find(|other| other.name == program.name);
            match taken {
                Some(other) => report.mistakes.push(Mistake(format!(
                    "{}: {} is the name of two processes, in the groups {} and {}",
                    program.file.display(),
                    program.name,
                    other.group,
                    program.group
                ))),
                None => programs.push(program),
            }
        }
    }
    if !report.mistakes.is_empty() {
        return Err(report.mistakes);
    }
    Ok(Programs {
        all: programs,
        warnings: report.warnings,
    })
}

#[derive(Default)]
struct Report {
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
}

struct Group {
    name: String,
    priority: i64,
    programs: Vec<Program>,
}

struct Reading<'a> {
    ini: &'a Ini,
    around: &'a Surroundings,
    /// What every value may name.
    names: Names,
    /// The environment of all programs.
    common: BTreeMap<String, String>,
}

impl Report {
    fn mistake(&mut self, section: &str, key: &str, value: &Value, text: &str) {
        let (file, line) = (value.file.display(), value.line);
        self.add(format!("{file}:{line}: [{section}]: {key} {text}"));
    }

    /// Once: of each process of a program the same would be said.
    fn add(&mut self, text: String) {
        if self.mistakes.iter().all(|mistake| mistake.0 != text) {
            self.mistakes.push(Mistake(text));
        }
    }

    fn warn(&mut self, section: &str, key: &str, value: &Value, text: &str) {
        let (file, line) = (value.file.display(), value.line);
        let text = format!("{file}:{line}: [{section}]: {key} {text}");
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }

    /// What an environment says; nothing of it is ever told, for it may hold a secret.
    fn environment(
        &mut self,
        section: &str,
        value: &Value,
        text: Result<String, String>,
    ) -> BTreeMap<String, String> {
        match text.and_then(|text| values::pairs(&text)) {
            Ok((pairs, true)) => pairs,
            Ok((pairs, false)) => {
                let text = "has something else than a comma after a value, which ends there: put it in quotes";
                self.warn(section, ENVIRONMENT, value, text);
                pairs
            }
            Err(why) => {
                self.mistake(section, ENVIRONMENT, value, &why);
                BTreeMap::new()
            }
        }
    }

    /// Names those that nothing is made of.
    fn sections(&mut self, ini: &Ini) {
        let mut idle = Vec::new();
        for (name, section) in &ini.sections {
            let file = section.file.display();
            let kind = name.split(':').next().unwrap_or_default();
            match kind {
                "program" | "group" if name.contains(':') => {}
                "eventlistener" | "fcgi-program" => self.warnings.push(format!(
                    "{file}: [{name}] is not started: of supervisord's sections [program:x] and [group:x] are"
                )),
                // Of it only the environment.
                "supervisord" if section.keys.keys().all(|key| key == ENVIRONMENT) => {}
                "supervisord" => idle.push(format!("[supervisord] but its environment ({file})")),
                _ => idle.push(format!("[{name}] ({file})")),
            }
        }
        if !idle.is_empty() {
            let idle = idle.join(", ");
            self.warnings.push(format!(
                "not read, for there is no supervisord here: {idle}"
            ));
        }
    }
}

/// The environment that `[supervisord]` has for all programs. Names are put in twice there.
fn common(ini: &Ini, names: &Names, report: &mut Report) -> BTreeMap<String, String> {
    let Some(value) = ini.get("supervisord", ENVIRONMENT) else {
        return BTreeMap::new();
    };
    let text = values::expand(&value.text, names);
    let text = text.and_then(|text| values::expand(&text, names));
    report.environment("supervisord", value, text)
}

/// The part of a section's name behind its colon, as a name of a program or a group.
fn section_name(section: &str) -> Result<String, String> {
    let (_, name) = section.split_once(':').unwrap_or_default();
    process_name(name)
}

fn process_name(name: &str) -> Result<String, String> {
    let name = values::strip(name);
    if name.contains([' ', ':', '/']) {
        return Err("has a name with a blank, a colon or a slash in it".to_owned());
    }
    Ok(name.to_owned())
}

impl Reading<'_> {
    fn groups(&self, report: &mut Report) -> Vec<Group> {
        let mut groups = Vec::new();
        let mut grouped = BTreeSet::new();
        let sections = self.ini.sections.keys();
        for section in sections.clone().filter(|name| name.starts_with("group:")) {
            let mut keys = Keys::new(self, section, report);
            let name = section_name(section).unwrap_or_else(|why| {
                keys.section_mistake(&why);
                String::new()
            });
            let priority = keys.number("priority", 999);
            let list = keys.text("programs").map(|(text, _)| text);
            keys.finish(&["priority", "programs"]);
            let list = list.unwrap_or_default();
            let members = list.split(',').map(values::strip);
            let mut programs = Vec::new();
            for member in members.filter(|_| !list.is_empty()) {
                let (plain, fast) = (
                    format!("program:{member}"),
                    format!("fcgi-program:{member}"),
                );
                let known = |name: &String| self.ini.sections.contains_key(name);
                match (known(&plain), known(&fast)) {
                    (true, false) => {
                        programs.extend(self.processes(&plain, &name, report));
                        grouped.insert(plain);
                    }
                    // It has been told of.
                    (false, true) => {}
                    (true, true) => Keys::new(self, section, report).section_mistake(&format!(
                        "names {member}, which is both a program and an fcgi-program"
                    )),
                    (false, false) => Keys::new(self, section, report)
                        .section_mistake(&format!("names {member}, which is no program")),
                }
            }
            groups.push(Group {
                name,
                priority,
                programs,
            });
        }
        let alone =
            sections.filter(|name| name.starts_with("program:") && !grouped.contains(*name));
        for section in alone {
            let name = section_name(section).unwrap_or_default();
            let programs = self.processes(section, &name, report);
            let priority = programs.first().map_or(999, |program| program.priority);
            groups.push(Group {
                name,
                priority,
                programs,
            });
        }
        groups
    }

    /// The processes of one program, none if it is a part that is there anyway.
    fn processes(&self, section: &str, group: &str, report: &mut Report) -> Vec<Program> {
        let (mistakes, warnings) = (report.mistakes.len(), report.warnings.len());
        let mut keys = Keys::new(self, section, report);
        let program = match section_name(section) {
            Ok(name) => name,
            Err(why) => {
                keys.section_mistake(&why);
                return Vec::new();
            }
        };
        let known = |text: &str| Known::Text(text.to_owned());
        keys.names
            .insert("program_name".to_owned(), known(&program));
        keys.names.insert("group_name".to_owned(), known(group));
        let rules = keys.rules();
        let force = keys.take("deskinit", "start", |text| (text == "start").then_some(()));
        let count = keys.number("numprocs", 1);
        let first = keys.number("numprocs_start", 0);
        if count > MOST {
            keys.section_mistake(&format!("has more than {MOST} processes (numprocs)"));
        }
        let name = keys.raw("process_name");
        let name = name
            .map_or("%(program_name)s", |value| value.text.as_str())
            .to_owned();
        let name = process_name(&name).unwrap_or_else(|why| {
            keys.section_mistake(&why);
            String::new()
        });
        if count > 1 && !name.contains("%(process_num)") {
            keys.section_mistake("has more processes than one (numprocs), which need %(process_num) in their process_name");
        }
        let mut programs = Vec::new();
        for number in first..first.saturating_add(count.min(MOST)) {
            keys.names
                .insert("process_num".to_owned(), Known::Number(number));
            keys.names
                .insert("numprocs".to_owned(), Known::Number(count));
            programs.push(keys.process(&name, group, &rules));
        }
        let command = programs.first().map(|program| program.command.as_slice());
        let part = ours::part(&program, command.unwrap_or_default());
        if let Some(part) = part.filter(|_| force.is_none()) {
            // Whatever else is wrong with it does not matter.
            report.mistakes.truncate(mistakes);
            report.warnings.truncate(warnings);
            report.warnings.push(format!(
                "{}: [{section}] is not started, for deskinit is {} itself ({}); to start it nevertheless, put deskinit=start into its section",
                self.file(section), part.what, part.instead
            ));
            return Vec::new();
        }
        for program in &programs {
            keys.check_name(&program.name);
        }
        keys.not_done();
        keys.finish(&KEYS);
        programs
    }

    /// Where a section stands first.
    fn file(&self, section: &str) -> std::path::Display<'_> {
        let section = self.ini.sections.get(section);
        section
            .map_or(Path::new(""), |section| &section.file)
            .display()
    }
}

#[cfg(test)]
mod tests;
