//! The map of src/lib.rs, kept true: reads the sources as text and fails on an import that runs upwards, on a clock, a
//! socket or X in a pure room, on `unsafe` outside of src/sys, and on a file too long to be read at once.
//!
//! Test modules are free: a test may put any two rooms together.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may name of the others. A new edge is a decision: it belongs into src/lib.rs, too.
const MAY_USE: &[(&str, &[&str])] = &[
    ("pixel", &[]),
    ("screen", &["pixel"]),
    ("encode", &["pixel", "sys"]),
    ("rfb", &["encode", "pixel", "screen"]),
    ("sys", &[]),
    ("xserver", &["sys"]),
    ("supervisor", &["sys"]),
    ("desktop", &["pixel", "screen", "sys"]),
    ("http", &[]),
    ("server", &["encode", "http", "pixel", "rfb", "screen"]),
    ("config", &[]),
    ("telemetry", &[]),
    (
        "roles",
        &[
            "config",
            "desktop",
            "encode",
            "http",
            "pixel",
            "rfb",
            "screen",
            "server",
            "supervisor",
            "sys",
            "telemetry",
            "xserver",
        ],
    ),
    ("main", &["config", "roles"]),
];

/// Rooms and files that take `now` as an argument and bytes as slices.
const PURE: &[&str] = &[
    "pixel/",
    "screen/",
    "encode/",
    "rfb/",
    "supervisor/service",
    "supervisor/plan",
    "xserver/gate",
];

/// What a pure room has no business with.
const IMPURE: &[&str] = &[
    "tokio",
    "hyper",
    "x11rb",
    "nix",
    "libc",
    "std::net",
    "std::fs",
    "std::os",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime",
    "elapsed",
];

/// Where lines of a log and events get the time of day.
const STAMPS: [&str; 3] = [
    "supervisor/journal.rs",
    "supervisor/logs.rs",
    "telemetry/mod.rs",
];

/// Nobody reads more than this at once.
const MAX_LINES: usize = 600;

#[test]
fn imports_run_downwards() {
    let mut wrong = Vec::new();
    for file in sources() {
        let allowed = MAY_USE
            .iter()
            .find(|(room, _)| *room == file.room)
            .map(|(_, rooms)| *rooms);
        for used in rooms_named(&file.code, file.depth) {
            match allowed {
                None if file.room != "lib" => wrong.push(format!(
                    "{}: the room {} is not on the map",
                    file.name, file.room
                )),
                Some(rooms) if used != file.room && !rooms.contains(&used.as_str()) => {
                    wrong.push(format!("{}: {} may not use {used}", file.name, file.room));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_are_pure() {
    let mut wrong = Vec::new();
    for file in sources() {
        if PURE.iter().any(|pure| file.name.starts_with(pure)) {
            let named = IMPURE.iter().filter(|word| names(&file.code, word));
            wrong.extend(named.map(|word| format!("{}: names {word}", file.name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Of all that is not pure the encodings use the instructions of the CPU alone.
#[test]
fn encodings_ask_nothing_of_the_system() {
    let asks = |file: &Source| {
        let of_sys = file.code.matches("sys::").count();
        file.room == "encode" && of_sys > file.code.matches("sys::simd::").count()
    };
    let wrong: Vec<_> = sources().into_iter().filter(asks).map(|f| f.name).collect();
    assert!(wrong.is_empty(), "{wrong:?} name sys, but not sys::simd");
}

/// Whoever waits for a time, waits by the clock that nobody can set.
#[test]
fn the_clock_that_can_be_set_is_for_stamps_only() {
    let mut named: Vec<_> = sources()
        .into_iter()
        .filter(|file| names(&file.code, "SystemTime"))
        .map(|file| file.name)
        .collect();
    named.sort();
    assert_eq!(named, STAMPS);
}

#[test]
fn unsafe_lives_in_sys() {
    let outside = sources()
        .into_iter()
        .filter(|file| file.room != "sys" && names(&file.whole, "unsafe"));
    let wrong: Vec<_> = outside.map(|file| file.name).collect();
    assert!(wrong.is_empty(), "unsafe in {wrong:?}");
}

/// A number can be used again, a handle not.
#[test]
fn signals_are_sent_by_handle() {
    const CALLS: [&str; 5] = [
        "libc::kill",
        "libc::killpg",
        "libc::SYS_kill",
        "signal::kill",
        "signal::killpg",
    ];
    let others = sources().into_iter();
    for file in others.filter(|file| file.name != "sys/pidfd.rs") {
        let found = CALLS.iter().find(|call| names(&file.code, call));
        assert!(found.is_none(), "{}: {found:?} may hit anybody", file.name);
    }
}

#[test]
fn files_are_short() {
    let mut wrong = Vec::new();
    for path in files(Path::new(env!("CARGO_MANIFEST_DIR"))) {
        let extension = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        if !["rs", "js", "mjs", "css", "html", "sh", "py"].contains(&extension) {
            continue;
        }
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One Rust file below src.
struct Source {
    /// Path below src.
    name: String,
    /// First directory below src, or the stem of a file that stands in src itself.
    room: String,
    /// How many modules the file is away from the crate's root: 1 for pixel/mod.rs, 2 for pixel/rect.rs.
    depth: usize,
    /// Without comments and the contents of literals.
    whole: String,
    /// `whole` without test modules.
    code: String,
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for path in files(&src) {
        if path.extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let below = path.strip_prefix(&src).unwrap();
        let parts: Vec<_> = below.iter().map(|part| part.to_str().unwrap()).collect();
        let stem = below.file_stem().unwrap().to_str().unwrap();
        let whole = bare(&fs::read_to_string(&path).unwrap());
        let is_test = stem == "tests" || parts.contains(&"tests");
        found.push(Source {
            name: parts.join("/"),
            room: if parts.len() == 1 { stem } else { parts[0] }.to_owned(),
            depth: parts.len() - usize::from(matches!(stem, "mod" | "lib" | "main")),
            code: if is_test {
                String::new()
            } else {
                without_tests(&whole)
            },
            whole,
        });
    }
    assert!(found.len() > 10, "the sources were not found");
    found
}

/// All files below a directory, in a stable order, leaving out what others wrote or a build left.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let name = entry.file_name();
        if entry.file_type().unwrap().is_file() {
            found.push(entry.path());
        } else if entry.file_type().unwrap().is_dir()
            && !["target", "node_modules", "vendor", ".git"]
                .iter()
                .any(|n| name == *n)
        {
            found.extend(files(&entry.path()));
        }
    }
    found
}

/// The rooms that `code` names by a path from the crate's root, however it is written: `crate::room`,
/// `crate::{room, other::Thing}`, `deskinit::room`, or enough `super::`.
fn rooms_named(code: &str, depth: usize) -> BTreeSet<String> {
    let dense: String = squeeze(code);
    let mut roots = vec!["crate::".to_owned(), "deskinit::".to_owned()];
    if depth > 0 {
        roots.push("super::".repeat(depth));
    }
    let mut rooms = BTreeSet::new();
    for root in roots {
        for (at, _) in dense.match_indices(&root) {
            // `$crate::` and `my_crate::` are something else; `::super::` would be counted in a longer chain.
            if dense[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = &dense[at + root.len()..];
            let heads = match rest.strip_prefix('{') {
                Some(group) => heads_of_group(group),
                None => vec![word(rest)],
            };
            rooms.extend(
                heads
                    .into_iter()
                    .filter(|head| MAY_USE.iter().any(|(room, _)| room == head))
                    .map(str::to_owned),
            );
        }
    }
    rooms
}

/// The first words of the parts of `a::b, c::{d, e}}…`, up to the brace that closes the group.
fn heads_of_group(group: &str) -> Vec<&str> {
    let mut heads = vec![word(group)];
    let mut nesting = 0_usize;
    for (at, c) in group.char_indices() {
        match c {
            '{' => nesting += 1,
            '}' if nesting == 0 => break,
            '}' => nesting -= 1,
            ',' if nesting == 0 => heads.push(word(&group[at + 1..])),
            _ => {}
        }
    }
    heads
}

/// The identifier a text begins with.
fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    &text[..end]
}

/// Does `code` name this word or path, as whole words?
fn names(code: &str, path: &str) -> bool {
    let dense = squeeze(code);
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    dense.match_indices(path).any(|(at, _)| {
        !dense[..at].ends_with(inside) && !dense[at + path.len()..].starts_with(inside)
    })
}

/// White space only where it parts two words.
fn squeeze(code: &str) -> String {
    let mut dense = String::with_capacity(code.len());
    let mut gap = false;
    for c in code.chars() {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        let inside = |c: char| c.is_alphanumeric() || c == '_';
        if gap && inside(c) && dense.ends_with(inside) {
            dense.push(' ');
        }
        gap = false;
        dense.push(c);
    }
    dense
}

/// Without the items that only tests see: from `#[cfg(test)]` to the end of the block or statement that follows.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        let item = &rest[at..];
        let mut nesting = 0_usize;
        let end = item.char_indices().find(|(_, c)| {
            nesting += usize::from(*c == '{');
            if *c == '}' {
                nesting = nesting.saturating_sub(1);
            }
            nesting == 0 && matches!(c, '}' | ';')
        });
        rest = end.map_or("", |(end, _)| &item[end + 1..]);
    }
    kept + rest
}

/// Rust source without comments and without the contents of string and character literals.
fn bare(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if c == '"' {
            code.push_str("\"\"");
            quoted(rest)
        } else if let Some(length) = raw_string(rest, &code) {
            code.push_str("\"\"");
            length
        } else if let Some(length) = character(rest) {
            code.push_str("' '");
            length
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

fn block_comment(text: &str) -> usize {
    let mut nesting = 0_usize;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (nesting, at) = (nesting + 1, at + 2),
            Some(b"*/") => {
                (nesting, at) = (nesting - 1, at + 2);
                if nesting == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of `r"…"`, `r#"…"#` and so on; not of a raw identifier, nor of a word that ends in r.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    if before.ends_with(|c: char| (c.is_alphanumeric() && c != 'b') || c == '_') {
        return None;
    }
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - body.len() + body.find(&end)? + end.len())
}

/// The length of a character literal; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    let mut chars = body.char_indices();
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next()?;
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 2);
    }
    chars
        .next()
        .filter(|(_, c)| *c == '\'')
        .map(|(at, _)| at + 2)
}

#[test]
fn the_reader_sees_what_it_should() {
    let source = r##"
        use crate::{pixel::{Rect, Region}, screen::Screen};
        use super :: super :: http;
        // crate::server, unsafe
        /* crate::roles /* nested */ tokio */
        fn f<'a>(x: &'a str) -> char { let _ = "crate::desktop \" tokio"; let _ = r#"unsafe " "#; '"' }
        fn g() { crate::encode::go() }
        #[cfg(test)]
        mod tests { use crate::roles; fn t() { {} } }
        fn after() { let unsafe_code = my_crate::supervisor::f(); }
    "##;
    let code = without_tests(&bare(source));
    let rooms: Vec<_> = rooms_named(&code, 2).into_iter().collect();
    assert_eq!(rooms, ["encode", "http", "pixel", "screen"]);
    assert!(!names(&code, "unsafe") && !names(&code, "tokio"));
    assert!(names("let x = std ::net::TcpStream", "std::net"));
    assert!(names("unsafe { f() }", "unsafe") && !names("Instant::nowhere()", "Instant::now"));
}
