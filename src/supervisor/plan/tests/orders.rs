//! Scenes of people who start and stop single services.

use super::*;

#[test]
fn who_was_stopped_by_a_person_stays_so_and_ends_nothing() {
    let mut world = World::up(false);
    assert!(world.order(APP, Order::Stop));
    assert_eq!(world.pushes, [(APP, Push::Term)]);
    world.exit(APP, Exit::Code(5));
    world.advance(Duration::from_secs(3600));
    let state = |world: &World, id| world.plan.service(id).unwrap().state();
    assert_eq!(state(&world, APP), State::Stopped);
    assert!(world.plan.stopping().is_none() && world.plan.waits_for().is_none());
    assert!(!world.order(APP, Order::Stop), "it is stopped already");
    assert!(world.order(APP, Order::Start));
    world.make_ready(APP);
    assert_eq!(state(&world, APP), State::Ready);
    assert!(!world.order(APP, Order::Start), "it runs already");
    // Its own end means again what it meant.
    world.exit(APP, Exit::Code(5));
    world.advance(HOLD);
    assert_eq!(world.plan.exit_code(), 5);
    assert!(!world.order(WM, Order::Restart), "everything is stopping");
}

#[test]
fn who_needs_a_stopped_one_waits_and_brings_it_back_when_started() {
    let mut world = World::up(true);
    world.order(X, Order::Stop);
    world.exit(X, Exit::Code(0));
    for id in [WM, APP] {
        world.exit(id, Exit::Code(1));
    }
    world.advance(Duration::from_secs(60));
    assert_eq!(world.running.keys().copied().collect::<Vec<_>>(), [DISPLAY]);
    world.starts.clear();
    world.order(APP, Order::Start);
    for id in [X, WM, APP] {
        world.make_ready(id);
    }
    assert_eq!(world.starts, [X, WM, APP]);
    assert!(world.plan.waits_for().is_none());
}

#[test]
fn nobody_waits_for_a_window_manager_that_was_stopped() {
    let mut world = World::up(true);
    world.order(WM, Order::Stop);
    world.exit(WM, Exit::Signal(SIGTERM));
    world.starts.clear();
    world.order(APP, Order::Restart);
    world.exit(APP, Exit::Signal(SIGTERM));
    assert_eq!(world.starts, [APP]);
}

#[test]
fn one_that_was_given_up_can_be_started_again() {
    let mut world = World::up(true);
    let nope = NotStarted {
        obstacle: Obstacle::Hopeless(127),
        program: "nope".to_owned(),
        reason: "not found".to_owned(),
    };
    world.obstacles.insert(WM, nope);
    world.exit(WM, Exit::Code(1));
    world.advance(HOLD);
    assert_eq!(world.plan.service(WM).unwrap().state(), State::Fatal);
    world.obstacles.clear();
    assert!(world.order(WM, Order::Restart));
    world.make_ready(WM);
    assert_eq!(world.plan.service(WM).unwrap().state(), State::Ready);
}
