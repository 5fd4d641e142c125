//! Who watches pays; who does not, does not. And the first picture is that of now.

use std::time::Duration;

use super::resize::viewer;
use super::{SOON, Stage, differences, idle, shows};
use crate::support::client::Event;
use crate::support::decode::number;
use crate::support::draw::{Painter, Random};
use crate::support::eventually;
use crate::support::pictures::picture;
use crate::support::xvfb;
use deskinit::pixel::Rect;

fn grabs(stage: &Stage) -> u64 {
    stage.serve.api()["display"]["grabs"]
        .as_u64()
        .expect("a figure")
}

fn scribble(stage: &Stage, random: &mut Random) {
    let painter = Painter::on(&stage.link, stage.root);
    for _ in 0..20 {
        painter.scribble(random, 640, 480);
        xvfb::sync(&stage.link);
    }
}

#[test]
fn nothing_is_captured_without_viewers() {
    let stage = Stage::new((640, 480), &[]);
    let mut random = Random::new(1);
    let before = grabs(&stage);
    scribble(&stage, &mut random);
    assert_eq!(grabs(&stage), before);
    let mut client = viewer(&stage);
    scribble(&stage, &mut random);
    stage.follow(&mut client);
    assert!(grabs(&stage) > before);
    drop(client);
    stage.serve.viewers(0);
    // One frame may still have been wanted by the one that went.
    scribble(&stage, &mut random);
    scribble(&stage, &mut random);
    let before = grabs(&stage);
    scribble(&stage, &mut random);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(grabs(&stage), before);
}

/// Dashboards are built on them.
#[test]
fn metrics_keep_their_names() {
    let stage = Stage::new((640, 480), &[]);
    let mut client = viewer(&stage);
    scribble(&stage, &mut Random::new(5));
    stage.follow(&mut client);
    let text = stage.serve.get("/metrics").body;
    let figure = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.trim().parse().ok());
        value.unwrap_or_else(|| panic!("{name} in {text}"))
    };
    for name in [
        "connections_total",
        "connections_refused_total",
        "authentication_failures_total",
        "sessions_total",
        "updates_total",
        "sent_bytes_total",
        "received_bytes_total",
        "grabs_total",
        "encode_seconds_total",
        "grab_seconds_total",
        "diff_seconds_total",
        "frame_age_seconds_sum",
        "viewers",
        "idle_seconds",
        "display_up",
        "windows",
        "screen_width_pixels",
        "screen_height_pixels",
    ] {
        figure(&format!("deskinit_{name} "));
    }
    let ages = figure("deskinit_frame_age_seconds_count ");
    assert!(ages >= 1.0);
    assert_eq!(
        figure("deskinit_frame_age_seconds_bucket{le=\"+Inf\"} "),
        ages
    );
    assert!(figure("deskinit_frame_age_seconds_bucket{le=\"0.02\"} ") <= ages);
}

#[test]
fn the_first_picture_is_that_of_now() {
    let stage = Stage::new((640, 480), &[]);
    let mut random = Random::new(2);
    let mut steady = None;
    for round in 0..8 {
        // Half of the time somebody else watches.
        if round == 4 {
            steady = Some(viewer(&stage));
        }
        let mut before = viewer(&stage);
        stage.follow(&mut before);
        drop(before);
        stage.serve.viewers(u64::from(steady.is_some()));
        if round == 1 {
            // So long that the capture knows that nobody watches.
            std::thread::sleep(Duration::from_millis(1100));
        }
        scribble(&stage, &mut random);
        stage.put(&picture(200, 150, round, 9), 100, 100);
        let screen = stage.screen();
        let mut client = stage.serve.viewer();
        client.set_encodings(&[number::ZRLE]).expect("connected");
        client.request_all(false).expect("connected");
        let update = client.update(SOON).expect("a picture");
        assert!(!update.drawn.is_empty());
        assert!(
            shows(&client, &screen),
            "round {round}: {}",
            differences(&client, &screen)
        );
    }
}

#[test]
fn a_quiet_screen_costs_nothing() {
    let stage = Stage::new((1280, 1024), &[]);
    stage.put(&picture(1280, 1024, 5, 40), 0, 0);
    let mut client = viewer(&stage);
    client
        .continuous_updates(true, Rect::sized(1280, 1024))
        .expect("connected");
    stage.follow(&mut client);
    idle(&mut client, Duration::from_millis(1500));
    let (cpu, grabbed) = (stage.serve.cpu(), grabs(&stage));
    assert_eq!(idle(&mut client, Duration::from_secs(3)), 0, "no frames");
    let used = stage.serve.cpu() - cpu;
    assert_eq!(grabs(&stage), grabbed);
    println!("idle with a viewer: {used:?} of CPU in 3 s");
    // 0.5 % would be 15 ms: clock ticks are 10 ms, and asking for the figures costs some, too.
    assert!(used <= Duration::from_millis(40), "{used:?}");
}

#[test]
fn the_status_tells_how_each_viewer_fares() {
    let stage = Stage::new((640, 480), &[]);
    let mut client = viewer(&stage);
    let all = Rect::sized(640, 480);
    client.continuous_updates(true, all).expect("connected");
    let mut random = Random::new(3);
    let status = eventually("rates", SOON, || {
        scribble(&stage, &mut random);
        while client
            .event(Duration::from_millis(20))
            .expect("connected")
            .is_some()
        {}
        let status = stage.serve.api();
        let viewer = &status["clients"][0];
        let flowing = viewer["updates_per_second"].as_f64()? > 0.0;
        (flowing && viewer["round_trip_ms"].is_number()).then_some(status)
    });
    let viewer = &status["clients"][0];
    assert_eq!(status["viewers"], 1);
    assert_eq!(viewer["encoding"], "Tight");
    assert_eq!(viewer["via"], "vnc");
    assert_eq!(viewer["bits_per_pixel"], 32);
    assert_eq!(viewer["continuous_updates"], true);
    assert!(viewer["bytes"].as_u64().expect("bytes") > 1000, "{viewer}");
    // Each way of encoding with what it took; together they are what went.
    let ways = viewer["ways"].as_object().expect("ways");
    let sum = |field: &str| {
        ways.values()
            .filter_map(|way| way[field].as_u64())
            .sum::<u64>()
    };
    let number = |field: &str| viewer[field].as_u64().expect("a number");
    let pixels = number("pixels") + number("refreshed_pixels");
    assert!(sum("pixels") >= pixels, "{viewer}");
    assert!(sum("rectangles") <= number("rectangles"), "{viewer}");
    assert!(
        sum("bytes") > 0 && sum("bytes") < number("bytes"),
        "{viewer}"
    );
    let text = status.to_string();
    assert!(
        !text.contains("s3cret") && !text.contains("\"peer\""),
        "{text}"
    );
    // It comes to rest, and so do the figures.
    let rests = |e: &Event| matches!(e, Event::Bell).then_some(());
    eventually("no rates", SOON, || {
        let _ = client.wait(Duration::from_millis(200), rests);
        let rate = stage.serve.api()["clients"][0]["updates_per_second"].as_f64()?;
        (rate == 0.0).then_some(())
    });
}
