//! What the servers are put through. Each workload is one function from a freshly started server to figures.

mod churn;
mod latency;
mod many;
mod moving;
mod startup;
mod web;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::Outcome;
use crate::measure::{Figures, Pace};
use crate::picture;
use crate::server::{Kind, Server};

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
    pub(crate) run: Run,
}

/// What a workload starts from.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// A server that runs, on a screen with a window manager.
    Server(fn(&Server, &Setting) -> Outcome<Figures>),
    /// Nothing: it starts everything itself.
    Stack(fn(Kind) -> Outcome<Figures>),
}

impl Workload {
    /// One run.
    pub(crate) fn run(&self, kind: Kind, setting: &Setting) -> Outcome<Figures> {
        match self.run {
            Run::Server(run) => run(&Server::start(kind)?, setting),
            Run::Stack(run) => run(kind),
        }
    }
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
const MBIT: Figure = less("mbit_s", "Mbit/s");
const LATENCY50: Figure = less("latency_p50_ms", "p50 ms");
const LATENCY95: Figure = less("latency_p95_ms", "p95 ms");
const EACH: Figure = more("each_s", "frames/s for each");
const SLOW50: Figure = less("slow_age_p50_ms", "its age p50 ms");
const SLOWMAX: Figure = less("slow_age_max_ms", "its age max ms, on arrival");
const SLOWSHOWN: Figure = less("slow_shown_max_ms", "its age max ms, when replaced");
const SLOWFPS: Figure = more("slow_frames_s", "its frames/s");
const WITH: Figure = less("with_pct", "CPU % with a client");
const WITHOUT: Figure = less("without_pct", "CPU % without");
const FRAME: Figure = less("frame_ms", "first websocket frame ms");
const WINDOW: Figure = less("window_ms", "first window ms");
const CPUS: Figure = less("cpu_s", "CPU s");
const PSS: Figure = less("pss_mb", "PSS MB");
const BEFORE: Figure = less("rss_before_mb", "RSS in the first third, MB");
const AFTER: Figure = less("rss_after_mb", "RSS in the last third, MB");
const GROWTH: Figure = less(
    "growth_4h_mb",
    "growth in 720 visits (4 h), extrapolated, MB",
);

/// A workload in front of a server that runs.
const fn served(
    name: &'static str,
    title: &'static str,
    shown: &'static [Figure],
    run: fn(&Server, &Setting) -> Outcome<Figures>,
) -> Workload {
    Workload {
        name,
        title,
        shown,
        web: false,
        run: Run::Server(run),
    }
}

/// It is measured through websockets too.
const fn and_web(workload: Workload) -> Workload {
    Workload {
        web: true,
        ..workload
    }
}

/// All of them, the ones that tune most first.
pub(crate) const WORKLOADS: &[Workload] = &[
    and_web(served(
        "scroll",
        "terminal scroll, 90 lines/s",
        &[CPU, KB, FPS, LOAD, MBIT, WRONG],
        moving::scroll,
    )),
    served(
        "drag",
        "window drag, 30 moves/s",
        &[CPU, KB, FPS, LOAD, MBIT, WRONG],
        moving::drag,
    ),
    served(
        "web",
        "web page scroll in Chromium",
        &[CPU, KB, FPS, WRONG],
        web::scroll,
    ),
    and_web(served(
        "video",
        "720p30 video",
        &[CPU, KB, FPS, AGE50, AGE95, PSNR, WRONG],
        moving::video,
    )),
    served(
        "photos",
        "5 full-screen photos/s",
        &[CPU, KB, FPS, WRONG],
        moving::photos,
    ),
    and_web(served(
        "latency",
        "key → picture, idle",
        &[LATENCY50, LATENCY95],
        latency::idle,
    )),
    served(
        "latency-video",
        "key → picture, beside a video",
        &[LATENCY50, LATENCY95],
        latency::beside_video,
    ),
    served(
        "typing",
        "typing in xterm, 12 keys/s",
        &[LOAD, KB, FPS, WRONG],
        latency::typing,
    ),
    served(
        "flood",
        "terminal flood, 6000 lines/s",
        &[CPU, KB, FPS, WRONG],
        moving::flood,
    ),
    served(
        "video-tight",
        "720p30 video, lossless Tight",
        &[FPS, LOAD, MBIT, WRONG],
        moving::video_tight,
    ),
    served(
        "video-zrle",
        "720p30 video, ZRLE",
        &[FPS, LOAD, MBIT, WRONG],
        moving::video_zrle,
    ),
    served(
        "video-4",
        "720p30 video, 4 clients",
        &[EACH, LOAD],
        many::video::<4>,
    ),
    served(
        "video-16",
        "720p30 video, 16 clients",
        &[EACH, LOAD],
        many::video::<16>,
    ),
    served(
        "scroll-4",
        "terminal scroll, 4 clients",
        &[EACH, LOAD],
        many::scroll::<4>,
    ),
    served(
        "scroll-16",
        "terminal scroll, 16 clients",
        &[EACH, LOAD],
        many::scroll::<16>,
    ),
    served(
        "slow",
        "video, 200 kB/s beside a fast client",
        &[SLOW50, SLOWMAX, SLOWSHOWN, SLOWFPS, FPS],
        many::slow,
    ),
    served(
        "slow-photos",
        "full-screen photos, 200 kB/s beside a fast client",
        &[SLOW50, SLOWMAX, SLOWSHOWN, SLOWFPS, FPS],
        many::slow_photos,
    ),
    served(
        "slow-lent",
        "full-screen photos, 200 kB/s with a second lent, beside a fast client",
        &[SLOW50, SLOWMAX, SLOWSHOWN, SLOWFPS, FPS],
        many::slow_lent,
    ),
    served(
        "slow-cartoon",
        "full-screen cartoon, 200 kB/s beside a fast client",
        &[SLOW50, SLOWMAX, SLOWSHOWN, SLOWFPS, FPS],
        many::slow_cartoon,
    ),
    served(
        "slow-plain",
        "full-screen cartoon, 200 kB/s without fences, beside a fast client",
        &[SLOW50, SLOWMAX, SLOWSHOWN, SLOWFPS, FPS],
        many::slow_plain,
    ),
    served("idle", "idle", &[WITH, WITHOUT], many::idle),
    Workload {
        name: "startup",
        title: "whole stack with openbox and xterm",
        shown: &[FRAME, WINDOW, CPUS, PSS],
        web: false,
        run: Run::Stack(startup::stack),
    },
    served(
        "memory",
        "viewers that come, resize and go",
        &[BEFORE, AFTER, GROWTH],
        churn::memory,
    ),
];

/// What holds for all runs.
pub(crate) struct Setting {
    pub(crate) pace: Pace,
    /// Viewers that come and go.
    pub(crate) visits: u32,
}

impl Setting {
    pub(crate) fn new(quick: bool) -> Self {
        let seconds = if quick { 3 } else { 6 };
        let pace = Pace {
            warm: Duration::from_millis(1500),
            measured: Duration::from_secs(seconds),
        };
        let visits = if quick { 90 } else { 360 };
        Self { pace, visits }
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

/// A second of cartoon, made once.
fn cartoon() -> Arc<Vec<Vec<u32>>> {
    static CARTOON: OnceLock<Arc<Vec<Vec<u32>>>> = OnceLock::new();
    Arc::clone(CARTOON.get_or_init(|| Arc::new(picture::cartoon(1920, 1080, 24, 7))))
}
