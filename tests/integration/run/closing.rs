//! The end begins with a question: programs with unsaved work are asked to close before anybody gets a signal.

use std::path::{Path, PathBuf};
use std::time::Duration;

use deskinit::desktop::connect::{Connector, Link};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, Window};

use crate::support::client::{Client, Event, Login};
use crate::support::decode::number;
use crate::support::desk::{Builder, Desk, LONG, is_ready, pid};
use crate::support::draw::screenshot;
use crate::support::pseudo::{Pseudo, number as pseudo};
use crate::support::websocket::{Closed, WebSocket};
use crate::support::{TempDir, eventually};

const PASSWORD: &str = "k7Zq2xPv";
/// One key: when the title says that the text has changed, all of it is there, and nothing of it answers a question.
const TEXT: char = 'x';
const RETURN: u32 = 0xff0d;
const ESCAPE: u32 = 0xff1b;

/// So long that whoever waits for a share of it fails the test.
const ENDLESS: &str = "3000";

/// An editor in which a viewer has typed something, and that viewer.
struct Editor {
    desk: Desk,
    viewer: Client,
    closed: Closed,
    link: Link,
    root: Window,
    file: PathBuf,
    _dir: TempDir,
}

impl Editor {
    fn start(grace: &str) -> Self {
        let dir = TempDir::new();
        let file = dir.path().join("notes.txt");
        std::fs::write(&file, "").unwrap();
        let desk = Builder::new(&["l3afpad", file.to_str().unwrap()])
            .env("VNC_PASSWORD", PASSWORD)
            .env("GRACE_PERIOD", grace)
            .env("HOME", dir.path().to_str().unwrap())
            .start();
        let status = desk.up();
        let web = status.web.unwrap().parse().unwrap();
        let socket = WebSocket::connect(web, "/websockify", &[]).expect("upgraded");
        let closed = socket.closed();
        let mut viewer = Client::login(socket, &Login::password(PASSWORD)).expect("logs in");
        let encodings = [number::RAW, pseudo::DESKTOP_NAME];
        viewer.set_encodings(&encodings).expect("connected");
        let (link, root) = display(&desk.run_dir(), &status.display);
        let mut editor = Self {
            desk,
            viewer,
            closed,
            link,
            root,
            file,
            _dir: dir,
        };
        editor.press(TEXT.into());
        eventually("the text is there", LONG, || {
            let all = editor.windows();
            let changed = |w: &Window| editor.title(*w).starts_with('*');
            all.iter().any(changed).then_some(())
        });
        editor
    }

    fn press(&mut self, keysym: u32) {
        for down in [true, false] {
            self.viewer.key(keysym, down).expect("connected");
        }
    }

    /// What the window manager lists.
    fn windows(&self) -> Vec<Window> {
        let name = b"_NET_CLIENT_LIST";
        let atom = self.link.intern_atom(false, name).unwrap().reply().unwrap();
        let list = self
            .link
            .get_property(false, self.root, atom.atom, AtomEnum::WINDOW, 0, 64)
            .unwrap()
            .reply()
            .unwrap();
        list.value32().into_iter().flatten().collect()
    }

    fn title(&self, window: Window) -> String {
        let any = AtomEnum::ANY;
        let cookie = self
            .link
            .get_property(false, window, AtomEnum::WM_NAME, any, 0, 64);
        let value = cookie.unwrap().reply().map(|reply| reply.value);
        String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()
    }

    /// Somebody asks for the end; once the editor's own question is on the screen.
    fn ask(&mut self) {
        assert_eq!(self.windows().len(), 1);
        self.desk.signal(Signal::SIGTERM);
        eventually("a question", LONG, || {
            (self.windows().len() == 2).then_some(())
        });
    }

    /// The viewer has the screen as it is.
    fn sees_the_screen(&mut self) {
        let (link, root) = (&self.link, self.root);
        let same = |viewer: &Client| {
            let truth = screenshot(link, root);
            let picture = viewer.picture();
            let rows = (0..truth.height()).flat_map(|y| truth.row(y).to_vec());
            picture.size() == (truth.width(), truth.height()) && rows.eq(picture.pixels().to_vec())
        };
        self.viewer.until(LONG, same).expect("the picture");
    }
}

fn display(run_dir: &Path, name: &str) -> (Link, Window) {
    let connector = Connector::new(name, Some(run_dir.join("Xauthority"))).unwrap();
    let (link, screen) = connector.connect().unwrap();
    let root = link.setup().roots[screen].root;
    (link, root)
}

#[test]
fn an_editor_asks_and_the_viewer_saves() {
    let mut editor = Editor::start(ENDLESS);
    editor.ask();
    let status = editor.desk.status().unwrap();
    assert!(status.close_windows && is_ready(&status, "app"));
    assert_eq!(status.viewers, 1, "nobody is sent away");
    let bell = |event: &Event| matches!(event, Event::Bell).then_some(());
    editor.viewer.wait(LONG, bell).expect("a bell");
    editor.viewer.request_all(false).expect("connected");
    let name = |event: &Event| match event {
        Event::Update(update) => update.pseudo.iter().find_map(|pseudo| match pseudo {
            Pseudo::DesktopName(name) => Some(name.clone()),
            _ => None,
        }),
        _ => None,
    };
    let name = editor.viewer.wait(LONG, name).expect("another name");
    assert_eq!(name, "deskinit: save your work now (stopped by SIGTERM)");
    editor.sees_the_screen();

    // "Yes" has the keyboard.
    editor.press(RETURN);
    eventually("the connection ends", LONG, || {
        let event = editor.viewer.event(Duration::from_millis(50));
        event.err().map(|_| ())
    });
    let (code, reason) = editor.closed.lock().unwrap().clone().unwrap();
    assert_eq!(
        (code, reason.as_str()),
        (
            1001,
            "stopped by SIGTERM; the application has ended, code 0"
        )
    );
    let (status, lines) = editor.desk.end();
    assert_eq!(status.code(), Some(0), "the editor's own");
    let asked = "stopped by SIGTERM: asked 1 window to close";
    assert!(lines.iter().any(|line| line.contains(asked)), "{lines:#?}");
    assert_eq!(
        std::fs::read_to_string(&editor.file).unwrap(),
        TEXT.to_string()
    );
}

#[test]
fn a_question_that_nobody_answers_is_followed_by_signals() {
    let mut editor = Editor::start("8");
    editor.ask();
    let (status, lines) = editor.desk.end();
    assert_eq!(status.code(), Some(143), "{lines:#?}");
    assert!(lines.last().unwrap().contains("stopped by SIGTERM"));
    assert_eq!(std::fs::read_to_string(&editor.file).unwrap(), "");
}

#[test]
fn a_second_request_cuts_the_question_short() {
    let mut editor = Editor::start(ENDLESS);
    editor.ask();
    editor.desk.signal(Signal::SIGTERM);
    assert_eq!(editor.desk.code(), 143);
}

#[test]
fn who_cancels_the_question_is_not_asked_again() {
    let mut editor = Editor::start("12");
    editor.ask();
    editor.press(ESCAPE);
    eventually("the question is gone", LONG, || {
        (editor.windows().len() == 1).then_some(())
    });
    assert!(editor.desk.status().unwrap().close_windows);
    assert_eq!(editor.desk.code(), 143);
}

#[test]
fn who_has_nothing_to_ask_ends_at_once() {
    for manager in ["openbox", "/nonexistent/wm"] {
        let desk = Builder::new(&["xterm"])
            .env("GRACE_PERIOD", ENDLESS)
            .env("WINDOW_MANAGER", manager)
            .start();
        desk.when("a window", LONG, |status| {
            status.windows == 1 && is_ready(status, "app")
        });
        desk.signal(Signal::SIGTERM);
        assert_eq!(desk.code(), 0, "xterm's, after its window was closed");
    }
}

#[test]
fn a_stopped_application_is_continued_to_be_asked() {
    let desk = Builder::new(&["xterm"])
        .env("GRACE_PERIOD", ENDLESS)
        .start();
    let app = Pid::from_raw(pid(&desk.up(), "app"));
    kill(app, Signal::SIGSTOP).unwrap();
    desk.signal(Signal::SIGTERM);
    assert_eq!(desk.code(), 0);
}

#[test]
fn without_an_application_windows_are_closed_all_the_same() {
    let desk = Builder::new(&[])
        .env("DESKTOP_MODE", "1")
        .env("GRACE_PERIOD", ENDLESS)
        .start();
    let status = desk.up();
    // Somebody else's, as that of another container.
    let mut xterm = std::process::Command::new("xterm")
        .env("DISPLAY", &status.display)
        .env("XAUTHORITY", desk.run_dir().join("Xauthority"))
        .spawn()
        .unwrap();
    desk.when("its window", LONG, |status| status.windows == 1);
    desk.signal(Signal::SIGTERM);
    let end = eventually("its end", LONG, || xterm.try_wait().unwrap());
    assert_eq!(end.code(), Some(0));
    assert_eq!(desk.code(), 143);
}
