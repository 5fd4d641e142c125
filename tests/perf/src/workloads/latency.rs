//! From a key on the viewer's side to the picture that it makes.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{ConnectionExt as _, InputFocus};

use super::{Setting, video as pictures};
use crate::Outcome;
use crate::apps::{self, Film, Repeated, Terminal, VIDEO};
use crate::measure::{Figures, film};
use crate::picture::Random;
use crate::screen::{Canvas, SIZE, Screen, wait_for};
use crate::server::Server;
use crate::stamp;
use crate::stats::quantile;
use crate::viewer::{Hand, Manner, Taste};

/// Where the window is that answers keys: beside the video.
const AT: (u16, u16) = (60, 60);
/// Pictures that the window draws from.
const SLOTS: usize = 64;

/// Typing into a terminal, twelve keys a second.
pub(super) fn typing(server: &Server, setting: &Setting) -> Outcome<Figures> {
    let terminal = Terminal::start(&server.screen, "echo")?;
    let viewer = server.viewer(Manner::new(Taste::Quality6))?;
    let hand = viewer.hand();
    let text = b"the quick brown fox jumps over the lazy dog\r";
    let mut typing = Repeated::start(12.0, move |n| {
        let key = match text[n as usize % text.len()] {
            b'\r' => 0xff0d,
            character => character.into(),
        };
        Ok(hand.key(key)?)
    });
    film(server, setting.pace, vec![viewer], || {
        typing.still()?;
        terminal.still()
    })?
    .changes()
}

/// Keys to a window that draws at once, and nothing beside.
pub(super) fn idle(server: &Server, setting: &Setting) -> Outcome<Figures> {
    measure(server, setting, false)
}

/// The same beside a video.
pub(super) fn beside_video(server: &Server, setting: &Setting) -> Outcome<Figures> {
    measure(server, setting, true)
}

fn measure(server: &Server, setting: &Setting, video: bool) -> Outcome<Figures> {
    apps::wallpaper(&server.screen.canvas()?)?;
    let answer = Answer::start(&server.screen)?;
    let mut shown = match video {
        true => Some(Film::start(&server.screen, VIDEO, 30.0, pictures())?),
        false => None,
    };
    let viewer = server.viewer(Manner::new(Taste::Quality6))?;
    let sent = Arc::new(Mutex::new(Vec::new()));
    let mut typing = press(viewer.hand(), Arc::clone(&sent));
    let clip = film(server, setting.pace, vec![viewer], || {
        typing.still()?;
        shown.as_mut().map_or(Ok(()), |film| film.motion.still())
    })?;
    answer.end()?;

    let (mut latencies, mut last) = (Vec::new(), None);
    let sent = sent.lock().map_err(|_| "a panic elsewhere")?;
    let figures = clip.look(|shown, picture| {
        let (x, y) = (AT.0.into(), AT.1.into());
        let number = stamp::read(picture, SIZE.0.into(), x, y);
        if number.is_some() && number != last {
            last = number;
            let sent = number.and_then(|n| sent.get(n as usize));
            let age = sent.map(|at| shown.at.saturating_duration_since(*at));
            latencies.extend(age.map(|age| age.as_secs_f64() * 1000.0));
        }
    });
    let mut figures = figures?;
    figures.insert("latency_p50_ms", quantile(&latencies, 0.5));
    figures.insert("latency_p95_ms", quantile(&latencies, 0.95));
    figures.insert("keys", latencies.len() as f64);
    Ok(figures)
}

/// Presses a key nine times a second, at moments that keep no step with anything.
fn press(hand: Hand, sent: Arc<Mutex<Vec<Instant>>>) -> Repeated {
    let mut random = Random::new(3);
    Repeated::start(9.0, move |_| {
        thread::sleep(Duration::from_micros(random.below(60_000).into()));
        sent.lock()
            .map_err(|_| "a panic elsewhere")?
            .push(Instant::now());
        Ok(hand.key(0x61)?)
    })
}

/// A window that draws the number of each key, from 0 on, as soon as it is pressed.
struct Answer {
    canvas: Canvas,
    window: u32,
    thread: JoinHandle<Outcome<()>>,
}

impl Answer {
    fn start(screen: &Screen) -> Outcome<Self> {
        let (mine, canvas) = (screen.canvas()?, screen.canvas()?);
        let window = mine.window(AT.0 as i16, AT.1 as i16, stamp::WIDTH, stamp::HEIGHT, false)?;
        wait_for("the focus", || {
            canvas
                .link
                .set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME)?;
            Ok((canvas.link.get_input_focus()?.reply()?.focus == window).then_some(()))
        })?;
        let blank = vec![0; usize::from(stamp::WIDTH) * usize::from(stamp::HEIGHT)];
        let album = mine.album(stamp::WIDTH, stamp::HEIGHT, &[blank.as_slice(); SLOTS])?;
        let thread = thread::spawn(move || {
            let mut number = 0;
            loop {
                match mine.link.wait_for_event()? {
                    Event::KeyPress(_) => {
                        let slot = number as usize % SLOTS;
                        for y in 0..stamp::HEIGHT {
                            album.write(slot, 0, y, &stamp::row(number, y))?;
                        }
                        mine.put(window, &album, slot, (0, 0))?;
                        number += 1;
                    }
                    Event::DestroyNotify(_) => return Ok(()),
                    _ => {}
                }
            }
        });
        Ok(Self {
            canvas,
            window,
            thread,
        })
    }

    /// Takes the window away, by which its thread ends.
    fn end(self) -> Outcome<()> {
        self.canvas.link.destroy_window(self.window)?;
        self.canvas.sync()?;
        self.thread
            .join()
            .map_err(|_| "the answering thread panicked")?
    }
}
