//! Motion: in order with everything else, without the thread where that has nothing to do, and never waited for.

use std::sync::{Arc, OnceLock, mpsc};

use deskinit::desktop::input::InputThread;
use deskinit::desktop::{DesktopEvent, Input, InputEvent, Options, Sink};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, gettid};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateWindowAux, EventMask, WindowClass};

use super::{Desk, SOON};
use crate::support::eventually;
use crate::support::xvfb::{self, XServer};

fn motion(x: u16, y: u16, buttons: u16) -> Input {
    Input {
        client: 1,
        event: InputEvent::Pointer { x, y, buttons },
    }
}

/// Waits until the pointer is there.
fn arrives(server: &XServer, x: u16, y: u16) {
    let (link, root) = server.connect();
    eventually("the pointer is there", SOON, || {
        let at = link.query_pointer(root).unwrap().reply().unwrap();
        ((at.root_x, at.root_y) == (x as i16, y as i16)).then_some(())
    });
}

#[test]
fn buttons_go_down_and_up_where_they_were_pressed() {
    let desk = Desk::new("us");
    let (link, root) = desk.server.connect();
    let window = link.generate_id().unwrap();
    let wanted = EventMask::POINTER_MOTION | EventMask::BUTTON_PRESS | EventMask::BUTTON_RELEASE;
    let aux = CreateWindowAux::new()
        .override_redirect(1)
        .event_mask(wanted);
    link.create_window(
        0,
        window,
        root,
        0,
        0,
        640,
        640,
        0,
        WindowClass::INPUT_ONLY,
        0,
        &aux,
    )
    .unwrap();
    link.map_window(window).unwrap();
    xvfb::sync(&link);
    const LAST: u16 = 600;
    for n in 1..=LAST {
        desk.pointer(n, n, n / 10 % 2);
        if n % 7 == 0 {
            // Now and then the thread has nothing to do.
            arrives(&desk.server, n, n);
        }
    }
    let (mut at, mut edges) = (0, 0);
    while at < LAST as i16 || edges < LAST / 10 {
        match link.wait_for_event().unwrap() {
            Event::MotionNotify(event) => {
                assert!(event.event_x > at, "{} after {at}", event.event_x);
                at = event.event_x;
            }
            Event::ButtonPress(event) | Event::ButtonRelease(event) => {
                edges += 1;
                assert_eq!(event.event_x, edges as i16 * 10);
            }
            _ => {}
        }
    }
}

/// Says in which thread it was told.
#[derive(Default)]
struct Teller(OnceLock<Pid>);

impl Sink for Teller {
    fn frame(&self, _generation: u64) {}

    fn event(&self, _event: DesktopEvent) {
        let _ = self.0.set(gettid());
    }
}

/// How often a thread has waited for something.
fn waits(thread: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("voluntary_ctxt"));
    line.unwrap().split('\t').nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_thread_sleeps_through_motion() {
    let server = XServer::start();
    let teller = Arc::new(Teller::default());
    let options = Options {
        display: server.display(),
        xauthority: Some(server.xauthority()),
        clipboard: false,
        ..Options::default()
    };
    let sink = Arc::clone(&teller) as Arc<dyn Sink>;
    let input = InputThread::start(server.connector(), options, sink).unwrap();
    let thread = eventually("it is connected", SOON, || teller.0.get().copied());
    // Who pointed last is known when the thread has done it; it sleeps when nothing is left to be done.
    let mut n = 0;
    eventually("it sleeps", SOON, || {
        let before = waits(thread);
        n += 1;
        input.send(motion(n, 1, 0));
        arrives(&server, n, 1);
        (waits(thread) == before).then_some(())
    });
    let before = waits(thread);
    for x in 0..100 {
        input.send(motion(x, 200, 0));
        arrives(&server, x, 200);
    }
    assert_eq!(waits(thread), before, "woken");
    // It is there for everything else, and motion after that is in order.
    input.send(motion(7, 201, 1));
    input.send(motion(8, 202, 1));
    arrives(&server, 8, 202);
    assert!(waits(thread) > before, "asleep");
}

#[test]
fn nobody_waits_for_a_server_that_hangs() {
    let desk = Desk::new("us");
    desk.pointer(1, 1, 0);
    arrives(&desk.server, 1, 1);
    desk.server.signal(Signal::SIGSTOP);
    let (done, ended) = mpsc::channel();
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Many times what a socket holds.
            for n in 0..20_000 {
                desk.pointer(n % 500, 2 + n % 300, 0);
            }
            desk.pointer(77, 88, 0);
            done.send(()).unwrap();
        });
        let ended = ended.recv_timeout(SOON);
        desk.server.signal(Signal::SIGCONT);
        ended
    });
    ended.expect("callers do not wait");
    arrives(&desk.server, 77, 88);
}
