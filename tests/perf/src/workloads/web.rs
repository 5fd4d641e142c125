//! A page of text and photos that is scrolled with the wheel in a browser that fills the screen.

use std::path::Path;

use super::Setting;
use crate::Outcome;
use crate::apps::{FULL, Repeated};
use crate::measure::{Figures, film};
use crate::picture::{self, Random};
use crate::screen::{Process, Screen, wait_for};
use crate::server::Server;
use crate::viewer::{Manner, Taste};

/// Turns of the wheel a second.
const WHEEL: f64 = 20.0;

/// Scrolls down and up.
pub(super) fn scroll(server: &Server, setting: &Setting) -> Outcome<Figures> {
    let _browser = browse(&server.screen)?;
    let viewer = server.viewer(Manner::new(Taste::Quality6))?;
    let hand = viewer.hand();
    hand.pointer(960, 540, 0)?;
    let mut motion = Repeated::start(WHEEL, move |n| {
        let wheel = if n / 60 % 2 == 0 { 1 << 4 } else { 1 << 3 };
        hand.pointer(960, 540, wheel)?;
        Ok(hand.pointer(960, 540, 0)?)
    });
    let clip = film(server, setting.pace, vec![viewer], || motion.still())?;
    clip.numbered(FULL, None)
}

/// Chromium with the page, once it shows its first number.
fn browse(screen: &Screen) -> Outcome<Process> {
    let page = page(screen.dir())?;
    let profile = format!("--user-data-dir={}/profile", screen.dir().display());
    let flags = [
        "--no-sandbox",
        "--kiosk",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-gpu",
        "--disable-extensions",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-features=Translate",
        "--force-device-scale-factor=1",
        "--enable-smooth-scrolling",
        "--window-size=1920,1080",
        "--window-position=0,0",
        "--password-store=basic",
    ];
    let browser = screen.spawn("chromium", &[&flags[..], &[&profile, &page]].concat())?;
    let canvas = screen.canvas()?;
    wait_for("the page in the browser", || {
        Ok(FULL.number(&canvas.screenshot()?))
    })?;
    Ok(browser)
}

/// Writes the page and its photos.
fn page(dir: &Path) -> Outcome<String> {
    let mut random = Random::new(9);
    let mut body = String::new();
    for part in 0..40 {
        body.push_str(&format!("<h2>{}</h2>", sentence(&mut random, 5)));
        if part % 2 == 0 {
            let name = format!("photo{}.jpg", part / 2 % 6);
            body.push_str(&format!("<img src='{name}' width=720 height=480>"));
        }
        for _ in 0..3 {
            body.push_str(&format!("<p>{}</p>", sentence(&mut random, 90)));
        }
    }
    for n in 0..6 {
        let rgb: Vec<u8> = picture::photo(720, 480, 20 + n)
            .iter()
            .flat_map(|p| [(p >> 16) as u8, (p >> 8) as u8, *p as u8])
            .collect();
        let image = turbojpeg::Image {
            pixels: rgb.as_slice(),
            width: 720,
            pitch: 720 * 3,
            height: 480,
            format: turbojpeg::PixelFormat::RGB,
        };
        let file = turbojpeg::compress(image, 90, turbojpeg::Subsamp::None)?;
        std::fs::write(dir.join(format!("photo{n}.jpg")), file)?;
    }
    let html = PAGE.replace("BODY", &body);
    let path = dir.join("page.html");
    std::fs::write(&path, html)?;
    Ok(format!("file://{}", path.display()))
}

fn sentence(random: &mut Random, words: u32) -> String {
    let mut text = String::new();
    for _ in 0..words {
        for _ in 0..2 + random.below(4) {
            let consonant = b"bdfgklmnprstvz"[random.below(14) as usize];
            let vowel = b"aeiou"[random.below(5) as usize];
            text.extend([char::from(consonant), char::from(vowel)]);
        }
        text.push(' ');
    }
    text
}

/// Numbers every frame in which it has scrolled, with stamps as in [`crate::stamp`] in the corners of [`FULL`].
const PAGE: &str = include_str!("page.html");
