//! Scenes of services that are given up.

use super::*;

const EXTRA: Id = Id(4);
const BEHIND: Id = Id(5);

/// Everything up, and one that is given up at its second end, with one that waits for it.
fn up(on_fatal: OnFatal) -> World {
    let mut specs = specs(true);
    specs.push(Spec {
        give_up: GiveUp {
            never_ready: None,
            ready_before: Some(2),
        },
        on_fatal,
        ..Spec::new("extra", "the extra")
    });
    specs.push(Spec {
        after: vec![After::Ready(EXTRA)],
        on_end: OnEnd::End,
        proof: Proof::Told,
        ..Spec::new("behind", "the one behind")
    });
    let mut world = World::of(specs, None, Alone::default());
    world.make_ready(EXTRA);
    for id in [X, DISPLAY, WM, APP, BEHIND] {
        world.make_ready(id);
    }
    assert!(world.plan.missing().is_empty());
    for _ in 0..2 {
        world.make_ready(EXTRA);
        world.advance(Duration::from_secs(2));
        world.exit(EXTRA, Exit::Code(1));
    }
    world
}

#[test]
fn the_others_go_on_and_the_whole_is_not_live() {
    let mut world = up(OnFatal::NotLive);
    world.exit(BEHIND, Exit::Code(1));
    world.advance(Duration::from_secs(1));
    assert!(world.plan.stopping().is_none());
    let names = |world: &World| -> Vec<String> {
        let missing = world.plan.missing().into_iter();
        missing.map(|one| one.spec().name.to_string()).collect()
    };
    assert_eq!(
        names(&world),
        ["extra"],
        "what waits for it will not come either"
    );
    assert_eq!(&*world.plan.not_live().unwrap().spec().name, "extra");
    // While something else is on its way, both are told.
    world.exit(X, Exit::Code(1));
    assert_eq!(names(&world), ["xserver", "wm", "app", "extra"]);
    world.order(EXTRA, Order::Start);
    assert!(world.plan.not_live().is_none());
}

#[test]
fn it_may_mean_nothing_or_the_end() {
    let world = up(OnFatal::Ignore);
    assert!(world.plan.not_live().is_none() && world.plan.stopping().is_none());
    let mut world = up(OnFatal::End);
    assert_eq!(world.run_down().code, EXIT_UNAVAILABLE);
}
