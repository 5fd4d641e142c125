//! Scenes of a stop with services of the operator.

use super::*;

const BASE: Id = Id(4);
const USER: Id = Id(5);
const STUBBORN: Id = Id(6);

/// A desktop with one service, another that comes after it, and one that has nothing to do with them.
fn up() -> World {
    let extra = |name: &str, after: Vec<After>| Spec {
        part: false,
        after,
        ..Spec::new(name, name)
    };
    let mut specs = specs(false);
    specs.push(extra("base", vec![After::Ready(X)]));
    specs.push(extra("user", vec![After::Once(BASE)]));
    specs.push(extra("stubborn", vec![After::Ready(X)]));
    let mut world = World::of(specs, None, Alone::default());
    for id in [X, DISPLAY, WM, APP] {
        world.make_ready(id);
    }
    world
}

impl World {
    /// What is due when its turn is over is not begun any more.
    pub(super) fn forget_late(&mut self) {
        let ended = |id: &Id| !self.running.contains_key(id) && !self.hooks.contains_key(id);
        let late = |id: &Id| self.turn_ends(*id).is_some_and(|end| self.now >= end);
        let cleans = |id: &Id| self.plan.service(*id).is_some_and(Service::cleans);
        let lost = self.owed.iter().copied();
        let lost: Vec<Id> = lost
            .filter(|id| ended(id) && late(id) && !cleans(id))
            .collect();
        for id in lost {
            self.owed.remove(&id);
        }
    }

    /// When a service has had its share of the grace period.
    pub(super) fn turn_ends(&self, id: Id) -> Option<Instant> {
        let (stop, service) = (self.plan.stop.as_ref()?, self.plan.service(id)?);
        if service.spec().application {
            return Some(stop.work_ends());
        }
        let others = |below: usize| {
            let first = self.plan.services().take(below);
            first.filter(|(_, one)| !one.spec().application).count()
        };
        Some(stop.share(others(id.0), others(usize::MAX)))
    }
}

fn told(world: &World, id: Id) -> bool {
    world.pushes.contains(&(id, Push::Term))
}

#[test]
fn who_does_not_end_takes_no_time_from_those_beside_it() {
    let mut world = up();
    let start = world.now;
    world.plan.request_stop(SIGTERM, world.now);
    world.settle();
    world.exit(APP, Exit::Signal(SIGTERM));
    assert!(told(&world, STUBBORN) && told(&world, USER));
    assert!(!told(&world, BASE), "somebody still needs it");
    world.exit(USER, Exit::Code(0));
    assert!(
        told(&world, BASE),
        "at once, whatever the stubborn one does"
    );
    assert_eq!(world.now, start);
    // Nearly all of the grace period is its own, too.
    world.advance(GRACE * 7 / 10);
    assert!(world.running[&BASE] == Some(Push::Term));
    world.exit(BASE, Exit::Code(0));
    assert!(![X, DISPLAY, WM].into_iter().any(|id| told(&world, id)));
    let outcome = world.run_down();
    assert_eq!(outcome.code, 143);
    for id in [WM, DISPLAY, X] {
        assert!(told(&world, id), "{id:?}");
    }
}

#[test]
fn many_ways_from_one_to_another_take_no_time() {
    // Each after the two before it: more ways than anybody could walk.
    let mut specs = specs(false);
    for index in 4..104 {
        specs.push(Spec {
            part: false,
            after: vec![After::Once(Id(index - 1)), After::Once(Id(index - 2))],
            ..Spec::new("link", "a link")
        });
    }
    let world = World::of(specs, None, Alone::default());
    assert_eq!(world.plan.dependents(Id(4)).len(), 99);
    assert_eq!(world.plan.dependents(Id(103)).len(), 0);
}

#[test]
fn an_answer_to_the_signal_is_told_with_the_signal() {
    let mut world = up();
    world.plan.request_stop(SIGTERM, world.now);
    world.settle();
    world.exit(APP, Exit::Code(3));
    let outcome = world.run_down();
    let reason = "stopped by SIGTERM; the application has ended, code 3";
    assert_eq!((outcome.code, outcome.reason.as_str()), (3, reason));
}
