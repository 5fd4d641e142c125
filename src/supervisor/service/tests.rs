//! One service, step by step.

mod model;

use super::*;

fn spec() -> Spec {
    Spec {
        proof: Proof::Told,
        ..Spec::new("test", "the test")
    }
}

fn bring_up(service: &mut Service, now: Instant) {
    service.started(now);
    assert!(service.ready(now));
}

#[test]
fn back_off_grows_from_nothing_to_its_limit() {
    let pauses: Vec<u128> = (0..9).map(|n| backoff(n).as_millis()).collect();
    assert_eq!(
        pauses,
        [0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]
    );
    assert_eq!(backoff(u32::MAX), LONGEST_BACKOFF);
}

#[test]
fn a_healthy_minute_is_forgiveness() {
    let start = Instant::now();
    let mut service = Service::new(spec(), start);
    let mut now = start;
    for _ in 0..4 {
        bring_up(&mut service, now);
        service.exited(Exit::Code(1), true, now);
        now = service.deadline(now).unwrap();
        service.tick(now);
    }
    assert_eq!(now - start, Duration::from_millis(3500));
    bring_up(&mut service, now);
    now += HEALTHY;
    service.exited(Exit::Code(1), true, now);
    assert_eq!(service.state(), State::Backoff { until: now });
    assert_eq!(service.restarts(), 4);
}

#[test]
fn a_service_that_never_gets_ready_is_given_up() {
    let now = Instant::now();
    let give_up = GiveUp {
        never_ready: Some(3),
        ready_before: None,
    };
    let mut service = Service::new(
        Spec {
            give_up,
            patience: Patience::Kill(HEALTHY),
            ..spec()
        },
        now,
    );
    let mut now = now;
    for turn in 0..3 {
        service.started(now);
        now += HEALTHY;
        service.tick(now);
        assert_eq!(service.push(now), Some(Push::Kill));
        assert_eq!(service.push(now), None);
        service.exited(Exit::Signal(9), true, now);
        if turn < 2 {
            now = service.deadline(now).unwrap();
            service.tick(now);
        }
    }
    assert_eq!(service.state(), State::Fatal);
}

#[test]
fn an_end_without_footing_is_not_judged() {
    let now = Instant::now();
    let mut service = Service::new(
        Spec {
            bound_to: Some(Id(0)),
            restart: Restart::Never,
            ..spec()
        },
        now,
    );
    bring_up(&mut service, now);
    service.exited(Exit::Code(1), true, now);
    assert!(matches!(service.state(), State::Held { .. }));
    service.lost_footing(now);
    assert_eq!(service.state(), State::Waiting);
    bring_up(&mut service, now);
    service.exited(Exit::Code(1), true, now);
    service.tick(now + HOLD);
    assert_eq!(service.state(), State::Ended(Exit::Code(1)));
}

#[test]
fn those_after_it_go_on_without_it_in_the_end() {
    let now = Instant::now();
    let limit = Duration::from_secs(3);
    let mut service = Service::new(
        Spec {
            patience: Patience::GoOn(limit),
            ..spec()
        },
        now,
    );
    assert!(
        !service.lets_others_go_on(now + limit),
        "it was never started"
    );
    service.started(now);
    assert!(!service.lets_others_go_on(now));
    assert_eq!(service.deadline(now), Some(now + limit));
    service.exited(Exit::Code(1), true, now);
    service.tick(now);
    service.started(now + Duration::from_secs(1));
    assert!(
        service.lets_others_go_on(now + limit),
        "restarts do not begin the time anew"
    );
}

#[test]
fn only_a_failure_is_followed_by_another_start_when_that_was_asked_for() {
    let now = Instant::now();
    let spec = Spec {
        restart: Restart::Unless(Codes::ZERO),
        ..Spec::new("test", "the test")
    };
    for (exit, again) in [
        (Exit::Code(0), false),
        (Exit::Code(1), true),
        (Exit::Signal(11), true),
    ] {
        let mut service = Service::new(spec.clone(), now);
        service.started(now);
        service.exited(exit, true, now);
        assert_eq!(!service.is_over(), again, "{exit}");
    }
}

#[test]
fn one_that_ends_again_and_again_is_given_up_however_long_it_runs() {
    for proof in [Proof::Runs, Proof::Told] {
        let rules = Spec {
            proof,
            give_up: GiveUp {
                never_ready: None,
                ready_before: Some(3),
            },
            ..Spec::new("test", "the test")
        };
        let mut now = Instant::now();
        let mut service = Service::new(rules, now);
        let second = Duration::from_secs(1);
        // A healthy minute begins the count anew, also for one that is killed because it hangs.
        for (runs, hangs) in [
            (second, false),
            (HEALTHY - second, false),
            (HEALTHY, false),
            (second, false),
            (HEALTHY, true),
            (second * 30, false),
        ] {
            service.started(now);
            service.ready(now);
            assert_eq!(service.state(), State::Ready);
            now += runs;
            if hangs {
                service.silent(now);
                assert_eq!(service.push(now), Some(Push::Kill));
            }
            service.exited(Exit::Code(1), true, now);
            assert!(!service.is_over());
            now = service.deadline(now).unwrap().max(now);
            service.tick(now);
        }
        let began = now;
        service.started(now);
        service.ready(now);
        service.exited(Exit::Code(1), true, now);
        assert_eq!(service.state(), State::Fatal);
        let (starts, time) = service.failures();
        assert_eq!(starts, 3);
        assert!(time >= began - now + second * 30, "{time:?}");
    }
}

#[test]
fn a_stop_never_takes_longer_than_the_services_own_time() {
    let now = Instant::now();
    let limit = Duration::from_secs(2);
    let mut service = Service::new(
        Spec {
            stop_timeout: Some(limit),
            ..Spec::new("test", "the test")
        },
        now,
    );
    service.started(now);
    service.stop(now + limit * 4, now);
    assert_eq!(service.push(now), Some(Push::Term));
    assert_eq!(service.deadline(now), Some(now + limit));
    // Said again, as the plan does in every turn of a stop.
    let later = now + limit / 2;
    service.stop(later + limit * 4, later);
    assert_eq!(service.deadline(later), Some(now + limit));
    assert_eq!(service.push(now + limit), Some(Push::Kill));
}

#[test]
fn exits_are_told_as_a_shell_does() {
    assert_eq!(Exit::Code(3).status(), 3);
    assert_eq!(Exit::Signal(9).status(), 137);
    assert_eq!(Exit::Signal(15).to_string(), "signal 15 (SIGTERM)");
}

#[test]
fn one_that_must_last_has_failed_before_and_is_tried_as_supervisord_does() {
    let start = Instant::now();
    let rules = Spec {
        proof: Proof::Lasts(Duration::from_secs(2)),
        restart: Restart::Unless([0, 7].into_iter().collect()),
        give_up: GiveUp {
            never_ready: Some(3),
            ready_before: Some(3),
        },
        ..Spec::new("test", "the test")
    };
    let mut service = Service::new(rules.clone(), start);
    let mut now = start;
    for pause in [1, 2] {
        service.started(now);
        assert_eq!(service.state(), State::Starting);
        assert_eq!(service.deadline(now), Some(now + Duration::from_secs(2)));
        // Code 0 is expected, and no excuse.
        service.exited(Exit::Code(0), true, now + Duration::from_millis(1999));
        let until = now + Duration::from_millis(1999) + Duration::from_secs(pause);
        assert_eq!(service.state(), State::Backoff { until });
        now = until;
        service.tick(now);
    }
    service.started(now);
    service.exited(Exit::Code(0), true, now);
    assert_eq!(service.state(), State::Fatal);

    let mut service = Service::new(rules.clone(), start);
    service.started(start);
    service.tick(start + Duration::from_secs(2));
    assert_eq!(service.state(), State::Ready);
    service.exited(Exit::Code(7), true, start + Duration::from_secs(3));
    assert_eq!(service.state(), State::Ended(Exit::Code(7)));
    for exit in [Exit::Code(1), Exit::Signal(7)] {
        let mut service = Service::new(rules.clone(), start);
        service.started(start);
        // Nobody has looked in between.
        service.exited(exit, true, start + Duration::from_secs(3));
        assert!(matches!(service.state(), State::Backoff { .. }), "{exit}");
    }
    let rules = Spec {
        proof: Proof::Lasts(Duration::ZERO),
        ..rules
    };
    let mut service = Service::new(rules, start);
    service.started(start);
    assert_eq!(service.state(), State::Ready);
    service.exited(Exit::Code(0), true, start);
    assert_eq!(service.state(), State::Ended(Exit::Code(0)));
}
