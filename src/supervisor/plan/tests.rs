//! The plan against a small world of simulated processes: scenes that matter, then random events with invariants
//! checked after each.

mod alone;
mod closing;
mod fatal;
mod hooks;
mod orders;
mod random;
mod remnants;
mod stop;

use super::stop::{AFTER_KILL, HURRY};
use super::*;
use crate::supervisor::service::Proof;
use crate::supervisor::service::{GiveUp, HOLD, RESTART_GRACE, Restart, SIGTERM};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const X: Id = Id(0);
const DISPLAY: Id = Id(1);
const WM: Id = Id(2);
const APP: Id = Id(3);
const GRACE: Duration = Duration::from_secs(8);

fn specs(keep_app: bool) -> Vec<Spec> {
    let base = |name, title| Spec {
        on_end: OnEnd::End,
        on_fatal: OnFatal::End,
        proof: Proof::Told,
        ..Spec::new(name, title)
    };
    let patience = Patience::Kill(Duration::from_secs(15));
    let give_up = GiveUp {
        never_ready: Some(3),
        ready_before: Some(6),
    };
    vec![
        Spec {
            patience,
            give_up,
            ..base("xserver", "the X server")
        },
        Spec {
            after: vec![After::Once(X)],
            closes_windows: true,
            ..base("display", "the display server")
        },
        Spec {
            after: vec![After::Ready(X), After::Once(DISPLAY)],
            bound_to: Some(X),
            on_end: OnEnd::Ignore,
            on_fatal: OnFatal::NotLive,
            patience: Patience::GoOn(Duration::from_secs(3)),
            ..base("wm", "the window manager")
        },
        Spec {
            after: vec![After::Ready(X), After::Ready(WM)],
            bound_to: Some(X),
            restart: if keep_app {
                Restart::Always
            } else {
                Restart::Never
            },
            application: true,
            ..base("app", "the application")
        },
    ]
}

#[derive(Debug)]
struct World {
    plan: Plan,
    now: Instant,
    /// Living processes, and the strongest signal each has got.
    running: BTreeMap<Id, Option<Push>>,
    ready: BTreeSet<Id>,
    /// Living processes of hooks, as well.
    hooks: BTreeMap<Id, (Hook, Option<Push>)>,
    /// Services of which something has been begun that their `after_stop` must follow.
    owed: BTreeSet<Id>,
    /// Those of them for whose `after_stop` there was no room.
    put_off: BTreeSet<Id>,
    /// Those whose `before_start` has succeeded since.
    prepared: BTreeSet<Id>,
    /// Services that have left something behind, and the strongest signal that has got.
    remnants: BTreeMap<Id, Option<Push>>,
    strays: usize,
    frozen: bool,
    strays_told: bool,
    windows: closing::Windows,
    /// What the next start of a service runs into.
    obstacles: BTreeMap<Id, NotStarted>,
    starts: Vec<Id>,
    pushes: Vec<(Id, Push)>,
}

impl World {
    fn new(keep_app: bool, max_disconnection: Option<Duration>) -> Self {
        Self::alone(keep_app, max_disconnection, Alone::default())
    }

    fn alone(keep_app: bool, max_disconnection: Option<Duration>, alone: Alone) -> Self {
        let mut specs = specs(keep_app);
        for spec in specs.iter_mut().filter(|spec| spec.application) {
            spec.autostart = !alone.start_on_connect;
        }
        Self::of(specs, max_disconnection, alone)
    }

    fn of(specs: Vec<Spec>, max_disconnection: Option<Duration>, alone: Alone) -> Self {
        let now = Instant::now();
        let policy = Policy {
            grace: GRACE,
            limits: Limits {
                disconnection: max_disconnection,
                ..Limits::default()
            },
            alone,
        };
        let mut world = Self {
            plan: Plan::new(specs, policy, now),
            frozen: false,
            now,
            running: BTreeMap::new(),
            hooks: BTreeMap::new(),
            owed: BTreeSet::new(),
            put_off: BTreeSet::new(),
            prepared: BTreeSet::new(),
            ready: BTreeSet::new(),
            remnants: BTreeMap::new(),
            strays: 0,
            strays_told: false,
            windows: closing::Windows::default(),
            obstacles: BTreeMap::new(),
            starts: Vec::new(),
            pushes: Vec::new(),
        };
        world.settle();
        world
    }

    /// Everything up and ready.
    fn up(keep_app: bool) -> Self {
        let mut world = Self::new(keep_app, None);
        for id in [X, DISPLAY, WM, APP] {
            world.make_ready(id);
        }
        assert!(world.plan.waits_for().is_none());
        world
    }

    fn state(&self, id: Id) -> State {
        self.plan.service(id).expect("it is planned").state()
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    fn make_ready(&mut self, id: Id) {
        if self.running.contains_key(&id) && self.plan.ready(id, self.now) {
            self.ready.insert(id);
        }
        self.settle();
    }

    fn spec(&self, id: Id) -> &Spec {
        self.plan.service(id).expect("it is planned").spec()
    }

    /// The process of a service ends, or that of its hook: there is one at a time.
    fn exit(&mut self, id: Id, exit: Exit) {
        if self.running.remove(&id).is_some() {
            self.ready.remove(&id);
            self.plan.exited(id, exit, self.now);
        } else if let Some((hook, _)) = self.hooks.remove(&id) {
            let told = self.state(id) != State::Preparing;
            // While what it is bound to is being replaced, its success is none: it is done again.
            let base = self.spec(id).bound_to;
            let footing = base.is_none_or(|base| self.state(base) == State::Ready);
            self.plan.exited(id, exit, self.now);
            if hook == Hook::BeforeStart && exit == Exit::Code(0) && !told && footing {
                self.prepared.insert(id);
            }
        }
        self.settle();
    }

    fn order(&mut self, id: Id, order: Order) -> bool {
        let changed = self.plan.order(id, order, self.now);
        self.settle();
        changed
    }

    fn set_strays(&mut self, count: usize) {
        self.strays = count;
        if self.strays_told {
            self.plan.strays(count);
        }
        self.settle();
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            let action = self.plan.next(self.now);
            // Time alone makes some of them ready.
            let lasts = |service: &Service| matches!(service.spec().proof, Proof::Lasts(_));
            let ready = self
                .plan
                .services()
                .filter(|(_, service)| lasts(service) && service.state() == State::Ready);
            self.ready.extend(ready.map(|(id, _)| id));
            let Some(action) = action else {
                self.forget_late();
                return self.verify();
            };
            self.obey(action);
        }
        panic!("the plan never rests: {self:#?}");
    }

    fn obey(&mut self, action: Action) {
        match action {
            Action::Start(id) => {
                self.verify_start(id);
                let prepared = self.prepared.remove(&id);
                assert_eq!(self.spec(id).before_start, prepared);
                assert!(prepared || !self.owed.contains(&id));
                if let Some(why) = self.obstacles.remove(&id) {
                    if why.obstacle == Obstacle::Shortage && prepared {
                        self.prepared.insert(id);
                    }
                    self.plan.not_started(id, &why, self.now);
                } else {
                    if self.spec(id).after_stop {
                        self.owed.insert(id);
                    }
                    self.running.insert(id, None);
                    self.starts.push(id);
                    self.plan.started(id, self.now);
                    // One that nobody speaks for.
                    if self.state(id) == State::Ready {
                        self.ready.insert(id);
                    }
                }
            }
            Action::Hook(id, hook) => self.hook(id, hook),
            Action::Freeze(freeze) => {
                assert_ne!(freeze, self.frozen, "no news");
                let alone = self.plan.viewers() == 0 && self.plan.stopping().is_none();
                assert!(!freeze || (alone && self.ready.contains(&APP)));
                self.frozen = freeze;
            }
            Action::Push(id, push) => {
                let work = self.spec(id).application;
                assert!(!self.frozen || !work, "it could not hear");
                self.verify_push(id, push);
                let before = self.told(id).expect("only living processes are signalled");
                assert!(
                    *before != Some(Push::Kill) && *before != Some(push),
                    "no signal twice"
                );
                *before = Some(push);
                self.pushes.push((id, push));
                let sinks = self.sinks(id);
                if self.plan.stopping().is_some() && push == Push::Term && !work && !sinks {
                    let dependents = self.plan.dependents(id);
                    let mut untold = self.running.iter().filter(|(_, told)| told.is_none());
                    assert!(
                        !untold.any(|(other, _)| dependents.contains(other)),
                        "who is needed is stopped last"
                    );
                }
            }
            Action::PushRemnants(id, push) => {
                assert!(!self.running.contains_key(&id), "its process lives");
                let left = self.remnants.get_mut(&id).expect("there are some");
                assert!(*left != Some(push), "no signal twice");
                *left = Some(push);
            }
            Action::CloseWindows => self.ask_windows(),
            Action::PushStrays(push) => {
                assert!(self.plan.stopping().is_some());
                assert!(!self.plan.closes_windows(), "not before windows closed");
                self.strays_told = true;
                if push == Push::Kill {
                    self.strays = 0;
                }
                self.plan.strays(self.strays);
            }
        }
    }

    /// What it is bound to has gone.
    fn sinks(&self, id: Id) -> bool {
        let base = self.spec(id).bound_to;
        base.is_some_and(|base| !self.running.contains_key(&base))
    }

    fn verify(&self) {
        self.verify_closing();
        for (id, service) in self.plan.services() {
            let hook = self.hooks.get(&id).map(|(hook, _)| *hook);
            let prepares = hook == Some(Hook::BeforeStart);
            let runs = self.running.contains_key(&id) || prepares;
            assert_eq!(service.runs(), runs, "{}", service.spec().name);
            assert_eq!(service.prepares(), prepares, "{}", service.spec().name);
            let waits = service.cleans() && hook.is_none();
            assert!(!waits || self.put_off.contains(&id) && self.owed.contains(&id));
            assert!(service.cleans() || hook != Some(Hook::AfterStop));
            if service.state() == State::Ready {
                assert!(self.ready.contains(&id));
            }
            let afloat = service
                .spec()
                .bound_to
                .is_none_or(|base| self.running.contains_key(&base));
            assert!(
                afloat
                    || !matches!(
                        service.state(),
                        State::Preparing | State::Starting | State::Ready
                    ),
                "{} goes on without its footing",
                service.spec().name
            );
        }
        if let Some(deadline) = self.plan.deadline(self.now)
            && self.plan.outcome(self.now).is_none()
        {
            assert!(
                deadline > self.now,
                "a deadline that has passed would make the loop spin"
            );
        }
        if let Some(stop) = &self.plan.stop
            && self.plan.outcome(self.now).is_some()
            && self.now < stop.deadline
        {
            assert!(self.owed.is_empty(), "everything is cleaned up after");
        }
        if self.plan.outcome(self.now).is_some() {
            assert!(
                self.running.values().all(|push| *push == Some(Push::Kill)),
                "who is left is hopeless"
            );
        }
    }

    /// From now on everybody obeys at once.
    fn run_down(&mut self) -> Outcome {
        for _ in 0..100 {
            if let Some(outcome) = self.plan.outcome(self.now) {
                return outcome;
            }
            let hooks: Vec<Id> = self.hooks.keys().copied().collect();
            for id in &hooks {
                self.exit(*id, Exit::Code(0));
            }
            if !hooks.is_empty() {
                continue;
            }
            let told: Vec<(Id, Push)> = self
                .running
                .iter()
                .filter_map(|(id, push)| push.map(|push| (*id, push)))
                .collect();
            if told.is_empty() && self.strays == 0 {
                let deadline = self.plan.deadline(self.now).expect("something to wait for");
                self.advance(deadline - self.now);
            }
            for (id, push) in told {
                self.exit(
                    id,
                    Exit::Signal(if push == Push::Kill { SIGKILL } else { SIGTERM }),
                );
            }
            self.set_strays(0);
            self.set_windows(0);
        }
        panic!("it never ends: {self:#?}");
    }
}

#[test]
fn each_starts_when_the_one_before_is_ready() {
    let mut world = World::new(false, None);
    for (id, expected) in [(X, 1), (DISPLAY, 2), (WM, 3), (APP, 4)] {
        assert_eq!(world.starts.len(), expected);
        assert_eq!(world.starts.last(), Some(&id));
        world.advance(Duration::from_millis(100));
        assert_eq!(world.starts.len(), expected, "not before it is ready");
        world.make_ready(id);
    }
}

#[test]
fn an_application_does_not_wait_for_ever_for_its_window_manager() {
    let mut world = World::new(false, None);
    world.make_ready(X);
    world.make_ready(DISPLAY);
    world.advance(Duration::from_secs(3));
    assert_eq!(world.starts.last(), Some(&APP));

    let mut world = World::new(false, None);
    world.obstacles.insert(
        WM,
        NotStarted {
            obstacle: Obstacle::Hopeless(127),
            program: "nope".to_owned(),
            reason: "not found".to_owned(),
        },
    );
    world.make_ready(X);
    world.make_ready(DISPLAY);
    assert_eq!(
        world.starts.last(),
        Some(&APP),
        "one that is not there is not waited for at all"
    );
}

#[test]
fn the_end_of_the_application_is_the_end() {
    for exit in [Exit::Code(0), Exit::Code(3), Exit::Signal(11)] {
        let mut world = World::up(false);
        world.exit(APP, exit);
        assert!(
            world.plan.stopping().is_none(),
            "its verdict waits for the X server"
        );
        world.advance(HOLD);
        let outcome = world.run_down();
        assert_eq!(outcome.code, exit.status());
        let order: Vec<Id> = world.pushes.iter().map(|(id, _)| *id).collect();
        assert_eq!(order, [WM, DISPLAY, X]);
    }
}

#[test]
fn an_application_that_dies_of_its_x_server_comes_back() {
    for x_first in [false, true] {
        let mut world = World::up(false);
        let mut order = [APP, X, WM];
        if x_first {
            order.swap(0, 1);
        }
        for id in order {
            world.exit(id, Exit::Code(1));
            world.advance(Duration::from_millis(5));
        }
        assert!(world.plan.stopping().is_none());
        world.make_ready(X);
        world.make_ready(WM);
        assert_eq!(
            world.starts,
            [X, DISPLAY, WM, APP, X, WM, APP],
            "the display server lives on"
        );
        assert_eq!(world.plan.service(WM).unwrap().restarts(), 1);
    }
}

#[test]
fn an_application_that_outlives_its_x_server_is_ended_first() {
    let mut world = World::up(false);
    world.exit(X, Exit::Signal(9));
    assert_eq!(world.pushes, [(WM, Push::Term), (APP, Push::Term)]);
    world.make_ready(X);
    world.exit(WM, Exit::Code(1));
    world.make_ready(WM);
    world.advance(RESTART_GRACE);
    assert_eq!(world.pushes.last(), Some(&(APP, Push::Kill)));
    world.exit(APP, Exit::Signal(9));
    assert_eq!(world.starts.last(), Some(&APP));
    assert!(world.plan.stopping().is_none());
}

#[test]
fn sigterm_is_answered_with_the_applications_own_code_if_it_has_one() {
    let answers = [
        (SIGTERM, Exit::Signal(15), 143),
        (2, Exit::Signal(15), 130),
        (SIGTERM, Exit::Code(5), 5),
        (SIGTERM, Exit::Code(0), 0),
        (SIGTERM, Exit::Signal(11), 139),
    ];
    for (signal, answer, code) in answers {
        let mut world = World::up(false);
        world.plan.request_stop(signal, world.now);
        world.settle();
        assert_eq!(world.pushes, [(APP, Push::Term)]);
        world.exit(APP, answer);
        assert_eq!(world.run_down().code, code, "{answer:?}");
    }
    let mut world = World::new(false, None);
    world.plan.request_stop(SIGTERM, world.now);
    world.settle();
    assert_eq!(world.run_down().code, 143, "there was no application yet");
}

#[test]
fn who_does_not_obey_is_killed_within_the_grace_period() {
    let mut world = World::up(false);
    let start = world.now;
    world.plan.request_stop(SIGTERM, world.now);
    world.settle();
    while world.plan.outcome(world.now).is_none() {
        let deadline = world.plan.deadline(world.now).unwrap();
        world.advance(deadline - world.now);
        let killed: Vec<Id> = world
            .running
            .iter()
            .filter(|(_, push)| **push == Some(Push::Kill))
            .map(|(id, _)| *id)
            .collect();
        for id in killed {
            world.exit(id, Exit::Signal(9));
        }
    }
    assert_eq!(world.now - start, GRACE);
    assert_eq!(world.plan.exit_code(), 143);
}

#[test]
fn asking_again_shortens() {
    let mut world = World::up(false);
    for _ in 0..2 {
        world.plan.request_stop(SIGTERM, world.now);
        world.settle();
    }
    let left = world.plan.deadline(world.now).unwrap() - world.now;
    assert!(left <= HURRY, "{left:?}");
    world.plan.request_stop(SIGTERM, world.now);
    world.settle();
    let kills = [APP, WM, DISPLAY, X].map(|id| (id, Push::Kill));
    assert_eq!(
        world.pushes,
        [&[(APP, Push::Term)], kills.as_slice()].concat()
    );
}

#[test]
fn an_x_server_that_never_gets_ready_is_the_end() {
    let mut world = World::new(false, None);
    for _ in 0..3 {
        world.exit(X, Exit::Code(1));
        world.advance(Duration::from_secs(2));
    }
    let outcome = world.run_down();
    assert_eq!(outcome.code, EXIT_UNAVAILABLE);
    assert!(
        outcome.reason.contains("the X server did not become ready")
            && outcome.reason.contains("code 1")
    );
}

#[test]
fn a_command_that_is_not_there_is_127() {
    let mut world = World::new(true, None);
    world.obstacles.insert(
        APP,
        NotStarted {
            obstacle: Obstacle::Hopeless(127),
            program: "nope".to_owned(),
            reason: "nope: not found".to_owned(),
        },
    );
    for id in [X, DISPLAY, WM] {
        world.make_ready(id);
    }
    let outcome = world.run_down();
    assert_eq!(
        (outcome.code, outcome.reason.as_str()),
        (127, "the application could not be started: nope: not found")
    );
}
