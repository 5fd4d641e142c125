//! The size: asked for, changed from outside while something draws, in storms, and limited.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use deskinit::desktop::ResizeError;
use deskinit::pixel::Rect;

use super::Viewer;
use super::in_place::in_memory;
use crate::support::draw::{Painter, Random};
use crate::support::xvfb::{Config, XServer, sync};

fn resizes(server: &XServer, growing: bool) {
    let mut viewer = Viewer::of(server);
    let (link, root) = server.connect();
    let painter = Painter::on(&link, root);
    let mut random = Random::new(5);
    let mut sizes = vec![
        (800, 600),
        (1024, 700),
        (801, 601),
        (1280, 1024),
        (641, 1000),
    ];
    if growing {
        sizes.push((1600, 1200));
    }
    for (width, height) in sizes {
        for _ in 0..5 {
            painter.scribble(&mut random, width, height);
        }
        viewer.desktop.request_frame();
        assert_eq!(viewer.resize(width, height), Ok(()));
        assert_eq!(viewer.screen.bounds(), Rect::sized(width, height));
        painter.scribble(&mut random, width, height);
        sync(&link);
        viewer.converge(server);
        let status = viewer.desktop.status();
        assert_eq!((status.width, status.height), (width, height));
    }
    // From outside, while something draws.
    let output = if growing { "VNC-0" } else { "screen" };
    for (width, height) in [(800, 600), (1024, 768), (640, 480)] {
        let name = format!("test-{width}x{height}");
        let (w, h) = (width.to_string(), height.to_string());
        xrandr(
            server,
            &["--newmode", &name, "60", &w, &w, &w, &w, &h, &h, &h, &h],
        );
        xrandr(server, &["--addmode", output, &name]);
        painter.scribble(&mut random, 640, 480);
        viewer.desktop.request_frame();
        xrandr(server, &["--output", output, "--mode", &name]);
        for _ in 0..5 {
            painter.scribble(&mut random, 640, 480);
        }
        sync(&link);
        viewer.converge(server);
        let now = (viewer.picture.width(), viewer.picture.height());
        assert_eq!(now, (width, height));
    }
    let refused = viewer.resize(40_000, 40_000);
    assert!(
        matches!(refused, Err(ResizeError::OutOfRange { .. })),
        "{refused:?}"
    );
    assert!(viewer.resize(0, 10).is_err());
    viewer.converge(server);
}

/// Does something at the end of its life.
struct Defer<F: Fn()>(F);

impl<F: Fn()> Drop for Defer<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A storm of sizes while another program draws without pause.
fn storm(server: &XServer) {
    let mut viewer = Viewer::of(server);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        // Also when something below fails, or the scope would wait for ever.
        let _end = Defer(|| ended.store(true, Ordering::Relaxed));
        scope.spawn(|| {
            let (link, root) = server.connect();
            let painter = Painter::on(&link, root);
            let mut random = Random::new(7);
            while !ended.load(Ordering::Relaxed) {
                painter.scribble(&mut random, 1280, 1024);
                sync(&link);
            }
        });
        let mut random = Random::new(8);
        for _ in 0..40 {
            // Xvnc has no screens smaller than 32 by 32.
            let size = (32 + random.below_u16(1249), 32 + random.below_u16(993));
            viewer.desktop.request_frame();
            assert_eq!(viewer.resize(size.0, size.1), Ok(()));
            viewer.follow();
            let now = (viewer.picture.width(), viewer.picture.height());
            assert_eq!(now, size);
        }
    });
    viewer.converge(server);
}

#[test]
fn xvfb_survives_a_storm_of_sizes() {
    storm(&XServer::start());
    storm(&XServer::with(in_memory()));
}

#[test]
fn xvnc_survives_a_storm_of_sizes() {
    storm(&XServer::with(Config::xvnc()));
}

fn xrandr(server: &XServer, args: &[&str]) {
    let done = server.command("xrandr").args(args).status();
    assert!(done.expect("xrandr is installed").success(), "{args:?}");
}

#[test]
fn xvfb_is_resized_under_drawing() {
    resizes(&XServer::start(), false);
    resizes(&XServer::with(in_memory()), false);
}

#[test]
fn xvnc_is_resized_under_drawing() {
    resizes(&XServer::with(Config::xvnc()), true);
}

#[test]
fn the_settings_limit_the_size() {
    let server = XServer::start();
    let viewer = Viewer::with(&server, |o| {
        o.max_size = (1000, 900);
        o.size = Some((900, 800));
    });
    assert_eq!(viewer.screen.bounds(), Rect::sized(900, 800));
    assert!(matches!(
        viewer.resize(1001, 10),
        Err(ResizeError::OutOfRange {
            max: (1000, 900),
            ..
        })
    ));
}
