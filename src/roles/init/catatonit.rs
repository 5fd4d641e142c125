//! `catatonit [OPTIONS] PROGRAM [ARGUMENTS]`, and `catatonit -P`, the pause process of pods.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::Ask;
use crate::supervisor::passthrough::Options;
use crate::sys::foreground::Place;

pub(super) fn ask(name: &str, args: &[OsString]) -> Ask {
    let mut to_group = false;
    let mut at = 0;
    while let Some(word) = args
        .get(at)
        .filter(|word| word.as_encoded_bytes().starts_with(b"-"))
    {
        at += 1;
        match word.to_string_lossy().as_ref() {
            "--" => break,
            "-g" => to_group = true,
            "-P" => return Ask::Pause,
            "-h" | "--help" => return Ask::answer(usage(name)),
            "-L" => return Ask::answer(concat!(env!("CARGO_PKG_LICENSE"), "\n")),
            "-V" | "--version" => return Ask::answer("tini version 0.1.7_catatonit\n"),
            other => return Ask::wrong(format!("{name}: invalid option {other}\n{}", usage(name))),
        }
    }
    let command: Vec<OsString> = args.iter().skip(at).cloned().collect();
    if command.is_empty() {
        return Ask::wrong(usage(name));
    }
    Ask::Run {
        options: Options {
            place: Place::Group,
            to_group,
            end_group: false,
            rewrite: Vec::new(),
            suspend: false,
            keep_mask: true,
            subreaper: nix::unistd::getpid().as_raw() != 1,
            parent_death: None,
            successes: BTreeSet::new(),
        },
        command,
        say: Box::new(|_| {}),
    }
}

fn usage(name: &str) -> String {
    format!(
        "usage: {name} [-g] [--] PROGRAM [ARGUMENT]… | -P | -h | -L | -V\n\
         \n\
         -g  signals go to the program's process group\n\
         -P  only reap, until SIGTERM or SIGINT\n\
         -L  the licence\n\
         -V  which version this behaves as\n"
    )
}
