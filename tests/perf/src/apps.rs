//! What moves on the screen: each starts when it is made, and stands still after `still`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::picture;
use crate::screen::{Canvas, Process, SIZE, Screen, wait_for};
use crate::stamp;
use crate::viewer::Hand;

/// xterm with a content of ours in it.
pub(crate) struct Terminal {
    _process: Process,
    stop: PathBuf,
}

impl Terminal {
    /// Most of the screen, in a font with soft edges.
    pub(crate) fn start(screen: &Screen, kind: &str) -> Outcome<Self> {
        let me = std::env::current_exe()?;
        let stop = screen.dir().join("stop");
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let args = [
            "-geometry",
            "100x44+50+20",
            "-fa",
            "DejaVu Sans Mono",
            "-fs",
            "10",
            "-bg",
            "black",
            "-fg",
            "gray85",
        ];
        let (me, file) = (path(&me), path(&stop));
        let more = ["+sb", "-e", &me, "content", kind, &file];
        let process = screen.spawn("xterm", &[&args[..], &more].concat())?;
        let canvas = screen.canvas()?;
        wait_for(
            "xterm",
            || Ok((!canvas.clients()?.is_empty()).then_some(())),
        )?;
        Ok(Self {
            _process: process,
            stop,
        })
    }

    pub(crate) fn still(&self) -> Outcome<()> {
        Ok(std::fs::write(&self.stop, "")?)
    }
}

/// Something that a thread of ours does until it is told to stop.
pub(crate) struct Repeated {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Outcome<()>>>,
}

impl Repeated {
    /// Calls `step` with 0, 1, 2 … at an even pace.
    pub(crate) fn start(
        rate: f64,
        mut step: impl FnMut(u32) -> Outcome<()> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let begin = Instant::now();
            for n in 0.. {
                let due = begin + Duration::from_secs_f64(f64::from(n) / rate);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                step(n)?;
            }
            Ok(())
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn still(&mut self) -> Outcome<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err("the drawing thread panicked".into()),
            None => Ok(()),
        }
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        // Its error was told, or another one is being told.
        let _ = self.still();
    }
}

/// A wallpaper, and windows on it; one of them is dragged in a circle by its title bar.
pub(crate) fn drag(screen: &Screen, hand: Hand) -> Outcome<Repeated> {
    let canvas = screen.canvas()?;
    canvas.background(
        canvas.root,
        SIZE.0,
        SIZE.1,
        &picture::photo(SIZE.0, SIZE.1, 5),
    )?;
    for (x, y, seed) in [(140, 120, 1), (1000, 420, 2)] {
        let window = canvas.window(x, y, 760, 520, true)?;
        canvas.background(window, 760, 520, &picture::document(760, 520, seed))?;
    }
    let (w, h) = (800, 600);
    let window = canvas.window(500, 200, w, h, true)?;
    let mut content = picture::document(w, h, 3);
    let photo = picture::photo(300, 200, 4);
    for (y, row) in photo.chunks(300).enumerate() {
        content[(y + 40) * usize::from(w) + 450..][..300].copy_from_slice(row);
    }
    canvas.background(window, w, h, &content)?;
    use x11rb::protocol::xproto::ConnectionExt as _;
    let place = canvas
        .link
        .translate_coordinates(window, canvas.root, 0, 0)?
        .reply()?;
    // The title bar is above the content, away from its buttons.
    let (x, y) = (place.dst_x + 300, place.dst_y - 8);
    hand.pointer(x as u16, y as u16, 0)?;
    hand.pointer(x as u16, y as u16, 1)?;
    Ok(Repeated::start(30.0, move |n| {
        // The windows last as long as the connection that made them.
        let _ = &canvas;
        let turn = f64::from(n) / 75.0 * std::f64::consts::TAU;
        let (dx, dy) = (turn.sin() * 400.0, (1.0 - turn.cos()) * 110.0);
        let at = |from: i16, by: f64| (f64::from(from) + by) as u16;
        Ok(hand.pointer(at(x, dx), at(y, dy), 1)?)
    }))
}

/// A slope of colours as the background of the root window.
pub(crate) fn wallpaper(canvas: &Canvas) -> Outcome<()> {
    canvas.background(canvas.root, SIZE.0, SIZE.1, &picture::slope(SIZE.0, SIZE.1))
}

/// Where pictures with stamps are, and when each was drawn.
pub(crate) struct Film {
    pub(crate) motion: Repeated,
    pub(crate) drawn: Arc<Mutex<Vec<Instant>>>,
    pub(crate) place: Place,
    /// The pictures without their stamps; number `n` shows the one at `n` modulo their count.
    pub(crate) pictures: Arc<Vec<Vec<u32>>>,
}

/// A rectangle with stamps in its corners.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) x: u16,
    pub(crate) y: u16,
    pub(crate) w: u16,
    pub(crate) h: u16,
}

/// Distance of a stamp from the edges.
const INSET: u16 = 8;

impl Place {
    /// Top left, top right, bottom left, bottom right, within the rectangle.
    pub(crate) fn corners(&self) -> [(u16, u16); 4] {
        let (right, bottom) = (
            self.w - stamp::WIDTH - INSET,
            self.h - stamp::HEIGHT - INSET,
        );
        [
            (INSET, INSET),
            (right, INSET),
            (INSET, bottom),
            (right, bottom),
        ]
    }

    /// The number that a picture of the screen carries here; `None` when its corners do not agree.
    pub(crate) fn number(&self, screen: &[u32]) -> Option<u32> {
        let width = usize::from(SIZE.0);
        let at = |(x, y): (u16, u16)| {
            stamp::read(
                screen,
                width,
                usize::from(self.x + x),
                usize::from(self.y + y),
            )
        };
        let [first, rest @ ..] = self.corners();
        let number = at(first)?;
        rest.into_iter()
            .all(|corner| at(corner) == Some(number))
            .then_some(number)
    }
}

impl Film {
    /// Shows pictures in a window of their own at `place`, `rate` a second.
    pub(crate) fn start(
        screen: &Screen,
        place: Place,
        rate: f64,
        pictures: Arc<Vec<Vec<u32>>>,
    ) -> Outcome<Self> {
        let canvas = screen.canvas()?;
        let window = canvas.window(place.x as i16, place.y as i16, place.w, place.h, false)?;
        let slices: Vec<&[u32]> = pictures.iter().map(Vec::as_slice).collect();
        let album = canvas.album(place.w, place.h, &slices)?;
        let drawn = Arc::new(Mutex::new(Vec::new()));
        let (times, count) = (Arc::clone(&drawn), pictures.len());
        let motion = Repeated::start(rate, move |n| {
            let slot = n as usize % count;
            for (x, y) in place.corners() {
                for row in 0..stamp::HEIGHT {
                    album.write(slot, x, y + row, &stamp::row(n, row))?;
                }
            }
            times
                .lock()
                .map_err(|_| "a panic elsewhere")?
                .push(Instant::now());
            canvas.put(window, &album, slot, (0, 0))?;
            // The next turn of this slot comes long after the server has read it.
            canvas.sync()
        });
        Ok(Self {
            motion,
            drawn,
            place,
            pictures,
        })
    }
}

/// 720p in the middle of the screen.
pub(crate) const VIDEO: Place = Place {
    x: 320,
    y: 180,
    w: 1280,
    h: 720,
};
/// The whole screen.
pub(crate) const FULL: Place = Place {
    x: 0,
    y: 0,
    w: SIZE.0,
    h: SIZE.1,
};
