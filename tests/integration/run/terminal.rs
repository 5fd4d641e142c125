//! A `run` that a person started at a terminal: `script` makes the terminal, we type.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use deskinit::sys::procfs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::desk::{DESKINIT, LONG};
use crate::support::eventually;

struct Terminal {
    child: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<String>>,
}

impl Terminal {
    /// A terminal in which this runs.
    fn new(command: &str) -> Self {
        let mut script = Command::new("script");
        for name in deskinit::config::all_names() {
            script.env_remove(name);
        }
        let mut child = script
            .args(["--quiet", "--flush", "--return", "--command"])
            // A shell that runs a command forgets the prompt that it was given.
            .arg(format!("exec env PS1='prompt$' {command}"))
            .arg("/dev/null")
            .envs([
                ("ALLOW_NO_AUTH", "1"),
                ("VNC_PORT", "off"),
                ("NO_VNC_PORT", "off"),
            ])
            .envs([("MAX_SIZE", "1280x1024"), ("TERM", "dumb")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("script is part of every Debian");
        let keys = child.stdin.take().unwrap();
        let mut screen = child.stdout.take().unwrap();
        let seen = Arc::new(Mutex::new(String::new()));
        let shared = seen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                shared.lock().unwrap().push_str(&text);
            }
        });
        Self { child, keys, seen }
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it runs");
    }

    /// Waits until this was seen; what is seen later is another matter.
    fn sees(&self, text: &str) {
        eventually(&format!("{text:?} on the terminal"), LONG, || {
            let mut seen = self.seen.lock().unwrap();
            let end = seen.find(text)? + text.len();
            seen.drain(..end);
            Some(())
        });
    }

    /// The process of this name, once this letter stands in its state: `T` for stopped, `+` for the foreground.
    fn process(&self, name: &str, letter: char) {
        eventually(&format!("{name} is {letter}"), LONG, || {
            let ancestor = i32::try_from(self.child.id()).unwrap();
            let all = procfs::descendants(ancestor);
            all.iter().find(|process| {
                let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid));
                let stat = stat.unwrap_or_default();
                let Some((before, after)) = stat.rsplit_once(") ") else {
                    return false;
                };
                let fields: Vec<&str> = after.split(' ').collect();
                let is = match letter {
                    // Its group has the foreground of its terminal.
                    '+' => fields[2] == fields[5],
                    state => fields[0] == state.to_string(),
                };
                is && before.ends_with(&format!("({name}"))
            })?;
            Some(())
        });
    }

    fn code(mut self) -> Option<i32> {
        let status = eventually("its end", LONG, || self.child.try_wait().unwrap());
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let ancestor = i32::try_from(self.child.id()).unwrap();
        for process in procfs::descendants(ancestor) {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_program_without_windows_has_the_terminal() {
    let mut terminal = Terminal::new(&format!("{DESKINIT} run --app-headless -- sh -i"));
    terminal.sees("prompt$");
    terminal.types("tty && echo $((6 * 7))\n");
    terminal.sees("/dev/pts/");
    terminal.sees("42");
    terminal.sees("prompt$");
    terminal.types("exit 5\n");
    terminal.sees("the application has ended, code 5");
    assert_eq!(terminal.code(), Some(5));
}

#[test]
fn a_shell_has_the_terminal_unasked() {
    let mut terminal = Terminal::new(&format!("{DESKINIT} run -- bash --norc"));
    terminal.sees("prompt$");
    terminal.types("tty && exit 6\n");
    terminal.sees("/dev/pts/");
    assert_eq!(terminal.code(), Some(6));
}

#[test]
fn beside_a_program_with_windows_the_terminal_stops_everything() {
    let mut terminal = Terminal::new(&format!("{DESKINIT} run -- xterm"));
    terminal.sees("APP_HEADLESS=1 gives it");
    terminal.sees("everything is ready");
    terminal.types("\x03");
    terminal.sees("exit code");
    // xterm answers the request to close its window.
    assert_eq!(terminal.code(), Some(0));
}

#[test]
fn the_stop_key_stops_everything_and_the_shell_continues_it() {
    let mut terminal = Terminal::new("bash --norc -i");
    terminal.sees("prompt$");
    terminal.types(&format!("{DESKINIT} run --app-headless -- cat\n"));
    terminal.sees("everything is ready");
    terminal.types("first\n");
    terminal.sees("first\r\nfirst");
    terminal.types("\x1a");
    terminal.sees("Stopped");
    for name in ["deskinit", "Xvfb", "cat"] {
        terminal.process(name, 'T');
    }
    terminal.sees("prompt$");
    terminal.types("fg\n");
    terminal.process("cat", '+');
    for name in ["deskinit", "Xvfb", "cat"] {
        terminal.process(name, 'S');
    }
    terminal.types("second\n");
    terminal.sees("second\r\nsecond");
    terminal.types("\x04");
    terminal.sees("the application has ended, code 0");
    terminal.sees("prompt$");
    terminal.types("exit 9\n");
    assert_eq!(
        terminal.code(),
        Some(9),
        "the terminal is the shell's again"
    );
}
