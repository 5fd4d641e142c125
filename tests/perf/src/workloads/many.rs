//! Several viewers at once, and none.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{Setting, cartoon, photos as album, video as pictures};
use crate::Outcome;
use crate::apps::{self, FULL, Film, Place, Terminal, VIDEO};
use crate::measure::{Figures, Pace, Span, ages, film};
use crate::server::Server;
use crate::stats::{median, quantile};
use crate::viewer::{Manner, Rate, Recording, Taste, Viewer};

/// Viewers whose recordings are kept: decoding all sixteen would take long, and tell the same.
const KEPT: usize = 4;

/// A terminal that scrolls before `N` viewers.
pub(super) fn scroll<const N: usize>(server: &Server, setting: &Setting) -> Outcome<Figures> {
    let viewers = connect::<N>(server)?;
    let terminal = Terminal::start(&server.screen, "scroll")?;
    let clip = film(server, setting.pace, viewers, || terminal.still())?;
    let rate = |recording: &Recording| {
        let updates = recording
            .arrivals
            .iter()
            .filter(|a| a.rects > 0 && clip.span.holds(a.at));
        updates.count() as f64 / clip.span.seconds()
    };
    let rates: Vec<f64> = clip.recordings.iter().map(rate).collect();
    let mut figures = clip.changes()?;
    figures.insert("each_s", median(&rates));
    Ok(figures)
}

/// A video before `N` viewers.
pub(super) fn video<const N: usize>(server: &Server, setting: &Setting) -> Outcome<Figures> {
    apps::wallpaper(&server.screen.canvas()?)?;
    let viewers = connect::<N>(server)?;
    let mut shown = Film::start(&server.screen, VIDEO, 30.0, pictures())?;
    let mut clip = film(server, setting.pace, viewers, || shown.motion.still())?;
    let (mut rates, mut figures) = (Vec::new(), Figures::new());
    for recording in std::mem::take(&mut clip.recordings).into_iter().take(KEPT) {
        let (found, numbered) = clip.whole(recording, VIDEO, None)?;
        rates.push(numbered.arrivals.len() as f64 / clip.span.seconds());
        figures = found;
    }
    figures.insert("each_s", median(&rates));
    Ok(figures)
}

fn connect<const N: usize>(server: &Server) -> Outcome<Vec<Viewer>> {
    let manner = |n| Manner {
        record: n < KEPT,
        ..Manner::new(Taste::Quality6)
    };
    (0..N).map(|n| server.viewer(manner(n))).collect()
}

/// What a slow viewer reads.
const SLOW: Rate = Rate::new(200_000);

/// A video before a slow viewer.
pub(super) fn slow(server: &Server, setting: &Setting) -> Outcome<Figures> {
    beside_fast(server, setting, VIDEO, 30.0, pictures(), slow_viewer())
}

/// Photos that fill the screen before a slow viewer.
pub(super) fn slow_photos(server: &Server, setting: &Setting) -> Outcome<Figures> {
    beside_fast(server, setting, FULL, 5.0, album(), slow_viewer())
}

/// The same before one that catches up with a second in which nothing came, as links do whose traffic is shaped.
pub(super) fn slow_lent(server: &Server, setting: &Setting) -> Outcome<Figures> {
    let viewer = Manner {
        rate: Some(Rate {
            credit: Duration::from_secs(1),
            ..SLOW
        }),
        ..slow_viewer()
    };
    beside_fast(server, setting, FULL, 5.0, album(), viewer)
}

/// A cartoon that fills the screen before a slow viewer.
pub(super) fn slow_cartoon(server: &Server, setting: &Setting) -> Outcome<Figures> {
    beside_fast(server, setting, FULL, 24.0, cartoon(), slow_viewer())
}

/// The same before one that says nothing of what it has got but by asking for more.
pub(super) fn slow_plain(server: &Server, setting: &Setting) -> Outcome<Figures> {
    let viewer = Manner {
        taste: Taste::Plain6,
        ..slow_viewer()
    };
    beside_fast(server, setting, FULL, 24.0, cartoon(), viewer)
}

fn slow_viewer() -> Manner {
    Manner {
        rate: Some(SLOW),
        ..Manner::new(Taste::Quality6)
    }
}

/// Before a slow viewer, and another one that reads as fast as it comes.
fn beside_fast(
    server: &Server,
    setting: &Setting,
    place: Place,
    rate: f64,
    pictures: Arc<Vec<Vec<u32>>>,
    slow: Manner,
) -> Outcome<Figures> {
    apps::wallpaper(&server.screen.canvas()?)?;
    let fast = server.viewer(Manner::new(Taste::Quality6))?;
    let slow = server.viewer(slow)?;
    let mut shown = Film::start(&server.screen, place, rate, pictures)?;
    // A congestion window needs some seconds to find its size.
    let pace = Pace {
        warm: Duration::from_secs(4),
        measured: setting.pace.measured * 2,
    };
    let mut clip = film(server, pace, vec![fast, slow], || shown.motion.still())?;
    let recording = clip.recordings.remove(1);
    let (slow, numbered) = clip.whole(recording, place, None)?;
    let arrival = ages(&shown, &numbered.arrivals)?;
    // How old the newest picture has become when the next one takes its place.
    let shown_until = numbered
        .arrivals
        .windows(2)
        .map(|pair| (pair[0].0, pair[1].1));
    let replaced = ages(&shown, &shown_until.collect::<Vec<_>>())?;
    let mut figures = clip.numbered(place, Some(&shown))?;
    figures.insert("slow_age_p50_ms", quantile(&arrival, 0.5));
    figures.insert("slow_age_max_ms", quantile(&arrival, 1.0));
    figures.insert("slow_shown_max_ms", quantile(&replaced, 1.0));
    figures.insert(
        "slow_frames_s",
        arrival.len() as f64 / pace.measured.as_secs_f64(),
    );
    figures.insert("slow_kb_s", slow["mbit_s"] * 125.0);
    Ok(figures)
}

/// Nothing happens: with a viewer, and without.
pub(super) fn idle(server: &Server, setting: &Setting) -> Outcome<Figures> {
    let _terminal = Terminal::start(&server.screen, "echo")?;
    let viewer = server.viewer(Manner::new(Taste::Quality6))?;
    // What was lossy is refined meanwhile.
    thread::sleep(Duration::from_secs(3));
    let with = Span::take(server, setting.pace).load();
    viewer.finish();
    thread::sleep(Duration::from_secs(1));
    let without = Span::take(server, setting.pace).load();
    Ok(Figures::from([
        ("with_pct", with),
        ("without_pct", without),
    ]))
}
