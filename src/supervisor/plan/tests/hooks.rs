//! Scenes of commands before a start and after an end.

use super::*;
use crate::supervisor::service::HOOK;

impl World {
    /// The signal that its process has got, if there is one.
    pub(super) fn told(&mut self, id: Id) -> Option<&mut Option<Push>> {
        let hook = self.hooks.get_mut(&id).map(|(_, told)| told);
        self.running.get_mut(&id).or(hook)
    }

    /// Whatever has to be so before a service is started, or prepared.
    pub(super) fn verify_start(&mut self, id: Id) {
        assert!(
            self.plan.stopping().is_none(),
            "nothing is started during a stop"
        );
        assert!(self.told(id).is_none(), "it runs already");
        let service = |id: Id| self.plan.service(id).unwrap();
        for after in &self.spec(id).after {
            match *after {
                After::Once(other) => assert!(service(other).ever_ready()),
                After::Ready(other) => assert!(
                    self.ready.contains(&other) || service(other).lets_others_go_on(self.now),
                    "without what it comes after"
                ),
            }
        }
        let base = self.spec(id).bound_to;
        assert!(base.is_none_or(|base| self.ready.contains(&base)));
        assert!(
            self.remnants
                .remove(&id)
                .is_none_or(|told| told == Some(Push::Kill)),
            "beside what its last process left behind"
        );
    }

    pub(super) fn hook(&mut self, id: Id, hook: Hook) {
        match hook {
            Hook::BeforeStart => {
                assert!(self.spec(id).before_start && !self.prepared.contains(&id));
                self.verify_start(id);
                assert!(!self.owed.contains(&id), "before it was cleaned up after");
            }
            Hook::AfterStop => {
                assert!(self.spec(id).after_stop && self.told(id).is_none());
                assert!(self.owed.remove(&id), "once for each end");
                self.prepared.remove(&id);
            }
        }
        if let Some(why) = self.obstacles.remove(&id) {
            if hook == Hook::AfterStop && why.obstacle == Obstacle::Shortage {
                // It is tried again.
                self.owed.insert(id);
                self.put_off.insert(id);
            }
            self.plan.not_started(id, &why, self.now);
            return;
        }
        self.put_off.remove(&id);
        if hook == Hook::BeforeStart && self.spec(id).after_stop {
            self.owed.insert(id);
        }
        self.hooks.insert(id, (hook, None));
        self.plan.started(id, self.now);
    }
}

const EXTRA: Id = Id(4);

/// Everything up but one service with both hooks, which is to be prepared.
fn up(restart: Restart) -> World {
    let mut specs = specs(true);
    specs.push(Spec {
        before_start: true,
        after_stop: true,
        restart,
        give_up: GiveUp {
            never_ready: Some(3),
            ready_before: Some(3),
        },
        ..Spec::new("extra", "the extra")
    });
    let mut world = World::of(specs, None, Alone::default());
    for id in [X, DISPLAY, WM, APP] {
        world.make_ready(id);
    }
    assert_eq!(world.hooks[&EXTRA], (Hook::BeforeStart, None));
    world
}

fn hook(world: &World) -> Option<Hook> {
    world.hooks.get(&EXTRA).map(|(hook, _)| *hook)
}

#[test]
fn each_start_is_prepared_and_each_end_followed() {
    let mut world = up(Restart::Always);
    for _ in 0..2 {
        assert_eq!(hook(&world), Some(Hook::BeforeStart));
        assert_eq!(world.state(EXTRA), State::Preparing);
        world.exit(EXTRA, Exit::Code(0));
        assert!(world.running.contains_key(&EXTRA));
        world.exit(EXTRA, Exit::Code(5));
        // However long that takes, it is not started beside it.
        world.advance(HOOK / 2);
        assert_eq!(hook(&world), Some(Hook::AfterStop));
        world.exit(EXTRA, Exit::Code(1));
    }
    world.order(EXTRA, Order::Stop);
    assert_eq!(hook(&world), Some(Hook::BeforeStart));
    world.exit(EXTRA, Exit::Signal(SIGTERM));
    assert_eq!(world.state(EXTRA), State::Stopped);
    assert_eq!(hook(&world), Some(Hook::AfterStop));
    world.exit(EXTRA, Exit::Code(0));
    world.advance(HOOK);
    assert_eq!(hook(&world), None);
}

#[test]
fn one_that_cannot_be_prepared_is_given_up_and_says_why() {
    let mut world = up(Restart::Always);
    for _ in 0..3 {
        assert_eq!(hook(&world), Some(Hook::BeforeStart));
        world.exit(EXTRA, Exit::Code(4));
        world.exit(EXTRA, Exit::Code(0));
        world.advance(Duration::from_secs(2));
    }
    assert_eq!(world.state(EXTRA), State::Fatal);
    let why = given_up(world.plan.not_live().unwrap());
    assert!(why.ends_with("its before_start has ended, code 4"), "{why}");
    assert!(!world.starts.contains(&EXTRA));
    // Whoever is not started again has one try.
    let mut world = up(Restart::Never);
    world.exit(EXTRA, Exit::Code(4));
    assert_eq!(world.state(EXTRA), State::Fatal);
}

#[test]
fn hooks_have_their_time() {
    let mut world = up(Restart::Always);
    world.advance(HOOK);
    assert_eq!(world.hooks[&EXTRA].1, Some(Push::Kill));
    world.exit(EXTRA, Exit::Signal(9));
    let verdict = world.plan.service(EXTRA).unwrap().verdict().unwrap();
    assert!(
        verdict
            .clause()
            .ends_with("its before_start was killed, not ready in time")
    );
    assert_eq!(hook(&world), Some(Hook::AfterStop));
    world.advance(HOOK);
    assert_eq!(world.hooks[&EXTRA].1, Some(Push::Kill));
    world.exit(EXTRA, Exit::Signal(9));
    assert_eq!(hook(&world), Some(Hook::BeforeStart), "it is tried again");
}

#[test]
fn what_follows_an_end_has_its_share_of_a_stop() {
    let mut world = up(Restart::Always);
    world.exit(EXTRA, Exit::Code(0));
    world.plan.request_stop(SIGTERM, world.now);
    world.settle();
    world.exit(APP, Exit::Signal(SIGTERM));
    assert_eq!(world.pushes.last(), Some(&(EXTRA, Push::Term)));
    world.exit(EXTRA, Exit::Signal(SIGTERM));
    assert_eq!(hook(&world), Some(Hook::AfterStop));
    let told = world.pushes.len();
    world.advance(Duration::from_millis(100));
    assert_eq!(world.pushes.len(), told, "the others wait for it");
    while world.hooks[&EXTRA].1.is_none() {
        let deadline = world.plan.deadline(world.now).unwrap();
        world.advance(deadline - world.now);
    }
    world.exit(EXTRA, Exit::Signal(9));
    assert!(world.pushes.contains(&(WM, Push::Term)));
    assert_eq!(world.run_down().code, 143);
}

#[test]
fn what_follows_an_end_waits_for_room() {
    let mut world = up(Restart::Always);
    world.exit(EXTRA, Exit::Code(0));
    let why = NotStarted {
        obstacle: Obstacle::Shortage,
        program: "nope".to_owned(),
        reason: "no process is left".to_owned(),
    };
    world.obstacles.insert(EXTRA, why.clone());
    world.exit(EXTRA, Exit::Code(5));
    assert_eq!(hook(&world), None);
    assert!(world.put_off.contains(&EXTRA), "it is not forgotten");
    world.obstacles.insert(EXTRA, why);
    world.advance(Duration::from_secs(1));
    assert_eq!(hook(&world), None, "there is no room yet");
    world.advance(Duration::from_secs(5));
    assert_eq!(hook(&world), Some(Hook::AfterStop));
    world.exit(EXTRA, Exit::Code(0));
    assert_eq!(hook(&world), Some(Hook::BeforeStart));
}

/// The one that hangs is the one that has to be cleaned up after.
#[test]
fn what_follows_an_end_by_force_has_time_in_a_stop() {
    let mut world = up(Restart::Always);
    world.exit(EXTRA, Exit::Code(0));
    world.plan.request_stop(SIGTERM, world.now);
    world.settle();
    world.exit(APP, Exit::Signal(SIGTERM));
    while world.pushes.last() != Some(&(EXTRA, Push::Kill)) {
        let deadline = world.plan.deadline(world.now).unwrap();
        world.advance(deadline - world.now);
    }
    world.exit(EXTRA, Exit::Signal(SIGKILL));
    assert_eq!(world.hooks.get(&EXTRA), Some(&(Hook::AfterStop, None)));
    world.advance(Duration::from_millis(50));
    assert_eq!(world.hooks.get(&EXTRA), Some(&(Hook::AfterStop, None)));
    assert_eq!(world.run_down().code, 143);
}

#[test]
fn what_the_system_has_no_room_for_waits_and_is_not_blamed() {
    let mut world = up(Restart::Always);
    world.exit(EXTRA, Exit::Code(0));
    world.exit(EXTRA, Exit::Code(1));
    world.exit(EXTRA, Exit::Code(0));
    assert_eq!(hook(&world), Some(Hook::BeforeStart));
    let short = NotStarted {
        obstacle: Obstacle::Shortage,
        program: "nope".to_owned(),
        reason: "no process is left".to_owned(),
    };
    world.obstacles.insert(EXTRA, short.clone());
    // The main process this time: what was prepared stays so.
    world.exit(EXTRA, Exit::Code(0));
    for _ in 0..20 {
        assert!(matches!(world.state(EXTRA), State::Backoff { .. }));
        let next = world.plan.deadline(world.now).unwrap();
        assert!(next <= world.now + Duration::from_secs(4));
        world.obstacles.insert(EXTRA, short.clone());
        world.advance(next - world.now);
    }
    world.obstacles.clear();
    world.starts.clear();
    world.advance(Duration::from_secs(4));
    assert_eq!(world.starts, [EXTRA]);
    assert_eq!(world.plan.service(EXTRA).unwrap().failures().0, 1);
}
