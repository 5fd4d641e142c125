//! Capture, against real X servers.

mod close;
mod cursor;
mod in_place;
mod size;

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use deskinit::desktop::connect::Link;
use deskinit::desktop::{Desktop, DesktopEvent, DesktopStatus, Options, ResizeError, Sink};
use deskinit::pixel::{Frame, Region};
use deskinit::screen::Screen;
use nix::sys::signal::Signal;
use x11rb::protocol::xproto::Window;

use crate::support::draw::{Painter, Random, screenshot};
use crate::support::eventually;
use crate::support::xvfb::{Config, Process, XServer, sync};
use in_place::in_memory;

/// The promise is two seconds after the last change; this is for a machine that runs other tests beside.
const SOON: Duration = Duration::from_secs(5);

/// What the desktop told.
#[derive(Default)]
struct Told {
    events: Mutex<Vec<DesktopEvent>>,
    frames: Mutex<u64>,
    news: Condvar,
}

impl Sink for Told {
    fn frame(&self, _generation: u64) {
        *self.frames.lock().expect("whole") += 1;
        self.news.notify_all();
    }

    fn event(&self, event: DesktopEvent) {
        self.events.lock().expect("whole").push(event);
        self.news.notify_all();
    }
}

impl Told {
    /// Waits for an event, among those told already too.
    fn wait<T>(&self, what: &str, mut pick: impl FnMut(&DesktopEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + SOON;
        let mut events = self.events.lock().expect("whole");
        loop {
            if let Some(found) = events.iter().rev().find_map(&mut pick) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never told: {what}; {events:?}");
            events = self.news.wait_timeout(events, left).expect("whole").0;
        }
    }

    fn wait_status(&self, what: &str, test: impl Fn(&DesktopStatus) -> bool) -> DesktopStatus {
        let deadline = Instant::now() + SOON;
        let mut events = self.events.lock().expect("whole");
        loop {
            let last = events.iter().rev().find_map(|e| match e {
                DesktopEvent::Status(s) => Some(s.clone()),
                _ => None,
            });
            if let Some(status) = last.filter(&test) {
                return status;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never told: {what}; {events:?}");
            events = self.news.wait_timeout(events, left).expect("whole").0;
        }
    }
}

/// A desktop with one viewer, who knows the screen only by what changed.
struct Viewer {
    desktop: Desktop,
    screen: Arc<Screen>,
    told: Arc<Told>,
    picture: Frame,
    generation: u64,
}

impl Viewer {
    fn of(server: &XServer) -> Self {
        Self::with(server, |_| {})
    }

    fn with(server: &XServer, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            display: server.display(),
            xauthority: Some(server.xauthority()),
            frame_buffer: server.frame_buffer(),
            ..Options::default()
        };
        change(&mut options);
        let screen = Arc::new(Screen::new(640, 480));
        let told = Arc::new(Told::default());
        let sink: Arc<dyn Sink> = Arc::<Told>::clone(&told);
        let desktop = Desktop::start(options, Arc::clone(&screen), sink).expect("threads");
        told.wait_status("connected", |s| s.connected);
        Self {
            desktop,
            screen,
            told,
            picture: Frame::new(1, 1),
            generation: 0,
        }
    }

    /// Takes what changed; returns it.
    fn follow(&mut self) -> Region {
        // It is not there while the next one is made of it.
        let (changes, frame) = eventually("there is a picture", SOON, || {
            let mut changes = self.screen.changes_since(self.generation);
            let frame = changes.frame.take()?;
            Some((changes, frame))
        });
        if changes.resized {
            self.picture = Frame::new(frame.width(), frame.height());
        }
        // As a client does: what it copies, right or wrong, goes along; the rest comes from the latest frame.
        let (mut wrong, mut changed) = (Region::new(), Region::new());
        for step in &changes.steps {
            for copied in &step.moves {
                self.picture
                    .copy_within(copied.source(), copied.to.origin());
                copied.carry(&mut wrong);
                changed.add(copied.to);
            }
            wrong.union(&step.damage);
        }
        for rect in wrong.rects() {
            self.picture.copy_from(&frame, *rect);
        }
        self.generation = changes.generation;
        changed.union(&wrong);
        changed
    }

    /// A black screen that is seen, and what draws on it.
    fn blank<'a>(&mut self, server: &XServer, link: &'a Link, root: Window) -> Painter<'a> {
        let painter = Painter::on(link, root);
        painter.fill(0, 0, 0, 1280, 1024);
        sync(link);
        self.converge(server);
        painter
    }

    /// Follows until the picture is that of the server, which draws no more.
    fn converge(&mut self, server: &XServer) {
        let (link, root) = server.connect();
        let truth = screenshot(&link, root);
        self.converge_to(&truth);
    }

    fn converge_to(&mut self, truth: &Frame) {
        let end = Instant::now() + SOON;
        loop {
            self.desktop.request_frame();
            let frames = *self.told.frames.lock().expect("whole");
            self.follow();
            if self.picture == *truth {
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "the picture never became that of the screen; {:?}",
                self.desktop.status()
            );
            let guard = self.told.frames.lock().expect("whole");
            let _ = self
                .told
                .news
                .wait_timeout_while(guard, left.min(Duration::from_millis(50)), |n| *n == frames)
                .expect("whole");
        }
    }

    fn resize(&self, width: u16, height: u16) -> Result<(), ResizeError> {
        let (send, receive) = std::sync::mpsc::channel();
        let reply = move |outcome| send.send(outcome).expect("awaited");
        self.desktop.resize(width, height, Box::new(reply));
        receive.recv_timeout(SOON).expect("an answer")
    }
}

fn random_drawing_converges(server: &XServer, seed: u64) -> Viewer {
    let mut viewer = Viewer::of(server);
    let (link, root) = server.connect();
    let painter = Painter::window(&link, root, 40, 30, 900, 700);
    let mut random = Random::new(seed);
    for round in 0..60 {
        painter.scribble(&mut random, 900, 700);
        if round % 3 == 0 {
            viewer.desktop.request_frame();
        }
        if round % 10 == 0 {
            viewer.follow();
            sync(&link);
            viewer.converge(server);
        }
    }
    sync(&link);
    viewer.converge(server);
    viewer
}

#[test]
fn drawing_arrives_exactly() {
    let server = XServer::start();
    let viewer = random_drawing_converges(&server, 1);
    let status = viewer.desktop.status();
    assert!(status.shared_memory && !status.in_place, "{status:?}");
    assert_eq!(
        (status.width, status.height, status.depth),
        (1280, 1024, 24)
    );
}

#[test]
fn drawing_arrives_without_shared_memory() {
    let server = XServer::with(Config {
        args: &["-extension", "MIT-SHM"],
        ..Config::default()
    });
    let viewer = random_drawing_converges(&server, 2);
    assert!(!viewer.desktop.status().shared_memory);
}

#[test]
fn drawing_arrives_from_xvnc() {
    let server = XServer::with(Config::xvnc());
    let viewer = random_drawing_converges(&server, 3);
    assert!(viewer.desktop.status().shared_memory);
}

#[test]
fn sixteen_bits_are_converted() {
    for config in [Config::default(), in_memory()] {
        sixteen_bits(&XServer::with(Config {
            depth: 16,
            ..config
        }));
    }
}

fn sixteen_bits(server: &XServer) {
    let mut viewer = Viewer::of(server);
    let (link, root) = server.connect();
    let painter = Painter::on(&link, root);
    painter.fill(0xffff, 0, 0, 1280, 1024);
    painter.fill(0xf800, 101, 50, 3, 2);
    painter.fill(0x07e0, 104, 50, 5, 2);
    sync(&link);
    let mut truth = Frame::new(1280, 1024);
    for y in 0..1024 {
        truth.row_mut(y).fill(0xff_ffff);
    }
    for y in 50..52 {
        truth.row_mut(y)[101..104].fill(0xff_0000);
        truth.row_mut(y)[104..109].fill(0x00_ff00);
    }
    viewer.converge_to(&truth);
    let status = viewer.desktop.status();
    assert_eq!(status.depth, 16);
    assert_eq!(status.in_place, server.frame_buffer().is_some());
}

#[test]
fn a_glyph_is_a_small_update() {
    let server = XServer::start();
    let mut viewer = Viewer::of(&server);
    let (link, root) = server.connect();
    let painter = viewer.blank(&server, &link, root);
    let before = viewer.desktop.status().grabbed_pixels;
    for i in 0..20u16 {
        viewer.desktop.request_frame();
        painter.fill(0xff_ffff, 100 + 9 * i, 200, 7, 12);
        sync(&link);
        let damage = eventually("the glyph", SOON, || {
            let damage = viewer.follow();
            (!damage.is_empty()).then_some(damage)
        });
        assert_eq!(damage.area(), 7 * 12, "{damage:?}");
    }
    // What is drawn while the screen is read may be read twice, and so may the screen before the first glyph.
    let grabbed = viewer.desktop.status().grabbed_pixels - before;
    assert!(grabbed <= 1280 * 1024 + 2 * 20 * 7 * 12, "{grabbed}");
}

#[test]
fn who_waits_long_for_a_change_gets_it_alone() {
    let server = XServer::start();
    let mut viewer = Viewer::of(&server);
    let (link, root) = server.connect();
    let painter = viewer.blank(&server, &link, root);
    let glyph = |viewer: &mut Viewer, x| {
        painter.fill(0xff_ffff, x, 200, 7, 12);
        sync(&link);
        eventually("the glyph", SOON, || {
            (!viewer.follow().is_empty()).then_some(())
        });
    };
    viewer.desktop.request_frame();
    glyph(&mut viewer, 100);
    // Not while the thread is still busy with the one before: then it would see it at once.
    thread::sleep(Duration::from_millis(100));
    viewer.desktop.request_frame();
    let before = viewer.desktop.status().grabbed_pixels;
    // Whoever asks for nothing for a second is taken to be gone; this one has asked already.
    thread::sleep(Duration::from_millis(1500));
    glyph(&mut viewer, 200);
    let grabbed = viewer.desktop.status().grabbed_pixels - before;
    assert!(grabbed <= 2 * 7 * 12, "{grabbed}");
}

#[test]
fn nobody_watches_nothing_is_read() {
    let server = XServer::start();
    let mut viewer = Viewer::of(&server);
    let (link, root) = server.connect();
    let painter = Painter::window(&link, root, 0, 0, 800, 600);
    painter.fill(1, 0, 0, 800, 600);
    sync(&link);
    viewer.converge(&server);
    // The demand that is left, if any, is used up by one more frame.
    viewer.desktop.request_frame();
    painter.fill(2, 0, 0, 800, 600);
    sync(&link);
    eventually("the demand is used up", SOON, || {
        let frame = viewer.screen.latest()?;
        (frame.row(5)[5] == 2).then_some(())
    });
    let before = viewer.desktop.status().grabs;
    let mut random = Random::new(4);
    for _ in 0..50 {
        painter.scribble(&mut random, 800, 600);
        sync(&link);
    }
    // A round trip of the capture thread, to be sure that it saw what there was to see.
    assert_eq!(viewer.resize(1280, 1024), Ok(()));
    assert_eq!(viewer.desktop.status().grabs, before);
    viewer.converge(&server);
    assert!(viewer.desktop.status().grabs > before);
}

#[test]
fn a_new_server_on_the_same_display_is_shown() {
    let mut server = XServer::start();
    let mut viewer = Viewer::of(&server);
    assert_eq!(viewer.resize(1000, 700), Ok(()));
    viewer.converge(&server);
    let last = viewer.picture.clone();
    server.kill();
    let status = viewer.told.wait_status("disconnected", |s| !s.connected);
    assert!(status.problem.is_some());
    assert!(!viewer.desktop.probe(Duration::from_millis(500)));
    assert_eq!(viewer.resize(1100, 800), Err(ResizeError::Disconnected));
    let stays = viewer.screen.latest().expect("nothing is read");
    assert_eq!(*stays, last, "the last picture stays");
    server.restart();
    let status = viewer.told.wait_status("connected", |s| s.connected);
    assert_eq!((status.width, status.height), (1100, 800));
    assert_eq!(status.connections, 2);
    assert!(viewer.desktop.probe(SOON));
    let (link, root) = server.connect();
    Painter::on(&link, root).scribble(&mut Random::new(6), 1100, 800);
    sync(&link);
    viewer.converge(&server);
}

#[test]
fn a_server_that_hangs_is_noticed_and_left() {
    let server = XServer::start();
    let viewer = Viewer::of(&server);
    assert!(viewer.desktop.probe(SOON));
    server.signal(Signal::SIGSTOP);
    let start = Instant::now();
    assert!(!viewer.desktop.probe(Duration::from_millis(200)));
    // Also with a connection that has to be made first.
    assert!(!viewer.desktop.probe(Duration::from_millis(200)));
    assert!(start.elapsed() < Duration::from_secs(2));
    server.signal(Signal::SIGCONT);
    assert!(viewer.desktop.probe(SOON));
    server.signal(Signal::SIGSTOP);
    viewer.desktop.resize(800, 600, Box::new(|_| {}));
    let start = Instant::now();
    viewer.desktop.stop();
    assert!(start.elapsed() < Duration::from_secs(2));
    server.signal(Signal::SIGCONT);
}

#[test]
fn the_window_manager_and_its_windows_are_known() {
    let server = XServer::start();
    let viewer = Viewer::of(&server);
    let status = viewer.desktop.status();
    assert_eq!((status.window_manager, status.windows), (None, 0));
    let mut openbox = Process::spawn(server.command("openbox").arg("--sm-disable"));
    viewer.told.wait_status("openbox", |s| {
        s.window_manager.as_deref() == Some("Openbox")
    });
    let mut xterm = Process::spawn(&mut server.command("xterm"));
    viewer.told.wait_status("a window", |s| s.windows == 1);
    let mut second = Process::spawn(&mut server.command("xterm"));
    viewer.told.wait_status("two windows", |s| s.windows == 2);
    second.kill();
    viewer.told.wait_status("one window", |s| s.windows == 1);
    openbox.kill();
    viewer
        .told
        .wait_status("no manager", |s| s.window_manager.is_none());
    xterm.kill();
    viewer.told.wait_status("no window", |s| s.windows == 0);
}

#[test]
fn no_system_v_memory_is_used() {
    let server = XServer::start();
    let mut viewer = Viewer::of(&server);
    viewer.converge(&server);
    assert!(viewer.desktop.status().shared_memory);
    let ours = [std::process::id(), server.pid()];
    let segments = std::fs::read_to_string("/proc/sysvipc/shm").expect("readable");
    for segment in segments.lines().skip(1) {
        // key shmid perms size cpid lpid …
        let pids = segment.split_whitespace().skip(4).take(2);
        assert!(
            pids.filter_map(|p| p.parse().ok())
                .all(|p: u32| !ours.contains(&p)),
            "{segment}"
        );
    }
}

#[test]
fn a_wrong_cookie_is_told_in_words() {
    let server = XServer::start();
    let other = XServer::start();
    let screen = Arc::new(Screen::new(640, 480));
    let told = Arc::new(Told::default());
    let sink: Arc<dyn Sink> = Arc::<Told>::clone(&told);
    let options = Options {
        display: server.display(),
        xauthority: Some(other.xauthority()),
        ..Options::default()
    };
    let desktop = Desktop::start(options, screen, sink).expect("threads");
    let refused = |s: &DesktopStatus| {
        let problem = s.problem.as_deref().unwrap_or_default();
        problem.contains("refuses the connection")
    };
    told.wait_status("refused", refused);
    desktop.stop();
}
