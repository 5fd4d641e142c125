//! What deskinit does itself, under whatever name an image has it: started a second time from a file it would fight with
//! ours for the display, the port or the windows.

/// What somebody else's program would do that is done here, and which settings it has instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) what: &'static str,
    pub(super) instead: &'static str,
    /// Names of sections, and of programs that are run, in lower case unless only capitals are meant.
    names: &'static [&'static str],
}

const PARTS: [Part; 3] = [
    Part {
        what: "the X server",
        instead: "see XSERVER and XSERVER_ARGS",
        names: &[
            "tightvncserver",
            "tigervncserver",
            "turbovnc",
            "vncserver",
            "X",
            "xorg",
            "xserver",
            "xtightvnc",
            "xtigervnc",
            "xvfb",
            "xvfb-run",
            "xvnc",
        ],
    },
    Part {
        what: "showing the display to viewers and browsers",
        instead: "see VNC_PORT and NO_VNC_PORT",
        names: &[
            "display",
            "novnc",
            "novnc_proxy",
            "websockify",
            "x0tigervncserver",
            "x0vncserver",
            "x11vnc",
        ],
    },
    Part {
        what: "the window manager",
        instead: "see WINDOW_MANAGER",
        names: &[
            "fluxbox",
            "icewm",
            "jwm",
            "kwin_x11",
            "marco",
            "matchbox-window-manager",
            "metacity",
            "mutter",
            "openbox",
            "openbox-session",
            "twm",
            "windowmanager",
            "wm",
            "xfwm4",
        ],
    },
];

/// Programs in front of the one that matters.
const WRAPPERS: [&str; 12] = [
    "bash",
    "dash",
    "dbus-launch",
    "dbus-run-session",
    "env",
    "exec",
    "nice",
    "nohup",
    "python",
    "python3",
    "setsid",
    "sh",
];

/// The part that a program of this name, or with this command, would be.
pub(super) fn part(name: &str, command: &[String]) -> Option<Part> {
    by_name(name).or_else(|| by_command(command, 3))
}

fn by_name(name: &str) -> Option<Part> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let stem = file
        .strip_suffix(".sh")
        .or_else(|| file.strip_suffix(".py"));
    let stem = stem.unwrap_or(file);
    let lower = stem.to_lowercase();
    let mut parts = PARTS.iter();
    let part =
        parts.find(|part| part.names.contains(&stem) || part.names.contains(&lower.as_str()));
    part.copied()
}

/// The first word, or what a shell or an interpreter in its place runs; `depth` of these at most.
fn by_command(command: &[String], depth: u32) -> Option<Part> {
    let (program, args) = command.split_first()?;
    if let Some(part) = by_name(program) {
        return Some(part);
    }
    let file = program.rsplit('/').next().unwrap_or(program);
    if depth == 0 || !WRAPPERS.contains(&file) {
        return None;
    }
    // Options, and the variables of env.
    let variable = |word: &str| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    let options = |word: &&String| word.starts_with('-') || variable(word);
    let skipped = args.iter().take_while(options).count();
    let script = args.iter().take(skipped).any(|word| {
        let word = word.strip_prefix('-');
        word.is_some_and(|letters| letters.ends_with('c') && !letters.starts_with('-'))
    });
    let rest = args.get(skipped..)?;
    if script {
        let words = super::super::reader::words(rest.first()?).ok()?;
        return by_command(&words, depth - 1);
    }
    by_command(rest, depth - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_known_by_name_or_command_however_it_is_wrapped() {
        let what = |name: &str, command: &str| {
            let words = super::super::super::reader::words(command).unwrap();
            part(name, &words).map(|part| part.instead)
        };
        let (x, vnc, wm) = (
            "see XSERVER and XSERVER_ARGS",
            "see VNC_PORT and NO_VNC_PORT",
            "see WINDOW_MANAGER",
        );
        assert_eq!(what("a", "/usr/bin/Xvnc :0 -geometry 1x1"), Some(x));
        assert_eq!(what("xserver", "/composer/start"), Some(x));
        assert_eq!(what("a", "/composer/xserver.sh"), Some(x));
        assert_eq!(
            what("a", "bash -c 'exec websockify 6081 --unix-target=/x'"),
            Some(vnc)
        );
        assert_eq!(
            what("a", "/usr/bin/python3 -u /usr/bin/websockify 1"),
            Some(vnc)
        );
        assert_eq!(what("a", "env A=b nice openbox --startup x"), Some(wm));
        for other in [
            "plank",
            "sh -c 'plank; openbox'",
            "bash",
            "xterm -e openbox",
            "sh -c ''",
            "node xterm.js",
        ] {
            assert_eq!(what("a", other), None, "{other}");
        }
    }
}
