//! What reaches a terminal when a client types.

use std::process::Command;
use std::time::{Duration, Instant};

use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _};

use super::{Desk, SOON, focus, keysym};
use crate::support::xvfb::{Config, Process, XServer};
use crate::support::{TempDir, eventually};

const TEXT: &str = "@€ñ{}|~ é ☃ Grüße 你好 🙂 Привет";

/// An xterm whose input goes into a file, byte for byte.
struct Terminal {
    dir: TempDir,
    _xterm: Process,
}

impl Terminal {
    fn start(desk: &Desk) -> Terminal {
        let dir = TempDir::new();
        let script = format!(
            "stty raw -echo; touch {0}/ready; exec cat > {0}/typed",
            dir.path().display()
        );
        let mut command: Command = desk.server.command("xterm");
        command.env("LC_ALL", "C.UTF-8").args([
            "-geometry",
            "80x24+0+0",
            "-xrm",
            "*allowSendEvents: true",
            "-e",
            "sh",
            "-c",
            &script,
        ]);
        let xterm = Process::spawn(&mut command);
        eventually("the terminal is ready", SOON, || {
            dir.path().join("ready").exists().then_some(())
        });
        focus(desk);
        Terminal { dir, _xterm: xterm }
    }

    /// Waits until exactly this was typed.
    fn expect(&self, wanted: &str) {
        let path = self.dir.path().join("typed");
        let mut last = String::new();
        let deadline = std::time::Instant::now() + SOON;
        while last != wanted {
            last = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
            assert!(
                std::time::Instant::now() < deadline,
                "typed {last:?}, not {wanted:?}"
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// Where a character is on a German keyboard: the client's, whatever the server's layout is.
fn german_key(c: char) -> Option<u32> {
    Some(match c {
        '@' => 0x10,
        '€' | 'e' => 0x12,
        '{' => 0x08,
        '}' => 0x0b,
        '|' => 0x56,
        '~' => 0x1b,
        ' ' => 0x39,
        'G' => 0x22,
        'r' => 0x13,
        'ü' => 0x1a,
        'ß' => 0x0c,
        _ => return None,
    })
}

fn types(layout: &str, scancodes: bool) {
    types_on(Desk::new(layout), scancodes);
}

fn types_on(desk: Desk, scancodes: bool) {
    let terminal = Terminal::start(&desk);
    for c in TEXT.chars() {
        let scancode = german_key(c).filter(|_| scancodes);
        let altgr = scancodes && "@€{}|~".contains(c);
        let shift = scancodes && c == 'G';
        if altgr {
            desk.key(0xfe03, 0xb8, true);
        }
        if shift {
            desk.key(0xffe1, 0x2a, true);
        }
        desk.tap(keysym(c), scancode);
        if shift {
            desk.key(0xffe1, 0x2a, false);
        }
        if altgr {
            desk.key(0xfe03, 0xb8, false);
        }
    }
    terminal.expect(TEXT);
    desk.all_up();
}

#[test]
fn us_by_keysym() {
    types("us", false);
}

#[test]
fn us_by_scancode() {
    types("us", true);
}

#[test]
fn de_by_keysym() {
    types("de", false);
}

#[test]
fn de_by_scancode() {
    types("de", true);
}

#[test]
fn fr_by_keysym() {
    types("fr", false);
}

#[test]
fn fr_by_scancode() {
    types("fr", true);
}

#[test]
fn ru_by_keysym() {
    types("ru", false);
}

#[test]
fn ru_by_scancode() {
    types("ru", true);
}

#[test]
fn two_layouts_by_keysym() {
    types("us,ru", false);
}

#[test]
fn more_new_characters_than_spare_keys() {
    let desk = Desk::new("us");
    let terminal = Terminal::start(&desk);
    let text: String = ('一'..).take(60).collect();
    for c in text.chars() {
        desk.tap(keysym(c), None);
    }
    terminal.expect(&text);
}

#[test]
fn a_new_layout_counts_at_once() {
    let desk = Desk::new("us");
    let terminal = Terminal::start(&desk);
    let mut typed = String::new();
    for layout in ["de", "fr", "ru", "us"] {
        for c in "z@ü你".chars() {
            desk.tap(keysym(c), None);
            typed.push(c);
        }
        terminal.expect(&typed);
        super::set_layout(&desk.server, layout);
    }
}

#[test]
fn another_x_server() {
    let server = XServer::with(Config::xvnc());
    super::set_layout(&server, "de");
    types_on(Desk::on(server, |_| {}), true);
}

/// Types into a page that shows its text as its title, and reads the title.
fn types_into_browser(program: &str, arguments: impl FnOnce(&str, &TempDir) -> Vec<String>) {
    const PAGE: &str =
        "<title>ready</title><textarea id=t autofocus oninput=document.title=t.value></textarea>";
    const PATIENCE: Duration = Duration::from_secs(60);
    let desk = Desk::new("us");
    let dir = TempDir::new();
    let page = dir.path().join("page.html");
    std::fs::write(&page, format!("<!doctype html><meta charset=utf-8>{PAGE}")).unwrap();
    let page = format!("file://{}", page.display());
    let _manager = Process::spawn(&mut desk.server.command("openbox"));
    let mut command = desk.server.command(program);
    command.env("HOME", dir.path()).args(arguments(&page, &dir));
    let _browser = Process::spawn(&mut command);
    let (link, root) = desk.server.connect();
    let atom = |name: &str| {
        link.intern_atom(false, name.as_bytes())
            .unwrap()
            .reply()
            .unwrap()
            .atom
    };
    let (active, name) = (atom("_NET_ACTIVE_WINDOW"), atom("_NET_WM_NAME"));
    let property = |window, atom| {
        link.get_property(false, window, atom, AtomEnum::ANY, 0, 1000)
            .unwrap()
            .reply()
            .ok()
    };
    let title = || {
        let window = property(root, active)?.value32()?.next()?;
        Some(String::from_utf8_lossy(&property(window, name)?.value).into_owned())
    };
    eventually("the page is there", PATIENCE, || {
        title().filter(|t| t.starts_with("ready"))
    });
    // The window has the focus, the page in it perhaps not yet: the first letter tells.
    eventually("the page has the focus", PATIENCE, || {
        desk.tap('x'.into(), None);
        let next = Instant::now() + Duration::from_millis(300);
        eventually("a moment", SOON, || (Instant::now() > next).then_some(()));
        title().filter(|t| t.starts_with('x'))
    });
    desk.key(0xffe3, 0x1d, true);
    desk.tap('a'.into(), 0x1e);
    desk.key(0xffe3, 0x1d, false);
    for c in TEXT.chars() {
        desk.tap(keysym(c), None);
    }
    let mut last = String::new();
    let deadline = Instant::now() + PATIENCE;
    while !last.starts_with(TEXT) {
        last = title().unwrap_or_default();
        assert!(Instant::now() < deadline, "{program} has {last:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn chromium() {
    types_into_browser("chromium", |page, dir| {
        let data = format!("--user-data-dir={}", dir.path().display());
        [
            "--no-sandbox",
            "--no-first-run",
            "--disable-gpu",
            "--password-store=basic",
            &data,
            &format!("--app={page}"),
        ]
        .map(str::to_owned)
        .to_vec()
    });
}

#[test]
fn firefox() {
    types_into_browser("firefox-esr", |page, dir| {
        // No page of the first start in front of ours.
        let settings = "user_pref('browser.aboutwelcome.enabled', false);\nuser_pref('datareporting.policy.dataSubmissionPolicyBypassNotification', true);\nuser_pref('browser.shell.checkDefaultBrowser', false);\n";
        std::fs::write(dir.path().join("user.js"), settings).unwrap();
        let profile = dir.path().display().to_string();
        ["--no-remote", "--profile", &profile, "--new-window", page]
            .map(str::to_owned)
            .to_vec()
    });
}
