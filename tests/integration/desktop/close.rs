//! Windows are asked to close, once, and counted until they have gone.

use deskinit::desktop::DesktopStatus;
use deskinit::desktop::connect::Link;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, CreateWindowAux, PropMode, Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use super::{SOON, Viewer};
use crate::support::eventually;
use crate::support::xvfb::{Process, XServer, sync};

/// A program with windows, and what is said to them.
struct Program {
    link: Link,
    root: Window,
}

impl Program {
    fn start(server: &XServer) -> Self {
        let (link, root) = server.connect();
        Self { link, root }
    }

    fn atom(&self, name: &str) -> Atom {
        let cookie = self.link.intern_atom(false, name.as_bytes());
        cookie.expect("sent").reply().expect("an atom").atom
    }

    fn set(&self, window: Window, name: &str, kind: AtomEnum, value: u32) {
        let (name, kind) = (self.atom(name), Atom::from(kind));
        self.link
            .change_property32(PropMode::REPLACE, window, name, kind, &[value])
            .expect("sent");
    }

    /// A window that is not mapped yet.
    fn window(&self, takes_part: bool, override_redirect: u32) -> Window {
        let window = self.link.generate_id().expect("an id");
        let attributes = CreateWindowAux::new().override_redirect(override_redirect);
        let class = WindowClass::INPUT_OUTPUT;
        self.link
            .create_window(0, window, self.root, 0, 0, 80, 60, 0, class, 0, &attributes)
            .expect("sent");
        if takes_part {
            let value = self.atom("WM_DELETE_WINDOW");
            self.set(window, "WM_PROTOCOLS", AtomEnum::ATOM, value);
        }
        window
    }

    fn map(&self, window: Window) -> Window {
        self.link.map_window(window).expect("sent");
        sync(&self.link);
        window
    }

    fn destroy(&self, window: Window) {
        self.link.destroy_window(window).expect("sent");
        sync(&self.link);
    }

    /// Windows that were asked since the last call, in that order; each with a time.
    fn asked(&self) -> Vec<Window> {
        sync(&self.link);
        let (protocols, delete) = (self.atom("WM_PROTOCOLS"), self.atom("WM_DELETE_WINDOW"));
        let mut asked = Vec::new();
        while let Some(event) = self.link.poll_for_event().expect("connected") {
            if let Event::ClientMessage(message) = event
                && message.type_ == protocols
                && message.data.as_data32()[0] == delete
            {
                assert_ne!(message.data.as_data32()[1], 0, "the time");
                asked.push(message.window);
            }
        }
        asked
    }
}

fn left(viewer: &Viewer, count: u32) {
    let is = |s: &DesktopStatus| s.closing == Some(count);
    viewer
        .told
        .wait_status(&format!("{count} windows left"), is);
}

#[test]
fn each_window_that_takes_part_is_asked_once() {
    for managed in [false, true] {
        let server = XServer::start();
        let viewer = Viewer::of(&server);
        let _manager = managed.then(|| {
            let openbox = Process::spawn(server.command("openbox").arg("--sm-disable"));
            let name = Some("Openbox");
            viewer
                .told
                .wait_status("openbox", |s| s.window_manager.as_deref() == name);
            openbox
        });
        let program = Program::start(&server);
        let document = program.map(program.window(true, 0));
        let dialog = program.window(true, 0);
        program.set(dialog, "WM_TRANSIENT_FOR", AtomEnum::WINDOW, document);
        program.map(dialog);
        let mut bystanders = vec![
            program.map(program.window(false, 0)),
            program.map(program.window(true, 1)),
            program.window(true, 0),
        ];
        let dock = program.window(true, 0);
        let kind = program.atom("_NET_WM_WINDOW_TYPE_DOCK");
        program.set(dock, "_NET_WM_WINDOW_TYPE", AtomEnum::ATOM, kind);
        bystanders.push(program.map(dock));
        let visible = if managed { 4 } else { 3 };
        viewer.told.wait_status("windows", |s| s.windows >= visible);
        assert_eq!(viewer.desktop.status().closing, None);

        viewer.desktop.close_windows();
        left(&viewer, 2);
        let mut asked = Vec::new();
        eventually("two messages", SOON, || {
            asked.extend(program.asked());
            (asked.len() >= 2).then_some(())
        });
        assert_eq!(asked, [dialog, document], "managed: {managed}");
        let question = program.map(program.window(true, 0));
        left(&viewer, 3);
        for (count, window) in [(2, dialog), (1, question), (0, document)] {
            program.destroy(window);
            left(&viewer, count);
        }
        assert!(program.asked().is_empty(), "managed: {managed}");
    }
}

#[test]
fn where_nobody_takes_part_nobody_is_waited_for() {
    let server = XServer::start();
    let viewer = Viewer::of(&server);
    let program = Program::start(&server);
    program.map(program.window(false, 0));
    viewer.told.wait_status("a window", |s| s.windows == 1);
    viewer.desktop.close_windows();
    left(&viewer, 0);
}

#[test]
fn windows_go_with_their_server() {
    let mut server = XServer::start();
    let viewer = Viewer::of(&server);
    let program = Program::start(&server);
    program.map(program.window(true, 0));
    viewer.desktop.close_windows();
    left(&viewer, 1);
    server.kill();
    left(&viewer, 0);

    let mut server = XServer::start();
    let viewer = Viewer::of(&server);
    server.kill();
    viewer.told.wait_status("disconnected", |s| !s.connected);
    viewer.desktop.close_windows();
    left(&viewer, 0);
}
