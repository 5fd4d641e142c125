//! Clients that mean harm, or only watch.

use proptest::prelude::*;

use super::super::*;
use super::world::{NOVNC, World};
use super::{SECOND, TICK};

/// Gives bytes to a session that sends nothing, as if the client did not read.
fn unread(session: &mut Session, bytes: &[u8], now: Instant) -> Result<(), ProtocolError> {
    let mut input = InputBuffer::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = &rest[input.push(rest)..];
        session.receive(&mut input, now)?;
    }
    Ok(())
}

#[test]
fn whoever_watches_does_nothing() {
    let mut world = World::new(Permission::ViewOnly, 100e6, TICK);
    world.hello(NOVNC);
    world.effects.clear();
    world.seen();
    world.say(&[4, 1, 0, 0, 0, 0, 0, 0x61]);
    world.say(&[255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 0x1e]);
    world.say(&[5, 1, 0, 1, 0, 1]);
    world.say(&[5, 0x81, 0, 1, 0, 1, 3]);
    world.say(&[6, 0, 0, 0, 0, 0, 0, 1, b'x']);
    let mut provide = Vec::new();
    crate::rfb::clipboard::write_provide(&mut provide, "x");
    provide[0] = 6;
    world.say(&provide);
    // Notify: nobody asks for it.
    world.say(&[6, 0, 0, 0, 255, 255, 255, 252, 8, 0, 0, 1]);
    let mut resize = vec![251, 0, 0, 9, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    resize.extend([0, 9, 0, 9, 0, 0, 0, 0]);
    world.say(&resize);
    world.run(50 * TICK);
    assert_eq!(world.effects, []);
    let prohibited = super::Seen::Size {
        x: 1,
        y: 1,
        w: 200,
        h: 150,
    };
    assert_eq!(world.seen()[0], prohibited);
}

#[test]
fn the_operators_settings_hold() {
    let mut world = World::novnc();
    world.session.features.resize = false;
    world.effects.clear();
    world.seen();
    let mut resize = vec![251, 0, 0, 9, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    resize.extend([0, 9, 0, 9, 0, 0, 0, 0]);
    world.say(&resize);
    world.run(50 * TICK);
    assert_eq!(world.effects, []);
    assert!(matches!(
        world.seen()[0],
        super::Seen::Size { x: 1, y: 1, .. }
    ));
}

/// CVE-2017-15124: a client that never reads, beside a video of ten minutes.
#[test]
fn a_client_that_never_reads_costs_little() {
    let mut world = World::novnc();
    world.continuous(true);
    world.run(20 * TICK);
    world.reads = false;
    for i in 0..6000 {
        world.draw(Rect::sized(200, 150), i);
        world.session.cursor_moved(Point { x: 1, y: 1 });
        world.session.bell();
        world.session.name(&format!("name {i}"));
        world.session.clipboard(&format!("text {i}").into());
        world.now += Duration::from_millis(99);
        world.tick();
    }
    assert!(world.most_output < 300_000, "{}", world.most_output);
    // It wakes up, and sees the present.
    world.reads = true;
    world.converge(SECOND);
}

#[test]
fn floods_end_the_connection() {
    let fence = [248, 0, 0, 0, 0x80, 0, 0, 0, 64].into_iter();
    let fence: Vec<u8> = fence.chain([7; 64]).collect();
    let end = [150, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let power = [250, 0, 1, 2];
    let sizes = [251, 0, 0, 9, 0, 9, 0, 0];
    for flood in [&fence[..], &end, &power, &sizes] {
        let mut world = World::novnc();
        let bytes = flood.repeat(1 + (4 << 20) / flood.len());
        let result = unread(&mut world.session, &bytes, world.now);
        assert!(result.is_err(), "{:?}", &flood[..4]);
        assert!(world.session.output().len() < 2 * MAX_ANSWERS);
    }
    // What asks for large things gets one of them.
    let mut world = World::novnc();
    world.session.clipboard(&"ä".repeat(100_000).into());
    let request = [6, 0, 0, 0, 255, 255, 255, 252, 2, 0, 0, 1].repeat(10_000);
    unread(&mut world.session, &request, world.now).unwrap();
    let _ = world.session.poll(world.now);
    assert!(world.session.output().len() < 10_000);
}

/// The same when the server keeps what waits in a buffer of its own, and says so.
#[test]
fn floods_are_noticed_in_other_buffers_too() {
    let mut world = World::novnc();
    let fence = [248, 0, 0, 0, 0x80, 0, 0, 0, 1, 7];
    let mut waiting = 0;
    let end = (0..1000).find_map(|_| {
        world.session.unsent(waiting);
        let end = unread(&mut world.session, &fence.repeat(100), world.now).err();
        waiting += std::mem::take(world.session.output()).len();
        end
    });
    assert_eq!(end, Some(ProtocolError::NotReading));
    assert!(waiting < 2 * MAX_ANSWERS);
}

/// A thousand bytes inflate to a megabyte: of sixty texts in one read not all may be kept.
#[test]
fn texts_that_come_at_once_are_bounded() {
    let mut world = World::novnc();
    world.effects.clear();
    let mut texts = Vec::new();
    for n in 0..60 {
        let mut provide = Vec::new();
        let text = format!("{n} {}", "x".repeat(100_000));
        crate::rfb::clipboard::write_provide(&mut provide, &text);
        provide[0] = 6;
        texts.extend(provide);
        texts.extend([4, 1, 0, 0, 0, 0, 0, 0x61]);
    }
    let mut input = InputBuffer::new();
    assert_eq!(input.push(&texts), texts.len(), "one read");
    assert_eq!(world.session.receive(&mut input, world.now), Ok(()));
    let effects: Vec<_> = std::iter::from_fn(|| world.session.next_effect()).collect();
    let kept: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::ClipboardText(text) => Some(&text[..2]),
            _ => None,
        })
        .collect();
    assert_eq!(kept, ["0 ", "59"]);
    assert_eq!(effects.len(), 62, "no key is lost");
}

#[test]
fn what_waits_for_a_job_is_bounded() {
    let mut world = World::novnc();
    world.continuous(true);
    world.run(20 * TICK);
    world.draw(Rect::sized(3, 3), 1);
    assert!(matches!(world.session.poll(world.now), Poll::Update(_)));
    let mut bytes = vec![0; 4];
    bytes.extend(PixelFormat::NATIVE.to_bytes());
    let result = unread(&mut world.session, &bytes.repeat(10_000), world.now);
    assert_eq!(result, Err(ProtocolError::Flood));
}

#[test]
fn a_job_that_comes_back_is_due_again() {
    let mut world = World::novnc();
    world.run(20 * TICK);
    world.draw(Rect::sized(3, 3), 1);
    world.session.name("again");
    let Poll::Update(job) = world.session.poll(world.now) else {
        panic!("an update is due");
    };
    assert!(matches!(world.session.poll(world.now), Poll::Nothing));
    world.session.give_back(job);
    world.converge(SECOND);
    let named = |s: &super::Seen| matches!(s, super::Seen::Pseudo { number: -307, .. });
    assert!(world.seen().iter().any(named));
}

#[test]
fn colour_maps_are_refused_in_words() {
    let mut world = World::novnc();
    let mut bytes = vec![0; 4];
    bytes.extend(PixelFormat::NATIVE.to_bytes());
    bytes[7] = 0;
    let error = unread(&mut world.session, &bytes, world.now).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the client asked for a colour map (only true colour is served)"
    );
}

proptest! {
    /// No bytes make a session panic or grow, whatever it is asked to send meanwhile.
    #[test]
    fn no_bytes_are_harmful(pieces in proptest::collection::vec((
        prop::sample::select(vec![0u8, 2, 3, 4, 5, 6, 150, 248, 250, 251, 255, 99]),
        proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..40),
    ), 0..60)) {
        let mut world = World::novnc();
        world.client.answers_fences = false;
        let mut encoder = crate::encode::Encoder::new();
        let mut out = None;
        for (i, (kind, mut rest)) in pieces.into_iter().enumerate() {
            rest.insert(0, kind);
            if unread(&mut world.session, &rest, world.now).is_err() {
                break;
            }
            world.now += 7 * TICK;
            world.damage(Rect::new(i as u16, 0, 40, 150));
            if let Some(job) = out.take() {
                let mut job: Job = job;
                match job.encode(&mut encoder, &world.screen) {
                    Some(encoded) => world.session.finish(job, encoded, world.now),
                    None => world.session.give_back(job),
                }
            }
            if let Poll::Update(job) = world.session.poll(world.now) {
                out = Some(job);
            }
            while world.session.next_effect().is_some() {}
            prop_assert!(world.session.output().len() < 8 << 20);
        }
    }
}
