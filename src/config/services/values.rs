//! The forms that values have: each function is `None` for what has another one.

use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::Ready;
use crate::config::{reader, supervisord};

/// A process is not started more often than this to ask whether another one is ready.
const OFTEN: Duration = Duration::from_millis(100);

/// A number of bytes, with a unit or without; none for 0.
pub(super) fn size(value: &Value) -> Option<Option<u64>> {
    let bytes = match value {
        Value::Integer(bytes) => *bytes,
        other => supervisord::bytes(other.as_str()?)?,
    };
    let bytes = u64::try_from(bytes).ok()?;
    Some((bytes > 0).then_some(bytes))
}

pub(super) fn strings(value: &Value) -> Option<Vec<String>> {
    let list = value.as_array()?.iter();
    list.map(|one| one.as_str().map(str::to_owned)).collect()
}

/// # Errors
/// What is wrong with it, without a word of it: it may hold a secret.
pub(super) fn command_line(value: &Value) -> Result<Vec<String>, &'static str> {
    const FORM: &str = "expected a command line, or an array of words";
    let words = match value {
        Value::String(line) => reader::words(line)?,
        other => strings(other).ok_or(FORM)?,
    };
    if words.first().is_none_or(String::is_empty) {
        return Err("names no program; expected a command line, or an array of words");
    }
    match words.iter().any(|word| word.contains('\0')) {
        true => Err("holds a zero byte, which no word of a command can"),
        false => Ok(words),
    }
}

pub(super) fn variables(value: &Value) -> Option<Vec<(String, String)>> {
    let table = value.as_table()?.iter();
    table
        .map(|(name, value)| {
            let value = value.as_str()?;
            let fine = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
            fine.then(|| (name.clone(), value.to_owned()))
        })
        .collect()
}

/// A name, or a number with quotes or without.
pub(super) fn word(value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) => Some(number.to_string()),
        other => other
            .as_str()
            .filter(|word| !word.is_empty())
            .map(str::to_owned),
    }
}

pub(super) fn exit_codes(value: &Value) -> Option<Vec<u8>> {
    let list = value.as_array()?.iter();
    list.map(|code| within(code, 0, 255)?.try_into().ok())
        .collect()
}

pub(super) fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Integer(whole) => f64::from(i32::try_from(*whole).ok()?),
        Value::Float(seconds) => *seconds,
        _ => return None,
    };
    (0.0..=3600.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

pub(super) fn path(value: &Value) -> Option<PathBuf> {
    let text = value.as_str()?;
    (text.starts_with('/') && !text.contains('\0')).then(|| PathBuf::from(text))
}

/// Ways of getting ready, in words.
pub(super) const READY: &str = "started, notify, displayfd, { fd = NUMBER }, { log = \"TEXT\" }, { file = \"/PATH\" }, { unix = \"/PATH\" }, { tcp = PORT } (or \"HOST:PORT\"), or { command = COMMAND, every = SECONDS }";

pub(super) fn ready(value: &Value) -> Option<Ready> {
    if let Some(word) = value.as_str() {
        return match word {
            "started" => Some(Ready::Started),
            "notify" => Some(Ready::Notify),
            "displayfd" => Some(Ready::Descriptor(None)),
            _ => None,
        };
    }
    let table = value.as_table()?;
    if let Some(command) = table.get("command") {
        let every = match table.get("every") {
            Some(value) => seconds(value).filter(|every| *every >= OFTEN)?,
            None => Duration::from_secs(1),
        };
        let known = 1 + usize::from(table.contains_key("every"));
        return (table.len() == known)
            .then_some(Ready::Command(command_line(command).ok()?, every));
    }
    let (key, value) = table.iter().next().filter(|_| table.len() == 1)?;
    match key.as_str() {
        "log" => {
            let text = value.as_str().filter(|text| !text.is_empty())?;
            Some(Ready::Log(text.to_owned()))
        }
        // The first three are taken, and nobody has more than these.
        "fd" => within(value, 3, 1023).map(|number| Ready::Descriptor(Some(number))),
        "file" => path(value).map(Ready::File),
        "unix" => path(value).map(Ready::Unix),
        "tcp" => {
            let (host, port) = match value {
                Value::Integer(port) => reader::host_port(&port.to_string())?,
                other => reader::host_port(other.as_str()?)?,
            };
            Some(Ready::Tcp(host, port))
        }
        _ => None,
    }
}

/// In quotes: a bare 022 is no TOML, and a bare 22 would be another number.
pub(super) fn umask(value: &Value) -> Option<u32> {
    let digits = value.as_str()?;
    let octal = !digits.is_empty() && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mask = octal.then(|| u32::from_str_radix(digits, 8).ok())??;
    (mask <= 0o777).then_some(mask)
}

pub(super) fn within(value: &Value, from: i32, to: i32) -> Option<i32> {
    let number = i32::try_from(value.as_integer()?).ok()?;
    (from..=to).contains(&number).then_some(number)
}

/// Soft and hard; `None` in either place is no limit.
pub(super) type Bounds = (Option<u64>, Option<u64>);

/// `1024`, `"unlimited"`, `[1024, "unlimited"]`.
pub(super) fn bounds(value: &Value) -> Option<Bounds> {
    let (soft, hard) = match value {
        Value::Array(pair) => match pair.as_slice() {
            [soft, hard] => (bound(soft)?, bound(hard)?),
            _ => return None,
        },
        one => (bound(one)?, bound(one)?),
    };
    let most = |bound: Option<u64>| bound.unwrap_or(u64::MAX);
    (most(soft) <= most(hard)).then_some((soft, hard))
}

fn bound(value: &Value) -> Option<Option<u64>> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok().map(Some),
        Value::String(word) if word == "unlimited" => Some(None),
        _ => None,
    }
}
