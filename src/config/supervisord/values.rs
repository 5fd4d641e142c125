//! Values as Python and supervisord read them: names in percent signs, pairs of an environment, numbers, sizes.

use std::collections::BTreeMap;

/// White space as Python's strings know it: Unicode's, and the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Without white space at both ends.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// What a name in percent signs may stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Text(String),
    Number(i64),
    /// There is one, and it is not for programs: it would show in their arguments and logs.
    Secret,
}

pub(super) type Names = BTreeMap<String, Known>;

/// Puts in what `%(name)s` stands for; `%%` is a percent sign. Flags, widths and precisions are C's, as in
/// `%(process_num)02d`.
pub(super) fn expand(text: &str, names: &Names) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (name, form) = name(after)?;
        let known = names.get(name).ok_or_else(|| unknown(name, names))?;
        rest = put(&mut out, known, name, form)?;
    }
    out.push_str(rest);
    Ok(out)
}

/// The name in parentheses, which may hold others, and what follows it.
fn name(text: &str) -> Result<(&str, &str), String> {
    let Some(inner) = text.strip_prefix('(') else {
        return Err("has a % without a (name) after it; a percent sign itself is %%".to_owned());
    };
    let mut depth = 1_u32;
    for (at, c) in inner.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let (name, form) = inner.split_at(at);
            return Ok((name, form.get(1..).unwrap_or_default()));
        }
    }
    Err("has a %( without its )".to_owned())
}

fn unknown(name: &str, names: &Names) -> String {
    let known = names.keys().map(String::as_str);
    let near = super::super::source::nearest(name, known.clone());
    // Not each variable of the environment.
    let own: Vec<&str> = known.filter(|name| !name.starts_with("ENV_")).collect();
    let own = own.join(", ");
    format!(
        "names %({name})s, which nothing is known of{near} (there are {own}, and ENV_X for the variable X)"
    )
}

/// Longer than any name or number that makes sense.
const WIDEST: usize = 1000;

/// One value in the form that `form` begins with; returns what follows that.
fn put<'a>(out: &mut String, known: &Known, name: &str, form: &'a str) -> Result<&'a str, String> {
    let flags_end = form.find(|c| !"#0- +".contains(c)).unwrap_or(form.len());
    let (flags, rest) = form.split_at(flags_end);
    let (width, rest) = number_at(rest);
    let (precision, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (precision, rest) = number_at(rest);
            (Some(precision.unwrap_or(0)), rest)
        }
        None => (None, rest),
    };
    let rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
    let mut chars = rest.chars();
    let kind = chars.next();
    let width = width.unwrap_or(0);
    if width > WIDEST || precision.is_some_and(|precision| precision > WIDEST) {
        return Err(format!("writes %({name}) wider than {WIDEST} characters"));
    }
    let left = flags.contains('-');
    let (sign, body) = match (known, kind) {
        (Known::Secret, _) => {
            return Err(format!(
                "names %({name})s, which is a secret: it would show in the program's arguments"
            ));
        }
        (Known::Text(text), Some('s')) => (
            "",
            text.chars().take(precision.unwrap_or(usize::MAX)).collect(),
        ),
        (Known::Number(number), Some('s')) => {
            let text = number.to_string();
            (
                "",
                text.chars().take(precision.unwrap_or(usize::MAX)).collect(),
            )
        }
        (Known::Number(number), Some('d' | 'i' | 'u')) => {
            let sign = match flags {
                _ if *number < 0 => "-",
                flags if flags.contains('+') => "+",
                flags if flags.contains(' ') => " ",
                _ => "",
            };
            let digits = number.unsigned_abs().to_string();
            let zeros = if flags.contains('0') && !left {
                width.saturating_sub(sign.len())
            } else {
                0
            };
            let least = zeros.max(precision.unwrap_or(0));
            (sign, format!("{digits:0>least$}"))
        }
        (_, Some(_)) => {
            return Err(format!(
                "writes %({name}) in a form other than s, or d for a number"
            ));
        }
        (_, None) => return Err(format!("has a %({name}) without the s after it")),
    };
    let pad = width.saturating_sub(sign.len() + body.chars().count());
    let blanks = " ".repeat(pad);
    match left {
        true => out.extend([sign, &body, &blanks]),
        false => out.extend([&blanks, sign, &body]),
    }
    Ok(chars.as_str())
}

fn number_at(text: &str) -> (Option<usize>, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    // One that is too large is wider than allowed, too.
    let number = (!digits.is_empty()).then(|| digits.parse().unwrap_or(usize::MAX));
    (number, rest)
}

/// `KEY="value",KEY2=value2`: the lexer of old shells that Python brings, as supervisord sets it up. Quotes keep what is
/// between them; without them a value is made of letters, digits and `_/.+-():`. Whatever stands between two pairs is
/// taken as the comma, also where nobody can have meant it: then the answer is false as well.
pub(super) fn pairs(text: &str) -> Result<(BTreeMap<String, String>, bool), String> {
    let tokens = tokens(text)?;
    let mut found = BTreeMap::new();
    let mut commas = true;
    for pair in tokens.chunks(4) {
        let [key, equals, value, comma @ ..] = pair else {
            return Err(wrong_pair());
        };
        commas &= comma.iter().all(|comma| comma == "," || comma == ";");
        if equals != "=" {
            return Err(wrong_pair());
        }
        let value = value.trim_matches(['\'', '"']);
        let fine = !key.is_empty() && !key.contains(['=', '\0']) && !value.contains('\0');
        if !fine {
            return Err(wrong_pair());
        }
        found.insert(key.clone(), value.to_owned());
    }
    Ok((found, commas))
}

fn wrong_pair() -> String {
    "is not KEY=\"value\" pairs with commas between them; put values with other characters than letters, digits and _/.+-(): in quotes".to_owned()
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let word = |c: char| c.is_ascii_alphanumeric() || "_/.+-():".contains(c);
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    let mut token = String::new();
    while let Some(c) = chars.next() {
        if c == '#' {
            // Up to the end of the line; a word that it interrupts goes on in the next.
            chars.by_ref().find(|c| *c == '\n');
        } else if blank(c) {
            take(&mut token, &mut found);
        } else if word(c) || (!token.is_empty() && matches!(c, '"' | '\'')) {
            token.push(c);
        } else if matches!(c, '"' | '\'') {
            token.push(c);
            loop {
                let next = chars.next().ok_or("has a quote that is not closed")?;
                token.push(next);
                if next == c {
                    break;
                }
            }
            take(&mut token, &mut found);
        } else {
            take(&mut token, &mut found);
            found.push(c.to_string());
        }
    }
    take(&mut token, &mut found);
    Ok(found)
}

fn take(token: &mut String, found: &mut Vec<String>) {
    if !token.is_empty() {
        found.push(std::mem::take(token));
    }
}

/// As Python's `int` takes it: blanks around, a sign, single underscores between digits.
pub(super) fn integer(text: &str) -> Option<i64> {
    digits(text, 10)
}

/// As `int(text, 8)` takes it: `022`, `0o22`.
pub(super) fn octal(text: &str) -> Option<i64> {
    digits(text, 8)
}

fn digits(text: &str, base: u32) -> Option<i64> {
    let text = strip(text);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = match base {
        8 => match digits
            .strip_prefix("0o")
            .or_else(|| digits.strip_prefix("0O"))
        {
            Some(rest) => rest.strip_prefix('_').unwrap_or(rest),
            None => digits,
        },
        _ => digits,
    };
    let fine = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_digit(base));
    if !digits.split('_').all(fine) {
        return None;
    }
    let number = i64::from_str_radix(&digits.replace('_', ""), base).ok()?;
    Some(if negative { -number } else { number })
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Some(true),
        "no" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `50MB`: kilobytes of 1024, in any case.
pub(in crate::config) fn bytes(text: &str) -> Option<i64> {
    let text = text.to_lowercase();
    for (unit, bytes) in [("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1_i64 << 30)] {
        if let Some(number) = text.strip_suffix(unit) {
            return integer(number)?.checked_mul(bytes);
        }
    }
    integer(&text)
}

/// Numbers with commas between them; nothing at all is none.
pub(super) fn exit_codes(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let codes = text
        .split(',')
        .map(|code| u8::try_from(integer(code)?).ok());
    codes.collect()
}

/// A signal by its number, or its name with or without SIG.
pub(super) fn signal(text: &str) -> Option<i32> {
    use nix::sys::signal::Signal;
    if let Some(number) = integer(text) {
        return i32::try_from(number)
            .ok()
            .filter(|number| (1..=31).contains(number) || [34, 64].contains(number));
    }
    let name = strip(text).to_uppercase();
    let name = match name.strip_prefix("SIG").unwrap_or(&name) {
        "CLD" => "CHLD",
        "POLL" => "IO",
        "IOT" => "ABRT",
        "RTMIN" => return Some(34),
        "RTMAX" => return Some(64),
        name => name,
    };
    let signal: Signal = format!("SIG{name}").parse().ok()?;
    Some(signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let text = |text: &str| Known::Text(text.to_owned());
        [
            ("here", text("/h")),
            ("ENV_A(b)", text("x y")),
            ("ENV_PASSWORD", Known::Secret),
            ("process_num", Known::Number(7)),
        ]
        .map(|(name, known)| (name.to_owned(), known))
        .into()
    }

    #[test]
    fn names_stand_for_what_is_known() {
        let e = |text| expand(text, &names()).ok();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(e("a %(here)s %% %(ENV_A(b))s"), some("a /h % x y"));
        assert_eq!(
            e("%(process_num)02d|%(process_num)-4d|%(process_num)+.3d"),
            some("07|7   |+007")
        );
        assert_eq!(
            e("%(process_num)s|%(here)5.1s|%(here)-5sx"),
            some("7|    /|/h   x")
        );
        for bad in [
            "%",
            "100%",
            "%s",
            "%d",
            "%(here)",
            "%(here",
            "%(nix)s",
            "%(here)d",
            "% %",
            "%(here)q",
            "%(process_num)99999999999999999999d",
            "%(here)%",
            "%(ENV_PASSWORD)s",
        ] {
            assert_eq!(e(bad), None, "{bad}");
        }
        assert!(
            expand("%(her)s", &names())
                .unwrap_err()
                .contains("did you mean here?")
        );
    }

    #[test]
    fn environments_are_pairs() {
        let p = |text| {
            let (pairs, _) = pairs(text).ok()?;
            Some(
                pairs
                    .into_iter()
                    .map(|(k, v)| format!("{k}={v}"))
                    .collect::<Vec<_>>()
                    .join(" | "),
            )
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(p(""), some(""));
        assert_eq!(p("A=1,\n B=\"x, y\",C='it',"), some("A=1 | B=x, y | C=it"));
        assert_eq!(
            p("A=/bin:/usr/bin,B=a-b.c"),
            some("A=/bin:/usr/bin | B=a-b.c")
        );
        assert_eq!(p("A=1;B=2"), some("A=1 | B=2"), "anything is a comma");
        assert_eq!(p("A=a b"), some("A=a"));
        assert!(
            !super::pairs("A=$HOME").unwrap().1,
            "somebody meant something else"
        );
        assert_eq!(p("A=x#y\nz"), some("A=xz"));
        for bad in ["A", "A=", "A=\"open", "A=1,,B=2", "==="] {
            assert_eq!(p(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_pythons() {
        assert_eq!(integer(" +1_000 "), Some(1000));
        assert_eq!(integer("-3"), Some(-3));
        assert_eq!(
            ["", "1.5", "1__0", "_1", "0x1", "--1"].map(integer),
            [None; 6]
        );
        assert_eq!(octal("0o22"), Some(18));
        assert_eq!((octal("022"), octal("8")), (Some(18), None));
        assert_eq!(
            (bytes("50MB"), bytes("1 kb"), bytes("7"), bytes("MB")),
            (Some(50 << 20), Some(1024), Some(7), None)
        );
        assert_eq!(exit_codes("0, 2"), Some(vec![0, 2]));
        assert_eq!(exit_codes(""), Some(vec![]));
        assert_eq!((exit_codes("0,"), exit_codes("256")), (None, None));
        assert_eq!(
            (
                signal("TERM"),
                signal("sigint"),
                signal("9"),
                signal("RTMIN")
            ),
            (Some(15), Some(2), Some(9), Some(34))
        );
        assert_eq!(
            (signal("0"), signal("40"), signal("NOPE")),
            (None, None, None)
        );
    }
}
