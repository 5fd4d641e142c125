//! The command line of Xvfb.

use std::ffi::OsString;
use std::path::Path;

/// What the X server is to be.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Display number.
    pub display: u16,
    /// Largest size of the screen, in pixels. Xvfb cannot outgrow its first size, so it starts with the largest and is
    /// shrunk by the display worker.
    pub size: (u16, u16),
    /// Depth in bits.
    pub depth: u8,
}

/// Arguments for Xvfb, but for `-displayfd`, which the supervisor adds with the descriptor it opens for each start.
///
/// No TCP and no abstract socket: those would be reachable past the file system's permissions. `-noreset`: it must not
/// forget everything when its last client leaves. `-s 0`: no screen saver draws over the desktop.
pub fn arguments(screen: Screen, authority: &Path, more: &[String]) -> Vec<OsString> {
    let (width, height) = screen.size;
    let mut words: Vec<OsString> = [
        format!(":{}", screen.display),
        "-screen".to_owned(),
        "0".to_owned(),
        format!("{width}x{height}x{}", screen.depth),
    ]
    .map(OsString::from)
    .to_vec();
    words.extend(
        [
            "-noreset",
            "-nolisten",
            "tcp",
            "-nolisten",
            "local",
            "-s",
            "0",
            "-auth",
        ]
        .map(OsString::from),
    );
    words.push(authority.into());
    words.extend(more.iter().map(OsString::from));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_all_that_matters() {
        let screen = Screen {
            display: 7,
            size: (3840, 2160),
            depth: 24,
        };
        let words = arguments(
            screen,
            Path::new("/r/Xauthority"),
            &["-dpi".to_owned(), "96".to_owned()],
        );
        let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
        assert_eq!(
            words.join(" "),
            ":7 -screen 0 3840x2160x24 -noreset -nolisten tcp -nolisten local -s 0 -auth /r/Xauthority -dpi 96"
        );
    }
}
