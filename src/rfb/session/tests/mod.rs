//! Sessions on a virtual clock, from both sides.

mod hostile;
mod pacing;
#[cfg(feature = "h264")]
mod video;
mod world;

use proptest::prelude::*;

use super::*;
use crate::pixel::Channel;
use crate::rfb::clipboard::{self, flag};
use crate::rfb::encodings::number;
use world::{NOVNC, Seen, TICK, World};

const SECOND: Duration = Duration::from_secs(1);

fn is_update(seen: &Seen) -> bool {
    matches!(seen, Seen::Update { .. })
}

#[test]
fn the_first_picture() {
    let mut world = World::novnc();
    let seen = world.seen();
    let caps = Seen::Clipboard {
        flags: 0x1f00_0001,
        data: vec![0; 4],
    };
    assert_eq!(
        seen[0],
        Seen::EndOfContinuous,
        "continuous updates are known"
    );
    assert_eq!(seen[1], caps);
    let size = Seen::Size {
        x: 0,
        y: 0,
        w: 200,
        h: 150,
    };
    assert_eq!(seen[2..4], [size, Seen::Update { pixels: 0 }]);
    let pseudo: Vec<i32> = seen
        .iter()
        .filter_map(|s| match s {
            Seen::Pseudo { number, .. } => Some(*number),
            _ => None,
        })
        .collect();
    assert_eq!(
        pseudo,
        [number::QEMU_KEY, number::EXTENDED_MOUSE_BUTTONS],
        "what is unknown (cursor, lights) is not told"
    );
    let pixels: Vec<u32> = seen
        .iter()
        .filter_map(|s| match s {
            Seen::Update { pixels } => Some(*pixels),
            _ => None,
        })
        .collect();
    // What is too much for a link of which nothing is known goes in two.
    assert_eq!(pixels.iter().sum::<u32>(), 200 * 150);
    assert!(pixels.len() <= 3, "{pixels:?}");
    assert_eq!(world.effects, [Effect::Notice(Notice::Listed)]);
    assert!(world.session.stats().round_trip.is_some());
}

#[test]
fn on_request_and_not_otherwise() {
    let mut world = World::new(Permission::Full, 100e6, TICK);
    world.client.asks_again = false;
    world.encodings(&[0]);
    world.draw(Rect::sized(10, 10), 0x112233);
    world.run(SECOND);
    assert_eq!(world.seen(), []);
    assert!(!world.session.wants_frames());
    world.request(true);
    world.run(SECOND);
    assert_eq!(world.seen(), [Seen::Update { pixels: 200 * 150 }]);
    world.draw(Rect::sized(10, 10), 0x445566);
    world.run(SECOND);
    assert_eq!(world.seen(), [], "one answer to one request");
    world.request(true);
    world.run(SECOND);
    assert_eq!(world.seen(), [Seen::Update { pixels: 100 }]);
    world.request(true);
    world.run(SECOND);
    assert_eq!(world.seen(), [], "nothing changed");
    assert!(world.session.wants_frames());
    world.draw(Rect::new(5, 5, 2, 3), 0x778899);
    world.run(10 * TICK);
    assert_eq!(world.seen(), [Seen::Update { pixels: 6 }]);
    world.request(false);
    world.run(10 * TICK);
    assert_eq!(world.seen(), [Seen::Update { pixels: 200 * 150 }]);
}

#[test]
fn continuous_updates_come_by_themselves_and_end_when_told() {
    let mut world = World::novnc();
    world.client.asks_again = false;
    world.continuous(true);
    world.run(50 * TICK);
    world.seen();
    for i in 0..5 {
        world.draw(Rect::new(i, i, 1, 1), 0xabcdef);
        world.run(20 * TICK);
    }
    assert_eq!(world.seen().iter().filter(|s| is_update(s)).count(), 5);
    world.continuous(false);
    world.run(20 * TICK);
    assert_eq!(world.seen(), [Seen::EndOfContinuous]);
    world.draw(Rect::sized(9, 9), 1);
    world.run(20 * TICK);
    assert_eq!(world.seen(), []);
}

/// A video to a slow link: little is in flight, what arrives is new, the client that reads slowly costs no memory.
#[test]
fn a_slow_client_gets_fewer_and_newer_pictures() {
    let mut world = World::new(Permission::Full, 400e3, 20 * TICK);
    world.hello(NOVNC);
    world.continuous(true);
    world.run(SECOND);
    world.seen();
    for i in 0..300 {
        world.draw(Rect::sized(200, 150), i * 0x10101);
        world.run(20 * TICK);
        assert!(world.session.stats().in_flight < 400_000);
    }
    // Pictures that are too large for the link and cannot be coarser go in parts.
    let pixels = world.seen().into_iter().map(|seen| match seen {
        Seen::Update { pixels } => pixels,
        _ => 0,
    });
    let pictures = f64::from(pixels.sum::<u32>()) / (200.0 * 150.0);
    // What the link had saved up while it was idle are three more.
    assert!((12.0..=24.0).contains(&pictures), "{pictures} of about 20");
    assert!(world.most_output < 400_000, "{}", world.most_output);
    // One whole picture takes 0.3 s on this link.
    let took = world.converge(2 * SECOND);
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn lossy_pictures_converge_whoever_types() {
    for (interactive, continuous) in [(false, true), (false, false), (true, true)] {
        let mut world = World::novnc();
        world.lossy = true;
        if continuous {
            world.continuous(true);
            world.client.asks_again = false;
        }
        world.draw(Rect::sized(200, 150), 0x345678);
        let mut took = Duration::ZERO;
        while world.client.picture != world.screen {
            if interactive {
                world.say(&[5, 0, 0, 1, 0, 1]);
            }
            world.tick();
            took += TICK;
            assert!(took < 2 * SECOND, "{:?}", world.session.stats());
        }
        assert!(took > Duration::from_millis(299), "{took:?}");
        assert_eq!(world.session.stats().lossy_pixels, 0);
    }
}

/// What stands still beside a video comes again without loss all the same, and what moves does not.
#[test]
fn refreshing_beside_a_video() {
    let mut world = World::novnc();
    world.lossy = true;
    world.continuous(true);
    world.draw(Rect::sized(200, 150), 0x345678);
    let video = Rect::new(0, 0, 64, 64);
    for i in 0..60 {
        world.draw(video, i * 0x10305);
        world.run(30 * TICK);
    }
    assert_eq!(world.session.stats().lossy_pixels, 64 * 64);
    assert_eq!(world.session.stats().refreshed_pixels, 200 * 150 - 64 * 64);
    world.converge(SECOND);
}

/// Several scrolls between two updates are as many copies; what was lossy stays lossy where it went, until it is still.
#[test]
fn scrolls_are_copied() {
    let mut world = World::novnc();
    world.lossy = true;
    world.continuous(true);
    world.draw(Rect::sized(200, 150), 0x345678);
    world.run(100 * TICK);
    world.seen();
    for _ in 0..3 {
        world.copy(Rect::new(0, 10, 200, 140), Point::default());
        world.draw(Rect::new(0, 140, 200, 10), 0x112233);
    }
    world.run(50 * TICK);
    assert_eq!(world.client.copied, 3 * 200 * 140);
    assert_eq!(world.session.stats().ways.copy.pixels, 3 * 200 * 140);
    assert_eq!(world.session.stats().lossy_pixels, 200 * 150);
    let pixels = 200 * 30;
    assert_eq!(world.seen(), [Seen::Update { pixels }], "the rest once");
    world.converge(2 * SECOND);
    // Who watches only a part may not have the source.
    world.client.asks_again = false;
    world.continuous(false);
    world.run(20 * TICK);
    world.say(&[3, 1, 0, 0, 0, 0, 0, 100, 0, 100]);
    world.copy(Rect::new(100, 0, 50, 50), Point::default());
    world.run(20 * TICK);
    assert_eq!(world.client.copied, 3 * 200 * 140);
    world.request(true);
    world.converge(2 * SECOND);
}

#[test]
fn sizes() {
    let mut world = World::novnc();
    world.seen();
    // The desktop's own change.
    world.resize(300, 100, ResizeCause::Server);
    world.run(50 * TICK);
    let size = |x, y, w, h| Seen::Size { x, y, w, h };
    assert_eq!(world.seen()[0], size(0, 0, 300, 100));
    assert_eq!(world.client.picture, world.screen);
    // A wish of the client's, granted, and one refused.
    let wish = |w: u8, h: u8| {
        let mut bytes = vec![251, 0, 0, w, 0, h, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([0, w, 0, h, 0, 0, 0, 0]);
        bytes
    };
    world.effects.clear();
    world.say(&wish(120, 130));
    world.run(50 * TICK);
    let (width, height) = (120, 130);
    assert_eq!(world.effects, [Effect::Resize { width, height }]);
    assert_eq!(world.seen(), []);
    world.resize(120, 130, ResizeCause::Client(ResizeStatus::Done));
    world.run(50 * TICK);
    assert_eq!(world.seen()[0], size(1, 0, 120, 130));
    assert_eq!(world.client.picture, world.screen);
    world.say(&wish(0, 130));
    world.run(50 * TICK);
    assert_eq!(world.seen()[0], size(1, 3, 120, 130));
    world.say(&wish(250, 250));
    world.run(50 * TICK);
    let refusal = ResizeCause::Client(ResizeStatus::OutOfResources);
    world.session.resized(120, 130, refusal);
    world.run(50 * TICK);
    assert_eq!(world.seen()[0], size(1, 2, 120, 130));
}

#[test]
fn clients_that_cannot_follow_keep_their_size() {
    let mut world = World::new(Permission::Full, 100e6, TICK);
    world.hello(&[0]);
    world.resize(100, 400, ResizeCause::Server);
    world.run(SECOND);
    // The client asserts that nothing lies outside of its picture.
    for (y, row) in (0..150).map(|y| (y, world.screen.row(y))) {
        assert_eq!(world.client.picture.row(y)[..100], *row);
    }
}

/// What lies beyond the client's picture changes nothing for what it shows.
#[test]
fn clients_that_cannot_follow_get_all_of_their_part_without_loss() {
    let mut world = World::new(Permission::Full, 100e6, TICK);
    world.hello(&[0, -26]);
    world.lossy = true;
    world.resize(400, 400, ResizeCause::Server);
    world.run(3 * SECOND);
    for y in 0..150 {
        assert_eq!(world.client.picture.row(y), &world.screen.row(y)[..200]);
    }
}

#[test]
fn small_things() {
    let mut world = World::novnc();
    world.seen();
    let image = Arc::new(CursorImage {
        width: 1,
        height: 1,
        hot: Point::default(),
        rgba: vec![9, 8, 7, 255],
    });
    world.session.cursor(Arc::clone(&image));
    world.session.bell();
    world.session.bell();
    world.session.name("new");
    world.session.leds(Leds {
        caps: true,
        ..Leds::default()
    });
    world.run(20 * TICK);
    let pseudo = |number, data: &[u8]| Seen::Pseudo {
        number,
        rect: Rect {
            w: u16::from(number == number::VMWARE_CURSOR),
            h: u16::from(number == number::VMWARE_CURSOR),
            ..Rect::default()
        },
        data: data.to_vec(),
    };
    assert_eq!(
        world.seen(),
        [
            Seen::Bell,
            pseudo(number::QEMU_LED, &[4]),
            pseudo(number::DESKTOP_NAME, b"\0\0\0\x03new"),
            pseudo(number::VMWARE_CURSOR, &[1, 0, 9, 8, 7, 255]),
            Seen::Update { pixels: 0 }
        ]
    );
    // The same again is no news.
    world.session.cursor(image);
    world.session.name("new");
    world.run(20 * TICK);
    assert_eq!(world.seen(), []);
}

/// TigerVNC's way to change the pixel format: a fence that marks the place, then the format.
#[test]
fn a_new_pixel_format_takes_effect_exactly_at_the_fence() {
    let mut world = World::novnc();
    world.encodings(&[0, -312, -313, -239]);
    world.continuous(true);
    world.run(20 * TICK);
    let image = CursorImage {
        width: 1,
        height: 1,
        hot: Point::default(),
        rgba: vec![255, 255, 255, 255],
    };
    world.session.cursor(Arc::new(image));
    world.run(20 * TICK);
    world.seen();
    // A job is out when the format changes.
    world.draw(Rect::sized(3, 3), 0x123456);
    let Poll::Update(mut job) = world.session.poll(world.now) else {
        panic!("an update is due");
    };
    let c = |max, shift| Channel { max, shift };
    let format = PixelFormat::new(8, 8, false, c(7, 0), c(7, 3), c(3, 6)).unwrap();
    let mut input = InputBuffer::new();
    let mut bytes = vec![248, 0, 0, 0, 0x80, 0, 0, 5, 1, 77];
    bytes.extend([0; 4]);
    bytes.extend(format.to_bytes());
    bytes.extend([4, 1, 0, 0, 0, 0, 0, 0x61]);
    assert_eq!(input.push(&bytes), bytes.len());
    world.session.receive(&mut input, world.now).unwrap();
    assert!(matches!(
        world.session.next_effect(),
        Some(Effect::Key { keysym: 0x61, .. })
    ));
    assert!(world.session.output().is_empty(), "the answer waits");
    let mut encoder = crate::encode::Encoder::new();
    let encoded = job.encode(&mut encoder, &world.screen).unwrap();
    world.session.finish(job, encoded, world.now);
    // The client decodes in the old format up to the answer and in the new one after it.
    world.client.format_after_answer = Some(format);
    world.run(50 * TICK);
    let seen = world.seen();
    assert_eq!(seen[0], Seen::Update { pixels: 9 });
    let answer = Seen::Fence {
        flags: 5,
        payload: vec![77],
    };
    assert_eq!(seen[1], answer);
    let cursor = Seen::Pseudo {
        number: number::CURSOR,
        rect: Rect::sized(1, 1),
        data: vec![0xff, 0x80],
    };
    assert_eq!(seen[2], cursor, "the whole cursor in the new format");
    assert_eq!(seen[3], Seen::Update { pixels: 200 * 150 });
}

#[test]
fn clipboards_both_ways() {
    let mut world = World::novnc();
    world.seen();
    world.effects.clear();
    world.session.clipboard(&"Grüße, 你好 🙂".into());
    world.run(10 * TICK);
    let notify = Seen::Clipboard {
        flags: flag::NOTIFY | flag::TEXT,
        data: vec![],
    };
    assert_eq!(world.seen(), [notify]);
    world.say(&[6, 0, 0, 0, 255, 255, 255, 252, 2, 0, 0, 1]);
    world.run(10 * TICK);
    let seen = world.seen();
    let [Seen::Clipboard { flags, data }] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    assert_eq!(*flags, flag::PROVIDE | flag::TEXT);
    let text = clipboard::inflate_text(data);
    assert_eq!(text, Ok("Grüße, 你好 🙂".to_owned()));
    // The other way.
    let mut message = Vec::new();
    clipboard::write_provide(&mut message, "zurück\n");
    message[0] = 6;
    world.say(&message);
    world.run(10 * TICK);
    assert_eq!(world.effects, [Effect::ClipboardText("zurück\n".into())]);
    world.session.clipboard(&"zurück\n".into());
    world.run(10 * TICK);
    assert_eq!(world.seen(), [], "no echo");
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Draw(Rect, u32),
    Copy(Rect, Point),
    Resize(u16, u16),
    Wait(u64),
    Continuous(bool),
    Ask,
    Lossy(bool),
    Key,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u16..200, 0u16..150, 1u16..100, 1u16..100, any::<u32>())
            .prop_map(|(x, y, w, h, c)| Step::Draw(Rect::new(x, y, w, h), c)),
        3 => (0u16..200, 0u16..150, 1u16..200, 1u16..150, 0u16..100, 0u16..100)
            .prop_map(|(x, y, w, h, tx, ty)| Step::Copy(Rect::new(x, y, w, h), Point { x: tx, y: ty })),
        1 => (1u16..250, 1u16..250).prop_map(|(w, h)| Step::Resize(w, h)),
        4 => (1u64..60).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Continuous),
        1 => Just(Step::Ask),
        1 => any::<bool>().prop_map(Step::Lossy),
        1 => Just(Step::Key),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happened, the picture converges within two seconds of the last change.
    #[test]
    fn every_history_converges(
        steps in proptest::collection::vec(step(), 1..40),
        fences: bool,
        copies: bool,
        extended: bool,
        rate in prop_oneof![Just(1e6), Just(100e6)],
        delay in 1u32..40,
    ) {
        let mut list = vec![0, -26, -224, -239];
        if copies {
            list.push(1);
        }
        list.push(if extended { -308 } else { -223 });
        if fences {
            list.extend([-312, -313]);
        }
        let mut world = World::new(Permission::Full, rate, delay * TICK);
        world.hello(&list);
        for step in steps {
            match step {
                Step::Draw(rect, colour) => world.draw(rect, colour),
                Step::Copy(from, to) => world.copy(from, to),
                Step::Resize(w, h) => world.resize(w, h, ResizeCause::Server),
                Step::Wait(ms) => world.run(Duration::from_millis(ms)),
                Step::Continuous(on) => if fences { world.continuous(on) },
                Step::Ask => world.request(false),
                Step::Lossy(lossy) => world.lossy = lossy,
                Step::Key => world.say(&[4, 1, 0, 0, 0, 0, 0, 0x61]),
            }
            world.tick();
        }
        // A client that was told to stop asks again, as noVNC does.
        world.request(true);
        world.converge(2 * SECOND);
    }
}
