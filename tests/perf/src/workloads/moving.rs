//! One viewer before something that moves.

use super::{Setting, photos as album, video as pictures};
use crate::Outcome;
use crate::apps::{self, FULL, Film, Place, Terminal, VIDEO};
use crate::measure::{Figures, film};
use crate::server::Server;
use crate::viewer::{Manner, Taste};

/// A terminal that scrolls.
pub(super) fn scroll(server: &Server, setting: &Setting) -> Outcome<Figures> {
    let viewer = server.viewer(Manner::new(Taste::Quality6))?;
    let terminal = Terminal::start(&server.screen, "scroll")?;
    film(server, setting.pace, vec![viewer], || terminal.still())?.changes()
}

/// A terminal that gets much more than can be shown.
pub(super) fn flood(server: &Server, setting: &Setting) -> Outcome<Figures> {
    let viewer = server.viewer(Manner::new(Taste::Quality6))?;
    let terminal = Terminal::start(&server.screen, "flood")?;
    film(server, setting.pace, vec![viewer], || terminal.still())?.changes()
}

/// A window that is dragged.
pub(super) fn drag(server: &Server, setting: &Setting) -> Outcome<Figures> {
    let viewer = server.viewer(Manner::new(Taste::Quality6))?;
    let mut motion = apps::drag(&server.screen, viewer.hand())?;
    film(server, setting.pace, vec![viewer], || motion.still())?.changes()
}

/// A video on a wallpaper.
pub(super) fn video(server: &Server, setting: &Setting) -> Outcome<Figures> {
    show(server, setting, Taste::Quality6, VIDEO, 30.0)
}

/// A video of which nothing may be lost, as Tight.
pub(super) fn video_tight(server: &Server, setting: &Setting) -> Outcome<Figures> {
    show(server, setting, Taste::LosslessTight, VIDEO, 30.0)
}

/// A video of which nothing may be lost, as ZRLE.
pub(super) fn video_zrle(server: &Server, setting: &Setting) -> Outcome<Figures> {
    show(server, setting, Taste::Zrle, VIDEO, 30.0)
}

/// Photos that fill the screen.
pub(super) fn photos(server: &Server, setting: &Setting) -> Outcome<Figures> {
    show(server, setting, Taste::Quality6, FULL, 5.0)
}

fn show(
    server: &Server,
    setting: &Setting,
    taste: Taste,
    place: Place,
    rate: f64,
) -> Outcome<Figures> {
    apps::wallpaper(&server.screen.canvas()?)?;
    let pictures = if place.w == FULL.w {
        album()
    } else {
        pictures()
    };
    let viewer = server.viewer(Manner::new(taste))?;
    let mut shown = Film::start(&server.screen, place, rate, pictures)?;
    let clip = film(server, setting.pace, vec![viewer], || shown.motion.still())?;
    clip.numbered(place, Some(&shown))
}
