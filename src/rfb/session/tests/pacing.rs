//! What plays and what changes beside it, on fast and on slow links.

use super::*;

/// A video, and a place for text in other tiles.
const VIDEO: Rect = Rect::new(0, 0, 128, 128);
const KEY: Rect = Rect::new(140, 20, 8, 16);

const FRAME: Duration = Duration::from_millis(33);

/// Pixels of the updates that have come.
fn pixels(world: &mut World) -> Vec<u32> {
    let seen = world.seen().into_iter();
    seen.filter_map(|seen| match seen {
        Seen::Update { pixels } if pixels > 0 => Some(pixels),
        _ => None,
    })
    .collect()
}

/// Shows the video for so many pictures.
fn play(world: &mut World, pictures: u32) {
    for n in 0..pictures {
        world.draw(VIDEO, n * 0x10305);
        world.run(FRAME);
    }
}

#[test]
fn what_somebody_typed_comes_before_the_picture_beside_it() {
    for typed in [false, true] {
        let mut world = World::novnc();
        world.continuous(true);
        world.client.asks_again = false;
        play(&mut world, 60);
        world.seen();
        if typed {
            world.say(&[4, 1, 0, 0, 0, 0, 0, 0x61]);
            world.run(10 * TICK);
        }
        world.draw(VIDEO, 0x123456);
        world.draw(KEY, 0x654321);
        world.run(20 * TICK);
        let expected = match typed {
            true => vec![KEY.area(), VIDEO.area()],
            false => vec![VIDEO.area() + KEY.area()],
        };
        assert_eq!(pixels(&mut world), expected);
        assert_eq!(world.client.picture, world.screen);
    }
}

/// Whoever types without a pause gets the video all the same.
#[test]
fn typing_without_end_does_not_stop_a_video() {
    let mut world = World::novnc();
    world.continuous(true);
    play(&mut world, 60);
    world.seen();
    for n in 0..30 {
        world.say(&[4, 1, 0, 0, 0, 0, 0, 0x61]);
        world.draw(VIDEO, n * 0x30201);
        world.draw(KEY, n * 0x10203);
        world.run(FRAME);
    }
    let pictures = pixels(&mut world);
    let videos = pictures.iter().filter(|n| **n >= VIDEO.area()).count();
    assert!(videos >= 25, "{videos} of 30");
}

#[test]
fn pictures_come_evenly_over_a_slow_link() {
    let mut world = World::new(Permission::Full, 1e6, 5 * TICK);
    world.hello(NOVNC);
    world.continuous(true);
    world.client.asks_again = false;
    play(&mut world, 60);
    world.seen();
    let mut times = Vec::new();
    for n in 0..60 {
        world.draw(VIDEO, n * 0x30201);
        for _ in 0..33 {
            world.tick();
            if pixels(&mut world).contains(&VIDEO.area()) {
                times.push(world.now);
            }
        }
    }
    let mut gaps: Vec<Duration> = times.windows(2).map(|w| w[1] - w[0]).collect();
    gaps.sort_unstable();
    // A picture of 64 kB takes 65 ms.
    assert!(times.len() >= 20, "{} pictures in 2 s", times.len());
    let (least, most) = (gaps[0], gaps[gaps.len() - 1]);
    assert!(most < 2 * least, "{least:?} to {most:?}");
    world.converge(2 * SECOND);
}

/// A photo of a whole screen on the other side of an ocean.
#[test]
fn a_long_way_does_not_keep_a_photo_coarse() {
    let mut world = World::new(Permission::Full, 100e6, 50 * TICK);
    world.hello(NOVNC);
    world.continuous(true);
    world.client.asks_again = false;
    world.lossy = true;
    world.resize(1920, 1080, ResizeCause::Server);
    while world.session.stats().pending_pixels > 0 {
        world.tick();
    }
    assert!(world.session.stats().lossy_pixels > 1920 * 1080 / 2);
    world.converge(2 * SECOND);
}

/// Nothing is grabbed for whom nothing can be sent.
#[test]
fn a_full_window_wants_no_frames() {
    let mut world = World::novnc();
    world.continuous(true);
    world.client.asks_again = false;
    world.run(20 * TICK);
    assert!(world.session.wants_frames());
    world.client.answers_fences = false;
    for n in 0..40 {
        world.draw(Rect::sized(200, 150), n * 0x10305);
        world.run(20 * TICK);
    }
    let stats = world.session.stats();
    assert!(stats.in_flight >= stats.window, "{stats:?}");
    assert!(!world.session.wants_frames());
}
