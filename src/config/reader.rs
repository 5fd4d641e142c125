//! Turns given values into typed ones and collects every mistake on the way.

use super::secret::{Key, Secret};
use super::source::{Given, Mistake, Origin, Raw};
use super::table::{Setting, setting};
use std::io::Read;

/// Secrets longer than this are a wrong file, not a password.
const MAX_SECRET: u64 = 4096;

pub(super) struct Reader {
    raw: Raw,
    mistakes: Vec<Mistake>,
}

impl Reader {
    pub(super) fn new(mut raw: Raw) -> Self {
        let mistakes = raw.take_mistakes();
        Self { raw, mistakes }
    }

    pub(super) fn finish(self) -> (Raw, Vec<Mistake>) {
        (self.raw, self.mistakes)
    }

    pub(super) fn mistake(&mut self, text: String) {
        self.mistakes.push(Mistake(text));
    }

    /// True when somebody gave the setting.
    pub(super) fn given(&self, name: &str) -> bool {
        self.raw.get(name).is_some()
    }

    /// The value parsed by `parse`, the parsed default when it is wrong (then a mistake is noted), `None` when there
    /// is neither.
    pub(super) fn value<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let row = setting(name)?;
        if let Some(Given { value, origin, .. }) = self.raw.get(name) {
            if let Some(parsed) = parse(value.trim()) {
                return Some(parsed);
            }
            let text = describe(row, value, origin);
            self.mistake(text);
        }
        row.default.and_then(parse)
    }

    /// The words of a command line. It may hold a secret: of one that is wrong nothing is said but what is wrong.
    pub(super) fn command(&mut self, name: &'static str) -> Option<Vec<String>> {
        let row = setting(name)?;
        let default = row.default.and_then(|line| words(line).ok());
        let Some(Given { value, origin, .. }) = self.raw.get(name) else {
            return default;
        };
        let wanted = default.as_ref().is_some_and(|words| !words.is_empty());
        let given = words(value).and_then(|words| match words.is_empty() && wanted {
            true => Err("names no program"),
            false => Ok(words),
        });
        match given {
            Ok(words) => Some(words),
            Err(why) => {
                let place = match origin {
                    Origin::Env(variable) => variable.clone(),
                    Origin::Flag => format!("--{}", row.flag()),
                    other => format!("{} in {other}", row.name.to_ascii_lowercase()),
                };
                self.mistake(format!("{place}: {why}; expected {}", row.allowed));
                default
            }
        }
    }

    /// As [`Reader::value`], for settings that have a default.
    pub(super) fn or<T>(
        &mut self,
        name: &'static str,
        fallback: T,
        parse: impl Fn(&str) -> Option<T>,
    ) -> T {
        self.value(name, parse).unwrap_or(fallback)
    }

    pub(super) fn switch(&mut self, name: &'static str) -> bool {
        self.or(name, false, boolean)
    }

    /// A secret in hexadecimal digits.
    pub(super) fn key(&mut self, name: &'static str) -> Option<Key> {
        let text = self.secret(name)?;
        let key = Key::from_hex(text.expose().trim());
        if key.is_none() {
            let allowed = setting(name).map_or("", |row| row.allowed);
            self.mistake(format!("{name}: expected {allowed}"));
        }
        key
    }

    /// A secret, given itself or by a file that holds it.
    pub(super) fn secret(&mut self, name: &'static str) -> Option<Secret> {
        let Given {
            value,
            origin,
            in_file,
        } = self.raw.get(name)?.clone();
        let source = match &origin {
            Origin::Env(variable) => variable.clone(),
            Origin::Flag => format!(
                "--{}",
                name.to_ascii_lowercase().replace('_', "-") + "-file"
            ),
            other => format!("{name} in {other}"),
        };
        let text = if in_file {
            match read_secret(&value) {
                Ok(text) => text,
                Err(why) => {
                    self.mistake(format!("{source}={value}: {why}"));
                    return None;
                }
            }
        } else {
            value
        };
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains(['\n', '\0']) {
            self.mistake(format!("{source}: the secret has more than one line"));
            return None;
        }
        match Secret::new(line) {
            Ok(secret) => Some(secret),
            Err(_) => {
                let advice = if name.ends_with("PASSWORD") {
                    "give a password, unset it (a random token is then made), or say ALLOW_NO_AUTH=1"
                } else {
                    "give it, or unset it"
                };
                self.mistake(format!("{source}: is empty; {advice}"));
                None
            }
        }
    }
}

fn describe(row: &Setting, value: &str, origin: &Origin) -> String {
    match origin {
        Origin::Env(variable) => format!("{variable}={value}: expected {}", row.allowed),
        Origin::Flag => {
            let flag = row.flag();
            let flag = row.repeated.unwrap_or(&flag);
            format!("--{flag} {value}: expected {}", row.allowed)
        }
        other => format!(
            "{} = {value} in {other}: expected {}",
            row.name.to_ascii_lowercase(),
            row.allowed
        ),
    }
}

pub(super) fn read_secret(path: &str) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    let mut text = String::new();
    file.take(MAX_SECRET + 1)
        .read_to_string(&mut text)
        .map_err(|e| format!("cannot be read: {e}"))?;
    if text.len() as u64 > MAX_SECRET {
        return Err(format!("holds more than {MAX_SECRET} bytes"));
    }
    Ok(text)
}

pub(super) fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "enabled" => Some(true),
        "0" | "false" | "no" | "off" | "disabled" => Some(false),
        _ => None,
    }
}

/// The two numbers of `1920x1080` (a third, the depth, is accepted and left alone), when both are possible sides.
pub(super) fn size_parts(value: &str) -> Option<[&str; 2]> {
    let mut parts = value.trim().split(['x', 'X']);
    let (w, h) = (parts.next()?, parts.next()?);
    if let Some(depth) = parts.next() {
        depth.parse::<u8>().ok()?;
    }
    if parts.next().is_some() {
        return None;
    }
    side(w)?;
    side(h)?;
    Some([w, h])
}

pub(super) fn size(value: &str) -> Option<(u16, u16)> {
    let [w, h] = size_parts(value)?;
    Some((side(w)?, side(h)?))
}

pub(super) fn side(value: &str) -> Option<u16> {
    value
        .parse()
        .ok()
        .filter(|n: &u16| (16..=16384).contains(n))
}

/// The number of a user or a group; the largest means "none" to the kernel.
pub(super) fn id(value: &str) -> Option<u32> {
    value.parse().ok().filter(|id| *id != u32::MAX)
}

/// `off` is `None`; 0 lets the kernel choose.
pub(super) fn port(value: &str) -> Option<Option<u16>> {
    if value.eq_ignore_ascii_case("off") {
        return Some(None);
    }
    value.parse().ok().map(Some)
}

/// `8080`, `:8080`, `host:8080`, `[::1]:8080`; without a host it is this one.
pub fn host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let host = if bare.is_empty() { "localhost" } else { bare };
    (!host.contains(['/', '\0'])).then(|| (host.to_owned(), port))
}

/// Words of a command line. Blanks separate; single quotes keep everything, double quotes everything but a backslash
/// before `"` or `\`; a backslash keeps the next character. No variables, no globs: it is not a shell.
///
/// # Errors
/// What is wrong with its quotes, without a word of it.
pub(super) fn words(line: &str) -> Result<Vec<String>, &'static str> {
    const SINGLE: &str = "a single quote (') is opened and not closed";
    const DOUBLE: &str = "a double quote (\") is opened and not closed";
    const BACKSLASH: &str = "it ends with a backslash, which keeps the next character";
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => out.extend(word.take()),
            '\'' => {
                let w = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(SINGLE)? {
                        '\'' => break,
                        c => w.push(c),
                    }
                }
            }
            '"' => {
                let w = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(DOUBLE)? {
                        '"' => break,
                        '\\' => match chars.next().ok_or(DOUBLE)? {
                            c @ ('"' | '\\') => w.push(c),
                            c => w.extend(['\\', c]),
                        },
                        c => w.push(c),
                    }
                }
            }
            '\\' => {
                let kept = chars.next().ok_or(BACKSLASH)?;
                word.get_or_insert_default().push(kept);
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_quotes() {
        let w = |s| words(s).unwrap_or_default();
        assert_eq!(
            w("xterm -e 'a  b' \"c \\\"d\""),
            ["xterm", "-e", "a  b", "c \"d"]
        );
        assert_eq!(w("a\\ b ''"), ["a b", ""]);
        assert_eq!(w("  "), Vec::<String>::new());
        for (line, why) in [
            ("xterm 'open", "single quote"),
            ("xterm \"open\\", "double quote"),
            ("end\\", "backslash"),
        ] {
            assert!(words(line).unwrap_err().contains(why), "{line}");
        }
    }

    #[test]
    fn sizes_are_checked() {
        assert_eq!(size("1920x1080"), Some((1920, 1080)));
        assert_eq!(size("1920x1080x24"), Some((1920, 1080)));
        for bad in [
            "",
            "1920",
            "0x0",
            "1920x",
            "99999x10",
            "1x1",
            "1920x1080x24x1",
            "-5x20",
        ] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
