//! Viewers that come, resize and go while a video runs: does the server's memory grow?

use std::thread;
use std::time::Duration;

use super::{Setting, video as pictures};
use crate::Outcome;
use crate::apps::{Film, VIDEO};
use crate::cpu::rss;
use crate::measure::Figures;
use crate::server::Server;
use crate::stats::median;
use crate::viewer::{Manner, Taste};

/// Visits that fill caches and pools, before memory is looked at.
const WARM: u32 = 12;
/// Visits in four hours when somebody comes, or resizes, every twenty seconds.
const FOUR_HOURS: f64 = 720.0;

/// Memory in the first third of the visits and in the last, and what its growth would be after as many visits as four hours
/// may see. Medians: between two visits a server has more or less in hand, by as much as two pictures.
pub(super) fn memory(server: &Server, setting: &Setting) -> Outcome<Figures> {
    let _film = Film::start(&server.screen, VIDEO, 30.0, pictures())?;
    let visits = setting.visits;
    let mut seen = Vec::new();
    for visit in 0..WARM + visits {
        let taste = [Taste::Quality6, Taste::Zrle, Taste::LosslessTight][visit as usize % 3];
        let viewer = server.viewer(Manner {
            record: false,
            ..Manner::new(taste)
        })?;
        // Servers that cannot resize say so, and that is all.
        viewer.resize(1600, 900)?;
        thread::sleep(Duration::from_millis(60));
        viewer.resize(1920, 1080)?;
        thread::sleep(Duration::from_millis(60));
        let recording = viewer.finish();
        if let Some(why) = recording.broken {
            return Err(format!("visit {visit}: {why}").into());
        }
        if visit >= WARM {
            seen.push(rss(server.pid) as f64 / 1e6);
        }
    }
    let third = seen.len() / 3;
    let (before, after) = (median(&seen[..third]), median(&seen[seen.len() - third..]));
    let growth = (after - before) / (f64::from(visits) * 2.0 / 3.0) * FOUR_HOURS;
    Ok(Figures::from([
        ("rss_before_mb", before),
        ("rss_after_mb", after),
        ("growth_4h_mb", growth),
    ]))
}
