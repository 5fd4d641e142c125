//! Scenes of a desktop that nobody watches.

use super::*;

const FREEZE: Alone = Alone {
    freeze: Some(Duration::from_secs(60)),
    start_on_connect: false,
};

fn viewers(world: &mut World, count: u32) {
    world.plan.set_viewers(count, world.now);
    world.settle();
}

#[test]
fn it_is_held_still_while_nobody_watches() {
    let mut world = World::alone(false, None, FREEZE);
    for id in [X, DISPLAY, WM] {
        world.make_ready(id);
    }
    world.advance(Duration::from_secs(100));
    assert!(!world.frozen, "it may still get ready");
    world.make_ready(APP);
    assert!(world.frozen, "nobody has been there for long enough");
    viewers(&mut world, 1);
    assert!(!world.frozen);
    world.advance(Duration::from_secs(1000));
    viewers(&mut world, 0);
    world.advance(Duration::from_secs(59));
    assert!(!world.frozen);
    let due = world.plan.deadline(world.now).unwrap();
    assert_eq!(due - world.now, Duration::from_secs(1), "somebody wakes us");
    world.advance(Duration::from_secs(1));
    assert!(world.frozen && world.plan.frozen());
    world.order(APP, Order::Restart);
    assert!(!world.frozen, "or it would not hear that");
    world.exit(APP, Exit::Signal(SIGTERM));
    world.make_ready(APP);
    assert!(world.frozen);
    world.plan.request_stop(SIGTERM, world.now);
    world.settle();
    assert!(!world.frozen);
}

#[test]
fn it_is_started_for_the_first_viewer_and_is_not_missed_before() {
    let start_on_connect = Alone {
        freeze: None,
        start_on_connect: true,
    };
    let mut world = World::alone(false, None, start_on_connect);
    for id in [X, DISPLAY, WM] {
        world.make_ready(id);
    }
    world.advance(Duration::from_secs(1000));
    assert!(!world.running.contains_key(&APP));
    assert!(
        world.plan.waits_for().is_none(),
        "all that is to be is ready"
    );
    viewers(&mut world, 1);
    assert!(world.running.contains_key(&APP));
    world.make_ready(APP);
    world.order(APP, Order::Stop);
    world.exit(APP, Exit::Code(0));
    viewers(&mut world, 0);
    viewers(&mut world, 1);
    assert!(!world.running.contains_key(&APP), "somebody has stopped it");
}

#[test]
fn nobody_is_there_for_too_long() {
    let limit = Duration::from_secs(60);
    let mut world = World::new(false, Some(limit));
    world.plan.set_viewers(1, world.now);
    world.advance(limit * 2);
    assert!(world.plan.stopping().is_none());
    world.plan.set_viewers(0, world.now);
    world.advance(limit - Duration::from_millis(1));
    assert!(world.plan.stopping().is_none());
    world.advance(Duration::from_millis(1));
    let outcome = world.run_down();
    assert_eq!(
        (outcome.code, outcome.reason.as_str()),
        (0, "no viewer for 60 s")
    );
}
