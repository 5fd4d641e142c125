//! Scenes of windows that are asked to close before anybody gets a signal.

use super::*;
use crate::supervisor::plan::closing::{ANSWER, LINGER};

/// The display worker's side.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// That were asked, or have come since, once they have been asked.
    open: u32,
    /// It does not answer.
    pub(super) deaf: bool,
    asked: bool,
}

impl World {
    pub(super) fn ask_windows(&mut self) {
        assert!(!self.windows.asked, "once");
        assert!(self.ready.contains(&DISPLAY));
        assert!(!self.frozen, "it could not hear");
        self.windows.asked = true;
        self.strays_told = true;
        self.plan.strays(self.strays);
        self.tell_windows();
    }

    pub(super) fn set_windows(&mut self, count: u32) {
        self.windows.open = count;
        self.tell_windows();
        self.settle();
    }

    fn tell_windows(&mut self) {
        if self.windows.asked && !self.windows.deaf && self.ready.contains(&DISPLAY) {
            self.plan.windows_left(self.windows.open, self.now);
        }
    }

    /// While windows close nobody is signalled, but for what began before, or has nothing to do with it.
    pub(super) fn verify_push(&self, id: Id, push: Push) {
        if self.plan.closes_windows() {
            let hook = self.hooks.get(&id).map(|(_, told)| told);
            let told = self.running.get(&id).or(hook).is_some_and(Option::is_some);
            let late = push == Push::Kill && self.plan.service(id).unwrap().fault().is_some();
            let cleans = push == Push::Kill && self.plan.service(id).unwrap().cleans();
            assert!(told || self.sinks(id) || late || cleans, "{id:?}");
        }
    }

    pub(super) fn verify_closing(&self) {
        if let Some(stop) = self.plan.stop.as_ref() {
            assert!(!self.plan.closes_windows() || self.now < stop.close_ends());
        }
    }

    /// Somebody asks for the end, and windows are there.
    fn closing(windows: u32) -> Self {
        let mut world = Self::up(false);
        world.windows.open = windows;
        world.stop();
        world
    }

    fn stop(&mut self) {
        self.plan.request_stop(SIGTERM, self.now);
        self.settle();
    }
}

const TERM: [(Id, Push); 1] = [(APP, Push::Term)];

#[test]
fn who_closes_its_windows_and_ends_gets_no_signal() {
    let mut world = World::closing(2);
    world.advance(GRACE / 3);
    world.set_windows(1);
    world.set_windows(0);
    assert_eq!(world.pushes, []);
    world.exit(APP, Exit::Code(0));
    assert!(!world.plan.closes_windows());
    let outcome = world.run_down();
    assert_eq!(outcome.code, 0);
    assert!(!world.pushes.iter().any(|(id, _)| *id == APP));
}

#[test]
fn a_question_that_nobody_answers_has_its_share() {
    let mut world = World::closing(1);
    let next = world.plan.deadline(world.now).unwrap() - world.now;
    assert_eq!(next, GRACE / 2);
    world.advance(next - Duration::from_millis(1));
    assert_eq!(world.pushes, []);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.pushes, TERM);
    world.advance(GRACE / 5);
    assert_eq!(world.pushes.last(), Some(&(APP, Push::Kill)));
    assert_eq!(world.run_down().code, 143);
}

#[test]
fn asking_again_is_the_end_of_all_questions() {
    let mut world = World::closing(1);
    world.stop();
    assert_eq!(world.pushes, TERM);
    assert!(!world.plan.closes_windows());
    world.set_windows(1);
    assert!(!world.plan.closes_windows());
}

#[test]
fn who_lives_on_without_windows_is_signalled_after_a_moment() {
    let mut world = World::closing(1);
    world.set_windows(0);
    world.advance(LINGER / 2);
    assert_eq!(world.pushes, []);
    world.advance(LINGER / 2);
    assert_eq!(world.pushes, TERM);

    let mut world = World::closing(1);
    world.set_windows(0);
    world.advance(LINGER / 2);
    world.set_windows(1);
    world.advance(LINGER);
    assert_eq!(world.pushes, [], "a question that came late");
}

#[test]
fn a_worker_that_cannot_ask_holds_up_nobody() {
    let mut world = World::up(false);
    world.windows.deaf = true;
    world.stop();
    world.advance(ANSWER - Duration::from_millis(1));
    assert_eq!(world.pushes, []);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.pushes, TERM);

    let mut world = World::closing(1);
    world.exit(DISPLAY, Exit::Signal(11));
    assert_eq!(world.pushes, TERM);

    let mut world = World::up(false);
    world.exit(DISPLAY, Exit::Signal(11));
    world.windows.open = 1;
    world.stop();
    assert_eq!(world.pushes, TERM, "there was none to ask them");
}

#[test]
fn windows_of_others_are_waited_for_after_the_end_of_the_application() {
    let mut world = World::up(false);
    world.windows.open = 1;
    world.exit(APP, Exit::Code(3));
    world.advance(HOLD);
    assert!(world.plan.closes_windows());
    assert_eq!(world.pushes, []);
    world.set_windows(0);
    assert!(!world.plan.closes_windows());
    assert_eq!(world.run_down().code, 3);
}

#[test]
fn without_an_application_the_others_have_a_moment_to_end() {
    for strays in [0, 2] {
        let mut world = World::of(
            specs(false).into_iter().take(3).collect(),
            None,
            Alone::default(),
        );
        for id in [X, DISPLAY, WM] {
            world.make_ready(id);
        }
        world.strays = strays;
        world.windows.open = 1;
        world.stop();
        world.set_windows(0);
        assert_eq!(world.plan.closes_windows(), strays > 0);
        world.set_strays(0);
        assert!(!world.plan.closes_windows());
    }
}

#[test]
fn a_limit_gives_the_same_chance() {
    let limit = Duration::from_secs(60);
    let mut world = World::new(false, Some(limit));
    for id in [X, DISPLAY, WM, APP] {
        world.make_ready(id);
    }
    world.windows.open = 1;
    world.advance(limit);
    assert!(world.plan.closes_windows());
    assert_eq!(world.run_down().code, 0);
}
