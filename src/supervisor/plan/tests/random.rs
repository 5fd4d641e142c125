//! Random events, and random services beside a desktop's, with the world's invariants checked after each event.

use super::*;
use crate::supervisor::service::Codes;
use proptest::prelude::*;

/// More than there ever are: what is said of those that are not there means nothing.
const MOST: usize = 8;

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Ready(usize),
    Exit(usize, Exit),
    Leave(usize),
    Cleared(usize),
    Obey(usize),
    Obstacle(usize, Obstacle),
    Viewers(u32),
    Strays(usize),
    Windows(u32),
    Deaf(bool),
    Order(usize, Order),
    Stop(i32),
}

fn exit() -> impl Strategy<Value = Exit> {
    prop_oneof![
        2 => Just(Exit::Code(0)),
        3 => (0..=255_u8).prop_map(Exit::Code),
        2 => (1..32).prop_map(Exit::Signal)
    ]
}

fn obstacle() -> impl Strategy<Value = Obstacle> {
    prop_oneof![
        Just(Obstacle::Hopeless(127)),
        Just(Obstacle::Failure),
        Just(Obstacle::Shortage)
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let id = || 0..MOST;
    prop_oneof![
        8 => (0..6000_u64).prop_map(Event::Pass),
        2 => (30_000..90_000_u64).prop_map(Event::Pass),
        16 => id().prop_map(Event::Ready),
        12 => (id(), exit()).prop_map(|(id, exit)| Event::Exit(id, exit)),
        4 => id().prop_map(Event::Obey),
        2 => id().prop_map(Event::Leave),
        1 => id().prop_map(Event::Cleared),
        2 => (id(), obstacle()).prop_map(|(id, obstacle)| Event::Obstacle(id, obstacle)),
        1 => (0..3_u32).prop_map(Event::Viewers),
        1 => (0..3_usize).prop_map(Event::Strays),
        3 => (0..3_u32).prop_map(Event::Windows),
        1 => any::<bool>().prop_map(Event::Deaf),
        3 => (id(), prop_oneof![Just(Order::Start), Just(Order::Stop), Just(Order::Restart)])
            .prop_map(|(id, order)| Event::Order(id, order)),
        1 => prop_oneof![Just(SIGTERM), Just(2)].prop_map(Event::Stop),
    ]
}

/// What may be different about a service.
#[derive(Clone, Debug)]
struct Traits {
    proof: Proof,
    patience: Patience,
    restart: Restart,
    limit: Option<u32>,
    on_end: OnEnd,
    on_fatal: OnFatal,
    hooks: (bool, bool),
    autostart: bool,
    stop_timeout: Option<Duration>,
    /// Of those before it: whom it comes after, and whether it is bound to the first of them.
    after: Vec<(usize, bool)>,
    bound: bool,
}

fn traits() -> impl Strategy<Value = Traits> {
    let seconds = Duration::from_secs;
    let proof = prop_oneof![
        Just(Proof::Told),
        Just(Proof::Runs),
        (0..4_u64).prop_map(move |time| Proof::Lasts(seconds(time)))
    ];
    let patience = prop_oneof![
        2 => Just(Patience::Endless),
        1 => (1..9_u64).prop_map(move |time| Patience::GoOn(seconds(time))),
        1 => (1..9_u64).prop_map(move |time| Patience::Kill(seconds(time)))
    ];
    let restart = prop_oneof![
        Just(Restart::Never),
        Just(Restart::Unless(Codes::ZERO)),
        Just(Restart::Always)
    ];
    let limit = prop_oneof![Just(None), (1..5_u32).prop_map(Some)];
    let on_end = prop_oneof![3 => Just(OnEnd::Ignore), 1 => Just(OnEnd::End)];
    let on_fatal = prop_oneof![
        1 => Just(OnFatal::Ignore),
        3 => Just(OnFatal::NotLive),
        1 => Just(OnFatal::End)
    ];
    let stop_timeout = prop_oneof![
        Just(None),
        (0..5_u64).prop_map(move |time| Some(seconds(time)))
    ];
    let after = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..3);
    (
        (proof, patience, restart, limit, on_end, on_fatal),
        (
            any::<(bool, bool)>(),
            prop::bool::weighted(0.8),
            stop_timeout,
            after,
            any::<bool>(),
        ),
    )
        .prop_map(
            |((proof, patience, restart, limit, on_end, on_fatal), rest)| {
                let (hooks, autostart, stop_timeout, after, bound) = rest;
                let after = after
                    .into_iter()
                    .map(|(index, once)| (index.index(MOST), once));
                Traits {
                    proof,
                    patience,
                    restart,
                    limit,
                    on_end,
                    on_fatal,
                    hooks,
                    autostart,
                    stop_timeout,
                    after: after.collect(),
                    bound,
                }
            },
        )
}

impl Traits {
    /// The service of this number.
    fn spec(self, number: usize) -> Spec {
        let mut after = Vec::new();
        let mut bound_to = None;
        for (index, once) in self.after {
            let other = Id(index % number);
            if self.bound && bound_to.is_none() {
                bound_to = Some(other);
                after.push(After::Ready(other));
            } else if once {
                after.push(After::Once(other));
            } else {
                after.push(After::Ready(other));
            }
        }
        Spec {
            after,
            bound_to,
            autostart: self.autostart,
            restart: self.restart,
            on_end: self.on_end,
            on_fatal: self.on_fatal,
            proof: self.proof,
            patience: self.patience,
            give_up: GiveUp {
                never_ready: self.limit,
                ready_before: self.limit,
            },
            before_start: self.hooks.0,
            after_stop: self.hooks.1,
            hook_timeout: Duration::from_secs(3),
            stop_timeout: self.stop_timeout,
            ..Spec::new("extra", "the extra")
        }
    }
}

impl World {
    /// With random services behind a desktop's, whose parts have hooks as well.
    fn random(
        keep: bool,
        limit: Option<Duration>,
        alone: Alone,
        hooks: [(bool, bool); 4],
        more: Vec<Traits>,
    ) -> Self {
        let mut specs = specs(keep);
        for (spec, (before, after)) in specs.iter_mut().zip(hooks) {
            spec.before_start = before;
            spec.after_stop = after;
            spec.autostart = !(spec.application && alone.start_on_connect);
        }
        for traits in more {
            let spec = Spec {
                part: false,
                ..traits.spec(specs.len())
            };
            specs.push(spec);
        }
        Self::of(specs, limit, alone)
    }

    fn happens(&mut self, event: Event) {
        let services = self.plan.services().count();
        match event {
            Event::Pass(milliseconds) => self.advance(Duration::from_millis(milliseconds)),
            Event::Ready(id) => self.make_ready(Id(id)),
            Event::Exit(id, exit) => self.exit(Id(id), exit),
            Event::Leave(id) => self.exit_leaving(Id(id), Exit::Code(1)),
            Event::Cleared(id) => self.cleared(Id(id)),
            Event::Obey(id) => {
                if let Some(Some(push)) = self.told(Id(id)) {
                    let signal = if *push == Push::Kill {
                        SIGKILL
                    } else {
                        SIGTERM
                    };
                    self.exit(Id(id), Exit::Signal(signal));
                }
            }
            Event::Obstacle(id, obstacle) => {
                let (program, reason) = ("nope".to_owned(), "obstacle".to_owned());
                let why = NotStarted {
                    obstacle,
                    program,
                    reason,
                };
                self.obstacles.insert(Id(id), why);
            }
            Event::Viewers(viewers) => {
                self.plan.set_viewers(viewers, self.now);
                self.settle();
            }
            Event::Strays(count) => self.set_strays(count),
            Event::Windows(count) => self.set_windows(count),
            Event::Deaf(deaf) => self.windows.deaf = deaf,
            Event::Order(id, order) if id < services => {
                let id = Id(id);
                let stopping = self.plan.stopping().is_some();
                // Else it is given up anew, at once.
                self.obstacles.remove(&id);
                self.order(id, order);
                let kept_down = matches!(
                    self.state(id),
                    State::Stopped | State::Ended(_) | State::Fatal
                );
                assert!(
                    stopping
                        || order == Order::Stop
                        || !kept_down
                        || self.plan.stopping().is_some()
                );
            }
            Event::Order(..) => {}
            Event::Stop(signal) => {
                self.plan.request_stop(signal, self.now);
                self.settle();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(800)
    })]

    /// Whatever happens: nothing runs twice, nothing starts too early, nobody is signalled in vain, every end is cleaned
    /// up after, the loop never spins, and a stop always ends within the grace period.
    #[test]
    fn random_events_break_nothing(
        keep in any::<bool>(),
        limit in prop_oneof![Just(None), Just(Some(Duration::from_secs(20)))],
        freeze in prop_oneof![Just(None), Just(Some(Duration::from_secs(3)))],
        start_on_connect in any::<bool>(),
        hooks in any::<[(bool, bool); 4]>(),
        more in prop::collection::vec(traits(), 0..=MOST - 4),
        events in prop::collection::vec(event(), 1..100),
    ) {
        let alone = Alone { freeze, start_on_connect };
        let mut world = World::random(keep, limit, alone, hooks, more);
        let mut cause: Option<Cause> = None;
        for event in events {
            world.happens(event);
            // A cause may become the application's answer, and is otherwise for good.
            if let Some(before) = &cause {
                let after = world.plan.stopping();
                let answered = matches!(after, Some(Cause::Ended { .. }));
                prop_assert!(after == Some(before) || answered);
            }
            cause = world.plan.stopping().cloned();
        }
        let start = world.now;
        world.plan.request_stop(SIGTERM, world.now);
        world.settle();
        let outcome = world.run_down();
        prop_assert!(world.now - start <= GRACE + AFTER_KILL * 2);
        prop_assert!(world.running.values().all(|push| *push == Some(Push::Kill)), "who is left is hopeless");
        prop_assert!(!outcome.reason.is_empty());
    }
}
