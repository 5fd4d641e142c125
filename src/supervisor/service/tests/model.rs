//! One service against a small model of its processes: random events, with the invariants checked after each.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    Before,
    Main,
    After,
}

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Refuse(Obstacle),
    Ready,
    Exit(Exit),
    Sink,
    Float,
    Silent,
    Stop(u64),
    Halt,
    Revive,
    Renew,
    Left(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let exit = prop_oneof![
        2 => Just(Exit::Code(0)),
        2 => (1..=255_u8).prop_map(Exit::Code),
        1 => (1..32).prop_map(Exit::Signal)
    ];
    let obstacle = prop_oneof![
        1 => Just(Obstacle::Hopeless(127)),
        2 => Just(Obstacle::Failure),
        3 => Just(Obstacle::Shortage)
    ];
    prop_oneof![
        8 => (0..5000_u64).prop_map(Event::Pass),
        2 => (50_000..70_000_u64).prop_map(Event::Pass),
        2 => obstacle.prop_map(Event::Refuse),
        8 => Just(Event::Ready),
        12 => exit.prop_map(Event::Exit),
        1 => Just(Event::Sink),
        2 => Just(Event::Float),
        1 => Just(Event::Silent),
        1 => (0..5000_u64).prop_map(Event::Stop),
        1 => Just(Event::Halt),
        2 => Just(Event::Revive),
        1 => Just(Event::Renew),
        1 => (0..3_usize).prop_map(Event::Left),
    ]
}

fn rules() -> impl Strategy<Value = Spec> {
    let seconds = Duration::from_secs;
    let proof = prop_oneof![
        2 => Just(Proof::Told),
        2 => Just(Proof::Runs),
        1 => (0..4_u64).prop_map(move |time| Proof::Lasts(seconds(time)))
    ];
    let patience = prop_oneof![
        Just(Patience::Endless),
        (1..9_u64).prop_map(move |time| Patience::GoOn(seconds(time))),
        (1..9_u64).prop_map(move |time| Patience::Kill(seconds(time)))
    ];
    let restart = prop_oneof![
        1 => Just(Restart::Never),
        2 => Just(Restart::Unless(Codes::ZERO)),
        2 => Just(Restart::Always)
    ];
    let limit = prop_oneof![1 => Just(None), 3 => (1..6_u32).prop_map(Some)];
    let hooks = any::<(bool, bool)>();
    (proof, patience, restart, limit, hooks, any::<bool>()).prop_map(
        |(proof, patience, restart, limit, (before_start, after_stop), bound)| Spec {
            proof,
            patience,
            restart,
            give_up: GiveUp {
                never_ready: limit,
                ready_before: limit,
            },
            before_start,
            after_stop,
            bound_to: bound.then_some(Id(0)),
            hook_timeout: Duration::from_secs(2),
            ..Spec::new("test", "the test")
        },
    )
}

struct Model {
    service: Service,
    now: Instant,
    /// What lives, and the strongest signal that it has got.
    process: Option<(Process, Option<Push>)>,
    afloat: bool,
    /// What the next start runs into.
    refusal: Option<Obstacle>,
    /// Starts that came to nothing since it was last forgiven.
    tries: u32,
    /// It is in a pause, or given up, for another reason than its tries.
    excused: bool,
    /// `after_stop` must follow.
    owed: bool,
    /// There was no room for it.
    put_off: bool,
}

impl Model {
    fn new(rules: Spec) -> Self {
        let now = Instant::now();
        let mut model = Self {
            service: Service::new(rules, now),
            now,
            process: None,
            afloat: true,
            refusal: None,
            tries: 0,
            excused: false,
            owed: false,
            put_off: false,
        };
        model.settle();
        model
    }

    fn happens(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Pass(milliseconds) => self.now += Duration::from_millis(milliseconds),
            Event::Refuse(obstacle) => self.refusal = Some(obstacle),
            Event::Ready => {
                self.service.ready(now);
            }
            Event::Exit(exit) => self.exit(exit),
            Event::Sink if self.service.spec().bound_to.is_some() => {
                self.afloat = false;
                if let State::Held { .. } = self.service.state() {
                    self.tries -= 1;
                }
                self.note_health();
                self.service.lost_footing(now);
            }
            Event::Sink => {}
            Event::Float => self.afloat = true,
            Event::Silent => {
                self.note_health();
                self.service.silent(now);
            }
            Event::Stop(milliseconds) => {
                self.note_health();
                self.service
                    .stop(now + Duration::from_millis(milliseconds), now);
            }
            Event::Halt => {
                self.note_health();
                let over = self.service.is_over();
                let moves = self.service.halt(Duration::from_secs(1), now);
                assert!(!(over && moves), "it runs no more");
            }
            Event::Revive => {
                let was = self.service.state();
                if self.service.revive(now) && !matches!(was, State::Stopping { .. }) {
                    self.tries = 0;
                    assert_eq!(self.service.state(), State::Waiting);
                }
            }
            Event::Renew => {
                if self.service.renew(Duration::from_secs(1), now) {
                    self.tries = 0;
                }
            }
            Event::Left(count) => {
                if self.process.is_none() {
                    self.service.left_behind(count);
                }
            }
        }
        self.settle();
    }

    fn exit(&mut self, exit: Exit) {
        let Some((process, _)) = self.process.take() else {
            return;
        };
        self.note_health();
        let before = self.service.state();
        self.service.exited(exit, self.afloat, self.now);
        let judged = matches!(
            self.service.state(),
            State::Held { .. } | State::Backoff { .. } | State::Fatal
        );
        if process != Process::After && judged {
            self.tries += 1;
            let once = self.service.spec().restart == Restart::Never;
            let late = self.service.fault() == Some(Fault::Late);
            self.excused = process == Process::Before || (once && late);
        }
        if process == Process::After {
            assert_eq!(self.service.state(), before, "it changes nothing else");
        }
        if let State::Ended(with) = self.service.state()
            && process == Process::Main
        {
            assert_eq!(with, exit);
            assert!(!self.service.spec().restart.follows(exit));
        }
    }

    fn note_health(&mut self) {
        let healthy = self.now.saturating_duration_since(self.service.since()) >= HEALTHY;
        if self.service.state() == State::Ready && healthy {
            self.tries = 0;
        }
    }

    /// What the plan would do until it rests.
    fn settle(&mut self) {
        for _ in 0..50 {
            self.service.tick(self.now);
            if let Some(push) = self.service.push(self.now) {
                let (_, told) = self.process.as_mut().expect("somebody hears it");
                assert!(
                    *told != Some(Push::Kill) && *told != Some(push),
                    "no signal twice"
                );
                *told = Some(push);
            } else if self.service.push_remnants(self.now).is_some() {
                let own = |(process, _): &_| *process != Process::After;
                assert!(!self.process.as_ref().is_some_and(own), "its process lives");
            } else if !self.begin() {
                return self.verify();
            }
        }
        panic!("it never rests: {:?}", self.service);
    }

    fn begin(&mut self) -> bool {
        let waits = self.service.state() == State::Waiting && self.service.has_room(self.now);
        let process = if self.service.wants_cleanup() {
            assert!(std::mem::take(&mut self.owed), "once for each end");
            Process::After
        } else if !(waits && self.afloat) {
            return false;
        } else if self.service.wants_preparation() {
            assert!(!self.owed, "before it was cleaned up after");
            Process::Before
        } else {
            Process::Main
        };
        assert!(self.process.is_none(), "one at a time");
        self.put_off = false;
        if let Some(obstacle) = self.refusal.take() {
            let why = NotStarted {
                obstacle,
                program: "nope".to_owned(),
                reason: "obstacle".to_owned(),
            };
            self.service.not_started(&why, self.now);
            if process == Process::After && obstacle == Obstacle::Shortage {
                (self.owed, self.put_off) = (true, true);
            }
            if process != Process::After {
                self.tries += u32::from(obstacle == Obstacle::Failure);
                self.excused = obstacle != Obstacle::Failure;
            }
            return true;
        }
        if process != Process::After {
            self.owed = self.service.spec().after_stop;
            self.excused = false;
        }
        self.process = Some((process, None));
        self.service.started(self.now);
        true
    }

    fn verify(&self) {
        let service = &self.service;
        let process = self.process.map(|(process, _)| process);
        let own = matches!(process, Some(Process::Before | Process::Main));
        assert_eq!(service.runs(), own);
        assert_eq!(service.prepares(), process == Some(Process::Before));
        let cleans = process == Some(Process::After);
        assert_eq!(service.cleans(), cleans || self.put_off);
        assert!(service.since() <= self.now);
        if let Some(deadline) = service.deadline(self.now) {
            assert!(deadline > self.now, "the loop would spin: {service:?}");
        }
        if !own && !service.prepared {
            assert_eq!(self.owed, self.put_off, "nothing is forgotten: {service:?}");
        }
        let limit = service.spec().give_up.ready_before;
        if matches!(service.spec().proof, Proof::Lasts(_)) {
            return;
        }
        if let State::Backoff { until } = service.state() {
            assert!(until - service.since() <= LONGEST_BACKOFF);
        }
        if self.excused {
            return;
        }
        match service.state() {
            State::Backoff { .. } => {
                assert!(limit.is_none_or(|limit| self.tries < limit), "{service:?}");
            }
            State::Fatal => {
                assert!(
                    limit.is_some_and(|limit| self.tries >= limit),
                    "{service:?}"
                );
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(1500)
    })]

    /// Whatever happens: one process at a time, no signal in vain, no start beside what is left, every end followed by its
    /// hook, no deadline in the past, and given up exactly when its limit is reached.
    #[test]
    fn random_events_break_no_service(
        rules in rules(),
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut model = Model::new(rules);
        for event in events {
            model.happens(event);
        }
    }
}
