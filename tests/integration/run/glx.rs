//! OpenGL for applications: what the X server tells about it without loading a renderer is what it tells with one.

use std::process::Command;
use std::time::Duration;

use deskinit::desktop::connect::Connector;
use x11rb::connection::Connection;

use crate::support::desk::{Builder, Desk, LONG, pid};
use crate::support::draw::screenshot;
use crate::support::eventually;

/// What a client of the display prints.
fn ask(desk: &Desk, program: &str, args: &[&str]) -> String {
    let status = desk.up();
    let out = Command::new(program)
        .args(args)
        .env("DISPLAY", &status.display)
        .env("XAUTHORITY", desk.run_dir().join("Xauthority"))
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{program} {args:?}: {text}");
    text
}

/// What the X server has mapped.
fn maps(desk: &Desk) -> String {
    let server = pid(&desk.up(), "xserver");
    std::fs::read_to_string(format!("/proc/{server}/maps")).expect("it runs")
}

/// Everything but numbers that a server gives as they come.
fn without_numbers(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(' ') {
        Some((number, rest)) if number.starts_with("0x") => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn applications_find_the_opengl_that_mesa_would_have_told_of() {
    let ours = Desk::start(&["xterm"]);
    // Somebody's own choice of a driver is left alone.
    let path = format!("/usr/lib/{}-linux-gnu/dri", std::env::consts::ARCH);
    let mesas = Builder::new(&["xterm"]).env("LIBGL_DRIVERS_PATH", &path);
    let mesas = mesas.start();
    let told = [&ours, &mesas].map(|desk| {
        let text = ask(desk, "glxinfo", &["-t"]);
        let from = text.find("direct rendering: Yes");
        without_numbers(&text[from.unwrap_or_else(|| panic!("{text}"))..])
    });
    assert!(told[0].contains("GLXFBConfigs"), "{}", told[0]);
    assert_eq!(told[0], told[1]);
    assert!(maps(&mesas).contains("libLLVM"));
    let maps = maps(&ours);
    assert!(maps.contains("glx-driver"), "{maps}");
    assert!(!maps.contains("libLLVM"), "{maps}");
}

#[test]
fn an_application_draws_with_opengl_also_after_the_x_server_was_killed() {
    // It draws as fast as it can: not faster than the others like.
    let desk = Builder::new(&["nice", "-n", "19", "glxgears"])
        .env("LP_NUM_THREADS", "0")
        .start();
    let shown = |desk: &Desk| {
        let name = desk.up().display;
        eventually("gears of three colours", LONG, || {
            let connector = Connector::new(&name, Some(desk.run_dir().join("Xauthority"))).ok()?;
            let (link, number) = connector.connect().ok()?;
            let root = link.setup().roots[number].root;
            let frame = screenshot(&link, root);
            let colours = [16, 8, 0].map(|shift| {
                let strong =
                    |p: &&u32| **p >> shift & 0xff > 150 && **p & !(0xff << shift) < 0x50_5050;
                frame.pixels().iter().filter(strong).count()
            });
            colours.iter().all(|n| *n > 500).then_some(())
        });
    };
    shown(&desk);
    let before = desk.up();
    let server = pid(&before, "xserver");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(server),
        nix::sys::signal::Signal::SIGKILL,
    )
    .expect("it runs");
    desk.when("another X server", Duration::from_secs(40), |status| {
        status
            .services
            .iter()
            .any(|s| s.name == "xserver" && s.pid.is_some_and(|pid| pid != server))
    });
    shown(&desk);
    assert!(!maps(&desk).contains("libLLVM"));
}

#[test]
fn a_server_that_is_to_draw_itself_has_a_renderer() {
    let builder = Builder::new(&["xterm"]).env("XSERVER_ARGS", "+iglx");
    assert!(maps(&builder.start()).contains("libLLVM"));
}
