//! The settings in words: `deskinit config`, the environment of `serve`, the README's table.

use super::source::{Origin, Raw};
use super::table::SETTINGS;
use std::fmt::Write as _;

/// One line a setting: name, value in force, where it came from. Secrets are only said to be set.
pub fn effective(raw: &Raw) -> String {
    let mut out = String::new();
    for row in SETTINGS {
        let (value, origin) = match raw.get(row.name) {
            Some(given) if row.secret => ("(set, hidden)", given.origin.clone()),
            Some(given) => (given.value.as_str(), given.origin.clone()),
            None => (row.default.unwrap_or("(unset)"), Origin::Default),
        };
        let value = if value.is_empty() { "(empty)" } else { value };
        let _ = writeln!(out, "{:<24} {:<32} {}", row.name, value, origin);
    }
    out
}

impl Raw {
    /// The settings that somebody gave, as variables under their canonical names, without secrets: what a child role
    /// needs to come to the same configuration.
    pub fn to_env(&self) -> Vec<(String, String)> {
        SETTINGS
            .iter()
            .filter(|row| !row.secret)
            .filter_map(|row| Some((row.name.to_owned(), self.get(row.name)?.value.clone())))
            .collect()
    }
}

/// The README's table, in Markdown.
pub fn markdown_table() -> String {
    let mut out = String::from("| Variable | Default | Allowed | Meaning |\n|---|---|---|---|\n");
    for row in SETTINGS {
        let mut names = format!("`{}`", row.name);
        for alias in row.aliases {
            let _ = write!(names, ", `{alias}`");
        }
        if row.secret {
            let _ = write!(names, ", `{}_FILE`", row.name);
        }
        let default = match row.default {
            None => "".to_owned(),
            Some("") => "(empty)".to_owned(),
            Some(d) => format!("`{d}`"),
        };
        let _ = writeln!(
            out,
            "| {names} | {default} | {} | {} |",
            row.allowed, row.doc
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_hidden() {
        let mut raw = Raw::new();
        raw.env(|name| (name == "VNC_PASSWORD" || name == "VNC_PORT").then(|| "5901".to_owned()));
        let text = effective(&raw);
        assert!(text.contains("(set, hidden)") && text.contains("environment (VNC_PORT)"));
        assert_eq!(raw.to_env(), [("VNC_PORT".to_owned(), "5901".to_owned())]);
    }
}
