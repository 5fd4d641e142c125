//! Other programs' names: what the images of others call, and what this program answers when it is called so, by a link
//! or as the first argument (`deskinit vncpasswd -f`).
//!
//! ```text
//!   supervisorctl    status, start, stop, … of the services, as supervisord tells them
//!   vncpasswd        obfuscates passwords as TigerVNC's does
//!   tini, docker-init, dumb-init, catatonit    an init in front of one command
//!   wait-port        waits until somebody listens
//!   connectcount.sh  how many browsers are connected
//! ```

mod connectcount;
mod supervisorctl;
mod vncpasswd;
mod wait_port;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use super::init;

/// What runs under a name, with that name and its arguments.
type Program = fn(&str, &[OsString]) -> ExitCode;

const PROGRAMS: &[(&str, Program)] = &[
    ("catatonit", init::catatonit),
    ("connectcount.sh", |_, _| connectcount::run()),
    ("docker-init", init::tini),
    ("dumb-init", init::dumb_init),
    ("supervisorctl", |_, args| supervisorctl::run(&text(args))),
    ("tini", init::tini),
    ("tini-static", init::tini),
    ("vncpasswd", |_, args| vncpasswd::run(&text(args))),
    ("wait-port", |_, args| wait_port::run(&text(args))),
];

/// Runs what these arguments call for; `None` when that is deskinit itself.
pub(super) fn run(args: &[OsString]) -> Option<ExitCode> {
    let (name, program, rest) = find(args)?;
    Some(program(name, rest))
}

fn text(args: &[OsString]) -> Vec<String> {
    args.iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

fn find(args: &[OsString]) -> Option<(&'static str, Program, &[OsString])> {
    let by_name = |name: &OsString| {
        let name = Path::new(name).file_name()?;
        PROGRAMS.iter().find(|(known, _)| name == *known).copied()
    };
    let (own, rest) = args.split_first()?;
    if let Some((name, program)) = by_name(own) {
        return Some((name, program, rest));
    }
    let (first, rest) = rest.split_first()?;
    by_name(first).map(|(name, program)| (name, program, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Option<Vec<String>> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        find(&words).map(|(_, _, rest)| {
            rest.iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect()
        })
    }

    #[test]
    fn a_link_or_the_first_word_decides() {
        assert_eq!(
            arguments(&["/usr/bin/vncpasswd", "-f"]),
            Some(vec!["-f".to_owned()])
        );
        assert_eq!(
            arguments(&["deskinit", "wait-port", "80"]),
            Some(vec!["80".to_owned()])
        );
        assert_eq!(arguments(&["connectcount.sh"]), Some(Vec::new()));
        for own in [
            &["deskinit", "run", "vncpasswd"][..],
            &["deskinit"],
            &["deskinit", "status"],
            &[],
        ] {
            assert_eq!(arguments(own), None, "{own:?}");
        }
    }
}
