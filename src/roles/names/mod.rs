//! Other programs' names: what the images of others call, and what this program answers when it is called so, by a link
//! or as the first argument (`deskinit vncpasswd -f`).
//!
//! ```text
//!   supervisorctl    status, start, stop, … of the services, as supervisord tells them
//!   vncpasswd        obfuscates passwords as TigerVNC's does
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

/// What runs under a name, with its arguments.
type Program = fn(&[String]) -> ExitCode;

const PROGRAMS: &[(&str, Program)] = &[
    ("connectcount.sh", connectcount::run),
    ("supervisorctl", supervisorctl::run),
    ("vncpasswd", vncpasswd::run),
    ("wait-port", wait_port::run),
];

/// Runs what these arguments call for; `None` when that is deskinit itself.
pub(super) fn run(args: &[OsString]) -> Option<ExitCode> {
    let (program, rest) = find(args)?;
    let rest: Vec<String> = rest
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    Some(program(&rest))
}

fn find(args: &[OsString]) -> Option<(Program, &[OsString])> {
    let by_name = |name: &OsString| {
        let name = Path::new(name).file_name()?;
        let (_, program) = PROGRAMS.iter().find(|(known, _)| name == *known)?;
        Some(*program)
    };
    let (own, rest) = args.split_first()?;
    if let Some(program) = by_name(own) {
        return Some((program, rest));
    }
    let (first, rest) = rest.split_first()?;
    by_name(first).map(|program| (program, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Option<Vec<String>> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        find(&words).map(|(_, rest)| {
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
