//! From a running server to figures.
//!
//! ```text
//!  warm up │ CPU, clock ── measured time ── CPU, clock │ everything stands still ── 2.5 s ── screenshot │ decode
//! ```

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::apps::{Film, Place};
use crate::cpu::Spent;
use crate::replay::{Replay, Shown};
use crate::screen::{Canvas, SIZE};
use crate::server::Server;
use crate::stats::{median, psnr, quantile};
use crate::viewer::{Recording, Viewer};

/// Figures of one run, by name.
pub(crate) type Figures = BTreeMap<&'static str, f64>;

/// How long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) warm: Duration,
    pub(crate) measured: Duration,
}

/// How long a lossless picture may take.
const CONVERGE: Duration = Duration::from_millis(2500);

/// What was measured while something moved.
pub(crate) struct Span {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
    pub(crate) cpu: Duration,
}

impl Span {
    /// Measures from now on.
    pub(crate) fn take(server: &Server, pace: Pace) -> Self {
        let (before, from) = (Spent::now(&server.pids()), Instant::now());
        thread::sleep(pace.measured);
        let (after, to) = (Spent::now(&server.pids()), Instant::now());
        Self {
            from,
            to,
            cpu: before.until(&after),
        }
    }

    pub(crate) fn seconds(&self) -> f64 {
        (self.to - self.from).as_secs_f64()
    }

    pub(crate) fn holds(&self, at: Instant) -> bool {
        at >= self.from && at < self.to
    }

    /// CPU time in percent of one core.
    pub(crate) fn load(&self) -> f64 {
        self.cpu.as_secs_f64() / self.seconds() * 100.0
    }
}

/// A run whose motion has ended.
pub(crate) struct Clip {
    pub(crate) span: Span,
    /// Since then nothing changes.
    still: Instant,
    screenshot: Vec<u32>,
    pub(crate) recordings: Vec<Recording>,
}

/// Warms up, measures, lets the motion end, and waits for the last picture.
pub(crate) fn film(
    server: &Server,
    pace: Pace,
    viewers: Vec<Viewer>,
    still: impl FnOnce() -> Outcome<()>,
) -> Outcome<Clip> {
    thread::sleep(pace.warm);
    let span = Span::take(server, pace);
    still()?;
    let canvas = server.screen.canvas()?;
    let (still, screenshot) = settled(&canvas)?;
    let recordings = viewers.into_iter().map(Viewer::finish).collect();
    Ok(Clip {
        span,
        still,
        screenshot,
        recordings,
    })
}

/// The screen when it has not changed for as long as a viewer may take to show it exactly, and since when: a terminal
/// may still have much to read.
fn settled(canvas: &Canvas) -> Outcome<(Instant, Vec<u32>)> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let (mut since, mut last) = (Instant::now(), canvas.screenshot()?);
    while Instant::now() < deadline {
        // Looking often would take CPU time from the server.
        let look = if since.elapsed() < Duration::from_millis(300) {
            100
        } else {
            2300
        };
        thread::sleep(Duration::from_millis(look));
        let now = canvas.screenshot()?;
        if now != last {
            (since, last) = (Instant::now(), now);
        } else if since.elapsed() >= CONVERGE {
            return Ok((since, now));
        }
    }
    Err("the screen does not come to rest".into())
}

/// What a viewer got of pictures that carry numbers.
pub(crate) struct Numbered {
    /// Number and arrival of each that came whole for the first time, within the span.
    pub(crate) arrivals: Vec<(u32, Instant)>,
    /// PSNR of some of them, where the originals are known.
    pub(crate) psnr: Vec<f64>,
}

impl Clip {
    /// Decodes the first viewer's recording, and counts as frames the updates that changed the picture.
    pub(crate) fn changes(mut self) -> Outcome<Figures> {
        let recording = std::mem::take(&mut self.recordings[0]);
        let mut figures = Figures::new();
        let mut frames = 0u32;
        self.decode(recording, &mut figures, |shown, _| {
            frames += u32::from(shown.changed);
        })?;
        self.per_frame(frames, &mut figures);
        Ok(figures)
    }

    /// The same, and counts as frames the numbered pictures that came whole.
    pub(crate) fn numbered(mut self, place: Place, film: Option<&Film>) -> Outcome<Figures> {
        let recording = std::mem::take(&mut self.recordings[0]);
        let (mut figures, numbered) = self.whole(recording, place, film)?;
        self.per_frame(numbered.arrivals.len() as u32, &mut figures);
        if let Some(film) = film {
            let ages = ages(film, &numbered.arrivals)?;
            figures.insert("age_p50_ms", quantile(&ages, 0.5));
            figures.insert("age_p95_ms", quantile(&ages, 0.95));
        }
        if !numbered.psnr.is_empty() {
            figures.insert("psnr_db", median(&numbered.psnr));
        }
        Ok(figures)
    }

    /// Decodes the first viewer's recording, and shows every update to `look`.
    pub(crate) fn look(mut self, look: impl FnMut(&Shown, &[u32])) -> Outcome<Figures> {
        let recording = std::mem::take(&mut self.recordings[0]);
        let mut figures = Figures::new();
        self.decode(recording, &mut figures, look)?;
        Ok(figures)
    }

    /// The numbered pictures of a recording.
    pub(crate) fn whole(
        &self,
        recording: Recording,
        place: Place,
        film: Option<&Film>,
    ) -> Outcome<(Figures, Numbered)> {
        let mut figures = Figures::new();
        let mut numbered = Numbered {
            arrivals: Vec::new(),
            psnr: Vec::new(),
        };
        let mut last = None;
        self.decode(recording, &mut figures, |shown, picture| {
            let number = place.number(picture);
            if number.is_none() || number == last {
                return;
            }
            last = number;
            let Some(number) = number else { return };
            numbered.arrivals.push((number, shown.at));
            if let Some(film) = film.filter(|_| number % 7 == 0) {
                numbered.psnr.push(noise(film, number, picture));
            }
        })?;
        Ok((figures, numbered))
    }

    /// Decodes everything; `look` sees the updates of the span. Adds what holds for all kinds of recordings.
    fn decode(
        &self,
        recording: Recording,
        figures: &mut Figures,
        mut look: impl FnMut(&Shown, &[u32]),
    ) -> Outcome<()> {
        if let Some(why) = &recording.broken {
            return Err(format!("the viewer lost its connection: {why}").into());
        }
        let mut replay = Replay::new(recording)?;
        let (mut bytes, mut updates, mut pixels, mut copied) = (0, 0u32, 0, 0);
        let mut right_since = None;
        while let Some(shown) = replay.next()? {
            if self.span.holds(shown.at) {
                bytes += shown.bytes;
                updates += 1;
                pixels += shown.pixels;
                copied += shown.copied;
                look(&shown, replay.picture().pixels());
            }
            if shown.at >= self.span.to && (shown.changed || right_since.is_none()) {
                let right = replay.picture().pixels() == self.screenshot;
                right_since = right.then(|| right_since.unwrap_or(shown.at));
            }
        }
        let picture = replay.picture().pixels();
        let wrong = picture
            .iter()
            .zip(&self.screenshot)
            .filter(|(a, b)| a != b)
            .count();
        figures.insert("wrong_px", wrong as f64);
        if wrong == 0 {
            let since = right_since.map_or(Duration::ZERO, |at| {
                at.saturating_duration_since(self.still)
            });
            figures.insert("converged_ms", since.as_secs_f64() * 1000.0);
        }
        let seconds = self.span.seconds();
        figures.insert("mbit_s", bytes as f64 * 8.0 / seconds / 1e6);
        figures.insert("updates_s", f64::from(updates) / seconds);
        figures.insert(
            "copied_pct",
            copied as f64 / (pixels as f64).max(1.0) * 100.0,
        );
        figures.insert("mpix_s", pixels as f64 / seconds / 1e6);
        figures.insert("cpu_pct", self.span.load());
        Ok(())
    }

    fn per_frame(&self, frames: u32, figures: &mut Figures) {
        let (seconds, count) = (self.span.seconds(), f64::from(frames));
        let bytes = figures["mbit_s"] * 1e6 / 8.0 * seconds;
        figures.insert("frames_s", count / seconds);
        figures.insert("cpu_ms", self.span.cpu.as_secs_f64() * 1000.0 / count);
        figures.insert("kb", bytes / 1000.0 / count);
    }
}

/// How old each picture was when it had arrived, in ms.
pub(crate) fn ages(film: &Film, arrivals: &[(u32, Instant)]) -> Outcome<Vec<f64>> {
    let drawn = film.drawn.lock().map_err(|_| "a panic elsewhere")?;
    let age = |(number, at): &(u32, Instant)| {
        let drawn = drawn.get(*number as usize)?;
        Some(at.saturating_duration_since(*drawn).as_secs_f64() * 1000.0)
    };
    Ok(arrivals.iter().filter_map(age).collect())
}

/// How close a picture on the viewer's screen comes to the original, without the rows of the stamps.
fn noise(film: &Film, number: u32, screen: &[u32]) -> f64 {
    let original = &film.pictures[number as usize % film.pictures.len()];
    let (w, h) = (usize::from(film.place.w), usize::from(film.place.h));
    let margin = 32;
    psnr((margin..h - margin).flat_map(|y| {
        let at = (usize::from(film.place.y) + y) * usize::from(SIZE.0) + usize::from(film.place.x);
        let pairs = original[y * w..][..w].iter().zip(&screen[at..at + w]);
        pairs.map(|(a, b)| (*a, *b))
    }))
}
