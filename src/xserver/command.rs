//! The command line of Xvfb.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
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
    /// With the GLX extension.
    pub glx: bool,
}

/// Does this program keep its pixels in one file if it is told to? Xvfb does, and nothing else knows `-fbdir`; for a second
/// screen it would make a second file.
pub fn keeps_frame_buffer(program: &str, more: &[String]) -> bool {
    Path::new(program).file_name() == Some(OsStr::new("Xvfb"))
        && !more
            .iter()
            .any(|word| matches!(word.as_str(), "-fbdir" | "-shmem" | "-screen"))
}

/// Does this program only tell its clients about OpenGL, which they do by themselves? Xvfb does, unless it is to draw for them
/// (`+iglx`) or leaves GLX out.
pub fn only_tells_of_opengl(program: &str, glx: bool, more: &[String]) -> bool {
    let is_xvfb = Path::new(program).file_name() == Some(OsStr::new("Xvfb"));
    is_xvfb && glx && !more.iter().any(|word| word == "+iglx")
}

/// The variable that tells an X server where drivers for GLX are.
pub const DRIVERS: &str = "LIBGL_DRIVERS_PATH";

/// Its value: this directory, and behind it where distributions keep those of Mesa, for a system that does not let a program
/// load what is in ours. `None` when the directory's name cannot stand in it.
pub fn drivers(first: &Path) -> Option<OsString> {
    if first.as_os_str().as_bytes().contains(&b':') {
        return None;
    }
    let mut path = first.as_os_str().to_owned();
    path.push(format!(
        ":/usr/lib/{}-linux-gnu/dri",
        std::env::consts::ARCH
    ));
    path.push(":/usr/lib64/dri:/usr/lib/dri:/usr/lib/xorg/modules/dri");
    Some(path)
}

/// Arguments for Xvfb, but for `-displayfd`, which the supervisor adds with the descriptor it opens for each start.
///
/// No TCP and no abstract socket: those would be reachable past the file system's permissions. `-noreset`: it must not
/// forget everything when its last client leaves. `-s 0`: no screen saver draws over the desktop. `-fbdir`: pixels in a
/// file of this directory, `Xvfb_screen0`.
pub fn arguments(
    screen: Screen,
    authority: &Path,
    frame_buffer: Option<&Path>,
    more: &[String],
) -> Vec<OsString> {
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
    if !screen.glx {
        words.extend(["-extension", "GLX"].map(OsString::from));
    }
    if let Some(directory) = frame_buffer {
        words.extend([OsStr::new("-fbdir"), directory.as_os_str()].map(OsString::from));
    }
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
            glx: false,
        };
        let words = arguments(
            screen,
            Path::new("/r/Xauthority"),
            Some(Path::new("/r")),
            &["-dpi".to_owned(), "96".to_owned()],
        );
        let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
        assert_eq!(
            words.join(" "),
            ":7 -screen 0 3840x2160x24 -noreset -nolisten tcp -nolisten local -s 0 -auth /r/Xauthority -extension GLX -fbdir /r -dpi 96"
        );
    }

    #[test]
    fn only_xvfb_keeps_a_frame_buffer_and_only_where_nobody_else_wants_it() {
        let more =
            |words: &[&str]| -> Vec<String> { words.iter().map(ToString::to_string).collect() };
        assert!(keeps_frame_buffer("Xvfb", &[]));
        assert!(keeps_frame_buffer("/usr/bin/Xvfb", &more(&["-dpi", "96"])));
        assert!(!keeps_frame_buffer("Xvnc", &[]));
        assert!(!keeps_frame_buffer("Xvfb", &more(&["-fbdir", "/dev/shm"])));
        assert!(!keeps_frame_buffer("Xvfb", &more(&["-shmem"])));
    }

    #[test]
    fn a_server_that_draws_gets_its_own_driver() {
        let more = |word: &str| vec![word.to_owned()];
        assert!(only_tells_of_opengl("/usr/bin/Xvfb", true, &more("-dpi")));
        assert!(!only_tells_of_opengl("Xvfb", false, &[]));
        assert!(!only_tells_of_opengl("Xvfb", true, &more("+iglx")));
        assert!(!only_tells_of_opengl("Xvnc", true, &[]));
        let path = drivers(Path::new("/r")).expect("a path");
        assert!(path.as_bytes().starts_with(b"/r:/usr/lib/"), "{path:?}");
        assert_eq!(drivers(Path::new("/r:s")), None);
    }
}
