//! Keys, pointers and clipboards, against real X servers and programs.

mod clipboard;
mod keys;
mod motion;
mod storms;
mod text;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use deskinit::desktop::input::InputThread;
use deskinit::desktop::{DesktopEvent, Input, InputEvent, Options, Sink};
use x11rb::protocol::xproto::ConnectionExt as _;

use crate::support::xvfb::XServer;
use crate::support::{eventually, xvfb};

/// Generous: these tests run beside others on two cores.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// What the input thread told.
#[derive(Default)]
pub(crate) struct Told {
    events: Mutex<Vec<DesktopEvent>>,
    news: Condvar,
}

impl Sink for Told {
    fn frame(&self, _generation: u64) {}

    fn event(&self, event: DesktopEvent) {
        self.events.lock().unwrap().push(event);
        self.news.notify_all();
    }
}

impl Told {
    /// Waits for an event, and forgets it with all before it.
    pub(crate) fn wait<T>(&self, what: &str, pick: impl Fn(&DesktopEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + SOON;
        let mut events = self.events.lock().unwrap();
        loop {
            if let Some(index) = events.iter().position(|e| pick(e).is_some()) {
                return events
                    .drain(..=index)
                    .next_back()
                    .and_then(|e| pick(&e))
                    .unwrap();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never told: {what}; {events:?}");
            events = self.news.wait_timeout(events, left).unwrap().0;
        }
    }

    pub(crate) fn clipboard(&self, wanted: &str) {
        self.wait(wanted, |e| {
            matches!(e, DesktopEvent::Clipboard(t) if **t == *wanted).then_some(())
        });
    }

    pub(crate) fn count(&self, pick: impl Fn(&DesktopEvent) -> bool) -> usize {
        self.events
            .lock()
            .unwrap()
            .iter()
            .filter(|e| pick(e))
            .count()
    }
}

/// An X server with an input thread in front of it.
pub(crate) struct Desk {
    pub(crate) input: InputThread,
    pub(crate) told: Arc<Told>,
    pub(crate) server: XServer,
}

impl Desk {
    /// On Xvfb with this layout, as setxkbmap names it.
    pub(crate) fn new(layout: &str) -> Desk {
        let server = XServer::start();
        set_layout(&server, layout);
        Desk::on(server, |_| {})
    }

    pub(crate) fn on(server: XServer, change: impl FnOnce(&mut Options)) -> Desk {
        let told = Arc::new(Told::default());
        let mut options = Options {
            display: server.display(),
            xauthority: Some(server.xauthority()),
            ..Options::default()
        };
        change(&mut options);
        let input = InputThread::start(
            server.connector(),
            options,
            Arc::clone(&told) as Arc<dyn Sink>,
        )
        .unwrap();
        told.wait("the LEDs at the start", |e| {
            matches!(e, DesktopEvent::Leds(_)).then_some(())
        });
        Desk {
            input,
            told,
            server,
        }
    }

    pub(crate) fn send(&self, client: u64, event: InputEvent) {
        self.input.send(Input { client, event });
    }

    pub(crate) fn key(&self, keysym: u32, scancode: impl Into<Option<u32>>, down: bool) {
        self.send(
            1,
            InputEvent::Key {
                keysym,
                scancode: scancode.into(),
                down,
            },
        );
    }

    /// Down and up.
    pub(crate) fn tap(&self, keysym: u32, scancode: impl Into<Option<u32>>) {
        let scancode = scancode.into();
        self.key(keysym, scancode, true);
        self.key(keysym, scancode, false);
    }

    pub(crate) fn pointer(&self, x: u16, y: u16, buttons: u16) {
        self.send(1, InputEvent::Pointer { x, y, buttons });
    }

    /// Waits until no key is down.
    pub(crate) fn all_up(&self) {
        let (link, _) = self.server.connect();
        eventually("all keys are up", SOON, || {
            (link.query_keymap().unwrap().reply().unwrap().keys == [0; 32]).then_some(())
        });
    }
}

pub(crate) fn set_layout(server: &XServer, layout: &str) {
    let mut arguments = layout.split('/');
    let mut command = server.command("setxkbmap");
    command.arg(arguments.next().unwrap());
    if let Some(variant) = arguments.next() {
        command.args(["-variant", variant]);
    }
    assert!(command.status().unwrap().success());
}

/// The keysym that a client sends for a character: as noVNC does, the older number if there is one.
pub(crate) fn keysym(c: char) -> u32 {
    match c {
        '\n' => 0xff0d,
        '€' => 0x20ac,
        'а'..='я' | 'А'..='Я' => xkeysym::Keysym::from_char(c).raw(),
        c if u32::from(c) < 0x100 => c.into(),
        c => 0x0100_0000 | u32::from(c),
    }
}

/// A key event that an application saw, translated by Xlib.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) press: bool,
    pub(crate) state: u32,
    pub(crate) keycode: u32,
    pub(crate) name: String,
}

/// xev, with the focus.
pub(crate) struct Xev {
    child: Child,
    seen: Arc<(Mutex<Vec<Seen>>, Condvar)>,
}

impl Xev {
    pub(crate) fn start(desk: &Desk) -> Xev {
        let mut command = desk.server.command("xev");
        command.args(["-event", "keyboard", "-geometry", "200x200+0+0"]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let sink = Arc::clone(&seen);
        std::thread::spawn(move || read_xev(lines.map_while(Result::ok), &sink));
        focus(desk);
        Xev { child, seen }
    }

    /// Taps Escape and takes everything before it.
    pub(crate) fn until_escape(&self, desk: &Desk) -> Vec<Seen> {
        desk.tap(0xff1b, None);
        let deadline = Instant::now() + SOON;
        let mut seen = self.seen.0.lock().unwrap();
        loop {
            if let Some(end) = seen.iter().position(|s| s.name == "Escape" && !s.press) {
                let mut all: Vec<Seen> = seen.drain(..=end).collect();
                all.retain(|s| s.name != "Escape");
                return all;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "Escape never came: {seen:#?}");
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// The names of the keys pressed before an Escape, without modifiers.
    pub(crate) fn names(&self, desk: &Desk) -> Vec<String> {
        let modifier = |name: &str| {
            ["_L", "_R", "_Shift", "_Lock"]
                .iter()
                .any(|end| name.ends_with(end))
        };
        self.until_escape(desk)
            .into_iter()
            .filter(|s| s.press && !modifier(&s.name))
            .map(|s| s.name)
            .collect()
    }
}

impl Drop for Xev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_xev(lines: impl Iterator<Item = String>, sink: &(Mutex<Vec<Seen>>, Condvar)) {
    let mut press = None;
    for line in lines {
        if line.starts_with("KeyPress") || line.starts_with("KeyRelease") {
            press = Some(line.starts_with("KeyPress"));
        } else if let (Some(press_), Some(rest)) = (press, line.trim().strip_prefix("state ")) {
            press = None;
            // state 0x0, keycode 38 (keysym 0x61, a), same_screen YES,
            let field = |mark: &str| rest.split(mark).nth(1).unwrap_or_default();
            let state = rest.split(',').next().unwrap_or_default();
            let seen = Seen {
                press: press_,
                state: u32::from_str_radix(state.trim_start_matches("0x"), 16).unwrap(),
                keycode: field("keycode ")
                    .split(' ')
                    .next()
                    .unwrap_or_default()
                    .parse()
                    .unwrap(),
                name: field("(keysym ")
                    .split([',', ')'])
                    .nth(1)
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
            };
            sink.0.lock().unwrap().push(seen);
            sink.1.notify_all();
        }
    }
}

/// Waits for the first window and gives it the keyboard.
pub(crate) fn focus(desk: &Desk) {
    use x11rb::protocol::xproto::{InputFocus, MapState};
    let (link, root) = desk.server.connect();
    let window = eventually("a window is mapped", SOON, || {
        let tree = link.query_tree(root).unwrap().reply().unwrap();
        tree.children.into_iter().rev().find(|&w| {
            link.get_window_attributes(w)
                .unwrap()
                .reply()
                .is_ok_and(|a| a.map_state == MapState::VIEWABLE)
        })
    });
    link.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME)
        .unwrap();
    xvfb::sync(&link);
}
