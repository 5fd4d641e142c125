//! What the servers are put through. Each workload is one function from a freshly started server to figures.

mod moving;
mod web;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::Outcome;
use crate::measure::{Figures, Pace};
use crate::picture;
use crate::server::Server;

/// A workload.
pub(crate) struct Workload {
    /// As on the command line.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    /// Figures to show, the most important first.
    pub(crate) shown: &'static [Figure],
    /// Whether the websocket variants are measured too when nobody chose.
    pub(crate) web: bool,
    pub(crate) run: fn(&Server, &Setting) -> Outcome<Figures>,
}

/// A figure in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// More is better; otherwise less is.
    pub(crate) more: bool,
}

const fn less(key: &'static str, title: &'static str) -> Figure {
    Figure {
        key,
        title,
        more: false,
    }
}

const fn more(key: &'static str, title: &'static str) -> Figure {
    Figure {
        key,
        title,
        more: true,
    }
}

const CPU: Figure = less("cpu_ms", "CPU ms/frame");
const KB: Figure = less("kb", "kB/frame");
const FPS: Figure = more("frames_s", "frames/s");
const LOAD: Figure = less("cpu_pct", "CPU %");
const AGE50: Figure = less("age_p50_ms", "age p50 ms");
const AGE95: Figure = less("age_p95_ms", "age p95 ms");
const PSNR: Figure = more("psnr_db", "PSNR dB");
const WRONG: Figure = less("wrong_px", "wrong pixels at rest");

/// All of them, the ones that tune most first.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "scroll",
        title: "terminal scroll, 90 lines/s",
        shown: &[CPU, KB, FPS, WRONG],
        web: true,
        run: moving::scroll,
    },
    Workload {
        name: "drag",
        title: "window drag, 30 moves/s",
        shown: &[CPU, KB, FPS, WRONG],
        web: false,
        run: moving::drag,
    },
    Workload {
        name: "web",
        title: "web page scroll in Chromium",
        shown: &[CPU, KB, FPS, WRONG],
        web: false,
        run: web::scroll,
    },
    Workload {
        name: "video",
        title: "720p30 video",
        shown: &[CPU, KB, FPS, AGE50, AGE95, PSNR, WRONG],
        web: true,
        run: moving::video,
    },
    Workload {
        name: "photos",
        title: "5 full-screen photos/s",
        shown: &[CPU, KB, FPS, WRONG],
        web: false,
        run: moving::photos,
    },
];

/// What holds for all runs.
pub(crate) struct Setting {
    pub(crate) pace: Pace,
}

impl Setting {
    pub(crate) fn new(quick: bool) -> Self {
        let seconds = if quick { 3 } else { 6 };
        let pace = Pace {
            warm: Duration::from_millis(1500),
            measured: Duration::from_secs(seconds),
        };
        Self { pace }
    }
}

/// Two seconds of video, made once.
fn video() -> Arc<Vec<Vec<u32>>> {
    static VIDEO: OnceLock<Arc<Vec<Vec<u32>>>> = OnceLock::new();
    Arc::clone(VIDEO.get_or_init(|| Arc::new(picture::video(1280, 720, 60, 1))))
}

/// Ten photos, made once.
fn photos() -> Arc<Vec<Vec<u32>>> {
    static PHOTOS: OnceLock<Arc<Vec<Vec<u32>>>> = OnceLock::new();
    let make = || {
        (0..10)
            .map(|n| picture::photo(1920, 1080, 50 + n))
            .collect()
    };
    Arc::clone(PHOTOS.get_or_init(|| Arc::new(make())))
}
